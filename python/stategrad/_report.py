# SPDX-License-Identifier: MIT
"""report and words: a run as a page and as text."""
from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Mapping, Sequence, Union

from ._base import Path, array_to_c, call, ffi, is_list, is_path, lib, path_to_c, set_fields, to_c, whole, written
from ._compare import _file_of, _groups

if TYPE_CHECKING:
    from ._run import Run

Runs = Union["Run", Path, Sequence[Union["Run", Path]]]


def report(runs: Runs = (), path: Path | None = None, *, groups: Mapping[str, Sequence[Run | Path]] | None = None) -> None:
    """Writes one self-contained page about one or several runs, side by side and overlaid, atomically.

    Parameters
    ----------
    runs
        A run, the path of its file, or several of them.
    path
        The page to write.
    groups
        Several trained models of one architecture, analysed on one text, by the name of the architecture: their means, with
        intervals over models and over blocks. {"lstm": [run1, run2, run3], "gru": ...}

    Raises
    ------
    ValueError
        No run, or nothing to write; a group of one run; runs of a group that have the same model, or other texts.
    """
    from ._run import Run, refuse_input
    if not isinstance(runs, Run) and not is_path(runs) and not is_list(runs):
        raise TypeError(f"report: runs: expected a run, a path or several, found {runs!r}"[:200])
    shown: list[Any] = [runs] if isinstance(runs, Run) or is_path(runs) else list(runs) # type: ignore[arg-type]
    names: list[str | None] = [None] * len(shown)
    for group, members in _groups(groups, "report"):
        shown += members
        names += [group] * len(members)
    if path is None:
        raise ValueError("report: nothing to write: give the page's path")
    keep: list[Any] = []
    with contextlib.ExitStack() as stack:
        opened = [run if isinstance(run, Run) else stack.enter_context(Run(run)) for run in shown]
        for run in sorted(opened, key=id): # two threads: in one order
            stack.enter_context(run._handle)
        handles = ffi.new("sg_run *[]", [run._handle._pointer for run in opened])
        paths = array_to_c([path_to_c(_file_of(run)) for run in opened], keep)
        of = array_to_c([ffi.NULL if name is None else to_c(name, "groups") for name in names], keep)
        refuse_input(path, *(file for run in opened for file in (run.path, *run._read)))
        call(lib.sg_report_write, path_to_c(path), handles, paths, of, len(opened))


class Words:
    """Words at both ends of the strongest directions. As text: what `stategrad words` prints.

    Attributes
    ----------
    data : dict
        All of it, as `stategrad words --json` prints it.
    """

    def __init__(self, text: str, data: dict[str, Any]) -> None:
        self._text, self.data = text, data

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__


def words(run: Run | Path, class_name: str = "all", delay: int = 0, *, state: str | None = None, layer: int = 0,
          group: str | None = None, **settings: Any) -> Words:
    """Words whose (whitened) embeddings have the largest projections on the strongest directions of a run.

    Parameters
    ----------
    run
        A run, or the path of its file.
    class_name, delay
        The gradients: of this class, at this delay. The words are those of the whole vocabulary.
    state
        "cell", "hidden" or the name of another state; default: the first in the file.
    layer
        1 .. L; 0: the first in the file.
    group
        In place of both: a state of the run by its name, as in `Run.curve`.
    **settings
        top (10): words at each end. directions (3): the strongest. min_count (0): seen so often in the analysed corpus.

    Raises
    ------
    ValueError
        No such class, delay, layer or state; a run without words.
    """
    from ._run import Run, _position
    if not isinstance(run, Run):
        with Run(run) as opened:
            return words(opened, class_name, delay, state=state, layer=layer, group=group, **settings)
    layer = whole(layer, "words: layer")
    fits = [g for g in run.groups if g.startswith("layer") and (not layer or g.startswith(f"layer{layer}."))
            and (state is None or g.endswith(f".{state}"))]
    if group is not None:
        if state is not None or layer:
            raise ValueError("words: give a group, or state and layer")
        fits = [g for g in run.groups if isinstance(group, str) and g == group]
    if not fits:
        raise ValueError(f"words: the run has {', '.join(run.groups)}; found "
                         + (f"state {state!r} and layer {layer}" if group is None else f"group {group!r}"))
    delay = whole(delay, "words: delay", 0, run.delays - 1)
    keep: list[Any] = [to_c(fits[0])]
    cfg = ffi.new("sg_words_config *")
    lib.sg_words_defaults_sized(cfg, ffi.sizeof("sg_words_config"))
    set_fields(cfg, settings, keep, words, ("group", "class_index", "delay"))
    cfg.group, cfg.class_index, cfg.delay = keep[0], _position(class_name, run.classes, "class"), delay
    with run._handle as r:
        return Words(written(lib.sg_words_write, r, cfg, False), json.loads(written(lib.sg_words_write, r, cfg, True)))
