#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: synth_order.py PROGRAM [KIND...]   - does the analysis find what is known to be there?

Writes each synthetic corpus, runs the commands of its README as they stand there (so that they are tested too), and asserts
the order of the curves. Every assertion prints the numbers it compares."""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import netCDF4
import numpy as np

failures = []


def check(what, holds, *numbers):
    print(("ok     " if holds else "FAILED ") + what, *(f"{x:.3g}" if isinstance(x, float) else str(x) for x in numbers), flush=True)
    if not holds:
        failures.append(what)


class Run:
    def __init__(self, path):
        with netCDF4.Dataset(path) as f:
            group = next(iter(f.groups.values()))
            self.classes = [str(c) for c in f["class_name"][:]]
            self.properties = [str(p) for p in f["property_name"][:]]
            self.values = {n: np.ma.filled(np.ma.asarray(group[n][:], dtype=float), np.nan) for n in (
                "singular_value", "relative_memory", "relative_memory_random_high", "class_difference_p",
                "class_difference_p_adjusted")}

    def get(self, name):
        return self.values[name]

    def sigma(self, cls):
        return self.get("singular_value")[self.classes.index(cls), :, 0]

    def gain(self, prop, cls="all"):
        """|Ghat n|: relative memory times sigma_1."""
        return self.get("relative_memory")[self.properties.index(prop), self.classes.index(cls)] * self.sigma(cls)


def p_table(run, name):
    return run.get(name)[[i for i, c in enumerate(run.classes) if c != "all"]]


def copy(folder):
    run, k = Run(os.path.join(folder, "run.nc")), 4
    source, filler = run.sigma("SRC"), run.sigma("FILL")
    print("       sigma_1 of SRC :", np.round(source, 3), "\n       sigma_1 of FILL:", np.round(filler, 3))
    check("SRC stands above FILL at delay k-1", source[k - 1] > 2 * filler[k - 1], source[k - 1], filler[k - 1])
    check("SRC is dropped after delay k-1", source[k] < 0.5 * source[k - 1], source[k], source[k - 1])
    lead = source / filler
    check("SRC leads FILL most near delay k-1", int(np.argmax(lead[:9])) in (k - 2, k - 1), *lead[:9])
    kept, other = run.gain("source", "SRC"), run.gain("filler", "FILL")
    check("the property source is kept at delay k-1, filler is not", kept[k - 1] > 2 * other[k - 1], kept[k - 1], other[k - 1])
    check("and dropped at delay k", kept[k] < 0.5 * kept[k - 1], kept[k], kept[k - 1])
    q = run.get("class_difference_p_adjusted")[run.classes.index("SRC"), k - 1]
    check("the class test says so at delay k-1", bool(q < 0.05), float(q))


def agreement(folder):
    run, n = Run(os.path.join(folder, "run.nc")), 4
    for cls in ("NN", "NNS"):
        number, life = run.gain("number", cls), run.gain("life", cls)
        print(f"       gain of number, {cls:3s}:", np.round(number, 3), "\n       gain of life        :", np.round(life, 3))
        check(f"{cls}: number is kept better than life at delays 1 .. 2", bool((number[1:3] > 1.5 * life[1:3]).all()), *(number / life)[1:5])
        check(f"{cls}: number is dropped after the last verb", number[n + 2] < 0.25 * number[1], number[n + 2], number[1])
        fall = number[1:9] / number[1]
        check(f"{cls}: it lasts while a verb may come", fall[n - 2] > 2 * fall[n + 1], *fall)


def variance(folder):
    """Means of ln memory over three trainings: one alone may put narrow a little below weak."""
    seeds = [folder] + [os.path.join(os.path.dirname(folder), f"variance{seed}", "variance") for seed in (2, 3)]
    for seed, place in enumerate(seeds[1:], 2):
        subprocess.run([PROGRAM, "synth", "-o", os.path.dirname(place), "--kind", "variance", "--seed", str(seed), "--quiet"],
                       check=True)
        run_readme(place, lambda text: text.replace("-o model.safetensors", f"--seed {seed} -o model.safetensors"))
    memory = {}
    for how in ("covariance", "none"):
        runs = [Run(os.path.join(place, f"run-{how}.nc")) for place in seeds]
        memory[how] = [float(np.mean([np.log(run.gain(name)[:3].mean()) for run in runs])) for name in ("wide", "narrow", "weak")]
        print(f"       ln memory, {how}: wide, narrow, weak", np.round(memory[how], 2))
    wide, narrow, weak = memory["covariance"]
    check("normalised: wide and narrow lie above weak", min(wide, narrow) > weak, wide, narrow, weak)
    check("normalised: wide and narrow within a factor of three", abs(wide - narrow) < np.log(3), wide, narrow)
    wide, narrow, weak = memory["none"]
    check("not normalised: wide lies below both: wrong", wide < min(narrow, weak), wide, narrow, weak)


def independent(folder):
    run = Run(os.path.join(folder, "run.nc"))
    q, p = p_table(run, "class_difference_p_adjusted"), p_table(run, "class_difference_p")
    classes = [c for c in run.classes if c != "all"]
    rows = [classes.index(c) for c in ("A", "B")]
    check("no difference between A and B is significant", bool((q[rows] > 0.05).all()), float(np.nanmin(q[rows])))
    check("their p-values look uniform", 0.15 < float(np.median(p[rows])), float(np.median(p[rows])))
    ab = run.get("relative_memory")[0, 0]
    high = run.get("relative_memory_random_high")[0, 0]
    check("the property ab is no better than random directions", float((ab > high).mean()) <= 0.25, float((ab > high).mean()))
    S = run.sigma("all")
    check("nothing is remembered: sigma_1 falls at once", S[2] < 0.5 * S[0], *S[:4])


def read_model(path):
    """The tensors and the vocabulary of a safetensors file."""
    with open(path, "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        body = f.read()
    tensors = {}
    for name, t in head.items():
        if name != "__metadata__":
            tensors[name] = np.frombuffer(body[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]).astype(float)
    return tensors, json.loads(head["__metadata__"]["vocabulary"])


def latch_cells(tensors, ids):
    """c_t of the LSTM for a sequence of ids, straight from the equations."""
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    h, c, cells = np.zeros(2), np.zeros(2), []
    for i in ids:
        a = (tensors["rnn.weight_ih_l0"] @ tensors["encoder.weight"][i] + tensors["rnn.bias_ih_l0"]
             + tensors["rnn.weight_hh_l0"] @ h + tensors["rnn.bias_hh_l0"]).reshape(4, 2)
        c = sigmoid(a[1]) * c + sigmoid(a[0]) * np.tanh(a[2])
        h = sigmoid(a[3]) * np.tanh(c)
        cells.append(c)
    return np.array(cells)


def latch(folder):
    run = Run(os.path.join(folder, "run.nc"))
    gain = run.gain("bit", "switch")
    print("       gain of the bit by delay:", np.array2string(gain[:6], precision=1))
    check("gradients are almost 0 at every delay", bool((gain > 0).all() and (gain < 1e-5).all()), float(gain.max()))
    tensors, words = read_model(os.path.join(folder, "model.safetensors"))
    rest = [words.index(f"filler{i % 8}") for i in range(500)]
    moved = np.linalg.norm(latch_cells(tensors, [words.index("on")] + rest)
                           - latch_cells(tensors, [words.index("off")] + rest), axis=1)
    check("exchanging the word moves the cell by 2 for ever", bool((abs(moved - 2) < 1e-4).all()), moved.min(), moved.max())
    text = "on " + " ".join(f"filler{i % 8}" for i in range(60))
    done = subprocess.run([PROGRAM, "show", "model.safetensors", "--text", text, "--replace", "400", "--json"], cwd=folder,
                          check=True, capture_output=True, text=True)
    rows = json.loads(done.stdout)["sentences"][0]["replacement_change"]
    change = [rows[t][0] for t in range(1, 61)]
    # 12 of the 13 other words leave the unit at 0, where "on" had made it 1; "off" makes it -1
    expected = (11 * 1 + 1 * 2) / 12
    print("       change of the cell by exchange of the word:", change[0], "to", change[-1], "expected about", round(expected, 3))
    check("show --replace sees the bit at all delays", abs(change[0] - expected) < 0.07 and max(change) - min(change) < 1e-6,
          change[0], change[-1])
    done = subprocess.run([PROGRAM, "eval", "model.safetensors", "test.txt", "--format", "tagged", "--json"], cwd=folder,
                          check=True, capture_output=True, text=True)
    nats = json.loads(done.stdout)["nats_per_token"]
    with open(os.path.join(folder, "README"), encoding="utf-8") as f:
        entropy = float(re.search(r"test\.txt +\d+ +([0-9.]+)", f.read()).group(1))
    check("its model reaches the entropy", abs(nats - entropy) < 2e-3, nats, entropy)


def run_readme(folder, change=lambda text: text):
    """The commands of the folder's README; None, or what went wrong."""
    env = dict(os.environ, PATH=os.path.join(TOP, "bin") + os.pathsep + os.environ["PATH"])
    with open(os.path.join(folder, "README"), encoding="utf-8") as f:
        commands = change(f.read().split("To see it (in this folder):")[1].split("Made by stategrad")[0])
    done = subprocess.run(["bash", "-e", "-c", commands], cwd=folder, env=env, capture_output=True, text=True)
    return done.stderr[-400:] if done.returncode else None


def main():
    os.mkdir(os.path.join(TOP, "bin"))
    os.symlink(PROGRAM, os.path.join(TOP, "bin", "stategrad"))
    subprocess.run([PROGRAM, "synth", "-o", TOP, "--quiet"], check=True)
    for kind in sys.argv[2:] or ["copy", "agreement", "variance", "independent", "latch"]:
        print("==", kind, flush=True)
        wrong = run_readme(os.path.join(TOP, kind))
        if wrong is not None:
            check(f"the README's commands run: {wrong}", False)
            continue
        globals()[kind](os.path.join(TOP, kind))
    print(f"{len(failures)} failed")
    return 1 if failures else 0


PROGRAM = os.path.abspath(sys.argv[1])
with tempfile.TemporaryDirectory() as TOP:
    code = main()
sys.exit(code)
