# SPDX-License-Identifier: MIT
"""pairs: minimal pairs and agreement suites."""
from __future__ import annotations

import json
import os
from typing import Any, NamedTuple, Sequence

import numpy as np

from ._base import (Handle, Monitor, Path, ProgressOption, TemporaryFiles, Uncopied, call, encoded, ffi, flag, from_c, index_of, is_list, is_path, lib, new, path_to_c,
                    threads_will_work, to_c, whole, written)
from ._model import Model, handle_of
from ._run import files_of, refuse_input

TABLES = ("conditions", "items", "words")


class PairItem(NamedTuple):
    """One pair."""

    line: int
    """Of the file, or its place in the list; the first is 1."""
    condition: str
    log_p_good: float
    log_p_bad: float
    difference: float
    """log p(good) - log p(bad) in nats; NaN if it is left out."""
    left_out: bool
    """All words that differ are unknown."""
    unknown_words: int


class Pairs(Uncopied):
    """What `stategrad pairs --json` prints.

    Attributes
    ----------
    data : dict
        conditions (the first is "all"): pairs, right, ties, left_out, one_unknown; accuracy and difference with value, low and
        high (95 %); roles with their attribution. Missing numbers are None.
    conditions : list of dict
        Those of data.
    """

    def __init__(self, handle: Handle, read: Sequence[Path] = (), names: tuple[Path | None, Path | None] = (None, None)) -> None:
        self._handle = handle
        self._read = list(read) # not written to
        self._names = names # of model and file
        with handle as p:
            self.data: dict[str, Any] = json.loads(written(lib.sg_pairs_json, p))
        self.conditions: list[dict[str, Any]] = self.data["conditions"]

    def items(self) -> list[PairItem]:
        """Each pair, in the order of the file."""
        out, x = [], ffi.new("sg_pairs_item *")
        with self._handle as p:
            for i in range(lib.sg_pairs_count(p)):
                lib.sg_pairs_get_item(p, i, x)
                out.append(PairItem(x.line, from_c(x.condition), x.log_p_good, x.log_p_bad, x.difference, x.left_out, x.unknown_words))
        return out

    def csv(self, path: Path, table: str = "conditions", style: str = "plain") -> None:
        """Writes a table. table: "conditions", "items" (a row per pair) or "words" (their attributions). style: "plain" or "spreadsheet"."""
        from ._run import CSV_STYLES
        refuse_input(path, *self._read)
        with self._handle as p:
            call(lib.sg_pairs_write_csv, p, index_of(table, TABLES, "table"), path_to_c(path), index_of(style, CSV_STYLES, "style"))

    def report(self, path: Path) -> None:
        """Writes a page, atomically: accuracy, D and attributions by condition, and single pairs with the attribution of each word."""
        refuse_input(path, *self._read)
        with self._handle as p:
            call(lib.sg_pairs_page, path_to_c(path), p, *(ffi.NULL if name is None else path_to_c(name) for name in self._names))

    def __repr__(self) -> str:
        c = self.conditions[0]
        return f"<stategrad.Pairs: {c['pairs']} pair{'s' * (c['pairs'] != 1)}, accuracy {c['accuracy']['value']}>"


