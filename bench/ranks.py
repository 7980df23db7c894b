#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: bench/ranks.py STATEGRAD STATEGRAD-MPI   - on a quiet machine of two cores: one analysis by one process on one and on two
threads, and by two processes of one thread each, in turn (strong scaling); and of twice the text by two processes (weak
scaling). Prints the seconds and the shares of the perfect speed-up (medians)."""
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
    lines = [" ".join(random.choices(words, weights=[1 / (i + 2) for i in range(800)], k=14)) + "\n" for _ in range(800)]
    for name, n in (("text", 400), ("double", 800)):
        with open(name, "w", encoding="utf-8") as f:
            f.writelines(lines[:n])
    seconds(program, "train", "text", "--hidden-size", "256", "--epochs", "1", "-q", "-o", "m")  # the setting of the papers: E=64, H=256, D=50
    job, two = ["--replace", "none", "-q", "-o", "run.nc", "-t"], ["mpirun", "-n", "2", "--bind-to", "core", program_mpi]
    ways = {"1 process, 1 thread": [program, "analyze", "m", "text", *job, "1"],  # what the others are compared with
            "1 process, 2 threads": [program, "analyze", "m", "text", *job, "2"],
            "2 processes, 1 thread each": [*two, "analyze", "m", "text", *job, "1"],
            "2 processes, twice the text": [*two, "analyze", "m", "double", *job, "1"],
            "the same, --warm-up 300": [*two, "analyze", "m", "double", "--warm-up", "300", *job, "1"]}
    work = dict(zip(ways, (1, 1, 1, 2, 2)))
    taken = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, command in ways.items():
            taken[way].append(seconds(*command))
    alone = statistics.median(taken["1 process, 1 thread"])
    for way, times in taken.items():
        t = statistics.median(times)
        cores = 1 if way == "1 process, 1 thread" else 2
        print(f"{way:27s} {t:6.2f} s ({min(times):.2f} to {max(times):.2f})  {100 * alone * work[way] / t / cores:5.1f} % of the perfect speed-up")
