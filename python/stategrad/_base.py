# SPDX-License-Identifier: MIT
"""Used by every other module: calls of the library, its errors as exceptions, progress, text."""
from __future__ import annotations

import difflib
import inspect
import operator
import os
import sys
import tempfile
import threading
import time
import warnings
from typing import Any, Callable, Iterable, Mapping, NamedTuple, Sequence, Union

# GNU OpenMP reads this when it is loaded. Where other processes want the cores too, its threads otherwise spin at each barrier
# for the time slice of the one that they wait for (cli/main.c). What has loaded it before, such as torch, has decided.
_spins = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ)
if _spins:
    os.environ["GOMP_SPINCOUNT"] = "1000"
from ._native import ffi, lib # noqa: E402
if _spins:
    del os.environ["GOMP_SPINCOUNT"]

EXCEPTIONS: dict[int, type[Exception]] = {lib.SG_ENOMEM: MemoryError, lib.SG_EIO: OSError}


class Progress(NamedTuple):
    """Progress of a long computation, as a progress function gets it."""

    what: str
    """"reading", "training", "analysing" ..."""
    done: float
    """In tokens; of a file that is copied, in bytes."""
    total: float
    """As done; 0: unknown."""
    seconds: float
    """Since this phase began."""
    loss: float
    """Recent loss in nats per token; NaN if there is none."""
    epoch: int
    epochs: int


ProgressOption = Union[bool, None, Callable[[Progress], Any]]


# ---- processes ----
# The threads of OpenMP are not copied into a child (base.h): once they have worked, a child cannot use them.
_worked_in_threads = False
_lost_threads = False


def _after_fork() -> None:
    global _lost_threads
    _lost_threads = _worked_in_threads


os.register_at_fork(after_in_child=_after_fork)


def threads_will_work() -> None:
    """Before each call that computes in threads. Raises RuntimeError in a child whose parent has computed in threads."""
    global _worked_in_threads
    if _lost_threads:
        raise RuntimeError("stategrad computed in several threads before this process was forked, and these are not in the "
                           "child: use the 'spawn' or 'forkserver' method of multiprocessing, or fork first")
    _worked_in_threads = True


class Uncopied:
    """Base of classes that own an object of the library: a copy would share it."""

    _instead = ""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(f"stategrad.{type(self).__name__}: holds an object of the library, and cannot be copied or pickled{self._instead}")


class Handle(Uncopied):
    """An object of the library with a state: one thread at a time, in the process that made it, until it is closed."""

    def __init__(self, pointer: Any, name: str, keep: Any = None) -> None:
        self._pointer, self._name = pointer, name
        self._keep = keep # what the object borrows
        self._lock, self._process, self._uses = threading.RLock(), os.getpid(), 0

    def __enter__(self) -> Any:
        if os.getpid() != self._process:
            raise RuntimeError(f"{self._name}: belongs to process {self._process} and is used after a fork, in {os.getpid()}")
        self._lock.acquire()
        if self._pointer is None:
            self._lock.release()
            raise ValueError(f"{self._name}: is closed")
        self._uses += 1
        return self._pointer

    def __exit__(self, *_: Any) -> None:
        self._uses -= 1
        self._lock.release()

    def close(self) -> None:
        pointer = self._pointer
        if os.getpid() != self._process: # of a child: its parent's lock may be held for ever
            self._pointer = ffi.gc(pointer, None) if pointer is not None else None
            return
        with self._lock:
            if self._uses: # by this thread: a progress function of the call that is under way
                raise ValueError(f"{self._name}: is in use and cannot be closed")
            pointer, self._pointer = self._pointer, None
            if pointer is not None:
                ffi.release(pointer)

    def __del__(self) -> None:
        self.close()


# ---- text ----

def from_c(text: Any) -> str:
    return ffi.string(text).decode("utf-8", "replace")


def to_c(text: str, what: str = "text") -> Any:
    """A C string, valid as long as the result exists."""
    if not isinstance(text, str):
        raise TypeError(f"{what}: expected text, found {text!r}"[:200])
    data = encoded(text, what)
    if b"\0" in data:
        raise ValueError(f"{what}: a NUL character in {text[:40]!r}")
    return ffi.new("char[]", data)


