# SPDX-License-Identifier: MIT
"""Figures: what is drawn are the numbers of the run, in the report's colours."""
import re
import subprocess
import unittest
import unittest.mock
import warnings
import xml.etree.ElementTree

import numpy as np
from common import NOUNS, QUICK, SOURCE, VERBS, InFolder, model, python, sentences
from matplotlib import colors, image, pyplot

import stategrad as sg
from stategrad import _figure


class Figures(InFolder):
    @classmethod
    def setUpClass(cls):
        cls.run_ = sg.analyze(model(), sentences(), {"noun": NOUNS, "verb": VERBS, "a$b$": ["the"]}, {"kind": "noun-verb", "x": "cat-dog"},
                              delays=9, state="both", baseline="untrained", lyapunov="none", threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.run_.close()

    def lines(self, ax):
        return {line.get_label().replace("\\", ""): line for line in ax.lines}

    def same(self, drawn, expected):
        self.assertTrue(np.isfinite(expected).any())
        np.testing.assert_array_equal(np.ma.filled(np.asanyarray(drawn, float), np.nan), expected)

    def test_decay(self):
        for group, quantity, at, columns in (("layer1.cell", "rms_gain", slice(0, 9), 1), ("layer1.hidden", "coherence", slice(0, 4), 2)):
            figure = self.run_.figure("decay", quantity=quantity, group=group, delays=at.stop, columns=columns)
            ax, (state, base) = figure.axes[0], (self.run_[g] for g in (group, f"untrained.{group}"))
            lines = self.lines(ax)
            self.assertEqual(len(ax.collections), 4) # a band each
            for c, name in enumerate(self.run_.classes):
                value, low, high = (state.read(quantity + end)[c].reshape(9, -1)[at, 0] for end in ("", "_low", "_high"))
                np.testing.assert_array_equal(lines[name].get_xdata(), np.arange(at.stop))
                self.same(lines[name].get_ydata(), value)
                band = ax.collections[c].get_paths()
                drawn = {tuple(v) for path in band for v in path.vertices}
                for d in np.flatnonzero(np.isfinite(low + high)):
                    self.assertTrue({(d, low[d]), (d, high[d])} <= drawn, (name, d))
                self.assertEqual(colors.to_hex(ax.collections[c].get_facecolor()[0]), colors.to_hex(lines[name].get_color()))
            dashed = next(line for label, line in lines.items() if "untrained" in label)
            factor = dashed.get_ydata()[0] / base.read(quantity)[0].reshape(9, -1)[0, 0]
            np.testing.assert_allclose(dashed.get_ydata(), factor * base.read(quantity)[0].reshape(9, -1)[at, 0])
            label = dashed.get_label()
            self.assertEqual(label, f"untrained × {factor:.3g}" if factor > 1 else "all, untrained")
            self.assertEqual(ax.get_yscale(), "log" if quantity == "rms_gain" else "linear")
            low, high = ax.get_ylim()
            shown = np.concatenate([line.get_ydata() for name, line in lines.items() if "untrained" not in name])
            self.assertTrue(low <= np.nanmin(shown) and np.nanmax(shown) <= high)
            self.assertAlmostEqual(figure.get_figwidth(), {1: 3.35, 2: 7.0}[columns])

    def test_bands_are_cut_only_near_0(self):
        read, least = sg.State.read, np.nanmin(self.run_.curve("noun", "rms_gain").value)
        for share, end in ((0.3, 0.3), (0.001, 0.1)):
            def wide(state, name, *more):
                return share * read(state, name[:-4], *more) if name.endswith("_low") else read(state, name, *more)
            with unittest.mock.patch.object(sg.State, "read", wide):
                low, high = self.run_.figure(classes="noun").axes[0].get_ylim()
            self.assertTrue(0.8 * end * least < low < end * least, (share, low))
            self.assertGreater(high, np.nanmax(self.run_.curve("noun", "rms_gain").high))

    def test_the_run_is_not_overwritten(self):
        self.run_.save(self.folder / "run.pdf")
        with sg.open(self.folder / "run.pdf") as run, self.assertRaisesRegex(ValueError, "is read, and cannot be the output too"):
            run.figure(path=run.path)

    def test_numbers_of_numpy_and_ranges(self):
        for delays, shown in ((np.int64(3), 3), (np.int32(3), 3), (range(3), 3), (np.arange(3), 3), (range(1, 9, 4), 2)):
            self.assertEqual(len(self.lines(self.run_.figure(delays=delays, columns=np.int64(2)).axes[0])["all"].get_xdata()), shown)
        for delays in (np.int64(0), True, np.float64(3), range(0), range(3, 12)):
            with self.assertRaisesRegex(ValueError, "figure: delays: expected 1 to 9"):
                self.run_.figure(delays=delays)

    def test_chosen_classes_and_delays_keep_their_colours(self):
        every = self.lines(self.run_.figure().axes[0])
        some = self.lines(self.run_.figure("decay", classes=["verb", "noun"], delays=[1, 2, 5]).axes[0])
        self.assertEqual(list(some), ["verb", "noun"])
        for name, line in some.items():
            self.assertEqual((line.get_color(), line.get_marker()), (every[name].get_color(), every[name].get_marker()))
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 5])
            self.same(line.get_ydata(), self.run_.curve(name).value[[1, 2, 5]])
        script = (SOURCE / "report/charts.js").read_text()
        light = re.findall(r"#\w{6}", re.search(r"light: \[(.*?)\]", script)[1])
        self.assertEqual(list(_figure.COLOURS), light)
        self.assertEqual([line.get_color() for line in every.values()][:4], ["#111111", *light[:3]])

    def test_classes(self):
        read, state = sg.State.read, self.run_["layer1.cell"]

        def with_q(state, name, *more): # the words of this text are too few for a test
            x = read(state, name, *more)
            return np.resize([0.01, 0.2, 0.049, 0.051, np.nan, 1, 0.03], x.shape) if name == "p_types_adjusted" else x
        with unittest.mock.patch.object(sg.State, "read", with_q):
            ax, bar = self.run_.figure("classes").axes
            q = state.read("p_types_adjusted")[1:]
        ratio = state.read("gain_ratio")[1:]
        self.same(ax.collections[0].get_array().reshape(3, 9), np.where(ratio > 0, ratio, np.nan))
        dots = {tuple(p) for p in np.transpose(ax.lines[0].get_data())}
        self.assertEqual(dots, {(d, c) for c, d in np.argwhere(q < 0.05)})
        self.assertGreater(len(dots), 5)
        self.assertEqual([t.get_text().replace("\\", "") for t in ax.get_yticklabels()], list(self.run_.classes[1:]))
        norm = ax.collections[0].norm
        self.assertAlmostEqual(norm.vmin * norm.vmax, 1)
        self.assertTrue(np.nanmax(ratio) <= norm.vmax)
        self.assertIn("all", bar.get_ylabel())

    def test_spectrum(self):
        ax = self.run_.figure("spectrum", classes="noun", delays=[0, 1, 4]).axes[0]
        sigma = self.run_["layer1.cell"].read("singular_value")[2 - 1][[0, 1, 4]].T
        self.same(ax.collections[0].get_array().reshape(sigma.shape), sigma)
        self.assertLess(ax.get_ylim()[1], ax.get_ylim()[0]) # the strongest above

    def test_properties(self):
        ax = self.run_.figure("properties", classes="noun", properties=["x", "kind"]).axes[0]
        state, lines = self.run_["layer1.cell"], self.lines(ax)
        for name, p in (("kind", 0), ("x", 1)):
            self.same(lines[name].get_ydata(), state.read("property_gain")[p, 1])
        grey = ax.collections[-1].get_paths()[0].vertices[:, 1]
        for end in ("low", "high"):
            self.assertTrue(set(state.read(f"property_gain_random_{end}")[1, 1]) <= set(grey), end)

    def test_delays_are_counted_in_the_units_of_the_model(self):
        text = self.folder / "text"
        text.write_text("abba\n" * 40)
        of_characters = sg.train(text, unit="char", embedding_size=3, hidden_size=4, epochs=1, steps=10, batch=2)
        with sg.analyze(of_characters, text, {"a": ["a"]}, {"x": "a-b"}, **QUICK) as run:
            for kind in set(_figure.KINDS) - {"words"}:
                self.assertEqual(run.figure(kind).axes[0].get_xlabel(), "delay d (characters)", kind)
                self.assertEqual(self.run_.figure(kind).axes[0].get_xlabel(), "delay d (words)", kind)

    def test_words(self):
        for given, name, delay in (({}, "all", 1), ({"classes": "noun", "delays": [4]}, "noun", 4)):
            ax = self.run_.figure("words", **given).axes[0]
            (direction,) = self.run_.words(name, delay, directions=1, top=8).data["directions"]
            expected = direction["positive"] + direction["negative"][::-1]
            self.assertEqual([t.get_text() for t in ax.get_yticklabels()], [word["word"] for word in expected])
            self.assertEqual([bar.get_width() for bar in ax.patches], [word["projection"] for word in expected])
            of_end = [0] * len(direction["positive"]) + [1] * len(direction["negative"])
            self.assertEqual([colors.to_hex(bar.get_facecolor()).upper() for bar in ax.patches], [_figure.COLOURS[end] for end in of_end])
            self.assertIn(f"delay {delay}", ax.get_xlabel())
        self.assertGreater(ax.get_ylim()[0], ax.get_ylim()[1]) # the first above

    def test_a_second_run_is_drawn_into_a_figure(self):
        ax = self.run_.figure("decay", classes="all").axes[0]
        before = ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim(), [t.get_text() for t in ax.get_yticklabels()]
        size = ax.get_legend().get_texts()[0].get_fontsize()
        self.run_.curve("noun").plot(ax, label="second")
        self.assertEqual((ax.get_xlabel(), ax.get_ylabel(), ax.get_ylim(), [t.get_text() for t in ax.get_yticklabels()]), before)
        said = ax.get_legend().get_texts()
        self.assertEqual(said[-1].get_text(), "second")
        self.assertEqual({t.get_fontsize() for t in said}, {size})

    def test_the_label_of_each_property_quantity_fits(self):
        for quantity in ("property_gain", "relative_memory", "subspace_cosine"):
            figure = self.run_.figure("properties", quantity=quantity)
            figure.canvas.draw()
            box = figure.axes[0].yaxis.label.get_window_extent()
            self.assertTrue(box.y0 >= 0 and box.y1 <= figure.bbox.y1, quantity)

    def test_files(self):
        for kind in _figure.KINDS:
            for suffix in ("pdf", "svg", "png"):
                path = self.folder / f"{kind}.{suffix}"
                with warnings.catch_warnings():
                    warnings.simplefilter("error") # no glyph is missing, nothing overlaps
                    self.run_.figure(kind, path=path)
                if (kind, suffix) in (("decay", "pdf"), ("classes", "svg"), ("properties", "png")): # the same bytes again
                    first = path.read_bytes()
                    self.run_.figure(kind, path=path)
                    self.assertEqual(path.read_bytes(), first)
            text = subprocess.run(["pdftotext", self.folder / f"{kind}.pdf", "-"], capture_output=True, text=True, check=True).stdout
            drawing = "".join(xml.etree.ElementTree.parse(self.folder / f"{kind}.svg").getroot().itertext())
            for said in (text, drawing):
                self.assertIn("delay 1" if kind == "words" else "delay d (words)", said)
                for name in {"decay": ("noun", "a$b$"), "classes": ("verb", "a$b$"), "spectrum": ("direction",), "properties": ("kind",),
                             "words": ("standard deviations",)}[kind]:
                    self.assertIn(name, said)
            pixels = image.imread(self.folder / f"{kind}.png")
            self.assertEqual(pixels.shape[1], int(3.35 * 300))
            self.assertGreater(len(np.unique(pixels[::4] @ [1, 10, 100, 1000])), 20) # colours
        self.assertEqual(pyplot.get_fignums(), [])
        self.assertFalse(list(self.folder.glob(".stategrad*")))

    def test_bad_input(self):
        for arguments, more, text in ((["bar"], {}, "expected decay, classes"), ([], {"columns": 3}, "columns: found 3, expected 1 to 2"), ([], {"delays": 10}, "1 to 9"),
                                      ([], {"delays": [3, 2]}, "ascending"), ([], {"delays": [9]}, "0 to 8"), ([], {"delays": 0}, "found 0"),
                                      ([], {"classes": "x"}, "the run has all, noun"), ([], {"classes": ["noun", "noun"]}, "twice"),
                                      (["spectrum"], {"classes": ["noun", "verb"]}, "one class"), (["spectrum"], {"quantity": "rms_gain"}, "of decay"),
                                      (["words"], {"delays": 3}, "one delay, such as"), (["words"], {"classes": ["noun", "verb"]}, "one class"),
                                      (["decay"], {"properties": "x"}, "of properties"), ([], {"quantity": "pairz"}, "not a quantity"),
                                      ([], {"group": "layer2.cell"}, "the run has layer1"), ([], {"path": "x.gif"}, "ends in .pdf"),
                                      (["properties"], {"properties": "z"}, "the run has kind, x")):
            with self.subTest(text), self.assertRaisesRegex(ValueError, text):
                self.run_.figure(*arguments, **more)
        with self.assertRaises(OSError):
            self.run_.figure(path="/no/such/folder/x.pdf")
        with sg.analyze(model(), sentences(40), **QUICK) as small:
            for kind, text in (("classes", "with classes"), ("properties", "no properties")):
                with self.assertRaisesRegex(ValueError, text):
                    small.figure(kind)
            small.figure("decay")

    def test_without_matplotlib(self):
        python("import sys\nsys.modules['matplotlib'] = None\nimport stategrad as sg\nfrom common import *\n"
               "run = sg.analyze(model(), sentences(40), **QUICK)\n"
               "try: run.figure()\nexcept ImportError: pass\nelse: raise AssertionError('no matplotlib')")


if __name__ == "__main__":
    unittest.main()
