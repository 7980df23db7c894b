# SPDX-License-Identifier: MIT
"""Any recurrent model: gradients from the caller's own code, and the library's sums, spectra, intervals and run file."""
from __future__ import annotations

import functools
import time
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from . import _corpus
from ._analysis import _files_read, config_of
from ._base import Handle, Monitor, Path, Progress, ProgressOption, Uncopied, call, ffi, flag, is_path, lib, new, path_to_c, threads_will_work, to_c, whole, warn
from ._model import Vocabulary, dense, floats, real, vocabulary_of
from ._run import Run, files_of, output_file, refuse_outputs

PORTION = 64 << 20 # bytes of gradients that analyze_function hands over at once
REPLACED = np.dtype([("position", np.uint64), ("other", np.uint64), ("law", np.uint32), ("row", np.uint32), ("delays", np.uint32),
                     ("kl", np.uint32)]) # sg_replacement


class Accumulator(Uncopied):
    """Sums gradients that the caller computes, for any recurrent model, into a run.

        G[t,d] = d s_t / d x_{t-d}        H x E

    >>> a = sg.Accumulator(ids, {"layer1.cell": H}, embeddings, vocab, delays=20)
    >>> a.add(origins, G)                 # (n, D, H, E): G[o, d] = d s_t / d x_o at t = o + d
    >>> run = a.finish()

    Parameters
    ----------
    tokens
        Ids (n), or a list of such arrays (sentences); without embeddings, the inputs x_t themselves, (n, E).
    states
        The states that are examined, a group of the run each, with their units H. Names are "layerN.NAME".
    embeddings
        (V, E), the inputs that the ids stand for: for normalisation, properties and sums by word.
    vocab
        The V words; default: "#0", "#1", ...
    classes, properties, output, progress, command
        As in `analyze`.
    model
        What the run file calls the kind of model.
    replaces
        Words are replaced (see `replacements`) unless setting replace is "none": by default one in 2 D, but 50 at least.
        Without it, they are if setting replace is a number or a share.
    predicts
        Replacements come with the change of the distribution of the next word.
    **settings
        Those of `analyze` that do not say how a model is run.

    Raises
    ------
    ValueError
        A setting, a state's name, an id that cannot be; sizes that do not fit.
    """

    def __init__(self, tokens: Any, states: Mapping[str, int], embeddings: Any = None, vocab: Vocabulary | None = None,
                 classes: Any = None, properties: Any = None, *, output: Path | None = None, model: str | None = None,
                 replaces: bool = False, predicts: bool = False, progress: ProgressOption = None, command: str | None = None, **settings: Any) -> None:
        keep: list[Any] = []
        table = None if embeddings is None else floats(embeddings, "embeddings")
        if table is not None and table.ndim != 2:
            raise ValueError(f"embeddings: expected (V, E), found {table.shape}")
        if settings.get("state") is not None:
            raise ValueError(f"setting 'state': of the library's own cells, found {settings['state']!r}; `states` names those that are examined")
        if not isinstance(states, Mapping):
            raise TypeError(f"states: expected a dict {{name: units}}, found {states!r}"[:200])
        if table is None and vocab is not None:
            raise ValueError("vocab: words of embeddings; there are none")
        if table is None:
            tokens = floats(tokens, "tokens")
            if tokens.ndim != 2 or not tokens.size:
                raise ValueError(f"tokens: expected the inputs of the model, (n, E), or ids and embeddings; found an array {tokens.shape}")
            words, E = ffi.NULL, tokens.shape[-1] if tokens.ndim == 2 else 0
        else:
            V, E = table.shape
            words = vocabulary_of([f"#{i}" for i in range(V)] if vocab is None else vocab, V)
            if lib.sg_vocab_size(words) != V:
                raise ValueError(f"vocab: {lib.sg_vocab_size(words)} words for {V} embeddings")
        self._states = {name: whole(units, f"states: {name}", 1) for name, units in states.items()}
        self._embedding = E
        self.corpus = _corpus.read_numbers(words, E, tokens, classes)
        self._cfg = config_of(ffi.NULL, settings, "stategrad.Accumulator" if command is None else command, keep, type(self))
        self.delays: int = self._cfg.delays
        if self.corpus.features is not None:
            keep.append(ffi.from_buffer("float[]", self.corpus.features))
            self._cfg.features = keep[-1]
        names = [to_c(name, "states") for name in self._states]
        rows = ffi.new("sg_accumulator_state[]", [{"name": c, "units": H} for c, H in zip(names, self._states.values())])
        cfg = ffi.new("sg_accumulator_config *", {"struct_size": ffi.sizeof("sg_accumulator_config"), "states": rows,
                                                  "n_states": len(names), "embedding": E, "vocab": words,
                                                  "replaces": flag(replaces, "replaces"), "output": flag(predicts, "predicts")})
        if table is not None:
            keep.append(ffi.from_buffer("float[]", table))
            cfg.embeddings = keep[-1]
        if model is not None:
            keep.append(to_c(model, "model"))
            cfg.model = keep[-1]
        self._monitor = Monitor(progress)
        self._read = files_of(*_files_read(None, classes, properties, vocab if is_path(vocab) else None))
        refuse_outputs((output, settings.get("csv"), settings.get("checkpoint")), *self._read)
        self._file = output_file(output)
        threads_will_work()
        try:
            keep.append(p := _corpus.Properties(properties))
            self._cfg.properties, self._cfg.n_properties = p.array, len(p)
            pointer = new("sg_accumulator", lib.sg_accumulator_new, path_to_c(self._file.path), cfg, self.corpus.stream,
                          self.corpus.classes, self._cfg, self._monitor.c, monitor=self._monitor)
        except BaseException:
            self._file.__exit__()
            raise
        self._handle = Handle(pointer, "accumulator", [keep, words, table, self.corpus, self._monitor])
        with self._handle as a:
            self.replacing: bool = lib.sg_accumulator_replaces(a)

    def __repr__(self) -> str:
        return f"<stategrad.Accumulator: {', '.join(self._states)}; {len(self.corpus)} tokens, {self.delays} delays>"

    def add(self, origins: Any, *G: Any) -> None:
        """All gradients of some inputs.

        Parameters
        ----------
        origins
            (n) positions in the text, ascending within a call and from call to call.
        *G
            For each state (n, D, H, E): G[o, d] = d s_t / d x_{origins[o]} at t = origins[o] + d; entries beyond the end of the
            text are not read. float32 arrays are not copied; torch tensors and what has DLPack are taken.

        Raises
        ------
        ValueError
            A shape that does not fit; an origin out of range, twice or before the last; a number that is not finite. Nothing is
            added then.
        """
        self._add(lib.sg_accumulator_add, origins, G)

    def add_steps(self, steps: Any, *G: Any) -> None:
        """The same by the steps of the states: G[o, d] = d s_t / d x_{t-d} at t = steps[o]; d > t is not read."""
        self._add(lib.sg_accumulator_add_steps, steps, G)

    def _add(self, function: Callable[..., int], positions: Any, G: Sequence[Any]) -> None:
        where = np.atleast_1d(np.asarray(positions))
        if where.ndim != 1 or where.dtype.kind not in "iu" or (where < 0).any():
            raise ValueError(f"accumulator: expected positions in the text, found {positions!r}"[:200])
        arrays = [floats(g, f"gradients {i}") for i, g in enumerate(G)]
        if len(G) != len(self._states):
            raise ValueError(f"accumulator: {len(G)} arrays for {len(self._states)} states")
        for (name, H), g in zip(self._states.items(), arrays):
            shape = (len(where), self.delays, H, self._embedding)
            if g.shape != shape:
                raise ValueError(f"accumulator: {name}: expected gradients {shape}, found {g.shape}")
        pointers = [ffi.from_buffer("float[]", g) for g in arrays]
        with self._handle as a:
            call(function, a, ffi.from_buffer("uint64_t[]", np.ascontiguousarray(where, dtype=np.uint64)), len(where),
                 ffi.new("const float *[]", pointers))

    def replacements(self, most: int = 256) -> np.ndarray:
        """With setting replace: the next words to be replaced; the words after them stay the same. Empty: there are no more.

        They follow from seed and text, as in `analyze`. All of them must be passed to `add_replaced`, in this order.

        Returns
        -------
        numpy.ndarray
            A record each: position s; other, the id of the word in its place (without embeddings: the position whose input
            is taken); law, 0 by any word, 1 by one of class `row`, 2 by the partner in property `row`; delays, how many are
            compared; kl, 1 where the distributions of the next word are compared, after delays 0, 1, 2, 4, 8, ...

        Raises
        ------
        ValueError
            Setting replace is none.
        """
        out, n = np.zeros(whole(most, "most", 1), dtype=REPLACED), ffi.new("size_t *")
        with self._handle as a:
            call(lib.sg_accumulator_replacements, a, most, ffi.cast("sg_replacement *", ffi.from_buffer(out)), n)
        return out[:n[0]]

    def add_replaced(self, which: np.ndarray, change: Sequence[Any], linear: Sequence[Any], kl: Any = None) -> None:
        """What replacements changed.

        Parameters
        ----------
        which
            (n) records of `replacements`.
        change
            For each state (n, D, H): Delta[d] = s_{s+d}(x') - s_{s+d}(x).
        linear
            For each state (n, D, H): its linear prediction, G[s+d,d] (x' - x).
        kl
            (n, D): KL(p_{s+d}(x) || p_{s+d}(x')) in nats, of the distributions of the next word.

        What is at delays >= which["delays"] is not read.

        Raises
        ------
        ValueError
            A shape that does not fit; another order; a number that is not finite; a divergence below 0. Nothing is added then.
        """
        which = np.ascontiguousarray(which)
        if which.dtype != REPLACED or which.ndim != 1:
            raise ValueError(f"replacements: expected records of replacements(), found {which.dtype}")
        pointers: list[list[Any]] = []
        for what, of_states in (("change", change), ("linear", linear)):
            arrays = [floats(x, what) for x in of_states]
            shapes = [(len(which), self.delays, H) for H in self._states.values()]
            if [x.shape for x in arrays] != shapes:
                raise ValueError(f"{what}: expected {shapes}, found {[x.shape for x in arrays]}")
            pointers.append([ffi.from_buffer("float[]", x) for x in arrays])
        divergence = None if kl is None else np.ascontiguousarray(real(kl, "kl"), dtype=np.float64)
        if divergence is not None and divergence.shape != (len(which), self.delays):
            raise ValueError(f"kl: expected {(len(which), self.delays)}, found {divergence.shape}")
        with self._handle as a:
            call(lib.sg_accumulator_add_replaced, a, ffi.cast("sg_replacement *", ffi.from_buffer(which)), len(which),
                 ffi.new("const float *[]", pointers[0]), ffi.new("const float *[]", pointers[1]),
                 ffi.NULL if divergence is None else ffi.from_buffer("double[]", divergence))

    def finish(self) -> Run:
        """Computes the results, writes the run file and opens it. The accumulator is closed."""
        try:
            with self._handle as a:
                call(lib.sg_accumulator_finish, a, ffi.NULL, monitor=self._monitor)
            return self._file.open(*self._read)
        finally:
            self.close()

    def close(self) -> None:
        """Discards what was added, unless `finish` was called."""
        self._handle.close()
        self._file.__exit__()

    def __enter__(self) -> Accumulator:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def analyze_function(step: Callable[[Any, Any], Any], state0: Any, tokens: Any, embeddings: Any = None,
                     vocab: Vocabulary | None = None, classes: Any = None, properties: Any = None, *,
                     states: Mapping[str, int] | None = None, predict: Callable[[Any], Any] | None = None,
                     check: bool = True, progress: ProgressOption = None, **settings: Any) -> Run:
    """State gradients of any recurrence that torch can differentiate.

        s_t = step(x_t, s_{t-1})      A = d s_t / d s_{t-1}, B = d s_t / d x_t by torch.autograd
        G[t,0] = B                    G[t,d] = A G[t-1,d-1]

    A and B are exact and cost one vectorised backward pass of a step; A has all states, S numbers, squared. Words are replaced
    by calls of step alone, one for each replacement and delay.

    Parameters
    ----------
    step
        step(x, state) -> state, for one input x (E) and a state like `state0`. One that changes them in place is refused.
    state0
        The state before the first input: a tensor, or a tuple (or NamedTuple) of tensors. Its device (cpu, cuda) is the one used.
    tokens, embeddings, vocab, classes, properties
        As in `Accumulator`: ids of `embeddings` (V, E), or the inputs themselves (n, E).
    states
        Names, "layerN.NAME", of the tensors of the state that are examined, by their place: {"layer1.cell": 1}. Default: all,
        as "layer1.state" or "layer1.state1", "layer1.state2", ...
    predict
        predict(state) -> logits of the next word (V): what replacing a word changes in the prediction.
    check
        At the first three inputs, torch's derivatives are compared with finite differences of the step, each part of the state by
        each. False: they are not, as for gradients that are meant to be others (surrogate gradients, straight-through estimators).
    **settings
        As in `Accumulator`; of `analyze`: delays (50), state_handling, burn_in, blocks, normalize, ... replace: words
        replaced, a number or a share below 1; "none"; default: one in 2 D, but 50 at least.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        As `Accumulator`; a state of another shape or type than `state0`; a part of the state that is detached within `step`.
    """
    import torch
    for name, function in (("step", step), ("predict", predict)):
        if not callable(function) and not (function is None and name == "predict"):
            raise TypeError(f"{name}: expected a function, found {function!r}"[:200])
    start = _state(state0)
    single, sizes = not isinstance(state0, (tuple, list)), [s.numel() for s in start]
    if states is None:
        states = {"layer1.state" if single else f"layer1.state{i + 1}": i for i in range(len(start))}
    if not isinstance(states, Mapping) or not states:
        raise ValueError(f"states: {states!r}: expected names with places 0 to {len(start) - 1}"[:300])
    states = {name: whole(place, f"states: {name}: place of a tensor of the state", 0, len(start) - 1) for name, place in states.items()}
    check = flag(check, "check")
    names = [next((f"'{name}'" for name, place in states.items() if place == i), f"tensor {i} of the state") for i in range(len(start))]
    offsets = np.cumsum([0, *sizes])
    table = None if embeddings is None else _tensor(embeddings, "embeddings").to(start[0])

    def unpack(s: Any) -> Any:
        parts = [part.reshape(old.shape) for part, old in zip(torch.split(s, sizes), start)]
        return parts[0] if single else type(state0)._make(parts) if hasattr(state0, "_make") else tuple(parts)

    def flat(x: Any, s: Any) -> Any:
        new_state = step(x, unpack(s))
        new_parts = [new_state] if single else list(new_state) if isinstance(new_state, (tuple, list)) else [new_state]
        for part in new_parts:
            if not isinstance(part, torch.Tensor) or part.is_complex():
                raise ValueError("step: expected a state of real tensors like state0, found "
                                 + (str(part.dtype) if isinstance(part, torch.Tensor) else type(part).__name__))
        if [tuple(p.shape) for p in new_parts] != [tuple(p.shape) for p in start]:
            raise ValueError(f"step: states {[tuple(p.shape) for p in new_parts]}, expected those of state0, "
                             f"{[tuple(p.shape) for p in start]}")
        for name, part, old in zip(names, new_parts, start):
            if part.dtype != old.dtype or part.device != old.device:
                raise ValueError(f"step: {name} is {part.dtype} on {part.device}, expected {old.dtype} on {old.device} as in state0: where types are mixed, the "
                                 "larger one wins (weights or constants of another type?)")
        return torch.cat([p.reshape(-1) for p in new_parts])

    with Accumulator(tokens, {name: sizes[place] for name, place in states.items()}, embeddings, vocab, classes, properties,
                     replaces=True, predicts=predict is not None, progress=progress,
                     **{"command": "stategrad.analyze_function", **settings}) as total:
        inputs = _inputs(total.corpus, table, start[0])
        resets = total.corpus.steps()["first"] if settings.get("state_handling") == "reset" else np.zeros(len(inputs), dtype=bool)
        n, D, E, S = len(inputs), total.delays, inputs.shape[1], int(offsets[-1])
        room = max(1, PORTION // (4 * D * max(sizes) * E))
        s0 = torch.cat([s.reshape(-1) for s in start])
        s, G = s0, s0.new_zeros(D, S, E)
        logits = None if predict is None else functools.partial(_logits, predict, unpack)
        if logits is not None and table is not None:
            with torch.no_grad():
                if tuple(shape := logits(s0).shape) != (len(table),):
                    raise ValueError(f"predict: expected logits of shape ({len(table)},), found {tuple(shape)}")
        replaced = _Replaced(total, inputs if table is None else table, [(offsets[i], offsets[i + 1]) for i in states.values()], logits)
        steps, parts, began = [], [], time.monotonic()
        jacobian = _Jacobian(flat)
        for t in range(n):
            x = inputs[t]
            if resets[t]:
                s, G = s0, torch.zeros_like(G)
            if t < 3: # dropout of a first state of zeros changes nothing
                _deterministic(flat, x, s)
            if t == 0:
                with torch.enable_grad():
                    differentiable = flat(x.clone().requires_grad_(), s.clone().requires_grad_()).requires_grad
            if not differentiable:
                raise ValueError("step: torch cannot differentiate the new state: it was computed under no_grad or inference_mode, "
                                 "detached, or by way of NumPy or Python numbers")
            B, A = jacobian(x.clone(), s.clone())
            if check and t < 3:
                _compare_with_differences(flat, x, s, B, A, sizes, names, t)
            with torch.no_grad():
                before, s = s, _kept("step", flat, x=x, state=s).detach()
                G = torch.cat([B[None], A @ G[:-1]])
                replaced.step(t, x, before, s, A, B, flat)
            steps.append(t)
            parts.append(G)
            if len(steps) == room or t == n - 1:
                stacked = torch.stack(parts)
                total.add_steps(steps, *(stacked[:, :, offsets[i]:offsets[i + 1]] for i in states.values()))
                steps, parts = [], []
            total._monitor.tell(Progress("differentiating", t + 1, n, time.monotonic() - began, float("nan"), 0, 0))
        return total.finish()


def _logits(predict: Callable[[Any], Any], unpack: Callable[[Any], Any], s: Any) -> Any:
    found = _kept("predict", lambda s: predict(unpack(s)), state=s)
    if not hasattr(found, "is_complex") or found.is_complex():
        raise ValueError(f"predict: expected a tensor of real logits, found {found.dtype if hasattr(found, 'is_complex') else type(found).__name__}")
    return found


def _state(state0: Any) -> list[Any]:
    """Its tensors."""
    import torch
    parts = list(state0) if isinstance(state0, (tuple, list)) else [state0]
    for part in parts:
        if not isinstance(part, torch.Tensor):
            raise TypeError(f"state0: expected a tensor of torch or a tuple of them, found {type(part).__name__}")
        dense(part, "state0")
        if part.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"state0: expected float32 or float64, found {part.dtype}")
        if part.dtype != parts[0].dtype or part.device != parts[0].device:
            raise ValueError(f"state0: expected tensors of one type on one device, found {parts[0].dtype} on {parts[0].device} and {part.dtype} on "
                             f"{part.device}")
    if not parts or not sum(part.numel() for part in parts):
        raise ValueError("state0: found no numbers")
    return [part.detach() for part in parts]


