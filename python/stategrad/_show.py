# SPDX-License-Identifier: MIT
"""show: one sentence, as the program shows it, and in a notebook."""
from __future__ import annotations

import html
import json
import os
import tempfile
from typing import Any, Sequence

import numpy as np

from ._base import Handle, Monitor, Path, ProgressOption, Uncopied, call, ffi, index_of, is_list, lib, new, path_to_c, threads_will_work, to_c, whole, written
from ._model import STATES, Model, handle_of, inputs_of, listed
from ._run import refuse_input


class Show(Uncopied):
    """The gain from each word to each later state. Text in a terminal, an interactive page in a notebook.

    Attributes
    ----------
    words : tuple of str
        The T words.
    gain : numpy.ndarray
        (T, T): row t, column s <= t: |G[t,s]|_F, G[t,s] = d state_t / d x_s; NaN for s > t.
    data : dict
        All of it, as `stategrad show --json` prints it.
    """

    def __init__(self, handle: Handle, model: Model, keep: list[Any]) -> None:
        self._handle, self._model, self._keep = handle, model, keep
        with handle as s:
            self.data: dict[str, Any] = json.loads(written(lib.sg_show_json, s))
        sentence = self.data["sentences"][0]
        self.words = tuple(word["text"] for word in sentence["words"])
        self.gain = self.matrix("gain_frobenius")

    def matrix(self, key: str, sentence: int = 0) -> np.ndarray:
        """A triangle of `data` as (T, T): "gain_frobenius", "gain_spectral", "score_effect", "replacement_kl", ..."""
        sentences = self.data["sentences"]
        of = sentences[whole(sentence, "sentence", 0, len(sentences) - 1)]
        there = [name for name, rows in of.items() if isinstance(rows, list) and len(rows) == len(of["words"]) and all(isinstance(row, list) for row in rows)]
        if key not in there:
            raise KeyError(f"{key!r}: the sentence has {', '.join(there)}{'; scores need target or contrast, replacements need replace' * (key not in of)}")
        rows = of[key]
        out = np.full((len(rows), len(rows)), np.nan)
        for t, row in enumerate(rows):
            out[t, :len(row)] = [np.nan if x is None else x for x in row]
        return out

    def __str__(self) -> str:
        with self._handle as s:
            return written(lib.sg_show_text, s, 0, False)

    def __repr__(self) -> str:
        return f"<stategrad.Show: {' '.join(self.words)}>"

    def save(self, path: Path) -> None:
        """Writes the interactive page, atomically. ValueError: the file is one that the model was made from."""
        refuse_input(path, *self._model._read)
        with self._handle as s:
            call(lib.sg_show_page, path_to_c(path), s)

    def _repr_html_(self) -> str:
        with tempfile.TemporaryDirectory(prefix="stategrad.") as folder:
            path = os.path.join(folder, "show.html")
            self.save(path)
            with open(path, encoding="utf-8") as f:
                page = f.read()
        return f'<iframe srcdoc="{html.escape(page)}" style="width: 100%; height: 32em; border: 0"></iframe>'


