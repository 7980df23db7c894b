# SPDX-License-Identifier: MIT
"""What sg.analyze costs beside the program on the same work. usage: python_analyze.py BUILD [THREADS [PAIRS]]

BUILD has the program and python/_native.abi3.so. Each pair is one analysis by the program and one by the package, in turn, on the same
model, text and settings; the work is long beside the start of either. Prints one JSON object: seconds of both, and the ratios (package
/ program) of the pairs: quartiles; of elapsed time, and of processor time, which is comparable on a machine that others use too. The
program's time includes its start, that of the package does not include `import`.
"""
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count()
PAIRS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
PROGRAM = BUILD / "cli/stategrad"
SETTINGS = {"delays": 50, "replace": "none", "lyapunov": "none", "threads": THREADS}


def package(folder):
    """The package as it lies in the checkout, with the extension module of BUILD."""
    there = folder / "stategrad"
    there.mkdir()
    for file in (pathlib.Path(__file__).resolve().parent.parent / "python/stategrad").glob("*.py"):
        (there / file.name).symlink_to(file)
    (there / "_native.abi3.so").symlink_to(BUILD / "python/_native.abi3.so")
    sys.path.insert(0, str(folder))
    import stategrad
    return stategrad


def timed(work):
    """Elapsed seconds, and those of the processor, of this process and of its children."""
    began, before = time.monotonic(), os.times()
    work()
    return time.monotonic() - began, sum(os.times()[:4]) - sum(before[:4])


def ratios(pairs, kind):
    return statistics.quantiles([b[kind] / a[kind] for a, b in pairs], n=4)


def main():
    os.environ["OPENBLAS_NUM_THREADS"] = "1" # as the program does
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        sg = package(folder)
        draw = random.Random(1)
        words = [f"w{i}" for i in range(2000)]
        lines = [[draw.choice(words) for _ in range(20)] for _ in range(500)]
        (folder / "text").write_text("".join(" ".join(line) + "\n" for line in lines))
        model = sg.train(lines[:50], vocab=["<unk>", "<eos>", *words], embedding_size=32, hidden_size=64, epochs=1)
        model.save(folder / "m.safetensors")
        options = [text for key, value in SETTINGS.items() for text in (f"--{key}", str(value))]
        command = [PROGRAM, "analyze", folder / "m.safetensors", folder / "text", "-o", folder / "program.nc", "-q", *options]

        def by_program():
            subprocess.run(command, check=True)

        def by_package():
            sg.analyze(model, folder / "text", output=folder / "package.nc", **SETTINGS).close()
        pairs = []
        for i in range(PAIRS + 1): # the first warms up
            both = (by_program, by_package) if i % 2 else (by_package, by_program)
            seconds = {work: timed(work) for work in both}
            pairs.append((seconds[by_program], seconds[by_package]))
        median = lambda which, kind: statistics.median(pair[which][kind] for pair in pairs[1:])
        print(json.dumps({"setting": "sg.analyze beside the program", "threads": THREADS, "pairs": PAIRS, "program_seconds": median(0, 0), "package_seconds": median(1, 0),
                          "ratio": ratios(pairs[1:], 0), "program_cpu": median(0, 1), "package_cpu": median(1, 1), "cpu_ratio": ratios(pairs[1:], 1)}))


main()
