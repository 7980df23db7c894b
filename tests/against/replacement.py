#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""analyze --replace against PyTorch in float64: every replaced word's states run again, G dx by central differences, the
next word's distributions by softmax; the draws follow the rule of src/analysis/pass/replacement.h. show --path against
Gauss-Legendre nodes of numpy. Also: the same bytes for any number of threads and after interruptions, parts merged, and
the latch. usage: replacement.py STATEGRAD"""
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

try:
    import netCDF4
    import numpy as np
    import torch
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "helpers"))
import english  # noqa: E402
import real_run  # noqa: E402
from project_random import uniforms  # noqa: E402

program = os.path.abspath(sys.argv[1])
SEED_OF_REPLACEMENT = int.from_bytes(b"replaced", "big")
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1700000000"}
checks = 0


def run(*args, **kwargs):
    return subprocess.run([program, *args], check=True, capture_output=True, text=True, env=ENV, **kwargs)


def read_model(path):
    with open(path, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        header, data = json.loads(f.read(n)), f.read()
    tensors = {k: torch.tensor(np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"]).astype("f8"))
               for k, t in header.items() if k != "__metadata__"}
    return tensors, header.get("__metadata__", {"cell": "rnn"})


class Model:
    """States of many sequences side by side, one step at a time, by torch.nn's cells."""
    def __init__(self, path):
        self.tensors, meta = read_model(path)
        self.kind, self.words = meta["cell"], json.loads(meta["vocabulary"]) if "vocabulary" in meta else None
        cell = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}[self.kind]
        self.layers = []
        for k in range(sum(name.startswith("rnn.weight_ih") for name in self.tensors)):
            W = self.tensors[f"rnn.weight_hh_l{k}"]
            layer = cell(self.tensors[f"rnn.weight_ih_l{k}"].shape[1], W.shape[1]).double()
            layer.load_state_dict({name: self.tensors[f"rnn.{name}_l{k}"] for name in ("weight_ih", "weight_hh")}
                                  | {name: self.tensors[f"rnn.{name}_l{k}"] for name in ("bias_ih", "bias_hh")})
            self.layers.append(layer)

    def zero(self, n):
        return [tuple(torch.zeros(n, y.hidden_size, dtype=torch.double) for _ in range(2 if self.kind == "lstm" else 1))
                for y in self.layers]

    def step(self, x, state):
        out = []
        for y, s in zip(self.layers, state):
            new = y(x, s if self.kind == "lstm" else s[0])
            new = new if self.kind == "lstm" else (new,)
            out.append(new)
            x = new[0]
        return out

    def log_p(self, state):
        return torch.log_softmax(state[-1][0] @ self.tensors["decoder.weight"].T + self.tensors["decoder.bias"], 1)


class Corpus:
    """classes: the words of each; pairs: of each property."""
    def __init__(self, path, model, classes=(), pairs=()):
        lines = [line.split() + ["<eos>"] for line in open(path, encoding="utf-8")]
        ids = {w: i for i, w in enumerate(model.words)}
        self.words = [w for line in lines for w in line]
        self.ids = np.array([ids.get(w, ids["<unk>"]) for w in self.words])
        self.first = np.array([i == 0 for line in lines for i in range(len(line))])
        self.x = model.tensors["encoder.weight"][torch.tensor(self.ids)]
        self.member = [np.array([w in members for w in self.words]) for members in classes]
        counts = np.bincount(self.ids, minlength=len(model.words))
        counts[ids["<unk>"]] = 0
        self.counts, self.encoder = counts, model.tensors["encoder.weight"]
        self.within = [np.where([w in members for w in model.words], counts, 0) for members in classes]
        self.partner = [{}] * len(pairs)
        for p, list_ in enumerate(pairs):
            self.partner[p] = {ids[a]: ids[b] for pair in reversed(list_) if len(set(pair) & set(ids)) == 2 for a, b in (pair, pair[::-1])}

    def draw(self, counts, s, u):
        n = counts.copy()
        n[self.ids[s]] = 0
        return self.encoder[np.searchsorted(np.cumsum(n), int(u * n.sum()), side="right")]

    def others(self, s, u):
        """What stands at s in its place, the rows that this goes to: (law, class or property), and the number that decides
        whether the gradient is averaged along the line."""
        own = [c for c, inside in enumerate(self.member) if inside[s]]
        yield self.draw(self.counts, s, u[0]), {("", 0), ("within_", 0)} | {("", c + 1) for c in own}, 1
        for k, c in enumerate(own):
            if (self.within[c] > 0).sum() > 1:
                yield self.draw(self.within[c], s, u[1 + k]), {("within_", c + 1)}, 1
        at = 1 + len(own)
        for p, partner in enumerate(self.partner):
            if self.ids[s] in partner:
                yield self.encoder[partner[self.ids[s]]], {("partner_", p)}, u[at]
                at += 1


