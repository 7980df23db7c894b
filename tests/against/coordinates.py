#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Groups of a run file by label (xarray's .sel) against the same numbers by index, on a real run; the coordinates after merge
and track; runs without coordinates, as earlier versions wrote them. usage: coordinates.py STATEGRAD"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../helpers"))
try:
    import netCDF4
    import numpy as np
    import xarray
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)
import real_run  # noqa: E402

PROGRAM = os.path.abspath(sys.argv[1])
COORDINATES = {"delay", "class", "property", "unit", "rank", "decay_quantity", "decay_law", "decay_share"}


def run(*args, cwd):
    r = subprocess.run([PROGRAM, *args], cwd=cwd, capture_output=True, text=True)
    assert r.returncode == 0, (args, r.stderr)
    return r.stdout


def groups(path):
    with netCDF4.Dataset(path) as f:
        return sorted(f.groups)


def labels(path):
    """What the coordinates must hold, from the variables of the root and the dimensions by themselves."""
    with xarray.open_dataset(path) as root:
        return {"delay": np.arange(root.sizes["delay"]), "class": root.class_name.values, "property": root.property_name.values,
                "decay_quantity": root.decay_quantity.values, "decay_law": root.decay_law.values,
                "decay_share": root.decay_share.values}


def check_group(path, group, expected, only):
    compared = 0
    with xarray.open_dataset(path, group=group) as g:
        assert set(g.coords) == COORDINATES, (group, set(g.coords))
        expected = {**expected, "unit": np.arange(g.sizes["unit"]), "rank": 1 + np.arange(g.sizes["rank"])}
        for name, values in expected.items():
            assert g[name].dims == (name,) and list(g[name].values) == list(values), (group, name, g[name].values, values)
            assert g[name].attrs["long_name"] and g[name].attrs["units"]
        for name, x in g[only].items() if only else g.data_vars.items():
            whole = x.values
            for axis, dim in enumerate(x.dims):
                for i in {0, 1 % x.sizes[dim], x.sizes[dim] - 1} if dim in COORDINATES else ():
                    got = x.sel({dim: expected[dim][i]}).values
                    assert np.array_equal(got, whole.take(i, axis), equal_nan=whole.dtype.kind == "f"), (group, name, dim, i)
                    compared += 1
    assert compared > (10 if only else 400), (group, compared)


def check_file(path, n_groups, only=None):
    expected, found = labels(path), groups(path)
    assert len(found) == n_groups, found
    for group in found:
        check_group(path, group, expected, only)
    return expected


def contents(path):
    """Every variable of every group; attributes aside."""
    out = {}
    for group in [None, *groups(path)]:
        with xarray.open_dataset(path, group=group) as g:
            out.update({(group, name): g[name].values for name in g.variables})
    return out


def without_coordinates(path, old):
    """The run as versions before coordinates wrote it."""
    def copy(a, b):
        b.setncatts({k: a.getncattr(k) for k in a.ncattrs()})
        for name, d in a.dimensions.items():
            b.createDimension(name, None if d.isunlimited() else len(d))
        for name, v in a.variables.items():
            if a.parent and name in COORDINATES:
                continue
            x = b.createVariable(name, v.dtype, v.dimensions, fill_value=getattr(v, "_FillValue", None))
            x.setncatts({k: v.getncattr(k) for k in v.ncattrs() if k != "_FillValue"})
            x[:] = v[:]
        for name, group in a.groups.items():
            copy(group, b.createGroup(name))

    with netCDF4.Dataset(path) as a, netCDF4.Dataset(old, "w") as b:
        a.set_auto_mask(False)
        copy(a, b)


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "run.nc")
    made = real_run.make(PROGRAM, "layers", path)
    expected = check_file(path, 4)
    assert "noun" in expected["class"] and list(expected["property"]) == ["number", "use"], expected
    with xarray.open_dataset(path, group="layer1.cell") as g:  # as the documentation has it
        x = g.singular_value.sel({"class": "noun"}).sel(delay=5)
        i = list(expected["class"]).index("noun")
        assert np.array_equal(x.values, g.singular_value.values[i, 5]) and x.dims == ("rank",)

    run("track", path, "--property", "also=singular-plural", "-o", "tracked.nc", cwd=folder)
    tracked = check_file(os.path.join(folder, "tracked.nc"), 4, ["singular_value", "property_gain"])
    assert list(tracked["property"]) == ["number", "use", "also"], tracked["property"]

    options = real_run.RECIPES["layers"][2]
    for i in "12":
        run("analyze", "model.safetensors", "tagged.txt", *options, "--part", f"{i}/2", "-o", f"part{i}.nc", cwd=made)
    run("merge", "part1.nc", "part2.nc", "-o", "merged.nc", cwd=made)
    merged = check_file(os.path.join(made, "merged.nc"), 4, ["singular_value", "property_gain"])
    assert all(list(merged[k]) == list(expected[k]) for k in expected)

    old = os.path.join(folder, "old.nc")
    without_coordinates(path, old)
    with xarray.open_dataset(old, group="layer1.cell") as g:
        assert not g.coords, g.coords
    for command in (["info", "old.nc"], ["words", "old.nc"], ["report", "old.nc", "-o", "old.html"]):
        assert run(*command, cwd=folder) == run(*[a.replace("old", "run") for a in command], cwd=folder).replace("run.nc", "old.nc")
    run("track", old, "--property", "also=singular-plural", "-o", "old-tracked.nc", cwd=folder)
    a, b = contents(os.path.join(folder, "tracked.nc")), contents(os.path.join(folder, "old-tracked.nc"))
    assert {k for k in a if k not in b} == {k for k in a if k[0] and k[1] in COORDINATES}
    for k in b:
        assert np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f"), k
print("ok")
