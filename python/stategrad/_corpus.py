# SPDX-License-Identifier: MIT
"""Tokens, classes and properties of Python, converted for the library."""
from __future__ import annotations

import os
import re
from typing import Any, Collection, Iterable, Mapping, Sequence

import numpy as np

from ._base import (Monitor, TemporaryFiles, array_to_c, call, encoded, ffi, flag, from_c, index_of, is_list, is_path, lib, near, new, path_to_c, to_c, warn,
                    whole)
from ._model import UNITS, Model, floats, handle_of, inputs_of, listed

MOST_FILES = 100 # of a list that is looked at: are its texts names of files?
MOST_NAMED = 5 # words of a message
FORMATS = ("auto", "text", "conllu", "tagged")
SPECS = ("upos", "xpos", "feats", "deprel", "lemma", "column", "misc", "tags", "lexicon", "words", "frequency", "position", "to-end")


def _is_spec(text: Any) -> bool:
    return isinstance(text, str) and text.split(",")[0].split(":")[0] in SPECS


class Text:
    """A corpus of words: files, or tokens in memory. `lines` (of the latter): its sentences. what: its name in messages."""

    def __init__(self, tokens: Any, unit: str, eos: bool, format: str, lowercase: bool = False, what: str = "tokens") -> None:
        self.what = what
        self.unit, self.eos, self.format, self.lowercase = unit, flag(eos, "eos"), index_of(format, FORMATS, "format"), flag(lowercase, "lowercase")
        self.lines: list[list[str]] | None = None
        self.keep: list[Any] = []
        self.pairs: list[Any] = []
        if not is_path(tokens) and not (is_list(tokens) and len(tokens)):
            raise ValueError(f"{what}: expected a path, a list of paths, of words or of sentences, found {_shown(tokens)}")
        if is_path(tokens):
            if isinstance(tokens, str) and (not tokens or len(tokens.split()) > 1) and not os.path.exists(tokens.partition("\0")[0]):
                raise FileNotFoundError(f"{what}: no file has the name {tokens[:60]!r}{'...' * (len(tokens) > 60)}; words are a list: text.split()")
            self.paths = [tokens]
        elif all(isinstance(t, os.PathLike) for t in tokens):
            self.paths = list(tokens)
        else:
            self.paths = []
            tokens = listed(tokens)
            flat = isinstance(tokens[0], str)
            if flat and len(tokens) <= MOST_FILES and all(isinstance(t, str) and os.path.isfile(t.partition("\0")[0]) for t in tokens):
                raise ValueError(f"{what}: a list of texts holds words, and {tokens[0]!r} is a file: give its name alone, or a list of pathlib.Path; as words, a "
                                 "list of such lists")
            for i, line in enumerate(() if flat else tokens):
                if not is_list(line):
                    raise ValueError(f"{what}: sentence {i} is {line!r}, expected a list of words as the first one"[:300])
            self.lines = [list(tokens)] if flat else [list(line) for line in tokens]
            # A flat list is read as it is; "\n" among characters is the end of a line.
            self.eos = eos and not (flat and unit == "word")
            self._check()
            text = "\n".join(("" if unit == "char" else " ").join(line) for line in self.lines)
            self.text = encoded(text if flat else text + "\n", what)

    def _check(self) -> None:
        position = 0
        for line in self.lines or ():
            for token in line:
                if not isinstance(token, str):
                    raise ValueError(f"{self.what}: token {position} is {token!r}, expected a string as the first one")
                if self.unit == "char" and (len(token) != 1 or (token == "\n" and not self.eos)):
                    raise ValueError(f"{self.what}: token {position} is {token!r}: the model reads single characters"
                                     + ("" if token != "\n" else " without line ends"))
                if self.unit == "word" and (token.split() != [token] or "\0" in token):
                    raise ValueError(f"{self.what}: token {position} is {token!r}: a token is not empty and has no white space; "
                                     "sentences are lists of tokens")
                position += 1

    def config(self, monitor: Monitor | None = None) -> Any:
        """sg_corpus_config, valid as long as this object."""
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
    properties need is kept."""
    handle_of(model)
    if not is_path(pairs) and not is_list(pairs):
        raise TypeError(f"pairs: expected a text or several, found {pairs!r}"[:200])
    if is_path(tokens) or (is_list(tokens) and len(tokens) and _holds_text(tokens)):
        text = Text(tokens, model.unit, model.eos if eos is None else eos, format, lowercase)
        if text.lines is not None and (format != "auto" or (eos and not text.eos)):
            raise ValueError(f"{'format' if format != 'auto' else 'eos'}: of files{'' if format != 'auto' else ' and sentences'}; found tokens in memory, which are read as they are")
        text.pairs = [pairs] if is_path(pairs) else list(pairs)
        return _read_text(model, text, classes, properties, monitor)
    if lowercase:
        raise ValueError("lowercase: of words that are read from text; found tokens as numbers")
    for name, given in (("pairs", len(pairs) > 0), ("eos", eos is not None), ("format", format != "auto")):
        if given and is_list(tokens):
            raise ValueError(f"{name}: of words that are read from text; found tokens as numbers")
    if not is_list(tokens) or not len(tokens):
        raise ValueError(f"tokens: expected a path, words, ids or feature vectors, found {_shown(tokens)}")
    vocab = lib.sg_model_vocab(model._m)
    if _of_words(classes) and vocab and not lib.sg_vocab_tokenizer(vocab): # whose ids are pieces of words
        words = _in_words(model, tokens)
        return read(model, words, classes, eos=model.eos and model.unit == "char" and isinstance(words[0], str), monitor=monitor, properties=properties)
    return read_numbers(lib.sg_model_vocab(model._m), model.embedding, tokens, classes)


def _of_words(classes: Any) -> bool:
    """Specs that list the words of a class."""
    return isinstance(classes, str) or (isinstance(classes, (list, tuple)) and len(classes) > 0 and _are_specs(classes))


def _in_words(model: Model, tokens: Any) -> Any:
    """Ids as their words: a list, or a list for each sentence."""
    vocab, tokens = lib.sg_model_vocab(model._m), listed(tokens)
    lines: Iterable[Any] = tokens if is_list(tokens[0]) else [tokens]
    words = [[model.vocabulary[i] for i in inputs_of(line, vocab, model.embedding)] if len(line) else [] for line in lines]
    return words if is_list(tokens[0]) else words[0]


def _shown(tokens: Any) -> str:
    return f"an empty {type(tokens).__name__}" if is_list(tokens) and not len(tokens) else repr(tokens)[:60]


def _holds_text(tokens: Any) -> bool:
    """Are the tokens words, or paths? The first one decides."""
    for x in tokens:
        if is_path(x):
            return True
        if not is_list(x):
            return False
        if len(x):
            return isinstance(x[0], str)
    return True # empty sentences


# ---- words ----

def _read_text(model: Model, text: Text, classes: Any, properties: Any, monitor: Monitor) -> Corpus:
    vocab = lib.sg_model_vocab(model._m)
    if not vocab:
        raise ValueError("tokens: the model reads feature vectors: words do not fit it; give an array (tokens, E)")
    with TemporaryFiles() as files:
        classes = _checked(classes)
        if isinstance(classes, Mapping):
            if not lib.sg_vocab_tokenizer(vocab): # whose words are pieces
                _known(classes, set(model.vocabulary), text.lines or (), text.lines is not None)
        specs = _specs(classes, text, files)
        keep: list[Any] = []
        k = new("sg_classes", lib.sg_classes_new, array_to_c([to_c(s, "classes") for s in specs], keep), len(specs), vocab)
        for side in Properties(properties).texts():
            call(lib.sg_classes_keep, k, to_c(side, "properties"))
        stream = new("sg_stream", lib.sg_stream_new, text.config(), vocab, k, monitor.c, monitor=monitor)
        return Corpus(stream, k)


# ---- classes ----

def _checked(classes: Any) -> Any:
    """One rule for all tokens: a spec, a dict of names and lists of members, or a list (of specs or labels)."""
    if classes is None or isinstance(classes, str):
        return classes
    if isinstance(classes, Mapping):
        if not classes:
            raise ValueError("classes: found an empty dict, expected {name: words}")
        return {_class_name(name): _members(name, words) for name, words in classes.items()}
    if not is_list(classes):
        raise TypeError(f"classes: expected a spec, a dict {{name: words}} or a label for each token, found {classes!r}"[:200])
    if getattr(classes, "ndim", 1) != 1:
        raise ValueError(f"classes: expected a label for each token, found an array {tuple(classes.shape)}")
    if not len(classes):
        raise ValueError(f"classes: found an empty {type(classes).__name__}")
    return listed(classes)


def _class_name(name: Any) -> str:
    """A name that a line "name: word word ..." can have."""
    if not isinstance(name, str) or not name or name != name.strip() or min(name) < " " or re.search(r":\s", name) or name[0] == "#" or name == "all":
        raise ValueError(f"classes: {name!r} cannot be the name of a class: expected text without line ends, without a colon before a space, that "
                         "does not begin with '#' or a space and is not 'all'")
    encoded(name, "classes")
    return name


def _members(name: str, words: Any) -> list[Any]:
    try:
        words = words.split() if isinstance(words, str) else list(words)
    except TypeError:
        raise TypeError(f"classes: {name}: expected a list of words or ids, found {words!r}"[:200]) from None
    if not words:
        raise ValueError(f"classes: {name}: no words")
    return words


def _known(classes: Mapping[str, Sequence[Any]], vocabulary: Collection[str], lines: Sequence[Sequence[str]] = (), all_known: bool = True) -> None:
    """Warns of members of classes that neither the vocabulary nor the text has (where they are read as <unk>). ValueError: a class has no
    other members, and they can come from nowhere else."""
    of_text: set[str] | None = None
    searched = 0 # a search through a large vocabulary takes a while
    for name, members in classes.items():
        unknown = [w for w in members if isinstance(w, str) and _word(w, f"classes: {name}") not in vocabulary]
        if unknown and lines:
            of_text = {w for line in lines for w in line} if of_text is None else of_text
            unknown = [w for w in unknown if w not in of_text]
        if not unknown:
            continue
        shown = [repr(w) + (near(w, vocabulary) if searched + i < MOST_NAMED else "") for i, w in enumerate(unknown[:MOST_NAMED])]
        searched += len(shown)
        text = ", ".join(shown) + (", ..." if len(unknown) > MOST_NAMED else "")
        n, s = len(members), "s" * (len(members) > 1)
        if len(unknown) == n and all_known:
            raise ValueError(f"classes: {name}: the vocabulary has none of the {n} word{s}: {text}")
        warn(f"classes: {name}: {len(unknown)} of {n} word{s} {'is' if len(unknown) == 1 else 'are'} not in the vocabulary: {text}")


def _are_specs(classes: Sequence[Any]) -> bool:
    return all(map(_is_spec, classes)) and len(set(classes)) == len(classes)


def _specs(classes: Any, text: Text, files: TemporaryFiles) -> list[str]:
    if classes is None:
        return []
    if isinstance(classes, str):
        return [classes]
    if isinstance(classes, Mapping):
        path = files.path("classes", "classes")
        with open(path, "w", encoding="utf-8") as f:
            for name, words in classes.items():
                f.write(f"{name}: {' '.join(_word(word, f'classes: {name}') for word in words)}\n")
        files.named(f"classes 'words:{path}'", "classes")
        return [f"words:{path}"]
    if isinstance(classes, (list, tuple)) and ((text.lines is None and all(isinstance(c, str) for c in classes)) or _are_specs(classes)):
        return list(classes) # of files: they have no labels
    return _labels_as_tags(list(classes), text, files)


def _word(word: Any, what: str) -> str:
    if not isinstance(word, str) or word.split() != [word] or "\0" in word:
        raise ValueError(f"{what}: {word!r} is not a word: expected text without white space"[:200])
    encoded(word, what)
    return word


def _labels_as_tags(labels: list[Any], text: Text, files: TemporaryFiles) -> list[str]:
    """A tags file, aligned line by line with the text, and a file that names the tags."""
    if text.lines is None or text.unit != "word":
        raise ValueError("classes: labels need tokens in memory, as words or ids; for files of words give 'tags:FILE'")
    labels = _flat(labels, [len(line) for line in text.lines])
    tags = {name: f"tag{i}" for i, name in enumerate(_label_names(labels))}
    names_path, tags_path = files.path("names", "classes"), files.path("tags", "classes")
    with open(names_path, "w", encoding="utf-8") as f:
        f.writelines(f"{name}: {tag}\n" for name, tag in tags.items())
    rest = iter(labels)
    with open(tags_path, "w", encoding="utf-8") as f:
        for line in text.lines:
            f.write(" ".join(tags.get(_label(next(rest)) or "", "none") for _ in line) + "\n")
    spec = f"tags:{tags_path},groups={names_path}"
    files.named(f"classes '{spec}'", "classes")
    return [spec]


def _flat(labels: list[Any], lengths: Sequence[int]) -> list[Any]:
    """One label per token, given as one list, or as a list for each sentence of `lengths`."""
    if len(labels) == len(lengths) and all(is_list(x) for x in labels):
        for i, (given, n) in enumerate(zip(labels, lengths)):
            if len(given) != n:
                raise ValueError(f"classes: sentence {i}: {len(given)} labels for {n} tokens")
        labels = [x for line in labels for x in line]
    if len(labels) != sum(lengths):
        raise ValueError(f"classes: {len(labels)} labels for {sum(lengths)} tokens")
    return labels


def _label(x: Any) -> str | None:
    """None, NaN, NaT, pandas' NA and the empty string: no class."""
    if isinstance(x, (bytes, Mapping, set)) or is_list(x):
        raise ValueError(f"classes: label {x!r}: expected text or a number, found {type(x).__name__}"[:200])
    try:
        missing = x is None or bool(x != x) or (isinstance(x, str) and not x)
    except TypeError: # of NA, no comparison is true or false
        missing = True
    return None if missing else str(x.item() if hasattr(x, "item") else x)


