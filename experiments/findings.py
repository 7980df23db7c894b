#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The papers' findings 2 to 5, for several trainings of the papers' own recipe on one corpus, for gradient and replacement.

Trains --seeds models with `train --preset paper --patience 3 --min-delta 0.001` (a training that was stopped goes on from its checkpoint), analyses the
held-out text with each, and compares classes and properties over the models (`stategrad compare --group`). One row a
finding: supported, not supported or undecided, the effect, its 95 % interval over models. What is made is kept in --work.

  2   the rms gain (the change of state) loses half within 5 words, and its law is not the exponential
  3   with --beside: the share of the gain at delay 0 that is left, this corpus over the other
  4a  rare words (ranks 1001-10000) have a larger gain than frequent ones (1-10) at delays 1, 5 and 10;  4b  a longer half-life
  5a  nouns have a larger gain than every other class of --least tokens at these delays
  5b  the gain along number is larger than along the other properties, and above that of random directions, in every model

Supported: "higher" in every comparison (adjusted p < 0.05 over all of a finding's rows); not supported: "lower" in one of them."""
import json
import os
import subprocess
import sys

import netCDF4
import numpy as np

import common

DELAYS = "1,5,10"
GRADIENT, REPLACEMENT = "gradient", "replacement"


def train(args, seed):
    model = os.path.join(args.work, f"seed{seed}.safetensors")
    if not os.path.exists(model):
        print("training", model, file=sys.stderr, flush=True)
        common.call([args.program, "train", args.train, "--valid", args.valid, *common.layout(args), "--preset", "paper", "--cell", args.cell,
                     "--embedding-size", str(args.embedding), "--hidden-size", str(args.hidden), "--vocab-size", str(args.vocab_size),
                     "--patience", "3", "--min-delta", "0.001", "--seed", str(seed), "--threads", str(args.threads), "--quiet", "--log", model + ".jsonl",
                     "--checkpoint", model + ".checkpoint", "--resume", "-o", model, *args.train_options.split()])
    return model


def analyse(args, model):
    run = model.replace(".safetensors", ".nc")
    if not os.path.exists(run):
        print("analysing", run, file=sys.stderr, flush=True)
        properties = [x for p in args.properties.split(",") for x in ("--property", p)]
        common.call([args.program, "analyze", model, args.text, *common.layout(args), "--delays", str(args.delays), "--classes", "frequency",
                     "--classes", common.tag_classes(args), *properties, "--seed", "1", "--threads", str(args.threads), "--quiet", "-o", run,
                     *(["--sample", str(args.sample)] if args.sample else [])])
    return run


def compare(args, groups, *more):
    command = [args.program, "compare", *(x for name, runs in groups.items() for x in ("--group", name + "=" + ",".join(runs))), *more, "--json"]
    return json.loads(common.call(command))["rows"]


def verdict(rows):
    """Of all rows together, and the first row's effect: its ratio and the interval over models (or blocks, of a single one)."""
    words = [r["verdict"] for r in rows]
    said = "not supported" if "lower" in words else "supported" if rows and all(w == "higher" for w in words) else "undecided"
    if not rows or rows[0]["ratio"] is None:
        return said, "-"
    r = rows[0]
    low, high = (r["ratio_models_" + end] if r["ratio_models_low"] is not None else r["ratio_" + end] for end in ("low", "high"))
    return said, f"x {r['ratio']:.3g}" + (f" [{low:.3g}, {high:.3g}]" if low is not None else "")


def laws(run):
    """Of the strongest rms gain and of the change of state: (half-life and the ends of its interval, law: -2 undecided, -1 none, 0 exponential ...)."""
    with netCDF4.Dataset(run) as f:
        names, group = [str(x) for x in f["decay_quantity"][:]], f[[g for g in f.groups if not g.startswith("untrained")][0]]
        read = lambda v, q: float(np.ma.filled(group[v][0, q], np.nan))
        return {kind: [read(v, names.index(name)) for v in ("half_life", "half_life_low", "half_life_high", "decay_verdict")]
                for kind, name in ((GRADIENT, "largest rms gain"), (REPLACEMENT, "change of state")) if name in names}


def decay(runs, kind):
    found = np.array([laws(r)[kind] for r in runs])
    life, high, law = found[:, 0], found[:, 2], found[:, 3]
    if (law == 0).any() or (found[:, 1] > 5).any():
        said = "not supported"
    else:
        said = "supported" if (law != -2).all() and (high < 5).all() else "undecided"
    return said, f"half-lives {life.min():.2f} to {life.max():.2f} words; exponential in {(law == 0).sum()} of {len(runs)}, undecided in {(law == -2).sum()}"


def above_chance(runs):
    """In how many runs the gain along the first property lies above that of random directions at every delay of DELAYS."""
    at, n = [int(d) for d in DELAYS.split(",")], 0
    for run in runs:
        with netCDF4.Dataset(run) as f:
            group = f[[g for g in f.groups if not g.startswith("untrained")][0]]
            n += bool((group["property_gain_low"][0, 0, at] > group["property_gain_random_high"][0, 0, at]).all())
    return n


def classes_of(args, run):
    with netCDF4.Dataset(run) as f:
        return [str(c) for c, n in zip(f["class_name"][:], f["class_tokens"][:]) if n >= args.least]


def rows_of(args, groups, runs):
    yield "2", "decays quickly, not exponentially", {k: decay(runs, k) for k in (GRADIENT, REPLACEMENT)}
    measures = {GRADIENT: "rms_gain", REPLACEMENT: "state_change"}
    if args.beside:
        other = sorted(os.path.join(args.beside, f) for f in os.listdir(args.beside) if f.startswith("seed") and f.endswith(".nc"))
        both = {**groups, "other": other}
        yield "3", "depends on the kind of data (both directions count)", {
            k: verdict_of_difference(compare(args, both, "--measure", m + "_left", "--delay", DELAYS)) for k, m in measures.items()}
    rare = (args.rare, "rank 1-10")
    yield "4a", "rare words: larger", {k: verdict(compare(args, groups, *rare, "--measure", m, "--delay", DELAYS)) for k, m in measures.items()}
    yield "4b", "rare words: longer", {k: verdict(compare(args, groups, *rare, "--measure", m + "_half_life")) for k, m in measures.items()}
    skip = set(args.skip.split(",")) | {"all", args.noun} | {side for p in args.properties.split(",") for side in p.split("=")[1].split("-")}
    others = [c for c in classes_of(args, runs[0]) if c not in skip and not c.startswith("rank ") and c != "out of vocabulary"]
    yield "5a", "nouns: largest of " + ", ".join(others), {
        k: verdict([r for c in others for r in compare(args, groups, args.noun, c, "--measure", m, "--delay", DELAYS)]) for k, m in measures.items()}
    names = [p.split("=")[0] for p in args.properties.split(",")]
    said, effect = verdict([r for p in names[1:] for r in compare(args, groups, names[0], p, "--measure", "property_gain", "--delay", DELAYS)])
    n = above_chance(runs)
    yield "5b", f"{names[0]}: largest of {', '.join(names)}", {GRADIENT: ("undecided" if said == "supported" and n < len(runs) else said,
                                                                         f"{effect}; above random directions in {n} of {len(runs)} models")}


def verdict_of_difference(rows):
    words = {r["verdict"] for r in rows}
    said = "supported" if words in ({"higher"}, {"lower"}) else "undecided"
    return said, verdict(rows)[1]


def main():
    args = common.options(__doc__, seeds=(int, 5, "trainings"), least=(int, 2000, "tokens a class needs"), noun=(str, "noun", "class of nouns"),
                          rare=(str, "rank 1001-10000", "class of rare words"),
                          skip=(str, "singular,plural", "classes that nouns are not compared with"),
                          beside=(str, None, "work folder of another corpus, whose analyses are there"))
    runs = []
    for seed in range(1, args.seeds + 1):
        runs.append(analyse(args, train(args, seed)))
        perplexity = np.exp(common.perplexity_nats(args, runs[-1].replace(".nc", ".safetensors"), args.text))
        print(f"seed {seed}: perplexity {perplexity:.1f} on the text analysed", flush=True)
    name = args.name or os.path.basename(args.text)
    print(f"\n{name}: {len(runs)} models\n\n| finding | gradient | replacement |\n|---|---|---|")
    for number, claim, found in rows_of(args, {"models": runs}, runs):
        print(f"| {number}: {claim} | " + " | ".join(f"**{found[k][0]}**, {found[k][1]}" if k in found else "" for k in (GRADIENT, REPLACEMENT)) + " |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as e:
        sys.exit(str(e))