def encoded(text: str, what: str) -> bytes:
    """The text as UTF-8. ValueError: it cannot be encoded."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"{what}: {text[error.start:error.start + 20]!r} at character {error.start} cannot be written as UTF-8 (half of a surrogate pair)") from None


Path = Union[str, "os.PathLike[str]"]


def is_path(x: Any) -> bool:
    return isinstance(x, (str, os.PathLike))


def is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple, range)) or (hasattr(x, "__array__") and getattr(x, "ndim", 0) > 0)


def path_to_c(path: Path) -> Any:
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"expected the path of a file, found {path!r}"[:200])
    try:
        data = os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(f"{path!r}: cannot be the name of a file: it cannot be written as UTF-8"[:200]) from None
    if b"\0" in data:
        raise ValueError(f"a NUL character in the name of a file: {path!r}")
    return ffi.new("char[]", data)


def array_to_c(texts: Sequence[Any], keep: list[Any]) -> Any:
    """const char *const * of C strings, valid as long as `keep` exists."""
    keep += [texts, ffi.new("const char *[]", list(texts))]
    return keep[-1]


# ---- arguments that the library reads from files ----

_arguments: dict[str, str] = {} # of temporary files, and of texts that name them: the arguments that they hold


class TemporaryFiles:
    """Arguments on their way to the library. Its messages name the argument in place of the file."""

    def __enter__(self) -> TemporaryFiles:
        self._folder = tempfile.TemporaryDirectory(prefix="stategrad.")
        self._texts: list[str] = []
        return self

    def path(self, name: str, argument: str) -> str:
        path = os.path.join(self._folder.name, name)
        self.named(path, argument)
        return path

    def named(self, text: str, argument: str) -> None:
        """Messages have the argument in place of this text, which holds a path."""
        _arguments[text] = argument
        self._texts.insert(0, text)

    def __exit__(self, *_: Any) -> None:
        for text in self._texts:
            del _arguments[text]
        self._folder.cleanup()


def _message(text: Any) -> str:
    said = from_c(text)
    for text, argument in list(_arguments.items())[::-1]: # the texts around a path before it
        said = said.replace(text, argument)
    return said


# ---- calls ----

def warn(text: str) -> None:
    """A UserWarning at the line of the user's call."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__package__") == __package__:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


PER_SECOND = 5 # at most, and at the beginning and the end of each phase


class Monitor:
    """Progress and warnings of one call. An exception of the progress function stops the work and is raised again afterwards."""

    def __init__(self, progress: ProgressOption = None) -> None:
        if progress is not None and not isinstance(progress, bool) and not callable(progress):
            raise TypeError(f"progress: expected True or a function, found {progress!r}"[:200])
        self._tell = _print_progress if progress is True else progress or None
        self._error: BaseException | None = None
        self._last, self._phase = 0.0, ""
        self._handle = ffi.new_handle(self)
        self.c = ffi.new("sg_monitor *", {"tick": lib.python_tick, "warn": lib.python_warn, "ctx": self._handle})

    def tell(self, p: Progress) -> None:
        now = time.monotonic()
        if self._tell is not None and (p.what != self._phase or p.done == p.total or now > self._last + 1 / PER_SECOND):
            self._last, self._phase = now, p.what
            self._tell(p)

    def tick(self, p: Any) -> bool:
        try:
            if self._error is None:
                self.tell(Progress(from_c(p.what), p.done, p.total, p.seconds, p.loss, p.epoch, p.epochs))
        except BaseException as error: # also KeyboardInterrupt
            self._error = error
        return self._error is None

    def warn(self, line: Any) -> None:
        try:
            warn(_message(line))
        except BaseException as error: # warnings can be errors
            self._error = self._error or error

    def finish(self) -> None:
        if self._tell is _print_progress and self._phase:
            self._phase = ""
            print(file=sys.stderr)
        error, self._error = self._error, None
        if error is not None:
            raise error


def _print_progress(p: Progress) -> None:
    share = f"{100 * p.done / p.total:5.1f} %" if p.total else f"{p.done:.0f} tokens"
    epoch = f", epoch {p.epoch} of {p.epochs}" if p.epochs else ""
    loss = f", {p.loss:.3f} nats per token" if p.loss == p.loss else ""
    print(f"\r{p.what} {share}{epoch}{loss}, {p.seconds:.0f} s  ", end="", file=sys.stderr, flush=True)


def _interrupted(kind: Any, error: BaseException, trace: Any) -> None:
    """Whether a signal arrived before the first line of a callback."""
    ffi.from_handle(trace.tb_frame.f_locals["ctx"])._error = error


@ffi.def_extern(error=False, onerror=_interrupted)
def python_tick(ctx: Any, p: Any) -> bool:
    return ffi.from_handle(ctx).tick(p)


@ffi.def_extern(onerror=_interrupted)
def python_warn(ctx: Any, line: Any) -> None:
    ffi.from_handle(ctx).warn(line)


