#!/usr/bin/python3
"""State gradients of one token by PyTorch: one backward pass per state component, and all components in one batch of
backward passes (its vectorised jacobian). One JSON object a line. usage: pytorch_jacobian.py [THREADS [SECONDS]]

A token costs the gradient of the state with respect to the last D inputs; the graph of those D steps is built once and
its cost left out, which favours PyTorch.
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


def graph(layers, E, H, D):
    weights = [(torch.randn(4 * H, E if k == 0 else H) / H ** .5, torch.randn(4 * H, H) / H ** .5)
               for k in range(layers)]
    xs = [torch.randn(E, requires_grad=True) for _ in range(D)]
    state = [(torch.zeros(H), torch.zeros(H)) for _ in range(layers)]
    for x in xs:
        for k, (Wi, Wh) in enumerate(weights):
            i, f, g, o = (Wi @ x + Wh @ state[k][0]).chunk(4)
            c = f.sigmoid() * state[k][1] + i.sigmoid() * g.tanh()
            state[k] = (o.sigmoid() * c.tanh(), c)
            x = state[k][0]
    return xs, state[-1][1]


def best(once, units):
    """Seconds a token, the best of what fits in SECONDS; units: parts of a token that one call does."""
    least, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        once()
        least = min(least, time.perf_counter() - start)
    return least / units


for name, (layers, E, H, D) in SETTINGS.items():
    xs, state = graph(layers, E, H, D)
    eye = torch.eye(H)
    one = best(lambda: torch.autograd.grad(state[0], xs, retain_graph=True), 1 / H)
    every = best(lambda: torch.autograd.grad(state, xs, eye, retain_graph=True, is_grads_batched=True), 1)
    print(json.dumps({"setting": name, "threads": torch.get_num_threads(), "backward_tokens_per_second": 1 / one,
                      "vectorised_tokens_per_second": 1 / every}), flush=True)