def _label_names(labels: Iterable[Any]) -> list[str]:
    names = list(dict.fromkeys(_class_name(name) for name in map(_label, labels) if name is not None))
    if not names:
        raise ValueError("classes: no token has a label")
    return names


# ---- numbers ----

def read_numbers(vocab: Any, E: int, tokens: Any, classes: Any) -> Corpus:
    """Ids of a vocabulary, or without one (NULL) feature vectors of E numbers."""
    if not is_list(tokens) or not len(tokens):
        raise ValueError(f"tokens: expected ids or feature vectors, found {_shown(tokens)}")
    tokens, lengths = listed(tokens), None
    if is_list(tokens[0]) and not (isinstance(tokens, np.ndarray) and tokens.ndim > 1) and vocab:
        for i, line in enumerate(tokens): # sentences of ids
            if not is_list(line):
                raise ValueError(f"tokens: sentence {i} is {line!r}, expected a list of ids as the first one"[:300])
            if len(line) and is_list(line[0]):
                raise ValueError(f"tokens: sentence {i} is {line!r}, expected a list of ids, found a list of lists"[:300])
        lengths = [len(line) for line in tokens]
        if not sum(lengths):
            raise ValueError("tokens: found empty sentences only")
        rows = [(i, np.asarray(listed(line))) for i, line in enumerate(tokens) if len(line)]
        for i, row in rows: # together they would become numbers, or texts
            if row.dtype.kind not in "iu":
                raise ValueError(f"tokens: sentence {i} is {tokens[i]!r}: expected whole numbers as in the first one, found an array of {row.dtype}"[:300])
        tokens = np.concatenate([row for _, row in rows])
    inputs = inputs_of(tokens, vocab, E)
    features = inputs if inputs.ndim == 2 else None
    if features is not None and not np.isfinite(features).all():
        t, e = np.argwhere(~np.isfinite(features))[0]
        raise ValueError(f"features: token {t}, number {e} is {features[t, e]}")
    return _stream_of(vocab, inputs, lengths, features, _checked(classes))


