#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Shares of the FMA peak from one `make bench` to the next. usage: history.py RESULTS.json HISTORY.json [add]

Compares the results of bench.py with the last entry of the same kind of machine and says what moved by more than POINTS
points of the peak; `add` appends the results as a new entry. Times and rates belong to one machine and one hour: only
shares are kept. A kind is the processor's name, the kernels and the number of threads."""
import json
import sys

POINTS = 3.0


def kind(results):
    """As "AMD EPYC, avx512, 2 threads"."""
    machine = [x for x in results["analysis"] if "machine" in x]
    return "%s, %s, %d threads" % (results["processor"], machine[0]["machine"], max(x["threads"] for x in machine))


def shares(results):
    """{setting, number of threads: percent of the peak}, the middle of the rounds."""
    peak = {x["threads"]: x["peak"] for x in results["analysis"] if "machine" in x}
    found = {"%s, %d threads" % (x["setting"], x["threads"]): 100 * x["share"][1] for x in results["analysis"] if "setting" in x}
    for x in results["training"]:
        if x["threads"] in peak:
            found["training %s, %d threads" % (x["setting"], x["threads"])] = 1e11 * x["gflops"] / peak[x["threads"]]
    return {name: round(share, 1) for name, share in found.items()}


def last_of(history, wanted):
    """The last entry of that kind, or None."""
    return next((x for x in reversed(history) if x["kind"] == wanted), None)


def moved(before, now):
    """Lines, the largest fall first: what moved by more than POINTS, and what is there no more or is not a number."""
    both = sorted((now[name] - share, name) for name, share in before.items() if name in now and now[name] == now[name])
    lines = ["%s: %.1f %% -> %.1f %% of the peak (%+.1f points)" % (name, before[name], now[name], by) for by, name in both
             if abs(by) > POINTS]
    return lines + ["%s: %.1f %% of the peak before, not measured now" % (name, share) for name, share in sorted(before.items())
                    if not (name in now and now[name] == now[name])]


def report(results, history):
    wanted = kind(results)
    entry = last_of(history, wanted)
    if not entry:
        return ["no earlier shares of this kind of machine (%s)" % wanted]
    lines = moved(entry["shares"], shares(results))
    return ["relative to the shares of %s (%s): %s" % (entry["date"], wanted, "" if lines else
                                                       "nothing moved by more than %g points" % POINTS)] + lines


def main():
    with open(sys.argv[1]) as f:
        results = json.load(f)
    with open(sys.argv[2]) as f:
        history = json.load(f)
    print("\n".join(report(results, history)))
    if sys.argv[3:] == ["add"]:
        history.append({"kind": kind(results), "date": results["date"], "shares": shares(results)})
        with open(sys.argv[2], "w") as f:
            json.dump(history, f, indent=1)
            f.write("\n")


if __name__ == "__main__":
    main()
