#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stategrad compare against numpy: replicates from the sums in the parts of a run, contrasts, p-values and their adjustment from
the replicates; its JSON, CSV and text; misuse and bad files. usage: compare.py STATEGRAD SOURCE_ROOT"""
import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import h5py  # noqa: F401
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, root = os.path.abspath(sys.argv[1]), sys.argv[2]
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
import real_run  # noqa: E402

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
ANALYZE = ["--format", "tagged", "--classes", "tags,groups=groups.txt", "--property", "number=plural-singular", "--property", "verb=verb-noun",
           "--delays", "7", "--lyapunov", "none", "-q"]


def run(*args, code=0):
    p = subprocess.run([program, *args], capture_output=True, text=True, cwd=folder, env=ENV)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def compare(*args, code=0):
    return run("compare", *args, code=code)


def rows(*args):
    return json.loads(compare(*args, "--json").stdout)


def make_runs():
    real_run.corpora(folder)
    real_run.write(folder, "short.tagged", open(os.path.join(folder, "tagged-short.txt"), encoding="utf-8").read())
    for cell, seed in (("lstm", 1), ("lstm", 2), ("lstm", 3), ("gru", 1), ("gru", 2)):
        name = f"{cell}{seed}"
        run("train", "tagged.txt", "--format", "tagged", "--cell", cell, "--embedding-size", "5", "--hidden-size", "6", "--epochs", "1",
            "--batch", "4", "--steps", "20", "--init", "0.4", "--seed", str(seed), "-q", "-o", name + ".safetensors")
        run("analyze", name + ".safetensors", "tagged.txt", *ANALYZE, *(["--state", "both"] if cell == "lstm" else []), "-o", name + ".nc")
    for i in ("1/2", "2/2"):
        run("analyze", "lstm1.safetensors", "tagged.txt", *ANALYZE, "--part", i, "-o", f"part{i[0]}.nc")
    run("merge", "part1.nc", "part2.nc", "-q", "-o", "merged.nc")
    run("analyze", "lstm1.safetensors", "short.tagged", *ANALYZE, "-o", "other-text.nc")
    run("analyze", "lstm1.safetensors", "tagged.txt", *ANALYZE, "--blocks", "1", "-o", "one-block.nc")
    run("analyze", "lstm1.safetensors", "tagged.txt", *ANALYZE, "--replace", "none", "-o", "bare.nc")


def data(name):
    f = netCDF4.Dataset(os.path.join(folder, name))
    f.set_auto_mask(False)
    return f


# ---- what is stored, from the sums of the parts ----

def left_out(sums, split=4):
    """(blocks x split, ...) sums: with all of them, without each block, without each part of one."""
    whole = sums.sum(0)
    blocks = sums.reshape(-1, split, *sums.shape[1:]).sum(1)
    return np.concatenate([whole[None], whole - blocks, whole - sums])


def test_replicates():
    """left_out_... of the merged run (and so of `analyze`) from the sums of its two parts."""
    sums = {}
    for name in ("part1.nc", "part2.nc"):
        with data(name) as f:
            for k in ("part_weight", "part_moment_weight", "part_replaced"):
                sums.setdefault(k, []).append(f[k][:])
            for k in ("part_sum", "part_moment"):
                sums.setdefault(k, []).append(f["layer1.cell"][k][:])
    sums = {k: np.concatenate(x).astype(float) for k, x in sums.items()}
    with data("merged.nc") as f, data("lstm1.nc") as whole:
        g, L = f["layer1.cell"], f["embedding_covariance_factor"][:]
        for name in g.variables:
            if name.startswith("left_out"):
                assert np.allclose(g[name][:], whole["layer1.cell"][name][:], rtol=1e-3, equal_nan=True), name
        E, C, D = len(L), g["left_out_pairs"].shape[0], g["left_out_pairs"].shape[1]
        W, M = left_out(sums["part_weight"]), left_out(sums["part_moment_weight"])
        removed = W[0] - W
        removed[0] = W[0]
        assert np.array_equal(np.moveaxis(removed, 0, 2), g["left_out_pairs"][:])
        S, Q = left_out(sums["part_sum"]), left_out(sums["part_moment"])
        lower = np.tril_indices(E)
        checked = 0
        for c in range(C):
            for d in range(D):
                for i in range(len(W)):
                    Ghat = S[i, c, d] / W[i, c, d] @ L
                    moment = np.zeros((E, E))
                    moment[lower] = Q[i, c, d] / M[i, c, d]
                    moment = L.T @ (moment + np.tril(moment, -1).T) @ L
                    for key, x in (("sigma_1", np.linalg.norm(Ghat, 2)), ("rms_gain", np.linalg.eigvalsh(moment)[-1] ** .5),
                                   ("total_gain", np.trace(moment) ** .5)):
                        stored = g["left_out_" + key][c, d, i]
                        assert abs(stored / x - 1) < 2e-5, (key, c, d, i, stored, x)
                        checked += 1
                    if c == 0 and i <= 20:
                        for p in range(2):
                            n = np.linalg.solve(L, f["property_vector"][p])
                            x = np.linalg.norm(Ghat @ n) / np.linalg.norm(n)
                            assert abs(g["left_out_property_gain"][p, c, d, i] / x - 1) < 2e-4, (p, d, i)
        assert checked > 10000, checked
        # replaced words: rows are classes first; 4 numbers (pairs first) come before the sum of the changes of state
        R = left_out(sums["part_replaced"][:, 0, :C])
        assert np.allclose(np.moveaxis(R[..., 4] / R[..., 0], 0, 2), g["left_out_state_change"][:], rtol=1e-9)
        for name, first in (("sigma_1", "singular_value"), ("rms_gain", "rms_gain")):
            assert np.array_equal(g["left_out_" + name][:, :, 0], g[first][:, :, 0]), name


# ---- the contrasts ----

def t_tail(t, nu):
    """P(|T| >= t), by integration of the density of angles: t = sqrt(nu) tan(a)."""
    a = np.linspace(np.arctan(abs(t) / nu ** .5), np.pi / 2, 20001)
    b = np.linspace(-np.pi / 2, np.pi / 2, 20001)
    return 2 * np.trapz(np.cos(a) ** (nu - 1), a) / np.trapz(np.cos(b) ** (nu - 1), b)


def t_reach(nu, level=0.05):
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, nu) > level else (low, middle)
    return low


def influence(weights, x):
    """u_b and the bias; x: of all, then without each."""
    g = (weights > 0).sum()
    v = (1 - weights / weights.sum()) * (x[0] - x[1:])
    return np.where(weights > 0, (v - v.sum() / g) * (g / (g - 1)) ** .5, 0), -v.sum()


def effective(w):
    return w.sum() ** 2 / (w ** 2).sum()


def contrast(a, b, paired=True, B=20):
    """a, b: (weights of blocks and parts, values with and without them) -> value, low, high, p."""
    def variance(part):
        u = [influence(w[part], np.r_[x[0], x[1:][part]])[0] for w, x in (a, b)]
        return ((u[0] - u[1]) ** 2).sum() if paired else (u[0] ** 2).sum() + (u[1] ** 2).sum(), u
    blocks, parts = slice(0, B), slice(B, None)
    v, u = variance(blocks)
    bias = influence(a[0][blocks], a[1][:B + 1])[1] - influence(b[0][blocks], b[1][:B + 1])[1]
    eff = [effective(w[blocks]) for w, _ in (a, b)]
    nu = min(eff) - 1
    if not paired:
        each = [(x ** 2).sum() for x in u]
        alone = [single_variance(*side, B) for side in (a, b)]
        nu = sum(alone) ** 2 / sum(s ** 2 / (e - 1) for s, e in zip(alone, eff))
        assert len(each) == 2
    if len(a[0]) > B:
        finer = min(effective(w[parts]) / e for (w, _), e in zip((a, b), eff))
        small = variance(parts)[0]
        if finer >= 1.5 and v > small * finer ** .5:
            return a[1][0] - b[1][0], np.nan, np.nan, np.nan
        if finer >= 1.5 and v > small:
            v += (v - small) / (finer - 1)
    value = a[1][0] - b[1][0]
    spread = (v + 0.1 * bias ** 2) ** .5
    reach = t_reach(nu) * spread
    return value, value - bias - reach, value - bias + reach, t_tail((value - bias) / spread, nu)


def single_variance(w, x, B):
    """The square of sg_stats_jackknife's error."""
    w, x0, x = w[:B], x[0], x[1:B + 1]
    h, g = w.sum() / w, len(w)
    corrected = g * x0 - ((1 - 1 / h) * x).sum()
    return ((h * x0 - (h - 1) * x - corrected) ** 2 / (h - 1)).sum() / g


