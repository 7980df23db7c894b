# SPDX-License-Identifier: MIT
"""The package gives what the program gives: byte by byte, number by number."""
import json
import re
import unittest

import numpy as np
from common import NOUNS, SOURCE, VERBS, InFolder, model, program, sentences

import stategrad as sg
from stategrad import _base, _settings


class AgainstProgram(InFolder):
    def setUp(self):
        super().setUp()
        self.corpus = self.write("corpus.txt", sentences())
        self.model = self.folder / "m.safetensors"
        model().save(self.model)

    def same(self, path, run):
        """0 bytes of difference."""
        run.save(self.folder / "python.nc")
        mine, its = (self.folder / "python.nc").read_bytes(), path.read_bytes()
        at = next((i for i, (a, b) in enumerate(zip(mine, its)) if a != b), None)
        self.assertTrue(mine == its, f"{len(mine)} and {len(its)} bytes, first difference at {at}")

    def analyze(self, *options):
        """The program's run file, and its command text."""
        path = self.folder / "program.nc"
        program("analyze", "m.safetensors", "corpus.txt", "-o", "program.nc", "-q", *options, cwd=self.folder)
        return path, sg.open(path).attributes["command"]

    def test_run_file_is_the_same(self):
        words = self.write("groups.txt", [["noun:", *NOUNS], ["verb:", *VERBS]])
        path, command = self.analyze("--classes", f"words:{words}", "--classes", "frequency", "--delays", "3", "--property",
                                     "kind=noun-verb", "--baseline", "untrained", "--state", "both", "--burn-in", "2")
        settings = {"delays": 3, "baseline": "untrained", "state": "both", "burn_in": 2, "command": command}
        file = sg.analyze(model(), self.corpus, [f"words:{words}", "frequency"], {"kind": "noun-verb"}, **settings)
        self.same(path, file)

    def test_a_list_of_sentences_is_the_file_of_them(self):
        words = self.write("groups.txt", [["noun:", *NOUNS], ["verb:", *VERBS]])
        path, command = self.analyze("--classes", f"words:{words}", "--property", "kind=cat,dog-sees,has", "--delays", "4")
        run = sg.analyze(sg.load(self.model), sentences(), {"noun": NOUNS, "verb": VERBS},
                         {"kind": (["cat", "dog"], ["sees", "has"])}, delays=4, command=command)
        self.same(path, run)

    def test_which_attributes_differ(self):
        """Of tokens that are given as they are; every variable is the same."""
        words = self.write("groups.txt", [["noun:", *NOUNS]])
        quick = {"delays": 4, "replace": "none", "lyapunov": "none"}
        its = sg.open(self.analyze("--classes", f"words:{words}", "--delays", "4", "--replace", "none", "--lyapunov", "none")[0])
        flat = [word for line in sentences() for word in [*line, "<eos>"]]
        lines = [[model().vocabulary.index(word) for word in [*line, "<eos>"]] for line in sentences()]
        labels = ["noun" if word in NOUNS else None for line in sentences() for word in line]
        ours = {"corpus_sha256", "identity_sha256", "unclassed_tokens"}
        for tokens, classes, differ in ((sentences(), {"noun": NOUNS}, set()), (sentences(), labels, set()), (flat, {"noun": NOUNS}, ours | {"sentences"}), (lines, {"noun": NOUNS}, ours)):
            mine = sg.analyze(sg.load(self.model), tokens, classes, **quick)
            spec = "tags" if classes is labels else "words" if tokens is not lines else None  # how classes are passed on; ids have none
            self.assertEqual(list(mine.root.read("class_spec")) if "class_spec" in mine.root.variables else None, spec and ["", spec])
            self.assertEqual({name for name in {*its.attributes, *mine.attributes} if its.attributes.get(name) != mine.attributes.get(name)}, differ | {"command"})
            for a, b in ((its.root, mine.root), *((its[g], mine[g]) for g in its.groups)):
                same = [name for name in a.variables if name != "class_spec"]
                self.assertEqual(same, [name for name in b.variables if name != "class_spec"])
                for name in same:
                    np.testing.assert_array_equal(a.read(name), b.read(name), name)

    def test_lower_case(self):
        """A corpus in capitals, read in lower case: the run and the perplexity of the corpus itself."""
        self.write("capitals.txt", [[word.upper() for word in line] for line in sentences()])
        path, command = self.analyze("--delays", "4", "--lyapunov", "none")
        program("analyze", "m.safetensors", "capitals.txt", "-o", "capitals.nc", "-q", "--delays", "4", "--lyapunov", "none", "--lowercase", cwd=self.folder)
        for name in ("singular_value", "mean_gradient", "state_change"):
            np.testing.assert_array_equal(*(sg.open(self.folder / f)["layer1.cell"].read(name) for f in ("capitals.nc", "program.nc")))
        mine = sg.analyze(model(), self.folder / "capitals.txt", lowercase=True, delays=4, lyapunov="none", command=command)
        self.assertTrue((mine["layer1.cell"].read("mean_gradient") == sg.open(path)["layer1.cell"].read("mean_gradient")).all())
        want = sg.evaluate(model(), sentences())
        self.assertEqual(sg.evaluate(model(), [[word.upper() for word in line] for line in sentences()], lowercase=True), want)
        said = json.loads(program("eval", "m.safetensors", "capitals.txt", "--lowercase", "--json", cwd=self.folder))
        self.assertAlmostEqual(said["perplexity"], want.perplexity, places=6)
        self.assertGreater(sg.evaluate(model(), self.folder / "capitals.txt").unknown_tokens, 0)

    def test_words_for_unknown_ones_and_line_ends(self):
        """Chosen by --unk and --eos: the perplexity of the corpus in which those words are written."""
        lines = [[*line, "zebra"] for line in sentences(40, 4)]
        odd = self.write("odd.txt", lines)
        none = self.write("none.txt", [["dog" if w == "zebra" else w for w in line] for line in lines])
        ends = self.write("ends.txt", [[w for line in lines for w in [*("dog" if w == "zebra" else w for w in line), "today"]]])

        def perplexity(path, *options):
            return json.loads(program("eval", "m.safetensors", path, *options, "--json", cwd=self.folder))["perplexity"]
        self.assertEqual(perplexity(odd, "--unk", "dog"), perplexity(none))
        self.assertEqual(perplexity(odd, "--unk", "dog", "--eos", "none"), perplexity(none, "--no-eos"))
        self.assertEqual(perplexity(odd, "--unk", "dog", "--eos", "today"), perplexity(ends, "--no-eos"))
        self.assertNotEqual(perplexity(none), perplexity(odd))
        chosen = sg.load(self.model, unk="dog", eos="today")
        chosen.save(self.folder / "chosen.safetensors")
        for m in (chosen, sg.load(self.folder / "chosen.safetensors")):
            self.assertAlmostEqual(sg.evaluate(m, odd).perplexity, perplexity(ends, "--no-eos"), places=6)
        for name in ("unk", "eos"):
            with self.assertRaisesRegex(ValueError, f"setting '{name}': 'todayy' is not among the .* words of the vocabulary; did you mean 'today'"):
                sg.load(self.model, **{name: "todayy"})

    def test_pairs_and_annotation(self):
        rows = [[(i, w, "nsubj" if i == 1 else "x") for i, w in enumerate(s, 1)] for s in sentences()]
        corpus, path = self.folder / "corpus.conllu", self.folder / "program.nc"
        corpus.write_text("".join("".join(f"{i}\t{w}\tl-{w}\tX\tX\t_\t{2 if i == 1 else 0}\t{d}\t_\t_\n" for i, w, d in s) + "\n" for s in rows))
        kind = "lemma:l-cat|lemma:l-dog-deprel:x&lemma:l-sees"
        program("analyze", "m.safetensors", "corpus.conllu", "-o", "program.nc", "-q", "--pairs", "subject-verb", "--property", f"kind={kind}", "--delays", "4",
                cwd=self.folder)
        run = sg.analyze(model(), corpus, None, {"kind": kind}, pairs="subject-verb", delays=4, command=sg.open(path).attributes["command"])
        self.same(path, run)

    def test_track(self):
        path, command = self.analyze("--delays", "5")
        run = sg.track(sg.analyze(model(), self.corpus, delays=5, command=command), {"kind": (["cat"], ["sees"])})
        program("track", path, "--property", "kind=cat-sees", "-q")
        self.same(path, run)
        self.assertEqual(run.properties, ("kind",))

    def test_train(self):
        program("train", self.corpus, "--valid", self.corpus, "-o", self.folder / "t.safetensors", "-q", "--cell", "gru",
                "--embedding-size", "4", "--hidden-size", "5", "--layers", "2", "--epochs", "2", "--steps", "8", "--batch", "3",
                "--optimizer", "sgd", "--threads", "1")
        mine = sg.train(self.corpus, self.corpus, cell="gru", embedding_size=4, hidden_size=5, layers=2, epochs=2, steps=8, batch=3,
                        optimizer="sgd", threads=1)
        mine.save(self.folder / "mine.safetensors")
        self.assertEqual((self.folder / "mine.safetensors").read_bytes(), (self.folder / "t.safetensors").read_bytes())
        self.assertEqual(mine.train_result.epochs, 2)

    def test_evaluate(self):
        for handling in ("carry", "reset"):
            its = json.loads(program("eval", self.model, self.corpus, "--json", "--state-handling", handling))
            self.assertEqual(sg.evaluate(model(), self.corpus, state_handling=handling)._asdict(), its)
            self.assertEqual(sg.evaluate(model(), sentences(), state_handling=handling)._asdict(), its)

    def test_show(self):
        text = "the keys has a fish"
        its = json.loads(program("show", self.model, "--text", text, "--contrast", "cat/dog", "--replace", "3", "--units", "2,0", "--json"))
        mine = sg.show(model(), text, contrast="cat/dog", replace=3, units=np.array([2, 0]))
        self.assertEqual(mine.data, its)
        self.assertEqual(str(mine), program("show", self.model, "--text", text, "--contrast", "cat/dog", "--replace", "3", "--units", "2,0"))
        self.assertEqual(mine.gain[3, 1], its["sentences"][0]["gain_frobenius"][3][1])
        self.assertTrue(np.isnan(mine.gain[1, 3]))
        self.assertIn("<iframe srcdoc=", mine._repr_html_())
        with self.assertRaisesRegex(KeyError, "'score_effect': the sentence has gain_frobenius, .*need target or contrast"):
            sg.show(model(), text).matrix("score_effect")

    def test_check(self):
        its = json.loads(program("check", self.model, "--steps", "12", "--delays", "6", "--json"))
        mine = sg.check(model(), steps=12, delays=6)
        self.assertTrue(mine and its["pass"])
        self.assertEqual(len(mine.rows), len(its["results"]))
        for a, b in zip(mine.rows, its["results"]):
            self.assertEqual((a.test, a.layer, a.state, a.at_step, a.at_delay), (b["test"], b["layer"], b["state"], b["at_step"],
                                                                                b["at_delay"]))
            self.assertAlmostEqual(a.largest_relative_difference, b["largest_relative_difference"], delta=1e-2 * b["limit"])
        self.assertEqual(mine.growth, its["growth"]["verdict"])

    def test_every_setting_of_the_program_is_a_keyword(self):
        for command, function, table, least, text in (("analyze", sg.analyze, _settings.OF_ANALYSIS, 20, "exclude words read fewer than B steps after a zero state"),
                                                      ("train", sg.train, _settings.OF_TRAINING, 15, "dropout rate on embeddings and layer outputs")):
            options = set(re.findall(r"--([a-z-]+)", program(command, "--help")))
            names = {_base.from_c(row.name) for row in table}
            self.assertGreater(len(names), least)
            self.assertEqual({n.replace("_", "-") for n in names} - options, set())
            self.assertLess(names, set(function.__signature__.parameters))
            self.assertIn(text, function.__doc__)

    def test_every_public_function_is_bound(self):
        headers = "".join(h.read_text() for h in (SOURCE / "include/stategrad").glob("*.h"))
        declared = set(re.findall(r"SG_API[^;(]*?\b(sg_\w+)\(", headers))
        self.assertGreater(len(declared), 100)
        self.assertEqual(declared - set(dir(_base.lib)), set())


if __name__ == "__main__":
    unittest.main()
