#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every number that people see of a run is the run file's: the analysis's summary, `track`, the CSV table, the data of the
report's page. Runs are made by the program (helpers/real_run.py). usage: shown.py STATEGRAD SOURCE_ROOT [RUN...]

The run file is read by netCDF4. How a name that is shown becomes a variable is written down here, apart from the
program's tables; a shown name that leads to no variable fails, and so does a variable that must be shown and is not."""
import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, root = sys.argv[1:3]
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
import real_run  # noqa: E402

RUNS = ["small", "full", "layers", "plain", "raw", "one", "sampled", "precise", "withheld", "chars", "features"]
checks = 0


def same(shown, exact, digits, *where):
    """A number rounded once, to so many significant digits; an absent one (None, "", "-") where the file has NaN."""
    global checks
    checks += 1
    absent = shown is None or shown in ("", "-", "missing")
    exact = float(exact)
    if not np.isfinite(exact):
        assert absent, (where, shown, exact)
        return
    assert not absent, (where, shown, exact)
    last = 10.0 ** (np.floor(np.log10(abs(exact))) + 1 - digits) if exact else 0
    assert abs(float(shown) - exact) <= 0.5001 * last, (where, shown, exact)


def decimals(shown, exact, n, *where):
    """A number printed with n digits after the point."""
    global checks
    checks += 1
    assert abs(float(shown) - float(exact)) <= 0.5001 * 10.0 ** -n, (where, shown, float(exact))


class Run:
    def __init__(self, path):
        self.path, self.file = path, netCDF4.Dataset(path)
        self.file.set_auto_mask(False)
        self.classes = list(self.file["class_name"][:])
        self.properties = list(self.file["property_name"][:]) if "property_name" in self.file.variables else []
        self.D = len(self.file.dimensions["delay"])
        self.cache = {}

    def get(self, group, name):
        """The variable as numbers, or None where the file has none."""
        if (group, name) not in self.cache:
            place = self.file[group] if group else self.file
            v = place.variables.get(name)
            self.cache[group, name] = None if v is None else v[...] if v.dtype == str else np.asarray(v[...], float)
        return self.cache[group, name]

    def dims(self, group, name):
        return (self.file[group] if group else self.file)[name].dimensions

    def trained(self):
        return [g for g in self.file.groups if not g.startswith("untrained.")]


# ---- the table that analyze --csv writes ----

TABLE = ("pairs", "singular_value", "singular_sum", "effective_rank", "rms_gain", "coherence", "class_difference", "class_difference_p",
         "class_difference_p_adjusted", "gain_ratio", "p_tokens", "p_tokens_adjusted", "p_types", "p_types_adjusted", "relative_memory", "relative_memory_random", "property_gain", "property_gain_random", "property_half_life", "subspace_cosine", "decay_scale", "decay_rate", "decay_shape", "decay_weight", "decay_misfit_p", "decay_verdict",
         "peak_delay", "half_life", "share_delay", "replaced_pairs", "state_change", "state_change_relative", "linear_prediction",
         "linear_cosine", "infidelity", "output_kl")
TABLE += tuple(law + name for law in ("within_", "partner_") for name in TABLE[TABLE.index("replaced_pairs"):])