def half_life(y):
    peak = int(np.argmax(y))
    for d in range(peak + 1, len(y)):
        if y[d] < y[peak] / 2:
            return d - peak - 1 + np.log(y[d - 1] / (y[peak] / 2)) / np.log(y[d - 1] / y[d])
    return np.nan


SOURCES = {"rms_gain": ("rms_gain", "moment_pairs"), "total_gain": ("total_gain", "moment_pairs"), "sigma_1": ("sigma_1", "pairs"),
           "state_change": ("state_change", "replaced_pairs")}


def side(name, group, c, measure, d):
    """(weights, values) of a measure as the run file has them."""
    with data(name) as f:
        g, c = f[group], list(f["class_name"][:]).index(c)
        source, pairs = SOURCES[measure.replace("_left", "").replace("_half_life", "")]
        x, w = g["left_out_" + source][c], g["left_out_" + pairs][c]
    if measure.endswith("_left"):
        return w[d, 1:], x[d] / x[0]
    if measure.endswith("half_life"):
        return w[0, 1:], np.array([half_life(y) for y in x.T])
    return w[d, 1:], x[d]


def adjusted(p):
    """Benjamini and Hochberg."""
    p = np.array([np.nan if x is None else x for x in p], float)
    known = np.flatnonzero(~np.isnan(p))
    out, least = p.copy(), 1.0
    for rank, i in reversed(list(enumerate(known[np.argsort(p[known])], 1))):
        least = min(least, p[i] * len(known) / rank)
        out[i] = least
    return out


