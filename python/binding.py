# SPDX-License-Identifier: MIT
"""Writes the C source of the extension module stategrad._native.

usage: binding.py INCLUDE OUTPUT.c     INCLUDE: the folder of stategrad.h

What cffi declares is taken from the public headers themselves, in the order of stategrad.h; the C compiler compares every
structure, constant and function with them."""
import pathlib
import re
import sys

import cffi

# Called by the library; defined in stategrad/_base.py.
CALLBACKS = """
extern "Python" bool python_tick(void *ctx, const sg_progress *p);
extern "Python" void python_warn(void *ctx, const char *line);
extern "Python" bool python_write(void *ctx, const char *text, size_t n);
"""
# Macros that are numbers: the compiler knows their values.
NUMBERS = """
#define SG_VERSION_MAJOR ...
#define SG_VERSION_MINOR ...
#define SG_VERSION_PATCH ...
"""


def declarations(header):
    """What is left of a public header without comments, preprocessor lines and the marks of C++ and of the linker."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    text = re.sub(r"\\\n", " ", text)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.S)
    text = re.sub(r"^ *#.*$", "", text, flags=re.M)
    return re.sub(r"\bSG_API\b", "", text)


def in_order(include):
    """The headers that stategrad.h names, each behind those that it includes."""
    found = []

    def add(name):
        text = (include / name).read_text(encoding="utf-8")
        for other in re.findall(r'#include "(stategrad/.*?)"', text):
            add(other)
        if name not in found:
            found.append(name)

    add("stategrad.h")
    return found


def main():
    include, output = pathlib.Path(sys.argv[1]), sys.argv[2]
    builder = cffi.FFI()
    for name in in_order(include):
        builder.cdef(declarations((include / name).read_text(encoding="utf-8")))
    builder.cdef(NUMBERS + CALLBACKS)
    builder.set_source("stategrad._native", '#include "stategrad.h"')
    builder.emit_c_code(output)


main()