def _tensor(x: Any, what: str) -> Any:
    import torch
    if isinstance(x, torch.Tensor):
        return dense(x, what).detach()
    array = real(x, what)
    return torch.as_tensor(array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)) # others torch may not have


def _kept(name: str, function: Callable[..., Any], **given: Any) -> Any:
    """Calls function on copies of its arguments, and checks that they are unchanged afterwards: their memory belongs to the pass, which would continue with other numbers."""
    import torch
    before = {key: x.clone() for key, x in given.items()}
    result = function(*given.values())
    for key, x in given.items():
        if not torch.equal(torch.nan_to_num(x), torch.nan_to_num(before[key])):
            raise ValueError(f"{name}: changes its argument {key!r} in place: expected a function that returns new tensors")
    return result


def _deterministic(flat: Callable[[Any, Any], Any], x: Any, s: Any) -> None:
    """ValueError: two calls of the step give different results, so the gradients would belong to other states."""
    import torch
    with torch.no_grad():
        if not torch.equal(*(torch.nan_to_num(_kept("step", flat, x=x.clone(), state=s.clone())) for _ in range(2))):
            raise ValueError("step: two calls with the same input and state differ (dropout in training mode, random numbers, a state kept in "
                             "the object?)")


class _Jacobian:
    """d flat / d x and d flat / d s, of all numbers at once where torch can, else one after the other."""

    def __init__(self, flat: Callable[[Any, Any], Any]) -> None:
        self.flat, self.at_once = flat, True

    def __call__(self, x: Any, s: Any) -> Any:
        from torch.autograd.functional import jacobian
        if self.at_once:
            try:
                return jacobian(self.flat, (x, s), vectorize=True)
            except (RuntimeError, TypeError) as error: # an autograd.Function of NumPy, an operation without a rule for batches
                first = error
        try:
            found = jacobian(self.flat, (x, s))
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"step: torch cannot differentiate it: {_first_line(error)}") from error
        if self.at_once:
            warn(f"step: torch differentiates one number of the state after the other, which is slow ({_first_line(first)})")
            self.at_once = False
        return found


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".strip().split("\n")[0][:200]


