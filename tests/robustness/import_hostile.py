#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Files made to break a reader: each gets one line and exit 1, within twice the file's size plus 64 MiB of memory (on top
of what the program takes to start) and a few seconds."""
import collections
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

import h5py
import numpy as np
import torch

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
import tf_checkpoint as tf

program = sys.argv[1]
folder = tempfile.mkdtemp(prefix="sg_hostile_")
path = os.path.join(folder, "model")
failures = checks = 0
rng = np.random.default_rng(1)


# A process's peak memory begins with that of the process it was forked from: a small one does the forking, of all of them.
LAUNCHER = """import json, os, sys
for line in sys.stdin:
    arguments, said = json.loads(line)
    output = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    _, status, usage = os.wait4(os.posix_spawn(arguments[0], arguments, os.environ, file_actions=output), 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, flush=True)"""
launcher = subprocess.Popen([sys.executable, "-S", "-E", "-c", LAUNCHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(*args):
    """Exit status, standard error, peak memory in bytes, seconds of processor time."""
    said = os.path.join(folder, "said")
    print(json.dumps([[program, *args], said]), file=launcher.stdin, flush=True)
    code, memory, seconds = launcher.stdout.readline().split()
    with open(said, encoding="utf-8") as f:
        return int(code), f.read(), int(memory), float(seconds)


start = run("--version")[2]
with open(program, "rb") as f:
    sanitized = b"__asan" in f.read() # keeps freed memory: the limit says nothing then
if sanitized:
    print("skipped: the limits on memory, this is a sanitizer build")


def refused(what, *words, fine=False, args=()):
    global failures, checks
    checks += 1
    for command in (["import", path, "-o", path + ".out", *args], ["info", path, *args]):
        code, err, memory, seconds = run(*command)
        lines = [l for l in err.strip().split("\n") if "warning" not in l]
        problem = ""
        if command[0] == "import" and not fine and (code != 1 or len(lines) != 1 or any(w not in err for w in words)):
            problem = f"exit {code}, {err.strip()[:300]}, expected a refusal with {words}"
        elif code not in (0, 1):
            problem = f"exit {code}: {err.strip()[:300]}"
        limit = start + 2 * os.path.getsize(path) + (64 << 20)
        if memory > limit and not sanitized:
            problem += f" memory {memory >> 20} MiB, limit {limit >> 20} MiB"
        if seconds > 20:
            problem += f" {seconds:.0f} s"
        if os.path.exists(path + ".out") and not fine:
            problem += " an output was written"
        if problem:
            failures += 1
            print(f"FAIL {what}: {command[0]}: {problem}")
    if os.path.exists(path + ".out"):
        os.remove(path + ".out")


def write(data):
    with open(path, "wb") as f:
        f.write(data)


# ---- pickles ----
class Storage:
    def __init__(self, key, n):
        self.key, self.n = key, n


class Pickler(pickle._Pickler):
    """Pickles like torch.save, with tensors made up by their parts."""
    def persistent_id(self, o):
        return ("storage", torch.FloatStorage, o.key, "cpu", o.n) if isinstance(o, Storage) else None


class Tensor:
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, (*self.args, False, collections.OrderedDict())


def torch_zip(value=None, data=None, storages={"0": 4096}, method=zipfile.ZIP_STORED, extra=()):
    if data is None:
        buffer = io.BytesIO()
        Pickler(buffer, 2).dump(value)
        data = buffer.getvalue()
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("archive/data.pkl", data)
        for key, n in storages.items():
            z.writestr(f"archive/data/{key}", b"\0" * n if isinstance(n, int) else n)
        for name in extra:
            z.writestr(name, b"")


def state(H=4, E=4, V=8, **change):
    at, out = 0, {}
    for name, size in (("encoder.weight", (V, E)), ("rnn.weight_ih_l0", (4 * H, E)), ("rnn.weight_hh_l0", (4 * H, H)),
                       ("rnn.bias_ih_l0", (4 * H,)), ("rnn.bias_hh_l0", (4 * H,)), ("decoder.weight", (V, H))):
        stride = (size[1], 1) if len(size) == 2 else (1,)
        out[name] = Tensor(Storage("0", 1024), at, size, stride)
        at += int(np.prod(size))
    out.update(change)
    return {"model": out, "vocab": [f"w{i}" for i in range(V)]}


torch_zip(state())
refused("the file the others are made from", fine=True)
one = lambda offset, size, stride, n=1024: Tensor(Storage("0", n), offset, size, stride)
W = "rnn.weight_hh_l0"
for what, tensor, words in (
        ("offset outside", one(2000, (16, 4), (4, 1)), "beyond its storage"),
        ("offset near 2^63", one(2 ** 63 - 1, (16, 4), (4, 1)), "beyond its storage"),
        ("negative offset", one(-4, (16, 4), (4, 1)), "offset -4"),
        ("stride outside", one(0, (16, 4), (400, 1)), "beyond its storage"),
        ("stride that overflows", one(0, (16, 4), (2 ** 61, 1)), "beyond its storage"),
        ("negative stride", one(0, (16, 4), (-4, 1)), "negative"),
        ("sizes that overflow", one(0, (2 ** 40, 2 ** 40), (1, 1)), "overflows"),
        ("10^10 entries of one number", one(0, (4 * 10 ** 5, 10 ** 5), (0, 0)), "expected"),
        ("a storage larger than its entry", Tensor(Storage("1", 2 ** 40), 0, (16, 4), (4, 1)), "elements"),
        ("more sizes than strides", one(0, (16, 4), (4,)), "2 sizes with 1 strides"),
        ("entries that overlap", one(0, (16, 4), (1, 1)), "overlap"),
        ("nine dimensions", one(0, (1,) * 9, (1,) * 9), "9 sizes")):
    torch_zip(state(**{W: tensor}), storages={"0": 4096, "1": 4096})
    refused(f"PyTorch, {what}", words)
torch_zip({"model": {W: Tensor(Storage("0", 1024), 0, (40000, 10000), (0, 0)),
                     "rnn.weight_ih_l0": Tensor(Storage("0", 1024), 0, (40000, 10 ** 5), (0, 0))}})
refused("PyTorch, a model of 10^9 numbers from one", "bomb")
torch_zip(state(), storages={})
refused("PyTorch, a storage that is not there", "archive/data/0")
cycle = []
cycle.append(cycle)
torch_zip({"a": cycle, **state()})
refused("PyTorch, a list that holds itself", "nested")
loop = {}
loop["loop"] = loop
torch_zip(loop)
refused("PyTorch, a dict that holds itself", "nested")
bomb = {"x": 1}
for _ in range(40):
    bomb = {"a": bomb, "b": bomb, "c": bomb}
torch_zip(bomb)
refused("PyTorch, a memo bomb", "bomb")
torch_zip(data=b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b".")
refused("PyTorch, lists nested 100000 deep", "nested")
for what, data, words in (
        ("a million lists", b"\x80\x02" + b"]0" * 1100000 + b"].", "2^20"),
        ("a stack of a million marks", b"\x80\x02" + b"(" * 1100000 + b".", "2^20"),
        ("memo number 2^32-1", b"\x80\x02]r\xff\xff\xff\xff.", "memo"),
        ("a doubling list", b"\x80\x02]q\x00(" + b"h\x00" * 1000000 + b"e" + b".", ""),
        ("a string of 2^63 bytes", b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.", "truncated"),
        ("no value", b"\x80\x02.", "empty stack"), ("items without a list", b"\x80\x02K\x01K\x02a.", "adds items"),
        ("a protocol of the future", b"\x80\x09N.", "newer than 5"), ("an unknown opcode", b"\x80\x02\xff.", "opcode 0xff"),
        ("an extension", b"\x80\x02\x82\x01.", "opcode 0x82"), ("a missing memo entry", b"\x80\x02h\x05.", "not stored")):
    torch_zip(data=data)
    refused(f"PyTorch, {what}", words)
torch_zip(data=b"\0" * (300 << 20), method=zipfile.ZIP_DEFLATED)
refused("PyTorch, a pickle of 300 MiB packed to 300 kB", "zip bomb")
torch_zip(state(**{W: one(0, (40000, 10000), (10000, 1), 400_000_000)}), method=zipfile.ZIP_DEFLATED,
          storages={"0": b"\0" * (1 << 20)})
refused("PyTorch, a storage that claims more than it unpacks to", "elements")
big = {"rnn.weight_hh_l0": Tensor(Storage("0", 10 ** 8), 0, (20000, 5000), (5000, 1)),
       "rnn.weight_ih_l0": Tensor(Storage("0", 10 ** 8), 0, (20000, 5000), (5000, 1))}
torch_zip({"model": big}, method=zipfile.ZIP_DEFLATED, storages={"0": 4 * 10 ** 8})
refused("PyTorch, 400 MB of zeros packed to 400 kB", "bomb")
torch_zip(state(), extra=[f"archive/{i}" for i in range(70000)])
refused("PyTorch, a zip of 70000 entries", "entries")
write(b"PK\x05\x06" + b"\0" * 18)
refused("an empty zip", "data.pkl")

# ---- safetensors ----
def safetensors(header, data=b"\0" * 64, length=None, raw=None):
    text = raw if raw is not None else json.dumps(header).encode()
    write(struct.pack("<Q", len(text) if length is None else length) + text + data)


f32 = lambda shape, *offsets: {"dtype": "F32", "shape": shape, "data_offsets": list(offsets)}
for what, header in (("outside the file", {"a": f32([16], 0, 64), "b": f32([1000], 64, 4064)}),
                     ("overlapping", {"a": f32([16], 0, 64), "b": f32([8], 32, 64)}),
                     ("sizes that overflow", {"a": f32([2 ** 40, 2 ** 40], 0, 64)}),
                     ("10^9 entries", {"a": f32([10 ** 9], 0, 64)}),
                     ("negative sizes", {"a": f32([-16], 0, 64)}),
                     ("begin behind end", {"a": f32([16], 64, 0)}),
                     ("offsets near 2^64", {"a": f32([16], 2 ** 64 - 64, 2 ** 64)}),
                     ("a shape of strings", {"a": f32(["x"], 0, 64)}),
                     ("an unknown dtype", {"a": {"dtype": "Q7", "shape": [16], "data_offsets": [0, 64]}})):
    safetensors(header)
    refused(f"safetensors, {what}")
safetensors({"a": f32([16], 0, 64)}, length=2 ** 63)
refused("safetensors, a header of 2^63 bytes")
safetensors({}, length=10 ** 6)
refused("safetensors, a header beyond the end")
safetensors(None, raw=b'{"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}')
refused("safetensors, a name twice")
safetensors(None, raw=b'{"a":' * 50000)
refused("safetensors, JSON nested 50000 deep")
names = ["encoder.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"]
sizes = [(8, 4), (16, 4), (16, 4), (16,), (16,)]


def named(extra):
    header, at = {}, 0
    for name, size in [*zip(names, sizes), *extra]:
        header[name] = f32(list(size), at, at + 4 * int(np.prod(size)))
        at += 4 * int(np.prod(size))
    safetensors(header, b"\0" * at)


named([("rnn.weight_ih_l0_reverse", (16, 4))])
refused("safetensors, a prefix name", "weight_ih_l0_reverse", "bidirectional")
named([("rnn.weight_ih_l00", (16, 4))])
refused("safetensors, a name that reads as the same layer")

# ---- HDF5 and others: the beginning alone ----
for what, data in (("HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 200), ("HDF5", b"\x89HDF\r\n\x1a\n" + b"\xff" * 4000),
                   ("ONNX", b"\x08\x07\x12\x04test" + b"\x3a\xff\xff\xff\xff\x0f" + b"\0" * 100),
                   ("ONNX", b"\x08\x07" + b"\x3a\x02\x0a\x00" * 100000), ("NumPy", b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 70000),
                   ("NumPy", b"\x93NUMPY\x01\x00\x50\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000000), }   "),
                   ("nothing", b""), ("text", b"the quick brown fox\n"), ("a folder's", b"\0")):
    write(data)
    refused(f"{what} cut off")
# millions of small messages: each costs protobuf-c far more than its bytes
write(b"\x08\x07" + b"\x3a" + b"\x80\x92\xf4\x01" + b"\x0a\x00" * 2000000)
refused("ONNX, two million empty nodes")

# ---- TensorFlow checkpoints: an index that lies ----
def bundle(entries, shards=1, data=bytes(4096)):
    write(tf.index([[tf.header(shards), *entries]]))
    os.replace(path, path + ".index")
    with open(f"{path}.data-00000-of-{shards:05d}", "wb") as f:
        f.write(data)


plain = path
path = plain + ".index"
kernel = lambda dims=(8, 16), shard=0, offset=0, size=512, dtype=1: (b"kernel", tf.value(dtype, dims, shard, offset, size))


def refused_bundle(what, entries, *words, args=(), **more):
    global path
    path = plain
    bundle(entries, **more)
    path = plain + ".index"
    refused(f"TensorFlow checkpoint, {what}", *words, args=args)


mapped = ["--map", "rnn.kernel_l0=kernel", "--forget-bias", "1"]
refused_bundle("a shape of 2^120", [kernel((2 ** 60, 2 ** 60))])
refused_bundle("a tensor behind the end of its shard", [kernel(offset=4000)], "has 4096 bytes, expected 4512", args=mapped)
refused_bundle("offset and size near 2^64", [kernel(offset=2 ** 64 - 256)], "beyond its shard", args=mapped)
refused_bundle("a size that is not its shape's", [kernel(size=100)])
refused_bundle("10^9 shards", [kernel()], shards=10 ** 9)
refused_bundle("a shard that there is not", [kernel(shard=7)])
refused_bundle("a name twice", [kernel(), kernel()])
refused_bundle("a name of 100 kB", [(b"k" * 100000, kernel()[1])])
refused_bundle("10^5 tensors", [(b"k%06d" % i, kernel()[1]) for i in range(100000)])
refused_bundle("a value that is no message", [(b"kernel", b"\xff" * 50)])
whole = tf.index([[tf.header(1), kernel()]])
for what, change in (("handles beyond the end", lambda d: d[:-48] + b"\xff" * 20 + d[-28:]), ("handles of itself", lambda d: d[:-48] + b"\0\x40\0\x40" + d[-44:]),
                     ("2^32-1 restart points", lambda d: d.replace(b"\0\0\0\0\1\0\0\0\0", b"\0\0\0\0\xff\xff\xff\xff\0")),
                     ("the footer alone", lambda d: d[-48:])):
    write(change(whole))
    refused(f"TensorFlow checkpoint, {what}")
path = plain

# ---- Keras 3: a zip of JSON and HDF5 ----
def keras_zip(config, weights, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("metadata.json", "{}")
        if config is not None:
            z.writestr("config.json", config)
        if weights is not None:
            z.writestr("model.weights.h5", weights)


h5 = io.BytesIO()
with h5py.File(h5, "w") as f:
    for group in ("lstm", "lstm_1"):
        for i, size in enumerate(((4, 16), (4, 16), (16,))):
            f.create_dataset(f"layers/{group}/cell/vars/{i}", data=np.zeros(size, "f4"))
h5 = h5.getvalue()
layer = lambda name, **more: {"class_name": "LSTM", "config": {"name": name, "units": 4}, "name": name, **more}
reads = lambda name: [{"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}]}]
functional = lambda layers: json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": layers}})
for what, config, weights, words in (
        ("no weights", "{}", None, ["model.weights.h5"]), ("no configuration", None, h5, ["config.json"]),
        ("JSON nested 10^5 deep", "[" * 100000, h5, ["JSON"]), ("a configuration that is a number", "7", h5, []),
        ("weights that are no HDF5", "{}", b"\xff" * 4000, []), ("weights cut in half", functional([layer("lstm")]), h5[:len(h5) // 2], []),
        ("10^4 layers", functional([layer(f"l{i}") for i in range(10000)]), h5, []),
        ("a cycle of layers", functional([layer("a", inbound_nodes=reads("b")), layer("b", inbound_nodes=reads("a"))]), h5, ["cycle"]),
        ("a layer that reads itself", functional([layer("lstm", inbound_nodes=reads("lstm"))]), h5, ["cycle"]),
        ("a name of 10^6 letters", functional([layer("l" * 10 ** 6)]), h5, []),
        ("layers of numbers", functional([1, 2, 3]), h5, [])):
    keras_zip(config, weights)
    refused(f"Keras 3, {what}", *words)
keras_zip("{}", b"\0" * (300 << 20), zipfile.ZIP_DEFLATED)
refused("Keras 3, weights of 300 MiB packed to 300 kB", "zip bomb")
keras_zip(b" " * (300 << 20), h5, zipfile.ZIP_DEFLATED)
refused("Keras 3, a configuration of 300 MiB packed to 300 kB", "zip bomb")

# ---- TensorFlow.js: a list of weights that lies, and shards by name ----
def js(weights, paths=("s.bin",), layers=1, **more):
    config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": {"name": f"l{k}"}} for k in range(layers)]}}
    write(json.dumps({"modelTopology": config, "weightsManifest": [{"paths": list(paths), "weights": weights}], **more}).encode())


weight = lambda name="l0/kernel", shape=(4, 16), dtype="float32", **more: {"name": name, "shape": list(shape), "dtype": dtype, **more}
cell = [weight(), weight("l0/recurrent_kernel"), weight("l0/bias", (16,))]
with open(os.path.join(folder, "s.bin"), "wb") as f:
    f.write(bytes(4 * (64 + 64 + 16)))
secret = os.path.join(folder, "secret")
os.mkdir(secret)
with open(os.path.join(secret, "s.bin"), "wb") as f:
    f.write(bytes(4 * (64 + 64 + 16)))
js(cell)
refused("TensorFlow.js, an honest one", fine=True)
for what, weights, paths, words in (
        ("a shape of 2^120", [weight(shape=(2 ** 60, 2 ** 60))], ["s.bin"], ["overflow"]), ("a size below 0", [weight(shape=(-4, 16))], ["s.bin"], ["overflow"]),
        ("sizes that are no numbers", [weight(shape=("a", None))], ["s.bin"], []), ("9 dimensions", [weight(shape=(1,) * 9)], ["s.bin"], ["9 dimensions"]),
        ("a type of its own", [weight(dtype="string")], ["s.bin"], ["string"]), ("a name twice", [weight(), weight()], ["s.bin"], []),
        ("weights of 8 bits", [weight(quantization={"dtype": "uint8", "scale": 1, "min": 0}), *cell[1:]], ["s.bin"], ["l0/kernel", "quantized uint8"]),
        ("weights beyond the shard", [weight("x", (9,)), *cell], ["s.bin"], ["l0/bias", "truncated"]), ("no shard", cell, [], ["truncated"]),
        ("a shard that there is not", cell, ["t.bin"], ["t.bin"]), ("a shard in another folder", cell, ["secret/s.bin"], ["no path in a file is followed"]),
        ("a shard above", cell, [f"../{os.path.basename(folder)}/s.bin"], ["no path"]), ("a shard by its whole path", cell, [os.path.join(folder, "s.bin")], ["no path"]),
        ("a folder as a shard", cell, ["secret"], []), ("a shard without a name", cell, [None], ["plain file name"]), ("10^4 shards", cell, ["s.bin"] * 10000, ["256 shards"]),
        ("10^4 weights", [weight(f"l0/w{i}") for i in range(10000)], ["s.bin"], ["8192 weights"])):
    js(weights, paths)
    refused(f"TensorFlow.js, {what}", *words)
js([weight(f"a/b/c/d{i}") for i in range(8000)], layers=500)
refused("TensorFlow.js, 8000 weights of 500 layers")
js(cell, weightsManifest=7)
refused("TensorFlow.js, a manifest that is a number", "weightsManifest")
js(cell, weightsManifest=[{"paths": [], "weights": []}] * 100)
refused("TensorFlow.js, 100 groups", "64 groups")
js(cell, modelTopology={"node": []})
refused("TensorFlow.js, a graph", "graph model")
write(b'{"weightsManifest": [' + b"[" * 100000)
refused("TensorFlow.js, JSON nested 10^5 deep", "JSON")
write(b'{"weightsManifest": [' + b"0," * (1 << 19) + b"0]}")
refused("TensorFlow.js, a million numbers", "TensorFlow.js")
write(b'{"weightsManifest": [' + b"0," * (1 << 21) + b"0]}")
refused("TensorFlow.js, JSON of 4 MiB")

# ---- what honest large files cost: the same net of 11 million numbers in every format ----
H = 704
shapes = {"encoder.weight": (5000, H), "rnn.weight_ih_l0": (4 * H, H), "rnn.weight_hh_l0": (4 * H, H), "decoder.weight": (5000, H)}
net = {name: rng.normal(size=size, scale=0.1).astype("f4") for name, size in shapes.items()}
words = [f"w{i}" for i in range(5000)]
with open(path + ".words", "w") as f:
    f.write("\n".join(words) + "\n")


def honest(what, *args):
    """Imports what stands at path, within the limit."""
    global checks, failures
    code, err, memory, _ = run("import", path, "-o", path + ".out", "--vocab", path + ".words", *args)
    size = os.path.getsize(path)
    print(f"{what}, {size >> 20} MiB: {memory >> 20} MiB in all, {(memory - start) / size:.2f} of the file beyond the start")
    checks += 1
    if code or (memory > start + 2 * size + (64 << 20) and not sanitized):
        failures += 1
        print(f"FAIL {what} of {size >> 20} MiB takes {memory >> 20} MiB: {err[:200]}")


for dtype in ("f4", "f2"):
    arrays = {name: a.astype(dtype) for name, a in net.items()}
    for zipped in (True, False):
        torch.save({"model": {name: torch.tensor(a) for name, a in arrays.items()}, "vocab": words}, path,
                   _use_new_zipfile_serialization=zipped)
        honest(f"PyTorch {'zip' if zipped else 'legacy'} {dtype}")
    header, at = {}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": {"f4": "F32", "f2": "F16"}[dtype], "shape": a.shape, "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    safetensors(header, b"".join(a.tobytes() for a in arrays.values()))
    honest(f"safetensors {dtype}")
    kernel = np.concatenate([arrays["rnn.weight_ih_l0"].T, arrays["rnn.weight_hh_l0"].T])
    maps = [x for role in ("rnn.kernel_l0=kernel", "encoder.weight=encoder", "decoder.weight=decoder") for x in ("--map", role)]
    for packed in (False, True):
        with open(path, "wb") as f:
            (np.savez_compressed if packed else np.savez)(f, kernel=kernel, encoder=arrays["encoder.weight"],
                                                          decoder=arrays["decoder.weight"])
        honest(f"npz {'deflated ' if packed else ''}{dtype}", *maps)
    try:
        import h5py
        for storage in ({}, {"chunks": True, "compression": "gzip", "compression_opts": 1}):
            with h5py.File(path, "w") as f:
                layers = {"embedding": ("Embedding", {"embeddings": arrays["encoder.weight"]}),
                          "lstm": ("LSTM", {"kernel": arrays["rnn.weight_ih_l0"].T, "recurrent_kernel": arrays["rnn.weight_hh_l0"].T,
                                            "bias": np.zeros(4 * H, dtype)}),
                          "dense": ("Dense", {"kernel": arrays["decoder.weight"].T, "bias": np.zeros(5000, dtype)})}
                f.attrs["layer_names"] = [n.encode() for n in layers]
                config = [{"class_name": c, "config": {"name": n, **({"units": H, "activation": "tanh"} if c == "LSTM" else {})}}
                          for n, (c, _) in layers.items()]
                f.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": config}})
                for n, (_, tensors) in layers.items():
                    f.create_group(n).attrs["weight_names"] = [f"{n}/{t}:0".encode() for t in tensors]
                    for t, a in tensors.items():
                        f[n].create_dataset(f"{n}/{t}:0", data=a, **storage)
            honest(f"Keras {'deflated ' if storage else ''}{dtype}")
    except ImportError:
        print("skipped: no h5py, what Keras files cost is not measured")
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
        order = lambda w: np.concatenate([w[:H], w[3 * H:], w[H:2 * H], w[2 * H:3 * H]])[None] # i,f,g,o to i,o,f,c
        parts = {"E": arrays["encoder.weight"], "W": order(arrays["rnn.weight_ih_l0"]), "R": order(arrays["rnn.weight_hh_l0"]),
                 "D": np.ascontiguousarray(arrays["decoder.weight"].T)}
        for raw in (True, False):
            initializers = []
            for name, a in parts.items():
                t = numpy_helper.from_array(a, name)
                if not raw:
                    t.ClearField("raw_data")
                    (t.float_data if dtype == "f4" else t.int32_data).extend(
                        (a if dtype == "f4" else a.view(np.uint16)).ravel().tolist())
                initializers.append(t)
            nodes = [helper.make_node("Gather", ["E", "ids"], ["x"]),
                     helper.make_node("LSTM", ["x", "W", "R"], ["Y"], hidden_size=H),
                     helper.make_node("Squeeze", ["Y", "axes"], ["h"]), helper.make_node("MatMul", ["h", "D"], ["scores"])]
            initializers.append(helper.make_tensor("axes", TensorProto.INT64, [1], [1]))
            graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, None)],
                                      [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)], initializers)
            write(helper.make_model(graph).SerializeToString())
            del initializers, graph
            honest(f"ONNX {'raw' if raw else 'listed'} {dtype}")
    except ImportError:
        print("skipped: no onnx, what ONNX files cost is not measured")

launcher.stdin.close()
launcher.wait()
subprocess.run(["rm", "-r", folder])
print(f"{checks} checks, {failures} failed")
sys.exit(1 if failures or not checks else 0)
