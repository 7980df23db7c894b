#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`stategrad analyze` against PyTorch's autograd and numpy. usage: analyze.py STATEGRAD CASE...

The model is written here with the safetensors layout (a JSON header and float32 data), the gradients come from one backward
pass per state component in float64, everything after them from numpy.
"""
import csv
import functools
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    import xarray
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

torch.set_num_threads(1)  # tests run side by side
torch.manual_seed(1)
np.random.seed(1)
PROGRAM = os.path.abspath(sys.argv[1])
GATES = {"lstm": 4, "gru": 3, "rnn": 1, "mingru": 2, "minlstm": 3}

# The gradients alone: what else an analysis does has tests of its own, and takes a third of the time.
ALONE = ("--documents", "none", "--replace", "none", "--lyapunov", "none")


def run(*args, code=0, env=None):
    r = subprocess.run([PROGRAM, *map(str, args)], capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)
    return r


def close(a, b, tol, what):
    a, b = np.asarray(a, float), np.asarray(b, float)
    assert a.shape == b.shape, (what, a.shape, b.shape)
    scale = np.nanmax(np.abs(b)) if b.size else 1
    bad = ~(np.abs(a - b) <= tol * (scale + 1e-300))
    assert not bad.any(), (what, np.argwhere(bad)[0], a[bad][0], b[bad][0], scale)


class Model:
    """Weights in float32 for the file, the same in float64 for autograd."""

    def __init__(self, cell, layers, E, H, words, scale=0.6):
        self.cell, self.layers, self.E, self.H, self.words = cell, layers, E, H, words
        g = GATES[cell]
        self.w = {"encoder.weight": np.random.randn(len(words), E)}
        for k in range(layers):
            n = E if k == 0 else H
            self.w[f"rnn.weight_ih_l{k}"] = np.random.randn(g * H, n) * scale / n ** .5
            if not cell.startswith("min"):
                self.w[f"rnn.weight_hh_l{k}"] = np.random.randn(g * H, H) * scale / H ** .5
            self.w[f"rnn.bias_ih_l{k}"] = np.random.randn(g * H) * .2
            if not cell.startswith("min"):
                self.w[f"rnn.bias_hh_l{k}"] = np.random.randn(g * H) * .2
        self.w["decoder.weight"] = np.random.randn(len(words), H) * .1
        self.w["decoder.bias"] = np.zeros(len(words))
        self.w = {k: v.astype(np.float32) for k, v in self.w.items()}
        self.t = {k: torch.tensor(v.astype(np.float64)) for k, v in self.w.items()}

    def write(self, path):
        header = {"__metadata__": {"format": "stategrad-model", "cell": self.cell, "unit": "word", "eos": "true",
                                   "vocabulary": json.dumps(self.words)}}
        at, data = 0, b""
        for name, x in self.w.items():
            header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [at, at + x.nbytes]}
            at += x.nbytes
            data += x.tobytes()
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text + data)

    def step(self, x, state):
        """state: list over layers of (h, c); returns the new one."""
        out = []
        for k in range(self.layers):
            h, c = state[k]
            a = self.t[f"rnn.weight_ih_l{k}"] @ x + self.t[f"rnn.bias_ih_l{k}"]
            if not self.cell.startswith("min"):
                b = self.t[f"rnn.weight_hh_l{k}"] @ h + self.t[f"rnn.bias_hh_l{k}"]
            if self.cell == "mingru":
                z, candidate = a.chunk(2)
                h = (1 - torch.sigmoid(z)) * h + torch.sigmoid(z) * candidate
            elif self.cell == "minlstm":
                f, i, candidate = a.chunk(3)
                f, i = torch.sigmoid(f), torch.sigmoid(i)
                h = f / (f + i) * h + i / (f + i) * candidate
            elif self.cell == "lstm":
                i, f, g, o = (a + b).chunk(4)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            elif self.cell == "gru":
                ar, az, an = a.chunk(3)
                br, bz, bn = b.chunk(3)
                z = torch.sigmoid(az + bz)
                h = (1 - z) * torch.tanh(an + torch.sigmoid(ar + br) * bn) + z * h
            else:
                h = torch.tanh(a + b)
            out.append((h, c))
            x = h
        return out

    def gradients(self, ids, first, D, handling, burn_in, layer, kind):
        """{(t, d): H x E}, one backward pass per component; pairs that do not exist are not there."""
        mode, window = handling
        zero = torch.zeros(self.H, dtype=torch.float64)
        xs, state, start, result = [], [(zero, zero)] * self.layers, 0, {}
        for t, w in enumerate(ids):
            if mode == "reset" and first[t]:
                state, start = [(zero, zero)] * self.layers, t
            xs.append(self.t["encoder.weight"][w].clone().requires_grad_())
            state = self.step(xs[t], state)
            s = state[layer - 1][0 if kind == "hidden" else 1]
            low = max(t - D + 1, start if mode == "reset" else 0)
            if mode == "window":
                low = max(low, t // window * window)
            low = max(low, start + burn_in)
            if low > t:
                continue
            rows = [torch.autograd.grad(s[i], xs[low:t + 1], retain_graph=True) for i in range(self.H)]
            for j in range(low, t + 1):
                result[t, t - j] = torch.stack([r[j - low] for r in rows]).numpy()
        return result


def corpus(words, lines, longest):
    """Lines of words, ids with <eos>, sentence starts, word class (0 or 1, two tags overlap through `words:`)."""
    text, ids, first = [], [], []
    for _ in range(lines):
        line = [words[np.random.randint(2, len(words))] for _ in range(np.random.randint(1, longest))]
        text.append(" ".join(line))
        first += [True] + [False] * len(line)
        ids += [words.index(w) for w in line] + [words.index("<eos>")]
    return "\n".join(text) + "\n", ids, first


def reference(G, ids, member, D, T, B, H, E):
    """Sums by block: N (B, C, D), S (B, C, D, H, E), M (B, C, D, E, E)."""
    C = len(member)
    N, S, M = np.zeros((B, C, D)), np.zeros((B, C, D, H, E)), np.zeros((B, C, D, E, E))
    starts = [T // B * b + T % B * b // B for b in range(B + 1)]
    for (t, d), g in G.items():
        b = max(i for i in range(B) if starts[i] <= t)
        for c in range(C):
            if member[c][ids[t - d]]:
                N[b, c, d] += 1
                S[b, c, d] += g
                M[b, c, d] += g.T @ g
    return N, S, M


def statistics(G, M, L, n):
    P, S, Vt = np.linalg.svd(G @ L, full_matrices=False)
    p = S / S.sum()
    c = np.minimum(1, np.sqrt(np.cumsum((Vt @ n) ** 2)))
    return {"gain_along": np.linalg.norm(G @ L @ n), "S": S, "sum": S.sum(), "rank": np.exp(-(p * np.log(p)).sum()), "V": Vt, "P": P.T,
            "coherence": (G ** 2).sum() / np.trace(M), "gain": np.sqrt(np.linalg.eigvalsh(L.T @ M @ L)[::-1][:len(S)]),
            "relative": np.linalg.norm(G @ L @ n) / S[0], "cosine": c}


@functools.lru_cache(maxsize=None)
def t_quantile(nu):
    """97.5 % of Student's t by bisection on its distribution, by numerical integration."""
    from math import gamma, pi, sqrt
    x = np.linspace(0, 60, 600001)
    y = gamma((nu + 1) / 2) / sqrt(nu * pi) / gamma(nu / 2) * (1 + x * x / nu) ** (-(nu + 1) / 2)
    F = 0.5 + np.concatenate([[0], np.cumsum((y[1:] + y[:-1]) / 2 * (x[1] - x[0]))])
    return x[np.searchsorted(F, 0.975)]


def jackknife(value, without, n):
    """Delete-one-block, blocks of unequal size (doc/statistics.md)."""
    N, use = n.sum(), n > 0
    h, g, w = N / n[use], use.sum(), without[use]
    corrected = g * value - ((1 - 1 / h) * w).sum()
    pseudo = h * value - (h - 1) * w
    error = np.sqrt(((pseudo - corrected) ** 2 / (h - 1)).sum() / g)
    bias = value - corrected
    t = t_quantile(N * N / (n ** 2).sum() - 1)
    half = t * np.sqrt(error ** 2 + bias ** 2 / 10)
    return error, bias, corrected - half, corrected + half


