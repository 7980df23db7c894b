#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""ONNX files: made node by node with onnx.helper against the operators' definitions, and exported by PyTorch against
torch.nn's own weights."""
import io
import sys
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
from import_reference import Comparison, hard_sigmoid, onnx_layer, torch_layer

cmp = Comparison(sys.argv[1], sys.argv[2])
V, E, H, T = 13, 5, 7, 9
rng = np.random.default_rng(11)
ids = rng.integers(0, V, T)
GATES = {"lstm": 4, "gru": 3, "gru-reset-first": 3, "rnn": 1, "rnn-relu": 1}
OPS = {"lstm": "LSTM", "gru": "GRU", "gru-reset-first": "GRU", "rnn": "RNN", "rnn-relu": "RNN"}
FLOAT = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16,
         "bfloat16": TensorProto.BFLOAT16}


def bfloat16(a):
    """Rounded by cutting: the numbers themselves are made representable first."""
    return (np.asarray(a, np.float32).view(np.uint32) & 0xffff0000).view(np.float32)


def rounded(a, dtype):
    return bfloat16(a).astype(np.float64) if dtype == "bfloat16" else np.asarray(a).astype(dtype).astype(np.float64)


def tensor(name, a, dtype="float32", raw=True):
    t = TensorProto(name=name, dims=np.shape(a), data_type=FLOAT[dtype])
    a = np.asarray(a)
    if dtype == "bfloat16":
        bits = (bfloat16(a).view(np.uint32) >> 16).astype(np.uint16)
        if raw:
            t.raw_data = bits.tobytes()
        else:
            t.int32_data.extend(int(x) for x in bits.ravel())
    elif raw:
        t.raw_data = a.astype(dtype).tobytes()
    elif dtype == "float16":
        t.int32_data.extend(int(x) for x in a.astype("f2").view(np.uint16).ravel())
    else:
        (t.float_data if dtype == "float32" else t.double_data).extend(a.astype(dtype).ravel().tolist())
    return t


def ints(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def weights(cell, inputs, bias=True):
    G = GATES[cell]
    return {"W": rng.normal(size=(1, G * H, inputs)) / 2, "R": rng.normal(size=(1, G * H, H)) / 2,
            "B": rng.normal(size=(1, 2 * G * H)) if bias else None}


def model(nodes, initializers, inputs=("ids",), outputs=("scores",), opset=13, path="model.onnx"):
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(i, TensorProto.INT64, None) for i in inputs],
                          [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs], initializers)
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", opset)])
    with open(cmp.path(path), "wb") as f:
        f.write(m.SerializeToString())
    return cmp.path(path)


def recurrent(cell, k, x, w, dtype="float32", raw=True, prefix=""):
    """Node k reading x (seq, batch, inputs), its initializers, the name of its output without the direction."""
    names = [f"{prefix}{n}{k}" if w[n] is not None else "" for n in "WRB"]
    attributes = {"hidden_size": H}
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    if cell == "rnn-relu":
        attributes["activations"] = ["Relu"]
    node = helper.make_node(OPS[cell], [x, *names], [f"{prefix}Y{k}", ""], f"{prefix}rec{k}", **attributes)
    squeeze = helper.make_node("Squeeze", [f"{prefix}Y{k}", "one"], [f"{prefix}h{k}"])
    return [node, squeeze], [tensor(n, w[i], dtype, raw) for n, i in zip(names, "WRB") if n], f"{prefix}h{k}"


def reference(cell, stack, dtype="float32"):
    r = lambda a: None if a is None else rounded(a[0], dtype)
    kind = "gru" if cell == "gru-reset-first" else cell
    return [onnx_layer(kind, r(w["W"]), r(w["R"]), r(w["B"]), 1 if cell == "gru" else 0) for w in stack]


emb, dec, bias = rng.normal(size=(V, E)), rng.normal(size=(H, V)), rng.normal(size=V)

# ---- every cell, layers, dtype, as raw bytes and as lists of numbers ----
for cell in GATES:
    for n in (1, 2, 3):
        stack = [weights(cell, E if k == 0 else H) for k in range(n)]
        for dtype in FLOAT:
            for raw in (True, False):
                nodes = [helper.make_node("Gather", ["emb", "ids"], ["x"])]
                init, x = [tensor("emb", emb, dtype, raw), tensor("dec", dec, dtype, raw), tensor("bias", bias, dtype, raw),
                           ints("one", 1)], "x"
                for k, w in enumerate(stack):
                    more, tensors, x = recurrent(cell, k, x, w, dtype, raw)
                    nodes += more
                    init += tensors
                nodes += [helper.make_node("MatMul", [x, "dec"], ["p"]), helper.make_node("Add", ["bias", "p"], ["scores"])]
                cmp.check(f"ONNX, {cell}, {dtype}", model(nodes, init), reference(cell, stack, dtype), cell == "lstm",
                          rounded(emb, dtype), ids, decoder=rounded(dec, dtype).T, bias=rounded(bias, dtype))

