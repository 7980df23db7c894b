# SPDX-License-Identifier: MIT
"""Examples in Python: models that the library does not know, trained in the example, against central differences."""
import contextlib
import importlib.util
import io
import sys
import unittest
import unittest.mock

import numpy as np
import torch
from common import QUICK, SOURCE, InFolder

PATH = SOURCE / "examples" / "own_recurrence.py"


def example():
    spec = importlib.util.spec_from_file_location("own_recurrence", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def mean_by_differences(model, place, ids, D, eps=1e-5):
    """(D, H, E): central differences of state `place` with respect to each number of each input, the mean over pairs."""
    x = model.embedding(ids)
    T, E = x.shape
    moved = torch.eye(T * E, dtype=torch.float64).reshape(T * E, T, E) * eps
    ends = []
    for sign in (1, -1): # a text for each number of each input
        state, found = tuple(s.double().expand(T * E, *s.shape) for s in model.start()), []
        for t in range(T):
            state = model.step((x + sign * moved)[:, t], state)
            found.append(state[place].flatten(1))
        ends.append(torch.stack(found))
    change = ((ends[0] - ends[1]) / (2 * eps)).unflatten(1, (T, E)) # step, step of the input, E, H
    return np.stack([torch.stack([change[s + d, s] for s in range(T - d)]).mean(0).T.numpy() for d in range(D)])


class Examples(InFolder):
    def test_own_recurrence(self):
        own, D = example(), 6
        for kind, untrained in ((own.Mamba, 6.0), (own.SLSTM, 6.0)):
            torch.manual_seed(1)
            model = kind()
            self.assertLess(own.train(model, rounds=20), untrained) # of 9 words
            run = own.analyse(model, sentences=12, **{**QUICK, "delays": D, "replace": 20, "normalize": "none"})
            ids = own.text(12, 2)
            model = model.double()
            for name, place in model.states.items():
                mean, mine = mean_by_differences(model, place, ids, D), run[name].read("mean_gradient")[0]
                self.assertGreater(np.abs(mean[1:]).max(), 1e-3)
                error = np.abs(mine - mean).max() / np.abs(mean).max()
                self.assertTrue(error <= 1e-5, f"{kind.__name__} {name}: {error}")
                self.assertGreater(run[name].read("state_change")[0, D - 1], 0)
                self.assertTrue((run[name].read("output_kl")[0, 1] > 0).all())

    def test_it_runs_as_written(self):
        own, report, said = example(), self.folder / "r.html", io.StringIO()
        patch = unittest.mock.patch.object
        with patch(own.train, "__defaults__", (5, 16)), patch(own.analyse, "__defaults__", (12,)), patch(sys, "argv", [PATH, "slstm", str(report)]):
            with contextlib.redirect_stdout(said): # fewer rounds and sentences
                own.main()
        self.assertIn("layer1.normaliser, of nouns", said.getvalue())
        self.assertIn("<html", report.read_text(encoding="utf-8")[:400])


if __name__ == "__main__":
    unittest.main()
