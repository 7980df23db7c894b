# SPDX-License-Identifier: MIT
"""Run files: what an analysis found, by name, with coordinates."""
from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Iterable, Iterator, Mapping, Sequence

import numpy as np

from . import _base, _figure, _report
from ._base import Handle, Path, Uncopied, call, ffi, from_c, index_of, is_list, is_path, lib, near, new, path_to_c, to_c

if TYPE_CHECKING:
    from ._report import Words

MAX_DIMS = lib.SG_RUN_MAX_DIMS
CSV_STYLES = ("plain", "spreadsheet") # as sg_csv_style


class Run(Uncopied):
    """A run file. Made by `analyze`, `track` and `open`; doc/run-file.md describes its contents.

    >>> run["layer1.cell"].singular_value.sel({"class": "noun"})

    A run that was not given a file name is stored in a temporary file, which is deleted with the run.
    """

    _instead = ": Run.save writes its file, and stategrad.open opens it again"

    def __init__(self, path: Path, folder: str | None = None) -> None:
        pointer = new("sg_run", lib.sg_run_open, path_to_c(path))
        self.path = os.fspath(path)
        self._read: list[str] = [] # what it was made from: not written to
        self._handle = Handle(pointer, f"run {self.path}")
        self._stamp = _stamp(self.path)
        # After the handle: the file is closed before it is removed.
        self._temporary = weakref.finalize(self, _remove, folder, os.getpid(), self._handle) if folder else None
        with self._handle as r:
            self._groups = tuple(from_c(lib.sg_run_group_name(r, g)) for g in range(lib.sg_run_groups(r)))
            self._classes = tuple(from_c(lib.sg_run_class_name(r, c)) for c in range(lib.sg_run_classes(r)))
            self._properties = tuple(from_c(lib.sg_run_property_name(r, p)) for p in range(lib.sg_run_properties(r)))
            names = (lib.sg_run_attribute_name(r, i) for i in range(lib.sg_run_attributes(r)))
            self._attributes = {from_c(n): from_c(lib.sg_run_attribute(r, n)) for n in names}
            self._delays = lib.sg_run_delays(r)

    def __repr__(self) -> str:
        return (f"<stategrad.Run: {', '.join(self.groups)}; {len(self.classes)} class{'es' * (len(self.classes) != 1)}, "
                f"{self.delays} delays, {self.attributes.get('tokens', '?')} tokens>")

    @property
    def groups(self) -> tuple[str, ...]:
        """Analysed states: "layer1.cell", ...; of the untrained copy "untrained.layer1.cell"."""
        return self._groups

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; the first is "all"."""
        return self._classes

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties, in the order in which they were given."""
        return self._properties

    @property
    def delays(self) -> int:
        """D: delays are 0 .. D-1."""
        return self._delays

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attributes of the file's root, as text."""
        return dict(self._attributes)

    def _description(self) -> dict[str, Any]:
        """As `stategrad info --json` prints it."""
        with self._handle as r:
            states = [{"name": g, "units": lib.sg_run_units(r, i)} for i, g in enumerate(self.groups)]
            classes = [{"name": c, "tokens": lib.sg_run_class_tokens(r, i)} for i, c in enumerate(self.classes)]
            return {"kind": "run", "delays": self.delays, "embedding": lib.sg_run_embedding(r), "attributes": dict(self.attributes),
                    "states": states, "classes": classes, "properties": list(self.properties)}

    @property
    def root(self) -> State:
        """Variables that belong to no state: classes, words, properties."""
        return State(self, None)

    def __getitem__(self, group: str) -> State:
        if group not in self:
            raise KeyError(f"{group}: the run has {', '.join(self.groups)}"[:300])
        return State(self, group)

    def __iter__(self) -> Iterator[str]:
        return iter(self.groups)

    def __contains__(self, group: Any) -> bool:
        return isinstance(group, str) and group in self.groups

    def _state(self, group: str | None) -> State:
        return State(self, self.groups[_position(group, self.groups, "group")] if group is not None else self.groups[0])

    def to_xarray(self, group: str | None = None, variables: Iterable[str] | None = None) -> Any:
        """A state as an xarray.Dataset in memory, with coordinates and the attributes of the run.

        Parameters
        ----------
        group
            Default: the first.
        variables
            Names; default: all. `mean_gradient` and `second_moment` can be large.

        Raises
        ------
        ImportError
            xarray is not installed.
        """
        import xarray
        state = self._state(group)
        if variables is not None and not is_list(variables):
            raise TypeError(f"to_xarray: variables: expected a list of names, found {variables!r}"[:200])
        names = state.variables if variables is None else tuple(variables)
        for name in names:
            if not isinstance(name, str) or name not in state.variables:
                raise ValueError(f"to_xarray: {state.name} has no variable {name!r}"[:200])
        arrays = {name: state._xarray(name) for name in names if name not in state._coordinates}
        return xarray.Dataset(arrays, attrs={**self.attributes, "group": state.name})

    def curve(self, class_name: str = "all", quantity: str = "rms_gain", *, group: str | None = None,
              property: str | None = None) -> Curve:
        """A quantity over the delays, with its 95 % interval where it has one.

        Parameters
        ----------
        class_name
            A class of the run.
        quantity
            A variable over class and delay, such as "rms_gain" and "singular_value" (whose largest is taken), "coherence",
            "state_change"; over property, class and delay, such as "relative_memory", with `property`.
        group
            Default: the first.

        Raises
        ------
        ValueError
            No such class, property or quantity.
        """
        state = self._state(group)
        dims = state.dims(quantity) if quantity in state else ()
        index: list[int] = []
        if "property" in dims and property is None:
            raise ValueError(f"curve: {quantity!r} is of a property: give property=; the run has {', '.join(self.properties) or 'none'}")
        for dim in dims:
            if dim == "class":
                index.append(_position(class_name, self.classes, "class"))
            elif dim == "property":
                index.append(_position(property, self.properties, "property"))
            elif dim == "delay":
                break
            else:
                dims = ()
        if "delay" not in dims or tuple(dims[len(index) + 1:]) not in ((), ("rank",)):
            over = [name for name in state.variables if name != str(quantity) and "delay" in state.dims(name)]
            raise ValueError(f"curve: {quantity!r} is not a quantity over the delays of {state.name}{near(str(quantity), over)}")
        for dim, given in (("class", class_name if class_name != "all" else None), ("property", property)):
            if given is not None and dim not in dims:
                raise ValueError(f"curve: {quantity!r} has no {dim}, found {given!r}")
        last = (0,) * (len(dims) - len(index) - 1)

        def row(name: str) -> np.ndarray | None:
            if name not in state:
                return None
            start, count = (*index, 0, *last), (*(1,) * len(index), self.delays, *(1,) * len(last))
            return state.read(name, start, count).reshape(self.delays)

        about = state.attributes(quantity)
        name = " ".join(filter(None, (property, class_name)))
        value = row(quantity)
        assert value is not None
        return Curve(name, quantity, np.arange(self.delays), value, row(quantity + "_low"), row(quantity + "_high"),
                     about.get("long_name", quantity), about.get("units", "1"))

    def figure(self, kind: str = "decay", *, classes: str | Sequence[str] | None = None, delays: int | Iterable[int] | None = None,
               quantity: str | None = None, properties: str | Sequence[str] | None = None, group: str | None = None,
               columns: int = 1, path: Path | None = None) -> Any:
        """A figure for a paper, in the style of the report, through Matplotlib.

        >>> run.figure("decay", classes=["all", "noun"], delays=20, path="decay.pdf")

        Parameters
        ----------
        kind
            "decay": a quantity of each class over the delays, 95 % intervals as bands, the untrained copy dashed. "classes": rms
            gain of each class over that of all words, as colours; a dot where the kind of word differs (q < 0.05). "spectrum":
            singular values of one class. "properties": gain along each property, of one class, compared with random directions. "words":
            words at both ends of the strongest direction of one class at one delay.
        classes
            A name or names; default: "all" and those with most tokens. "spectrum", "properties", "words": one, default "all".
        delays
            A number of delays from 0, or ascending delays; default: all. "words": one, default [1].
        quantity
            Of "decay" ("rms_gain") and "properties" ("property_gain"): as in `curve`.
        properties
            A name or names, of "properties"; default: all.
        group
            Default: the first.
        columns
            The width: 1 column (85 mm) or 2 (178 mm).
        path
            Where it is written, atomically: .pdf, .svg or .png. The same run gives the same bytes.

        Returns
        -------
        matplotlib.figure.Figure
            To be changed and saved; a notebook shows it.

        Raises
        ------
        ImportError
            Matplotlib is not installed.
        ValueError
            No such kind, class, delay, quantity or property.
        """
        return _figure.figure(self, kind, classes, delays, quantity, properties, group, columns, path)

    def _same_file(self) -> str:
        """Its path. ValueError: by now another file is there."""
        with self._handle:
            if _stamp(self.path) != self._stamp:
                raise ValueError(f"run {self.path}: the file was changed or replaced after the run was opened")
            return self.path

    def save(self, path: Path) -> None:
        """Writes the run file there, atomically."""
        path_to_c(path)
        with self._handle:
            self._same_file()
            if os.path.exists(path) and os.path.samefile(path, self.path):
                return
            refuse_input(path, *self._read)
            with open_binary(self.path) as source, written_atomically(path) as to:
                shutil.copyfileobj(source, to, 1 << 20)

    def report(self, path: Path) -> None:
        """Writes the report, one self-contained page, atomically. `stategrad.report` takes several runs."""
        _report.report(self, path)

    def words(self, class_name: str = "all", delay: int = 0, **more: Any) -> Words:
        """Words at both ends of the strongest directions: `stategrad.words` of this run."""
        return _report.words(self, class_name, delay, **more)

    def csv(self, path: Path, style: str = "plain") -> None:
        """Writes the tidy table: state, class, delay, quantity, value, low, high. style: "plain" or "spreadsheet"."""
        with self._handle:
            refuse_input(path, self.path, *self._read)
            call(lib.sg_run_write_csv, path_to_c(self._same_file()), path_to_c(path), index_of(style, CSV_STYLES, "style"))

    def close(self) -> None:
        """Closes the file, and deletes it if it is temporary. Using the run afterwards raises ValueError."""
        self._handle.close()
        if self._temporary:
            self._temporary()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class State:
    """One analysed state of a run. Its variables are attributes: xarray.DataArray if xarray is installed, else NumPy arrays."""

    def __init__(self, run: Run, group: str | None) -> None:
        self._run, self.name = run, group or "root"
        self._group = ffi.NULL if group is None else to_c(group)
        names: list[str] = []
        text = ffi.new(f"char[{lib.SG_RUN_NAME}]")
        with run._handle as r:
            while lib.sg_run_variable_name(r, self._group, len(names), text):
                names.append(from_c(text))
        self._names = tuple(names)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of its variables (doc/run-file.md)."""
        return self._names

    def __repr__(self) -> str:
        return f"<stategrad.State {self.name}: {', '.join(self.variables)}>"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.variables]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._names:
            raise AttributeError(f"{self.name} has no variable {name!r}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __contains__(self, name: Any) -> bool:
        return isinstance(name, str) and name in self.variables

    def _need(self, name: Any) -> None:
        if name not in self:
            raise KeyError(f"{self.name} has no variable {name!r}{near(str(name), self.variables)}"[:300])

    def __getitem__(self, name: str) -> Any:
        self._need(name)
        try:
            import xarray # noqa: F401
        except ImportError:
            return self.read(name)
        return self._xarray(name)

    def dims(self, name: str) -> tuple[str, ...]:
        """Names of a variable's dimensions."""
        self._need(name)
        text = ffi.new(f"char[{lib.SG_RUN_NAME}]")
        found: list[str] = []
        with self._run._handle as r:
            while lib.sg_run_dimension_name(r, self._group, to_c(name), len(found), text):
                found.append(from_c(text))
        return tuple(found)

    def shape(self, name: str) -> tuple[int, ...]:
        """Lengths of a variable's dimensions."""
        rank, shape = ffi.new("size_t *"), ffi.new(f"size_t[{MAX_DIMS}]")
        with self._run._handle as r:
            self._need(name)
            lib.sg_run_shape(r, self._group, to_c(name), rank, shape)
            return tuple(shape[i] for i in range(rank[0]))

    def attributes(self, name: str) -> dict[str, str]:
        """`long_name`, `units` and, where values are missing, `missing_reason`."""
        self._need(name)
        with self._run._handle as r:
            found = {key: lib.sg_run_variable_attribute(r, self._group, to_c(name), to_c(key))
                     for key in ("long_name", "units", "missing_reason")}
            return {key: from_c(text) for key, text in found.items() if text}

    def read(self, name: str, start: Iterable[int] | None = None, count: Iterable[int] | None = None) -> np.ndarray:
        """A variable, or `count` entries (to its end) of each dimension from `start` (0), as float64 (missing: NaN) or strings."""
        with self._run._handle as r:
            whole = self.shape(name)
            for what, given in (("start", start), ("count", count)):
                if given is not None and not is_list(given):
                    raise TypeError(f"{name}: {what}: expected a number for each dimension, found {given!r}"[:200])
            first = (0,) * len(whole) if start is None else tuple(_base.whole(i, f"{name}: start") for i in start)
            if len(first) != len(whole):
                raise ValueError(f"{name} has {len(whole)} dimensions, found a start of {len(first)} entries")
            sizes = tuple(max(0, n - i) for n, i in zip(whole, first)) if count is None else tuple(_base.whole(n, f"{name}: count") for n in count)
            if len(sizes) != len(whole):
                raise ValueError(f"{name} has {len(whole)} dimensions, found a count of {len(sizes)} entries")
            if start is None and len(whole) == 1 and sizes[0] and self._is_text(r, name):
                return np.array([self._string(r, name, i) for i in range(sizes[0])], dtype=object)
            out = np.empty(sizes, dtype=np.float64)
            if out.size:
                where = [ffi.new("size_t[]", list(x)) for x in (first, sizes)] # of a scalar: not read
                call(lib.sg_run_read, r, self._group, to_c(name), *where, ffi.from_buffer("double[]", out))
            return out

    def _is_text(self, r: Any, name: str) -> bool:
        try:
            self._string(r, name, 0)
        except ValueError:
            return False
        return True

    def _string(self, r: Any, name: str, i: int) -> str:
        out = ffi.new("char **")
        call(lib.sg_run_read_string, r, self._group, to_c(name), i, out)
        text = from_c(out[0])
        lib.sg_string_free(out[0])
        return text

    @functools.cached_property
    def _coordinates(self) -> dict[str, Any]:
        """Coordinates of each dimension that has some: those of the file, otherwise names and numbers from the root."""
        found: dict[str, Any] = {"delay": np.arange(self._run.delays), "class": list(self._run.classes)}
        if self._run.properties:
            found["property"] = list(self._run.properties)
        for name in self.variables:
            if self.dims(name) == (name,):
                values = self.read(name)
                found[name] = values.astype(np.int64) if values.dtype.kind == "f" and (values == np.floor(values)).all() else values
        return found

    def _xarray(self, name: str) -> Any:
        import xarray
        dims = self.dims(name)
        coordinates = {dim: (dim, values) for dim, values in self._coordinates.items() if dim in dims}
        return xarray.DataArray(self.read(name), dims=dims, coords=coordinates, name=name, attrs=self.attributes(name))


