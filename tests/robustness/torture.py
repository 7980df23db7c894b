#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: torture.py PROGRAM KILLS [SEED]   - train and analyze are killed at random moments and resumed.

What comes out in the end equals, byte for byte, what an undisturbed run makes (SOURCE_DATE_EPOCH holds the time that a
run file says it was made at).
KILLS: by SIGKILL, for each of the two; then SIGINT, SIGTERM (exit codes 130, 143) and damaged checkpoints."""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from scenes import ANALYZE, ENV, Scene, Tally, leftovers

# Long enough to be killed in the middle; checkpoints every few milliseconds.
TRAIN = ["train", "../train.tagged", "--valid", "../valid.tagged", "--format", "tagged", "-o", "out", "--checkpoint",
         "check", "--checkpoint-minutes", "0.0005", "--resume", "--embedding-size", "16", "--hidden-size", "48",
         "--steps", "10", "--batch", "4", "--dropout", "0.3", "--seed", "5", "--quiet", "--threads", "2"]
RUN = ["analyze", "../m.safetensors", "../train.tagged", "--format", "tagged", "-o", "out", "--checkpoint", "check",
       "--checkpoint-minutes", "0.0005", "--threads", "2", "--units", *ANALYZE]


def made(path):
    with open(path, "rb") as f:
        return f.read()


class Job:
    def __init__(self, scene, name, args):
        self.scene, self.name, self.args = scene, name, args
        self.folder = scene.path(name)
        self.fresh()
        start = time.monotonic()
        self.finish("the undisturbed run")
        self.seconds = time.monotonic() - start
        self.truth = made(os.path.join(self.folder, "out"))

    def fresh(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)

    def start(self):
        return subprocess.Popen([self.scene.program, *self.args], cwd=self.folder, env={**ENV, "SOURCE_DATE_EPOCH": "1"}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def finish(self, why):
        p = self.start()
        err = p.communicate(timeout=600)[1].decode(errors="replace")
        if p.returncode != 0:
            sys.exit(f"{self.name}: {why} failed: {p.returncode} {err}")
        return err

    def interrupted(self, after, number):
        """Started, sent a signal; the exit code, or None if it was done before."""
        p = self.start()
        try:
            p.wait(after)
        except subprocess.TimeoutExpired:
            p.send_signal(number)
        err = p.communicate(timeout=600)[1].decode(errors="replace")
        return p.returncode, err

    def ends_the_same(self, tally, kind, what):
        self.finish(what)
        same = made(os.path.join(self.folder, "out")) == self.truth
        tally.check(kind, same and not leftovers(self.folder),
                    f"{what}: bytes equal {same}, left behind {leftovers(self.folder)}")


def kill_chain(job, tally, kills, rng):
    done, chains = 0, 0
    while done < kills:
        job.fresh()
        chains += 1
        for _ in range(rng.randint(1, 8)):
            code, err = job.interrupted(rng.uniform(0, 0.9 * job.seconds), signal.SIGKILL)
            if code == 0:
                break
            tally.check(f"{job.name}: kill -9", code == -signal.SIGKILL, f"exit {code}, said {err}")
            done += 1
            if done >= kills:
                break
        job.ends_the_same(tally, f"{job.name}: same bytes after kill -9", f"chain {chains}")


def polite(job, tally, rng, times):
    for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        hits = 0
        for _ in range(10 * times):
            job.fresh()
            code, err = job.interrupted(rng.uniform(0.1, 0.7) * job.seconds, number)
            if code in (0, -number):
                continue  # it was done before, or had not yet begun to listen
            hits += 1
            tally.check(f"{job.name}: exit code of {number.name}", code == expected, f"exit {code}, said {err}")
            job.ends_the_same(tally, f"{job.name}: same bytes after {number.name}", number.name)
            if hits == times:
                break
        tally.check(f"{job.name}: {number.name} came in time", hits == times, f"{hits} of {times}")


def damaged(job, tally, rng, times):
    """A checkpoint that is cut short or has a wrong bit is noticed, and the end is still the same."""
    hits = 0
    for i in range(10 * times):
        job.fresh()
        code, _ = job.interrupted(rng.uniform(0.3, 0.7) * job.seconds, signal.SIGINT)
        path = os.path.join(job.folder, "check")
        if code == 0 or not os.path.exists(path) or not any(map(os.path.exists, (path + ".prev", path + ".previous"))):
            continue  # without an earlier checkpoint there is nothing to fall back on: refused, see the C tests
        hits += 1
        with open(path, "r+b") as f:
            size = f.seek(0, 2)
            if i % 2:
                f.truncate(rng.randrange(size))
            else:
                at = rng.randrange(size)
                f.seek(at)
                byte = f.read(1)[0] ^ (1 << rng.randrange(8))
                f.seek(at)
                f.write(bytes([byte]))
        err = job.finish("the run after a damaged checkpoint")
        same = made(os.path.join(job.folder, "out")) == job.truth
        kind = f"{job.name}: {'cut' if i % 2 else 'bit-flipped'} checkpoint is noticed"
        tally.check(kind, same and "check" in err, f"bytes equal {same}, said {err!r}")
        if hits == times:
            break
    tally.check(f"{job.name}: checkpoints were damaged", hits == times, f"{hits} of {times}")


def main():
    kills = int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    tally = Tally()
    with Scene(sys.argv[1]) as scene:
        for name, args, n in (("train", [*TRAIN, "--epochs", "60"], kills), ("analyze", RUN, (kills + 1) // 2)):
            job = Job(scene, name, args)
            print(f"{name}: undisturbed {job.seconds:.2f} s", flush=True)
            kill_chain(job, tally, n, rng)
            polite(job, tally, rng, 1 if kills < 20 else 5)
            damaged(job, tally, rng, 2 if kills < 20 else 20)
    tally.finish()


main()