def effective(n):
    return n.sum() ** 2 / (n ** 2).sum()


def with_words(value, error, bias, n, folds, weight):
    """The interval from blocks (error, bias; weights n) and from folds of the words (doc/statistics.md)."""
    error_w, bias_w, _, _ = jackknife(value, folds, weight)
    a, b, bias = error ** 2, error_w ** 2, bias + bias_w
    nu = (a + b) ** 2 / (a ** 2 / (effective(n) - 1) + b ** 2 / (effective(weight) - 1))
    half = t_quantile(nu) * np.sqrt(a + b + bias ** 2 / 10)
    return value - bias - half, value - bias + half


def margin(key, f, without, n):
    """How far the rule under which the interval of this statistic is given is from its limit."""
    if key == "sum":
        error, bias, _, _ = jackknife(f["sum"], np.array([x["sum"] for x in without]), n)
        return 0.5 * error / abs(bias)
    if key == "relative":
        assert abs(f["gain_along"] - f["relative"] * f["S"][0]) < 1e-12
        q, qs = (f["relative"] * f["S"][0]) ** 2, np.array([(x["relative"] * x["S"][0]) ** 2 for x in without])
        noise = abs(((1 - n / n.sum()) * (q - qs))[n > 0].sum()) / q
        errors = [jackknife(f["S"][k], np.array([x["S"][k] for x in without]), n)[0] for k in (0, 1)]
        return min(0.1 / noise, (f["S"][0] - f["S"][1]) / np.hypot(*errors) / 2.5)
    return np.inf


def exact_signs(F):
    """P(|sum of +-F| >= |sum of F|) over all signs."""
    sums = np.zeros(1)
    for x in F:
        sums = np.concatenate([sums + x, sums - x])
    return (np.abs(sums) >= abs(F.sum()) * (1 - 1e-9)).mean()


def check_ratio(g, ids, G, N, M, L, words, member, B, D):
    """The rms gain of each class over that of all words but <eos> and <unk>, its interval, the p-value of a set of tokens;
    and the gain of each word: from the gradients of autograd."""
    square = np.einsum("ij,bcdik,kj->bcd", L, M, L)
    named = [w not in ("<eos>", "<unk>") for w in words]
    n_all, _, m_all = reference(G, ids, [named], D, len(ids), B, *next(iter(G.values())).shape)
    other = np.einsum("ij,bcdik,kj->bcd", L, m_all, L)[:, 0]
    for w in range(len(words)):
        for d in range(D):
            own = [np.linalg.norm(x @ L) ** 2 for (t, e), x in G.items() if e == d and ids[t - d] == w]
            same = float(g.word_gain.values[w, d])
            assert np.isnan(same) if not own else abs(same - np.mean(own) ** .5) < 2e-5 * same, (w, d, same)
    assert np.isnan(g.gain_ratio.values[0]).all() and g.gain_ratio.attrs["missing_reason"].startswith("class all is")
    for c in range(1, len(member)):
        for d in range(D):
            n, s, m, o = N[:, c, d], square[:, c, d], n_all[:, 0, d], other[:, d]
            got = [float(g[k].values[c, d]) for k in ("gain_ratio", "gain_ratio_low", "gain_ratio_high", "p_tokens")]
            if not n.sum():
                assert np.isnan(got).all() and "no pairs" in g.gain_ratio.attrs["missing_reason"]
                continue
            log_ratio = lambda s, n, o, m: 0.5 * np.log(s / n / (o / m))
            value = log_ratio(s.sum(), n.sum(), o.sum(), m.sum())
            assert abs(got[0] - np.exp(value)) < 1e-5 * got[0], (c, d, got, np.exp(value))
            if (n > 0).sum() == B and n.sum() ** 2 / (n ** 2).sum() >= 8:
                without = np.array([log_ratio(s.sum() - s[b], n.sum() - n[b], o.sum() - o[b], m.sum() - m[b]) for b in range(B)])
                low, high = np.exp(jackknife(value, without, n)[2:])
                assert abs(got[1] - low) < 1e-3 * low and abs(got[2] - high) < 1e-3 * high, (c, d, got, low, high)
            F = np.array([s[b] - n[b] * o[b] / m[b] for b in range(B) if 0 < n[b] < m[b]])
            if len(F) >= 8:
                p = exact_signs(F)
                assert abs(got[3] - p) < 5 * (p * (1 - p) / 1000) ** .5 + 0.003, (c, d, got, p)
            else:
                assert np.isnan(got[3]) and "8 blocks" in g.p_tokens.attrs["missing_reason"], (c, d, got)
    assert np.isnan(g.p_types.values[3]).all(), "a class of one word"


def check_units(g, N, S, L, deltas, fold_deltas, fold_weight, table):
    """Gains of single units, over all directions and along each property, with intervals: from sums of autograd's gradients.
    Those along the property of classes have the error from its words too; the pairs are too few for an interval."""
    names, path = table
    direction = lambda x: np.linalg.solve(L, x) / np.linalg.norm(np.linalg.solve(L, x))
    sides, folds = [direction(x) for x in deltas], [direction(x) for x in fold_deltas]
    rows = {(r[1], r[2], r[3]): r[4:] for r in csv.reader(open(path)) if r[3].startswith("unit_")}
    compared = 0
    for c, name in enumerate(g["class"].values):
        for d in range(N.shape[2]):
            n, total, at = N[:, c, d], S[:, c, d].sum(0), (c, d)
            if not n.sum():
                assert np.isnan(g.unit_gain.values[at]).all() and np.isnan(g.unit_property_gain.values[:, c, d]).all()
                continue
            whole = total / n.sum() @ L
            close(g.unit_gain.values[at], np.linalg.norm(whole, axis=1), 1e-5, ("unit gain", at))
            for p in range(2):
                close(g.unit_property_gain.values[p, c, d], whole @ sides[p], 2e-5, ("unit gain along a property", p, at))
            assert np.isnan(g.unit_property_gain_low.values[1, c, d]).all() and g.unit_property_gain_low.attrs["missing_reason"]
            for u in (0, len(whole) - 1):
                for key, value in ((f"unit_gain[{u}]", g.unit_gain.values[c, d, u]), (f"unit_property_gain[{names[0]}][{u}]", g.unit_property_gain.values[0, c, d, u])):
                    assert float(rows[name, str(d), key][0]) == float(f"{value:.9g}") or abs(float(rows[name, str(d), key][0]) - value) <= 1e-8 * abs(value), (key, at)
            if (n > 0).sum() < len(n) or effective(n) < 8:
                continue
            without = [(total - S[b, c, d]) / (n.sum() - n[b]) @ L for b in range(len(n))]
            for u in range(0, len(whole), 3):
                _, _, low, high = jackknife(np.linalg.norm(whole[u]), np.array([np.linalg.norm(x[u]) for x in without]), n)
                got = [float(g["unit_gain" + s].values[c, d, u]) for s in ("_low", "_high")]
                assert np.abs(np.subtract(got, (max(low, 0), high))).max() < 2e-3 * np.linalg.norm(whole[u]), ("unit gain", at, u, got, low, high)
                error, bias, _, _ = jackknife(whole[u] @ sides[0], np.array([x[u] @ sides[0] for x in without]), n)
                want = with_words(whole[u] @ sides[0], error, bias, n, np.array([whole[u] @ x for x in folds]), fold_weight)
                got = [float(g["unit_property_gain" + s].values[0, c, d, u]) for s in ("_low", "_high")]
                assert np.abs(np.subtract(got, want)).max() < 2e-3 * (abs(whole[u] @ sides[0]) + want[1] - want[0]), ("unit gain along a property", at, u, got, want)
                compared += 1
    assert compared or N.shape[2] < 6 or len(whole) < 5, "no interval of a unit to compare"


