#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`report --group`: means over models, intervals over models and over blocks, against numpy; what does not belong together is
refused by name. usage: report_groups.py STATEGRAD SOURCE_ROOT"""
import json
import os
import re
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

program, root = os.path.abspath(sys.argv[1]), sys.argv[2]
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
import real_run  # noqa: E402

T_975 = {1: 12.7062047364, 2: 4.30265272991}  # of the tables
VARIABLES = {"rms": "rms_gain", "sigma1": "singular_value", "ratio": "gain_ratio", "change": "state_change",
             "property_gain": "property_gain", "relative_memory": "relative_memory"}


def run(*args, code=0):
    p = subprocess.run([program, *args], capture_output=True, text=True, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert p.returncode == code, (args, p.returncode, p.stderr)
    return p.stderr


def make_runs():
    real_run.corpora(folder)
    for cell, seeds in (("lstm", 3), ("gru", 2)):
        for seed in range(1, seeds + 1):
            run("train", "plain.txt", "--cell", cell, "--embedding-size", "5", "--hidden-size", "6", "--epochs", "1", "--batch", "4",
                "--steps", "20", "--init", "0.4", "--seed", str(seed), "-q", "-o", f"{cell}{seed}.safetensors")
            extra = ["--classes", "words:few.txt"] if (cell, seed) != ("lstm", 2) else []
            run("analyze", f"{cell}{seed}.safetensors", "plain.txt", "--state", "hidden", "--delays", "6" if (cell, seed) != ("gru", 2) else "4",
                "--classes", "frequency", *extra, "--property", "p=the-of", "--lyapunov", "none", "--replace",
                "300", "-q", "-o", f"{cell}{seed}.nc")
    run("analyze", "lstm1.safetensors", "short.txt", "--state", "hidden", "--delays", "3", "-q", "-o", "other-text.nc")


def page(*args):
    run("report", *args, "-o", "page.html")
    html = open(os.path.join(folder, "page.html"), encoding="utf-8").read()
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S).group(1))


def over_models(x):
    """(models, ...) -> mean, low, high."""
    n, mean = len(x), x.mean(0)
    reach = T_975[n - 1] * x.std(0, ddof=1) / n ** 0.5
    return mean, mean - reach, mean + reach


def numbers(nested):
    return np.array(nested, dtype=float)  # null is NaN


def close(shown, exact, what):
    shown, exact = numbers(shown), np.asarray(exact, float)
    assert shown.shape == exact.shape, (what, shown.shape, exact.shape)
    assert np.allclose(shown, exact, rtol=2e-5, atol=1e-12, equal_nan=True), (what, shown, exact)


def check_group(group, files):
    data = [netCDF4.Dataset(os.path.join(folder, f)) for f in files]
    D = min(len(f.dimensions["delay"]) for f in data)
    classes = [c for c in data[0]["class_name"][:] if all(c in list(f["class_name"][:]) for f in data)]
    assert (group["classes"], group["delays"], group["properties"]) == (classes, D, ["p"]), group
    (state,) = group["states"]
    assert state["name"] == "layer1.hidden" and set(state["values"]) == {*VARIABLES, "half_life"}
    checked = 0
    for key, name in VARIABLES.items():
        for i, series in enumerate(["p"] if "propert" in key or "relative" in key else classes):
            def read(suffix):
                rows = []
                for f in data:
                    x = np.ma.filled(np.ma.asarray(f["layer1.hidden"][name + suffix][:], float), np.nan)
                    x = x[0, 0] if series == "p" else x[list(f["class_name"][:]).index(series)]
                    rows.append((x[:, 0] if x.ndim == 2 else x)[:D])
                return np.array(rows)
            shown = state["values"][key][i]
            for end, exact in zip(("mean", "low", "high"), over_models(read(""))):
                close(shown[end], exact, (key, series, end))
            close(shown["blocks_low"], read("_low").mean(0), (key, series))
            close(shown["blocks_high"], read("_high").mean(0), (key, series))
            checked += np.isfinite(read("")).all(0).sum()
    for q, quantity in enumerate(group["decay_quantity"]):
        for i, c in enumerate(classes):
            at = lambda f, v: np.ma.filled(f["layer1.hidden"][v][:], np.nan)[list(f["class_name"][:]).index(c), list(f["decay_quantity"][:]).index(quantity)]
            mean, low, high = over_models(np.array([[at(f, "half_life")] for f in data]))
            shown = state["values"]["half_life"][q][i]
            close(shown["mean"], mean, (quantity, c)), close(shown["low"], low, (quantity, c)), close(shown["high"], high, (quantity, c))
            close(shown["blocks_low"], [np.mean([at(f, "half_life_low") for f in data])], (quantity, c))
    for f in data:
        f.close()
    assert checked > 80, checked
    return checked


def test_values():
    lstm, gru = [f"lstm{i}.nc" for i in (1, 2, 3)], ["gru1.nc", "gru2.nc"]
    shown = page("--group", "long-memory=" + ",".join(lstm), "lstm1.nc", "-g", "__proto__=" + ",".join(gru))
    assert [r["file"] for r in shown["runs"]] == ["lstm1.nc", *lstm, *gru]
    first, second = shown["models"]
    assert (first["name"], first["runs"], second["name"], second["runs"]) == ("long-memory", [1, 2, 3], "__proto__", [4, 5])
    assert "common" not in first["classes"] and "common" in second["classes"] and second["delays"] == 4
    print(check_group(first, lstm) + check_group(second, gru), "means agree")
    assert page("lstm1.nc")["models"] == []


def test_refusals():
    for text, code, *expected in [
            ("", 2, "expected NAME=", "found ''"), ("a,", 2, "found 'a,'"), ("a", 2, "expected NAME=RUN.nc,RUN.nc,..., found 'a'"), ("a=", 2, "found 'a='"), ("=lstm1.nc,lstm2.nc", 2, "expected NAME="),
            ("a=lstm1.nc", 2, "two runs or more", "'a=lstm1.nc'"), ("a=lstm1.nc,,lstm2.nc", 2, "a file name is missing"),
            ("a=lstm1.nc,no.nc", 1, "no.nc"), ("a=lstm1.nc,lstm1.nc", 2, "group a: lstm1.nc and lstm1.nc analyse the same model"),
            ("a=lstm2.nc,other-text.nc", 2, "group a: lstm2.nc and other-text.nc analyse different texts")]:
        said = run("report", "--group", text, "-o", "bad.html", code=code)
        assert all(e in said for e in expected) and said.count("\n") == 1, (text, said)
        assert not os.path.exists(os.path.join(folder, "bad.html")), text
    said = run("report", "-g", "a=lstm1.nc,lstm2.nc", "-g", "a=gru1.nc,gru2.nc", "-o", "bad.html", code=2)
    assert "'a' is given twice" in said, said
    before = open(os.path.join(folder, "lstm2.nc"), "rb").read()
    run("report", "-g", "a=lstm1.nc,lstm2.nc", "-o", "lstm2.nc", code=2)
    assert open(os.path.join(folder, "lstm2.nc"), "rb").read() == before
    assert "a run is missing" in run("report", "-o", "bad.html", code=2)


with tempfile.TemporaryDirectory() as folder:
    make_runs()
    for test in (test_values, test_refusals):
        test()
        print("ok", test.__name__)
