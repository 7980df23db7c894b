#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: run.py PROGRAM CASES.cli   - tests of the command line: what is typed, what must come back.

A .cli file:

    # comment
    [setup]                     commands run once; every case starts with a copy of the folder they leave
    $ printf 'a b\\n' > t.txt
    [name of the case]
    $ stategrad eval no-model t.txt     bash; of several commands the last one is checked
    exit 1                      one or more codes (default 0)
    err no-model                a regular expression that must be found in stderr (repeatable); !err: must not
    out perplexity              the same for stdout
    unchanged t.txt             has its old bytes (as before the last command)
    absent m.safetensors        must not exist afterwards
    present run.nc
    lines 1                     number of lines of stderr (default when exit is not 0: 1; *: any)

Always: a failure says "stategrad: ..." in one line, nothing was killed by a signal, no temporary file is left.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile


def read_cases(path):
    cases, case = [], None
    with open(path, encoding="utf-8") as text:
        for number, line in enumerate(text, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("["):
                case = {"name": line.strip("[]"), "line": number, "commands": [], "checks": []}
                cases.append(case)
            elif line.startswith("$ "):
                if case["checks"]:
                    sys.exit(f"{path}:{number}: a check before it is of no command: only the last one is checked")
                case["commands"].append(line[2:])
            else:
                kind, _, rest = line.partition(" ")
                if kind not in ("exit", "err", "!err", "out", "!out", "unchanged", "absent", "present", "lines"):
                    sys.exit(f"{path}:{number}: unknown check '{kind}'")
                case["checks"].append((kind, rest.strip()))
    return cases


def run(command, folder, env):
    return subprocess.run(["bash", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=300)


def content(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return None


def leftovers(folder):
    return [os.path.join(d, f) for d, _, files in os.walk(folder) for f in files if f.startswith(".stategrad")]


def check_case(case, folder, env):
    """The list of what is wrong."""
    for command in case["commands"][:-1]:
        before = run(command, folder, env)
        if before.returncode != 0:
            return [f"preparation failed: {command}: {before.stderr.decode(errors='replace')}"]
    checks = case["checks"]
    kept = {name: content(os.path.join(folder, name)) for kind, name in checks if kind == "unchanged"}
    done = run(case["commands"][-1], folder, env)
    out, err = (s.decode("utf-8", errors="replace") for s in (done.stdout, done.stderr))
    codes = [int(c) for kind, rest in checks if kind == "exit" for c in rest.split()] or [0]
    wrong = []
    if done.returncode not in codes:
        wrong.append(f"exit code {done.returncode}, expected {codes}")
    lines = [rest for kind, rest in checks if kind == "lines"] or (["1"] if codes != [0] else ["*"])
    if lines[0] != "*" and err.count("\n") != int(lines[0]):
        wrong.append(f"{err.count(chr(10))} lines on stderr, expected {lines[0]}")
    if done.returncode in (1, 2) and lines[0] != "*" and not err.startswith("stategrad: "):
        wrong.append("the error does not begin with 'stategrad: '")
    if re.search("Sanitizer|runtime error", err):
        wrong.append("a sanitizer spoke")
    for kind, rest in checks:
        path = os.path.join(folder, rest)
        if kind in ("err", "out") and not re.search(rest, err if kind == "err" else out):
            wrong.append(f"std{kind} lacks /{rest}/")
        if kind in ("!err", "!out") and re.search(rest, err if kind == "!err" else out):
            wrong.append(f"std{kind[1:]} has /{rest}/")
        if kind == "unchanged" and (kept[rest] is None or content(path) != kept[rest]):
            wrong.append(f"{rest} was changed")
        if kind == "absent" and os.path.lexists(path):
            wrong.append(f"{rest} was made")
        if kind == "present" and not os.path.exists(path):
            wrong.append(f"{rest} is not there")
    if leftovers(folder):
        wrong.append(f"left behind: {leftovers(folder)}")
    if wrong:
        wrong += [f"command: {case['commands'][-1]}", f"stdout: {out[:500]!r}", f"stderr: {err[:1500]!r}"]
    return wrong


def main():
    program, path = os.path.abspath(sys.argv[1]), sys.argv[2]
    # The cases' helpers (make-model ...) lie beside this file.
    env = {"PATH": os.path.dirname(program) + ":" + os.path.dirname(os.path.abspath(__file__)) + ":/usr/bin:/bin",
           "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "2"}
    kept = ("STATEGRAD_SHARED", "GCOV_ERROR_FILE")
    if not path.endswith("program.cli"):  # those commands start as a user's do; others need not start anew with these (cli/main.c)
        kept += ("GOMP_SPINCOUNT", "OPENBLAS_NUM_THREADS")
    env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS") or k in kept})
    cases = read_cases(path)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="stategrad-cli-") as top:
        base = os.path.join(top, "base")
        os.mkdir(base)
        for case in cases:
            if case["name"] == "setup":
                for command in case["commands"]:
                    done = run(command, base, env)
                    if done.returncode != 0:
                        sys.exit(f"{path}: setup failed: {command}\n{done.stderr.decode(errors='replace')}")
                continue
            folder = os.path.join(top, "case")
            shutil.copytree(base, folder, symlinks=True)
            wrong = check_case(case, folder, env)
            subprocess.run(["chmod", "-R", "u+w", folder], check=False)
            shutil.rmtree(folder)
            print("ok    " if not wrong else "FAILED", case["name"])
            if wrong:
                failed += 1
                print(f"       {path}:{case['line']}")
                for line in wrong:
                    print("       " + line)
    total = len([c for c in cases if c["name"] != "setup"])
    print(f"{total - failed} of {total} cases passed")
    sys.exit(1 if failed or not total else 0)


main()
