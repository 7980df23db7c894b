#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(5) Nouns, and the difference between singular and plural nouns, are remembered best.

Nouns: mean over delays 1..10 of ln sigma_1, nouns against each other class of at least --least tokens, block-jackknife interval of
the difference from the best of the others above 0. Number: relative memory of plural - singular, mean over the same delays,
against the other --properties and against the band of random directions."""
import numpy as np

import common


def main():
    args = common.options(__doc__, noun=(str, "noun", "class of nouns"), skip=(str, "singular,plural", "classes not compared"),
                          least=(int, 2000, "tokens a class needs"))
    run = common.main_run(args)
    skip = set(args.skip.split(",")) | {"all"} | {side for p in args.properties.split(",") for side in p.split("=")[1].split("-")}
    logs = {}
    p = run.get("class_difference_p_adjusted")
    for i, name in enumerate(run.classes):
        if name.startswith("rank ") or name == "out of vocabulary" or (name in skip and name != args.noun) or run.tokens[i] < args.least:
            continue
        whole, parts, pairs = run.curve(i, common.sigma_1, range(1, 11))
        logs[name] = (np.log(whole).mean(), np.log(parts).mean(1), pairs)
    for name in sorted(logs, key=lambda name: -logs[name][0]):
        i = run.classes.index(name)
        print(f"{name:14s} {run.tokens[i]:8d} tokens, mean ln sigma_1 over delays 1-10: {logs[name][0]:.3f}; delays with adjusted "
              f"p < 0.05: {(p[i, 1:11] < 0.05).sum()}")
    best = max((name for name in logs if name != args.noun), key=lambda name: logs[name][0])
    a, b = logs[args.noun], logs[best]
    middle, _, low, high = common.jackknife(a[0] - b[0], a[1] - b[1], a[2])
    common.verdict(args, "5a", "nouns are remembered best", low > 0, f"ln sigma_1({args.noun}) - ln sigma_1({best}) = {middle:.3f}", low, high)
    near = list(range(1, 11))
    random = run.get("relative_memory_random_high")[:, 0, 1:11].mean(1)
    found = [common.jackknife(*run.memory(i, 0, near)) for i in range(len(run.properties))]
    memory, low, high = (np.array([x[k] for x in found]) for k in (0, 2, 3))
    for i, name in enumerate(run.properties):
        print(f"property {name:10s} relative memory {memory[i]:.3f} [{low[i]:.3f}, {high[i]:.3f}], random directions below {random[i]:.3f}")
    of_nouns = run.get("relative_memory")[0, run.classes.index(args.noun), 1:11].mean()
    rivals = memory[1:] if len(memory) > 1 else np.zeros(1)
    common.verdict(args, "5b", "the number of nouns is remembered best", low[0] > max(random[0], rivals.max()),
                   f"relative memory {memory[0]:.3f}", low[0], high[0],
                   f"random directions below {random[0]:.3f}; best other property {rivals.max():.3f}; over nouns alone {of_nouns:.3f}")


main()
