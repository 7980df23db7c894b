#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Vocabularies from files: lines, JSON, and Hugging Face's tokenizer.json (WordLevel, WordPiece, BPE). How a text is cut
is seen through `eval` of a model whose score of a word depends on the word alone: the mean loss tells the tokens."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

import numpy as np

program = sys.argv[1]
folder = tempfile.mkdtemp(prefix="sg_vocabulary_")
path = lambda name: os.path.join(folder, name)
failures = checks = 0


def unigram_model(V):
    """A net whose state is always 0: the scores are the decoder's bias. Loss of token w: log sum exp(bias) - bias[w]."""
    E, H = 2, 2
    bias = -np.log(np.arange(2, V + 2, dtype=np.float64)) * 1.3
    tensors = {"encoder.weight": np.zeros((V, E)), "rnn.weight_ih_l0": np.zeros((H, E)), "rnn.weight_hh_l0": np.zeros((H, H)),
               "decoder.weight": np.zeros((V, H)), "decoder.bias": bias}
    header, data = {}, b""
    for name, t in tensors.items():
        raw = t.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path("model"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    return np.log(np.exp(bias).sum()) - bias


def write_vocabulary(v):
    with open(path("vocab"), "wb") as f:
        f.write(v if isinstance(v, bytes) else (v if isinstance(v, str) else json.dumps(v)).encode())


def tokens_are(what, vocabulary, V, text, want, args=()):
    """eval of `text` must cost what the tokens `want` (ids) cost, predicted from the second on."""
    global failures, checks
    checks += 1
    loss = unigram_model(V)
    with open(path("text"), "w") as f:
        f.write(text)
    write_vocabulary(vocabulary)
    p = subprocess.run([program, "eval", path("model"), path("text"), "--vocab", path("vocab"), "--no-eos", "--json", *args],
                       capture_output=True, text=True)
    if p.returncode == 0: # and again through a model file of ours, which carries the rules
        subprocess.run([program, "import", "-q", path("model"), "--vocab", path("vocab"), "-o", path("ours"), *args], check=True)
        q = subprocess.run([program, "eval", path("ours"), path("text"), "--no-eos", "--json"], capture_output=True, text=True)
        if q.stdout != p.stdout:
            failures += 1
            print(f"FAIL {what}: through a model file {q.stdout}{q.stderr} instead of {p.stdout}")
    got = json.loads(p.stdout) if p.returncode == 0 else {"tokens": -1, "nats_per_token": 0}
    nats = loss[want[1:]].mean()
    if got["tokens"] != len(want) - 1 or not abs(got["nats_per_token"] - nats) < 1e-5 * nats:
        failures += 1
        print(f"FAIL {what}: {p.stdout.strip()} {p.stderr.strip()}, expected {len(want) - 1} tokens, {nats:.6f} nats")


def refused(what, vocabulary, V, *words, text="a b"):
    global failures, checks
    checks += 1
    unigram_model(V)
    with open(path("text"), "w") as f:
        f.write(text)
    write_vocabulary(vocabulary)
    p = subprocess.run([program, "eval", path("model"), path("text"), "--vocab", path("vocab"), "--no-eos"],
                       capture_output=True, text=True)
    lines = [l for l in p.stderr.strip().split("\n") if "warning" not in l]
    if p.returncode != 1 or len(lines) != 1 or any(w not in p.stderr for w in words):
        failures += 1
        print(f"FAIL {what}: exit {p.returncode}, {p.stderr.strip()}, expected a refusal with {words}")


def train_with(vocabulary):
    write_vocabulary(vocabulary)
    with open(path("text"), "w") as f:
        f.write("the cat sat the\n" * 40)
    return subprocess.run([program, "train", path("text"), "--vocab", path("vocab"), "--no-eos", "--embedding-size", "1", "--hidden-size", "1", "--epochs", "1",
                           "--batch", "1", "--steps", "2", "-q", "-o", path("trained")], capture_output=True, text=True)


def trained_with(what, vocabulary, words):
    """train, which knows no number of words, takes the same words from the file."""
    global failures, checks
    checks += 1
    p = train_with(vocabulary)
    got = p.stderr
    if p.returncode == 0:
        with open(path("trained"), "rb") as f:
            got = json.loads(json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))["__metadata__"]["vocabulary"])
    if got != words:
        failures += 1
        print(f"FAIL train --vocab, {what}: {got}, expected {words}")


