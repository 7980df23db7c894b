#!/usr/bin/python3
"""usage: synth_order.py PROGRAM [KIND...]   - does the analysis find what is known to be there?

Writes each synthetic corpus, runs the commands of its README as they stand there (so that they are tested too), and asserts
the order of the curves. Every assertion prints the numbers it compares."""
import os
import shlex
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


def commands_of(readme):
    """The shell commands of a README: from 'To see it' to 'Made by'."""
    with open(readme, encoding="utf-8") as f:
        text = f.read()
    return text.split("To see it (in this folder):")[1].split("Made by stategrad")[0]


class Run:
    def __init__(self, path):
        self.file = netCDF4.Dataset(path)
        self.group = next(iter(self.file.groups.values()))
        self.classes = [str(c) for c in self.file["class_name"][:]]
        self.properties = [str(p) for p in self.file["property_name"][:]]

    def get(self, name):
        return np.ma.filled(self.group[name][:].astype(float), np.nan)

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
    q = run.get("class_difference_p_adjusted")[run.classes.index("SRC"), 1:k]
    check("the class test says so at delays 1 .. k-1", bool((q < 0.05).all()), *q)


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
    def near(run, name):
        return float(run.gain(name)[:3].mean())

    right, wrong = Run(os.path.join(folder, "run-covariance.nc")), Run(os.path.join(folder, "run-none.nc"))
    w, n, k = (near(right, p) for p in ("wide", "narrow", "weak"))
    check("normalised: wide and narrow lie above weak", min(w, n) > k, w, n, k)
    check("normalised: wide and narrow within a factor of three", max(w, n) < 3 * min(w, n), w, n)
    w, n, k = (near(wrong, p) for p in ("wide", "narrow", "weak"))
    check("not normalised: narrow, weak, wide: wrong", n > k > w, n, k, w)


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


def main():
    program = os.path.abspath(sys.argv[1])
    kinds = sys.argv[2:] or ["copy", "agreement", "variance", "independent"]
    with tempfile.TemporaryDirectory() as top:
        subprocess.run([program, "synth", "-o", top, "--quiet"], check=True)
        bin_folder = os.path.join(top, "bin")
        os.mkdir(bin_folder)
        os.symlink(program, os.path.join(bin_folder, "stategrad"))
        env = dict(os.environ, PATH=bin_folder + os.pathsep + os.environ["PATH"])
        for kind in kinds:
            folder = os.path.join(top, kind)
            print("==", kind, flush=True)
            done = subprocess.run(["bash", "-e", "-c", commands_of(os.path.join(folder, "README"))], cwd=folder, env=env,
                                  capture_output=True, text=True)
            if done.returncode:
                check(f"the README's commands run: {shlex.quote(done.stderr[-400:])}", False)
                continue
            globals()[kind](folder)
    print(f"{len(failures)} failed")
    sys.exit(1 if failures else 0)


main()
