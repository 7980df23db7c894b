# SPDX-License-Identifier: MIT
"""Real English for tests: the GNU General Public License, which every Debian has, as sentences; with tags by a
small lexicon and endings, which is rough, but gives classes the frequencies that classes of words have."""
import os
import re

SOURCE = "/usr/share/common-licenses/GPL-3"
CLOSED = {
    "AT": "a an the no any each every all some such this that these those", "CC": "and or but",
    "IN": "of in to for by with from under as on at if or that without through", "MD": "may must can will shall should",
    "BE": "is are was be been", "PP": "you it they them he we i us", "PP$": "your its their our his", "*": "not never",
    "WDT": "which what who whom"}
LEXICON = {word: tag for tag, words in CLOSED.items() for word in words.split()}
ENDINGS = (("ly", "RB"), ("ing", "VBG"), ("ed", "VBN"), ("able", "JJ"), ("ive", "JJ"), ("al", "JJ"), ("ous", "JJ"),
           ("ers", "NNS"), ("ions", "NNS"), ("es", "NNS"), ("ss", "NN"), ("s", "NNS"))
GROUPS = {"noun": "NN NNS", "verb": "VBG VBN BE MD", "preposition": "IN", "determiner": "AT", "plural": "NNS",
          "singular": "NN"}


def tag(word):
    if word in LEXICON:
        return LEXICON[word]
    if not word[0].isalpha():
        return "CD" if word[0].isdigit() else "."
    return next((t for ending, t in ENDINGS if word.endswith(ending) and len(word) > len(ending) + 2), "NN")


def sentences():
    """Lists of lower-case words and marks, in the order of the text."""
    text = re.sub(r"\s+", " ", open(SOURCE, encoding="utf-8").read())
    parts = [re.findall(r"[a-z]+(?:'[a-z]+)?|\d+|[.,;:()]", s.lower()) for s in re.split(r"(?<=[.;:]) ", text)]
    return [p for p in parts if len(p) > 2]


def plain(parts):
    return "".join(" ".join(p) + "\n" for p in parts)


def tagged(parts):
    return "".join(" ".join(f"{w}/{tag(w)}" for w in p) + "\n" for p in parts)


def groups():
    return "".join(f"{name}: {tags}\n" for name, tags in GROUPS.items())