def close(shown, exact, what, tol=2e-4):
    shown = np.nan if shown is None else shown
    assert np.isnan(shown) == np.isnan(exact) and (np.isnan(exact) or abs(shown - exact) <= tol * (abs(exact) + 1e-12)), (what, shown, exact)


def check_rows(shown, a, b, paired=True):
    """Every number of every row, from the replicates of the run files; a, b: (file, group, class)."""
    n = 0
    for row in shown["rows"]:
        (wa, xa), (wb, xb) = (side(*s, row["measure"], row["delay"] or 0) for s in (a, b))
        what = (row["measure"], row["delay"])
        value, low, high, p = contrast((wa, np.log(xa)), (wb, np.log(xb)), paired)
        close(row["a"], xa[0], what), close(row["b"], xb[0], what), close(row["ratio"], np.exp(value), what)
        close(row["ratio_low"], np.exp(low), what), close(row["ratio_high"], np.exp(high), what)
        close(row["p"], p, what, 1e-3 if p > 1e-9 else np.inf)
        value, low, high, _ = contrast((wa, xa), (wb, xb), paired)
        scale = abs(high - low) / max(abs(value), 1e-300)
        close(row["difference"], value, what), close(row["difference_low"], low, what, 2e-4 * (1 + scale))
        close(row["difference_high"], high, what, 2e-4 * (1 + scale))
        assert row["ratio_low"] is None or row["ratio_low"] < row["ratio_high"], what
        n += row["p"] is not None
    for row, q in zip(shown["rows"], adjusted([r["p"] for r in shown["rows"]])):
        close(row["p_adjusted"], q, row["measure"], 1e-9)
        verdict = None if np.isnan(q) else "undecided" if q >= 0.05 else "higher" if row["difference"] > 0 else "lower"
        assert row["verdict"] == verdict or row["reason"], row
    assert shown["comparisons"] == n and shown["adjustment"] == "Benjamini-Hochberg"
    return n


