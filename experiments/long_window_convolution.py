#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Long windows by convolution across cuts of the stream: what it costs and how exact it is, in float32, on a trained LSTM.

usage: long_window_convolution.py MODEL.safetensors TEXT [--delays 1000] [--cut 64] [--start 300] [--skip-reference]

The stream is cut every M tokens. Pairs inside a piece are accumulated plainly (M/2 origins on average). For a pair across the cut c,
G[c+a, a+b] = P_a Q_b with P_a = d h_{c+a} / d state_c (H x 2H) and Q_b = d state_c / d x_{c-b} (2H x E), so the sum over pairs of a delay
is a convolution of two sequences of matrices. Q goes from cut to cut by the product of the piece's M Jacobians. The convolution is
done piece by piece of Q (overlap-add): both are evaluated at 2M points of a circle of radius rho, multiplied, and transformed back.
--global transforms all D delays at once instead, as the textbook has it.

Times are processor times of numpy's BLAS for every product of the method and of plain accumulation, one thread; the elementwise rest of both is
left out. Errors are of the convolution alone: each delay's sum over one piece, of its largest entry, against float64."""
import argparse
import json
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np


def read_model(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    words = json.loads(header.pop("__metadata__")["vocabulary"])
    tensors = {k: np.frombuffer(data[v["data_offsets"][0]:v["data_offsets"][1]], "<f4").reshape(v["shape"]) for k, v in header.items()}
    return tensors, {w: i for i, w in enumerate(words)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def jacobians(w, ids, first):
    """After `first` tokens: for every further token f, q (H), M, O (H,H), Mx, qMx + Ox (H,E): doc/method.md, section 2, in float64."""
    Wi, Wh = w["rnn.weight_ih_l0"].astype(float), w["rnn.weight_hh_l0"].astype(float)
    b = w["rnn.bias_ih_l0"].astype(float) + w["rnn.bias_hh_l0"]
    H = Wh.shape[1]
    h = c = np.zeros(H)
    out = []
    for t, i in enumerate(ids):
        a = (Wi @ w["encoder.weight"][i] + Wh @ h + b).reshape(4, H)
        i_, f, o, g = sigmoid(a[0]), sigmoid(a[1]), sigmoid(a[3]), np.tanh(a[2])
        before, c = c, f * c + i_ * g
        h = o * np.tanh(c)
        if t < first:
            continue
        p = np.stack([g * i_ * (1 - i_), before * f * (1 - f), i_ * (1 - g * g)])
        po, q = np.tanh(c) * o * (1 - o), o * (1 - np.tanh(c) ** 2)
        fold = lambda W: (sum(p[k][:, None] * W[k * H:(k + 1) * H] for k in range(3)), po[:, None] * W[3 * H:])
        (M, O), (Mx, Ox) = fold(Wh), fold(Wi)
        out.append((f, q, M, O, Mx, q[:, None] * Mx + Ox))
    return out


def step(j, X):
    """X (2H, n), rows c then h."""
    f, q, M, O = j[:4]
    H = len(f)
    C = f[:, None] * X[:H] + M @ X[H:]
    return np.concatenate([C, q[:, None] * C + O @ X[H:]])


def timed(clock, name, work):
    start = time.process_time()
    result = work()
    clock[name] = clock.get(name, 0) + time.process_time() - start
    return result


def circle(n, points, rho):
    """(2 (points/2+1), n): real and imaginary parts of rho^k exp(-2 pi i k j / points) for the points of half the circle."""
    z = np.exp(-2j * np.pi * np.outer(np.arange(points // 2 + 1), np.arange(n)) / points) * rho ** np.arange(n)
    return np.concatenate([z.real, z.imag])


def back(points, rho):
    """(points, 2 (points/2+1)): the inverse for real sequences."""
    half = points // 2 + 1
    weight = np.where((np.arange(half) == 0) | (np.arange(half) == points // 2), 1, 2) / points
    angle = 2 * np.pi * np.outer(np.arange(points), np.arange(half)) / points
    return np.concatenate([np.cos(angle) * weight, -np.sin(angle) * weight], 1) * (rho ** -np.arange(points))[:, None]


def convolve(P, Q, points, rho, clock, f4=np.float32):
    """sum_{a+b=d} P[a] Q[b] for d < len(P) + len(Q) - 1 <= points; P (n,H,S), Q (m,S,E), all float32."""
    half = points // 2 + 1
    (n, H, S), (m, _, E) = P.shape, Q.shape
    Fp, Fq, B = (x.astype(f4) for x in (circle(n, points, rho), circle(m, points, rho), back(points, rho)))
    p = timed(clock, "transform P", lambda: (Fp @ P.reshape(n, -1)).reshape(2, half, H, S))
    q = timed(clock, "transform Q", lambda: (Fq @ Q.reshape(m, -1)).reshape(2, half, S, E))
    y = np.empty((2, half, H, E), f4)

    def products():
        for k in range(half):
            y[0, k] = p[0, k] @ q[0, k] - p[1, k] @ q[1, k]
            y[1, k] = p[0, k] @ q[1, k] + p[1, k] @ q[0, k]
    timed(clock, "products", products)
    return timed(clock, "transform back", lambda: B @ y.reshape(2 * half, -1))[:n + m - 1].reshape(-1, H, E)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("text")
    a.add_argument("--delays", type=int, default=1000)
    a.add_argument("--cut", type=int, default=64)
    a.add_argument("--start", type=int, default=300, help="tokens read before the first origin")
    a.add_argument("--radius", type=float, nargs="*", default=[1.0], help="radii to try; 0: fitted to the decay of P")
    a.add_argument("--whole", action="store_true", help="also one transform of all delays")
    a = a.parse_args()
    w, vocabulary = read_model(a.model)
    D, M, f4 = a.delays, a.cut, np.float32
    E, H = w["encoder.weight"].shape[1], w["rnn.weight_hh_l0"].shape[1]
    S = 2 * H
    with open(a.text, encoding="utf-8") as f:
        ids = [vocabulary.get(x.rsplit("/", 1)[0] if "/" in x else x, vocabulary.get("<unk>", 0))
               for x in f.read().split()[:a.start + D + M]]
    J = jacobians(w, ids, a.start)
    X = np.zeros((S, D * E), f4)  # columns of origin n from n E on; float32 is enough: both ways get the same Q
    for n, j in enumerate(J[:D]):
        X[:, :n * E] = step([x.astype(f4) for x in j[:4]], X[:, :n * E])
        X[:, n * E:(n + 1) * E] = np.concatenate([j[4], j[5]])
    Q64 = X.reshape(S, D, E).transpose(1, 0, 2)[::-1].astype(float)  # Q_b, b = 0: the token at the cut
    P64, X = np.zeros((M, H, S)), np.eye(S)
    for n, j in enumerate(J[D:]):
        X = step(j, X)
        P64[n] = X[H:]
    # delay d = b + a, a = 1 .. M: sums[d - 1]; only d < D are wanted, and from M on each has all M pairs
    want = np.zeros((D + M, H, E))
    wide = Q64.transpose(1, 0, 2).reshape(S, -1)
    for n in range(M):
        want[n:n + D] += (P64[n] @ wide).reshape(H, D, E).transpose(1, 0, 2)
    want = want[:D - 1]
    scale = np.abs(want).max((1, 2))
    print(f"E = {E}, H = {H}, D = {D}, cut every {M}: largest entry of the sum at delays 1, 64, {D // 4}, {D - 1}: "
          + ", ".join(f"{scale[d - 1]:.1e}" for d in (1, 64, D // 4, D - 1)), flush=True)
    P, Q, clock = P64.astype(f4), Q64.astype(f4), {}
    # what does not depend on the circle, a token
    M4, W4 = J[-1][2].astype(f4), wide.astype(f4)
    MO = np.concatenate([M4, J[-1][3].astype(f4)])
    plain = min(timed({}, "", lambda: (time.process_time(), MO @ W4[:H], time.process_time())) for _ in range(3))
    plain = plain[2] - plain[0]
    leaf = plain * (M / 2) / D
    X4 = X.astype(f4)
    timed(clock, "P", lambda: MO @ X4[:H])
    p_step = clock.pop("P")
    timed(clock, "Q by the piece's Jacobian", lambda: X4 @ W4)
    fixed = leaf + p_step + clock["Q by the piece's Jacobian"] / M
    slope = np.polyfit(np.arange(M), np.log(np.linalg.norm(P64.reshape(M, -1), axis=1)), 1)[0]
    for rho in a.radius:
        rho, part = (rho or float(np.exp(-slope))), {}
        got = np.zeros((D + 2 * M, H, E), f4)
        for b in range(0, D, M):
            q = Q[b:b + M]
            y = convolve(P, q, 2 * M, rho, part)
            got[b:b + len(y)] += y
        part["transform P"] /= -(-D // M)  # once a cut is enough
        error = np.abs(got[:D - 1] - want).max((1, 2)) / scale
        token = fixed + sum(part.values()) / M
        print(f"pieces, radius {rho:.3f}: {1e3 * token:.1f} ms a token, plain {1e3 * plain:.1f}, ratio {plain / token:.1f}; worst error "
              f"{error.max():.1e} at delay {error.argmax() + 1}, median {np.median(error):.1e}")
        many = lambda sets: plain / (fixed + part["transform P"] / M + sets * (sum(part.values()) - part["transform P"]) / M)
        print("  ms a token: " + ", ".join(f"{k} {1e3 * v / M:.2f}" for k, v in
                                           [("inside pieces", leaf * M), ("P", p_step * M), *clock.items(), *part.items()])
              + f"; ratio with 5 and 20 class sets: {many(5):.1f}, {many(20):.1f}")
    if a.whole:
        points = 1 << (D + M).bit_length()
        for rho in a.radius:
            rho = rho or float(np.exp(-np.polyfit(np.arange(D - 1), np.log(scale), 1)[0]))
            error = np.abs(convolve(P, Q, points, rho, {})[:D - 1] - want).max((1, 2)) / scale
            print(f"whole, {points} points, radius {rho:.4f}: worst error {error.max():.1e} at delay {error.argmax() + 1}, "
                  f"median {np.median(error):.1e}, below 1e-4 at {(error < 1e-4).mean():.0%} of the delays")


if __name__ == "__main__":
    main()