def check_case(folder, cell, layers, handling, kind, layer, burn_in=0, H=7, E=5, D=6, B=20):
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(24)]
    m = Model(cell, layers, E, H, words)
    text, ids, first = corpus(words, 22, 9)
    T = len(ids)
    paths = {k: os.path.join(folder, k) for k in ("m.safetensors", "c.txt", "w.txt", "run.nc", "run.csv", "pairs.txt")}
    m.write(paths["m.safetensors"])
    classes = {"low": words[2:14], "odd": words[3::2], "rare": [words[2]]}
    with open(paths["c.txt"], "w") as f:
        f.write(text)
    with open(paths["w.txt"], "w") as f:
        f.writelines(f"{k}: {' '.join(v)}\n" for k, v in classes.items())
    with open(paths["pairs.txt"], "w") as f:
        f.write("w1 w2\nw3 w4\nw1 nothing\n")
    name = {"carry": "carry", "reset": "reset", "window": f"window:{handling[1]}"}[handling[0]]
    r = run("analyze", paths["m.safetensors"], paths["c.txt"], "-o", paths["run.nc"], "--delays", D, "--state", kind,
            "--layer", layer, "--classes", "words:" + paths["w.txt"], "--state-handling", name, "--burn-in", burn_in,
            "--property", "side=low-odd", "--property", "pair=" + paths["pairs.txt"], "--blocks", B, "--documents", "none", "--threads", 2,
            "--units", "--csv", paths["run.csv"])
    assert "fewer than 10" in r.stderr, r.stderr
    G = m.gradients(ids, first, D, handling, burn_in, layer, kind)
    member = [[True] * len(words)] + [[w in v for w in words] for v in classes.values()]
    N, S, M = reference(G, ids, member, D, T, B, H, E)
    X = m.w["encoder.weight"].astype(float)
    L = np.linalg.cholesky(np.cov(X.T))
    count = np.bincount(ids, minlength=len(words))
    mean = lambda ws: np.average(X[[words.index(w) for w in ws]], axis=0, weights=[count[words.index(w)] for w in ws])
    deltas = [mean([w for w in classes["low"] if w in text.split()]) - mean([w for w in classes["odd"] if w in text.split()]),
              ((X[words.index("w1")] - X[words.index("w2")]) + (X[words.index("w3")] - X[words.index("w4")])) / 2]
    sides = [sorted(words.index(w) for w in classes[c] if w in text.split()) for c in ("low", "odd")]
    assert min(map(len, sides)) >= 10, sides
    dealt = lambda k: [[w for i, w in enumerate(s) if i % 10 != k] for s in sides]
    fold_deltas = [np.subtract(*(np.average(X[s], axis=0, weights=count[s]) for s in dealt(k))) for k in range(10)]
    fold_weight = np.array([1 - sum(count[s].sum() / count[a].sum() for s, a in zip(dealt(k), sides)) / 2 for k in range(10)])
    units = [x / np.linalg.norm(x) for x in (np.linalg.solve(L, d) for d in fold_deltas)]
    root = xarray.open_dataset(paths["run.nc"])
    g = xarray.open_dataset(paths["run.nc"], group=f"layer{layer}.{kind}")
    assert list(root.class_name.values) == ["all", *classes]
    assert root.attrs["tokens"] == T and root.attrs["state_handling"] == name and root.attrs["normalization"] == "covariance"
    assert list(root.class_tokens.values) == [sum(x[i] for i in ids) for x in member]
    assert list(root.property_name.values) == ["side", "pair"] and list(root.property_words_a.values)[1] == 2
    close(root.embedding_covariance_factor.values, L, 1e-6, "L")
    close(root.property_vector.values, deltas, 1e-6, "property vectors")
    assert np.array_equal(g.pairs.values, N.sum(0)), (g.pairs.values, N.sum(0))
    sigma, apart = g.singular_value.values[:, :, 0], g.class_difference.values
    known = np.isfinite(apart[1:])
    assert known.sum() >= np.isfinite(sigma[1:]).sum() / 2 or len(member) == 1, apart
    close(apart[1:][known], (sigma[1:] - sigma[0])[known], 1e-5, "class difference")
    check_units(g, N, S, L, deltas, fold_deltas, fold_weight, (g.property.values, paths["run.csv"]))
    given = 0
    for c in range(len(member)):
        for d in range(D):
            at = (c, d)
            if N[:, c, d].sum() == 0:
                assert np.isnan(g.mean_gradient.values[at]).all() and np.isnan(g.singular_value.values[at]).all()
                assert "no pairs" in g.singular_value.attrs["missing_reason"]
                continue
            Gbar, Mbar = S[:, c, d].sum(0) / N[:, c, d].sum(), M[:, c, d].sum(0) / N[:, c, d].sum()
            close(g.mean_gradient.values[at], Gbar, 1e-5, ("mean", at))
            close(g.second_moment.values[at], Mbar, 2e-5, ("second moment", at))
            full = [statistics(Gbar, Mbar, L, n / np.linalg.norm(n)) for n in (np.linalg.solve(L, x) for x in deltas)]
            f = full[0]
            close(g.singular_value.values[at], f["S"], 1e-5, ("S", at))
            close(g.rms_gain.values[at], f["gain"], 2e-5, ("rms gain", at))
            close(g.effective_rank.values[at], f["rank"], 2e-5, ("effective rank", at))
            close(g.coherence.values[at], f["coherence"], 2e-5, ("coherence", at))
            for p in range(2):
                close(g.relative_memory.values[(p, *at)], full[p]["relative"], 2e-5, ("relative memory", p, at))
                close(g.property_gain.values[(p, *at)], full[p]["gain_along"], 2e-5, ("property gain", p, at))
                gaps = np.append(np.abs(np.diff(f["S"])) > 1e-3 * f["S"][0], True)
                close(g.subspace_cosine.values[(p, *at)][gaps], full[p]["cosine"][gaps], 1e-3, ("cosine", p, at))
            V, P, s = (g[k].values[at].astype(float) for k in ("right_singular_vector", "left_singular_vector", "singular_value"))
            close(V @ V.T, np.eye(len(s)), 1e-5, ("V orthonormal", at))
            close(P @ P.T, np.eye(len(s)), 1e-5, ("P orthonormal", at))
            close(P.T @ np.diag(s) @ V, g.mean_gradient.values[at].astype(float) @ L, 1e-5, ("P S V^T = G L", at))
            n, total, total_m = N[:, c, d], S[:, c, d].sum(0), M[:, c, d].sum(0)
            if (n > 0).sum() < B or n.sum() ** 2 / (n ** 2).sum() < 8:
                continue
            without = [statistics((total - S[b, c, d]) / (n.sum() - n[b]), (total_m - M[b, c, d]) / (n.sum() - n[b]), L,
                                  np.linalg.solve(L, deltas[0]) / np.linalg.norm(np.linalg.solve(L, deltas[0])))
                       for b in range(B)]
            for key, name_, k in (("S", "singular_value", 0), ("sum", "singular_sum", None), ("relative", "relative_memory", None)):
                value = f[key] if k is None else f[key][k]
                w = np.array([x[key] if k is None else x[key][k] for x in without])
                error, bias, low, high = jackknife(value, w, n)
                if key == "relative":
                    low, high = with_words(value, error, bias, n, np.array([np.linalg.norm(Gbar @ L @ u) for u in units]) / f["S"][0], fold_weight)
                    gains = np.array([x["gain_along"] for x in without])
                    gain = with_words(f["gain_along"], *jackknife(f["gain_along"], gains, n)[:2], n, np.array([np.linalg.norm(Gbar @ L @ u) for u in units]), fold_weight)
                    got = [float(g["property_gain" + s].values[(0, *at)]) for s in ("_low", "_high")]
                    if np.isfinite(got).all():
                        assert np.abs(np.subtract(got, (max(gain[0], 0), gain[1]))).max() < 2e-3 * f["gain_along"], (at, got, gain)
                        given += 1
                place = (0, *at) if key == "relative" else at if k is None else (*at, k)
                low -= max(bias, 0) / 2 if key == "S" else 0
                low, high = max(low, 0), min(high, 1) if key == "relative" else high
                room = margin(key, f, without, n)  # above 1: the interval is given, see src/analysis/results/intervals.h
                got = [float(g[name_ + suffix].values[place]) for suffix in ("_low", "_high")]
                if room > 1.02:
                    assert np.abs(np.subtract(got, (low, high))).max() < 2e-3 * abs(value), (name_, place, got, low, high, value)
                elif room < 0.98:
                    assert np.isnan(got).all() and g[name_ + "_low"].attrs["missing_reason"], (name_, place, got, room)
    assert given > 0 or D < 6 or H < 5, "no interval of a property to compare"
    assert np.isnan(g.relative_memory_low.values[1]).all() and np.isnan(g.property_gain_low.values[1]).all() and np.isnan(g.subspace_cosine_low.values[1]).all()
    check_ratio(g, ids, G, N, M, L, words, member, B, D)
    # random directions: the root mean square of the cosine of order k is sqrt(k/E); the mean lies just below it
    k = np.arange(1, min(H, E) + 1)
    random = g.subspace_cosine_random.values[0, 0, 0]
    assert (random <= np.sqrt(k / E) + 1e-9).all() and (random > 0.8 * np.sqrt(k / E)).all(), random
    root.close(), g.close()
    print(cell, layers, "layers,", name, kind, layer, "burn-in", burn_in, "ok")


