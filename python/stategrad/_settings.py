# SPDX-License-Identifier: MIT
"""The library's tables of settings as keywords (stategrad/settings.h)."""
from __future__ import annotations

import inspect
import os
from typing import Any, Callable, Iterator, Mapping

from ._base import call, from_c, lib, path_to_c, to_c, unknown_setting


class Settings:
    """One table: `row(i)` gives its rows, `put(cfg, name, text)` sets one; `omitted` are those that are other arguments here."""

    def __init__(self, row: Callable[[int], Any], put: Any, omitted: tuple[str, ...] = ()) -> None:
        self._row, self._put, self._omitted = row, put, omitted

    def __iter__(self) -> Iterator[Any]:
        i = 0
        while row := self._row(i):
            if from_c(row.name) not in self._omitted:
                yield row
            i += 1

    def apply(self, cfg: Any, given: Mapping[str, Any], keep: list[Any], of: Callable[..., Any]) -> None:
        """Sets what is given and not None; `keep` holds the texts that cfg borrows. TypeError: no such setting, or True for a number."""
        rows = {from_c(row.name): row for row in self}
        for name, value in given.items():
            if name not in rows:
                raise unknown_setting(of.__name__, name, list(rows), of)
            if value is None:
                continue
            kind = rows[name].type
            if isinstance(value, bool) and kind != lib.SG_SETTING_WORD:
                raise TypeError(f"{of.__name__}: setting '{name}': expected {'a text' if kind == lib.SG_SETTING_TEXT else 'a number'}, found {value!r}")
            if kind == lib.SG_SETTING_TEXT:
                text = path_to_c(value)
            else:
                text = to_c("yes" if value is True else "no" if value is False else repr(float(value)) if isinstance(value, float) else str(value), name)
            keep.append(text)
            call(self._put, cfg, to_c(name), text)

    def document(self, function: Any) -> None:
        """Puts the table into the docstring, for "{settings}", and into the signature."""
        lines, parameters = [], []
        signature = inspect.signature(function)
        for row in self:
            name, fallback = from_c(row.name), from_c(row.fallback) if row.fallback else None
            flag = from_c(row.values) == "yes|no"
            if flag:
                fallback = str(fallback == "yes")
            lines.append(f"        {name}: {'bool' if flag else from_c(row.values)}\n            {from_c(row.help)}"
                         + (f" (default {fallback})" if fallback and "default" not in from_c(row.help) else ""))
            if name in signature.parameters:
                continue
            default: Any = fallback == "True" if flag else fallback
            for number in () if flag else (int, float):
                try:
                    default = number(fallback)
                    break
                except (TypeError, ValueError):
                    pass
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
        function.__doc__ = (function.__doc__ or "").replace("{settings}", "\n".join(lines))
        plain = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        function.__signature__ = signature.replace(parameters=plain + parameters)


OF_ANALYSIS = Settings(lib.sg_analysis_setting, lib.sg_analysis_set, ("inputs",)) # in Python: an array as tokens
OF_TRAINING = Settings(lib.sg_train_setting, lib.sg_train_set)
