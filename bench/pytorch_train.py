# SPDX-License-Identifier: MIT
"""PyTorch's training rate at the settings of bench_train: word_language_model with plain SGD and clipping.

usage: pytorch_train.py [THREADS [SECONDS [SETTING]]]    (run it with LD_LIBRARY_PATH at openblas-openmp: its fastest)
"""
import json
import sys
import time

import torch
from torch import nn

SETTINGS = {"paper": (10000, 64, 256, 1, 50, 20), "650x2": (10000, 650, 650, 2, 50, 20)}
threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5
torch.set_num_threads(threads)
torch.manual_seed(1)


class Model(nn.Module):
    def __init__(self, V, E, H, L):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.encoder = nn.Embedding(V, E)
        self.rnn = nn.LSTM(E, H, L, dropout=0.5 if L > 1 else 0)
        self.decoder = nn.Linear(H, V)

    def forward(self, ids, state):
        out, state = self.rnn(self.drop(self.encoder(ids)), state)
        return self.decoder(self.drop(out)), state


for name, (V, E, H, L, T, B) in SETTINGS.items():
    if len(sys.argv) > 3 and sys.argv[3] != name:
        continue
    model = Model(V, E, H, L)
    ids = torch.randint(0, V, (T + 1, B))
    state, loss_of, times, begun = None, nn.CrossEntropyLoss(), [], time.monotonic()
    while len(times) < 3 or time.monotonic() - begun < seconds:
        at = time.monotonic()
        model.zero_grad()
        logits, state = model(ids[:-1], state)
        state = tuple(s.detach() for s in state)
        loss_of(logits.view(-1, V), ids[1:].view(-1)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(p.grad, alpha=-0.1)
        times.append(time.monotonic() - at)
    times = times[1:]
    print(json.dumps({"bench": "train", "rival": "PyTorch " + torch.__version__, "setting": name, "threads": threads,
                      "tokens_per_second": round(T * B * len(times) / sum(times)),
                      "best_window_tokens_per_second": round(T * B / min(times))}))
