# SPDX-License-Identifier: MIT
"""What `make install` puts in place is enough: each public header compiles alone in C and C++, a client is built with
nothing but pkg-config's answer and uses the library, shared or static, the program runs without the source tree. Program and library are
hardened as SECURITY.md says.

usage: install.py SOURCE BUILD"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

CLIENT = r"""
#include <stategrad.h>

#include <stdio.h>
#include <string.h>
int main(void)
{
    sg_error err = {""};
    sg_model *m = NULL;
    sg_status st = sg_model_load(&m, "no such file", &(sg_import_config){0}, NULL, &err);
    printf("%d %d %s %d.%d.%d\n", st == SG_EIO, strstr(err.msg, "no such file") != NULL, sg_version(), SG_VERSION_MAJOR,
           SG_VERSION_MINOR, SG_VERSION_PATCH);
    return m != NULL;
}
"""


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def hardened(file, program):
    """Position-independent, relocations read-only before main, no executable stack, canaries and checked calls in use."""
    about = run("readelf", "-W", "-h", "-l", "-d", file)
    symbols = run("readelf", "-W", "--dyn-syms", file)
    assert "DYN (" in about and "TEXTREL" not in about, file
    assert not program or any("FLAGS_1" in line and " PIE" in line for line in about.splitlines()), f"{file}: no PIE"
    assert "GNU_RELRO" in about and "BIND_NOW" in about, f"{file}: relocations stay writable"
    stack = next(line for line in about.splitlines() if "GNU_STACK" in line)
    assert " RW " in stack, f"{file}: {stack}"
    assert "__stack_chk_fail" in symbols, f"{file}: no stack protector"
    assert "__memcpy_chk" in symbols and "__vsnprintf_chk" in symbols, f"{file}: not built with _FORTIFY_SOURCE"


# Mutable state of the library, each with its reason: doc/reliability.md.
STATE = {"allocations_left", "live", "lock", "once", "printer", "printer_data", "open_files", "open_temps", "serial_lock",
         "serial_regions", "threads_before", "work_done", "last_quantile"}


def no_other_state(file):
    """What lies in .data and .bss is in the list; locks of OpenMP and the compiler's own symbols aside."""
    sections = dict(re.findall(r"^ *\[ *(\d+)\] (\.\S+)", run("readelf", "-SW", file), re.M))
    rows = (line.split() for line in run("readelf", "-sW", file).splitlines())
    found = {row[7] for row in rows if len(row) == 8 and row[3] in ("OBJECT", "TLS") and
             sections.get(row[6]) in (".data", ".bss", ".tdata", ".tbss")}
    found = {name for name in found if not re.match(r"__|\.gomp_critical|completed\.", name)}
    assert found == STATE, f"mutable globals: new {sorted(found - STATE)}, gone {sorted(STATE - found)}"


def exports_what_headers_declare(file, headers):
    """The dynamic symbols are the names declared with SG_API, no more and no fewer; the soname is MAJOR.MINOR."""
    declared = {name for h in headers for name in re.findall(r"SG_API[^;(]*?\b(sg_\w+)\(", h.read_text())}
    exported = {line.split()[-1] for line in run("nm", "-D", "--defined-only", file).splitlines()}
    assert exported == declared, f"exported only: {sorted(exported - declared)}, declared only: {sorted(declared - exported)}"
    soname = re.search(r"SONAME.*\[(.*)\]", run("readelf", "-W", "-d", file)).group(1)
    assert soname == ".".join(file.name.split(".")[:4]), soname
    return len(exported)


def main():
    source, build = (pathlib.Path(a).resolve() for a in sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", root)
        pc = next(root.rglob("stategrad.pc"))
        prefix = next(line.split("=", 1)[1].strip() for line in pc.read_text().splitlines() if line.startswith("prefix="))
        there = root / prefix.lstrip("/")

        headers = sorted(str(p.relative_to(source / "include")) for p in (source / "include").rglob("*.h"))
        installed = sorted(str(p.relative_to(there / "include")) for p in (there / "include").rglob("*.h"))
        assert headers == installed, f"installed {installed}, expected {headers}"
        umbrella = re.findall(r'#include "(.*)"', (source / "include/stategrad.h").read_text())
        assert sorted([*umbrella, "stategrad.h"]) == headers, f"stategrad.h includes {umbrella}"
        for name in headers:
            for language, compiler in (("c", "cc"), ("c++", "c++")):
                if shutil.which(compiler):
                    run(compiler, "-x", language, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{there}/include", "-",
                        input=f"#include <{name}>\n")

        env = {**os.environ, "PKG_CONFIG_LIBDIR": str(pc.parent)} # no other package's file is there
        asked = ["pkg-config", f"--define-variable=prefix={there}", "--cflags", "--libs", "stategrad"]
        client = root / "client.c"
        client.write_text(CLIENT)
        static = run(*asked, "--static", env=env).replace("-lstategrad", "-l:libstategrad.a").split()
        run("cc", client, "-o", root / "static", *static)
        assert run(root / "static").startswith("1 1 "), "a client with the static library"
        run("cc", client, "-o", root / "client", *run(*asked, env=env).split())
        said = run(root / "client", env={**env, "LD_LIBRARY_PATH": str(pc.parent.parent)})
        assert said.startswith("1 1 "), f"the client says: {said}"

        program = next((there / "bin").glob("stategrad"))
        assert said.split()[2] == said.split()[3], f"library and headers: {said}"
        version = run(program, "--version", cwd=root)
        assert version == f"stategrad {said.split()[2]}\n", version
        if shutil.which("readelf"):
            hardened(program, True)
            library = next(there.rglob("libstategrad.so.0.*"))
            hardened(library, False)
            no_other_state(library)
        exported = exports_what_headers_declare(library, [source / "include" / name for name in headers])
        print(f"{len(headers)} headers, {exported} exported functions, a client and the program: version {said.split()[2]}")


main()
