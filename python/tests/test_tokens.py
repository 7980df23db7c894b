# SPDX-License-Identifier: MIT
"""The same tokens and classes in each form that is taken."""
import os
import unittest

import numpy as np
import torch
from torch import nn
from common import NOUNS, QUICK, VERBS, InFolder, model, sentences

import stategrad as sg


def means(run):
    return run["layer1.cell"].read("mean_gradient")


class Tokens(InFolder):
    flat = [word for line in sentences() for word in [*line, "<eos>"]]
    kind = [("noun" if w in NOUNS else "verb" if w in VERBS else None) for w in flat]
    by_word = {"noun": NOUNS, "verb": VERBS}

    def test_classes(self):
        ids = np.array([model().vocabulary.index(w) for w in self.flat])
        labels = [k for k, w in zip(self.kind, self.flat) if w != "<eos>"]
        nested, rest = [], iter(labels)
        for line in sentences():
            nested.append([next(rest) for _ in line])
        expected = sg.analyze(model(), sentences(), self.by_word, **QUICK)
        self.assertEqual(expected.classes, ("all", "noun", "verb"))
        for tokens, classes in ((sentences(), labels), (sentences(), nested), (self.flat, self.kind), (self.flat, self.by_word),
                                (ids, self.kind), (torch.from_numpy(ids), self.kind), (list(torch.from_numpy(ids)), self.kind), (ids.tolist(), np.array(self.kind, dtype=object)), (ids, self.by_word),
                                (ids, {"noun": [model().vocabulary.index(w) for w in NOUNS], "verb": VERBS})):
            run = sg.analyze(model(), tokens, classes, **QUICK)
            self.assertEqual(run.classes, expected.classes)
            np.testing.assert_array_equal(means(run), means(expected))

    def test_specs_of_ids(self):
        """The words that the ids stand for."""
        ids = [[model().vocabulary.index(w) for w in line] for line in sentences()]
        flat = np.array([i for line in ids for i in line])
        for spec in ("frequency", ["frequency", "position"]):
            pairs = [(sg.analyze(model(), a, spec, eos=eos, **QUICK), sg.analyze(model(), b, spec, **QUICK)) for a, b, eos in (
                (sentences(), ids, False), ([w for line in sentences() for w in line], flat, None), (sentences(), [torch.tensor(line) for line in ids], False))]
            for expected, run in pairs:
                self.assertEqual(run.classes, expected.classes)
                self.assertGreater(len(run.classes), 2)
                np.testing.assert_array_equal(means(run), means(expected))

    def test_sentences_of_show(self):
        """A list of words is one sentence, as in analyze."""
        words = ["the", "cat", "sees"]
        ids = [model().vocabulary.index(w) for w in words]
        expected = sg.show(model(), " ".join(words))
        for given in (words, tuple(words), [words], ids, np.array(ids), torch.tensor(ids), [ids], np.array([words])):
            mine = sg.show(model(), given)
            self.assertEqual(mine.words, tuple(words))
            np.testing.assert_array_equal(mine.gain, expected.gain)
        several = sg.show(model(), [words, words[:2]])
        self.assertEqual([len(s["words"]) for s in several.data["sentences"]], [3, 2])
        self.assertEqual(sg.evaluate(model(), words, eos=None).tokens, 2)

    def test_sentences_of_ids_reset_the_state(self):
        by_line = [[model().vocabulary.index(w) for w in [*line, "<eos>"]] for line in sentences()]
        a = sg.analyze(model(), by_line, state_handling="reset", **QUICK)
        b = sg.analyze(model(), sentences(), state_handling="reset", **QUICK)
        np.testing.assert_array_equal(means(a), means(b))

    def test_mean_of_single_gradients(self):
        """The run's mean gradient is the mean of model.gradients over the positions."""
        words, D = self.flat[:40], 3
        mean = means(sg.analyze(model(), words, **{**QUICK, "delays": D}))[0]
        total = np.zeros(mean.shape)
        for t in range(len(words)):
            total += model().gradients(words[:t + 1], D)
        pairs = np.array([len(words) - d for d in range(D)])[:, None, None]
        np.testing.assert_allclose(mean, total / pairs, rtol=1e-4, atol=1e-6)

    def test_files(self):
        a, b = self.write("a.txt", sentences()[:100]), self.write("b.txt", sentences()[100:])
        both = sg.analyze(model(), [a, b], documents="none", **QUICK)
        np.testing.assert_array_equal(means(both), means(sg.analyze(model(), sentences(), documents="none", **QUICK)))

    def test_characters(self):
        text = "".join(" ".join(line) + "\n" for line in sentences()[:60])
        path = self.folder / "text"
        path.write_text(text)
        m = sg.train(path, unit="char", embedding_size=3, hidden_size=4, epochs=1, steps=10, batch=2)
        self.assertEqual(m.unit, "char")
        np.testing.assert_array_equal(means(sg.analyze(m, list(text), **QUICK)), means(sg.analyze(m, path, **QUICK)))
        with self.assertRaisesRegex(ValueError, "token 0 is 'the'.*single characters"):
            sg.analyze(m, ["the", "cat"])

    def test_properties(self):
        vector = model().tensors["encoder.weight"][model().vocabulary.index("cat")].astype(float)
        vector -= model().tensors["encoder.weight"][model().vocabulary.index("dog")]
        run = sg.analyze(model(), sentences(), properties={"words": (["cat"], ["dog"]), "text": "cat-dog", "vector": vector,
                                                                "pairs": [("cat", "dog")]}, **QUICK)
        gain = run["layer1.cell"].read("property_gain")
        np.testing.assert_allclose(gain[0], gain[1])
        np.testing.assert_allclose(gain[0], gain[2], rtol=1e-5)
        np.testing.assert_allclose(gain[0], gain[3], rtol=1e-5)

    def test_lists_of_words_are_these_words(self):
        """Whatever classes and files have their names, with commas and '#'."""
        words = ["<unk>", "cat", "dog", "keys", "1,000", "#1", "file"]
        torch.manual_seed(1)
        table = nn.Embedding(len(words), 4)
        m = sg.from_torch(embedding=table, rnn=nn.LSTMCell(4, 3), vocab=words)
        x = dict(zip(words, table.weight.detach().numpy().astype(float)))
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        (self.folder / "file").write_text("dog\n")
        (self.folder / "cat").write_text("dog keys\n")
        given = {"one": (["keys"], ["file"]), "comma": (["1,000", "#1"], ("cat",)), "class": ("keys", ["keys"]), "array": (np.array(["#1"]), ["dog"]),
                 "pairs": [("#1", "cat"), ["1,000", "dog"]], "vector": torch.arange(4.0)}
        vectors = {"one": x["keys"] - x["file"], "comma": (x["1,000"] + x["#1"]) / 2 - x["cat"], "class": (x["cat"] + x["dog"]) / 2 - x["keys"],
                   "array": x["#1"] - x["dog"], "pairs": (x["#1"] - x["cat"] + x["1,000"] - x["dog"]) / 2, "vector": np.arange(4.0)}
        tokens = (words[1:] * 4)
        ids = [words.index(w) for w in tokens]
        for those in (tokens, ids):
            run = sg.analyze(m, those, {"keys": ["cat", "dog"]}, given, **QUICK, normalize="none")
            tracked = sg.track(sg.analyze(m, those, {"keys": ["cat", "dog"]}, **QUICK, normalize="none"), given)
            for found in (run, tracked):
                self.assertEqual(found.properties, tuple(vectors))
                for i, (name, vector) in enumerate(vectors.items()):
                    np.testing.assert_allclose(found.root.read("property_vector")[i], vector, rtol=1e-6, atol=1e-7, err_msg=name)
                self.assertEqual(found.root.read("property_pairs").tolist(), [0, 0, 0, 0, 2, 0])
        annotated = self.write("c.conllu", [])
        annotated.write_text("".join(f"1\t{w}\t{w}\tX\t_\t_\t0\troot\t_\t{note}\n\n" for w, note in (("cat", "N=Yes"), ("dog", "N=No"))) * 20)
        a, b = (sg.analyze(m, annotated, "upos", p, **QUICK, normalize="none").root.read("property_vector")[0]
                for p in ({"n": ("misc:N=Yes", "misc:N=No")}, ["n=misc:N=Yes-misc:N=No"]))
        np.testing.assert_allclose(a, x["cat"] - x["dog"], rtol=1e-6)
        np.testing.assert_array_equal(a, b)

    def test_properties_that_cannot_be(self):
        for value, text in ((([], ["cat"]), "found \\[\\]"), (({"cat"}, ["dog"]), "a list of words as a side"), ((["the cat"], ["dog"]), "'the cat' is not a word"),
                            (([3], ["dog"]), "3 is not a word"), ((("cats", "cat"), ("dogs", "dog")), "two sides or two pairs"), ("", "expected NAME=A-B"),
                            (("", "cat"), "an empty side"), (None, "found None"), (np.zeros(5, complex), "complex128"), (np.zeros((2, 2)), "\\(2, 2\\)"),
                            ([1.0, float("nan"), 0, 0, 0], "number 1 of the vector is nan"), ([1.0], "a vector of 5 numbers, found 1")):
            for function in (lambda p: sg.analyze(model(), sentences(), properties=p, **QUICK), lambda p: sg.analyze(model(), [1, 2] * 9, properties=p, **QUICK)):
                with self.subTest(value=value), self.assertRaisesRegex(ValueError, f"propert.*{text}"):
                    function({"x": value})
        for given in (5, ["x"], [3], ["=a-b"]):
            with self.subTest(given=given), self.assertRaisesRegex(ValueError, "properties: expected a dict, or texts NAME=A-B"):
                sg.analyze(model(), sentences(), properties=given, **QUICK)

    def test_one_rule_for_classes(self):
        """The same dict and labels, of words and of ids: the same run, or the same refusal."""
        V = len(model().vocabulary)
        ids = [model().vocabulary.index(w) for w in self.flat]
        for classes in ({"noun": " ".join(NOUNS)}, {"nmod:poss": NOUNS}, {"a b": set(NOUNS)}, {"noun": np.array(NOUNS)}, {"noun": tuple(NOUNS)}):
            a, b = sg.analyze(model(), self.flat, classes, **QUICK), sg.analyze(model(), ids, classes, **QUICK)
            self.assertEqual((a.classes, b.classes), (("all", *classes),) * 2)
            np.testing.assert_array_equal(means(a), means(b))
        for name in ("all", "", " a", "#a", "a: b", "a\nb", 3):
            for classes in ({name: ["cat"]}, [name or " "] * len(ids)):
                if name == 3 and isinstance(classes, list): # a number is a label
                    continue
                for tokens in (self.flat, ids):
                    with self.subTest(name=name, classes=str(classes)[:20]), self.assertRaisesRegex(ValueError, "cannot be the name of a class"):
                        sg.analyze(model(), tokens, classes, **QUICK)
        for classes, error, text in (({"a": []}, ValueError, "a: no words"), ({}, ValueError, "an empty dict"), ([], ValueError, "an empty list"), (5, TypeError, "a label for each token"),
                                     ({"a": 5}, TypeError, "a list of words or ids"), ({"a": ["the cat"]}, ValueError, "'the cat' is not a word"),
                                     (np.zeros((2, 2)), ValueError, "an array \\(2, 2\\)"), ([["x"]] + [None] * (len(ids) - 1), ValueError, "expected text or a number")):
            for tokens in (self.flat, ids):
                with self.subTest(classes=str(classes)[:20]), self.assertRaisesRegex(error, f"classes: .*{text}"):
                    sg.analyze(model(), tokens, classes, **QUICK)
        for i in (-1, V, 2 ** 40):
            with self.assertRaisesRegex(ValueError, f"classes: a: found {i}, expected 0 to {V - 1}"):
                sg.analyze(model(), ids, {"a": [1, i]}, **QUICK)
        with self.assertRaisesRegex(TypeError, "classes: a: expected a whole number, found 1.5"):
            sg.analyze(model(), ids, {"a": [1.5]}, **QUICK)
        nested = [["x", None], ["x"]] * 30
        self.assertEqual(sg.analyze(model(), [[1, 2], [3]] * 30, nested, **QUICK).root.read("class_tokens").tolist(), [90, 60])


if __name__ == "__main__":
    unittest.main()
