#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: forgetting.py MODEL.safetensors TEXT [STEPS]   - after how many tokens two float32 states of an LSTM agree.

At six places of the text one state is zero, the other has read the 1,500 tokens before. Both read the same text from there;
printed are the largest difference of any entry of the cell and hidden states at some steps, and the step from which the
states are equal to the bit (None: not within STEPS, 5000). The table of doc/cluster.md. Plain text, one sentence a line."""
import json
import struct
import sys

import numpy as np

AT = (10, 50, 100, 200, 400, 800, 1600, 3200)


def load(path):
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(length)), f.read()
    tensors = {k: np.frombuffer(data[slice(*v["data_offsets"])], np.float32).reshape(v["shape"])
               for k, v in header.items() if k != "__metadata__"}
    return header["__metadata__"], tensors


def sigmoid(x):
    return np.float32(1) / (np.float32(1) + np.exp(-x))


def step(layers, states, x):
    out = []
    for (w_ih, w_hh, bias), (h, c) in zip(layers, states):
        i, f, g, o = (w_ih @ x + w_hh @ h + bias).reshape(4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = x = sigmoid(o) * np.tanh(c)
        out.append((h, c))
    return out


def main():
    metadata, w = load(sys.argv[1])
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 5000
    ids = {word: i for i, word in enumerate(json.loads(metadata["vocabulary"]))}
    text = []
    for line in open(sys.argv[2], encoding="utf-8"):
        if line.strip():
            text += [ids.get(word, ids["<unk>"]) for word in line.split()] + [ids["<eos>"]]
    layers = [(w[f"rnn.weight_ih_l{k}"], w[f"rnn.weight_hh_l{k}"], w[f"rnn.bias_ih_l{k}"] + w[f"rnn.bias_hh_l{k}"])
              for k in range(sum(name.startswith("rnn.weight_ih_l") for name in w))]
    zero = [(np.zeros(w_hh.shape[1], np.float32),) * 2 for _, w_hh, _ in layers]
    random = np.random.default_rng(0)
    for _ in range(6):
        at, one, other, seen, equal = int(random.integers(2000, len(text) - steps)), zero, zero, {}, None
        for t in text[at - 1500:at]:
            one = step(layers, one, w["encoder.weight"][t])
        for k, t in enumerate(text[at:at + steps]):
            one, other = (step(layers, s, w["encoder.weight"][t]) for s in (one, other))
            apart = max(float(np.abs(a - b).max()) for p, q in zip(one, other) for a, b in zip(p, q))
            if k in AT:
                seen[k] = apart
            if not apart:
                equal = k + 1
                break
        print("equal from token", equal, "; largest difference after", ", ".join(f"{k}: {x:.1e}" for k, x in seen.items()), flush=True)


if __name__ == "__main__":
    main()
