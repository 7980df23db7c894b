# SPDX-License-Identifier: MIT
"""analyze and track: runs from models."""
from __future__ import annotations

import os
import pathlib
from typing import Any, Callable, Mapping, Sequence, overload

from . import _corpus
from ._base import Monitor, Path, ProgressOption, array_to_c, call, ffi, is_list, lib, path_to_c, threads_will_work, to_c, whole
from ._model import Model, handle_of
from ._run import Run, files_of, output_file, refuse_outputs
from ._settings import OF_ANALYSIS

def config_of(model: Any, given: Mapping[str, Any], command: str, keep: list[Any], of: Callable[..., Any]) -> Any:
    """sg_analysis_config of a model (or NULL) with these settings; valid as long as `keep` exists."""
    cfg = ffi.new("sg_analysis_config *")
    lib.sg_analysis_defaults_sized(cfg, ffi.sizeof("sg_analysis_config"), model)
    OF_ANALYSIS.apply(cfg, given, keep, of)
    keep.append(to_c(command, "command"))
    cfg.command = keep[-1]
    return cfg


def _described(tokens: Any, classes: Any, properties: Any, given: Mapping[str, Any]) -> str:
    """A short form of the call, for the run file."""
    parts = ["model", repr(os.fspath(tokens)) if isinstance(tokens, (str, os.PathLike)) else "tokens"]
    for name, value in (("classes", classes), ("properties", properties)):
        if value is not None:
            parts.append(f"{name}={value!r}" if isinstance(value, str) else f"{name}={name}")
    neutral = ("threads", "checkpoint", "checkpoint_minutes", "csv", "csv_style")
    parts += [f"{name}={value!r}" for name, value in given.items() if name not in neutral and value is not None]
    return f"stategrad.analyze({', '.join(parts)})"


@overload
def analyze(model: Model, tokens: Any, classes: Any = None, properties: Any = None, *, output: Path, part: str | tuple[int, int],
            **more: Any) -> pathlib.Path: ...
@overload
def analyze(model: Model, tokens: Any, classes: Any = None, properties: Any = None, *, part: None = None, **more: Any) -> Run: ...
def analyze(model: Model, tokens: Any, classes: Any = None, properties: Any = None, *, output: Path | None = None,
            progress: ProgressOption = None, format: str = "auto", eos: bool | None = None, lowercase: bool = False,
            pairs: Any = (), command: str | None = None, part: str | tuple[int, int] | None = None,
            **settings: Any) -> Run | pathlib.Path:
    """Average state gradients over a corpus: the main job.

        G[t,d] = d s_t / d x_{t-d}        mean over t, for each delay d and class of the word at t-d

    The result is that of the program on the same text with the same settings, byte by byte except for `command` and `created`.

    Parameters
    ----------
    model
        The model whose state is examined.
    tokens
        A path, or a list of `pathlib.Path`: files read as the program does. A list of lists of str: sentences. A list of str:
        the tokens of one text. Whole numbers (n), or a list of such arrays (sentences): ids. Of a model without embedding:
        numbers (n, E), not copied if they are float32 and contiguous.
    classes
        A spec ("upos", "tags", "frequency", "words:FILE", ...; doc/corpora.md) or several; a dict {"noun": words}; or one
        label per token (array, column of a DataFrame, list), None for none. A class "all" is always there.
    properties
        {"number": "NNS-NN"}, {"number": (plural, singular)} with classes, files or lists of words,
        {"number": [("cats", "cat"), ...]}, pairs that replace each other, {"x": vector (E)}.
    output
        The run file to write; default: a temporary file, which is deleted with the run (`Run.save` keeps it).
    progress
        True: a line on standard error. A function gets a `Progress` a few times per second; what it raises stops the work.
    format
        Of files: "auto", "text", "conllu" or "tagged".
    eos
        <eos> at line ends; default: as the model was trained.
    lowercase
        Words are read in lower case; tags and other annotation are not.
    pairs
        Of words read from text: "subject-verb", "deprel:nsubj->head", a file (doc/analyze.md), or several.
    command
        Recorded in the run file; default: this call.
    part
        "I/N" or (I, N): the I-th of N parts of the run. `output` is then the file of the part, for `merge`.
    **settings
        Those of `stategrad analyze`, with the same defaults:

{settings}

    Returns
    -------
    Run
        With `part`, the path of its file.

    Raises
    ------
    ValueError
        A value of a setting, an id or a class that cannot be; a label too many; a state that is not finite.
    TypeError
        No such setting.
    MemoryError, OSError
    KeyboardInterrupt
        Ctrl-C; with a checkpoint, the same call continues.
    """
    keep: list[Any] = []
    handle_of(model)
    read = [*model._read, *files_of(*_files_read(tokens, classes, properties, pairs))]
    refuse_outputs((output, settings.get("csv"), settings.get("checkpoint")), *read)
    if part is not None:
        if output is None:
            raise ValueError("analyze: a part needs output, the file that merge reads")
        settings["part"] = part if isinstance(part, str) else "/".join(map(str, part)) if isinstance(part, tuple) else repr(part)
    cfg = config_of(handle_of(model), settings, _described(tokens, classes, properties, settings) if command is None else command, keep, analyze)
    monitor = Monitor(progress)
    corpus = _corpus.read(model, tokens, classes, format=format, eos=eos, lowercase=lowercase, monitor=monitor, properties=properties, pairs=pairs)
    if corpus.features is not None:
        keep.append(ffi.from_buffer("float[]", corpus.features))
        cfg.features = keep[-1]
    p = _corpus.Properties(properties)
    with output_file(output) as file:
        cfg.properties, cfg.n_properties = p.array, len(p)
        call(lib.sg_analysis_check, cfg, model._m, corpus.stream)
        threads_will_work()
        call(lib.sg_analyze, path_to_c(file.path), model._m, corpus.stream, corpus.classes, cfg, monitor.c, monitor=monitor)
        return file.open(*read) if part is None else pathlib.Path(file.path)