def test_classes():
    shown = rows("lstm1.nc", "noun", "verb")
    assert [p["a"]["class"] for p in shown["pairs"]] == ["noun"] and shown["pairs"][0]["paired"] is True
    delays = sorted({r["delay"] for r in shown["rows"] if r["delay"] is not None})
    assert delays == [0, 1, 5, 6], delays
    n = check_rows(shown, ("lstm1.nc", "layer1.cell", "noun"), ("lstm1.nc", "layer1.cell", "verb"))
    exact = rows("lstm1.nc", "noun", "all", "--measure", "total_gain,sigma_1", "--measure", "sigma_1_left", "--delay", "3,6", "--delay", "0", "-s", "hidden")
    assert [(r["measure"], r["delay"]) for r in exact["rows"]] == [(m, d) for m in ("total_gain", "sigma_1", "sigma_1_left") for d in (3, 6, 0) if d or m != "sigma_1_left"]
    n += check_rows(exact, ("lstm1.nc", "layer1.hidden", "noun"), ("lstm1.nc", "layer1.hidden", "all"))
    back = rows("lstm1.nc", "verb", "noun")
    for x, y in zip(shown["rows"], back["rows"]):
        if x["ratio_low"]:
            close(x["ratio_low"], 1 / y["ratio_high"], "turned round", 1e-9)
            close(x["p"], y["p"], "turned round", 1e-9)
    assert n > 20, n


def test_states_and_models():
    shown = rows("lstm1.nc", "layer1.cell", "layer1.hidden", "--class", "noun", "--class", "verb", "--delay", "1,5")
    assert {r["measure"] for r in shown["rows"]} == {"rms_gain_left", "rms_gain_half_life", "state_change_left", "state_change_half_life"}
    assert any("no common unit (their states are of different kinds)" in n for n in shown["notes"])
    first = {**shown, "rows": [r for r in shown["rows"] if r["pair"] == 1]}
    for r in first["rows"]:
        (wa, xa), (wb, xb) = (side("lstm1.nc", g, "verb", r["measure"], r["delay"] or 0) for g in ("layer1.cell", "layer1.hidden"))
        close(r["ratio_low"], np.exp(contrast((wa, np.log(xa)), (wb, np.log(xb)))[1]), r["measure"])
    shown = rows("lstm1.nc", "gru1.nc", "--class", "noun", "--delay", "1,5")
    assert shown["pairs"][0]["paired"] is True and any("no common unit (their models have cells" in n for n in shown["notes"])
    check_rows(shown, ("lstm1.nc", "layer1.cell", "noun"), ("gru1.nc", "layer1.hidden", "noun"))
    shown = rows("lstm1.nc", "lstm2.nc")
    assert any("one trained model on a side" in n for n in shown["notes"]) and {r["measure"] for r in shown["rows"]} >= {"rms_gain", "sigma_1"}
    check_rows(shown, ("lstm1.nc", "layer1.cell", "all"), ("lstm2.nc", "layer1.cell", "all"))
    shown = rows("lstm1.nc", "other-text.nc", "--delay", "1,5")
    assert shown["pairs"][0]["paired"] is False and any("not of the same blocks" in n for n in shown["notes"])
    assert not any("one trained model on a side" in n for n in shown["notes"]), "one model, two texts"
    check_rows(shown, ("lstm1.nc", "layer1.cell", "all"), ("other-text.nc", "layer1.cell", "all"), paired=False)


