#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""State gradients of one token by PyTorch, three ways. usage: pytorch_jacobian.py [THREADS [SECONDS]]

  backward    one backward pass per state component: what the papers' program does
  vmap        all components as one batch of backward passes: torch.autograd.grad(is_grads_batched), which is what
              torch.autograd.functional.jacobian(vectorize=True) calls
  expanded    the steps with a batch of H equal rows, and one backward pass of component k of row k: no vmap, so every
              product is a plain matrix product

A token costs the gradient of the state with respect to the last D inputs; the graph of those D steps is built once and
its cost left out, which favours PyTorch. The gates are products of their own: torch 1.13's vmap has no rule for the
backward of chunk() and works through it component by component, 150 times slower. One JSON object a line.
"""
import json
import sys
import time

try:
    import torch
except ImportError as why:
    print("skipped:", why)
    sys.exit(77)

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 5
SETTINGS = {"A lstm": (1, 64, 256, 50), "B lstm": (2, 200, 200, 35), "C lstm": (2, 650, 650, 20)}


def weights_for(layers, E, H):
    """W_ih and W_hh of each gate, transposed."""
    return [[(torch.randn(E if k == 0 else H, H) / H ** .5, torch.randn(H, H) / H ** .5) for _ in range(4)]
            for k in range(layers)]


def graph(weights, E, H, D, rows):
    """The last cell state (rows, H) after D steps from zero, and the inputs (rows, E)."""
    xs = [torch.randn(1, E).repeat(rows, 1).requires_grad_() for _ in range(D)]
    state = [(torch.zeros(rows, H), torch.zeros(rows, H)) for _ in weights]
    for x in xs:
        for k, gates in enumerate(weights):
            h, c = state[k]
            i, f, g, o = (x @ Wi + h @ Wh for Wi, Wh in gates)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            state[k] = x, _ = torch.sigmoid(o) * torch.tanh(c), c
    return xs, state[-1][1]


def best(once, units=1):
    """Seconds a token, the best of what fits in SECONDS; units: parts of a token that one call does."""
    least, end = float("inf"), time.perf_counter() + SECONDS
    while least == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        once()
        least = min(least, time.perf_counter() - start)
    return least / units


def same(a, b):
    assert max(float((x - y).abs().max()) for x, y in zip(a, b)) <= 1e-4 * max(float(y.abs().max()) for y in b)


for name, (layers, E, H, D) in SETTINGS.items():
    torch.manual_seed(1)
    weights, eye = weights_for(layers, E, H), torch.eye(H)
    torch.manual_seed(2)
    xs, state = graph(weights, E, H, D, 1)
    torch.manual_seed(2)
    wide_xs, wide = graph(weights, E, H, D, H)
    batched = lambda: torch.autograd.grad(state, xs, eye[:, None], retain_graph=True, is_grads_batched=True)
    expanded = lambda: torch.autograd.grad(wide, wide_xs, eye, retain_graph=True)
    same([x[:, 0] for x in batched()], expanded())
    out = {"setting": name, "threads": torch.get_num_threads(),
           "backward": best(lambda: torch.autograd.grad(state[0, 0], xs, retain_graph=True), 1 / H),
           "vmap": best(batched), "expanded": best(expanded)}
    print(json.dumps({k: v if k in ("setting", "threads") else 1 / v for k, v in out.items()}), flush=True)
