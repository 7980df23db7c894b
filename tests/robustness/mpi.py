#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# usage: mpi.py STATEGRAD STATEGRAD-MPI   - one analysis by several processes has the bytes of one process's: 1 to 4 ranks,
# uneven and empty shares, after a rank was killed, and after all were asked to stop. What does not fit is refused.
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

program, program_mpi = map(os.path.abspath, sys.argv[1:3])
if not shutil.which("mpirun"):
    print("no mpirun: not tested (openmpi-bin)")
    sys.exit(77)
env = dict(os.environ, SOURCE_DATE_EPOCH="1", GOMP_SPINCOUNT="1000", OPENBLAS_NUM_THREADS="1", OMP_WAIT_POLICY="passive",
           OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMPI_MCA_btl="self,vader",
           OMPI_MCA_oob_tcp_if_include="lo", OMPI_MCA_btl_vader_single_copy_mechanism="none")
os.chdir(tempfile.mkdtemp(prefix="stategrad-mpi-"))
here = pathlib.Path(".")


def check(holds, what, *seen):
    if not holds:
        print("FAILED:", what, *seen, sep="\n")
        sys.exit(1)


def run(*command):
    began = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    print(f"{time.monotonic() - began:5.1f} s  {' '.join(command)[:150]}", flush=True)
    return done


def ranks(n, *command, program=program_mpi):
    return run("mpirun", "--oversubscribe", "-n", str(n), program, *command)


def ours(r):
    """What the program says, without mpirun's own frames."""
    return [line for line in r.stderr.splitlines() if line.startswith("stategrad")]


random.seed(5)
words = [f"w{i}" for i in range(40)]
text = "\n".join(" ".join(random.choices(words, weights=range(1, 41), k=random.randint(4, 20))) for _ in range(160)) + "\n"
(here / "text").write_text(text)
(here / "pairs").write_text("1 3 near\n2 9 far\n")
(here / "other").write_text(text.replace("w7 ", "w8 ", 1))
for cell in ("lstm", "gru"):
    made = run(program, "train", "text", "--valid", "text", "--cell", cell, "--hidden-size", "9", "--embedding-size", "5", "--layers", "2",
               "--epochs", "1", "-q", "-o", cell)
    check(made.returncode == 0, "train", made.stderr)

# ---- the same bytes ----
full = ["lstm", "text", "--delays", "5", "--classes", "frequency", "--baseline", "untrained", "--state", "both", "--layer", "all",
        "--property", "side=w1,w2,w3,w4,w5,w6,w7,w8,w9,w10-w11,w12,w13,w14,w15,w16,w17,w18,w19,w20", "--lyapunov", "2", "--units"]
drawn = ["gru", "text", "--delays", "20", "--sample", "300", "--blocks", "3", "--documents", "none", "--state-handling", "window:30",
         "--second-moment-every", "3"]
begun = ["lstm", "text", "--delays", "5", "--baseline", "untrained", "--replace", "0.5", "--warm-up", "12"]
long = ["lstm", "text", "--delays", "70", "--long-after", "16", "--state-handling", "reset", "--replace", "none"]
for name, settings, counts in (("full", full, (2, 3)), ("drawn", drawn, (4,)), ("begun", begun, (3,)), ("long", long, (3,))):
    alone = run(program, "analyze", *settings, "-q", "-o", name + ".nc")
    check(alone.returncode == 0, "one process", alone.stderr)
    for n in counts:
        several = ranks(n, "analyze", *settings, "-q", "-t", "1", "-o", f"{name}-{n}.nc")
        check(several.returncode == 0, f"{n} processes: {name}", several.stderr)
        check((here / f"{name}.nc").read_bytes() == (here / f"{name}-{n}.nc").read_bytes(), f"{n} processes: other bytes: {name}")
        (here / f"{name}-{n}.nc").unlink()
# stategrad under mpirun gives way to stategrad-mpi beside it; a warning is said once; one process is a team too
link = here / "bin"
link.mkdir()
for p in (program, program_mpi):
    shutil.copy(p, link)
several = ranks(2, "analyze", *full[:2], "--blocks", "4", "--documents", "none", "--delays", "3", "-o", "g.nc",
                program=str(link / "stategrad"))
alone = ranks(1, "analyze", *full[:2], "--blocks", "4", "--documents", "none", "--delays", "3", "-q", "-o", "g1.nc")
check(several.returncode == alone.returncode == 0, "stategrad under mpirun", several.stderr, alone.stderr)
check((here / "g.nc").read_bytes() == (here / "g1.nc").read_bytes(), "stategrad under mpirun: other bytes")
check(len([x for x in ours(several) if "intervals" in x]) == 1, "one warning", several.stderr)
check(several.stdout.count("layer2.cell") == 1, "one summary", several.stdout)