# ---- constants on the way: Slice, Concat, Unsqueeze, Transpose, Reshape, Constant nodes; PyTorch's order i,f,g,o ----
w = {k: rng.normal(size=s) / 2 for k, s in (("W", (4 * H, E)), ("R", (4 * H, H)), ("bi", (4 * H,)), ("bh", (4 * H,)))}
for opset in (11, 13):
    nodes, init = [], [tensor("emb", emb), ints("one", 1), ints("zero", 0), tensor("W.t", w["W"].T), tensor("bi", w["bi"]),
                       tensor("bh", w["bh"])]
    nodes.append(helper.make_node("Constant", [], ["R"], value=tensor("", w["R"])))
    nodes.append(helper.make_node("Transpose", ["W.t"], ["W"], perm=[1, 0]))
    for name in ("W", "R", "bi", "bh"):
        parts = []
        for k, (a, b) in enumerate(((0, H), (3 * H, 2 ** 62), (-3 * H, 2 * H), (2 * H, -H))):  # i, o, f, g
            init += [ints(f"{name}.a{k}", a), ints(f"{name}.b{k}", b)]
            nodes.append(helper.make_node("Slice", [name, f"{name}.a{k}", f"{name}.b{k}", "zero"], [f"{name}.{k}"]))
            parts.append(f"{name}.{k}")
        nodes.append(helper.make_node("Concat", parts, [f"{name}.c"], axis=-1 if name[0] == "b" else 0))
    nodes.append(helper.make_node("Concat", ["bi.c", "bh.c"], ["B.c"], axis=0))
    for name in ("W", "R"):
        if opset >= 13:
            nodes.append(helper.make_node("Unsqueeze", [f"{name}.c", "zero"], [f"{name}.u"]))
        else:
            nodes.append(helper.make_node("Unsqueeze", [f"{name}.c"], [f"{name}.u"], axes=[0]))
    init.append(ints("shape", 1, 8 * H))
    if opset >= 13:
        nodes.append(helper.make_node("Unsqueeze", ["B.c", "zero"], ["B.u"]))
    else:
        nodes.append(helper.make_node("Unsqueeze", ["B.c"], ["B.u"], axes=[-2]))
    nodes += [helper.make_node("Identity", ["W.u"], ["W.i"]), helper.make_node("Gather", ["emb", "ids"], ["x"]),
              helper.make_node("LSTM", ["x", "W.i", "R.u", "B.u"], ["Y"], "rec", hidden_size=H)]
    layers = [torch_layer("lstm", *(w[k].astype("f4").astype(float) for k in ("W", "R", "bi", "bh")))]
    cmp.check("ONNX, constants through operators", model(nodes, init, outputs=("Y",), opset=opset), layers, True,
              emb.astype("f4").astype(float), ids)
# a reshaped initializer, Gemm, ReLU before it
w = weights("rnn", E)
nodes = [helper.make_node("Gather", ["emb", "ids"], ["x"]), helper.make_node("Reshape", ["W.flat", "W.shape"], ["W0"]),
         helper.make_node("RNN", ["x", "W0", "R0"], ["Y"], hidden_size=H), helper.make_node("Squeeze", ["Y", "one"], ["h"]),
         helper.make_node("Relu", ["h"], ["a"]), helper.make_node("Gemm", ["a", "dec", "bias"], ["s"], transB=1),
         helper.make_node("LogSoftmax", ["s"], ["scores"])]
init = [tensor("emb", emb), tensor("W.flat", w["W"].ravel()), ints("W.shape", 1, H, -1), tensor("R0", w["R"]), ints("one", 1),
        tensor("dec", dec.T), tensor("bias", bias)]
f4 = lambda a: np.asarray(a).astype("f4").astype(float)
cmp.check("ONNX, Reshape, ReLU, Gemm", model(nodes, init), reference("rnn", [dict(w, B=None)]), False, f4(emb), ids,
          decoder=f4(dec).T, bias=f4(bias), act="relu")

