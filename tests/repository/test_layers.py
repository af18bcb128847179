"""The libraries that a room of the package loads. pyproject.toml has the contract of layers."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        pytest.param(
            "passband.analysis.information, passband.analysis.ood",
            {"numba", "torch", "pydantic"},
            marks=pytest.mark.slow,
        ),
        ("passband.storage, passband.storage.lease, passband.storage.atomic", {"xarray", "zarr"}),
        pytest.param("passband.jobs.evaluation", {"lightning"}, marks=pytest.mark.slow),
        pytest.param(
            "passband.micrographs.segmented_files, passband.micrographs.trust.trust, "
            "passband.micrographs.rings.lens",
            {"torch", "lightning", "snakemake", "abtem"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "passband.reports.summaries",
            {"numba", "torch", "matplotlib", "sklearn"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fresh_import_leaves_heavy_libraries_out(modules, absent):
    code = f"import sys, {modules}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=1500
    )
    loaded = set(run.stdout.split())
    assert set(modules.split(", ")) <= loaded
    assert not loaded & absent
