"""The card of a published network: what it was trained on, where it works and how to use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
import yaml

from passband.axes import AXES, MAIN_AXES
from passband.config.detector import DetectorNoise
from passband.grid import Condition, own_values
from passband.learning.network_files import Network
from passband.micrographs.segmentation import FLATTENED
from passband.sharing import onnx_example, performance
from passband.units import A_PER_NM

#: The card shows the conditions with a mean Dice above this number.
GOOD = 0.8

#: For each normalisation, the sentence about the description in the format of BioImage.IO.
_DESCRIBED = {
    "zscore": "rdf.yaml has only the normalisation, as `zero_mean_unit_variance`. BioImage.IO "
    "divides by the standard deviation with N pixels instead of N − 1, which changes an image of "
    "128 × 128 pixels by a factor of 1 + 3·10⁻⁵.",
    "minmax": "rdf.yaml has only the normalisation, as `scale_range`.",
    "vacuum": "rdf.yaml has no step, because the normalisation needs the dose of each image.",
}
#: Further axes whose values every card has, with values of the microscope.
_ALWAYS = ("energy_kev", "pixel_size_A", "focal_spread_nm")


@dataclass(frozen=True)
class Facts:
    """What the card says beyond the network itself.

    Attributes
    ----------
    name, license : str
        The network's name, and the SPDX id of its license.
    authors : sequence of str
        Names of the authors, which may be empty.
    configuration : mapping
        The study's configuration.
    network_seed : int
        The seed of the initial weights.
    measured : Dataset or None
        See :func:`passband.sharing.performance.measured`.
    measured_in : str
        The source of `measured`, or the reason why there is none.
    expected : DataArray or None
        Expected Dice (test) of the network on its training specimen, under the tested conditions
        and between them.
    picture : str or None
        The name of the picture of the measured Dice.
    example : str
        What the test input shows.
    difference : float
        Largest difference between a probability of the ONNX file and of torch.
    sizes : sequence of (int, int)
        The sizes of the images for which `difference` was measured [pixels].
    versions : mapping of str to str
        Versions of the programs that made the folder.
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
    difference: float
    sizes: Sequence[tuple[int, int]]
    versions: Mapping[str, str]


def render(network: Network, facts: Facts) -> str:
    """Return the card as Markdown."""
    parts = (
        _head(network, facts),
        _training(network, facts),
        _validation(network, facts),
        _limits(network, facts),
        _use(network, facts),
        _origin(network, facts),
    )
    return "\n\n".join(parts) + "\n"


def _head(network: Network, facts: Facts) -> str:
    by = f" Authors: {', '.join(facts.authors)}." if facts.authors else ""
    return (
        f"# {facts.name}\n\n"
        "This network finds particles in HRTEM images. For each pixel, it gives the probability "
        f"that the pixel is in a particle. Its architecture is `{network.metadata.architecture}`. "
        f"It was trained by Passband on simulated images.\n\nLicense: {facts.license}.{by}"
    )


def _training(network: Network, facts: Facts) -> str:
    rows = "\n".join(
        f"| {AXES[name].label} | {AXES[name].words(f'{value:g}')} |"
        for name, value in network.condition.values().items()
        if name not in _ALWAYS
    )
    microscope = network.microscope.under(network.condition)
    specimen = network.metadata.specimen
    described = facts.configuration.get("specimens", {}).get(specimen)
    block = ""
    if described is not None:
        text = yaml.safe_dump({specimen: described}, sort_keys=False, allow_unicode=True)
        block = (
            f"\n\nThe specimen `{specimen}`, with the keys of Passband's configuration:\n\n"
            f"```yaml\n{text}```"
        )
    return (
        "## Training\n\n"
        f"The network was trained on the specimen `{specimen}` under one condition:\n\n"
        f"| parameter | value |\n|---|---|\n{rows}\n"
        f"| beam energy | {microscope.energy_kev:g} keV |\n"
        f"| pixel size | {microscope.pixel_size_A:g} Å |\n"
        f"| focal spread (1/e) | {microscope.focal_spread_nm:g} nm |\n"
        f"| noise of the counts | {noise_words(microscope.detector.noise)} |\n\n"
        "A positive defocus is underfocus. `study.yaml` has the whole configuration: microscope, "
        f"specimens, training and seeds.{block}"
    )


