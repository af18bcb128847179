"""SLURM for the tests. A test run starts it once for each kind of cluster."""

from collections.abc import Iterator

import cluster
import pytest
from place import STARTED, TABLE, Place
from required import refuse
from workplace import SNAKEMAKE


@pytest.fixture(scope="session", params=["accounting", "noaccounting"])
def slurm(request) -> Iterator[str]:
    """Start a cluster and return the profile for this cluster.

    If the machine cannot run SLURM, the test is skipped, unless PASSBAND_REQUIRE_SLURM is set.
    """
    if reason := cluster.missing():
        refuse("SLURM", f"no SLURM here: {reason}")
    accounting = request.param == "accounting"
    cluster.start(accounting)
    yield "slurm" if accounting else "profiles/slurm-noaccounting"
    cluster.stop()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> Place:
    """The finished study, after a run on this machine without SLURM."""
    place = Place(tmp_path_factory.mktemp("undisturbed"))
    options = "--cores", "2", "--configfile", "study.yaml", "--nocolor"
    status, printed = SNAKEMAKE.run(place.folder, *options, TABLE)
    assert status == 0, printed
    return place


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    for process in STARTED:
        if process.poll() is None:
            process.kill()
            process.wait()
    STARTED.clear()