def pairs(model: Model, file: Path | Sequence[Any], *, format: str = "auto", score: str = "auto", split: str = "auto", lowercase: bool = False,
          eos: bool | None = None, condition: str | None = None, attribution: bool = False, path: int = 0, threads: int = 0,
          progress: ProgressOption = None) -> Pairs:
    """Minimal pairs: does the model prefer the good sentence, and which words decide?

        D = log p(good) - log p(bad)        attribution of word i: (dD / dx_i) . x_i

    Parameters
    ----------
    file
        A pair per line: TSV, JSON lines as BLiMP has them, or FILE.text with FILE.gold in the same folder (doc/pairs.md). Or a list of
        (good, bad) or (good, bad, condition): sentences as text or as lists of words.
    format
        "auto", "tsv", "blimp" or "linzen".
    score
        "sentence": all words; "word": the first that differs; "auto": word for linzen.
    split
        "spaces", or "punctuation": marks, n't and 's are words of their own; "auto": so for blimp.
    lowercase
        Read words in lower case.
    eos
        False: no <eos> before and after a sentence. Default: as the model was trained.
    condition
        Column or key that holds the condition; default: condition, UID or attractors.
    attribution
        Attribute D to words although the file gives no roles.
    path
        Points between zero inputs and the sentence over which the gradient is averaged; 0: the gradient at the sentence.
    threads
        0: all cores.

    Raises
    ------
    ValueError
        A line or a pair that is wrong, a model without decoder, a word that a vocabulary without <unk> lacks.
    """
    handle_of(model)
    if not is_path(file) and not (is_list(file) and isinstance(file, (list, tuple, np.ndarray))):
        raise TypeError(f"pairs: file: expected the path of a file or a list of (good, bad), found {file!r}"[:200])
    with TemporaryFiles() as files:
        read = [*model._read]
        names = (model._file, file if is_path(file) else None)
        if not is_path(file):
            if format not in ("auto", "tsv") or condition is not None:
                raise ValueError("pairs: format and condition are of files; found a list, of (good, bad) or (good, bad, condition)")
            lines = [_line(i, pair) for i, pair in enumerate(file)] # type: ignore[arg-type]
            if not lines or len({len(line) for line in lines}) > 1:
                raise ValueError("pairs: file: found an empty list" if not lines else "pairs: file: some pairs have a condition and some have none")
            format = "tsv"
            lines[0][0] = " " + lines[0][0] # so it is no name of a column, and the first line is a pair
            file = files.path("pairs", "pairs: file")
            with open(file, "w", encoding="utf-8", newline="\n") as f:
                f.writelines("\t".join(line) + "\n" for line in lines)
        else:
            read += files_of(file, *(os.fsdecode(file) + end for end in (".text", ".gold"))) # type: ignore[arg-type]
        return Pairs(_handle(model, file, format, score, split, lowercase, eos, condition, attribution, path, threads, progress), read, names) # type: ignore[arg-type]


def _line(i: int, pair: Any) -> list[str]:
    """A pair of a list as columns."""
    if not is_list(pair) or len(pair) not in (2, 3):
        raise ValueError(f"pairs: file: pair {i} is {pair!r}: expected (good, bad) or (good, bad, condition)"[:300])
    line = [" ".join(x) if is_list(x) and len(x) and all(isinstance(w, str) for w in x) else x for x in pair[:2]] + [*pair[2:]]
    for what, x in zip(("good sentence", "bad sentence", "condition"), line):
        if not isinstance(x, str) or not x.split() or any(c in x for c in "\t\n\r\0"):
            raise ValueError(f"pairs: file: pair {i}: the {what} is {x!r}: expected text or a list of words, without tabs and line ends"[:300])
        encoded(x, f"pairs: file: pair {i}: the {what}")
    return line


def _handle(model: Model, file: Path, format: str, score: str, split: str, lowercase: bool, eos: bool | None, condition: str | None, attribution: bool,
            path: int, threads: int, progress: ProgressOption) -> Handle:
    keep = None if condition is None else to_c(condition, "condition")
    cfg = ffi.new("sg_pairs_config *", {
        "struct_size": ffi.sizeof("sg_pairs_config"), "format": index_of(format, ("auto", "tsv", "blimp", "linzen"), "format"),
        "score": index_of(score, ("auto", "sentence", "word"), "score"), "split": index_of(split, ("auto", "spaces", "punctuation"), "split"),
        "lowercase": flag(lowercase, "lowercase"), "no_eos": eos is not None and not flag(eos, "eos"), "condition": ffi.NULL if keep is None else keep,
        "attribution": flag(attribution, "attribution"), "path": whole(path, "pairs: path"), "threads": whole(threads, "threads")})
    monitor = Monitor(progress)
    threads_will_work()
    return Handle(new("sg_pairs", lib.sg_pairs_new, handle_of(model), path_to_c(file), cfg, monitor.c, monitor=monitor), "pairs")