# ---- plain vocabularies ----
tokens_are("lines", "the\ncat\nsat\n", 3, "the cat sat the", [0, 1, 2, 0])
tokens_are("a JSON list", ["the", "cat", "sat"], 3, "the cat sat the", [0, 1, 2, 0])
tokens_are("a JSON map", {"sat": 2, "the": 0, "cat": 1}, 3, "the cat sat the", [0, 1, 2, 0])
tokens_are("a JSON map with holes", {"sat": 4, "the": 1, "cat": 2}, 6, "the cat sat the", [1, 2, 4, 1])
tokens_are("[UNK] is <unk>", ["[UNK]", "cat", "sat"], 3, "the cat sat the", [0, 1, 2, 0])
tokens_are("characters", list("abc \n"), 5, "ab c\na", [0, 1, 3, 2, 0], ["--unit", "char"])
refused("too few words", ["a", "b"], 3, "2 words", "has 3")
refused("an id beyond the end", {"a": 0, "b": 7}, 3, "'b'", "2")


# ---- the forms in which people keep vocabularies ----
import collections
import pickle

w5 = ["the", "a", "cat", "dog", "sat"]


class Field:  # pickled by its name; never looked up
    def __init__(self):
        self.stoi = {w: i for i, w in enumerate(w5)}
        self.itos = list(w5)


def as_pickle(value, protocol=2):
    return pickle.dumps(value, protocol)


def with_torch(value):
    import io
    import torch
    b = io.BytesIO()
    torch.save(value, b)
    return b.getvalue()


index = {w: i for i, w in enumerate(w5)}
from_one = {w: i + 1 for i, w in enumerate(w5)}
keras = {"class_name": "Tokenizer", "config": {"num_words": None, "word_counts": json.dumps({w: 9 for w in w5}),
                                              "index_word": json.dumps({i: w for w, i in from_one.items()}), "word_index": json.dumps(from_one)}}
longer = {"class_name": "Tokenizer", "config": {"num_words": 6, "word_index": json.dumps({**from_one, "rare": 6, "rarer": 7})}}
lines = lambda *l: "".join(x + "\n" for x in l)
for what, content, V, shift in (
        ("pickled map", as_pickle(index), 5, 0), ("pickled map, protocol 4", as_pickle(index, 4), 5, 0), ("pickled list", as_pickle(w5), 5, 0),
        ("pickled pair", as_pickle({"word2idx": index, "idx2word": w5, "size": 5}), 5, 0), ("pickled object", as_pickle(Field()), 5, 0),
        ("pickled map from 1", as_pickle({"word_index": from_one}), 6, 1), ("pickled inverse map", as_pickle({i: w for w, i in index.items()}), 5, 0),
        ("torch.save of a map", with_torch(index), 5, 0), ("torch.save of a dict that holds one", with_torch({"vocab": index, "n": 3}), 5, 0),
        ("JSON id to word", {str(i): w for w, i in index.items()}, 5, 0), ("nested JSON", {"word2idx": index, "idx2word": w5}, 5, 0),
        ("deeper JSON", {"a": {"char2idx": index}}, 5, 0), ("Keras Tokenizer", keras, 6, 1), ("Keras Tokenizer with num_words", longer, 6, 1),
        ("word count lines", lines(*(f"{w} {120 - i}" for i, w in enumerate(w5))), 5, 0), ("word id lines", lines(*(f"{w}\t{i}" for w, i in reversed(index.items()))), 5, 0),
        ("fairseq", lines(*(f"{w} {120 - i}" for i, w in enumerate(w5))), 9, 4), ("scores", lines(*(f"{w}\t{-i - .5}" for i, w in enumerate(w5))), 5, 0),
        ("id word lines", lines(*(f"{i}\t{w}" for w, i in reversed(index.items()))), 5, 0), ("pickled map, protocol 0", as_pickle(index, 0), 5, 0),
        ("pickled list, protocol 1", as_pickle(w5, 1), 5, 0), ("pickled OrderedDict", as_pickle(collections.OrderedDict(index)), 5, 0),
        ("pickled defaultdict", as_pickle(collections.defaultdict(int, index)), 5, 0),
        ("pickled map with NumPy's numbers", as_pickle({w: np.int64(i) for w, i in index.items()}, 4), 5, 0),
        ("pickled inverse map with NumPy's numbers", as_pickle({np.int32(i): w for w, i in index.items()}, 3), 5, 0),
        ("AllenNLP", lines("@@UNKNOWN@@", *w5), 7, 2)):
    tokens_are(what, content, V, "the cat sat the", [shift + i for i in (0, 2, 4, 0)])
    front = {"fairseq": [], "AllenNLP": ["@@PADDING@@", "<unk>"]}.get(what, [f"<unused {i}>" for i in range(shift)])
    trained_with(what, content, [*front, *w5, *(["rare", "rarer"] if "num_words" in what else [])])
