#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(4) Infrequent words are remembered better and longer.

Bands of words by frequency. Better: mean over delays 1..10 of ln sigma_1(rare) - ln sigma_1(frequent), both corrected for the bias
that noise gives a rare class, with its block-jackknife interval above 0. Longer: the half-life of sigma_1 is larger."""
import numpy as np

import common


def main():
    args = common.options(__doc__)
    run = common.main_run(args)
    bands = [(i, c) for i, c in enumerate(run.classes) if c.startswith("rank ")]
    bands.sort(key=lambda b: int(b[1].split()[1].split("-")[0]))
    q = next(i for i, name in enumerate(run.quantities) if "sigma_1" in name or "singular_value" in name)
    life, life_error, p = run.get("half_life")[:, q], run.get("half_life_error")[:, q], run.get("class_difference_p_adjusted")
    logs = {}
    for i, name in bands:
        whole, parts, pairs = run.curve(i, common.sigma_1, range(1, 11))
        logs[i] = (np.log(whole).mean(), np.log(parts).mean(1), pairs)
        near = p[i, 1:11]
        print(f"{name:16s} {run.tokens[i]:8d} tokens, mean ln sigma_1 {common.jackknife(*logs[i])[0]:.3f}, half-life "
              f"{life[i]:.2f} +- {2 * life_error[i]:.2f}, delays 1-10 with adjusted p < 0.05: {(near < 0.05).sum()}", flush=True)
    first = bands[0][0]
    last = bands[-1][0]
    middle, _, low, high = common.jackknife(logs[last][0] - logs[first][0], logs[last][1] - logs[first][1], logs[last][2])
    longer, reach = life[last] - life[first], 2 * np.hypot(life_error[last], life_error[first])
    common.verdict(args, "4a", "infrequent words are remembered better", low > 0,
                   f"ln sigma_1({bands[-1][1]}) - ln sigma_1({bands[0][1]}) = {middle:.3f}", low, high)
    common.verdict(args, "4b", "infrequent words are remembered longer", longer - reach > 0, f"half-life longer by {longer:.2f} tokens",
                   longer - reach, longer + reach)


main()