class Rows:
    def __init__(self, path):
        self.x = torch.tensor(np.load(path).astype("f8"))
        self.first = np.zeros(len(self.x), bool)
        self.member, self.partner = [], []

    def others(self, s, u):
        other = int(u[0] * (len(self.x) - 1))
        yield self.x[other + (other >= s)], {("", 0), ("within_", 0)}, 1


def expected(model, corpus, D, rate, kl_rate, path_rate, handling, burn_in, seed=1):
    """Of every replacement: delays, has a KL, is averaged along its line, its rows, and by state and delay |Delta|, |G dx|, their
    product, |Delta - G dx|^2, |G~ dx| (of those that are averaged: 24 nodes), KL."""
    T, origins, zero = len(corpus.x), [], 0
    for s in range(T):
        u = uniforms(seed ^ SEED_OF_REPLACEMENT, s, 3 + len(corpus.member) + len(corpus.partner))
        if handling == "reset" and corpus.first[s]:
            zero = s
        if not u[0] < rate or s - zero < burn_in:
            continue
        life = min(D, T - s)
        if handling == "reset":
            later = np.flatnonzero(corpus.first[s + 1:s + life])
            life = int(later[0]) + 1 if len(later) else life
        if handling.startswith("window:"):
            n = int(handling[7:])
            life = min(life, n - s % n)
        origins.extend((s, life, x, (u[1] < kl_rate, path < path_rate), rows) for x, rows, path in corpus.others(s, u[2:]))
    before, state = [], model.zero(1)
    for t in range(T):
        if handling == "reset" and corpus.first[t]:
            state = model.zero(1)
        before.append(state)
        with torch.no_grad():
            state = model.step(corpus.x[t:t + 1], state)
    stack = lambda states: [tuple(torch.cat([s[k][i] for s in states]) for i in range(len(states[0][k]))) for k in range(len(model.layers))]
    at = np.array([s for s, *_ in origins])
    dx = torch.stack([x for _, _, x, _, _ in origins]) - corpus.x[at]
    eps = 1e-5
    with_kl, averaged = (np.array([use[i] for *_, use, _ in origins]) for i in (0, 1))
    paths, nodes = np.flatnonzero(averaged), list(zip(*np.polynomial.legendre.leggauss(24)))
    lines = [(w / 2, [stack([before[s] for s in at[paths]]) for _ in range(2)], (1 + z) / 2) for z, w in nodes] if len(paths) else []
    runs = [stack([before[s] for s in at]) for _ in range(4)]  # the word itself, another, and a little to both sides
    out = []
    with torch.no_grad():
        for d in range(D):
            x = corpus.x[np.minimum(at + d, T - 1)]
            for i, shift in enumerate((0, 1, eps, -eps)):
                runs[i] = model.step(x + (shift * dx if d == 0 else 0), runs[i])
            real, other, more, less = runs
            row = {}
            for k in range(len(model.layers)):
                for i, kind in enumerate(("hidden", "cell")[:len(real[k])]):
                    delta, line = other[k][i] - real[k][i], (more[k][i] - less[k][i]) / (2 * eps)
                    row[f"layer{k + 1}.{kind}"] = [z.numpy() for z in (delta.norm(dim=1), line.norm(dim=1), (delta * line).sum(1),
                                                                      ((delta - line) ** 2).sum(1))]
            for _, both, z in lines:
                for i, sign in enumerate((1, -1)):
                    both[i] = model.step(x[paths] + ((z + sign * eps) * dx[paths] if d == 0 else 0), both[i])
            for k in range(len(model.layers)):
                for i, kind in enumerate(("hidden", "cell")[:len(real[k])]):
                    average = sum(w * (both[0][k][i] - both[1][k][i]) / (2 * eps) for w, both, _ in lines)
                    row[f"layer{k + 1}.{kind}"].append(average.norm(dim=1).numpy() if lines else None)
            if "decoder.weight" in model.tensors:
                p, q = model.log_p(real), model.log_p(other)
                row["kl"] = (p.exp() * (p - q)).sum(1).numpy()
            out.append(row)
    return np.array([life for _, life, *_ in origins]), with_kl, averaged, [rows for *_, rows in origins], out


