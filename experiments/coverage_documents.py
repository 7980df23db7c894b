#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Do the 95 % intervals hold for other text of the same kind?

WikiText-2's training text in chunks of whole articles, at least --tokens each; a small LSTM trained on its validation text. Each chunk
is analysed by itself, once with blocks that end where articles end and once with --documents none. Truth: all other chunks together.
Printed: how often an interval is given, and how often it covers, for all delays, by quantity and class. 14 minutes of one core of an
AVX2 machine for 60 chunks; what lies in --work is used again."""
import argparse
import os
import subprocess

import netCDF4
import numpy as np

from common import ROOT

CLASSES = ("function: the of to and in a is was for with as on by that his he from at it an were are which this or had be also\n"
           "topic: first two one time city year game later years film new\n")
QUANTITIES = ["singular_value", "singular_sum", "rms_gain", "coherence", "class_difference", "half_life"]


def is_title(words):
    return len(words) >= 3 and words[0] == words[-1] == "=" and words[1] != "=" and words[-2] != "="


def write_chunks(args):
    paths, chunk, tokens = [], [], 0
    for line in open(os.path.join(args.wikitext, "train.txt"), encoding="utf-8"):
        if is_title(line.split()) and tokens >= args.tokens:
            paths.append(os.path.join(args.work, "chunk%03d.txt" % len(paths)))
            open(paths[-1], "w", encoding="utf-8").writelines(chunk)
            chunk, tokens = [], 0
        chunk.append(line)
        tokens += len(line.split()) + 1
    return paths[:args.chunks]


def make(args, output, *command):
    if not os.path.exists(output):
        subprocess.run(["nice", "-n", "15", args.program, *command, "--threads", "1", "-q", "-o", output], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return output


class Chunk:
    def __init__(self, path):
        with netCDF4.Dataset(path) as run:
            self.alone = run.intervals_hold_for == "this text alone"
            self.blocks = int(run.blocks)
            self.L = np.array(run["embedding_covariance_factor"][:])
            g = run["layer1.cell"]
            self.x = {v: np.ma.filled(g[v][...].astype(float), np.nan) for v in g.variables
                      if v.startswith(tuple(QUANTITIES)) or v in ("pairs", "second_moment_pairs")}
            plain = lambda v: np.nan_to_num(np.ma.filled(g[v][...].astype(float), 0))
            self.sum = self.x["pairs"][..., None, None] * plain("mean_gradient")
            self.moment = self.x["second_moment_pairs"][..., None, None] * plain("second_moment")

    def ends(self, v):
        low, high = self.x[v + "_low"], self.x[v + "_high"]
        if v == "half_life":
            return low[:, :1], high[:, :1]
        return (low[..., 0], high[..., 0]) if low.ndim == 3 else (low, high)


def half_life(y):
    peak = y.argmax()
    for d in range(peak + 1, len(y)):
        if y[d] < y[peak] / 2:
            return d - peak - 1 + np.log(2 * y[d - 1] / y[peak]) / np.log(y[d - 1] / y[d])
    return np.nan


def truth(L, total, pairs, moment, moment_pairs):
    G, M = total / pairs[..., None, None], moment / moment_pairs[..., None, None]
    s = np.linalg.svd(G @ L, compute_uv=False)
    rms = np.sqrt(np.linalg.eigvalsh(L.T @ M @ L)[..., -1])
    return {"singular_value": s[..., 0], "singular_sum": s.sum(-1), "rms_gain": rms,
            "coherence": (G ** 2).sum((-1, -2)) / np.trace(M, axis1=-2, axis2=-1),
            "class_difference": s[..., 0] - s[:1, :, 0], "half_life": np.array([[half_life(y)] for y in s[..., 0]])}


def coverage(chunks, wanted):
    names = ("pairs", "second_moment_pairs")
    total, moment = sum(c.sum for c in chunks), sum(c.moment for c in chunks)
    pairs, moment_pairs = (sum(c.x[v] for c in chunks) for v in names)
    given, covered = {v: [] for v in QUANTITIES}, {v: [] for v in QUANTITIES}
    for c in wanted:
        t = truth(c.L, total - c.sum, pairs - c.x[names[0]], moment - c.moment, moment_pairs - c.x[names[1]])
        for v in QUANTITIES:
            low, high = c.ends(v)
            given[v].append(np.isfinite(low))
            covered[v].append((low <= t[v]) & (t[v] <= high))
    print(f"{len(wanted)} chunks, {np.median([c.blocks for c in wanted]):.0f} blocks (median)\n"
          "| quantity | all | function words | topic words |\n|---|---|---|---|")
    for v in QUANTITIES:
        g, c = np.array(given[v]), np.array(covered[v])
        cells = [f"{100 * g[:, k].mean():.0f}: {100 * c[:, k].sum() / g[:, k].sum():.1f}" if g[:, k].any() else "" for k in range(3)]
        print("|", v, "|", " | ".join(cells), "|")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.path.join(ROOT, "build", "cli", "stategrad"))
    p.add_argument("--wikitext", required=True, help="folder with train.txt, valid.txt, test.txt")
    p.add_argument("--work", required=True)
    p.add_argument("--tokens", type=int, default=20000)
    p.add_argument("--chunks", type=int, default=60)
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    at = lambda name: os.path.join(args.work, name)
    with open(at("words.txt"), "w") as f:
        f.write(CLASSES)
    model = make(args, at("model.safetensors"), "train", os.path.join(args.wikitext, "valid.txt"), "--valid", os.path.join(args.wikitext, "test.txt"),
                 "--embedding-size", "32", "--hidden-size", "64", "--vocab-size", "4000", "--epochs", "3", "--steps", "35", "--batch", "20",
                 "--lr", "0.003", "--dropout", "0.1", "--seed", "1")
    for documents in ("auto", "none"):
        chunks = [Chunk(make(args, path[:-4] + f".{documents}.nc", "analyze", model, path, "--delays", "16", "--classes",
                             "words:" + at("words.txt"), "--documents", documents)) for path in write_chunks(args)]
        for alone in (False, True):
            wanted = [c for c in chunks if c.alone == alone or documents == "none"]
            if wanted and not (alone and documents == "none"):
                print(f"--documents {documents}{', too few articles: of this text alone' if alone else ''}: ", end="")
                coverage(chunks, wanted)


if __name__ == "__main__":
    main()
