# SPDX-License-Identifier: MIT
"""What the experiments share: options, training and analysing once, reading runs, the block jackknife, the verdict.

Each finding*.py trains what it needs (kept in --work and used again), analyses held-out text, tests one claim of the
papers and prints one line: supported or not supported, the effect and its 95 % interval. Any corpus does: plain text with
a line-aligned tags file, or word/tag text (--format tagged)."""
import argparse
import hashlib
import json
import os
import subprocess
import sys

import netCDF4
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NEAR = slice(1, 11)  # delays 1 .. 10: where the claims are tested unless a script says otherwise

T_975 = {7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120,
         17: 2.110, 18: 2.101, 19: 2.093, 20: 2.086, 24: 2.064, 29: 2.045, 39: 2.023}


def t_975(freedom):
    """Rounded down to the next tabled number of degrees of freedom: never too short an interval."""
    return T_975[max(k for k in T_975 if k <= max(freedom, 7))]


def options(about, **extra):
    p = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.path.join(ROOT, "build", "cli", "stategrad"))
    p.add_argument("--train", help="unless --model is given")
    p.add_argument("--valid", help="unless --model is given")
    p.add_argument("--text", required=True, help="held-out text that is analysed")
    p.add_argument("--tags", help="tags, line-aligned with --text")
    p.add_argument("--groups", help="groups file for the tags")
    p.add_argument("--format", choices=["auto", "tagged"], default="auto")
    p.add_argument("--work", required=True, help="folder for models and runs, used again")
    p.add_argument("--model", help="a model trained before (findings 1, 2, 4, 5): nothing is trained, and the options of training are not used")
    p.add_argument("--name", default="", help="name of the corpus in the verdict")
    p.add_argument("--epochs", type=int, default=6)
    p.add_argument("--embedding", type=int, default=64)
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--vocab-size", type=int, default=10000)
    p.add_argument("--cell", default="lstm")
    p.add_argument("--dropout", type=float, default=0.2)
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--lr-decay", type=float, default=0.5)
    p.add_argument("--decay-after", type=int, default=3)
    p.add_argument("--train-options", default="", help="further options of stategrad train, in one string")
    p.add_argument("--delays", type=int, default=25)
    p.add_argument("--properties", default="number=plural-singular,tense=past-present,person=third-present,degree=comparative-base",
                   help="NAME=A-B of the tags' classes, separated by commas; number first")
    p.add_argument("--sample", type=int, default=0, help="origins drawn; 0: every one")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    for name, (kind, default, text) in extra.items():
        p.add_argument("--" + name.replace("_", "-"), type=kind, default=default, help=text)
    args = p.parse_args()
    if not args.model and not (args.train and args.valid):
        p.error("--train and --valid, or --model")
    os.makedirs(args.work, exist_ok=True)
    return args


def call(command, quiet=True):
    done = subprocess.run(command, capture_output=quiet, text=True)
    if done.returncode:
        sys.exit("failed: " + " ".join(command) + "\n" + (done.stderr or ""))
    return done.stdout


def once(args, stem, suffix, command):
    """Runs command + [-o file] unless the same command made the file before."""
    key = hashlib.sha256(json.dumps(command).encode()).hexdigest()[:12]
    path = os.path.join(args.work, f"{stem}-{key}{suffix}")
    if not os.path.exists(path):
        print("making", path, file=sys.stderr, flush=True)
        call(command + ["-o", path])
    return path


def layout(args):
    return ["--format", args.format] if args.format != "auto" else []


def model(args, train=None, valid=None, seed=None, stem="model", epochs=None, late=1):
    """late: the learning rate begins to fall so many times later (and more slowly)."""
    return once(args, stem, ".safetensors",
                [args.program, "train", train or args.train, "--valid", valid or args.valid, *layout(args), "--cell", args.cell,
                 "--embedding-size", str(args.embedding), "--hidden-size", str(args.hidden), "--vocab-size",
                 str(args.vocab_size), "--steps", str(args.steps), "--batch", "20", "--epochs", str(epochs or args.epochs),
                 "--lr-decay", f"{args.lr_decay ** (1 / late):.6g}", "--decay-after", str(round(args.decay_after * late)),
                 "--dropout", str(args.dropout), "--seed", str(seed or args.seed), "--threads", str(args.threads), "--quiet"]
                + args.train_options.split())


def analysis(args, model_path, text=None, classes=(), properties=(), stem="run", more=()):
    command = [args.program, "analyze", model_path, text or args.text, *layout(args), "--delays", str(args.delays), "--state",
               "cell" if args.cell == "lstm" else "hidden", "--seed", "1", "--threads", str(args.threads), "--quiet", *more]
    if args.sample:
        command += ["--sample", str(args.sample)]
    for c in classes:
        command += ["--classes", c]
    for p in properties:
        command += ["--property", p]
    return Run(once(args, stem, ".nc", command))


def main_model(args):
    return args.model or model(args)