def close(found, wanted, tolerance, *where):
    global checks
    checks += 1
    assert (np.isnan(found) and np.isnan(wanted)) or abs(found - wanted) <= tolerance * (abs(wanted) + 1e-6), (where, found, wanted)


def compare(path, model, corpus, handling="carry", burn_in=0):
    f = netCDF4.Dataset(path)
    f.set_auto_mask(False)
    D, T = len(f.dimensions["delay"]), len(corpus.x)
    kl_rate = float(f.getncattr("replace_kl_rate"))
    path_rate = float(f.getncattr("replace_path_rate")) if corpus.partner and any(corpus.partner) else 0
    life, with_kl, averaged, goes_to, rows = expected(model, corpus, D, float(f.getncattr("replace")) / T, kl_rate, path_rate, handling, burn_in)
    assert (averaged.sum() > 20) == (path_rate > 0), averaged.sum()
    assert len(life) > 100, len(life)
    laws = [(law, c) for law in ("", "within_") for c in range(len(f["class_name"]))] + [("partner_", p) for p in range(len(corpus.partner))]
    seen = set()
    for name, group in f.groups.items():
        for law, c in laws:
            inside = np.array([(law, c) in to for to in goes_to])
            seen |= {law} if inside.any() else set()
            get = lambda v: float(group[law + v][c, d])
            for d, row in enumerate(rows):
                use = inside & (life > d)
                where = (path, name, law, c, d)
                assert get("replaced_pairs") == use.sum(), (where, get("replaced_pairs"), use.sum())
                if not use.any():
                    assert np.isnan(get("state_change")), where
                    continue
                change, line, dot, miss = (z[use] for z in row[name][:4])
                start = rows[0][name][0][use]
                close(get("state_change"), change.mean(), 1e-5, *where)
                close(get("state_change_relative"), change.sum() / start.sum(), 1e-5, *where)
                close(get("linear_prediction"), line.mean(), 1e-5, *where)
                close(get("linear_cosine"), (dot / change / line).mean(), 1e-5, *where)
                close(get("infidelity"), miss.sum() / (change ** 2).sum(), 1e-4, *where)  # a difference of float32 states
                if law == "partner_":
                    among = averaged & use
                    assert get("path_pairs") == among.sum(), where
                    if among.any():
                        close(get("path_average"), row[name][4][among[averaged]].mean(), 2e-3, *where)
                        assert 0 <= get("path_gap") < 1e-3 + 1e-5, (where, get("path_gap"))
                use &= with_kl
                if "kl" in row and (d == 0 or not d & (d - 1)) and use.any():
                    assert get("output_kl_pairs") == use.sum()
                    close(get("output_kl"), row["kl"][use].mean(), 2e-5, *where)
                else:
                    assert get("output_kl_pairs") == 0 and np.isnan(get("output_kl")), where
    assert seen == {law for law, _ in laws}, seen
    f.close()


def train(folder, name, *options):
    run("train", "plain.txt", "--valid", "plain.txt", "--embedding-size", "6", "--hidden-size", "8", "--epochs", "1", "--batch", "4", "--steps",
        "20", "--init", "0.7", "--dropout", "0", "-q", "-o", name, *options, cwd=folder)
    return Model(os.path.join(folder, name))


FEW = {"common": "the of to and a".split(), "rare": "software free license".split(), "both": "the software this is".split(), "alone": ["or"]}
PAIRS = [[("the", "a"), ("this", "the"), ("is", "are"), ("software", "license"), ("or", "or"), ("of", "no-such-word")]]


