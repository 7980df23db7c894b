# SPDX-License-Identifier: MIT
"""The Python package as users get it: built by pip into a new virtual environment, then all tests of this folder in there.

usage: run.py SOURCE BUILD STATEGRAD     BUILD: Meson's folder, whose library is taken; STATEGRAD: the program
STATEGRAD_PYTHON_TESTS: only these files, such as test_figure.py"""
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE, BUILD, PROGRAM = (pathlib.Path(a).resolve() for a in sys.argv[1:4])


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def failed_build_names_the_package(python, folder):
    """With no program to be found, pip says which one is missing."""
    said = subprocess.run([python, "setup.py", "build_ext", "--build-lib", folder, "--build-temp", folder], cwd=SOURCE, text=True,
                          capture_output=True, env={**os.environ, "PATH": str(folder)})
    assert said.returncode == 1 and "cannot be built: meson is missing" in said.stderr, said.stderr


def main():
    with tempfile.TemporaryDirectory() as folder:
        environment = pathlib.Path(folder) / "environment"
        run("/usr/bin/python3", "-m", "venv", "--system-site-packages", "--without-pip", environment)
        python = environment / "bin/python"
        run(python, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir", SOURCE,
            env={**os.environ, "STATEGRAD_BUILD": str(BUILD)})
        failed_build_names_the_package(python, folder)
        tests = [python, "-W", "error::ResourceWarning", "-W", "ignore::UserWarning", "-m", "unittest", "discover", "-s", SOURCE / "python/tests", "-t",
                 SOURCE / "python/tests", "-p", os.environ.get("STATEGRAD_PYTHON_TESTS", "test*.py")]
        sys.exit(subprocess.run(tests, cwd=folder, env={**os.environ, "STATEGRAD": str(PROGRAM), "STATEGRAD_SOURCE": str(SOURCE),
                                                        "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}).returncode)


main()
