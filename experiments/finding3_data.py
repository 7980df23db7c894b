#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(3) Average memory depends on the kind of data, selectiveness on the amount of data.

Retention: mean over delays 1..10 of ln(sigma_1(d) / sigma_1(0)). Selectiveness: mean over the same delays of the effective rank
(smaller: more selective). Models: this corpus, the same with another seed (what chance in training does), a part of it
(--part, a quarter of its lines), and another kind of text of the same number of tokens (--other-train and so on).
A difference counts when its interval excludes 0 and it is larger than the difference between two seeds."""
import os

import numpy as np

import common


def lines_of(path, target, tokens):
    """The first lines of path with this many tokens in all."""
    with open(path, encoding="utf-8") as source, open(target, "w", encoding="utf-8") as out:
        n = 0
        for line in source:
            n += len(line.split()) + 1
            if n > tokens:
                break
            out.write(line)
    return target


def tokens_in(path):
    with open(path, encoding="utf-8") as f:
        return sum(len(line.split()) + 1 for line in f)


def measures(run):
    delays = list(range(11))
    whole, parts, pairs = run.curve(0, common.sigma_1, delays)
    kept = common.jackknife(np.log(whole[1:] / whole[0]).mean(), np.log(parts[:, 1:] / parts[:, :1]).mean(1), pairs)
    whole, parts, pairs = run.curve(0, common.effective_rank, delays[1:])
    return kept, common.jackknife(whole.mean(), parts.mean(1), pairs)


def main():
    args = common.options(__doc__, other_train=(str, None, "text of another kind"), other_valid=(str, None, ""),
                          other_text=(str, None, ""), part=(float, 0.25, "share of the smaller corpus"),
                          tokens=(int, 0, "at most so many tokens of each corpus (0: all)"))
    n = min(args.tokens or 10 ** 12, tokens_in(args.train), tokens_in(args.other_train))
    train = lines_of(args.train, os.path.join(args.work, "same-size.txt"), n)
    other = lines_of(args.other_train, os.path.join(args.work, "other-kind.txt"), n)
    small = lines_of(args.train, os.path.join(args.work, "part.txt"), int(n * args.part))
    # the same number of updates for the part
    settings = {
        "this": (dict(train=train), args.text),
        "other seed": (dict(train=train, seed=args.seed + 1), args.text),
        "part": (dict(train=small, epochs=round(args.epochs / args.part), late=1 / args.part), args.text),
        "other kind": (dict(train=other, valid=args.other_valid), args.other_text),
    }
    found = {}
    for name, (how, text) in settings.items():
        stem = name.replace(" ", "-")
        path = common.model(args, stem="data-" + stem, **how)
        found[name] = measures(common.analysis(args, path, text=text, stem="data-" + stem))
        (k, _, kl, kh), (s, _, sl, sh) = found[name]
        print(f"{name:11s} retention {k:.3f} [{kl:.3f}, {kh:.3f}]  effective rank {s:.2f} [{sl:.2f}, {sh:.2f}]", flush=True)
    for letter, what, index, against, claim in (
            ("3a", "retention", 0, "other kind", "average memory depends on the kind of data"),
            ("3b", "effective rank", 1, "part", "selectiveness depends on the amount of data")):
        middle, _, low, high = common.independent(found[against][index], found["this"][index])
        seed = abs(found["other seed"][index][0] - found["this"][index][0])
        common.verdict(args, letter, claim, (low > 0 or high < 0) and abs(middle) > 2 * seed,
                       f"difference in {what} ({against} - this) {middle:.3g}", low, high, f"between two seeds: {seed:.3g}")


main()