@dataclass(frozen=True)
class Curve:
    """A quantity over the delays."""

    name: str
    """Class, or property and class."""
    quantity: str
    delay: np.ndarray
    """(D), in tokens."""
    value: np.ndarray
    """(D); NaN: missing."""
    low: np.ndarray | None
    high: np.ndarray | None
    """Ends of the 95 % interval, (D); None: the quantity has none."""
    long_name: str
    units: str

    def plot(self, ax: Any = None, **line: Any) -> Any:
        """Draws the curve into Matplotlib's axes (default: the current ones), with its interval as a band; returns the axes.
        Axes that already have labels, a scale and a legend, such as those of `Run.figure`, keep their style.

        `line` goes to `Axes.plot`. ImportError: Matplotlib is not installed.
        """
        if ax is None:
            from matplotlib import pyplot
            ax = pyplot.gca()
        (drawn,) = ax.plot(self.delay, self.value, **{"label": self.name, **line})
        if self.low is not None and self.high is not None:
            ax.fill_between(self.delay, self.low, self.high, color=drawn.get_color(), alpha=0.2, linewidth=0)
        ax.set_xlabel(ax.get_xlabel() or "delay (tokens)")
        ax.set_ylabel(ax.get_ylabel() or _figure.LABELS.get(self.quantity, self.long_name + (f" ({self.units})" if self.units != "1" else "")))
        legend = ax.get_legend()
        if legend is None and (self.value[np.isfinite(self.value)] > 0).all():
            ax.set_yscale("log")
        ax.legend(**{} if legend is None else {"prop": legend.get_texts()[0].get_fontproperties(), "frameon": legend.get_frame_on()})
        return ax


