#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: big_endian.py SOURCE   - a big-endian machine is refused by meson setup, and by the compiler without Meson."""
import pathlib
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(sys.argv[1])
CROSS = """[binaries]
c = 'gcc'
pkg-config = 'pkg-config'
[host_machine]
system = 'linux'
cpu_family = 's390x'
cpu = 's390x'
endian = 'big'
[properties]
needs_exe_wrapper = true
"""


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def meson(folder):
    (folder / "cross").write_text(CROSS, encoding="utf-8")
    return run("meson", "setup", "--cross-file", folder / "cross", folder / "build", SOURCE)


def compiled(*options):
    return run("gcc", "-std=gnu17", "-fsyntax-only", "-I", SOURCE / "include", "-I", SOURCE / "src", *options, SOURCE / "src/base/random.c")


with tempfile.TemporaryDirectory() as name:
    code, said = meson(pathlib.Path(name))
    assert code != 0 and "this machine is big-endian" in said, said
code, said = compiled("-U__BYTE_ORDER__", "-D__BYTE_ORDER__=__ORDER_BIG_ENDIAN__")
assert code != 0 and "needs a little-endian machine" in said, said
code, said = compiled()
assert code == 0, said
print("refused by Meson and by the compiler")