def _stream_of(vocab: Any, inputs: np.ndarray, lengths: list[int] | None, features: np.ndarray | None, classes: Any) -> Corpus:
    names, member = _membership(classes, inputs, lengths or [len(inputs)], vocab)
    first = np.zeros(len(inputs), dtype=bool)
    first[np.cumsum([0, *(lengths or [1])])[:-1][np.array(lengths or [1]) > 0]] = True
    k = ffi.NULL
    if names:
        keep: list[Any] = []
        k = new("sg_classes", lib.sg_classes_from_names, array_to_c([to_c(n, "classes") for n in names], keep), len(names), vocab)
    ids = ffi.NULL if features is not None else ffi.from_buffer("int32_t[]", np.ascontiguousarray(inputs, dtype=np.int32))
    stream = new("sg_stream", lib.sg_stream_from_ids, ids, ffi.from_buffer("bool[]", first),
                 len(inputs), ffi.NULL if member is None else ffi.from_buffer("bool[]", member), vocab, k)
    return Corpus(stream, k, features)


def _membership(classes: Any, inputs: np.ndarray, lengths: list[int], vocab: Any) -> tuple[list[str], np.ndarray | None]:
    """Names of the classes, and which tokens (n, C) are in them."""
    if classes is None:
        return [], None
    if isinstance(classes, str) or (isinstance(classes, (list, tuple)) and _are_specs(classes)):
        raise ValueError(f"classes: {classes!r} is about words; of {'ids without a model, or of pieces of words' if inputs.ndim == 1 else 'feature vectors'}, give "
                         + ("a dict of words or ids, or " if inputs.ndim == 1 else "") + "a label for each token")
    if isinstance(classes, Mapping):
        if inputs.ndim == 2:
            raise ValueError("classes: feature vectors are no words: give a label for each token")
        V = lib.sg_vocab_size(vocab)
        index = {from_c(lib.sg_vocab_word(vocab, i)): i for i in range(V)}
        _known(classes, index)
        columns = [np.isin(inputs, [index.get(w, -1) if isinstance(w, str) else whole(w, f"classes: {name}", 0, V - 1) for w in words])
                   for name, words in classes.items()]
        return list(classes), np.ascontiguousarray(np.stack(columns, axis=1))
    labels = [_label(x) for x in _flat(list(classes), lengths)]
    names = _label_names(labels)
    number = {name: c for c, name in enumerate(names)}
    member = np.zeros((len(inputs), len(names)), dtype=bool)
    for t, name in enumerate(labels):
        if name is not None:
            member[t, number[name]] = True
    return names, member


