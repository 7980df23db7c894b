#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""usage: class_expressions.py PROGRAM   - classes by random expressions over made corpora, against a naive evaluator.

Corpora in CoNLL-U with tags that are operators, quotes and spaces' neighbours; class files and groups. Random trees are written
as text with parentheses, blanks, quotes and columns where the grammar allows them, and evaluated word by word here. Compared:
tokens of each class, its words with their counts, names and tokens of crossings, and the directions of properties whose sides
are expressions with those of named classes."""
import os
import random
import re
import subprocess
import sys
import tempfile

import netCDF4
import numpy as np

PROGRAM = os.path.abspath(sys.argv[1])
OPERATORS = "&|*()\""
UPOS = ["NOUN", "VERB", "ADJ", "PUNCT", "X"]
XPOS = {"NOUN": ["NN", "NNS", "PRP$"], "VERB": ["VB", "DO*", "-LRB-"], "ADJ": ["JJ", "a b", "!", "X"], "PUNCT": ["(", ")", "\"", "|"], "X": ["FW", "&"]}
FEATS = ["Number=Plur", "Number=Sing", "Case=Nom", "Number[psor]=Sing", "Odd=a&b"]


def corpus(rng, sentences):
    """[[(form, upos, xpos, feats)]]: a word has its tags mostly, not always."""
    words = {}
    for i in range(60):
        u = rng.choice(UPOS)
        words[f"w{i}"] = (u, rng.choice(XPOS[u]), tuple(sorted(rng.sample(FEATS, rng.randrange(3)))))
    out = []
    for _ in range(sentences):
        line = []
        for _ in range(rng.randrange(1, 9)):
            w = f"w{min(int(rng.expovariate(0.08)), 59)}"
            u, x, f = words[w]
            if rng.random() < 0.1:
                u = rng.choice(UPOS)
                x = rng.choice(XPOS[u])
            line.append((w, None if rng.random() < 0.02 else u, x, f))
        out.append(line)
    return out


def write_conllu(path, sentences):
    with open(path, "w", encoding="utf-8") as f:
        for line in sentences:
            for i, (w, u, x, feats) in enumerate(line, 1):
                f.write(f"{i}\t{w}\t_\t{u or '_'}\t{x}\t{'|'.join(feats) or '_'}\t0\t_\t_\t_\n")
            f.write("\n")


class World:
    """What a token's labels are: sets of (column, label); its frequency rank, 0 outside the vocabulary."""

    def __init__(self, sentences, ranks, pets, groups):
        self.tokens = []
        for line in sentences:
            for w, u, x, feats in line:
                has = {("xpos", x)} | {("feats", v) for v in feats} | ({("upos", u)} if u else set())
                has |= {("class", c) for c, members in pets.items() if w in members}
                has |= {("class", g) for g, tags in groups.items() if x in tags}
                self.tokens.append((w, has, ranks.get(w, 0)))
        self.labels = sorted({l for _, has, _ in self.tokens for l in has})


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


def is_bare(text):
    return not any(c in OPERATORS for c in text) and text[0] != "!" and text.strip() == text


class Expressions:
    def __init__(self, rng, world):
        self.rng, self.world = rng, world

    def blank(self):
        return self.rng.choice(["", "", "", " ", "  "])

    def leaf(self):
        """(text, function of a token)"""
        kind = self.rng.random()
        if kind < 0.15:
            a = self.rng.randrange(1, 40)
            b = a + self.rng.randrange(30)
            return f"rank{self.rng.choice(['', ' '])}{a}-{b}", lambda t: a <= t[2] <= b
        if kind < 0.2:
            return "all", lambda t: True
        if kind < 0.25:
            return "out of vocabulary", lambda t: t[2] == 0
        column, label = self.rng.choice(self.world.labels)
        if self.rng.random() < 0.5 and sum(name == label for _, name in self.world.labels) == 1: # one meaning
            text = label if is_bare(label) and self.rng.random() < 0.7 else quoted(label)
            return text, lambda t: any(name == label for _, name in t[1])
        text = label if is_bare(label) or label == "!" else quoted(label)
        return f"{column}:{text}", lambda t: (column, label) in t[1]

    def tree(self, depth):
        """(text, its binding: 0 union, 1 intersection, 2 part, function)"""
        kind = self.rng.random()
        if depth == 0 or kind < 0.15:
            text, f = self.leaf()
            return text, 2, f
        if kind < 0.35:
            text, binding, f = self.tree(depth - 1)
            return "!" + self.blank() + self.inside(text, binding, 2), 2, lambda t: not f(t)
        binding = 0 if kind < 0.65 else 1
        parts = [self.tree(depth - 1) for _ in range(self.rng.randrange(2, 4))]
        sign = self.blank() + "|&"[binding] + self.blank()
        text = sign.join(self.inside(x, b, binding) for x, b, _ in parts)
        functions = [f for _, _, f in parts]
        return text, binding, (lambda t: all(f(t) for f in functions)) if binding else (lambda t: any(f(t) for f in functions))

    def inside(self, text, binding, needed):
        """Parentheses where they are needed, and sometimes where not."""
        if binding < needed or self.rng.random() < 0.15:
            return f"({self.blank()}{text}{self.blank()})"
        return text


