#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: faults.py PROGRAM [long]   - disk full, EIO, short writes, unwritable places, under every output.

After each failure: exit code 1, one line that names the file, the old file as it was, no temporary file left."""
import ctypes
import os
import pwd
import re
import resource
import shutil
import subprocess
import sys
import tempfile

from scenes import Scene, Tally, leftovers

OLD = b"what was here before\n"

CLONE_NEWNS = 0x00020000


class Place:
    """An output folder whose files hold old content."""

    def __init__(self, folder, files):
        self.folder, self.files = folder, files
        for name in files:
            if name != "check":  # a file that is no checkpoint of ours is refused there, before any work
                with open(os.path.join(folder, name), "wb") as f:
                    f.write(OLD)

    def intact(self, other=()):
        """Old contents, and nothing else but the files named in other. Checkpoints come one after the other: there
        is none, or a whole one and the one before it."""
        found = set(os.listdir(self.folder)) - set(other)
        if "check" in self.files:
            return found <= {"check", "check.previous", "check.lock", "check.blocks0", "check.blocks1"}
        for name in self.files:
            with open(os.path.join(self.folder, name), "rb") as f:
                found_bytes = f.read()
            if found_bytes != OLD:
                return False
        return found == set(self.files)


def complaint(done):
    """What it said, without warnings."""
    lines = done.stderr.decode(errors="replace").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("stategrad: warning: "))


def judge(tally, kind, name, done, place, may_succeed=False, other=()):
    err = complaint(done)
    if may_succeed and done.returncode == 0:
        tally.check(kind, not leftovers(place.folder), f"{name}: left {leftovers(place.folder)}")
        return
    lines = err.splitlines()
    # What fails first may be the temporary file of the token stream, another output, or standard output at the end.
    names = [*place.files, "the temporary file", "other.", "standard output"]
    ok = (done.returncode == 1 and len(lines) == 1 and lines[0].startswith("stategrad: ")
          and any(f in lines[0] for f in names)
          and (place.intact(other) or ("standard output" in lines[0] and not leftovers(place.folder))))
    tally.check(kind, ok, f"{name}: exit {done.returncode}, intact {place.intact(other)}, "
                          f"{os.listdir(place.folder)}, said {err!r}")


def file_size_limits(scene, tally, long):
    """Writes that come up short, then fail: the process may not write files longer than a limit."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as out:
        for name, args, files in scene.outputs(out):
            whole = scene.run(*args)
            if whole.returncode != 0:
                tally.check("file size limit", False, f"{name} fails unharmed: {whole.stderr.decode()}")
                continue
            # a checkpoint goes when the work is done: its size is not known
            size = max([os.path.getsize(os.path.join(out, f)) for f in files if f in os.listdir(out)], default=4096)
            shutil.rmtree(out)
            os.mkdir(out)
            limits = {1, size // 2} if not long else {0, 1, size - 1} | {size * i // 16 for i in range(16)}
            for limit in sorted(limits):
                place = Place(out, files)
                done = scene.run(*args, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                judge(tally, "file size limit", f"{name} at {limit} of {size}", done, place)


def unwritable_places(scene, tally):
    for name, args, files in scene.outputs(scene.path("no", "such", "folder")):
        done = scene.run(*args)
        err = complaint(done)
        tally.check("missing folder", done.returncode == 1 and err.count("\n") == 1 and files[0] in err,
                    f"{name}: exit {done.returncode}, said {err!r}")
    with tempfile.TemporaryDirectory(dir=scene.folder) as out:
        outputs = scene.outputs(out)
        for name, args, files in outputs:
            for f in files:
                os.makedirs(os.path.join(out, f), exist_ok=True)
            done = scene.run(*args)
            err = complaint(done)
            tally.check("a folder in the way", done.returncode == 1 and err.count("\n") == 1 and
                        any(f in err for f in files) and not leftovers(out),
                        f"{name}: exit {done.returncode}, said {err!r}")
    user = {}
    if os.geteuid() == 0:  # root may write anywhere: be somebody else
        nobody = pwd.getpwnam("nobody")
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(dir=scene.folder) as out:
        for name, args, files in scene.outputs(out):
            os.chmod(out, 0o755)
            for f in os.listdir(out):
                os.remove(os.path.join(out, f))
            place = Place(out, files)
            os.chmod(out, 0o555)
            if user and "other." in " ".join(args):
                continue  # their first output lies in a folder that is not theirs
            judge(tally, "read-only folder", name, scene.run(*args, **user), place)
        os.chmod(out, 0o755)


def full_disk(scene, tally, long):
    if os.geteuid() != 0:
        tally.skip("full disk", "mounting a small tmpfs needs root")
        return
    out = scene.path("disk")
    os.makedirs(out, exist_ok=True)
    # A mount namespace of its own: the machine sees nothing of the mount, and it ends with this process.
    private = ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) == 0 and \
        subprocess.run(["mount", "--make-rprivate", "/"], capture_output=True).returncode == 0
    if not private or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=777", "tmpfs", out], capture_output=True).returncode:
        tally.skip("full disk", "mount is not permitted here")
        return
    try:
        for name, args, files in scene.outputs(out):
            for room in (0, 4096, 16384) if long else (4096,):
                for f in os.listdir(out):
                    os.remove(os.path.join(out, f))
                place = Place(out, files)
                with open(os.path.join(out, "filler"), "wb", buffering=0) as f:
                    free = os.statvfs(out).f_bfree * os.statvfs(out).f_bsize
                    f.write(bytes(max(free - room, 0)))
                judge(tally, "full disk", f"{name} with {room} bytes left", scene.run(*args), place,
                      may_succeed=room > 0, other=["filler"])
    finally:
        subprocess.run(["umount", out], check=False)


def failing_calls(scene, tally, long):
    """Each write, sync and rename of a command fails once (strace injects it)."""
    probe = subprocess.run(["strace", "--seccomp-bpf", "-f", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "/bin/true"],
                           capture_output=True) if shutil.which("strace") else None
    if probe is None or probe.returncode != 0:
        tally.skip("failing system calls", "no strace, or it may not trace here")
        return
    calls = [("fsync", "EIO"), ("rename", "EACCES"), ("pwrite64", "ENOSPC")]
    if long:
        calls += [("write", "EIO"), ("ftruncate", "EIO"), ("openat", "EMFILE")]
    with tempfile.TemporaryDirectory(dir=scene.folder) as out:
        for name, args, files in scene.outputs(out):
            log = scene.path("strace.log")
            for f in os.listdir(out):
                os.remove(os.path.join(out, f))
            traced = scene.run(*args, prefix=["strace", "--seccomp-bpf", "-f", "-o", log, "-e", "trace=" + ",".join(c for c, _ in calls)])
            assert traced.returncode == 0, traced.stderr
            with open(log, encoding="utf-8", errors="replace") as f:
                made = [re.search(r"(\w+)\(", line) for line in f]
            for call, error in calls:
                n = sum(m is not None and m[1] == call for m in made)
                # The last pwrite64 of a run file marks it as closed; when that one fails HDF5 itself crashes
                # (doc/reliability.md), so the one before stands for the end of the file.
                last = n - 1 if call == "pwrite64" else n
                some = {last} if call != "openat" else set()
                if call == "openat":  # loading the program is not ours: only calls on the output's folder
                    with open(log, encoding="utf-8", errors="replace") as f:
                        opened = [i for i, line in enumerate((x for x in f if "openat(" in x), 1) if out in line]
                    some = set(opened)
                elif long:
                    some |= set(range(1, last + 1, max(last // 20, 1)))
                for when in sorted(k for k in some if k >= 1):
                    for f in os.listdir(out):
                        os.remove(os.path.join(out, f))
                    place = Place(out, files)
                    done = scene.run(*args, prefix=["strace", "--seccomp-bpf", "-f", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                                                    f"inject={call}:error={error}:when={when}"])
                    # Some calls do not matter (a folder's sync, the search for leftovers).
                    kind = "failing system calls" + (" (survived)" if done.returncode == 0 else "")
                    judge(tally, kind, f"{name}: {call} number {when} of {n} {error}", done, place, may_succeed=True)


def main():
    long = len(sys.argv) > 2 and sys.argv[2] == "long"
    tally = Tally()
    with Scene(sys.argv[1]) as scene:
        unwritable_places(scene, tally)
        file_size_limits(scene, tally, long)
        full_disk(scene, tally, long)
        failing_calls(scene, tally, long)
    tally.finish()


main()
