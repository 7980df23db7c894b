# SPDX-License-Identifier: MIT
"""The examples of doc/python.md run as they are written."""
import os
import random
import re
import unittest

import torch
from common import SOURCE, InFolder
from matplotlib import pyplot

LINES = ["the dog that the cats saw is here", "the cat sees a house", "the cats are here", "a dog has a cat", "the house is here"]


class Guide(InFolder):
    def test_examples(self):
        blocks = re.findall(r"```python\n(.*?)```", (SOURCE / "doc/python.md").read_text(encoding="utf-8"), re.S)
        self.assertEqual(len(blocks), 3)
        draw = random.Random(1)
        self.write("train.txt", [draw.choice(LINES).split() for _ in range(80)])
        before = os.getcwd()
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        torch.manual_seed(1)
        found = []
        for block in blocks:
            pyplot.close("all")
            found.append({"__name__": "__main__"})
            exec(compile(block, "doc/python.md", "exec"), found[-1])
        for name in ("report.html", "run.nc", "gain.pdf", "decay.pdf"):
            self.assertGreater((self.folder / name).stat().st_size, 1000, name)
        self.assertEqual([line.get_label() for line in found[1]["ax"].lines], ["all", "verb"])
        self.assertEqual(found[2]["run"].groups, ("layer1.ssm",))
        predicted = found[1]["sg"].evaluate(found[1]["model"], found[1]["ids"], state_handling="reset").nats_per_token
        self.assertAlmostEqual(predicted, self.loss(found[1]), places=4)

    @staticmethod
    def loss(example):
        with torch.no_grad():
            losses = [torch.nn.functional.cross_entropy(example["lm"](line[:-1])[0], line[1:], reduction="sum")
                      for line in example["ids"]]
        return (sum(losses) / sum(len(line) - 1 for line in example["ids"])).item()


if __name__ == "__main__":
    unittest.main()
