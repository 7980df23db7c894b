#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: outputs.py PROGRAM [PART]   - nothing is lost and nothing is written where it does not belong.

Symbolic links, devices, permissions; checkpoints and the files beside them; closed descriptors; signals while the program
waits or counts; little address space; threads."""
import os
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time

from scenes import ANALYZE, ENV, SETTLED, TRAIN, Scene, Tally, leftovers

MODEL = ["train", "train.txt", "--valid", "valid.txt", *TRAIN]
RUN = ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "--quiet"]
SEEDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fuzz", "seeds")
ONCE = {"SOURCE_DATE_EPOCH": "1"}


def content(path):
    with open(path, "rb") as f:
        return f.read()


def clear(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def said(done):
    return f"exit {done.returncode}, said {done.stderr.decode(errors='replace')[:300]!r}"


def links(scene, tally):
    """A link stays a link: what it leads to is replaced, or made, whole; devices and open files are refused."""
    kind = "symbolic links"
    os.makedirs(scene.path("elsewhere"))
    scene.must("report", "run.nc", "-o", "plain.html")
    for there in (True, False):
        target = scene.path("elsewhere", "there.html" if there else "new.html")
        if there:
            with open(target, "w", encoding="utf-8") as f:
                f.write("old")
        for name, to in (("link.html", os.path.relpath(target, scene.folder)), ("chain.html", "link.html")):
            if os.path.lexists(scene.path(name)):
                os.remove(scene.path(name))
            os.symlink(to, scene.path(name))
        done = scene.run("report", "run.nc", "-o", "chain.html")
        tally.check(kind, done.returncode == 0 and os.path.islink(scene.path("chain.html")) and
                    os.path.islink(scene.path("link.html")) and not os.path.islink(target) and
                    content(target) == content(scene.path("plain.html")) and not leftovers(scene.folder), said(done))
    os.symlink("circle", scene.path("circle"))
    os.symlink("/dev/null", scene.path("null"))
    os.symlink("/proc/self/fd/1", scene.path("open"))
    for name in ("circle", "null", "open", "/dev/null", "/dev/stdout", "/proc/self/fd/1"):
        with open(scene.path("out"), "w+b") as out:
            out.write(b"kept")
            out.flush()
            done = subprocess.run([scene.program, "report", "run.nc", "-o", name], cwd=scene.folder, env=ENV, stdout=out,
                                  stderr=subprocess.PIPE)
        tally.check("devices and open files are refused", done.returncode == 1 and content(scene.path("out")) == b"kept" and
                    name.encode() in done.stderr, f"{name}: {said(done)}")
    tally.check("devices and open files are refused", stat.S_ISCHR(os.stat("/dev/null").st_mode), "/dev/null is gone")


def permissions(scene, tally):
    with open(scene.path("mode"), "w", encoding="utf-8"):
        pass
    os.chmod(scene.path("mode"), 0o6750)
    done = scene.run("report", "run.nc", "-o", "mode")
    mode = stat.S_IMODE(os.stat(scene.path("mode")).st_mode)
    tally.check("set-user-id bits are dropped", done.returncode == 0 and mode == 0o750, f"{mode:o}, {said(done)}")


def foreign_checkpoints(scene, tally):
    """What is not ours is neither overwritten nor removed, under any of the names that a checkpoint uses."""
    for command in (MODEL, RUN):
        for resume in ([], ["--resume"]) if command is MODEL else ([],):
            for name in ("c", "c.previous", "c.lock", *(("c.blocks0",) if command is RUN else ())):
                with open(scene.path(name), "w", encoding="utf-8") as f:
                    f.write("the only copy of a thesis\n")
                done = scene.run(*command, "-o", "x", "--checkpoint", "c", *resume)
                tally.check("foreign files under a checkpoint's names", done.returncode == 1 and name.encode() in done.stderr and
                            content(scene.path(name)) == b"the only copy of a thesis\n",
                            f"{command[0]} {resume} {name}: {said(done)}")
                for left in ("c", "c.previous", "c.lock", "c.blocks0", "c.blocks1"):
                    if os.path.lexists(scene.path(left)):
                        os.remove(scene.path(left))
    for name in ("c.lock", "c.blocks0", "c.previous"):  # a link that somebody laid there
        shutil.copy(scene.path("train.txt"), scene.path("victim"))
        os.symlink("victim", scene.path(name))
        done = scene.run(*RUN, "-o", "x", "--checkpoint", "c")
        tally.check("links under a checkpoint's names", done.returncode == 1 and
                    content(scene.path("victim")) == content(scene.path("train.txt")), f"{name}: {said(done)}")
        os.remove(scene.path(name))
        for left in ("c", "c.previous", "c.blocks0", "c.blocks1"):
            if os.path.lexists(scene.path(left)):
                os.remove(scene.path(left))


def side_files(scene, tally):
    """The files beside a checkpoint are outputs: never an input, nor another output."""
    shutil.copy(scene.path("valid.txt"), scene.path("k.previous"))
    shutil.copy(scene.path("m.safetensors"), scene.path("k.blocks0"))
    cases = [["train", "k.previous", *TRAIN, "-o", "x", "--checkpoint", "k"],
             ["train", "train.txt", "--valid", "k.previous", *TRAIN, "-o", "x", "--checkpoint", "k"],
             ["train", "train.txt", *TRAIN, "-o", "k.previous", "--checkpoint", "k"],
             ["train", "train.txt", *TRAIN, "-o", "x", "--log", "k.lock", "--checkpoint", "./k"],
             ["analyze", "k.blocks0", "valid.txt", "-o", "x", "--checkpoint", "k"],
             ["analyze", "m.safetensors", "valid.txt", "-o", "k.blocks1", "--checkpoint", "k"],
             ["analyze", "m.safetensors", "valid.txt", "-o", "x", "--csv", "k.previous", "--checkpoint", "k"],
             ["analyze", "m.safetensors", "valid.txt", "--classes", "words:k.previous", "-o", "x", "--checkpoint", "k"]]
    for args in cases:
        done = scene.run(*args)
        side = next(x for a in args for x in a.split(":") if x.startswith("k."))
        tally.check("side files as inputs or outputs", done.returncode == 2 and done.stderr.decode().count(side) == 1 and
                    f"--checkpoint {args[-1]}".encode() in done.stderr and content(scene.path("k.previous")) == content(scene.path("valid.txt")), f"{args}: {said(done)}")


def linked_outputs(scene, tally):
    """Outputs that are one file in the end, there or not; files beside a checkpoint that is a link."""
    kind = "links to another output, or to a side file of one"
    os.makedirs(scene.path("far"))
    for name, to in (("to-new", "new"), ("to-new-too", "new"), ("far-check", "far/real")):
        os.symlink(to, scene.path(name))
    analyze, train = ["analyze", "m.safetensors", "valid.txt", "-q"], ["train", "train.txt", *TRAIN]
    cases = [[*analyze, "-o", "new", "--checkpoint", "to-new"], [*analyze, "-o", "to-new", "--checkpoint", "to-new-too"],
             [*analyze, "-o", "new", "--csv", "to-new"], [*train, "-o", "new", "--log", "to-new"],
             [*train, "-o", "new", "--checkpoint", "to-new"], ["track", "run.nc", "--property", "p=noun1-noun2", "-o", "to-new", "--csv", "new"],
             [*analyze, "-o", "far/real.previous", "--checkpoint", "far-check"], [*analyze, "-o", "x", "--csv", "far/real.blocks0", "--checkpoint", "far-check"],
             [*train, "-o", "far/real.lock", "--checkpoint", "far-check"]]
    for args in cases:
        done = scene.run(*args)
        tally.check(kind, done.returncode == 2 and not os.path.exists(scene.path("new")) and not os.listdir(scene.path("far")), f"{args}: {said(done)}")
    with open(scene.path("far", "real.blocks1"), "w", encoding="utf-8") as f:
        f.write("thesis")
    done = scene.run(*analyze, "-o", "x", "--checkpoint", "far-check")
    tally.check("a foreign file under the name of a scratch file is left", done.returncode == 0 and os.listdir(scene.path("far")) == ["real.blocks1"] and
                content(scene.path("far", "real.blocks1")) == b"thesis", said(done))


def log_of_training(scene, tally):
    """It grows line by line: devices are fine, names in /proc are not; and nothing is touched for a model that cannot be written."""
    train = ["train", "train.txt", *TRAIN]
    with open(scene.path("out"), "w+b") as out:
        done = subprocess.run([scene.program, *train, "-o", "x", "--log", "/dev/stdout"], cwd=scene.folder, env=ENV, stdout=out, stderr=subprocess.PIPE)
    tally.check("a log in /proc", done.returncode == 1 and b"/dev/stdout" in done.stderr and not content(scene.path("out")), said(done))
    done = scene.run(*train, "-o", "x", "--log", "/dev/null")
    tally.check("a log in a device", done.returncode == 0, said(done))
    with open(scene.path("log"), "w", encoding="utf-8") as f:
        f.write("thesis")
    os.chmod(scene.path("log"), 0o4755)
    done = scene.run(*train, "-o", "no/such/folder", "--log", "log")
    tally.check("a model that cannot be written", done.returncode == 1 and b"no/such/folder" in done.stderr and content(scene.path("log")) == b"thesis", said(done))
    done = scene.run(*train, "-o", "x", "--log", "log")
    tally.check("set-user-id bits of a log", done.returncode == 0 and stat.S_IMODE(os.stat(scene.path("log")).st_mode) == 0o755, said(done))


def before_the_work(scene, tally):
    """An output that cannot be written is refused before anything is read, drawn or written."""
    os.makedirs(scene.path("taken", "latch", "README"))
    os.makedirs(scene.path("barred", "variance"))
    for out, kinds in (("taken", "all"), ("taken", "latch"), ("barred", "all"), ("barred", "variance"), ("train.txt", "all"), ("no/folder", "copy")):
        if out == "barred":
            os.symlink("/dev/null", scene.path("barred", "variance", "embeddings.txt"))
        names = sorted(os.path.join(d, f) for d, _, files in os.walk(scene.folder) for f in files)
        done = scene.run("synth", "-o", out, "--kind", kinds, "--tokens", "20000")
        tally.check("synth: outputs are looked at before the work", done.returncode == 1 and out.encode() in done.stderr and not done.stdout and
                    names == sorted(os.path.join(d, f) for d, _, files in os.walk(scene.folder) for f in files), f"{out} {kinds}: {said(done)}")
        if out == "barred":
            os.remove(scene.path("barred", "variance", "embeddings.txt"))
    for args in (["absent.safetensors", "--text", "a"], ["m.safetensors", "-"], ["m.safetensors", "absent.txt"]):
        done = scene.run("show", *args, "-o", "no/such/folder.html")
        tally.check("show: outputs are looked at before the work", done.returncode == 1 and b"no/such/folder.html" in done.stderr and
                    done.stderr.count(b"\n") == 1, f"{args}: {said(done)}")


def linked_checkpoint(scene, tally):
    """A checkpoint by way of a link: the files beside it lie beside the file, and it is resumed."""
    os.makedirs(scene.path("store"))
    os.symlink("store/real", scene.path("by-link"))
    done = scene.run(*MODEL, "-o", "x", "--checkpoint", "by-link")
    again = scene.run(*MODEL, "-o", "y", "--checkpoint", "by-link", "--resume")
    tally.check("a checkpoint that is a link", done.returncode == again.returncode == 0 and
                content(scene.path("x")) == content(scene.path("y")) and os.path.islink(scene.path("by-link")) and
                sorted(os.listdir(scene.path("store"))) == ["real", "real.previous"] and
                not os.path.islink(scene.path("store", "real.previous")), f"{said(done)} {os.listdir(scene.path('store'))}")


def leftover_of_a_checkpoint(scene, tally):
    """What a killed writer of a checkpoint left goes, also when no further checkpoint is written."""
    left = scene.path(".stategrad-830cf17637260a67-0123456789abcdef")  # of "check": FNV-1a of its name
    scene.must(*MODEL, "-o", "x", "--checkpoint", "check")
    with open(left, "wb"):
        pass
    done = scene.run(*MODEL, "-o", "x", "--checkpoint", "check", "--resume")
    tally.check("leftovers of a checkpoint", done.returncode == 0 and not os.path.exists(left), said(done))


def one_checkpoint_for_two(scene, tally):
    """The second run with a checkpoint in use is refused, and the first ends as if alone."""
    for args in ([*MODEL, "--epochs", "12"], [*RUN, "--delays", "40"]):
        scene.must(*args, "-o", "alone", env=ONCE)
        other = [a.replace("valid.txt", "train.txt") if args[0] == "analyze" else a for a in args] + ["--seed", "8"]
        first = subprocess.Popen([scene.program, *args, "-o", "first", "--checkpoint", "both", "--checkpoint-minutes", "0"],
                                 cwd=scene.folder, env={**ENV, **ONCE}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL)
        while first.poll() is None and not os.path.exists(scene.path("both")):
            time.sleep(0.002)
        first.send_signal(signal.SIGSTOP)
        second = scene.run(*other, "-o", "second", "--checkpoint", "both", "--checkpoint-minutes", "0", env=ONCE)
        first.send_signal(signal.SIGCONT)
        err = first.communicate(timeout=300)[1]
        tally.check("two runs with one checkpoint", second.returncode == 1 and b"another run" in second.stderr and
                    not os.path.exists(scene.path("second")) and first.returncode == 0 and
                    content(scene.path("first")) == content(scene.path("alone")) and
                    not os.path.exists(scene.path("both.lock")), f"{args[0]}: {said(second)}; first {first.returncode} {err}")
        for name in ("both", "both.previous"):
            if os.path.exists(scene.path(name)):
                os.remove(scene.path(name))


def closed_descriptors(scene, tally):
    """Nothing that is printed lands in a file of data; results that nobody gets are exit 1."""
    plain = {"train": [a for a in MODEL if a != "--quiet"], "analyze": RUN, "report": ["report", "run.nc"]}
    for name, args in plain.items():
        scene.must(*args, "-o", "open.out", env=ONCE)
        for closed in ("0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"):
            command = " ".join([scene.program, *args, "-o", "closed.out", closed])
            done = subprocess.run(["bash", "-c", command], cwd=scene.folder, env={**ENV, **ONCE}, capture_output=True)
            prints = name == "train" and "1>" in closed  # analyze --quiet prints nothing
            tally.check("closed descriptors", done.returncode == (1 if prints else 0) and
                        content(scene.path("closed.out")) == content(scene.path("open.out")), f"{name} {closed}: {said(done)}")
    for closed, code in (("1>&-", 1), ("2>&-", 0)):
        done = subprocess.run(["bash", "-c", f"{scene.program} eval m.safetensors valid.txt {closed}"], cwd=scene.folder, env=ENV,
                              capture_output=True)
        tally.check("closed descriptors", done.returncode == code, f"eval {closed}: {said(done)}")
    done = subprocess.run(["bash", "-c", f"{scene.program} eval m.safetensors - 0<&-"], cwd=scene.folder, env=ENV, capture_output=True)
    tally.check("closed descriptors", done.returncode == 1 and b"-:" in done.stderr, f"eval - 0<&-: {said(done)}")


def handles(p, number):
    """Waits until p has begun, which is when it handles the signal, and a moment longer; whether it is still there then."""
    for _ in range(600):
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            caught = next((int(line.split()[1], 16) for line in f if line.startswith("SigCgt")), 0)
        if caught >> (number - 1) & 1 or p.poll() is not None:
            break
        time.sleep(0.05)
    time.sleep(0.3)
    return p.poll() is None


def signals(scene, tally):
    """One signal ends every wait and every loop within a second, and nothing is left behind."""
    os.mkfifo(scene.path("fifo"))
    if os.path.exists(scene.path("x")):  # of other parts
        os.remove(scene.path("x"))
    with open(scene.path("large.txt"), "w", encoding="utf-8") as f:
        f.writelines(f"{i} {i * 7} {i * 13}\n" for i in range(1500000))
    with open(scene.path("vectors.txt"), "w", encoding="utf-8") as f:
        f.writelines(f"v{i} " + "0.125 " * 63 + "1\n" for i in range(150000))
    with open(scene.path("long.ckpt"), "wb") as f:  # its checksum, at its end, is of all that is before it
        f.write(b"SGCHECKP")
        f.seek(24 << 30)
        f.write(b"SGRUNSUM" + struct.pack("<QQ", 24 << 30, 0))
    cases = {"a FIFO nobody writes to": ["train", "fifo", *TRAIN, "-o", "x"],
             "a validation FIFO": ["train", "train.txt", "--valid", "fifo", *TRAIN, "-o", "x"],
             "a model that is a FIFO": ["eval", "fifo", "valid.txt"],
             "a word list that is a FIFO": ["train", "train.txt", "--vocab", "fifo", *TRAIN, "-o", "x"],
             "standard input": ["eval", "m.safetensors", "-"],
             "show, standard input": ["show", "m.safetensors", "-"],
             "synth": ["synth", "-o", "x", "--tokens", "100000000"],
             "counting words": ["train", "large.txt", *TRAIN, "-o", "x"],
             "word vectors": ["train", "train.txt", *TRAIN, "--embedding-size", "64", "--embeddings", "vectors.txt", "-o", "x"],
             "the checksum of a checkpoint": ["train", "train.txt", *TRAIN, "-o", "x", "--checkpoint", "long.ckpt", "--resume"]}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for what, args in cases.items():
            p = subprocess.Popen([scene.program, *args], cwd=scene.folder, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
            waits = handles(p, number)
            began = time.monotonic()
            if waits:
                p.send_signal(number)
            try:
                p.wait(timeout=20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
            seconds = time.monotonic() - began
            err = p.stderr.read()
            p.stdin.close(), p.stderr.close()
            refused = what in ("a model that is a FIFO", "a word list that is a FIFO") and p.returncode == 1
            tally.check("signals", refused or (waits and p.returncode == 128 + number and seconds < 1 and
                                               not leftovers(scene.folder) and not os.path.exists(scene.path("long.ckpt.lock")) and
                                               not os.path.exists(scene.path("x"))),
                        f"{what}, signal {number}: exit {p.returncode} after {seconds:.2f} s, waiting {waits}, {err[:200]!r}")
    for name in ("fifo", "large.txt", "vectors.txt", "long.ckpt"):
        os.remove(scene.path(name))


def keras_files(scene):
    """{kind: name} of a Keras file of each kind that is read, from the seeds of the fuzz targets."""
    files = {}
    for folder in ("import_keras", "import_keras_zip"):
        for name in sorted(os.listdir(os.path.join(SEEDS, folder))):
            shutil.copy(os.path.join(SEEDS, folder, name), scene.path("keras"))
            if scene.run("info", "keras").returncode == 0 and folder not in files:
                files[folder] = shutil.copy(scene.path("keras"), scene.path(folder))
    return files


def address_space(scene, tally):
    """With little address space each command ends, done or with a message; nothing is left behind."""
    def limit(mib):
        def apply():
            resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))
        return apply
    tagged = ["analyze", "m.safetensors", "valid.tagged", "--format", "tagged", *ANALYZE, "-o"]
    commands = {"--version": ["--version"], "info": ["info", "m.safetensors"], "eval": ["eval", "m.safetensors", "valid.txt", "-q"],
                "show": ["show", "m.safetensors", "--text", "the noun1"], "train": [*MODEL, "-o", "x"], "analyze": [*RUN, "-o", "x"],
                "report": ["report", "run.nc", "-o", "x"], "words": ["words", "run.nc"],
                "compare": ["compare", "run.nc", "DT", "NN"],
                "track": ["track", "run.nc", "--property", "p=noun1-noun2", "-o", "x", "-q"],
                **{f"info, Keras {kind}": ["info", name] for kind, name in keras_files(scene).items()}}
    more = {"merge": ["merge", "part1.nc", "part2.nc", "-o", "x", "-q"], "check": ["check", "m.safetensors"],
            "cluster": ["cluster", "--script", "x", *tagged, "other.nc"], "analyze, properties": [*tagged, "x", "--normalize", "none"],
            "pairs": ["pairs", "-q", "m.safetensors", "pairs.tsv", "--csv", "x"],
            "synth": ["synth", "-o", "x", "--kind", "copy", "--tokens", "2000"],
            "import, PyTorch": ["import", os.path.join(SEEDS, "import_torch_zip", "words"), "-o", "x"]}
    least, few = {}, (100, 125, 150, 200, 250, 400, 600)
    for name, args in {**commands, **more}.items():
        for mib in few if name in more else (100, 110, 125, 130, 135, 150, 200, 250, 300, 400, 600, 1000):
            clear(scene.path("x"))
            try:
                done = scene.run(*args, timeout=60, preexec_fn=limit(mib))
            except subprocess.TimeoutExpired:
                tally.check("little address space", False, f"{name} with {mib} MiB does not end")
                continue
            if done.returncode == 0:
                least.setdefault(name, mib)
            tally.check("little address space", (done.returncode == 0 or (done.returncode in (1, 127) and done.stderr and
                                                                         not os.path.lexists(scene.path("x")))) and
                        not leftovers(scene.folder), f"{name} with {mib} MiB: {said(done)}")
    clear(scene.path("x"))
    tally.check("each command is done with enough address space", sorted(least) == sorted({**commands, **more}), str(least))
    print("least address space, MiB:", least)
    tally.check("commands without linear algebra do not start it", least.get("--version", 999) <= 250 and
                least.get("info", 999) <= 250 and least.get("eval", 999) >= least.get("info", 999), str(least))


def threads(scene, tally):
    """A thousand threads are as many as there are cores."""
    p = subprocess.Popen([scene.program, *MODEL, "-o", "x", "--epochs", "1000", "--hidden-size", "200", "--threads", "1000"],
                         cwd=scene.folder, env={k: v for k, v in ENV.items() if k != "OMP_NUM_THREADS"}, stderr=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    most = 0
    for _ in range(20):
        time.sleep(0.1)
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            most = max(most, int(next(line for line in f if line.startswith("Threads")).split()[1]))
    p.kill()
    p.wait()
    tally.check("--threads", most <= len(os.sched_getaffinity(0)), f"{most} threads")


def main():
    tally = Tally()
    parts = [links, permissions, foreign_checkpoints, side_files, linked_outputs, log_of_training, before_the_work, linked_checkpoint, leftover_of_a_checkpoint, one_checkpoint_for_two, closed_descriptors,
             signals, address_space, threads]
    with Scene(sys.argv[1]) as scene:
        for part in parts:
            if part is signals:  # from here on as a user starts it
                for name in SETTLED:
                    del ENV[name]
            if len(sys.argv) < 3 or part.__name__ in sys.argv[2:]:
                part(scene, tally)
    tally.finish()


main()
