# SPDX-License-Identifier: MIT
"""The same tokens and classes in each form that is taken."""
import unittest

import numpy as np
import torch
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


if __name__ == "__main__":
    unittest.main()
