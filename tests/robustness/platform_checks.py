#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: platform_checks.py PROGRAM   - locales, odd paths, no HOME, read-only current folder, two writers of one
output, output that would overwrite its input."""
import os
import shutil
import stat
import subprocess
import sys

from scenes import ANALYZE, ENV, TRAIN, Scene, Tally, leftovers

LOCALES = ["C", "de_DE.UTF-8", "tr_TR.UTF-8"]
ODD_NAMES = ["with space.txt", "new\nline.txt", "ü€𝄞.txt", "-dash.txt", "x" * 251 + ".txt", "quote'\"$(x).txt", "a,b=c.txt",
             "not UTF-8 \udcff.txt"]


def content(path):
    with open(path, "rb") as f:
        return f.read()


def locales(scene, tally):
    have = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.lower().replace("utf8", "utf-8")
    first = None
    for name in LOCALES:
        if name.lower() not in have.split():
            if shutil.which("localedef") is None:
                tally.skip(f"locale {name}", "not installed")
                continue
            made = scene.path("locales")
            os.makedirs(made, exist_ok=True)
            done = subprocess.run(["localedef", "-i", name.split(".")[0], "-f", "UTF-8", os.path.join(made, name)],
                                  capture_output=True)
            if not os.path.isdir(os.path.join(made, name)):
                tally.skip(f"locale {name}", f"cannot be made: {done.stderr.decode()[:80]}")
                continue
        env = {"LC_ALL": name, "LANG": name, "LOCPATH": scene.path("locales")} if name != "C" else {"LC_ALL": "C"}
        scene.must("train", "train.txt", "--valid", "valid.txt", "-o", "l.safetensors", *TRAIN, env=env)
        scene.must("analyze", "m.safetensors", "valid.tagged", "--format", "tagged", "-o", "l.nc", "--csv", "l.csv",
                   *ANALYZE, env=env)
        evaluated = scene.must("eval", "m.safetensors", "valid.txt", "--json", env=env).stdout
        scene.must("report", "run.nc", "-o", "l.html", env=env)
        same = [content(scene.path(f)) for f in ("l.safetensors", "l.csv", "l.html")] + [evaluated]
        first = first or same
        tally.check("locales", same == first, f"{name}: equal {[a == b for a, b in zip(same, first)]}")
    for f in ("l.safetensors", "l.nc", "l.csv", "l.html"):
        os.remove(scene.path(f))


def odd_paths(scene, tally):
    for name in ODD_NAMES:
        folder = scene.path("odd " + name[:20])
        os.makedirs(folder)
        corpus, model, run = (os.path.join(folder, p + name[len(p):] if len(name) > 250 else p + name)
                              for p in ("", "m", "r"))
        shutil.copy(scene.path("valid.tagged"), corpus)
        tagged = ["--format", "tagged"]
        for args in (["train", corpus, "--valid", corpus, *tagged, "-o", model, *TRAIN],
                     ["eval", model, corpus, *tagged],
                     ["analyze", model, corpus, *tagged, "-o", run, *ANALYZE],
                     ["report", run, "-o", model + "h" if len(name) < 250 else model]):
            done = scene.run(*args)
            tally.check("odd paths", done.returncode == 0 and not leftovers(folder),
                        f"{args[0]} with {name!r}: exit {done.returncode}, said {done.stderr.decode(errors='replace')!r}")
    relative = scene.run("eval", "m.safetensors", "--", "-dash.txt", cwd=scene.path("odd -dash.txt"))
    tally.check("odd paths", relative.returncode == 1, "a file that is not there, after --")
    missing = scene.run("eval", "m.safetensors", "no\nsuch\x1b[31m.txt")
    tally.check("odd paths", missing.returncode == 1 and missing.stderr.count(b"\n") == 1 and b"\x1b" not in missing.stderr,
                f"control characters reach the terminal: {missing.stderr!r}")


def poor_surroundings(scene, tally):
    here = scene.path("read-only")
    os.makedirs(here)
    os.chmod(here, 0o555)
    user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    out = scene.path("writable")
    os.makedirs(out)
    os.chmod(out, 0o777)
    for args in (["train", scene.path("train.txt"), "--valid", scene.path("valid.txt"), "-o", out + "/m", *TRAIN],
                 ["analyze", scene.path("m.safetensors"), scene.path("valid.txt"), "-o", out + "/r", "--delays", "3"],
                 ["report", scene.path("run.nc"), "-o", out + "/h"]):
        done = scene.run(*args, cwd=here, **user)
        tally.check("read-only current folder, no HOME", done.returncode == 0,
                    f"{args[0]}: exit {done.returncode}, said {done.stderr.decode(errors='replace')!r}")
    assert "HOME" not in ENV


def two_writers(scene, tally):
    """Two commands at once, one output: it is byte for byte what one of them writes alone."""
    once = {"SOURCE_DATE_EPOCH": "1"}  # a run file says when it was made
    train = [["train", "train.txt", "--valid", "valid.txt", "-o", "race", *TRAIN, "--seed", seed] for seed in "12"]
    analyze = [["analyze", "m.safetensors", f"{part}.txt", "-o", "race", "--delays", "3", "--quiet"]
               for part in ("train", "valid")]
    for pair in (train, analyze):
        alone = []
        for args in pair:
            scene.must(*args, env=once)
            alone.append(content(scene.path("race")))
        assert alone[0] != alone[1]
        for _ in range(3):
            both = [subprocess.Popen([scene.program, *args], cwd=scene.folder, env={**ENV, **once},
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                    for args in pair]
            said = [p.communicate(timeout=300)[1] for p in both]
            whole = content(scene.path("race")) in alone
            tally.check(f"two writers of one output: {pair[0][0]}",
                        whole and all(p.returncode == 0 for p in both) and not leftovers(scene.folder),
                        f"whole {whole}, said {said}, left {leftovers(scene.folder)}")
    os.remove(scene.path("race"))


def output_over_input(scene, tally):
    """Whatever is read is not written to: by name, by another spelling, by a hard or symbolic link."""
    os.link(scene.path("m.safetensors"), scene.path("hard.safetensors"))
    os.link(scene.path("run.nc"), scene.path("hard.nc"))
    os.link(scene.path("train.txt"), scene.path("hard.txt"))
    cases = [
        ["train", "train.txt", "--valid", "valid.txt", *TRAIN, "-o", "train.txt"],
        ["train", "train.txt", "--valid", "valid.txt", *TRAIN, "-o", "./valid.txt"],
        ["train", "train.txt", "--valid", "valid.txt", *TRAIN, "-o", "hard.txt"],
        ["train", "train.txt", "--valid", "valid.txt", *TRAIN, "-o", "x", "--checkpoint", "train.txt"],
        ["train", "train.txt", "--valid", "valid.txt", *TRAIN, "-o", "x", "--checkpoint", "x"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "m.safetensors"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "hard.safetensors"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "valid.txt"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "x", "--csv", "valid.txt"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "x", "--csv", "x"],
        ["analyze", "m.safetensors", "valid.txt", "--delays", "3", "-o", "x", "--checkpoint", "m.safetensors"],
        ["report", "run.nc", "-o", "run.nc"],
        ["report", "run.nc", "-o", "hard.nc"],
        ["import", "m.safetensors", "-o", "./m.safetensors"],
        ["merge", "part1.nc", "part2.nc", "-o", "part1.nc"],
        ["show", "m.safetensors", "--text", "the noun1", "-o", "m.safetensors"],
    ]
    for name, text in (("words.txt", "noun: noun1 noun2\n"), ("pairs.txt", "noun1 noun2\n")):
        with open(scene.path(name), "w", encoding="utf-8") as f:
            f.write(text)
    analyze = ["analyze", "m.safetensors", "valid.txt", "--delays", "3"]
    cases += [
        [*analyze, "--classes", "words:words.txt", "-o", "words.txt"],
        [*analyze, "--classes", "lexicon:pairs.txt,groups=./words.txt", "-o", "x", "--csv", "words.txt"],
        [*analyze, "--property", "p=pairs.txt", "-o", "x", "--checkpoint", "pairs.txt"],
        [*analyze, "--property", "p=words.txt-pairs.txt", "-o", "./pairs.txt"],
        ["import", "m.safetensors", "--vocab", "words.txt", "-o", "words.txt"],
        ["show", "m.safetensors", "--vocab", "words.txt", "--text", "the noun1", "-o", "words.txt"],
        ["merge", "part1.nc", "part2.nc", "-o", "x", "--csv", "x"],
        ["track", "run.nc", "--property", "p=noun1-noun2", "-o", "x", "--csv", "x"],
        ["track", "run.nc", "--property", "p=pairs.txt", "-o", "pairs.txt"],
        ["track", "run.nc", "--property", "p=pairs.txt", "--csv", "pairs.txt"],
    ]
    inputs = ["words.txt", "pairs.txt", "train.txt", "valid.txt", "m.safetensors", "run.nc", "part1.nc", "part2.nc"]
    before = {f: content(scene.path(f)) for f in inputs}
    for args in cases:
        done = scene.run(*args)
        kept = all(content(scene.path(f)) == before[f] for f in inputs)
        tally.check("output never overwrites the input", done.returncode in (1, 2) and kept and
                    done.stderr.count(b"\n") == 1,
                    f"{' '.join(args)}: exit {done.returncode}, kept {kept}, said {done.stderr.decode()!r}")
        for f in inputs:
            if content(scene.path(f)) != before[f]:
                with open(scene.path(f), "wb") as out:
                    out.write(before[f])


def foreign_run_files(scene, tally):
    """A run file that leads elsewhere is refused: nothing outside it is read."""
    try:
        import h5py
    except ImportError:
        tally.skip("run files that lead elsewhere", "python3 has no h5py")
        return
    whole = content(scene.path("run.nc"))[:-24]  # without its checksum, as somebody who means harm would write it
    with open(scene.path("other.h5"), "wb") as f:
        f.write(whole)

    def replaced(group, name, make):
        with h5py.File(scene.path("foreign.nc"), "r+") as f:
            old = f[group][name]
            shape, scales = old.shape, [list(d.values()) for d in old.dims] if isinstance(old, h5py.Dataset) else []
            del f[group][name]
            make(f[group], name, shape)
            for dim, list_of_scales in zip(f[group][name].dims if scales else [], scales):
                for scale in list_of_scales:
                    dim.attach_scale(scale)

    def external(g, name, shape):
        g.create_dataset(name, shape=shape, dtype="f8", external=[(scene.path("other.h5"), 0, h5py.h5f.UNLIMITED)])

    def virtual(g, name, shape):
        layout = h5py.VirtualLayout(shape=shape, dtype="f8")
        layout[...] = h5py.VirtualSource(scene.path("other.h5"), "layer1.cell/" + name, shape=shape)
        g.create_virtual_dataset(name, layout)

    def group_elsewhere():
        with h5py.File(scene.path("foreign.nc"), "r+") as f:
            del f["layer1.cell"]
            f["layer1.cell"] = h5py.ExternalLink(scene.path("other.h5"), "/layer1.cell")

    cases = {"a link to another file": group_elsewhere,
             "data in another file": lambda: replaced("layer1.cell", "coherence", external),
             "a virtual dataset": lambda: replaced("layer1.cell", "coherence", virtual),
             "a filter other than deflate": lambda: replaced("layer1.cell", "coherence", lambda g, name, shape:
                                                             g.create_dataset(name, data=0.5 + 0 * g["effective_rank"][...],
                                                                              compression="lzf"))}
    for what, make in cases.items():
        with open(scene.path("foreign.nc"), "wb") as f:
            f.write(whole)
        make()
        done = scene.run("info", "foreign.nc")
        err = done.stderr.decode(errors="replace")
        tally.check("run files that lead elsewhere", done.returncode == 1 and err.count("\n") == 1 and what in err,
                    f"{what}: exit {done.returncode}, said {err!r}")


def addresses(scene, tally):
    """Folders may be called like a server: a path is a path, and no connection is tried. (NetCDF would.)"""
    server = "http://127.0.0.1:9"
    os.makedirs(scene.path("http:", "127.0.0.1:9"))
    shutil.copy(scene.path("run.nc"), scene.path("http:", "127.0.0.1:9", "run.nc"))
    for args in (["info", server + "/run.nc"], ["words", server + "/run.nc"],
                 ["track", server + "/run.nc", "--property", "article=DT-NN", "-q", "-o", server + "/tracked.nc"],
                 ["analyze", "m.safetensors", "valid.txt", "-o", server + "/new.nc", "--delays", "3", "--quiet"],
                 ["info", server + "/new.nc"]):
        done = scene.run(*args)
        tally.check("paths like addresses", done.returncode == 0,
                    f"{args[0]}: exit {done.returncode}, said {done.stderr.decode(errors='replace')!r}")


def main():
    tally = Tally()
    with Scene(sys.argv[1]) as scene:
        locales(scene, tally)
        odd_paths(scene, tally)
        poor_surroundings(scene, tally)
        two_writers(scene, tally)
        output_over_input(scene, tally)
        foreign_run_files(scene, tally)
        addresses(scene, tally)
    tally.finish()


main()