def analyse(folder, arguments):
    run = os.path.join(folder, "run.nc")
    subprocess.run([PROGRAM, "analyze", os.path.join(folder, "m.safetensors"), *arguments, "-d", "1", "-q", "-o", run], check=True, stderr=subprocess.DEVNULL)
    with netCDF4.Dataset(run) as f:
        words = list(f["word"][:])
        names = list(f["class_name"][:])
        tokens = dict(zip(names, map(int, f["class_tokens"][:])))
        members = {n: {} for n in names}
        for w, c, n in zip(f["member_word"][:], f["member_class"][:], f["member_count"][:]):
            members[names[int(c)]][words[int(w)]] = int(n)
        state = f.groups[next(iter(f.groups))]
        gains = {str(p): float(np.ma.filled(state["property_gain"][i, 0, 0], np.nan)) for i, p in enumerate(f["property_name"][:])} if "property_name" in f.variables else {}
    return names, tokens, members, gains, words


def say(what, found, expected):
    sys.exit(f"{what}: {found}, expected {expected}")


def compare(name, text, function, world, tokens, members, known):
    inside = [t for t in world.tokens if function(t)]
    if tokens.get(name) != len(inside):
        say(f"{text}: tokens", tokens.get(name), len(inside))
    counts = {}
    for w, _, _ in inside:
        if w in known:
            counts[w] = counts.get(w, 0) + 1
    if members[name] != counts:
        say(f"{text}: words", members[name], counts)


def families(world, bands):
    """spec: members of a token, in any order"""
    def column(name):
        return lambda t: [l for c, l in t[1] if c == name]
    return {"upos": column("upos"), "xpos": column("xpos"), "feats": column("feats"), "frequency": lambda t: [bands(t[2])]}


def bare_names(tokens):
    """Without what distinguishes classes that have one name."""
    out = {}
    for name, n in tokens.items():
        name = re.sub(r"(^|&)(expression:|upos:|xpos:)", r"\1", name)
        out[name] = out.get(name, 0) + n
    return out


def check_crossings(rng, folder, world, files, make):
    of = families(world, lambda r: "out of vocabulary" if not r else f"rank {10 ** (len(str(r - 1)) - 1) + 1 if r > 10 else 1}-{10 ** max(1, len(str(r - 1)))}")
    for _ in range(4):
        factors = []
        for _ in range(rng.randrange(2, 4)):
            if rng.random() < 0.3:
                text, _, f = make.tree(1)
                factors.append((text, lambda t, text=text, f=f: [text.strip()] if f(t) else []))
            else:
                spec = rng.choice(list(of))
                factors.append((spec, of[spec]))
        if all(spec not in of for spec, _ in factors):
            factors[0] = ("upos", of["upos"])
        text = "*".join(spec for spec, _ in factors)
        expected = {}
        for t in world.tokens:
            names = {""}
            for i, (_, members) in enumerate(factors):
                names = {n + ("&" if i else "") + m for n in names for m in members(t)}
            for n in names:
                expected[n] = expected.get(n, 0) + 1
        if not expected:
            continue
        names, tokens, _, _, _ = analyse(folder, [files["corpus"], *(a for s in files["specs"] for a in ("--classes", s)), "--classes", text])
        base = len(files["names"]) + 1
        found, expected = bare_names({n: tokens[n] for n in names[base:]}), bare_names(expected)
        if found != expected:
            say(f"{text}: classes", found, expected)


