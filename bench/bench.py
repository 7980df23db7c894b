#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""All benchmarks in one run: one table, one JSON file. usage: bench.py BUILD OUT.json [THREADS [SECONDS]]

BUILD has the benchmark programs. PyTorch runs where /usr/bin/python3 has it, with its fastest threading: Debian's default is
slower and no fair rival. What a row is, is said in doc/performance.md.
"""
import glob
import json
import os
import platform
import subprocess
import sys
import time

BUILD, OUT = sys.argv[1:3]
THREADS = sys.argv[3] if len(sys.argv) > 3 else str(os.cpu_count())
SECONDS = sys.argv[4] if len(sys.argv) > 4 else "4"
HERE = os.path.dirname(os.path.abspath(__file__))


def lines(*command, env=None):
    """The JSON objects that a command prints, one a line."""
    r = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **(env or {})})
    return [json.loads(x) for x in r.stdout.splitlines() if x.startswith("{")]


def pytorch(script, seconds):
    if subprocess.run(["/usr/bin/python3", "-c", "import torch"], stderr=subprocess.DEVNULL).returncode:
        return []
    openmp = glob.glob("/usr/lib/*/openblas-openmp")
    return lines("/usr/bin/python3", os.path.join(HERE, script), THREADS, seconds,
                 env={"LD_LIBRARY_PATH": openmp[0]} if openmp else None)


def processor():
    with open("/proc/cpuinfo") as f:
        return next((x.split(":")[1].strip() for x in f if x.startswith("model name")), platform.machine())


def row(name, threads, rate, ours="", memory="", error="", rivals=""):
    rate = "%.4g" % rate if rate < 1000 else "%.0f" % rate
    print("%-26s %7s %9s %7s %15s %8s  %s" % (name, threads, rate, ours, memory, error, rivals), flush=True)


def times(ours, rival):
    return "%.3g (%.3gx)" % (rival, ours / rival)


began, load = time.time(), os.getloadavg()[0]
torch = {x["setting"]: x for x in pytorch("pytorch_jacobian.py", SECONDS)}
torch_train = {x["setting"]: x for x in pytorch("pytorch_train.py", SECONDS)}
analysis = lines(os.path.join(BUILD, "bench/bench_analysis"))
long_file = OUT + ".long"
lines(os.path.join(BUILD, "bench/bench_long"), "--json", long_file, "--threads", THREADS)
with open(long_file) as f:
    long_window = json.load(f)
os.remove(long_file)
train = lines(os.path.join(BUILD, "bench/bench_train"), THREADS, SECONDS)
package = []
if os.path.exists(os.path.join(BUILD, "python/_native.abi3.so")):
    package = lines("/usr/bin/python3", os.path.join(HERE, "python_analyze.py"), BUILD, THREADS)

print("%s, %s threads at most; load average before: %.2f" % (processor(), THREADS, load))
for x in analysis:
    if "machine" in x:
        print("%d thread%s: FMA peak %.0f GF/s, BLAS sgemm 1024^3 %.0f GF/s (%s kernels)" %
              (x["threads"], "s" * (x["threads"] > 1), x["peak"] / 1e9, x["gemm"] / 1e9, x["machine"]))
print()
print("%-26s %7s %9s %7s %15s %8s  %s" % ("", "threads", "tokens/s", "of peak", "MB (least)", "error", "PyTorch tokens/s: "
      "vectorised, one backward per component; or time beside another setting"))
for x in analysis:
    if "setting" not in x:
        continue
    rivals, rate = "", x["tokens_per_second"]
    t = torch.get(x["setting"])
    if t and t["threads"] == x["threads"]:
        rivals = "%s, %s" % (times(rate, max(t["vmap"], t["expanded"])), times(rate, t["backward"]))
    if "beside" in x:
        low, middle, high = x["times"]
        rivals = ("%.1f times as fast as %s (quartiles %.1f, %.1f)" % (1 / middle, x["beside"], 1 / high, 1 / low) if middle < 0.5 else
                  "%+.0f %% beside %s (quartiles %+.0f, %+.0f)" % (100 * (middle - 1), x["beside"], 100 * (low - 1), 100 * (high - 1)))
    row(x["setting"], x["threads"], rate, "%.1f %%" % (100 * x["share"][1]),
        "%.0f (%.0f)" % (x["bytes"] / 1e6, x["minimum_bytes"] / 1e6), "%.0e" % x["error"] if "error" in x else "", rivals)
row("A D = 1000, shared bases", long_window["threads"], long_window["tokens_per_second"], "", "",
    "%.0e" % long_window["worst_difference"], "plain: %s" % times(long_window["tokens_per_second"], long_window["plain_tokens_per_second"]))
peak = {x["threads"]: x["peak"] for x in analysis if "machine" in x}
for x in train:
    t, rate = torch_train.get(x["setting"]), x["tokens_per_second"]
    share = 1e9 * x["gflops"] / peak[x["threads"]] if x["threads"] in peak else 0
    row("training " + x["setting"], x["threads"], rate, "%.1f %%" % (100 * share) if share else "",
        rivals="PyTorch %s" % times(rate, t["tokens_per_second"]) if t else "")
for x in package:
    print("%s, %d threads: %+.1f %% (quartiles %+.1f, %+.1f), %.2f and %.2f s" % (
        x["setting"], x["threads"], *(100 * (x["ratio"][i] - 1) for i in (1, 0, 2)), x["package_seconds"], x["program_seconds"]))
if not torch:
    print("python3-torch is not installed: no rival")
with open(OUT, "w") as f:
    json.dump({"processor": processor(), "date": time.strftime("%Y-%m-%d"), "load_before": load, "load_after": os.getloadavg()[0], "seconds": time.time() - began,
               "analysis": analysis, "long_window": long_window, "training": train, "package": package, "pytorch_jacobian": list(torch.values()),
               "pytorch_training": list(torch_train.values())}, f, indent=1)
print("\n%.0f s; all figures: %s" % (time.time() - began, OUT))
