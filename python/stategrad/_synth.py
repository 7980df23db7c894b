# SPDX-License-Identifier: MIT
"""synth: corpora with a known memory demand."""
from __future__ import annotations

import pathlib
from typing import Any

from ._base import Monitor, Path, ProgressOption, call, ffi, from_c, index_of, lib, path_to_c, set_fields


def synth(folder: Path, kind: str = "all", *, progress: ProgressOption = None, **settings: Any) -> dict[str, pathlib.Path]:
    """Writes corpora whose memory demand is known by construction, to validate an analysis.

    Parameters
    ----------
    folder
        Each kind gets a subfolder of its name: train.txt, valid.txt, test.txt, words.txt and a README that states what is true.
    kind
        "copy", "agreement", "variance", "independent", "latch" or "all"; `stategrad synth --help` describes them.
    progress
        As in `analyze`.
    **settings
        tokens (60000) of train.txt; distance in tokens (0: 4, variance 3, latch half a line); seed (1).

    Returns
    -------
    dict
        The folder of each kind.

    Raises
    ------
    ValueError
        No such kind, a size out of range.
    OSError
        A file that cannot be written.
    """
    keep: list[Any] = []
    cfg = ffi.new("sg_synth_config *")
    lib.sg_synth_defaults_sized(cfg, ffi.sizeof("sg_synth_config"))
    set_fields(cfg, settings, keep, synth, given=("monitor",))
    names = [from_c(lib.sg_synth_name(i)) for i in range(lib.SG_SYNTH_KINDS)]
    chosen = range(len(names)) if isinstance(kind, str) and kind == "all" else [index_of(kind, names, "kind")]
    monitor = Monitor(progress)
    cfg.monitor = monitor.c
    for i in chosen:
        call(lib.sg_synth_write, path_to_c(folder), i, cfg, monitor=monitor)
    return {names[i]: pathlib.Path(folder) / names[i] for i in chosen}