# ---- what is refused, before any work: one line, exit 2 ----
(link / "stategrad-mpi").unlink()
alone = run("mpirun", "--oversubscribe", "-n", "2", str(link / "stategrad"), "analyze", *full, "-o", "x.nc")
check(alone.returncode == 2 and all("stategrad-mpi" in x for x in ours(alone)), "without stategrad-mpi", alone.stderr)
for what, said, command in [
        ("precision", "setting --precision works in one process only", [program_mpi, "analyze", *full[:2], "--precision", "0.1", "-o", "x.nc"]),
        ("part", "setting --part works in one process only", [program_mpi, "analyze", *full[:2], "--part", "1/2", "-o", "x.nc"]),
        ("pairs", "setting --pairs works in one process only", [program_mpi, "analyze", *full[:2], "--pairs", "pairs", "-o", "x.nc"]),
        ("train", "only analyze works in several processes, found 'train'", [program_mpi, "train", "text", "-o", "x.nc"]),
        ("option", "unknown option '--what'", [program_mpi, "analyze", "--what"]),
        ("corpus", "the processes differ: corpus is ", ["sh", "-c", f"[ $OMPI_COMM_WORLD_RANK = 1 ] && c=other || c=text; "
                                                       f"exec {program_mpi} analyze lstm $c -q --delays 5 -o x.nc"]),
        ("missing", "rank 1: ", ["sh", "-c", f"[ $OMPI_COMM_WORLD_RANK = 1 ] && c=nowhere || c=text; "
                                          f"exec {program_mpi} analyze lstm $c -q --delays 5 -o x.nc"])]:
    r = run("mpirun", "--oversubscribe", "-n", "2", *command)
    lines = [x for x in ours(r) if "warning" not in x]
    check(r.returncode in (1, 2) and len(lines) == 1 and said.replace("setting ", "") in lines[0], f"refused: {what}", r.returncode, r.stderr)
check(not (here / "x.nc").exists(), "nothing is written")

# ---- killed, stopped, continued ----
work = ["analyze", "lstm", "big", "--delays", "40", "--replace", "none", "--lyapunov", "none", "--blocks", "40", "--documents", "none", "-q",
        "-t", "1", "--warm-up", "50"]
(here / "big").write_text(text * 60)
saved = ["--checkpoint", "c", "--checkpoint-minutes", "0.001", "-o", "run.nc"]


shards = [here / "c.1of2", here / "c.2of2"]


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(p) for p in found if b"stategrad" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes()]


def interrupt(how):
    """Starts two, waits for their checkpoints, and does `how`."""
    began = time.time()
    p = subprocess.Popen(["mpirun", "--oversubscribe", "-n", "2", program_mpi, *work, *saved], env=env, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not all(c.exists() and c.stat().st_mtime > began for c in shards) and time.monotonic() < until and p.poll() is None:
        time.sleep(0.02)
    check(p.poll() is None, "it is still at work", p.stderr.read() if p.poll() is not None else "")
    how(p)
    _, said = p.communicate(timeout=60)
    check(p.returncode != 0, "it has failed", said)
    left = sorted(x.name for x in here.iterdir() if x.name.startswith((".run", "run")))
    check(left == [], "nothing half-written", left)
    check(all(c.exists() for c in shards), "checkpoints stay", said)
    return said


said = interrupt(lambda p: os.kill(children(p.pid)[1], signal.SIGKILL))
check("rank 1" in said and "signal 9" in said, "the rank that died is named", said)
other = ranks(3, *work, *saved)
check(other.returncode == 2 and len(ours(other)) == 1 and "was written by one of 2 processes" in ours(other)[0],
      "another number of ranks", other.stderr)
# To mpirun alone, which passes on TERM after a second and kills after another: not always time to save once more.
for number, told in ((signal.SIGTERM, "stopped"), (signal.SIGUSR1, "the same command continues from")):
    for c in shards: # from the beginning: what is left would be done too soon
        c.unlink()
        c.with_name(c.name + ".previous").unlink(missing_ok=True)
    said = interrupt(lambda p: p.send_signal(number))
    lines = [x for x in said.splitlines() if x.startswith("stategrad: ") and "warning" not in x]
    check(len(lines) == 1 and told in lines[0], f"{number.name}: stopped, and said once", said)
done = ranks(2, *work, *saved)
check(done.returncode == 0, "continued", done.stderr)
alone = run(program, *work, "-o", "alone.nc")
check((here / "run.nc").read_bytes() == (here / "alone.nc").read_bytes(), "continued: other bytes")
check([x.name for x in here.iterdir() if x.name.startswith("c.")] == [], "checkpoints are removed")
shutil.rmtree(here.resolve())
print("1 to 4 ranks: the bytes of one process; killed and stopped ranks: continued")
