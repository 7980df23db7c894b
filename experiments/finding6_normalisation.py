#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(6) The normalisation by the covariance of the embeddings matters.

On `stategrad synth`'s corpus variance: two features of equal use, one of which (narrow) varies 8 times less in the embeddings,
and a third (weak) as small and of less use. Memory of a feature: relative memory times sigma_1, mean over delays 0..2. Supported if,
over --models models, normalised memory puts wide above weak and memory that is not normalised puts it below; effect:
ln memory(wide) - ln memory(weak), normalised, with the interval over models."""
import argparse
import os

import netCDF4
import numpy as np

import common


def memory(path, name):
    with netCDF4.Dataset(path) as f:
        g = next(iter(f.groups.values()))
        i = [str(p) for p in f["property_name"][:]].index(name)
        return float((g["relative_memory"][i, 0, :3] * g["singular_value"][0, :3, 0]).mean())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default=os.path.join(common.ROOT, "build", "cli", "stategrad"))
    p.add_argument("--work", required=True)
    p.add_argument("--models", type=int, default=5)
    args = p.parse_args()
    args.name = args.train = "synth variance"
    os.makedirs(args.work, exist_ok=True)
    found = {"covariance": [], "none": []}
    for seed in range(1, args.models + 1):
        folder = os.path.join(args.work, f"synth{seed}")
        common.call([args.program, "synth", "-o", folder, "--kind", "variance", "--seed", str(seed), "--quiet"])
        data = os.path.join(folder, "variance")
        model = os.path.join(data, "model.safetensors")
        common.call([args.program, "train", f"{data}/train.txt", "--format", "tagged", "--valid", f"{data}/valid.txt", "--embeddings",
                     f"{data}/embeddings.txt", "--freeze-embeddings", "--embedding-size", "10", "--hidden-size", "32", "--optimizer",
                     "adam", "--lr", "0.01", "--dropout", "0", "--steps", "25", "--batch", "20", "--epochs", "5", "--threads", "1",
                     "--seed", str(seed), "--quiet", "-o", model])
        for how, values in found.items():
            run = f"{data}/run-{how}.nc"
            common.call([args.program, "analyze", model, f"{data}/test.txt", "--format", "tagged", "--classes", f"words:{data}/words.txt",
                         "--normalize", how, "--state", "hidden", "--delays", "6", "--threads", "1", "--quiet", "-o", run] +
                        [x for n in ("wide", "narrow", "weak") for x in ("--property", f"{n}={n}_a-{n}_b")])
            values.append(np.log([memory(run, n) for n in ("wide", "narrow", "weak")]))
            print(f"seed {seed}, {how:10s}: ln memory of wide {values[-1][0]:.2f}, narrow {values[-1][1]:.2f}, weak {values[-1][2]:.2f}",
                  flush=True)
    right, wrong = (np.array(found[how])[:, 0] - np.array(found[how])[:, 2] for how in ("covariance", "none"))
    reach = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}.get(args.models, 2.31)
    half = [reach * x.std(ddof=1) / np.sqrt(args.models) for x in (right, wrong)]
    common.verdict(args, 6, "the normalisation matters", right.mean() - half[0] > 0 and wrong.mean() + half[1] < 0,
                   f"ln memory(wide) - ln memory(weak), normalised: {right.mean():.2f}", right.mean() - half[0],
                   right.mean() + half[0], f"(truth: above 0); not normalised {wrong.mean():.2f} [{wrong.mean() - half[1]:.2f}, "
                   f"{wrong.mean() + half[1]:.2f}]")


main()
