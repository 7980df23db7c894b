# SPDX-License-Identifier: MIT
"""Every argument of every function, given what it cannot be: the package itself says so, by ValueError or TypeError."""
import linecache
import unittest

import numpy as np
import torch
from common import NOUNS, QUICK, InFolder, model, sentences
from torch import nn

import stategrad as sg

WRONG = {"object": object(), "-1": -1, "2^70": 2 ** 70, "array": np.zeros((2, 2)), "nested": [[1], ["a"]], "text": "x"}


class Arguments(InFolder):
    def cases(self):
        """Function, what it is called with, and which arguments are exchanged."""
        m, run = model(), sg.analyze(model(), sentences(60), {"noun": NOUNS}, **QUICK)
        path, suite = self.folder / "m.safetensors", self.folder / "pairs.tsv"
        m.save(path)
        run.save(self.folder / "r.nc")
        suite.write_text("the cat sees\tthe cat has\n", encoding="utf-8")
        accumulate = {"tokens": [0, 1, 2] * 4, "states": {"layer1.cell": 2}, "embeddings": np.eye(3, 2), "delays": 2}
        yield sg.train, {"tokens": sentences(20), "embedding_size": 3, "hidden_size": 3, "epochs": 1, "steps": 5, "batch": 2}, (
            "tokens valid cell layers embedding_size hidden_size tied unit eos format vocab vocab_size min_count preset progress steps batch epochs patience optimizer "
            "loss_scale lr lr_decay decay_after clip dropout init seed embeddings freeze_embeddings threads checkpoint_minutes resume min_delta")
        yield sg.analyze, {"model": m, "tokens": sentences(30), **QUICK}, (
            "model tokens classes properties output progress format eos lowercase pairs command part delays state layer state_handling burn_in normalize covariance ridge "
            "sample precision blocks documents baseline lyapunov seed threads replace")
        yield sg.analyze, {"model": m, "tokens": [1, 2, 3] * 9, **QUICK}, "tokens classes properties"
        yield sg.evaluate, {"model": m, "tokens": sentences(5)}, "model tokens state_handling threads format eos lowercase progress"
        yield sg.check, {"model": m, "steps": 5, "draws": 2, "delays": 3}, "model tokens format progress steps delays draws seed threads inputs"
        yield sg.show, {"model": m, "sentence": "the cat"}, "model sentence target contrast replace path seed state layer progress"
        yield sg.words, {"run": run}, "run class_name delay state layer group top directions min_count"
        yield (lambda a, b, c, **x: sg.compare(a, b, c, **x)), {"a": run, "b": "all", "c": "noun"}, "a b c class_name properties measure delay groups state layer"
        yield sg.report, {"runs": run, "path": self.folder / "r.html"}, "runs groups"
        yield sg.track, {"run": run, "properties": {"x": "cat-key"}}, "run properties threads progress"
        yield sg.merge, {"parts": ["a", "b"]}, "parts output threads progress"
        yield sg.load, {"path": path}, ("path vocab map ignore unit cell output_activation gate_order transposed one_hot forward_only recurrent_activation forget_bias unk eos "
                                        "text")
        yield sg.synth, {"folder": self.folder / "s", "kind": "copy", "tokens": 200}, "kind tokens distance seed"
        yield sg.pairs, {"model": m, "file": suite}, "model file format score split lowercase eos condition attribution path threads progress"
        yield m.gradients, {"tokens": [1, 2]}, "tokens delays layer state"
        yield sg.from_torch, {"embedding": nn.Embedding(5, 2), "rnn": nn.LSTM(2, 3)}, "module vocab embedding rnn decoder output_activation unit eos"
        yield sg.Accumulator, accumulate, "tokens states embeddings vocab classes properties model replaces predicts progress command delays"
        yield sg.analyze_function, {"step": lambda x, s: torch.tanh(s + x.sum()), "state0": torch.zeros(2), **{k: x for k, x in accumulate.items() if k != "states"}}, (
            "step state0 tokens embeddings vocab classes properties states predict check progress delays replace")
        yield run.curve, {}, "class_name quantity group property"
        yield run.figure, {}, "kind classes delays quantity properties group columns path"
        yield run.csv, {"path": self.folder / "x.csv"}, "path style"
        yield run.to_xarray, {}, "group variables"
        yield run["layer1.cell"].read, {"name": "rms_gain"}, "start count"

    def test_every_argument(self):
        refused = 0
        for function, given, names in self.cases():
            for name in names.split():
                for kind, value in WRONG.items():
                    if name in ("output", "path", "file", "text") and kind == "text": # a name of a file
                        continue
                    with self.subTest(function=function, name=name, value=kind):
                        try:
                            found = function(**{**given, name: value})
                            getattr(found, "close", int)() # some take it
                        except (ValueError, TypeError, OSError) as error:
                            refused += 1
                            at = error.__traceback__
                            while at.tb_next:
                                at = at.tb_next
                            file = at.tb_frame.f_code.co_filename
                            self.assertIn("stategrad", file, error)
                            self.assertTrue(linecache.getline(file, at.tb_lineno).strip().startswith("raise"), f"{error}: {file}:{at.tb_lineno}")
        self.assertGreater(refused, 600)


if __name__ == "__main__":
    unittest.main()
