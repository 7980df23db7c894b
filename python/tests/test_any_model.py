# SPDX-License-Identifier: MIT
"""Gradients from the caller's own code: the built-in analysis, and central differences, as the truth."""
import unittest

import numpy as np
import torch
from common import QUICK, InFolder
from torch import nn

import stategrad as sg

V, E, H, T, D = 9, 4, 5, 60, 6
WORDS = [f"w{i}" for i in range(V)]
SAME = {key: value for key, value in QUICK.items() if key != "delays"} | {"delays": D}


def selective(seed):
    """A selective state space, h = exp(-softplus(W x)) * h + softplus(W x) * (B x), followed by a gate that reads h."""
    torch.manual_seed(seed)
    W, B, U = (torch.randn(H, n, dtype=torch.float64) for n in (E, E, H))

    def step(x, h):
        rate = nn.functional.softplus(W @ x)
        return torch.exp(-rate) * h + rate * (B @ x) * torch.sigmoid(U @ h)
    return step


class AnyModel(InFolder):
    def setUp(self):
        super().setUp()
        torch.manual_seed(2)
        draw = np.random.default_rng(1)
        self.ids = draw.integers(0, V, T)
        self.embedding, self.cell = nn.Embedding(V, E), nn.LSTMCell(E, H)

    def lstm(self, x, state):
        h, c = self.cell(x[None], (state[0][None], state[1][None]))
        return h[0], c[0]

    def builtin(self, tokens, **more):
        model = sg.from_torch(embedding=self.embedding, rnn=self.cell, vocab=WORDS)
        return sg.analyze(model, tokens, {"odd": WORDS[1::2]}, {"p": "w1-w2"}, state="both", **{**SAME, **more})

    def test_an_lstm_by_hand_gives_the_run_of_the_built_in_one(self):
        lines = [self.ids[i:i + 7] for i in range(0, T, 7)]
        for tokens, more in ((self.ids, {}), (lines, {"state_handling": "reset"}), (self.ids, {"burn_in": 3, "state_handling": "window:20"})):
            zero = torch.zeros(H)
            mine = sg.analyze_function(self.lstm, (zero, zero), tokens, self.embedding.weight, WORDS, {"odd": WORDS[1::2]},
                                       {"p": "w1-w2"}, states={"layer1.hidden": 0, "layer1.cell": 1}, **{**SAME, **more})
            its = self.builtin(tokens, **more)
            self.assertEqual(mine.classes, its.classes)
            for group in ("layer1.cell", "layer1.hidden"):
                for name in ("pairs", "mean_gradient", "singular_value", "rms_gain", "relative_memory", "singular_value_high"):
                    a, b = mine[group].read(name), its[group].read(name)
                    with self.subTest(group=group, name=name, **more):
                        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
                        error = np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)) if not np.isnan(b).all() else 0
                        self.assertTrue(error <= 1e-5, f"{error}")

    def test_a_selective_state_space_against_central_differences(self):
        step, x = selective(3), torch.randn(T, E, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        run = sg.analyze_function(step, torch.zeros(H, dtype=torch.float64), x.float(), states={"layer1.ssm": 0}, normalize="none", **SAME)
        x = x.float().double() # as the inputs are stored
        self.assertEqual(run.groups, ("layer1.ssm",))

        def states(x):
            h, found = torch.zeros(H, dtype=torch.float64), []
            for t in range(T):
                h = step(x[t], h)
                found.append(h)
            return torch.stack(found).numpy()
        total, eps = np.zeros((D, H, E)), 1e-5
        for origin in range(T):
            for e in range(E):
                up, down = x.clone(), x.clone()
                up[origin, e] += eps
                down[origin, e] -= eps
                change = (states(up) - states(down)) / (2 * eps)
                for d in range(min(D, T - origin)):
                    total[d, :, e] += change[origin + d]
        mean = total / (T - np.arange(D))[:, None, None]
        error = np.abs(run["layer1.ssm"].read("mean_gradient")[0] - mean).max() / np.abs(mean).max()
        self.assertTrue(error <= 1e-5, f"{error}")

    def test_origins_and_steps_give_the_same(self):
        model = sg.from_torch(embedding=self.embedding, rnn=self.cell, vocab=WORDS)
        by_step = np.zeros((T, D, H, E), np.float32)
        for t in range(T):
            by_step[t] = model.gradients(self.ids[:t + 1], D)
        by_origin = np.zeros_like(by_step)
        for s in range(T):
            for d in range(min(D, T - s)):
                by_origin[s, d] = by_step[s + d, d]
        its = self.builtin(self.ids)["layer1.cell"].read("mean_gradient")[0]
        runs = []
        for arrays, method in ((by_origin, "add"), (torch.from_numpy(by_step), "add_steps")):
            with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
                for i in range(0, T, 25): # portions
                    getattr(a, method)(np.arange(i, min(i + 25, T)), arrays[i:i + 25])
                runs.append(a.finish())
        for run in runs:
            np.testing.assert_allclose(run["layer1.cell"].read("mean_gradient")[0], its, rtol=1e-5, atol=1e-7)

    def test_bad_input(self):
        def refused(pattern, *arguments, **more):
            with self.assertRaisesRegex(ValueError, pattern):
                sg.Accumulator(*arguments, **more).add([0], np.zeros((1, 50, H, E), np.float32))
        table = self.embedding.weight
        refused("token 0 is 9", [V], {"layer1.cell": H}, table)
        refused("8 words for 9|9 .*8", self.ids, {"layer1.cell": H}, table, WORDS[:-1])
        refused("name such as layer1.cell", self.ids, {"cell": H}, table)
        refused("layer", self.ids, {"layer1.cell": H}, table, layer=2)
        refused("expected gradients \\(1, 50, 6, 4\\), found \\(1, 50, 5, 4\\)", self.ids, {"layer1.cell": 6}, table)
        a = sg.Accumulator(self.ids, {"layer1.cell": H}, table, delays=2)
        G = np.zeros((1, 2, H, E), np.float32)
        for where, g, pattern in (([T], G, "origin|step"), ([-1], G, "positions"), ([0], G * np.nan, "finite|nan")):
            with self.assertRaisesRegex(ValueError, pattern):
                a.add(where, g)
        with self.assertRaisesRegex(ValueError, "2 arrays for 1"):
            a.add([0], G, G)
        a.close()
        with self.assertRaisesRegex(ValueError, "is closed"):
            a.add([0], G)
        with self.assertRaisesRegex(ValueError, "no gradient"):
            sg.Accumulator(self.ids, {"layer1.cell": H}, table).finish()
        zero = torch.zeros(H)
        with self.assertRaisesRegex(ValueError, "expected those of state0"):
            sg.analyze_function(lambda x, s: s[:2], zero, self.ids, table)
        with self.assertRaisesRegex(ValueError, "expected places 0 to 0"):
            sg.analyze_function(lambda x, s: s, zero, self.ids, table, states={"layer1.cell": 1})

        def stop(p):
            raise KeyError(p.what)
        with self.assertRaises(KeyError):
            sg.analyze_function(self.lstm, (zero, zero), self.ids, table, progress=stop)


if __name__ == "__main__":
    unittest.main()
