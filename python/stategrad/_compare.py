# SPDX-License-Identifier: MIT
"""compare: A against B, from runs."""
from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Mapping, Sequence, Union

from ._base import Handle, Path, Uncopied, array_to_c, call, ffi, from_c, index_of, is_list, is_path, lib, new, path_to_c, to_c, whole

if TYPE_CHECKING:
    from ._run import Run

NO_DELAY = 2 ** (8 * ffi.sizeof("size_t")) - 1


class Comparison(Uncopied):
    """What `stategrad compare --json` prints.

    Attributes
    ----------
    rows : list of dict
        One per pair, measure and delay: a, b, ratio and difference with their 95 % intervals (ratio_low, ...), p, p_adjusted,
        verdict ("higher", "lower", "undecided": A), reason. Missing numbers are None.
    pairs : list of dict
        What A and B are, and whether their intervals are paired.
    comparisons : int
        Number of p-values adjusted together.
    notes : list of str
        What to know when reading it.
    """

    def __init__(self, handle: Handle, c_pairs: Any, sides: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        self._handle, self._pairs = handle, c_pairs
        self._read: list[Path] = []  # the run files
        n = ffi.new("size_t *")
        with handle as c:
            rows = lib.sg_comparison_rows(c, n)
            self.rows = [_row(rows[i]) for i in range(n[0])]
            self.comparisons = int(lib.sg_comparison_tests(c))
            self.pairs = [{"a": a, "b": b, "paired": lib.sg_comparison_paired(c, i) > 0} for i, (a, b) in enumerate(sides)]
            self.notes: list[str] = []
            while (note := lib.sg_comparison_note(c, len(self.notes))) != ffi.NULL:
                self.notes.append(from_c(note))

    def csv(self, path: Path, style: str = "plain") -> None:
        """Writes the rows as a table. style: "plain" or "spreadsheet"."""
        from ._run import CSV_STYLES, refuse_input
        refuse_input(path, *self._read)
        with self._handle as c:
            call(lib.sg_comparison_write_csv, c, self._pairs, path_to_c(path), index_of(style, CSV_STYLES, "style"))

    def __repr__(self) -> str:
        return f"<stategrad.Comparison: {len(self.rows)} rows, {', '.join(p['a']['label'] + ' against ' + p['b']['label'] for p in self.pairs)}>"


def _text(text: Any) -> str | None:
    return None if text == ffi.NULL else from_c(text)


def _row(r: Any) -> dict[str, Any]:
    numbers: dict[str, float] = {}
    x = ffi.new("double *")
    while (name := lib.sg_compare_number(ffi.addressof(r), len(numbers), x)) != ffi.NULL:
        numbers[from_c(name)] = x[0]
    finite = {key: x if abs(x) < float("inf") else None for key, x in numbers.items()} # a NaN is below nothing
    return {"pair": int(r.pair), "measure": from_c(r.measure), "delay": None if r.delay == NO_DELAY else int(r.delay), **finite,
            "verdict": _text(r.verdict), "reason": _text(r.no_verdict)}


def _several(given: Any, what: str) -> list[Any]:
    if given is None or isinstance(given, str) or hasattr(given, "__index__") and not is_list(given): # a whole number of Python or NumPy
        return [given]
    if not is_list(given):
        raise TypeError(f"compare: {what}: expected one or a list, found {given!r}"[:200])
    if not len(given):
        raise ValueError(f"compare: {what}: expected one or a list, found {given!r}"[:200])
    return list(given)


def _state_of(run: Run, state: str | None, layer: int) -> str:
    fits = [g for g in run.groups if g.startswith("layer") and (not layer or g.startswith(f"layer{layer}."))
            and (state is None or g.endswith(f".{state}"))]
    if not fits:
        raise ValueError(f"compare: the run has {', '.join(run.groups)}; found state {state!r} and layer {layer}")
    return fits[0]


def compare(*what: Union[Run, Path], class_name: str | Sequence[str] | None = None, properties: str | Sequence[str] | None = None,
            measure: str | Sequence[str] | None = None, delay: int | Sequence[int] | None = None,
            groups: Mapping[str, Sequence[Run | Path]] | None = None, state: str | None = None, layer: int = 0,
            report: Path | None = None) -> Comparison:
    """A against B: ratio and difference with paired 95 % intervals, p-values adjusted over all rows.

    Parameters
    ----------
    *what
        A run and two names of its classes, properties or states: compare(run, "noun", "verb"); or two runs. With `groups`:
        nothing (two groups), two names, or a run.
    class_name, properties
        Of runs, groups and states: compare them on these. Default: all words, no property.
    measure
        "rms_gain", "state_change_left", ...; default: all that suit.
    delay
        Default: 0, 1, 5, 10, 20 and the last.
    groups
        Several trained models of one architecture by name, at most two groups: intervals over models.
    state
        "cell", "hidden" or the name of another state; default: the first in the file.
    layer
        1 .. L; 0: the first in the file.
    report
        A page to write as well: the report of these runs, with the comparison as a section.

    Raises
    ------
    ValueError
        A name or delay that the runs do not have; A equals B; measures without a common unit; runs of an earlier version.
    """
    from ._run import Run, refuse_input
    given = _groups(groups, "compare")
    for x in what:
        if not isinstance(x, Run) and not is_path(x):
            raise TypeError(f"compare: expected runs, paths and names, found {x!r}"[:200])
    layer = whole(layer, "compare: layer")
    if len(what) == 2 and not given and isinstance(what[0], Run) and isinstance(what[1], str) and what[1] in (*what[0].classes, *what[0].properties, *what[0].groups):
        raise ValueError(f"compare: {what[1]!r} is a name of the run: expected two, such as compare(run, {what[1]!r}, "
                         f"{next((x for x in what[0].classes if x != what[1]), 'noun')!r}), or a run and another run")
    names = [os.fspath(x) for x in what[-2:] if not isinstance(x, Run)] if len(what) == 3 or (len(what) == 2 and len(given) == 1) else []
    runs = list(what[:len(what) - len(names)])
    if len(runs) + len(given) != (1 if names else 2) or len(names) not in (0, 2):
        raise ValueError("compare: expected a run and two names, two runs, two groups, or a group and two names")
    models: list[tuple[str | None, list[Any]]] = [*given] + [(None, [run]) for run in runs]
    keep: list[Any] = []
    with contextlib.ExitStack() as stack:
        opened = [(name, [run if isinstance(run, Run) else stack.enter_context(Run(run)) for run in members]) for name, members in models]
        for run in sorted((run for _, members in opened for run in members), key=id): # two threads: in one order
            stack.enter_context(run._handle)
        pairs = [_pair(opened, names, c, p, state, layer) for c in _several(class_name, "class_name") for p in _several(properties, "properties")]
        c_pairs = ffi.new("sg_compare_pair[]", [tuple(_side(side, keep) for side in pair) for pair in pairs])
        keep.append(c_pairs)
        measures = [to_c(m, "measure") for m in _several(measure, "measure") if m is not None]
        delays = ffi.new("size_t[]", [whole(d, "compare: delay") for d in _several(delay, "delay") if d is not None])
        cfg = ffi.new("sg_compare_config *", {"struct_size": ffi.sizeof("sg_compare_config"), "n_measures": len(measures),
                                              "measures": array_to_c(measures, keep), "delays": delays, "n_delays": len(delays)})
        handle = Handle(new("sg_comparison", lib.sg_compare, c_pairs, len(pairs), cfg), "comparison", keep)
        result = Comparison(handle, c_pairs, [(a, b) for a, b in ([_shown(s) for s in pair] for pair in pairs)])
        result._read = [file for _, members in opened for run in members for file in (run.path, *run._read)]
        if report is not None:
            refuse_input(report, *result._read)
            shown = [(name, run) for name, members in opened for run in members]
            with handle as c:
                call(lib.sg_report_write_comparison, path_to_c(report), ffi.new("sg_run *[]", [run._handle._pointer for _, run in shown]),
                     array_to_c([path_to_c(_file_of(run)) for _, run in shown], keep),
                     array_to_c([ffi.NULL if name is None else to_c(name, "groups") for name, _ in shown], keep), len(shown), c, c_pairs, len(pairs))
    return result


def _file_of(run: Run) -> str:
    """As the page and the labels name it."""
    return run.path if run._temporary is None else "run"


def _groups(groups: Any, what: str) -> list[tuple[str, list[Any]]]:
    """Groups of models, for compare and report."""
    if groups is None:
        return []
    if not isinstance(groups, Mapping):
        raise TypeError(f"{what}: groups: expected a dict {{name: runs}}, found {groups!r}"[:200])
    for name, members in groups.items():
        if not is_list(members) or len(members) < 2:
            raise ValueError(f"{what}: groups: {name!r}: expected two runs or more, found {members!r}"[:200])
    return [(name, list(members)) for name, members in groups.items()]


def _pair(opened: list[tuple[str | None, list[Run]]], names: list[str], class_name: str | None, property_name: str | None,
          state: str | None, layer: int) -> list[dict[str, Any]]:
    sides = []
    for i in range(2):
        group, runs = opened[0 if names else i]
        label = names[i] if names else group or _file_of(runs[0])
        side: dict[str, Any] = {"runs": runs, "state": _state_of(runs[0], state, layer), "class": class_name, "property": property_name}
        if names: # A determines what B is
            first = runs[0]
            kind = "class" if names[0] in first.classes else "property" if names[0] in first.properties else "state" if names[0] in first.groups else "class"
            if kind != "state" and (property_name is not None or kind == "class" and class_name is not None):
                raise ValueError(f"compare: A and B are given already: {names[0]}, {names[1]}")
            if kind == "state" and (state is not None or layer):
                raise ValueError(f"compare: A and B are states already: {names[0]}, {names[1]}; found state {state!r} and layer {layer}")
            side = {**side, kind: names[i]}
        extra = [x for x in (property_name, class_name) if x is not None]
        sides.append({**side, "label": ", ".join([label, *extra])})
    return sides


def _side(side: dict[str, Any], keep: list[Any]) -> dict[str, Any]:
    runs = side["runs"]
    texts: dict[str, Any] = {field: ffi.NULL if side[key] is None else to_c(side[key], key)
             for field, key in (("label", "label"), ("state", "state"), ("class_name", "class"), ("property", "property"))}
    handles = ffi.new("sg_run *[]", [run._handle._pointer for run in runs])
    keep += [texts, handles]
    return {**texts, "runs": handles, "n": len(runs),
            "paths": array_to_c([path_to_c(_file_of(run)) for run in runs], keep)}


def _shown(side: dict[str, Any]) -> dict[str, Any]:
    return {"label": side["label"], "runs": [_file_of(run) for run in side["runs"]], "state": side["state"],
            "class": side["class"] or "all", "property": side["property"]}