def values(folder):
    """Each cell, two layers, every way to handle states, feature vectors."""
    lstm, gru = train(folder, "lstm", "--layers", "2"), train(folder, "gru", "--cell", "gru")
    analyze = lambda model, out, *options: run("analyze", model, *options, "--blocks", "20", "-q", "-o", out, cwd=folder)
    path = lambda name: os.path.join(folder, name)
    corpus = [Corpus(path("plain.txt"), m, FEW.values(), p) for m, p in ((lstm, [*PAIRS, []]), (gru, []), (gru, PAIRS))]
    words = ("plain.txt", "--classes", "words:few.txt")
    analyze("lstm", "lstm.nc", *words, "--delays", "9", "--replace", "0.4", "--layer", "all", "--state", "both", "--burn-in", "3",
            "--property", "form=pairs.txt", "--property", "use=common-rare")
    compare(path("lstm.nc"), lstm, corpus[0], burn_in=3)
    with netCDF4.Dataset(path("lstm.nc")) as f:
        assert list(f["property_pairs"][:]) == [4, 0]
        why = {v: f["layer2.cell"][v].missing_reason for v in ("within_state_change", "within_infidelity_low", "partner_linear_cosine", "partner_output_kl")}
        assert all("class alone: the corpus has fewer than two words of it" in why[v] for v in ("within_state_change", "within_infidelity_low")), why
        assert "property use: none of its words has a partner" in why["partner_linear_cosine"] and "taken at delays 0, 1, 2, 4, 8" in why["partner_output_kl"], why
    run("track", "lstm.nc", "--property", "later=pairs.txt", "-o", "tracked.nc", cwd=folder)  # has pairs, but no word was replaced for it
    with netCDF4.Dataset(path("tracked.nc")) as f, netCDF4.Dataset(path("lstm.nc")) as before:
        assert list(f["property_pairs"][:]) == [4, 0, 4]
        for v in ("partner_state_change", "partner_infidelity_high", "partner_replaced_pairs"):
            x, y = (np.ma.filled(g["layer2.cell"][v][:], -1) for g in (f, before))
            assert np.array_equal(x[:2], y, equal_nan=True) and (x[2] == 0 if v.endswith("pairs") else ~(x[2] >= 0)).all(), (v, x)
        assert "property later: added by track, which replaces no words" in f["layer2.cell"]["partner_state_change"].missing_reason
    analyze("gru", "gru.nc", *words, "--delays", "6", "--replace", "700", "--state-handling", "reset", "--burn-in", "1")
    compare(path("gru.nc"), gru, corpus[1], "reset", 1)
    analyze("gru", "first.nc", *words, "--delays", "3", "--replace", "700", "--state-handling", "reset", "--property", "form=pairs.txt")
    compare(path("first.nc"), gru, corpus[2], "reset")
    analyze("gru", "window.nc", *words, "--delays", "12", "--state-handling", "window:10")  # as many words as it chooses
    compare(path("window.nc"), gru, corpus[1], "window:10")
    real_run.feature_rows(folder, 6)
    train(folder, "rows", "--cell", "rnn")
    real_run.without_embedding(path("rows"))
    analyze("rows", "rows.nc", "--inputs", "rows.npy", "--delays", "5", "--replace", "0.5")
    compare(path("rows.nc"), Model(path("rows")), Rows(path("rows.npy")))
    reason = netCDF4.Dataset(path("rows.nc"))["layer1.hidden"]["output_kl"].missing_reason
    assert "no decoder" in reason, reason
    analyze("gru", "none.nc", *words, "--delays", "3", "--replace", "none")
    with netCDF4.Dataset(path("none.nc")) as f:
        assert f.getncattr("replace") == "none" and len(f["decay_quantity"]) == 3 and "state_change" not in f["layer1.hidden"].variables
    print(checks, "values agree with PyTorch")


