# SPDX-License-Identifier: MIT
"""Recurrent nets by their definitions, in float64 with autograd: what the import tests compare with.

A net is a list of layers; a layer is a function (x_t, state) -> state, a state a tuple whose first entry is h. The
definitions follow each library's documentation in its own gate order; nothing here is shared with the program."""
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch

torch.set_num_threads(1)


def t64(a):
    return torch.tensor(np.asarray(a, dtype=np.float64))


# ---- PyTorch: rows i,f,g,o / r,z,n (torch.nn.LSTM, GRU, RNN) ----
def torch_layer(kind, W, U, b, c):
    W, U, b, c = map(t64, (W, U, b, c))
    H = U.shape[1]

    def lstm(x, s):
        h, cell = s
        i, f, g, o = torch.split(W @ x + b + U @ h + c, H)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def gru(x, s):
        h, = s
        ri, zi, ni = torch.split(W @ x + b, H)
        rh, zh, nh = torch.split(U @ h + c, H)
        r, z = torch.sigmoid(ri + rh), torch.sigmoid(zi + zh)
        n = torch.tanh(ni + r * nh)
        return ((1 - z) * n + z * h,)

    def rnn(x, s):
        return (torch.tanh(W @ x + b + U @ s[0] + c),)

    def relu(x, s):
        return (torch.relu(W @ x + b + U @ s[0] + c),)

    return {"lstm": lstm, "gru": gru, "rnn": rnn, "rnn-relu": relu}[kind], H


def hard_sigmoid(x):
    """Keras 1 and 2; ONNX's HardSigmoid by its default values."""
    return torch.clamp(0.2 * x + 0.5, 0, 1)


# ---- Keras: columns i,f,c,o / z,r,h ----
def keras_layer(kind, kernel, recurrent, bias, reset_after=True, gate=torch.sigmoid, state=torch.tanh):
    kernel, recurrent = t64(kernel), t64(recurrent)
    H = recurrent.shape[0]
    bias = torch.zeros(kernel.shape[1], dtype=torch.float64) if bias is None else t64(bias)

    def lstm(x, s):
        h, cell = s
        i, f, c, o = torch.split(x @ kernel + h @ recurrent + bias, H)
        cell = gate(f) * cell + gate(i) * state(c)
        return gate(o) * state(cell), cell

    def gru(x, s):
        h, = s
        b_in, b_rec = (bias[0], bias[1]) if bias.ndim == 2 else (bias, torch.zeros_like(bias))
        xz, xr, xh = torch.split(x @ kernel + b_in, H)
        if reset_after:
            rz, rr, rh = torch.split(h @ recurrent + b_rec, H)
            z, r = gate(xz + rz), gate(xr + rr)
            hh = state(xh + r * rh)
        else:
            Uz, Ur, Uh = torch.split(recurrent, H, dim=1)
            z, r = gate(xz + h @ Uz), gate(xr + h @ Ur)
            hh = state(xh + (r * h) @ Uh)
        return (z * h + (1 - z) * hh,)

    def rnn(x, s):
        return (torch.tanh(x @ kernel + s[0] @ recurrent + bias),)

    def relu(x, s):
        return (torch.relu(x @ kernel + s[0] @ recurrent + bias),)

    return {"lstm": lstm, "gru": gru, "rnn": rnn, "rnn-relu": relu}[kind], H


# ---- ONNX: rows i,o,f,c / z,r,h ----
def onnx_layer(kind, W, R, B, linear_before_reset=0, gate=torch.sigmoid, state=torch.tanh):
    W, R = t64(W), t64(R)
    H = R.shape[1]
    G = R.shape[0] // H
    B = torch.zeros(2 * G * H, dtype=torch.float64) if B is None else t64(B)
    Wb, Rb = B[:G * H], B[G * H:]

    def lstm(x, s):
        h, cell = s
        i, o, f, c = torch.split(W @ x + R @ h + Wb + Rb, H)
        cell = gate(f) * cell + gate(i) * state(c)
        return gate(o) * state(cell), cell

    def gru(x, s):
        h, = s
        Wz, Wr, Wh = torch.split(W, H)
        Rz, Rr, Rh = torch.split(R, H)
        Wbz, Wbr, Wbh = torch.split(Wb, H)
        Rbz, Rbr, Rbh = torch.split(Rb, H)
        z = gate(Wz @ x + Rz @ h + Wbz + Rbz)
        r = gate(Wr @ x + Rr @ h + Wbr + Rbr)
        if linear_before_reset:
            n = state(Wh @ x + r * (Rh @ h + Rbh) + Wbh)
        else:
            n = state(Wh @ x + Rh @ (r * h) + Rbh + Wbh)
        return ((1 - z) * n + z * h,)

    def rnn(x, s):
        return (torch.tanh(W @ x + R @ s[0] + Wb + Rb),)

    def relu(x, s):
        return (torch.relu(W @ x + R @ s[0] + Wb + Rb),)

    return {"lstm": lstm, "gru": gru, "rnn": rnn, "rnn-relu": relu}[kind], H