def main_run(args):
    """The analysis that findings 1, 2, 4 and 5 share: bands of frequency, classes of tags, properties."""
    return analysis(args, main_model(args), classes=["frequency", tag_classes(args)], properties=args.properties.split(","))


def tag_classes(args):
    spec = "tags:" + args.tags if args.tags else "tags"
    return spec + (",groups=" + args.groups if args.groups else "")


def perplexity_nats(args, model_path, text):
    return json.loads(call([args.program, "eval", model_path, text, *layout(args), "--json"]))["nats_per_token"]


class Run:
    """A run file; one analysed state."""

    def __init__(self, path):
        self.path = path
        with netCDF4.Dataset(path) as f:
            self.state = [g for g in f.groups if not g.startswith("untrained")][-1]
            self.classes = [str(c) for c in f["class_name"][:]]
            self.tokens = np.asarray(f["class_tokens"][:])
            self.L = np.asarray(f["embedding_covariance_factor"][:])
            self.properties = [str(p) for p in f["property_name"][:]] if "property_name" in f.variables else []
            self.laws = [str(x) for x in f["decay_law"][:]]
            self.quantities = [str(x) for x in f["decay_quantity"][:]]

    def get(self, name, *at):
        """The variable, or the part of it at the indices given; missing values are NaN."""
        with netCDF4.Dataset(self.path) as f:
            v = f[self.state][name]
            return np.ma.filled(np.ma.asarray(v[at] if at else v[:], dtype=float), np.nan)

    def grams(self, c, d):
        """(B, E, E): Ghat^T Ghat from all blocks but one."""
        packed = self.get("block_gram", c, d)
        E = self.L.shape[0]
        gram = np.zeros((packed.shape[0], E, E))
        i, j = np.tril_indices(E)
        gram[:, i, j] = packed
        gram[:, j, i] = packed
        return self.L.T @ gram @ self.L

    def spectra(self, c, d):
        """Singular values from the whole corpus, and (B, rank) from all blocks but one; the blocks' weights."""
        values = self.get("singular_value", c, d)
        without = np.linalg.eigvalsh(self.grams(c, d))[:, ::-1][:, :len(values)]
        return values, np.sqrt(np.maximum(without, 0)), self.get("block_pairs", c, d)

    def memory(self, p, c, delays):
        """Relative memory of property p, mean over delays: whole, (B,) without each block, weights of the blocks."""
        with netCDF4.Dataset(self.path) as f:
            n = np.linalg.solve(self.L, np.asarray(f["property_vector"][p]))
        n /= np.linalg.norm(n)
        parts = [np.sqrt(np.maximum(n @ g @ n, 0)) / np.sqrt(np.linalg.eigvalsh(g)[:, -1])
                 for g in (self.grams(c, d) for d in delays)]
        return self.get("relative_memory", p, c)[delays].mean(), np.mean(parts, 0), self.get("block_pairs", c, delays[0])

    def curve(self, c, statistic, delays):
        """statistic(S) for each delay: (len,), and (B, len) without each block; weights of the blocks at delay 0."""
        whole, parts = [], []
        for d in delays:
            S, without, pairs = self.spectra(c, d)
            whole.append(statistic(S))
            parts.append([statistic(s) for s in without])
        return np.array(whole), np.array(parts).T, self.get("block_pairs", c, delays[0])


def sigma_1(S):
    return S[0]


def effective_rank(S):
    p = S[S > 0] / S.sum()
    return np.exp(-(p * np.log(p)).sum())


def jackknife(value, without, pairs):
    """Delete-one-block jackknife as in doc/statistics.md: corrected value, error, low, high."""
    keep = pairs > 0
    without, pairs = np.asarray(without)[keep], pairs[keep]
    N = pairs.sum()
    h1 = N / pairs - 1
    shift = ((1 - pairs / N) * (value - without)).sum()
    away = h1 * (value - without) - shift
    error = np.sqrt((away ** 2 / h1).mean())
    reach = t_975(int(N ** 2 / (pairs ** 2).sum() - 1)) * np.sqrt(error ** 2 + shift ** 2 / 10)
    return value + shift, error, value + shift - reach, value + shift + reach


def independent(a, b):
    """Interval of the difference of two independent jackknife results (corrected, error, low, high)."""
    middle = a[0] - b[0]
    reach = np.hypot(a[3] - a[0], b[3] - b[0])
    return middle, np.hypot(a[1], b[1]), middle - reach, middle + reach


def verdict(args, finding, claim, supported, effect, low, high, detail=""):
    word = "supported" if supported else "not supported"
    name = args.name or os.path.basename(args.train or args.text)
    print(f"{finding}. {claim}\n   {word} on {name}: {effect} [{low:.3g}, {high:.3g}] {detail}")
    print("JSON " + json.dumps({"finding": finding, "claim": claim, "corpus": name, "supported": bool(supported), "effect": effect,
                                "low": float(low), "high": float(high), "detail": detail}))
