# SPDX-License-Identifier: MIT
"""Tokens, classes and properties as Python has them, for the library."""
from __future__ import annotations

import os
import tempfile
from typing import Any, Iterable, Mapping, Sequence

import numpy as np

from ._base import Monitor, array_to_c, call, ffi, from_c, index_of, lib, new, path_to_c, to_c
from ._model import UNITS, Model, inputs_of

FORMATS = ("auto", "text", "conllu", "tagged")
SPECS = ("upos", "xpos", "feats", "deprel", "lemma", "column", "misc", "tags", "lexicon", "words", "frequency", "position", "to-end")


def _is_path(x: Any) -> bool:
    return isinstance(x, (str, os.PathLike))


def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple)) or (hasattr(x, "__array__") and getattr(x, "ndim", 0) > 0)


def _is_spec(text: Any) -> bool:
    return isinstance(text, str) and text.split(",")[0].split(":")[0] in SPECS


class Text:
    """A corpus of words: files, or tokens in memory. `lines` (of the latter): its sentences."""

    def __init__(self, tokens: Any, unit: str, eos: bool, format: str, lowercase: bool = False) -> None:
        self.unit, self.eos, self.format, self.lowercase = unit, eos, index_of(format, FORMATS, "format"), lowercase
        self.lines: list[list[str]] | None = None
        self.keep: list[Any] = []
        self.pairs: list[Any] = []
        if _is_path(tokens):
            self.paths = [tokens]
        elif len(tokens) and all(isinstance(t, os.PathLike) for t in tokens):
            self.paths = list(tokens)
        else:
            self.paths = []
            flat = len(tokens) > 0 and isinstance(tokens[0], str)
            self.lines = [list(tokens)] if flat else [list(line) for line in tokens]
            # A flat list is read as it is; "\n" among characters is the end of a line.
            self.eos = eos and not (flat and unit == "word")
            self._check()
            text = "\n".join(("" if unit == "char" else " ").join(line) for line in self.lines)
            self.text = (text if flat else text + "\n").encode("utf-8")

    def _check(self) -> None:
        position = 0
        for line in self.lines or ():
            for token in line:
                if not isinstance(token, str):
                    raise ValueError(f"tokens: token {position} is {token!r}, expected a string as the first one")
                if self.unit == "char" and (len(token) != 1 or (token == "\n" and not self.eos)):
                    raise ValueError(f"tokens: token {position} is {token!r}: the model reads single characters"
                                     + ("" if token != "\n" else " without line ends"))
                if self.unit == "word" and (token.split() != [token] or "\0" in token):
                    raise ValueError(f"tokens: token {position} is {token!r}: a token is not empty and has no white space; "
                                     "sentences are lists of tokens")
                position += 1

    def config(self, monitor: Monitor | None = None) -> Any:
        """sg_corpus_config, which lives as long as this."""
        cfg = ffi.new("sg_corpus_config *", {"struct_size": ffi.sizeof("sg_corpus_config"), "format": self.format,
                                             "unit": UNITS.index(self.unit), "eos": self.eos, "lowercase": self.lowercase})
        if self.paths:
            cfg.paths = array_to_c([path_to_c(p) for p in self.paths], self.keep)
            cfg.n_paths = len(self.paths)
        else:
            self.keep.append(ffi.from_buffer("char[]", self.text))
            cfg.text, cfg.text_size = self.keep[-1], len(self.text)
        if self.pairs:
            cfg.pairs = array_to_c([path_to_c(p) for p in self.pairs], self.keep)
            cfg.n_pairs = len(self.pairs)
        if monitor is not None:
            self.keep.append(monitor)
            cfg.monitor = monitor.c
        return cfg


class Corpus:
    """An encoded corpus with its classes. `features`: (tokens, E) in place of words, or None."""

    def __init__(self, stream: Any, classes: Any = None, features: np.ndarray | None = None) -> None:
        self.stream, self.features = stream, features
        self.classes = ffi.NULL if classes is None else classes

    def __len__(self) -> int:
        return lib.sg_stream_length(self.stream)

    def steps(self) -> np.ndarray:
        """(tokens) with the fields id and first (of a sentence)."""
        steps = ffi.new("sg_step[]", len(self))
        call(lib.sg_stream_read, self.stream, 0, len(self), steps)
        kind = np.dtype([("id", np.int32), ("set", np.uint16), ("first", np.uint8), ("begins", np.uint8)])
        return np.frombuffer(ffi.buffer(steps), dtype=kind).copy()