def one_world(seed, folder):
    rng = random.Random(seed)
    train, sentences = corpus(rng, 60), corpus(rng, 50)
    paths = {"corpus": os.path.join(folder, "c.conllu")}
    write_conllu(paths["corpus"], sentences)
    write_conllu(os.path.join(folder, "t.conllu"), train)
    subprocess.run([PROGRAM, "train", os.path.join(folder, "t.conllu"), "--vocab-size", "40", "--embedding-size", "3", "--hidden-size", "3",
                    "--steps", "5", "--batch", "2", "--epochs", "1", "-q", "-o", os.path.join(folder, "m.safetensors")], check=True)
    used = sorted({w for line in sentences for w, _, _, _ in line})
    tags = sorted({x for line in sentences for _, _, x, _ in line})
    pets = {"pets": set(used[:7]), "a&b|c": set(used[3:12])}
    groups = {"first tags": set(tags[:4]), "others": set(tags[3:9])}
    for name, sets in (("pets", pets), ("groups", groups)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            if name == "pets":
                f.writelines(f"{n}: {' '.join(sorted(m))}\n" for n, m in sets.items())
            else:
                groups = {n: {t for t in m if " " not in t} for n, m in sets.items()}
                f.writelines(f"{n}: {' '.join(sorted(m))}\n" for n, m in groups.items())
    paths["specs"] = ["words:" + os.path.join(folder, "pets"), "xpos,groups=" + os.path.join(folder, "groups")]
    paths["names"] = list(pets) + list(groups)
    specs = [a for s in paths["specs"] for a in ("--classes", s)]
    _, _, _, _, known = analyse(folder, [paths["corpus"], *specs])
    count = {}
    for line in train:
        for w, _, _, _ in line:
            count[w] = count.get(w, 0) + 1
        count["<eos>"] = count.get("<eos>", 0) + 1
    ranked = sorted((i for i, w in enumerate(known) if w != "<unk>"), key=lambda i: (-count[known[i]], i))
    ranks = {known[i]: r for r, i in enumerate(ranked, 1)}
    world = World(sentences, ranks, pets, groups)
    make = Expressions(rng, world)
    cases = []
    while len(cases) < 40:
        text, _, f = make.tree(rng.randrange(1, 5))
        if any(f(t) for t in world.tokens):
            cases.append((f"e{len(cases)}", text, f))
    odd = [(text, text.strip(), f) for text, _, f in (make.tree(2) for _ in range(6)) if any(f(t) for t in world.tokens) and re.search(r'[&|!("]', text)]
    options = [a for n, text, _ in cases for a in ("--classes", f"{n}={text}")]
    options += ["--classes", '"Odd = name"=e0|e1', "--classes", "later=!e2&e3|e4"]
    for text in dict.fromkeys(t for t, _, _ in odd):
        options += ["--classes", text]
    f0, f1, f2, f3, f4 = (f for _, _, f in cases[:5])
    cases += [("Odd = name", "e0|e1", lambda t: f0(t) or f1(t)), ("later", "!e2&e3|e4", lambda t: (not f2(t) and f3(t)) or f4(t))]
    cases += [(name, text, f) for text, name, f in odd if [n for _, n, _ in odd].count(name) == 1]
    properties = []
    plain = [c for c in cases[:40] if "-" not in c[1]]
    for i in range(0, len(plain) - 1, 2):
        a, b = plain[i], plain[i + 1]
        properties += ["--property", f"p{i}={a[0]}-{b[0]}", "--property", f"q{i}={a[1]}-{b[1]}"]
    names, tokens, members, gains, _ = analyse(folder, [paths["corpus"], *specs, *options, *properties])
    later = [c for c in cases if c[0] == "later"]
    if any(later[0][2](t) for t in world.tokens) != (tokens.get("later", 0) > 0):
        say("later", tokens.get("later"), "as evaluated")
    for name, text, f in cases:
        compare(name, text, f, world, tokens, members, known)
    compared = 0
    for p, x in gains.items():
        if p[0] == "p":
            y = gains["q" + p[1:]]
            if not (x == y or (x != x and y != y)):
                say(f"property {properties}: {p}", y, x)
            compared += x == x
    check_crossings(rng, folder, world, paths, make)
    return len(cases), compared


def main():
    n = m = 0
    for seed in range(4):
        with tempfile.TemporaryDirectory(prefix="stategrad-expressions-") as folder:
            a, b = one_world(seed, folder)
            n, m = n + a, m + b
    if m < 20:
        say("properties compared", m, "20 at least")
    print(f"{n} expressions and {m} properties agree")


main()