def _validation(network: Network, facts: Facts) -> str:
    head = "## Validation\n\n"
    if facts.measured is None:
        return (
            f"{head}There are no measurements: {facts.measured_in}. So this card cannot say under "
            "which conditions the network works."
        )
    specimen = network.metadata.specimen
    dice = performance.own_specimen(facts.measured, specimen)
    tested = facts.measured.sizes["test"]
    images = facts.measured.attrs["images"]
    text = (
        f"{head}The network was tested on {images} simulated images under each of {tested} "
        f"conditions ({facts.measured_in}). Dice is 1 if prediction and truth agree in every "
        "pixel, and 0 if they share no particle pixel. All numbers are means over the images of a "
        "condition. `performance.csv` has all of them, with their standard errors.\n\n"
    )
    if dice is not None:
        text += _own_specimen(network.condition, specimen, dice, facts)
    others = [name for name in facts.measured.test_specimen.values if name != specimen]
    if others:
        rows = "\n".join(
            f"| {name} | {values.mean():.3f} | {values.min():.3f} |"
            for name in others
            for values in [facts.measured.dice.sel(test_specimen=name).values]
        )
        if performance.further_words(network.condition, facts.measured):
            text += "### Other specimens\n\n"
        text += (
            "Mean and lowest Dice over all test conditions, on specimens that the network was not "
            f"trained on:\n\n| specimen | mean Dice | lowest Dice |\n|---|---|---|\n{rows}\n\n"
        )
    return text.rstrip()


def _own_specimen(trained: Condition, specimen: str, dice: xr.DataArray, facts: Facts) -> str:
    """Return the numbers, the picture and the table for the training specimen.

    In a study with further axes, they are for the network's own values of these axes. A line says
    how the network does at other values.
    """
    alike, text = performance.as_trained(dice, trained), ""
    words = performance.further_words(trained, dice)
    if words and alike.size:
        text += f"### As in training: {words}\n\n"
    if alike.size:
        text += _own(trained, alike, facts) + _region(alike, specimen, facts.expected)
    if len(alike) < len(dice):
        text += _elsewhere(dice.drop_sel(test=alike.test.values), words)
    return text


def _elsewhere(dice: xr.DataArray, words: str) -> str:
    """Return how the network does with other values of further axes than in training."""
    own = own_values(dice)
    names = ", ".join(AXES[name].label for name in own)
    above = int((dice > GOOD).sum())
    lowest = Condition.parse(str(dice.test.values[dice.values.argmin()]))
    return (
        f"### Other values of {names}\n\n"
        f"The network was trained with {words}. Under the {dice.size} tested conditions with other "
        f"values, mean Dice is {dice.mean():.3f}, and it is above {GOOD:g} under {above} of them. "
        f"It is lowest at {_words(lowest, own)}: {dice.min():.3f}.\n\n"
    )


def _own(trained: Condition, dice: xr.DataArray, facts: Facts) -> str:
    """Return the numbers and the picture for the training specimen."""
    if trained.id in dice.test.values:
        others = dice.sel(test=dice.test != trained.id)
        text = f"Under the training condition, Dice is {dice.sel(test=trained.id).item():.3f}."
        if others.size:
            text += f" Over the {others.size} other conditions, mean Dice is {others.mean():.3f}."
    else:
        text = f"Mean Dice over all conditions is {dice.mean():.3f}."
    lowest = Condition.parse(str(dice.test.values[dice.values.argmin()]))
    lowest_words = _words(lowest, own_values(dice))
    text += f" It is lowest at {lowest_words}: {dice.min():.3f}.\n\n"
    if facts.picture:
        text += f"![Mean Dice by defocus, Cs, aperture and dose]({facts.picture})\n\n"
    return text


def _region(dice: xr.DataArray, specimen: str, expected: xr.DataArray | None) -> str:
    """Return where Dice is above :data:`GOOD` on the training specimen, by dose."""
    above = int((dice > GOOD).sum())
    defoci = sorted({Condition.parse(id).defocus_nm for id in dice.test.values})
    if expected is None:
        how = (
            "The table is measured, not predicted: between the tested values, nothing was measured."
        )
    else:
        how = (
            "Under the tested conditions, the table is measured. Between them, it shows where the "
            f"expected Dice is above {GOOD:g}. The expected Dice comes from a Gaussian process of "
            "all networks of the study. `passband recommend` prints it for any condition, with an "
            "interval."
        )
    shown = dice if expected is None else expected
    doses = sorted({Condition.parse(id).dose_e_per_A2 for id in shown.test.values})
    head = " | ".join(f"{dose:g} e/Å²" for dose in doses)
    rows = "\n".join(
        f"| {cs:g} µm, {aperture:g} mrad | "
        + " | ".join(
            performance.runs(by_dose[dose]) if dose in by_dose else "not tested" for dose in doses
        )
        + " |"
        for (cs, aperture), by_dose in performance.region(shown, GOOD).items()
    )
    return (
        f"Mean Dice is above {GOOD:g} under {above} of {dice.size} tested conditions. The table "
        f"has the values of defocus with a Dice above {GOOD:g} on `{specimen}`, in nm, by Cs and "
        "aperture (rows) and dose (columns). The tested values are "
        f"{', '.join(f'{defocus:g}' for defocus in defoci)} nm. {how}\n\n"
        f"| Cs, aperture | {head} |\n|---|{'---|' * len(doses)}\n{rows}\n\n"
    )


