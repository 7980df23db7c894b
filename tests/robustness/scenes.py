# SPDX-License-Identifier: MIT
"""Small corpora, a small model and a small run, and the table of every command that writes an output.

Everything is made by the program itself in a temporary folder; seeds are fixed."""
import os
import random
import shutil
import subprocess
import sys
import tempfile

TRAIN = ["--embedding-size", "8", "--hidden-size", "24", "--layers", "1", "--steps", "10", "--batch", "4",
         "--epochs", "2", "--seed", "3", "--quiet"]
ANALYZE = ["--delays", "4", "--classes", "tags", "--classes", "frequency", "--seed", "3", "--quiet",
           "--property", "number=NNS-NN"]
# What the program would start itself anew with (cli/main.c): a command starts twice as quickly. outputs.py takes it away.
SETTLED = {"GOMP_SPINCOUNT": "1000", "OPENBLAS_NUM_THREADS": "1"}
ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", **SETTLED}
ENV.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k == "GCOV_ERROR_FILE"})


def write_corpus(path, sentences, seed, tagged):
    """Determiner noun verb ... with some agreement, so that there is something to learn."""
    rng = random.Random(seed)
    nouns = [f"noun{i}" for i in range(14)]
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(sentences):
            words = []
            for _ in range(rng.randint(1, 3)):
                plural = rng.random() < 0.4
                noun = nouns[min(int(rng.expovariate(0.25)), 13)]
                words += [(rng.choice(["the", "a", "no"]), "DT"), (noun + "s" * plural, "NNS" if plural else "NN"),
                          ("run" if plural else "runs", "VBP" if plural else "VBZ"), (rng.choice(["on", "by"]), "IN")]
            f.write(" ".join(f"{w}/{t}" if tagged else w for w, t in words) + "\n")


class Scene:
    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.folder = tempfile.mkdtemp(prefix="stategrad-scene-")
        os.chmod(self.folder, 0o755)
        for name, n, seed in (("train", 260, 1), ("valid", 60, 2)):
            write_corpus(self.path(name + ".txt"), n, seed, False)
            write_corpus(self.path(name + ".tagged"), n, seed, True)
        with open(self.path("pairs.tsv"), "w", encoding="utf-8") as f:
            f.write("good\tbad\tcondition\trole:subject\nthe noun1 runs\tthe noun1 run\tsg\t2\nthe noun2s run\tthe noun2s runs\tpl\t2\n")
        self.must("train", "train.tagged", "--format", "tagged", "--valid", "valid.tagged", "-o", "m.safetensors", *TRAIN)
        self.must("analyze", "m.safetensors", "valid.tagged", "--format", "tagged", "-o", "run.nc", *ANALYZE)
        for part in "12":
            self.must("analyze", "m.safetensors", "valid.tagged", "--format", "tagged", "-o", f"part{part}.nc",
                      "--part", part + "/2", *ANALYZE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def run(self, *args, prefix=(), env=None, timeout=300, **more):
        more.setdefault("cwd", self.folder)
        return subprocess.run([*prefix, self.program, *args], env={**ENV, **(env or {})}, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout, **more)

    def must(self, *args, **more):
        done = self.run(*args, **more)
        if done.returncode != 0:
            sys.exit(f"could not prepare: stategrad {' '.join(args)}: {done.returncode} {done.stderr.decode()}")
        return done

    def outputs(self, out):
        """(name, arguments, files it makes) for every output of every command; files lie in the folder `out`."""
        o = lambda name: os.path.join(out, name)
        tagged = ["--format", "tagged"]
        train = ["train", self.path("train.tagged"), "--valid", self.path("valid.tagged"), *tagged, *TRAIN]
        analyze = ["analyze", self.path("m.safetensors"), self.path("valid.tagged"), *tagged, *ANALYZE]
        m, run = self.path("m.safetensors"), self.path("run.nc")
        return [
            ("train", [*train, "-o", o("m.safetensors")], ["m.safetensors"]),
            ("train --checkpoint", [*train, "-o", self.path("other.safetensors"), "--checkpoint", o("check")], ["check"]),
            ("analyze", [*analyze, "-o", o("run.nc")], ["run.nc"]),
            ("analyze --csv", [*analyze, "-o", self.path("other.nc"), "--csv", o("run.csv")], ["run.csv"]),
            ("analyze --checkpoint",
             [*analyze, "-o", self.path("other.nc"), "--checkpoint", o("check")], ["check"]),
            ("import", ["import", m, "-o", o("imported.safetensors")], ["imported.safetensors"]),
            ("merge", ["merge", "-q", self.path("part1.nc"), self.path("part2.nc"), "-o", o("merged.nc")], ["merged.nc"]),
            ("track", ["track", run, "--property", "article=DT-NN", "-q", "-o", o("tracked.nc")], ["tracked.nc"]),
            ("track --csv", ["track", run, "--property", "article=DT-NN", "-q", "-o", self.path("other.nc"),
                             "--csv", o("tracked.csv")], ["tracked.csv"]),
            ("compare --csv", ["compare", run, "DT", "NN", "--csv", o("compared.csv")], ["compared.csv"]),
            ("compare -o", ["compare", run, "DT", "NN", "-o", o("compared.html")], ["compared.html"]),
            ("pairs --csv", ["pairs", "-q", m, self.path("pairs.tsv"), "--csv", o("pairs.csv")], ["pairs.csv"]),
            ("pairs -o", ["pairs", "-q", m, self.path("pairs.tsv"), "-o", o("pairs.html")], ["pairs.html"]),
            ("pairs --words", ["pairs", "-q", m, self.path("pairs.tsv"), "--words", o("words.csv")], ["words.csv"]),
            ("report", ["report", run, "-o", o("report.html")], ["report.html"]),
            ("cluster", ["cluster", "--script", o("run.sh"), *analyze, "-o", self.path("other.nc")], ["run.sh"]),
            ("show", ["show", m, "--text", "the noun1 runs", "-o", o("show.html")], ["show.html"]),
        ]


def leftovers(folder):
    return [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.startswith(".stategrad")]


class Tally:
    """Counts what was tried; says what was wrong; decides the exit code."""

    def __init__(self):
        self.tried, self.wrong, self.skipped = {}, 0, []

    def check(self, kind, ok, what):
        self.tried[kind] = self.tried.get(kind, 0) + 1
        if not ok:
            self.wrong += 1
            print(f"WRONG  {kind}: {what}", flush=True)

    def skip(self, kind, why):
        self.skipped.append(kind)
        print(f"skipped: {kind}: {why}")

    def finish(self):
        for kind, n in self.tried.items():
            print(f"{n:6d}  {kind}")
        print(f"{sum(self.tried.values())} tried, {self.wrong} wrong, {len(self.skipped)} kinds skipped")
        sys.exit(1 if self.wrong or not self.tried else 0)
