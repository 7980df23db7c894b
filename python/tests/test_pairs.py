# SPDX-License-Identifier: MIT
"""pairs: what the program's pairs --json and its tables print."""
import json
import math
import re
import unittest

from common import InFolder, model, program

import stategrad as sg

SUITE = ("good\tbad\tcondition\tgroup\trole:subject\n"
         "the cat sees\tthe cat runs home\ta\tx\t2\nthe dog sees\tthe zip sees\ta\ty\t2\nthe zip runs\tthe zap runs\tb\ty\t2\n")


class MinimalPairs(InFolder):
    def test_against_the_program(self):
        m, path, file = model(), self.folder / "m.safetensors", self.folder / "pairs.tsv"
        m.save(path)
        file.write_text(SUITE, encoding="utf-8")
        for more, args in (({}, []), ({"score": "word", "condition": "group"}, ["--score", "word", "--condition", "group"]),
                           ({"eos": False, "path": 8, "lowercase": True, "split": "punctuation"}, ["--no-eos", "--path", "8", "--lowercase", "--split", "punctuation"])):
            mine = sg.pairs(m, file, **more)
            with self.subTest(more=more):
                self.assertEqual(mine.data, json.loads(program("pairs", path, file, *args, "--json", "-q")))
                for table, option in (("conditions", "--csv"), ("items", "--items"), ("words", "--words")):
                    mine.csv(self.folder / "mine.csv", table)
                    self.assertEqual((self.folder / "mine.csv").read_text(), program("pairs", path, file, *args, option, "-", "-q"))
        loaded, options = sg.load(path), {"attribution": True}
        sg.pairs(loaded, str(file), **options).report(self.folder / "mine.html")
        program("pairs", path, file, "--attribution", "-o", self.folder / "its.html", "-q")
        self.assertEqual((self.folder / "mine.html").read_bytes(), (self.folder / "its.html").read_bytes())
        for output in (path, file):
            with self.assertRaisesRegex(ValueError, "cannot be the output too"):
                sg.pairs(loaded, file).report(output)
        sg.pairs(m, [("the cat sees", "the cat runs")]).report(self.folder / "mine.html") # no names: neither has a file
        self.assertIn('"model":null,"file":null', (self.folder / "mine.html").read_text(encoding="utf-8"))
        items = sg.pairs(m, file).items()
        self.assertEqual([(i.line, i.condition, i.left_out) for i in items], [(2, "a", False), (3, "a", False), (4, "b", True)])
        self.assertAlmostEqual(items[0].difference, items[0].log_p_good - items[0].log_p_bad, 5)
        self.assertTrue(math.isnan(items[2].difference))
        plain = self.folder / "plain.tsv"
        plain.write_text("the cat sees\tthe cat runs\n", encoding="utf-8")
        with self.assertRaisesRegex(ValueError, "attribution"):
            sg.pairs(m, plain).csv(self.folder / "w.csv", "words")
        sg.pairs(m, plain, attribution=True).csv(self.folder / "w.csv", "words")

    def test_pairs_in_memory(self):
        listed = [line.split("\t")[:3] for line in SUITE.splitlines()[1:]]
        file = self.folder / "pairs.tsv"
        for n in (2, 3):
            file.write_text("".join("\t".join(line[:n]) + "\n" for line in listed), encoding="utf-8")
            expected = sg.pairs(model(), file)
            for form in (lambda line: tuple(line[:n]), lambda line: [line[0].split(), tuple(line[1].split()), *line[2:n]]):
                mine = sg.pairs(model(), [form(line) for line in listed])
                self.assertEqual(mine.data, expected.data)
                self.assertEqual(str(mine.items()), str(expected.items()))

    def test_a_pair_that_looks_like_a_header(self):
        """It is the first pair, and lines are counted from it everywhere."""
        for first in (("good", "bad"), ("bad", "good"), ("sentence_good", "sentence_bad"), ("good", "bad", "condition")):
            found = sg.pairs(model(), [first, ("the cat", "the dog", "x")[:len(first)]])
            self.assertEqual([i.line for i in found.items()], [1, 2])
            self.assertEqual([i.condition for i in found.items()], ["condition", "x"] if len(first) == 3 else ["", ""])
            found.csv(self.folder / "items.csv", "items")
            self.assertEqual([line.split(",")[0] for line in (self.folder / "items.csv").read_text().splitlines()], ["line", "1", "2"])
            found.report(self.folder / "page.html")
            self.assertEqual(re.findall(r'"line": ?(\d+)', (self.folder / "page.html").read_text()), ["1", "2"])
        strict = sg.train([["cat", "dog"]] * 20, vocab=["<eos>", "cat", "dog"], embedding_size=2, hidden_size=2, epochs=1, steps=5, batch=2)
        with self.assertRaisesRegex(ValueError, "pairs: file:1: "):
            sg.pairs(strict, [("good", "bad"), ("cat", "dog")])
        for wrong, text in (([], "empty list"), ([("a", "b"), ("a", "b", "c")], "some pairs have a condition"), ([("a",)], "pair 0 is"), (["ab"], "pair 0 is 'ab'"), ([("a", 3)], "bad sentence is 3"),
                            ([("a", "b\tc")], "tabs"), ([("a", [])], "bad sentence is"), ([("a", "b", None)], "condition is None"), ([(" ", "b")], "good sentence is")):
            with self.assertRaisesRegex(ValueError, f"pairs: file: .*{text}"):
                sg.pairs(model(), wrong)
        for more in ({"format": "blimp"}, {"condition": "x"}):
            with self.assertRaisesRegex(ValueError, "format and condition are of files"):
                sg.pairs(model(), [("a", "b")], **more)

    def test_wrong(self):
        file = self.folder / "pairs.tsv"
        file.write_text("one\n", encoding="utf-8")
        for more, error, text in (({}, ValueError, "pairs.tsv:1: found 1 column"), ({"format": "x"}, ValueError, "auto|tsv"), ({"path": 10000}, ValueError, "path"),
                                  ({"condition": "a\0"}, ValueError, "NUL")):
            with self.assertRaisesRegex(error, text):
                sg.pairs(model(), file, **more)
        with self.assertRaises(OSError):
            sg.pairs(model(), self.folder / "none.tsv")


if __name__ == "__main__":
    unittest.main()
