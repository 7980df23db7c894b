#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: valgrind.py PROGRAM   - short runs of the commands under valgrind: no invalid access, no use of what was never
set, nothing definitely lost. (The kernels for AVX2: valgrind does not know AVX-512.)"""
import shutil
import subprocess
import sys
import time

from scenes import TRAIN, Scene, Tally


def main():
    if shutil.which("valgrind") is None:
        print("skipped: no valgrind")
        sys.exit(77)
    tally = Tally()
    with Scene(sys.argv[1]) as scene:
        tagged = ["--format", "tagged"]
        prefix = ["valgrind", "--quiet", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
                  "--show-leak-kinds=definite"]
        with open(scene.path("valid.tagged"), encoding="utf-8") as f, open(scene.path("few.tagged"), "w", encoding="utf-8") as g:
            g.writelines(f.readlines()[:10])
        short = ["--epochs", "1"]
        for args in (["train", "valid.tagged", "--valid", "valid.tagged", *tagged, "-o", "v", "--checkpoint", "c", *TRAIN, *short],
                     ["analyze", "m.safetensors", "few.tagged", *tagged, "-o", "v.nc", "--csv", "v.csv", "--delays", "3",
                      "--quiet"],
                     ["report", "run.nc", "-o", "v.html"],
                     ["show", "m.safetensors", "--text", "the noun1 runs"],
                     ["eval", "run.nc", "valid.txt"]):
            start = time.monotonic()
            done = subprocess.run([*prefix, scene.program, *args], cwd=scene.folder, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=600,
                                  env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1",
                                       "OPENBLAS_NUM_THREADS": "1", "STATEGRAD_ISA": "avx2",
                                       "OMP_WAIT_POLICY": "passive"})
            wanted = 1 if args[:2] == ["eval", "run.nc"] else 0
            tally.check("commands under valgrind", done.returncode == wanted and "==" not in done.stderr,
                        f"{args[0]}: exit {done.returncode}: {done.stderr[-3000:]}")
            print(f"{time.monotonic() - start:6.1f} s  {args[0]}", flush=True)
    tally.finish()


main()
