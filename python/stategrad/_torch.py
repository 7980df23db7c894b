# SPDX-License-Identifier: MIT
"""from_torch: a live torch.nn.Module. torch is imported by the caller."""
from __future__ import annotations

import itertools
from typing import Any, Iterator, Mapping

import numpy as np

from ._base import ffi, flag, index_of, lib, new, warn
from ._model import OUTPUTS, UNITS, Model, Vocabulary, floats, vocabulary_of

CELLS = {"LSTM": "lstm", "LSTMCell": "lstm", "GRU": "gru", "GRUCell": "gru", "RNN": "rnn", "RNNCell": "rnn"}
GATES = {"lstm": 4, "gru": 3, "rnn": 1, "rnn-relu": 1}
# Without effect on the states, or on which word is likelier.
IGNORED = ("Dropout", "AlphaDropout", "LogSoftmax", "Softmax", "CrossEntropyLoss", "NLLLoss", "Identity", "ModuleList",
           "ModuleDict", "Sequential")
INSTEAD = "stategrad.analyze_function takes gradients of any model"


class _Unsupported(ValueError):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"submodule '{name}': {why}; {INSTEAD}")


def from_torch(module: Any = None, vocab: Vocabulary | None = None, *, embedding: Any = None, rnn: Any = None, decoder: Any = None,
               output_activation: str | None = None, unit: str | None = None, eos: bool | None = None) -> Model:
    """A model from a live torch.nn.Module: the weights are copied, and the module is not changed.

    Reads h_t = rnn(embedding[w_t], h_{t-1}), logits = decoder(h_t). Dropout is off. The forward of a copy of the module reads a few ids;
    where its predictions differ, there is a warning; a list of layers that could also be parallel is then refused.

    Parameters
    ----------
    module
        Its nn.Embedding, its nn.LSTM, nn.GRU or nn.RNN (several on top of one another, or LSTMCell, GRUCell and RNNCell) and
        its decoder (the nn.Linear with an output for every word) are found; other submodules with weights are refused.
    vocab
        The words: a list in id order, a map from words to ids, or a file; default: "#0", "#1", ...
    embedding, rnn, decoder
        These in place of `module`, or of what would be found in it; rnn may be a list, decoder is optional.
    output_activation
        Between the last layer and the decoder: "linear", "relu" or "tanh".
    unit
        "word" or "char"; default: characters if every word is one.
    eos
        Did lines end with <eos> (of characters: with a line end) in training? Default: if the vocabulary has it.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        A submodule that cannot be read: which one, and why; a weight that is not finite; sizes that do not fit.
    """
    layers = rnn if isinstance(rnn, (list, tuple)) else [rnn]
    for what, kind, given in (("module", "", module), ("embedding", "", embedding), *(("rnn", " or a list of them", m) for m in layers), ("decoder", "", decoder)):
        if isinstance(given, type):
            raise TypeError(f"{what}: expected a torch.nn.Module{kind}, found the class {given.__name__}: give an object of it")
        if given is not None and not hasattr(given, "named_modules"):
            raise TypeError(f"{what}: expected a torch.nn.Module{kind}, found {given!r}"[:200])
    found = _Parts(module, embedding, rnn, decoder)
    if module is not None:
        found.search(module)
    found.need(module)
    found.check(module, output_activation)
    model = _build(found, vocab, "linear" if output_activation is None else output_activation, unit, None if eos is None else flag(eos, "eos"))
    if module is not None:
        _compare_with_forward(found, module, output_activation)
    return model