def read_all(path):
    out = {}
    for group in (None, "layer1.cell", "layer2.cell", "layer1.hidden", "untrained.layer1.cell"):
        try:
            with xarray.open_dataset(path, group=group) as d:
                out.update({(group, v): (d[v].dims, d[v].values) for v in d.variables})
        except OSError:
            pass
    return out


def same_runs(a, b, tol, only=None, least=60):
    a, b = read_all(a), read_all(b)
    assert set(a) == set(b) and len(a) > least, set(a) ^ set(b)
    for key, (dims, x) in a.items():
        y = b[key][1]
        assert x.shape == y.shape and dims == b[key][0], key
        if x.dtype == object or x.dtype.kind == "i":
            assert (x == y).all(), key
        elif only is None or any(o in key[1] for o in only):
            assert (np.isnan(x) == np.isnan(y)).all(), key
            close(np.nan_to_num(x), np.nan_to_num(y), tol, key)


def small_setting(folder, lines=60, E=6, H=9):
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(40)]
    m = Model("lstm", 1, E, H, words)
    text, ids, _ = corpus(words, lines, 12)
    paths = [os.path.join(folder, k) for k in ("m.safetensors", "c.txt", "w.txt")]
    m.write(paths[0])
    with open(paths[1], "w") as f:
        f.write(text)
    with open(paths[2], "w") as f:
        f.write("low: " + " ".join(words[2:22]) + "\nodd: " + " ".join(words[3::2]) + "\n")
    return paths, len(ids)


def same_bytes(one, other):
    assert open(one, "rb").read() == open(other, "rb").read(), f"{other}: other bytes than {one}"


def check_documents(folder, m, c, w):
    """Documents of 1 to 7 lines: blocks in four parts, merged and resumed as in one go; its means are those of other blocks."""
    at = lambda name: os.path.join(folder, name)
    env = {"SOURCE_DATE_EPOCH": "1000000000"}
    lines = open(c).readlines() * 5
    starts = np.cumsum([0] + [1 + i % 7 for i in range(80)])
    with open(at("documents.txt"), "w") as f:
        for a, b in zip(starts[:-1], starts[1:]):
            f.write("".join(lines[k % len(lines)] for k in range(a, b)) + "\n")
    base = ("analyze", m, at("documents.txt"), "--delays", 4, "--classes", "words:" + w, "-q")
    run(*base, "-o", at("d.nc"), env=env)
    with xarray.open_dataset(at("d.nc")) as d, xarray.open_dataset(at("d.nc"), group="layer1.cell") as g:
        assert d.attrs["documents"] == "blank" and d.attrs["document_count"] == 80 and d.attrs["block_parts"] == 4, d.attrs
        tokens = np.cumsum([sum(len(lines[k % len(lines)].split()) + 1 for k in range(a, b)) + 1
                            for a, b in zip(starts[:-1], starts[1:])])
        assert set(np.cumsum(g.block_pairs.values[0, 0])) <= set(tokens), "a block ends within a document"
        few = [f"{len(g.block)} blocks", g.singular_value.values]
        assert np.isfinite(g.singular_value_low.values[0, :, 0]).any()
    for i in (1, 2, 3):
        run(*base, "-o", at(f"d{i}.nc"), "--part", f"{i}/3", env=env)
    run("merge", at("d2.nc"), at("d3.nc"), at("d1.nc"), "-o", at("d-merged.nc"), "-q", env=env)
    same_bytes(at("d.nc"), at("d-merged.nc"))
    run(*base, "-o", at("d-checkpoint.nc"), "--checkpoint", at("d-ck"), "--checkpoint-minutes", 0, "--threads", 2, env=env)
    assert open(at("d.nc"), "rb").read() == open(at("d-checkpoint.nc"), "rb").read(), "checkpoint: other bytes"
    run(*base, "-o", at("d-none.nc"), "--documents", "none", env=env)
    with xarray.open_dataset(at("d-none.nc"), group="layer1.cell") as g:
        assert len(g.block) == 20 and np.allclose(g.singular_value.values, few[1], rtol=1e-5, equal_nan=True), few


