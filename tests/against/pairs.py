#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stategrad pairs against PyTorch in float64 (scores, attributions, path averages), scipy (intervals), and files of every
format made here; bad files. usage: pairs.py STATEGRAD"""
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import scipy.stats
    import torch
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program = os.path.abspath(sys.argv[1])
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
ENV = {**os.environ, "OMP_NUM_THREADS": "2"}
NOUNS = [("dog", "dogs"), ("cat", "cats"), ("man", "men"), ("key", "keys")]
VERBS = [("runs", "run"), ("sleeps", "sleep"), ("is", "are")]


def run(*args, code=0, text=True):
    p = subprocess.run([program, *map(str, args)], capture_output=True, text=text, cwd=folder, env=ENV)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def write(name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)
    return name


def pairs(model, file, *args):
    return json.loads(run("pairs", model, file, "--json", "-q", *args).stdout)


def table(kind, model, file, *args):
    return list(csv.DictReader(io.StringIO(run("pairs", model, file, f"--{kind}", "-", "-q", *args).stdout)))


def near(a, b, tolerance=1e-5, floor=1e-3):
    a, b = float(a), float(b)
    assert abs(a - b) <= tolerance * (abs(a) + abs(b) + floor), (a, b)


# ---- the suite: a noun phrase, perhaps an attractor, a verb that agrees or not ----

def phrase(rng, condition):
    number = rng.randrange(2)
    words, roles = ["the", rng.choice(NOUNS)[number]], {"subject": 2}
    if condition != "none":
        words += [rng.choice(["near", "with"]), "the", rng.choice(NOUNS)[1 - number if condition == "incongruent" else number]]
        roles["attractor"] = 5
    verb = rng.choice(VERBS)
    roles["verb"] = len(words) + 1
    return words, verb[number], verb[1 - number], roles


def suite(n=60, seed=3):
    rng, out = random.Random(seed), []
    for _ in range(n):
        condition = rng.choice(["none", "congruent", "incongruent"])
        words, right, wrong, roles = phrase(rng, condition)
        out.append((words + [right, "here"], words + [wrong] + rng.choice([["here"], ["here", "now"], ["now", "here"], []]), condition, roles))
    return out


def tsv(entries):
    rows = ["good\tbad\tcondition\trole:subject\trole:attractor\trole:verb"]
    for good, bad, condition, roles in entries:
        rows.append("\t".join([" ".join(good), " ".join(bad), condition, *(str(roles.get(r, "")) for r in ("subject", "attractor", "verb"))]))
    return "\n".join(rows) + "\n"


# ---- models, and the same in float64 ----

def train_models():
    rng = random.Random(1)
    lines = []
    for _ in range(800):
        words, right, _, _ = phrase(rng, rng.choice(["none", "none", "congruent", "incongruent"]))
        lines.append(" ".join(words + [right, rng.choice(["here", "now"])]))
    write("train.txt", "\n".join(lines) + "\n")
    for name, options in (("lstm", []), ("gru", ["--layers", "2"]), ("rnn", []), ("mingru", ["--layers", "2"])):
        run("train", "train.txt", "--valid", "train.txt", "-o", name, "--cell", name, "--embedding-size", "7", "--hidden-size", "9", "--epochs", "3",
            "--steps", "10", "--batch", "4", "--optimizer", "adam", "--lr", "0.01", "-q", *options)
    run("train", "train.txt", "--valid", "train.txt", "-o", "chars", "--cell", "gru", "--unit", "char", "--embedding-size", "5", "--hidden-size", "8",
        "--epochs", "1", "--steps", "20", "--batch", "8", "-q")


def changed(name, new, change):
    """A model file with another header and data."""
    with open(os.path.join(folder, name), "rb") as f:
        raw = f.read()
    n = int.from_bytes(raw[:8], "little")
    header, data = json.loads(raw[8:8 + n]), bytearray(raw[8 + n:])
    del header["__metadata__"]["tensors_sha256"]
    change(header, data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    write(new, len(text).to_bytes(8, "little") + text + bytes(data))


class Net:
    """The model file in float64."""

    def __init__(self, name):
        with open(os.path.join(folder, name), "rb") as f:
            raw = f.read()
        n = int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8:8 + n]), raw[8 + n:]
        meta = header.pop("__metadata__")
        self.t = {k: torch.tensor(np.frombuffer(data[slice(*v["data_offsets"])], "<f4").reshape(v["shape"]).astype(float)) for k, v in header.items()}
        self.cell, self.words, self.output = meta["cell"], json.loads(meta["vocabulary"]), meta.get("output_activation", "linear")
        self.id = {w: i for i, w in enumerate(self.words)}
        self.eos = self.id.get("<eos>", self.id.get("\n"))
        self.layers = sum(k.startswith("rnn.weight_ih") for k in self.t)

    def ids(self, words):
        return [self.id.get(w, self.id.get("<unk>")) for w in words]

    def hidden(self, x):
        for k in range(self.layers):
            W, b = self.t[f"rnn.weight_ih_l{k}"], self.t[f"rnn.bias_ih_l{k}"]
            U, c = self.t.get(f"rnn.weight_hh_l{k}"), self.t.get(f"rnn.bias_hh_l{k}")
            H = W.shape[0] // {"lstm": 4, "gru": 3, "rnn": 1, "mingru": 2}[self.cell]
            h, s, out = torch.zeros(H), torch.zeros(H), []
            for row in x:
                a = W @ row + b
                if self.cell == "lstm":
                    i, f, g, o = (a + U @ h + c).split(H)
                    s = f.sigmoid() * s + i.sigmoid() * g.tanh()
                    h = o.sigmoid() * s.tanh()
                elif self.cell == "gru":
                    (r, z, n), (ur, uz, un) = a.split(H), (U @ h + c).split(H)
                    z = (z + uz).sigmoid()
                    h = (1 - z) * (n + (r + ur).sigmoid() * un).tanh() + z * h
                elif self.cell == "rnn":
                    h = (a + U @ h + c).tanh()
                else:
                    z, n = a.split(H)
                    h = (1 - z.sigmoid()) * h + z.sigmoid() * n
                out.append(h)
            x = torch.stack(out)
        return x

    def log_p(self, ids, x, begin, only=None):
        """Of tokens begin.. (or of token `begin`, `only` in its place) from the inputs x of the tokens before."""
        h = self.hidden(x)
        h = {"linear": lambda a: a, "relu": torch.relu, "tanh": torch.tanh}[self.output](h)
        lp = torch.log_softmax(h @ self.t["decoder.weight"].T + self.t["decoder.bias"], 1)
        if only is not None:
            return lp[begin - 1, only]
        return sum(lp[i - 1, ids[i]] for i in range(max(begin, 1), len(ids)))


def reference(net, good, bad, by_word=False, eos=True, nodes=0):
    """log p of both, D, attribution of each token of both, and D of zero inputs; good, bad: ids."""
    edge = [net.eos] if eos else []
    good, bad = edge + good + edge, edge + bad + edge
    first = next(i for i in range(len(good) + 1) if i >= min(len(good), len(bad)) or good[i] != bad[i])

    def scores(u):
        x = [torch.stack([net.t["encoder.weight"][i] for i in ids[:-1]]) for ids in (good, bad)]
        x = [(u * y).clone().requires_grad_() for y in x]
        if by_word:
            return x, net.log_p(good, x[0][:first], first, good[first]), net.log_p(good, x[0][:first], first, bad[first]), None
        whole = [net.log_p(ids, y, 1) for ids, y in zip((good, bad), x)]
        return (x, *whole, None)

    def gradient(u):
        x, a, b, _ = scores(u)
        grads = torch.autograd.grad(a - b, x, allow_unused=True)
        return [torch.zeros_like(y) if g is None else g for g, y in zip(grads, x)]

    x, a, b, _ = scores(1.0)
    if nodes:
        at, weight = np.polynomial.legendre.leggauss(4)
        pieces = nodes // 4
        grads = [torch.zeros_like(y) for y in x]
        for p in range(pieces):
            for t, w in zip(at, weight):
                for g, d in zip(grads, gradient((p + (t + 1) / 2) / pieces)):
                    g += w / 2 / pieces * d
    else:
        grads = gradient(1.0)
    parts = [(g * y).sum(1).tolist() for g, y in zip(grads, x)]
    if by_word: # what is read
        parts = [parts[0][:first], []]
    _, a0, b0, _ = scores(0.0)
    return a.item(), b.item(), (a - b).item(), parts, (a0 - b0).item()


def by_word_slots(good, bad, parts, eos):
    """{position or ("bad", word number): attribution}: a bad word adds to the good word in its place, where there is one."""
    begin = next(i for i in range(len(good) + 1) if i >= min(len(good), len(bad)) or good[i] != bad[i])
    end = 0
    while begin + end < min(len(good), len(bad)) and good[-1 - end] == bad[-1 - end]:
        end += 1
    slots = {}
    for which, (words, part) in enumerate(zip((good, bad), parts)):
        for k, value in enumerate(part):
            i = k if eos else k + 1 # 1 is the first word
            if which and i > begin and len(good) != len(bad):
                back = len(bad) - i # words after it
                key = len(good) - back if back < end else ("bad", i)
            else:
                key = i
            slots[key] = slots.get(key, 0.0) + value
    return slots


def test_scores():
    entries = suite()
    write("suite.tsv", tsv(entries))
    for activation in ("relu", "tanh"): # between the last layer and the decoder
        changed("rnn", f"rnn-{activation}", lambda header, _: header["__metadata__"].update(output_activation=activation))
    checked = 0
    for name, args, how in (("lstm", [], {}), ("gru", [], {}), ("mingru", [], {}), ("rnn-tanh", [], {}), ("rnn-relu", [], {}),
                            ("gru", ["--no-eos"], {"eos": False}), ("lstm", ["--score", "word"], {"by_word": True}),
                            ("lstm", ["--path", "8"], {"nodes": 8}), ("gru", ["--score", "word", "--path", "3"], {"by_word": True, "nodes": 4})):
        net, got = Net(name), table("items", name, "suite.tsv", *args)
        words = table("words", name, "suite.tsv", *args)
        of_line = {}
        for w in words:
            of_line.setdefault(w["line"], []).append(w)
        gaps, changes = [], []
        for k, ((good, bad, condition, roles), row) in enumerate(zip(entries, got)):
            assert row["line"] == str(k + 2) and row["condition"] == condition and row["good"] == " ".join(good) and row["bad"] == " ".join(bad)
            if k % 4 and not how.get("nodes"):
                continue
            a, b, d, parts, d0 = reference(net, net.ids(good), net.ids(bad), **how)
            near(row["log_p_good"], a), near(row["log_p_bad"], b), near(row["difference"], d, 1e-5, 1)
            slots, extra, largest = by_word_slots(good, bad, parts, how.get("eos", True)), 0, max(map(abs, parts[0] + parts[1]))
            differ = next(i for i in range(99) if i >= min(len(good), len(bad)) or good[i] != bad[i])
            for w in of_line[row["line"]]:
                key = int(w["position"]) if w["position"] else None
                if key is None: # bad words without a place, in their order
                    key = ("bad", differ + 1 + extra)
                    extra += 1
                    assert w["bad"] == bad[key[1] - 1] and not w["good"]
                elif key:
                    back, same = len(good) - key, len(good) == len(bad)
                    suffix = bad[len(bad) - back - 1:][:1] if bad[len(bad) - back - 1:] == good[key - 1:] else [""] # where a common end begins
                    assert w["bad"] == (bad[key - 1] if same or key <= differ else suffix[0]), (w, good, bad)
                    assert w["good"] == good[key - 1] and w["role"] == next((r for r, at in roles.items() if at == key), "")
                if key in slots:
                    near(w["attribution"], slots[key], 2e-5, 2 * largest)
                    checked += 1
                else:
                    assert w["attribution"] == "", w # not read
            gaps.append(abs(sum(map(sum, parts)) - (d - d0))), changes.append(abs(d - d0))
        if how.get("nodes"):
            summary = pairs(name, "suite.tsv", *args)
            near(summary["gap"], sum(gaps) / sum(changes), 1e-2, 1e-3), near(summary["largest_gap"], max(gaps), 1e-2, 1e-3)
    assert checked > 1000, checked
    for name, nodes in (("lstm", 256), ("gru", 1024)): # what is left is rounding
        assert pairs(name, "suite.tsv", "--path", nodes)["gap"] < 1e-6
    assert "; more points reduce it" in run("pairs", "lstm", "suite.tsv", "--path", "4").stdout


# ---- conditions and roles ----

def interval(x):
    if len(x) < 2:
        return None
    return scipy.stats.t.interval(0.95, len(x) - 1, np.mean(x), scipy.stats.sem(x))


def test_conditions():
    got, items, words = pairs("lstm", "suite.tsv"), table("items", "lstm", "suite.tsv"), table("words", "lstm", "suite.tsv")
    rows = table("csv", "lstm", "suite.tsv")
    names = ["all", *dict.fromkeys(i["condition"] for i in items)]
    assert [c["condition"] for c in got["conditions"]] == names and len(names) == 4
    for c in got["conditions"]:
        mine = [i for i in items if c["condition"] in ("all", i["condition"])]
        d = [float(i["difference"]) for i in mine]
        right = sum(x > 0 for x in d)
        assert (c["pairs"], c["right"], c["ties"], c["left_out"]) == (len(mine), right, 0, 0)
        wilson = scipy.stats.binomtest(right, len(d)).proportion_ci(0.95, "wilson")
        near(c["accuracy"]["value"], right / len(d), 1e-9), near(c["accuracy"]["low"], wilson.low, 1e-9), near(c["accuracy"]["high"], wilson.high, 1e-9)
        near(c["difference"]["value"], np.mean(d), 1e-6), near(c["difference"]["low"], interval(d)[0], 1e-6), near(c["difference"]["high"], interval(d)[1], 1e-6)
        lines = {i["line"] for i in mine}
        of = {r["role"]: {w["line"]: float(w["attribution"]) for w in words if w["role"] == r["role"] and w["line"] in lines} for r in c["roles"]}
        assert list(of) == ["subject", "attractor", "verb"]
        for r in c["roles"]:
            x = list(of[r["role"]].values())
            both = [of["subject"][k] - v for k, v in of[r["role"]].items()] if r["role"] != "subject" else []
            assert (r["pairs"], r["both"]) == (len(x), len(both))
            for key, values in (("attribution", x), ("first_minus", both)):
                if not values:
                    assert r[key] == {"value": None, "low": None, "high": None}
                else:
                    near(r[key]["value"], np.mean(values), 1e-6), near(r[key]["low"], interval(values)[0], 1e-6), near(r[key]["high"], interval(values)[1], 1e-6)
        flat = {(r["role"], r["quantity"]): r for r in rows if r["condition"] == c["condition"]}
        near(flat["", "accuracy"]["low"], c["accuracy"]["low"], 1e-8), near(flat["", "difference"]["value"], c["difference"]["value"], 1e-8)
        if c["roles"][1]["both"]:
            near(flat["attractor", "first_minus"]["high"], c["roles"][1]["first_minus"]["high"], 1e-8)
    shown = run("pairs", "lstm", "suite.tsv").stdout
    c = got["conditions"][0]
    line = next(x for x in shown.splitlines() if x.startswith("  all ")).split()
    assert line[1] == "60" and line[2] == f"{100 * c['accuracy']['value']:.1f}" and line[4] == f"{100 * c['accuracy']['low']:.1f}", line
    assert f"{c['difference']['low']:.3f} to {c['difference']['high']:.3f}" in shown and "subject minus this role" in shown
    assert run("pairs", "lstm", "suite.tsv", "-t", "1").stdout == run("pairs", "lstm", "suite.tsv", "-t", "2").stdout == shown
    few = pairs("lstm", write("one.tsv", "the dog runs here\tthe dog run here\n"))["conditions"]
    assert len(few) == 1 and few[0]["pairs"] == 1 and few[0]["difference"]["low"] is None and few[0]["roles"] == []
    near(few[0]["accuracy"]["low" if few[0]["right"] else "high"], scipy.stats.binomtest(few[0]["right"], 1).proportion_ci(0.95, "wilson")[not few[0]["right"]], 1e-9)


# ---- the page ----

def page(model, file, *args):
    """The data in the page, and its size."""
    run("pairs", model, file, "-q", "-o", "page.html", *args)
    with open(os.path.join(folder, "page.html"), encoding="utf-8") as f:
        text = f.read()
    assert text.count("</script>") == 7 and text.count('id="data"') == 1, text.count("</script>")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1]), len(text)


def same(a, b, at=""):
    """Of the page, to 7 digits."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), (at, a.keys(), b.keys())
        for key in a:
            same(a[key], b[key], f"{at}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), at
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f"{at}[{i}]")
    else:
        assert a == b or (isinstance(a, float) and abs(a - b) <= 1e-6 * abs(b)), (at, a, b)


