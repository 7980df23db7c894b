#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Raw TensorFlow kernels ([in+h, 4h], columns i,j,f,o, forget bias to add) as .npy and .npz through --map."""
import sys

import numpy as np

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/helpers")
from import_reference import Comparison, tf_layer

cmp = Comparison(sys.argv[1], sys.argv[2])
V, E, H, T = 13, 5, 7, 9
rng = np.random.default_rng(17)
ids = rng.integers(0, V, T)
features = rng.normal(size=(T, E)).astype(np.float32)
emb, dec, out = rng.normal(size=(V, E)), rng.normal(size=(H, V)), rng.normal(size=V)
for dtype in ("f4", "f8", "f2"):
    r = lambda a: np.asarray(a).astype(dtype).astype(float)
    for n in (1, 2, 3):
        kernels = [rng.normal(size=((E if k == 0 else H) + H, 4 * H)) / 2 for k in range(n)]
        biases = [rng.normal(size=4 * H) for _ in range(n)]
        layers = [tf_layer(r(k), r(b), 1.0) for k, b in zip(kernels, biases)]
        maps = [f"rnn.kernel_l{k}=cell_{k}/kernel" for k in range(n)] + [f"rnn.bias_l{k}=cell_{k}/bias" for k in range(n)]
        arrays = {f"cell_{k}/kernel": kernels[k].astype(dtype) for k in range(n)}
        arrays.update({f"cell_{k}/bias": biases[k].astype(dtype) for k in range(n)})
        for save in (np.savez, np.savez_compressed):
            save(cmp.path("features.npz"), **arrays)
            save(cmp.path("model.npz"), **arrays, emb=emb.astype(dtype), dec=np.asfortranarray(dec.astype(dtype)),
                 out=out.astype(dtype))
            cmp.check(f"TensorFlow kernels (.npz), lstm, float{8 * int(dtype[1])}", cmp.path("features.npz"), layers, True, None,
                      features, args=[*maps, "--forget-bias", "1"])
            cmp.check(f"TensorFlow kernels (.npz), lstm, float{8 * int(dtype[1])}", cmp.path("model.npz"), layers, True,
                      r(emb), ids, decoder=r(dec).T, bias=r(out),
                      args=[*maps, "--forget-bias", "1", "encoder.weight=emb", "decoder.weight=dec", "decoder.bias=out"])
        files = {}
        for name, a in arrays.items():
            files[name] = cmp.path(name.replace("/", "_") + ".npy")
            with open(files[name], "wb") as f:  # the versions of the format in turn: 2 and 3 have longer headers
                np.lib.format.write_array(f, a, version=((1, 0), (2, 0), (3, 0))[len(files) % 3])
        maps = [f"rnn.kernel_l{k}={files[f'cell_{k}/kernel']}" for k in range(n)]
        maps += [f"rnn.bias_l{k}={files[f'cell_{k}/bias']}" for k in range(n)]
        cmp.check(f"TensorFlow kernels (.npy), lstm, float{8 * int(dtype[1])}", files["cell_0/kernel"], layers, True, None,
                  features, args=[*maps, "--forget-bias", "1"])

mapped = [word for m in maps for word in ("--map", m)]
cmp.refuses(files["cell_0/kernel"], "rnn.bias_ih_l0", "not finite", args=[*mapped, "--forget-bias", "1e39"])
np.save(cmp.path("kernel.npy"), rng.normal(size=(E + H, 4 * H + 1)))
cmp.refuses(cmp.path("kernel.npy"), "kernel.npy", "(12, 29)", args=["--map", "rnn.kernel_l0=kernel.npy"])
cmp.refuses(cmp.path("kernel.npy"), "weight_ih_l0", "--map")
np.save(cmp.path("kernel.npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
cmp.refuses(cmp.path("kernel.npy"), "kernel.npy", "|O")
np.save(cmp.path("kernel.npy"), rng.normal(size=(E + H, 4 * H)).astype(">f4"))
cmp.refuses(cmp.path("kernel.npy"), "little-endian")
cmp.finish()