def check_runs(folder):
    """Same bytes for any number of threads; parts merged are the whole; track is what analyze would have said."""
    (m, c, w), T = small_setting(folder)
    at = lambda name: os.path.join(folder, name)
    env = {"SOURCE_DATE_EPOCH": "1000000000"}
    base = ("analyze", m, c, "--delays", 7, "--classes", "words:" + w, "--classes", "frequency", "--state", "both", "--units", "-q")
    for n in (1, 2, 3):
        run(*base, "--property", "p=low-odd", "-o", at(f"t{n}.nc"), "--threads", n, env=env)
        assert open(at("t1.nc"), "rb").read() == open(at(f"t{n}.nc"), "rb").read(), f"{n} threads: other bytes"
    check_documents(folder, m, c, w)
    for i in (1, 2, 3):
        run(*base, "--property", "p=low-odd", "-o", at(f"p{i}.nc"), "--part", f"{i}/3", env=env)
    run("merge", at("p3.nc"), at("p1.nc"), at("p2.nc"), "-o", at("merged.nc"), "-q", "--csv", at("merged.csv"), env=env)
    same_bytes(at("t1.nc"), at("merged.nc"))
    assert open(at("merged.csv")).readline() == "state,class,delay,quantity,value,low,high\n"
    # pairs drawn, pairs there are and pairs of the second moment all differ: each must come from its own
    sparse = ("--second-moment-every", 3, "--sample", 250)
    run(*base, *sparse, "-o", at("sparse.nc"), env=env)
    for i in (1, 2, 3):
        run(*base, *sparse, "-o", at(f"s{i}.nc"), "--part", f"{i}/3", env=env)
    run("merge", at("s2.nc"), at("s1.nc"), at("s3.nc"), "-o", at("sparse-merged.nc"), "-q", env=env)
    same_bytes(at("sparse.nc"), at("sparse-merged.nc"))
    with xarray.open_dataset(at("sparse.nc"), group="layer1.cell") as g:
        assert (g.pairs != g.existing_pairs).any() and (g.pairs != g.second_moment_pairs).any()
        assert (g.existing_pairs != g.second_moment_pairs).any()
    r = run("merge", at("p1.nc"), at("p2.nc"), "-o", at("x.nc"), code=1)
    assert "part 3 of 3 is missing" in r.stderr, r.stderr
    r = run("merge", at("p1.nc"), at("p2.nc"), at("p2.nc"), "-o", at("x.nc"), code=1)
    assert "part 2 of 3" in r.stderr and "p2.nc" in r.stderr, r.stderr
    run(*base, "--burn-in", 3, "--property", "p=low-odd", "-o", at("other.nc"), "--part", "3/3")
    r = run("merge", at("p1.nc"), at("p2.nc"), at("other.nc"), "-o", at("x.nc"), code=1)
    assert "other.nc" in r.stderr and not os.path.exists(at("x.nc")), r.stderr
    run(*base, "-o", at("bare.nc"))
    run("track", at("bare.nc"), "--property", "p=low-odd", "-q")
    same_runs(at("t1.nc"), at("bare.nc"), 2e-4, only=("relative_memory", "subspace_cosine", "property_vector"))
    r = run("track", at("bare.nc"), "--property", "p=odd-low", code=2)
    assert "property p" in r.stderr, r.stderr
    run(*base, "-o", at("nogram.nc"), "--block-gram", "no", "--baseline", "untrained")
    run("track", at("nogram.nc"), "--property", "p=low-odd", "-q")
    with xarray.open_dataset(at("nogram.nc"), group="layer1.cell") as g:
        assert np.isfinite(g.relative_memory.values[0, 0]).all() and np.isnan(g.relative_memory_low.values).all()
        assert "block_gram" in g.relative_memory_low.attrs["missing_reason"]
    with xarray.open_dataset(at("nogram.nc"), group="untrained.layer1.cell") as g:
        assert np.isfinite(g.singular_value.values[0]).all()
        assert g.singular_value.values[0, 3, 0] < 0.05, "an untrained net of U(-.05,.05) forgets at once"
    run("analyze", m, c, "--delays", 5, "--sample", T // 3, "-o", at("s.nc"), "-q")
    run("analyze", m, c, "--delays", 5, "--precision", 0.5, "-o", at("s2.nc"), "-q")
    with xarray.open_dataset(at("s.nc"), group="layer1.cell") as g, xarray.open_dataset(at("t1.nc"), group="layer1.cell") as h:
        n, all_pairs = g.pairs.values[0, 0], g.existing_pairs.values[0, 0]
        assert all_pairs == T and abs(n - T / 3) < 5 * (T / 3) ** .5, (n, T)
        a, b = g.singular_value.values[0, 0, 0], h.singular_value.values[0, 0, 0]
        assert abs(a - b) < 6 * g.singular_value_se.values[0, 0, 0], (a, b)
    print("threads, parts, track, baseline, sampling ok")


def exponents_by_qr(m, ids, skip):
    """ln |R_kk| of every step, (T, S): Jacobians of the whole state by autograd in float64, QR by numpy."""
    S = m.layers * m.H * (2 if m.cell == "lstm" else 1)
    two = m.cell == "lstm"

    def step(v, x):
        parts = v.reshape(m.layers, -1, m.H)
        state = m.step(x, [(p[0], p[1] if two else p[0]) for p in parts])
        return torch.cat([torch.cat((h, c)) if two else h for h, c in state])
    v, Q, out = torch.zeros(S, dtype=torch.float64), np.linalg.qr(np.random.randn(S, S))[0], []
    for w in ids:
        x = m.t["encoder.weight"][w]
        J = torch.autograd.functional.jacobian(lambda s: step(s, x), v).numpy()
        Q, R = np.linalg.qr(J @ Q)
        out.append(np.log(np.abs(np.diag(R)) + 1e-300))
        v = step(v, x)
    return np.array(out)[skip:]


def check_exponents(folder):
    """All exponents of small models against QR in numpy; of a linear network against the moduli of its eigenvalues; chaos is told."""
    at = lambda name: os.path.join(folder, name)
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(20)]
    text, ids, _ = corpus(words, 40, 12)
    open(at("c.txt"), "w").write(text)
    skip = min(100, len(ids) // 10)

    def analyze(m, K, *more):
        m.write(at("m.safetensors"))
        r = run("analyze", at("m.safetensors"), at("c.txt"), "--delays", 4, "--lyapunov", K, "-o", at("r.nc"), "-q", *more)
        group = "layer%d.%s" % (m.layers, "cell" if m.cell == "lstm" else "hidden")
        with xarray.open_dataset(at("r.nc"), group=group) as g:
            return [g[v].values for v in ("lyapunov_exponent", "lyapunov_exponent_low", "lyapunov_exponent_high")] + [r.stderr, g.attrs]
    for cell, layers, H in (("rnn", 1, 6), ("gru", 1, 5), ("lstm", 1, 4), ("rnn", 2, 4), ("lstm", 2, 3)):
        m = Model(cell, layers, 5, H, words, scale=1.2)
        growth = exponents_by_qr(m, ids, skip)
        got, low, high, _, _ = analyze(m, growth.shape[1])
        # a random start is forgotten at the rate of the gaps between exponents: the last ones of equal size mix longer
        assert np.abs(got - growth.mean(0)).max() < 0.02 * np.abs(got).max() + 0.01, (cell, layers, got, growth.mean(0))
        assert abs(got.sum() - growth.mean(0).sum()) < 1e-3 * abs(got.sum()), "ln |det| has no transient"
        assert (low < got).all() and (got < high).all() and (np.diff(got) < 0.05).all()
    m = Model("rnn", 1, 5, 4, words)  # tanh near 0: linear
    for k in m.w:
        m.w[k] = (m.w[k] * (0.0 if "bias" in k else 1e-4 if "encoder" in k else 1)).astype(np.float32)
    Q = np.linalg.qr(np.random.randn(4, 4))[0]
    m.w["rnn.weight_hh_l0"] = (Q @ np.diag([0.9, -0.5, 0.3, 0.1]) @ Q.T).astype(np.float32)
    got, _, _, _, _ = analyze(m, 4)
    close(got, np.log([0.9, 0.5, 0.3, 0.1]), 2e-3, "log moduli of eigenvalues")
    m = Model("rnn", 1, 5, 60, words, scale=4.0)
    m.w["encoder.weight"] *= np.float32(0.1)
    got, low, high, told, attributes = analyze(m, 1)
    assert got[0] > 0 and low[0] > 0 and "largest Lyapunov exponent" in told and "Lyapunov" in attributes["chaos"], (got, told)
    m = Model("rnn", 1, 5, 6, words, scale=0.4)
    got, _, _, told, attributes = analyze(m, 1)
    assert got[0] < 0 and not told and "chaos" not in attributes, told
    got, low, _, _, _ = analyze(m, 1, "--state-handling", "reset")
    assert np.isnan(got).all() and np.isnan(low).all()
    analyze(m, 1)
    run("analyze", at("m.safetensors"), at("c.txt"), "--delays", 4, "--lyapunov", "none", "-o", at("r.nc"), "-q")
    with xarray.open_dataset(at("r.nc"), group="layer1.hidden") as g:
        assert "lyapunov_exponent" not in g
    r = run("analyze", at("m.safetensors"), at("c.txt"), "--delays", 4, "--lyapunov", 7, "-o", at("x.nc"), code=2)
    assert "--lyapunov" in r.stderr and "at most 6" in r.stderr, r.stderr
    # below 1e-30 nothing is left of a float: missing, and why
    m = Model("rnn", 1, 5, 6, words, scale=1e-4)
    m.write(at("m.safetensors"))
    run("analyze", at("m.safetensors"), at("c.txt"), "--delays", 20, "-o", at("r.nc"), "-q")
    with xarray.open_dataset(at("r.nc"), group="layer1.hidden") as g:
        s = g.singular_value.values[0, :, 0]
        assert np.nanmin(s) >= 1e-30 and np.isnan(s[12:]).all() and np.isfinite(s[:6]).all(), s
        for v in ("singular_value", "singular_value_low", "rms_gain", "coherence"):
            assert "below 1e-30" in g[v].attrs["missing_reason"], (v, g[v].attrs)
    print("exponents ok")


def permuted(count, in_class, square, draws, rng):
    """Mean squared gain of the class's words, and of random words: shares exchanged within bands of a factor of 2."""
    use = count > 0
    n, f, q = count[use], in_class[use] / count[use], square[use]
    band = np.floor(np.log2(n)).astype(int)
    mean = lambda f: (f * n) @ q / (f * n).sum()
    drawn = np.empty((draws, q.shape[1]))
    for r in range(draws):
        g = np.empty_like(f)
        for b in set(band):
            g[band == b] = rng.permutation(f[band == b])
        drawn[r] = mean(g)
    return mean(f), drawn


def check_kinds(folder):
    """Word types exchanged within bands of frequency, against permutations by numpy; a class that differs is found."""
    rng = np.random.default_rng(5)
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(300)]
    m = Model("gru", 1, 40, 7, words)  # second moments in several blocks, where the covariance has much off the diagonal
    weights = 1 / np.arange(1, 301)
    special = 5 + rng.permutation(295)[:90]
    m.w["encoder.weight"] = m.w["encoder.weight"] - m.w["encoder.weight"].mean(0)
    lines = [[int(i) for i in rng.choice(300, rng.integers(3, 15), p=weights / weights.sum())] for _ in range(300)]
    at = lambda name: os.path.join(folder, name)
    m.write(at("m.safetensors"))
    with open(at("c.txt"), "w") as f:
        f.writelines(" ".join("w%d" % i for i in line) + "\n" for line in lines)
    # a word that is unknown to the model half of the time cannot be; a word in the class half of the time can: tags
    with open(at("tags.txt"), "w") as f:
        f.writelines(" ".join("S" if i in special else "HALF" if i > 8 and i % 2 and k % 2 else "X" for k, i in enumerate(line)) + "\n" for line in lines)
    run("analyze", at("m.safetensors"), at("c.txt"), "--delays", 4, "--classes", "tags:" + at("tags.txt"), "--classes", "frequency", "-q",
        "-o", at("r.nc"))
    root, g = xarray.open_dataset(at("r.nc")), xarray.open_dataset(at("r.nc"), group="layer1.hidden")
    names, L = list(root.class_name.values), root.embedding_covariance_factor.values
    count = root.word_count.values.astype(float)
    count[:2] = 0  # <unk> and <eos> are not exchanged
    square = g.word_gain.values.astype(float) ** 2
    trace = np.einsum("ij,cdik,kj->cd", L, g.second_moment.values.astype(float), L)
    eos = root.word_count.values[1]
    for name in ("S", "HALF", "X"):
        c, in_class = names.index(name), np.zeros(len(words))
        mine = root.member_class.values == c
        in_class[root.member_word.values[mine]] = root.member_count.values[mine]
        value, drawn = permuted(count, in_class, square, 4000, rng)
        for d in range(4):
            p = min(1, 2 * min((drawn[:, d] <= value[d]).mean(), (drawn[:, d] >= value[d]).mean()))
            got = g.p_types.values[c, d]
            assert abs(got - p) < 5 * (2 * p / 1000) ** .5 + 0.01, (name, d, got, p)
            # the pairs of <eos> at delay d: all but those of the last d tokens
            ends = sum(len(line) + 1 for line in lines)
            at_end = {i for i, x in enumerate(np.cumsum([len(line) + 1 for line in lines]) - 1)}
            n_eos = sum(1 for x in np.cumsum([len(line) + 1 for line in lines]) - 1 if x < ends - d)
            other = (trace[0, d] * (ends - d) - n_eos * square[1, d]) / (ends - d - n_eos)
            assert len(at_end) == eos
            assert abs(g.gain_ratio.values[c, d] - (trace[c, d] / other) ** .5) < 2e-5, (name, d)
            for bound, share in (("types_null_low", 2.5), ("types_null_high", 97.5)):
                want = (np.percentile(drawn[:, d], share) / other) ** .5
                assert abs(g[bound].values[c, d] - want) < 0.02 * want, (name, d, bound, g[bound].values[c, d], want)
    c = names.index("rank 1-10")
    assert np.isnan(g.p_types.values[c]).all() and np.isfinite(g.p_tokens.values[c]).all()
    # the reference of a class that holds <eos> holds it too
    assert root.word_count.values[1] == 300
    d, holder = 0, [c for c, n in enumerate(names) if n.startswith("rank") and
                    1 in root.member_word.values[root.member_class.values == c]]
    assert len(holder) == 1 and abs(g.gain_ratio.values[holder[0], d] - (trace[holder[0], d] / trace[0, d]) ** .5) < 2e-5
    root.close(), g.close()
    print("kinds of words ok")