def read(model: Model, tokens: Any, classes: Any = None, *, format: str = "auto", eos: bool | None = None,
         lowercase: bool = False, monitor: Monitor, properties: Any = None, pairs: Any = ()) -> Corpus:
    """Encodes tokens with a model's vocabulary: words from files or lists, ids, or feature vectors. Annotation that the
    texts of properties ask for is kept."""
    eos = model.eos if eos is None else eos
    if _is_path(tokens) or (_is_list(tokens) and len(tokens) and _holds_text(tokens)):
        text = Text(tokens, model.unit, eos, format, lowercase)
        text.pairs = [pairs] if _is_path(pairs) else list(pairs)
        return _read_text(model, text, classes, properties, monitor)
    if lowercase:
        raise ValueError("lowercase: of words that are read from text; found tokens as numbers")
    if len(pairs):
        raise ValueError("pairs: of words that are read from text; found tokens as numbers")
    if not _is_list(tokens) or not len(tokens):
        raise ValueError("tokens: expected a path, words, ids or feature vectors, found "
                         + (f"an empty {type(tokens).__name__}" if _is_list(tokens) else repr(tokens)[:60]))
    return read_numbers(lib.sg_model_vocab(model._m), model.embedding, tokens, classes)


def _holds_text(tokens: Any) -> bool:
    """Are the tokens words, or paths? Decided by the first that there is."""
    for x in tokens:
        if _is_path(x):
            return True
        if not _is_list(x):
            return False
        if len(x):
            return isinstance(x[0], str)
    return True # empty sentences


# ---- words ----

def _read_text(model: Model, text: Text, classes: Any, properties: Any, monitor: Monitor) -> Corpus:
    vocab = lib.sg_model_vocab(model._m)
    if not vocab:
        raise ValueError("tokens: the model reads feature vectors: words do not fit it; give an array (tokens, E)")
    with tempfile.TemporaryDirectory(prefix="stategrad.") as folder:
        specs = _specs(classes, text, folder)
        keep: list[Any] = []
        k = new("sg_classes", lib.sg_classes_new, array_to_c([_spec_to_c(s) for s in specs], keep), len(specs), vocab)
        for side in _sides(properties):
            call(lib.sg_classes_keep, k, to_c(side, "properties"))
        stream = new("sg_stream", lib.sg_stream_new, text.config(), vocab, k, monitor.c, monitor=monitor)
        return Corpus(stream, k)


def _sides(properties: Any) -> Iterable[str]:
    """The texts of properties: "A-B", or a text for each side."""
    for value in properties.values() if isinstance(properties, Mapping) else []:
        yield from (side for side in (value if isinstance(value, tuple) else (value,)) if isinstance(side, str))


def _spec_to_c(spec: str) -> Any:
    return to_c(spec, "classes")


def _specs(classes: Any, text: Text, folder: str) -> list[str]:
    if classes is None:
        return []
    if isinstance(classes, str):
        return [classes]
    if isinstance(classes, Mapping):
        path = os.path.join(folder, "classes")
        with open(path, "w", encoding="utf-8") as f:
            for name, words in classes.items():
                f.write(f"{_class_name(name)}: {' '.join(_words_of(name, words))}\n")
        return [f"words:{path}"]
    files = text.lines is None and all(isinstance(c, str) for c in classes) # which have no labels: specs, expressions
    if isinstance(classes, (list, tuple)) and (files or all(_is_spec(c) for c in classes)):
        return list(classes)
    return _labels_as_tags(list(classes), text, folder)


def _class_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or name != name.strip() or "\n" in name or ":" in name or name[0] == "#":
        raise ValueError(f"classes: {name!r} cannot be the name of a class: a text without colon and line ends")
    return name