def same_bytes(folder):
    read = lambda name: open(os.path.join(folder, name), "rb").read()
    base = ("analyze", "lstm", "plain.txt", "--classes", "words:few.txt", "--baseline", "untrained", "--delays", "9", "-q", "--replace", "0.3",
            "--property", "form=pairs.txt", "--property", "use=common-rare")
    run(*base, "-o", "one.nc", "--threads", "1", cwd=folder)
    run(*base, "-o", "three.nc", "--threads", "3", cwd=folder)
    assert read("one.nc") == read("three.nc"), "threads"
    for i in (1, 2, 3):
        run(*base, "-o", f"part{i}.nc", "--part", f"{i}/3", cwd=folder)
    run("merge", "part2.nc", "part1.nc", "part3.nc", "-o", "merged.nc", cwd=folder)
    assert read("one.nc") == read("merged.nc"), "merged parts"
    with netCDF4.Dataset(os.path.join(folder, "one.nc")) as f:
        assert list(f["decay_quantity"][:])[-1] == "change of state"
        for group in f.groups:
            for v in ("state_change", "state_change_high", "infidelity", "output_kl", "linear_cosine_low", "within_infidelity_high", "partner_path_average",
                      "partner_path_gap_high", "partner_state_change_low", "partner_output_kl"):
                assert np.isfinite(np.ma.filled(f[group][v][:], np.nan)).any(), (group, v)
    print("threads and parts: the same")
    # stopped wherever it is, continued until it is done
    big = ("analyze", "wide", "long.txt", "--delays", "12", "-q", "--replace", "0.9", "--blocks", "20", "--baseline", "untrained")
    train(folder, "wide", "--hidden-size", "96", "--embedding-size", "8")
    text = open(os.path.join(folder, "plain.txt"), encoding="utf-8").read()
    open(os.path.join(folder, "long.txt"), "w", encoding="utf-8").write(text * 2)
    began = time.time()
    run(*big, "-o", "whole.nc", cwd=folder)
    patience, stops = 0.3 * (time.time() - began), 0
    while True:
        p = subprocess.Popen([program, *big, "-o", "resumed.nc", "--checkpoint", "c", "--checkpoint-minutes", "0"], cwd=folder, env=ENV,
                             stderr=subprocess.PIPE)
        try:
            p.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGINT)
        p.communicate()
        if p.returncode == 0:
            assert read("whole.nc") == read("resumed.nc"), "resumed"
            if stops:
                break
            patience /= 2  # the machine has become faster: once more
            continue
        stops += 1
        assert p.returncode in (130, -signal.SIGINT) and stops < 200, (p.returncode, stops)
        patience *= 1.5 if p.returncode < 0 else 1.1  # a busy machine: the program had not begun, or did not get on
    print("stopped", stops, "times: the same bytes")


def path_average(model, words, origin, other, kind):
    """By delay |Delta|, |G dx|, |G~ dx| of a word exchanged: 64 nodes, G dx by central differences."""
    ids = [model.words.index(w) for w in words]
    x = model.tensors["encoder.weight"][torch.tensor(ids)]
    dx = model.tensors["encoder.weight"][model.words.index(other)] - x[origin]

    def states(u):
        state, out = model.zero(1), []
        for t in range(len(ids)):
            state = model.step((x[t] + (u * dx if t == origin else 0))[None], state)
            out.append(state[-1][kind][0].numpy())
        return np.array(out[origin:])

    with torch.no_grad():
        slope = lambda u: (states(u + 1e-5) - states(u - 1e-5)) / 2e-5
        nodes, weights = np.polynomial.legendre.leggauss(64)
        average = sum(w / 2 * slope((1 + u) / 2) for u, w in zip(nodes, weights))
        return [np.linalg.norm(v, axis=1) for v in (states(1) - states(0), slope(0), average)]


