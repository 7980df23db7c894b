# SPDX-License-Identifier: MIT
"""Bad input: a clear exception, and the process goes on."""
import math
import os
import unittest
import warnings

import numpy as np
from common import QUICK, InFolder, model, python, sentences

import stategrad as sg


class _Undecided:
    """As pandas' NA: a comparison with it is neither true nor false."""
    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


class BadInput(InFolder):
    def refused(self, pattern, function, *arguments, error=ValueError, **more):
        with self.assertRaisesRegex(error, pattern):
            function(*arguments, **more)

    def test_tokens(self):
        V = len(model().vocabulary)
        for function in (sg.analyze, sg.evaluate):
            self.refused(f"token 1 is {V}, expected 0 to {V - 1}", function, model(), [0, V])
            self.refused("token 2 is -1", function, model(), np.array([0, 1, -1]))
            self.refused("token 0 is 1099511627776", function, model(), [2 ** 40, 1])
            self.refused("float64", function, model(), np.array([0.5, 1]))
            self.refused("shape \\(2, 2\\)", function, model(), np.zeros((2, 2), int))
            self.refused("an empty list", function, model(), [])
            self.refused("expected a path", function, model(), 7)
            self.refused("token 1 is 'a cat'.*white space", function, model(), ["the", "a cat"])
            self.refused("token 1 is 3", function, model(), ["the", 3])
            self.refused("no/such/file", function, model(), "no/such/file", error=OSError)
            self.refused("NUL", function, model(), "no\0file")
            self.refused("float64", function, model(), [[0.0, 1.5], [2.0]])
        self.refused("expected a list of words", model().gradients, "the cat")

    def test_outputs(self):
        run, path = sg.analyze(model(), sentences(60), **QUICK), self.folder / "run.nc"
        for write in (run.save, run.report, run.csv):
            self.refused("/dev/null", write, "/dev/null", error=OSError) # a device is not replaced
            self.refused("folder|regular", write, self.folder, error=OSError)
        self.refused("/dev/null", lambda p: sg.analyze(model(), sentences(60), output=p, **QUICK), "/dev/null", error=OSError)
        run.save(path)
        saved = path.read_bytes()
        (self.folder / "link").symlink_to(path)
        with sg.open(path) as run:
            run.save(path)
            for output in (path, self.folder / "link"):
                for write in (run.report, run.csv, lambda p: sg.report(str(path), p)):
                    self.refused("is read, and cannot be the output", write, output)
            state = run["layer1.cell"]
            whole = state.read("rms_gain")
            for start, count in ((None, (1, 1)), ((0, 0), (1, 1)), ((0,), None), ((0, 0, 0, 0), (1, 1, 1, 1))):
                self.refused("rms_gain has 3 dimensions", state.read, "rms_gain", start, count)
            self.refused("1 from 5 asked for", state.read, "rms_gain", (0, 5, 0), (1, 1, 1))
            self.assertEqual(state.read("rms_gain", (0, 2, 1)).tolist(), whole[:, 2:, 1:].tolist())
            self.assertEqual(state.read("rms_gain", None, (1, 2, 1)).tolist(), whole[:1, :2, :1].tolist())
            self.assertEqual(state.read("rms_gain", (1, 0, 0)).size, 0)
            self.assertEqual(state.read("rms_gain", (0, 2, 1), (1, 2, 1)).tolist(), whole[:1, 2:4, 1:2].tolist())
        self.assertEqual(path.read_bytes(), saved)

    def test_classes(self):
        n = sum(map(len, sentences()))
        self.refused(f"3 labels for {n} tokens", sg.analyze, model(), sentences(), ["x", "y", "x"])
        self.refused("2 labels for 4 tokens", sg.analyze, model(), [1, 2, 1, 2], np.array(["a", "b"]))
        self.refused("about words", sg.analyze, model(), [1, 2, 1, 2], "frequency")
        self.refused("found bytes", sg.analyze, model(), [1, 2, 1, 2], [b"a"] * 4)
        self.refused("sentence 0: 1 labels for 2 tokens", sg.analyze, model(), [["the", "cat"], ["a"]], [["x"], ["x", "y"]])
        ids = [1, 2] * 20
        for missing in (None, float("nan"), np.float32("nan"), np.datetime64("NaT"), "", _Undecided()):
            self.assertEqual(sg.analyze(model(), ids, ["x", missing] * 20, **QUICK).classes, ("all", "x"))
        self.refused("expected upos", sg.analyze, model(), sentences(), "nonsense")
        self.refused("without a colon before a space", sg.analyze, model(), sentences(), {"a: b": ["cat"]})
        self.refused("'the cat' is not a word", sg.analyze, model(), sentences(), {"a": ["the cat"]})
        self.refused("labels need tokens in memory", sg.analyze, model(), self.write("c", sentences()), np.array(["a"]))
        self.refused("no token has a label", sg.analyze, model(), ["the", "cat"], [None, None])

    def test_settings(self):
        self.refused("no setting .delay.; there are delays", sg.analyze, model(), sentences(), delay=3, error=TypeError)
        self.refused("setting 'delays': expected D, found '-1'", sg.analyze, model(), sentences(), delays=-1)
        self.refused("setting 'normalize': expected covariance.none", sg.analyze, model(), sentences(), normalize="x")
        self.refused("layer", sg.analyze, model(), sentences(), layer=2)
        self.refused("made by the program; stategrad.merge", sg.analyze, model(), sentences(), part="1/2")
        self.refused("no setting 'epoch'", sg.train, sentences(), epoch=3, error=TypeError)
        self.refused("'epochs'", sg.train, sentences(), epochs="three", error=TypeError)
        self.refused("expected sgd.adam", sg.train, sentences(), optimizer="x")
        self.refused("no setting 'source'", sg.check, model(), source="x", error=TypeError)
        for size in (0, -1):
            for name in ("hidden_size", "embedding_size", "layers"):
                self.refused(f"train: {name}: found {size}, expected 1", sg.train, sentences(), **{name: size})
        for name in ("vocab_size", "min_count"):
            self.refused(f"train: {name}: found -1, expected 0", sg.train, sentences(), **{name: -1})
        self.refused("train: hidden_size: expected a whole number, found 'x'", sg.train, sentences(), hidden_size="x", error=TypeError)
        for name in ("steps", "batch", "epochs"):
            self.refused(name, sg.train, sentences(), **{name: 0})
            self.refused(f"'{name}': -1 is out of range", sg.train, sentences(), **{name: -1})
        self.refused("check", sg.check, model(), steps=1)
        self.refused("expected two words", sg.show, model(), "the cat", contrast="are")
        self.refused("zebra", sg.show, model(), "the cat", target="zebra")
        self.refused("state 'both'", sg.show, model(), "the cat", state="both")
        self.refused("state_handling", sg.evaluate, model(), sentences(), state_handling="window:3")
        self.refused("properties", sg.analyze, model(), sentences(), properties={"x": ""})
        self.refused("expected .*vector", sg.analyze, model(), sentences(), properties={"x": np.zeros((2, 2))})
        self.refused("is not a word", sg.analyze, model(), sentences(), properties={"x": [("cat", "the dog")]})

    def test_files(self):
        path = self.folder / "damaged"
        path.write_bytes(os.urandom(500))
        for function in (sg.load, sg.open):
            self.refused(str(path), function, path)
            self.refused("no/such", function, "no/such", error=OSError)
        self.refused("/no/such/folder", model().save, "/no/such/folder/m", error=OSError)
        run = sg.analyze(model(), sentences(), **QUICK)
        self.refused("no/such/folder", run.save, "/no/such/folder/r", error=OSError)
        run.save(self.folder / "r.nc")
        data = bytearray((self.folder / "r.nc").read_bytes())
        data[len(data) // 2] ^= 1
        (self.folder / "r.nc").write_bytes(data)
        self.refused("checksum", sg.open, self.folder / "r.nc")

    def test_weights_that_are_not_finite(self):
        path = self.folder / "m.safetensors"
        model().save(path)
        weights = model().tensors["rnn.weight_hh_l0"].tobytes()
        bad = bytearray(weights)
        bad[4 * 7:4 * 8] = np.float32(math.nan).tobytes()
        path.write_bytes(path.read_bytes().replace(weights, bytes(bad)))
        self.refused("rnn.weight_hh_l0", sg.load, path)

    def test_features_that_are_not_finite(self):
        x = np.zeros((9, model().embedding), np.float32)
        self.refused("words|whole numbers", sg.analyze, model(), x)

    def test_a_closed_run(self):
        run = sg.analyze(model(), sentences(), **QUICK)
        state = run["layer1.cell"]
        run.close()
        run.close()
        for function in (lambda: run["layer1.cell"], lambda: state.read("pairs"), run.curve, lambda: run.report("x"),
                         lambda: run.save("x"), lambda: state.dims("pairs")):
            self.refused("is closed", function)

    def test_views_are_not_written_to_and_live_on(self):
        m = sg.train(sentences(), embedding_size=5, hidden_size=6, epochs=1, steps=10, batch=4, seed=3)
        view = m.tensors["encoder.weight"]
        before, address = view.copy(), view.__array_interface__["data"][0]
        self.assertEqual(address, m.tensors["encoder.weight"].__array_interface__["data"][0]) # no copy
        with self.assertRaises(ValueError):
            view[0, 0] = 1
        del m
        junk = [np.full_like(before, np.nan) for _ in range(1000)]
        np.testing.assert_array_equal(view, before)
        del junk

    def test_warnings_are_pythons(self):
        corpus = [["cat", "<eos>", "dog"]] * 30
        m = sg.train(sentences(), vocab=[*model().vocabulary], embedding_size=3, hidden_size=30, epochs=1)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            sg.analyze(m, corpus, sample=4, **QUICK)
        said = [str(w.message) for w in found]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if said:
                self.refused(".", sg.analyze, m, corpus, sample=4, error=UserWarning, **QUICK)

    def test_a_fork(self):
        python("""
import os, sys
import stategrad as sg
from common import *
m = model() # computed in threads
run = sg.analyze(m, sentences(), **QUICK)
child = os.fork()
if child == 0:
    code = 0
    for function, text in ((lambda: sg.evaluate(m, sentences()), 'spawn'), (lambda: run['layer1.cell'], 'after a fork')):
        try:
            function()
            code |= 1
        except RuntimeError as e:
            code |= 0 if text in str(e) else 2
    assert len(m.vocabulary) > 5 and m.tensors['encoder.weight'].shape[1] == 5
    sys.exit(code)
assert os.waitpid(child, 0)[1] == 0
run['layer1.cell'].read('pairs') # the child left the file to its parent
""")

    def test_a_fork_before_the_work(self):
        python("""
import os, sys
import stategrad as sg
from common import *
child = os.fork()
if child == 0:
    sg.evaluate(model(), sentences())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
sg.evaluate(model(), sentences())
""")


if __name__ == "__main__":
    unittest.main()