def _words_of(name: str, words: Any) -> list[str]:
    words = words.split() if isinstance(words, str) else list(words)
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise ValueError(f"classes: {name}: {word!r} is not a word")
    return words


def _labels_as_tags(labels: list[Any], text: Text, folder: str) -> list[str]:
    """A tags file, line by line beside the text, and a file that names the tags."""
    if text.lines is None or text.unit != "word":
        raise ValueError("classes: labels need tokens in memory, as words or ids; for files of words give 'tags:FILE'")
    n = sum(len(line) for line in text.lines)
    if len(labels) == len(text.lines) and all(_is_list(x) for x in labels):
        for i, (given, line) in enumerate(zip(labels, text.lines)):
            if len(given) != len(line):
                raise ValueError(f"classes: sentence {i}: {len(given)} labels for {len(line)} tokens")
        labels = [x for line in labels for x in line]
    if len(labels) != n:
        raise ValueError(f"classes: {len(labels)} labels for {n} tokens")
    names = _label_names(labels)
    tags = {name: f"tag{i}" for i, name in enumerate(names)}
    with open(os.path.join(folder, "names"), "w", encoding="utf-8") as f:
        f.writelines(f"{_class_name(name)}: {tag}\n" for name, tag in tags.items())
    rest = iter(labels)
    with open(os.path.join(folder, "tags"), "w", encoding="utf-8") as f:
        for line in text.lines:
            f.write(" ".join(tags.get(_label(next(rest)) or "", "none") for _ in line) + "\n")
    return [f"tags:{folder}/tags,groups={folder}/names"]


def _label(x: Any) -> str | None:
    """None, NaN, NaT, pandas' NA and the empty string: no class."""
    if isinstance(x, bytes):
        raise ValueError(f"classes: label {x!r}: expected text or a number, found bytes")
    try:
        missing = x is None or bool(x != x) or (isinstance(x, str) and not x)
    except TypeError: # of NA, no comparison is true or false
        missing = True
    return None if missing else str(x.item() if hasattr(x, "item") else x)


def _label_names(labels: Iterable[Any]) -> list[str]:
    names = list(dict.fromkeys(name for name in map(_label, labels) if name is not None))
    if not names:
        raise ValueError("classes: no token has a label")
    return names


# ---- numbers ----

def read_numbers(vocab: Any, E: int, tokens: Any, classes: Any) -> Corpus:
    """Ids of a vocabulary, or without one (NULL) feature vectors of E numbers."""
    first = None
    if not isinstance(tokens, (list, tuple)):
        tokens = np.asarray(tokens)
    if _is_list(tokens[0]) and not (isinstance(tokens, np.ndarray) and tokens.ndim > 1) and vocab:
        lengths = [len(line) for line in tokens] # sentences of ids
        first = np.zeros(sum(lengths), dtype=bool)
        first[np.cumsum([0, *lengths])[:-1][np.array(lengths) > 0]] = True
        tokens = np.concatenate([np.asarray(line) for line in tokens if len(line)])
    inputs = inputs_of(tokens, vocab, E)
    features = inputs if inputs.ndim == 2 else None
    if features is not None and not np.isfinite(features).all():
        t, e = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(f"features: token {t}, number {e} is {features[t, e]}")
    return _stream_of(vocab, inputs, first, features, classes)


def _stream_of(vocab: Any, inputs: np.ndarray, first: np.ndarray | None, features: np.ndarray | None,
               classes: Any) -> Corpus:
    names, member = _membership(classes, inputs, vocab)
    k = ffi.NULL
    if names:
        keep: list[Any] = []
        k = new("sg_classes", lib.sg_classes_from_names, array_to_c([to_c(n) for n in names], keep), len(names), vocab)
    ids = ffi.NULL if features is not None else ffi.from_buffer("int32_t[]", np.ascontiguousarray(inputs, dtype=np.int32))
    stream = new("sg_stream", lib.sg_stream_from_ids, ids, ffi.NULL if first is None else ffi.from_buffer("bool[]", first),
                 len(inputs), ffi.NULL if member is None else ffi.from_buffer("bool[]", member), vocab, k)
    return Corpus(stream, k, features)


