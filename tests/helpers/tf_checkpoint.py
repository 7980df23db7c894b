# SPDX-License-Identifier: MIT
"""TensorFlow checkpoints, written by their format: an index (LevelDB's table of protobuf messages) and its shards."""
import struct

import numpy as np

MAGIC = bytes.fromhex("57fb808b247547db")
TYPES = {"float32": 1, "float64": 2, "int64": 9}


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value if isinstance(value, bytes) else varint(number << 3) + varint(value)


def table_block(entries):
    out, before, restarts = b"", b"", []
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % 16:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + b"".join(struct.pack("<I", r) for r in restarts) + struct.pack("<I", len(restarts))


def index(blocks):
    """The table of these blocks of (key, value), with its footer."""
    out, handles = b"", []
    for part in blocks:
        block = table_block(part)
        handles.append((part[-1][0], varint(len(out)) + varint(len(block))))
        out += block + b"\0" + bytes(4)
    places = []
    for block in (table_block([]), table_block(handles)):
        places.append(varint(len(out)) + varint(len(block)))
        out += block + b"\0" + bytes(4)
    foot = b"".join(places)
    return out + foot + bytes(40 - len(foot)) + MAGIC


def value(dtype, dims, shard, offset, size):
    """BundleEntryProto: the place of a tensor."""
    return (field(1, dtype) + field(2, b"".join(field(2, field(1, d)) for d in dims)) + (field(3, shard) if shard else b"")
            + (field(4, offset) if offset else b"") + field(5, size) + b"\x35\0\0\0\0")


def header(shards):
    return b"", field(1, shards) + field(3, field(1, 1))


def checkpoint(prefix, tensors, shards=2):
    data, entries = [b""] * shards, [header(shards)]
    for i, (name, x) in enumerate(sorted(tensors.items())):
        raw, k = np.ascontiguousarray(x).tobytes(), i % shards
        entries.append((name.encode(), value(TYPES[str(x.dtype)], np.shape(x), k, len(data[k]), len(raw))))
        data[k] += raw
    for k in range(shards):
        with open(f"{prefix}.data-{k:05d}-of-{shards:05d}", "wb") as f:
            f.write(data[k])
    cut = max(1, len(entries) // 2)
    whole = index([entries[:cut], entries[cut:]])
    with open(prefix + ".index", "wb") as f:
        f.write(whole)
    return whole
