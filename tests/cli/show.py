#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stategrad show against PyTorch's autograd in float64, and its misuse. usage: show.py STATEGRAD SOURCE_ROOT"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, _ = sys.argv[1:3]
WORDS = ["the", "keys", "key", "to", "cabinet", "are", "is", "on", "table", "<b>&\"'"]


def run(*args, code=0, text=None):
    p = subprocess.run([program, *args], capture_output=True, text=True, input=text)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def read_model(path):
    raw = open(path, "rb").read()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    meta = head.pop("__metadata__")
    tensors = {k: np.frombuffer(raw[8 + n:][v["data_offsets"][0]:v["data_offsets"][1]], "<f4").reshape(v["shape"])
               for k, v in head.items()}
    return meta, tensors


def train(folder, cell, layers):
    corpus, model = os.path.join(folder, "c.txt"), os.path.join(folder, f"{cell}{layers}.safetensors")
    rng = random.Random(3)
    with open(corpus, "w") as f:
        for _ in range(120):
            f.write(" ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 9))) + "\n")
    run("train", corpus, "--valid", corpus, "--cell", cell, "--layers", str(layers), "--embedding-size", "5", "--hidden-size",
        "7", "--epochs", "2", "--batch", "4", "--steps", "10", "--init", "0.8", "--quiet", "-o", model)
    return model


def reference(model, cell, layers, words, state, layer, target, against):
    meta, tensors = read_model(model)
    vocabulary = json.loads(meta["vocabulary"])
    unk = vocabulary.index("<unk>")
    ids = [vocabulary.index(w) if w in vocabulary else unk for w in words]
    make = torch.nn.LSTMCell if cell == "lstm" else torch.nn.GRUCell
    cells = []
    for k in range(layers):
        c = make(tensors[f"rnn.weight_ih_l{k}"].shape[1], 7).double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(c, name).data = torch.tensor(tensors[f"rnn.{name}_l{k}"]).double().reshape(getattr(c, name).shape)
        cells.append(c)
    W, b = (torch.tensor(tensors["decoder." + n]).double() for n in ("weight", "bias"))
    x = torch.tensor(tensors["encoder.weight"]).double()[ids].clone().requires_grad_(True)
    h, c = [torch.zeros(1, 7).double() for _ in cells], [torch.zeros(1, 7).double() for _ in cells]
    T = len(ids)
    frobenius, spectral, use, effect, scores = (np.zeros((T, T)) for _ in range(5))
    values, rows = np.zeros((7, T)), np.zeros((7, T, T)) # of single units
    for t in range(T):
        below = x[t:t + 1]
        for k, unit in enumerate(cells):
            if cell == "lstm":
                h[k], c[k] = unit(below, (h[k], c[k]))
            else:
                h[k] = unit(below, h[k])
            below = h[k]
        shown = (c if state == "cell" else h)[layer - 1][0]
        G = torch.stack([torch.autograd.grad(v, x, retain_graph=True)[0] for v in shown]).numpy()
        z = W @ below[0] + b.flatten()
        y = (z[vocabulary.index(target)] - z[vocabulary.index(against)]) if against else torch.log_softmax(z, 0)[vocabulary.index(target)]
        g = torch.autograd.grad(y, x, retain_graph=True)[0].numpy()
        scores[t, 0] = y.item()
        values[:, t] = shown.detach().numpy()
        for s in range(t + 1):
            frobenius[t, s] = np.linalg.norm(G[:, s])
            spectral[t, s] = np.linalg.norm(G[:, s], 2)
            rows[:, t, s] = np.linalg.norm(G[:, s], axis=1)
            use[t, s] = np.linalg.norm(g[s])
            effect[t, s] = g[s] @ x[s].detach().numpy()
    return frobenius, spectral, use, effect, scores[:, 0], values, rows


def check(name, got, want, left=False):
    T = len(want)
    for t in range(T):
        assert len(got[t]) == t + 1, name
        for s in range(t + 1):
            expected = want[t, s] / want[s, s] if left else want[t, s]
            assert abs(got[t][s] - expected) <= 2e-4 * (abs(expected) + 1e-2 * np.abs(want).max()), (name, t, s, got[t][s], expected)


def test_values(folder):
    words = "the keys to the cabinet are nowhere on".split()
    for cell, layers, state, layer, target, against in (("lstm", 2, "cell", 1, "are", "is"), ("lstm", 1, "hidden", 1, "are", None),
                                                        ("gru", 2, "hidden", 2, "keys", "key")):
        model = train(folder, cell, layers)
        score = ["--contrast", f"{target}/{against}"] if against else ["--target", target]
        shown = json.loads(run("show", model, "--text", " ".join(words), "--state", state, "--layer", str(layer), "--json", "--units", "5,0", *score).stdout)
        frobenius, spectral, use, effect, scores, values, rows = reference(model, cell, layers, words, state, layer, target, against)
        (sentence,) = shown["sentences"]
        assert [w["text"] for w in sentence["words"]] == words and shown["state"] == state
        assert [w["unknown"] for w in sentence["words"]] == [w == "nowhere" for w in words]
        assert np.allclose([w["score"] for w in sentence["words"]], scores, rtol=1e-4, atol=1e-5)
        check("gain_frobenius", sentence["gain_frobenius"], frobenius)
        check("gain_spectral", sentence["gain_spectral"], spectral)
        check("left_frobenius", sentence["left_frobenius"], frobenius, True)
        check("left_spectral", sentence["left_spectral"], spectral, True)
        check("score_gradient", sentence["score_gradient"], use)
        check("score_effect", sentence["score_effect"], effect)
        assert [u["unit"] for u in sentence["units"]] == [5, 0]
        for u in sentence["units"]:
            assert np.allclose(u["value"], values[u["unit"]], rtol=1e-4, atol=1e-6), (u["value"], values[u["unit"]])
            check("gain of a unit", u["gain"], rows[u["unit"]])
    print("values agree with autograd")


def states_and_prediction(model, cell, layers, state, layer):
    """A function from ids to (states (T,H), log p (T,V)) in float64."""
    _, tensors = read_model(model)
    net = (torch.nn.LSTM if cell == "lstm" else torch.nn.GRU)(5, 7, layers).double()
    net.load_state_dict({k[4:]: torch.tensor(v).double().reshape(net.state_dict()[k[4:]].shape) for k, v in tensors.items() if k.startswith("rnn.")})
    x, W, b = (torch.tensor(tensors[n]).double() for n in ("encoder.weight", "decoder.weight", "decoder.bias"))

    def run_net(ids):
        with torch.no_grad():
            s, states, top = None, [], []
            for i in ids:
                out, s = net(x[i].reshape(1, 1, -1), s)
                states.append((s if cell == "gru" else s[0] if state == "hidden" else s[1])[layer - 1, 0].numpy())
                top.append(torch.log_softmax(W @ out[0, 0] + b.flatten(), 0).numpy())
        return np.array(states), np.array(top)
    return run_net


def test_replacement(folder):
    """The mean over draws is the expectation over the unigram law without the word itself and <unk>, within its error."""
    words, N = "the keys to cabinet are".split(), 1500
    for cell, layers, state, layer in (("lstm", 2, "cell", 1), ("gru", 2, "hidden", 2)):
        model = os.path.join(folder, f"{cell}{layers}.safetensors")
        meta, _ = read_model(model)
        vocabulary, counts = json.loads(meta["vocabulary"]), np.array(json.loads(meta["counts"]), float)
        counts[vocabulary.index("<unk>")] = 0
        ids = [vocabulary.index(w) for w in words]
        p = run("show", model, "--text", " ".join(words), "--state", state, "--layer", str(layer), "--json", "--replace", str(N), "--seed", "5")
        shown = json.loads(p.stdout)
        assert shown["replacements"] == N and shown["replacement_law"] == "by frequency"
        (sentence,) = shown["sentences"]
        run_net = states_and_prediction(model, cell, layers, state, layer)
        states, log_p = run_net(ids)
        worst = 0
        for s in range(len(ids)):
            law = counts.copy()
            law[ids[s]] = 0
            law /= law.sum()
            change, kl = np.zeros((len(law), len(ids))), np.zeros((len(law), len(ids)))
            for w in np.nonzero(law)[0]:
                other, log_q = run_net(ids[:s] + [w] + ids[s + 1:])
                change[w] = np.linalg.norm(other - states, axis=1)
                kl[w] = (np.exp(log_p) * (log_p - log_q)).sum(1)
            for name, values in (("replacement_change", change), ("replacement_kl", kl)):
                mean = law @ values
                error = np.sqrt(np.maximum(law @ values**2 - mean**2, 0) / N)
                for t in range(s, len(ids)):
                    got = sentence[name][t][s]
                    assert abs(got - mean[t]) <= 4.5 * error[t] + 1e-5 * mean[t], (name, t, s, got, mean[t], error[t])
                    worst = max(worst, abs(got - mean[t]) / (error[t] + 1e-12))
        print(f"{cell}: replacement within {worst:.1f} standard errors of the expectation")
    assert "drawn by frequency" in run("show", model, "--text", "the keys", "--replace", "3").stdout


def test_outputs(folder):
    model, html = os.path.join(folder, "lstm1.safetensors"), os.path.join(folder, "s.html")
    text = run("show", model, "--text", "the keys <b>&\"' are").stdout
    assert "\x1b" not in text and text.count("1.00") >= 4, text
    traced = run("show", model, "--text", "the keys are", "--units", "3,6").stdout
    (shown,) = json.loads(run("show", model, "--text", "the keys are", "--units", "3,6", "--json").stdout)["sentences"]
    lines, most = traced.split("Single units of the cell state (row) after each word (column): value")[1].split("\n"), max(abs(v) for u in shown["units"] for v in u["value"])
    power = int(lines[0].split("1e")[1]) if "1e" in lines[0] else 0
    assert (power != 0) == (most < 0.1)
    for line, u in zip(lines[2:4], shown["units"]):
        assert line.startswith(f"unit {u['unit']} ") and np.allclose([float(x) for x in line.split()[2:]], np.array(u["value"]) / 10.0**power, atol=0.0051), (line, u)
    assert traced.count("Gain from each word (row) to unit ") == 2 and "to unit 6 after each word" in traced
    for file in ("-", os.path.join(folder, "two.txt")):
        open(os.path.join(folder, "two.txt"), "w").write("the keys\n\n  \nthe cabinet is\n")
        p = run("show", model, *([] if file == "-" else [file]), "--json", text="the keys\n\nthe cabinet is" if file == "-" else None)
        assert [len(s["words"]) for s in json.loads(p.stdout)["sentences"]] == [2, 3]
    run("show", model, "--text", "the </script><script>alert(1)</script> keys", "-o", html)
    page = open(html, encoding="utf-8").read()
    assert page.count("<script>") == 2 and "alert(1)</script>" not in page and "@@" not in page
    coloured = subprocess.run(["script", "-qec", f"{program} show {model} --text 'the keys are'", "/dev/null"], capture_output=True,
                              text=True, env={**os.environ, "TERM": "xterm", "NO_COLOR": ""}).stdout
    assert "\x1b[48;5;" in coloured, coloured
    plain = subprocess.run(["script", "-qec", f"{program} show {model} --text 'the keys are'", "/dev/null"], capture_output=True,
                           text=True, env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"}).stdout
    assert "\x1b[48" not in plain and "1.00" in plain


def test_misuse(folder):
    model = os.path.join(folder, "lstm1.safetensors")
    gru = os.path.join(folder, "gru2.safetensors")
    for args, code, told in ((["--text", "  "], 2, "no word"), (["--text", "the", "--target", "zebra"], 2, "zebra"),
                             (["--text", "the", "--contrast", "are"], 2, "are"), (["--text", "the", "--contrast", "are/zebra"], 2, "zebra"),
                             (["--text", "the", "--layer", "9"], 2, "show: layer 9: the model has 1 layer\n"), (["--text", "the", "--state", "mood"], 2, "mood"),
                             (["--text", "the", "--target", "is", "--contrast", "are/is"], 2, "exclude"), (["--text", "the", "--replace", "0"], 2, "--replace"),
                             (["--text", "the " * 501], 2, "500"), (["--text", "the", "--units", "7"], 2, "has units 0 to 6"), (["--text", "the", "--units", "3,3"], 2, "unit 3 twice"),
                             (["--text", "the", "--units", "3,"], 2, "such as 3,37, found ''"), (["--text", "the", "--units", "1,-1"], 2, "found '-1'"), (["--text", "the", "--units", "1 2"], 2, "found '1 2'"),
                             (["--text", "the", "--units", "99999999999999999999"], 2, "--units"), (["--text", "the", "--units", ",".join(map(str, range(65)))], 2, "64 at most"), ([os.path.join(folder, "none.txt")], 1, "none.txt"),
                             (["--text", "the", "-o", model], 2, ""), (["--text", "the", "-o", os.path.join(folder, "no/x.html")], 1, "x.html")):
        p = run("show", model, *args, code=code)
        assert told in p.stderr and p.stderr.count("\n") == 1, (args, p.stderr)
    assert "a gru has no cell state, only a hidden one" in run("show", gru, "--text", "the", "--state", "cell", code=2).stderr
    assert "layer 3: the model has 2 layers\n" in run("show", gru, "--text", "the", "--layer", "3", code=2).stderr
    assert run("show", model, code=1, text="").stderr.count("\n") == 1


with tempfile.TemporaryDirectory() as folder:
    test_values(folder)
    test_replacement(folder)
    test_outputs(folder)
    test_misuse(folder)
    print("ok")
