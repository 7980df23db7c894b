# SPDX-License-Identifier: MIT
"""Loss, gradients, SGD curves, perplexity and model files against PyTorch.

usage: pytorch_lm.py TRAIN_DRIVER STATEGRAD
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
    from torch import nn
except ImportError as why:
    print("skipped:", why)
    sys.exit(77)

DRIVER, PROGRAM = sys.argv[1:3]
torch.manual_seed(1)
torch.set_num_threads(1)


def read_safetensors(path):
    """The format as its specification has it; every byte of data belongs to one tensor."""
    raw = open(path, "rb").read()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    meta, data, at = header.pop("__metadata__"), raw[8 + length:], 0
    tensors = {}
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        assert begin == at and t["dtype"] == "F32" and end - begin == 4 * math.prod(t["shape"]), name
        tensors[name] = torch.from_numpy(np.frombuffer(data[begin:end], "<f4").reshape(t["shape"]).copy())
        at = end
    assert at == len(data)
    return tensors, meta


class ResetFirst(nn.Module):
    """The GRU that resets before the product, by autograd."""

    def __init__(self, inputs, hidden, layers):
        super().__init__()
        self.hidden, self.layers = hidden, layers
        for k in range(layers):
            for kind, cols in (("ih", inputs if k == 0 else hidden), ("hh", hidden)):
                setattr(self, f"weight_{kind}_l{k}", nn.Parameter(torch.zeros(3 * hidden, cols)))
                setattr(self, f"bias_{kind}_l{k}", nn.Parameter(torch.zeros(3 * hidden)))

    def forward(self, x, state=None):
        H, last = self.hidden, []
        for k in range(self.layers):
            Wi, Wh = getattr(self, f"weight_ih_l{k}"), getattr(self, f"weight_hh_l{k}")
            bi, bh = getattr(self, f"bias_ih_l{k}"), getattr(self, f"bias_hh_l{k}")
            h = x.new_zeros(x.shape[1], H) if state is None else state[k]
            out = []
            for row in x:
                a = row @ Wi.T + bi
                r, z = torch.sigmoid(a[:, :2 * H] + h @ Wh[:2 * H].T + bh[:2 * H]).chunk(2, 1)
                n = torch.tanh(a[:, 2 * H:] + (r * h) @ Wh[2 * H:].T + bh[2 * H:])
                h = (1 - z) * n + z * h
                out.append(h)
            x = torch.stack(out)
            last.append(h)
        return x, torch.stack(last)


class Minimal(nn.Module):
    """minGRU and minLSTM, vanilla form, as their paper writes them; linear maps in one matrix, gate by gate."""

    def __init__(self, kind, inputs, hidden, layers):
        super().__init__()
        self.kind, self.hidden, self.layers = kind, hidden, layers
        gates = {"mingru": 2, "minlstm": 3}[kind]
        for k in range(layers):
            cols = inputs if k == 0 else hidden
            setattr(self, f"weight_ih_l{k}", nn.Parameter(torch.zeros(gates * hidden, cols)))
            setattr(self, f"bias_ih_l{k}", nn.Parameter(torch.zeros(gates * hidden)))

    def forward(self, x, state=None):
        last = []
        for k in range(self.layers):
            a = nn.functional.linear(x, getattr(self, f"weight_ih_l{k}"), getattr(self, f"bias_ih_l{k}"))
            h, out = x.new_zeros(x.shape[1], self.hidden) if state is None else state[k], []
            for row in a:
                if self.kind == "mingru":
                    z, candidate = row.chunk(2, 1)
                    z = torch.sigmoid(z)
                    h = (1 - z) * h + z * candidate
                else:
                    f, i, candidate = row.chunk(3, 1)
                    f, i = torch.sigmoid(f), torch.sigmoid(i)
                    h = f / (f + i) * h + i / (f + i) * candidate
                out.append(h)
            x = torch.stack(out)
            last.append(h)
        return x, torch.stack(last)


class RNNModel(nn.Module):
    """word_language_model's shape: encoder, rnn, decoder."""

    def __init__(self, kind, V, E, H, L, tied):
        super().__init__()
        self.encoder = nn.Embedding(V, E)
        if kind == "gru-reset-first":
            self.rnn = ResetFirst(E, H, L)
        elif kind in ("mingru", "minlstm"):
            self.rnn = Minimal(kind, E, H, L)
        elif kind in ("lstm", "gru"):
            self.rnn = getattr(nn, kind.upper())(E, H, L)
        else:
            self.rnn = nn.RNN(E, H, L, nonlinearity={"rnn": "tanh", "rnn-relu": "relu"}[kind])
        self.decoder = nn.Linear(H, V)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids, state=None):
        out, state = self.rnn(self.encoder(ids), state)
        return self.decoder(out), state