def test_groups():
    lstm, gru = [f"lstm{i}.nc" for i in (1, 2, 3)], ["gru1.nc", "gru2.nc"]
    groups = ["--group", "l=" + ",".join(lstm), "--group", "g=" + ",".join(gru)]
    for args, files, places in ((groups, (lstm, gru), (("layer1.cell", "all"), ("layer1.hidden", "all"))),
                                ([*groups[:2], "noun", "verb"], (lstm, lstm), (("layer1.cell", "noun"), ("layer1.cell", "verb")))):
        shown = rows(*args, "--delay", "1,5", "--measure", "rms_gain_left,rms_gain_half_life")
        for row in shown["rows"]:
            a, b = ([side(f, *place, row["measure"], row["delay"] or 0) for f in fs] for fs, place in zip(files, places))
            x, y = (np.log([v[0] for _, v in s]) for s in (a, b))
            if files[0] is files[1]:
                v, nu = (x - y).var(ddof=1) / len(x), len(x) - 1
            else:
                vx, vy = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
                v, nu = vx + vy, (vx + vy) ** 2 / (vx ** 2 / (len(x) - 1) + vy ** 2 / (len(y) - 1))
            middle, reach = x.mean() - y.mean(), t_reach(nu) * v ** .5
            close(row["ratio_models_low"], np.exp(middle - reach), row["measure"], 1e-3)
            close(row["ratio_models_high"], np.exp(middle + reach), row["measure"], 1e-3)
            close(row["p"], t_tail(middle / v ** .5, nu), row["measure"], 1e-3)
            mean = lambda s: (s[0][0], np.mean([np.log(v) for _, v in s], 0))
            _, low, high, _ = contrast(mean(a), mean(b))
            close(row["ratio_low"], np.exp(low), row["measure"]), close(row["ratio_high"], np.exp(high), row["measure"])
            close(row["a"], np.mean([v[0] for _, v in a]), row["measure"])


def test_properties():
    """Errors of blocks, paired, and of the words of the two properties, independent."""
    shown = rows("lstm1.nc", "number", "verb", "--delay", "1,5")  # the second is a class too
    checked = 0
    with data("lstm1.nc") as f:
        g = f["layer1.cell"]
        for row in shown["rows"]:
            d, B = row["delay"], 20
            x, w = g["left_out_property_gain"][:, 0, d].copy(), g["left_out_property_weight"][:, 0, d, 1:]
            if row["measure"] == "relative_memory":
                s = g["left_out_sigma_1"][0, d]
                x = np.minimum(1, x / np.r_[s[:B + 1], np.full(10, s[0])])
            elif row["measure"] != "property_gain":
                continue
            close(row["a"], x[0, 0], row["measure"]), close(row["b"], x[1, 0], row["measure"])
            if row["p"] is None:
                assert row["reason"], row
                continue
            both = [influence(w[p, :B], x[p, :B + 1]) for p in range(2)]
            words = [influence(w[p, B:], np.r_[x[p, 0], x[p, B + 1:]]) for p in range(2)]
            v, u = ((both[0][0] - both[1][0]) ** 2).sum(), (words[0][0] ** 2).sum() + (words[1][0] ** 2).sum()
            alone = [single_variance(w[p, B:], np.r_[x[p, 0], x[p, B + 1:]], 10) for p in range(2)]
            eff = [effective(w[p, B:]) for p in range(2)]
            nu_words = sum(alone) ** 2 / sum(a ** 2 / (e - 1) for a, e in zip(alone, eff))
            nu_blocks = min(effective(w[p, :B]) for p in range(2)) - 1
            nu = (v + u) ** 2 / (v ** 2 / nu_blocks + u ** 2 / nu_words)
            bias = both[0][1] - both[1][1] + words[0][1] - words[1][1]
            middle, reach = x[0, 0] - x[1, 0] - bias, t_reach(max(1, nu)) * (u + v + 0.1 * bias ** 2) ** .5
            most = 1 if row["measure"] == "relative_memory" else np.inf
            close(row["difference_low"], max(-most, middle - reach), row["measure"], 1e-3)
            close(row["difference_high"], min(most, middle + reach), row["measure"], 1e-3)
            checked += 1
    assert checked >= 2, shown["rows"]
    other = rows("lstm1.nc", "verb", "number", "--delay", "1,5")["pairs"][0]
    assert (other["a"]["property"], other["b"]["property"]) == ("verb", "number"), other
    models = rows("lstm1.nc", "lstm2.nc", "--property", "number", "--delay", "1")
    assert [p["a"]["property"] for p in models["pairs"]] == ["number"] and {r["measure"] for r in models["rows"]} == {"property_gain", "property_gain_left", "relative_memory"}


