#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""PyTorch files and safetensors: every cell, 1-3 layers, every way of saving, every dtype, against PyTorch's own nets
(torch.nn for the states, autograd through their definitions for the gradients)."""
import collections
import json
import os
import struct
import sys

import numpy as np
import torch
from torch import nn

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
from import_reference import Comparison, t64, torch_layer

cmp = Comparison(sys.argv[1], sys.argv[2])
V, E, H, T = 17, 6, 8, 9
rng = np.random.default_rng(5)
ids = rng.integers(0, V, T)
DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


def rnn_module(cell, layers, bias=True, inputs=E):
    args = dict(input_size=inputs, hidden_size=H, num_layers=layers, bias=bias)
    return {"lstm": lambda: nn.LSTM(**args), "gru": lambda: nn.GRU(**args), "rnn": lambda: nn.RNN(**args),
            "rnn-relu": lambda: nn.RNN(nonlinearity="relu", **args)}[cell]()


class Net(nn.Module):
    def __init__(self, cell, layers=1, bias=True, tied=False):
        super().__init__()
        self.encoder = nn.Embedding(V, H if tied else E)
        self.rnn = rnn_module(cell, layers, bias, H if tied else E)
        self.decoder = nn.Linear(H, V)
        if tied:
            self.decoder.weight = self.encoder.weight


def layers_of(net, cell, rnn=None):
    rnn = rnn or net.rnn
    out = []
    for k in range(rnn.num_layers):
        g = lambda n: getattr(rnn, f"{n}_l{k}").detach().double().numpy()
        zeros = np.zeros(rnn.weight_hh_l0.shape[0])
        out.append(torch_layer(cell, g("weight_ih"), g("weight_hh"), g("bias_ih") if rnn.bias else zeros,
                               g("bias_hh") if rnn.bias else zeros))
    return out


def numpy(t):
    return t.detach().double().numpy()


def check(row, path, net, cell, args=(), decoder=True, act=None, **more):
    cmp.check(row, path, layers_of(net, cell), cell == "lstm", numpy(net.encoder.weight), ids,
              decoder=numpy(net.decoder.weight) if decoder else None, bias=numpy(net.decoder.bias) if decoder else None,
              act=act, args=(["--cell", cell] if cell == "rnn-relu" else []) + list(args), **more)


def states_agree_with_torch(net, cell):
    """The reference itself: its definition of a cell is torch.nn's."""
    X = net.encoder(torch.tensor(ids)).double()
    want = net.rnn.double()(X.unsqueeze(1))[0][:, 0].detach().numpy()
    layers, h = layers_of(net, cell), None
    states = [tuple(torch.zeros(H, dtype=torch.float64) for _ in range(2)) for _ in layers]
    for t in range(T):
        x = X[t].detach()
        for k, (step, _) in enumerate(layers):
            states[k] = step(x, states[k] if cell == "lstm" else states[k][:1])
            x = states[k][0]
        cmp.count += 1
        if not np.abs(want[t] - x.numpy()).max() < 1e-12:
            cmp.fail(f"the reference differs from torch.nn for {cell}")
    net.rnn.float()


