#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Every command that README and --help show is run as it is written there, by a shell, on small real files of the same
names. usage: documented_commands.py STATEGRAD SOURCE_ROOT

README: each line of a code block is a command, or follows one that begins with "$" and is what it prints. --help: each
line that begins with "stategrad". A line of neither kind, a command without an example, or a command whose files this
test does not know, fails. doc/questions.md likewise, on the first sentences of its corpus. Commands run in the order of the page: what one writes, the next ones read; only the model
that `train` has written is changed for a smaller one of the same words, since analyses of it would take minutes."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import torch
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

PROGRAM, ROOT = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.path.insert(0, os.path.join(ROOT, "tests", "helpers"))
import english  # noqa: E402

# Not run here: they install packages or fetch a corpus. What they do is run elsewhere, or is looked at below.
LEFT_OUT = {
    "make demo": "fetches a corpus; the commands of tools/demo are those of README",
    "make check": "runs this test",
    "sudo make install": "installs into the system; tests/robustness/install.py installs into a folder",
}
ANALYSIS = ["heldout.txt", "--format", "tagged", "--classes", "tags", "--classes", "tags,groups=brown-groups.txt", "--delays", "7", "--quiet"]
SMALL = ["--epochs", "1", "--embedding-size", "8", "--hidden-size", "16", "--quiet"]  # models that a command only reads


def logical_lines(text):
    return re.sub(r" *\\\n *", " ", text).split("\n")


def readme_commands(text):
    """The commands in the code blocks of a Markdown page."""
    found = []
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.S | re.M)
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M) + [body for kind, body in fenced if kind in ("", "sh", "bash")]
    for block in blocks:
        output = False
        for line in logical_lines(block):
            line = line.strip()
            if line.startswith("$ "):
                found.append(line[2:])
                output = True
            elif line and not output:
                found.append(re.sub(r" +#.*", "", line))
            if not line:
                output = False
    return found


def help_commands(text):
    lines = [re.sub(r"^example: ", "", line.strip()) for line in logical_lines(text) if not line.startswith("usage:")]
    return [line for line in lines if re.match(r"stategrad (?!- )", line) and "COMMAND" not in line]


def stategrad(folder, *args):
    subprocess.run([PROGRAM, *map(str, args)], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text)


def foreign_models(folder):
    """lm.pt and its words, chars.pt and its characters, raw kernels."""
    words = sorted({w for s in english.sentences() for w in s})[:200] + ["<unk>"]
    write(folder, "words.txt", "\n".join(words) + "\n")
    write(folder, "chars.json", '["' + '", "'.join("abcdefghijklmnopqrstuvwxyz .,") + '", "\\n"]')
    torch.manual_seed(1)
    for name, n in (("lm.pt", len(words)), ("chars.pt", 30)):
        rnn = {f"rnn.{k}": v for k, v in torch.nn.LSTM(6, 10).state_dict().items()}
        tensors = {"encoder.weight": torch.randn(n, 6), **rnn, "decoder.weight": torch.randn(n, 10), "decoder.bias": torch.zeros(n)}
        torch.save({"model": tensors, "vocab": words} if name == "lm.pt" else tensors, os.path.join(folder, name))
    np.save(os.path.join(folder, "kernel.npy"), np.random.RandomState(1).randn(6 + 10, 40).astype("f4"))
    np.save(os.path.join(folder, "bias.npy"), np.zeros(40, "f4"))


def given_files(folder):
    """What the pages take for granted: corpora, lists of words, models from elsewhere."""
    parts = english.sentences()
    write(folder, "train.txt", english.plain(parts[:40]))
    write(folder, "valid.txt", english.plain(parts[40:50]))
    write(folder, "test.txt", english.plain(parts[50:60]))
    for name in ("heldout.txt", "brown.txt"):
        write(folder, name, english.tagged(parts[60:85]))
    write(folder, "brown-groups.txt", english.groups())
    write(folder, "animate.txt", "user\nauthor\nlicensee\nyou\nwe\n")
    write(folder, "inanimate.txt", "program\nwork\nlicense\nsoftware\n")
    write(folder, "pairs.txt", "work works\nuser users\ncopy copies\n")
    write(folder, "agreement.tsv", "good\tbad\tcondition\trole:subject\trole:verb\nthe user is here\tthe user are here\tsg\t2\t3\n"
          "the users are here\tthe users is here\tpl\t2\t3\n")
    write(folder, "blimp.jsonl", '{"sentence_good": "The work is here.", "sentence_bad": "The work are here.", "UID": "agreement"}\n')
    foreign_models(folder)
    stategrad(folder, "train", "train.txt", "--valid", "valid.txt", "-o", "small.safetensors", *SMALL)