def detach(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{args}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def load(path, kind, V, E, H, L, tied):
    tensors, meta = read_safetensors(path)
    assert meta["format"] == "stategrad-model" and meta["cell"] == kind
    assert len(json.loads(meta["vocabulary"])) == V
    model = RNNModel(kind, V, E, H, L, tied)
    model.load_state_dict(tensors)  # strict: every name and shape
    return model


failures = []


def check(what, found, bound):
    ok = found <= bound  # a NaN fails
    print(f"{'ok  ' if ok else 'FAIL'} {what}: {found:.2e} (at most {bound:.0e})")
    if not ok:
        failures.append(what)


def gradients(folder, kind, L, tied, large=False):
    V, E, H, T, B = (9000, 20, 170, 6, 10) if large else (61, 12, 12 if tied else 17, 9, 5)
    path, ids_path, out = (os.path.join(folder, n) for n in ("m", "ids", "g"))
    run(DRIVER, "new", kind, str(L), str(V), str(E), str(H), str(int(tied)), path)
    ids = torch.randint(0, V, (T + 1, B), dtype=torch.int32)
    ids.numpy().tofile(ids_path)
    loss = float(run(DRIVER, "gradient", path, ids_path, str(T), str(B), out))
    model = load(path, kind, V, E, H, L, tied)
    logits, _ = model(ids[:-1].long())
    theirs = nn.functional.cross_entropy(logits.reshape(-1, V), ids[1:].long().reshape(-1))
    theirs.backward()
    ours, _ = read_safetensors(out)
    name = f"{kind} x {L}{' tied' if tied else ''}{' large' if large else ''}"
    check(f"{name} loss", abs(loss - theirs.item()) / theirs.item(), 1e-6)
    worst = 0.0
    for key, p in model.named_parameters():
        difference = ((ours[key] - p.grad).norm() / p.grad.norm()).item()
        worst = max(worst, difference) if difference == difference else float("nan")
    check(f"{name} gradients, worst tensor", worst, 1e-4)


def curve(folder, kind, L):
    V, E, H, T, B, steps, lr, clip = 200, 16, 24, 10, 8, 100, 1.0, 0.5
    path, ids_path = os.path.join(folder, "m"), os.path.join(folder, "ids")
    run(DRIVER, "new", kind, str(L), str(V), str(E), str(H), "0", path)
    ids = (torch.rand(T * steps + 1, B) ** 3 * V).to(torch.int32)  # some words are frequent
    ids.numpy().tofile(ids_path)
    ours = [float(x) for x in run(DRIVER, "curve", path, ids_path, str(T), str(B), str(lr), str(clip)).split()]
    model, state, worst = load(path, kind, V, E, H, L, False), None, 0.0
    assert len(ours) == steps
    for i, loss in enumerate(ours):
        window = ids[i * T:(i + 1) * T + 1].long()
        model.zero_grad()
        logits, state = model(window[:-1], state)
        state = detach(state)
        theirs = nn.functional.cross_entropy(logits.reshape(-1, V), window[1:].reshape(-1))
        theirs.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        with torch.no_grad():
            for p in model.parameters():
                p -= lr * p.grad
        difference = abs(loss - theirs.item()) / theirs.item()
        worst = max(worst, difference) if difference == difference else float("nan")
    check(f"{kind} x {L}: curve of {steps} SGD steps ({ours[0]:.2f} to {ours[-1]:.2f} nats)", worst, 1e-3)
    if not ours[-1] < 0.95 * ours[0]:
        failures.append(f"{kind}: nothing learnt")


def with_metadata(path, key, value):
    """A copy of a model file in which one entry of the metadata is another."""
    with open(path, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(length)), f.read()
    assert key in header["__metadata__"]
    header["__metadata__"][key] = value
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + "." + value, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    return path + "." + value


def perplexity(folder):
    """train by the program, eval by the program, the same by PyTorch from the file."""
    corpus, path = os.path.join(folder, "corpus.txt"), os.path.join(folder, "trained")
    words = np.random.RandomState(3).zipf(1.5, size=(300, 8)) % 50
    with open(corpus, "w") as f:
        for line in words:
            print(*(f"w{w}" for w in line), file=f)
    for kind, extra in (("lstm", []), ("gru", ["--layers", "2"]), ("rnn", ["--tied"]), ("mingru", ["--layers", "2"]),
                        ("minlstm", [])):
        E, H = (16, 16) if "--tied" in extra else (8, 16)
        run(PROGRAM, "train", corpus, "--valid", corpus, "-o", path, "--cell", kind, "--embedding-size", str(E),
            "--hidden-size", str(H), "--epochs", "2", "--quiet", "--vocab-size", "30", "--batch", "5", *extra)
        ours = json.loads(run(PROGRAM, "eval", path, corpus, "--json"))
        tensors, meta = read_safetensors(path)
        vocabulary = json.loads(meta["vocabulary"])
        model = load(path, kind, len(vocabulary), E, H, 2 if "--layers" in extra else 1, "--tied" in extra)
        index = {w: i for i, w in enumerate(vocabulary)}
        text = [w for line in open(corpus) for w in line.split() + ["<eos>"]]
        ids = torch.tensor([index.get(w, index["<unk>"]) for w in text])
        with torch.no_grad():
            logits, _ = model(ids[:-1, None])
            theirs = nn.functional.cross_entropy(logits[:, 0].double(), ids[1:]).item()
        check(f"eval {kind}", abs(ours["nats_per_token"] - theirs) / theirs, 1e-5)
        check(f"eval {kind} perplexity", abs(ours["perplexity"] - math.exp(theirs)) / math.exp(theirs), 1e-4)
        if ours["tokens"] != len(ids) - 1 or ours["unknown_tokens"] != sum(w not in index for w in text):
            failures.append(f"eval counts {ours}, expected {len(ids) - 1} tokens")
        stored = float(meta["valid_perplexity"])
        check(f"valid_perplexity of {kind} in the file", abs(stored - ours["perplexity"]) / stored, 1e-6)
        for name, apply in (("relu", torch.relu), ("tanh", torch.tanh)):
            activated = with_metadata(path, "output_activation", name)
            ours = json.loads(run(PROGRAM, "eval", activated, corpus, "--json"))
            with torch.no_grad():
                top = model.rnn(model.encoder(ids[:-1, None]), None)[0]
                theirs = nn.functional.cross_entropy(model.decoder(apply(top))[:, 0].double(), ids[1:]).item()
            check(f"eval {kind}, {name} before the decoder", abs(ours["nats_per_token"] - theirs) / theirs, 1e-5)


with tempfile.TemporaryDirectory() as folder:
    for kind in ("lstm", "gru", "rnn", "rnn-relu", "gru-reset-first", "mingru", "minlstm"):
        for L in (1, 2):
            gradients(folder, kind, L, False)
            gradients(folder, kind, L, True)
    for kind in ("lstm", "gru", "gru-reset-first", "rnn", "mingru", "minlstm"):  # several threads, many slices of the vocabulary
        gradients(folder, kind, 2, False, True)
    for kind in ("lstm", "gru", "rnn", "mingru", "minlstm"):
        curve(folder, kind, 1)
    curve(folder, "lstm", 2)
    perplexity(folder)
print(f"{len(failures)} failed")
sys.exit(bool(failures))
