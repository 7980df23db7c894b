#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The programs of examples/ do what the program does: the same model to the byte, the same sigma_1, the same norms; a
cell of one's own has the sigma_1 of central differences. The README shows examples/sentence.c as it is.

usage: examples.py STATEGRAD SOURCE_ROOT SENTENCE ANALYZE TRAIN OWN_CELL
"""
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

program, root, sentence, analyze, train, own_cell = sys.argv[1:7]
os.environ.update(OMP_NUM_THREADS="1", SOURCE_DATE_EPOCH="0")


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def text(path, lines, seed):
    draw = random.Random(seed)
    nouns, verbs = ["cat", "dog", "bird", "mouse"], ["sees", "hears", "likes"]
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(lines):
            f.write(f"the {draw.choice(nouns)} {draw.choice(verbs)} a {draw.choice(nouns)}\n")


def near(a, b, what):
    assert abs(a - b) <= 2e-5 * (abs(a) + abs(b)), f"{what}: the example has {a}, the program {b}"


def check_training(folder):
    printed = run(train, folder / "train.txt", folder / "valid.txt", folder / "example.safetensors")
    run(program, "train", folder / "train.txt", "--valid", folder / "valid.txt", "-o", folder / "program.safetensors",
        "--cell", "gru", "--embedding-size", "16", "--hidden-size", "32", "--optimizer", "adam", "--lr", "0.005",
        "--epochs", "3", "--steps", "20", "--quiet")
    assert (folder / "example.safetensors").read_bytes() == (folder / "program.safetensors").read_bytes(), \
        "the example and the program train different models"
    evaluated = json.loads(run(program, "eval", folder / "program.safetensors", folder / "valid.txt", "--json"))
    near(float(printed.split()[-1]), evaluated["perplexity"], "perplexity")


def check_analysis(folder):
    printed = run(analyze, folder / "program.safetensors", folder / "valid.txt", folder / "example.nc")
    run(program, "analyze", folder / "program.safetensors", folder / "valid.txt", "--classes", "frequency", "--delays", "5",
        "-o", folder / "program.nc", "--csv", folder / "program.csv", "--quiet")
    expected = {}
    for line in (folder / "program.csv").read_text(encoding="utf-8").splitlines()[1:]:
        cells = line.split(",")
        if cells[3] == "singular_value[1]":
            expected[cells[1], int(cells[2])] = float(cells[4])
    rows = [line.split("\t") for line in printed.splitlines()]
    assert len(rows) * 5 == len(expected) and len(rows) > 1, f"{len(rows)} classes printed, {len(expected)} values expected"
    for name, values in rows:
        for d, value in enumerate(values.split()):
            near(float(value), expected[name, d], f"sigma_1 of {name} at delay {d}")


def check_sentence(folder):
    words = "the cat sees a zebra".split()  # the last one is unknown
    printed = [line.split() for line in run(sentence, folder / "program.safetensors", *words).splitlines()]
    shown = json.loads(run(program, "show", folder / "program.safetensors", "--text", " ".join(words), "--json"))
    gain = find(shown, "gain_frobenius")[-1]
    assert [w for w, _ in printed] == words, printed
    for (word, value), expected in zip(printed, gain):
        near(float(value), expected, f"gain of {word}")


def check_own_cell(folder):
    """The cell of examples/own_cell.c in float64, each origin's word moved by central differences."""
    try:
        import numpy as np
    except ImportError:
        return
    printed = run(own_cell, folder / "own.nc")
    T, V, E, H, D, a, eps = 2000, 10, 3, 4, 6, 0.8, 1e-5
    wave = lambda n, scale, phase: scale * np.sin(2.3 * np.arange(n) + phase)
    X, W, U = wave(V * E, 1, 0).reshape(V, E), wave(H * E, 0.9, 1).reshape(H, E), wave(H * H, 0.7, 2).reshape(H, H)
    ids, r = [], 1
    for _ in range(T):
        r = (r * 1103515245 + 12345) % 2 ** 32
        ids.append((r >> 16) % V)
    ids = np.array(ids)
    step = lambda h, x: a * h + (1 - a) * np.tanh(x @ W.T + h @ U.T)
    before = [np.zeros(H)]
    for w in ids:
        before.append(step(before[-1], X[w]))
    L = np.linalg.cholesky(np.cov(X.T))
    expected = {}
    for d in range(D):
        G = np.zeros((T - d, H, E))
        for e in range(E):
            ends = []
            for sign in (1, -1):
                x = X[ids[:T - d]].copy()
                x[:, e] += sign * eps
                h = step(np.array(before[:T - d]), x)
                for k in range(1, d + 1):
                    h = step(h, X[ids[k:T - d + k]])
                ends.append(h)
            G[:, :, e] = (ends[0] - ends[1]) / (2 * eps)
        for name, member in (("all", np.ones(T, bool)), ("vowel", np.isin(ids, [0, 4, 8]))):
            expected[name, d] = np.linalg.svd(G[member[:T - d]].mean(0) @ L)[1][0]
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [name for name, _ in rows] == ["all", "vowel"], printed
    for name, values in rows:
        for d, value in enumerate(values.split()):
            near(float(value), expected[name, d], f"sigma_1 of {name} at delay {d}")
    assert "layer1.leaky" in run(program, "info", folder / "own.nc")
    run(program, "report", folder / "own.nc", "-o", folder / "own.html")


def find(tree, key):
    """The first value under `key` in a JSON tree."""
    if isinstance(tree, dict):
        if key in tree:
            return tree[key]
        tree = list(tree.values())
    for branch in tree if isinstance(tree, list) else []:
        found = find(branch, key)
        if found is not None:
            return found
    return None


def check_readme():
    shown = re.search(r"^```c\n(.*?)^```", (pathlib.Path(root) / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    assert shown, "the README shows no C"
    source = (pathlib.Path(root) / "examples/sentence.c").read_text(encoding="utf-8")
    assert shown.group(1) in source, "the README's C is not a part of examples/sentence.c"


with tempfile.TemporaryDirectory() as name:
    place = pathlib.Path(name)
    text(place / "train.txt", 200, 1)
    text(place / "valid.txt", 120, 2)
    check_training(place)
    check_analysis(place)
    check_sentence(place)
    check_own_cell(place)
check_readme()