@ffi.def_extern(error=False)
def python_write(ctx: Any, text: Any, n: int) -> bool:
    ffi.from_handle(ctx).append(ffi.buffer(text, n)[:])
    return True


def call(function: Callable[..., int], *args: Any, monitor: Monitor | None = None) -> None:
    """Calls function(*args, err) without the interpreter's lock; raises the exception that corresponds to its status."""
    err = ffi.new("sg_error *")
    status = function(*args, err)
    if monitor is not None:
        monitor.finish()
    if status == lib.SG_ECANCELLED:
        raise KeyboardInterrupt
    if status != lib.SG_OK:
        raise EXCEPTIONS.get(status, ValueError)(_message(err.msg))


def written(function: Callable[..., int], *args: Any) -> str:
    """The text that function(to, *args, err) writes."""
    parts: list[bytes] = []
    holder = ffi.new_handle(_Parts(parts))
    call(function, ffi.new("sg_writer *", {"write": lib.python_write, "ctx": holder}), *args)
    return b"".join(parts).decode("utf-8", "replace")


class _Parts:
    def __init__(self, parts: list[bytes]) -> None:
        self.append = parts.append


def new(kind: str, function: Callable[..., int], *args: Any, monitor: Monitor | None = None) -> Any:
    """The object that function(&object, *args, err) creates; freed with the result."""
    free = getattr(lib, kind + "_free", None) or getattr(lib, kind + "_close")
    out = ffi.new(f"{kind} **")
    try:
        call(function, out, *args, monitor=monitor)
    except BaseException:
        free(out[0]) # NULL, or made and then given up by a progress function
        raise
    return ffi.gc(out[0], free)


# ---- configurations ----

def whole(value: Any, what: str, least: int = 0, most: int | None = None) -> int:
    """An integer of Python or NumPy. TypeError: not an integer; ValueError: out of range."""
    try:
        if isinstance(value, bool): # Python counts with them
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what}: expected a whole number, found {value!r}"[:200]) from None
    most = 2 ** 63 - 1 if most is None else most
    if not least <= number <= most:
        raise ValueError(f"{what}: found {number}, expected " + (f"{least} or more" if most == 2 ** 63 - 1 else f"{least} to {most}"))
    return number


def flag(value: Any, what: str) -> bool:
    if type(value).__name__ not in ("bool", "bool_"): # of Python, of NumPy
        raise TypeError(f"{what}: expected True or False, found {value!r}"[:200])
    return bool(value)


def near(name: str, known: Iterable[str]) -> str:
    """" (did you mean 'delays'?)", if a name is close to it."""
    like = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {like[0]!r}?)" if like else ""


def unknown_setting(what: str, name: str, known: Sequence[str], of: Callable[..., Any]) -> TypeError:
    """of: the function, whose own arguments are not settings."""
    arguments = [p.name for p in inspect.signature(of).parameters.values() if p.name not in known and p.kind is not p.VAR_KEYWORD]
    return TypeError(f"{what}: no setting '{name}'{near(name, [*known, *arguments])}; there are {', '.join(known)}"
                     f"; and the arguments {', '.join(arguments)}")


def set_fields(cfg: Any, values: dict[str, Any], keep: list[Any], of: Callable[..., Any], given: Sequence[str] = ()) -> None:
    """Sets the fields of a configuration from a function's settings, except those given by other arguments.
    TypeError: no such field, or a value of another type; ValueError: out of its range."""
    what = of.__name__
    fields = {field: kind for field, kind in ffi.typeof(cfg).item.fields if field not in ("struct_size", *given)}
    for name, value in values.items():
        if name not in fields:
            raise unknown_setting(what, name, list(fields), of)
        if value is None:
            continue
        if name == "threads":
            whole(value, f"{what}: setting 'threads'")
        kind = fields[name].type
        if isinstance(value, bool) and kind.cname != "_Bool":
            raise TypeError(f"{what}: setting '{name}': expected a number, found {value!r}")
        try:
            if kind.kind == "pointer":
                value = path_to_c(value)
                keep.append(value)
            setattr(cfg, name, value)
        except (TypeError, ValueError, RuntimeError) as error:
            kind_of_error = ValueError if kind.kind == "pointer" and isinstance(error, ValueError) else TypeError
            raise kind_of_error(f"{what}: setting '{name}': {error}"[:300]) from None
        except OverflowError:
            raise ValueError(f"{what}: setting '{name}': {value!r} is out of range") from None


def index_of(value: str, names: Sequence[str], what: str) -> int:
    """The number of a word of an enumeration."""
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"setting '{what}': expected {' or '.join(filter(None, (', '.join(names[:-1]), names[-1])))}, found {value!r}")
    return list(names).index(value)