def test_csv(run, folder):
    with open(os.path.join(folder, "run.csv"), encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    quantities, laws = list(run.file["decay_quantity"][:]), list(run.file["decay_law"][:])
    shares = [f"{s:g}" for s in run.file["decay_share"][:]]
    seen = {}
    for row in rows:
        group = row["state"]
        name, *index = re.match(r"(\w+)((?:\[.*?\])*)$", row["quantity"]).groups()
        index = re.findall(r"\[(.*?)\]", index[0])
        x = run.get(group, name)
        assert x is not None, (row, "no such variable")
        dims = run.dims(group, name)
        at = {"class": run.classes.index(row["class"])} if row["class"] else {}
        if row["delay"] != "":
            at["delay"] = int(row["delay"])
        if "property" in dims:
            at["property"] = run.properties.index(index.pop(0))
        if "decay_quantity" in dims:
            at["decay_quantity"] = quantities.index(index.pop(0))
        if "decay_law" in dims:
            at["decay_law"] = laws.index(index.pop(0))
        if "decay_share" in dims:
            at["decay_share"] = shares.index(index.pop(0))
        if "rank" in dims:
            at["rank"] = int(index.pop(0)) - 1
        assert not index and set(at) == set(dims), (row, dims)
        place = tuple(at[d] for d in dims)
        assert place not in seen.setdefault((group, name), set()), (row, "twice")
        seen[group, name].add(place)
        same(row["value"], x[place], 9, row)
        low, high, error = (run.get(group, name + s) for s in ("_low", "_high", "_error"))
        if low is None and error is not None:
            low, high = x - 1.96 * error, x + 1.96 * error
        nothing = np.full(x.shape, np.nan)
        same(row["low"], (nothing if low is None else low)[place], 8, row, "low")
        same(row["high"], (nothing if high is None else high)[place], 8, row, "high")
    for group in [""] + list(run.file.groups):
        for name in TABLE if group else ("class_types", "class_effective_types", "class_top_share"):
            x = run.get(group, name)
            if x is not None and x.size:
                assert len(seen.get((group, name), ())) == x.size, (group, name, "is not all in the table")


# ---- the data of the page ----

PAGE_DIGITS = 7  # the page rounds them to 4 at most

PAGE = {"sigma1": ("singular_value", "first"), "sum": ("singular_sum", None), "rms": ("rms_gain", "first"), "spectrum": ("singular_value", "leading"),
        "p": ("class_difference_p", None), "q": ("class_difference_p_adjusted", None), "null_low": ("class_null_low", None),
        "null_high": ("class_null_high", None), "change": ("state_change", None), "change_relative": ("state_change_relative", None),
        "linear": ("linear_prediction", None), "kl": ("output_kl", None), "kl_pairs": ("output_kl_pairs", None), "ratio": ("gain_ratio", None), "q_tokens": ("p_tokens_adjusted", None), "q_types": ("p_types_adjusted", None),
        "types": ("types_null", None), "p_types": ("p_types", None), "cosine": ("subspace_cosine", "subspaces"), "cosine_random": ("subspace_cosine_random", "subspaces"), "lyapunov": ("lyapunov_exponent", None)}
for key in ("change", "change_relative", "linear", "linear_cosine", "infidelity", "kl", "kl_pairs", "replaced_pairs"):
    PAGE.update({law + key: (law + PAGE.get(key, (key,))[0], None) for law in ("within_", "partner_")})
SUFFIXES = ("_low", "_high")
MUST_SHOW = {"property_half_life", "property_half_life_low", "property_half_life_high", "property_gain", "property_gain_low", "property_gain_high", "property_gain_random_low", "property_gain_random_high", "replaced_pairs", "change", "change_low", "change_high", "change_relative", "linear", "linear_low", "linear_high", "infidelity",
             "infidelity_low", "linear_cosine", "kl", "kl_low", "kl_high", "kl_pairs", "ratio", "ratio_low", "ratio_high", "p_tokens", "q_tokens", "p_types", "q_types", "types_low", "types_high", "pairs", "sigma1", "sigma1_low", "sigma1_high", "sum", "sum_low", "sum_high", "rms", "rms_low", "rms_high", "coherence", "coherence_low",
             "coherence_high", "effective_rank", "effective_rank_low", "effective_rank_high", "spectrum", "p", "q", "null_low", "null_high", "decay_rate",
             "decay_shape", "decay_weight", "decay_rate_error", "decay_scale_error", "decay_shape_low", "decay_shape_high", "decay_misfit_p",
             "decay_verdict", "peak_delay", "half_life", "half_life_low", "half_life_high", "share_delay", "share_delay_low",
             "share_delay_high", "relative_memory", "relative_memory_low",
             "relative_memory_high", "relative_memory_random", "relative_memory_random_low", "relative_memory_random_high", "cosine", "cosine_low",
             "lyapunov", "lyapunov_low", "lyapunov_high", "cosine_high", "cosine_random", "cosine_random_low", "cosine_random_high"}
MUST_SHOW |= {key for key in PAGE if key.startswith(("within_", "partner_"))}


def variable_of(key):
    for suffix in ("",) + SUFFIXES:
        if key.endswith(suffix) and key[:len(key) - len(suffix)] in PAGE:
            name, cut = PAGE[key[:len(key) - len(suffix)]]
            return name + suffix, cut
    return key, None


def page_data(path):
    text = open(path, encoding="utf-8").read()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))


def compare_nested(shown, exact, digits, *where):
    if exact.ndim == 0:
        same(shown, exact, digits, *where)
        return
    assert isinstance(shown, list) and len(shown) == len(exact), (where, len(shown), exact.shape)
    for i, (a, b) in enumerate(zip(shown, exact)):
        compare_nested(a, b, digits, *where, i)


