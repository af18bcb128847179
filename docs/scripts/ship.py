"""Put the network of studies/real-general.yaml into the package: run it from the root.

    python docs/scripts/ship.py results/real-general
    python docs/scripts/ship.py --sample

The network is published as `passband publish` does it, with the file `simulated.md` about its Dice
on the study's test images. Its training images are measured for the expected Dice of an image,
which takes minutes, and needs the study's exit waves.

With `--sample`, the package's sample is made again: a simulated image under the training condition
of the network, of the first test structure of its study with at least five whole particles, which
do not touch the edge of the field. Structures follow from the study's seed, so nobody chooses it,
and no mask is looked at. None of the study's 24 test structures has so many: the draw goes on with
the next numbers. No network was trained on it.
"""

import argparse
from itertools import count
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from PIL import Image

from passband import PassbandError
from passband.answers import publishing
from passband.config import Specimen, Study
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import network_files
from passband.micrographs import outputs
from passband.micrographs.images import preparation
from passband.optics.sampling import Sampling
from passband.particle_scores import SCORES
from passband.reports import markdown
from passband.results import Results, layout, published
from passband.sharing.attribution import Labels
from passband.sharing.performance import OF_PARTICLES
from passband.specimens import exit_waves, masks
from passband.storage import datasets
from passband.units import A_PER_NM

#: The largest size of the network's file [bytes].
MOST = 2_100_000
#: The network that is put into the package, whose study the sample is from, and the study's name.
NAME = "general-2026"
STUDY = "real-general"
#: Where the network holds.
LIMITS = (
    "general-2026: for HRTEM of gold particles of 1.4 to 7 nm on at most 8 nm of carbon, "
    "300 kV, corrected, underfocus of 10 to 40 nm, 200 e/Å² or more, pixels of 0.2 to 0.8 "
    "Å; do not trust it elsewhere"
)
#: Pixels along a side of the sample, and its smallest number of whole particles.
SAMPLE_PX = 128
WHOLE = 5


def main(folder: Path) -> None:
    results = Results.find(folder)
    (id,) = network_files.finished_networks(results)
    (network,) = network_files.open_networks(results, id)
    if (size := network.path.stat().st_size) > MOST:
        raise PassbandError(f"{network.path}: has {size:,} bytes, must not exceed {MOST:,}")
    out = published.SHIPPED / NAME
    publishing.publish(
        network,
        results,
        out=out,
        labels=Labels(NAME, "GPL-3.0-or-later"),
        force=True,
        report=print,
        limits=LIMITS,
    )
    (out / "simulated.md").write_text(simulated(results, id.condition), encoding="utf-8")


def write_sample(network: network_files.Network) -> None:
    """Write the image of the first structure with enough whole particles, and its mask."""
    name = network.metadata.specimen
    study = network.study
    seed = study.study.seed
    microscope = study.microscope
    specimen = study.specimens[name]
    index = next(
        index
        for index in count()
        if whole(name, specimen, microscope.sampling, seed, index) >= WHOLE
    )
    waves = exit_waves.simulate(name, specimen, microscope, seed, "test", [index], "cpu")
    cpu = torch.device("cpu")
    split = Split.from_dataset(waves, Structures(seed, name, "test", microscope), cpu)
    camera = Acquisition.from_microscope(microscope, network.normalisation, cpu)
    (counts,) = camera.counts(split, network.condition)
    title = f"simulated, {name} test {index}, {network.condition.id}"
    # The counts are averaged already. So the sample is stored with pixels of about that size.
    field_px = microscope.field_px
    stored_px = SAMPLE_PX
    stored_A = network.pixel_size_A * field_px / stored_px
    image = preparation.resample(counts[0].numpy(), network.pixel_size_A, stored_A)
    outputs.write_tiff(published.SAMPLE, [image], stored_A / A_PER_NM, title)
    centres = ((np.arange(stored_px) + 0.5) * field_px / stored_px).astype(int)
    mask = split.masks[0, 0].numpy()[np.ix_(centres, centres)] > 0.5
    file = published.SAMPLE.with_name("sample_mask.png")
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, optimize=True)
    print(title)


def whole(name: str, specimen: Specimen, sampling: Sampling, seed: int, index: int) -> int:
    """Return the number of particles of a test structure that do not touch the field's edge."""
    drawn = exit_waves.structure(name, specimen, sampling, seed, "test", index)
    labels = masks.instances(drawn, sampling)
    edges = (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    cut = np.unique(np.concatenate(edges, axis=1))
    return len(np.setdiff1d(labels, np.append(cut, 0)))


def simulated(results: Results, own: str) -> str:
    """Return the scores of the study's network on simulated images.

    Args:
        own: The id of its training condition.
    """
    study = results.study
    found = scores(results)
    lines = [
        f"# The network `{NAME}` on simulated images",
        "",
        LIMITS,
        "",
        f"Mean Dice of {study.study.structures.test} simulated test structures:",
        "",
        by_defocus_and_dose(study, found["dice"]),
        "",
    ]
    if "instance_f1" in found:
        here = {name: float(found[name].sel(test=own)) for name in OF_PARTICLES}
        lines += [
            "Mean F1 score of their particles, compared with the complete ones of both faces:",
            "",
            by_defocus_and_dose(study, found["instance_f1"]),
            "",
            f"Under the training condition, the number of particles is wrong by "
            f"{here['count_error']:+.1%}, and their mean",
            f"diameter by {here['diameter_bias']:+.1%}.",
            "",
        ]
    return "\n".join(lines)


def scores(results: Results) -> dict[str, xr.DataArray]:
    """Return the mean scores of a study's networks by test condition, (test,).

    These are Dice, and for a network with a head the scores of particles.
    """
    with datasets.open_checked(results.path(layout.TABLE), datasets.TABLE) as table:
        found = {"dice": table.dice.load()}
        if "particles" in table:
            sides = [["structure", "truth", "number"]]
            for name in OF_PARTICLES:
                found[name] = xr.apply_ufunc(
                    SCORES[name],
                    table.particles.load(),
                    input_core_dims=sides,
                    output_core_dims=[["structure"]],
                )
    return {
        name: each.mean([side for side in each.dims if side != "test"])
        for name, each in found.items()
    }


def by_defocus_and_dose(study: Study, score: xr.DataArray) -> str:
    """Return a table of a score by test condition, whose further axes are averaged over."""
    defoci, doses = (study.test_axes[name] for name in ("defocus_nm", "dose_e_per_A2"))
    cells: dict[tuple[float, float], list[float]] = {}
    for id in score.test.values:
        c = Condition.parse(str(id))
        cells.setdefault((c.defocus_nm, c.dose_e_per_A2), []).append(float(score.sel(test=id)))
    rows = []
    for defocus in defoci:
        found = [cells.get((defocus, dose)) for dose in doses]
        words = [markdown.NONE if of is None else f"{np.mean(of):.3f}" for of in found]
        rows.append([f"{defocus:g} nm", *words])
    return markdown.table(["defocus", *(f"{dose:g} e/Å²" for dose in doses)], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", type=Path, default=Path("results", STUDY))
    parser.add_argument("--sample", action="store_true", help="make the sample alone")
    options = parser.parse_args()
    if options.sample:
        write_sample(*network_files.open_networks(NAME))
    else:
        main(options.results)
