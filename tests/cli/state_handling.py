#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""--state-handling reset: results are those of each sentence alone, in any order of the sentences.

usage: state_handling.py STATEGRAD
"""
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile

import netCDF4
import numpy as np

PROGRAM = os.path.abspath(sys.argv[1])
SENTENCES = ["the dog barks at the cat", "no cats by a tree sleep", "a tree"]
failures = 0


def check(what, ok):
    global failures
    failures += not ok
    print("ok  " if ok else "FAIL", what)


def run(folder, *args):
    done = subprocess.run([PROGRAM, *args], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def write(folder, name, lines):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)
    return name


def evaluate(folder, model, lines, *options):
    result = json.loads(run(folder, "eval", model, write(folder, "e.txt", lines), "--json", *options))
    return result["tokens"], result["tokens"] * result["nats_per_token"]


def perplexity(folder, model, *options):
    alone = [evaluate(folder, model, [s], *options) for s in SENTENCES]
    tokens, nats = (sum(x) for x in zip(*alone))
    for order in itertools.permutations(SENTENCES):
        n, sum_of = evaluate(folder, model, order, "--state-handling", "reset", *options)
        check(f"{model} {options}: reset, {order[0][:7]} ...: {n} tokens, {math.exp(sum_of / n):.3f}",
              n == tokens and abs(sum_of - nats) < 1e-5 * nats)
    carried = {round(evaluate(folder, model, order, *options)[1], 3) for order in itertools.permutations(SENTENCES)}
    check(f"{model} {options}: carry depends on the order, so the model has memory", len(carried) > 1)
    # more tokens than are computed at a time, so that sentences begin at its limits too
    n, sum_of = evaluate(folder, model, SENTENCES * 400, "--state-handling", "reset", *options)
    check(f"{model} {options}: 1200 sentences", n == 400 * tokens and abs(sum_of - 400 * nats) < 1e-5 * 400 * nats)


def gradients(folder, model):
    means = []
    for order in itertools.permutations(SENTENCES):
        run(folder, "analyze", model, write(folder, "a.txt", order), "--state-handling", "reset", "--delays", "5", "--threads", "1",
            "--quiet", "-o", "run.nc")
        with netCDF4.Dataset(os.path.join(folder, "run.nc")) as f:
            means.append((np.array(f["layer1.cell"]["pairs"][0]), np.array(f["layer1.cell"]["mean_gradient"][0])))
    size = np.abs(means[0][1]).max()
    check("analyze: pairs and mean gradients in six orders", size > 1e-4 and all(
        (p == means[0][0]).all() and np.nanmax(np.abs(g - means[0][1])) < 1e-5 * size for p, g in means))


def shown(folder, model):
    """Each sentence of `show` is itself, whatever stands before it."""
    alone = {s: json.loads(run(folder, "show", model, "--text", s, "--target", "cat", "--json"))["sentences"][0] for s in SENTENCES}
    for order in itertools.permutations(SENTENCES):
        all_of = json.loads(run(folder, "show", model, write(folder, "s.txt", order), "--target", "cat", "--json"))
        check(f"show: {order[0][:7]} ...", [alone[s] for s in order] == all_of["sentences"])


def one_word_sentences(folder, model):
    write(folder, "one.txt", ["dog", "cat"])
    done = subprocess.run([PROGRAM, "eval", model, "one.txt", "--no-eos", "--state-handling", "reset"], cwd=folder,
                          capture_output=True, text=True)
    check("sentences of one word predict nothing, and that is said", done.returncode == 1 and "one token" in done.stderr)


with tempfile.TemporaryDirectory() as folder:
    text = write(folder, "t.txt", (SENTENCES + ["dogs sleep", "the cat"]) * 30)
    for model, options in (("lstm", []), ("gru", ["--cell", "gru"])):
        run(folder, "train", text, "-o", model, "--embedding-size", "8", "--hidden-size", "10", "--epochs", "4", "--steps", "8",
            "--batch", "4", "--lr", "0.02", "--dropout", "0", "--threads", "1", "--quiet", *options)
    perplexity(folder, "lstm")
    perplexity(folder, "gru", "--no-eos")
    gradients(folder, "lstm")
    shown(folder, "lstm")
    one_word_sentences(folder, "lstm")
print(failures, "failed")
sys.exit(bool(failures))
