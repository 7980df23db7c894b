#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""State gradients of models that the library does not know: a net with Mamba's recurrence, and the sLSTM of xLSTM.

usage: own_recurrence.py mamba|slstm [REPORT.html]

Each is trained here, on made-up sentences whose verb agrees with a noun before it, and then analysed by its step alone."""
import random
import sys

import torch
from torch import nn

import stategrad as sg

WORDS = ["<eos>", "the", "old", "very", "near", "cat", "cats", "sleeps", "sleep"]
STEPS = 40


def text(n, seed):
    """Ids of n sentences: the, up to two adjectives, a noun, up to three words that say nothing of number, the verb, <eos>."""
    draw, ids = random.Random(seed), []
    for _ in range(n):
        plural = draw.random() < 0.5
        words = ["the", *["old"] * draw.randrange(3), "cats" if plural else "cat",
                 *draw.choices(["very", "old", "near"], k=draw.randrange(4)), "sleep" if plural else "sleeps", "<eos>"]
        ids += [WORDS.index(word) for word in words]
    return torch.tensor(ids)


class Mamba(nn.Module):
    """Blocks with Mamba's selective recurrence (Gu and Dao 2023, algorithm 2), without the convolution before it.

        delta, B, C = of u    h_t = exp(delta A) h_{t-1} + delta B u    y = C h_t + skip u    the block adds W (y silu(z)) to its input

    State: h of each block (inner, n), and last what the decoder reads (E), which no later step reads."""

    states = {"layer1.ssm": 0, "layer2.ssm": 1}

    def __init__(self, E=6, inner=6, n=3, blocks=2):
        super().__init__()
        self.embedding, self.decoder = nn.Embedding(len(WORDS), E), nn.Linear(E, len(WORDS))
        self.inner, self.n = inner, n
        self.blocks = nn.ModuleList(nn.ModuleDict({
            "norm": nn.LayerNorm(E), "in": nn.Linear(E, 2 * inner), "delta": nn.Linear(inner, inner), "B": nn.Linear(inner, n, bias=False),
            "C": nn.Linear(inner, n, bias=False), "out": nn.Linear(inner, E, bias=False)}) for _ in range(blocks))
        self.log_A = nn.Parameter(torch.log(torch.arange(1.0, n + 1)).expand(blocks, inner, n).clone())
        self.skip = nn.Parameter(torch.ones(blocks, inner))

    def start(self):
        return (*(torch.zeros(self.inner, self.n) for _ in self.blocks), torch.zeros(self.embedding.embedding_dim))

    def step(self, x, state):
        after = []
        for block, h, log_A, skip in zip(self.blocks, state, self.log_A, self.skip):
            u, z = block["in"](block["norm"](x)).chunk(2, -1)
            u = nn.functional.silu(u)
            delta = nn.functional.softplus(block["delta"](u))[..., None]
            h = torch.exp(-delta * log_A.exp()) * h + delta * block["B"](u)[..., None, :] * u[..., None]
            y = (h * block["C"](u)[..., None, :]).sum(-1) + skip * u
            x = x + block["out"](y * nn.functional.silu(z))
            after.append(h)
        return (*after, x)

    def predict(self, state):
        return self.decoder(state[-1])


class SLSTM(nn.Module):
    """The sLSTM cell of xLSTM (Beck et al. 2024, equations 8 to 17): exponential input gate, normaliser n, stabiliser m."""

    states = {"layer1.cell": 0, "layer1.normaliser": 1, "layer1.hidden": 2}

    def __init__(self, E=6, H=8):
        super().__init__()
        self.embedding, self.decoder = nn.Embedding(len(WORDS), E), nn.Linear(H, len(WORDS))
        self.input, self.recurrent, self.H = nn.Linear(E, 4 * H), nn.Linear(H, 4 * H, bias=False), H

    def start(self):
        return tuple(torch.zeros(4, self.H))

    def step(self, x, state):
        c, n, h, m = state
        z, i, f, o = (self.input(x) + self.recurrent(h)).chunk(4, -1)
        forget = nn.functional.logsigmoid(f) + m
        m = torch.maximum(forget, i)
        i, f = torch.exp(i - m), torch.exp(forget - m)
        c, n = f * c + i * torch.tanh(z), f * n + i
        return c, n, torch.sigmoid(o) * c / n, m

    def predict(self, state):
        return self.decoder(state[2])


def train(model, rounds=150, rows=16):
    """Adam on rows of the text side by side, from a zero state each. Returns the perplexity of the last round."""
    ids = text(2000, 1)
    ids = ids[:len(ids) // rows * rows].reshape(rows, -1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for k in range(rounds):
        at = k * STEPS % (ids.shape[1] - STEPS - 1)
        state, loss = tuple(s.expand(rows, *s.shape) for s in model.start()), 0
        for t in range(at, at + STEPS):
            state = model.step(model.embedding(ids[:, t]), state)
            loss = loss + nn.functional.cross_entropy(model.predict(state), ids[:, t + 1]) / STEPS
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
    return loss.exp().item()


def analyse(model, sentences=60, **settings):
    return sg.analyze_function(model.step, model.start(), text(sentences, 2), model.embedding.weight, WORDS, {"noun": ["cat", "cats"]},
                               {"number": [("cats", "cat")]}, states=model.states, predict=model.predict, **{"delays": 10, "replace": 0.5, **settings})


def main():
    torch.manual_seed(1)
    model = {"mamba": Mamba, "slstm": SLSTM}[sys.argv[1]]()
    print(f"perplexity after training: {train(model):.2f} ({len(WORDS)} words)")
    run = analyse(model)
    for name in model.states:
        gain, change = run.curve("noun", group=name), run.curve("noun", "state_change_relative", group=name)
        print(f"{name}, of nouns\n  delay  largest rms gain (95 %)        change of the state when the noun is replaced (95 %), at delay 0: 1")
        for d in (0, 1, 2, 4, 8):
            print("  %5d  %6.3f (%6.3f to %6.3f)      %6.3f (%6.3f to %6.3f)" % (
                d, gain.value[d], gain.low[d], gain.high[d], change.value[d], change.low[d], change.high[d]))
    if len(sys.argv) > 2:
        run.report(sys.argv[2])


if __name__ == "__main__":
    main()
