#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run files for the tests of what is shown, made by the program itself: a small model trained on real English, analysed.

usage: real_run.py STATEGRAD NAME OUT.nc     NAME: one of RECIPES below
The model and the corpora stand beside OUT.nc in OUT.nc.made/, with the analysis's table as run.csv and what it printed as
summary.txt."""
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import english  # noqa: E402

HOSTILE = ["<script>alert(1)</script>", "\"quoted\" & 'single'", "مرحبا \u202eabc", "🙂 emoji", "x" * 10000, "a\u2028b",
           "</style><img src=x onerror=alert(1)>", "<!--", "@@DATA@@", "__proto__", "=1+1", "toString"]
HOSTILE_WORDS = ["<script>alert(1)</script>", "\"'&", "مرحبا", "🙂", "x" * 10000, "a\u2028b", "</style><img", "<!--", "@@DATA@@", "__proto__",
                 "a\u202eb", "\x1b[31mred", "=1+1"]
# Names that a plain object has already, that look like paths, and that meet when they are joined.
KEYS = ["__proto__", "constructor", "toString", "a", "a|b", "x.y", "x[0]", "\"it's\""]
KEY_WORDS = ["__proto__", "constructor", "hasOwnProperty", "a|b", "x.y", "x[0]", "'", "valueOf"]
TAGGED = ["--format", "tagged", "--classes", "tags,groups=groups.txt"]
PROPERTIES = ["--property", "number=plural-singular", "--property", "use=verb-noun"]
PAIRS = "the a\nthis that\nis are\nyou we\nand or\n"
FULL = [*TAGGED, "--classes", "frequency", *PROPERTIES, "--baseline", "untrained"]
# name: (what is trained, corpus, options of analyze)
RECIPES = {
    "full": (["--cell", "lstm"], "tagged.txt", [*FULL, "--property", "form=pairs.txt", "--state", "both", "--delays", "16"]),
    "small": (["--cell", "lstm"], "tagged-short.txt", [*TAGGED, *PROPERTIES, "--property", "form=pairs.txt", "--baseline", "untrained", "--delays", "7"]),
    "small2": (["--cell", "lstm", "--seed", "2"], "tagged-short.txt", [*TAGGED, *PROPERTIES, "--delays", "7"]),
    "other": (["--cell", "lstm", "--seed", "3"], "tagged.txt", [*TAGGED, *PROPERTIES, "--delays", "20"]),
    "layers": (["--cell", "lstm", "--layers", "2"], "tagged.txt", [*FULL, "--layer", "all", "--delays", "6", "--burn-in", "2"]),
    "plain": (["--cell", "lstm"], "plain.txt", ["--delays", "6", "--second-moment-every", "3", "--replace", "none"]),
    "raw": (["--cell", "rnn"], "plain.txt", ["--delays", "6", "--normalize", "none"]),
    "one": (["--cell", "lstm"], "plain.txt", ["--delays", "1"]),
    "sampled": (["--cell", "lstm"], "tagged.txt", [*TAGGED, "--property", "number=plural-singular", "--delays", "8", "--sample", "700"]),
    "precise": (["--cell", "lstm"], "tagged.txt", [*TAGGED, "--delays", "8", "--precision", "0.5"]),
    "withheld": (["--cell", "lstm"], "tiny.txt", ["--classes", "words:few.txt", "--delays", "24"]),
    "chars": (["--cell", "lstm", "--unit", "char"], "short.txt", ["--classes", "frequency", "--delays", "8"]),
    "features": (["--cell", "lstm"], None, ["--inputs", "rows.npy", "--classes", "tags:labels.txt", "--delays", "6"]),
    "hostile": (["--cell", "lstm"], "hostile.txt", ["--classes", "words:hostile-classes.txt", "--delays", "8", "--baseline", "untrained"]),
    "keys": (["--cell", "lstm"], "keys.txt", ["--classes", "words:keys-classes.txt", "--property", "__proto__=constructor-x[0]",
                                              "--property", "constructor=a|b-x.y", "--property", "x.y[0]=toString-__proto__", "--delays", "6"]),
    "many": (["--cell", "lstm"], "plain.txt", ["--classes", "words:many.txt", "--delays", "24"]),
    "large": (["--cell", "lstm", "--embedding-size", "16", "--hidden-size", "16"], "tagged.txt",
              ["--format", "tagged", "--classes", "tags", "--classes", "frequency", "--state", "both", "--delays", "50",
               "--baseline", "untrained"]),
}


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text)


def corpora(folder):
    parts = english.sentences()
    write(folder, "plain.txt", english.plain(parts[:110]))
    write(folder, "tagged.txt", english.tagged(parts[:110]))
    write(folder, "tagged-short.txt", english.tagged(parts[:40]))
    write(folder, "short.txt", english.plain(parts[:8]))
    write(folder, "tiny.txt", english.plain(parts[8:11]))
    write(folder, "groups.txt", english.groups())
    write(folder, "pairs.txt", PAIRS)
    write(folder, "few.txt", "common: the of to and a\nrare: software free\n")
    words = sorted({w for p in parts[:110] for w in p})
    write(folder, "many.txt", "".join(f"group {i}: {' '.join(words[i::29])}\n" for i in range(29)))
    hostile = english.plain(parts[:60]).split()
    for i in range(3, len(hostile), 7):
        hostile[i] = HOSTILE_WORDS[i // 7 % len(HOSTILE_WORDS)]
    write(folder, "hostile.txt", "".join(" ".join(hostile[i:i + 20]) + "\n" for i in range(0, len(hostile), 20)))
    write(folder, "hostile-classes.txt", "".join(f"{name}: {' '.join(words[i::len(HOSTILE)])} {HOSTILE_WORDS[i]}\n" for i, name in enumerate(HOSTILE)))


    keys = english.plain(parts[:60]).split()
    words = sorted(set(keys))
    for i in range(3, len(keys), 5):
        keys[i] = KEY_WORDS[i // 5 % len(KEY_WORDS)]
    write(folder, "keys.txt", "".join(" ".join(keys[i:i + 20]) + "\n" for i in range(0, len(keys), 20)))
    write(folder, "keys-classes.txt", "".join(f"{name}: {' '.join(words[i::len(KEYS)])} {KEY_WORDS[i]}\n" for i, name in enumerate(KEYS)))


def feature_rows(folder, size):
    """Rows of numbers whose labels can be told from them, and a model without embedding to read them."""
    import numpy as np
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 900)
    np.save(os.path.join(folder, "rows.npy"), (rng.normal(size=(900, size)) + labels[:, None]).astype("f4"))
    write(folder, "labels.txt", "".join(f"{'abc'[i]}\n" for i in labels))


def without_embedding(path):
    """A safetensors file loses its embedding and decoder: a model that reads vectors."""
    import struct
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(n)), f.read()
    out, body = {}, b""
    for name, t in header.items():
        if name.startswith("rnn."):
            a, b = t["data_offsets"]
            out[name] = {**t, "data_offsets": [len(body), len(body) + b - a]}
            body += data[a:b]
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def make(program, name, out):
    """The run file OUT.nc and, in OUT.nc.made/, all it was made from; returns that folder. With STATEGRAD_REAL_RUNS, a folder,
    in the environment each run is made there once for a program and copied from then on."""
    kept = os.environ.get("STATEGRAD_REAL_RUNS")
    if not kept:
        return make_anew(program, name, out)
    place = os.path.join(kept, fingerprint(program))
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = os.path.join(place, name + ".nc")
        if not os.path.exists(os.path.join(place, name + ".done")):
            shutil.rmtree(first + ".made", ignore_errors=True)
            make_anew(program, name, first)
            write(place, name + ".done", "")
    shutil.copytree(first + ".made", out + ".made")
    shutil.copy(first, out)
    return out + ".made"


def fingerprint(program):
    """What a run depends on: the program and the recipes. STATEGRAD_REAL_RUNS_OF stands in for it: tools/mutate looks
    at the runs of the program without the fault."""
    total = hashlib.sha256()
    for path in (program, __file__, english.__file__):
        with open(path, "rb") as f:
            total.update(f.read())
    return os.environ.get("STATEGRAD_REAL_RUNS_OF") or total.hexdigest()[:16]


def make_anew(program, name, out):
    training, corpus, options = RECIPES[name]
    folder = out + ".made"
    os.makedirs(folder, exist_ok=True)
    corpora(folder)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = lambda *args: subprocess.run([os.path.abspath(program), *args], cwd=folder, check=True, capture_output=True, text=True, env=env)
    read = corpus or "plain.txt"
    run("train", read, "--valid", read, *(["--format", "tagged"] if read.startswith("tagged") else []), "--embedding-size", "6",
        "--hidden-size", "8", "--epochs", "1", "--batch", "4", "--steps", "20", "--init", "0.4", "--dropout", "0", *training,
        "--quiet", "-o", "model.safetensors")
    if not corpus:
        feature_rows(folder, 6)
        without_embedding(os.path.join(folder, "model.safetensors"))
    shown = run("analyze", "model.safetensors", *([corpus] if corpus else []), *options, "--csv", "run.csv", "-o", os.path.abspath(out))
    write(folder, "summary.txt", shown.stdout)
    return folder


if __name__ == "__main__":
    make(sys.argv[1], sys.argv[2], sys.argv[3])
