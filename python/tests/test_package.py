# SPDX-License-Identifier: MIT
"""What the wheel carries: all libraries but those that its tag allows, as auditwheel would have it."""
import importlib.metadata
import pathlib
import re
import subprocess
import unittest

from stategrad import _native

MODULE = pathlib.Path(_native.__file__)
CARRIED = MODULE.parent / "_libs"
ALLOWED = re.compile(r"linux-vdso\.so|/?\S*ld-linux\S*\.so|lib(c|m|dl|pthread|rt|resolv|util|gcc_s|stdc\+\+|z)\.so\.") # of manylinux tags


def said(*command):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, check=True).stdout


class Wheel(unittest.TestCase):
    def test_needs_only_what_its_tag_allows(self):
        carried = {path.name for path in CARRIED.iterdir()}
        self.assertTrue({"libstategrad-openblas.so.0", "libstategrad-netcdf.so.19"} <= carried, carried)
        for file in (MODULE, *CARRIED.iterdir()):
            needed = re.findall(r"\(NEEDED\).*\[(.*)\]", said("readelf", "-d", file))
            self.assertEqual([name for name in needed if name not in carried and not ALLOWED.match(name)], [], file.name)
        for line in said("ldd", MODULE).splitlines():
            name, _, path = line.strip().partition(" => ")
            if not ALLOWED.match(name):
                self.assertEqual(pathlib.Path(path.split()[0]).parent, CARRIED)

    def test_tag_names_the_c_library_that_it_needs(self):
        tag = re.search(r"^Tag: cp311-abi3-manylinux_(\d+)_(\d+)_", importlib.metadata.distribution("stategrad").read_text("WHEEL"), re.M)
        versions = [tuple(map(int, version.split("."))) for file in (MODULE, *CARRIED.iterdir())
                    for version in re.findall(r"Name: GLIBC_([\d.]+)", said("readelf", "-V", file))]
        self.assertGreater(len(versions), 100)
        self.assertLessEqual(max(versions), (int(tag[1]), int(tag[2])))


if __name__ == "__main__":
    unittest.main()