def number(text):
    return None if text == "" else float(text)


def test_page():
    entries = suite()
    for args in (["--path", "8"], ["--score", "word"], ["--no-eos"]):
        data, _ = page("lstm", "suite.tsv", *args)
        got = pairs("lstm", "suite.tsv", *args)
        same(data["suite"], got)
        assert (data["model"], data["file"], data["cell"], data["hidden"], data["path"]) == ("lstm", "suite.tsv", "lstm", [9], 8 if "--path" in args else 0)
        items, of_line, bounds = table("items", "lstm", "suite.tsv", *args), {}, [c["condition"] for c in got["conditions"]]
        for w in table("words", "lstm", "suite.tsv", *args):
            of_line.setdefault(w["line"], []).append(w)
        assert len(data["pairs"]) == len(items) == 60
        for x, row, (good, bad, condition, roles) in zip(data["pairs"], items, entries):
            same([x["line"], x["log_p_good"], x["log_p_bad"], x["difference"], x["unknown_words"], x["left_out"], bounds[x["condition"]]],
                 [int(row["line"]), *(number(row[k]) for k in ("log_p_good", "log_p_bad", "difference")), int(row["unknown_words"]), row["left_out"] == "1", condition])
            for words, ids in ((good, x["good"]), (bad, x["bad"])): # the slots are in the order in which the words are read
                assert [data["words"][i] for i in ids if i >= 0] == words
            want = {}
            for w in of_line[row["line"]]:
                slot = int(w["position"]) if w["position"] else max(len(good), *want) + 1
                want[slot] = (w["good"].replace("<eos>", ""), w["bad"].replace("<eos>", ""), number(w["attribution"]))
            assert sorted(x["slots"]) == sorted(want)
            for slot, g, b, a in zip(x["slots"], x["good"], x["bad"], x["attribution"]):
                same([("" if g < 0 else data["words"][g]), ("" if b < 0 else data["words"][b]), a], list(want[slot]))
            assert x["roles"] == [n for r, at in roles.items() for n in (at, ["subject", "attractor", "verb"].index(r))]


