#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""make install PREFIX=X, make uninstall and make deb put everything where it belongs, and take it away again.
usage: installation.py SOURCE BUILD     BUILD, already built, is installed from; its prefix is changed"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

source, build = (pathlib.Path(a).resolve() for a in sys.argv[1:])
failures = 0
SONAME = "libstategrad.so." + ".".join(re.search(r"version: '([\d.]+)'", (source / "meson.build").read_text())[1].split(".")[:2])


def check(good, what, found=""):
    global failures
    print(("ok     " if good else "FAILED ") + what + ("" if good else f": {str(found)[:1500]}"))
    failures += not good


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=source, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def complete(found, zsh):
    commands = re.findall(r"^  ([a-z]+) +\S", run(build / "cli/stategrad", "--help").split("Quickstart")[0], re.M)
    pages = [f"share/man/man1/stategrad-{c}.1" for c in commands if c != "help"] + ["share/man/man1/stategrad.1"]
    wanted = ["bin/stategrad", "include/stategrad/analysis.h", "include/stategrad.h", "share/bash-completion/completions/stategrad",
              "share/fish/vendor_completions.d/stategrad.fish", f"share/zsh/{zsh}/_stategrad", *pages]
    endings = ["libstategrad.so", SONAME, "libstategrad.a", "pkgconfig/stategrad.pc"]
    plain = [re.sub(r"\.gz$", "", f) for f in found]
    lacking = [f for f in wanted if f not in plain] + [e for e in endings if not any(f.endswith(e) for f in plain)]
    check(len(pages) > 12 and not lacking, "program, library, headers, manual pages and completion are there", lacking)


def test_prefix(top):
    other = top / "first place"
    run("meson", "configure", build, "--prefix", other)
    there = top / "an other place"
    check(str(there) in run("tools/install", build, there), "it says where it installs")
    complete(files(there), "site-functions")
    check(not other.exists(), "and nothing went to the prefix of the build", other)
    pc = next(there.rglob("stategrad.pc")).read_text()
    check(f"prefix={there}" in pc.replace("\\ ", " "), "pkg-config names the place", pc)
    check("stategrad" in run(there / "bin/stategrad", "-V"), "the program runs there")
    (there / "share/man/man1/mine.1").write_text("stays\n")
    run("tools/install", "--remove", build, there)
    check(files(there) == ["share/man/man1/mine.1"], "uninstall leaves what is not its own, and nothing else", files(there))
    said = run("make", "-n", "install", f"PREFIX={there}") + run("make", "-n", "uninstall", "PREFIX=/x")
    check(f'tools/install build "{there}"' in said and 'tools/install --remove build "/x"' in said, "make hands PREFIX on", said)


def test_deb(top):
    said = run("tools/deb", build)
    package = source / said.split()[-1]
    try:
        run("dpkg-deb", "-x", package, top / "deb")
        complete(files(top / "deb/usr"), "vendor-completions")
        depends = run("dpkg-deb", "-f", package, "Depends")
        check(all(name in depends for name in ("libc6", "libnetcdf", "libopenblas")), "it depends on what it is linked with", depends)
        check("stategrad" in run(top / "deb/usr/bin/stategrad", "-V"), "the program of the package runs")
        if not shutil.which("lintian"):
            print("SKIP   lintian is not installed: it draws in over a hundred packages, so make check does not install it")
            return
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", "--tag-display-limit", "0", package], capture_output=True, text=True)
        errors = [line for line in done.stdout.splitlines() if line.startswith("E:")]
        check(done.returncode == 0 and not errors, "lintian finds no error", done.stdout + done.stderr)
    finally:
        package.unlink()


with tempfile.TemporaryDirectory() as folder:
    test_prefix(pathlib.Path(folder))
    test_deb(pathlib.Path(folder))
sys.exit(1 if failures else 0)