def test_page(run, folder):
    html = os.path.join(folder, "page.html")
    subprocess.run([program, "report", run.path, "-o", html], check=True)
    (shown,) = page_data(html)["runs"]
    assert [c["name"] for c in shown["classes"]] == run.classes and [c["tokens"] for c in shown["classes"]] == list(run.file["class_tokens"][:])
    for key in ("types", "effective_types", "top_share", "top_word", "spec"):
        facts, exact = [c.get(key) for c in shown["classes"]], run.get(None, "class_" + key)
        if exact is None or key in ("top_word", "spec"):
            assert facts == ([None] * len(facts) if exact is None else list(exact)), (key, facts, exact)
        else:
            compare_nested(facts, exact, PAGE_DIGITS, key)
    assert [p["name"] for p in shown["properties"]] == run.properties
    for key in ("words_a", "words_b"):
        assert [p[key] for p in shown["properties"]] == [x for x in run.get(None, "property_" + key)][:len(run.properties)]
    assert shown["delays"] == run.D and shown["embedding"] == len(run.file.dimensions["embedding"])
    assert {k for k, _ in shown["attributes"]} == set(run.file.ncattrs())
    for key, text in shown["attributes"]:
        exact = run.file.getncattr(key)
        if key in ("eos_word", "unk_word"): # the word of this id
            exact = "none" if exact < 0 else run.file["word"][int(exact)]
        if isinstance(exact, str):
            assert text == exact, (key, text, exact)
        else:
            same(text, exact, 14, key)
    assert sorted(g["name"] for g in shown["groups"]) == sorted(run.file.groups)
    for g in shown["groups"]:
        name = g["name"]
        baseline = name.startswith("untrained.")
        assert g["baseline_of"] == (name[10:] if baseline else None)
        assert g["units"] == len(run.file[name].dimensions["unit"]) and g["rank"] == len(run.file[name].dimensions["rank"])
        for key in MUST_SHOW if not baseline else {"pairs", "sigma1", "sum", "rms", "coherence", "effective_rank"}:
            assert key in g["values"] or run.get(name, variable_of(key)[0]) is None, (name, key, "is not in the page")
        for key, values in g["values"].items():
            variable, cut = variable_of(key)
            x = run.get(name, variable)
            assert x is not None, (key, "leads to no variable")
            if "_random" in key:
                x = x[:1]
            if cut == "first":
                x = x[..., 0]
            elif cut == "leading":
                depth = len(values[0][0])
                assert depth >= min(8, x.shape[-1])
                x = x[..., :depth]
            elif cut == "subspaces":
                x = x[..., [k - 1 for k in shown["subspaces"] if k <= x.shape[-1]]]
            compare_nested(values, x, PAGE_DIGITS, name, key)
            reason = getattr(run.file[name][variable], "missing_reason", None)
            assert g["missing"].get(key) == reason, (name, key, g["missing"].get(key), reason)
        for key, why in g["missing"].items():
            assert key in g["values"] or baseline or run.get(name, variable_of(key)[0]) is None, (key, why)
    test_page_words(run, shown["words"])


def whitened(run):
    X, L = run.get(None, "embedding_matrix"), run.get(None, "embedding_covariance_factor")
    return np.linalg.solve(L, (X - X.mean(0)).T), L


def unit(x):
    return x / np.linalg.norm(x)


def test_page_words(run, w):
    if run.get(None, "word") is None:
        assert w.get("missing"), list(w)
        return
    Z, L = whitened(run)
    names, counts = list(run.get(None, "word")), run.get(None, "word_count")
    members = list(zip(run.get(None, "member_word").astype(int), run.get(None, "member_class").astype(int))) if run.get(None, "member_word") is not None else []
    directions = {}
    for i, p in enumerate(run.properties):
        directions[p] = unit(np.linalg.solve(L, run.get(None, "property_vector")[i]))
    for c, name in list(enumerate(run.classes))[1:]:
        own = [word for word, k in members if k == c]
        if own and len(own) < len(names):
            directions[name] = unit(Z[:, own].sum(1))
    assert w["targets"] == list(directions), (w["targets"], list(directions))
    for i, word in enumerate(w["words"]):
        assert w["counts"][i] == counts[names.index(word)], (word, w["counts"][i])
    assert set(w["groups"]) == set(run.trained())
    for group, by_class in w["groups"].items():
        assert len(by_class) == w["classes"] == min(20, len(run.classes))
        V = run.get(group, "right_singular_vector")
        for c, by_delay in enumerate(by_class):
            assert len(by_delay) == len(w["delays"])
            for d, cells in zip(w["delays"], by_delay):
                for k, (up, up_by, down, down_by, cosines) in enumerate(cells):
                    p = V[c, d, k] @ Z
                    for ids, by, order in ((up, up_by, -np.sort(-p)), (down, down_by, np.sort(p))):
                        assert len(ids) == min(8, len(names)), (group, c, d, k)
                        for i, (word, value) in enumerate(zip(ids, by)):
                            same(value, order[i], PAGE_DIGITS, group, c, d, k, i)
                            same(value, p[names.index(w["words"][word])], PAGE_DIGITS, group, c, d, k, w["words"][word])
                    assert len(cosines) == len(directions)
                    for cosine, n in zip(cosines, directions.values()):
                        same(cosine, V[c, d, k] @ n, PAGE_DIGITS, group, c, d, k, "cosine")


