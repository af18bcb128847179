"""The workflow on a study that sets every key of the configuration."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from runs import FIGURES
from workplace import ROOT, Workplace

from passband.analysis import table
from passband.config import load
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.results.stores import load_table
from passband.storage import datasets
from passband.storage.weights import load_cells

pytestmark = pytest.mark.workflow


@pytest.mark.slow
def test_a_study_that_sets_every_key_runs_and_its_results_show_it(tmp_path):
    """The keys include aberrations, jitter, detector, thermal motion, defects and materials."""
    place, file = Workplace(tmp_path / "w"), "studies/everything.yaml"
    results, study = place.folder / "results/everything", load(ROOT / file)
    id = "df+0012.50_cs+0001.200_ap016.00_ds001000.00"
    picture = f"results/everything/images/gold/test/{id}.zarr"
    targets = ["all", picture]
    place.run(*targets, study=file)
    assert "Nothing to be done" in place.run("--dry-run", *targets, study=file)

    # Exit waves: only gold has frozen configurations, and they differ.
    for specimen, configurations in (("gold", 2), ("copper", 1), ("ceria", 1)):
        shard = str(results / f"waves/{specimen}/test/00000.zarr.zip")
        expected = {"specimen": specimen, "split": "test", "seed": 7, "energy_eV": 200e3}
        waves = datasets.read_many(
            [shard], datasets.WAVES, "structure", expected, ["spectrum", "mask"]
        )
        assert waves.sizes["configuration"] == configurations
        assert waves["mask"].any(("x", "y")).all()
        assert waves.attrs["multislice_pixel_A"] <= 0.18
        moved = waves.spectrum.values[:, 0] - waves.spectrum.values[:, -1]
        assert (np.abs(moved).max(axis=(1, 2)) > 1e-3).all() == (specimen == "gold")
        # The mean square of an exit wave is 1 less the intensity scattered beyond the cutoff.
        power = (np.abs(waves.spectrum.values) ** 2).sum(axis=(-2, -1))
        assert ((power > 0.5) & (power <= 1.001)).all()

    # Networks: stochastic gradient descent, whose rate halves every epoch, in float32.
    (history,) = results.glob("networks/*/*/*/*.csv")
    rates = pd.read_csv(history).groupby(["condition", "replica"]).learning_rate.apply(list)
    assert rates.tolist() == [[0.02, 0.01, 0.005]] * 4
    cells = load_cells(history.with_suffix(".safetensors"))
    assert list(cells) == [condition.id for condition in study.train_conditions]
    for cell in cells.values():
        metadata = cell.metadata
        assert (metadata.normalisation, metadata.precision) == ("vacuum", "float32")
    # One file of networks and one record, and a second name of each.
    files = [p.suffix for p in results.glob("**/r000-001.*") if "logs" not in p.parts]
    assert sorted(files) == [".csv", *[".safetensors"] * 2, ".tsv", ".tsv", ".zip", ".zip"]

    whole = load_table(results / "table.zarr")
    sizes = {"train": 2, "replica": 2, "test_specimen": 3, "test": 4, "structure": 3}
    assert {name: whole.sizes[name] for name in sizes} == sizes
    assert (whole.status == table.STATUS["done"]).all()
    pixels = whole.counts.sum("outcome")  # true positive, false positive, false negative
    assert ((pixels > 0) & (pixels <= 64**2)).all()
    information = xr.open_zarr(results / "information.zarr")
    assert information.weight.values.tolist() == ["flat", "gold", "gold/0-0.4", "gold/0.4-"]
    assert not any(np.isnan(values).any() for values in information.values())

    # Images: counts are twice the electrons, and each image has a separate lens and dose.
    images = xr.open_zarr(place.folder / picture)
    assert not (images.counts % 2).any()
    for name in ("defocus_nm", "astigmatism_nm", "coma_nm", "threefold_nm", "dose_e_per_A2"):
        assert len(set(images[f"image_{name}"].values)) == 3
    vacuum = 2 * images.image_dose_e_per_A2 * 0.35**2
    inside = images.counts.mean(("x", "y")) / vacuum
    assert ((inside > 0.7) & (inside < 1.02)).all()
    waves = str(results / "waves/gold/test/00000.zarr.zip")
    structures = Structures(7, "gold", "test", study.microscope, (waves,))
    split = structures.load(torch.device("cpu")).under(Condition.parse(id))
    acquisition = Acquisition.from_microscope(study.microscope, "vacuum", torch.device("cpu"))
    expected = torch.cat(list(acquisition.counts(split, Condition.parse(id))))
    np.testing.assert_array_equal(images.counts.values, expected.numpy())
    for name in FIGURES:
        assert (results / f"figures/{name}.png").stat().st_size > 5000
