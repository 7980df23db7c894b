#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the documentation must contain: every variable of the run file in doc/run-file.md, every key that train writes
into a model in doc/model-file.md, every command of the program in the README.

usage: documentation.py RUN_VARIABLES STATEGRAD SOURCE_ROOT
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

variables, program, root = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
failures = []


def check(documented, names, what, where):
    assert names, f"no {what} to look for"
    for name in names:
        if name not in documented:
            failures.append(f"{where}: {what} {name} is missing")


def names_in_tables(text):
    """Names in backticks in the first cell of a row, and each with the suffixes (`_low`) in its second cell."""
    found = set()
    for row in re.findall(r"^\|(.+)\|$", text, re.M):
        cells = row.split("|")
        bases = re.findall(r"`(\w+)`", cells[0])
        suffixes = re.findall(r"`(_\w+)`", cells[1]) if len(cells) > 1 else []
        found.update(bases)
        found.update(base + suffix for base in bases for suffix in suffixes)
    return found


def run_file():
    names = subprocess.run([variables], check=True, capture_output=True, text=True).stdout.split()
    text = (root / "doc/run-file.md").read_text(encoding="utf-8")
    check(names_in_tables(text), names, "variable", "doc/run-file.md")
    unknown = {n for n in names_in_tables(text.split("## Root variables")[1].split("## Root attributes")[0])} - set(names)
    failures.extend(f"doc/run-file.md: {name} is not a variable of the run file" for name in sorted(unknown))


def settings_of_the_page():
    """Every attribute of a run file has a name that a reader understands (report.js)."""
    text = (root / "doc/run-file.md").read_text(encoding="utf-8").split("## Root attributes")[1].split("\n## ")[0]
    names = {n for row in re.findall(r"^\|([^|]+)\|", text, re.M) for n in re.findall(r"`(\w+)`", row)}
    names |= {f"precision_{x}" for x in ("sampling_error", "total_error", "worst_class", "worst_delay", "origins", "rounds")}
    script = (root / "report/report.js").read_text(encoding="utf-8")
    table = script.split("const SETTINGS = {")[1].split("\n};")[0]
    elsewhere = script.split("const UNLISTED = [")[1].split("]")[0]
    check(set(re.findall(r"(\w+): \['", table)) | set(re.findall(r"'(\w+)'", elsewhere)), sorted(names - {"words_missing", "no_kl", "block_gram"}), "attribute", "report/report.js")  # parts have no page
    written = "".join(path.read_text(encoding="utf-8") for path in (root / "src/analysis").rglob("*.c"))
    check(names, re.findall(r'RUN_ROOT, NULL, "(\w+)"', written), "attribute", "doc/run-file.md")


def model_file():
    with tempfile.TemporaryDirectory() as folder:
        corpus, model = os.path.join(folder, "t.txt"), os.path.join(folder, "m.safetensors")
        with open(corpus, "w", encoding="utf-8") as f:
            f.write("the cat sat on the mat\na dog saw the cat\n" * 40)
        subprocess.run([program, "train", corpus, "--valid", corpus, "-o", model, "--epochs", "1", "--hidden-size", "4",
                        "--embedding-size", "3", "--steps", "5", "--batch", "2", "--threads", "1", "--quiet"], check=True)
        with open(model, "rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    text = (root / "doc/model-file.md").read_text(encoding="utf-8")
    check(set(re.findall(r"`(\w+)`", text)), list(header["__metadata__"]), "key", "doc/model-file.md")


def commands():
    text = subprocess.run([program, "--help"], check=True, capture_output=True, text=True).stdout
    names = re.findall(r"^  (\w+) {2,}", text, re.M)
    readme = (root / "README.md").read_text(encoding="utf-8")
    check(re.findall(r"stategrad (\w+)", readme), names, "command", "README.md")


def projection():
    """The table of doc/cluster.md is that of bench/projection.py."""
    said = subprocess.run([sys.executable, root / "bench/projection.py"], check=True, capture_output=True, text=True).stdout
    page = (root / "doc/cluster.md").read_text(encoding="utf-8")
    failures.extend(f"doc/cluster.md: the row of bench/projection.py is missing: {row}" for row in said.splitlines()
                    if row.startswith("|") and row not in page)
    for number, place in re.findall(r"(\d+) cores are busy before the (states) take longer", said):
        if f"{number} cores" not in page:
            failures.append(f"doc/cluster.md: {number} cores, from which the {place} take longer")


run_file()
settings_of_the_page()
model_file()
commands()
projection()
print("\n".join(failures))
sys.exit(bool(failures))
