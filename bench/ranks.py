#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/ranks.py STATEGRAD STATEGRAD-MPI   - on a quiet machine of two cores: one analysis by one process on one and on two
threads, and by two processes of one thread each, in turn. Prints the seconds and the shares of the perfect speed-up (medians)."""
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
program, program_mpi = map(os.path.abspath, sys.argv[1:3])
env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_btl="self,vader",
           OMPI_MCA_btl_vader_single_copy_mechanism="none", OMPI_MCA_oob_tcp_if_include="lo")


def seconds(*command):
    began = time.monotonic()
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    random.seed(1)
    words = [f"w{i}" for i in range(800)]
    with open("text", "w", encoding="utf-8") as f:
        for _ in range(400):
            f.write(" ".join(random.choices(words, weights=[1 / (i + 2) for i in range(800)], k=14)) + "\n")
    seconds(program, "train", "text", "--hidden-size", "256", "--epochs", "1", "-q", "-o", "m")  # the setting of the papers: E=64, H=256, D=50
    job = ["analyze", "m", "text", "--replace", "none", "-q", "-o", "run.nc", "-t"]
    ways = {"1 process, 1 thread": [program, *job, "1"], "1 process, 2 threads": [program, *job, "2"],
            "2 processes, 1 thread each": ["mpirun", "-n", "2", "--bind-to", "core", program_mpi, *job, "1"]}
    taken = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, command in ways.items():
            taken[way].append(seconds(*command))
    alone = statistics.median(taken["1 process, 1 thread"])
    for way, times in taken.items():
        t = statistics.median(times)
        print(f"{way:27s} {t:6.2f} s ({min(times):.2f} to {max(times):.2f})  {100 * alone / t / (1 if way.startswith('1 process, 1') else 2):5.1f} % of the perfect speed-up")
