# SPDX-License-Identifier: MIT
"""Builds the Python package: Meson makes the extension module (python/meson.build), which carries the library.

STATEGRAD_BUILD names a Meson build folder to be used in place of build-python/meson."""
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent
MODULE = "python/_native.abi3.so"
# Libraries of the C library, and those of gcc and zlib, which the manylinux tags allow: not in the wheel.
EVERYWHERE = tuple(f"lib{name}.so." for name in ("c", "m", "dl", "pthread", "rt", "resolv", "util", "gcc_s", "stdc++", "z"))
GLIBC = re.fullmatch(r"glibc (\d+)\.(\d+)", os.confstr("CS_GNU_LIBC_VERSION") or "") # that it was built with, and so the oldest that it runs with


def needed_packages():
    """Debian packages of tools/packages.txt that build the library or the package and are not installed."""
    if not shutil.which("dpkg-query"):
        return []
    installed = subprocess.run(["dpkg-query", "-W", "-f", "${binary:Package} ${db:Status-Status}\n"], capture_output=True,
                               text=True).stdout
    installed = {line.split()[0].split(":")[0] for line in installed.splitlines() if line.endswith(" installed")}
    section, needed = "", []
    for line in (ROOT / "tools/packages.txt").read_text(encoding="utf-8").splitlines():
        words = line.split("#")[0].split()
        if line.startswith("["):
            section = words[0]
        elif words and section in ("[python]", "[build]"):
            stand_in = words[2] if words[1:2] == ["unless"] else None
            if words[0] not in installed and not (stand_in and shutil.which(stand_in)):
                needed.append(line)
    return needed


def fail(why):
    lines = [f"stategrad: the package cannot be built: {why}"]
    needed = needed_packages()
    if needed:
        lines += ["These Debian packages are missing:"] + ["  " + line for line in needed]
        lines += ["  apt-get install " + " ".join(line.split()[0] for line in needed)]
    sys.exit("\n".join(lines))


def run(*command):
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    if done.returncode:
        found = re.findall(r".*(?:ERROR|error|FAILED).*", done.stdout)
        fail((found or done.stdout.splitlines() or ["no message"])[-1].strip())


def own_copies(module):
    """Copies of all libraries that not every Linux has, beside the module, under names of their own. The wheel then needs only the C
    library, and what other packages do in the process meets other copies: NetCDF and HDF5 have a state, and are not safe for threads."""
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", subprocess.check_output(["ldd", module], text=True), re.M))
    names = {name: name.replace("lib", "libstategrad-", 1) for name in found if not name.startswith(EVERYWHERE)}
    folder = module.parent / "_libs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()

    def patch(file, rpath, *more): # one kind of change per call: patchelf 0.14 mixes them up
        needed = subprocess.check_output(["patchelf", "--print-needed", file], text=True).split()
        renamed = [word for name in needed if name in names for word in ("--replace-needed", name, names[name])]
        for change in (renamed, ["--set-rpath", rpath], more):
            if change:
                run("patchelf", *change, str(file))

    for name, own in names.items():
        shutil.copyfile(found[name], folder / own)
        patch(folder / own, "$ORIGIN", "--set-soname", own)
    patch(module, "$ORIGIN/_libs")


class BuildWithMeson(build_ext):
    def build_extension(self, ext):
        for tool in ("meson", "ninja", "pkg-config", "patchelf", os.environ.get("CC", "cc").split()[-1]):
            if not shutil.which(tool):
                fail(f"{tool} is missing")
        if not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists():
            fail("Python.h is missing")
        try:
            import cffi
        except ImportError:
            fail(f"cffi is missing for {sys.executable}")
        folder = pathlib.Path(os.environ.get("STATEGRAD_BUILD", ROOT / "build-python/meson"))
        if not (folder / "build.ninja").exists():
            run("meson", "setup", str(folder), "-Dtests=false", f"-Dpython={sys.executable}")
        run("ninja", "-C", str(folder), MODULE)
        target = pathlib.Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / MODULE, target)
        run("strip", "--strip-unneeded", str(target))
        own_copies(target.resolve())


setup(version=re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text(encoding="utf-8"))[1],
      ext_modules=[Extension("stategrad._native", [], py_limited_api=True)],
      cmdclass={"build_ext": BuildWithMeson},
      options={"build": {"build_base": "build-python"}, "bdist_wheel": {"py_limited_api": "cp311",
                                                                                **({"plat_name": f"manylinux_{GLIBC[1]}_{GLIBC[2]}_{platform.machine()}"} if GLIBC else {})}})