def _position(name: str | None, names: tuple[str, ...], what: str) -> int:
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"{what} {name!r}: the run has {', '.join(names) or 'none'}{near(str(name), names)}")
    return names.index(name)


def _stamp(path: str) -> tuple[int, ...]:
    """What tells a file from another one at its place."""
    about = os.stat(path)
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


def open(path: Path) -> Run:
    """Opens a run file. OSError: it cannot be read; ValueError: it is not a run file, or damaged."""
    return Run(path)


open_binary = lambda path: os.fdopen(os.open(path, os.O_RDONLY), "rb") # noqa: E731  (`open` is taken)


# ---- files to be written ----

def files_of(*given: Any) -> list[str]:
    """The existing files and folders among the arguments, by their absolute paths. A str is a path; a list of str is not a list of paths."""
    found = []
    for x in given:
        paths = [p for p in x if isinstance(p, os.PathLike)] if isinstance(x, (list, tuple)) and len(x) < 1000 else [x] if is_path(x) else []
        found += [os.path.abspath(os.fsdecode(p)) for p in paths if _exists(p)]
    return found


def _exists(path: Any) -> bool:
    try:
        return os.path.exists(path)
    except ValueError: # a NUL character
        return False


def refuse_outputs(outputs: Iterable[Any], *inputs: Path) -> None:
    """ValueError: an output is also an input, or is given twice. None: no file."""
    names = [x for x in outputs if x is not None]
    for i, x in enumerate(names):
        refuse_input(x, *inputs)
        for other in names[:i]:
            if os.path.realpath(os.fsdecode(x)) == os.path.realpath(os.fsdecode(other)):
                raise ValueError(f"{os.fsdecode(x)}: is the output twice: expected files of different names")