# ---- in the branches of an If, the same layer in both; features go in ----
w = weights("lstm", E)


def branch(name):
    nodes, _, out = recurrent("lstm", 0, "x", w)
    for n in nodes:
        n.output[0] += name
        n.input[0] += "" if n.input[0] == "x" else name
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(out + name, TensorProto.FLOAT, None)])


nodes = [helper.make_node("Conv", ["signal", "filter"], ["c"]), helper.make_node("Relu", ["c"], ["x"]),
         helper.make_node("If", ["flag"], ["y"], then_branch=branch("then"), else_branch=branch("else"))]
init = [tensor("filter", rng.normal(size=(E, 1, 3))), *(tensor(f"{k}0", w[k]) for k in "WRB"), ints("one", 1)]
features = rng.normal(size=(T, E)).astype(np.float32)
cmp.check("ONNX, inside If, features", model(nodes, init, ("signal", "flag"), ("y",)), reference("lstm", [w]), True, None,
          features)


# ---- exported by PyTorch ----
class Net(nn.Module):
    def __init__(self, cell, layers, batch_first):
        super().__init__()
        self.encoder = nn.Embedding(V, E)
        self.rnn = getattr(nn, OPS[cell])(E, H, layers, batch_first=batch_first)
        self.decoder = nn.Linear(H, V)

    def forward(self, x):
        return self.decoder(self.rnn(self.encoder(x))[0])


torch.manual_seed(3)
for cell in ("lstm", "gru", "rnn"):
    for n in (1, 2, 3):
        for batch_first in (False, True):
            net = Net(cell, n, batch_first).eval()
            out = io.BytesIO()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    torch.onnx.export(net, torch.zeros((4, 2), dtype=torch.long), out, opset_version=13,
                                      input_names=["ids"], dynamic_axes={"ids": [0, 1]})
            except Exception as e:
                print(f"skipped: torch.onnx.export: {e}")
                continue
            with open(cmp.path("model.onnx"), "wb") as f:
                f.write(out.getvalue())
            g = lambda name: getattr(net.rnn, name).detach().double().numpy()
            cmp.check(f"ONNX, exported by PyTorch, {cell}", cmp.path("model.onnx"),
                      [torch_layer(cell, *(g(f"{a}_l{k}") for a in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))
                       for k in range(n)], cell == "lstm", net.encoder.weight.detach().double().numpy(), ids,
                      decoder=net.decoder.weight.detach().double().numpy(), bias=net.decoder.bias.detach().double().numpy())


# ---- refusals ----
def words_model(change=None, between=(), extra=(), w=None, x="x", tail=(), cell="lstm"):
    w = w or weights(cell, E)
    more, tensors, h = recurrent(cell, 0, x, w)
    if change:
        change(more[0])
    nodes = [helper.make_node("Gather", ["emb", "ids"], ["x"]), *between, *more, *tail]
    return model(nodes, [tensor("emb", emb), ints("one", 1), *tensors, *extra], outputs=("Y0",))


def attribute(**a):
    def change(node):
        kept = [x for x in node.attribute if x.name not in a]
        del node.attribute[:]
        node.attribute.extend(kept)
        for k, v in a.items():
            node.attribute.append(helper.make_attribute(k, v))
    return change


def peepholes(node):
    node.input.extend(["", "", "", "P"])