def _limits(network: Network, facts: Facts) -> str:
    text = (
        "## Limits\n\n"
        "- The network has seen simulated images only. All numbers on this card are from simulated "
        "images too. Passband has not tested the network on real micrographs. A real micrograph "
        "differs from the simulated images, for example in the spectrum of its noise.\n"
        f"- The pixel size must be {network.pixel_size_A:g} Å. Resample other images first. "
        "With a wrong pixel size, the network fails without a warning.\n"
        "- The numbers hold for the training specimen. Other materials, sizes, shapes and "
        "supports were tested only if the section Validation lists them.\n"
    )
    if facts.measured is not None:
        ids = [Condition.parse(id) for id in facts.measured.test.values]
        own = own_values(facts.measured)
        ranges = "; ".join(
            f"{AXES[name].label} {AXES[name].words(_range([c.value(name, own) for c in ids]))}"
            for name in (*MAIN_AXES, *own)
        )
        text += (
            f"- The tests covered these ranges: {ranges}. Outside these ranges, Dice was not "
            "measured, and it may be lower than every value on this card.\n"
        )
    return text.rstrip()


def noise_words(noise: DetectorNoise) -> str:
    """Return what was done to the counts of the training images after they were drawn."""
    if noise.is_white:
        return "white, as they were drawn"
    forms = {
        "binned": f"averaged over squares of {noise.width_A:g} Å",
        "hann": f"averaged with a Hann kernel of half-width {noise.width_A:g} Å",
        "table": "with the filter `microscope.detector.noise.table` of `study.yaml`",
    }
    words = [forms[noise.form]] if noise.form in forms else []
    if noise.stored_pixel_A:
        words.append(f"nothing that pixels of {noise.stored_pixel_A:g} Å cannot show")
    return f"filtered after they were drawn: {', '.join(words)}"


def _use(network: Network, facts: Facts) -> str:
    noise = network.microscope.detector.noise
    field_nm = network.microscope.field_px * network.pixel_size_A / A_PER_NM
    steps = ["hot pixels", f"pixels of {network.pixel_size_A:g} Å, with all counts kept"]
    filtered = ""
    if not noise.is_white:
        steps.append("the filter of the training's counts, if the noise of the image is white")
        filtered = (
            f" The counts of the training images were {noise_words(noise)}. Without this filter, "
            "the network takes the white noise of a counting camera for particles. Counts that "
            "were averaged or resampled after the exposure need no filter. `passband predict` "
            "prints whether it filtered an image."
        )
    steps += ["normalisation", f"sides that are multiples of {network.divisor} pixels"]
    return (
        "## How to use it\n\n"
        "With Passband, from the folder that contains this card:\n\n"
        "```\npassband predict . IMAGE\n```\n\n"
        "With numpy, scipy and onnxruntime, the following code does the same steps in the same "
        f"order: {'; '.join(steps)}.{filtered}\n\n"
        f"```python\n{onnx_example.code(network)}```\n\n"
        f"`passband predict` also divides an image of {FLATTENED * field_nm:.3g} nm or more by its "
        "smooth background, cuts a large image into tiles, and returns to the pixels of the image. "
        "The ONNX file has no expected Dice, and no warning for an image that is unlike the "
        "training images: only `passband predict` has these.\n\n"
        f"Both sides of the network's input are multiples of {network.divisor} pixels, and at "
        f"least {network.smallest_px} pixels. {_DESCRIBED[network.normalisation]}\n\n"
        f"`test_input.npy` is {facts.example}, which is normalised already. `test_output.npy` has "
        "the probabilities that torch computes from it, in float32."
    )


def _origin(network: Network, facts: Facts) -> str:
    metadata, provenance = network.metadata, network.metadata.provenance
    best = metadata.best[network.replica]
    sizes = ", ".join(f"{height} × {width}" for height, width in facts.sizes)
    rows = {
        "network": f"`{network.id}`",
        "study": provenance.get("study", "unknown"),
        "study's seed": facts.configuration.get("study", {}).get("seed", "unknown"),
        "seed of the initial weights": facts.network_seed,
        "chosen epoch, from 0": f"{best.epoch} of {len(metadata.history[network.replica])}, with "
        f"validation loss {best.val_loss:.4f} and Dice {best.val_dice:.4f}",
        "training": f"{metadata.precision} on {metadata.device}",
        "trained": provenance.get("created", "unknown"),
        "Passband of the training": f"{provenance.get('passband_version', 'unknown')}, revision "
        f"{provenance.get('git_revision', 'unknown')}",
        "digest of the configuration": f"`{provenance.get('config_digest', 'unknown')}`",
        "digest of the network's inputs": f"`{metadata.context}`",
        "made with": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "ONNX against torch": f"largest difference of a probability {facts.difference:.1e}, for "
        f"random images of {sizes} pixels",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"## Origin\n\n| what | value |\n|---|---|\n{table}"


def _words(condition: Condition, own: Mapping[str, float]) -> str:
    return ", ".join(
        f"{AXES[name].label} {AXES[name].words(f'{value:g}')}"
        for name, value in condition.values(own).items()
    )


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