def refuse_input(output: Path, *inputs: Path) -> None:
    """ValueError: the output is also an input, or is in an input folder."""
    path_to_c(output)
    if not _exists(output):
        return
    for path in inputs:
        lies_in = os.path.isdir(path) and not os.path.isdir(output) and os.path.dirname(os.path.realpath(output)) == os.path.realpath(path)
        if lies_in or (_exists(path) and os.path.samefile(output, path)):
            raise ValueError(f"{os.fsdecode(output)}: is read, and cannot be the output too")


@contextlib.contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A temporary file that replaces `path` when it is complete. OSError: `path` is a folder or a device, or cannot be written."""
    target = ffi.new("char[4096]")
    call(lib.sg_output_check, path_to_c(path), target, len(target)) # a symbolic link stays one
    path = os.fsdecode(ffi.string(target)) or os.path.realpath(path)
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".stategrad.")
    try:
        with os.fdopen(fd, "wb") as to:
            yield to
            to.flush()
            os.fsync(to.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _remove(folder: str, process: int, handle: Handle | None) -> None:
    if os.getpid() == process: # a child that was forked leaves the file to its parent
        if handle:
            handle.close()
        shutil.rmtree(folder, ignore_errors=True)


class output_file:
    """Where a run is written: the path that was asked for, or a temporary file that the run then owns."""

    def __init__(self, output: Path | None) -> None:
        if output is not None:
            path_to_c(output)
        self._folder = None if output is not None else tempfile.mkdtemp(prefix="stategrad.")
        self.path = os.fspath(output) if output is not None else os.path.join(self._folder or "", "run.nc")
        self._gone = weakref.finalize(self, _remove, self._folder, os.getpid(), None) if self._folder else None

    def open(self, *read: Any) -> Run:
        """Opens the run that was just written. read: the files that it was made from."""
        run = Run(self.path, self._folder)
        run._read = files_of(*read)
        if self._gone:
            self._gone.detach()
        return run

    def __enter__(self) -> output_file:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._gone:
            self._gone()
