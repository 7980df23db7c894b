#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The real files of ../shared/models: what they must evaluate to, and that their tensors came over right.

textgenrnn's attention stays outside, so its recurrent layers are judged by finishing the network here: with them, and
only with them, its output predicts English."""
import json
import os
import re
import string
import struct
import subprocess
import sys
import tempfile

import numpy as np

program, shared = sys.argv[1], os.environ.get("STATEGRAD_SHARED", "../shared")
models = os.path.join(shared, "models")
if not os.path.isdir(models):
    print(f"skipped: {models} is not there")
    sys.exit(77)
folder = tempfile.mkdtemp(prefix="sg_real_")
path = lambda name: os.path.join(folder, name)
failures = 0


def expect(what, claim, found=""):
    global failures
    if not claim:
        failures += 1
        print(f"FAIL {what}: {found}")


def run(*args):
    return subprocess.run([program, *args], capture_output=True, text=True)


def tensors(file):
    """An independent reader of safetensors: (metadata, arrays)."""
    with open(file, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    out = {}
    for name, t in header.items():
        if name != "__metadata__":
            a, b = t["data_offsets"]
            out[name] = np.frombuffer(data[a:b], "<f4").reshape(t["shape"]).astype(np.float64)
    return header.get("__metadata__", {}), out


# ---- the character GRU: 1.572 nats per character ----
import gzip
with gzip.open(os.path.join(shared, "data", "tinyshakespeare.txt.gz"), "rt") as f:
    shakespeare = f.read()
with open(path("text"), "w") as f:
    f.write(shakespeare[500000:503000])
with open(path("printable.json"), "w") as f:
    json.dump(list(string.printable), f)
file = os.path.join(models, "char-gru-shakespeare", "baseline.pt")
for arguments in ([file, path("text"), "--vocab", path("printable.json")], None):
    if arguments is None: # the same through a model file of ours
        p = run("import", file, "--vocab", path("printable.json"), "-o", path("ours"))
        expect("import of baseline.pt", p.returncode == 0, p.stderr)
        arguments = [path("ours"), path("text")]
    p = run("eval", *arguments, "--json")
    result = json.loads(p.stdout) if p.returncode == 0 else {}
    expect("baseline.pt", abs(result.get("nats_per_token", 0) - 1.572) < 0.0005 and result["tokens"] == 2999,
           p.stdout + p.stderr)

# ---- the small one: its words inside ----
file = os.path.join(models, "char-gru-small", "lm.pt")
p = run("import", file, "-o", path("ours"))
expect("import of lm.pt", p.returncode == 0, p.stderr)
words = json.loads(tensors(path("ours"))[0]["vocabulary"])
expect("lm.pt's vocabulary", len(words) == 42 and all(len(w) == 1 for w in words), str(words)[:200])
known = "".join(c for c in shakespeare[:3000].lower().replace(" ", "\n") if c in words)
with open(path("text"), "w") as f:
    f.write(known)
p = run("eval", file, path("text"), "--json")
nats = json.loads(p.stdout)["nats_per_token"] if p.returncode == 0 else np.nan
try:
    import torch
    saved = torch.load(file)
    net = torch.nn.GRU(32, 64)
    net.load_state_dict({k[4:]: v for k, v in saved["model"].items() if k.startswith("rnn.")})
    ids = torch.tensor([saved["vocab"][c] for c in known])
    with torch.no_grad():
        h = net(saved["model"]["embed.weight"][ids].unsqueeze(1))[0][:, 0]
        want = torch.nn.functional.cross_entropy((h @ saved["model"]["fc.weight"].T + saved["model"]["fc.bias"])[:-1],
                                                 ids[1:]).item()
    expect("lm.pt agrees with PyTorch", abs(nats - want) < 1e-5 * want, f"{nats} against {want} {p.stderr}")
except ImportError:
    print("skipped: no torch, lm.pt's perplexity is not compared")

# ---- Silero VAD: safetensors and ONNX give tensors of the same names and shapes, each with its own file's numbers ----
# The two files hold different trainings of one network: only the fixed STFT basis is the same to the bit. The recurrent
# weights correlate (0.957, 0.978, 0.997, 0.997), which they would not if one of the two were read in another gate order.
ours = {}
for name in ("silero_vad_16k.safetensors", "silero_vad_16k_op15.onnx"):
    p = run("import", os.path.join(models, "silero-vad", name), "-o", path("vad"))
    expect(f"import of {name}", p.returncode == 0, p.stderr)
    ours[name[-4:]] = tensors(path("vad"))[1] if p.returncode == 0 else {}
roles = [f"{kind}_{side}" for kind in ("weight", "bias") for side in ("ih", "hh")]
expect("Silero's tensors: names and shapes", all({k: v.shape for k, v in o.items()} == {
    "rnn.weight_ih_l0": (512, 128), "rnn.weight_hh_l0": (512, 128), "rnn.bias_ih_l0": (512,), "rnn.bias_hh_l0": (512,)}
    for o in ours.values()), str(ours.keys()))
for name in ours["sors"]:
    a, b = ours["sors"][name].ravel(), ours["onnx"].get(name, np.zeros(1)).ravel()
    r = np.corrcoef(a, b)[0, 1] if a.shape == b.shape else 0
    print(f"Silero's {name}: correlation {r:.4f} between the two files")
    expect(f"Silero's two files agree in the order of {name}, not in its numbers", r > 0.95 and not np.array_equal(a, b), r)
raw = tensors(os.path.join(models, "silero-vad", "silero_vad_16k.safetensors"))[1]
expect("Silero's safetensors", all(np.array_equal(ours["sors"][f"rnn.{r}_l0"], raw[f"lstm_cell.{r}"]) for r in roles))
try:
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(os.path.join(models, "silero-vad", "silero_vad_16k_op15.onnx")).graph
    raw = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    expect("Silero's ONNX", all(np.array_equal(ours["onnx"][f"rnn.{r}_l0"], raw[f"model.decoder.rnn.{r}"]) for r in roles))
    basis = tensors(os.path.join(models, "silero-vad", "silero_vad_16k.safetensors"))[1]["stft_conv.weight"]
    expect("Silero's STFT basis is the same in both files", np.array_equal(basis, raw["model.stft.forward_basis_buffer"]))
except ImportError:
    print("skipped: no onnx, Silero's ONNX tensors are not compared")

# ---- textgenrnn: the recurrent layers, and a refusal to evaluate ----
file = os.path.join(models, "textgenrnn", "textgenrnn_weights.hdf5")
vocab = os.path.join(models, "textgenrnn", "textgenrnn_vocab.json")
p = run("eval", file, path("text"), "--vocab", vocab)
expect("textgenrnn refuses eval", p.returncode == 1 and "attention" in p.stderr and "attention_W" in p.stderr, p.stderr)
p = run("import", file, "--vocab", vocab, "-o", path("ours"))
expect("import of textgenrnn", p.returncode == 0, p.stderr)
w = tensors(path("ours"))[1]
try:
    import h5py
except ImportError:
    h5py = None
    print("skipped: no h5py, textgenrnn's predictions are not tried")
if h5py and p.returncode == 0:
    with h5py.File(file, "r") as f:
        attention = f["attention/attention/attention_W:0"][:].astype(float)
        kernel, bias = f["output/output/kernel:0"][:].astype(float), f["output/output/bias:0"][:].astype(float)
    ids = json.load(open(vocab))
    text = "What is the best way to learn a new language when you are older?"
    sigmoid = lambda a: 1 / (1 + np.exp(-a))

    def layer(X, k):
        H = 128
        h, c, out = np.zeros(H), np.zeros(H), []
        for x in X:
            a = w[f"rnn.weight_ih_l{k}"] @ x + w[f"rnn.weight_hh_l{k}"] @ h + w[f"rnn.bias_ih_l{k}"] + w[f"rnn.bias_hh_l{k}"]
            i, f_, g, o = np.split(a, 4)
            c = sigmoid(f_) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        return np.array(out)

    nats = []
    for t in range(8, len(text)):
        read = [ids[ch] for ch in text[max(0, t - 40):t]]
        X = w["encoder.weight"][[0] * (40 - len(read)) + read] # padded to 40 as textgenrnn does
        one = layer(X, 0)
        all3 = np.concatenate([X, one, layer(one, 1)], 1)
        a = np.exp(all3 @ attention)
        score = (all3 * (a / a.sum())).sum(0) @ kernel + bias
        nats.append(np.log(np.exp(score - score.max()).sum()) + score.max() - score[ids[text[t]]])
    print(f"textgenrnn, finished with its attention: {np.mean(nats):.2f} nats a character")
    expect("textgenrnn predicts English", np.mean(nats) < 1.2, str(np.mean(nats)))

for name, arguments in (("char-gru-shakespeare/baseline.pt", []), ("char-gru-small/lm.pt", []),
                        ("silero-vad/silero_vad_16k.safetensors", []), ("silero-vad/silero_vad_16k_op15.onnx", []),
                        ("textgenrnn/textgenrnn_weights.hdf5", [])):
    p = run("check", os.path.join(models, name), "--steps", "12", "--delays", "6", "--draws", "4", *arguments)
    expect(f"check of {name}", p.returncode == 0 and "PASS" in p.stdout, p.stdout[-300:] + p.stderr)

subprocess.run(["rm", "-r", folder])
print(f"{failures} failed")
sys.exit(1 if failures else 0)