def test_kinds():
    """p_types of two classes, by permutations in numpy: shares of the tokens exchanged among words of one band."""
    shown = rows("lstm1.nc", "noun", "verb", "--measure", "total_gain", "--delay", "1,5")
    with data("lstm1.nc") as f:
        names, V = list(f["class_name"][:]), len(f["word"][:])
        word, member, count = (f["member_" + k][:] for k in ("word", "class", "count"))
        a, b = (np.bincount(word[member == names.index(c)], count[member == names.index(c)], V) for c in ("noun", "verb"))
        square = f["layer1.cell"]["word_gain"][:].astype(float) ** 2
        for k in ("eos_word", "unk_word"):
            if f.getncattr(k) >= 0:
                a[f.getncattr(k)] = b[f.getncattr(k)] = 0
    n = a + b
    seen = np.flatnonzero(n)
    band = np.floor(np.log2(n[seen]))
    rng = np.random.default_rng(1)
    for row in shown["rows"]:
        q = square[seen, row["delay"]]
        def mean(share):
            weight = np.where(np.isnan(q), 0, share * n[seen])
            return (weight * np.nan_to_num(q)).sum() / weight.sum()
        share, drawn = a[seen] / n[seen], []
        for _ in range(4000):
            mixed = share.copy()
            for k in set(band):
                mixed[band == k] = rng.permutation(share[band == k])
            drawn.append(mean(mixed))
        below = (np.array(drawn) <= mean(share)).mean()
        p = min(1, 2 * min(below, 1 - below))
        assert abs(row["p_types"] - p) < 5 * (p * (1 - p) / 1000) ** .5 + 0.01, (row["delay"], row["p_types"], p)
    few = rows("lstm1.nc", "determiner", "verb", "--delay", "1")
    assert all(r["verdict"] is None and "fewer than 8 effective" in r["reason"] for r in few["rows"] if r["p"] is not None)


def test_text_and_csv():
    options = ["lstm1.nc", "noun", "verb"]
    shown, text = rows(*options), compare(*options).stdout
    p = compare(*options, "--csv", "table.csv")
    assert p.stdout == text
    table = list(csv.DictReader(open(os.path.join(folder, "table.csv"), encoding="utf-8", newline="")))
    assert compare(*options, "--csv", "-").stdout == open(os.path.join(folder, "table.csv"), encoding="utf-8").read()
    assert len(table) == len(shown["rows"])
    lines = text[text.index("A is\n") + 5:text.index("\np: of the hypothesis that A/B is 1")].split("\n")
    for line, cell, row in zip(lines, table, shown["rows"]):
        for key in ("ratio", "ratio_low", "ratio_high", "difference", "difference_low", "difference_high", "p", "p_adjusted", "p_types"):
            assert (cell[key] == "") == (row[key] is None) and (row[key] is None or abs(float(cell[key]) / row[key] - 1) < 1e-8), (key, cell, row)
        words = line.split()
        assert words[0] == row["measure"] == cell["measure"] and words[-1] == (row["verdict"] or "-"), line
        if row["ratio_low"]:
            assert f" {row['ratio_low']:.3g} to {row['ratio_high']:.3g} " in line and f" {row['ratio']:.3g} " in line, line
            assert f" {row['difference_low']:.3g} to {row['difference_high']:.3g} " in line or row["difference_low"] is None, line
    assert f"adjusted over the {shown['comparisons']} comparisons of this table (Benjamini-Hochberg)" in text and "(paired)" in text
    assert all(note in text for note in shown["notes"])


