# SPDX-License-Identifier: MIT
"""Gradients from the caller's own code: the built-in analysis, and central differences, as the truth."""
import collections
import gc
import os
import threading
import unittest

import numpy as np
import torch
from common import QUICK, InFolder
from torch import nn

import stategrad as sg
from stategrad import _model

V, E, H, T, D = 9, 4, 5, 60, 6
WORDS = [f"w{i}" for i in range(V)]
SAME = {key: value for key, value in QUICK.items() if key != "delays"} | {"delays": D}


def selective(seed):
    """A selective state space, h = exp(-softplus(W x)) * h + softplus(W x) * (B x), followed by a gate that reads h."""
    torch.manual_seed(seed)
    W, B, U = (torch.randn(H, n, dtype=torch.float64) for n in (E, E, H))

    def step(x, h):
        rate = nn.functional.softplus(x @ W.T)
        return torch.exp(-rate) * h + rate * (x @ B.T) * torch.sigmoid(h @ U.T)
    return step


def slstm(seed):
    """The sLSTM cell of xLSTM (Beck et al. 2024, eq. 8 to 17): exponential input gate, normaliser n, stabiliser m; state (c, n, h, m)."""
    torch.manual_seed(seed)
    W, R, b = torch.randn(E, 4 * H, dtype=torch.float64), torch.randn(H, 4 * H, dtype=torch.float64) / 2, torch.randn(4 * H, dtype=torch.float64)

    def step(x, state):
        c, n, h, m = state
        z, i, f, o = torch.split(x @ W + h @ R + b, H, dim=-1)
        forget = nn.functional.logsigmoid(f) + m
        m = torch.maximum(forget, i)
        i, f = torch.exp(i - m), torch.exp(forget - m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        return c, n, torch.sigmoid(o) * c / n, m
    return step


def mean_differences(step, zero, x, eps=1e-5):
    """(states, D, H, E): central differences of each state with respect to each input of each step, the mean over the pairs."""
    both = []
    moved = torch.eye(T * E, dtype=torch.float64).reshape(T * E, T, E) * eps
    for sign in (1, -1): # a sequence for each number of each input
        state, found = tuple(s.expand(T * E, H) for s in zero), []
        for t in range(T):
            state = step((x + sign * moved)[:, t], state if len(zero) > 1 else state[0])
            state = state if len(zero) > 1 else (state,)
            found.append(torch.stack(state))
        both.append(torch.stack(found))
    change = ((both[0] - both[1]) / (2 * eps)).reshape(T, len(zero), T, E, H)
    return np.stack([torch.stack([change[s + d, :, s] for s in range(T - d)]).mean(0).transpose(1, 2).numpy() for d in range(D)], axis=1)


def in_threads(work, n=2):
    threads = [threading.Thread(target=work) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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

    def test_words_that_are_replaced(self):
        decoder, lines = nn.Linear(H, V), [self.ids[i:i + 7] for i in range(0, T, 7)]
        model = sg.from_torch(embedding=self.embedding, rnn=self.cell, decoder=decoder, vocab=WORDS)
        zero, given = torch.zeros(H), ({"odd": WORDS[1::2]}, {"p": [("w1", "w2"), ("w3", "w4"), ("w5", "w6")]})
        names = ("replaced_pairs", "state_change", "state_change_low", "state_change_relative", "linear_prediction", "linear_cosine", "infidelity",
                 "output_kl", "within_state_change", "partner_state_change", "partner_output_kl")
        for tokens, more in ((self.ids, {"replace": 30}), (lines, {"state_handling": "reset", "replace": 0.5}),
                             (self.ids, {"burn_in": 3, "state_handling": "window:20", "replace": 0.9})):
            settings = {**SAME, "seed": 5, **more}
            with torch.no_grad():
                mine = sg.analyze_function(self.lstm, (zero, zero), tokens, self.embedding.weight, WORDS, *given, predict=lambda s: decoder(s[0]),
                                           states={"layer1.hidden": 0, "layer1.cell": 1}, **settings)
            its = sg.analyze(model, tokens, *given, state="both", **settings)
            for group in ("layer1.cell", "layer1.hidden"):
                for name in names:
                    a, b = mine[group].read(name), its[group].read(name)
                    with self.subTest(group=group, name=name, **more):
                        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
                        self.assertTrue(np.isfinite(b).any())
                        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.nanmax(np.abs(b)))

    def test_what_is_replaced_by_default(self):
        def run(*tokens, **more):
            return sg.analyze_function(self.lstm, (torch.zeros(H), torch.zeros(H)), *tokens, states={"layer1.cell": 1}, **{**SAME, "replace": None, **more})
        words = run(self.ids, self.embedding.weight, WORDS)
        self.assertGreater(words["layer1.cell"].read("replaced_pairs")[0, 0], 40) # 50 of 60 tokens are asked for
        self.assertTrue(np.isnan(words["layer1.cell"].read("output_kl")).all())
        rows = run(np.random.default_rng(2).normal(size=(T, E)), normalize="none")
        self.assertGreater(rows["layer1.cell"].read("state_change")[0, 0], 0)
        self.assertIn("nothing to replace", run(self.ids * 0, self.embedding.weight, WORDS, normalize="none").attributes["replace_none"])
        self.assertIn("replaced no words", run(self.ids, self.embedding.weight, WORDS, replace="none", classes={"a": ["w1"]}).attributes["replace_none"])

    def test_replacements_that_cannot_be(self):
        with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
            self.assertFalse(a.replacing)
            with self.assertRaisesRegex(ValueError, "setting 'replace'"):
                a.replacements()
        with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **{**SAME, "replace": 20}) as a:
            some = a.replacements(3)
            self.assertEqual(len(some), 3)
            zero = np.zeros((3, D, H))
            for which, change, linear, kl, said in (
                    (some, [zero[:2]], [zero], None, "change: expected"), (some, [zero], [zero, zero], None, "linear: expected"),
                    (some, [zero], [zero], zero[0], "kl: expected"), (some, [zero], [zero], zero[:, :, 0] + 0j, "kl: expected real numbers"), (some[::-1], [zero], [zero], None, "not the next"),
                    (some["position"], [zero], [zero], None, "expected records"), (some, [zero + np.nan], [zero], None, "not finite")):
                with self.assertRaisesRegex(ValueError, said):
                    a.add_replaced(which, change, linear, kl)
            a.add_replaced(some, [zero], [zero])
            a.add(np.arange(T), np.zeros((T, D, H, E)))
            with self.assertRaisesRegex(ValueError, "3 replacements were added"):
                a._handle and sg._accumulator.call(sg._accumulator.lib.sg_accumulator_finish, a._handle._pointer, sg._accumulator.ffi.NULL)

    def test_a_selective_state_space_against_central_differences(self):
        step, x = selective(3), torch.randn(T, E, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        run = sg.analyze_function(step, torch.zeros(H, dtype=torch.float64), x.float(), states={"layer1.ssm": 0}, normalize="none", **SAME)
        self.assertEqual(run.groups, ("layer1.ssm",))
        mean = mean_differences(step, (torch.zeros(H, dtype=torch.float64),), x.float().double())[0] # as the inputs are stored
        error = np.abs(run["layer1.ssm"].read("mean_gradient")[0] - mean).max() / np.abs(mean).max()
        self.assertTrue(error <= 1e-5, f"{error}")

    def test_the_slstm_of_xlstm_against_central_differences(self):
        step, zero = slstm(5), tuple(torch.zeros(4, H, dtype=torch.float64))
        x = torch.randn(T, E, generator=torch.Generator().manual_seed(6))
        names = ("layer1.cell", "layer1.normaliser", "layer1.hidden", "layer1.stabiliser")
        run = sg.analyze_function(step, zero, x, states={name: i for i, name in enumerate(names)}, normalize="none", **SAME)
        for name, mean in zip(names, mean_differences(step, zero, x.double())):
            self.assertGreater(np.abs(mean).max(), 1e-3)
            error = np.abs(run[name].read("mean_gradient")[0] - mean).max() / np.abs(mean).max()
            self.assertTrue(error <= 1e-5, f"{name}: {error}")

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

    def gradients(self):
        """(T, D, H, E) by step, and the run of them."""
        model = sg.from_torch(embedding=self.embedding, rnn=self.cell, vocab=WORDS)
        G = np.stack([model.gradients(self.ids[:t + 1], D) for t in range(T)])
        with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
            a.add_steps(np.arange(T), G)
            return G, a.finish()["layer1.cell"].read("mean_gradient")

    def test_arrays_of_other_libraries(self):
        """What has DLPack is read where it lies; what cannot be read so is copied by __array__."""
        class Foreign:
            def __init__(self, x):
                self.x, self.asked = x, 0

            def __dlpack__(self, **more):
                self.asked += 1
                return self.x.__dlpack__(**more)

            def __dlpack_device__(self):
                return self.x.__dlpack_device__()

        class OnADevice(Foreign):
            def __dlpack__(self, **more):
                raise BufferError("on a device")

            def __array__(self, dtype=None, copy=None):
                return np.asarray(self.x, dtype)
        G, expected = self.gradients()
        for kind, of in ((Foreign, G), (OnADevice, G), (Foreign, G.astype(np.float64)), (Foreign, torch.from_numpy(G))):
            with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
                given = kind(of)
                a.add_steps(np.arange(T), given)
                np.testing.assert_array_equal(a.finish()["layer1.cell"].read("mean_gradient"), expected)
                self.assertEqual(given.asked > 0, kind is Foreign)  # NumPy 2 asks once more: which version it may have
        kept = _model.floats(Foreign(G), "G")
        self.assertTrue(np.shares_memory(kept, G))

    def test_two_accumulators_in_two_threads(self):
        G, expected = self.gradients()
        found, barrier = [], threading.Barrier(2)

        def work():
            try:
                for _ in range(5):
                    barrier.wait()
                    with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
                        for t in range(T):
                            a.add_steps([t], G[t:t + 1])
                        found.append(a.finish()["layer1.cell"].read("mean_gradient"))
            except BaseException as error:
                barrier.abort()
                found.append(error)
        in_threads(work)
        self.assertEqual(len(found), 10)
        for mean in found:
            np.testing.assert_array_equal(mean, expected)

    def test_two_threads_on_one_accumulator(self):
        """One of two that add the same step is told so; nothing is added twice, and the sums are right."""
        G, expected = self.gradients()
        errors, barrier = [], threading.Barrier(2)
        with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
            def work():
                for t in range(T):
                    barrier.wait(60)
                    try:
                        a.add_steps([t], G[t:t + 1])
                    except ValueError as error:
                        errors.append(str(error))
            in_threads(work)
            self.assertEqual(len(errors), T)
            for t, error in enumerate(errors):
                self.assertRegex(error, f"step {t}\\b.*(twice|ascending|after)")
            np.testing.assert_array_equal(a.finish()["layer1.cell"].read("mean_gradient"), expected)

    def test_a_step_that_torch_cannot_differentiate(self):
        W = torch.zeros(H, H)
        steps = {"detached": lambda x, s: torch.tanh(s @ W).detach(), "by NumPy": lambda x, s: torch.as_tensor(np.tanh(s.detach().numpy())),
                 "constant": lambda x, s: torch.zeros(H)}
        for name, step in steps.items():
            with self.subTest(name), self.assertRaisesRegex(ValueError, "step: torch cannot differentiate"):
                sg.analyze_function(step, torch.zeros(H), self.ids, self.embedding.weight, WORDS, **SAME)
        with torch.inference_mode(), self.assertRaisesRegex(ValueError, "inference_mode"):
            sg.analyze_function(lambda x, s: torch.tanh(s @ W), torch.zeros(H), self.ids, self.embedding.weight, WORDS, **SAME)

        torch.manual_seed(1)
        dropout = torch.nn.Dropout(0.5) # in training mode: nothing to see at a first state of zeros
        with self.assertRaisesRegex(ValueError, "two calls with the same input and state differ"):
            sg.analyze_function(lambda x, s: torch.tanh(dropout(s) + x.sum()), torch.zeros(H), self.ids, self.embedding.weight, WORDS, **SAME)
        draw = lambda x, s: torch.tanh(s @ W + x.sum() + torch.randn(H))
        with self.assertRaisesRegex(ValueError, "two calls with the same input and state differ"):
            sg.analyze_function(draw, torch.zeros(H), self.ids, self.embedding.weight, WORDS, **SAME)

    def coupled(self, dtype=torch.float32):
        """Two states that read each other, and the arguments of a run of them."""
        torch.manual_seed(3)
        W, U, W2, U2 = (torch.randn(H, n, dtype=dtype) / 2 for n in (E, H, E, H))
        zero = torch.zeros(H, dtype=dtype)
        return (lambda x, a, b: torch.tanh(W @ x + U @ b)), (lambda x, a, b: torch.tanh(W2 @ x + U2 @ a)), (zero, zero), U2

    def differentiated(self, step, state, **more):
        return sg.analyze_function(step, state, self.ids[:30], self.embedding.weight, WORDS, **{**SAME, **more})

    def test_a_part_of_the_state_that_is_detached(self):
        for dtype in (torch.float32, torch.float64):
            A, B, zero, U = self.coupled(dtype)
            gate = lambda x, s: torch.sigmoid(U @ s.detach()) * s + torch.sigmoid(-U @ s.detach()) * torch.tanh(x.sum() + U[0])
            by_numpy = lambda b: torch.as_tensor(np.asarray(b.detach().numpy()))
            for name, step, state, said in (
                    ("result", lambda x, s: (A(x, *s), B(x, *s).detach()), zero, "'layer1.b' by the input.*'layer1.b' by 'layer1.a': .* 0 by torch"),
                    ("argument", lambda x, s: (A(x, s[0], s[1].detach()), B(x, *s)), zero, "'layer1.a' by 'layer1.b'"),
                    (".data", lambda x, s: (A(x, *s), B(x, s[0].data, s[1])), zero, "'layer1.b' by 'layer1.a'"),
                    ("NumPy", lambda x, s: (A(x, s[0], by_numpy(s[1])), B(x, *s)), zero, "'layer1.a' by 'layer1.b'"),
                    ("input", lambda x, s: (A(x, *s), B(x.detach(), *s)), zero, "'layer1.b' by the input"),
                    ("one gate", gate, zero[0] + 0.3, "'layer1.a' by 'layer1.a'")):
                names = {"layer1.a": 0, "layer1.b": 1} if isinstance(state, tuple) else {"layer1.a": 0}
                with self.subTest(name, dtype=dtype):
                    with self.assertRaisesRegex(ValueError, f"step: torch's derivatives are not those of the function at input .: .*{said}"):
                        self.differentiated(step, state, states=names)
                    self.differentiated(step, state, states=names, check=False)
            with self.assertRaisesRegex(ValueError, "by tensor 1 of the state"): # one that is not examined
                self.differentiated(lambda x, s: (A(x, s[0], s[1].detach()), B(x, *s)), zero, states={"layer1.a": 0})

    def test_no_false_alarm_of_a_detached_part(self):
        """Saturated, with corners (at the state itself too), steep, small, of a normaliser near zero."""
        for seed, dtypes in ((0, [torch.float32]), (1, [torch.float32, torch.float64])):
            torch.manual_seed(seed)
            for dtype in dtypes:
                W, U = torch.randn(H, E, dtype=dtype), torch.randn(H, H, dtype=dtype) / H ** 0.5
                norm = nn.LayerNorm(H).to(dtype)
                zero = torch.zeros(H, dtype=dtype)
                heads = [torch.randn(H, n, dtype=dtype) / 2 for n in (E, H) for _ in range(4)]

                def sl(x, state):
                    c, n, h, m = state
                    z, i, f, o = (heads[k] @ x + heads[4 + k] @ h for k in range(4))
                    forget = nn.functional.logsigmoid(f) + m
                    m = torch.maximum(forget, i)
                    i, f = torch.exp(i - m), torch.exp(forget - m)
                    c, n = f * c + i * torch.tanh(z), f * n + i
                    return c, n, torch.sigmoid(o) * c / n, m
                steps = {"saturated": lambda x, s: torch.tanh(100 * (W @ x + U @ s)), "steep": lambda x, s: torch.tanh(1e4 * (W @ x) + 1e4 * (U @ s)),
                         "corner": lambda x, s: torch.relu(s) + s.abs() / 3 + torch.relu(W @ x), "clamped": lambda x, s: torch.clamp(W @ x + U @ s, -0.1, 0.1),
                         "small": lambda x, s: 1e-6 * torch.tanh(W @ x + 1e6 * (U @ s)), "norm": lambda x, s: norm(W @ x + U @ s),
                         "cancelled": lambda x, s: (1e3 + W @ x) - 1e3 + torch.tanh(U @ s), "gate": lambda x, s: torch.sigmoid(1e3 * (W @ x)) * s + torch.tanh(300 * (W @ x)),
                         "softmax": lambda x, s: torch.softmax(5 * (W @ x + U @ s), 0), "oscillating": lambda x, s: torch.sin(20 * (W @ x + U @ s))}
                for name, step in steps.items():
                    with self.subTest(name, seed=seed, dtype=dtype):
                        self.differentiated(step, zero, delays=2, normalize="none")
                with self.subTest("sLSTM", seed=seed, dtype=dtype):
                    self.differentiated(sl, (zero,) * 4, delays=2, normalize="none")

    def test_a_function_that_torch_differentiates_number_by_number(self):
        W, U = torch.randn(H, E) / 2, torch.randn(H, H) / 2

        class Tanh(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                ctx.save_for_backward(y := torch.as_tensor(np.tanh(a.detach().numpy())))
                return y

            @staticmethod
            def backward(ctx, g):
                return torch.as_tensor(g.numpy() * (1 - ctx.saved_tensors[0].numpy() ** 2))

        class Broken(Tanh):
            @staticmethod
            def backward(ctx, g):
                raise RuntimeError("no derivative")
        with self.assertWarnsRegex(UserWarning, "torch differentiates one number of the state after the other"):
            mine = self.differentiated(lambda x, s: Tanh.apply(W @ x + U @ s), torch.zeros(H))
        its = self.differentiated(lambda x, s: torch.tanh(W @ x + U @ s), torch.zeros(H))
        np.testing.assert_allclose(*(run["layer1.state"].read("mean_gradient") for run in (mine, its)), rtol=1e-5, atol=1e-7)
        with self.assertRaisesRegex(ValueError, "step: torch cannot differentiate it: RuntimeError: no derivative"):
            self.differentiated(lambda x, s: Broken.apply(W @ x + U @ s), torch.zeros(H))

    def test_a_state_with_names(self):
        A, B, zero, _ = self.coupled()
        State = collections.namedtuple("State", "a b")
        mine = self.differentiated(lambda x, s: State(A(x, s.a, s.b), B(x, s.a, s.b)), State(*zero))
        its = self.differentiated(lambda x, s: (A(x, *s), B(x, *s)), zero)
        np.testing.assert_array_equal(*(run["layer1.state2"].read("mean_gradient") for run in (mine, its)))

    def test_types_and_places(self):
        W, zero = torch.randn(H, E, dtype=torch.float64), torch.zeros(H)
        with self.assertRaisesRegex(ValueError, "step: 'layer1.state' is torch.float64 on cpu, expected torch.float32 on cpu as in state0"):
            self.differentiated(lambda x, s: torch.tanh(W @ x.double() + s), zero)
        step = lambda x, s: (torch.tanh(s[0] + x.sum()), s[1] / 2)
        for wrong in (True, 1.0, "1", None):
            with self.assertRaisesRegex(TypeError, "states: layer1.a: .*expected a whole number, found"):
                self.differentiated(step, (zero, zero), states={"layer1.a": wrong})
        self.assertEqual(self.differentiated(step, (zero, zero), states={"layer1.a": np.int64(1)}).groups, ("layer1.a",))
        with self.assertRaisesRegex(TypeError, "check: expected True or False"):
            self.differentiated(step, (zero, zero), check=1)
        with self.assertRaisesRegex(ValueError, "state0: .*meta device"):
            self.differentiated(step, tuple(zero.to("meta") for _ in range(2)))

    def test_numbers_that_are_too_large(self):
        with sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME) as a:
            for size, said in ((1e300, "gradients 0: the number at .*1e.300, is too large for float32"), (1e30, "origin 0, delay 0: unit 0, input 0 is too large, at most 1e.15")):
                with self.assertRaisesRegex(ValueError, said):
                    a.add([0], np.full((1, D, H, E), size))
            a.add([0], np.full((1, D, H, E), 1e14))

    def test_what_is_changed_in_place(self):
        W = torch.randn(H, E) / 3

        def moved(x, s): # behind torch's back
            y = torch.tanh(W @ x + s)
            x.data.mul_(0.5)
            return y

        def emptied(x, s):
            y = torch.tanh(W @ x + s)
            s.data.zero_()
            return y

        def added(x, s):
            s += W @ x
            return torch.tanh(s)

        def late(x, s): # not at the first input
            y = torch.tanh(W @ x + s)
            if s.abs().sum() > 1:
                s.data.zero_()
            return y

        def predicts(s):
            s.clamp_(-0.1, 0.1)
            return s.new_zeros(V)
        good = lambda x, s: torch.tanh(W @ x + s)
        for step, predict, text in ((moved, None, "step: changes its argument 'x' in place"), (emptied, None, "step: changes its argument 'state' in place"),
                                    (added, None, "step: changes its argument 'state'"), (late, None, "step: changes its argument 'state'"),
                                    (good, predicts, "predict: changes its argument 'state' in place")):
            with self.subTest(step.__name__), self.assertRaisesRegex(ValueError, text):
                sg.analyze_function(step, torch.full((H,), 0.2), self.ids, self.embedding.weight, WORDS, predict=predict, **{**SAME, "replace": 20})

    def test_complex_numbers_and_states_that_are_no_tensors(self):
        zero, step = torch.zeros(H), lambda x, s: torch.tanh(s + x.sum())
        table = self.embedding.weight
        for state, error, text in ((zero + 0j, ValueError, "found torch.complex64"), (zero.bfloat16(), ValueError, "expected float32 or float64, found torch.bfloat16"),
                                   (zero.long(), ValueError, "found torch.int64"), (zero.numpy(), TypeError, "expected a tensor.*found ndarray"), ((zero, 3), TypeError, "found int"),
                                   ((zero, zero.double()), ValueError, "tensors of one type"), ((), ValueError, "no numbers"), (None, TypeError, "found NoneType")):
            with self.subTest(text), self.assertRaisesRegex(error, f"state0: .*{text}"):
                sg.analyze_function(step, state, self.ids, table, WORDS, **SAME)
        for wrong, text in ((lambda x, s: torch.tanh(s + 0j), "found torch.complex64"), (lambda x, s: None, "found NoneType")):
            with self.assertRaisesRegex(ValueError, f"step: expected a state of real tensors like state0, {text}"):
                sg.analyze_function(wrong, zero, self.ids, table, WORDS, **SAME)
        with sg.Accumulator(self.ids, {"layer1.cell": H}, table, WORDS, **SAME) as a:
            for G in (np.zeros((1, D, H, E), complex), torch.zeros(1, D, H, E, dtype=torch.complex64)):
                with self.assertRaisesRegex(ValueError, "gradients 0: expected real numbers, found complex"):
                    a.add([0], G)
            a.add([0], torch.zeros(1, D, H, E, dtype=torch.bfloat16)) # NumPy has no such type
        for logits, text in ((lambda s: s.new_zeros(V) + 0j, "found torch.complex64"), (lambda s: [0.0] * V, "found list")):
            with self.assertRaisesRegex(ValueError, f"predict: expected a tensor of real logits, {text}"):
                sg.analyze_function(step, zero, self.ids, table, WORDS, predict=logits, **{**SAME, "replace": 20})
        with self.assertRaisesRegex(ValueError, "vocab: words of embeddings"):
            sg.Accumulator(np.zeros((T, E)), {"layer1.cell": H}, vocab=WORDS)
        for given in ({"embeddings": np.zeros((V, E), complex)}, {"tokens": np.zeros((T, E), complex)}):
            with self.assertRaisesRegex(ValueError, "expected real numbers, found complex128: the imaginary part would be lost"):
                sg.Accumulator(**{"tokens": self.ids, "states": {"layer1.cell": H}, **given})

    def test_logits_of_another_size(self):
        for size in (3, 2 * V):
            with self.assertRaisesRegex(ValueError, rf"predict: expected logits of shape \({V},\), found \({size},\)"):
                sg.analyze_function(lambda x, s: torch.tanh(s + x.sum()), torch.zeros(H), self.ids, self.embedding.weight, WORDS,
                                    predict=lambda s: s.new_zeros(size), **SAME)

    def test_a_vocabulary_without_an_order(self):
        with self.assertRaisesRegex(ValueError, "a set of words has no order"):
            sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, set(WORDS), **SAME)

    def test_dropped_without_being_closed(self):
        a = sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **SAME)
        folder = os.path.dirname(a._file.path)
        self.assertTrue(os.path.isdir(folder))
        child = os.fork()
        if child == 0:
            a.close() # the parent's file stays
            os._exit(0)
        os.waitpid(child, 0)
        self.assertTrue(os.path.isdir(folder))
        del a
        gc.collect()
        self.assertFalse(os.path.exists(folder))

    def test_closed_while_it_is_used(self):
        said = []

        def close(_):
            try:
                a.close()
            except ValueError as error:
                said.append(str(error))
                raise
        a = sg.Accumulator(self.ids, {"layer1.cell": H}, self.embedding.weight, WORDS, **{**SAME, "progress": close})
        a.add([0], np.zeros((1, a.delays, H, E), np.float32))
        with self.assertRaisesRegex(ValueError, "accumulator: is in use and cannot be closed"):
            a.finish()
        self.assertTrue(said)

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
        large = sg.Accumulator(self.ids, {"layer1.cell": H}, table, delays=2)
        for o in range(0, T - 2):
            large.add([o], np.full((1, 2, H, E), 1e15, np.float32))
        with self.assertRaisesRegex(ValueError, "too large, at most 1e\\+15 expected"):
            large.add([T - 2], np.full((1, 2, H, E), 1e30, np.float32))
        large.finish().close()
        zero = torch.zeros(H)
        with self.assertRaisesRegex(ValueError, "expected those of state0"):
            sg.analyze_function(lambda x, s: s[:2], zero, self.ids, table)
        with self.assertRaisesRegex(ValueError, "layer1.cell: place of a tensor of the state: found 1, expected 0 to 0"):
            sg.analyze_function(lambda x, s: s, zero, self.ids, table, states={"layer1.cell": 1})

        def stop(p):
            raise KeyError(p.what)
        with self.assertRaises(KeyError):
            sg.analyze_function(self.lstm, (zero, zero), self.ids, table, progress=stop)


if __name__ == "__main__":
    unittest.main()