class _Parts:
    """Which submodule is what, with their names."""

    def __init__(self, module: Any, embedding: Any, rnn: Any, decoder: Any) -> None:
        names = {id(m): name or "(the module)" for name, m in module.named_modules()} if module is not None else {}
        self._names = names
        self.embedding, self.decoder = embedding, decoder
        rnn = [] if rnn is None else rnn
        self.rnn = list(rnn) if isinstance(rnn, (list, tuple)) or type(rnn).__name__ == "ModuleList" else [rnn]
        self.assumed: list[Any] = [] # layers, whose order or use is not known from their sizes alone

    def name(self, m: Any) -> str:
        return self._names.get(id(m), type(m).__name__)

    def search(self, module: Any) -> None:
        embeddings, linear, rnn = [], [], []
        for m in module.modules():
            kind = _torch_kind(m)
            if kind == "Embedding":
                embeddings.append(m)
            elif kind == "Linear":
                linear.append(m)
            elif kind in CELLS:
                rnn.append(m)
        if self.embedding is None:
            self.embedding = self._only(embeddings, "embedding")
        self.rnn = self.rnn or self._stacked(rnn, module)
        if self.decoder is None and self.embedding is not None:
            V = getattr(self.embedding, "num_embeddings", None)
            self.decoder = self._only([m for m in linear if m.out_features == V], "decoder")

    def _stacked(self, rnn: list[Any], module: Any) -> list[Any]:
        """The order of layers is known for the members of one list, and where sizes fit in only one order."""
        lists = [[m for m in parent._modules.values() if m in rnn] for parent in module.modules()
                 if _torch_kind(parent) in ("ModuleList", "Sequential")]
        lists = [members for members in lists if set(members) == set(rnn)]
        if lists and all(members == lists[0] for members in lists):
            E = getattr(self.embedding, "embedding_dim", None)
            if any(m.input_size == E for m in lists[0][1:]): # it could read the embedding as well
                self.assumed = lists[0]
            return lists[0]  # in their order; a member that occurs twice is two layers
        if len(rnn) < 2 and not lists:
            return rnn
        E = getattr(self.embedding, "embedding_dim", None)
        orders = [order for order in itertools.permutations(rnn) if len(rnn) <= 5 and [m.input_size for m in order] == [E, *(m.hidden_size for m in order[:-1])]]
        if len(orders) == 1:
            return list(orders[0])
        names = ", ".join(f"'{self.name(m)}'" for m in rnn)
        raise ValueError(f"submodules {names}: which of them reads what is not known from their sizes: give them in the order of their use, "
                         f"rnn=[first, ...]; {INSTEAD}")

    def _only(self, candidates: list[Any], role: str) -> Any:
        if len(candidates) > 1:
            names = ", ".join(f"'{self.name(m)}'" for m in candidates)
            raise ValueError(f"{names}: more than one can be the {role}: name it, {role}=...; {INSTEAD}")
        return candidates[0] if candidates else None

    def need(self, module: Any) -> None:
        for there, what, kinds, role in ((self.embedding, "nn.Embedding", ("Embedding",), "embedding"),
                                         (self.rnn, "nn.LSTM, nn.GRU, nn.RNN or cells of these", tuple(CELLS), "rnn")):
            if there is None or there == []:
                for name, m in module.named_modules() if module is not None else ():
                    like = _like(m)
                    if like in kinds and not _torch_kind(m):
                        raise _Unsupported(name or "(the module)", HOOKS if "parametrizations" in m._modules else _why_own(m, like))
                raise ValueError(f"no {what}: give {role}=...; {INSTEAD}")

    def used(self) -> list[Any]:
        return [self.embedding, *self.rnn, *([self.decoder] if self.decoder is not None else [])]

    def check(self, module: Any, output_activation: str | None) -> None:
        """Refuses what cannot be read or would be left out."""
        for m, kinds in [(self.embedding, ("Embedding",)), *((m, tuple(CELLS)) for m in self.rnn), *([] if self.decoder is None else [(self.decoder, ("Linear",))])]:
            _check_part(m, self.name(m), kinds)
        if module is None:
            return
        mine = {id(m) for m in self.used()}
        for name, m in module.named_modules():
            if id(m) not in mine and _has_hooks(m):
                raise _Unsupported(name or "(the module)", HOOKS)
        for name, m in module.named_modules():
            kind = type(m).__name__
            if id(m) in mine or (_torch_kind(m) and kind.startswith(IGNORED)):
                continue
            if _like(m) and not _torch_kind(m):
                raise _Unsupported(name, _why_own(m, _like(m)))
            if kind == "ParameterList" and _torch_kind(m) and next(m.parameters(recurse=False), None) is None:
                continue
            if kind in ("Tanh", "ReLU") and _torch_kind(m):
                if output_activation != kind.lower():
                    raise _Unsupported(name, f"where {kind} is applied is not known: give output_activation={kind.lower()!r} if "
                                             "it is between the last layer and the decoder")
                continue
            if next(m.parameters(recurse=False), None) is not None or next(m.buffers(recurse=False), None) is not None:
                sizes = f" (it has {m.out_features} outputs, for {getattr(self.embedding, 'num_embeddings', '?')} words)" if _torch_kind(m) == "Linear" else ""
                raise _Unsupported(name or "(the module)", f"{kind} has weights and is not embedding, recurrent layer or decoder{sizes}")
            if m is not module and not any(True for _ in m.children()):
                raise _Unsupported(name, f"what {kind} computes is not known; if it is nothing in evaluation mode, give embedding=, rnn= and decoder= in place of "
                                         "the module")


