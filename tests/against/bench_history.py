#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The comparison of make bench with its history: small results of known shares. usage: bench_history.py ROOT"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "bench"))
import history  # noqa: E402


def results(kernels="avx2", **shares):
    """As bench.py writes them; the peak is 200 GF/s on one thread and 400 on two."""
    found = [{"machine": kernels, "threads": n, "peak": 2e11 * n} for n in (1, 2)]
    found += [{"setting": name, "threads": 1, "share": [share / 100 - 0.1, share / 100, share / 100 + 0.2]} for name, share in shares.items()]
    return {"processor": "Some CPU", "date": "2026-01-02", "analysis": found, "training": [{"setting": "paper", "threads": 2, "gflops": 240}]}


was = [{"kind": "Some CPU, avx2, 2 threads", "date": "2025-01-01", "shares": {"a, 1 threads": 10.0}},
       {"kind": "Some CPU, avx2, 2 threads", "date": "2025-02-01", "shares": {"a, 1 threads": 80.0, "b, 1 threads": 70.0, "c, 1 threads": 60.0,
                                                                             "gone, 1 threads": 50.0}},
       {"kind": "Some CPU, avx512, 2 threads", "date": "2025-03-01", "shares": {"a, 1 threads": 20.0}}]

now = results(a=76.9, b=73.0, c=63.1, new=5)
assert history.shares(now) == {"a, 1 threads": 76.9, "b, 1 threads": 73.0, "c, 1 threads": 63.1, "new, 1 threads": 5.0,
                               "training paper, 2 threads": 60.0}, history.shares(now)
said = history.report(now, was)  # the last entry of the same kind; 3.1 points have moved, 3.0 have not
assert said[0].startswith("relative to the shares of 2025-02-01 (Some CPU, avx2, 2 threads)"), said
assert said[1:] == ["a, 1 threads: 80.0 % -> 76.9 % of the peak (-3.1 points)", "c, 1 threads: 60.0 % -> 63.1 % of the peak (+3.1 points)",
                    "gone, 1 threads: 50.0 % of the peak before, not measured now"], said
assert history.report(results("avx512", a=20.1), was)[0].endswith("nothing moved by more than 3 points")
assert history.report(results("plain", a=1), was) == ["no earlier shares of this kind of machine (Some CPU, plain, 2 threads)"]
assert history.moved({"a": 50.0}, {"a": float("nan")}) == ["a: 50.0 % of the peak before, not measured now"]

with tempfile.TemporaryDirectory() as folder:  # added, then compared with itself
    paths = [os.path.join(folder, name) for name in ("bench.json", "history.json")]
    for path, content in zip(paths, (now, was)):
        with open(path, "w") as f:
            json.dump(content, f)
    program = [sys.executable, os.path.join(ROOT, "bench/history.py"), *paths]
    subprocess.run([*program, "add"], check=True, stdout=subprocess.DEVNULL)
    again = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert again == "relative to the shares of 2026-01-02 (Some CPU, avx2, 2 threads): nothing moved by more than 3 points\n", again
    with open(paths[1]) as f:
        assert json.load(f)[:3] == was

with open(os.path.join(ROOT, "bench/history.json")) as f:  # no absolute figures
    for entry in json.load(f):
        assert sorted(entry) == ["date", "kind", "shares"] and all(0 < x <= 100 for x in entry["shares"].values()), entry