counted = {"freqs": {**{w: 9 - i for i, w in enumerate(w5)}, "rare": 1}, "itos": w5, "specials": w5[:2]}
trained_with("the longest list of words, not the counts", json.dumps(counted), w5)
trained_with("the longest list of words in a pickle", as_pickle(counted), w5)
trained_with("lines", "the\ncat\nsat\n", ["the", "cat", "sat"])
trained_with("a JSON list", ["the", "cat", "sat"], ["the", "cat", "sat"])
pieces = {"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "##t": 1, "ca": 2, "the": 3, "sa": 4}, "unk_token": "[UNK]", "continuing_subword_prefix": "##"},
          "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"}, "added_tokens": [], "post_processor": None, "decoder": None}
trained_with("tokenizer.json", pieces, ["[UNK]", "##t", "ca", "the", "sa"])
checks += 1
cost = json.loads(subprocess.run([program, "eval", path("trained"), path("text"), "--json"], capture_output=True, text=True).stdout)
if cost["tokens"] != 6 * 40 - 1 or cost["unknown_tokens"]: # the ca ##t sa ##t the
    failures += 1
    print(f"FAIL a model trained with a tokenizer reads {cost}")
for what, content, *said in (("a map with a word twice", '{"the": 0, "the": 1}', "duplicate"), ("a pickle without words", as_pickle({"a": 1.5}), "a pickle without a list or map of words"),
                             ("a map of counts", {"the": 7, "cat": 3}, "out of range")):
    checks += 1
    p = train_with(content)
    if p.returncode != 1 or p.stderr.count("\n") != 1 or any(s not in p.stderr for s in (path("vocab"), *said)):
        failures += 1
        print(f"FAIL train --vocab, {what}: exit {p.returncode}, {p.stderr}")
refused("word count lines of another number", lines(*(f"{w} {120 - i}" for i, w in enumerate(w5))), 8, "5 lines of a word and a number", "8 words")
refused("a pickle without words", as_pickle({"a": 1.5}), 5, "a pickle without a list or map of 5 words")
refused("a pickled counter", as_pickle(collections.Counter({w: 9 for w in w5})), 5, "a pickle without")
three = lines(*(f"{w} {9 - i} {i}" for i, w in enumerate(w5)))
for what, content, *said in (("three columns", three, "each of its 5 lines holds several columns"), ("ids with a gap", lines(*(f"{2 * i} {w}" for w, i in index.items())), "several columns"),
                             ("ids from 1", lines(*(f"{w} {i + 1}" for w, i in reversed(index.items()))), "1 to 5, each once"), ("CSV", lines("word,id", *(f"{w},{i}" for w, i in index.items())), "CSV"),
                             ("two maps", as_pickle({"src": index, "tgt": {w: 4 - i for w, i in index.items()}}), "both src and tgt", "JSON list"),
                             ("gzip", b"\x1f\x8b" + bytes(20), "gzip"), ("UTF-16", "\n".join(w5).encode("utf-16"), "UTF-16"), ("a web page", "<!DOCTYPE html><html></html>", "web page"),
                             ("NumPy's array", b"\x93NUMPY\x01\0" + bytes(40), "JSON list"), ("merges", "#version: 0.2\nt h\nth e\n", "vocab.json"),
                             ("pairs", [[w, i] for w, i in index.items()], "list of lists"), ("objects", [{"word": w} for w in w5], "list of objects"),
                             ("a pickled array", as_pickle(np.array(w5)), "arrays and texts of NumPy")):
    refused(what, content, 5, *said)
