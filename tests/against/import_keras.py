#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Keras HDF5 files as Keras writes them (made with h5py), against the cells' definitions in Keras's own gate order."""
import json
import sys

import h5py
import numpy as np

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
import torch
from import_reference import Comparison, hard_sigmoid, keras_layer

cmp = Comparison(sys.argv[1], sys.argv[2])
V, E, H, T = 13, 5, 7, 9
rng = np.random.default_rng(7)
ids = rng.integers(0, V, T)
GATES = {"lstm": 4, "gru": 3, "gru-reset-first": 3, "rnn": 1, "rnn-relu": 1}
CLASSES = {"lstm": "LSTM", "gru": "GRU", "gru-reset-first": "GRU", "rnn": "SimpleRNN", "rnn-relu": "SimpleRNN"}


def weights(cell, inputs, bias="full"):
    G = GATES[cell]
    shape = (2, G * H) if cell == "gru" and bias == "full" else (2 * G * H,) if bias == "cudnn" else (G * H,)
    return {"kernel": rng.normal(size=(inputs, G * H)) / 2, "recurrent_kernel": rng.normal(size=(H, G * H)) / 2,
            **({"bias": rng.normal(size=shape)} if bias else {})}


class File:
    """One network: layers added in order, then written like Keras's save() (with configuration) or save_weights()."""

    def __init__(self):
        self.layers = []

    def add(self, class_name, name, weights=None, inbound=None, path=None, **config):
        self.layers.append((class_name, name, weights or {}, inbound, path, config))
        return self

    def config(self, functional):
        out = []
        for i, (class_name, name, _, inbound, _, config) in enumerate(self.layers):
            layer = {"class_name": class_name, "config": {"name": name, **config}}
            if functional:
                layer["name"] = name
                before = inbound if inbound is not None else [self.layers[i - 1][1]] if i else []
                layer["inbound_nodes"] = [[[b, 0, 0, {}] for b in before]] if before else []
            out.append(layer)
        return {"class_name": "Functional" if functional else "Sequential", "config": {"name": "net", "layers": out}}

    def write(self, path, configuration="sequential", dtype="f4", **storage):
        with h5py.File(path, "w") as f:
            root = f
            if configuration:
                f.attrs["model_config"] = json.dumps(self.config(configuration == "functional"))
                root = f.create_group("model_weights")
            root.attrs["layer_names"] = np.array([n.encode() for _, n, *_ in self.layers])
            root.attrs["backend"] = b"tensorflow"
            for class_name, name, arrays, _, inner, _ in self.layers:
                g = root.create_group(name)
                names = [f"{inner or name}/{k}:0" for k in arrays]
                g.attrs["weight_names"] = np.array([n.encode() for n in names])
                for full, a in zip(names, arrays.values()):
                    g.create_dataset(full, data=np.asarray(a).astype(dtype), **storage)
        return path


def rounded(w, dtype):
    return {k: np.asarray(a).astype(dtype).astype(np.float64) for k, a in w.items()}


emb, out_kernel, out_bias = rng.normal(size=(V, E)), rng.normal(size=(H, V)), rng.normal(size=V)
for cell in GATES:
    for n in (1, 2, 3):
        stack = [weights(cell, E if k == 0 else H) for k in range(n)]
        for dtype in ("f4", "f8", "f2"):
            net = File().add("Embedding", "embedding", {"embeddings": emb})
            for k, w in enumerate(stack):
                config = {"activation": "relu" if cell == "rnn-relu" else "tanh"}
                if GATES[cell] > 1:
                    config["recurrent_activation"] = "sigmoid"
                if GATES[cell] == 3:
                    config["reset_after"] = cell == "gru"
                net.add(CLASSES[cell], f"r{k}", w, path=f"r{k}/{CLASSES[cell].lower()}_cell", **config)
                net.add("Dropout", f"drop{k}")
            net.add("Dense", "dense", {"kernel": out_kernel, "bias": out_bias}, activation="softmax")
            layers = [keras_layer("gru" if cell == "gru-reset-first" else cell, **{
                "kernel": w["kernel"], "recurrent": w["recurrent_kernel"], "bias": w["bias"]},
                reset_after=cell == "gru") for w in (rounded(w, dtype) for w in stack)]
            e, k, b = (np.asarray(a).astype(dtype).astype(np.float64) for a in (emb, out_kernel, out_bias))
            for how in ("sequential", "functional", None):
                path = net.write(cmp.path("model.h5"), how, dtype)
                args = ["--cell", "rnn-relu"] if cell == "rnn-relu" and how is None else []
                cmp.check(f"Keras, {cell}, float{8 * int(dtype[1])}", path, layers, cell == "lstm", e, ids, decoder=k.T,
                          bias=b, args=args)

# ---- other functions of gates and states, as Keras 1 and 2 default to them or their users name them ----
FUNCTIONS = (("lstm", "hard_sigmoid", "tanh"), ("lstm", "sigmoid", "relu"), ("lstm", "hard_sigmoid", "relu"),
             ("gru-reset-first", "hard_sigmoid", "tanh"))
