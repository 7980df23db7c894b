# SPDX-License-Identifier: MIT
"""pairs: minimal pairs and agreement suites."""
from __future__ import annotations

from typing import Any, NamedTuple

from ._base import Handle, Monitor, Path, ProgressOption, Uncopied, call, ffi, flag, from_c, index_of, lib, new, path_to_c, threads_will_work, to_c, whole
from ._model import Model, handle_of

TABLES = ("conditions", "items", "words")
COUNTS = ("pairs", "right", "ties", "left_out", "one_unknown")


class PairItem(NamedTuple):
    """One pair."""

    line: int
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

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        with handle as p:
            s = lib.sg_pairs_get_summary(p)
            self.conditions: list[dict[str, Any]] = []
            while (c := lib.sg_pairs_get_condition(p, len(self.conditions))) != ffi.NULL:
                self.conditions.append(_condition(p, c, len(self.conditions)))
            self.data: dict[str, Any] = {
                "pairs": int(lib.sg_pairs_count(p)), "words": int(s.words), "unknown_words": int(s.unknown_words),
                "score": "word" if s.by_word else "sentence", "eos": bool(s.begins), "conditions": self.conditions, "gap": _finite(s.gap),
                "largest_gap": _finite(s.largest_gap)}

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
        with self._handle as p:
            call(lib.sg_pairs_write_csv, p, index_of(table, TABLES, "table"), path_to_c(path), index_of(style, CSV_STYLES, "style"))

    def __repr__(self) -> str:
        c = self.conditions[0]
        return f"<stategrad.Pairs: {c['pairs']} pairs, accuracy {c['accuracy']['value']}>"


def _finite(x: float) -> float | None:
    return x if abs(x) < float("inf") else None # a NaN is below nothing


def _interval(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": _finite(value), "low": _finite(low), "high": _finite(high)}


def _condition(p: Any, c: Any, number: int) -> dict[str, Any]:
    roles: list[dict[str, Any]] = []
    while (r := lib.sg_pairs_get_role(p, number, len(roles))) != ffi.NULL:
        roles.append({"role": from_c(r.name), "pairs": int(r.pairs), "attribution": _interval(r.attribution, r.low, r.high),
                      "both": int(r.both), "first_minus": _interval(r.first_minus, r.first_minus_low, r.first_minus_high)})
    return {"condition": from_c(c.name), **{key: int(getattr(c, key)) for key in COUNTS},
            "accuracy": _interval(c.accuracy, c.accuracy_low, c.accuracy_high),
            "difference": _interval(c.difference, c.difference_low, c.difference_high), "roles": roles}


def pairs(model: Model, file: Path, *, format: str = "auto", score: str = "auto", split: str = "auto", lowercase: bool = False,
          eos: bool | None = None, condition: str | None = None, attribution: bool = False, path: int = 0, threads: int = 0,
          progress: ProgressOption = None) -> Pairs:
    """Minimal pairs: does the model prefer the good sentence, and which words decide?

        D = log p(good) - log p(bad)        attribution of word i: (dD / dx_i) . x_i

    Parameters
    ----------
    file
        A pair per line: TSV, JSON lines as BLiMP has them, or FILE.text with FILE.gold in the same folder (doc/pairs.md).
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
        A line that is wrong, a model without decoder, a word that a vocabulary without <unk> lacks.
    """
    keep = None if condition is None else to_c(condition, "condition")
    cfg = ffi.new("sg_pairs_config *", {
        "struct_size": ffi.sizeof("sg_pairs_config"), "format": index_of(format, ("auto", "tsv", "blimp", "linzen"), "format"),
        "score": index_of(score, ("auto", "sentence", "word"), "score"), "split": index_of(split, ("auto", "spaces", "punctuation"), "split"),
        "lowercase": flag(lowercase, "lowercase"), "no_eos": eos is not None and not flag(eos, "eos"), "condition": ffi.NULL if keep is None else keep,
        "attribution": flag(attribution, "attribution"), "path": whole(path, "pairs: path"), "threads": whole(threads, "threads")})
    monitor = Monitor(progress)
    threads_will_work()
    return Pairs(Handle(new("sg_pairs", lib.sg_pairs_new, handle_of(model), path_to_c(file), cfg, monitor.c, monitor=monitor), "pairs"))