def test_page():
    """The report's section holds the rows of --json, with seven digits, and the text stays what it is."""
    for options in (["one-block.nc", "noun", "verb"], ["lstm1.nc", "noun", "verb"], ["lstm1.nc", "gru1.nc", "--class", "noun", "--class", "verb"],
                    ["--group", "l=lstm1.nc,lstm2.nc,lstm3.nc", "--group", "g=gru1.nc,gru2.nc", "--delay", "0,3"]):
        shown = rows(*options)
        text = compare(*options).stdout
        assert compare(*options, "-o", "page.html").stdout == text
        blocks = [int(n or 0) for n in re.findall(r"95 % intervals over (?:(\d+) blocks of the text, the same|blocks of each text)", text)]
        page = open(os.path.join(folder, "page.html"), encoding="utf-8").read()
        assert compare(*options, "-o", "-").stdout == page
        data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))
        got = data["comparison"]
        assert (got["tests"] == 0) == (options[0] == "one-block.nc"), "comparisons without a p-value are not counted"
        assert got["tests"] == shown["comparisons"] and got["notes"] == shown["notes"] and len(got["rows"]) == len(shown["rows"])
        assert len(data["runs"]) == len({p for pair in shown["pairs"] for s in ("a", "b") for p in pair[s]["runs"]})
        for pair, want, n in zip(got["pairs"], shown["pairs"], blocks, strict=True):
            assert pair["blocks"] == n and (n > 0) == want["paired"] and all(pair[s][k] == want[s][k] for s in ("a", "b") for k in ("label", "state")), (pair, want)
        for row, want in zip(got["rows"], shown["rows"]):
            assert row["pair"] == want["pair"] and row["measure"] == want["measure"] and row.get("delay") == want["delay"] and row["verdict"] == want["verdict"]
            for key in set(row) - {"pair", "measure", "delay", "verdict", "no_verdict"}:
                x = want[key]
                assert (row[key] is None) == (x is None) and (x is None or abs(row[key] - x) <= 1e-6 * abs(x)), (key, row, want)
    assert any(r["ratio_models_low"] is not None for r in got["rows"]), "intervals over models"
    assert '"comparison":null' in run("report", "lstm1.nc", "-o", "-").stdout, "no comparison, no section"


