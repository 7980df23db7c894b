#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes an assembly file that holds files as read-only data, and a C table that finds them by name.

usage: embed.py OUT.S OUT.c NAME=FILE...

The files are taken by .incbin at assembly, so that a megabyte of script costs no compile time. A script that holds
the end of a script element would end the page's own: that is refused here, not found by a reader.
"""
import sys


def main(assembly, table, pairs):
    files = [pair.split("=", 1) for pair in pairs]
    for name, path in files:
        text = open(path, "rb").read().lower()
        if name.endswith((".js", ".json")) and (b"</script" in text or b"<!--" in text):
            sys.exit(f"embed: {path} holds '</script' or '<!--': it cannot stand inside a page")
    with open(assembly, "w") as f:
        f.write('    .section .note.GNU-stack,"",%progbits\n    .section .rodata\n')
        for i, (_, path) in enumerate(files):
            quoted = path.replace("\\", "\\\\").replace('"', '\\"')
            for label, body in ((f"sg_asset_{i}", f'    .incbin "{quoted}"\n'), (f"sg_asset_{i}_end", "    .byte 0\n")):
                f.write(f"    .global {label}\n    .hidden {label}\n{label}:\n{body}")
    with open(table, "w") as f:
        f.write('#include "report/assets.h"\n\n#include <string.h>\n\n')
        for i in range(len(files)):
            f.write(f"extern const char sg_asset_{i}[], sg_asset_{i}_end[];\n")
        f.write("\nbool report_asset(const char *name, const char **data, size_t *size)\n{\n")
        for i, (name, _) in enumerate(files):
            f.write(f'    if (!strcmp(name, "{name}"))\n        return *data = sg_asset_{i}, '
                    f"*size = (size_t)(sg_asset_{i}_end - sg_asset_{i}), true;\n")
        f.write("    return false;\n}\n")


main(sys.argv[1], sys.argv[2], sys.argv[3:])
