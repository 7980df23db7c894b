#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stategrad words against numpy, and its misuse. usage: words.py STATEGRAD SOURCE_ROOT"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, root = sys.argv[1:3]


def run(*args, code=0):
    p = subprocess.run([program, "words", *args], capture_output=True, text=True)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def unit(x):
    return x / np.linalg.norm(x)


def test_values(nc):
    with netCDF4.Dataset(nc) as f:
        f.set_auto_mask(False)
        X, L = f["embedding_matrix"][:].astype(float), f["embedding_covariance_factor"][:]
        Z = np.linalg.solve(L, (X - X.mean(0)).T)
        names, counts = list(f["word"][:]), f["word_count"][:]
        assert np.allclose(np.cov(Z), np.eye(len(L)), atol=1e-5)
        for group, c, d in (("layer1.cell", 0, 0), ("layer1.hidden", 2, 5)):
            shown = json.loads(run(nc, "--json", "--class", f["class_name"][c], "--delay", str(d), "--top", "4", "-k", "2",
                                   "--state", group.split(".")[1], "--min-count", "20").stdout)
            assert shown["state"] == group and shown["delay"] == d and len(shown["directions"]) == 2
            for k, direction in enumerate(shown["directions"]):
                v = f[group]["right_singular_vector"][c, d, k].astype(float)
                p = np.where(counts >= 20, v @ Z, np.nan)
                assert abs(direction["singular_value"] / f[group]["singular_value"][c, d, k] - 1) < 1e-8
                for key, order in (("positive", np.argsort(-p)), ("negative", np.argsort(p))):
                    got = direction[key]
                    assert [w["word"] for w in got] == [names[i] for i in order[:4]], (key, got)
                    assert np.allclose([w["projection"] for w in got], p[order[:4]], rtol=1e-5)
                    assert [w["count"] for w in got] == list(counts[order[:4]])
                cosines = {a["name"]: a["cosine"] for a in direction["properties"]}
                for i, name in enumerate(f["property_name"][:]):
                    assert abs(cosines[name] - v @ unit(np.linalg.solve(L, f["property_vector"][i]))) < 1e-6
                cosines = {a["name"]: a["cosine"] for a in direction["classes"]}
                member_word, member_class = f["member_word"][:], f["member_class"][:]
                for i, name in list(enumerate(f["class_name"][:]))[1:]:
                    assert abs(cosines[name] - v @ unit(Z[:, member_word[member_class == i]].sum(1))) < 1e-6, name


def test_text(nc, plain):
    text = run(nc, "--top", "3").stdout
    assert text.startswith("layer1.cell, class all, delay 0") and text.count("direction ") == 3, text
    for args, code, told in ((["--class", "nothing"], 2, "nothing"), (["--delay", "99"], 2, "99"), (["--layer", "7"], 2, "layer"),
                             (["--top", "0"], 2, "top")):
        p = run(nc, *args, code=code)
        assert told in p.stderr and p.stderr.count("\n") == 1, p.stderr
    p = run(plain, code=1)
    assert "no words" in p.stderr and p.stderr.count("\n") == 1, p.stderr


def test_control_characters(folder):
    names, nc = os.path.join(folder, "n.json"), os.path.join(folder, "c.nc")
    json.dump({"words": ["\x1b[31mred", "a\u202eb"]}, open(names, "w"))
    make(nc, "--words", "12", "--names", names)
    text = run(nc, "--top", "12").stdout
    assert "?[31mred" in text and "\x1b" not in text and "\u202e" not in text


def make(path, *args):
    subprocess.run([sys.executable, os.path.join(root, "tests/helpers/make_run.py"), path, *args], check=True)


with tempfile.TemporaryDirectory() as folder:
    nc, plain = os.path.join(folder, "run.nc"), os.path.join(folder, "plain.nc")
    make(nc, "--states", "2")
    make(plain, "--plain")
    test_values(nc)
    test_text(nc, plain)
    test_control_characters(folder)
    print("ok")