def _torch_kind(m: Any) -> str | None:
    """Name of a class of torch.nn; None: another one, such as the user's own."""
    return type(m).__name__ if type(m).__module__.startswith("torch.nn.modules.") else None


def _like(m: Any) -> str | None:
    """The class of torch.nn that it is a kind of: a subclass, or its copy in TorchScript or with quantized weights."""
    kinds = (*CELLS, "Embedding", "Linear")
    bases = [c.__name__ for c in type(m).__mro__ if c.__module__.startswith("torch.nn.modules.")]
    return next((name for name in (*bases, getattr(m, "original_name", None), type(m).__name__) if name in kinds), None)


def _why_own(m: Any, like: str | None) -> str:
    where = type(m).__module__
    if hasattr(m, "original_name"):
        return f"is nn.{like} in TorchScript: give the module that it was made from"
    if "quantized" in where:
        return f"is nn.{like} with quantized weights ({where}): give the module that it was made from"
    return f"{type(m).__name__} is a class of its own" + (f" (a subclass of nn.{like})" if like else "") + ": what it computes is not known"


HOOKS = "has hooks, parametrizations or a forward of its own, which may change what it computes"


def _same_tensor(a: Any, b: Any) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


def _has_hooks(m: Any) -> bool:
    return "forward" in vars(m) or any(getattr(m, hooks, None) for hooks in ("_forward_hooks", "_forward_pre_hooks")) or "parametrizations" in m._modules


def _check_part(m: Any, name: str, kinds: tuple[str, ...]) -> None:
    kind = _torch_kind(m)
    if kind is None:
        if not hasattr(m, "named_modules"):
            raise TypeError(f"expected a torch.nn.Module, found {m!r}"[:200])
        raise _Unsupported(name, HOOKS if _has_hooks(m) else _why_own(m, _like(m)))
    if _has_hooks(m):
        raise _Unsupported(name, HOOKS)
    if kind not in kinds:
        raise _Unsupported(name, f"{kind} is not " + (f"an nn.{kinds[0]}" if len(kinds) == 1 else "an LSTM, a GRU or an RNN"))
    if kind == "Embedding":
        if m.max_norm is not None:
            raise _Unsupported(name, "max_norm changes the embeddings as they are read")
    elif kind == "Linear":
        pass
    elif getattr(m, "bidirectional", False):
        raise _Unsupported(name, "is bidirectional: its states depend on later words")
    elif getattr(m, "proj_size", 0):
        raise _Unsupported(name, f"has a projection (proj_size={m.proj_size})")


# ---- the module's own predictions ----

IDS = 12 # one more for as many words: the shape of the logits then shows which dimension is that of the words


def _compare_with_forward(found: _Parts, module: Any, output_activation: str | None) -> None:
    """Warns if the module's predictions (without a decoder: its states) differ from those of the imported parts, or cannot be compared. ValueError: they
    differ, and the order of the layers was an assumption."""
    import copy
    import torch
    layers = ", ".join(f"'{found.name(m)}'" for m in found.assumed)
    assumed = f"submodules {layers}: read as layers, each on top of the one before it in their list"
    told = f"give rnn=[first, ...] where they are; {INSTEAD}"
    parts = "embedding, recurrent layers and decoder" if found.decoder is not None else "embedding and recurrent layers"
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            memo: dict[int, Any] = {}
            whole = lambda m: m.eval().float() if found.embedding.weight.element_size() < 4 else m.eval() # processors may not have halves
            twin = whole(copy.deepcopy(module, memo))
            ids = torch.arange(IDS + (found.embedding.num_embeddings == IDS), device=found.embedding.weight.device) % found.embedding.num_embeddings
            mine = _predictions([memo.get(id(m)) or whole(copy.deepcopy(m)) for m in found.used()], found.decoder is not None, ids, output_activation)
            others = [_difference(twin, mine, found.decoder is not None, *given) for given in _calls(twin, ids)]
    except Exception as error: # of the copy, or of another kind of number: the module's own matter
        others = [error]
    differences = [x for x in others if isinstance(x, float)]
    if any(d <= 1e-3 for d in differences): # nats, or of the largest state
        return
    if differences:
        apart = f"log probabilities differ by {min(differences):.2g}" if found.decoder is not None else f"by {min(differences):.2g} of the largest"
        if found.assumed:
            raise ValueError(f"{assumed}, they do not predict what the module's forward does ({apart}): {told}")
        warn(f"the module's forward predicts other words than {parts} alone ({apart}): what else it does is not in the model; {INSTEAD}"
             if found.decoder is not None else
             f"the module's forward computes other states than {parts} alone (they differ {apart}): what else it does is not in the model; {INSTEAD}")
        return
    alone = next((x for x in others if isinstance(x, _Alone)), None)
    why = alone or others[0]
    said = str(alone) if alone else f"its forward could not be called with ids ({type(why).__name__}: {why})"[:200]
    if found.assumed:
        warn(f"{assumed}; {said}")
    elif _has_forward(module):
        warn(f"the module was not compared with {parts} alone: {said}; what else it does is not in the model")