def check_survival(folder):
    """Killed at random moments and resumed: the bytes of the uninterrupted run. SIGINT: saved, exit 130."""
    import random
    import signal
    import time
    random.seed(int(os.environ.get("KILL_SEED", 7)))
    (m, c, w), T = small_setting(folder, lines=1500, E=16, H=32)
    at = lambda name: os.path.join(folder, name)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000"}
    base = [PROGRAM, "analyze", m, c, *ALONE, "--delays", "48", "--long-after", "16", "--classes", "words:" + w, "--threads", "1", "-q",
            "--baseline", "untrained"]
    began = time.time()
    subprocess.run(base + ["-o", at("whole.nc")], env=env, check=True, stderr=subprocess.DEVNULL)
    seconds = time.time() - began
    resumed = base + ["-o", at("r.nc"), "--checkpoint", at("ck"), "--checkpoint-minutes", "0"]
    kills = 0
    for i in range(int(os.environ.get("KILLS", 6))):
        p = subprocess.Popen(resumed, env=env, stderr=subprocess.PIPE)
        time.sleep(random.uniform(0.05, seconds * 0.6))
        p.send_signal(signal.SIGINT if i % 3 == 2 else signal.SIGKILL)
        _, err = p.communicate()
        if p.returncode == 0:
            os.remove(at("r.nc"))
            continue
        if i % 3 == 2 and p.returncode == -signal.SIGINT:
            continue  # before the program had begun to listen
        kills += 1
        assert p.returncode == (130 if i % 3 == 2 else -9), (p.returncode, err)
        assert not os.path.exists(at("r.nc"))
    if os.path.exists(at("ck")):  # a damaged checkpoint: the one before is used, and it says so
        data = bytearray(open(at("ck"), "rb").read())
        data[len(data) // 2] ^= 4
        open(at("ck"), "wb").write(data)
        r = subprocess.run(resumed, env=env, capture_output=True, text=True)
        assert "ck: is damaged" in r.stderr, r.stderr
    else:
        r = subprocess.run(resumed, env=env, capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    assert open(at("whole.nc"), "rb").read() == open(at("r.nc"), "rb").read(), "other bytes after resuming"
    left = [f for f in os.listdir(folder) if f.startswith("ck")]
    assert not left, left
    print("killed", kills, "times, same bytes")


def check_rounds(folder):
    """--precision: keeps what it says beside the full run; all origins drawn are the full run; any number of threads and
    any kill give the same bytes."""
    import random
    import time
    random.seed(int(os.environ.get("KILL_SEED", 7)))
    (m, c, w), T = small_setting(folder, lines=4500, E=12, H=24)
    at = lambda name: os.path.join(folder, name)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000"}
    base = [PROGRAM, "analyze", m, c, "--delays", "15", "--classes", "words:" + w, "-q"]
    P = 0.015
    sampled = base + ["--precision", str(P)]
    began = time.time()
    subprocess.run(sampled + ["--threads", "1", "-o", at("whole.nc")], env=env, check=True, stderr=subprocess.DEVNULL)
    seconds = time.time() - began
    run(*base[1:], "-o", at("full.nc"))
    with xarray.open_dataset(at("whole.nc"), group="layer1.cell") as g, xarray.open_dataset(at("whole.nc")) as root, \
            xarray.open_dataset(at("full.nc"), group="layer1.cell") as full:
        assert g.pairs.values[0, 0] < T, "everything was drawn: the test shows nothing"
        assert (g.existing_pairs.values == full.existing_pairs.values).all()
        assert 0 < root.precision_sampling_error <= P and root.precision_origins == g.pairs.values[0, 0]
        off = g.singular_value.values[:, :, 0] / full.singular_value.values[:, :, 0] - 1
        assert (off ** 2).mean() ** .5 < 1.5 * P and abs(off).max() < 4 * P, off
        said = float(root.precision_sampling_error)
        assert root.precision_worst_class != "all", root.attrs  # of all words there are the most pairs
    subprocess.run(sampled + ["--threads", "3", "-o", at("r.nc")], env=env, check=True, stderr=subprocess.DEVNULL)
    assert open(at("whole.nc"), "rb").read() == open(at("r.nc"), "rb").read(), "other bytes with more threads"
    resumed = sampled + ["--threads", "1", "-o", at("r.nc"), "--checkpoint", at("ck"), "--checkpoint-minutes", "0"]
    kills = 0
    for _ in range(int(os.environ.get("KILLS", 4))):
        p = subprocess.Popen(resumed, env=env, stderr=subprocess.DEVNULL)
        time.sleep(random.uniform(0.1, seconds * 0.8))
        p.kill()
        p.wait()
        kills += p.returncode != 0
        if p.returncode == 0:
            os.remove(at("r.nc"))
    subprocess.run(resumed, env=env, check=True, stderr=subprocess.DEVNULL)
    assert open(at("whole.nc"), "rb").read() == open(at("r.nc"), "rb").read(), "other bytes after resuming"
    for lines in (40, 900): # 40: too short to try out what a state forgets
        (m, c, w), _ = small_setting(folder, lines=lines, E=12, H=24)
        for how in (["--state", "both"], ["--state-handling", "reset", "--burn-in", "2"], ["--state-handling", "window:7"]):
            more = ["analyze", m, c, "--delays", 9, "-q", *how] # with classes, the halves weight their sets: near, not equal
            run(*more, "-o", at("f.nc"))
            run(*more, "--precision", 1e-6, "-o", at("p.nc"))
            for group in ["layer1.cell"] + ["layer1.hidden"] * ("both" in how):
                with xarray.open_dataset(at("f.nc"), group=group) as f, xarray.open_dataset(at("p.nc"), group=group) as g:
                    assert (f.pairs.values == g.pairs.values).all() and (g.pairs.values == g.existing_pairs.values).all()
                    with xarray.open_dataset(at("p.nc")) as root:  # all pairs that exist were drawn: nothing is left to chance
                        assert root.precision_sampling_error == 0 < root.precision_total_error, root.attrs
                    for x, y in zip(f.mean_gradient.values.reshape(-1, 24 * 12), g.mean_gradient.values.reshape(-1, 24 * 12)):
                        assert (np.isnan(x) == np.isnan(y)).all()
                        if not np.isnan(x).all():
                            close(y, x, 2e-5, (how, group))
    print("off by", round(float(abs(off).max()), 4), "at most where", round(said, 4), "was said; the same bytes after", kills,
          "kills")


def check_features(folder):
    """Rows of a .npy matrix instead of words, labels as classes."""
    E, H, T, D = 4, 6, 90, 5
    m = Model("gru", 1, E, H, ["a"])
    for k in ("encoder.weight", "decoder.weight", "decoder.bias"):
        del m.w[k]
    at = lambda name: os.path.join(folder, name)
    X = np.random.randn(T, E) * [1, 2, .5, 1]
    np.save(at("x.npy"), X)
    labels = [("speech", "noise")[i // 10 % 2] for i in range(T)]
    open(at("labels.txt"), "w").write("\n".join(labels) + "\n")
    header = {}
    pos, data = 0, b""
    for name, x in m.w.items():
        header[name] = {"dtype": "F32", "shape": list(x.shape), "data_offsets": [pos, pos + x.nbytes]}
        pos, data = pos + x.nbytes, data + x.tobytes()
    text = json.dumps(header).encode()
    open(at("m.safetensors"), "wb").write(struct.pack("<Q", len(text)) + text + data)
    run("analyze", at("m.safetensors"), "--inputs", at("x.npy"), "--classes", "tags:" + at("labels.txt"), "--cell", "gru",
        "--delays", D, "-o", at("run.nc"), "-q")
    m.t["encoder.weight"] = torch.tensor(X.astype(np.float32).astype(float))
    G = m.gradients(list(range(T)), [False] * T, D, ("carry", 0), 0, 1, "hidden")
    L = np.linalg.cholesky(np.cov(X.T))
    with xarray.open_dataset(at("run.nc")) as r, xarray.open_dataset(at("run.nc"), group="layer1.hidden") as g:
        assert list(r.class_name.values) == ["all", "speech", "noise"], r.class_name.values
        close(r.embedding_covariance_factor.values, L, 1e-6, "L")
        for c, name in enumerate(r.class_name.values):
            for d in range(D):
                x = np.mean([v for (t, k), v in G.items() if k == d and (c == 0 or labels[t - d] == name)], axis=0)
                close(g.mean_gradient.values[c, d], x, 1e-5, ("features", c, d))
                close(g.singular_value.values[c, d], np.linalg.svd(x @ L)[1], 1e-5, ("features S", c, d))
    for wrong in (np.inf, -np.inf, np.nan):
        bad = np.load(at("x.npy"))
        bad[7, 1] = wrong
        np.save(at("bad.npy"), bad)
        r = run("analyze", at("m.safetensors"), "--inputs", at("bad.npy"), "--cell", "gru", "-o", at("y.nc"), code=1)
        assert "bad.npy: row 7, column 1 is not finite" in r.stderr and not os.path.exists(at("y.nc")), r.stderr
    r = run("analyze", at("m.safetensors"), "--inputs", at("labels.txt"), "--cell", "gru", "-o", at("y.nc"), code=1)
    assert "labels.txt" in r.stderr and ".npy" in r.stderr, r.stderr
    print("features ok")


def remembering(cell, layers, words, E=6, H=24):
    """A model whose units forget at very different rates: gates that keep are open, the slowest for some hundred tokens."""
    m = Model(cell, layers, E, H, words)
    for k in range(layers):
        if cell == "rnn":
            q, _ = np.linalg.qr(np.random.randn(H, H))
            m.w[f"rnn.weight_hh_l{k}"] = (q * np.linspace(.7, .99, H)).astype(np.float32)
            m.w[f"rnn.weight_ih_l{k}"] *= .02
            m.w[f"rnn.bias_ih_l{k}"] *= 0
            m.w[f"rnn.bias_hh_l{k}"] *= 0
        else:
            m.w[f"rnn.bias_ih_l{k}"][H:2 * H] = np.linspace(0, 4.5, H)  # forget gate; z of a GRU
    return m


def check_long(folder):
    """Old origins that share bases: every class and delay within 1e-4 of exact accumulation; threads, parts, kills as ever."""
    at = lambda name: os.path.join(folder, name)
    env, D = {"SOURCE_DATE_EPOCH": "1000000000"}, 100
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(30)]
    text, ids, _ = corpus(words, 120, 14)
    open(at("c.txt"), "w").write(text)
    open(at("w.txt"), "w").write("low: " + " ".join(words[2:17]) + "\nodd: " + " ".join(words[3::2]) + "\n")
    for cell, layers, extra in (("lstm", 1, ()), ("lstm", 2, ("--layer", "all")), ("gru", 2, ()), ("rnn", 1, ()),
                                ("lstm", 1, ("--state-handling", "window:170", "--burn-in", 3)), ("gru", 1, ("--sample", 300))):
        remembering(cell, layers, words).write(at("m"))
        base = ("analyze", at("m"), at("c.txt"), "--delays", D, "--classes", "words:" + at("w.txt"), "-q", *ALONE, *extra,
                *(("--state", "both") if cell == "lstm" else ()))
        run(*base, "--long-after", "never", "-o", at("exact.nc"), env=env)
        shared = (*base, "--long-after", 16)
        run(*shared, "-o", at("t1.nc"), "--threads", 1, env=env)
        run(*shared, "-o", at("t2.nc"), "--threads", 2, env=env)
        assert open(at("t1.nc"), "rb").read() == open(at("t2.nc"), "rb").read(), (cell, "2 threads: other bytes")
        worst = 0
        groups = [f"layer{k}.{kind}" for k in range(1, layers + 1) for kind in ("cell", "hidden")]
        for group in groups:
            try:
                exact, fast = (xarray.open_dataset(at(f), group=group) for f in ("exact.nc", "t1.nc"))
            except OSError:
                continue
            x, y, error = exact.mean_gradient.values, fast.mean_gradient.values, fast.mean_gradient_error.values
            scale = np.abs(x).max((2, 3))
            assert (scale > 1e-12).all(), "the model forgets: the test shows nothing"
            assert (exact.pairs.values == fast.pairs.values).all() and "mean_gradient_error" not in exact
            difference = np.abs(x - y).max((2, 3)) / scale
            worst = max(worst, difference.max())
            assert difference.max() < 1e-4, (cell, layers, group, np.unravel_index(difference.argmax(), scale.shape))
            assert (difference[:, :16] < 1e-6).all() and difference[:, 40:].max() > 0, (group, difference[:, :16].max())
            assert (error[:16] == 0).all() and (error[32:] > 0).all()
            off = np.linalg.norm((x - y).reshape(*x.shape[:2], -1), axis=2)[0]
            assert (off <= 3 * error + 1e-6 * np.linalg.norm(x.reshape(*x.shape[:2], -1), axis=2)[0]).all(), (off, error)
            assert (error < 1e-4 * np.linalg.norm(x[0].reshape(D, -1), axis=1)).all(), error
            u, v = exact.second_moment.values, fast.second_moment.values
            assert np.abs(u - v).max() > 0
            assert (np.abs(u - v).max((2, 3)) < 1e-4 * np.abs(u).max((2, 3))).all(), (cell, group, "second moment")
            exact.close(), fast.close()
        print(cell, layers, *extra, "largest difference %.1e" % worst)
    with xarray.open_dataset(at("t1.nc")) as r:
        assert r.attrs["long_after"] == 16 and r.attrs["long_tolerance"] == 1e-6 and "--long-after 16" in r.attrs["command"]
    remembering("lstm", 1, words).write(at("m"))
    base = ("analyze", at("m"), at("c.txt"), *ALONE, "--delays", 260, "--classes", "words:" + at("w.txt"), "-q")
    run(*base, "-o", at("whole.nc"), env=env)
    with xarray.open_dataset(at("whole.nc")) as r:
        assert r.attrs["long_after"] == 64  # from 256 delays on
    for i in (1, 2):
        run(*base, "-o", at(f"p{i}.nc"), "--part", f"{i}/2", env=env)
    run("merge", at("p2.nc"), at("p1.nc"), "-o", at("merged.nc"), "-q")
    same_runs(at("whole.nc"), at("merged.nc"), 1e-4, only=("second_moment", "singular_sum", "coherence"))
    with (xarray.open_dataset(at("whole.nc"), group="layer1.cell") as g,
          xarray.open_dataset(at("merged.nc"), group="layer1.cell") as h):
        for c, d in np.ndindex(3, 260):
            close(h.mean_gradient.values[c, d], g.mean_gradient.values[c, d], 1e-4, ("merged", c, d))
        assert (h.mean_gradient_error.values[128:] > 0).all()
    run(*base, "-o", at("bad.nc"), "--long-after", "often", code=2)
    run(*base, "-o", at("bad.nc"), "--long-tolerance", "2", code=2)
    r = run(*base[:-1], "--long-tolerance", 0.05, "-o", at("loose.nc"), env=env)
    assert "truncation error of shared bases" in r.stderr, r.stderr


def check_warm_up(folder):
    """States begun from zero W tokens before each block: its means and warm_up_difference are those of autograd and of a
    forward pass begun there; where that is (a place of the engine's grid, W and D before the block) must fit all blocks.
    Parts and one run are the same, and with W as long as the corpus the run is that without."""
    at = lambda name: os.path.join(folder, name)
    words = ["<unk>", "<eos>"] + ["w%d" % i for i in range(24)]
    m = Model("lstm", 2, 5, 7, words, scale=1.2)
    text, ids, first = corpus(words, 40, 9)
    T, D, W, B = len(ids), 4, 9, 10
    m.write(at("m"))
    with open(at("c.txt"), "w") as f:
        f.write(text)
    base = ("analyze", at("m"), at("c.txt"), "--delays", D, "--blocks", B, "--documents", "none", "--replace", 0.5, "--threads", 2)
    env = {"SOURCE_DATE_EPOCH": "1000000000"}
    r = run(*base, "--warm-up", W, "-o", at("w.nc"), env=env)
    starts = [T // B * b + T % B * b // B for b in range(B + 1)]
    with xarray.open_dataset(at("w.nc")) as root, xarray.open_dataset(at("w.nc"), group="layer2.cell") as g:
        assert root.attrs["warm_up"] == W and root.attrs["block_parts"] == 1, root.attrs
        found, mean = root.attrs["warm_up_difference"], g.mean_gradient.values[0]
    said = f"{found:.2g}"
    assert found > 1e-3 and f"by up to {said} of their" in r.stderr and f"at most {said} of their" in r.stdout, (found, r.stderr)
    zero = torch.zeros(7, dtype=torch.float64)

    @functools.lru_cache(maxsize=None)
    def state(begin, end):
        s = [(zero, zero)] * 2
        for w in ids[begin:end]:
            s = m.step(m.t["encoder.weight"][w], s)
        return torch.cat([x for pair in s for x in pair])

    def begins(b, grid):
        return max(0, max(0, starts[b] - (D - 1)) // grid * grid - W)

    def difference(grid):
        most = 0
        for b in range(1, B):
            carried, begun = state(begins(b - 1, grid), starts[b]), state(begins(b, grid), starts[b])
            most = max(most, float((carried - begun).abs().max() / torch.cat([carried, begun]).abs().max()))
        return most

    fits = [grid for grid in range(1, T) if abs(difference(grid) - found) < 1e-4 * found]
    assert fits, (found, [difference(grid) for grid in (1, 2, 4, 8, 16, 32)])
    off = {}
    for places in {tuple(begins(b, grid) for b in range(B)) for grid in fits}:
        total, n = np.zeros_like(mean), np.zeros(D)
        for b, z in enumerate(places):
            for (t, d), x in m.gradients(ids[z:starts[b + 1]], first, D, ("carry", 0), 0, 2, "cell").items():
                if z + t >= starts[b]:
                    total[d] += x
                    n[d] += 1
        assert list(n) == [T - d for d in range(D)], n
        off[places] = np.abs(mean - total / n[:, None, None]).max() / np.abs(mean).max()
    assert min(off.values()) < 1e-5, off
    for i in (1, 2, 3):
        run(*base, "--warm-up", W, "-q", "--part", f"{i}/3", "-o", at(f"p{i}.nc"), env=env)
    run("merge", at("p3.nc"), at("p1.nc"), at("p2.nc"), "-q", "-o", at("merged.nc"), env=env)
    same_bytes(at("w.nc"), at("merged.nc"))
    run(*base, "-q", "-o", at("whole.nc"), env=env)
    run(*base, "-q", "--warm-up", T, "-o", at("all.nc"), env=env)
    same_runs(at("whole.nc"), at("all.nc"), 0, least=20)
    with xarray.open_dataset(at("all.nc")) as root:
        assert root.attrs["warm_up_difference"] == 0, root.attrs
    # above 50,000 tokens exponents follow the head of each block, whose states begin there too; these forget within 300 tokens
    m = Model("lstm", 1, 3, 4, words)
    m.write(at("m"))
    text, ids, _ = corpus(words, 11000, 9)
    assert len(ids) > 50000, len(ids)
    with open(at("c.txt"), "w") as f:
        f.write(text)
    base = ("analyze", at("m"), at("c.txt"), "--delays", 1, "--blocks", 8, "--documents", "none", "--replace", "none", "--sample", 50, "--lyapunov", 2, "-q")
    for name, more in (("whole", ()), ("w", ("--warm-up", 300)), *((f"p{i}", ("--warm-up", 300, "--part", f"{i}/3")) for i in (1, 2, 3))):
        run(*base, *more, "-o", at(f"{name}.nc"), env=env)
    run("merge", *(at(f"p{i}.nc") for i in (1, 2, 3)), "-q", "-o", at("merged.nc"), env=env)
    same_bytes(at("w.nc"), at("merged.nc"))
    with xarray.open_dataset(at("whole.nc"), group="layer1.cell") as g, xarray.open_dataset(at("w.nc"), group="layer1.cell") as h:
        close(h.lyapunov_exponent.values, g.lyapunov_exponent.values, 1e-6, "exponents of states begun at the blocks")
    print("warm-up", W, "of", T, "tokens: largest difference %.2e" % found, "places", min(off, key=off.get))


CASES = {
    "long": check_long,
    "warm_up": check_warm_up,
    "runs": check_runs,
    "exponents": check_exponents,
    "kinds": check_kinds,
    "survival": check_survival,
    "features": check_features,
    "rounds": check_rounds,
    "lstm": lambda f: [check_case(f, "lstm", 1, ("carry", 0), "cell", 1), check_case(f, "lstm", 1, ("reset", 0), "hidden", 1),
                       check_case(f, "lstm", 2, ("window", 7), "cell", 2), check_case(f, "lstm", 2, ("carry", 0), "hidden", 1, 2)],
    "minimal": lambda f: [check_case(f, "mingru", 1, ("carry", 0), "hidden", 1), check_case(f, "mingru", 2, ("reset", 0), "hidden", 2),
                          check_case(f, "minlstm", 1, ("window", 7), "hidden", 1), check_case(f, "minlstm", 2, ("carry", 0), "hidden", 2)],
    "gru": lambda f: [check_case(f, "gru", 1, ("window", 4), "hidden", 1), check_case(f, "gru", 2, ("reset", 0), "hidden", 2, 1)],
    "rnn": lambda f: [check_case(f, "rnn", 1, ("carry", 0), "hidden", 1), check_case(f, "rnn", 2, ("reset", 0), "hidden", 2),
                      check_case(f, "rnn", 1, ("carry", 0), "hidden", 1, 0, 3, 5)],
}


def main():
    for case in sys.argv[2:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            CASES[case](folder)


if __name__ == "__main__":
    main()
