# SPDX-License-Identifier: MIT
"""Figures for papers: the report's main charts through Matplotlib, in its colours."""
from __future__ import annotations

import dataclasses
import functools
import io
import operator
import os
from typing import TYPE_CHECKING, Any, Iterable, NamedTuple, Sequence, Union

import numpy as np

from ._base import Path, is_list, path_to_c, whole

if TYPE_CHECKING:
    from ._run import Curve, Run

KINDS = ("decay", "classes", "spectrum", "properties", "words")
FORMATS = (".pdf", ".svg", ".png")
# As report/charts.js has them: "all" is nearly black, with a circle; the first eight classes differ in colour and in marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = ("s", "^", "D", "P", "v", ">", "*", "<")
BLACK, GREY = "#111111", "#57606a"
DIVERGING = ("#0072B2", "#f4f4f2", "#D55E00")
SHOWN = 8 # classes, if none are named; words at each end
WIDTHS = {1: 3.35, 2: 7.0} # inches of one and two columns
STYLE = {"font.size": 8, "font.family": "sans-serif", "axes.labelsize": 8, "axes.linewidth": 0.6, "axes.spines.top": False,
         "axes.spines.right": False, "axes.edgecolor": GREY, "axes.grid": False, "xtick.color": GREY, "ytick.color": GREY,
         "xtick.labelsize": 7, "ytick.labelsize": 7, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "ytick.minor.width": 0.4,
         "legend.fontsize": 7, "legend.frameon": False, "lines.linewidth": 1.1, "lines.markersize": 3, "grid.color": "#e3e6ea",
         "grid.linewidth": 0.5, "pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "stategrad", "figure.dpi": 160, "savefig.dpi": 300}
LABELS = {"rms_gain": "rms gain", "singular_value": "largest singular value", "singular_sum": "sum of singular values",
          "coherence": "coherence", "effective_rank": "effective rank (directions)", "relative_memory": "relative memory",
          "property_gain": "gain along the property", "subspace_cosine": "cosine with the first direction",
          "state_change": "mean change of state", "output_kl": "KL of the next word (nats)"}
LOGARITHMIC = ("rms_gain", "singular_value", "singular_sum", "state_change", "state_change_relative", "linear_prediction", "output_kl")

Names = Union[str, Sequence[str], None]
Delays = Union[int, Iterable[int], None]


class _Look(NamedTuple):
    color: str
    marker: str


def figure(run: Run, kind: str, classes: Names, delays: Delays, quantity: str | None, properties: Names, group: str | None,
           columns: int, path: Path | None) -> Any:
    """Run.figure."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"figure: expected {', '.join(KINDS)}, found {kind!r}")
    columns = whole(columns, "figure: columns", 1, 2)
    if path is not None:
        path_to_c(path)
        from ._run import refuse_input
        refuse_input(path, run.path, *run._read)
    file = None if path is None else os.fsdecode(path)
    suffix = None if file is None else os.path.splitext(file)[1].lower()
    if suffix is not None and suffix not in FORMATS:
        raise ValueError(f"figure: {file}: expected a name that ends in {', '.join(FORMATS)}")
    group = run._state(group).name
    draw = {"decay": _decay, "classes": _classes, "spectrum": _spectrum, "properties": _properties, "words": _words}[kind]
    if kind == "words" and delays is None:
        delays = [min(1, run.delays - 1)]
    if quantity is not None and not isinstance(quantity, str):
        raise TypeError(f"figure: quantity: expected a name, found {quantity!r}"[:200])
    for name, given, fits in (("quantity", quantity, ("decay", "properties")), ("properties", properties, ("properties",))):
        if given is not None and kind not in fits:
            raise ValueError(f"figure: {name} is of {' and '.join(fits)}, not of {kind!r}")
    from matplotlib import style
    with style.context(["default", STYLE]):
        drawn = _shown_in_notebooks()(figsize=(WIDTHS[columns], 2.5), layout="constrained", facecolor="white")
        draw(drawn, run, group, classes, _positions(run, delays), quantity, properties)
        if path is not None and suffix is not None:
            _save(drawn, path, suffix)
    return drawn


@functools.cache
def _shown_in_notebooks() -> Any:
    """The class of the figures. They do not belong to pyplot, so a notebook shows them through this class."""
    from matplotlib.figure import Figure

    class PaperFigure(Figure):
        def _repr_png_(self) -> bytes:
            png = io.BytesIO()
            self.savefig(png, format="png", dpi=self.dpi)
            return png.getvalue()
    return PaperFigure


def _save(drawn: Any, path: Path, suffix: str) -> None:
    """Atomically; without a date: the same run gives the same bytes."""
    from ._run import written_atomically
    date = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(suffix, {})
    with written_atomically(path) as file:
        drawn.savefig(file, format=suffix[1:], metadata=date)


# ---- what is shown ----

def _positions(run: Run, delays: Delays) -> np.ndarray:
    try:
        is_number = hasattr(delays, "__index__") and not isinstance(delays, bool) and not is_list(delays) # of Python or of NumPy
        chosen = np.arange(run.delays if delays is None else min(operator.index(delays), run.delays + 1)) if delays is None or is_number else np.array([*delays]) # type: ignore[misc, arg-type]
    except Exception: # whatever iterating over it, or NumPy, raises
        chosen = np.empty(0)
    if chosen.ndim != 1 or not len(chosen) or chosen.dtype.kind not in "iu" or (chosen < 0).any() or (chosen >= run.delays).any() or (np.diff(chosen) <= 0).any():
        raise ValueError(f"figure: delays: expected 1 to {run.delays}, or ascending delays of 0 to {run.delays - 1}, found {delays!r}"[:300])
    return chosen


def _named(given: Names, there: Sequence[str], what: str) -> list[str]:
    if given is not None and not isinstance(given, str) and not is_list(given):
        raise TypeError(f"figure: {what}: expected a name or several, found {given!r}"[:200])
    names = [given] if isinstance(given, str) else [] if given is None else list(given)
    if given is not None and not names:
        raise ValueError(f"figure: {what}: expected a name or several, found {given!r}"[:200])
    for i, name in enumerate(names):
        if not isinstance(name, str) or name not in there:
            raise ValueError(f"{what} {name!r}: the run has {', '.join(there) or 'none'}")
        if name in names[:i]:
            raise ValueError(f"figure: {what} {name!r} is given twice")
    return names


def _one_class(given: Names, run: Run, kind: str) -> str:
    names = _named(given, run.classes, "class") or ["all"]
    if len(names) != 1:
        raise ValueError(f"figure: {kind!r} shows one class, found {', '.join(names)}")
    return names[0]


def _shown_first(run: Run) -> list[str]:
    """"all" and the classes of most tokens, in the order of the file."""
    tokens = run.root.read("class_tokens")
    most = sorted(range(1, len(run.classes)), key=lambda c: -tokens[c])[:SHOWN - 1]
    return [name for c, name in enumerate(run.classes) if c == 0 or c in most]


def _looks(names: Sequence[str], first: Sequence[str]) -> dict[str, _Look]:
    """A class looks the same in every figure of a run, and in its report."""
    turn = [n for n in first if n != "all"] + [n for n in names if n != "all" and n not in first]
    rounds = {name: divmod(i, len(COLOURS)) for i, name in enumerate(turn)}
    return {"all": _Look(BLACK, "o"), **{n: _Look(COLOURS[i], MARKERS[(i + turns) % len(MARKERS)]) for n, (turns, i) in rounds.items()}}


def _text(name: str) -> str:
    """A name, shortened, with dollar signs escaped."""
    return (name if len(name) <= 24 else name[:23] + "…").replace("$", "\\$")


def _delay_label(run: Run) -> str:
    return f"delay d ({'characters' if run.attributes.get('unit') == 'char' else 'words'})"


# ---- curves ----

def _decay(drawn: Any, run: Run, group: str, classes: Names, at: np.ndarray, quantity: str | None, _: Names) -> None:
    quantity = quantity or "rms_gain"
    first = _shown_first(run)
    names = _named(classes, run.classes, "class") or first
    curves = [run.curve(name, quantity, group=group) for name in names]
    ax, looks, logarithmic = drawn.subplots(), _looks(run.classes, first), quantity in LOGARITHMIC
    base = f"untrained.{group}"
    _lines(ax, curves, [looks[name] for name in names], at)
    if "all" in names and base in run.groups and quantity in run[base].variables:
        _untrained(ax, run.curve("all", quantity, group=base), run.curve("all", quantity, group=group), at, logarithmic)
    if logarithmic and any((c.value[at] > 0).any() for c in curves):
        _log_axis(ax, *_log_range(ax, curves, at))
    else:
        ax.set_ylim(0, 1.03 if quantity in ("coherence", "linear_cosine") else None)
    _label(drawn, ax, run, LABELS.get(quantity, curves[0].long_name))


def _lines(ax: Any, curves: Sequence[Curve], looks: Sequence[_Look], at: np.ndarray) -> None:
    every = max(1, -(-len(at) // 12))
    for i, (curve, look) in enumerate(zip(curves, looks)):
        taken = at[np.isfinite(curve.value[at])] if curve.quantity.endswith("kl") else at # at some delays: the line joins those
        if curve.low is not None and curve.high is not None:
            ax.fill_between(taken, curve.low[taken], curve.high[taken], color=look.color, alpha=0.18, linewidth=0, zorder=2)
        ax.plot(taken, curve.value[taken], color=look.color, marker=look.marker, markevery=(i % min(every, len(taken) or 1), every),
                label=curve.name, zorder=4)


def _untrained(ax: Any, curve: Curve, trained: Curve, at: np.ndarray, logarithmic: bool) -> None:
    """Dashed; where far below, scaled so that both curves begin at one point."""
    a, b = trained.value[at[0]], curve.value[at[0]]
    factor = a / b if logarithmic and b > 0 and a > 10 * b else 1.0
    ax.plot(at, factor * curve.value[at], color=BLACK, linestyle=(0, (4, 2)), linewidth=0.8, zorder=3,
            label=f"untrained × {factor:.3g}" if factor > 1 else "all, untrained")


def _log_axis(ax: Any, low: float, high: float) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 400 * low else (1,)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _log_range(ax: Any, curves: Sequence[Curve], at: np.ndarray) -> tuple[float, float]:
    """Limits of the axis: neither a band that nearly reaches 0 nor an untrained net may dominate them."""
    def positive(arrays: Iterable[Any]) -> np.ndarray:
        x = np.concatenate([np.ravel(a) for a in arrays if a is not None])
        return x[np.isfinite(x) & (x > 0)]
    value = positive(c.value[at] for c in curves)
    least, lines = value.min(), positive(line.get_ydata() for line in ax.lines)
    low = positive([value, *(c.low[at] for c in curves if c.low is not None)]).min()
    high = positive([lines, *(c.high[at] for c in curves if c.high is not None)]).max()
    return 0.85 * min(max(low, least / 10), max(lines.min(), least / 3)), 1.15 * high


def _properties(drawn: Any, run: Run, group: str, classes: Names, at: np.ndarray, quantity: str | None, properties: Names) -> None:
    quantity, class_name = quantity or "property_gain", _one_class(classes, run, "properties")
    names = _named(properties, run.properties, "property") or list(run.properties)[:SHOWN]
    if not names:
        raise ValueError("figure: the run has no properties; use stategrad.track to add some")
    curves = [run.curve(class_name, quantity, group=group, property=name) for name in names]
    ax, looks = drawn.subplots(), _looks(run.properties, run.properties)
    curves = [dataclasses.replace(curve, name=name) for curve, name in zip(curves, names)]
    _lines(ax, curves, [looks[name] for name in names], at)
    if quantity + "_random" in run[group].variables: # once for all properties
        random = run.curve(class_name, quantity + "_random", group=group, property=names[0])
        if random.low is not None and random.high is not None:
            ax.fill_between(at, random.low[at], random.high[at], color="#808080", alpha=0.25, linewidth=0, zorder=1, label="random, 95 %")
        ax.plot(at, random.value[at], color="#808080", linestyle=":", linewidth=0.8, zorder=1)
    ax.set_ylim(0, None)
    _label(drawn, ax, run, LABELS.get(quantity, curves[0].long_name) + ("" if class_name == "all" else f", {_text(class_name)}"))


def _label(drawn: Any, ax: Any, run: Run, what: str) -> None:
    ax.set_xlabel(_delay_label(run))
    ax.set_ylabel(what)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="y")
    ax.set_axisbelow(True)
    handles, names = ax.get_legend_handles_labels()
    names = [_text(name) for name in names]
    wide = drawn.get_figwidth() > WIDTHS[1]
    if wide:
        ax.legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)
        return
    per_row = max(1, min(len(names), 4, int(52 / (6 + max(map(len, names))))))
    drawn.set_figheight(2.2 + 0.14 * -(-len(names) // per_row))
    ax.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1.01), ncol=per_row, borderaxespad=0, columnspacing=1.2, handletextpad=0.5)


# ---- heat maps ----

def _cells(drawn: Any, at: np.ndarray, rows: np.ndarray, z: np.ndarray, norm: Any, colours: Any, run: Run) -> tuple[Any, Any]:
    ax = drawn.subplots()
    between = (at[1:] + at[:-1]) / 2
    edges = np.concatenate([[at[0] - 0.5], between, [at[-1] + 0.5]])
    mesh = ax.pcolormesh(edges, np.append(rows - 0.5, rows[-1] + 0.5), np.ma.masked_invalid(z), norm=norm, cmap=colours, linewidth=0,
                         rasterized=z.size > 20000)
    ax.invert_yaxis()
    ax.set_xlabel(_delay_label(run))
    ax.xaxis.get_major_locator().set_params(integer=True)
    return ax, mesh


def _classes(drawn: Any, run: Run, group: str, classes: Names, at: np.ndarray, _: str | None, __: Names) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    names = _named(classes, run.classes, "class") or list(run.classes[1:41])
    if not names or not {"gain_ratio", "p_types_adjusted"} <= set(run[group].variables):
        raise ValueError("figure: 'classes' needs a run with classes and the comparison of their gains with that of all words")
    chosen = [run.classes.index(name) for name in names]
    ratio, q = (run[group].read(name)[chosen][:, at] for name in ("gain_ratio", "p_types_adjusted"))
    ratio[~(ratio > 0)] = np.nan
    most = max(1.05, float(np.nanmax(np.maximum(ratio, 1 / ratio), initial=1)))
    drawn.set_figheight(min(9, 0.9 + 0.17 * len(names)))
    rows = np.arange(len(names))
    ax, mesh = _cells(drawn, at, rows, ratio, LogNorm(1 / most, most), LinearSegmentedColormap.from_list("stategrad", DIVERGING), run)
    ax.set_yticks(rows, [_text(name) for name in names])
    ax.tick_params(axis="y", length=0)
    y, x = np.nonzero(q < 0.05)
    ax.plot(at[x], rows[y], linestyle="none", marker="o", markersize=1.6, color=BLACK, label="q < 0.05")
    bar = drawn.colorbar(mesh, ax=ax, ticks=[1 / most, 1, most], format="%.2g", aspect=12)
    bar.ax.minorticks_off()
    bar.set_label("rms gain over that of all words" if len(names) > 6 else "gain / all")


def _spectrum(drawn: Any, run: Run, group: str, classes: Names, at: np.ndarray, _: str | None, __: Names) -> None:
    from matplotlib.colors import LogNorm
    name = _one_class(classes, run, "spectrum")
    rank = min(64, run[group].shape("singular_value")[2])
    sigma = run[group].read("singular_value", (run.classes.index(name), 0, 0), (1, run.delays, rank))[0, at].T
    sigma[~(sigma > 0)] = np.nan
    if np.isnan(sigma).all():
        raise ValueError(f"figure: class {name!r} has no singular value above 0 at these delays")
    most = float(np.nanmax(sigma))
    least = min(max(np.nanmin(sigma), 1e-4 * most), 0.999 * most) # below it noise, and in most runs float32
    ax, mesh = _cells(drawn, at, np.arange(1, rank + 1), sigma, LogNorm(least, most, clip=True), "viridis", run)
    ax.set_ylabel("direction k")
    ax.yaxis.get_major_locator().set_params(integer=True)
    drawn.colorbar(mesh, ax=ax).set_label("singular value" + ("" if name == "all" else f", {_text(name)}"))


# ---- words ----

def _words(drawn: Any, run: Run, group: str, classes: Names, at: np.ndarray, _: str | None, __: Names) -> None:
    name = _one_class(classes, run, "words")
    if len(at) != 1:
        raise ValueError(f"figure: 'words' shows one delay, such as delays=[1]; found {len(at)} of them")
    (direction,) = run.words(name, int(at[0]), group=group, directions=1, top=SHOWN).data["directions"]
    ends = direction["positive"], direction["negative"][::-1]
    words, along = ([word[key] for end in ends for word in end] for key in ("word", "projection"))
    drawn.set_figheight(0.6 + 0.14 * len(words))
    ax, rows = drawn.subplots(), np.arange(len(words))
    ax.barh(rows, along, height=0.75, color=[COLOURS[0]] * len(ends[0]) + [COLOURS[1]] * len(ends[1]))
    ax.set_yticks(rows, [_text(word) for word in words])
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.axvline(0, color=GREY, linewidth=0.6)
    ax.set_xlabel(f"projection (standard deviations), delay {at[0]}" + ("" if name == "all" else f", {_text(name)}"))
