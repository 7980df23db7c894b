# SPDX-License-Identifier: MIT
"""Language models: from files, their tensors, single gradients."""
from __future__ import annotations

import json
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Mapping, Sequence, Union

import numpy as np

from ._base import (Monitor, Path, TemporaryFiles, Uncopied, array_to_c, call, encoded, ffi, from_c, index_of, is_list, lib, new, path_to_c, threads_will_work,
                    to_c, whole, written)
from ._run import Run, files_of, refuse_input

if TYPE_CHECKING:
    from ._evaluate import Evaluation
    from ._train import TrainResult

Vocabulary = Union[Path, Sequence[str], Mapping[str, int]]
UNITS = ("word", "char")
OUTPUTS = ("linear", "relu", "tanh")
STATES = {"cell": lib.SG_STATE_CELL, "hidden": lib.SG_STATE_HIDDEN}


class Model(Uncopied):
    """A recurrent language model: embedding, stacked cells, softmax. Made by `load`, `from_torch` and `train`.

    A model does not change; several threads may use it at once. A copy is the model itself.
    """

    _instead = ": Model.save writes it, and stategrad.load reads it again"

    train_result: TrainResult
    """Of a model made by `train`."""
    evaluation: Evaluation
    """Of a model made by `load` with a text."""
    _file: Path | None = None # of a model made by `load`

    def __init__(self, pointer: Any, *read: Any) -> None:
        self._m = pointer
        self._read = files_of(*read) # these are not written to
        self._shape = lib.sg_model_get_shape(self._m)
        self._words: tuple[str, ...] | None = None

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, _: Any) -> Model:
        return self

    def __repr__(self) -> str:
        sizes = ", ".join(map(str, self.hidden))
        return (f"<stategrad.Model: {self.cell}, {self.layers} layer{'s' * (self.layers > 1)} of {sizes} units, embedding "
                f"{self.embedding}, vocabulary {self._shape.vocabulary}>")

    @property
    def cell(self) -> str:
        """Kind of recurrence: "lstm", "gru", "rnn", "mingru", ..."""
        return from_c(lib.sg_cell_name(self._shape.cell))

    @property
    def layers(self) -> int:
        """L, the number of recurrent layers."""
        return self._shape.layers

    @property
    def hidden(self) -> tuple[int, ...]:
        """H_1 .. H_L, the units of each layer."""
        return tuple(self._shape.hidden[k] for k in range(self.layers))

    @property
    def embedding(self) -> int:
        """E, the size of the embeddings, or of the feature vectors of a model without embedding."""
        return self._shape.embedding

    @property
    def unit(self) -> str:
        """What a token is: "word" or "char"."""
        return UNITS[self._shape.unit]

    @property
    def eos(self) -> bool:
        """Did lines end with <eos> in training?"""
        return self._shape.eos

    @property
    def tied(self) -> bool:
        """Is the decoder's matrix that of the embeddings?"""
        return self._shape.tied

    @property
    def has_decoder(self) -> bool:
        """Does it predict words?"""
        return self._shape.has_decoder

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The V words in the order of their ids; empty for a model that reads feature vectors."""
        if self._words is None:
            vocab = lib.sg_model_vocab(self._m)
            n = lib.sg_vocab_size(vocab) if vocab else 0
            self._words = tuple(from_c(lib.sg_vocab_word(vocab, i)) for i in range(n))
        return self._words

    @property
    def tensors(self) -> Mapping[str, np.ndarray]:
        """Weights by name, as in the model file: views of the model's memory, float32, not to be written to."""
        found = {}
        for i in range(lib.sg_model_tensors(self._m)):
            t = lib.sg_model_tensor(self._m, i)
            shape = (t.rows, t.cols) if t.rank > 1 else (t.rows,)
            found[from_c(t.name)] = self._view(t.data, shape)
        return MappingProxyType(found)

    def _view(self, data: Any, shape: tuple[int, ...]) -> np.ndarray:
        model = self._m # valid as long as the view
        memory = ffi.buffer(ffi.gc(data, lambda _, model=model: None), 4 * int(np.prod(shape)))
        return np.frombuffer(memoryview(memory).toreadonly(), dtype=np.float32).reshape(shape) # no flag makes it writable

    @property
    def sha256(self) -> str:
        """SHA-256 of shape, vocabulary and weights, as in the run file's `model_sha256`."""
        text = ffi.new("char[65]")
        if lib.sg_model_sha256(self._m, text) != lib.SG_OK:
            raise MemoryError("the model's checksum: no memory")
        return from_c(text)

    def metadata(self, key: str) -> str | None:
        """The value that the model file records for `key` ("trained_epochs", "valid_perplexity", ...); None: no such key."""
        text = lib.sg_model_meta(self._m, to_c(key))
        return from_c(text) if text else None

    def save(self, path: Path) -> None:
        """Writes the model file (safetensors, doc/model-file.md), atomically.

        Raises
        ------
        OSError
            The file cannot be written.
        ValueError
            It is one that the model was made from: its file, its vocabulary, the text that it was trained on.
        """
        refuse_input(path, *self._read)
        call(lib.sg_model_write, self._m, path_to_c(path))

    def gradients(self, tokens: Any, delays: int | None = None, *, layer: int = 0, state: str | None = None) -> np.ndarray:
        """Exact gradients of the state after the last token with respect to every earlier input.

            G[d] = d s_T / d x_{T-d}        d = 0 .. D-1, from a zero state before the first token

        Parameters
        ----------
        tokens
            Words, or ids, or feature vectors (n, E) of a model without embedding.
        delays
            D; default: the number of tokens.
        layer
            1 .. L; 0: the top one.
        state
            "cell" or "hidden"; default: cell of an LSTM, hidden of others.

        Returns
        -------
        numpy.ndarray
            float32, (D, H, E), in state units per embedding unit; zero where T-d is before the first token.

        Raises
        ------
        ValueError
            An unknown word or id, no such layer or state.
        """
        inputs = inputs_of(tokens, lib.sg_model_vocab(self._m), self.embedding)
        layer = whole(layer, "layer", 0, self.layers) or self.layers
        kind = lib.sg_cell_default_state(self._shape.cell) if state is None else list(STATES.values())[index_of(state, list(STATES), "state")]
        if not kind & lib.sg_cell_states(self._shape.cell):
            raise ValueError(f"gradients: state {state!r}: {self.cell} does not have it")
        n = len(inputs)
        D = n if delays is None else whole(delays, "delays", 1)
        threads_will_work()
        g = new("sg_gradient", lib.sg_gradient_new, self._m, D)
        for x in inputs:
            if inputs.ndim == 2:
                call(lib.sg_gradient_step, g, 0, ffi.from_buffer("float[]", x))
            else:
                call(lib.sg_gradient_step, g, int(x), ffi.NULL)
        out = np.empty((D, self.hidden[layer - 1], self.embedding), dtype=np.float32)
        for d in range(D):
            lib.sg_gradient_get(g, layer, kind, d, ffi.from_buffer("float[]", out[d]))
        return out


