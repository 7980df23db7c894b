# SPDX-License-Identifier: MIT
"""The notebooks run without an error, and are stored as they ran.

python3 test_notebooks.py --write   runs them and stores their outputs"""
import asyncio
import os
import pathlib
import re
import sys
import tempfile
import unittest

os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1" # the kernel's debugger is silent
import nbclient
import nbformat
from common import SOURCE

import stategrad as sg

NOTEBOOKS = sorted((SOURCE / "doc/notebooks").glob("*.ipynb"))
MOST = 300_000 # bytes


def executed(path):
    """The notebook with its outputs, from a kernel that finds the package of this interpreter. An error in a cell is one here."""
    book = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(sg.__file__).parent.parent), "IPYTHONDIR": folder, "TMPDIR": folder,
                       "JUPYTER_RUNTIME_DIR": folder, "PYTHONHASHSEED": "0"}
        environment.pop("MPLBACKEND", None) # the kernel shows figures
        client = nbclient.NotebookClient(book, timeout=240, kernel_name="python3", record_timing=False, resources={"metadata": {"path": folder}})
        asyncio.run(client.async_execute(env=environment))
    book.metadata["language_info"] = {"name": "python"}
    return book


def code(book):
    return [cell for cell in book.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell shows, without the numbers, which differ between processors."""
    shown = [(o.output_type, *sorted(o.get("data", ()))) for o in cell.outputs]
    return [kind for i, kind in enumerate(shown) if kind != ("stream",) or kind not in shown[:i]] # a stream may come in pieces


def words(book):
    """Of all texts that are shown, but for those of the data and for verdicts, which hang on numbers."""
    with tempfile.TemporaryDirectory() as folder:
        corpora = [path.read_text(encoding="utf-8") for kind in sg.synth(folder, tokens=500).values() for path in kind.glob("*.txt")]
    shown = [o.get("text", "") + o.get("data", {}).get("text/plain", "") for cell in code(book) for o in cell.outputs]
    of = lambda texts: set(re.findall(r"[A-Za-z]+", " ".join(texts)))
    return of(shown) - of(corpora) - {"higher", "lower", "undecided", "e", "nan"}


class Notebooks(unittest.TestCase):
    def test_they_run_and_are_stored_as_they_ran(self):
        self.assertEqual([path.stem for path in NOTEBOOKS], ["first_five_minutes", "own_pytorch_model"])
        for path in NOTEBOOKS:
            with self.subTest(path.name):
                stored, now = nbformat.read(path, 4), executed(path)
                self.assertLess(path.stat().st_size, MOST)
                self.assertIsNone(re.search(r"/(tmp|home|work|root)/", path.read_text(encoding="utf-8")))
                self.assertEqual([cell.execution_count for cell in code(stored)], [*range(1, len(code(stored)) + 1)])
                for a, b in zip(code(stored), code(now)):
                    self.assertEqual(kinds(a), kinds(b), a.source)
                    self.assertNotIn("error", [o.output_type for o in a.outputs])
                    self.assertNotIn("stderr", [o.get("name") for o in b.outputs], a.source)
                self.assertEqual(words(stored), words(now)) # what the program says today
                self.assertGreater(sum("image/png" in o.get("data", ()) for cell in code(now) for o in cell.outputs), 1)


if __name__ == "__main__":
    if "--write" in sys.argv:
        for path in NOTEBOOKS:
            nbformat.write(executed(path), path)
    else:
        unittest.main()
