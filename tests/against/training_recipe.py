# SPDX-License-Identifier: MIT
"""What `train` does with real text: the loss scales and optimizers beside a PyTorch twin, the preset beside a unigram.

usage: training_recipe.py STATEGRAD        (STATEGRAD_SHARED names the folder with data/wikitext-2)
"""
import collections
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

PROGRAM = sys.argv[1]
TEXT = os.path.join(os.environ.get("STATEGRAD_SHARED", "../shared"), "data", "wikitext-2")
if not os.path.isdir(TEXT):
    print("skipped: no", TEXT)
    sys.exit(77)
torch.set_num_threads(1)
failures = []


def check(what, ok):
    print("ok  " if ok else "FAIL", what)
    if not ok:
        failures.append(what)


def train(corpus, valid, model, *options):
    log = model + ".log"
    done = subprocess.run([PROGRAM, "train", corpus, "--valid", valid, "-o", model, "--log", log, "--quiet", "--threads", "1",
                           *options], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"train {options}: exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in open(log)]


def read_model(path):
    raw = open(path, "rb").read()
    (length,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8:8 + length]), raw[8 + length:]
    meta = header.pop("__metadata__")
    return {name: torch.from_numpy(np.frombuffer(data[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]).copy())
            for name, t in header.items()}, meta


def slice_of(name, first, lines, path):
    with open(os.path.join(TEXT, name), encoding="utf-8") as text, open(path, "w", encoding="utf-8") as out:
        out.writelines([line for line in text if line.strip()][first:first + lines])
    return path


def read_ids(path, vocabulary):
    index = {word: i for i, word in enumerate(vocabulary)}
    return [index.get(word, index["<unk>"]) for line in open(path, encoding="utf-8") for word in line.split() + ["<eos>"]]


# ---- the preset on real text ----

def preset_learns(folder):
    """One epoch of the preset, narrower and on a slice, is clearly better than the best unigram model of the text."""
    corpus = slice_of("train.txt", 0, 2500, os.path.join(folder, "slice"))
    valid = slice_of("valid.txt", 0, 300, os.path.join(folder, "slice.valid"))
    model = os.path.join(folder, "preset")
    (epoch,) = train(corpus, valid, model, "--preset", "paper", "--epochs", "1", "--vocab-size", "1000", "--hidden-size", "64",
                     "--steps", "20", "--batch", "10")
    vocabulary = json.loads(read_model(model)[1]["vocabulary"])
    ids = read_ids(valid, vocabulary)[1:]
    n, counts = len(ids), collections.Counter(ids)
    unigram = -sum(c * math.log(c / n) for c in counts.values()) / n  # the validation text's own law: none is better
    check(f"one epoch of the preset: {epoch['valid_nats']:.3f} nats per token, a unigram model at best {unigram:.3f}",
          epoch["valid_nats"] < unigram - 0.3)


# ---- a twin in PyTorch ----

class Twin(nn.Module):
    def __init__(self, V, E, H):
        super().__init__()
        self.encoder, self.rnn, self.decoder = nn.Embedding(V, E), nn.LSTM(E, H), nn.Linear(H, V)

    def forward(self, ids, state=None):
        out, state = self.rnn(self.encoder(ids), state)
        return self.decoder(out), state


def twin_epochs(model, ids, valid, T, B, epochs, optimizer, loss_sum, lr, decay, clip):
    """Per epoch: training and validation loss in nats per token. Also the largest share that the embeddings have in the
    squared norm of a gradient that is clipped."""
    streams = torch.tensor(ids[:len(ids) // B * B]).reshape(B, -1).T
    result, share = [], 0.0
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = lr * decay ** max(epoch + 1 - 1, 0)  # --decay-after 1
        state, total, tokens = None, 0.0, 0
        for at in range(0, len(streams) - 1, T):
            window = streams[at:at + T + 1]
            n = len(window) - 1
            optimizer.zero_grad()
            logits, state = model(window[:-1], state)
            state = tuple(s.detach() for s in state)
            losses = nn.functional.cross_entropy(logits.reshape(n * B, -1), window[1:].reshape(-1), reduction="none")
            # TensorFlow's PTB tutorial: reduce_sum(sequence_loss) / batch_size; PyTorch's example: the mean of all
            loss = losses.sum() / B if loss_sum else losses.mean()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            if norm > clip:
                share = max(share, float(model.encoder.weight.grad.norm() / clip) ** 2)
            optimizer.step()
            total, tokens = total + losses.sum().item(), tokens + n * B
        with torch.no_grad():
            text = torch.tensor(valid)
            logits, _ = model(text[:-1, None])
            result.append((total / tokens, nn.functional.cross_entropy(logits[:, 0], text[1:]).item()))
    return result, share


def twin(folder, name, options, kind, loss_sum, lr, clip, least_share=0.0):
    E, H, T, B, epochs = 24, 20, 20, 8, 3
    corpus = slice_of("valid.txt", 0, 90, os.path.join(folder, "twin"))
    valid = slice_of("valid.txt", 200, 20, os.path.join(folder, "twin.valid"))
    shape = ["--embedding-size", str(E), "--hidden-size", str(H), "--vocab-size", "300", "--steps", str(T), "--batch", str(B),
             "--dropout", "0", *options]
    model = os.path.join(folder, "start")
    train(corpus, valid, model, *shape, "--epochs", "1", "--lr", "1e-12")  # the weights before the first step
    start, meta = read_model(model)
    ours = train(corpus, valid, os.path.join(folder, "end"), *shape, "--epochs", str(epochs), "--decay-after", "1")
    vocabulary = json.loads(meta["vocabulary"])
    theirs = Twin(len(vocabulary), E, H)
    theirs.load_state_dict(start)
    result, share = twin_epochs(theirs, read_ids(corpus, vocabulary), read_ids(valid, vocabulary), T, B, epochs,
                                kind(theirs.parameters(), lr=lr), loss_sum, lr, 0.8 if "--preset" in options else 0.7, clip)
    worst = max(max(abs(o["train_nats"] - t) / t, abs(o["valid_nats"] - v) / v) for o, (t, v) in zip(ours, result))
    check(f"{name}: {ours[0]['train_nats']:.3f} to {ours[-1]['train_nats']:.3f} nats, "
          f"largest difference from PyTorch {worst:.1e}", len(ours) == epochs and worst < 1e-4)
    check(f"{name}: it learns", ours[-1]["train_nats"] < ours[0]["train_nats"] - 0.1)
    check(f"{name}: share of the embeddings in a clipped gradient {share:.2f}", share > least_share)


with tempfile.TemporaryDirectory() as folder:
    preset_learns(folder)
    twin(folder, "preset (sum over steps, lr 1, clip 5)", ["--preset", "paper"], torch.optim.SGD, True, 1, 5)
    twin(folder, "preset, clipped often", ["--preset", "paper", "--init", "0.4", "--clip", "2"], torch.optim.SGD, True, 1, 2, 0.2)
    twin(folder, "SGD, mean", ["--optimizer", "sgd"], torch.optim.SGD, False, 20, 0.25)
    twin(folder, "defaults (Adam, mean)", [], torch.optim.Adam, False, 0.004, 0.25)
    twin(folder, "Adam, sum", ["--loss-scale", "sum"], torch.optim.Adam, True, 0.004, 5)
print(len(failures), "failed")
sys.exit(bool(failures))
