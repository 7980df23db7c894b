# SPDX-License-Identifier: MIT
"""State gradients of recurrent language models: how sensitive the state is to the words read, and for how long.

>>> import stategrad as sg
>>> model = sg.from_torch(lm, vocab)            # or sg.load("lm.pt", vocab="words.txt"), sg.train(...)
>>> run = sg.analyze(model, sentences, classes={"noun": ["cat", "dog"]})
>>> run.curve("noun").plot()

doc/python.md is the guide; the functions have the names, settings and defaults of the program's commands.
"""
from . import _base # before NumPy: see there # noqa: F401
from ._accumulator import Accumulator, analyze_function
from ._analysis import analyze, merge, track
from ._base import Progress, ffi, lib
from ._compare import Comparison, compare
from ._evaluate import Check, CheckRow, Evaluation, check, evaluate
from ._model import Model, info, load
from ._pairs import PairItem, Pairs, pairs
from ._report import Words, report, words
from ._run import Curve, Run, State, open
from ._show import Show, show
from ._synth import synth
from ._torch import from_torch
from ._train import TrainResult, train

__version__ = ffi.string(lib.sg_version()).decode()

__all__ = ["Accumulator", "Check", "CheckRow", "Comparison", "Curve", "Evaluation", "Model", "PairItem", "Pairs", "Progress", "Run", "Show", "State", "TrainResult",
           "Words", "analyze", "analyze_function", "check", "compare", "evaluate", "from_torch", "info", "load", "merge", "open", "pairs", "report", "show",
           "synth", "track", "train", "words"]
