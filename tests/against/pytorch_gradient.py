#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Mean state gradients at the paper's size (LSTM, E=64, H=256, 50 delays, both states in one pass) and at uneven sizes,
against PyTorch's autograd in float64. usage: pytorch_gradient.py STATEGRAD CASE

Each delay's largest difference may be 1e-5 of that delay's largest entry.
"""
import os
import sys
import tempfile

from analyze import ALONE, Model, corpus, np, run, torch, xarray

CASES = {  # cell, layers, E, H, delays, lines
    "paper": ("lstm", 1, 64, 256, 50, 4),
    "uneven": ("gru", 2, 50, 70, 20, 5),
    "deep": ("lstm", 3, 33, 40, 12, 5),
    "mingru": ("mingru", 1, 64, 256, 50, 6),
    "minlstm": ("minlstm", 2, 50, 70, 20, 5),
}


def means(model, ids, D, layer, hidden):
    """(D, H, E): mean over all t of d s_t / d x_{t-d}; one batch of backward passes, all components at once, per t."""
    zero = torch.zeros(model.H, dtype=torch.float64)
    xs, state = [], [(zero, zero)] * model.layers
    total, pairs, eye = np.zeros((D, model.H, model.E)), np.zeros(D), torch.eye(model.H, dtype=torch.float64)
    for t, word in enumerate(ids):
        xs.append(model.t["encoder.weight"][word].clone().requires_grad_())
        state = model.step(xs[t], state)
        low = max(t - D + 1, 0)
        G = torch.autograd.grad(state[layer - 1][0 if hidden else 1], xs[low:t + 1], eye, retain_graph=True,
                                is_grads_batched=True)
        for s in range(low, t + 1):
            total[t - s] += G[s - low].numpy()
            pairs[t - s] += 1
    return total / pairs[:, None, None]


def main():
    cell, layers, E, H, D, lines = CASES[sys.argv[2]]
    words = ["<unk>", "<eos>"] + [f"w{i}" for i in range(30)]
    model = Model(cell, layers, E, H, words, scale=1.0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("model", "text", "run.nc")]
        model.write(paths[0])
        text, ids, _ = corpus(words, lines, 20)
        while len(ids) < D + 5:
            more, extra, _ = corpus(words, 1, 20)
            text, ids = text + more, ids + extra
        open(paths[1], "w").write(text)
        state = "both" if cell == "lstm" else "hidden"
        run("analyze", paths[0], paths[1], "-o", paths[2], "--delays", D, "--state", state, "--layer", "all", "--quiet", *ALONE)
        worst = 0
        for layer in range(1, layers + 1):
            for hidden in (False, True) if cell == "lstm" else (True,):
                want = means(model, ids, D, layer, hidden)
                with xarray.open_dataset(paths[2], group=f"layer{layer}.{'hidden' if hidden else 'cell'}") as g:
                    got = g["mean_gradient"].values[0]
                    pairs = g["pairs"].values[0]
                assert list(pairs) == [len(ids) - d for d in range(D)], pairs
                for d in range(D):
                    e = np.abs(got[d] - want[d]).max() / np.abs(want[d]).max()
                    assert e <= 1e-5, (layer, hidden, d, e)
                    worst = max(worst, e)
    print(f"{sys.argv[2]}: {len(ids)} tokens, worst difference {worst:.1e} of a delay's largest entry")


main()
