# SPDX-License-Identifier: MIT
"""Every command of the program has its function, with its options: merge, words, synth, info, report against the program."""
import inspect
import json
import re
import unittest

from common import NOUNS, QUICK, VERBS, InFolder, model, program, sentences

import stategrad as sg
from stategrad import _base, _model

FUNCTIONS = {"eval": "evaluate", "import": "load"} # the others have the program's name
# Of the program alone: where results go, and how they are printed.
PRINTED = {"output", "quiet", "json", "ascii", "csv", "csv-style", "items", "words", "estimate", "help", "width", "color", "html"}
# Options that are arguments of another name.
ARGUMENTS = {"class": "class_name", "property": "properties", "group": "groups", "no-eos": "eos", "inputs": "tokens"}
STRUCTS = {"train": "sg_train_config", "check": "sg_check_config", "words": "sg_words_config", "synth": "sg_synth_config"}


class Commands(InFolder):
    def setUp(self):
        super().setUp()
        self.corpus = self.write("corpus.txt", sentences())
        self.model = self.folder / "m.safetensors"
        model().save(self.model)

    def run_file(self, name="run.nc", **more):
        path = self.folder / name
        sg.analyze(model(), self.corpus, output=path, **{**QUICK, **more}).close()
        return path

    def test_every_command_has_its_function(self):
        commands = re.findall(r"^  ([a-z]+) ", program("--help"), re.M)
        self.assertGreater(len(commands), 10)
        for command in commands:
            if command in ("help", "stategrad", "cluster"): # stategrad begins the examples; cluster writes a script that runs the program
                continue
            name = FUNCTIONS.get(command, command)
            self.assertIn(name, sg.__all__)
            parameters = set(inspect.signature(getattr(sg, name)).parameters)
            if command in STRUCTS:
                parameters |= {field for field, _ in _base.ffi.typeof(STRUCTS[command]).fields}
            parameters |= set(inspect.signature(_model._import_config).parameters) | {"vocab"} # of load, which reads the model for all
            options = set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", program(command, "--help").split("Options:")[1], re.M)) - PRINTED
            arguments = {**ARGUMENTS, **({"text": "sentence"} if command == "show" else {"log": "log_path"})}
            self.assertTrue(options, command)
            missing = {o for o in options if arguments.get(o, o).replace("-", "_") not in parameters}
            with self.subTest(command):
                self.assertEqual(missing, set())

    def test_merge(self):
        parts = []
        for i in range(2):
            parts.append(self.folder / f"part{i}.nc")
            program("analyze", self.model, self.corpus, "-o", parts[-1], "-q", "--part", f"{i + 1}/2", "--delays", "5")
        program("merge", *parts, "-o", self.folder / "its.nc", "-q")
        run = sg.merge(parts[::-1])
        run.save(self.folder / "mine.nc")
        self.assertEqual((self.folder / "mine.nc").read_bytes(), (self.folder / "its.nc").read_bytes())
        for given, text in ((parts[:1], "part"), ([], "expected the files"), ("part.nc", "expected the files"), (parts + parts[:1], "part0.nc")):
            with self.assertRaisesRegex(ValueError, text):
                sg.merge(given)
        with self.assertRaises(OSError):
            sg.merge(["no", "such"])
        for i, part in enumerate(("1/2", (2, 2))):
            path = self.folder / f"own{i}.nc"
            command = run.attributes["command"]
            self.assertEqual(sg.analyze(sg.load(self.model), self.corpus, part=part, output=path, delays=5, command=command), path)
            self.assertEqual(path.read_bytes(), parts[i].read_bytes())
        for part, more, text in (("1/2", {}, "a part needs output"), ("3/2", {"output": path}, "setting 'part'"), (7, {"output": path}, "setting 'part'")):
            with self.assertRaisesRegex(ValueError, text):
                sg.analyze(model(), self.corpus, part=part, **more)
        with self.assertRaisesRegex(ValueError, "setting 'part'"):
            sg.Accumulator([0, 1], {"layer1.cell": 2}, [[1, 2], [3, 4]], part="1/2", delays=2)

    def test_words(self):
        groups = self.write("groups.txt", [["noun:", *NOUNS], ["verb:", *VERBS]])
        path = self.run_file(classes=f"words:{groups}", properties={"kind": "noun-verb"}, state="both")
        for options, more in (((), {}), (("--class", "noun", "--delay", "2", "--top", "3", "-k", "2", "--state", "hidden", "--min-count", "5"),
                                         {"class_name": "noun", "delay": 2, "top": 3, "directions": 2, "state": "hidden", "min_count": 5})):
            mine = sg.words(path, **more)
            self.assertEqual(str(mine), program("words", path, *options))
            self.assertEqual(mine.data, json.loads(program("words", path, *options, "--json")))
        with sg.open(path) as run:
            self.assertEqual(run.words("noun", 2, top=3).data, sg.words(run, "noun", 2, top=3).data)
            for more, text in (({"class_name": "adverb"}, "all, noun, verb"), ({"delay": 5}, "0 to 4"), ({"state": "x"}, "layer1.cell"),
                               ({"layer": 2}, "layer 2")):
                with self.assertRaisesRegex(ValueError, text):
                    sg.words(run, **more)
            self.assertEqual(run.words(group="layer1.hidden").data, json.loads(program("words", path, "--state", "hidden", "--json")))
            for more, text in (({"group": "layer2.cell"}, "found group 'layer2.cell'"), ({"group": "layer1.cell", "layer": 1}, "a group, or state and layer")):
                with self.assertRaisesRegex(ValueError, text):
                    run.words(**more)
            for name in ("class_index", "struct_size"):
                with self.assertRaisesRegex(TypeError, f"no setting '{name}'"):
                    run.words(**{name: 1})
            with self.assertRaisesRegex(TypeError, "'tops'"):
                sg.words(run, tops=3)

    def test_import_with_a_text(self):
        said = program("import", self.model, "-o", self.folder / "own", "--text", self.corpus)
        for text in (self.corpus, sentences()):
            its = sg.load(self.model, text=text).evaluation
            self.assertIn(f"perplexity {its.perplexity:.2f}, {its.nats_per_token:.4f} nats per token", said)

    def test_log_of_training(self):
        more = {"embedding_size": 3, "hidden_size": 4, "epochs": 2, "steps": 10, "batch": 4}
        sg.train(sentences(), log=self.folder / "log", **more)
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        self.assertEqual([line["epoch"] for line in lines], [1, 2])
        with self.assertRaisesRegex(TypeError, "no setting 'log_path'.* log;"):
            sg.train(sentences(), log_path=self.folder / "log", **more)

    def test_synth(self):
        program("synth", "-o", self.folder / "its", "--tokens", "500", "--seed", "4", "-q")
        mine = sg.synth(self.folder / "mine", tokens=500, seed=4)
        self.assertEqual(set(mine), {p.name for p in (self.folder / "its").iterdir()})
        for kind, folder in mine.items():
            for path in (self.folder / "its" / kind).iterdir():
                self.assertEqual((folder / path.name).read_bytes(), path.read_bytes())
        self.assertEqual(sg.synth(self.folder / "one", "copy", tokens=500), {"copy": self.folder / "one" / "copy"})
        with self.assertRaisesRegex(ValueError, "expected copy, .*or "):
            sg.synth(self.folder, "x")
        with self.assertRaisesRegex(ValueError, "100"):
            sg.synth(self.folder, tokens=5)
        with self.assertRaises(OSError):
            sg.synth(self.corpus)

    def test_info(self):
        for path in (self.model, self.run_file(properties={"kind": "cat-dog"})):
            self.assertEqual(sg.info(path), json.loads(program("info", path, "--json")))
        with self.assertRaises(OSError):
            sg.info("no/such")
        with self.assertRaises(TypeError):
            sg.info(self.model, colour=1)

    def test_report(self):
        a, b = self.run_file("a.nc"), self.run_file("b.nc", delays=4)
        program("report", a, b, "-o", self.folder / "its.html")
        with sg.open(a) as run:
            sg.report([run, b], self.folder / "mine.html")
            sg.report(run, self.folder / "one.html")
            run.report(self.folder / "own.html")
        self.assertEqual((self.folder / "mine.html").read_bytes(), (self.folder / "its.html").read_bytes())
        self.assertEqual((self.folder / "one.html").read_bytes(), (self.folder / "own.html").read_bytes())
        other = sg.train(sentences(), embedding_size=5, hidden_size=6, epochs=1, steps=10, batch=4, seed=5)
        c = self.folder / "c.nc"
        sg.analyze(other, self.corpus, output=c, **QUICK).close()
        program("report", "--group", f"lstm={a},{c}", "-o", self.folder / "its.html")
        sg.report(path=self.folder / "mine.html", groups={"lstm": [a, c]})
        self.assertEqual((self.folder / "mine.html").read_bytes(), (self.folder / "its.html").read_bytes())
        for arguments, more, text in ((["x"], {}, "nothing to write"), (["x", self.folder / "x.html"], {"groups": {"g": [a]}}, "two runs or more"),
                                      ([[], self.folder / "x.html"], {}, "report"), ([[], self.folder / "x"], {"groups": {"g": [a, a]}}, "model")):
            with self.subTest(text), self.assertRaisesRegex(ValueError, text):
                sg.report(*arguments, **more)


if __name__ == "__main__":
    unittest.main()