tokens_are("phrases in some lines", lines("the", "a", "cat", "New York", "sat"), 5, "the cat sat the", [0, 2, 4, 0])
refused("a SentencePiece model", b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02" + bytes(40), 5, "SentencePiece")


class Bomb:
    def __reduce__(self):
        return os.system, ("touch " + path("executed"),)


tokens_are("a pickle with a call", as_pickle({"x": Bomb(), "words": w5}), 5, "the cat sat the", [0, 2, 4, 0])
checks += 1
if os.path.exists(path("executed")):
    failures += 1
    print("FAIL a pickle was executed")


# ---- tokenizer.json ----
def tokenizer(kind, vocab, normalizer=None, splitter={"type": "WhitespaceSplit"}, added=(), **model):
    return {"version": "1.0", "added_tokens": [{"id": i, "content": w, "special": True} for w, i in added],
            "normalizer": normalizer, "pre_tokenizer": splitter, "post_processor": None,
            "model": {"type": kind, "vocab": vocab, **model}}


ids = lambda *words: {w: i for i, w in enumerate(words)}
v = ids("[UNK]", "the", "cat", ".", "don", "'", "t", "naive", "中", "文")
tokens_are("WordLevel", tokenizer("WordLevel", v, unk_token="[UNK]"), 10, "the cat dog The", [1, 2, 0, 0])
tokens_are("WordLevel, Lowercase", tokenizer("WordLevel", v, {"type": "Lowercase"}, unk_token="[UNK]"), 10, "The CAT the",
           [1, 2, 1])
tokens_are("WordLevel, Whitespace", tokenizer("WordLevel", v, {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]},
                                              {"type": "Whitespace"}, unk_token="[UNK]"), 10, "Don't. the cat...",
           [4, 5, 6, 3, 1, 2, 0])
tokens_are("WordLevel, punctuation", tokenizer("WordLevel", v, None, {"type": "Sequence", "pretokenizers": [
    {"type": "WhitespaceSplit"}, {"type": "Punctuation"}]}, unk_token="[UNK]"), 10, "the cat... don't",
    [1, 2, 3, 3, 3, 4, 5, 6])
bert = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
tokens_are("WordLevel, BERT", tokenizer("WordLevel", v, bert, {"type": "BertPreTokenizer"}, unk_token="[UNK]"), 10,
           "NAÏVE nai\u0308ve 中文cat Don't.", [7, 7, 8, 9, 2, 4, 5, 6, 3])
tokens_are("added tokens", tokenizer("WordLevel", ids("the", "cat"), added=[("[UNK]", 2)], unk_token="[UNK]"), 3, "the x cat",
           [0, 2, 1])
v = ids("[UNK]", "un", "##aff", "##able", "##a", "aff", "able", "##un", "runn", "##ing", "!")
piece = tokenizer("WordPiece", v, bert, {"type": "BertPreTokenizer"}, unk_token="[UNK]", continuing_subword_prefix="##",
                  max_input_chars_per_word=12)
tokens_are("WordPiece", piece, 11, "Unaffable running! xyz unaffx", [1, 2, 3, 8, 9, 10, 0, 0])
tokens_are("WordPiece, a word too long", piece, 11, "un " + "unaff" * 4, [1, 0])
v = ids("l", "o", "w", "e", "r", "lo", "low", "er</w>", "w</w>", "low</w>", "r</w>", "<unk>", "e</w>")
merges = ["l o", "lo w", "e r</w>", "lo w</w>"]
for form in (merges, [m.split() for m in merges]):
    tokens_are("BPE", tokenizer("BPE", v, merges=form, end_of_word_suffix="</w>", unk_token="<unk>"), 13,
               "lower low wore lox", [6, 7, 9, 2, 1, 4, 12, 5, 11])
