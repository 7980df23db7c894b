#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: extremes.py PROGRAM   - models at the edge of what is legal: every command works on them or says why not.

Weights of 1e30, of 1e-39, embeddings that are all zero or all equal, H = 1, E = 1, V = 2, one delay, one token. What
works must hold finite numbers and, for the tanh net, the mean gradient that numpy's float64 finds; what is refused is
refused in one line. What is expected of each is in the table below, so that neither changes unseen."""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

PROGRAM = os.path.abspath(sys.argv[1])
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def run(*args):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=120)


def make(path, cell, E, H, words, change):
    """A model file; returns its weights."""
    rng = np.random.default_rng(1)
    g, V = GATES[cell], len(words)
    shapes = {"encoder.weight": (V, E), "rnn.weight_ih_l0": (g * H, E), "rnn.weight_hh_l0": (g * H, H),
              "rnn.bias_ih_l0": (g * H,), "rnn.bias_hh_l0": (g * H,), "decoder.weight": (V, H), "decoder.bias": (V,)}
    w = {k: change(k, rng.uniform(-0.9, 0.9, s)).astype(np.float32) for k, s in shapes.items()}
    header = {"__metadata__": {"format": "stategrad-model", "cell": cell, "unit": "word", "eos": "true",
                               "vocabulary": json.dumps(words)}}
    data = b""
    for name, x in w.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [len(data), len(data) + x.nbytes]}
        data += x.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    return w


def mean_gradients(w, ids, D):
    """Of the tanh net, from its definition, in float64; the state begins at zero and is carried."""
    W, U = w["rnn.weight_ih_l0"].astype(float), w["rnn.weight_hh_l0"].astype(float)
    b = w["rnn.bias_ih_l0"].astype(float) + w["rnn.bias_hh_l0"]
    h, by_origin, total, pairs = np.zeros(len(U)), [], np.zeros((D, *W.shape)), np.zeros(D)
    for i in ids:
        h = np.tanh(W @ w["encoder.weight"][i].astype(float) + b + U @ h)
        slope = (1 - h * h)[:, None]
        by_origin = [slope * (U @ G) for G in by_origin] + [slope * W]
        for d, G in enumerate(reversed(by_origin[-D:])):
            total[d] += G
            pairs[d] += 1
    return total / pairs[:, None, None]


def numbers(path):
    """(group, variable, values) of every variable of floating-point numbers."""
    with netCDF4.Dataset(path) as f:
        for group in [f, *f.groups.values()]:
            for name, v in group.variables.items():
                if v.dtype in (np.float32, np.float64):
                    v.set_auto_mask(False)
                    yield group.name, name, v[...]


# name: cell, E, H, words, how the weights are made, corpus, delays, what is refused: {command: part of the message}
WORDS = ["the", "cat", "sat", "<eos>", "<unk>"]
TEXT = "the cat sat\nsat the cat the cat\nthe the sat\n" * 12
same = lambda name, x: x
huge = lambda name, x: np.sign(x) * 1e30
huge_weights = lambda name, x: x if name == "encoder.weight" else np.sign(x) * 1e30
tiny = lambda name, x: x * 1e-39
no_embedding = lambda name, x: x * (name != "encoder.weight")
equal_embedding = lambda name, x: x * 0 + 0.5 if name == "encoder.weight" else x
huge_recurrence = lambda name, x: np.sign(x) * 1e30 if name == "rnn.weight_hh_l0" else x
flat = {"words": "the embeddings are all equal and cannot be normalised (--normalize none)"}
overflow = "layer 1: its weights times inputs of up to 1e+30 overflow a float32"
short = "perplexity: 1 token, expected at least 2"
CASES = {}
for cell in GATES:
    CASES.update({
        f"{cell}, weights of 1e30": (cell, 3, 4, WORDS, huge, TEXT, 4,
                                      dict.fromkeys(("eval", "check", "show", "analyze"), overflow)),
        f"{cell}, weights of 1e30 but for the embeddings": (cell, 3, 4, WORDS, huge_weights, TEXT, 4, {}),
        f"{cell}, recurrent weights of 1e30": (cell, 3, 4, WORDS, huge_recurrence, TEXT, 4, {}),
        f"{cell}, denormal weights": (cell, 3, 4, WORDS, tiny, TEXT, 4, {}),
        f"{cell}, zero embeddings": (cell, 3, 4, WORDS, no_embedding, TEXT, 4, flat),
        f"{cell}, equal embeddings": (cell, 3, 4, WORDS, equal_embedding, TEXT, 4, flat),
        f"{cell}, H = 1": (cell, 3, 1, WORDS, same, TEXT, 4, {}),
        f"{cell}, E = 1": (cell, 1, 4, WORDS, same, TEXT, 4, {}),
        f"{cell}, H = E = 1": (cell, 1, 1, WORDS, same, TEXT, 4, {}),
        f"{cell}, V = 2": (cell, 3, 4, ["the", "<eos>"], same, "the the\nthe\n" * 20, 4, {}),
        f"{cell}, V = 2, H = E = D = 1": (cell, 1, 1, ["the", "<eos>"], same, "the the\nthe\n" * 20, 1, {}),
        f"{cell}, one token": (cell, 3, 4, WORDS, same, "\n", 1, {"eval": short}),
        f"{cell}, one token, two delays": (cell, 3, 4, WORDS, same, "\n", 2, {"eval": short, "analyze": "2 delays, but the corpus has only 1 token"}),
    })


def check_case(name, cell, E, H, words, change, text, D, refused):
    wrong = []
    w = make("m", cell, E, H, words, change)
    with open("c.txt", "w", encoding="utf-8") as f:
        f.write(text)
    for args in (["info", "m"], ["eval", "m", "c.txt", "--json"], ["check", "m"],
                 ["show", "m", "--text", "the the", "--json"], ["analyze", "m", "c.txt", "-o", "r", "-d", str(D), "-q"],
                 ["words", "r", "--json"], ["track", "r", "-p", "p=the-<eos>", "-q"], ["report", "r", "-o", "h.html"]):
        if "analyze" in refused and args[1] == "r":
            continue
        done = run(*args)
        lines = [x for x in done.stderr.splitlines() if not x.startswith("stategrad: warning: ")]
        if args[0] in refused:
            if done.returncode != (2 if "delays" in refused[args[0]] else 1) or len(lines) != 1 or refused[args[0]] not in lines[0]:
                wrong.append(f"{args[0]}: exit {done.returncode}, said {done.stderr!r}, expected {refused[args[0]]!r}")
            continue
        if done.returncode != 0 or lines:
            wrong.append(f"{args[0]}: exit {done.returncode}, said {done.stderr!r}")
        elif "--json" in args:
            try:
                json.loads(done.stdout, parse_constant=lambda c: wrong.append(f"{args[0]}: {c} in its JSON"))
            except ValueError as e:
                wrong.append(f"{args[0]}: no JSON: {e}: {done.stdout[:200]!r}")
    if refused is flat: # what needs no normalisation is there (the mean gradient is compared below), the rest is not
        there = {v for g, v, x in numbers("r") if g.startswith("layer1") and np.isfinite(x).any()}
        if not {"mean_gradient", "second_moment"} <= there:
            wrong.append("mean_gradient or second_moment is missing")
        wrong += [f"{v} has values" for v in ("singular_value", "rms_gain", "effective_rank", "singular_value_low",
                                               "relative_memory", "decay_rate", "right_singular_vector") if v in there]
    if "analyze" in refused and os.path.exists("r"):
        wrong.append("a run file was made")
    elif "analyze" not in refused:
        wrong += [f"{g}/{v}: infinite" for g, v, x in numbers("r") if np.isinf(x).any()]
        ids = [words.index(t) for line in text.splitlines() for t in [*line.split(), "<eos>"]]
        if cell == "rnn":
            want = mean_gradients(w, ids, D)
            with netCDF4.Dataset("r") as f:
                got = f["layer1.hidden"]["mean_gradient"][0]
            bad = ~(np.abs(got - want) <= 1e-5 * np.abs(want).max() + 1e-37)
            if bad.any():
                wrong.append(f"mean gradient: {got[bad][0]}, expected {want[bad][0]}")
    return wrong


def main():
    failed = 0
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory(prefix="stategrad-extremes-") as folder:
            os.chdir(folder)
            wrong = check_case(name, *case)
            os.chdir("/")
        print("ok    " if not wrong else "FAILED", name)
        for line in wrong:
            print("       " + line)
        failed += bool(wrong)
    print(f"{len(CASES) - failed} of {len(CASES)} models passed")
    sys.exit(1 if failed else 0)


main()