def handle_of(model: Any) -> Any:
    """The library's object of a model argument."""
    if not isinstance(model, Model):
        raise TypeError(f"model: expected a stategrad.Model (stategrad.load reads a file, from_torch a module), found {model!r}"[:200])
    return model._m


def listed(x: Any) -> Any:
    """Arrays of other libraries as NumPy arrays; lists unchanged."""
    if isinstance(x, (list, tuple, np.ndarray)):
        return unmasked(x, "tokens")
    if hasattr(x, "detach"):
        x = in_memory(x, "tokens")
        return floats(x, "tokens") if x.is_floating_point() else np.asarray(x)
    return np.asarray(x)


def in_memory(x: Any, what: str) -> Any:
    """A tensor of torch on the CPU."""
    return dense(x, what).detach().cpu()


def dense(x: Any, what: str) -> Any:
    """A tensor of torch. ValueError: it has no data, or a dtype that NumPy does not have."""
    if getattr(x, "is_meta", False):
        raise ValueError(f"{what}: is on torch's meta device: it has a shape and no numbers")
    if getattr(x, "is_quantized", False) or "strided" not in str(getattr(x, "layout", "strided")):
        raise ValueError(f"{what}: expected a dense tensor of numbers, found {'a quantized one' if x.is_quantized else str(x.layout)}; its to_dense() or "
                         "dequantize() is one")
    return x


