# SPDX-License-Identifier: MIT
"""from_torch: the same gradients as torch's autograd, and what cannot be read is named."""
import types
import unittest
import warnings

import numpy as np
import torch
from common import InFolder
from torch import nn

import stategrad as sg

V, E, T = 11, 4, 8
WORDS = [f"w{i}" for i in range(V)]
IDS = [3, 1, 4, 1, 5, 9, 2, 6]


class LM(nn.Module):
    """word_language_model of PyTorch's examples."""

    def __init__(self, rnn, size, bias=True, tied=False):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.encoder = nn.Embedding(V, E)
        self.rnn = rnn
        self.decoder = nn.Linear(size, V, bias=bias)
        if tied:
            self.decoder.weight = self.encoder.weight


def autograd(lm, layer=-1, cell=False):
    """G[d] = d state_T / d x_{T-d} by torch, in float64."""
    lm = lm.double().eval()
    x = lm.encoder(torch.tensor(IDS))[:, None].detach().requires_grad_()

    def state(x):
        if not isinstance(lm.rnn, nn.ModuleList):
            _, s = lm.rnn(x)
            return (s[1] if cell else s[0] if isinstance(s, tuple) else s)[layer, 0]
        states = [None] * len(lm.rnn)
        for t in range(T):
            below = x[t]
            for k, m in enumerate(lm.rnn):
                states[k] = m(below, states[k])
                below = states[k][0] if isinstance(states[k], tuple) else states[k]
        return (states[layer][1] if cell else below)[0]

    G = torch.autograd.functional.jacobian(state, x)[:, :, 0] # H T E
    return G.flip(1).transpose(0, 1).numpy()


