#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: large_vocabulary.py PROGRAM   - a million distinct words: counted with progress, written and read whole, in time that grows as they do.

No limit of seconds: the processor time of eight times the words is compared with that of the words."""
import json
import os
import pty
import random
import signal
import struct
import subprocess
import sys
import tempfile

try:
    import netCDF4
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

PROGRAM = os.path.abspath(sys.argv[1])
MANY, FEWER = 1_000_000, 125_000
SLOWEST = 20  # a quadratic cost is 64 times as large for eight times the words


def words_of(n):
    words = [f"w{i:x}" for i in range(n)]
    random.Random(n).shuffle(words)
    return words


def write_lines(path, words):
    with open(path, "w", encoding="utf-8") as f:
        for i in range(0, len(words), 10):
            f.write(" ".join(words[i:i + 10]) + "\n")


def cost(*args):
    """Runs the program; (its output, seconds of processor time)."""
    p = subprocess.Popen([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = p.stdout.read(), p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == 0, (args, p.returncode, err)
    return out, usage.ru_utime + usage.ru_stime


def check_counting(folder):
    """On a terminal the counting of words is seen, then the reading; there SIGINT ends the work and leaves nothing."""
    write_lines("many.txt", words_of(MANY) * 2)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(PROGRAM, [PROGRAM, "train", "many.txt", "-o", "never.st", "--vocab-size", str(MANY + 2), "--embedding-size", "2", "--hidden-size", "2"])
    seen = b""
    while b"reading" not in seen:
        seen += os.read(terminal, 4096)
    os.kill(pid, signal.SIGINT)
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:  # how Linux says that the other end is closed
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    counted = seen.split(b"reading")[0].decode()
    assert "counting words " in counted and " tokens/s" in counted, counted
    assert os.listdir(folder) == ["many.txt"], os.listdir(folder)


def check_files(n):
    """A model and a run of n words and <unk>, <eos>; the processor time of each command."""
    words, seconds = words_of(n), {}
    write_lines("text.txt", words[-300:] + words[:100])
    with open("words.txt", "w", encoding="utf-8") as f:
        f.write("\n".join(["<unk>", "<eos>"] + words) + "\n")
    _, seconds["train"] = cost("train", "text.txt", "--vocab", "words.txt", "-o", "m.st", "--embedding-size", "2", "--hidden-size", "2", "--epochs", "1", "-q")
    with open("m.st", "rb") as f:
        meta = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]
    assert json.loads(meta["vocabulary"]) == ["<unk>", "<eos>"] + words
    text, seconds["info"] = cost("info", "m.st")
    assert f"{n + 2} words" in text, text
    text, seconds["eval"] = cost("eval", "m.st", "text.txt", "--json")
    assert json.loads(text)["tokens"] == 439 and json.loads(text)["unknown_tokens"] == 0, text
    text, seconds["analyze"] = cost("analyze", "m.st", "text.txt", "-o", "r.nc", "--delays", "3", "--classes", "frequency", "--replace", "none", "-t", "1")
    assert "rank 1-10" in text, text
    with netCDF4.Dataset("r.nc") as run:
        assert list(run["word"][:]) == ["<unk>", "<eos>"] + words
        assert run["word_count"][1] == 40 and run["word_count"][:].sum() == 440
    _, seconds["words"] = cost("words", "r.nc")
    text, seconds["track"] = cost("track", "r.nc", "--property", f"p={words[3]}-{words[8]}", "-t", "1")
    assert "p in layer1.cell, class all" in text, text
    _, seconds["report"] = cost("report", "r.nc", "-o", "r.html")
    return seconds


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        check_counting(folder)
        fewer, many = check_files(FEWER), check_files(MANY)
        for command, seconds in many.items():
            print(f"{command:8} {seconds:6.2f} s of processor time, {seconds / fewer[command]:4.1f} times that of an eighth of the words")
            assert seconds < SLOWEST * fewer[command], command


main()