def _membership(classes: Any, inputs: np.ndarray, vocab: Any) -> tuple[list[str], np.ndarray | None]:
    """Names of the classes, and which tokens (n, C) are in them."""
    if classes is None:
        return [], None
    if _is_spec(classes) or (isinstance(classes, (list, tuple)) and classes and all(map(_is_spec, classes))):
        raise ValueError(f"classes: {classes!r} is about words; of ids, give a dict of words or ids, or a label for each token")
    if isinstance(classes, Mapping):
        if inputs.ndim == 2:
            raise ValueError("classes: feature vectors are no words: give a label for each token")
        index = {from_c(lib.sg_vocab_word(vocab, i)): i for i in range(lib.sg_vocab_size(vocab))}
        columns = [np.isin(inputs, [index.get(w, -1) if isinstance(w, str) else w for w in words]) for words in classes.values()]
        return list(classes), np.ascontiguousarray(np.stack(columns, axis=1))
    labels = [_label(x) for x in (classes if not isinstance(classes, str) else [classes])]
    if len(labels) != len(inputs):
        raise ValueError(f"classes: {len(labels)} labels for {len(inputs)} tokens")
    names = _label_names(labels)
    number = {name: c for c, name in enumerate(names)}
    member = np.zeros((len(inputs), len(names)), dtype=bool)
    for t, name in enumerate(labels):
        if name is not None:
            member[t, number[name]] = True
    return names, member


# ---- properties ----

def _is_pairs(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(word, str) for word in pair) for pair in value)


class Properties:
    """sg_property array of {"number": "NNS-NN"}, {"number": (words, words)}, {"number": [("cats", "cat"), ...]}, {"x": vector} or
    ["number=NNS-NN"]."""

    def __init__(self, given: Mapping[str, Any] | Sequence[str] | None) -> None:
        if isinstance(given, str):
            given = [given]
        if not isinstance(given, Mapping):
            pairs = [text.partition("=") for text in given or ()]
            given = {name: rest for name, _, rest in pairs}
            if len(given) < len(pairs):
                raise ValueError(f"properties: {[name for name, _, _ in pairs]}: a name is given twice")
        self.names = list(given)
        self._given, self._keep = given, list[Any]()
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Any:
        self.array = ffi.new("sg_property[]", max(1, len(self._given)))
        for i, (name, value) in enumerate(self._given.items()):
            p = self.array[i]
            p.name = self._text(name)
            if isinstance(value, (str, os.PathLike)):
                p.a = self._text(os.fspath(value))
            elif isinstance(value, tuple) and len(value) == 2:
                p.a, p.b = (self._text(side if isinstance(side, str) else " ".join(side)) for side in value)
            elif _is_pairs(value):
                p.a = self._text(self._pairs_file(i, name, value))
            else:
                p.a = self._text(self._vector_file(i, name, value))
            if not ffi.string(p.name) or not ffi.string(p.a):
                raise ValueError(f"properties: {name!r}: expected NAME=A-B, a pair of sides or a vector")
        return self

    def _text(self, text: str) -> Any:
        self._keep.append(to_c(text, "properties"))
        return self._keep[-1]

    def _place(self, name: str) -> str:
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="stategrad.")
        return os.path.join(self._folder.name, name)

    def _pairs_file(self, i: int, name: str, value: Sequence[Sequence[str]]) -> str:
        for pair in value:
            if any(not word or word.split() != [word] for word in pair):
                raise ValueError(f"properties: {name}: {tuple(pair)!r}: expected two words without spaces")
        with open(self._place(f"{i}.txt"), "w", encoding="utf-8") as f:
            f.write("".join(f"{a} {b}\n" for a, b in value))
        return self._place(f"{i}.txt")

    def _vector_file(self, i: int, name: str, value: Any) -> str:
        vector = np.asarray(value, dtype=np.float64)
        if vector.ndim != 1:
            raise ValueError(f"properties: {name}: expected 'A-B', (A, B), a list of pairs or a vector, found an array {vector.shape}")
        np.save(self._place(f"{i}.npy"), vector)
        return self._place(f"{i}.npy")

    def __exit__(self, *_: Any) -> None:
        if self._folder:
            self._folder.cleanup()