DIFFERENCE = 5e-3 # step of differences, relative to the size of what is moved: of the order of the cube root of float32's precision
DIRECTIONS = 3
ROUNDING = 1e-6 # of a state, relative to its largest number: 8 units of float32


def _compare_with_differences(flat: Callable[[Any, Any], Any], x: Any, s: Any, B: Any, A: Any, sizes: Sequence[int], names: Sequence[str], t: int) -> None:
    """ValueError: a block of the derivatives of step t is not that of the function, in each of some random directions.

        | (f(u + h v) - f(u - h v)) / 2h - J v |        for J = d (a part of f) / d (a part of u)

    beyond what curvature and corners (the two one-sided differences) and rounding (a smaller h) can explain."""
    import torch
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        f0 = flat(x.clone(), s.clone()).double()
        floor = [ROUNDING * float(p.abs().max()) for p in torch.split(f0, list(sizes))]
        wrong: dict[str, str] = {}
        offset = 0
        for place, size in ((None, x.numel()), *enumerate(sizes)):
            u, J = (x, B) if place is None else (s[offset:offset + size], A[:, offset:offset + size])
            scale = float(u.double().square().mean().sqrt()) or 1.0
            h, found = DIFFERENCE * (scale if scale > 1e-3 else 1.0), []
            for _ in range(DIRECTIONS):
                v = ((2 * torch.randint(2, (size,), generator=draw) - 1) * (0.5 + torch.rand(size, generator=draw))).to(u)
                try:
                    ends = []
                    for step in (h, -h, h / 4, -h / 4):
                        moved_x, moved_s = x.clone(), s.clone()
                        (moved_x if place is None else moved_s[offset:offset + size]).add_(v, alpha=step)
                        ends.append(flat(moved_x, moved_s).double())
                except Exception: # not defined there: nothing is known
                    break
                mean, near, J_v = (ends[0] - ends[1]) / (2 * h), (ends[2] - ends[3]) / (h / 2), (J @ v).double()
                unsure = 2 * ((ends[0] - 2 * f0 + ends[1]).abs() / h + (mean - near).abs())
                known = (mean != 0) & ((mean - near).abs() <= 0.1 * mean.abs()) # the differences have a limit
                excess = torch.where(known, ((mean - J_v).abs() - unsure).clamp(min=0), torch.zeros_like(mean))
                parts = [torch.split(p.nan_to_num(0, 0, 0), list(sizes)) for p in (excess, mean, J_v, mean - near)]
                found.append([(float(e.norm()) > 0.01 * float(m.norm()) + float(r.norm()) + f / h * e.numel() ** 0.5, f"{float(m.norm()):.3g} by differences, "
                               f"{float(j.norm()):.3g} by torch, {float((m - j).norm()):.3g} apart") for e, m, j, r, f in zip(*parts, floor)])
                if not any(apart for apart, _ in found[-1]): # one direction is enough for a good step
                    break
            for i, name in enumerate(names):
                if len(found) == DIRECTIONS and all(direction[i][0] for direction in found):
                    wrong[f"{name} by {'the input' if place is None else names[place]}"] = found[0][i][1]
            offset += 0 if place is None else size
    if wrong:
        raise ValueError(f"step: torch's derivatives are not those of the function at input {t}: " + "; ".join(f"{which}: {what}" for which, what in [*wrong.items()][:4])
                         + (", ..." if len(wrong) > 4 else "") + " (norms along a random direction). Something is detached within step (.detach(), .data, "
                         "no_grad, NumPy), or a gradient is meant to be another one: check=False takes torch's")