def made_files(folder):
    """What other commands have made before: models and runs."""
    shutil.copy(os.path.join(folder, "small.safetensors"), os.path.join(folder, "model.safetensors"))
    stategrad(folder, "analyze", "model.safetensors", *ANALYSIS, "-o", "run.nc")
    for i in (1, 2):
        stategrad(folder, "analyze", "model.safetensors", *ANALYSIS, "--part", f"{i}/2", "-o", f"part{i}.nc")


def run_files(folder):
    for name, cell in (("lstm", "lstm"), ("gru", "gru")):
        stategrad(folder, "train", "train.txt", "--valid", "valid.txt", "--cell", cell, "-o", f"{name}.safetensors", *SMALL)
        stategrad(folder, "analyze", f"{name}.safetensors", "valid.txt", "--delays", "7", "--quiet", "-o", f"{name}.nc")
    for i in (1, 2):
        stategrad(folder, "analyze", "lstm.safetensors", "heldout.txt", "--format", "tagged", "--classes", "tags,groups=brown-groups.txt",
                  "--part", f"{i}/2", "--delays", "7", "--quiet", "-o", f"part{i}.nc")


def outputs(command):
    """Files and folders that a command says it writes; cluster writes the script alone."""
    if command.startswith("stategrad cluster "):
        return [os.path.splitext(name)[0] + ("-train.sh" if " train " in command else ".sh") for name in re.findall(r" -o (\S+)", command)]
    return re.findall(r"(?: -o| --output| --csv)[ =](\S+)", command)


