"""The card of a published network: what it was trained on, where it works and how to use it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml
from jinja2 import Environment, StrictUndefined

from passband.axes import AXES
from passband.config.detector import DetectorNoise
from passband.config.drawn import Number
from passband.grid import Condition, along
from passband.learning.heads import votes
from passband.learning.network_files import Network
from passband.micrographs.images import background
from passband.sharing import performance
from passband.sharing.further_outputs import FurtherOutputs, of_architecture
from passband.sharing.onnx_export import INPUT
from passband.units import A_PER_NM
from passband.words import span

#: The card shows the conditions with a mean Dice above this number.
GOOD = 0.8
#: Further axes whose values every card has, with values of the microscope.
_ALWAYS = ("energy_kev", "pixel_size_A", "focal_spread_nm")


@dataclass(frozen=True)
class Facts:
    """What the card says beyond the network itself.

    Attributes:
        license: The SPDX id of the network's license.
        configuration: The study's configuration.
        network_seed: The seed of the initial weights.
        measured: See :attr:`passband.sharing.performance.Performance.measured`.
        measured_in: The source of `measured`, or the reason why there is none.
        expected: Expected Dice (test) of the network on its training specimen, under the tested
            conditions and between them.
        picture: The name of the picture of the measured Dice.
        example: What the test input shows.
        further: The outputs of a network with a head besides the mask.
        differences: Largest difference between an output of the ONNX file and of torch, by the name
            of the output.
        sizes: The sizes of the images for which `differences` were measured [pixels].
        versions: Versions of the programs that made the folder, by name.
    """

    name: str
    license: str
    authors: Sequence[str]
    configuration: Mapping[str, Any]
    network_seed: int
    measured: xr.Dataset | None
    measured_in: str
    expected: xr.DataArray | None
    picture: str | None
    example: str
    further: FurtherOutputs | None
    differences: Mapping[str, float]
    sizes: Sequence[tuple[int, int]]
    versions: Mapping[str, str]


def render(network: Network, facts: Facts) -> str:
    """Return the card as Markdown."""
    # In the template, an indented line continues the line before it.
    template = _environment().from_string(re.sub(r"\n  +", " ", _source("card.md.j2")))
    microscope = network.microscope.under(network.condition)
    specimen = network.metadata.specimen
    described = facts.configuration.get("specimens", {}).get(specimen)
    if described is not None:
        described = yaml.safe_dump({specimen: described}, sort_keys=False, allow_unicode=True)
    return template.render(
        facts=facts,
        network=network,
        metadata=network.metadata,
        provenance=network.metadata.provenance,
        best=network.metadata.best[network.replica],
        specimen=specimen,
        described=described,
        trained=network.condition.id,
        parameters=[
            (AXES[name].label, AXES[name].words(f"{value:g}"))
            for name, value in network.condition.values().items()
            if name not in _ALWAYS
        ],
        microscope=microscope,
        noise=network.microscope.detector.noise,
        noise_words=noise_words,
        code=example_code(network),
        flattened_nm=background.FLATTENED
        * network.microscope.field_px
        * network.pixel_size_A
        / A_PER_NM,
        good=GOOD,
        lowest=_lowest,
        runs=performance.runs,
        **_tested(network.condition, specimen, facts),
    )


def _tested(trained: Condition, specimen: str, facts: Facts) -> dict[str, Any]:
    """Return what the card says about the tests.

    In a study with further axes, the numbers for the training specimen are for the network's own
    values of these axes (`alike`). The card also says how it does at other values (`elsewhere`).
    """
    measured = facts.measured
    said: dict[str, Any] = {"measured": measured, "ranges": "", "particles": {}}
    if measured is None:
        return said
    tested = along(measured, "test")
    values = {name: [c.value(name) for c in tested] for name in tested[0].axes.names}
    said["ranges"] = "; ".join(
        AXES[name].named(span(min(of_axis), max(of_axis))) for name, of_axis in values.items()
    )
    said["names"] = ", ".join(AXES[name].label for name in tested[0].axes.own)
    said["further"] = performance.further_words(trained, measured)
    said["others"] = {
        name: measured.dice.sel(test_specimen=name).values
        for name in measured.test_specimen.values
        if name != specimen
    }
    said["particles"] = _particles(measured, trained, specimen)
    said["alike"] = said["elsewhere"] = None
    if (dice := performance.own_specimen(measured, specimen)) is not None:
        alike = performance.as_trained(dice, trained)
        shown = alike if facts.expected is None else facts.expected
        said |= {"alike": alike, "elsewhere": dice.drop_sel(test=alike.test.values)}
        said["defoci"] = sorted({c.defocus_nm for c in along(alike, "test")})
        said["doses"] = sorted({c.dose_e_per_A2 for c in along(shown, "test")})
        said["region"] = performance.region(shown, GOOD)
    return said


def _particles(measured: xr.Dataset, trained: Condition, specimen: str) -> dict[str, float]:
    """Return the scores of particles under the training condition that are known."""
    if specimen not in measured.test_specimen.values or trained.id not in measured.test.values:
        return {}
    place = {"test_specimen": specimen, "test": trained.id}
    names = [name for name in performance.OF_PARTICLES if name in measured]
    scores = {name: measured[name].sel(place).item() for name in names}
    return {name: score for name, score in scores.items() if np.isfinite(score)}


def example_code(network: Network) -> str:
    """Return Python code that runs the ONNX file on an image, without Passband.

    It prepares the image with the steps of
    :func:`passband.micrographs.images.segmentation.segment`, in the same order, and needs numpy,
    scipy and onnxruntime.
    """
    noise = network.microscope.detector.noise
    template = _environment().from_string(_source("onnx_example.py.j2"))
    steps = ["hot", "background", "pixels", "filter", "normalisation", "sides"]
    if network.normalisation == "vacuum":
        steps.remove("background")
    if not noise.needs_filter:
        steps.remove("filter")
    further = of_architecture(network.architecture)
    code = template.render(
        network=network,
        pixel_A=network.pixel_size_A,
        finest_A=network.finest_A,
        background=background,
        noise=noise,
        factors=filter_factors(noise),
        steps={name: number for number, name in enumerate(steps, 1)},
        input=INPUT,
        further=further,
    )
    if further and further.is_votes:
        decoder = _environment().from_string(_source("onnx_votes.py.j2"))
        pixel_nm = network.pixel_size_A / A_PER_NM
        code += decoder.render(step=len(steps) + 1, votes=votes, pixel_nm=pixel_nm)
    return code


def filter_factors(noise: DetectorNoise) -> list[str]:
    """Return expressions whose product is the filter of counts at `qy` and `qx` [1/Å].

    See :mod:`passband.optics.noise_filter`.
    """
    form, width_A, table, stored_A = noise.arguments
    width = f"{width_A:g}"
    names = "qy", "qx"
    factors = []
    if form == "table":
        factors = [f"np.interp(np.hypot(qy, qx), *np.transpose({table}))"]
    elif form == "binned":
        factors = [f"np.sinc({width} * {q})" for q in names]
    elif form == "hann":
        # A shift of 10⁻⁹ 1/Å avoids 0/0 where the width is a half of a period.
        x = [f"2 * {width} * ({q} + 1e-9)" for q in names]
        factors = [f"np.sinc({each}) / (1 - ({each}) ** 2)" for each in x]
    if stored_A:
        factors += [f"({q} <= {0.5 / stored_A:.9g})" for q in names]
    return factors


def _environment() -> Environment:
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {"g": "{:g}".format, "dice": "{:.3f}".format}
    return environment


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def noise_words(noise: DetectorNoise) -> str:
    """Return what was done to the counts of the training images after they were drawn."""
    if noise.is_white:
        return "white, as they were drawn"
    width, stored = map(_ends, (noise.width_A, noise.stored_pixel_A))
    forms = {
        "binned": f"averaged over squares of {width} Å",
        "hann": f"averaged with a Hann kernel of half-width {width} Å",
        "table": "with the filter `microscope.detector.noise.table` of `study.yaml`",
    }
    words = [forms[noise.filter_form]] if noise.filter_form in forms else []
    if isinstance(noise.form, list):
        words = [f"every second image {words[0]}, the others white"]
    if noise.stored_pixel_A:
        words.append(f"nothing that pixels of {stored} Å cannot show")
    return f"filtered after they were drawn: {', '.join(words)}"


def _ends(value: Number) -> str:
    """Return a number, or the ends of a range."""
    return " to ".join(f"{end:g}" for end in (value if isinstance(value, list) else [value]))


def _lowest(dice: xr.DataArray) -> str:
    """Return the values of the condition with the lowest Dice."""
    condition = along(dice, "test")[dice.values.argmin()]
    return ", ".join(AXES[name].named(f"{value:g}") for name, value in condition.values().items())