def test_misuse():
    for args, code, *told in (
            (["lstm1.nc", "nuon", "verb"], 2, "lstm1.nc has no class 'nuon'; did you mean noun?"), (["lstm1.nc", "noun", "zzz"], 2, "no class 'zzz'; it has all, noun"),
            (["lstm1.nc", "noun", "noun"], 2, "A and B are the same: noun"), (["lstm1.nc", "lstm1.nc"], 2, "A and B are the same"),
            (["lstm1.nc", "number", "nubmer"], 2, "no property 'nubmer'; did you mean number?"), (["lstm1.nc", "layer1.cell", "layer1.hiden"], 2, "did you mean layer1.hidden?"),
            (["lstm1.nc", "noun", "verb", "--measure", "rms_gian"], 2, "--measure", "did you mean rms_gain?"),
            (["lstm1.nc", "noun", "verb", "--measure", "relative_memory"], 2, "relative_memory applies to a property; noun is not one"),
            (["lstm1.nc", "gru1.nc", "--measure", "rms_gain"], 2, "no common unit", "compare rms_gain_left"),
            (["bare.nc", "noun", "verb", "--measure", "state_change"], 2, "noun has no left_out_state_change", "--replace"),
            (["lstm1.nc", "noun", "verb", "--delay", "7"], 2, "--delay: 7", "0 .. 6"), (["lstm1.nc", "noun", "verb", "--delay", "1,x"], 2, "--delay", "'1,x'"),
            (["lstm1.nc", "noun", "verb", "--layer", "2"], 2, "compare: --layer 2: lstm1.nc has layer1.cell, layer1.hidden"), (["lstm1.nc", "noun", "verb", "--class", "all"], 2, "--class"),
            (["lstm1.nc"], 2, "expected RUN.nc A B", "; see stategrad compare --help"), ([], 2, "expected RUN.nc A B"), (["a", "b", "c", "d"], 2, "expected RUN.nc A B"),
            (["--group", "x=lstm1.nc", "noun", "verb"], 2, "compare: --group", "two runs or more"),
            (["--group", "x=lstm1.nc,lstm1.nc", "noun", "verb"], 2, "analyse the same model"),
            (["--group", "x=lstm2.nc,other-text.nc", "noun", "verb"], 2, "different texts"),
            (["no.nc", "noun", "verb"], 1, "no.nc"), (["lstm1.nc", "lstm1.safetensors"], 1, "lstm1.safetensors", "a safetensors file"),
            (["lstm1.nc", "noun", "verb", "--csv", "lstm1.nc"], 2, "lstm1.nc"), (["lstm1.nc", "noun", "verb", "--csv", "-", "--json"], 2, "--json"),
            (["lstm1.nc", "noun", "verb", "-o", "lstm1.nc"], 2, "lstm1.nc"), (["lstm1.nc", "noun", "verb", "-o", "-", "--json"], 2, "-o -"),
            (["lstm1.nc", "noun", "verb", "--csv", "same", "-o", "same"], 2, "same"), (["lstm1.nc", "noun", "verb", "-o", "no/such"], 1, "no/such")):
        p = compare(*args, code=code)
        assert all(t in p.stderr for t in told) and p.stderr.count("\n") == 1 and not p.stdout, (args, p.stderr)
    shown = rows("bare.nc", "noun", "verb")
    assert not any("change" in r["measure"] for r in shown["rows"])
    shown = rows("one-block.nc", "noun", "verb")
    assert shown["comparisons"] == 0 and all(r["p"] is None and r["ratio"] and "fewer than 5 blocks" in r["reason"] for r in shown["rows"] if "half" not in r["measure"])


def test_damaged():
    path = os.path.join(folder, "lstm1.nc")
    whole = open(path, "rb").read()
    for n in range(0, len(whole) - 100, len(whole) // 16):
        with open(os.path.join(folder, "cut.nc"), "wb") as f:
            f.write(whole[:n])
        assert "cut.nc" in compare("cut.nc", "noun", "verb", code=1).stderr, n
    for name, told in (("left_out_pairs", "analyze again"), ("block_pairs", "block_pairs"), ("left_out_moment_pairs", "left_out_moment_pairs")):
        shutil.copy(path, os.path.join(folder, "old.nc"))
        move = f"import h5py; f = h5py.File('old.nc', 'a'); f['layer1.cell'].move('{name}', 'gone'); f.close()"
        subprocess.run([sys.executable, "-c", move], check=True, cwd=folder)  # netCDF4's renameVariable fails: "HDF error"
        assert told in compare("old.nc", "noun", "verb", code=1).stderr, name


with tempfile.TemporaryDirectory() as folder:
    make_runs()
    for test in (test_replicates, test_classes, test_states_and_models, test_groups, test_properties, test_kinds, test_text_and_csv, test_page, test_misuse, test_damaged):
        test()
        print("ok", test.__name__)