def _calls(twin: Any, ids: Any) -> Iterator[tuple[Any, ...]]:
    """Arguments that a language model's forward may take: ids (T), (T, 1) or (1, T), perhaps with a first state."""
    states: list[tuple[Any, ...]] = [(), (None,)]
    if callable(getattr(twin, "init_hidden", None)):
        try:
            states.append((twin.init_hidden(1),))
        except Exception:
            pass
    for state in states:
        for x in (ids, ids[:, None], ids[None]):
            yield (x, *state)


class _Alone(ValueError):
    """A prediction does not depend on the word before."""


def _has_forward(module: Any) -> bool:
    """Does it compute something? Containers of parts do not."""
    import torch
    return type(module).forward is not torch.nn.Module.forward and _torch_kind(module) not in ("ModuleDict", "ModuleList", "Sequential")


def _difference(twin: Any, mine: Any, scores: bool, x: Any, *state: Any) -> float | Exception:
    """The largest difference from the module's log probabilities (scores) or states, of all words or of the last; or the reason why there is none."""
    import torch

    def predict(x: Any) -> Any:
        out = twin(x, *state)
        out = out.get("logits", out) if isinstance(out, Mapping) else getattr(out, "logits", out) # as Hugging Face's models have it
        out = out[0] if isinstance(out, (tuple, list)) else out
        if out.shape[-1] != mine.shape[-1] or out.numel() not in (mine.numel(), mine.shape[-1]):
            raise ValueError(f"its result has shape {tuple(out.shape)}, expected {'logits' if scores else 'states'} of {tuple(mine.shape)}")
        out = out.reshape(-1, mine.shape[-1]).float()
        return torch.log_softmax(out, -1) if scores else out / mine.abs().max()
    try:
        its, other = predict(x), x.clone()
        at = 1 if len(its) > 1 else len(mine) - 1
        other.view(-1)[at - 1] = x.view(-1)[at] # another word before it
        if torch.equal(predict(other)[at if len(its) > 1 else 0], its[at if len(its) > 1 else 0]):
            raise _Alone("the results of its forward do not depend on the words before: it reads other words, or the ids as several texts")
        return float((its - (mine if scores else mine / mine.abs().max())[-len(its):]).abs().max())
    except Exception as error:
        return error


def _predictions(parts: list[Any], has_decoder: bool, ids: Any, output_activation: str | None) -> Any:
    """Log probabilities (T, V) of the imported parts; without a decoder, states (T, H)."""
    import torch
    embedding, *rnn = parts[:len(parts) - has_decoder]
    x = embedding(ids)
    for m in rnn:
        if type(m).__name__.endswith("Cell"):
            state, below = None, x
            x = []
            for row in below:
                state = m(row[None], state)
                x.append((state[0] if isinstance(state, tuple) else state)[0])
            x = torch.stack(x)
        else:
            x = m(x)[0]
    if output_activation in ("relu", "tanh"):
        x = getattr(torch, output_activation)(x)
    return torch.log_softmax(parts[-1](x).float(), -1) if has_decoder else x.float()


# ---- weights ----