# ---- what analyze prints ----

def check_law(run, group, sentence):
    """The sentence on the decay of the rms gain: its verdict, and each number, from the run file."""
    laws = list(run.file["decay_law"][:])
    of = {k: run.get(group, k)[0, 2] for k in ("decay_verdict", "decay_scale", "decay_scale_error", "decay_rate", "decay_rate_error", "decay_shape",
                                              "decay_shape_error", "decay_shape_low", "decay_shape_high", "decay_aic", "decay_residual", "decay_misfit_p",
                                              "peak_delay", "share_delay", "share_delay_low", "share_delay_high")}
    verdict = int(of["decay_verdict"])
    assert ("no decay law" in sentence) == (not np.isfinite(of["decay_scale"]).any()), sentence
    stretched = laws.index("stretched exponential")
    low, high = of["decay_shape_low"][stretched], of["decay_shape_high"][stretched]
    m = re.search(r"beta (\S+) to ([^\s;),]+)", sentence)
    assert bool(m) == bool(np.isfinite(low) and "no decay law" not in sentence), sentence
    if m:
        same(m.group(1), low, 2, sentence), same(m.group(2), high, 2, sentence)
    aic = np.where(np.isfinite(of["decay_aic"]), of["decay_aic"], np.inf)
    best = laws[verdict] if verdict >= 0 else laws[int(np.argmin(aic))]
    i = laws.index(best)
    names = {"falls as": verdict >= 0, "whose parameters are not determined": verdict >= 0, "none of the decay laws fits": verdict == -1,
             "undecided": verdict == -2, "no decay law": verdict == -2}
    assert any(n in sentence and holds for n, holds in names.items()), (sentence, verdict)
    form = {"power law": r"(\S+) d\^-(\S+)", "exponential": r"(\S+) exp\(-d/([^)]+)\)",
            "stretched exponential": r"(\S+) exp\(-\(d/([^)]+)\)\^([^)]+)\)"}[best]
    if "falls as" in sentence:
        assert re.search(rf"falls as an? {best}, ", sentence), (sentence, best)
    if "falls as" in sentence or "nearest" in sentence:
        m = re.search("(?:nearest: |exponential, |power law, )" + form, sentence)
        assert m, (sentence, best)
        numbers = [of["decay_scale"][i], of["decay_rate"][i]] + ([of["decay_shape"][i]] if best == "stretched exponential" else [])
        for text, x in zip(m.groups(), numbers, strict=True):
            same(text.rstrip(",;"), x, 2, sentence)
    if "off by" in sentence:
        decimals(re.search(r"off by (\S+) %", sentence).group(1), 100 * of["decay_residual"][i], 1, sentence)
    peak, share = of["peak_delay"], of["share_delay"]
    assert ("half-life unknown" in sentence) == (not np.isfinite(share[0])), sentence
    said = re.findall(r"(?:is left|after) (\d+\.\d)(?: \w+ later)?(?: \((\S+) to (\S+)\))?", sentence)
    known = [k for k in range(len(share)) if np.isfinite(share[:k + 1]).all()]
    assert len(said) == len(known), (sentence, share)
    for k, (x, lo, hi) in zip(known, said):
        decimals(x, share[k], 1, sentence)
        bound = of["share_delay_low"][k]
        assert bool(lo) == bool(np.isfinite(bound)), (sentence, bound)
        if lo:
            decimals(lo, bound, 1, sentence), decimals(hi, of["share_delay_high"][k], 1, sentence)
    if known:
        assert f"its value at delay {int(peak)} " in sentence, sentence
        assert f" {'character' if run.file.unit == 'char' else 'word'}s later" in sentence, sentence


def check_replacement(run, group, text):
    """What replacing a word changes, in words: each number from the run file."""
    change = run.get(group, "state_change")
    said = re.search(r"  all: replacing a (word|character) by another changes the (cell|hidden state) by (.*?)\n\n?", text + "\n", re.S)
    assert bool(said) == (change is not None and np.isfinite(change[0, 0])), text
    if not said:
        return
    assert said.group(1) == ("character" if run.file.unit == "char" else "word") and said.group(2).split()[0] == group.split(".")[1]
    span, number = r"(?: \((\S+) to (\S+)\))?", r"([\d.e+-]*\d)"
    text = text[said.start():]

    def value(name, pattern, at, exact=None):
        m = re.search(pattern + span, text)
        assert m, (pattern, text)
        x, low, high = ((run.get(group, name + s)[at]) for s in ("", "_low", "_high"))
        same(m.group(1), x, 3, group, name), same(m.group(2), low, 3, group, name), same(m.group(3), high, 3, group, name)

    q = list(run.file["decay_quantity"][:]).index("change of state")
    value("state_change", f"changes the (?:cell|hidden state) by {number}", (0, 0))
    if np.isfinite(run.get(group, "half_life")[0, q]):
        peak = re.search(r"half of the change at delay (\d+) is left", text)
        assert int(peak.group(1)) == run.get(group, "peak_delay")[0, q], text
        value("half_life", rf"is left {number} \w+ later", (0, q))
    else:
        m = re.search(rf"at delay (\d+) it is {number}", text)
        assert int(m.group(1)) == run.D - 1
        same(m.group(2), change[0, -1], 3, text)
    kl = run.get(group, "output_kl")[0, 0]
    assert ("nats" in text) == np.isfinite(kl), text
    if np.isfinite(kl):
        value("output_kl", rf"at delay 0 by {number} nats of Kullback-Leibler divergence", (0, 0))
    value("linear_prediction", rf"predicts a change of {number}", (0, 0))
    same(re.search(rf"its squared error is {number} times the squared change", text).group(1), run.get(group, "infidelity")[0, 0], 3, text)


