# SPDX-License-Identifier: MIT
"""train: a language model from a text."""
from __future__ import annotations

from typing import Any, NamedTuple

from . import _corpus
from ._base import Monitor, ProgressOption, call, ffi, flag, from_c, index_of, lib, new, threads_will_work, whole
from ._model import UNITS, Model, Vocabulary, vocabulary_of
from ._run import files_of, refuse_outputs
from ._settings import OF_TRAINING

DEFAULT_VOCABULARY = 10000 # as the program


class TrainResult(NamedTuple):
    """How training went."""

    epochs: int
    train_nats: float
    valid_nats: float
    best_valid_nats: float
    """Nats per token; NaN without a validation text."""
    tokens_per_second: float


def train(tokens: Any, valid: Any = None, *, cell: str = "lstm", layers: int = 1, embedding_size: int | None = None,
          hidden_size: int | None = None, tied: bool = False, unit: str = "word", eos: bool = True, format: str = "auto",
          vocab: Vocabulary | None = None, vocab_size: int = 0, min_count: int = 0, preset: str | None = None,
          progress: ProgressOption = None, **settings: Any) -> Model:
    """Trains a language model by truncated back-propagation through time.

    Parameters
    ----------
    tokens
        A path, paths, a list of lists of str (sentences) or a list of str, as in `analyze`.
    valid
        A validation text: the epoch with the lowest perplexity on it is kept.
    cell
        A name that `stategrad train --help` lists: "lstm", "gru", "rnn", "mingru", ...
    embedding_size, hidden_size
        E (64) and the units of every layer (256).
    vocab, vocab_size, min_count
        The words; or how many are kept (at most 10000), and from which count on.
    preset
        "paper": the recipe of Verwimp et al.
    **settings
        Those of `stategrad train`, with the same defaults:

{settings}

    Returns
    -------
    Model
        With the weights of the best epoch; `model.train_result` is a `TrainResult`.

    Raises
    ------
    ValueError
        A setting that cannot be, an empty text; training diverged.
    KeyboardInterrupt
        Ctrl-C; with a checkpoint, the same call with resume=True continues.
    """
    keep: list[Any] = []
    whole(layers, "train: layers", 1, lib.SG_MAX_LAYERS)
    cfg, shape = ffi.new("sg_train_config *"), ffi.new("sg_model_shape *")
    shape.layers, shape.embedding, shape.hidden[0] = layers, 64, 256
    lib.sg_train_defaults_sized(cfg, ffi.sizeof("sg_train_config"))
    if preset is not None:
        index_of(preset, ("paper",), "preset")
        lib.sg_train_preset_paper(cfg, shape)
    OF_TRAINING.apply(cfg, {name: settings.pop(name, None) for name in ("optimizer", "loss_scale")}, keep, train)
    lib.sg_train_default_rates(cfg)
    OF_TRAINING.apply(cfg, settings, keep, train)
    cells = [from_c(lib.sg_cell_name(i)) for i in range(lib.sg_cell_count())]
    shape.cell, shape.unit = index_of(cell, cells, "cell"), index_of(unit, UNITS, "unit")
    shape.layers, shape.tied, shape.eos, shape.has_decoder = layers, flag(tied, "tied"), flag(eos, "eos"), True
    shape.embedding = shape.embedding if embedding_size is None else whole(embedding_size, "train: embedding_size", 1)
    units = shape.hidden[0] if hidden_size is None else whole(hidden_size, "train: hidden_size", 1)
    for k in range(lib.SG_MAX_LAYERS):
        shape.hidden[k] = units
    monitor = Monitor(progress)
    read = (tokens, valid, vocab, settings.get("embeddings"))
    refuse_outputs((settings.get("checkpoint"), settings.get("log")), *files_of(*read))
    text = _corpus.Text(tokens, unit, eos, format)
    words = _vocabulary(text, vocab, vocab_size, min_count, monitor)
    train_stream = _stream(text, words, monitor)
    valid_stream = ffi.NULL if valid is None else _stream(_corpus.Text(valid, unit, eos, format, what="valid"), words, monitor)
    shape.vocabulary = lib.sg_vocab_size(words)
    model = Model(new("sg_model", lib.sg_model_new, shape, words), *read)
    result = ffi.new("sg_train_result *")
    threads_will_work()
    call(lib.sg_train, result, model._m, train_stream, valid_stream, cfg, monitor.c, monitor=monitor)
    model.train_result = TrainResult(result.epochs, result.train_nats, result.valid_nats, result.best_valid_nats,
                                     result.tokens_per_second)
    return model


OF_TRAINING.document(train)


def _vocabulary(text: _corpus.Text, vocab: Vocabulary | None, size: int, min_count: int, monitor: Monitor) -> Any:
    if vocab is not None and (size or min_count):
        raise ValueError("train: vocab cannot be combined with vocab_size or min_count")
    corpus = new("sg_corpus", lib.sg_corpus_open, text.config(monitor))
    if vocab is not None:
        words = vocabulary_of(vocab)
        call(lib.sg_vocab_recount, words, corpus, monitor=monitor)
        return words
    by_words = text.unit == "word"
    cfg = ffi.new("sg_vocab_config *", {"struct_size": ffi.sizeof("sg_vocab_config"), "size": whole(size, "train: vocab_size"),
                                        "min_count": whole(min_count, "train: min_count"),
                                        "unk": by_words, "most": DEFAULT_VOCABULARY if by_words else 0})
    return new("sg_vocab", lib.sg_vocab_build, corpus, cfg, monitor=monitor)


def _stream(text: _corpus.Text, words: Any, monitor: Monitor) -> Any:
    return new("sg_stream", lib.sg_stream_new, text.config(), words, ffi.NULL, monitor.c, monitor=monitor)
