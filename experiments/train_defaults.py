#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: train_defaults.py --train FILE --valid FILE --work FOLDER [--epochs N] [--only stategrad|pytorch]

What a newcomer gets: `stategrad train` without options for the recipe, beside the defaults of PyTorch's
word_language_model example (LSTM 2 x 200, embeddings 200, SGD at lr 20, a quarter of it whenever the validation loss does
not fall, clip 0.25, 35 steps, batch 20, dropout 0.2), on the same words: the vocabulary is that of our model, each line
ends in <eos>, other words are <unk>. Prints the validation perplexity of every epoch as JSON lines and keeps them in
FOLDER/ours.jsonl and FOLDER/pytorch.jsonl. A run that was stopped goes on from its last checkpoint. Plain text, one sentence a line, or word/tag with --format tagged."""
import argparse
import json
import math
import os
import struct
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--program", default=os.path.join(ROOT, "build", "cli", "stategrad"))
parser.add_argument("--train", required=True)
parser.add_argument("--valid", required=True)
parser.add_argument("--format", choices=["auto", "tagged"], default="auto")
parser.add_argument("--work", required=True)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--only", choices=["stategrad", "pytorch"])
args = parser.parse_args()
os.makedirs(args.work, exist_ok=True)
model = os.path.join(args.work, "ours.safetensors")


def train_ours():
    log = os.path.join(args.work, "ours.jsonl")
    subprocess.run([args.program, "train", args.train, "--valid", args.valid, "--format", args.format,
                    "--epochs", str(args.epochs), "--threads", str(args.threads), "--log", log, "-q", "-o", model,
                    "--checkpoint", os.path.join(args.work, "ours.checkpoint"), "--resume"], check=True)
    print(open(log).read())


def vocabulary():
    with open(model, "rb") as f:
        (length,) = struct.unpack("<Q", f.read(8))
        return json.loads(json.loads(f.read(length))["__metadata__"]["vocabulary"])


def read(path, ids):
    import torch
    found = []
    for line in open(path, encoding="utf-8"):
        words = line.split()
        if args.format == "tagged":
            words = [w.rsplit("/", 1)[0] for w in words]
        if words:
            found += [ids.get(w, ids["<unk>"]) for w in words] + [ids["<eos>"]]
    return torch.tensor(found)


def train_theirs():
    import torch
    from torch import nn

    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    words = vocabulary()
    ids, V = {w: i for i, w in enumerate(words)}, len(words)
    train, valid = read(args.train, ids), read(args.valid, ids)
    batch, steps, lr, best = 20, 35, 20.0, math.inf
    rows = train[: len(train) // batch * batch].view(batch, -1).t()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.encoder = nn.Dropout(0.2), nn.Embedding(V, 200)
            self.rnn, self.decoder = nn.LSTM(200, 200, 2, dropout=0.2), nn.Linear(200, V)
            nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
            nn.init.zeros_(self.decoder.bias)
            nn.init.uniform_(self.decoder.weight, -0.1, 0.1)

        def forward(self, x, state):
            out, state = self.rnn(self.drop(self.encoder(x)), state)
            return self.decoder(self.drop(out)), state

    lm, loss_of = Model(), nn.CrossEntropyLoss()

    def perplexity():
        """Of every token but the first, in one sequence, as `stategrad train` counts it."""
        lm.eval()
        total, state = 0.0, None
        with torch.no_grad():
            for at in range(0, len(valid) - 1, 1000):
                x, y = valid[at:at + 1000], valid[at + 1:at + 1001]
                logits, state = lm(x[:len(y), None], state)
                total += loss_of(logits.view(-1, V), y).item() * len(y)
        return math.exp(total / (len(valid) - 1))

    kept, done = os.path.join(args.work, "pytorch.checkpoint"), 0
    if os.path.exists(kept):
        saved = torch.load(kept)
        lm.load_state_dict(saved["model"])
        torch.set_rng_state(saved["random"])
        done, lr, best = saved["epoch"], saved["lr"], saved["best"]
    with open(os.path.join(args.work, "pytorch.jsonl"), "a" if done else "w") as log:
        for epoch in range(done + 1, args.epochs + 1):
            lm.train()
            begun, state = time.monotonic(), None
            for at in range(0, len(rows) - 1, steps):
                x, y = rows[at:at + steps], rows[at + 1:at + 1 + steps]
                x = x[:len(y)]
                lm.zero_grad()
                logits, state = lm(x, state)
                state = tuple(s.detach() for s in state)
                loss_of(logits.view(-1, V), y.reshape(-1)).backward()
                nn.utils.clip_grad_norm_(lm.parameters(), 0.25)
                with torch.no_grad():
                    for p in lm.parameters():
                        p.add_(p.grad, alpha=-lr)
            found = perplexity()
            line = json.dumps({"epoch": epoch, "lr": lr, "valid_perplexity": round(found, 3),
                               "seconds": round(time.monotonic() - begun)})
            print(line, flush=True)
            log.write(line + "\n")
            log.flush()
            if found < best:
                best = found
            else:
                lr /= 4
            torch.save({"model": lm.state_dict(), "random": torch.get_rng_state(), "epoch": epoch, "lr": lr, "best": best},
                       kept + ".new")
            os.replace(kept + ".new", kept)


if args.only != "pytorch":
    train_ours()
if args.only != "stategrad":
    train_theirs()