class _Replaced:
    """Replacements in progress: their states next to those of the text, and the linear prediction of the change."""

    def __init__(self, total: Accumulator, inputs: Any, slices: Sequence[tuple[int, int]], logits: Callable[[Any], Any] | None) -> None:
        self.total, self.inputs, self.slices, self.logits = total, inputs, slices, logits
        self.waiting: list[Any] = [] # records in order of position
        self.alive: list[list[Any]] = [] # record, state, linear prediction, what is known of each delay
        self.more = total.replacing

    def step(self, t: int, x: Any, before: Any, after: Any, A: Any, B: Any, flat: Callable[[Any, Any], Any]) -> None:
        """Step t of the text takes the state `before` to `after`."""
        for one in self.alive:
            one[1], one[2] = flat(x.clone(), one[1]), A @ one[2]
        for record in self._begin(t):
            other = self.inputs[int(record["other"])]
            self.alive.append([record, flat(other.clone(), before.clone()), B @ (other - x), []])
        for record, state, linear, known in self.alive:
            d = len(known)
            asked = self.logits is not None and record["kl"] and d & (d - 1) == 0
            known.append((state - after, linear, _divergence(self.logits(after), self.logits(state)) if asked and self.logits else 0.0))
        while self.alive and len(self.alive[0][3]) == self.alive[0][0]["delays"]:
            self._end(self.alive.pop(0))

    def _begin(self, t: int) -> list[Any]:
        if self.more and not self.waiting:
            self.waiting = list(self.total.replacements())
            self.more = bool(self.waiting)
        begun: list[Any] = []
        while self.waiting and self.waiting[0]["position"] == t:
            begun.append(self.waiting.pop(0))
            if self.more and not self.waiting:
                self.waiting = list(self.total.replacements())
                self.more = bool(self.waiting)
        return begun

    def _end(self, one: list[Any]) -> None:
        record, _, _, known = one
        vectors: list[list[np.ndarray]] = [[], []]
        kl = np.zeros((1, self.total.delays))
        kl[0, :len(known)] = [k[2] for k in known]
        for i in range(2):
            rows = floats(_stack([k[i] for k in known]), "states")
            for begin, end in self.slices:
                padded = np.zeros((1, self.total.delays, end - begin), dtype=np.float32)
                padded[0, :len(known)] = rows[:, begin:end]
                vectors[i].append(padded)
        self.total.add_replaced(np.array([record], dtype=REPLACED), vectors[0], vectors[1], None if self.logits is None else kl)


def _stack(rows: Sequence[Any]) -> Any:
    import torch
    return torch.stack(list(rows))


def _divergence(a: Any, b: Any) -> float:
    """KL(p || q) of logits: sum of p (e^z - 1 - z), z = log q - log p, of which no term is negative."""
    import torch
    p, q = torch.log_softmax(a.double(), -1), torch.log_softmax(b.double(), -1)
    return float((p.exp() * (torch.expm1(q - p) - (q - p))).sum())


def _inputs(corpus: Any, table: Any, like: Any) -> Any:
    """x_t, (n, E), on the device and of the type of the state."""
    import torch
    if corpus.features is not None:
        return torch.as_tensor(corpus.features).to(like)
    return table[torch.as_tensor(corpus.steps()["id"].astype(np.int64)).to(table.device)]