def blocks_of(sigma, low, high):
    D = len(sigma)
    width = min(D, 32)
    picked = [sigma[i * (D - 1) // (width - 1) if width > 1 else 0] for i in range(width)]
    level = [7 * np.log(y / low) / np.log(high / low) if high > low else 7 for y in picked]
    return "".join("▁▂▃▄▅▆▇█"[int(min(max(v, 0) + 0.5, 7)) if v > 0 else 0] for v in level)


def test_classes(run, text):
    """The table of classes: their words, from the corpus's own counts."""
    rows = re.findall(r"^  (.{20})\s+(\d+)\s+(\d+)\s+(\d+\.\d)  (.{20})\s+(\d+\.\d) %$", text, re.M)
    if len(run.classes) < 2 or run.get(None, "word") is None:
        assert not rows and run.get(None, "class_types") is None or len(run.classes) < 2, rows
        return
    words, count = list(run.get(None, "word")), run.get(None, "word_count")
    unk = words.index("<unk>") if "<unk>" in words else None
    assert len(rows) == min(len(run.classes), 40), text
    for c, (name, tokens, types, effective, top, share) in enumerate(rows):
        of = dict(enumerate(count))
        if c:
            mine = run.get(None, "member_class") == c
            of = dict(zip(run.get(None, "member_word")[mine].astype(int), run.get(None, "member_count")[mine]))
            if unk is not None:
                of[unk] = run.file["class_tokens"][c] - sum(of.values())
        n = np.array([x for x in of.values() if x > 0])
        assert name.strip() == run.classes[c][:20].strip() and int(tokens) == run.file["class_tokens"][c] == n.sum(), name
        assert int(types) == len(n) == run.file["class_types"][c], (name, types, len(n))
        decimals(effective, n.sum() ** 2 / (n ** 2).sum(), 1, name)
        same(run.file["class_effective_types"][c], n.sum() ** 2 / (n ** 2).sum(), 9, name)
        decimals(share, 100 * n.max() / n.sum(), 1, name)
        same(run.file["class_top_share"][c], n.max() / n.sum(), 9, name)
        assert of[words.index(run.file["class_top_word"][c])] == n.max(), name
        assert top.strip() == run.file["class_top_word"][c][:20].strip(), (name, top)


def check_ratios(run, part):
    """Each class beside all words: ratio and interval at two delays, the p-value of its kind of word, counts of delays."""
    group, lines = part.split(":")[0], part.split("\n")
    delays = [int(d) for d in re.findall(r"delay (\d+)", lines[1])]
    assert delays == sorted({1 if run.D > 1 else 0, 10 if run.D > 11 else run.D - 1}), lines[1]
    of = {k: run.get(group, k) for k in ("gain_ratio", "gain_ratio_low", "gain_ratio_high", "p_types", "p_types_adjusted", "p_tokens_adjusted",
                                         "types_null_high")}
    for c, line in list(enumerate(lines[1:]))[1:min(len(run.classes), 40)]:
        cell = r"  (-|[\d.e+-]+)(?: \((\S+) to (\S+)\))? +(-|\d\.\d{3}|<\.001)"
        m = re.match(r"  (.{20})" + cell * len(delays) + r"  (\S+(?: -\d+)?) *  (\S+(?: -\d+)?) *$", line)
        assert m and m.group(1).strip() == run.classes[c][:20].strip(), (line, run.classes[c])
        for k, d in enumerate(delays):
            ratio, low, high, p = m.groups()[1 + 4 * k:5 + 4 * k]
            same(ratio, of["gain_ratio"][c, d], 3, line)
            same(low, of["gain_ratio_low"][c, d], 3, line), same(high, of["gain_ratio_high"][c, d], 3, line)
            assert (p == "-") == bool(np.isnan(of["p_types"][c, d])), line
            assert (p == "<.001") == bool(of["p_types"][c, d] < 0.0005), line
            if p not in ("-", "<.001"):
                decimals(p, of["p_types"][c, d], 3, line)
        for shown, q, beyond in ((m.groups()[-2], of["p_types_adjusted"][c], of["types_null_high"][c]), (m.groups()[-1], of["p_tokens_adjusted"][c], 1)):
            above, found = of["gain_ratio"][c] > beyond, q < 0.05
            assert shown == ("-" if np.isnan(q).all() else f"+{(found & above).sum()} -{(found & ~above).sum()}"), (line, shown)


def spans_of(run, group, name, i, found):
    """Values with bounds at the two delays that tables of classes have: (value, low, high, delay)."""
    assert [int(d) for *_, d in found] == sorted({1 if run.D > 1 else 0, 10 if run.D > 11 else run.D - 1}), found
    for x, low, high, d in found:
        for shown, suffix in ((x, ""), (low, "_low"), (high, "_high")):
            same(shown, run.get(group, name + suffix)[i, int(d)], 3, group, name, i, d)


def check_replaced_classes(run, part):
    """Each class replaced by any word, and by another of its own."""
    group, lines = part.split(":")[0], part.split("\n")
    columns = re.findall(r"(any word|of its class), delay (\d+)", lines[1])
    names = {"any word": "state_change", "of its class": "within_state_change"}
    assert [x for x, _ in columns] == list(names) * (len(columns) // 2), lines[1]
    for c, line in list(enumerate(lines[1:]))[1:min(len(run.classes), 40)]:
        cells = re.findall(r"  (-|[\d.]\S*)(?: \((\S+) to (\S+)\))?(?= |$)", line[32:])
        assert int(line[22:32]) == run.get(group, "replaced_pairs")[c, 0], line
        assert line[2:22].strip() == run.classes[c][:20].strip() and len(cells) == len(columns), (line, cells)
        for name, variable in names.items():
            spans_of(run, group, variable, c, [(*cell, d) for cell, (head, d) in zip(cells, columns) if head == name])


def check_property(run, group, p, text):
    """Gain and relative memory at a few delays: value, interval, band of random directions and the verdict. Whether one of
    the values lies outside its interval, which is said then and only then."""
    outside = False
    lines = re.findall(r"^  delay +(\d+)(.*)$", text, re.M)
    assert [int(d) for d, _ in lines] == [d for d in (0, 1, 5, 10, 20, 49) if d < run.D], text
    for d, line in lines:
        at = p, 0, int(d)
        if np.isnan(run.get(group, "relative_memory")[at]):
            assert line == "  missing" and "  missing: " in text, line
            continue
        for what, name in (("gain", "property_gain"), ("relative", "relative_memory")):
            m = re.search(rf"  {what} (\S+) \[(\S+), (\S+)\] \(random (\S+) to (\S+): (\w+) chance\)", line)
            assert m, (line, what)
            x, low, high, least, most = (run.get(group, name + s)[at] for s in ("", "_low", "_high", "_random_low", "_random_high"))
            for shown, exact in zip(m.groups(), (x, low, high, least, most)):
                same(shown, exact, 3, line)
            assert m.group(6) == ("above" if x > most else "below" if x < least else "within"), line
            assert np.isfinite(low) or "  no interval: " in text, text
            assert not low == high < x, (line, "an interval of one point, which is not the value")
            outside |= bool(x < low or x > high)
    assert outside == ("  a value outside its interval: the interval is corrected for bias, the value is not\n" in text + "\n"), text
    exact = run.get(group, "partner_state_change")
    pairs = re.search(r"the other of its pair changes the state by(.*)", text)
    assert bool(pairs) == (exact is not None and np.isfinite(exact[p, 0])), text
    for lead, name in (("the other of its pair changes the state by", "state_change"), ("the gradient at the word predicts", "linear_prediction"),
                       ("averaged along the line between the two embeddings it predicts", "path_average"), ("relative error of that prediction:", "path_gap")):
        line, exact = re.search(lead + "(.*)", text), run.get(group, "partner_" + name)
        assert bool(line) == (bool(pairs) and np.isfinite(exact[p, 0])), (lead, text)
        if line:
            spans_of(run, group, "partner_" + name, p, re.findall(r"  (\S+)(?: \((\S+) to (\S+)\))? at delay (\d+)", line.group(1)))
    half = re.search(r"half of the gain along it is lost (\S+) (?:word|character)s after its peak(?: \((\S+) to (\S+)\))?$", text, re.M)
    exact = run.get(group, "property_half_life")[p, 0]
    gain, most = (run.get(group, name)[p, 0] for name in ("property_gain", "property_gain_random_high"))
    peak = int(np.nanargmax(gain)) if np.isfinite(gain).any() else 0
    by_chance = re.search(r"no half-life: the gain along it is not above chance at its peak, delay (\d+)$", text, re.M)
    assert bool(by_chance) == bool(np.isfinite(exact) and not gain[peak] > most[peak]), text
    assert not by_chance or int(by_chance.group(1)) == peak, text
    assert bool(half) == bool(np.isfinite(exact) and gain[peak] > most[peak]), text
    if half:
        decimals(half.group(1), exact, 1, text)
        for shown, end in zip(half.groups()[1:], ("_low", "_high")):
            bound = run.get(group, "property_half_life" + end)[p, 0]
            assert (shown is None) == bool(np.isnan(bound)), (text, bound)
            if shown is not None:
                same(shown, bound, 3, text)
    return outside


def test_summary(run, folder):
    text = open(os.path.join(folder, "summary.txt"), encoding="utf-8").read()
    test_classes(run, text)
    parts = re.split(r"^(?=layer\d+\.\w+: )", text, flags=re.M)[1:]
    ratios = [p for p in parts if ": gain of each class over" in p]
    replaced = [p for p in parts if ": change of the state when a word is replaced" in p]
    parts = [p for p in parts if p not in ratios + replaced]
    there = [g for g in run.trained() if len(run.classes) > 1 and run.get(g, "state_change") is not None and np.isfinite(run.get(g, "state_change")[0, 0])]
    assert [p.split(":")[0] for p in replaced] == there, text
    for part in replaced:
        check_replaced_classes(run, part)
    assert [p.split(":")[0] for p in ratios] == (run.trained() if len(run.classes) > 1 else []), text
    for part in ratios:
        check_ratios(run, part)
    blocks = re.split(r"^(?=.+ in layer\d+\.\w+, class all: gain along the property)", text, flags=re.M)[1:]
    assert len(blocks) == len(run.properties) * len(run.trained()), text
    for block in blocks:
        name, group = re.match(r"(.+) in (layer\d+\.\w+), class all: ", block).groups()
        check_property(run, group, run.properties.index(name), block.split("\n\n")[0])
    for part in parts:
        group = part.split(":")[0]
        lines = part.split("\n")
        assert f": rms gain from a {'character' if run.file.unit == 'char' else 'word'} to the state" in lines[0], lines[0]
        unit = "unit" if run.file.normalization == "none" else "standard deviation"
        assert lines[0].endswith(f"(state units per {unit} of the embedding)"), lines[0]
        delays = [int(d) for d in re.match(r"\s+class\s+tokens((?:\s+\d+)+)  ", lines[1]).group(1).split()]
        assert delays == sorted({d for d in (0, 1, 5, 10, 20) if d < run.D} | {run.D - 1}), delays
        sigma = run.get(group, "rms_gain")[:, :, 0]
        low, high = sigma[sigma > 0].min(), sigma.max()
        low = max(low, high / 1000)
        shown = re.search(r"▁ (\S+) to █ (\S+)", lines[1])
        same(shown.group(1), low, 2, lines[1]), same(shown.group(2), high, 2, lines[1])
        baseline = "untrained." + group in run.file.groups
        rows = [("all, untrained", run.get("untrained." + group, "rms_gain")[0, :, 0], 0)] if baseline else []
        rows = [(run.classes[0], sigma[0], 0)] + rows + [(n, sigma[c], c) for c, n in enumerate(run.classes) if c]
        for line, (name, values, c) in zip(lines[2:], rows):
            m = re.match(r"  (.{20})\s+(\d+)((?:\s+\S+)+?)  ([▁▂▃▄▅▆▇█?]+)$", line)
            assert m and m.group(1).strip() == name[:20].strip(), (line, name)
            assert int(m.group(2)) == run.file["class_tokens"][c], line
            for d, x in zip(delays, m.group(3).split(), strict=True):
                same(x, values[d], 3, group, name, d)
            assert m.group(4) == blocks_of(values, low, high), (line, blocks_of(values, low, high))
        assert len([x for x in lines if re.search("[▁▂▃▄▅▆▇█]{1}$", x) and "(log)" not in x]) == min(len(rows), 41), part
        check_law(run, group, next(line for line in lines if line.startswith("  all: ") and "the rms gain" in line))
        m = re.search(r"all, mean gradient: sigma_1 (\S+) at delay 0, (\S+) at delay (\d+); coherence (\S+) and (\S+) \(", part)
        assert m and int(m.group(3)) == run.D - 1, part
        for text_, name, d, digits in ((1, "singular_value", 0, 3), (2, "singular_value", -1, 3), (4, "coherence", 0, 2), (5, "coherence", -1, 2)):
            x = run.get(group, name)[0, d]
            same(m.group(text_), x if x.ndim == 0 else x[0], digits, part)
        exponent = [run.get(group, "lyapunov_exponent" + s)[0] for s in ("", "_low", "_high")]
        line = next(x for x in lines if x.startswith("  largest Lyapunov exponent: "))
        m = re.match(r"  largest Lyapunov exponent: (\S+)(?: \((\S+) to (\S+)\))? ", line)
        same(m.group(1) if m.group(1) != "unknown" else None, exponent[0], 3, line)
        if np.isfinite(exponent[0]):
            same(m.group(2), exponent[1], 3, line), same(m.group(3), exponent[2], 3, line)
            halves = re.search(r"halves in (\S+) (?:word|character)s$", line)
            assert bool(halves) == (exponent[2] < 0) and line.endswith("the state grows") == (exponent[1] > 0), line
            assert line.endswith("may shrink or grow") == (exponent[1] <= 0 <= exponent[2]), line
            if halves:
                same(halves.group(1), np.log(2) / -exponent[0], 3, line)
        check_replacement(run, group, part)
    if "precision_sampling_error" in run.file.ncattrs():
        a = run.file
        m = re.search(r"precision: (\d+) of (\d+) input positions.*standard error of (\S+) %.*largest for (.+) at delay (\d+)\)", text)
        assert m, text
        assert int(m.group(1)) == int(a.precision_origins) and int(m.group(2)) == a["class_tokens"][0]
        same(m.group(3), 100 * float(a.precision_sampling_error), 2, m.group(0))
        assert m.group(4) == a.precision_worst_class and int(m.group(5)) == int(a.precision_worst_delay)


# ---- track ----

def test_track(run, folder):
    if not run.properties:
        return
    copy = os.path.join(folder, "tracked.nc")
    shutil.copy(run.path, copy)
    added = {"extra": "plural-verb"}
    if os.path.basename(run.path) == "sampled.nc":  # directions without a meaning: gains that are mostly bias
        words = [w for w, n in zip(run.get(None, "word"), run.get(None, "word_count")) if n > 2 and w.isalpha()]
        for seed in (0, 1, 8, 17, 30):
            some = random.Random(seed).sample(words, 20)
            added[f"split{seed}"] = f"{' '.join(some[:10])}-{' '.join(some[10:])}"
    options = [x for name, direction in added.items() for x in ("--property", f"{name}={direction}")]
    text = subprocess.run([program, "track", copy, *options], check=True, capture_output=True, text=True).stdout
    new = Run(copy)
    assert new.properties == run.properties + list(added)
    parts = re.split(r"^(?=(?:extra|split\d+) in )", text, flags=re.M)[1:]
    names = [re.match(r"(\w+) in ([\w.]+)", x).groups() for x in parts]
    assert sorted(names) == sorted((name, group) for name in added for group in new.trained()), text
    outside = {check_property(new, group, new.properties.index(name), part) for part, (name, group) in zip(parts, names)}
    assert len(added) == 1 or outside == {False, True}, "a value outside its interval, and none"
    for group in new.file.groups:  # the properties that were there stay as they were
        for name in ("relative_memory", "subspace_cosine", "relative_memory_low", "relative_memory_random"):
            a, b = run.get(group, name), new.get(group, name)
            if a is not None and b is not None:
                assert np.array_equal(a, b[:len(run.properties)], equal_nan=True), (group, name)


# ---- info ----

def test_info(run, folder):
    shown = json.loads(subprocess.run([program, "info", run.path, "--json"], check=True, capture_output=True, text=True).stdout)
    text = json.dumps(shown, ensure_ascii=False)
    for name in run.classes + run.properties + list(run.file.groups):
        assert json.dumps(name, ensure_ascii=False) in text, (name, text[:500])
    for c in run.file["class_tokens"][:]:
        assert re.search(rf"\b{c}\b", text), (c, text[:500])


def interesting(run, name):
    """The runs hold what a wrong choice would show: a test on them can fail."""
    if name == "full":
        p, q = (run.get("layer1.cell", k) for k in ("class_difference_p", "class_difference_p_adjusted"))
        assert ((p < 0.05) != (q < 0.05)).any(), "p and adjusted p never differ in what is significant"
        assert np.isnan(run.get("layer1.cell", "singular_value_low")).any(), "no interval is withheld"
        assert len(run.properties) > 1 and len(run.classes) > 5 and len(run.file.groups) == 4


with tempfile.TemporaryDirectory() as top:
    for name in sys.argv[3:] or RUNS:
        path = os.path.join(top, name + ".nc")
        made = real_run.make(program, name, path)
        run = Run(path)
        before = checks
        interesting(run, name)
        for test in (test_csv, test_page, test_summary, test_track, test_info):
            test(run, made)
        run.file.close()
        print(f"ok {name}: {checks - before} numbers")
