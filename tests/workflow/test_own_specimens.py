"""A study whose specimen, shape, material, engine and noise are parts of its own."""

import json
import shutil

import numpy as np
import pytest
from runs import ROOT
from workplace import Workplace

from passband.storage import datasets

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

EXAMPLES = ROOT / "examples/parts"
SHARD = "results/smallest/waves/gold/test/00000.zarr.zip"
OWN = {
    "microscope": {"noise": "readout", "engine": "projection"},
    "specimens": {
        "gold": {
            "kind": "nanorods",
            "material": "MgO",
            "shape": "octahedron",
            "diameter_nm": {"mean": 0.6, "min": 0.5, "max": 0.7},
        }
    },
}


def test_jobs_run_the_parts_of_their_study(tmp_path):
    place = Workplace(tmp_path / "w")
    parts = place.folder / "parts"
    parts.mkdir()
    for name in ("readout", "projection", "nanorods", "magnesia", "octahedron"):
        shutil.copy(EXAMPLES / f"{name}.py", parts)
    study = place.study("own.yaml", **OWN)
    place.run(SHARD, study=study)
    waves = datasets.read(place.folder / SHARD, datasets.WAVES)
    assert waves.attrs["engine"] == "projection"
    assert (waves.particles == 1).all()
    assert waves["mask"].values.any((1, 2)).all()
    spectrum = np.abs(waves.spectrum.values)
    assert np.isfinite(spectrum).all()
    own = {each["module"] for each in json.loads(waves.attrs["own_parts"])}
    assert {"parts/nanorods.py:nanorods", "parts/projection.py:Projection"} <= own

    # A noise model is no part of exit waves, and an edited engine is.
    camera = parts / "readout.py"
    camera.write_text(camera.read_text().replace("1.5", "2.5"))
    assert "Nothing to be done" in place.run("--dry-run", SHARD, study=study)
    engine = parts / "projection.py"
    engine.write_text(engine.read_text() + "\n# edited\n")
    jobs, printed = place.planned(SHARD, study=study)
    assert jobs == {"simulate": 1}
    assert "content of microscope.engine" in printed

    # One that is wrong ends before the first job, in one line.
    engine.write_text(engine.read_text().replace("np.complex64", "np.float32"))
    printed = place.run(SHARD, study=study, fails=True)
    assert "engine 'projection' of parts/projection.py, line 12: its wave has the shape" in printed
    assert "Traceback" not in printed
