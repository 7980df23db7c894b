#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""stategrad words against numpy, as JSON and as text, and its misuse. usage: words.py STATEGRAD SOURCE_ROOT"""
import json
import os
import re
import shutil
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
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
from real_run import make  # noqa: E402


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
            assert shown["class"] == f["class_name"][c]
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
                    for i, w in zip(order, got):
                        mine = {f["class_name"][k]: n for word, k, n in zip(f["member_word"][:], f["member_class"][:], f["member_count"][:])
                                if word == i}
                        assert {x["name"]: x["count"] for x in w["classes"]} == mine, (w, mine)
                cosines = {a["name"]: a["cosine"] for a in direction["properties"]}
                for i, name in enumerate(f["property_name"][:]):
                    assert abs(cosines[name] - v @ unit(np.linalg.solve(L, f["property_vector"][i]))) < 1e-6
                cosines = {a["name"]: a["cosine"] for a in direction["classes"]}
                member_word, member_class = f["member_word"][:], f["member_class"][:]
                for i, name in list(enumerate(f["class_name"][:]))[1:]:
                    assert abs(cosines[name] - v @ unit(Z[:, member_word[member_class == i]].sum(1))) < 1e-6, name


def test_text(nc):
    """The text says what the JSON says: per direction two halves of words, each at its own end."""
    options = ["--class", "noun", "--delay", "3", "--top", "5", "-k", "2"]
    text, shown = run(nc, *options).stdout, json.loads(run(nc, *options, "--json").stdout)
    assert text.startswith("layer1.cell, class noun, delay 3"), text
    parts = re.split(r"^direction ", text, flags=re.M)[1:]
    assert len(parts) == len(shown["directions"]) == 2
    for k, (part, direction) in enumerate(zip(parts, shown["directions"])):
        lines = part.split("\n")
        assert re.match(rf"{k + 1}   singular value (\S+)", lines[0]) and float(re.findall(r"value ([^ ,]+)", lines[0])[0]) == float(f"{direction['singular_value']:.4g}")
        if k:
            share = 100 * direction["singular_value"] / shown["directions"][0]["singular_value"]
            assert f", {share:.0f} % of the first" in lines[0], (lines[0], share)
        for i in range(5):
            halves = (lines[2 + i][:47], lines[2 + i][49:])
            for half, word in zip(halves, (direction["positive"][i], direction["negative"][i])):
                projection, name, count, *classes = half.split(None, 3)
                assert projection == f"{word['projection']:.2f}" and name == word["word"] and int(count) == word["count"], (half, word)
                bare = [c["name"] for c in sorted(word["classes"], key=lambda c: -c["count"]) if c["name"] != "all" and not c["name"].startswith("rank ")][:3]
                assert (classes[0].strip() if classes else "") == ", ".join(bare)[:15] or "…" in half, (half, bare)
        aligned = re.findall(r"([^,]+?)( \(property\))? ([+-]\d\.\d\d)", part.split("lines up with", 1)[1].split("(random")[0])
        everything = sorted([(-abs(x["cosine"]), x["name"], kind == "properties", x["cosine"]) for kind in ("properties", "classes") for x in direction[kind]])
        assert len(aligned) == min(6, len(everything))
        for (name, is_property, cosine), (_, _, is_one, value) in zip(aligned, everything):
            assert cosine == f"{value:+.2f}" and bool(is_property) == is_one, (aligned, everything)
        assert f"within {shown['random_cosine_high']:.2f}; random sets of words can lie beyond)" in part


def test_misuse(nc, without):
    for args, code, told in ((["--class", "nothing"], 2, "nothing"), (["--delay", "99"], 2, "99"), (["--layer", "7", "--state", "cell"], 2, "words: --layer 7 --state cell: "),
                             (["--top", "0"], 2, "top")):
        p = run(nc, *args, code=code)
        assert told in p.stderr and p.stderr.count("\n") == 1, p.stderr
    p = run(without, code=1)
    assert "no words" in p.stderr and p.stderr.count("\n") == 1, p.stderr


def test_damaged_members(nc):
    """A member that is no word or no class of the run is told, whatever is read of it later."""
    for variable, bound in (("member_word", "word"), ("member_class", "class")):
        for value in (-1, None):
            copy = nc + ".damaged.nc"
            shutil.copy(nc, copy)
            with netCDF4.Dataset(copy, "a") as f:
                f[variable][3] = len(f.dimensions[bound]) if value is None else value
            p = run(copy, code=1)
            assert variable + "[3]" in p.stderr and p.stderr.count("\n") == 1, p.stderr


def test_control_characters(nc):
    text = run(nc, "--top", "500").stdout
    assert "?[31mred" in text and "\x1b" not in text and "\u202e" not in text


with tempfile.TemporaryDirectory() as folder:
    nc, without, hostile = (os.path.join(folder, n + ".nc") for n in ("full", "features", "hostile"))
    for path in (nc, without, hostile):
        make(program, os.path.basename(path)[:-3], path)
    test_values(nc)
    test_text(nc)
    test_misuse(nc, without)
    test_damaged_members(nc)
    test_control_characters(hostile)
    print("ok")