def paths(folder):
    """show --path: a trained model's against numpy's; of the latch, 2 with almost no gap where the gradient shows nothing."""
    words = "this is the license of the software and a license is the".split()
    for name, state, kind in (("lstm", "cell", 1), ("lstm", "hidden", 0), ("gru", "hidden", 0)):
        model = Model(os.path.join(folder, name))
        shown = json.loads(run("show", name, "--text", " ".join(words), "--path", "the/a", "--state", state, "--json", cwd=folder).stdout)["sentences"][0]
        at = [t for t, w in enumerate(words) if w in ("the", "a")]
        assert [p["word"] for p in shown["paths"]] == at and all(p["reached"] for p in shown["paths"]), shown["paths"]
        for p in shown["paths"]:
            assert (p["from"], p["to"]) == (("the", "a") if words[p["word"]] == "the" else ("a", "the"))
            for key, exact in zip(("change", "linear_prediction", "path_average"), path_average(model, words, p["word"], p["to"], kind)):
                for d, (x, y) in enumerate(zip(p[key], exact, strict=True)):
                    close(x, y, 3e-4, name, state, key, p["word"], d)
            assert max(p["gap"]) < 2e-3, p["gap"]
    text = ["on"] + ["unknown"] * 7 + ["off"] + ["unknown"] * 4
    shown = json.loads(run("show", "synth/latch/model.safetensors", "--text", " ".join(text), "--path", "on/off", "--json", cwd=folder).stdout)
    on, off = shown["sentences"][0]["paths"]
    for p, n in ((on, 8), (off, 5)):  # until the next switch sets the bit anew
        assert all(abs(x - 2) < 1e-3 for x in p["path_average"][:n] + p["change"][:n]) and max(p["gap"][:n]) < 1e-3 and p["reached"], p
        assert max(p["linear_prediction"][:n]) < 1e-4, p
    none = json.loads(run("show", "gru", "--text", "software", "--path", "the/a", "--json", cwd=folder).stdout)
    assert none["sentences"][0]["paths"] == []
    for wrong in ("the", "the/the", "the/no-such-word", "/"):
        p = subprocess.run([program, "show", "gru", "--text", "the", "--path", wrong], cwd=folder, env=ENV, capture_output=True, text=True)
        assert p.returncode == 2 and wrong.split("/")[-1] in p.stderr and not p.stdout, p
    print("path averages: as by numpy; latch: 2, gap", max(on["gap"][:8]))


def latch(folder):
    """A bit kept for ever: the opposite switch moves the cell by 2 at every delay, and no gradient shows it. <unk> replaces no
    word, so a switch among unknown words can be replaced by the other switch alone."""
    run("synth", "--kind", "latch", "-o", "synth", cwd=folder)
    real_run.write(folder, "switch.txt", "".join(("on" if i % 3 else "off") + " unknown" * 14 + "\n" for i in range(150)))
    real_run.write(folder, "switch-class.txt", "switch: on off\n")
    real_run.write(folder, "switch-pair.txt", "on off\n")
    run("analyze", "synth/latch/model.safetensors", "switch.txt", "--no-eos", "--classes", "words:switch-class.txt", "--delays", "12",
        "--property", "bit=switch-pair.txt", "--state-handling", "reset", "--replace", "3000", "-q", "-o", "switch.nc", cwd=folder)
    with netCDF4.Dataset(os.path.join(folder, "switch.nc")) as f:
        read = lambda v: np.ma.filled(f["layer1.cell"][v][1], np.nan).reshape(12, -1)[:, 0]
        assert (abs(read("state_change") - 2) < 1e-3).all(), read("state_change")
        assert (read("linear_prediction") < 1e-4).all() and (read("rms_gain")[1:] < 1e-5).all(), read("linear_prediction")
        assert (abs(read("infidelity") - 1) < 1e-3).all()
        of_pair = lambda v: np.ma.filled(f["layer1.cell"]["partner_" + v][0], np.nan)
        assert (of_pair("path_pairs") > 20).all() and (abs(of_pair("path_average") - 2) < 2e-3).all(), of_pair("path_average")
        assert (of_pair("path_gap") < 1e-3).all() and (of_pair("linear_prediction") < 1e-4).all(), of_pair("path_gap")
    print("latch: 2 at every delay, gradient almost 0")


with tempfile.TemporaryDirectory() as folder:
    parts = english.sentences()
    real_run.write(folder, "plain.txt", english.plain(parts[:60]))
    real_run.write(folder, "few.txt", "".join(f"{k}: {' '.join(v)}\n" for k, v in FEW.items()))
    real_run.write(folder, "pairs.txt", "".join(f"{a} {b}\n" for a, b in PAIRS[0]))
    values(folder)
    same_bytes(folder)
    latch(folder)
    paths(folder)
