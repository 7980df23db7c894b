#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The report as a file: its data are the run file's, nothing a user named becomes markup, errors name the thing.
usage: report.py STATEGRAD SOURCE_ROOT [size]     size: that of a large page, alone"""
import json
import os
import re
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, root = sys.argv[1:3]
HOSTILE = ["<script>alert(1)</script>", "\"quoted\" & 'single'", "مرحبا \u202eabc", "🙂 emoji", "x" * 10000, "a\u2028b",
           "</style><img src=x onerror=alert(1)>", "<!--", "@@DATA@@"]


def make(path, *args):
    subprocess.run([sys.executable, os.path.join(root, "tests/helpers/make_run.py"), path, *args], check=True)


def run(*args, code=0):
    p = subprocess.run([program, *args], capture_output=True, text=True)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def page_data(path):
    html = open(path, encoding="utf-8").read()
    return html, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S).group(1))


def close(a, b, digits, what):
    a = np.array(a, dtype=float)
    assert a.shape == b.shape, (what, a.shape, b.shape)
    worst = np.max(np.abs(a - b) / (np.abs(b) + 1e-300))
    assert worst < 10.0 ** (1 - digits), (what, worst)


def test_values(folder):
    nc, html = os.path.join(folder, "run one.nc"), os.path.join(folder, "r.html")
    make(nc, "--baseline", "--states", "2")
    run("report", nc, "-o", html)
    text, data = page_data(html)
    assert "http-equiv=\"Content-Security-Policy\"" in text and "@@" not in text.split('id="data"')[0]
    (shown,) = data["runs"]
    assert shown["file"] == "run one.nc"
    with netCDF4.Dataset(nc) as f:
        assert [c["name"] for c in shown["classes"]] == list(f["class_name"][:])
        assert [c["tokens"] for c in shown["classes"]] == list(f["class_tokens"][:])
        assert sorted(g["name"] for g in shown["groups"]) == sorted(f.groups)
        for g in shown["groups"]:
            v, nc_group = g["values"], f[g["name"]]
            close(v["sigma1"], nc_group["singular_value"][:, :, 0], 6, "sigma1")
            close(v["sum"], nc_group["singular_sum"][:], 6, "sum")
            close(v["rms"], nc_group["rms_gain"][:, :, 0], 6, "rms")
            close(v["coherence"], nc_group["coherence"][:], 6, "coherence")
            close(v["pairs"], nc_group["pairs"][:].astype(float), 12, "pairs")
            if g["baseline_of"]:
                continue
            close(v["sigma1_high"], nc_group["singular_value_high"][:, :, 0], 4, "sigma1_high")
            close(v["relative_memory"], nc_group["relative_memory"][:], 6, "relative_memory")
            close(v["relative_memory_random"], nc_group["relative_memory_random"][:1], 3, "random")
            close(v["spectrum"], nc_group["singular_value"][:], 6, "spectrum")
            k = [i - 1 for i in shown["subspaces"] if i <= nc_group["singular_value"].shape[2]]
            close(v["cosine"], nc_group["subspace_cosine"][:][..., k], 6, "cosine")


def test_hostile(folder):
    nc, html, names = (os.path.join(folder, n) for n in ("<b>&'.nc", "h.html", "names.json"))
    json.dump({"classes": HOSTILE, "properties": HOSTILE[:3], "words": HOSTILE}, open(names, "w"))
    make(nc, "--classes", str(1 + len(HOSTILE)), "--names", names)
    run("report", nc, "-o", html)
    text, data = page_data(html)
    assert [c["name"] for c in data["runs"][0]["classes"]][1:] == HOSTILE
    assert data["runs"][0]["file"] == "<b>&'.nc"
    raw = text.split('id="data">')[1].split("</script>")[0]
    assert not set(raw) & set("<>&\u2028\u2029") and raw.endswith("}")


def test_withheld(folder):
    """An interval that the run file leaves out is null in the page's data, with the run file's reason; its neighbours stand."""
    nc, html = os.path.join(folder, "w.nc"), os.path.join(folder, "w.html")
    make(nc, "--withheld", "--delays", "6")
    run("report", nc, "-o", html)
    (group,) = page_data(html)[1]["runs"][0]["groups"]
    for end in ("sigma1_low", "sigma1_high"):
        rows = group["values"][end]
        assert rows[0][3:] == [None] * 3 and None not in rows[0][:3] and None not in rows[1], rows[:2]
        assert group["missing"][end] == "class all, delay 3: too few pairs (and 1 more)"
    assert None not in group["values"]["sigma1"][0] and "sum_low" not in group["missing"]


def test_plain_and_several(folder):
    plain, other, html = (os.path.join(folder, n) for n in ("plain.nc", "other.nc", "s.html"))
    make(plain, "--plain")
    make(other, "--seed", "2", "--classes", "4", "--delays", "7")
    run("report", plain, other, "-o", html)
    _, data = page_data(html)
    assert [r["file"] for r in data["runs"]] == ["plain.nc", "other.nc"]
    missing = data["runs"][0]["groups"][0]["missing"]
    assert "coherence" in missing and "rms" in missing and "sigma1" not in missing, missing


def test_size(folder):
    nc, html = os.path.join(folder, "big.nc"), os.path.join(folder, "big.html")
    make(nc, "--classes", "20", "--delays", "50", "--embedding", "64", "--units", "64", "--states", "2", "--baseline", "--words", "500")
    run("report", nc, "-o", html)
    size = os.path.getsize(html)
    print("page of 20 classes, 50 delays, 2 states, baseline:", size, "bytes")
    assert size < 3_000_000, size


def test_figures(folder):
    nc, other, plain, out = (os.path.join(folder, n) for n in ("f.nc", "g.nc", "p.nc", "figures"))
    names = os.path.join(folder, "names.json")
    json.dump({"classes": HOSTILE, "properties": HOSTILE[:3], "words": HOSTILE}, open(names, "w"))
    make(nc, "--baseline", "--names", names, "--classes", "9")
    make(other, "--delays", "30", "--seed", "4")
    make(plain, "--plain", "--delays", "1")
    told = run("report", nc, "--figures", out).stdout
    files = sorted(os.listdir(out))
    charts = ["classes", "coherence", "effective-rank", "relative-memory", "rms", "sigma1", "spectrum", "subspace-cosine", "sum", "words"]
    assert files == sorted(f"{c}-layer1.cell.{e}" for c in charts for e in ("pdf", "svg")), files
    assert "20 files" in told, told
    for name in files:
        raw = open(os.path.join(out, name), "rb").read()
        if name.endswith("svg"):
            assert len(ElementTree.fromstring(raw).findall(".//{http://www.w3.org/2000/svg}path")) > 10, name
        else:
            assert raw.startswith(b"%PDF") and b"%%EOF" in raw[-64:] and b"/FontFile" in raw, name
    again = os.path.join(folder, "again")
    run("report", nc, "--figures", again)
    for name in files:
        assert open(os.path.join(out, name), "rb").read() == open(os.path.join(again, name), "rb").read(), name
    run("report", nc, other, "--figures", out)
    assert {"run1-sigma1-layer1.cell.svg", "run2-sum-layer1.cell.pdf", "runs-sigma1-layer1.cell.pdf"} <= set(os.listdir(out))
    run("report", plain, "--figures", os.path.join(folder, "plain"))
    assert sorted(os.listdir(os.path.join(folder, "plain"))) == sorted(
        f"{c}-layer1.cell.{e}" for c in ("classes", "effective-rank", "sigma1", "spectrum", "sum") for e in ("pdf", "svg"))
    assert "f.nc" in run("report", nc, "--figures", nc, code=1).stderr
    assert "nowhere/x" in run("report", nc, "--figures", os.path.join(folder, "nowhere/x"), code=1).stderr


def test_errors(folder):
    nc, html = os.path.join(folder, "e.nc"), os.path.join(folder, "e.html")
    make(nc)
    open(html, "w").write("kept")
    assert "no.nc" in run("report", os.path.join(folder, "no.nc"), "-o", html, code=1).stderr
    open(os.path.join(folder, "bad.nc"), "wb").write(open(nc, "rb").read()[:5000])
    assert "bad.nc" in run("report", nc, os.path.join(folder, "bad.nc"), "-o", html, code=1).stderr
    assert open(html).read() == "kept"
    assert run("report", nc, code=2).stderr.count("\n") == 1
    run("report", "-o", html, code=2)
    assert "missing/r.html" in run("report", nc, "-o", os.path.join(folder, "missing/r.html"), code=1).stderr


with tempfile.TemporaryDirectory() as folder:
    for test in [test_size] if sys.argv[3:] == ["size"] else [test_values, test_withheld, test_hostile, test_plain_and_several, test_figures, test_errors]:
        test(folder)
        print("ok", test.__name__)
