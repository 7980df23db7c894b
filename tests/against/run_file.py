#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A run file as xarray and netCDF4 see it. usage: run_file.py TEST_RUN_PROGRAM"""
import os
import subprocess
import sys
import tempfile

try:
    import netCDF4
    import numpy as np
    import xarray
except ImportError as e:
    print("skipped: python3 has no", e.name)
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "run.nc")
    subprocess.run([sys.argv[1], "write", path], check=True)
    with xarray.open_dataset(path) as root:
        assert dict(root.sizes) == {"delay": 3, "class": 2, "embedding": 4, "property": 0}, root.sizes
        assert list(root.delay.values) == [0, 1, 2]
        assert list(root.class_name.values) == ["all", "noun é<b>"]
        assert root.attrs["state_handling"] == "carry" and root.attrs["tokens"] == 70
        L = root.embedding_covariance_factor.values
        assert np.array_equal(L, np.diag([1.0, 2, 3, 4])), L
        for name in root.variables:
            assert root[name].attrs.get("long_name") and root[name].attrs.get("units"), name
    with xarray.open_dataset(path, group="layer1.cell") as g:
        assert g.mean_gradient.dims == ("class", "delay", "unit", "embedding")
        assert g.mean_gradient.dtype == np.float32
        assert g.mean_gradient.values[1, 2, 3, 1] == 1231
        assert np.isnan(g.singular_value.values[:, 2]).all()
        assert g.singular_value.values[1, 1, 2] == 1102 / 3
        assert g.singular_value.attrs["units"] == "state units per standard deviation of the embedding", g.singular_value.attrs
        for name in g.variables:
            assert g[name].attrs.get("long_name") and g[name].attrs.get("units"), name
    with netCDF4.Dataset(path) as f:
        assert sorted(f.groups) == ["layer1.cell", "layer1.hidden", "untrained.layer1.cell"]
        assert f.data_model == "NETCDF4"
print("ok")
