#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Error rates and power of the null of word types (p_types), on the words of real runs.

usage: kinds_of_words.py LIBRARY RUN.nc...   LIBRARY: libstategrad.so

Each run file holds the gain of every word at every delay (word_gain). Random classes of words are drawn, and the library's own
sg_stats_type_test is asked whether they differ from other words: it should say so in 5 % of the cases. Then the gains of the
class's words are multiplied by 1.3, or by 0.9, and it should. Classes are drawn uniformly from all words (most are rare), or in
proportion to their tokens (frequent words too), or within bands of frequency."""
import ctypes
import sys

import netCDF4
import numpy as np

CLASSES, DRAWS = 400, 400


class Outcome(ctypes.Structure):
    _fields_ = [(k, ctypes.c_double) for k in ("value", "p", "low", "middle", "high")] + [("missing", ctypes.c_char_p)]


def type_test(lib, count, in_class, square, seed):
    V, D = square.shape
    out, message = (Outcome * D)(), ctypes.create_string_buffer(1024)
    double = lambda x: np.ascontiguousarray(x, float).ctypes.data_as(ctypes.c_void_p)
    status = lib.sg_stats_type_test(out, ctypes.c_size_t(V), ctypes.c_size_t(D), np.ascontiguousarray(count, np.uint64).ctypes.data_as(ctypes.c_void_p),
                                    double(in_class), double(square), ctypes.c_size_t(DRAWS), ctypes.c_size_t(DRAWS), ctypes.c_uint64(seed), message)
    assert status == 0, message.value
    return np.array([o.p for o in out])


def draw(rng, how, size, words, count):
    if how == "tokens":
        return rng.choice(words, size, replace=False, p=count[words] / count[words].sum())
    if how == "one band":
        band = np.floor(np.log2(count[words])).astype(int)
        bands = [b for b in set(band) if (band == b).sum() >= 3 * size]
        if not bands:
            return None
        words = words[band == rng.choice(bands)]
    return rng.choice(words, size, replace=False)


lib = ctypes.CDLL(sys.argv[1])
print("| text | class drawn by | word types | a verdict is given | p <= 0.05 | gain x 1.3 found | gain x 0.9 found |")
print("|---|---|---|---|---|---|---|")
for path in sys.argv[2:]:
    run = netCDF4.Dataset(path)
    run.set_auto_mask(False)
    group = run[[g for g in run.groups if not g.startswith("untrained")][0]]
    square = np.asarray(group["word_gain"][:], float)[:, ::2] ** 2
    count = np.asarray(run["word_count"][:], float)
    for special in (run.eos_word, run.unk_word):
        if special >= 0:
            count[special] = 0
    words = np.flatnonzero(count)
    eos = "with" if run.eos_word >= 0 and run["word_count"][run.eos_word] else "without"
    rng = np.random.default_rng(1)
    for how in ("words", "tokens", "one band"):
        for size in (5, 10, 20, 50, 200, 1000, len(words) // 3):
            given, rejected, found, low = 0, [], [], []
            for k in range(CLASSES if size < 500 else CLASSES // 2):
                mine = draw(rng, how, size, words, count)
                if mine is None:
                    break
                in_class = np.zeros(len(count))
                in_class[mine] = count[mine]
                p = type_test(lib, count, in_class, square, k)
                given += np.isfinite(p).any()
                rejected.append(p)
                if np.isfinite(p).any():
                    for gain, into in ((1.3, found), (0.9, low)):
                        other = square.copy()
                        other[mine] *= gain ** 2
                        into.append(type_test(lib, count, in_class, other, k))
            if not rejected:
                continue
            share = lambda p: "" if not p or not np.isfinite(p).any() else f"{100 * (np.array(p)[np.isfinite(p)] <= 0.05).mean():.1f} %"
            print(f"| {eos} `<eos>` | {how} | {size} | {100 * given / len(rejected):.0f} % | {share(rejected)} | {share(found)} | {share(low)} |", flush=True)