def _files_read(tokens: Any, *specs: Any) -> list[Any]:
    """Whatever may name an input file: the corpus, and parts of specs ("words:FILE", "NAME=FILE", "FILE-FILE")."""
    found = [t for t in (tokens if isinstance(tokens, list) else [tokens]) if isinstance(t, os.PathLike) or t is tokens and isinstance(t, str)]
    todo = list(specs)
    while todo:
        spec = todo.pop()
        if isinstance(spec, os.PathLike):
            found.append(spec)
        elif isinstance(spec, str):
            cuts = [i for i, c in enumerate(spec) if c in ":=-"]
            found += [spec, *(spec[:i] for i in cuts), *(spec[i + 1:] for i in cuts)]
        elif isinstance(spec, Mapping):
            todo += spec.values()
        elif isinstance(spec, (list, tuple)) and len(spec) < 1000:
            todo += spec
    return found


OF_ANALYSIS.document(analyze)


def track(run: Run | Path, properties: Mapping[str, Any] | Sequence[str], *, output: Path | None = None, threads: int = 0,
          progress: ProgressOption = None) -> Run:
    """Adds properties to a finished run, from its stored means, without another pass over the corpus.

    Parameters
    ----------
    run
        A run, or the path of its file; it is not changed.
    properties
        As in `analyze`.
    output
        The run file to write; default: a temporary file.
    threads
        0: all cores.

    Returns
    -------
    Run
        With the new properties after the old ones.

    Raises
    ------
    ValueError
        A name that the run already has, a class or words that it does not have.
    """
    path = run._same_file() if isinstance(run, Run) else run
    monitor = Monitor(progress)
    p = _corpus.Properties(properties)
    read = [*(run._read if isinstance(run, Run) else ()), *files_of(*_files_read(None, properties))]
    refuse_outputs([output], *read)
    with output_file(output) as file:
        threads_will_work()
        call(lib.sg_track, path_to_c(path), path_to_c(file.path), p.array, len(p), whole(threads, "threads"), monitor.c, monitor=monitor)
        return file.open(*read)


def merge(parts: Sequence[Path], *, output: Path | None = None, threads: int = 0, progress: ProgressOption = None) -> Run:
    """Joins the parts of a run into the run of a single analysis of the whole corpus.

    Parameters
    ----------
    parts
        All N files that `stategrad analyze --part I/N` or `analyze(part="I/N")` has written, in any order.
    output
        The run file to write; default: a temporary file.
    threads
        0: all cores.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        A part is missing or there twice, or is of another model, corpus or setting; names the file.
    """
    if not is_list(parts) or not len(parts):
        raise ValueError(f"merge: expected the files of all parts, found {parts!r}"[:200])
    keep: list[Any] = []
    monitor = Monitor(progress)
    refuse_outputs([output], *files_of(*parts))
    with output_file(output) as file:
        threads_will_work()
        call(lib.sg_merge, path_to_c(file.path), array_to_c([path_to_c(p) for p in parts], keep), len(parts), whole(threads, "threads"), monitor.c,
             monitor=monitor)
        return file.open(*parts)