def _layers(m: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and tensors (weight_ih, weight_hh, bias_ih, bias_hh; no bias: None) of each layer of a module."""
    if type(m).__name__.endswith("Cell"):
        suffixes = [""]
    else:
        suffixes = [f"_l{k}" for k in range(m.num_layers)]
    for suffix in suffixes:
        yield suffix, {key: getattr(m, key + suffix, None) for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


def _cell_of(m: Any, name: str) -> str:
    cell = CELLS[type(m).__name__]
    return "rnn-relu" if cell == "rnn" and m.nonlinearity == "relu" else cell


def _array(tensor: Any, name: str) -> np.ndarray:
    values = floats(tensor, name)
    if not np.isfinite(values).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise ValueError(f"{name}: the weight at {at} is {values[at]}")
    return values


def _build(found: _Parts, vocab: Vocabulary | None, output: str, unit: str | None, eos: bool | None) -> Model:
    V, E = found.embedding.weight.shape
    stack = [(found.name(m), _cell_of(m, found.name(m)), suffix, tensors) for m in found.rnn for suffix, tensors in _layers(m)]
    weights: dict[str, np.ndarray] = {"encoder.weight": _array(found.embedding.weight, found.name(found.embedding) + ".weight")}
    below = E
    for k, (name, cell, suffix, tensors) in enumerate(stack):
        if cell != stack[0][1]:
            raise _Unsupported(name, f"{cell} upon {stack[0][1]}: layers of one kind are read")
        H = tensors["weight_hh"].shape[1]
        if tensors["weight_ih"].shape[1] != below:
            raise _Unsupported(name, f"reads {tensors['weight_ih'].shape[1]} numbers, what is below it has {below}")
        below = H
        for key, tensor in tensors.items():
            zero = np.zeros(GATES[cell] * H, dtype=np.float32)
            weights[f"rnn.{key}_l{k}"] = zero if tensor is None else _array(tensor, f"{name}.{key}{suffix}")
    decoder = found.decoder
    if decoder is not None:
        if tuple(decoder.weight.shape) != (V, below):
            raise _Unsupported(found.name(decoder), f"has shape {tuple(decoder.weight.shape)}, expected ({V}, {below}): the "
                                                    "words, the units of the last layer")
        weights["decoder.weight"] = _array(decoder.weight, found.name(decoder) + ".weight")
        bias = decoder.bias
        weights["decoder.bias"] = np.zeros(V, np.float32) if bias is None else _array(bias, found.name(decoder) + ".bias")
    words = vocabulary_of([f"#{i}" for i in range(V)] if vocab is None else vocab, V)
    if lib.sg_vocab_size(words) != V:
        raise ValueError(f"vocab: {lib.sg_vocab_size(words)} words for {V} embeddings")
    cells = {"lstm": lib.SG_CELL_LSTM, "gru": lib.SG_CELL_GRU, "rnn": lib.SG_CELL_TANH, "rnn-relu": lib.SG_CELL_RELU}
    shape = ffi.new("sg_model_shape *", {"cell": cells[stack[0][1]], "layers": len(stack), "vocabulary": V, "embedding": E,
                                         "has_decoder": decoder is not None, "output": index_of(output, OUTPUTS, "output_activation")})
    if len(stack) > lib.SG_MAX_LAYERS:
        raise ValueError(f"{len(stack)} layers, expected 1 to {lib.SG_MAX_LAYERS}")
    for k in range(len(stack)):
        shape.hidden[k] = weights[f"rnn.weight_hh_l{k}"].shape[1]
    shape.tied = decoder is not None and _same_tensor(decoder.weight, found.embedding.weight)
    shape.unit = _unit_of(words, V) if unit is None else index_of(unit, UNITS, "unit")
    shape.eos = _lines_end(words, shape.unit) if eos is None else eos
    model = new("sg_model", lib.sg_model_new, shape, words)
    result = Model(model, vocab)
    for i in range(lib.sg_model_tensors(model)):
        t = lib.sg_model_tensor(model, i)
        values = weights[ffi.string(t.name).decode()]
        ffi.memmove(t.data, ffi.from_buffer(values), values.nbytes)
    return result


def _unit_of(words: Any, V: int) -> int:
    """Characters if every word is one code point (import.h)."""
    one = all(len(ffi.string(lib.sg_vocab_word(words, i)).decode("utf-8", "replace")) == 1 for i in range(V))
    return UNITS.index("char" if one else "word")


def _lines_end(words: Any, unit: int) -> bool:
    """Does the vocabulary have a word that ends a line? (import.h)"""
    return lib.sg_vocab_id(words, b"\n", 1) >= 0 if UNITS[unit] == "char" else lib.sg_vocab_eos(words) >= 0