def show(model: Model, sentence: str | Sequence[Any], *, target: str | None = None, contrast: str | tuple[str, str] | None = None,
         replace: int = 0, path: str | tuple[str, str] | None = None, seed: int = 1, state: str | None = None,
         layer: int = 0, units: Sequence[int] = (), progress: ProgressOption = None) -> Show:
    """One sentence: the gain from each word to each later state.

        |G[t,s]|_F        G[t,s] = d state_t / d x_s, exact, from a zero state before the first word

    Parameters
    ----------
    sentence
        A text, of words between spaces; or, as in `analyze`, a list of words, a list of such lists (several sentences), or ids. Unknown
        words become <unk>. At most 500 words each.
    target
        A word: also the effect of each word on log p(target).
    contrast
        "are/is" or ("are", "is"): also the effect on logit(are) - logit(is).
    replace
        Number of words drawn by frequency in place of each word; 0: none.
    path
        "a/b": gradients averaged between two words.
    seed
        Of those draws.
    state
        "cell" or "hidden"; default: cell of an LSTM, hidden of others.
    layer
        1 .. L; 0: the top one.
    units
        Single units of the state, from 0: their values after each word, and the gain from each word, in `data`.
    progress
        As in `analyze`.

    Raises
    ------
    ValueError
        A word that the vocabulary does not have, no such layer or state, a model without embedding.
    """
    if target is not None and contrast is not None:
        raise ValueError("show: target and contrast exclude each other")
    keep: list[Any] = []

    def word(text: str | None) -> Any:
        if text is None:
            return ffi.NULL
        keep.append(to_c(text))
        return keep[-1]

    sentences = _sentences(model, sentence)
    monitor = Monitor(progress)
    keep.append(monitor)
    cfg = ffi.new("sg_show_config *", {"struct_size": ffi.sizeof("sg_show_config"), "layer": whole(layer, "show: layer"),
                                       "replace": whole(replace, "show: replace"), "seed": whole(seed, "show: seed"), "monitor": monitor.c})
    if state is not None:
        cfg.state = list(STATES.values())[index_of(state, list(STATES), "state")]
    cfg.target = word(target)
    if contrast is not None:
        cfg.target, cfg.against = map(word, _two_words(contrast, "contrast"))
    if path is not None:
        cfg.path_a, cfg.path_b = map(word, _two_words(path, "path"))
    if not is_list(units):
        raise TypeError(f"show: units: expected a list of whole numbers, found {units!r}"[:200])
    keep.append(ffi.new("size_t[]", [whole(u, "show: units") for u in units]))
    cfg.units, cfg.n_units = keep[-1], len(units)
    threads_will_work()
    handle = Handle(new("sg_show", lib.sg_show_new, handle_of(model), cfg), "show")
    with handle as s:
        for text in sentences:
            call(lib.sg_show_add, s, to_c(text, "sentence"), monitor=monitor)
    return Show(handle, model, keep)


def _sentences(model: Model, given: Any) -> list[str]:
    """Each as text. Lists are read as analyze reads them."""
    handle_of(model)
    if isinstance(given, str):
        return [given]
    if not is_list(given) or not len(given):
        raise ValueError(f"show: sentence: expected a text, a list of words or a list of such lists, found {given!r}"[:200])
    if not model.vocabulary:
        raise ValueError("show: the model reads feature vectors: there are no words to show")
    nested = listed(given)
    lines = [*nested] if is_list(nested[0]) else [nested]
    for i, line in enumerate(lines):
        if not is_list(line) or not len(line):
            raise ValueError(f"show: sentence {i} is {line!r}, expected a list of words as the first one"[:200])
    if not isinstance(lines[0][0], str):
        if lib.sg_vocab_tokenizer(lib.sg_model_vocab(model._m)):
            raise ValueError("show: ids are pieces of words of the model's tokenizer: give words")
        lines = [[model.vocabulary[i] for i in inputs_of(line, lib.sg_model_vocab(model._m), model.embedding)] for line in lines]
    for line in lines:
        for i, word in enumerate(line):
            if not isinstance(word, str) or (word.split() != [word] if model.unit == "word" else len(word) != 1) or "\0" in word:
                raise ValueError(f"show: sentence: word {i} is {word!r}: expected {'a word without white space' if model.unit == 'word' else 'a single character'}; a "
                                 "text is one sentence, and several are lists of their words")
    return [("" if model.unit == "char" else " ").join(line) for line in lines]


def _two_words(given: str | tuple[str, str], what: str) -> tuple[str, str]:
    words = tuple(given.split("/")) if isinstance(given, str) else tuple(given) if is_list(given) else ()
    if len(words) != 2 or not all(isinstance(word, str) and word for word in words):
        raise ValueError(f"show: {what}: expected two words, such as 'are/is', found {given!r}")
    return words[0], words[1]