cmp.refuses(words_model(attribute(direction="bidirectional")), "W0", "not forward")
cmp.refuses(words_model(attribute(direction="reverse")), "W0", "not forward")
cmp.refuses(words_model(peepholes, extra=[tensor("P", np.ones((1, 3 * H)))]), "peepholes", "tensor P")
cmp.refuses(words_model(attribute(clip=1.0)), "W0", "clips")
cmp.refuses(words_model(attribute(input_forget=1)), "W0", "couples")
cmp.refuses(words_model(attribute(activations=["HardSigmoid", "Tanh", "Tanh"], activation_alpha=[1 / 6])), "W0", "0.2 a + 0.5")
cmp.refuses(words_model(attribute(activations=["HardSigmoid", "Tanh", "Tanh"], activation_beta=[0.4])), "W0", "0.2 a + 0.5")
cmp.refuses(words_model(attribute(activations=["Sigmoid", "Relu", "Tanh"])), "W0", "sigmoid, relu, tanh")
cmp.refuses(words_model(attribute(activations=["Sigmoid", "Softsign", "Tanh"])), "W0", "Softsign", "states tanh or relu")
cmp.refuses(words_model(attribute(activations=["Sigmoid", "Tanh", "Tanh", "Tanh"])), "W0", "activation Tanh")
for cell, names, more in (("lstm", ["HardSigmoid", "Tanh", "Tanh"], {}), ("lstm", ["Sigmoid", "Relu", "Relu"], {}),
                          ("lstm", ["HardSigmoid", "Relu", "Relu"], {"activation_alpha": [0.2], "activation_beta": [0.5]}),
                          ("gru-reset-first", ["HardSigmoid", "Tanh"], {})):
    w = {k: a * (.4 if "Relu" in names else 1.5) for k, a in weights(cell, E).items()}
    functions = {"gate": hard_sigmoid if names[0][0] == "H" else torch.sigmoid, "state": getattr(torch, names[1].lower())}
    cmp.check(f"ONNX, {cell}, {names[0]}, {names[1]}",
              words_model(attribute(activations=names, **more), w=w, cell=cell),
              [onnx_layer(cell.split("-")[0], *(rounded(w[k][0], "float32") for k in "WRB"), 0, **functions)], cell == "lstm", rounded(emb, "float32"), ids)
cmp.refuses(words_model(attribute(hidden_size=H + 1)), "W0", "hidden_size")
cmp.refuses(words_model(between=[helper.make_node("Relu", ["x"], ["y"], "attention")], x="y"), "attention", "lies between", "W0")
cmp.refuses(words_model(w=dict(weights("lstm", E), B=np.zeros((1, 7)))), "B0", "(1, 7)")
cmp.refuses(words_model(lambda n: n.input.__setitem__(1, "ids")), "not constants")
cmp.refuses(words_model(lambda n: n.input.__setitem__(1, "Wx"), extra=[tensor("two", np.full(1, 2.0))],
                        between=[helper.make_node("Mul", ["W0", "two"], ["Wx"])]), "passes through Mul")
cmp.refuses(words_model(), "no vocabulary")
one, two = weights("lstm", E), weights("lstm", E)
a, ta, _ = recurrent("lstm", 0, "x", one, prefix="a.")
b, tb, _ = recurrent("lstm", 0, "x", two, prefix="b.")
path = model([helper.make_node("Gather", ["emb", "ids"], ["x"]), *a, *b], [tensor("emb", emb), ints("one", 1), *ta, *tb],
             outputs=("a.Y0", "b.Y0"))
cmp.refuses(path, "a.W0", "b.W0", "--map rnn.weight_ih_l0")
cmp.check("ONNX, --map chooses a stack", path, reference("lstm", [two]), True, f4(emb), ids,
          args=["rnn.weight_ih_l0=b.W0"])

# ---- hostile: circles, external data, sizes ----
cmp.refuses(words_model(lambda n: n.input.__setitem__(1, "loop"),
                        between=[helper.make_node("Identity", ["loop2"], ["loop"]),
                                 helper.make_node("Identity", ["loop"], ["loop2"])]), "cycle")
external = tensor("far", np.ones((V, E)))
external.ClearField("raw_data")
external.data_location = TensorProto.EXTERNAL
external.external_data.add(key="location", value="/etc/hostname")
cmp.refuses(words_model(extra=[external]), "far", "another file")
huge = tensor("huge", np.ones(4))
del huge.dims[:]
huge.dims.extend([2 ** 40, 2 ** 40])
cmp.refuses(words_model(extra=[huge]), "huge", "overflows")
huge.dims[:] = [10 ** 9]
cmp.refuses(words_model(extra=[huge]), "huge", "number of values")
huge.dims[:] = [-4]
cmp.refuses(words_model(extra=[huge]), "huge", "negative")
cmp.refuses(words_model(extra=[tensor("emb", emb)]), "emb", "twice")
deep = helper.make_node("Identity", ["x"], ["y"])
for _ in range(60):
    deep = helper.make_node("If", ["flag"], ["y"], then_branch=helper.make_graph([deep], "g", [], []))
cmp.refuses(words_model(between=[deep]), "nested")
doubled = [helper.make_node("Concat", ["W0", "W0"], ["c0"], axis=0)]
for k in range(40):
    doubled.append(helper.make_node("Concat", [f"c{k}", f"c{k}"], [f"c{k + 1}"], axis=0))
cmp.refuses(words_model(lambda n: n.input.__setitem__(1, "c40"), between=doubled), "weights W of a recurrent node")

cmp.finish()
