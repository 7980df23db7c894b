# SPDX-License-Identifier: MIT
"""Bad input: a clear exception, and the process goes on."""
import copy
import math
import os
import pickle
import unittest
import warnings

import numpy as np
import torch
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
            for line in (["the"], [True, False], [1.5]): # with ids they would be an array of texts or numbers
                self.refused("sentence 1 is .*expected whole numbers as in the first one", function, model(), [[1, 2], line])
            self.refused("no file has the name 'the cat sees'; words are a list: text.split", function, model(), "the cat sees", error=OSError)
        self.refused("expected a list of words", model().gradients, "the cat")

    def test_masked_arrays(self):
        ids = np.arange(60) % len(model().vocabulary)
        self.refused("tokens: 10 values are masked", sg.analyze, model(), np.ma.masked_array(ids, mask=np.arange(60) < 10), **QUICK)
        sg.analyze(model(), np.ma.masked_array(ids, mask=False), **QUICK)

    def test_what_is_read_is_not_overwritten(self):
        corpus, words = self.folder / "corpus.txt", self.folder / "words.txt"
        corpus.write_text("".join(" ".join(line) + "\n" for line in sentences(20)))
        words.write_text("cat\n")
        before = corpus.read_bytes(), words.read_bytes()
        analyze = lambda tokens, spec, **more: sg.analyze(model(), tokens, delays=2, classes=spec, **more)
        for more in ({"output": corpus}, {"csv": str(corpus)}, {"output": words}, {"csv": str(words)}):
            for tokens in (corpus, str(corpus), [corpus]):
                self.refused("is read, and cannot be the output", analyze, tokens, f"words:{words}", **more)
        self.refused("is read, and cannot be the output", analyze, corpus, None, properties={"p": f"{words}-the"}, output=words)
        self.assertEqual((corpus.read_bytes(), words.read_bytes()), before)

    def test_models_and_runs_do_not_overwrite_what_they_were_made_from(self):
        corpus, words, file = self.write("corpus.txt", sentences(20)), self.write("words.txt", [[w] for w in model().vocabulary]), self.folder / "m.safetensors"
        suite, named = self.folder / "pairs.tsv", self.write("classes.txt", [["noun:", "cat", "dog"]])
        suite.write_text("the cat sees\tthe cat has\n")
        model().save(file)
        files = (corpus, words, file, suite, named)
        before = [f.read_bytes() for f in files]
        (self.folder / "link").symlink_to(file)
        loaded = sg.load(str(file), text=corpus)
        trained = sg.train(str(corpus), valid=[corpus], vocab=words, epochs=1, embedding_size=2, hidden_size=2)
        run = sg.analyze(loaded, str(corpus), f"words:{named}", delays=2, replace="none")
        tracked = sg.track(run, {"p": "cat-dog"})
        for function, files_ in ((loaded.save, (file, corpus, self.folder / "link")), (trained.save, (corpus, words)), (sg.show(loaded, "the cat").save, (file,)),
                                 (sg.pairs(loaded, suite).csv, (file, suite)), (run.save, (file, corpus, named)), (run.csv, (file, corpus, named)),
                                 (run.report, (file, corpus, named)), (sg.compare(run, "all", "noun").csv, (file, corpus)), (tracked.save, (file, corpus)),
                                 (lambda p: sg.analyze(loaded, sentences(20), output=p, delays=2), (file,)), (lambda p: sg.train(corpus, log=p), (corpus,)),
                                 (lambda p: sg.train(corpus, vocab=words, checkpoint=p), (corpus, words)), (lambda p: sg.track(run, {"p": (f"{words}", "dog")}, output=p), (words,))):
            for f in files_:
                self.refused("is read, and cannot be the output too", function, f)
        self.refused("is the output twice", sg.analyze, loaded, sentences(20), output=self.folder / "x", csv=str(self.folder / "x"), delays=2)
        self.assertEqual([f.read_bytes() for f in files], before)
        loaded.save(self.folder / "other.safetensors")
        run.save(self.folder / "r.nc")
        with sg.track(self.folder / "r.nc", {"p": "cat-dog"}) as more: # as the program can
            more.save(self.folder / "r.nc")
        self.assertEqual(sg.open(self.folder / "r.nc").properties, ("p",))

    def test_members_that_the_vocabulary_does_not_have(self):
        ids = [model().vocabulary.index(w) for line in sentences() for w in line]
        for tokens in (sentences(), self.write("c.txt", sentences()), ids):
            with self.assertWarnsRegex(UserWarning, r"classes: noun: 2 of 3 words are not in the vocabulary: 'dgo' .did you mean 'dog'.., 'zzzzz'$"):
                run = sg.analyze(model(), tokens, {"noun": ["dog", "dgo", "zzzzz"]}, **QUICK)
            self.assertEqual(run.classes, ("all", "noun"))
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.refused("classes: noun: the vocabulary has none of the 1 word: 'dgo' .did you mean 'dog'" if tokens is not tokens or not hasattr(tokens, "name") else "1 of 1 word",
                             sg.analyze, model(), tokens, {"noun": "dgo"}, error=ValueError if not hasattr(tokens, "name") else UserWarning, **QUICK)
        with warnings.catch_warnings(record=True) as found: # read as <unk>, and in the class
            warnings.simplefilter("always")
            run = sg.analyze(model(), [["the", "zebra", "sees"]] * 100, {"animal": ["zebra"]}, **QUICK)
        self.assertFalse([w for w in found if "classes: animal" in str(w.message)])
        self.assertEqual(run.root.read("class_tokens")[1], 100)

    def test_names_of_files_as_words(self):
        file = str(self.write("train.txt", sentences()))
        for function in (lambda t: sg.analyze(model(), t, **QUICK), lambda t: sg.evaluate(model(), t), lambda t: sg.train(t), lambda t: sg.train(sentences(), t)):
            self.refused("(tokens|valid): a list of texts holds words, and '.*train.txt' is a file: give its name alone, or a list of pathlib.Path", function, [file])

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
        self.refused("about words; of ids without a model", sg.Accumulator, [0, 1] * 9, {"layer1.cell": 2}, [[1, 2], [3, 4]], classes="frequency")
        self.refused("found bytes", sg.analyze, model(), [1, 2, 1, 2], [b"a"] * 4)
        self.refused("sentence 0: 1 labels for 2 tokens", sg.analyze, model(), [["the", "cat"], ["a"]], [["x"], ["x", "y"]])
        ids = [1, 2] * 20
        for missing in (None, float("nan"), np.float32("nan"), np.datetime64("NaT"), "", _Undecided()):
            self.assertEqual(sg.analyze(model(), ids, ["x", missing] * 20, **QUICK).classes, ("all", "x"))
        self.refused("expected upos", sg.analyze, model(), sentences(), "nonsense")
        self.refused("without a colon before a space", sg.analyze, model(), sentences(), {"a: b": ["cat"]})
        self.refused("'the cat' is not a word", sg.analyze, model(), sentences(), {"a": ["the cat"]})
        self.refused("labels need tokens in memory", sg.analyze, model(), self.write("c", sentences()), np.array(["a"]))
        self.refused("^classes: contains no word of the corpus", sg.analyze, model(), [["the", "dog"]], {"a": ["cat"]})
        self.refused("no token has a label", sg.analyze, model(), ["the", "cat"], [None, None])

    def test_settings(self):
        self.refused("no setting .delay. .did you mean 'delays'..; there are delays, .*; and the arguments model, tokens", sg.analyze, model(), sentences(), delay=3, error=TypeError)
        self.refused("setting 'delays': expected D .a whole number from 1 on., found '-1'", sg.analyze, model(), sentences(), delays=-1)
        self.refused("setting 'normalize': expected covariance or none", sg.analyze, model(), sentences(), normalize="x")
        self.refused("layer", sg.analyze, model(), sentences(), layer=2)
        run = sg.analyze(model(), sentences(60), **QUICK)
        for function in (lambda **x: sg.train(sentences(), **x), lambda **x: sg.check(model(), **x), lambda **x: sg.analyze(model(), sentences(), **x),
                         lambda **x: run.words(**x), lambda **x: sg.synth(self.folder, **x), lambda **x: sg.evaluate(model(), sentences(), **x), lambda **x: sg.info("x", **x),
                         lambda **x: sg.Accumulator([0, 1], {"layer1.cell": 2}, [[1, 2], [3, 4]], **x)):
            for name in ("nonsense", "struct_size"):
                self.refused(f"'{name}'", function, error=TypeError, **{name: 3})
        self.refused("no setting 'inputs'", sg.analyze, model(), sentences(), inputs="x.npy", error=TypeError)
        self.refused("no setting 'hiden_size' .did you mean 'hidden_size'.*and the arguments tokens, valid", sg.train, sentences(), hiden_size=3, error=TypeError)
        for name in ("epochs", "lr", "layers", "hidden_size"):
            self.refused(f"{name}'?: expected a .*number, found True", sg.train, sentences(), **{name: True}, error=TypeError)
        self.refused("setting 'epochs': expected N .a whole number from 1 on., found 'three'", sg.train, sentences(), epochs="three")
        self.refused("expected sgd or adam", sg.train, sentences(), optimizer="x")
        self.refused("no setting 'source'", sg.check, model(), source="x", error=TypeError)
        for size in (0, -1):
            for name in ("hidden_size", "embedding_size", "layers"):
                self.refused(f"train: {name}: found {size}, expected 1", sg.train, sentences(), **{name: size})
        for name in ("vocab_size", "min_count"):
            self.refused(f"train: {name}: found -1, expected 0", sg.train, sentences(), **{name: -1})
        self.refused("train: hidden_size: expected a whole number, found 'x'", sg.train, sentences(), hidden_size="x", error=TypeError)
        for name in ("steps", "batch", "epochs"):
            self.refused(name, sg.train, sentences(), **{name: 0})
            self.refused(f"'{name}': expected N .*found '-1'", sg.train, sentences(), **{name: -1})
        self.refused("check", sg.check, model(), steps=1)
        self.refused("expected two words", sg.show, model(), "the cat", contrast="are")
        self.refused("zebra", sg.show, model(), "the cat", target="zebra")
        self.refused("'state': expected cell or hidden, found 'both'", sg.show, model(), "the cat", state="both")
        self.refused("state_handling", sg.evaluate, model(), sentences(), state_handling="window:3")
        self.refused("properties", sg.analyze, model(), sentences(), properties={"x": ""})
        self.refused("expected .*vector", sg.analyze, model(), sentences(), properties={"x": np.zeros((2, 2))})
        self.refused("is not a word", sg.analyze, model(), sentences(), properties={"x": [("cat", "the dog")]})

    def test_copies(self):
        """Two objects on one handle would close it for one another."""
        run, shown = sg.analyze(model(), sentences(60), **QUICK), sg.show(model(), "the cat")
        accumulator = sg.Accumulator([0, 1], {"layer1.cell": 2}, [[1, 2], [3, 4]], delays=2)
        for whole in (run, shown, accumulator):
            for copied in (copy.copy, copy.deepcopy, pickle.dumps):
                self.refused(f"stategrad.{type(whole).__name__}: .*cannot be copied or pickled", copied, whole, error=TypeError)
        self.refused("Run.save", copy.copy, run, error=TypeError)
        self.refused("cannot be copied or pickled", copy.deepcopy, run["layer1.cell"], error=TypeError)
        for copied in (copy.copy, copy.deepcopy):
            self.assertIs(copied(model()), model())
        self.refused("Model.save", pickle.dumps, model(), error=TypeError)
        accumulator.close()

    def test_messages_name_the_argument(self):
        """In place of the temporary file in which it goes to the library."""
        accumulate = lambda vocab: sg.Accumulator([0, 1], {"layer1.cell": 2}, [[1, 2], [3, 4]], vocab)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            for function in (lambda: accumulate(["a", "a"]), lambda: accumulate({"a": 0, "b": 7}), lambda: sg.train(sentences(), vocab=["a", ""]),
                             lambda: sg.analyze(model(), sentences(), {"none": ["zebra"]}), lambda: sg.analyze(model(), [["the"]] * 30, ["x"] * 30, **QUICK),
                             lambda: sg.analyze(model(), sentences(), properties={"p": (["zebra"], ["cat"]), "q": [("zebra", "cat")]}, **QUICK)):
                try:
                    function()
                except ValueError as error:
                    self.assertNotIn("/", str(error))
                    self.assertRegex(str(error), "^(vocab|classes|properties)")
        self.assertGreater(len(found), 2)
        for line in found:
            self.assertNotIn("stategrad.", str(line.message))

    def test_arguments_of_other_types(self):
        """Every one by its name, as ValueError or TypeError of the package."""
        m, run = model(), sg.analyze(model(), sentences(60), **QUICK)
        accumulate = lambda **x: sg.Accumulator(**{"tokens": [0, 1], "states": {"layer1.cell": 2}, "embeddings": [[1, 2], [3, 4]], **x})
        for function, text in (
                (lambda: sg.analyze("m.pt", sentences()), "model: expected a stategrad.Model"), (lambda: sg.evaluate(None, sentences()), "model: expected"),
                (lambda: sg.check(3), "model: expected"), (lambda: sg.show("m", "x"), "model: expected"), (lambda: sg.pairs(3, "x"), "model: expected"),
                (lambda: sg.analyze(m, 3), "tokens: expected"), (lambda: sg.analyze(m, "\ud800"), "cannot be the name of a file"), (lambda: sg.analyze(m, ["the", "\ud800x"]), "tokens: .*UTF-8"),
                (lambda: sg.analyze(m, sentences(), {"a": ["\ud800"]}), "classes: a: .*UTF-8"), (lambda: sg.analyze(m, sentences(), {"\ud800": ["cat"]}), "classes: .*UTF-8"),
                (lambda: sg.analyze(m, sentences(), "\ud800"), "classes: .*UTF-8"), (lambda: sg.analyze(m, sentences(), normalize="\ud800"), "normalize: .*UTF-8"),
                (lambda: sg.show(m, "\ud800"), "sentence: .*UTF-8"), (lambda: m.gradients(["\ud800"]), "tokens: .*UTF-8"), (lambda: sg.train(sentences(), vocab=["\ud800"]), "vocab: .*UTF-8"),
                (lambda: sg.pairs(m, [("the", "\ud800")]), "pair 0: the bad sentence: .*UTF-8"), (lambda: m.save("\ud800"), "cannot be the name of a file"), (lambda: sg.pairs(m, {}), "pairs: file: expected"), (lambda: sg.pairs(m, np.array(3)), "pairs: file: expected"),
                (lambda: sg.train(sentences(), lr=torch.zeros(3)), "setting 'lr'"), (lambda: sg.train(sentences(), epochs=torch.zeros(3, device="meta")), "setting 'epochs'"),
                (lambda: sg.check(m, format="x"), "'format': expected auto"), (lambda: run.words(group=np.array(["a", "b"])), "group array"), (lambda: sg.synth(self.folder, np.array(["a", "b"])), "'kind': expected"),
                (lambda: run.figure(np.array(["a", "b"])), "figure: expected decay"), (lambda: run.figure(classes=np.array([["a", "b"]])), "class array"), (lambda: run.figure(delays=run), "delays"),
                (lambda: run.figure(delays=torch.zeros(3, requires_grad=True)), "delays"), (lambda: run.figure(delays=[[[1]]]), "delays"),
                (lambda: sg.analyze_function(lambda x, s: s, torch.eye(3).to_sparse(), [0, 1], np.eye(2)), "state0: expected a dense"),
                (lambda: sg.analyze_function(lambda x, s: s, torch.zeros(3), [0, 1], torch.zeros(2, 2, device="meta")), "embeddings: is on torch's meta"),
                (lambda: accumulate(embeddings=torch.eye(2).to_sparse()), "embeddings: expected a dense tensor"), (lambda: sg.analyze(m, torch.zeros(3, device="meta")), "tokens: is on torch's meta"), (lambda: sg.analyze(m, (w for w in ["a"])), "tokens: expected"), (lambda: sg.analyze(m, [["the"], "cat"]), "tokens: sentence 1"),
                (lambda: sg.analyze(m, [[]] * 3), "tokens|corpus|empty"), (lambda: sg.analyze(m, [["the"], 3]), "tokens: sentence 1"), (lambda: sg.analyze(m, [[1], 3]), "tokens: sentence 1"),
                (lambda: sg.analyze(m, None), "tokens: expected"), (lambda: sg.analyze(m, {}), "tokens: expected"), (lambda: sg.train([]), "tokens: expected"), (lambda: sg.train(3), "tokens: expected"),
                (lambda: sg.train([1, 2]), "tokens: sentence 0"), (lambda: sg.train(sentences(), []), "valid: expected"), (lambda: sg.train(sentences(), vocab=3), "vocab: expected"),
                (lambda: sg.train(sentences(), vocab=[1, 2]), "vocab: expected words"), (lambda: sg.load("x", vocab={"a": "b"}), "vocab: 'a': expected a whole number"),
                (lambda: m.gradients([]), "tokens: expected"), (lambda: m.gradients(5), "tokens: expected"), (lambda: m.gradients(["the", 3]), "token 1 is 3"),
                (lambda: m.gradients([1, 2], 0), "delays: found 0, expected 1"), (lambda: m.gradients([1, 2], -1), "delays: found -1"), (lambda: m.gradients([1], layer=-1), "layer: found -1"),
                (lambda: m.gradients([1], layer=2), "layer: found 2, expected 0 to 1"), (lambda: m.gradients([1], 1.5), "delays: expected a whole number"),
                (lambda: sg.show(m, []), "sentence: expected"), (lambda: sg.show(m, 3), "sentence: expected"), (lambda: sg.show(m, [99]), "token 0 is 99"), (lambda: sg.show(m, [["the"], "cat"]), "sentence 1 is 'cat'"), (lambda: sg.show(m, ["the cat"]), "word 0 is 'the cat'.*several are lists"),
                (lambda: sg.show(m, "the", layer=-1), "layer: found -1"), (lambda: sg.show(m, "the", replace=-1), "replace: found -1"), (lambda: sg.show(m, "the", seed=-1), "seed: found -1"), (lambda: sg.show(m, "the", units=[-1]), "units: found -1"), (lambda: sg.show(m, "the", units=3), "units: expected a list"), (lambda: sg.show(m, "the", units=[1, 1]), "unit 1 twice"),
                (lambda: sg.show(m, "the", contrast=3), "contrast: expected two words"), (lambda: sg.show(m, "the", target=3), "expected text"),
                (lambda: sg.evaluate(m, sentences(), threads=-1), "threads: found -1"), (lambda: sg.evaluate(m, sentences(), state_handling=3), "state_handling"),
                (lambda: sg.check(m, steps=-1), "'steps': -1 is out of range"), (lambda: sg.check(m, threads=-1), "'threads': found -1"), (lambda: sg.check(m, inputs=3), "'inputs': expected the path"),
                (lambda: sg.analyze(m, sentences(), threads=-1), "'threads'"), (lambda: sg.analyze(m, sentences(), output=3), "path"), (lambda: sg.track(run, {"a": "b-c"}, threads=-1), "threads: found -1"),
                (lambda: sg.track(3, {"a": "b-c"}), "path"), (lambda: sg.merge(3), "merge: expected"), (lambda: sg.merge([3, 4]), "path of a file"), (lambda: sg.open(3), "path"),
                (lambda: sg.words(3), "path"), (lambda: run.words(delay=-1), "delay: found -1"), (lambda: run.words(delay="x"), "delay: expected a whole number"),
                (lambda: run.words(top=-1), "'top': -1"), (lambda: run.words(3), "class 3"), (lambda: run.curve(3), "class 3"), (lambda: run.words(layer=9), "layer 9"),
                (lambda: sg.compare(run, "all", "all", delay=-1), "delay: found -1"), (lambda: sg.compare(3, 4), "path|expected"), (lambda: sg.compare(), "expected a run"),
                (lambda: sg.pairs(m, 3), "path"), (lambda: sg.pairs(m, "x", path=-1), "path: found -1"), (lambda: sg.synth(3), "path"), (lambda: sg.report(3, "x"), "runs"),
                (lambda: run.figure(columns=3), "columns"), (lambda: run.figure(delays=-1), "delays"), (lambda: run.figure(3), "figure"), (lambda: run.csv("x", 3), "style"),
                (lambda: run.curve("all", "rms_gain", property="x"), "'rms_gain' has no property, found 'x'"), (lambda: run.curve(group="x"), "group 'x'"), (lambda: run.to_xarray("x"), "group 'x'"),
                (lambda: run["layer1.cell"].read("rms_gain", (0, -1, 0)), "rms_gain: start: found -1"), (lambda: run["layer1.cell"].read("rms_gain", None, (1, 1, -1)), "rms_gain: count: found -1"),
                (lambda: run["layer1.cell"].read("rms_gain", (0, "x", 0)), "rms_gain: start: expected a whole number"), (lambda: run.figure(delays=1.5), "delays"), (lambda: run.figure(classes=3), "class"),
                (lambda: sg.compare(run, "layer1.cell", "layer1.cell", layer=1), "A and B are states already"), (lambda: sg.compare(groups=3), "groups: expected a dict"),
                (lambda: sg.compare(groups={"a": 3, "b": [run, run]}), "groups: 'a': expected two runs"), (lambda: sg.report(groups={"a": 3}, path="x"), "groups: 'a': expected two runs"),
                (lambda: sg.analyze(m, sentences(), progress=3), "progress: expected True or a function"), (lambda: sg.analyze(m, sentences(), pairs=3), "pairs: expected"),
                (lambda: sg.analyze(m, sentences(), command=3), "command: expected text"), (lambda: sg.load("x", map=3), "map: expected a dict"), (lambda: sg.load("x", ignore=3), "ignore: expected names"),
                (lambda: sg.load("x", forget_bias="x"), "forget_bias: expected a number"), (lambda: sg.load("x", transposed="x"), "transposed: expected True or False"),
                (lambda: sg.analyze(m, [1, 2], eos=True), "eos: of words that are read from text"), (lambda: sg.analyze(m, [1, 2], format="text"), "format: of words"),
                (lambda: sg.analyze(m, ["the", "cat"], eos=True), "eos: of files and sentences"), (lambda: sg.analyze(m, sentences(), format="tagged"), "format: of files"),
                (lambda: accumulate(tokens=[]), "tokens: expected"), (lambda: accumulate(tokens=3), "tokens: expected"), (lambda: accumulate(states={"layer1.cell": -1}), "states: layer1.cell: found -1"),
                (lambda: accumulate(states={"layer1.cell": 0}), "states: layer1.cell: found 0"), (lambda: accumulate(states={"layer1.cell": "x"}), "states: layer1.cell: expected a whole number"),
                (lambda: accumulate(states={3: 2}), "states: expected text"), (lambda: accumulate(states=[2]), "states: expected a dict"), (lambda: accumulate(states={}), "states|state"),
                (lambda: accumulate(embeddings="x"), "embeddings: expected"), (lambda: accumulate(embeddings=[["a", "b"]]), "embeddings: expected"), (lambda: accumulate(embeddings=[[1, 2], [3]]), "embeddings"),
                (lambda: accumulate(embeddings=None, tokens=[[]]), "tokens"), (lambda: accumulate(classes={}), "classes: found an empty dict"), (lambda: accumulate(vocab=3), "vocab: expected"),
                (lambda: run.figure(classes=[]), "class: expected a name or several, found \\[\\]"), (lambda: sg.compare(run, "all", "all", delay=[]), "delay: expected one or a list, found"),
                (lambda: sg.analyze(m, [[[1, 2]], [[3]]]), "sentence 0 is .*found a list of lists"), (lambda: sg.load("x", vocab=["a\0"]), "vocab: a NUL"), (lambda: accumulate(state="cell"), "'state': .*`states` names"),
                (lambda: accumulate(embeddings=torch.nn.Embedding(2, 2)), "embeddings: expected an array of numbers, found Embedding"),
                (lambda: sg.show(m, "the").matrix("gain_frobenius", 1), "sentence: found 1, expected 0 to 0"), (lambda: accumulate(delays=-1), "'delays'"), (lambda: accumulate(model=3), "model: expected text")):
            with self.subTest(text):
                try:
                    function()
                except (ValueError, TypeError) as error:
                    self.assertRegex(str(error), text)
                else:
                    self.fail("not refused")

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
        for function in (lambda: run["layer1.cell"], lambda: state.read("pairs"), run.curve, lambda: sg.track(run, {"x": "cat-dog"}), lambda: run.report("x"),
                         lambda: run.save("x"), lambda: state.dims("pairs")):
            self.refused("is closed", function)

    def test_views_are_not_written_to_and_live_on(self):
        m = sg.train(sentences(), embedding_size=5, hidden_size=6, epochs=1, steps=10, batch=4, seed=3)
        view = m.tensors["encoder.weight"]
        before, address = view.copy(), view.__array_interface__["data"][0]
        self.assertEqual(address, m.tensors["encoder.weight"].__array_interface__["data"][0]) # no copy
        with self.assertRaises(ValueError):
            view[0, 0] = 1
        with self.assertRaises(ValueError):
            view.flags.writeable = True
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