def test_large_page():
    """What a page leaves out is counted; of each condition it has pairs at evenly spaced ranks of D."""
    rng = random.Random(5)
    lines = [f"{' '.join(rng.choices(Net('lstm').words[2:], k=5))}\tthe dog runs\t{c}" for c in ["a"] * 2900 + ["b"] * 90 + ["c"] * 10 + ["d"] * 2]
    rng.shuffle(lines)
    lines[17] = lines[17].replace("the dog runs", "the dog zip").split("\t", 1)[0].rsplit(" ", 1)[0] + " zop\tthe dog zip\ta"
    write("large.tsv", "good\tbad\tcondition\n" + "\n".join(lines) + "\n")
    data, size = page("lstm", "large.tsv")
    items, of = table("items", "lstm", "large.tsv"), {}
    for i in items:
        of.setdefault(i["condition"], []).append((number(i["difference"]) if i["difference"] else float("inf"), int(i["line"])))
    wanted = []
    for mine in of.values():
        n, m = len(mine), min(len(mine), 898)
        wanted += [sorted(mine)[k * (n - 1) // (m - 1)][1] for k in range(m)]
    assert [x["line"] for x in data["pairs"]] == sorted(wanted) and len(wanted) == 1000, len(data["pairs"])
    assert data["suite"]["pairs"] == 3002 and size < 2e6 and "attribution" not in data["pairs"][0]
    own = [f"the dog runs\tthe dog {'wört' * 500} {'x ' * 90}\tcondition {i} {'é' * 80}" for i in range(1200)]
    write("large.tsv", "\n".join(own))
    data, size = page("lstm", "large.tsv")
    assert len(data["suite"]["conditions"]) == 500 and data["conditions_left"] == 701 and size < 3e6
    assert data["words"][3] == ("wört" * 500).encode()[:120].decode() + "…" and data["suite"]["conditions"][1]["condition"] == f"condition 0 {'é' * 54}…"
    assert sum(len(x["good"]) + len(x["bad"]) for x in data["pairs"]) <= 2 * 60000 and 500 > len(data["pairs"]) == len({x["condition"] for x in data["pairs"]}) > 300
    roles = [json.dumps({"sentence_good": "the dog runs", "sentence_bad": "the dog run", "UID": "</script>", "roles": {f"role {i}": 2, "__proto__": 3}}) for i in range(30)]
    data, _ = page("lstm", write("large.jsonl", "\n".join(roles)))
    assert len(data["suite"]["conditions"][1]["roles"]) == 20 and data["roles_left"] == 11 and data["suite"]["conditions"][1]["condition"] == "</script>"
    assert max(n for x in data["pairs"] for n in x["roles"][1::2]) == 19


# ---- the other formats ----

def test_blimp():
    """The same pairs as JSON lines, and sentences as BLiMP writes them."""
    entries = suite()
    lines = [json.dumps({"sentence_good": " ".join(g), "sentence_bad": " ".join(b), "UID": c, "field": "morphology", "pairID": str(i), "number": i % 2,
                         "roles": {"subject": r["subject"], "attractor": [r["attractor"]] if "attractor" in r else [], "verb": [r["verb"]]}})
             for i, (g, b, c, r) in enumerate(entries)]
    write("suite.jsonl", "\n".join(lines) + "\n\n")
    want = pairs("lstm", "suite.tsv")
    assert pairs("lstm", "suite.jsonl") == want == pairs("lstm", write("suite.x", "\ufeff" + "\r\n".join(lines)))
    assert [c["condition"] for c in pairs("lstm", "suite.jsonl", "--condition", "field")["conditions"]] == ["all", "morphology"]
    assert [c["condition"] for c in pairs("lstm", "suite.jsonl", "--condition", "number")["conditions"]] == ["all", "0", "1"]
    write("real.jsonl", json.dumps({"sentence_good": "The dogs' keys, \"they\" don't run (here)!", "sentence_bad": "The man's key isn't here.", "UID": "u"}))
    row, = table("items", "lstm", "real.jsonl")
    assert row["good"] == "The dogs ' keys , \" they \" do n't run ( here ) !" and row["bad"] == "The man 's key is n't here .", row
    row, = table("items", "lstm", "real.jsonl", "--lowercase", "--split", "spaces")
    assert row["good"].startswith("the dogs' keys,") and row["unknown_words"] == "8", row
    row, = table("items", "lstm", "real.jsonl", "--lowercase")
    assert row["good"].startswith("the dogs ' keys") and row["unknown_words"] == "13", row


def test_linzen():
    rng = random.Random(7)
    text, gold, forms, plain = [], [], ["sentence\tposition\tright\twrong\tattractors\trole:subject"], []
    for _ in range(40):
        words, right, wrong, roles = phrase(rng, rng.choice(["none", "incongruent"]))
        n, at = ("1" if "attractor" in roles else "0"), roles["verb"] - 1
        text.append(" ".join(words + [right, "now", "<eos>"]))
        gold.append(f"{at}\t{right}\t{wrong}\t{n}")
        forms.append(f"{' '.join(words + [right, 'now'])}\t{at + 1}\t{right}\t{wrong}\t{n}\t2")
        plain.append(f"{' '.join(words + [right, 'now'])}\t{' '.join(words + [wrong, 'now'])}\t{n} attractor{'s' if n == '0' else ''}")
    write("l.text", "\n".join(text) + "\n"), write("l.gold", "\n".join(gold) + "\n"), write("forms.tsv", "\n".join(forms)), write("plain.tsv", "\n".join(plain))
    net, got = Net("lstm"), table("items", "lstm", "l.gold")
    for row, line, g in zip(got, text, gold):
        at, right, wrong, _ = g.split("\t")
        ids = net.ids(line.split()[:-1])
        x = net.t["encoder.weight"][[net.eos] + ids[:int(at)]]
        lp = [net.log_p(None, x, len(x), net.id[w]).item() for w in (right, wrong)]
        near(row["log_p_good"], lp[0]), near(row["log_p_bad"], lp[1]), near(row["difference"], lp[0] - lp[1], 1e-5, 1)
    whole = pairs("lstm", "l.text")
    assert sorted(c["condition"] for c in whole["conditions"]) == ["0 attractors", "1 attractor", "all"] and whole["score"] == "word"
    assert whole == pairs("lstm", "l.gold") == pairs("lstm", "l.text", "--format", "linzen")
    assert whole == {**pairs("lstm", "plain.tsv", "--score", "word")}
    other = pairs("lstm", "forms.tsv")
    assert [c["difference"] for c in other["conditions"]] == [c["difference"] for c in whole["conditions"]]
    assert other["conditions"][0]["roles"][0]["pairs"] == 40
    assert pairs("lstm", "l.text", "--score", "sentence")["conditions"][0]["difference"] == pairs("lstm", "plain.tsv")["conditions"][0]["difference"]


# ---- unknown words, ties, characters ----

def test_unknown():
    write("u.tsv", "the dog zips\tthe dog zop\ta\nthe dog runs\tthe dog zop\ta\nthe zap runs\tthe zap run\ta\nthe dog zip zap\tthe dog zop\tb\n")
    got = pairs("lstm", "u.tsv")
    a, b = got["conditions"][1:]
    assert (got["words"], got["unknown_words"]) == (25, 8), got
    assert (a["pairs"], a["left_out"], a["one_unknown"]) == (2, 1, 1) and (b["pairs"], b["left_out"]) == (0, 1)
    assert b["accuracy"] == b["difference"] == {"value": None, "low": None, "high": None}
    items = table("items", "lstm", "u.tsv")
    assert [i["left_out"] for i in items] == ["1", "0", "0", "1"] and items[0]["difference"] == ""
    net = Net("lstm")
    near(items[1]["difference"], reference(net, net.ids("the dog runs".split()), net.ids("the dog zop".split()))[2], 1e-5, 1)
    shown = run("pairs", "lstm", "u.tsv").stdout
    assert "8 of 25 words unknown (32.00 %); left out: 2 pairs" in shown and "1 pair is scored" in shown, shown


def test_ties():
    """Two words with the same parameters: D is 0 exactly, and half right."""
    net = Net("lstm")
    def equal(header, data):
        for name in ("encoder.weight", "decoder.weight", "decoder.bias"):
            begin, end = header[name]["data_offsets"]
            size = (end - begin) // len(net.words)
            at = [begin + size * net.id[w] for w in ("runs", "run")]
            data[at[1]:at[1] + size] = data[at[0]:at[0] + size]

    changed("lstm", "same", equal)
    write("ties.tsv", "\n".join(["the dog runs now\tthe dog run now"] * 3 + ["the dog sleeps now\tthe dog sleep now"] * 2))
    c = pairs("same", "ties.tsv")["conditions"][0]
    assert c["ties"] == 3 and c["accuracy"]["value"] == (1.5 + c["right"]) / 5, c
    k, n, z = 1.5 + c["right"], 5, scipy.stats.norm.ppf(0.975)
    ends = np.roots([n + z * z, -(2 * k + z * z), k * k / n]) # of |k/n - p| = z sqrt(p (1 - p) / n)
    near(c["accuracy"]["low"], min(ends), 1e-9), near(c["accuracy"]["high"], max(ends), 1e-9)


def test_characters():
    net = Net("chars")
    write("c.tsv", "good\tbad\trole:subject\nthe dog runs\tthe dog run\t2\nthe key is here\tthe keys is here\t2\n")
    items, words = table("items", "chars", "c.tsv"), table("words", "chars", "c.tsv")
    for k, row in enumerate(items):
        good, bad = list(row["good"]), list(row["bad"])
        a, b, d, parts, _ = reference(net, net.ids(good), net.ids(bad))
        near(row["log_p_good"], a), near(row["difference"], d, 1e-5, 1)
        # a word's characters and the space before it, in both sentences
        at = [1 + len(" ".join(row["good"].split()[:1])), 1 + len(" ".join(row["good"].split()[:2]))]
        extra = k # "keys" for "key"
        want = sum(parts[0][at[0]:at[1]]) + sum(parts[1][at[0]:at[1] + extra])
        mine = next(w for w in words if w["line"] == row["line"] and w["role"] == "subject")
        near(mine["attribution"], want, 1e-4, 1)


# ---- files that are wrong ----

def test_wrong_files():
    good = "the dog runs\tthe dog run"
    j = '{"sentence_good": "the dog runs", "sentence_bad": "the dog run"'
    cases = [
        ("x.tsv", b"", [], r"x\.tsv: no pair"), ("x.tsv", b"\n \n", [], "no pair"), ("x.tsv", b"good\tbad\n", [], "no pair"),
        ("x.tsv", "the dog", [], r"x\.tsv:1: found 1 column, expected good and bad"), ("x.tsv", good + "\n" + good + "\tc", [], r":2: found 3 columns, expected 2"),
        ("x.tsv", "a\tb\tc\td", [], ":1: found 4 columns"), ("x.tsv", "\t".join("a" * 80), [], "80 columns"),
        ("x.tsv", good + "\nthe dog\tthe dog", [], ":2: both sentences are the same"), ("x.tsv", good + "\n \tthe dog", [], ":2: the good sentence has no word"),
        ("x.tsv", good.encode() + b"\n\xff\tb\n", [], ":2: invalid UTF-8"),
        ("x.tsv", good.encode() + b"\nthe\0dog\tb\n", [], ":2: a NUL byte"), ("x.tsv", "a " * 1001 + "\tb", [], ":1: the good sentence has more than 1000 words"),
        ("x.tsv", "w" * 3000000 + "\tdog", [], None), ("x.tsv", "good\tbad\trole:s\na b\ta c\t3", [], "role 's': position 3, expected 1 to 2"),
        ("x.tsv", "good\tbad\trole:s\na b\ta c\t0", [], "position 0"), ("x.tsv", "good\tbad\trole:s\na b\ta c\t1;2", [], "'1;2', expected positions"),
        ("x.tsv", "good\tbad\trole:s\na b\ta c\t1,", [], "'1,', expected"), ("x.tsv", "good\tbad\trole:s\na b\ta c\t99999999999999999999", [], "expected positions"),
        ("x.tsv", "good\tbad\trole:\na b\ta c\t1", [], "role: without a name"), ("x.tsv", "good\tbad\trole:s\trole:s\na b\ta c\t1\t1", [], "'role:s' twice"),
        ("x.tsv", "good\tbad\tc\x1b[31m\na\tb\tc", ["--condition", "nope"], "no column 'nope'"), ("x.tsv", good, ["--condition", "c"], "no header"),
        ("x.tsv", good, ["--format", "linzen"], "expected a header with the columns sentence"), ("x.tsv", good, ["--format", "blimp"], ":1: not JSON at character"),
        ("x.tsv", "sentence\tposition\tright\twrong\na b\t2\tb\tc", ["--format", "tsv"], "--format linzen"),
        ("x.tsv", "sentence\tposition\tright\twrong\na b\t0\tb\tc", [], "position 0, expected 1 to 2"), ("x.tsv", "sentence\tposition\tright\twrong\na b\tx\tb\tc", [], "'x', expected a whole"),
        ("x.tsv", "sentence\tposition\tright\twrong\na b\t2\tb\t", [], "no wrong form"), ("x.tsv", "sentence\tposition\tright\twrong\na b\t1\tb\tc", [], "word 1 is 'a', expected the right form 'b'"),
        ("x.jsonl", j, [], r":1: not JSON at character \d+"), ("x.jsonl", j + "}\n[1]", [], ":2: expected a JSON object"), ("x.jsonl", '{"sentence_good": "a"}', [], 'no "sentence_bad"'),
        ("x.jsonl", '{"sentence_good": "a", "sentence_bad": 3}', [], 'no string in "sentence_bad"'), ("x.jsonl", j + ', "UID": 1.5}', [], '"UID": expected a string'),
        ("x.jsonl", j + ', "roles": 3}', [], '"roles": expected an object'), ("x.jsonl", j + ', "roles": {"s": "2"}}', [], "role 's': expected a position"),
        ("x.jsonl", j + ', "roles": {"s": [1.5]}}', [], "entry 1 is no whole number"), ("x.jsonl", j + ', "roles": {"s": -1}}', [], "position -1"),
        ("x.jsonl", j + ', "sentence_good": "b"}', [], "not JSON"), ("x.jsonl", "[" * 100000, [], "not JSON"), ("x.jsonl", '{"sentence_good": "a\\u0000", "sentence_bad": "b"}', [], "not JSON"),
        ("x.jsonl", j + "}", ["--condition", "field"], 'no key "field"'),
    ]
    for name, data, args, message in cases:
        write(name, data)
        p = run("pairs", "lstm", name, "-q", *args, code=0 if message is None else 1)
        if message:
            assert re.search(message, p.stderr) and p.stderr.count("\n") == 1 and not p.stdout, (data[:80], p.stderr)
            assert not re.search(r"[\x00-\x08\x1b]", p.stderr)
    for gold, message in (("1\tb\tc\t1\n", r"x\.gold: ends after line 1"), ("0\tb\tc\n" * 2, r"x\.gold:1: expected position"), ("7\ta\tc\t1\n" * 2, "position 7, expected 0 to 1"),
                          ("1\ta\tc\t1\n" * 2, "word 1 is 'b', expected the right form 'a'"), ("-1\ta\tc\t1\n" * 2, "expected position"), ("", "ends after line 0")):
        write("x.text", "a b\na b\n"), write("x.gold", gold)
        assert re.search(message, run("pairs", "lstm", "x.text", code=1).stderr), message
    os.remove(os.path.join(folder, "x.gold"))
    assert "x.gold" in run("pairs", "lstm", "x.text", code=1).stderr
    write("e.tsv", "good\tbad\tcondition\trole:\x1b[31m\nthe dog runs\tthe dog run\t\x1b]0;x\x07=1+1\t2\n")
    shown = run("pairs", "lstm", "e.tsv").stdout
    assert "\x1b" not in shown and "\x07" not in shown and "?]0;x?=1+1" in shown
    assert pairs("lstm", "e.tsv")["conditions"][1]["condition"] == "\x1b]0;x\x07=1+1"
    assert "'=x" in run("pairs", "lstm", write("e.tsv", good + "\t=x"), "--csv", "-", "--csv-style", "spreadsheet").stdout
    by_word = run("pairs", "lstm", write("x.tsv", "dog\tcat"), "--score", "word", "--no-eos", code=1).stderr
    assert "x.tsv:1: a sentence of one token" in by_word, by_word
    assert "x.tsv:1: the sentences differ in the first token" in run("pairs", "lstm", write("x.tsv", "dog runs\tcat runs"), "--score", "word", "--no-eos", code=1).stderr
    assert "x.tsv:1: the sentences differ in length alone" in run("pairs", "lstm", write("x.tsv", "the dog\tthe dog runs"), "--score", "word", "--no-eos", code=1).stderr


def test_misuse():
    for args, message in ((["--json", "--csv", "-"], "one of them only"), (["--items", "suite.tsv"], "also 'suite.tsv'"), (["--words", "lstm"], "also 'lstm'"),
                          (["--csv", "o", "--items", "o"], "also 'o'"), (["-o", "suite.tsv"], "also 'suite.tsv'"), (["-o", "-", "--csv", "-"], "one of them only"), (["--path", "0"], "path"), (["--path", "5000"], "path"), (["--score", "x"], "score")):
        assert re.search(message, run("pairs", "lstm", "suite.tsv", *args, code=2).stderr), args
    assert "also" in run("pairs", "lstm", "l.text", "--csv", "l.gold", code=2).stderr
    assert "no/such" in run("pairs", "lstm", "suite.tsv", "--csv", "no/such", code=1).stderr
    assert "FILE" in run("pairs", "lstm", code=2).stderr


with tempfile.TemporaryDirectory() as folder:
    train_models()
    tests = [test_scores, test_conditions, test_page, test_large_page, test_blimp, test_linzen, test_unknown, test_ties, test_characters, test_wrong_files, test_misuse]
    for test in tests:
        test()
print(f"{len(tests)} tests passed")