class FromTorch(InFolder):
    def setUp(self):
        super().setUp()
        torch.manual_seed(1)

    def test_gradients_are_those_of_autograd(self):
        cases = {"lstm": (LM(nn.LSTM(E, 6, 2), 6), True), "lstm h": (LM(nn.LSTM(E, 6), 6), False),
                 "gru": (LM(nn.GRU(E, 5, 2, batch_first=True), 5), False), "rnn": (LM(nn.RNN(E, 5), 5), False),
                 "relu": (LM(nn.RNN(E, 5, nonlinearity="relu"), 5), False), "no bias": (LM(nn.LSTM(E, 6, bias=False), 6, False), True),
                 "tied": (LM(nn.LSTM(E, E), E, tied=True), True),
                 "cells": (LM(nn.ModuleList([nn.LSTMCell(E, 7), nn.LSTMCell(7, 5)]), 5), True),
                 "gru cells": (LM(nn.ModuleList([nn.GRUCell(E, 7), nn.GRUCell(7, 5)]), 5), False),
                 "rnn cell": (LM(nn.ModuleList([nn.RNNCell(E, 7)]), 7), False)}
        for name, (lm, cell) in cases.items():
            with self.subTest(name):
                model = sg.from_torch(lm, WORDS)
                mine = model.gradients(IDS, state="cell" if cell else "hidden")
                if isinstance(lm.rnn, nn.GRU):
                    lm.rnn.batch_first = False # the layout of autograd() above
                its = autograd(lm, cell=cell)
                self.assertEqual(mine.shape, its.shape)
                error = np.abs(mine - its).max() / np.abs(its).max()
                self.assertTrue(error <= 1e-6, f"{name}: {error}")
                np.testing.assert_array_equal(mine, model.gradients([WORDS[i] for i in IDS], state="cell" if cell else "hidden"))
                self.assertEqual(model.tied, name == "tied")

    def test_predictions_are_those_of_torch(self):
        lm = LM(nn.GRU(E, 5), 5).eval()
        with torch.no_grad():
            out, _ = lm.rnn(lm.encoder(torch.tensor(IDS))[:, None])
            loss = nn.functional.cross_entropy(lm.decoder(out)[:-1, 0], torch.tensor(IDS[1:]))
        self.assertAlmostEqual(sg.evaluate(sg.from_torch(lm, WORDS), IDS).nats_per_token, loss.item(), places=5)

    def test_is_the_model_of_the_saved_file(self):
        lm = LM(nn.LSTM(E, 6, 2), 6)
        torch.save(lm.state_dict(), self.folder / "lm.pt")
        live, saved = sg.from_torch(lm, WORDS), sg.load(self.folder / "lm.pt", vocab=WORDS)
        self.assertEqual(live.sha256, saved.sha256)
        self.assertEqual(live.vocabulary, saved.vocabulary)
        self.assertEqual(sg.from_torch(embedding=lm.encoder, rnn=lm.rnn, decoder=lm.decoder, vocab=WORDS).sha256, live.sha256)
        self.assertEqual(sg.from_torch(lm, {w: i for i, w in enumerate(WORDS)}).sha256, live.sha256)
        live.save(self.folder / "m.safetensors")
        self.assertEqual(sg.load(self.folder / "m.safetensors").sha256, live.sha256)
        np.testing.assert_array_equal(live.tensors["rnn.weight_hh_l1"], lm.rnn.weight_hh_l1.detach().numpy())

    def test_an_imported_model_of_feature_vectors(self):
        """Without embedding: the mean gradients are those of autograd, and words or vectors of another length are refused."""
        lstm, D = nn.LSTM(E, 5), 4
        torch.save(lstm.state_dict(), self.folder / "f.pt")
        model = sg.load(self.folder / "f.pt")
        self.assertEqual((model.vocabulary, model.embedding, model.has_decoder), ((), E, False))
        x = torch.randn(40, E)
        labels = ["odd" if t % 2 else None for t in range(40)]
        run = sg.analyze(model, x, labels, delays=D, replace="none", lyapunov="none", threads=1)
        lstm.double()

        def cells(x):
            state, found = None, []
            for row in x:
                _, state = lstm(row[None, None], state)
                found.append(state[1].reshape(-1))
            return torch.stack(found)
        G = torch.autograd.functional.jacobian(cells, x.double()) # T H T E
        for c, kept in (("all", range(40)), ("odd", range(1, 40, 2))):
            for d in range(D):
                its = torch.stack([G[s + d, :, s] for s in kept if s + d < 40]).mean(0).numpy()
                mine = run["layer1.cell"].read("mean_gradient")[run.classes.index(c), d]
                self.assertTrue(np.abs(mine - its).max() <= 1e-5 * np.abs(its).max(), (c, d))
        for tokens, text in ((["a", "b"], "feature vectors"), (torch.zeros(9, E + 1), f"expected \\(tokens, {E}\\), found \\(9, {E + 1}\\)"),
                             ([1, 2, 3], "expected"), (torch.full((9, E), float("nan")), "token 0, number 0 is nan")):
            with self.assertRaisesRegex(ValueError, text):
                sg.analyze(model, tokens)
        with self.assertRaisesRegex(ValueError, "feature vectors are no words"):
            sg.analyze(model, x, {"odd": ["a"]})
        with self.assertRaisesRegex(ValueError, "decoder"):
            sg.evaluate(model, x)

    def refused(self, lm, *patterns, **more):
        with self.assertRaises(ValueError) as caught:
            sg.from_torch(lm, WORDS, **more)
        for pattern in (*patterns,):
            self.assertIn(pattern, str(caught.exception))

    def test_what_cannot_be_read_is_named(self):
        self.refused(LM(nn.LSTM(E, 5, bidirectional=True), 10), "'rnn'", "bidirectional", "analyze_function")
        self.refused(LM(nn.LSTM(E, 5, proj_size=3), 3), "'rnn'", "projection", "analyze_function")
        self.refused(LM(nn.ModuleList([nn.LSTM(E, 5), nn.GRU(5, 5)]), 5), "'rnn.1'", "gru upon lstm")
        self.refused(LM(nn.ModuleList([nn.LSTM(E, 5), nn.LSTM(4, 5)]), 5), "'rnn.1'", "reads 4 numbers")
        self.refused(LM(nn.Linear(E, 5), 5), "no nn.LSTM", "analyze_function")
        lm = LM(nn.LSTM(E, 5), 5)
        lm.rnn.register_forward_hook(lambda *_: None)
        self.refused(lm, "'rnn'", "hooks", "analyze_function")
        lm = LM(nn.LSTM(E, 5), 5)
        lm.norm = nn.LayerNorm(5)
        self.refused(lm, "'norm'", "LayerNorm has weights")
        lm = LM(nn.LSTM(E, 5), 5)
        lm.scale = nn.Parameter(torch.ones(1))
        self.refused(lm, "(the module)", "LM has weights")
        lm = LM(nn.LSTM(E, 5), 5)
        lm.act = nn.Tanh()
        self.refused(lm, "'act'", "output_activation='tanh'")
        self.assertTrue(sg.from_torch(lm, WORDS, output_activation="tanh").has_decoder)
        lm = LM(nn.LSTM(E, 5), 5)
        lm.second = nn.Linear(5, V)
        self.refused(lm, "'decoder', 'second'", "decoder=")

        class Own(nn.LSTM):
            def forward(self, *inputs):
                return super().forward(*inputs)
        self.refused(LM(Own(E, 5), 5), "submodule 'rnn'", "Own is a class of its own (a subclass of nn.LSTM)", "analyze_function")
        lm = LM(nn.LSTM(E, 5), 5)
        self.refused(lm, "'Own'", "class of its own", rnn=Own(E, 5))

    def test_kinds_of_modules_that_are_not_torchs_own(self):
        lm = LM(nn.LSTM(E, 5), 5)
        lm.drop = nn.Identity()
        lm.forward = lambda x: x

        class Called(LM):
            def forward(self, x):
                return self.decoder(self.rnn(self.encoder(x)[:, None])[0])
        scripted = torch.jit.script(Called(nn.LSTM(E, 5), 5))
        self.refused(scripted, "submodule 'encoder'", "nn.Embedding in TorchScript", "analyze_function")
        self.refused(lm, "nn.LSTM in TorchScript", "analyze_function", rnn=torch.jit.script(nn.LSTM(E, 5)))
        for kind, name in ((nn.LSTM, "rnn"), (nn.Linear, "decoder")):
            self.refused(torch.quantization.quantize_dynamic(Called(nn.LSTM(E, 5), 5), {kind}), f"submodule '{name}'", f"nn.{kind.__name__} with quantized weights",
                         "analyze_function")

        class Table(nn.Embedding):
            pass
        lm.encoder = Table(V, E)
        self.refused(lm, "submodule 'encoder'", "a subclass of nn.Embedding", "analyze_function")
        parts = {"embedding": nn.Embedding(V, E), "rnn": nn.LSTM(E, 5), "decoder": nn.Linear(5, V)}
        for role, other, expected in (("embedding", "decoder", "Linear is not an nn.Embedding"), ("rnn", "decoder", "Linear is not an LSTM"), ("decoder", "rnn", "LSTM is not an nn.Linear")):
            with self.assertRaisesRegex(ValueError, expected):
                sg.from_torch(vocab=WORDS, **{**parts, role: parts[other]})
            with self.assertRaisesRegex(TypeError, f"{role}: expected a torch.nn.Module.*, found the class {type(parts[role]).__name__}"):
                sg.from_torch(vocab=WORDS, **{**parts, role: type(parts[role])})
        for wrong in ({"module": 3}, {"module": None, "embedding": 3}, {"module": None, "embedding": nn.Embedding(V, E), "rnn": [3]}):
            with self.assertRaisesRegex(TypeError, "expected a torch.nn.Module.*, found 3"):
                sg.from_torch(**wrong)

    def test_hooks_of_containers(self):
        """They may change what their module computes, wherever they are."""
        for at in ("", "drop", "stack"):
            for kind in ("register_forward_hook", "register_forward_pre_hook"):
                lm = LM(nn.LSTM(E, 5), 5)
                lm.stack = nn.Sequential(nn.Dropout())
                handle = getattr(lm.get_submodule(at), kind)(lambda *_: None)
                self.refused(lm, f"submodule '{at or '(the module)'}'", "hooks", "analyze_function")
                handle.remove()
                sg.from_torch(lm, WORDS)

    def test_the_order_of_layers_is_known_from_sizes_or_told(self):
        def two(first, second):
            lm = LM(first, 5) # as `rnn`
            lm.other = second
            return lm
        for lm in (two(nn.LSTM(E, E), nn.LSTM(E, E)), two(nn.GRU(E, 5), nn.GRU(E, 5)), two(nn.LSTM(E, 5), nn.LSTM(3, 5))):
            self.refused(lm, "submodules 'rnn', 'other'", "which of them reads what is not known", "rnn=[first, ...]", "analyze_function")
        upper, lower = nn.LSTM(7, 5), nn.LSTM(E, 7)
        lm = two(upper, lower) # registered from the top
        self.assertEqual(sg.from_torch(lm, WORDS).sha256, sg.from_torch(lm, WORDS, rnn=[lower, upper]).sha256)
        self.assertEqual(sg.from_torch(lm, WORDS).hidden, (7, 5))
        a, b = nn.LSTM(E, E), nn.LSTM(E, E)
        lm = two(a, b)
        lm.decoder = nn.Linear(E, V)
        by_list = sg.from_torch(LM(nn.ModuleList([b, a]), E), WORDS)
        mine = sg.from_torch(lm, WORDS, rnn=[b, a])
        np.testing.assert_array_equal(mine.tensors["rnn.weight_hh_l0"], b.weight_hh_l0.detach().numpy())
        np.testing.assert_array_equal(mine.tensors["rnn.weight_hh_l1"], by_list.tensors["rnn.weight_hh_l1"])

    def test_the_order_is_that_of_the_list_not_of_registration(self):
        for kind in (nn.ModuleList, lambda members: nn.Sequential(*members)):
            lm = LM(nn.LSTM(E, E), E)
            lm.rnn, lm.top, lm.bottom = None, nn.LSTM(E, E), nn.LSTM(E, E)
            lm.layers = kind([lm.bottom, lm.top])
            m = sg.from_torch(lm, WORDS)
            self.assertEqual(m.sha256, sg.from_torch(lm, WORDS, rnn=[lm.bottom, lm.top]).sha256)
            np.testing.assert_array_equal(m.tensors["rnn.weight_hh_l0"], lm.bottom.weight_hh_l0.detach().numpy())
        cell = nn.LSTMCell(E, E)
        lm = LM(nn.ModuleList([cell, cell]), E) # used twice: two layers of the same weights
        self.assertEqual(sg.from_torch(lm, WORDS).hidden, (E, E))
        lm.layers, lm.reversed = nn.ModuleList([nn.GRU(E, E), nn.GRU(E, E)]), None
        lm.rnn, lm.reversed = None, nn.ModuleList([*lm.layers][::-1])
        self.refused(lm, "which of them reads what is not known")

    def test_layers_of_a_list_that_read_something_else(self):
        class Two(nn.Module):
            def __init__(self, kind=nn.LSTM, layers=2):
                super().__init__()
                self.encoder, self.layers, self.decoder = nn.Embedding(V, E), nn.ModuleList([kind(E, E) for _ in range(layers)]), nn.Linear(E, V)

        class Stacked(Two):
            def forward(self, x):
                x = self.encoder(x)
                for layer in self.layers:
                    x = nn.functional.dropout(layer(x)[0], 0.5, self.training)
                return self.decoder(x)

        class Parallel(Two):
            def forward(self, x):
                x = self.encoder(x)
                return self.decoder(sum(layer(x)[0] for layer in self.layers))

        class Reversed(Stacked):
            def __init__(self):
                super().__init__()
                self.twin = self.layers

            def forward(self, x):
                x = self.encoder(x)
                for layer in list(self.layers)[::-1]:
                    x = layer(x)[0]
                return self.decoder(x)

        class Batches(Stacked): # of a first state that is needed, ids (1, T), log probabilities
            def __init__(self):
                super().__init__(lambda i, o: nn.LSTM(i, o, batch_first=True))

            def init_hidden(self, n):
                return None

            def forward(self, x, state):
                assert x.ndim == 2
                return torch.log_softmax(super().forward(x), -1), state

        class Last(Stacked):
            def forward(self, x):
                return super().forward(x)[-1]
        for kind in (Parallel, Reversed):
            self.refused(kind(), "submodules 'layers.0', 'layers.1': read as layers", "do not predict what the module's forward does", "rnn=[first, ...]")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for lm in (Stacked(), Batches(), Last(), Stacked().double(), Stacked(nn.GRU, 3), Parallel(layers=1)):
                training = lm.training
                self.assertEqual(len(sg.from_torch(lm, WORDS).hidden), len(lm.layers))
                self.assertEqual(lm.training, training)
        with self.assertWarnsRegex(UserWarning, "'layers.0', 'layers.1': read as layers.*its forward could not be called with ids .NotImplementedError"):
            sg.from_torch(Two(), WORDS)
        lm = Parallel()
        with self.assertWarnsRegex(UserWarning, "forward predicts other words than embedding, recurrent layers and decoder alone"):
            sg.from_torch(lm, WORDS, rnn=list(lm.layers))

        class Residual(Stacked):
            def forward(self, x):
                return self.decoder(self.layers[0](self.encoder(x))[0] + self.encoder(x))
        with self.assertWarnsRegex(UserWarning, "forward predicts other words"):
            sg.from_torch(Residual(layers=1), WORDS)

        class Labelled(Stacked): # as Hugging Face's models: a dict, or an object
            def __init__(self, kind, scale):
                super().__init__()
                self.kind, self.scale = kind, scale

            def forward(self, x):
                return self.kind(logits=self.scale * super().forward(x))
        for kind in (dict, types.SimpleNamespace):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                sg.from_torch(Labelled(kind, 1), WORDS)
            with self.assertRaisesRegex(ValueError, "do not predict what the module's forward does"):
                sg.from_torch(Labelled(kind, 2), WORDS)

    def test_what_forward_does_is_compared_or_there_is_a_warning(self):
        class Whole(LM):
            def __init__(self):
                super().__init__(nn.LSTM(E, 5), 5)

            def states(self, x):
                return self.rnn(self.encoder(x)[:, None])[0][:, 0]

            def forward(self, x):
                return self.decoder(self.states(x))

        class Alone(Whole): # no state is kept
            def states(self, x):
                return torch.cat([super(Alone, self).states(x[i:i + 1]) for i in range(len(x))])

        class Backwards(Whole):
            def states(self, x):
                return super().states(x.flip(0)).flip(0)

        class Lengths(Whole):
            def forward(self, x, lengths, mask):
                return super().forward(x)

        class States(Whole):
            def __init__(self):
                super().__init__()
                self.decoder = None

            def forward(self, x):
                return self.states(x)

        class Doubled(States):
            def forward(self, x):
                return 2 * self.states(x)
        for kind, text in ((Alone, "do not depend on the words before"), (Backwards, "do not depend on the words before"),
                           (Lengths, "was not compared with embedding, recurrent layers and decoder alone: its forward could not be called with ids .TypeError"),
                           (Doubled, "computes other states than embedding and recurrent layers alone")):
            with self.subTest(kind.__name__), self.assertWarnsRegex(UserWarning, text):
                sg.from_torch(kind(), WORDS)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for lm in (Whole(), States(), Whole().half(), Whole().bfloat16(), nn.DataParallel(Whole())):
                sg.from_torch(lm, WORDS)
        lm = Whole()
        torch.nn.utils.parametrizations.orthogonal(lm.rnn, "weight_hh_l0")
        self.refused(lm, "'rnn'", "parametrizations")
        lm = Whole()
        lm.decoder = nn.Linear(5, V + 1)
        self.refused(lm, "'decoder'", f"{V + 1} outputs, for {V} words")

    def test_weights_without_numbers_or_too_large(self):
        parts = {"embedding": nn.Embedding(V, E), "rnn": nn.LSTM(E, 5), "decoder": nn.Linear(5, V)}
        for name in parts:
            with self.assertRaisesRegex(ValueError, "meta device: it has a shape and no numbers"):
                sg.from_torch(vocab=WORDS, **{**parts, name: parts[name].to("meta") if name == "meta" else type(parts[name])(*((V, E) if name == "embedding" else (E, 5) if name == "rnn" else (5, V)), device="meta")})
        parts["rnn"].double().weight_hh_l0.data[2, 3] = 1e200
        with self.assertRaisesRegex(ValueError, r"weight_hh_l0: the number at \(2, 3\), 1e\+200, is too large for float32"):
            sg.from_torch(vocab=WORDS, **parts)
        with self.assertRaisesRegex(ValueError, "tokens: is on torch's meta device"):
            sg.analyze(sg.from_torch(LM(nn.LSTM(E, 5), 5), WORDS), torch.zeros(9, dtype=torch.long, device="meta"))
        for wrong in (5, [5], "lstm"):
            with self.assertRaisesRegex(TypeError, "rnn: expected a torch.nn.Module or a list of them, found"):
                sg.from_torch(LM(nn.LSTM(E, 5), 5), WORDS, rnn=wrong)

    def test_weights_left_out_and_contradictions(self):
        lm = LM(nn.LSTM(E, 5), 5)
        lm.start = nn.ParameterList([nn.Parameter(torch.ones(1, 5))])
        self.refused(lm, "start", "has weights and is not embedding, recurrent layer or decoder")
        lm.start = nn.ParameterList()
        sg.from_torch(lm, WORDS)
        lm.act = nn.ReLU()
        with self.assertRaisesRegex(ValueError, "act.*where ReLU is applied"):
            sg.from_torch(lm, WORDS, output_activation="tanh")
        lm = LM(nn.LSTM(E, 5), 5)
        lm.rnn.forward = lambda *x: None
        self.refused(lm, "rnn", "a forward of its own")

    def test_a_transposed_embedding_is_not_tied(self):
        lm = LM(nn.LSTM(V, V), V)
        lm.encoder = nn.Embedding(V, V)
        lm.decoder.weight = nn.Parameter(lm.encoder.weight.detach().t())
        self.assertFalse(sg.from_torch(lm, WORDS).tied)
        lm.decoder.weight = lm.encoder.weight
        self.assertTrue(sg.from_torch(lm, WORDS).tied)

    def test_weights_that_are_not_finite(self):
        lm = LM(nn.LSTM(E, 5), 5)
        lm.rnn.weight_hh_l0.data[2, 3] = float("nan")
        self.refused(lm, "rnn.weight_hh_l0", "(2, 3) is nan")

    def test_vocabulary_of_another_size(self):
        with self.assertRaisesRegex(ValueError, "10 .*11|11 .*10"):
            sg.from_torch(LM(nn.LSTM(E, 5), 5), WORDS[:-1])
        with self.assertRaisesRegex(ValueError, "w0"):
            sg.from_torch(LM(nn.LSTM(E, 5), 5), ["w0"] * V)


if __name__ == "__main__":
    unittest.main()
