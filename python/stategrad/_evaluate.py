# SPDX-License-Identifier: MIT
"""evaluate and check: what a model predicts, and whether its gradients are right."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from . import _corpus
from ._base import Monitor, ProgressOption, call, ffi, from_c, index_of, lib, set_fields, threads_will_work, whole
from ._model import Model, handle_of

GROWTH = ("decays", "grows at first", "persists", "grows")


class Evaluation(NamedTuple):
    """How a text is predicted."""

    tokens: int
    """Predicted tokens."""
    unknown_tokens: int
    nats_per_token: float
    perplexity: float
    """exp(nats per token)."""


def evaluate(model: Model, tokens: Any, *, state_handling: str = "carry", threads: int = 0, format: str = "auto",
             eos: bool | None = None, lowercase: bool = False, progress: ProgressOption = None) -> Evaluation:
    """Perplexity of a model on a text.

        nats per token = -1/N sum_t ln p(w_t | w_1 .. w_{t-1})

    Parameters
    ----------
    tokens, format, eos, lowercase, progress
        As in `analyze`.
    state_handling
        "carry": the state is carried along the text from zero, and every token but the first is predicted. "reset": each
        sentence alone, from zero, without its first token.
    threads
        0: all cores.

    Raises
    ------
    ValueError
        The model has no decoder; a state is not finite.
    """
    reset = index_of(state_handling, ("carry", "reset"), "state_handling") == 1
    monitor = Monitor(progress)
    call(lib.sg_lm_can_eval, handle_of(model))
    corpus = _corpus.read(model, tokens, format=format, eos=eos, lowercase=lowercase, monitor=monitor)
    out = ffi.new("sg_eval *")
    threads_will_work()
    call(lib.sg_lm_eval, out, model._m, corpus.stream, reset, whole(threads, "threads"), monitor.c, monitor=monitor)
    return Evaluation(out.tokens, out.unknown_tokens, out.nats_per_token, out.perplexity)


class CheckRow(NamedTuple):
    """One test of one state of one layer."""

    test: str
    layer: int
    state: str
    largest_relative_difference: float
    limit: float
    at_step: int
    at_delay: int
    passed: bool


@dataclass(frozen=True)
class Check:
    """Gradients of a model against independent computations in double precision. True if all tests passed."""

    rows: tuple[CheckRow, ...]
    growth: str
    """How a small change of the state develops: "decays", "grows at first", "persists", "grows"."""
    sensitive: bool
    """Does rounding every state to float move some state by more than 4e-6 of its size?"""

    @property
    def passed(self) -> bool:
        """Did every test pass?"""
        return all(row.passed for row in self.rows)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{row.test:12} layer {row.layer} {row.state:6}  largest relative difference "
                 f"{row.largest_relative_difference:8.1e} (limit {row.limit:.0e})  {'PASS' if row.passed else 'FAIL'}"
                 for row in self.rows]
        return "\n".join([*lines, f"small changes of the state: {self.growth}"])


def check(model: Model, tokens: Any = None, *, format: str = "auto", progress: ProgressOption = None, **settings: Any) -> Check:
    """Tests the gradients of a model against finite differences and back-propagation in double precision.

    Parameters
    ----------
    tokens
        A text, of which a random position is read; default: random tokens.
    **settings
        steps (30), delays (16), draws (12), seed (1), threads (0: all cores), inputs (NumPy file of a model of features).

    Raises
    ------
    ValueError
        Sizes that cannot be; a text of fewer than 2 tokens. A failed test is no error.
    """
    keep: list[Any] = []
    handle_of(model)
    index_of(format, _corpus.FORMATS, "format")
    cfg = ffi.new("sg_check_config *")
    lib.sg_check_defaults_sized(cfg, ffi.sizeof("sg_check_config"))
    set_fields(cfg, settings, keep, check, ("source",))
    monitor = Monitor(progress)
    corpus = None if tokens is None else _corpus.read(model, tokens, format=format, monitor=monitor)
    stream = ffi.NULL if corpus is None else corpus.stream
    result = ffi.new("sg_check_result *")
    threads_will_work()
    try:
        call(lib.sg_check, result, model._m, stream, cfg, monitor.c, monitor=monitor)
        rows = tuple(CheckRow(from_c(row.test), row.layer, "cell" if row.kind == lib.SG_STATE_CELL else "hidden", row.worst,
                              row.limit, row.t, row.d, getattr(row, "pass"))
                     for row in result.rows[0:result.n])
        return Check(rows, GROWTH[result.growth.verdict], result.sensitive)
    finally:
        lib.sg_check_free(result)