# ---- properties ----

class Properties:
    """sg_property array of {"number": "NNS-NN"}, {"number": (words, words)}, {"number": [("cats", "cat"), ...]}, {"x": vector} or
    ["number=NNS-NN"]: text as the program reads it; lists of words are these words. Valid as long as this object."""

    def __init__(self, given: Mapping[str, Any] | Sequence[str] | None) -> None:
        self._keep: list[Any] = []
        self._given = self._named(given)
        self.array = ffi.new("sg_property[]", max(1, len(self._given)))
        for i, (name, value) in enumerate(self._given.items()):
            p = self.array[i]
            p.name = self._text(name)
            if is_path(value):
                p.a = self._text(os.fspath(value))
            elif isinstance(value, tuple) and len(value) == 2 and not self._tuples(name, value):
                p.a, p.words_a, p.n_words_a = self._side(name, value[0])
                p.b, p.words_b, p.n_words_b = self._side(name, value[1])
            elif isinstance(value, list) and value and all(isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str) for pair in value):
                p.pairs, (p.words_a, p.words_b) = True, (self._words(name, side) for side in zip(*value))
                p.n_words_a = p.n_words_b = len(value)
            else:
                vector = self._vector(name, value)
                p.vector, p.n_vector = vector, len(vector)

    def __len__(self) -> int:
        return len(self._given)

    @staticmethod
    def _named(given: Any) -> dict[str, Any]:
        if isinstance(given, Mapping):
            named = dict(given)
        else:
            texts = [given] if isinstance(given, str) else [] if given is None else list(given) if is_list(given) else [given]
            for text in texts:
                if not isinstance(text, str) or not all(text.partition("=")):
                    raise ValueError(f"properties: expected a dict, or texts NAME=A-B, found {text!r}"[:200])
            named = {name: rest for name, _, rest in (text.partition("=") for text in texts)}
            if len(named) < len(texts):
                raise ValueError(f"properties: {[text.partition('=')[0] for text in texts]}: a name is given twice")
        for name, value in named.items():
            if not isinstance(name, str) or not name or (isinstance(value, str) and not value):
                raise ValueError(f"properties: {name!r}: expected NAME=A-B, a pair of sides or a vector")
        return named

    def texts(self) -> Iterable[str]:
        """Texts that may need annotation: "A-B", or one for each side."""
        for value in self._given.values():
            yield from (side for side in (value if isinstance(value, tuple) else (value,)) if isinstance(side, str))

    def _text(self, text: str) -> Any:
        self._keep.append(to_c(text, "properties"))
        return self._keep[-1]

    @staticmethod
    def _tuples(name: str, value: tuple[Any, ...]) -> bool:
        """(("cats", "cat"), ("dogs", "dog")) may be two sides, or two pairs."""
        if all(isinstance(side, tuple) and len(side) == 2 for side in value):
            raise ValueError(f"properties: {name}: {value!r} may be two sides or two pairs: expected a tuple of two lists, or a list of pairs"[:300])
        return False

    def _side(self, name: str, side: Any) -> tuple[Any, Any, int]:
        if isinstance(side, str):
            if not side:
                raise ValueError(f"properties: {name}: an empty side")
            return self._text(side), ffi.NULL, 0
        if not is_list(side) or not len(side):
            raise ValueError(f"properties: {name}: expected the name of a class or a list of words as a side, found {side!r}"[:200])
        return ffi.NULL, self._words(name, side), len(side)

    def _words(self, name: str, words: Sequence[Any]) -> Any:
        return array_to_c([to_c(_word(word, f"properties: {name}")) for word in words], self._keep)

    def _vector(self, name: str, value: Any) -> Any:
        try:
            vector = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        except (TypeError, ValueError, RuntimeError):
            vector = np.empty(())
        if vector.ndim != 1 or vector.dtype.kind not in "fiu":
            what = repr(value) if vector.ndim != 1 and vector.ndim < 2 else f"an array {vector.shape} of {vector.dtype}"
            raise ValueError(f"properties: {name}: expected 'A-B', (A, B), a list of pairs or a vector of numbers, found {what}"[:300])
        self._keep.append(ffi.from_buffer("double[]", np.ascontiguousarray(vector, dtype=np.float64)))
        return self._keep[-1]