class Page:
    """A folder in which the commands of one page run, `stategrad` being the program under test."""

    def __init__(self, top, name, given):
        self.name, self.folder = name, os.path.join(top, name)
        shutil.copytree(given, self.folder)
        os.symlink(PROGRAM, os.path.join(self.folder, "stategrad"))  # where `make` leaves it
        os.mkdir(os.path.join(self.folder, "demo"))
        shutil.copy(os.path.join(given, "small.safetensors"), os.path.join(self.folder, "demo", "model.safetensors"))
        self.failures, self.ran, self.keeps_models = 0, 0, False

    def run(self, command):
        for name in outputs(command):  # what is written must not have been there
            path = os.path.join(self.folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
        env = {**os.environ, "PATH": os.path.dirname(self.folder) + "/bin:" + os.environ["PATH"], "OMP_NUM_THREADS": "2"}
        r = subprocess.run(["bash", "-ec", command], cwd=self.folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        missing = [name for name in outputs(command) if name != "-" and not os.path.exists(os.path.join(self.folder, name))]
        self.ran += 1
        if command.startswith("stategrad train ") and not missing and not self.keeps_models:
            shutil.copy(os.path.join(self.folder, "small.safetensors"), os.path.join(self.folder, outputs(command)[0]))
        if r.returncode != 0 or missing or not r.stdout and not outputs(command):
            self.failures += 1
            print(f"FAILED {self.name}: {command}\n       exit {r.returncode}, not written: {missing}\n       {r.stderr.strip()[-600:]}")
        return r


def test_readme(top, given):
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    page = Page(top, "README", given)
    run_files(page.folder)
    commands = readme_commands(text)
    for command in commands:
        if command in LEFT_OUT:
            print(f"left out: {command} ({LEFT_OUT[command]})")
        else:
            page.run(command)
    for expression in re.findall(r"`(xarray\.[^`]+)`", text):
        r = subprocess.run([sys.executable, "-c", f"import xarray; print({expression}['singular_value'].values.max())"],
                           cwd=page.folder, capture_output=True, text=True)
        if r.returncode or not float(r.stdout) > 0:
            page.failures += 1
            print(f"FAILED README: {expression}: {r.stderr[-300:]}")
    shown = {c.split()[1] for c in commands if c.startswith("stategrad ")}
    return page, shown


def test_questions(top, given):
    """doc/questions.md, on the first sentences of its corpus, beside the folder as in a clone."""
    page = Page(top, "questions", given)
    page.keeps_models = True  # the words of the classes are those of its own corpus
    source = os.path.join(ROOT, "..", "shared", "data", "ud-english-ewt")
    if not os.path.isdir(source):
        print("left out: doc/questions.md (no", source + ")")
        return page
    os.makedirs(os.path.join(top, "shared", "data", "ud-english-ewt"))
    for name, n in (("train.conllu", 400), ("dev.conllu", 150), ("test.conllu", 150)):
        with open(os.path.join(source, name), encoding="utf-8") as f:
            write(os.path.join(top, "shared", "data", "ud-english-ewt"), name, "\n\n".join(f.read().split("\n\n", n)[:n]) + "\n\n")
    with open(os.path.join(ROOT, "doc", "questions.md"), encoding="utf-8") as f:
        commands = [c for c in readme_commands(f.read()) if c.startswith("stategrad ")]  # the rest is what they print
    for command in commands:
        page.run(command)
    if sum(c.startswith("stategrad compare ") for c in commands) < 7:
        page.failures += 1
        print("FAILED questions.md: fewer than seven comparisons")
    return page


def test_help(top, given, made):
    """The main page from the given files alone; each command's page where models and runs are there already."""
    text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    page = Page(top, "help", given)
    for command in help_commands(text):
        page.run(command)
    if page.ran < 3:
        page.failures += 1
        print("FAILED --help: fewer than three commands in its first five minutes")
    pages = [page]
    names = re.findall(r"^  ([a-z]+) +\S", text, re.M)
    names = [n for n in names if n not in ("stategrad", "help")]
    for name in names:
        text = subprocess.run([PROGRAM, name, "--help"], capture_output=True, text=True, check=True).stdout
        page = Page(top, f"help-{name}", made)
        for command in help_commands(text):
            page.run(command)
        if not page.ran:
            page.failures += 1
            print(f"FAILED {name} --help: it shows no example")
        pages.append(page)
    return pages, set(names)


def main():
    with tempfile.TemporaryDirectory() as top:
        os.mkdir(os.path.join(top, "bin"))
        os.symlink(PROGRAM, os.path.join(top, "bin", "stategrad"))
        given, made = os.path.join(top, "given"), os.path.join(top, "made")
        os.mkdir(given)
        given_files(given)
        shutil.copytree(given, made)
        made_files(made)
        shutil.copy(os.path.join(made, "run.nc"), os.path.join(made, "lstm.nc"))
        stategrad(made, "train", "train.txt", "--cell", "gru", "-o", "gru.safetensors", *SMALL)
        stategrad(made, "analyze", "gru.safetensors", *ANALYSIS, "-o", "gru.nc")
        for cell, seed in ((cell, seed) for cell in ("lstm", "gru") for seed in (1, 2, 3)):  # groups of models
            stategrad(made, "train", "train.txt", "--cell", cell, "--seed", seed, "-o", "seed.safetensors", *SMALL)
            stategrad(made, "analyze", "seed.safetensors", "valid.txt", "--delays", "3", "--quiet", "-o", f"{cell}{seed}.nc")
        readme, shown = test_readme(top, given)
        pages, names = test_help(top, given, made)
        pages.append(test_questions(top, given))
    pages.append(readme)
    if names - shown:
        readme.failures += 1
        print("FAILED README shows no command for:", *sorted(names - shown))
    failures = sum(p.failures for p in pages)
    print(f"{sum(p.ran for p in pages)} commands run, {failures} failed")
    return failures != 0


sys.exit(main())
