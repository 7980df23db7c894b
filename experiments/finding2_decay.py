#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""(2) Average memory decays quickly, but not exponentially.

"Quickly": half of sigma_1 at delay 0 is gone within 5 tokens (half-life plus two standard errors below 5). "Not exponentially":
the exponential has an Akaike weight below 0.05 among exponential, power law and stretched exponential, and it stays so when
delays are fitted in the range of 1 to half of them."""
import numpy as np

import common


def main():
    args = common.options(__doc__)
    run = common.main_run(args)
    laws = run.laws
    q = next(i for i, name in enumerate(run.quantities) if "sigma_1" in name or "singular_value" in name)
    weight = run.get("decay_weight")[0, q]
    rate, error = run.get("decay_rate")[0, q], run.get("decay_rate_error")[0, q]
    beta, beta_error = run.get("decay_shape")[0, q, -1], run.get("decay_shape_error")[0, q, -1]
    life, life_error = run.get("half_life")[0, q], run.get("half_life_error")[0, q]
    S = run.get("singular_value")[0, :, 0]
    print("sigma_1 by delay:", " ".join(f"{x:.3g}" for x in S))
    for i, law in enumerate(laws):
        print(f"{law}: weight {weight[i]:.3f}, rate {rate[i]:.3g} +- {error[i]:.2g}")
    exponential = next(i for i, law in enumerate(laws) if law == "exponential")
    quick = life + 2 * life_error < 5
    verdict = weight[exponential] < 0.05 and quick
    best = laws[int(np.nanargmax(weight))]
    common.verdict(args, 2, "average memory decays quickly, not exponentially", verdict, f"half-life {life:.2f} tokens",
                   life - 2 * life_error, life + 2 * life_error,
                   f"best law: {best}; weight of the exponential {weight[exponential]:.3f}; stretched: beta = {beta:.2f} +- "
                   f"{2 * beta_error:.2f}")


main()
