# SPDX-License-Identifier: MIT
"""A small text, a small model, the program."""
import functools
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import stategrad as sg

PROGRAM, SOURCE = os.environ["STATEGRAD"], pathlib.Path(os.environ["STATEGRAD_SOURCE"])
NOUNS, VERBS = ["cat", "dog", "key", "keys"], ["sees", "has", "opens"]
os.environ["SOURCE_DATE_EPOCH"] = "0" # in run files


@functools.cache
def sentences(n=300, seed=1):
    draw = random.Random(seed)
    return [["the", draw.choice(NOUNS), draw.choice(VERBS), "a", draw.choice(NOUNS)] + ["today"] * draw.randrange(3)
            for _ in range(n)]


@functools.cache
def model():
    return sg.train(sentences(), sentences(60, 2), embedding_size=5, hidden_size=6, epochs=2, steps=10, batch=4, seed=3)


QUICK = {"delays": 5, "replace": "none", "lyapunov": "none", "threads": 1} # of sg.analyze, where little matters


def program(*arguments, cwd=None):
    done = subprocess.run([PROGRAM, *map(str, arguments)], text=True, capture_output=True, cwd=cwd)
    if done.returncode:
        raise AssertionError(f"stategrad {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def python(code, *arguments, **environment):
    """A new interpreter; its standard output. Whatever is on its standard error fails the test."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], text=True, capture_output=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(SOURCE / "python/tests"), "PYTHONWARNINGS": "ignore", **environment})
    if done.returncode or done.stderr:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


class InFolder(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self.addCleanup(self._folder.cleanup)

    def write(self, name, lines):
        path = self.folder / name
        path.write_text("".join(" ".join(line) + "\n" for line in lines), encoding="utf-8")
        return path
