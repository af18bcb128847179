"""SLURM for the tests, started once for each kind of cluster."""

import os
from collections.abc import Iterator

import cluster
import pytest


@pytest.fixture(scope="session", params=["accounting", "noaccounting"])
def slurm(request) -> Iterator[str]:
    """A running cluster; the profile that is made for it. Skips where there can be none, unless
    PASSBAND_REQUIRE_SLURM is set."""
    if reason := cluster.missing():
        refuse = pytest.fail if os.environ.get("PASSBAND_REQUIRE_SLURM") else pytest.skip
        refuse(f"no SLURM here: {reason}")
    accounting = request.param == "accounting"
    cluster.start(accounting)
    yield "slurm" if accounting else "profiles/slurm-noaccounting"
    cluster.stop()