def unmasked(x: Any, what: str) -> Any:
    """ValueError: some entries are masked."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError(f"{what}: {int(np.ma.count_masked(x))} values are masked: expected an array without masked values")
    return x


def floats(x: Any, what: str) -> np.ndarray:
    """As contiguous float32; not copied if it is already. ValueError: not real numbers, or one is too large for float32."""
    array = real(x, what)
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(array, dtype=np.float32)
    if array.dtype.kind == "f" and array.dtype.itemsize > 4 and not np.isfinite(found).all():
        large = np.argwhere(np.isinf(found) & np.isfinite(array.reshape(found.shape)))
        if len(large):
            at = tuple(int(i) for i in large[0])
            raise ValueError(f"{what}: the number at {at}, {array.reshape(found.shape)[at]:g}, is too large for float32 (at most 3.4e38)")
    return found


def real(x: Any, what: str) -> np.ndarray:
    """Numbers from NumPy, torch, or any object with DLPack or a buffer. ValueError: they are not real."""
    if hasattr(x, "detach"):
        x = in_memory(x, what)
        if x.is_floating_point():
            x = x if str(x.dtype) == "torch.float64" else x.float() # NumPy has no bfloat16
    elif not isinstance(x, np.ndarray) and hasattr(x, "__dlpack__"):
        try:
            x = np.from_dlpack(x)
        except (BufferError, RuntimeError, TypeError): # on a device, or of a type that NumPy does not have
            x = np.asarray(x)
    try:
        array = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: expected an array of numbers: {error}") from None
    unmasked(x, what)
    if array.dtype.kind == "c":
        raise ValueError(f"{what}: expected real numbers, found {array.dtype}: the imaginary part would be lost; give real and imaginary "
                         "part as two states or inputs")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{what}: expected an array of numbers, found {array.dtype if array.ndim else type(x).__name__}")
    return array


def inputs_of(tokens: Any, vocab: Any, E: int) -> np.ndarray:
    """Ids (n) of a vocabulary; without one (NULL) features (n, E)."""
    V = lib.sg_vocab_size(vocab) if vocab else 0
    if V == 0:
        inputs = floats(tokens, "features")
        if inputs.ndim != 2 or inputs.shape[1] != E:
            raise ValueError(f"features: expected (tokens, {E}), found {inputs.shape}")
        return inputs
    if isinstance(tokens, str):
        raise ValueError(f"tokens: expected a list of words or of ids, found the text {tokens[:40]!r}")
    if not is_list(tokens):
        raise ValueError(f"tokens: expected a list of words or of ids, found {tokens!r}"[:200])
    tokens = listed(tokens)
    if len(tokens) and isinstance(tokens[0], str):
        ids = np.array([_id(vocab, word, i) for i, word in enumerate(tokens)], dtype=np.int64)
    else:
        try:
            ids = np.asarray(tokens)
        except ValueError: # of lists of several lengths
            raise ValueError("tokens: expected words or whole numbers, found lists") from None
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not len(ids):
        raise ValueError(f"tokens: expected words or whole numbers, found an array of {ids.dtype} with shape {ids.shape}")
    bad = np.flatnonzero((ids < 0) | (ids >= V))
    if len(bad):
        raise ValueError(f"tokens: token {bad[0]} is {ids[bad[0]]}, expected 0 to {V - 1}")
    return ids


def _id(vocab: Any, word: Any, position: int) -> int:
    if not isinstance(word, str):
        raise ValueError(f"tokens: token {position} is {word!r}, expected a string as the first one")
    data = encoded(word, "tokens")
    i = lib.sg_vocab_id(vocab, data, len(data))
    i = lib.sg_vocab_unk(vocab) if i < 0 else i
    if i < 0:
        raise ValueError(f"tokens: {word!r} is not in the vocabulary, which has no <unk>")
    return i


class _VocabularyFile:
    """The path of a vocabulary given as a path, a list or a map; a temporary file is deleted at the end."""

    def __init__(self, vocab: Vocabulary | None) -> None:
        if isinstance(vocab, (set, frozenset)):
            raise ValueError("vocab: a set of words has no order: expected a list in the order of ids, or a dict of ids")
        if vocab is not None and not isinstance(vocab, (str, os.PathLike, Mapping)) and not is_list(vocab):
            raise TypeError(f"vocab: expected a file, a list of words or a dict of their ids, found {vocab!r}"[:200])
        self._vocab = vocab
        self._files: TemporaryFiles | None = None

    def __enter__(self) -> Path | None:
        if self._vocab is None or isinstance(self._vocab, (str, os.PathLike)):
            return self._vocab
        is_map = isinstance(self._vocab, Mapping)
        content: Any = dict(self._vocab) if is_map else list(self._vocab) # type: ignore[arg-type]
        for word in content:
            if not isinstance(word, str):
                raise TypeError(f"vocab: expected words, found {word!r}"[:200])
            if b"\0" in encoded(word, "vocab"):
                raise ValueError(f"vocab: a NUL character in {word[:40]!r}")
        if is_map:
            content = {word: whole(i, f"vocab: {word!r}") for word, i in content.items()}
        self._files = TemporaryFiles().__enter__()
        path = self._files.path("vocabulary.json", "vocab")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f, ensure_ascii=False)
        return path

    def __exit__(self, *_: Any) -> None:
        if self._files:
            self._files.__exit__()


def load(path: Path, vocab: Vocabulary | None = None, *, map: Mapping[str, str] | None = None, ignore: Sequence[str] = (),
         unit: str | None = None, cell: str | None = None, output_activation: str | None = None, gate_order: str | None = None,
         transposed: bool = False, one_hot: bool = False, forward_only: bool = False, recurrent_activation: str | None = None,
         forget_bias: float = 0.0, unk: str | None = None, eos: str | None = None, text: Any = None) -> Model:
    """A model from a file: stategrad's own, PyTorch, Keras, ONNX, safetensors, NumPy, TensorFlow and TensorFlow.js (doc/import.md).

    The format is detected by content; nothing in a file is executed. What had to be assumed is a warning.

    Parameters
    ----------
    path
        The model file.
    vocab
        Its words, where the file does not have them: a file (one word per line in id order, JSON, tokenizer.json), a list in
        id order, or a map from words to ids.
    map
        Tensors by role, where they are not found by name and shape: {"encoder.weight": "emb.w"}.
    ignore
        Tensors that have no part in it.
    unit, cell, output_activation, gate_order, transposed, one_hot, forward_only, recurrent_activation, forget_bias
        As the options of the program; None: from the file.
    unk, eos
        Word of the vocabulary that replaces unknown ones, and word that ends a line ("none": none is added); None: by their
        usual names.
    text
        To verify the conversion: `model.evaluation` is that of `stategrad.evaluate` on this text.

    Returns
    -------
    Model

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It cannot be read as a model, or two interpretations fit; a tensor with a NaN or an infinity.
    """
    keep: list[Any] = []
    cfg = _import_config(keep, map, ignore, unit, cell, output_activation, gate_order, transposed, one_hot, forward_only,
                         recurrent_activation, forget_bias, unk, eos)
    monitor = Monitor()
    with _VocabularyFile(vocab) as words:
        cfg.vocab = _words_to_c(words, keep)
        model = Model(new("sg_model", lib.sg_model_load, path_to_c(path), cfg, monitor.c, monitor=monitor), path, vocab, text)
        model._file = path
    if text is not None:
        from ._evaluate import evaluate
        model.evaluation = evaluate(model, text)
    return model


def _words_to_c(words: Path | None, keep: list[Any]) -> Any:
    keep.append(ffi.NULL if words is None else path_to_c(words))
    return keep[-1]


def _import_config(keep: list[Any], map: Mapping[str, str] | None = None, ignore: Sequence[str] = (), unit: str | None = None,
                   cell: str | None = None, output_activation: str | None = None, gate_order: str | None = None,
                   transposed: bool = False, one_hot: bool = False, forward_only: bool = False,
                   recurrent_activation: str | None = None, forget_bias: float = 0.0, unk: str | None = None,
                   eos: str | None = None) -> Any:
    """sg_import_config, valid as long as `keep` exists."""
    def text(value: str | None) -> Any:
        keep.append(ffi.NULL if value is None else to_c(value))
        return keep[-1]

    if map is not None and not isinstance(map, Mapping):
        raise TypeError(f"map: expected a dict {{role: tensor}}, found {map!r}"[:200])
    ignore = [ignore] if isinstance(ignore, str) else ignore
    kinds: list[tuple[str, Any, Any]] = [("ignore", ignore, (list, tuple)), ("transposed", transposed, bool), ("one_hot", one_hot, bool),
                                         ("forward_only", forward_only, bool), ("forget_bias", forget_bias, (int, float))]
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise TypeError(f"{name}: expected {'names' if name == 'ignore' else 'a number' if name == 'forget_bias' else 'True or False'}, found {value!r}"[:200])
    cfg = ffi.new("sg_import_config *")
    lib.sg_import_defaults_sized(cfg, ffi.sizeof("sg_import_config"))
    maps = [to_c(f"{role}={tensor}") for role, tensor in (map or {}).items()]
    ignored = [to_c(name) for name in ignore]
    cfg.maps, cfg.n_maps = array_to_c(maps, keep), len(maps)
    cfg.ignore, cfg.n_ignore = array_to_c(ignored, keep), len(ignored)
    if unit is not None:
        cfg.unit = index_of(unit, UNITS, "unit")
    if output_activation is not None:
        cfg.output = index_of(output_activation, OUTPUTS, "output_activation")
    if cell is not None:
        cfg.cell = index_of(cell, [from_c(lib.sg_cell_name(i)) for i in range(lib.sg_cell_count())], "cell")
    cfg.gate_order, cfg.recurrent_activation = text(gate_order), text(recurrent_activation)
    cfg.unk, cfg.eos = text(unk), text(eos)
    cfg.transposed, cfg.one_hot, cfg.forward_only, cfg.forget_bias = transposed, one_hot, forward_only, forget_bias
    return cfg


def info(path: Path, vocab: Vocabulary | None = None, **options: Any) -> dict[str, Any]:
    """The contents of a model file or run file, as `stategrad info --json` prints them.

    Parameters
    ----------
    path
        Of a model, native or foreign: its tensors with shapes and types, and how `load` interprets it, or why it cannot be
        read. Of a run: states, classes, properties and attributes.
    vocab, **options
        Of a model file: as in `load`.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is neither a model nor a run; a run that is damaged.
    TypeError
        No such option.
    """
    keep: list[Any] = []
    cfg = _import_config(keep, **options)
    kind = ffi.new("sg_file_format *")
    call(lib.sg_file_format_of, kind, path_to_c(path))
    if kind[0] == lib.SG_FILE_RUN:
        with Run(path) as run:
            return run._description()
    with _VocabularyFile(vocab) as words:
        cfg.vocab = _words_to_c(words, keep)
        text: dict[str, Any] = json.loads(written(lib.sg_import_describe, path_to_c(path), cfg, True))
        return text


def vocabulary_of(vocab: Vocabulary, ids: int = 0) -> Any:
    """sg_vocab of words given as a path, a list or a map; freed with the result. ids: how many there are, 0: any."""
    with _VocabularyFile(vocab) as path:
        assert path is not None
        monitor = Monitor()
        return new("sg_vocab", lib.sg_vocab_load, path_to_c(path), ids, monitor.c, monitor=monitor)
