#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What tells how to use the program agrees: --help, manual pages (man, mandoc) and the completion of bash, zsh and fish,
each asked through the real thing. usage: manual.py STATEGRAD FOLDER_OF_GENERATED_FILES"""
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time

program, folder = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
env = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": os.path.dirname(program) + ":" + os.environ["PATH"]}
failures = 0


def check(good, what, found=""):
    global failures
    if not good:
        failures += 1
        print(f"FAILED {what}: {str(found)[:600]}")


def run(*args, code=0, **more):
    p = subprocess.run(args, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, **more)
    check(p.returncode == code, f"{' '.join(args)[:100]}: exit {p.returncode}", p.stderr)
    return p.stdout


def options_of(text):
    """{long name: (letter or None, argument or None)} of a --help."""
    rows = re.findall(r"^ {2}(?:-(\w), | {4})--([a-z-]+)(?: (\S+))?", text, re.M)
    return {name: (letter or None, arg or None) for letter, name, arg in rows}


usage = run(program, "--help")
COMMANDS = re.findall(r"^  ([a-z]+) +\S", usage.split("Quickstart")[0], re.M)
HELP = {c: run(program, c, "--help") for c in COMMANDS if c != "help"}
OPTIONS = {c: options_of(text) for c, text in HELP.items()}


def test_help():
    check(len(HELP) >= 12 and all(len(o) >= 1 for o in OPTIONS.values()), "the parsed help", OPTIONS)
    for name, text in {"stategrad": usage, **HELP}.items():
        wide = [line for line in text.splitlines() if len(line) > 80]
        check(not wide, f"{name} --help fits in 80 columns", wide)
        check(name == "stategrad" or run(program, "help", name) == text, f"help {name} is {name} --help")
    for c in ("eval", "analyze", "show", "import", "info", "check"):
        check("\nModels trained elsewhere:\n" in HELP[c], f"{c} --help has a section for models trained elsewhere")
    letters = {}
    for c, options in OPTIONS.items():
        for name, (letter, _) in options.items():
            if letter:
                letters.setdefault(letter, {}).setdefault(name, []).append(c)
    for letter, names in letters.items():
        check(len(names) == 1, f"-{letter} has one meaning", names)
    check({"d", "t", "s", "c", "o", "q"} <= set(letters), "the common letters are there", letters)
    check(run(program, "-V") == run(program, "--version"), "-V is --version")


def test_man():
    pages = sorted(f for f in os.listdir(folder) if f.endswith(".1"))
    check(pages == sorted(["stategrad.1"] + [f"stategrad-{c}.1" for c in HELP]), "a page per command", pages)
    for page in pages:
        path = os.path.join(folder, page)
        p = subprocess.run(["mandoc", "-Tlint", path], capture_output=True, text=True, env=env)
        check(p.returncode == 0 and not p.stdout, f"mandoc -Tlint {page}", p.stdout)
        shown = subprocess.run(["man", "-l", path], capture_output=True, text=True, env={**env, "MANWIDTH": "80", "MAN_KEEP_FORMATTING": ""})
        text = re.sub(r".\x08", "", shown.stdout)
        check(shown.returncode == 0 and not shown.stderr, f"man -l {page}", shown.stderr)
        for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"):
            check(re.search(f"^{heading}$", text, re.M), f"{page} has {heading}", text)
        command = page[len("stategrad-"):-2]
        for name, (letter, arg) in OPTIONS.get(command, {}).items():
            row = (f"-{letter}, " if letter else "") + f"--{name}" + (f" {arg}" if arg else "")
            check(re.search(rf"^ +{re.escape(row)}(\s|$)", text, re.M), f"{page} has {row}", text)
        if command in HELP:
            flat = " ".join(text.split())
            about = HELP[command].split("\n\n")[1].splitlines()[0]
            check(about in flat, f"{page} has the description", about)
            example = HELP[command].split("Example")[1].splitlines()[1].strip().rstrip(" \\")
            check(example in flat, f"{page} has the example", example)
        else:
            check(all(f"stategrad-{c}(1)" in text for c in HELP), "stategrad.1 names every page", text)


def bash(line, files=False):
    """What bash offers for the last word. files: whether it leaves the rest to names of files."""
    script = f"""
        source {folder}/stategrad
        COMP_LINE={line!r}; words=($(sed 's/=/ = /g' <<<"$COMP_LINE")); [[ $COMP_LINE == *' ' ]] && words+=('')
        COMP_WORDS=("${{words[@]}}"); COMP_CWORD=$((${{#words[@]}}-1))
        compopt() {{ echo "compopt $*" >&2; }}
        $(complete -p stategrad | sed 's/.*-F \\([a-z_]*\\).*/\\1/')
        printf '%s\\n' "${{COMPREPLY[@]}}" """
    p = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, env=env)
    check(not p.stderr or "compopt" in p.stderr, "bash is quiet", p.stderr)
    offered = sorted(p.stdout.split())
    return (offered, "+o default" not in p.stderr) if files else offered


def fish(line):
    script = f"source {folder}/stategrad.fish; complete -C {line!r}"
    p = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, env=env)
    check(p.returncode == 0 and not p.stderr, "fish is quiet", p.stderr)
    return sorted(row.split("\t")[0] for row in p.stdout.splitlines())


def zsh(lines):
    """What an interactive zsh shows after a tab, for each line."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**env, "TERM": "dumb", "COLUMNS": "200", "PS1": "@@ "})

    def until(mark, seconds=20):
        text, end = "", time.time() + seconds
        while mark not in text and time.time() < end:
            if select.select([fd], [], [], 0.2)[0]:
                try:
                    text += os.read(fd, 65536).decode(errors="replace")
                except OSError:
                    break
        return text

    def say(text):
        os.write(fd, text.encode())

    say(f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt auto_menu; LISTMAX=1000; stty cols 200; "
        "zstyle ':completion:*' list-prompt ''; bindkey '^X' kill-whole-line; print rea''dy\n")
    check("ready" in until("ready"), "zsh starts")
    answers = []
    for line in lines:
        say(line + "\t\t")
        time.sleep(1.5)
        say("\x18print don''e\n")
        answers.append(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", until("done")))
    say("exit\n")
    os.close(fd)
    os.waitpid(pid, 0)
    return answers


def test_shells():
    for shell in ("bash", "zsh", "fish"):
        check(shutil.which(shell), f"{shell} is there")
    check(bash("stategrad tr") == ["track", "train"], "bash: commands", bash("stategrad tr"))
    check(fish("stategrad tr") == ["track", "train"], "fish: commands", fish("stategrad tr"))
    check(bash("stategrad help an") == ["analyze"] and fish("stategrad help an") == ["analyze"], "help COMMAND is completed")
    for c, options in OPTIONS.items():
        names = sorted(f"--{o}" for o in options)
        check(bash(f"stategrad {c} --") == names, f"bash: options of {c}", bash(f"stategrad {c} --"))
        offered = {o.split("=")[0] for o in fish(f"stategrad {c} --")}
        check(set(names) <= offered, f"fish: options of {c}", set(names) - offered)
    cells = sorted(OPTIONS["train"]["cell"][1].split("|"))
    check({"gru", "lstm", "rnn"} <= set(cells), "the cells", cells)
    for line in ("stategrad train --cell ", "stategrad train --cell="):
        check(bash(line) == cells, f"bash: {line}", bash(line))
        check([w.split("=")[-1] for w in fish(line)] == cells, f"fish: {line}", fish(line))
    check(bash("stategrad train --cell=l") == ["lstm"], "bash: --cell=l", bash("stategrad train --cell=l"))
    check(bash("stategrad train -o ", files=True) == ([], True), "bash: -o takes the name of a file")
    check(bash("stategrad train --epochs ", files=True) == ([], False), "bash: a number is no file")
    check(any(w.endswith("stategrad.1") for w in fish(f"stategrad train --vocab {folder}/")), "fish: names of files",
          fish(f"stategrad train --vocab {folder}/"))
    commands, options, words, files = zsh(["stategrad tr", "stategrad train --va", "stategrad train --cell ",
                                           f"stategrad train -o {folder}/stategrad-tra"])
    check("track" in commands and "train a language model" in commands, "zsh: commands", commands)
    check("--valid" in options, "zsh: options", options)
    check(re.search(r"\s+".join(cells), words), "zsh: words of an option", words)
    check("stategrad-train.1" in files and "stategrad-track.1" in files, "zsh: names of files", files)


test_help()
test_man()
test_shells()
print(f"{failures} failed" if failures else f"help, manual pages and completion of {len(HELP)} commands agree")
sys.exit(1 if failures else 0)
