#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: allocations.py PROGRAM ALLOC_DRIVER DENSE GROWTH   - each allocation of whole commands fails once.

The first DENSE allocations one by one, then in a stride of 1 + n / GROWTH: see alloc_driver.c."""
import os
import re
import subprocess
import sys

from scenes import ANALYZE, ENV, TRAIN, Scene, Tally


def main():
    program, driver, dense, growth = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3], sys.argv[4]
    tally = Tally()
    with Scene(program) as scene:
        tagged = ["--format", "tagged"]
        commands = [
            ["train", "train.tagged", "--valid", "valid.tagged", *tagged, "-o", "a", "--checkpoint", "c", *TRAIN],
            ["eval", "m.safetensors", "valid.tagged", *tagged],
            ["analyze", "m.safetensors", "valid.tagged", *tagged, "-o", "a.nc", "--csv", "a.csv", "--checkpoint", "c2",
             "--baseline", "untrained", *ANALYZE],
            ["import", "m.safetensors", "-o", "b"],
            ["report", "run.nc", "-o", "a.html"],
            ["merge", "part1.nc", "part2.nc", "-o", "merged.nc"],
            ["words", "run.nc"],
            ["compare", "run.nc", "DT", "NN", "--json"],
            ["pairs", "m.safetensors", "pairs.tsv", "--path", "4", "--words", "words.csv", "-o", "pairs.html"],
            ["show", "m.safetensors", "--text", "the noun1 runs"],
            ["info", "m.safetensors"],
            ["info", "run.nc"],
            ["track", "run.nc", "--property", "article=DT-NN", "-o", "tracked.nc", "--csv", "tracked.csv"],
            ["check", "m.safetensors"],
            ["cluster", "--parts", "2", "analyze", "m.safetensors", "valid.tagged", *tagged, "-o", "c.nc", *ANALYZE],
        ]
        for args in commands:
            what = " ".join(args[:2]) if args[0] == "info" else args[0]
            done = subprocess.run([driver, dense, growth, "--", *args], cwd=scene.folder, env={**ENV, "OMP_NUM_THREADS": "1"},
                                  capture_output=True, text=True, timeout=3000)
            tried = re.search(r"(\d+) failures tried", done.stdout)
            n = int(tried.group(1)) if tried else 0
            tally.check(f"{what}: each of {n} failing allocations", done.returncode == 0 and n > 0,
                        f"{what}: {done.stdout[-1500:]} {done.stderr[-500:]}")
    tally.finish()


main()
