# SPDX-License-Identifier: MIT
"""compare: what the program's compare --json and --csv print."""
import json
import unittest

import numpy as np
from common import NOUNS, QUICK, VERBS, InFolder, program, sentences

import stategrad as sg


class Comparisons(InFolder):
    def runs(self):
        paths = []
        for seed in (3, 4):
            m = sg.train(sentences(), sentences(60, 2), embedding_size=5, hidden_size=6, epochs=2, steps=10, batch=4, seed=seed)
            paths.append(self.folder / f"{seed}.nc")
            sg.analyze(m, sentences(), {"noun": NOUNS, "verb": VERBS}, {"kind": "noun-verb", "back": "verb-noun"}, output=paths[-1],
                       **{**QUICK, "state": "both", "replace": "200"}).close()
        return paths

    def same(self, mine, theirs):
        self.assertEqual((mine.pairs, mine.notes, mine.comparisons), (theirs["pairs"], theirs["notes"], theirs["comparisons"]))
        self.assertEqual(len(mine.rows), len(theirs["rows"]))
        for x, y in zip(mine.rows, theirs["rows"]):
            self.assertEqual(set(x), set(y))
            for key in x:
                if isinstance(y[key], float):
                    self.assertAlmostEqual(x[key], y[key], delta=1e-10 * abs(y[key]), msg=key)
                else:
                    self.assertEqual(x[key], y[key], key)

    def test_against_the_program(self):
        one, two = self.runs()
        group = f"g={one},{two}"
        for what, more, args in (
                ((one, "noun", "verb"), {}, [one, "noun", "verb"]),
                ((one, two), {"class_name": ["noun", "verb"], "delay": [1, 3]}, [one, two, "--class", "noun", "--class", "verb", "--delay", "1,3"]),
                ((one, "layer1.cell", "layer1.hidden"), {"measure": "rms_gain_left", "delay": 2}, [one, "layer1.cell", "layer1.hidden", "--measure", "rms_gain_left", "--delay", "2"]),
                ((one, two), {"properties": "kind", "state": "hidden"}, [one, two, "--property", "kind", "--state", "hidden"]),
                ((one, "kind", "back"), {"class_name": "noun"}, [one, "kind", "back", "--class", "noun"]),
                (("noun", "verb"), {"groups": {"g": [one, two]}, "measure": ["rms_gain", "sigma_1"]}, ["--group", group, "noun", "verb", "--measure", "rms_gain,sigma_1"])):
            page, its_page = self.folder / "mine.html", self.folder / "its.html"
            mine = sg.compare(*what, **more, report=page)
            with self.subTest(what=what[1:]):
                self.same(mine, json.loads(program("compare", *args, "--json", "-o", its_page)))
                self.assertEqual(page.read_bytes(), its_page.read_bytes())
                if "groups" not in more and what[1:] != ("noun", "verb"): # of runs and of names
                    continue
                mine.csv(self.folder / "mine.csv")
                with self.assertRaisesRegex(ValueError, "is read, and cannot be the output"):
                    mine.csv(one)
                with self.assertRaisesRegex(ValueError, "is read, and cannot be the output"):
                    sg.compare(*what, **more, report=one)
                self.assertEqual((self.folder / "mine.csv").read_text(), program("compare", *args, "--csv", "-"))
        with sg.open(one) as a, sg.open(two) as b:
            self.same(sg.compare(a, b), json.loads(program("compare", one, two, "--json")))
            for delay in (np.int64(2), [2], range(2, 3), np.array([2])):
                self.assertEqual({row["delay"] for row in sg.compare(a, b, delay=delay).rows} - {None}, {2})
            for what, more, text in (((a, "nuon", "verb"), {}, "did you mean noun"), ((a,), {}, "expected a run and two names"), ((a, "noun"), {}, "'noun' is a name of the run: expected two, such as compare.run, 'noun', 'all'"),
                                     ((a, "layer1.cell"), {}, "is a name of the run"), ((a, a), {}, "the same"),
                                     ((a, b), {"delay": 9}, "delay"), ((a, b), {"measure": "rms_gian"}, "did you mean rms_gain"), ((a, b), {"layer": 2}, "layer 2"),
                                     ((), {"groups": {"g": [a], "h": [a, b]}}, "two runs or more"), ((a, "noun", "verb"), {"class_name": "all"}, "given already")):
                with self.assertRaisesRegex(ValueError, text):
                    sg.compare(*what, **more)


if __name__ == "__main__":
    unittest.main()
