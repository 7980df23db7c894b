#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The figures that `report --figures` writes, against the run file: every point of every curve and band, dots, cells and
bars by their places in the SVG, labels by their places in the PDF (pdftotext). usage: figures.py STATEGRAD SOURCE_ROOT

Places are compared without knowing the axes: one straight line from value (or its logarithm) to height must fit all
curves and bands of a chart, and go upwards."""
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
if not shutil.which("pdftotext"):
    print("skipped: no pdftotext")
    sys.exit(77)

program, root = sys.argv[1:3]
sys.path.insert(0, os.path.join(root, "tests", "helpers"))
import real_run  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"
SHOWN = 8


class Figure:
    def __init__(self, folder, name, group):
        path = os.path.join(folder, f"{name}-{group}")
        tree = ElementTree.parse(path + ".svg")
        definitions = tree.find(SVG + "defs")
        inside = set(definitions.iter()) if definitions is not None else set()
        self.paths = []
        for p in tree.iter(SVG + "path"):
            if p not in inside:
                style = dict(s.split(":", 1) for s in p.get("style", "").split(";") if ":" in s)
                parts = [np.array(re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", s), float).reshape(-1, 2) for s in p.get("d").split("M") if s.strip()]
                parts = [part for part in parts if len(part) > 1]  # cairo moves back after closing a path
                self.paths.append((style, parts, "C" in p.get("d")))
                if not parts:
                    self.paths.pop()
        text = subprocess.run(["pdftotext", "-bbox", path + ".pdf", "-"], check=True, capture_output=True, text=True).stdout
        self.words = [(m[4], (float(m[0]) + float(m[2])) / 2, (float(m[1]) + float(m[3])) / 2) for m in re.findall(
            r'<word xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">(.*?)</word>', text)]
        self.text = " ".join(w[0] for w in self.words)

    def lines(self, width, dashed=False):
        """Curves drawn with this width, in drawing order."""
        return [parts for style, parts, _ in self.paths if float(style.get("stroke-width", 0)) == width and style.get("fill") == "none" and
                (style.get("stroke-dasharray", "none") != "none") == dashed and sum(map(len, parts)) > 1 and self.inside(parts)]

    @staticmethod
    def inside(parts):  # not a swatch of the legend, not an axis
        x = np.concatenate(parts)[:, 0]
        return x.max() <= 315 and len(x) > 2

    def filled(self, opacity):
        return [parts for style, parts, _ in self.paths if style.get("fill", "none") != "none" and abs(float(style.get("fill-opacity", 1)) - opacity) < 1e-6]


def unescape(text):
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&quot;", '"')


class Axis:
    """Height as a straight line of the value, from the pairs of a first curve."""

    def __init__(self, values, heights):
        self.k, self.a = np.polyfit(values, heights, 1)
        assert self.k < 0, "a larger value is drawn lower"

    def check(self, values, heights, *where):
        values, heights = np.asarray(values), np.asarray(heights)
        assert values.shape == heights.shape, (where, values.shape, heights.shape)
        away = np.abs(self.k * values + self.a - heights)
        assert (away < 0.12).all(), (where, values[away.argmax()], heights[away.argmax()], away.max())


def chosen_classes(f):
    tokens = f["class_tokens"][:]
    order = sorted(range(1, len(tokens)), key=lambda c: (-tokens[c], c))[:SHOWN - 1]
    return [0] + sorted(order)


def drawn_bands(parts, x):
    """{delay: (low, high)} of one filled band of quadrilaterals."""
    ends = {}
    for q in parts:
        for low, high in ((q[0], q[3]), (q[1], q[2])):
            d = int(np.abs(x - low[0]).argmin())
            assert abs(x[d] - low[0]) < 0.05 and abs(low[0] - high[0]) < 0.01
            ends[d] = (low[1], high[1])
    return ends


def check_curves(figure, log, curves, lows, highs, base, what):
    """curves, lows, highs: (n, D); base (D) or None."""
    of = np.log if log else np.asarray
    D = curves.shape[1]
    lines = figure.lines(1.2)[::-1]  # the first is drawn last
    assert len(lines) == len(curves), (what, len(lines), len(curves))
    points = [np.concatenate(parts) for parts in lines]
    x = np.linspace(points[0][0, 0], points[0][-1, 0], D)
    assert x[-1] > x[0]
    # (cairo makes one segment of two with the same slope, so that points are looked up on the lines)
    heights = [np.interp(x, p[:, 0], p[:, 1]) for p in points]
    axis = Axis(of(np.concatenate(list(curves))), np.concatenate(heights))
    for i, p in enumerate(points):
        assert np.abs(x[:, None] - p[:, 0]).min(0).max() < 0.05, (what, "a corner between delays", i)
        axis.check(of(curves[i]), heights[i], what, "curve", i)
    floor = max(p[:, 1].max() for p in points) + 400
    bands = figure.filled(0.18)[::-1]
    given = [i for i in range(len(curves)) if np.isfinite(lows[i]).sum() > 1 and (np.isfinite(lows[i][1:]) & np.isfinite(lows[i][:-1])).any()]
    assert len(bands) == len(given), (what, len(bands), given)
    for i, parts in zip(given, bands):
        for d, (low, high) in drawn_bands(parts, x).items():
            axis.check([of(highs[i][d])], [high], what, "high", i, d)
            if not log or lows[i][d] > 0 and low < floor:
                expected = axis.k * of(lows[i][d]) + axis.a
                assert abs(expected - low) < 0.12 or low < expected and low >= max(p[:, 1].max() for p in points) - 0.2, (what, "low", i, d, low, expected)
    dashed = figure.lines(0.9, dashed=True)
    assert len(dashed) == (base is not None), (what, len(dashed))
    if base is not None:
        factor = curves[0][0] / base[0] if log and curves[0][0] > 10 * base[0] else 1
        line = np.concatenate(dashed[0])
        there = base > 0 if log else np.isfinite(base)
        axis.check(of(factor * base[there]), np.interp(x[there], line[:, 0], line[:, 1]), what, "untrained")
    return axis


def tick_values(figure, axis, log, what):
    """The numbers on the left axis stand at their heights."""
    found = 0
    for word, x, y in figure.words:
        if x < 46 and re.fullmatch(r"\d+(\.\d+)?(e[-+]\d+)?", word) and float(word) > 0:
            expected = axis.k * (np.log(float(word)) if log else float(word)) + axis.a
            assert abs(expected - y) < 2.5, (what, word, y, expected)
            found += 1
    assert found >= 2, (what, "ticks", found)


def check_run(f, folder, steps):
    for group in (g for g in f.groups if g.startswith("layer")):
        check_group(f, f[group], f.groups.get("untrained." + group), folder, group, steps)


def number(v, *at):
    return np.ma.filled(v[at].astype(float), np.nan)


QUANTITIES = {"sigma1": ("singular_value", True), "sum": ("singular_sum", True), "rms": ("rms_gain", True), "coherence": ("coherence", False),
              "effective-rank": ("effective_rank", False)}


def check_group(f, g, untrained, folder, group, steps):
    classes, names = chosen_classes(f), list(f["class_name"][:])
    for name, (variable, log) in QUANTITIES.items():
        pick = (lambda v: number(v, slice(None), slice(None), 0)) if g[variable].ndim == 3 else (lambda v: number(v, slice(None), slice(None)))
        figure = Figure(folder, name, group)
        axis = check_curves(figure, log, pick(g[variable])[classes], pick(g[variable + "_low"])[classes], pick(g[variable + "_high"])[classes],
                            pick(untrained[variable])[0] if untrained is not None else None, (group, name))
        tick_values(figure, axis, log, (group, name))
        keys = [w for w in figure.words if w[1] > 330]
        order = [unescape(w[0]) for w in sorted(keys, key=lambda w: w[2])]
        for c in classes:
            assert names[c].split()[0] in order, (group, name, names[c], order)
        assert f"delay d ({steps})" in figure.text, (group, name, figure.text)
    check_properties(f, g, folder, group, steps)
    check_classes(f, g, folder, group, names, steps)
    check_words(f, g, folder, group)


def check_properties(f, g, folder, group, steps):
    P = len(f.dimensions["property"])
    for name, variable in (("relative-memory", "relative_memory"), ("subspace-cosine", "subspace_cosine")):
        if not P:
            assert not os.path.exists(os.path.join(folder, f"{name}-{group}.svg"))
            continue
        last = min(10, len(g.dimensions["rank"])) - 1
        pick = lambda v: number(v, slice(None), 0, slice(None), last) if v.ndim == 4 else number(v, slice(None), 0, slice(None))
        figure = Figure(folder, name, group)
        curves = pick(g[variable])
        if np.ptp(curves) < 1e-9:
            continue
        axis = check_curves(figure, False, curves, pick(g[variable + "_low"]), pick(g[variable + "_high"]), None, (group, name))
        tick_values(figure, axis, False, (group, name))
        (grey,) = [parts for parts in figure.filled(0.25) if len(parts) > 1]
        low, high = (pick(g[variable + "_random" + end])[0] for end in ("_low", "_high"))
        line = np.concatenate(figure.lines(1.2)[0])[:, 0]
        x = np.linspace(line[0], line[-1], curves.shape[1])
        for d, ends in drawn_bands(grey, x).items():
            axis.check([low[d], high[d]], list(ends), group, name, "random", d)
        assert f"delay d ({steps})" in figure.text


def check_classes(f, g, folder, group, names, steps):
    if len(names) < 2:
        assert not os.path.exists(os.path.join(folder, f"classes-{group}.svg"))
        return
    figure = Figure(folder, "classes", group)
    D, rows = len(f.dimensions["delay"]), len(names) - 1
    q, sigma = number(g["class_difference_p_adjusted"], slice(None), slice(None)), number(g["singular_value"], slice(None), slice(None), 0)
    low, high = (number(g["class_null_" + k], slice(None), slice(None)) for k in ("low", "high"))
    beside = np.log(sigma / np.sqrt(low * high))[1:]
    cells = [(style, parts[0]) for style, parts, curved in figure.paths if style.get("fill", "none") != "none" and not curved and
             92 <= parts[0][:, 0].min() + 0.5 and parts[0][:, 0].max() < 360]
    assert len(cells) == D * rows, (group, "cells", len(cells), D, rows)
    left, top = min(c[:, 0].min() for _, c in cells), min(c[:, 1].min() for _, c in cells)
    wide, tall = (max(c[:, 0].max() for _, c in cells) - left) / D, (max(c[:, 1].max() for _, c in cells) - top) / rows
    dots = [parts[0].mean(0) for style, parts, curved in figure.paths if curved and np.ptp(parts[0][:, 0]) < 2.2 and style.get("fill", "none") != "none"]
    marked = {(int((y - top) / tall), int((x - left) / wide)) for x, y in dots}
    assert marked == {(i, d) for i in range(rows) for d in range(D) if q[1 + i, d] < 0.05}, (group, "dots", sorted(marked)[:5])
    most = max(np.log(1.05), np.nanmax(np.abs(beside)))
    for style, c in cells:  # orange is more than chance, blue less
        i, d = int((c[:, 1].min() - top) / tall + 0.5), int((c[:, 0].min() - left) / wide + 0.5)
        red, _, blue = (float(v) for v in re.findall(r"([\d.]+)%", style["fill"]))
        assert abs(beside[i, d]) < 0.08 * most or (red > blue) == (beside[i, d] > 0), (group, "colour", i, d, beside[i, d], style["fill"])
    scale = [float(w) for w, x, y in figure.words if x > 360 and re.fullmatch(r"\d+(\.\d+)?", w)]
    assert any(abs(s - np.exp(most)) < 0.06 for s in scale), (group, "scale", scale, np.exp(most))
    for i, name in enumerate(names[1:]):
        first = name.split()[0]
        assert any(unescape(w).startswith(first[:8]) and abs(y - (top + tall * (i + 0.5))) < tall for w, x, y in figure.words if x < 92), (group, name)
    assert f"delay d ({steps})" in figure.text


def check_words(f, g, folder, group):
    if "word" not in f.variables:
        assert not os.path.exists(os.path.join(folder, f"words-{group}.svg"))
        return
    figure = Figure(folder, "words", group)
    X, L = number(f["embedding_matrix"], slice(None)), number(f["embedding_covariance_factor"], slice(None))
    delay = 1 if len(f.dimensions["delay"]) > 1 else 0
    p = number(g["right_singular_vector"], 0, delay, 0) @ np.linalg.solve(L, (X - X.mean(0)).T)
    order = np.argsort(-p, kind="stable")
    want = list(order[:8]) + list(order[-8:])
    bars = [parts[0] for style, parts, curved in figure.paths if style.get("fill", "none") != "none" and not curved and len(parts[0]) >= 4]
    bars = sorted((b for b in bars if b[:, 0].min() >= 109), key=lambda b: b[:, 1].min())
    assert len(bars) == len(want), (group, "bars", len(bars))
    scale = np.ptp(bars[0][:, 0]) / abs(p[want[0]])
    zero = bars[0][:, 0].min()
    names = f["word"][:]
    for b, i in zip(bars, want):
        assert abs(np.ptp(b[:, 0]) - scale * abs(p[i])) < 0.1, (group, names[i], np.ptp(b[:, 0]), scale * p[i])
        assert (b[:, 0].max() > zero + 0.1) == (p[i] > 0), (group, names[i])
        label = [unescape(w) for w, x, y in figure.words if x < 109 and abs(y - b[:, 1].mean()) < 6]
        assert names[i] in label or not names[i].strip(), (group, names[i], label)  # a line end shows no letter


with tempfile.TemporaryDirectory() as top:
    for name, steps in (("small", "words"), ("chars", "characters"), ("full", "words")):
        path = os.path.join(top, name + ".nc")
        real_run.make(program, name, path)
        folder = os.path.join(top, "figures-" + name)
        subprocess.run([program, "report", path, "--figures", folder], check=True, stdout=subprocess.DEVNULL)
        with netCDF4.Dataset(path) as f:
            if name == "full":
                p, q = (number(f["layer1.cell"]["class_difference_" + k], slice(None), slice(None)) for k in ("p", "p_adjusted"))
                assert ((p < 0.05) != (q < 0.05)).any()
            check_run(f, folder, steps)
        print("ok", name)