for cell, gate, state in FUNCTIONS:
    for n in (1, 2):
        # states of max(., 0) grow: small weights; else some gates at 0 and 1
        stack = [{k: a * (.4 if state == "relu" else 1.5) for k, a in weights(cell, E if k == 0 else H).items()} for k in range(n)]
        net = File().add("Embedding", "e", {"embeddings": emb})
        for k, w in enumerate(stack):
            net.add(CLASSES[cell], f"r{k}", w, activation=state, reset_after=False,
                    recurrent_activation={"class_name": "function", "config": gate} if k else gate)
        net.add("Dense", "d", {"kernel": out_kernel, "bias": out_bias}, activation="softmax")
        functions = {"gate": hard_sigmoid if gate == "hard_sigmoid" else torch.sigmoid, "state": getattr(torch, state)}
        layers = [keras_layer(cell.split("-")[0], *rounded(w, "f4").values(), reset_after=False, **functions) for w in stack]
        cmp.check(f"Keras, {cell}, {gate}, {state}", net.write(cmp.path("model.h5")), layers, cell == "lstm",
                  np.asarray(emb).astype("f4"), ids, decoder=out_kernel.astype("f4").T, bias=out_bias.astype("f4"))

# ---- storage: chunked, shuffled, compressed, big-endian ----
w = weights("lstm", E)
net = File().add("Embedding", "e", {"embeddings": emb}).add("LSTM", "r", w).add(
    "Dense", "d", {"kernel": out_kernel, "bias": out_bias})
layers = [keras_layer("lstm", *(rounded(w, "f4")[k] for k in ("kernel", "recurrent_kernel", "bias")))]
f4 = lambda a: np.asarray(a).astype("f4").astype(float)
for storage in ({"chunks": True}, {"compression": "gzip", "shuffle": True, "fletcher32": True}):
    cmp.check("Keras, compressed and chunked", net.write(cmp.path("model.h5"), **storage), layers, True, f4(emb), ids,
              decoder=f4(out_kernel).T, bias=f4(out_bias))
cmp.check("Keras, big-endian", net.write(cmp.path("model.h5"), dtype=">f4"), layers, True, f4(emb), ids,
          decoder=f4(out_kernel).T, bias=f4(out_bias))

# ---- no bias; activation before the decoder; features ----
w = weights("lstm", E, None)
net = File().add("InputLayer", "in").add("Embedding", "e", {"embeddings": emb}).add("LSTM", "r", w, use_bias=False).add(
    "Activation", "a", activation="relu").add("TimeDistributed", "td", {"kernel": out_kernel, "bias": out_bias},
                                              layer={"class_name": "Dense", "config": {"activation": "softmax"}})
cmp.check("Keras, no bias, ReLU, TimeDistributed", net.write(cmp.path("model.h5")), [
    keras_layer("lstm", f4(w["kernel"]), f4(w["recurrent_kernel"]), None)], True, f4(emb), ids,
    decoder=f4(out_kernel).T, bias=f4(out_bias), act="relu")
w = weights("gru", E)
net = File().add("InputLayer", "in").add("GRU", "r", w, reset_after=True)
features = rng.normal(size=(T, E)).astype(np.float32)
cmp.check("Keras, features", net.write(cmp.path("model.h5")), [keras_layer("gru", *map(f4, w.values()))], False, None,
          features)


# ---- CuDNN: the weights of a plain layer, carried over as Keras itself does when it loads one as the other ----
def to_cudnn(w, G):
    """keras.saving: kernel.T.reshape(kernel.shape) gate by gate in C order, recurrent kernels transposed gate by gate;
    an LSTM's bias is split in two, a GRU's two biases lie one behind the other."""
    split = lambda a: np.hsplit(a, G)
    kernel = np.hstack([k.T.reshape(k.shape) for k in split(w["kernel"])])
    recurrent = np.hstack([k.T for k in split(w["recurrent_kernel"])])
    bias = w["bias"].reshape(-1) if G == 3 else np.concatenate([w["bias"] * 0.25, w["bias"] * 0.75])
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}


for cell, class_name in (("lstm", "CuDNNLSTM"), ("gru", "CuDNNGRU")):
    stack = [weights(cell, E), weights(cell, H)]
    net = File().add("Embedding", "e", {"embeddings": emb})
    for k, w in enumerate(stack):
        net.add(class_name, f"r{k}", to_cudnn(w, GATES[cell]))
    net.add("Dense", "d", {"kernel": out_kernel, "bias": out_bias}, activation="softmax")
    for how in ("sequential", None):
        cmp.check(f"Keras, {class_name}", net.write(cmp.path("model.h5"), how, "f8"), [
            keras_layer(cell, w["kernel"], w["recurrent_kernel"], w["bias"]) for w in stack], cell == "lstm", emb, ids,
            decoder=out_kernel.T, bias=out_bias)

