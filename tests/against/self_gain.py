#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""analyze --units: self gains against float64 products of one-step Jacobians, which are central differences of numpy's cells.
Three truths: the estimate of the very signs that were drawn (xoshiro256** in Python), to float32's accuracy; the exact
diagonal, within the scatter that random signs have; and where the recurrence is diagonal, or there is one unit, the exact
diagonal itself. Then the bytes of threads and parts, and the latch. usage: self_gain.py STATEGRAD"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helpers"))
import english  # noqa: E402
import real_run  # noqa: E402
from project_random import random_bits, uniforms  # noqa: E402

program = os.path.abspath(sys.argv[1])
SEED_OF_SIGNS, SEED_OF_ORIGINS = 0x51F7, 0x6A1D
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1700000000"}
BASE = ["--units", "--replace", "none", "--lyapunov", "none", "-q"]


def run(*args, **kwargs):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True, env=ENV, **kwargs)


def signs(seed, layer, t, H):
    bits = random_bits((seed ^ SEED_OF_SIGNS) + layer, t, (H + 63) // 64)
    return np.array([1.0 if bits[j // 64] >> j % 64 & 1 else -1.0 for j in range(H)])


sigmoid = lambda a: 1 / (1 + np.exp(-a))


class Model:
    """Cells from their equations (doc/method.md), many states side by side. A state is (n, P H): h, then c."""
    def __init__(self, path):
        with open(path, "rb") as f:
            n = struct.unpack("<Q", f.read(8))[0]
            header, data = json.loads(f.read(n)), f.read()
        meta = header["__metadata__"]
        self.cell, self.words = meta["cell"], json.loads(meta["vocabulary"])
        self.t = {k: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"]).astype("f8")
                  for k, t in header.items() if k != "__metadata__"}
        self.L = sum(k.startswith("rnn.weight_ih_l") for k in self.t)
        gates = {"lstm": 4, "gru": 3, "gru-reset-first": 3, "rnn": 1, "mingru": 2, "minlstm": 3}[self.cell]
        self.H = [len(self.t[f"rnn.weight_ih_l{k}"]) // gates for k in range(self.L)]
        self.P = 2 if self.cell == "lstm" else 1

    def step(self, k, x, s):
        H = self.H[k]
        h, W = s[:, :H], {n: self.t.get(f"rnn.{n}_l{k}", 0) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        a = np.split(x @ W["weight_ih"].T + W["bias_ih"], len(W["weight_ih"]) // H, axis=-1)
        if self.cell in ("mingru", "minlstm"):
            if self.cell == "mingru":
                z = sigmoid(a[0])
                return (1 - z) * h + z * a[1]
            f, i = sigmoid(a[0]), sigmoid(a[1])
            return (f * h + i * a[2]) / (f + i)
        b = np.split(h @ W["weight_hh"].T + W["bias_hh"], len(a), axis=-1)
        if self.cell == "lstm":
            i, f, g, o = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1]), np.tanh(a[2] + b[2]), sigmoid(a[3] + b[3])
            c = f * s[:, H:] + i * g
            return np.concatenate([o * np.tanh(c), c], 1)
        if self.cell == "rnn":
            return np.tanh(a[0] + b[0])
        r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
        if self.cell == "gru":
            n = np.tanh(a[2] + r * b[2])
        else:
            n = np.tanh(a[2] + (r * h) @ W["weight_hh"][2 * H:].T + W["bias_hh"][2 * H:])
        return (1 - z) * n + z * h

    def jacobians(self, k, x, s):
        """(T, PH, PH) of step t by the state before it, by central differences, and where there is a cell state the
        diagonal of d h_t / d c_t with the output gate fixed."""
        n, e = s.shape[1], 1e-5
        out = np.empty((len(x), n, n))
        for j in range(n):
            up, down = s.copy(), s.copy()
            up[:, j] += e
            down[:, j] -= e
            out[:, :, j] = (self.step(k, x, up) - self.step(k, x, down)) / (2 * e)
        return out

    def output_slope(self, k, x, s):
        H = self.H[k]
        i, W = slice(3 * H, 4 * H), {n: self.t[f"rnn.{n}_l{k}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        o = sigmoid(x @ W["weight_ih"][i].T + W["bias_ih"][i] + s[:, :H] @ W["weight_hh"][i].T + W["bias_hh"][i])
        return o * (1 - np.tanh(self.step(k, x, s)[:, H:]) ** 2)


def truth(model, path, layer, D, seed, reset=False, window=0, burn_in=0, rate=1.0):
    """By delay and unit over all origins: pairs, the mean of the estimates of the signs drawn, the exact mean, and the
    standard error that random signs give."""
    lines = [line.split() + ["<eos>"] for line in open(path, encoding="utf-8")]
    ids = {w: i for i, w in enumerate(model.words)}
    x = model.t["encoder.weight"][[ids.get(w, ids.get("<unk>")) for line in lines for w in line]]
    first = np.array([i == 0 for line in lines for i in range(len(line))])
    T, P = len(x), model.P
    for k in range(layer + 1):
        H = model.H[k]
        before, s = np.zeros((T, P * H)), np.zeros((1, P * H))
        for t in range(T):
            s = s * 0 if reset and first[t] else s
            before[t] = s
            s = model.step(k, x[t:t + 1], s)
        if k < layer:
            x = model.step(k, x, before)[:, :H]
    A = model.jacobians(layer, x, before)
    q = model.output_slope(layer, x, before) if P == 2 else None
    pairs, drawn, exact, variance = np.zeros(D), np.zeros((D, H)), np.zeros((D, H)), np.zeros((D, H))
    zero = 0
    for t in range(T):
        zero = t if reset and first[t] else zero
        if t - zero < burn_in or (rate < 1 and not uniforms(seed ^ SEED_OF_ORIGINS, t, 1)[0] < rate):
            continue
        z = signs(seed, layer, t, H)
        J = np.eye(H) if P == 1 else np.concatenate([np.diag(q[t]), np.eye(H)])
        for d in range(D):
            if d and (t + d == T or (reset and first[t + d]) or (window and (t + d) % window == 0)):
                break
            J = A[t + d] @ J if d else J
            S = J[-H:]
            pairs[d] += 1
            drawn[d] += z * (S @ z)
            exact[d] += S.diagonal()
            variance[d] += (S ** 2).sum(1) - S.diagonal() ** 2
    return pairs, drawn / pairs[:, None], exact / pairs[:, None], np.sqrt(variance) / pairs[:, None]


def read(path, group):
    with netCDF4.Dataset(path) as f:
        g = f[group]
        return {v: np.ma.filled(g[v][:], np.nan) for v in g.variables if v.startswith("unit_self")}


def half_lives(y):
    """(D, H): the delay at which each column first falls below one half, on a line of logarithms."""
    out = np.full(y.shape[1], np.nan)
    for u, curve in enumerate(np.minimum(y, 1).T):
        below = [d for d in range(1, len(curve)) if curve[d] < 0.5]
        if below:
            d = below[0]
            out[u] = d if curve[d] <= 0 else d - 1 + np.log(curve[d - 1] / 0.5) / np.log(curve[d - 1] / curve[d])
    return out


SETTINGS = [  # cell, of training, of the analysis, of the truth
    ("lstm", ["--hidden-size", "9", "--init", "0.8"], ["-d", "12"], {}),
    ("lstm", ["--hidden-size", "7", "--layers", "2", "--init", "0.9"], ["-d", "9", "--layer", "all", "--state-handling", "reset", "--burn-in", "3"],
     {"reset": True, "burn_in": 3}),
    ("gru", ["--hidden-size", "70", "--init", "0.3"], ["-d", "7", "--state-handling", "window:40", "--seed", "5"], {"window": 40, "seed": 5}),
    ("gru-reset-first", ["--hidden-size", "6", "--init", "1"], ["-d", "6", "--sample", "900"], {"sample": 900}),
    ("rnn", ["--hidden-size", "8", "--init", "0.6"], ["-d", "6", "--burn-in", "20"], {"burn_in": 20}),
    ("rnn", ["--hidden-size", "1", "--init", "1.5"], ["-d", "6"], {"diagonal": True}),
    ("mingru", ["--hidden-size", "8", "--init", "1"], ["-d", "8", "--state-handling", "reset"], {"diagonal": True, "reset": True}),
    ("minlstm", ["--hidden-size", "8", "--init", "1"], ["-d", "8"], {"diagonal": True}),
]


def values(folder):
    apart, n = [], 0
    for cell, train, analyse, how in SETTINGS:
        how, layers = dict(how), 2 if "--layers" in train else 1
        run("train", "plain.txt", "-o", "m", "--cell", cell, "--embedding-size", "5", "--epochs", "1", "--batch", "4", "--seed", "3", "-q", *train,
            cwd=folder)
        run("analyze", "m", "plain.txt", "-o", "m.nc", *BASE, *analyse, cwd=folder)
        model, D = Model(os.path.join(folder, "m")), int(analyse[1])
        tokens = sum(len(line.split()) + 1 for line in open(os.path.join(folder, "plain.txt")))
        if "sample" in how:
            how["rate"] = how.pop("sample") / tokens
        diagonal = how.pop("diagonal", False)
        for layer in range(layers):
            pairs, drawn, exact, error = truth(model, os.path.join(folder, "plain.txt"), layer, D, how.pop("seed", 1), **how)
            got = read(os.path.join(folder, "m.nc"), f"layer{layer + 1}." + ("cell" if cell == "lstm" else "hidden"))
            assert (got["unit_self_gain_pairs"] == pairs).all() and pairs[0] > 500, (cell, got["unit_self_gain_pairs"], pairs)
            y = got["unit_self_gain"]
            off = abs(y - drawn)
            assert (off <= 2e-4 * (abs(drawn) + error + 1e-4)).all(), (cell, layer, off.max(), y[1], drawn[1])
            if diagonal:
                assert (error < 1e-9).all() and (abs(y - exact) <= 2e-5 * (abs(exact) + 1e-3)).all(), (cell, y[1], exact[1])
            else:
                z = (y - exact)[1:] / error[1:]
                assert (abs(z) < 4.5).all(), (cell, layer, abs(z).max())
                apart.extend(z.ravel())
                inside = (got["unit_self_gain_low"] <= exact) & (exact <= got["unit_self_gain_high"])
                assert inside[1:].mean() > 0.8, (cell, inside.mean(1))
            assert (y[0] == 1).all() and (got["unit_self_gain_low"][0] == 1).all(), (cell, y[0])
            expected, half = half_lives(y), got["unit_self_half_life"]
            assert (np.isnan(expected) == np.isnan(half)).all() and np.nanmax(abs(expected - half), initial=0) < 1e-9, (cell, expected, half)
            n += y.size
    apart = np.array(apart)
    assert 0.75 < (apart ** 2).mean() < 1.3 and abs(apart.mean()) < 0.2, ((apart ** 2).mean(), apart.mean())
    print(f"{n} self gains as by float64: the signs drawn to rounding; the exact diagonal {apart.std():.2f} standard errors apart")


def check_summary(text, half, left):
    """The units that the summary names, longest half-life first, and the middle one, from the run file."""
    told = re.search(r"share left at delay 7\)\n +(.*); the middle one of (\d+) units: (.*)\n", text)
    order = sorted(range(len(half)), key=lambda u: (-half[u] if half[u] == half[u] else -np.inf, -left[u]))
    life = [f"{half[u]:.3g}" if half[u] == half[u] else "above 7" for u in order]
    assert told and told[1] == ", ".join(f"unit {u}: {x} ({left[u]:.2g})" for u, x in zip(order[:5], life)), (told and told[0], order, half, left)
    assert (told[2], told[3]) == (str(len(half)), life[len(half) // 2]), (told[0], half)


def jackknife(folder):
    """Intervals from the sums of each block: parts of a run hold them."""
    run("train", "plain.txt", "-o", "m", "--embedding-size", "5", "--hidden-size", "9", "--init", "0.8", "--epochs", "1", "--batch", "4", "-q", cwd=folder)
    text = run("analyze", "m", "plain.txt", "-o", "whole.nc", *BASE[:-1], "-d", "8", "--blocks", "6", "--documents", "none", cwd=folder).stdout
    run("analyze", "m", "plain.txt", "-o", "p.nc", *BASE, "-d", "8", "--blocks", "6", "--documents", "none", "--part", "1/1", cwd=folder)
    with netCDF4.Dataset(os.path.join(folder, "p.nc")) as f:
        sums, pairs = f["layer1.cell"]["part_self_gain"][:], f["part_self_gain_pairs"][:]
    got = read(os.path.join(folder, "whole.nc"), "layer1.cell")
    check_summary(text, got["unit_self_half_life"], got["unit_self_gain"][-1])
    N, S, B = pairs.sum(0), sums.sum(0), len(pairs)
    without = (S - sums) / (N - pairs)[..., None]
    share = (N / pairs)[..., None]
    corrected = B * S / N[:, None] - ((1 - 1 / share) * without).sum(0)
    error = np.sqrt(((share * S / N[:, None] - (share - 1) * without - corrected) ** 2 / (share - 1)).sum(0) / B)
    assert B == 6 and np.allclose(got["unit_self_gain"], S / N[:, None], rtol=1e-12)
    middle, half = (got["unit_self_gain_low"] + got["unit_self_gain_high"]) / 2, (got["unit_self_gain_high"] - got["unit_self_gain_low"]) / 2
    bias = (S / N[:, None] - corrected) ** 2 / 10
    quantile = half[1:] / np.sqrt(error ** 2 + bias)[1:]
    assert np.allclose(middle, corrected, atol=1e-9) and quantile.std() < 0.01 and 2.56 < quantile.min() < 2.7, (quantile.min(), quantile.max())
    print("intervals: the block jackknife")


def same_bytes(folder):
    for handling in ("carry", "reset", "warm"):
        of = ["--warm-up", "40"] if handling == "warm" else ["--state-handling", handling]
        options = ["m", "plain.txt", *BASE, "-d", "20", "--blocks", "6", *of, "--baseline", "untrained", "--state", "both"]
        run("analyze", *options, "-o", "one.nc", cwd=folder)
        whole = open(os.path.join(folder, "one.nc"), "rb").read()
        if handling == "carry":
            run("analyze", *options, "-o", "one.nc", "--threads", "2", cwd=folder)
            assert whole == open(os.path.join(folder, "one.nc"), "rb").read(), (handling, "threads")
        for i in (1, 2):
            run("analyze", *options, "-o", f"p{i}.nc", "--part", f"{i}/2", cwd=folder)
        run("merge", "p2.nc", "p1.nc", "-o", "joined.nc", "-q", cwd=folder)
        for group in ("layer1.cell", "layer1.hidden", "untrained.layer1.cell"):
            a, b = (read(os.path.join(folder, name), group) for name in ("one.nc", "joined.nc"))
            assert a and all(x.tobytes() == b[v].tobytes() for v, x in a.items()), (handling, group)
        a, b = (read(os.path.join(folder, "one.nc"), f"layer1.{s}") for s in ("cell", "hidden"))
        assert all(a[v].tobytes() == b[v].tobytes() for v in a), "both states of a layer have the self gains of its cell"
    print("the same bytes for threads and parts, with and without warm-up")


def latch(folder):
    """The forget gate of unit 0 is 1 but at a switch, where it is 0: its self gain is the share of origins that no switch
    follows within d steps. Unit 1 keeps nothing."""
    run("synth", "--kind", "latch", "-o", "synth", "--tokens", "6000", cwd=folder)
    D = 40
    run("analyze", "synth/latch/model.safetensors", "synth/latch/test.txt", "--format", "tagged", "-o", "latch.nc", *BASE, "-d", str(D), cwd=folder)
    got = read(os.path.join(folder, "latch.nc"), "layer1.cell")
    words = [w for line in open(os.path.join(folder, "synth/latch/test.txt")) for w in [x.rsplit("/", 1)[0] for x in line.split()] + ["<eos>"]]
    switch = np.array([w in ("on", "off") for w in words])
    for d in range(D):
        kept = np.mean([not switch[t + 1:t + d + 1].any() for t in range(len(words) - d)])
        assert abs(got["unit_self_gain"][d, 0] - kept) < 1e-5 and abs(got["unit_self_gain"][d, 1] - (d == 0)) < 1e-5, (d, kept, got["unit_self_gain"][d])
    assert got["unit_self_gain"][20, 0] > 0.5 and got["unit_self_half_life"][1] < 0.1
    print("latch: its self gain is the share of origins without a later switch,", round(float(got["unit_self_gain"][20, 0]), 3), "at delay 20")


with tempfile.TemporaryDirectory() as folder:
    real_run.write(folder, "plain.txt", english.plain(english.sentences()[:45]))
    values(folder)
    jackknife(folder)
    same_bytes(folder)
    latch(folder)
