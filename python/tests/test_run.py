# SPDX-License-Identifier: MIT
"""Runs: what is read is what another reader of the file finds."""
import pathlib
import unittest
import warnings

import netCDF4
import numpy as np
import xarray
from common import NOUNS, QUICK, VERBS, InFolder, model, python, sentences

import stategrad as sg


class Runs(InFolder):
    @classmethod
    def setUpClass(cls):
        cls.run_ = sg.analyze(model(), sentences(), {"noun": NOUNS, "verb": VERBS}, {"kind": "noun-verb"}, delays=6, state="both",
                              baseline="untrained")

    def test_a_curve_that_needs_more(self):
        for given, text in ((("noun", "relative_memory"), "is of a property: give property=; the run has kind"), (("noun", "rms_gian"), "did you mean 'rms_gain'"),
                            (("nuon",), "class 'nuon': the run has all, noun, verb .did you mean 'noun'")):
            with self.assertRaisesRegex(ValueError, text):
                self.run_.curve(*given)
        self.assertEqual(len(self.run_.curve("noun", "relative_memory", property="kind").value), 6)

    def test_values_are_those_of_the_file(self):
        path = self.folder / "run.nc"
        self.run_.save(path)
        self.assertEqual(self.run_.groups, ("layer1.cell", "layer1.hidden", "untrained.layer1.cell", "untrained.layer1.hidden"))
        with netCDF4.Dataset(path) as whole:
            whole.set_auto_mask(False)
            for group in (*self.run_.groups, None):
                mine, its = (self.run_.root, whole) if group is None else (self.run_[group], whole[group])
                self.assertEqual(set(mine.variables), set(its.variables))
                for name, variable in its.variables.items():
                    with self.subTest(group=group, variable=name):
                        self.assertEqual(mine.dims(name), variable.dimensions)
                        values = variable[:]
                        if variable.dtype is str:
                            self.assertEqual(list(mine.read(name)), list(values))
                        else:
                            np.testing.assert_array_equal(mine.read(name), values.astype(float))
                        self.assertEqual(mine.attributes(name), {k: str(variable.getncattr(k)) for k in variable.ncattrs()
                                                                 if k in ("long_name", "units", "missing_reason")})
        with xarray.open_dataset(path, group="layer1.cell") as its: # labels without us, too
            np.testing.assert_array_equal(its.singular_value.sel({"class": "noun"}), self.run_["layer1.cell"].read("singular_value")[1])

    def test_labelled(self):
        sigma = self.run_["layer1.cell"].singular_value
        self.assertEqual(sigma.dims, ("class", "delay", "rank"))
        whole = self.run_["layer1.cell"].read("singular_value")
        np.testing.assert_array_equal(sigma.sel({"class": "noun"}).values, whole[1])
        np.testing.assert_array_equal(sigma.sel({"class": "verb", "delay": 3}).values, whole[2, 3])
        self.assertTrue(sigma.attrs["long_name"])
        self.assertEqual(self.run_["layer1.cell"].relative_memory.sel(property="kind").dims, ("class", "delay"))
        data = self.run_.to_xarray()
        np.testing.assert_array_equal(data.singular_value.sel({"class": "noun"}), whole[1])
        self.assertEqual(data.attrs["group"], "layer1.cell")
        self.assertEqual(set(self.run_.to_xarray("layer1.hidden", ["pairs"]).data_vars), {"pairs"})
        np.testing.assert_array_equal(self.run_["layer1.cell"].read("singular_value", (1, 2, 0), (1, 3, 1))[0, :, 0], whole[1, 2:5, 0])
        self.assertIn("singular_value", dir(self.run_["layer1.cell"]))

    def test_names(self):
        """A run is iterated as a dict of its states, a state as one of its variables."""
        state = self.run_["layer1.cell"]
        self.assertEqual((tuple(self.run_), tuple(state)), (self.run_.groups, state.variables))
        for there, name, expected in ((self.run_, "layer1.cell", True), (self.run_, "layer2.cell", False), (self.run_, 0, False), (state, "rms_gain", True),
                                      (state, "rms_gian", False), (state, np.zeros(2), False)):
            self.assertEqual(name in there, expected)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for read in (state.__getitem__, state.read, state.dims, state.shape, state.attributes, self.run_.__getitem__):
                for name in ("rms_gian", np.zeros((2, 2)), 0):
                    with self.assertRaisesRegex(KeyError, "did you mean 'rms_gain'" if str(name) == "rms_gian" and read != self.run_.__getitem__ else "has"):
                        read(name)
            for quantity in (np.zeros((2, 2)), None, "mean_gradient"):
                with self.assertRaisesRegex(ValueError, "not a quantity over the delays of layer1.cell$"):
                    self.run_.curve(quantity=quantity)

    def test_curve(self):
        curve = self.run_.curve("noun", "singular_value")
        np.testing.assert_array_equal(curve.value, self.run_["layer1.cell"].read("singular_value")[1, :, 0])
        np.testing.assert_array_equal(curve.low, self.run_["layer1.cell"].read("singular_value_low")[1, :, 0])
        memory = self.run_.curve("all", "relative_memory", property="kind")
        np.testing.assert_array_equal(memory.value, self.run_["layer1.cell"].read("relative_memory")[0, 0])
        from matplotlib import pyplot
        figure, ax = pyplot.subplots()
        self.assertIs(curve.plot(ax), ax)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), curve.value)
        band = ax.collections[0].get_paths()[0].vertices
        self.assertTrue(set(curve.high[np.isfinite(curve.high)]) <= set(band[:, 1]))
        self.run_.curve("verb").plot(ax)
        self.assertEqual([text.get_text() for text in ax.get_legend().get_texts()], ["noun", "verb"])
        pyplot.close(figure)
        for wrong, text in (({"class_name": "adverb"}, "all, noun, verb"), ({"quantity": "pairz"}, "not a quantity"),
                            ({"quantity": "mean_gradient"}, "not a quantity"), ({"quantity": "relative_memory"}, "the run has kind")):
            with self.assertRaisesRegex(ValueError, text):
                self.run_.curve(**wrong)

    def test_outputs(self):
        self.run_.report(self.folder / "report.html")
        page = (self.folder / "report.html").read_text()
        self.assertIn("<html", page)
        self.assertNotIn("/tmp", page.split("</script>")[-1])
        self.run_.csv(self.folder / "run.csv")
        self.assertIn("state,class,delay,quantity,value,low,high", (self.folder / "run.csv").read_text())
        with sg.analyze(model(), sentences(), output=self.folder / "o.nc", **QUICK) as run:
            run.save(self.folder / "o.nc") # itself
            first = run["layer1.cell"].read("singular_value")
        with sg.open(self.folder / "o.nc") as run:
            np.testing.assert_array_equal(run["layer1.cell"].read("singular_value"), first)
        self.assertTrue((self.folder / "o.nc").exists())

    def test_another_file_in_its_place(self):
        """A run that is written to the same path does not pass for the one that was opened."""
        path, other = self.folder / "r.nc", self.folder / "other.nc"
        with sg.analyze(model(), sentences(60), output=path, **QUICK) as run:
            before = run["layer1.cell"].read("mean_gradient")
            sg.analyze(model(), sentences(40), output=path, **QUICK).close()
            np.testing.assert_array_equal(run["layer1.cell"].read("mean_gradient"), before) # still its own
            for function in (run.save, run.csv, lambda p: sg.track(run, {"x": "cat-dog"}, output=p)):
                with self.assertRaisesRegex(ValueError, "r.nc: the file was changed or replaced after the run was opened"):
                    function(other)
            self.assertFalse(other.exists())

    def test_a_temporary_file_goes_with_its_run(self):
        run = sg.analyze(model(), sentences(), **QUICK)
        state, path = run["layer1.cell"], pathlib.Path(run.path)
        del run
        self.assertTrue(path.exists()) # the state holds the run
        self.assertEqual(state.read("pairs").shape, (1, 5))
        del state
        self.assertFalse(path.parent.exists())
        said = python("import stategrad as sg\nfrom common import *\nrun = sg.analyze(model(), sentences(), **QUICK)\nprint(run.path)")
        self.assertFalse(pathlib.Path(said.strip()).parent.exists())

    def test_nothing_is_imported_that_is_not_used(self):
        python("import sys\nimport stategrad as sg\nfrom common import *\n"
               "run = sg.analyze(model(), sentences(), progress=lambda p: None, **QUICK)\nrun.curve()\nrun.save('/dev/null/x') if 0 else None\n"
               "found = {'torch', 'xarray', 'tqdm', 'matplotlib', 'pandas', 'netCDF4'} & set(sys.modules)\nassert not found, found")

    def test_without_xarray_results_are_arrays(self):
        python("import sys\nsys.modules['xarray'] = None\nimport stategrad as sg, numpy as np\nfrom common import *\n"
               "run = sg.analyze(model(), sentences(), **QUICK)\n"
               "assert isinstance(run['layer1.cell'].singular_value, np.ndarray)\n"
               "try: run.to_xarray()\nexcept ImportError: pass\nelse: raise AssertionError('no xarray')")


if __name__ == "__main__":
    unittest.main()
