#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(1) Smaller singular values mean less important input directions.

The right singular vectors of the mean gradient at --delay span embedding space, most transferred first. Each (or each group of
--groups-of) is projected out of the whitened embeddings, leaving their mean, and the loss on held-out text measured.
Important directions cost more. Test: the mean position in the order of singular values (1 = largest), weighted by cost; shuffled
costs give its distribution when the two are unrelated, one-sided p. Most directions of a short training cost nothing at all; ranks of
their costs would be noise, which is why costs are weights here."""
import json
import os

import numpy as np

import common


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        return header, bytearray(f.read())


def without_directions(source, target, L, V):
    """The model with encoder.weight's rows x replaced by x - L V'V L^-1 (x - mean)."""
    header, data = read_safetensors(source)
    entry = header["encoder.weight"]
    begin, end = entry["data_offsets"]
    X = np.frombuffer(bytes(data[begin:end]), dtype="<f4").reshape(entry["shape"]).astype(float)
    mean = X.mean(0)
    Z = np.linalg.solve(L, (X - mean).T)
    X = X - (L @ (V.T @ (V @ Z))).T
    data[begin:end] = X.astype("<f4").tobytes()
    header["__metadata__"].pop("tensors_sha256", None)  # tensors are changed on purpose
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(target, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + bytes(data))


def mean_position(cost):
    weight = np.maximum(cost, 0)
    return (weight * np.arange(1, len(cost) + 1)).sum() / weight.sum()


def main():
    args = common.options(__doc__, groups_of=(int, 1, "directions projected out together"), delay=(int, 1, "of the gradient"),
                          lines=(int, 300, "lines of held-out text for each loss"))
    model = common.main_model(args)
    run = common.main_run(args)
    text = os.path.join(args.work, f"head{args.lines}-" + os.path.basename(args.text))
    with open(args.text, encoding="utf-8") as source, open(text, "w", encoding="utf-8") as target:
        target.writelines(line for _, line in zip(range(args.lines), source))
    S = run.get("singular_value")[0, args.delay]
    V = run.get("right_singular_vector")[0, args.delay]
    whole = common.perplexity_nats(args, model, text)
    cut = os.path.join(args.work, "cut.safetensors")
    cost, size = [], []
    for k in range(0, len(S) - args.groups_of + 1, args.groups_of):
        without_directions(model, cut, run.L, V[k:k + args.groups_of])
        cost.append(common.perplexity_nats(args, cut, text) - whole)
        size.append(S[k:k + args.groups_of].mean())
        print(f"directions {k + 1:3d}-{k + args.groups_of:3d}: sigma {size[-1]:.4g}, loss +{cost[-1]:.4f} nats", flush=True)
    os.unlink(cut)
    cost = np.array(cost)
    seen, n = mean_position(cost), len(cost)
    rng = np.random.default_rng(1)
    chance = np.array([mean_position(rng.permutation(cost)) for _ in range(9999)])
    p = (1 + (chance <= seen).sum()) / 10000
    eighth = n // 8
    common.verdict(args, 1, "smaller singular values mean less important input directions", p < 0.05,
                   f"mean position of cost {seen:.1f} of {n}, if unrelated", *np.quantile(chance, (0.025, 0.975)),
                   f"p = {p:.4f}; first direction +{cost[0]:.3f} nats, first eighth +{cost[:eighth].sum():.3f} in all, last eighth "
                   f"{cost[-eighth:].sum():+.4f}")


main()