v = ids("a", "b", "c", "ab", "bc", "abc", "cab", "aa")
tokens_are("BPE, ranks before places", tokenizer("BPE", v, merges=["b c", "a b", "a bc", "a a"]), 8, "abc abab cab aaaa",
           [5, 3, 3, 2, 3, 7, 7])

# ---- characters, by Python's tables of Unicode ----
def plain(word):
    """Without accents, in lower case, a character at a time."""
    return "".join(c.lower() for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")


def each_is(what, characters, form, text, normalizer, splitter, n=200):
    """Each character becomes form(character), a list of words; text(character) is what is read."""
    for i in range(0, len(characters), n):
        part = characters[i:i + n]
        words = [w for c in part for w in form(c)]
        table = ids("[UNK]", *dict.fromkeys(words))
        tokens_are(f"{what} {ord(part[0]):04X}-{ord(part[-1]):04X}", tokenizer("WordLevel", table, normalizer, splitter, unk_token="[UNK]"),
                   len(table), " ".join(map(text, part)), [table[w] for w in words])


letters = [chr(c) for c in [*range(0xa1, 0x2e80), *range(0xa640, 0xab70), *range(0x10400, 0x10450)]
           if unicodedata.category(chr(c)) in ("Lu", "Ll", "Lt")]
splitter = {"type": "BertPreTokenizer"}
each_is("BERT, letter", letters, lambda c: [plain(c)], str, bert, splitter)
each_is("lower case, letter", letters, lambda c: [c.lower()], str, {"type": "Lowercase"}, {"type": "WhitespaceSplit"})
marks = [chr(c) for c in range(0xa1, 0x3400) if unicodedata.category(chr(c)).startswith("P")]
each_is("BERT, punctuation", marks, lambda c: ["a", c, "b"], lambda c: f"a{c}b", None, splitter)
others = [chr(c) for c in range(0xa1, 0x3000) if unicodedata.category(chr(c)) in ("Sm", "Sc", "So", "No", "Lo", "Nl")]
each_is("BERT, no punctuation", others, lambda c: [f"a{c}b"], lambda c: f"a{c}b", None, splitter)
controls = [chr(c) for c in range(0x7f, 0x2070) if unicodedata.category(chr(c)) in ("Cc", "Cf") and not chr(c).isspace()]
each_is("BERT, cleaned", controls, lambda c: ["ab"], lambda c: f"a{c}b", bert, splitter)

for what, json_text, words in (
        ("ByteLevel", tokenizer("BPE", v, splitter={"type": "ByteLevel"}, merges=[]), ("pre_tokenizer ByteLevel",)),
        ("Metaspace", tokenizer("BPE", v, splitter={"type": "Metaspace"}, merges=[]), ("pre_tokenizer Metaspace",)),
        ("NFKC", tokenizer("WordLevel", v, {"type": "NFKC"}), ("normalizer NFKC",)),
        ("Unigram", tokenizer("Unigram", [["a", -1.0]]), ("model Unigram",)),
        ("no pre_tokenizer", tokenizer("WordLevel", v, splitter=None), ("pre_tokenizer",)),
        ("dropout", tokenizer("BPE", v, merges=[], dropout=0.1), ("dropout",)),
        ("byte_fallback", tokenizer("BPE", v, merges=[], byte_fallback=True), ("byte_fallback",)),
        ("a word of too high an id", tokenizer("WordLevel", dict(v, z=8)), ("'z'",)),
        ("a piece without id", tokenizer("BPE", v, merges=[]), ("'x'", "piece"))):
    refused(f"tokenizer.json, {what}", json_text, 8, *words, text="ab x")

# ---- words outside the vocabulary, and line ends, against a count of our own ----
def warnings_of(*args, text=None):
    if text is not None:
        with open(path("text"), "w") as f:
            f.write(text)
    p = subprocess.run([program, *(path(a[1:]) if a[0] == "@" else a for a in args)], capture_output=True, text=True)
    return [l for l in p.stderr.split("\n") if p.returncode or "not in the vocabulary" in l or "end a line" in l]


def said(what, got, *want):
    """Exactly these warnings of this kind, by what is in them."""
    global failures, checks
    checks += 1
    if len(got) != len(want) or any(w not in l for l, w in zip(got, want)):
        failures += 1
        print(f"FAIL {what}: {got}, expected {want}")


unigram_model(4)
write_vocabulary(["<unk>", "the", "cat", "<eos>"])
random = np.random.default_rng(3)
words = [["the", "cat", "dog", "Ärger", "x" * 60, "emu", "fox", "gnu"][i] for i in random.choice(8, 3000, p=[.4, .35, .08, .06, .05, .03, .02, .01])]
text = "".join(" ".join(words[i:i + 10]) + "\n" for i in range(0, 3000, 10))
outside = collections.Counter(w for w in words if w not in ("the", "cat"))
assert len({*outside.values()}) == 6 # no ties
top = ", ".join(f"'{w if len(w) < 41 else w[:40] + '...'}' ({n})" for w, n in outside.most_common(5))
n = sum(outside.values())
warning = f"{100 * n / 3000:.1f} % of the words ({n} of 3000) are not in the vocabulary and are read as one unknown word; most frequent: {top}"
analysis = ("--delays", "3", "-o", path("run.nc"))
for command in (("eval", "@model", "@text"), ("analyze", "@model", "@text", *analysis), ("import", "@model", "--text", path("text"), "-o", path("ours"))):
    said("many unknown words, " + command[0], warnings_of(*command, "--vocab", path("vocab"), text=text), warning)
said("many unknown words, again", warnings_of("eval", "@ours", "@text"), warning)
said("a fifth of unknown words", warnings_of("eval", "@model", "@text", "--vocab", path("vocab"), text="the cat the cat dog\n" * 20))
said("above a fifth", warnings_of("eval", "@model", "@text", "--vocab", path("vocab"), text="the cat the cat dog\n" * 20 + "dog\n"), "20.8 % of the words (21 of 101)")
write_vocabulary(["<unk>", "the", "cat", "<end>"])
ends = "no word of the vocabulary is known to end a line"
for command in (("eval", "@model", "@text"), ("analyze", "@model", "@text", *analysis), ("import", "@model", "--text", path("text"), "-o", path("ours"))):
    given = "--vocab", path("vocab")
    for quiet in ((), ("-q",)):
        said("no line ends, " + command[0], warnings_of(*command, *given, *quiet, text="the cat\n" * 30), ends)
    said("--eos WORD, " + command[0], warnings_of(*command, *given, "--eos", "<end>"))
    said("--eos none, " + command[0], warnings_of(*command, *given, "--eos", "none"))
said("--eos none is kept", warnings_of("eval", "@ours", "@text"))
said("--no-eos", warnings_of("eval", "@model", "@text", *given, "--no-eos"))

# ---- an analysis of the text in lower case is another one ----
with open(path("text"), "w") as f:
    f.write("the cat\n" * 100000)
resumed = [program, "analyze", path("model"), path("text"), *given, "--eos", "none", "-o", path("saved.nc"), "--checkpoint", path("check"), "--checkpoint-minutes", "0.001", "-q"]
running = subprocess.Popen(resumed, stderr=subprocess.DEVNULL)
while running.poll() is None and not os.path.exists(path("check")):
    time.sleep(.05)
running.terminate()
codes = [running.wait()]
for option, want in (("--lowercase", "the checkpoint belongs to another run"), ("--quiet", "")):
    p = subprocess.run([*resumed, option], capture_output=True, text=True)
    codes.append(p.returncode)
    checks += 1
    if want not in p.stderr:
        failures += 1
        print(f"FAIL resumed with {option}: {p.stderr}")
checks += 1
if codes != [143, 2, 0]:
    failures += 1
    print(f"FAIL stopped, resumed in lower case, resumed as it was: exit codes {codes}, expected 143, 2, 0")

subprocess.run(["rm", "-r", folder])
print(f"{checks} checks, {failures} failed")
sys.exit(1 if failures or not checks else 0)