# ---- TensorFlow's BasicLSTMCell: [in+h, 4h], columns i,j,f,o ----
def tf_layer(kernel, bias, forget_bias):
    kernel, bias = t64(kernel), t64(bias)
    H = kernel.shape[1] // 4

    def step(x, s):
        h, cell = s
        i, j, f, o = torch.split(torch.cat([x, h]) @ kernel + bias, H)
        cell = cell * torch.sigmoid(f + forget_bias) + torch.sigmoid(i) * torch.tanh(j)
        return torch.tanh(cell) * torch.sigmoid(o), cell

    return step, H


def run(layers, is_lstm, X, D):
    """States of each layer at each step and d h_T / d x_{T-d} of each layer, as flat arrays."""
    X = [x.clone().requires_grad_(True) for x in X]
    states = [tuple(torch.zeros(H, dtype=torch.float64) for _ in range(2 if is_lstm else 1)) for _, H in layers]
    history = [[] for _ in layers]
    for x in X:
        for k, (step, _) in enumerate(layers):
            states[k] = step(x, states[k])
            history[k].append([s.detach().numpy() for s in states[k]])
            x = states[k][0]
    parts = []
    for h in history:
        for part in range(2 if is_lstm else 1):
            parts.append(("state", np.stack([s[part] for s in h])))
    for k, (_, H) in enumerate(layers):
        G = np.zeros((D, H, X[0].shape[0]))
        for i in range(H):
            grads = torch.autograd.grad(states[k][0][i], X[::-1][:D], retain_graph=True, allow_unused=True)
            for d, g in enumerate(grads):
                if g is not None:
                    G[d, i] = g.numpy()
        parts.append(("gradient", G))
    return parts, states[-1][0].detach().numpy()


class Comparison:
    """Runs the probe on a model file and compares; keeps the largest difference of each row of the table."""

    def __init__(self, probe, program):
        self.probe, self.program = probe, program
        self.table = {}
        self.failures = 0
        self.count = 0
        self.folder = tempfile.mkdtemp(prefix="sg_import_")

    def path(self, name):
        return os.path.join(self.folder, name)

    def check(self, row, path, layers, is_lstm, emb, ids, D=4, decoder=None, bias=None, act=None, args=(),
              tolerance=1e-5):
        """emb: (V,E) rows looked up by ids, or None with ids a (T,E) array of features."""
        X = [t64(emb[i]) for i in ids] if emb is not None else [t64(x) for x in ids]
        parts, h = run(layers, is_lstm, X, D)
        if decoder is not None:
            v = {None: h, "relu": np.maximum(h, 0), "tanh": np.tanh(h)}[act]
            parts.append(("scores", np.asarray(decoder, np.float64) @ v + (0 if bias is None else np.asarray(bias, np.float64))))
        inputs, out = self.path("inputs"), self.path("out")
        np.asarray(ids, dtype=np.int32 if emb is not None else np.float32).tofile(inputs)
        p = subprocess.run([self.probe, path, inputs, str(D), out, *args], capture_output=True, text=True)
        self.count += 1
        if p.returncode:
            return self.fail(f"{row}: {os.path.basename(path)}: {p.stderr.strip()}")
        got = np.fromfile(out, dtype=np.float32).astype(np.float64)
        if got.size != sum(a.size for _, a in parts):
            return self.fail(f"{row}: {got.size} numbers, expected {sum(a.size for _, a in parts)}")
        worst, at = 0.0, 0
        for what, want in parts:
            mine = got[at:at + want.size].reshape(want.shape)
            at += want.size
            scale = np.abs(want).max()
            difference = np.abs(mine - want).max() / (scale if scale > 0 else 1)
            if not difference <= tolerance:
                self.fail(f"{row}: {os.path.basename(path)}: {what} differs by {difference:.3g} of its largest entry")
            worst = max(worst, difference)
        self.table[row] = max(self.table.get(row, 0.0), worst)

    def fail(self, text):
        self.failures += 1
        print("FAIL", text)
        if "STATEGRAD_FIRST" in os.environ:  # tools/mutate: one is enough
            self.finish()

    def run_program(self, *args):
        return subprocess.run([self.program, *args], capture_output=True, text=True)

    def refuses(self, path, *words, args=(), code=1):
        """`info` gives no reading, `import` exits with the code (1: the file, 2: an option) and one line of all the words."""
        self.count += 1
        p = self.run_program("import", path, "-o", self.path("refused"), *args)
        line = p.stderr.strip()
        lines = [l for l in line.split("\n") if "warning" not in l]
        if p.returncode != code or len(lines) != 1 or any(w not in line for w in words):
            self.fail(f"{os.path.basename(path)}: exit {p.returncode}, expected a refusal with {words}, found: {line[:400]}")
        if os.path.exists(self.path("refused")):
            self.fail(f"{os.path.basename(path)}: refused, but an output was written")

    def finish(self):
        for row in sorted(self.table):
            print(f"{row:44s} {self.table[row]:.2g}")
        subprocess.run(["rm", "-r", self.folder])
        print(f"{self.count} checks, {self.failures} failed")
        sys.exit(1 if self.failures or not self.count else 0)