# ---- refusals ----
def net_with(*middle, **how):
    n = File().add("Embedding", "e", {"embeddings": emb})
    for m in middle:
        n.add(*m[:2], *m[2:3], **(m[3] if len(m) > 3 else {}))
    return n.add("Dense", "d", {"kernel": out_kernel, "bias": out_bias}).write(cmp.path("model.h5"), **how)


lstm = weights("lstm", E)
cmp.refuses(net_with(("Bidirectional", "b", lstm, {"layer": {"class_name": "LSTM", "config": {}}})), "bidirectional", "b/b/kernel:0")
cmp.refuses(net_with(("LSTM", "r", lstm, {"recurrent_activation": "exponential"})), "recurrent_activation exponential", "r/r/kernel:0",
            "expected gates sigmoid or hard_sigmoid, states tanh or relu")
cmp.refuses(net_with(("LSTM", "r", lstm, {"activation": "softsign"})), "activation softsign", "LSTM")
cmp.refuses(net_with(("GRU", "r", weights("gru", E), {"activation": "relu", "reset_after": True})), "activation relu", "GRU", "state tanh")
with h5py.File(net_with(("LSTM", "r", lstm, {"recurrent_activation": "hard_sigmoid"})), "r+") as f:
    f.attrs["keras_version"] = "3.3.3"
cmp.refuses(cmp.path("model.h5"), "hard_sigmoid of Keras 3", "r/r/kernel:0")
cmp.refuses(net_with(("LSTM", "r", lstm)), "recurrent-activation", "sigmoid or hard_sigmoid", args=["--recurrent-activation", "tanh"], code=2)
cmp.refuses(net_with(("LSTM", "r", lstm, {"go_backwards": True})), "backwards")
cmp.refuses(net_with(("Attention", "att", {"scale": np.ones(3)}), ("LSTM", "r", lstm)), "att", "att/att/scale:0", "between")
cmp.refuses(net_with(("Dense", "mix", {"kernel": np.ones((E, E))}), ("LSTM", "r", lstm)), "mix", "between")
cmp.refuses(net_with(("LSTM", "r", lstm), ("LSTM", "s", weights("lstm", H + 1))), "s/s/kernel:0")
cmp.refuses(net_with(("LSTM", "r", lstm)), "no vocabulary")
two = File().add("Embedding", "e", {"embeddings": emb}).add("LSTM", "r", lstm).add(
    "Embedding", "e2", {"embeddings": emb}, inbound=[]).add("LSTM", "s", weights("lstm", E)).add(
    "Dense", "d", {"kernel": out_kernel, "bias": out_bias})
cmp.refuses(two.write(cmp.path("model.h5"), "functional"), "do not form one stack")

# ---- hostile: links and filters that reach out of the file ----
path = net_with(("LSTM", "r", lstm))
with h5py.File(path, "r+") as f:
    del f["model_weights/r/r/kernel:0"]
    f["model_weights/r/r/kernel:0"] = h5py.ExternalLink("/etc/hostname", "/x")
cmp.refuses(path, "r/r/kernel:0", "not in the file itself")
with h5py.File(path, "r+") as f:
    del f["model_weights/r/r/kernel:0"]
    f["model_weights/r/r/kernel:0"] = h5py.SoftLink("/model_weights/r/r/kernel:0")
cmp.refuses(path, "r/r/kernel:0", "not in the file itself")
with h5py.File(path, "r+") as f:
    del f["model_weights/r/r/kernel:0"]
    f["model_weights/r/r"].create_dataset("kernel:0", shape=(E, 4 * H), dtype="f4", external=[("/etc/hostname", 0, 4 * E * 4 * H)])
cmp.refuses(path, "r/r/kernel:0", "other files")
with h5py.File(path, "r+") as f:
    del f["model_weights/r/r/kernel:0"]
    f["model_weights/r/r"].create_dataset("kernel:0", data=lstm["kernel"].astype("f4"), scaleoffset=4)
cmp.refuses(path, "r/r/kernel:0", "filter")
with h5py.File(path, "r+") as f:
    del f["model_weights/r/r/kernel:0"]
    layout = h5py.VirtualLayout(shape=(E, 4 * H), dtype="f4")
    layout[:] = h5py.VirtualSource("/nowhere.h5", "x", shape=(E, 4 * H))
    f["model_weights/r/r"].create_virtual_dataset("kernel:0", layout)
cmp.refuses(path, "r/r/kernel:0", "other files")
with h5py.File(path, "r+") as f: # 10^9 entries that were never written
    del f["model_weights/e/e/embeddings:0"], f["model_weights/r/r/kernel:0"]
    f["model_weights/r/r"].create_dataset("kernel:0", data=lstm["kernel"].astype("f4"))
    f["model_weights/e/e"].create_dataset("embeddings:0", shape=(10**9, E), dtype="f4", chunks=(1000, E), compression="gzip")
cmp.refuses(path, "1000000000")

cmp.finish()
