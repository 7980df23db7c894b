#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A run file made up for the tests of report and words: its numbers are consistent (the singular values are those of
its mean gradients), its decay is d^-1.2, class by class stronger, and nothing in it comes from a model.

usage: make_run.py OUT.nc [--classes N] [--delays D] [--embedding E] [--units H] [--states 1|2] [--seed S]
                          [--names FILE.json] [--plain] [--baseline]
--names: class names, property names and words to use (JSON: {"classes": [...], "properties": [...], "words": [...]})
--plain: only what an analysis always writes: no bands, second moment, properties or words
"""
import argparse
import json

import netCDF4
import numpy as np


def main():
    p = argparse.ArgumentParser()
    p.add_argument("out")
    for name, value in (("classes", 6), ("delays", 12), ("embedding", 8), ("units", 12), ("states", 1), ("seed", 1),
                        ("words", 60)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--names")
    p.add_argument("--plain", action="store_true")
    p.add_argument("--baseline", action="store_true")
    p.add_argument("--withheld", action="store_true", help="no interval of sigma_1 of class all from delay 3 on")
    a = p.parse_args()
    rng = np.random.default_rng(a.seed)
    C, D, E, H, V = a.classes, a.delays, a.embedding, a.units, a.words
    names = json.load(open(a.names)) if a.names else {}
    kinds = ["noun", "verb", "adjective", "adverb", "pronoun", "determiner", "preposition"]
    classes = (["all"] + names.get("classes", kinds) + [f"frequency {i}" for i in range(C)])[:C]
    properties = names.get("properties", ["number", "tense"])
    words = (names.get("words", []) + [f"word{i}" for i in range(V)])[:V]
    K = min(E, H)

    f = netCDF4.Dataset(a.out, "w", format="NETCDF4")
    f.setncatts({"kind": "stategrad-run", "model_sha256": "0123456789abcdef" * 4, "corpus_sha256": "fedcba9876543210" * 4,
                 "command": "stategrad analyze model corpus -o run.nc", "version": "0.1.0", "seed": 1,
                 "created": "2026-01-01T00:00:00Z", "state_handling": "carry", "normalization": "covariance",
                 "tokens": 70000, "unknown_tokens": 123})
    for name, size in (("delay", D), ("class", C), ("embedding", E), ("property", 0 if a.plain else len(properties))):
        f.createDimension(name, size)

    def variable(group, name, kind, dims, values):
        v = group.createVariable(name, kind, dims)
        v.long_name, v.units = name.replace("_", " "), "1"
        if kind is str:
            for i, text in enumerate(values):
                v[i] = text
        else:
            v[...] = values

    tokens = np.maximum(70000 // (1 + np.arange(C)), 20)
    emb = rng.normal(size=(V, E)) * np.linspace(2, 0.5, E)
    L = np.linalg.cholesky(np.cov(emb.T))
    variable(f, "delay", "i4", "delay", np.arange(D))
    variable(f, "class_name", str, "class", classes)
    variable(f, "class_tokens", "i8", "class", tokens)
    variable(f, "embedding_covariance_factor", "f8", ("embedding", "embedding"), L)
    if not a.plain:
        P = len(properties)
        delta = rng.normal(size=(P, E))
        variable(f, "property_name", str, "property", properties)
        variable(f, "property_words_a", "i8", "property", 40 + np.arange(P))
        variable(f, "property_words_b", "i8", "property", 50 + np.arange(P))
        variable(f, "property_vector", "f8", ("property", "embedding"), delta)
        f.createDimension("word", V)
        variable(f, "word", str, "word", words)
        variable(f, "word_count", "i8", "word", 1000 // (1 + np.arange(V)))
        variable(f, "embedding_matrix", "f4", ("word", "embedding"), emb)
        member = [(w, w % C, 1 + w) for w in range(V)]
        f.createDimension("member", V)
        for i, (name, kind) in enumerate((("word", "i4"), ("class", "i4"), ("count", "i8"))):
            variable(f, "member_" + name, kind, "member", [m[i] for m in member])

        for name, values in (("decay_quantity", ["sigma_1", "sum of singular values", "rms gain"]),
                             ("decay_law", ["exponential", "power law", "stretched exponential"])):
            f.createDimension(name, 3)
            variable(f, name, str, name, values)

    states = ["layer1.cell", "layer1.hidden"][:a.states]
    for name in states + (["untrained." + s for s in states] if a.baseline else []):
        g = f.createGroup(name)
        for dim, size in (("unit", H), ("rank", K), ("embedding_2", E)):
            g.createDimension(dim, size)
        scale = 0.1 if name.startswith("untrained") else 1.0
        d = np.arange(D)
        fall = (1.0 + d) ** -1.2 if scale == 1 else np.exp(-0.7 * d)
        mean = scale * fall[None, :, None, None] * (1 + 0.3 * np.arange(C)[:, None, None, None]) * (
            0.3 * rng.normal(size=(C, 1, H, E)) + 0.7 * rng.normal(size=(1, D, H, E)))
        U, S, Vt = np.linalg.svd(mean @ L, full_matrices=False)
        pairs = np.maximum(tokens[:, None] - d[None, :], 1)
        cd, cdk = ("class", "delay"), ("class", "delay", "rank")
        variable(g, "pairs", "i8", cd, pairs)
        variable(g, "mean_gradient", "f4", ("class", "delay", "unit", "embedding"), mean)
        variable(g, "singular_value", "f8", cdk, S)
        variable(g, "right_singular_vector", "f4", ("class", "delay", "rank", "embedding"), Vt)
        variable(g, "left_singular_vector", "f4", ("class", "delay", "rank", "unit"), np.swapaxes(U, -1, -2))
        share = S / S.sum(-1, keepdims=True)
        rank = np.exp(-(share * np.log(share)).sum(-1))
        variable(g, "effective_rank", "f8", cd, rank)
        variable(g, "singular_sum", "f8", cd, S.sum(-1))
        if a.plain:
            continue

        def banded(name, dims, values, width=0.08):
            variable(g, name, "f8", dims, values)
            variable(g, name + "_low", "f8", dims, values * (1 - width))
            variable(g, name + "_high", "f8", dims, values * (1 + width))

        for key, dims, values in (("singular_value", cdk, S), ("singular_sum", cd, S.sum(-1)), ("effective_rank", cd, rank)):
            variable(g, key + "_low", "f8", dims, values * 0.92)
            variable(g, key + "_high", "f8", dims, values * 1.09)
        p_value = np.where(np.arange(C)[:, None] % 2 == 1, 0.001, 0.4) * np.ones((1, D))
        p_value[0] = np.nan
        for key, values in (("p", p_value), ("p_adjusted", np.minimum(1, p_value * 3))):
            variable(g, "class_difference_" + key, "f8", cd, values)
        variable(g, "class_null_low", "f8", cd, S[:1, :, 0] * np.ones((C, 1)) * 0.97)
        variable(g, "class_null_high", "f8", cd, S[:1, :, 0] * np.ones((C, 1)) * 1.03)
        for i, key in enumerate(("scale", "rate", "rate_error", "shape", "shape_error", "weight")):
            law = np.zeros((C, 3, 3)) + [[4, 5, 3], [3, 1.2, 2], [0.4, 0.06, 0.5], [np.nan, np.nan, 0.7],
                                         [np.nan, np.nan, 0.05], [0.01, 0.96, 0.03]][i]
            variable(g, "decay_" + key, "f8", ("class", "decay_quantity", "decay_law"), law)
        variable(g, "half_life", "f8", ("class", "decay_quantity"), 1.4 + 0.1 * np.arange(C)[:, None] * np.ones((1, 3)))
        variable(g, "half_life_error", "f8", ("class", "decay_quantity"), 0.1 * np.ones((C, 3)))
        banded("rms_gain", cdk, S * 1.5)
        banded("coherence", cd, np.broadcast_to(0.2 + 0.6 / (1 + d), (C, D)))
        n = np.linalg.solve(L, delta.T)
        n /= np.linalg.norm(n, axis=0)
        gain = np.linalg.norm(np.einsum("cdhe,ef,fp->pcdh", mean, L, n), axis=-1)
        cosine = np.sqrt(np.cumsum(np.einsum("cdke,ep->pcdk", Vt, n) ** 2, axis=-1))
        pcd, pcdk = ("property",) + cd, ("property",) + cdk
        k = np.sqrt(np.arange(1, K + 1) / E)
        for key, dims, values, random in (("relative_memory", pcd, gain / S[None, :, :, 0], 0.4),
                                          ("subspace_cosine", pcdk, cosine, k)):
            banded(key, dims, np.minimum(values, 1 / 1.08))
            variable(g, key + "_random", "f8", dims, np.broadcast_to(random, values.shape))
            variable(g, key + "_random_low", "f8", dims, np.broadcast_to(random * 0.5, values.shape))
            variable(g, key + "_random_high", "f8", dims, np.broadcast_to(np.minimum(random * 1.5, 1), values.shape))
        if a.withheld:
            for end in ("low", "high"):
                g["singular_value_" + end][0, 3:] = np.nan
                g["singular_value_" + end].missing_reason = "class all, delay 3: too few pairs (and 1 more)"
    f.close()


main()
