#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A file of another kind, given to each reader: what it is and what was expected are named, one line, exit 1, no output. The
files are made by the programs and libraries that make such files, not by their signatures alone."""
import bz2
import gzip
import io
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import h5py
import numpy as np

program = os.path.abspath(sys.argv[1])
work = tempfile.TemporaryDirectory(prefix="sg_kinds_")
os.chdir(work.name)
TEXT = b"the cat sat on the mat\n" * 40
failures = checks = 0


def made(write):
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def in_tar(out):
    with tarfile.open(fileobj=out, mode="w") as t:
        member = tarfile.TarInfo("a.txt")
        member.size = len(TEXT)
        t.addfile(member, io.BytesIO(TEXT))


def in_zip(out):
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a.txt", TEXT)


def in_hdf5(out):
    with h5py.File(out, "w") as f:
        f["a"] = np.zeros(3)


with open("text", "wb") as f:
    f.write(TEXT)
subprocess.run([program, "train", "text", "-q", "--epochs", "1", "--embedding-size", "2", "--hidden-size", "2", "--batch", "2", "--steps", "5", "-o", "model"],
               check=True, capture_output=True)
MODEL = open("model", "rb").read()
shapes = {"encoder.weight": (5, 2), "rnn.weight_ih_l0": (2, 2), "rnn.weight_hh_l0": (2, 2), "decoder.weight": (5, 2), "decoder.bias": (5,)}
np.savez("foreign.npz", **{name: np.full(shape, 0.1, "f4") for name, shape in shapes.items()})
# kind: (contents, what it is called, readers that read it, readers that may take it for a text)
KINDS = {
    "gzip": (gzip.compress(TEXT), "compressed with gzip", ("corpus", "vectors"), ()),
    "zip": (made(in_zip), "a zip archive", (), ()),
    "bzip2": (bz2.compress(TEXT), "a bzip2 archive", (), ()),
    "xz": (lzma.compress(TEXT), "an xz archive", (), ()),
    "tar": (made(in_tar), "a tar archive", (), ()),
    "UTF-16": (TEXT.decode().encode("utf-16"), "UTF-16 text", (), ()),
    "UTF-32": (TEXT.decode().encode("utf-32"), "UTF-32 text", (), ()),
    "PDF": (b"%PDF-1.4\n1 0 obj\nendobj\n", "a PDF document", (), ()),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "a pointer of Git large file storage", (), ()),
    "NumPy": (made(lambda out: np.save(out, np.zeros(300))), "an array of NumPy", ("model",), ()),
    "pickle": (pickle.dumps(["a"] * 90), "a pickle", ("vocabulary",), ()),
    "old pickle": (pickle.dumps({"a": 1}, 0), "a pickle", ("vocabulary",), ("corpus", "pairs")),
    "HDF5": (made(in_hdf5), "an HDF5 file", ("model", "run"), ()),
    "safetensors": (MODEL, "a safetensors file", ("model",), ()),
    "web page": (b"\n<!DOCTYPE html>\n<html></html>\n", "a web page", (), ("corpus", "pairs")),
}
READERS = {
    "corpus": (("eval", "model", "file"), "UTF-8 text"),
    "pairs": (("pairs", "model", "file"), "UTF-8 text"),
    "vectors": (("train", "text", "-q", "--embeddings", "file", "--embedding-size", "2", "--batch", "2", "--steps", "5", "-o", "out"), "word vectors"),
    "vocabulary": (("import", "foreign.npz", "--vocab", "file", "-o", "out"), "a vocabulary"),
    "model": (("eval", "file", "text"), None),
    "run": (("report", "file", "-o", "out"), "a run file"),
}
for kind, (contents, name, read_by, text_for) in KINDS.items():
    with open("file", "wb") as f:
        f.write(contents)
    for reader, (command, expected) in READERS.items():
        if reader in read_by + text_for:
            continue
        p = subprocess.run([program, *command], capture_output=True, text=True)
        said = p.stderr.strip().split("\n")[-1]
        checks += 1
        good = p.returncode == 1 and f"file: is {name}" in said and (not expected or f", expected {expected}" in said)
        if not good or os.path.exists("out"):
            failures += 1
            print(f"FAIL {kind} as {reader}: exit {p.returncode}, {said!r}")
# and each reader still reads the kinds that it reads
for kind, reader in (("gzip", "corpus"), ("safetensors", "model")):
    with open("file", "wb") as f:
        f.write(KINDS[kind][0])
    checks += 1
    p = subprocess.run([program, *READERS[reader][0]], capture_output=True, text=True)
    if p.returncode:
        failures += 1
        print(f"FAIL {kind} as {reader} is not read: {p.stderr}")
print(f"{checks} checks, {failures} failed")
sys.exit(failures > 0)