def write_safetensors(path, tensors, metadata=None):
    names = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, t in tensors.items():
        t = t.detach().contiguous()
        raw = (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy().tobytes()
        header[name] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


# ---- every cell, layers, container, dtype ----
torch.manual_seed(1)
for cell in ("lstm", "gru", "rnn", "rnn-relu"):
    for layers in (1, 2, 3):
        net = Net(cell, layers)
        states_agree_with_torch(net, cell)
        for name, dtype in DTYPES.items():
            cast = Net(cell, layers)
            cast.load_state_dict(net.state_dict())
            cast = cast.to(dtype)
            tensors = cast.state_dict()
            path = cmp.path("model")
            torch.save(tensors, path)
            check(f"PyTorch zip, {cell}, {name}", path, cast, cell)
            torch.save(tensors, path, _use_new_zipfile_serialization=False)
            check(f"PyTorch legacy, {cell}, {name}", path, cast, cell)
            write_safetensors(path, tensors)
            check(f"safetensors, {cell}, {name}", path, cast, cell)

# ---- ways of saving ----
net = Net("gru", 2)
path = cmp.path("model")
optimizer = torch.optim.Adam(net.parameters())
net.decoder(net.rnn(net.encoder(torch.tensor(ids)).unsqueeze(1))[0]).sum().backward()
optimizer.step()
held = {"epoch": 3, "loss": 1.5, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "args": None}
for zipped in (True, False):
    kind = "zip" if zipped else "legacy"

    def save(value, protocol=2):
        torch.save(value, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)

    save(net)
    check(f"PyTorch {kind}, whole module", path, net, "gru")
    save([net, None, optimizer])
    check(f"PyTorch {kind}, list of module and optimizer", path, net, "gru")
    save(held)
    check(f"PyTorch {kind}, dict with optimizer state", path, net, "gru")
    save(nn.DataParallel(net).state_dict())
    check(f"PyTorch {kind}, module. prefix", path, net, "gru")
    save({k: v for k, v in net.state_dict().items()}, 4)
    check(f"PyTorch {kind}, protocol 4", path, net, "gru")
    save(net, 4)
    check(f"PyTorch {kind}, whole module, protocol 4", path, net, "gru")
    save({"encoder": net.encoder.state_dict(), "rnn": net.rnn.state_dict(), "decoder": net.decoder.state_dict()})
    check(f"PyTorch {kind}, parts in dicts of their own", path, net, "gru")
    relu = Net("rnn-relu")
    save(relu)
    cmp.check(f"PyTorch {kind}, relu told by the module", path, layers_of(relu, "rnn-relu"), False,
              numpy(relu.encoder.weight), ids, decoder=numpy(relu.decoder.weight), bias=numpy(relu.decoder.bias))
    tied = Net("lstm", 2, tied=True)
    for name, value in (("tied", tied.state_dict()), ("tied module", tied)):
        save(value)
        check(f"PyTorch {kind}, {name}", path, tied, "lstm")
    plain = Net("lstm", 1, bias=False)
    save(plain.state_dict())
    check(f"PyTorch {kind}, no recurrent bias", path, plain, "lstm")
    turned = Net("lstm", 1)
    turned.rnn.weight_hh_l0.data = turned.rnn.weight_hh_l0.data.t().contiguous().t()
    turned.encoder.weight.data = torch.cat([turned.encoder.weight.data] * 2, 1)[:, :E]
    save(turned.state_dict())
    check(f"PyTorch {kind}, strided tensors", path, turned, "lstm")
    for act in ("relu", "tanh"):
        save(net.state_dict())
        check(f"PyTorch {kind}, --output-activation {act}", path, net, "gru", act=act,
              args=["--output", {"relu": "1", "tanh": "2"}[act]])

# a safetensors file of a tied model holds one of the two names, and says so
tied = Net("lstm", 1, tied=True)
tensors = tied.state_dict()
del tensors["decoder.weight"]
write_safetensors(path, tensors, {"format": "pt", "decoder.weight": "encoder.weight"})
check("safetensors, shared tensor by metadata", path, tied, "lstm")
write_safetensors(path, tensors)
check("safetensors, shared tensor by the lone bias", path, tied, "lstm")

# ---- AWD-LSTM: one module a layer, weight_hh_l0_raw is the parameter, weight_hh_l0 its copy with dropped weights ----
net = Net("lstm", 2)
awd = collections.OrderedDict()
awd["0.encoder.weight"] = net.encoder.weight
awd["0.encoder_dp.emb.weight"] = net.encoder.weight
for k in range(2):
    awd[f"0.rnns.{k}.weight_hh_l0_raw"] = getattr(net.rnn, f"weight_hh_l{k}")
    for name in ("weight_ih", "bias_ih", "bias_hh"):
        awd[f"0.rnns.{k}.module.{name}_l0"] = getattr(net.rnn, f"{name}_l{k}")
    awd[f"0.rnns.{k}.module.weight_hh_l0"] = getattr(net.rnn, f"weight_hh_l{k}") * 0.5
awd["1.decoder.weight"] = net.decoder.weight
awd["1.decoder.bias"] = net.decoder.bias
torch.save({"model": awd, "opt": {}}, path)
check("PyTorch zip, AWD-LSTM", path, net, "lstm")

# ---- cells: LSTMCell and GRUCell, one a layer ----
cells = nn.Module()
cells.embed = nn.Embedding(V, E)
cells.cells = nn.ModuleList([nn.GRUCell(E, H), nn.GRUCell(H, H)])
cells.head = nn.Linear(H, V)
torch.save(cells.state_dict(), path)
cmp.check("PyTorch zip, GRUCell stack", path,
          [torch_layer("gru", *(numpy(getattr(c, n)) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
           for c in cells.cells], False, numpy(cells.embed.weight), ids, decoder=numpy(cells.head.weight),
          bias=numpy(cells.head.bias))

# ---- a net without embedding: features go in ----
features = rng.normal(size=(T, E))
features = features.astype(np.float32)
for cell in ("lstm", "gru"):
    bare = rnn_module(cell, 2)
    torch.save(bare.state_dict(), path)
    cmp.check("PyTorch zip, features", path, layers_of(None, cell, bare), cell == "lstm", None, features)

# ---- ambiguity and --map ----
net = Net("gru", 1)
two = {"a": net.state_dict(), "b": Net("gru", 1).state_dict()}
torch.save(two, path)
cmp.refuses(path, "--map rnn.weight_ih_l0", "a.rnn.weight_ih_l0", "b.rnn.weight_ih_l0")
check("PyTorch zip, --map chooses a stack", path, net, "gru", args=["rnn.weight_ih_l0=a.rnn.weight_ih_l0"])
odd = collections.OrderedDict()
names = {"rnn.weight_ih_l0": "Wx", "rnn.weight_hh_l0": "Wh", "rnn.bias_ih_l0": "bx", "rnn.bias_hh_l0": "bh",
         "encoder.weight": "table", "decoder.weight": "table_out", "decoder.bias": "b_out"}
for ours, theirs in names.items():
    odd[theirs] = net.state_dict()[ours]
torch.save(odd, path)
cmp.refuses(path, "weight_ih_l0", "--map")
check("PyTorch zip, every role mapped", path, net, "gru", args=[f"{a}={b}" for a, b in names.items()])
square = nn.Module()
square.one, square.two = nn.Embedding(V, H), nn.Embedding(V, H)
square.rnn = nn.GRU(H, H)
torch.save(square.state_dict(), path)
cmp.refuses(path, "two interpretations fit", "one.weight", "two.weight", "--map encoder.weight=TENSOR")

# tensors that share one storage, as cuDNN keeps the weights of a layer: each at its own offset
one = Net("lstm")
flat = torch.cat([w.detach().reshape(-1) for w in one.rnn.parameters()])
parts, at = {}, 0
for name, w in one.rnn.named_parameters():
    parts[f"rnn.{name}"] = flat[at:at + w.numel()].view(w.shape)
    at += w.numel()
for legacy in (False, True):
    torch.save({**one.state_dict(), **parts}, path, _use_new_zipfile_serialization=not legacy)
    check("tensors of one storage", path, one, "lstm")

# ---- refusals name the tensor and say why ----
for module, words in ((nn.LSTM(E, H, bidirectional=True), ("weight_ih_l0_reverse", "bidirectional")),
                      (nn.LSTM(E, H, proj_size=4), ("weight_hr_l0", "projection"))):
    torch.save(module.state_dict(), path)
    cmp.refuses(path, *words)
    torch.save(module, path)
    cmp.refuses(path, *words)
between = nn.Module()
between.emb = nn.Embedding(V, E)
between.attn = nn.Linear(E, E)
between.rnn = nn.LSTM(E, H)
between.fc = nn.Linear(H, V)
torch.save(between.state_dict(), path)
cmp.refuses(path, "attn.weight", "between embedding and recurrence", "--ignore")
torch.save({**{f"model.{k}": v for k, v in between.state_dict().items()}, "vocab": [f"w{i}" for i in range(V)]}, path)
p = cmp.run_program("import", path, "-o", cmp.path("ours"), "--ignore", "attn.weight", "--ignore", "attn.bias")  # by the ends of their names
cmp.count += 1
if p.returncode:
    cmp.fail(f"--ignore by the end of a name: {p.stderr}")
cmp.refuses(path, "no tensor of this name", args=["--ignore", "model.attn"])
between.emb = nn.Embedding(V, E + 2)
torch.save(between.state_dict(), path)
cmp.refuses(path, "emb.weight", "the layer between embedding and recurrence is unknown")
wide = Net("gru").state_dict()
wide["rnn.weight_hh_l0"] = torch.zeros(3 * H, H + 1)
torch.save(wide, path)
cmp.refuses(path, "rnn.weight_hh_l0", "(24, 9)")
wide = Net("gru").state_dict()
wide["rnn.bias_hh_l0"] = torch.zeros(3 * H + 1)
torch.save(wide, path)
cmp.refuses(path, "rnn.bias_hh_l0", "(25)", "(24)")
for none in (float("nan"), float("inf"), -float("inf")):
    nan = Net("gru").state_dict()
    nan["rnn.bias_hh_l0"][3] = none
    torch.save(dict(nan, vocab=[f"w{i}" for i in range(V)]), path)
    cmp.refuses(path, "rnn.bias_hh_l0", "a NaN or an infinity", "index 3")
ints = Net("gru").state_dict()
ints["rnn.weight_hh_l0"] = torch.zeros(3 * H, H, dtype=torch.int32)
torch.save(dict(ints, vocab=[f"w{i}" for i in range(V)]), path)
cmp.refuses(path, "rnn.weight_hh_l0", "int32")
spread = Net("gru").state_dict()
spread["rnn.weight_hh_l0"] = torch.zeros(1, 1).expand(3 * H, H)
torch.save(dict(spread, vocab=[f"w{i}" for i in range(V)]), path)
cmp.refuses(path, "rnn.weight_hh_l0", "overlap")
# every byte of a safetensors file belongs to one tensor, and each tensor has the bytes of its shape
write_safetensors(path, Net("gru").state_dict())
with open(path, "rb") as f:
    header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    data = f.read()
order = sorted((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"])
last, second = order[-1], order[1]
moved = lambda names, begin, end: {n: {**x, "data_offsets": [x["data_offsets"][0] + begin, x["data_offsets"][1] + end]} if n in names else x for n, x in header.items()}
for changed, numbers, words in ((moved([last], -4, -4), data[:-4], ("overlap", last)), (moved([second], -4, -4), data, ("overlap", second)),
                                (moved(order[1:], 8, 8), data[:8] + data, ("belong to no tensor",)), (header, data + b"\0" * 8, ("tensors end at byte",)),
                                (moved([last], 0, -4), data[:-4], ("its shape needs", last)), (moved([last], 0, 4), data + b"\0" * 4, ("its shape needs", last))):
    text = json.dumps(changed).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + numbers)
    cmp.refuses(path, *words)
torch.save(net.state_dict(), path)
cmp.refuses(path, "no vocabulary", "17", "--vocab")
cmp.refuses(path, "no tensor of this name", args=["--map", "encoder.weight=nothing"])
torch.save(Net("lstm").state_dict(), path)
for order in ("i,f,f,o", "i,f,g", "i,f,g,o,o"):
    cmp.refuses(path, f"--gate-order {order}: expected an order of i, f, g, o", args=["--map", "rnn.weight_ih_l0=rnn.weight_ih_l0", "--gate-order", order], code=2)
torch.save(net.state_dict(), path)
cmp.refuses(path, "encoder.weight is given twice", args=["--map", "encoder.weight=encoder.weight", "--map", "encoder.weight=decoder.weight"], code=2)

# ---- vocabularies inside ----
words = [f"w{i}" for i in range(V)]
for name, value in (("list", words), ("map", {w: i for i, w in enumerate(words)}),
                    ("inverse map", {i: w for i, w in enumerate(words)}),
                    ("pair", {"itos": words, "stoi": {w: i for i, w in enumerate(words)}}),
                    ("string", "".join(chr(97 + i) for i in range(V)))):
    torch.save({"model": net.state_dict(), "vocab": value}, path)
    p = cmp.run_program("import", path, "-o", cmp.path("ours"))
    cmp.count += 1
    if p.returncode:
        cmp.fail(f"vocabulary as {name}: {p.stderr}")
        continue
    with open(cmp.path("ours"), "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    want = list(value) if name == "string" else words
    if json.loads(header["__metadata__"]["vocabulary"]) != want:
        cmp.fail(f"vocabulary as {name}: {header['__metadata__']['vocabulary'][:100]}")

# ---- nothing in a pickle is executed ----
class Bomb:
    def __reduce__(self):
        return os.system, ("touch " + cmp.path("executed"),)


torch.save({"model": net.state_dict(), "extra": Bomb(), "vocab": words}, path)
p = cmp.run_program("import", path, "-o", cmp.path("ours"))
cmp.count += 1
if p.returncode or os.path.exists(cmp.path("executed")):
    cmp.fail(f"a pickle with a call of os.system: exit {p.returncode}, executed: {os.path.exists(cmp.path('executed'))}")

cmp.finish()
