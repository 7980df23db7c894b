#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The report as a file: nothing a user named becomes markup, what is absent is said, errors name the thing. (Its numbers are
compared with the run file's in shown.py.) usage: report.py STATEGRAD SOURCE_ROOT [size]
size: that of a large page, alone"""
import json
import os
import re
import shutil
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
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
from real_run import HOSTILE, HOSTILE_WORDS, make  # noqa: E402


def run(*args, code=0):
    p = subprocess.run([program, *args], capture_output=True, text=True)
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p


def page_data(path):
    html = open(path, encoding="utf-8").read()
    return html, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S).group(1))


def test_hostile(folder):
    nc, html = (os.path.join(folder, n) for n in ("<b>&'.nc", "h.html"))
    shutil.copy(os.path.join(folder, "hostile.nc"), nc)
    run("report", nc, "-o", html)
    text, data = page_data(html)
    assert "http-equiv=\"Content-Security-Policy\"" in text and "@@" not in text.split('id="data"')[0]
    (shown,) = data["runs"]
    assert sorted(c["name"] for c in shown["classes"]) == sorted(["all"] + HOSTILE)
    assert shown["file"] == "<b>&'.nc"
    assert set(HOSTILE_WORDS) & set(shown["words"]["words"])
    raw = text.split('id="data">')[1].split("</script>")[0]
    assert not set(raw) & set("<>&\u2028\u2029") and raw.endswith("}")


def test_withheld(folder):
    """An interval that the run file leaves out is null in the page's data, with the run file's reason; its neighbours stand."""
    nc, html = os.path.join(folder, "withheld.nc"), os.path.join(folder, "w.html")
    run("report", nc, "-o", html)
    (group,) = page_data(html)[1]["runs"][0]["groups"]
    with netCDF4.Dataset(nc) as f:
        low, reason = f["layer1.cell"]["singular_value_low"][:, :, 0].filled(np.nan), f["layer1.cell"]["singular_value_low"].missing_reason
    assert np.isnan(low).any() and np.isfinite(low).any()
    for end in ("sigma1_low", "sigma1_high"):
        rows = group["values"][end]
        assert [[x is None for x in row] for row in rows] == np.isnan(low).tolist(), rows
        assert group["missing"][end] == reason
    assert None not in group["values"]["sigma1"][0] and "sum" not in group["missing"]


def test_plain_and_several(folder):
    html = os.path.join(folder, "s.html")
    run("report", os.path.join(folder, "plain.nc"), os.path.join(folder, "withheld.nc"), "-o", html)
    _, data = page_data(html)
    assert [r["file"] for r in data["runs"]] == ["plain.nc", "withheld.nc"]
    group = data["runs"][0]["groups"][0]
    assert data["runs"][0]["properties"] == [] and group["values"]["relative_memory"] == []
    assert "sigma1" in group["values"] and "sigma1" not in group["missing"] and "p" in group["missing"], group["missing"]


def test_size(folder):
    nc, html = os.path.join(folder, "large.nc"), os.path.join(folder, "large.html")
    make(program, "large", nc)
    run("report", nc, "-o", html)
    size = os.path.getsize(html)
    with netCDF4.Dataset(nc) as f:
        C, D = len(f.dimensions["class"]), len(f.dimensions["delay"])
    print(f"page of {C} classes, {D} delays, 2 states, baseline: {size} bytes")
    assert C >= 17 and D == 50 and size < 3_500_000, (C, D, size)


def test_errors(folder):
    nc, html = os.path.join(folder, "plain.nc"), os.path.join(folder, "e.html")
    open(html, "w").write("kept")
    assert "no.nc" in run("report", os.path.join(folder, "no.nc"), "-o", html, code=1).stderr
    open(os.path.join(folder, "bad.nc"), "wb").write(open(nc, "rb").read()[:5000])
    assert "bad.nc" in run("report", nc, os.path.join(folder, "bad.nc"), "-o", html, code=1).stderr
    assert open(html).read() == "kept"
    assert run("report", nc, code=2).stderr.count("\n") == 1
    run("report", "-o", html, code=2)
    assert "missing/r.html" in run("report", nc, "-o", os.path.join(folder, "missing/r.html"), code=1).stderr


with tempfile.TemporaryDirectory() as folder:
    tests = [test_size] if sys.argv[3:] == ["size"] else [test_withheld, test_hostile, test_plain_and_several, test_errors]
    for name in ("plain", "withheld", "hostile", "one") if test_size not in tests else ():
        make(program, name, os.path.join(folder, name + ".nc"))
    for test in tests:
        test(folder)
        print("ok", test.__name__)
