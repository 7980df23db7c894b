#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Models as people have them: what is not plain torch.nn or Keras, read with what has to be said about it, or refused by
the name of the tensor. Values are compared with the definitions in import_reference.py; refusals by their words. The
scripts of the project's collection of cases run too, where it is there."""
import importlib.util
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
from import_reference import Comparison, hard_sigmoid, keras_layer, onnx_layer, t64, torch_layer

cmp = Comparison(sys.argv[1], sys.argv[2])
shared = os.environ.get("STATEGRAD_SHARED", "")
V, E, H, T = 13, 5, 6, 8
rng = np.random.default_rng(11)
ids = rng.integers(0, V, T)
torch.manual_seed(4)
A = lambda *s: rng.normal(size=s).astype("f4") * .6
path = cmp.path("model")


def save(tensors):
    torch.save({k: torch.tensor(v) for k, v in tensors.items()}, path)


def safetensors(where, tensors, types=None):
    head, body = {}, b""
    for k, v in tensors.items():
        raw = v if isinstance(v, bytes) else np.ascontiguousarray(v, "<f4").tobytes()
        head[k] = {"dtype": (types or {}).get(k, ("F32",))[0], "shape": list((types or {}).get(k, (0, np.shape(v)))[1]),
                   "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    h = json.dumps(head).encode()
    open(where, "wb").write(struct.pack("<Q", len(h)) + h + body)


def maps(**roles):
    return [f"{k.replace('__', '.')}={v}" for k, v in roles.items()]


def program(*args, says=(), fails=False, lacks=()):
    """Runs the program: exit code and words on either stream."""
    cmp.count += 1
    p = cmp.run_program(*args)
    text = p.stdout + p.stderr
    if (p.returncode != 0) != fails or any(w not in text for w in says) or any(w in text for w in lacks):
        cmp.fail(f"{' '.join(str(a) for a in args)}: exit {p.returncode}, expected {says} and not {lacks}, found: {text[:700]}")
    return p


def options(args):
    """What the probe takes, as the program does: maps with --map."""
    out, i = [], 0
    while i < len(args):
        if args[i].startswith("--"):
            out.append(args[i])
            if args[i] in ("--gate-order", "--recurrent-activation", "--cell", "--forget-bias"):
                out.append(args[i + 1])
                i += 1
        else:
            out += ["--map", args[i]]
        i += 1
    return out


def told(args, *words):
    program("info", path, *options(args), says=words)


def text(name, content):
    with open(cmp.path(name), "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return cmp.path(name)


base = {"embedding.weight": A(V, E), "fc.weight": A(V, H), "fc.bias": A(V)}
common = dict(emb=base["embedding.weight"], ids=ids, decoder=base["fc.weight"], bias=base["fc.bias"])

# ---- hand-written cells: gate order, orientation, parts, left-over tensors ----
for kind, usual, orders in (("lstm", "ifgo", ("ifgo", "ifog", "ogfi", "gifo")), ("gru", "rzn", ("rzn", "zrn", "nzr"))):
    G = len(usual)
    for order in orders:
        blocks = {g: (A(H, E), A(H, H), A(H), A(H)) for g in usual}
        stack = lambda part, o: np.concatenate([blocks[g][part] for g in o])
        want = [torch_layer(kind, *(stack(k, usual) for k in range(4)))]
        comma = ",".join(order)
        names = maps(rnn__weight_ih_l0="x2h.weight", rnn__weight_hh_l0="h2h.weight", rnn__bias_ih_l0="x2h.bias",
                     rnn__bias_hh_l0="h2h.bias")
        hand = {**base, "x2h.weight": stack(0, order), "h2h.weight": stack(1, order), "x2h.bias": stack(2, order),
                "h2h.bias": stack(3, order)[:, None]}  # a bias stored as a column is a bias
        save(hand)
        cmp.check(f"mapped, --gate-order, {kind}", path, want, kind == "lstm", args=names + ["--gate-order", comma], **common)
        told(names, f"gates in the order {','.join(usual)}", "--gate-order", "W x, its rows are units")
        save({**hand, "x2h.weight": stack(0, order).T.copy(), "h2h.weight": stack(1, order).T.copy()})
        for more in ([], ["--transposed"]):
            cmp.check(f"mapped, x W, {kind}", path, want, kind == "lstm", args=names + ["--gate-order", comma] + more, **common)
        told(names, "x W, its columns are units")
        gates = {f"cell.{n}_{g}": blocks[g][k].T.copy() if k < 2 else blocks[g][k] for g in usual for k, n in enumerate("WUbc")}
        save({**base, **gates})
        per_gate = [f"rnn.{role}_l0=" + ",".join(f"cell.{n}_{g}" for g in order)
                    for role, n in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b"), ("bias_hh", "c"))]
        cmp.check(f"mapped gate by gate, {kind}", path, want, kind == "lstm", args=per_gate + ["--gate-order", comma], **common)
told(["rnn.weight_ih_l0=cell.W_r,cell.W_z,cell.W_n", "rnn.weight_hh_l0=cell.U_r,cell.U_z,cell.U_n", "rnn.bias_ih_l0=cell.b_r,cell.b_z,cell.b_n",
      "rnn.bias_hh_l0=cell.c_r,cell.c_z,cell.c_n"], "the GRU multiplies before it resets", "--cell gru-reset-first")
higher = {f"layers.{k}.{n}_{g}": A(*shape) for k in (0, 1) for g in "rzn" for n, shape in (("W", (H, H if k else E)), ("U", (H, H)))}
save({**base, **higher})  # a layer that nobody mapped
cmp.refuses(path, "layers.1.W_r", "differs from a mapped one in its number alone", "--map rnn.weight_ih_l1=layers.1.W_r",
            args=options(["rnn.weight_ih_l0=" + ",".join(f"layers.0.W_{g}" for g in "rzn"), "rnn.weight_hh_l0=" + ",".join(f"layers.0.U_{g}" for g in "rzn")]))
both = A(2, 3 * H)  # Keras keeps both biases of a GRU in one tensor
save({**base, "kernel": A(E, 3 * H), "recurrent": A(H, 3 * H), "biases": both})
kept = torch.load(path)
cmp.check("mapped, two biases in one", path, [keras_layer("gru", kept["kernel"], kept["recurrent"], both)], False,
          args=["rnn.weight_ih_l0=kernel", "rnn.weight_hh_l0=recurrent", "rnn.bias_ih_l0=biases", "--gate-order", "z,r,h"], **common)

# ---- a linear layer over cat(x, h), for all gates or for each; TensorFlow's GRU ----
for states_first in (False, True):
    for kind, order, end in (("lstm", "ifog", []), ("rnn", "h", ["--cell", "rnn"]), ("rnn-relu", "h", ["--cell", "rnn-relu"])):
        gates = {g: (A(H, E), A(H, H), A(H)) for g in order}
        usual = "ifgo" if kind == "lstm" else order
        rows = lambda part, o: np.concatenate([gates[g][part] for g in o])
        side = lambda o: np.concatenate([rows(1, o), rows(0, o)] if states_first else [rows(0, o), rows(1, o)], axis=1)
        role = "rnn.kernel_hx_l0=" if states_first else "rnn.kernel_l0="
        said = end + (["--gate-order", ",".join(order)] if kind == "lstm" else [])
        want = [torch_layer(kind, rows(0, usual), rows(1, usual), rows(2, usual), 0 * rows(2, usual))]
        save({**base, "cell.weight": side(order), "cell.bias": rows(2, order)})
        cmp.check(f"cat of inputs and states, {kind}", path, want, kind == "lstm", args=[role + "cell.weight", "rnn.bias_l0=cell.bias"] + said, **common)
        told([role + "cell.weight", "rnn.bias_l0=cell.bias"] + end, "W x, its rows are units", "states before inputs" if states_first else "inputs before states")
        save({**base, **{f"cell.{g}.weight": side(g) for g in order}, **{f"cell.{g}.bias": gates[g][2] for g in order}})
        cmp.check(f"cat of inputs and states, {kind}", path, want, kind == "lstm",
                  args=[role + ",".join(f"cell.{g}.weight" for g in order), "rnn.bias_l0=" + ",".join(f"cell.{g}.bias" for g in order)] + said, **common)
        if kind == "lstm":
            cmp.refuses(path, "cell.i.bias", "recurrent part", args=options([role + ",".join(f"cell.{g}.weight" for g in order)]))
            cmp.refuses(path, "3 tensors", "4 gates", args=options([role + "cell.i.weight,cell.f.weight,cell.o.weight", "--cell", "lstm"]), code=2)
ru, rub, candidate, cb = A(E + H, 2 * H), A(2 * H), A(E + H, H), A(H)
save({**base, "gates/kernel": ru, "gates/bias": rub, "candidate/kernel": candidate, "candidate/bias": cb})
whole = np.concatenate([ru[:, H:], ru[:, :H], candidate], axis=1)  # Keras: z, r, h
want = [keras_layer("gru", whole[:E], whole[E:], np.concatenate([rub[H:], rub[:H], cb]), reset_after=False)]
names = ["rnn.kernel_l0=gates/kernel,candidate/kernel", "rnn.bias_l0=gates/bias,candidate/bias"]
cmp.check("TensorFlow's GRU of two kernels", path, want, False, args=names, **common)
cmp.refuses(path, "--cell gru", "r*h", "gru-reset-first", args=options(names + ["--cell", "gru"]), code=2)
cmp.refuses(path, "GATES,CANDIDATE", args=options(["rnn.kernel_l0=gates/kernel", "--cell", "gru-reset-first"]), code=2)
cmp.refuses(path, "candidate/kernel", "(inputs + H, 4 H) or (4 H, inputs + H)", args=options(["rnn.kernel_l0=candidate/kernel"]))
names = maps(rnn__weight_ih_l0="x2h.weight", rnn__weight_hh_l0="h2h.weight", rnn__bias_ih_l0="x2h.bias", rnn__bias_hh_l0="h2h.bias")

save(hand)
cmp.refuses(path, "h2h.bias", "recurrent part", "--map rnn.bias_hh_l0=h2h.bias", args=options(names[:3]))
cmp.refuses(path, "x2h.bias", "recurrent part", "--map", args=options(names[:2] + names[3:]))
cmp.refuses(path, "--gate-order i,f", "r, z, n", args=options(names + ["--gate-order", "i,f"]), code=2)
cmp.refuses(path, "--transposed", "x2h.weight", args=options(names + ["--transposed"]))

# under torch's own names an order is refused, not applied or passed over, unless a map says that the names mislead
by_torch = {**base, **{f"rnn.{role}_l0": stack(k, "rzn") for k, role in enumerate(("weight_ih", "weight_hh", "bias_ih", "bias_hh"))}}
save(by_torch)
for option in (["--gate-order", "z,r,n"], ["--transposed"]):
    cmp.refuses(path, option[0], "rnn.weight_ih_l0", "does not apply", args=options(option), code=2)
cmp.check("torch's names, mapped with an order", path, [torch_layer("gru", *(stack(k, "rzn").reshape(G, H, -1)[[1, 0, 2]].reshape(stack(k, "rzn").shape) for k in range(4)))],
          False, args=["rnn.weight_ih_l0=rnn.weight_ih_l0", "--gate-order", "z,r,n"], **common)

# square matrices: nothing tells the orientation
W, U, b = A(H, H), A(H, H), A(H)
square = {"embedding.weight": A(V, H), "fc.weight": base["fc.weight"], "fc.bias": base["fc.bias"], "Wx": W, "Wh": U, "bias": b}
names = maps(rnn__weight_ih_l0="Wx", rnn__weight_hh_l0="Wh", rnn__bias_ih_l0="bias")
save(square)
for turned in (False, True):
    cmp.check("mapped squares", path, [torch_layer("rnn", W.T if turned else W, U.T if turned else U, b, b * 0)], False,
              square["embedding.weight"], ids, decoder=square["fc.weight"], bias=square["fc.bias"],
              args=names + ["--cell", "rnn"] + ["--transposed"] * turned)
told(names, "it is square: --transposed for the other")
# a tensor placed by --map is not offered again: one of two squares of one size
V2 = H
twice = {"table": A(V2, H), "table_out": A(V2, H), "Wx": W, "Wh": U, "bias": b}
save(twice)
told(names + ["encoder.weight=table"], "encoder.weight       = table\n", "decoder.weight       = table_out")

# ---- what stands beside the recurrence: asked about, folded in, or behind it ----
net = nn.LSTM(E, H)
sd = {f"lstm.{k}": v.numpy() for k, v in net.state_dict().items()}
layer = [torch_layer("lstm", *(sd[f"lstm.{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))]
P, q = A(E, 4), A(E)
narrow = A(V, 4)
save({"embedding.weight": narrow, "proj.weight": P, "proj.bias": q, **sd, "fc.weight": base["fc.weight"], "fc.bias": base["fc.bias"]})


def through(layers, P, q):
    """The first layer behind x -> P x + q: gradients are then with respect to x."""
    (step, n), rest = layers[0], layers[1:]
    P, q = t64(P), t64(q)
    return [(lambda x, s: step(P @ x + q, s), n)] + rest


folded = dict(emb=narrow, ids=ids, decoder=base["fc.weight"], bias=base["fc.bias"])
cmp.check("Linear between embedding and recurrence", path, through(layer, P, q), True, **folded)
told([], "linear map between embedding and recurrence", "without an activation")
P2, q2 = A(E, E), A(E)
save({"lin.weight": P2, "lin.bias": q2, **sd, **base})
for tensors in (["lin.weight"],):
    cmp.refuses(path, "lin.weight", "file does not record where it is used", "--map input.weight=lin.weight")
cmp.check("Linear of equal sizes, --map input.weight", path, through(layer, P2, q2), True, args=["input.weight=lin.weight"], **common)
save({**sd, **base, "ln.weight": A(E), "ln.bias": A(E)})  # behind everything in the order of the file, and of the size of the inputs
cmp.refuses(path, "ln.weight", "file does not record where it is used", "--map after=ln.weight", "--ignore ln.weight")
program("info", path, says=["--map after=ln.weight"], lacks=["input.weight"])  # no linear map
told(["after=ln.weight", "after=ln.bias"], "states only", "ln.weight")
p = program("import", path, "--ignore", "ln.weight", "--ignore", "ln.bias", "-o", cmp.path("ours"), "--vocab", cmp.path("voc"), fails=True)
open(cmp.path("voc"), "w").write("".join(f"w{i}\n" for i in range(V)))
open(cmp.path("text"), "w").write(" ".join(f"w{i}" for i in ids) + "\n")
program("import", path, "--ignore", "ln.weight", "--ignore", "ln.bias", "-o", cmp.path("ours"), "--vocab", cmp.path("voc"))
program("eval", cmp.path("ours"), cmp.path("text"), "--no-eos", says=["the tensors that --ignore left out: ln.weight, ln.bias"])
program("pairs", cmp.path("ours"), text("w.tsv", "w1 w2\tw2 w1\n"), "--no-eos", "-q", says=["the tensors that --ignore left out: ln.weight, ln.bias"])
O, r = A(9, H), A(9)
D, d = A(V, 9), A(V)
save({"embedding.weight": base["embedding.weight"], **sd, "between.weight": O, "between.bias": r, "fc.weight": D, "fc.bias": d})
told([], "states only", "between.weight")
told([], "--map output.weight=between.weight")
cmp.check("Linear behind the recurrence, --map output.weight", path, layer, True, base["embedding.weight"], ids,
          decoder=D.astype("f8") @ O, bias=D.astype("f8") @ r + d, args=["output.weight=between.weight"])

# ---- initial states, types and lengths that are not read, tied weights of which one was kept, optimizer state ----
for name, zero, *size in (("h0", False), ("init_h", False), ("h0", True), ("hidden_0", False, 1, H), ("start_state", False, H), ("init.weight", False, 1, 2 * H),
                          ("hidden_init.weight", False, H, 9), ("cell_init.0", False, 1, H), ("states.0", False, 1, H)):
    size = size or (1, 1, H)
    save({**base, **sd, name: np.zeros(size, "f4") if zero else A(*size)})
    if zero:
        cmp.check("a learned state that is zero", path, layer, True, **common)
    else:
        p = program("import", path, "-o", cmp.path("x"), "--vocab", cmp.path("voc"), fails=True,
                    says=[name, "starts from a learned state", "not supported"], lacks=["--ignore"])
ours = {"encoder.weight": base["embedding.weight"], **{"rnn." + k[5:]: v for k, v in sd.items()}, "decoder.weight": base["fc.weight"]}
safetensors(path, {**ours, "decoder.bias": bytes(V)}, {**{k: ("F32", np.shape(v)) for k, v in ours.items()}, "decoder.bias": ("F8_E4M3", (V,))})
cmp.refuses(path, "decoder.bias", "F8_E4M3", "float32")
safetensors(path, {**ours, "decoder.bias": A(V + 1)})
cmp.refuses(path, "decoder.bias", f"({V})", f"({V + 1})")
tied = {f"rnn.{k}": v.numpy() for k, v in nn.GRU(H, H).state_dict().items()}
whole = {k: torch.tensor(v) for k, v in {**base, **sd}.items()}  # kinds of tensors: the net is not read as one of features without its embedding
for name, tensor, *words in (("embedding.weight", torch.quantize_per_tensor(whole["embedding.weight"], .1, 0, torch.qint8), "holds QInt8Storage", "float32"),
                             ("embedding.weight", whole["embedding.weight"].to(torch.int8), "holds int8", "float32"), ("embedding.weight", whole["embedding.weight"].to_sparse(), "is sparse"),
                             ("fc.bias", torch.complex(whole["fc.bias"], whole["fc.bias"]), "holds ComplexFloat", "float32")):
    torch.save({**whole, name: tensor}, path)
    cmp.refuses(path, name, *words)
torch.save({**base, **sd}, path)
cmp.refuses(path, "holds no tensors", "arrays of NumPy")
for kept in ("decoder.weight", "encoder.weight"):
    safetensors(path, {kept: square["embedding.weight"] if kept[0] == "e" else square["embedding.weight"], **tied, "decoder.bias": base["fc.bias"]})
    cmp.check(f"tied, {kept} kept", path, [torch_layer("gru", *(tied[f"rnn.{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))],
              False, square["embedding.weight"], ids, decoder=square["embedding.weight"], bias=base["fc.bias"])
    told([], "(tied)")
    save({kept: square["embedding.weight"], **tied, "decoder.bias": base["fc.bias"]})  # another format, which keeps both unless one was removed
    program("info", path, *(["--vocab", cmp.path("voc")] if kept[0] == "d" else []), says=["(tied)"])
told([], "if its embedding was tied to decoder.weight", "--map encoder.weight=decoder.weight") if kept[0] == "d" else None
parts = {"emb": {"weight": torch.tensor(base["embedding.weight"])}, "rnn": {k[5:]: torch.tensor(v) for k, v in sd.items()},
         "fc": {"weight": torch.tensor(base["fc.weight"]), "bias": torch.tensor(base["fc.bias"])}}
moments = {0: {"step": 3, "exp_avg": torch.tensor(A(V, E)), "exp_avg_sq": torch.tensor(A(V, E))}, 1: {"momentum_buffer": torch.tensor(A(V, H))}}
for held in ("optimizer", "optimizer_states", "optim", "en_opt"):
    if held == "en_opt":  # parts of a seq2seq net; Adagrad, Adamax and others have names of their own
        moments[2] = {"sum": torch.tensor(A(4 * H)), "exp_inf": torch.tensor(A(E)), "d": torch.tensor(A(V))}
    state = {"state": moments, "param_groups": [{"lr": .1, "params": [0, 1]}]}
    torch.save({**parts, held: [state] if held.endswith("s") else state}, path)
    cmp.check("optimizer state beside it", path, layer, True, **common)

# ---- parts of the recurrence under torch's names: a role or a refusal by name, never taken to lie behind it ----
turned = {"embedding.weight": base["embedding.weight"], "fc.weight": base["fc.weight"], "fc.bias": base["fc.bias"],
          "cell.weight_ih": sd["lstm.weight_ih_l0"].T.copy(), "cell.weight_hh": sd["lstm.weight_hh_l0"].T.copy(), "cell.bias": sd["lstm.bias_ih_l0"]}
save(turned)  # x W, one bias: cells written by hand under the names of nn.LSTMCell
cmp.refuses(path, "cell.bias", "recurrent part", "--map rnn.bias_ih_l0=cell.bias")
for order in ("ifgo", "fiog"):
    blocks = lambda a: np.concatenate([np.split(a, 4)[order.index(g)] for g in "ifgo"])
    cmp.check("cells written by hand under torch's names", path, [torch_layer("lstm", *(blocks(sd[f"lstm.{n}_l0"]) for n in ("weight_ih", "weight_hh", "bias_ih")),
                                                                              np.zeros(4 * H))], True, args=["rnn.bias_ih_l0=cell.bias", "--gate-order", ",".join(order)], **common)
told(["rnn.bias_ih_l0=cell.bias"], "x W, its columns are units", "gates in the order i,f,g,o (--gate-order")
for name, shape, word in (("lstm.layernorm_i.weight", (4 * H,), "a normalisation within the cell"), ("lstm.bn_ih.running_mean", (4 * H,), "a normalisation within the cell"),
                          ("norms.0.weight", (4 * H,), "by its size"), ("lstm.weight_ci", (H,), "a peephole"), ("lstm.other", (3, 2), "by its name")):
    save({**base, **sd, name: A(*shape)})
    cmp.refuses(path, name, "recurrent part", word)
    program("info", path, *options([f"after={name}"]), says=["states only"])
for name, zero in (("start", False), ("start", True), ("hidden", False), ("h0_learned", False)):
    save({**base, **sd, name: np.zeros((1, 1, H), "f4") if zero else A(1, 1, H)})
    if zero:
        cmp.check("a learned state that is zero", path, layer, True, **common)
    else:
        program("import", path, "-o", cmp.path("x"), "--vocab", cmp.path("voc"), fails=True, says=[name, "states begin at zero"], lacks=["--ignore"])
two_layers = {f"l.{k}.{n}_l0": A(*s) for k in (0, 1) for n, s in (("weight_ih", (4 * H, H if k else E)), ("weight_hh", (4 * H, H)), ("bias_ih", (4 * H,)))}
save({**two_layers, "norms.0.weight": A(H), "out.weight": A(2, H)})  # a net of features
cmp.refuses(path, "norms.0.weight", "between layers", "--map after=norms.0.weight")
save({"lin.weight": A(E, 3), **sd, "out.weight": A(2, H)})
told([], "lin.weight (5, 3) may act before the recurrence")
for orig, beside, word in (("lstm.weight_hh_l0_orig", "lstm.weight_hh_l0_mask", "pruned"), ("fc.weight_orig", "fc.weight_u", "spectral normalisation")):
    plain_name = orig[:-5]
    save({**{k: v for k, v in {**base, **sd}.items() if k != plain_name}, orig: {**base, **sd}[plain_name], beside: A(4)})
    cmp.refuses(path, orig, word)

# what fits no known role: the reason says what it may be, and only that
save({**base, **sd, "losses": A(100)})
cmp.check("a tensor that is no part of the net", path, layer, True, **common)
told([], "losses (100) is taken for no part of the net")
for name, shape, reason in (("z2h.weight", (H, 9), "compute a first state, which is zero here"), ("z2h.weight", (9, H), "may act between the recurrent layers and the output"),
                            ("fc2._packed_params.scale", (H, 9), "belongs to a quantized layer")):
    save({**base, **sd, name: A(*shape)})
    told([], "states only", name, reason)
for decoder, bias in (("W_o", "b_o"), ("proj", "proj_b")):  # beside torch's names at the top level
    save({"embedding.weight": base["embedding.weight"], **{k: v.numpy() for k, v in net.state_dict().items()}, decoder: base["fc.weight"], bias: base["fc.bias"]})
    told([], "states only", bias, f"--map decoder.bias={bias}")
wide = nn.AdaptiveLogSoftmaxWithLoss(H, V, [5, 9], div_value=6.)  # tails of one dimension: of the size of H
torch.save({**{k: torch.tensor(v) for k, v in {"embedding.weight": base["embedding.weight"], **sd}.items()}, **{f"crit.{k}": v for k, v in wide.state_dict().items()}}, path)
told([], "states only", "crit.head.weight", "adaptive softmax")
for name in ("memory", "prev_h", "rnn_s"):  # H numbers that are called neither weight nor bias
    for zero in (True, False):
        save({**base, **sd, name: np.zeros(H, "f4") if zero else A(H)})
        if zero:
            told([], "1 layer")
        else:
            cmp.refuses(path, name, "may be a first state", f"--map after={name}")
            told([f"after={name}"], "states only", name)
save({**base, **sd, "attn.v": A(H)})
told([], "states only", "attn.v")
cells = {f"lstm{k}.{n}": v.numpy() for k, i in ((1, 1), (2, H)) for n, v in nn.LSTMCell(i, H).state_dict().items()}
save({**cells, "linear.weight": A(1, H), "linear.bias": A(1)})  # one output: no normalisation between the two
told([], "2 layers of 6, 6 units", "lstm2.weight_ih is taken for the layer above")
apart = {f"{side}_{n}": A(4 * H, H) for side in ("lower", "upper") for n in "xh"}
save({"embedding.weight": A(V, H), **apart, "fc.weight": base["fc.weight"]})
cmp.refuses(path, "upper_x", "recurrent part by its size", "--map rnn.weight_ih_l1=upper_x", args=options(["rnn.weight_ih_l0=lower_x", "rnn.weight_hh_l0=lower_h"]))

# ---- one-hot inputs ----
hot = nn.GRU(V, H, num_layers=2)
sd2 = {f"rnn.{k}": v.numpy() for k, v in hot.state_dict().items()}
layers2 = [torch_layer("gru", *(sd2[f"rnn.{n}_l{k}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))) for k in (0, 1)]
save({**sd2, "fc.weight": base["fc.weight"], "fc.bias": base["fc.bias"]})
cmp.check("one-hot inputs", path, layers2, False, np.eye(V), ids, decoder=base["fc.weight"], bias=base["fc.bias"], args=["--one-hot"])
told([], "if they are one-hot vectors of words, use --one-hot")
program("import", path, "--one-hot", "-o", cmp.path("x"), fails=True, says=["holds no vocabulary for its 13 words"])
program("import", path, "--vocab", text("v12", "".join(f"w{i}\n" for i in range(12))), "-o", cmp.path("x"), fails=True, says=["12 words", "13"])
program("info", path, "--vocab", cmp.path("voc"), says=["one-hot vectors of 13 words", "13 words in 13 dimensions"])
torch.save({"state_dict": {k: torch.tensor(v) for k, v in {**sd2, "fc.weight": base["fc.weight"], "fc.bias": base["fc.bias"]}.items()},
            "tokens": tuple(chr(97 + i) for i in range(V))}, path)
program("import", path, "-o", cmp.path("ours"), says=["one-hot"])
program("check", cmp.path("ours"), "-q")
program("show", cmp.path("ours"), "--text", "abc", says=["a"])

# ---- weight norm, bidirectional nets, recurrences side by side ----
for old in (True, False):
    m = nn.Module()
    m.emb, m.lstm, m.fc = nn.Embedding(V, E), nn.LSTM(E, H), nn.Linear(H, V)
    plain = {k: v.detach().numpy() for k, v in m.lstm.state_dict().items()}
    for name in ("weight_hh_l0", "weight_ih_l0"):
        (nn.utils.weight_norm if old else nn.utils.parametrizations.weight_norm)(m.lstm, name) if old or hasattr(nn.utils.parametrizations, "weight_norm") else None
    g = dict(m.lstm.named_parameters())
    with torch.no_grad():
        for k, v in g.items():
            if k.endswith(("_g", "original0")):
                v.mul_(torch.tensor(1 + .5 * rng.random(v.shape), dtype=torch.float32))
    value = {}
    for name in ("weight_hh_l0", "weight_ih_l0"):
        if name + "_g" in g:
            gg, vv = g[name + "_g"].detach().double(), g[name + "_v"].detach().double()
            value[name] = (gg * vv / vv.norm(dim=1, keepdim=True)).numpy()
        else:
            value[name] = plain[name]
    torch.save(m.state_dict(), path)
    cmp.check("weight norm", path, [torch_layer("lstm", value["weight_ih_l0"], value["weight_hh_l0"], plain["bias_ih_l0"], plain["bias_hh_l0"])],
              True, m.emb.weight.detach().numpy(), ids, decoder=m.fc.weight.detach().numpy(), bias=m.fc.bias.detach().numpy())
g, v = A(4 * H, 1), A(4 * H, H)  # torch's newer names, written by hand
sd3 = {k: x for k, x in sd.items() if k != "lstm.weight_hh_l0"}
save({**base, **sd3, "lstm.parametrizations.weight_hh_l0.original0": g, "lstm.parametrizations.weight_hh_l0.original1": v})
cmp.check("weight norm, parametrized", path,
          [torch_layer("lstm", sd["lstm.weight_ih_l0"], g * v / np.linalg.norm(v, axis=1, keepdims=True), sd["lstm.bias_ih_l0"], sd["lstm.bias_hh_l0"])], True, **common)
ge, ve, gd, vd = A(V, 1), A(V, E), A(V, 1), A(V, H)
unit = lambda g, v: g * v / np.linalg.norm(v, axis=1, keepdims=True)
for old in (True, False):
    ends = ("weight_g", "weight_v") if old else ("parametrizations.weight.original0", "parametrizations.weight.original1")
    save({f"embedding.{ends[0]}": ge, f"embedding.{ends[1]}": ve, **sd, f"fc.{ends[0]}": gd, f"fc.{ends[1]}": vd, "fc.bias": base["fc.bias"]})
    cmp.check("weight norm of embedding and decoder", path, layer, True, unit(ge, ve), ids, decoder=unit(gd, vd), bias=base["fc.bias"])
save({"embedding.weight_v": ve, **sd, **{k: v for k, v in base.items() if k[0] == "f"}})
cmp.refuses(path, "embedding.weight_v", "weight norm", "its g")
for shape in ((), (1, H)):
    save({**base, **sd3, "lstm.weight_hh_l0_g": A(*shape) if shape else np.float32(2), "lstm.weight_hh_l0_v": v})
    cmp.refuses(path, "lstm.weight_hh_l0_g", "only one for each row")
both = {f"lstm.{k}": v.numpy() for k, v in nn.LSTM(E, H, num_layers=2, bidirectional=True).state_dict().items()}
save({"embedding.weight": base["embedding.weight"], **both, "fc.weight": A(V, 2 * H), "fc.bias": A(V)})
cmp.refuses(path, "weight_ih_l0_reverse", "bidirectional", "--forward-only")
cmp.check("forward direction of a bidirectional net", path, [torch_layer("lstm", *(both[f"lstm.{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")))],
          True, base["embedding.weight"], ids, args=["--forward-only"])
told(["--forward-only"], "fc.weight", "reads both directions, of which one is left out")
one, two = nn.LSTM(E, E), nn.LSTM(E, E)
side = {**{f"lstm1.{k}": v.numpy() for k, v in one.state_dict().items()}, **{f"lstm2.{k}": v.numpy() for k, v in two.state_dict().items()}}
save({"embedding.weight": base["embedding.weight"], **side, "fc.weight": A(V, E), "fc.bias": A(V)})
cmp.refuses(path, "lstm1.weight_ih_l0", "lstm2.weight_ih_l0", "side by side")
parts4 = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
sides = [torch_layer("lstm", *(side[f"lstm{k}.{n}_l0"] for n in parts4)) for k in (1, 2)]
torch.save({k: torch.tensor(v) for k, v in {"embedding.weight": base["embedding.weight"], **side}.items()}, path)
cmp.check("two numbered modules, stacked by --map", path, sides, True, base["embedding.weight"], ids,
          args=["rnn.weight_ih_l0=lstm1.weight_ih_l0", "rnn.weight_ih_l1=lstm2.weight_ih_l0"])
cmp.check("two numbered modules, one by --map", path, sides[1:], True, base["embedding.weight"], ids, args=["rnn.weight_ih_l0=lstm2.weight_ih_l0"])

# ---- Keras 3: .keras and .weights.h5; Keras 1 ----
def v3(weights, config=None):
    where = cmp.path("w.h5")
    with h5py.File(where, "w") as f:
        for group, arrays in weights:
            for i, x in enumerate(arrays):
                f.require_group(group).create_dataset(str(i), data=x)
    if config is None:
        shutil.copy(where, path)
        return
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("metadata.json", json.dumps({"keras_version": "3.8.0"}))
        z.writestr("config.json", json.dumps(config))
        z.write(where, "model.weights.h5")


def layer3(name, class_name, **config):
    return {"module": "keras.layers", "class_name": class_name, "config": {"name": name, "trainable": True, **config}, "registered_name": None}


def sequential(*layers):
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "sequential", "layers": [layer3("input", "InputLayer"), *layers]}}


table = A(V, E)
kout, kbias = A(H, V), A(V)
for kind, class_name, G in (("lstm", "LSTM", 4), ("gru", "GRU", 3), ("rnn", "SimpleRNN", 1), ("rnn-relu", "SimpleRNN", 1)):
    for depth in (1, 2):
        group = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple_rnn"}[class_name]
        scale = .3 if kind == "rnn-relu" else 1
        weights, config, want = [("layers/embedding/vars", [table])], [layer3("e", "Embedding", input_dim=V, output_dim=E, mask_zero=False)], []
        for k in range(depth):
            bias = A(2, 3 * H) if kind == "gru" else A(G * H)
            arrays = [A(H if k else E, G * H) * scale, A(H, G * H) * scale, bias]
            weights.append((f"layers/{group}{f'_{k}' if k else ''}/cell/vars", arrays))
            config.append(layer3(f"r{k}", class_name, units=H, activation="relu" if kind == "rnn-relu" else "tanh",
                                 **({} if G == 1 else {"recurrent_activation": "sigmoid"}), use_bias=True, reset_after=True, go_backwards=False))
            want.append(keras_layer(kind, *arrays))
        weights.append(("layers/dense/vars", [kout, kbias]))
        weights.append(("optimizer/vars", [np.int64(3), A(V, E)]))
        config.append(layer3("d", "Dense", units=V, activation={"class_name": "function", "config": "softmax"}, use_bias=True))
        v3(weights, sequential(*config))
        cmp.check(f"Keras 3, {kind}", path, want, kind == "lstm", table, ids, decoder=kout.T, bias=kbias)
        v3(weights)
        cmp.check(f"Keras 3 weights, {kind}", path, want, kind == "lstm", table, ids, decoder=kout.T, bias=kbias,
                  args=["--cell", kind] if kind == "rnn-relu" else [])
k3 = [A(E, 4 * H), A(H, 4 * H), A(4 * H)]
lstm3 = layer3("r", "LSTM", units=H, activation="tanh", recurrent_activation="sigmoid", use_bias=True)
emb3, dense3 = layer3("e", "Embedding", input_dim=V, output_dim=E), layer3("d", "Dense", units=V, activation="softmax")
K, kb = A(4, E), A(E)
v3([("layers/embedding/vars", [narrow]), ("layers/dense/vars", [K, kb]), ("layers/lstm/cell/vars", k3), ("layers/dense_1/vars", [kout, kbias])],
   sequential(layer3("e", "Embedding"), layer3("lin", "Dense", units=E, activation="linear"), lstm3, dense3))
cmp.check("Keras 3, Dense before the recurrence", path, through([keras_layer("lstm", *k3)], K.T, kb), True, narrow, ids, decoder=kout.T, bias=kbias)
gamma, beta, mean, var = A(H), A(H), A(H), np.abs(A(H)) + .1
M, mb = A(H, 7), A(7)
last, lastb = A(7, V), A(V)
s = gamma.astype("f8") / np.sqrt(var.astype("f8") + 1e-3)
v3([("layers/embedding/vars", [table]), ("layers/lstm/cell/vars", k3), ("layers/batch_normalization/vars", [gamma, beta, mean, var]),
    ("layers/dense/vars", [M, mb]), ("layers/dense_1/vars", [last, lastb])],
   sequential(emb3, lstm3, layer3("bn", "BatchNormalization", epsilon=1e-3), layer3("lin", "Dense", units=7, activation="linear"), dense3))
chain = last.T.astype("f8") @ M.T
cmp.check("Keras 3, BatchNormalization and Dense behind it", path, [keras_layer("lstm", *k3)], True, table, ids, decoder=chain * s,
          bias=chain @ (beta - mean * s) + last.T.astype("f8") @ mb + lastb)
affine = lambda mean, var, gamma, beta: (np.diag(gamma / np.sqrt(var.astype("f8") + 1e-3)), beta - mean * gamma / np.sqrt(var.astype("f8") + 1e-3))
low, second = (A(E), A(E), A(E), np.abs(A(E)) + .1), [A(7, 4 * H), A(H, 4 * H), A(4 * H)]
v3([("layers/embedding/vars", [table]), ("layers/batch_normalization/vars", [*low]), ("layers/lstm/cell/vars", k3), ("layers/batch_normalization_1/vars", [beta, mean, var]),
    ("layers/dense/vars", [M, mb]), ("layers/lstm_1/cell/vars", second), ("layers/dense_1/vars", [kout, kbias])],
   sequential(emb3, layer3("bn", "BatchNormalization", epsilon=1e-3), lstm3, layer3("bn1", "BatchNormalization", epsilon=1e-3, scale=False),
              layer3("lin", "Dense", units=7, activation="linear"), {**lstm3, "config": {**lstm3["config"], "name": "r2"}}, dense3))
P1, q1 = affine(mean, var, np.ones(H), beta)
cmp.check("Keras 3, BatchNormalization and Dense before and between layers", path,
          through([keras_layer("lstm", *k3)], *affine(low[2], low[3], low[0], low[1])) + through([keras_layer("lstm", *second)], M.T @ P1, M.T @ q1 + mb), True,
          table, ids, decoder=kout.T, bias=kbias)
v3([("layers/embedding/vars", [table]), ("layers/lstm/cell/vars", k3), ("layers/dense/vars", [M, mb]), ("layers/dense_1/vars", [last, lastb])],
   sequential(emb3, lstm3, layer3("act", "Dense", units=7, activation="relu"), dense3))
told([], "no decoder", "layers/dense/vars/0")
v3([("layers/embedding/vars", [table]), ("layers/bidirectional/forward_layer/cell/vars", k3), ("layers/bidirectional/backward_layer/cell/vars", k3)],
   sequential(emb3, {**layer3("b", "Bidirectional"), "config": {"name": "b", "layer": lstm3}}))
cmp.refuses(path, "bidirectional", "--forward-only")
cmp.check("Keras 3, forward direction", path, [keras_layer("lstm", *k3)], True, table, ids, args=["--forward-only"])
v3([("layers/embedding/vars", [table]), ("layers/lstm/cell/vars", k3), ("layers/layer_normalization/vars", [gamma, beta])])
cmp.refuses(path, "layers/layer_normalization/vars/0", "place", ".keras")
v3([("layers/embedding/vars", [A(V, H)]), ("layers/lstm/cell/vars", [A(H, 4 * H), A(H, 4 * H), A(4 * H)]), ("layers/lstm_1/cell/vars", [A(H, 4 * H), A(H, 4 * H), A(4 * H)])])
told([], "that lstm_1 reads lstm is assumed from their order")
program("info", path, "--gate-order", "i,f,o,g", fails=True, says=["--gate-order", "does not apply"])
# functions that are layers, or none; states and masks from other layers; variables that the cell does not have
plain3 = [("layers/embedding/vars", [table]), ("layers/lstm/cell/vars", k3), ("layers/dense/vars", [kout, kbias])]
leaky = {"module": "keras.layers", "class_name": "LeakyReLU", "config": {"negative_slope": .1}}
for setting, words in (({"activation": leaky}, ["activation LeakyReLU"]), ({"activation": None}, ["activation linear"]), ({"recurrent_activation": None}, ["recurrent_activation linear"]),
                       ({"recurrent_activation": ["a"]}, ["of an unknown kind"])):
    v3(plain3, sequential(emb3, {**lstm3, "config": {**lstm3["config"], **setting}}, dense3))
    cmp.refuses(path, "layer r", "layers/lstm/cell/vars/0", *words)
history = lambda name: {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
reads = lambda layer, *names, **more: {**layer, "name": layer["config"]["name"], "inbound_nodes": [{"args": [history(n) for n in names], "kwargs": more}]}
functional = lambda **more: {"module": "keras", "class_name": "Functional", "config": {"name": "f", "layers": [
    *({**layer3(n, "InputLayer"), "name": n, "inbound_nodes": []} for n in ("in", "h", "c")), reads(layer3("not", "NotEqual"), "in"), reads(emb3, "in"), reads(lstm3, "e", **more), reads(dense3, "r")]}}
for more, words in (({}, []), ({"mask": history("not"), "initial_state": None}, ["layer r leaves out the words that a mask names"])):
    v3(plain3, functional(**more))
    cmp.check("Keras 3, functional", path, [keras_layer("lstm", *k3)], True, table, ids, decoder=kout.T, bias=kbias)
    told([], *words)
v3(plain3, functional(initial_state=[history("h"), history("c")]))
cmp.refuses(path, "layer r", "3 input layers")
v3([plain3[0], ("layers/lstm/cell/vars", [*k3, A(3 * H)]), plain3[2]])
cmp.refuses(path, "layers/lstm/cell/vars/3", "further variable of its cell")
v3([plain3[0], ("layers/lstm/cell/vars", k3[:2]), plain3[2]], sequential(emb3, lstm3, dense3))
cmp.refuses(path, "layer r", "has no bias, but its configuration has use_bias")
sides3 = [(f"layers/bidirectional/{d}_layer/cell/vars", k3) for d in ("forward", "backward")]
v3([plain3[0], *sides3])
cmp.refuses(path, "layer bidirectional", "later", "--forward-only")
cmp.check("Keras 3 weights, forward direction", path, [keras_layer("lstm", *k3)], True, table, ids, args=["--forward-only"])
v3([*plain3[:2], *sides3])
cmp.refuses(path, "bidirectional and lstm", "first", ".keras", args=["--forward-only"])
hot3 = [A(V, 4 * H), A(H, 4 * H), A(4 * H)]
v3([("layers/lstm/cell/vars", hot3), ("layers/dense/vars", [kout, kbias])], sequential(lstm3, dense3))
cmp.check("Keras 3, one-hot inputs", path, [keras_layer("lstm", *hot3)], True, np.eye(V), ids, decoder=kout.T, bias=kbias, args=["--one-hot"])
open(path, "wb").write(b"PK\3\4" + bytes(22) + struct.pack("<HH", 13, 0) + b"metadata.json")
cmp.refuses(path, "model")
# classes of the user's own: attributes are groups of the file itself, and a .keras holds no list of layers
own = {"module": "m", "class_name": "Own", "config": {"units": H}, "registered_name": "Own"}
for names, config in ((("embedding", "lstm", "dense"), None), (("z_table", "rnn", "head"), None), (("z_table", "rnn", "head"), own)):
    v3([(f"{names[0]}/vars", [table]), (f"{names[1]}/cell/vars", k3), (f"{names[2]}/vars", [kout, kbias]), ("drop/seed_generator/vars", [np.zeros(2, "u4")]),
        ("optimizer/vars", [np.int64(3), A(V, E)])], config)
    cmp.check("Keras 3, a class of the user's own", path, [keras_layer("lstm", *k3)], True, table, ids, decoder=kout.T, bias=kbias)
stacked_cells = {"module": "keras.layers", "class_name": "StackedRNNCells", "config": {"cells": []}}
for weights, config, words in (
        ([("table/vars", [table]), ("one/cell/vars", k3), ("two/cell/vars", k3)], None, ["one and two", "two/cell/vars/0", "both LSTM"]),
        ([("table/vars", [table]), ("one/cell/vars", k3), ("norm/vars", [gamma, beta])], None, ["layer norm", "norm/vars/0"]),
        ([("layers/sequential/layers/lstm/cell/vars", k3)], sequential({**sequential(lstm3), "config": {"name": "inner", "layers": [lstm3]}}), ["layer inner is a model of its own"]),
        ([("layers/sequential/layers/lstm/cell/vars", k3), ("layers/gru/cell/vars", k3)], None, ["layer sequential is a model of its own"]),
        ([("layers/rnn/cell/vars", k3)], sequential({**layer3("r", "RNN"), "config": {"name": "r", "cell": stacked_cells}}), ["layer r is an RNN of StackedRNNCells"]),
        ([("layers/embedding/vars", [table])], sequential(emb3, layer3("c", "Conv1D")), ["its layers are InputLayer, Embedding, Conv1D"])):
    v3(weights, config)
    cmp.refuses(path, *words)
with h5py.File(path, "w") as f:
    f.create_group("layer_0").create_dataset("param_0", data=table)
cmp.refuses(path, "not one of Keras, or of Keras before 1.0")

# ---- TensorFlow.js: model.json and shards; of JavaScript's own nets the gates are hard_sigmoid, and a GRU resets first ----
def javascript(layers, weights, shards, half=False, converted=True, groups=1):
    folder = cmp.path(f"js{shards}")
    os.makedirs(folder, exist_ok=True)
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [{k: l[k] for k in ("class_name", "config")} for l in layers]}}
    manifest, size = [], -(-len(weights) // groups)
    for g in range(groups):
        part = weights[g * size:(g + 1) * size]
        body = b"".join(np.ascontiguousarray(x, "<f2" if half else "<f4").tobytes() for _, x in part)
        names, step = [f"group{g + 1}-shard{k + 1}of{shards}.bin" for k in range(shards)], -(-len(body) // shards)
        for k, name in enumerate(names):
            open(os.path.join(folder, name), "wb").write(body[k * step:(k + 1) * step])
        manifest.append({"paths": names, "weights": [{"name": n, "shape": list(x.shape), "dtype": "float32", **({"quantization": {"dtype": "float16"}} if half else {})} for n, x in part]})
    where = os.path.join(folder, "model.json")
    with open(where, "w") as f:
        json.dump({"format": "layers-model", "modelTopology": {"keras_version": "2.4.0", "model_config": config} if converted else config, "weightsManifest": manifest}, f)
    return where


for kind, class_name, G in (("lstm", "LSTM", 4), ("gru", "GRU", 3), ("rnn", "SimpleRNN", 1)):
    for converted, half, shards, groups in ((True, False, 1, 1), (True, False, 3, 2), (False, False, 2, 1), (False, True, 2, 3)):
        round16 = lambda x: x.astype("f2").astype("f8") if half else x
        cells = [[A(n, G * H), A(H, G * H), A(2, 3 * H) if kind == "gru" and converted else A(G * H)] for n in (E, H)]
        settings = dict(units=H, activation="tanh", **({} if G == 1 else {"recurrent_activation": "sigmoid" if converted else "hard_sigmoid"}), **({"reset_after": True} if converted else {}))
        names = [("e1/embeddings", table)] + [(f"r{k}/{f'r{k}_cell/' if converted else ''}{n}", x) for k, c in enumerate(cells) for n, x in zip(("kernel", "recurrent_kernel", "bias"), c)]
        where = javascript([layer3("e1", "Embedding"), layer3("r0", class_name, **settings), layer3("drop", "Dropout"), layer3("r1", class_name, **settings),
                            layer3("d1", "Dense", activation="softmax")], names + [("d1/kernel", kout), ("d1/bias", kbias)], shards, half, converted, groups)
        want = [keras_layer(kind, *map(round16, c), gate=torch.sigmoid if converted else hard_sigmoid, reset_after=converted) for c in cells]
        cmp.check(f"TensorFlow.js, {kind}", where, want, kind == "lstm", round16(table), ids, decoder=round16(kout).T, bias=round16(kbias))
program("info", where, says=["TensorFlow.js", "r0/recurrent_kernel"])
where = javascript([lstm3, dense3], [("r/kernel", hot3[0]), ("r/recurrent_kernel", hot3[1]), ("r/bias", hot3[2]), ("d/kernel", kout), ("d/bias", kbias)], 2)
cmp.check("TensorFlow.js, one-hot inputs", where, [keras_layer("lstm", *hot3)], True, np.eye(V), ids, decoder=kout.T, bias=kbias, args=["--one-hot"])
for kind, gates in (("lstm", "icfo"), ("gru", "zrh"), ("rnn", "")):
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = [b"embedding_1", b"layer_1", b"dense_1"]
        tensors = {}

        def put(layer, names):
            g = f.create_group(layer)
            g.attrs["weight_names"] = [n.encode() for n, _ in names]
            for n, x in names:
                g.create_dataset(n, data=x)
                tensors[n] = x

        put("embedding_1", [("embedding_1_W", table)])
        put("layer_1", [(f"layer_1_{n}{f'_{g}' if g else ''}", A(*shape)) for g in (gates or [""]) for n, shape in (("W", (E, H)), ("U", (H, H)), ("b", (H,)))])
        put("dense_1", [("dense_1_W", kout), ("dense_1_b", kbias)])
    order = {"lstm": "ifco", "gru": "zrh", "rnn": ""}[kind]
    cat = lambda n: np.concatenate([tensors[f"layer_1_{n}{f'_{g}' if g else ''}"] for g in (order or [""])], axis=-1)
    if gates:
        cmp.refuses(path, "layer_1", "Keras 1", "--recurrent-activation")
    for name, gate in (("sigmoid", torch.sigmoid), ("hard_sigmoid", hard_sigmoid)):
        cmp.check(f"Keras 1, {kind}, {name}", path, [keras_layer(kind, cat("W"), cat("U"), cat("b"), gate=gate, reset_after=kind != "gru")],
                  kind == "lstm", table, ids, decoder=kout.T, bias=kbias, args=["--recurrent-activation", name] if gates else [])

# ---- Keras 2: weights alone; the default of the gates changed with 2.3 ----
def v2(layers, version):
    with h5py.File(path, "w") as f:
        f.attrs["layer_names"] = [n.encode() for n, _ in layers]
        f.attrs["keras_version"] = version
        for layer, weights in layers:
            g = f.create_group(layer)
            g.attrs["weight_names"] = [n.encode() for n, _ in weights]
            for n, x in weights:
                g.create_dataset(n, data=x)


weights2 = lambda bias, *more: [("embedding", [("embedding/embeddings:0", table)]),
                                ("lstm", [*zip(("lstm/kernel:0", "lstm/recurrent_kernel:0", "lstm/bias:0"), [*k3[:2], bias]), *more]), ("dense", [("dense/kernel:0", kout), ("dense/bias:0", kbias)])]
v2(weights2(k3[2]), "2.2.4")
cmp.refuses(path, "layer lstm", "before 2.3", "--recurrent-activation hard_sigmoid")
for version, gate, args in (("2.2.4", hard_sigmoid, ["--recurrent-activation", "hard_sigmoid"]), ("2.4.0", torch.sigmoid, [])):
    v2(weights2(k3[2]), version)
    cmp.check("Keras 2 weights, lstm", path, [keras_layer("lstm", *k3, gate=gate)], True, table, ids, decoder=kout.T, bias=kbias, args=args)
    told(args, "weights without a configuration: assumed: states by tanh, gates by " + ("hard_sigmoid" if args else "sigmoid (--recurrent-activation"))
v2(weights2(A(8 * H)), "2.2.4")  # CuDNN: always sigmoid
told([], "reading: lstm, 1 layer")
v2(weights2(k3[2], ("lstm/peephole:0", A(3 * H))), "2.4.0")
cmp.refuses(path, "lstm/peephole:0", "further variable of its cell")

# ---- ONNX: shapes of first states, constants, linear maps, one direction ----
def graph(nodes, weights, inputs=(("ids", TensorProto.INT64, ["T", 1]),), out="Y"):
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(*i) for i in inputs], [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
                          [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()])
    m = helper.make_model(g, opset_imports=[helper.make_opsetid("", 14)])
    m.ir_version = 8
    onnx.save(m, path)


N = helper.make_node
w1, w2 = ([A(1, 4 * H, E), A(1, 4 * H, H), A(1, 8 * H)], [A(1, 4 * H, H), A(1, 4 * H, H), A(1, 8 * H)])
weights = {"table": table, "W1": w1[0], "R1": w1[1], "B1": w1[2], "W2": w2[0], "R2": w2[1], "B2": w2[2], "out": kout, "bias": kbias,
           "one": np.array([1], "i8"), "h": np.array([H], "i8"), "zero": np.zeros(1, "f4"), "axis": np.array([1], "i8"), "i1": np.array(1, "i8"), "a0": np.array([0], "i8")}
want = [onnx_layer("lstm", a[0], b_[0], c[0]) for a, b_, c in (w1, w2)]


def stacked(fill):
    start = [N("Gather", ["table", "ids"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["y1"], hidden_size=H), N("Squeeze", ["y1", "axis"], ["s1"]),
             N("Shape", ["s1"], ["shape"]), N("Gather", ["shape", "i1"], ["batch"]), N("Unsqueeze", ["batch", "a0"], ["batch1"]),
             N("Concat", ["one", "batch1", "h"], ["dims"], axis=0)]
    end = [N("LSTM", ["s1", "W2", "R2", "B2", "", "h0", "h0"], ["y2"], hidden_size=H), N("Squeeze", ["y2", "axis"], ["s2"]),
           N("MatMul", ["s2", "out"], ["m"]), N("Add", ["m", "bias"], ["Y"])]
    graph(start + fill + end, weights)


for fill in ([N("Expand", ["zero", "dims"], ["h0"])], [N("ConstantOfShape", ["dims"], ["h0"])]):
    stacked(fill)
    cmp.check("ONNX, zero state of a computed shape", path, want, True, table, ids, decoder=kout.T, bias=kbias)
stacked([N("ConstantOfShape", ["dims"], ["h0"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [.5]))])
cmp.refuses(path, "W2" if False else "LSTM", "not zero")
weights["ones"] = np.ones((1, 1, H), "f4")
stacked([N("Identity", ["ones"], ["h0"])])
cmp.refuses(path, "ones", "not zero", "not supported")
program("info", path, lacks=["--ignore"])
stacked([N("Slice", ["y1", "a0", "one"], ["sl"]), N("Squeeze", ["sl", "axis"], ["h0"])])
cmp.refuses(path, "another recurrent node computes")
graph([N("Gather", ["narrow", "ids"], ["x0"]), N("MatMul", ["x0", "K"], ["x1"]), N("Add", ["kb", "x1"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["y1"], hidden_size=H),
       N("Squeeze", ["y1", "axis"], ["s1"]), N("MatMul", ["s1", "M"], ["m0"]), N("Add", ["m0", "mb"], ["m1"]), N("MatMul", ["m1", "last"], ["m2"]), N("Add", ["m2", "lastb"], ["Y"])],
      {**weights, "narrow": narrow, "K": K, "kb": kb, "M": M, "mb": mb, "last": last, "lastb": lastb})
cmp.check("ONNX, linear maps on both sides", path, through(want[:1], K.T, kb), True, narrow, ids, decoder=chain, bias=last.T.astype("f8") @ mb + lastb)
def above(*nodes, **more):
    graph([N("Gather", ["table", "ids"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["y1"], hidden_size=H), N("Squeeze", ["y1", "axis"], ["s1"]), *nodes],
          {**weights, **more}, out=nodes[-1].output[0])


def two_sides(lower, upper):
    """Two LSTMs of one size beside each other, each behind its own nodes."""
    graph([N("Gather", ["table", "ids"], ["x"]), *lower, N("LSTM", [lower[-1].output[0] if lower else "x", "W1", "R1", "B1"], ["y1"], hidden_size=H),
           *upper, N("LSTM", [upper[-1].output[0] if upper else "x", "W3", "R1", "B1"], ["y2"], hidden_size=H), N("Concat", ["y1", "y2"], ["Y"], axis=3)],
          {**weights, "W3": A(1, 4 * H, E), "P": P2, "Q": A(E, E), "q": q2})


product = lambda x, m, y: [N("MatMul", [x, m], [y + "m"]), N("Add", [y + "m", "q"], [y])]
for lower, upper in ((product("x", "P", "u"), product("x", "Q", "v")), (product("x", "P", "u"), [])):
    two_sides(lower, upper)
    cmp.check("ONNX, a linear map before one of two stacks", path, through(want[:1], P2.T, q2), True, table, ids, args=["rnn.weight_ih_l0=W1"])
cmp.check("ONNX, a linear map before one of two stacks", path, [onnx_layer("lstm", numpy_helper.to_array(next(i for i in onnx.load(path).graph.initializer if i.name == "W3"))[0], w1[1][0], w1[2][0])],
          True, table, ids, args=["rnn.weight_ih_l0=W3"])
score = [N("MatMul", ["l", "out"], ["m"]), N("Add", ["m", "bias"], ["Y"])]
decoded = dict(decoder=kout.T, bias=kbias)
for index, has in ((-1, True), (0, False)):
    above(N("Gather", ["s1", "at"], ["l"], axis=0), *score, at=np.array(index, "i8"))
    cmp.check("ONNX, the last step alone", path, want[:1], True, table, ids, **(decoded if has else {}))
above(N("Slice", ["s1", "at", "end", "a0"], ["l"]), *score, at=np.array([-1], "i8"), end=np.array([9999], "i8"))
cmp.check("ONNX, the last step alone", path, want[:1], True, table, ids, **decoded)
norm = {"g": gamma, "be": beta, "mu": mean, "va": var}
above(N("BatchNormalization", ["s1", "g", "be", "mu", "va"], ["l"], epsilon=1e-3), *score, **norm)
P1, q1 = affine(mean, var, gamma, beta)
cmp.check("ONNX, BatchNormalization behind it", path, want[:1], True, table, ids, decoder=kout.T.astype("f8") @ P1, bias=kout.T.astype("f8") @ q1 + kbias)
for nodes, word in (([N("Identity", ["s1"], ["l"]), *score, N("Div", ["Y", "t"], ["Z"])], "changes the scores"),
                    ([N("Relu", ["s1"], ["r"]), N("Tanh", ["r"], ["l"]), *score], "Tanh"), ([N("Mul", ["s1", "t"], ["l"]), *score], "Mul")):
    above(*nodes, t=np.array(.7, "f4"))
    told([], "states only", word)
above(N("Identity", ["s1"], ["l"]), *score, N("Softmax", ["Y"], ["a"]), N("ArgMax", ["Y"], ["Z"]))
told([], "decoder: linear")
graph([N("Gather", ["table", "ids"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["y1"], hidden_size=H), N("Squeeze", ["y1", "axis"], ["s1"]), N("MatMul", ["s1", "sq"], ["u"]),
       N("BatchNormalization", ["u", "g", "be", "mu", "va"], ["v"], epsilon=1e-3), N("LSTM", ["v", "W2", "R2", "B2"], ["y2"], hidden_size=H), N("Squeeze", ["y2", "axis"], ["l"]), *score],
      {**weights, **norm, "sq": W})
cmp.check("ONNX, linear map and BatchNormalization between layers", path, want[:1] + through(want[1:], P1 @ W.T, q1), True, table, ids, **decoded)
graph([N("Gather", ["table", "ids"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["y1", "last"], hidden_size=H), N("LSTM", ["last", "W2", "R2", "B2"], ["Y"], hidden_size=H)], weights)
cmp.refuses(path, "reads the last state alone of the layer below")
graph([N("Add", ["ids", "one"], ["next"]), N("Gather", ["table", "next"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["Y"], hidden_size=H)], weights)
told([], "computes the numbers of the words", "Add")
w3 = [A(2, 4 * H, E), A(2, 4 * H, H), A(2, 8 * H)]
graph([N("Gather", ["table", "ids"], ["x"]), N("LSTM", ["x", "W1", "R1", "B1"], ["Y"], hidden_size=H, direction="bidirectional")],
      {"table": table, "W1": w3[0], "R1": w3[1], "B1": w3[2]})
cmp.refuses(path, "W1", "--forward-only")
cmp.check("ONNX, forward direction", path, [onnx_layer("lstm", w3[0][0], w3[1][0], w3[2][0])], True, table, ids, args=["--forward-only"])

graph([N("Gather", ["table", "ids"], ["x"]), N("MatMul", ["x", "K"], ["a"]), N("Sigmoid", ["a"], ["s"]), N("Tanh", ["s"], ["Y"])], {"table": table, "K": K})
cmp.refuses(path, "no node is an LSTM", "written out in 1 products, 1 Sigmoid and 1 Tanh")
graph([N("DynamicQuantizeLSTM", ["ids", "K"], ["Y"], domain="com.microsoft")], {"K": K})
cmp.refuses(path, "quantized (DynamicQuantizeLSTM)")

# ---- TensorFlow checkpoints: an index (LevelDB's table) and its shards ----
from import_reference import tf_layer
from tf_checkpoint import checkpoint, field
kernels = [(A(E + H, 4 * H), A(4 * H)), (A(2 * H, 4 * H), A(4 * H))]
scope = "Model/RNN/multi_rnn_cell/cell_{}/basic_lstm_cell/"
variables = {"Model/embedding": table, "Model/softmax_w": kout, "Model/softmax_b": kbias, "Model/global_step": np.array(3, "i8"),
             **{scope.format(k) + n: x for k, pair in enumerate(kernels) for n, x in zip(("kernel", "bias"), pair)},
             **{scope.format(k) + "kernel/Adam": A(*pair[0].shape) for k, pair in enumerate(kernels)}}
prefix = cmp.path("model.ckpt-7")
for shards in (1, 2):
    checkpoint(prefix, variables, shards)
    cmp.check("TensorFlow checkpoint", prefix + ".index", [tf_layer(k, b_, 1) for k, b_ in kernels], True, table, ids, decoder=kout.T, bias=kbias,
              args=[f"rnn.{r}_l{k}={scope.format(k)}{r}" for k in (0, 1) for r in ("kernel", "bias")]
              + ["encoder.weight=Model/embedding", "decoder.weight=Model/softmax_w", "decoder.bias=Model/softmax_b", "--forget-bias", "1"])
first = [f"rnn.{r}_l0={scope.format(0)}{r}" for r in ("kernel", "bias")]
checkpoint(prefix, {k: v for k, v in variables.items() if "cell_1" not in k} | {scope.format(0) + "w_f_diag": A(H)})
cmp.refuses(prefix + ".index", "w_f_diag", "it seems to be a peephole", args=options(first))
cmp.refuses(prefix + ".index", "basic_lstm_cell/bias", "--map rnn.bias_l0=", args=options(first[:1]) + ["--ignore", scope.format(0) + "w_f_diag"])
checkpoint(prefix, {k: v for k, v in variables.items() if "cell_1" not in k})
program("info", prefix + ".index", *options(first), says=["gates in the order i,j,f,o (--gate-order", "a forget bias of 0 (TensorFlow's cells add 1"])
order = np.concatenate([np.split(kernels[0][0], 4, axis=1)["ijfo".index(g)] for g in "fijo"], axis=1)
bias_order = np.concatenate([np.split(kernels[0][1], 4)["ijfo".index(g)] for g in "fijo"])
checkpoint(prefix, {"cell/kernel": order, "cell/bias": bias_order, "emb": table})
cmp.check("TensorFlow checkpoint", prefix + ".index", [tf_layer(*kernels[0], 1)], True, table, ids,
          args=["rnn.kernel_l0=cell/kernel", "rnn.bias_l0=cell/bias", "encoder.weight=emb", "--gate-order", "f,i,j,o", "--forget-bias", "1"])
checkpoint(prefix, variables)
program("info", prefix + ".index", says=["TensorFlow checkpoint", "--map rnn.kernel_l0=TENSOR", scope.format(1) + "kernel"])
program("info", prefix + ".data-00001-of-00002", fails=True, says=["shard", ".index"])
whole = open(prefix + ".index", "rb").read()
for at in sorted(rng.integers(0, len(whole), 40)):  # damaged anywhere: said or read, never a crash
    with open(prefix + ".index", "wb") as f:
        f.write(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1:])
    cmp.count += 1
    if subprocess.run([cmp.program, "info", prefix + ".index"], capture_output=True).returncode not in (0, 1):
        cmp.fail(f"the index with byte {at} changed")

# ---- other files: named for what they are ----
import io
import tarfile
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode="w:gz") as t:
    for name in ("m/readme.txt", "m/model.pt"):
        t.addfile(tarfile.TarInfo(name), io.BytesIO())
for content, words in ((b"", ["empty"]), (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", ["large file storage", "git lfs pull"]),
                       (b"<!DOCTYPE html><html>", ["web page"]), (b"\x1c\0\0\0TFL3" + bytes(60), ["TensorFlow Lite"]), (tar.getvalue(), ["gzip", "m/model.pt"]),
                       (b"\x06\0\0\0\x10\0TransformerSpec\0" + bytes(40), ["CTranslate2"]), (b'{"format": "layers-model", "modelTopology": {}, "weightsManifest": []}', ["TensorFlow.js", "without layers"]),
                       (b'{"format": "graph-model", "modelTopology": {"node": []}, "weightsManifest": []}', ["TensorFlow.js graph model"]),
                       (b'{"class_name": "Sequential", "config": []}', ["configuration of a Keras model"]), (b"rnnoise-nu model file version 1\n", ["RNNoise"]),
                       (b"nothing in particular", ["is a text, not a model"]), (bytes(range(200, 256)) * 4, ["is not a model file"]),
                       (b"\n <!-- saved --><html></html>", ["web page"]), (b'<?xml version="1.0"?><Error></Error>', ["download went wrong"]),
                       (b'{"message": "Not Found"}', ["JSON text"]), (b'model_checkpoint_path: "model.ckpt-7"\n', [".index"]),
                       (pickle.dumps({"W": A(3, 3)}), ["is a pickle", "torch.save", "numpy.savez"]), (pickle.dumps([1], protocol=0), ["is a pickle", "torch.save"]),
                       (b"\x28\xb5\x2f\xfd" + bytes(40), ["zstd"]), (struct.pack("<iii", 4, 1, 3) + b"V 1" + bytes(40), ["Torch7"]),
                       (struct.pack("<QQ", 0x112, 0) + bytes(40), ["MXNet"]),
                       (field(1, 1) + field(2, field(1, field(4, b"serve"))), ["SavedModel", "variables/variables.index"]),
                       (field(1, 3) + field(2, field(1, field(1, b"ids"))), ["Core ML"]),
                       (field(1, field(1, b"x") + field(2, b"Placeholder")), ["frozen TensorFlow graph"])):
    with open(path, "wb") as f:
        f.write(content)
    cmp.refuses(path, *words)
save({**base, **sd})
whole = open(path, "rb").read()
for content, words in ((whole[:len(whole) // 2], ["a zip whose list of entries", "truncated?"]), (whole[:len(whole) - 10], ["truncated?"])):
    cmp.refuses(text("cut.pt", content), *words)
safetensors(path, {**base, **sd})
cmp.refuses(text("cut.safetensors", open(path, "rb").read()[:100]), "header", "truncated?")
with zipfile.ZipFile(path, "w") as z:
    z.writestr("m/readme.txt", "x")
    z.writestr("m/model.pt", whole)
cmp.refuses(path, "zip archive without data.pkl", "m/model.pt")
with tarfile.open(path, "w") as t:
    for name in ("sys_info", "pickle", "storages", "tensors"):
        t.addfile(tarfile.TarInfo(name), io.BytesIO())
cmp.refuses(path, "PyTorch's tar format of 2016")
m = nn.Module()
m.emb, m.lstm, m.fc = nn.Embedding(V, E), nn.LSTM(E, H), nn.Linear(H, V)
torch.save(torch.quantization.quantize_dynamic(m, {nn.LSTM, nn.Linear}, dtype=torch.qint8), path)
cmp.refuses(path, "dynamically quantized")
class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(E, H)

    def forward(self, x):
        return self.lstm(x)[0]


torch.jit.freeze(torch.jit.script(Frozen()).eval()).save(path)
cmp.refuses(path, "holds no tensors", "torch.jit.freeze")
torch.save({"layers.0.self_attn.weight": torch.zeros(3, 3)}, path)
cmp.refuses(path, "self_attn", "Only recurrent nets")

# ---- embeddings, corpora, remarks ----
def embeddings(content, fails=False, **more):
    program("train", text("corpus", "the cat sat on the mat\n" * 40), "--valid", cmp.path("corpus"), "--embeddings", text("vectors", content),
            "--embedding-size", "4", "--hidden-size", "4", "--epochs", "1", "--batch", "2", "--steps", "5", "-q", "-o", cmp.path("lm"), fails=fails, **more)


def vector(k):
    return " ".join(f"{(k * 7 + i) % 10 / 10:.2f}" for i in range(4))


def rows(words):
    return "".join(f"{w} {vector(i)}\n" for i, w in enumerate(words))


import bz2
import gzip
found = ["vectors for 2 of"]
embeddings("2 4\n" + rows(["the", "cat"]), says=found)
embeddings("3 4\n" + rows([". . .", "the", "cat"]), says=found + ["1 rows whose word holds a space"])
embeddings(rows(["the", ". . .", "at name@domain.com", "cat"]), says=found + ["2 rows whose word holds a space"])
embeddings("\ufeff2\t4\n" + rows(["the", "cat"]), says=found)
embeddings(gzip.compress(("2 4\n" + rows(["the", "cat"])).encode()), says=found)
embeddings("5 4\n" + rows(["the", "cat"]), True, says=["line 3", "2 rows", "promises 5"])
embeddings("2 4\n" + rows(["the", "cat", "sat"]), True, says=[":4:", "promises"])
embeddings("2 4\n" + "the 0.1 0.2 0.3\n" + "cat 1 2 3 4\n", True, says=[":2:", "expected 4 values after the word, found 3"])
embeddings(struct.pack("<ii", 793712314, 12) + bytes(200), True, says=["fastText", ".vec"])
binary = lambda *w: b"".join(x.encode() + b" " + np.arange(4, dtype="<f4").tobytes() + b"\n" for x in w)
embeddings(b"2 4\n" + binary("the", "cat"), says=found)
embeddings(b"1 4\n" + binary("the", "cat"), True, says=["continues after the"])
for values in (np.arange(4, dtype=">f4"), np.array([1e30, -3e25, 2e20, 1], "f4")):
    embeddings(b"2 4\n" + b"".join(w + b" " + values.tobytes() + b"\n" for w in (b"the", b"cat")), True, says=["'the'", "most of its values are implausible"])
embeddings(b"2 4\n" + b"".join(w + b" " + np.array([1e-30, -3, 0, 1], "f4").tobytes() + b"\n" for w in (b"the", b"cat")), says=found)
embeddings(b"3 4\nthe 1 2 3 4\ncaf\xe9 1 2 3 4\ncat 1 2 3 4\n", says=found)  # Latin-1 in one word: text all the same
embeddings("2 4\nthe 1 2 3 4\n\ufeffcat 1 2 3 4\n", says=found + [":3: a byte order mark inside the file"])
embeddings(gzip.compress(rows(["the", "cat"]).encode())[:-9], True, says=["vectors: unexpected end of file"])
for content, words in ((b"PK\3\4" + bytes(60), "zip archive, expected word vectors: unpack"), (bz2.compress(b"a 1 2"), "bzip2"), (pickle.dumps({"a": 1}), "is a pickle"), (b"\x93NUMPY\1\0" + bytes(60), "array of NumPy"),
                       ("2 4\n".encode("utf-16"), "UTF-16"), (b"<!DOCTYPE html><html>", "web page")):
    embeddings(content, True, says=[words])

voc = text("v1", "the\ncat\nsat\n<unk>\n<eos>\n")
tiny = {"encoder.weight": A(5, E), **{"rnn." + k[5:]: v for k, v in sd.items()}, "decoder.weight": A(5, H), "decoder.bias": A(5)}
safetensors(path, tiny)
program("import", path, "--vocab", voc, "-o", cmp.path("lm"), "-q")
for content, words in ((b"the cat <eos>\nsat <eos>\n", [":1:", "literal <eos>", "2 lines", "--no-eos"]),
                       (b"the cat\rsat\rthe", [":1:", "carriage return"]), (b"\xef\xbb\xbfthe\n\xef\xbb\xbfthe cat\n", [":2:", "byte order mark"]),
                       (b"the\nthe \xef\xbb\xbfcat sat\n", [":2:", "byte order mark", "over 5 predicted tokens (0.00 %"]),
                       (b"the cat\xef\xbb\xbfsat\n", [":1:", "byte order mark", "over 3 predicted tokens (0.00 %"])):  # joined without a line end
    program("eval", cmp.path("lm"), text("corpus.txt", content), says=words)
program("eval", cmp.path("lm"), text("corpus.txt", b"the cat\r\nsat\r\n"), lacks=["carriage", "byte order", "literal"])
row = lambda i, w: f"{i}\t{w}\t_\t_\t_\t_\t_\t_\t_\t_\n"
program("eval", cmp.path("lm"), text("c.conllu", row(1, "the") + row("2-3", "catsat") + row(4, "sat") + "\n"), says=[":2:", "a range without its words"])
program("eval", cmp.path("lm"), text("c.conllu", row("1-2", "thecat") + row(1, "the") + row(2, "cat") + "\n"), lacks=["range"])
safetensors(path, {**tiny, "decoder.bias": np.array([9, -9, -9, -9, -9], "f4")})
program("eval", path, text("corpus.txt", b"cat sat cat sat\n"), "--vocab", voc, "-q", says=["worse than uniform over 5 words"])
program("import", path, "--vocab", voc, "-o", cmp.path("lm"), "--text", cmp.path("corpus.txt"), "-q", says=["worse than uniform over 5 words", "corpus.txt: perplexity"])
program("show", cmp.path("lm"), "--text", "cat sat cat sat", says=["over 3 predicted tokens, are worse than uniform over 5 words (1.609)"])
program("show", cmp.path("lm"), "--text", "the the the", lacks=["worse than uniform"])
program("show", cmp.path("lm"), "--text", "cat", lacks=["worse than uniform"])
small = ["--delays", "2", "--blocks", "2", "--burn-in", "0", "--replace", "none"]
many = text("many.txt", b"cat sat cat sat\n" * 30)
program("analyze", cmp.path("lm"), many, "-o", cmp.path("run.nc"), *small, says=["over 149 predicted tokens, are worse than uniform over 5 words"])
program("analyze", cmp.path("lm"), many, "-o", cmp.path("run.nc"), *small, "-q", says=["over 149 predicted tokens, are worse than uniform over 5 words"], lacks=["tokens/s", "sigma_1"])
program("analyze", cmp.path("lm"), text("many.txt", b"the the the the\n" * 30), "-o", cmp.path("run.nc"), "--no-eos", *small, lacks=["worse than uniform"])
program("eval", path, text("corpus.txt", b"the the the the\n"), "--vocab", voc, "--no-eos", lacks=["worse than uniform"])
program("import", path, "--vocab", text("v2", "a\nb\nc\n<unk>\n<eos>\n"), "-o", cmp.path("lm"), says=["every word is one character", "--unit word"])
program("import", path, "--vocab", text("v2", "a\nb\nc\n<unk>\n<eos>\n"), "--unit", "word", "-o", cmp.path("lm"), lacks=["one character"])
program("import", path, "--vocab", text("vocab.json", json.dumps({w: i for i, w in enumerate(["\u0120the", "\u0120cat", "s", "\u0120on", "<eos>"])})), "-o", cmp.path("lm"),
        says=["pieces of words", "\u0120", "tokenizer.json"])
safetensors(path, {"encoder.weight": A(5, 3), "rnn.weight_ih_l0": A(H, 3), "rnn.weight_hh_l0": A(H, H), "decoder.weight": A(5, H), "decoder.bias": A(5)})
program("import", path, "--vocab", voc, "--cell", "rnn-relu", "-o", cmp.path("lm"))
program("info", cmp.path("lm"), says=["reading: rnn-relu", "lines end in <eos>"], lacks=["assumed"])
torch.save({"state_dict": {k: torch.tensor(v) for k, v in tiny.items()}, "things": {"words": ["the", "cat", "sat", "<unk>", "<eos>"]}}, path)
program("info", path, says=["5 words", "from things.words"])

# ---- check tells a fault from a net that amplifies rounding ----
draws = np.random.default_rng(7)


def wild(gain):
    n = lambda *shape, g=1.: draws.normal(size=shape) * g
    tensors = {"rnn.weight_ih_l0": n(64, 8, g=.15), "rnn.weight_hh_l0": n(64, 64, g=gain / 8), "rnn.bias_ih_l0": n(64, g=.1), "rnn.bias_hh_l0": n(64, g=.1)}
    safetensors(cmp.path("features"), tensors)
    safetensors(path, {"encoder.weight": n(V, 8), **tensors, "decoder.weight": n(V, 64), "decoder.bias": n(V)})


wild(5)
np.save(cmp.path("inputs.npy"), draws.normal(size=(40, 8)).astype("f4"))
np.save(cmp.path("other.npy"), draws.normal(size=(40, 7)).astype("f4"))
for seed in ("1", "2", "3", "4", "5", "6"):
    program("check", path, "--cell", "rnn", "--seed", seed, "-q", "--threads", "1", says=["rounding", "PASS: 5 tests"])
    program("check", cmp.path("features"), "--cell", "rnn", "--seed", seed, "-q", "--threads", "1", "--inputs", cmp.path("inputs.npy"), says=["PASS: 5 tests"])
program("check", cmp.path("features"), "--inputs", cmp.path("other.npy"), fails=True, says=["(40, 7)", "of 8"])
wild(.8)
program("check", path, "--cell", "rnn", "-q", "--threads", "1", says=["PASS: 5 tests"], lacks=["rounding there", "rounding itself"])

# ---- the project's collection of cases ----
folder = os.path.join(shared, "cases")
if not os.path.isdir(folder):
    print(f"SKIPPED: {folder} is not there: its scripts were not run")
else:
    work = cmp.path("cases")
    os.mkdir(work)

    def case(script):
        p = subprocess.run([sys.executable, os.path.join(folder, script)], cwd=work, capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        if p.returncode:
            cmp.fail(f"{script}: {p.stderr[-300:]}")
        return p.stdout.split("\n")

    at = lambda n: os.path.join(work, n)
    nats = lambda right: f"\"nats_per_token\": {right:.5f}"[:-1]
    right = float(case("c02_one_hot.py")[0].split()[-1])
    program("import", at("onehot.pt"), "--vocab", at("tokens.json"), "--unit", "char", "-o", at("m"))
    program("eval", at("m"), at("text.txt"), "--no-eos", "--json", says=[nats(right)])
    values = {line.split()[0]: float(line.split()[1]) for line in case("c03_gate_order.py") if line}
    roles = options(maps(rnn__weight_ih_l0="x2h.weight", rnn__weight_hh_l0="h2h.weight", rnn__bias_ih_l0="x2h.bias"))
    for order in ("ifog", "ifgo"):
        program("import", at("hand.pt"), "--vocab", at("voc"), *roles, "--gate-order", ",".join(order), "-o", at("m"), "-q")
        program("eval", at("m"), at("text"), "--no-eos", "--json", says=[nats(values[order])])
    case("c05_keras3.py")
    for name in ("m.keras", "m.weights.h5"):
        program("info", at(name), says=["reading: lstm, 1 layer of 5 units, 7 words in 4 dimensions"])
    case("c06_pytorch03.py")
    program("info", at("old.pt"), says=["reading: gru, 1 layer of 4 units, 5 words in 3 dimensions", "decoder: linear"])
    case("c07_info_cell.py")
    program("import", at("m.safetensors"), "--vocab", at("voc"), "--cell", "rnn-relu", "-o", at("own"))
    program("info", at("own"), says=["reading: rnn-relu"], lacks=["assumed"])
    case("c09_vocab_forms.py")
    for name in ("v.pkl", "idx2word.json", "nested.json", "counts.txt"):
        program("import", at("m.pt"), "--vocab", at(name), "-o", at("m"), "-q")
        program("eval", at("m"), at("text"), "--no-eos", says=["over 2 predicted tokens"])
    case("c13_embeddings.py")
    lm = lambda name, **more: program("train", at("c.txt"), "--valid", at("c.txt"), "--embeddings", at(name), "--embedding-size", "4", "--hidden-size", "4",
                                      "--epochs", "1", "--batch", "2", "--steps", "5", "-q", "-o", at("lm"), **more)
    lm("glove.txt", says=["2 rows whose word holds a space", "vectors for 2 of"])
    lm("cut.txt", fails=True, says=["2 rows", "promises 5"])
    lm("more.txt", fails=True, says=[":4:", "2 words"])
    lm("ft.bin", fails=True, says=["fastText", ".vec"])
    case("c14_bom.py")
    for name in ("two.txt", "two.conllu"):
        program("train", at(name), "--valid", at(name), "--epochs", "1", "-q", "--hidden-size", "4", "--embedding-size", "4", "--batch", "1", "--steps", "2", "-o", at("lm"),
                says=["a byte order mark inside the file: dropped"])
    case("c01_check_chaos.py")
    program("import", at("wild.safetensors"), "--vocab", at("voc"), "--cell", "rnn", "-o", at("w.st"))
    for seed in "1234":
        program("check", at("w.st"), "-q", "--seed", seed, "--threads", "1", says=["PASS: 5 tests"])
        program("check", at("wild_features.safetensors"), "-q", "--seed", seed, "--threads", "1", says=["PASS: 5 tests"])
    case("c11_initial_state.py")
    program("info", at("h0.onnx"), says=["reading: none", "h0", "not zero"], lacks=["--ignore"])
    program("info", at("h0.pt"), says=["reading: none", "h0", "learned state"], lacks=["--ignore"])
    case("c16_packed_weights.py")
    program("info", at("wnorm.pt"), says=["reading: lstm, 1 layer of 5 units"])
    program("info", at("quant.pt"), says=["reading: none", "quantized"])

cmp.finish()
