"""The study that trains a network like a given one, for another microscope or material."""

import re
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from passband.axes import AXES, MAIN_AXES
from passband.config import Microscope, Specimen, Study, study_checks, study_text, validate
from passband.config.crystals import MATERIALS
from passband.errors import ArgumentError, PassbandError
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.optics import ctf
from passband.results.locate import CONFIG
from passband.runs import plan, rates
from passband.words import duration

if TYPE_CHECKING:
    from passband.learning.network_files import Network
    from passband.micrographs.images.readers import Micrograph

#: Below this energy, the pixels of multislice are those of `auto` [keV]. At this energy, those of
#: 0.25 Å give waves of a platinum particle on carbon with an error of 1.4% up to 1/Å and of 2.3% up
#: to the band limit; slower electrons are scattered more.
SLOW_KEV = 80.0
#: The study is cut so that it takes no longer than this on so many typical cores [s].
MOST_S = 2400.0
CORES = 2
#: The largest number of values of defocus and of dose in tests.
_MOST_TESTED = 5
#: A longer name of a network is not repeated in each comment.
_SHORT = 20
#: Files may state an energy that differs by this fraction from what people say.
_TOLERANCE = 0.01
#: An aperture of at least this fraction of the band limit of the pixels is no aperture.
_OPEN = 0.95
#: What a specimen has where its new material cannot have a key: the key, its value and the words.
_REMEDIES: dict[str, tuple[str, Any, str]] = {
    "twins": ("twins", {"min": 0, "max": 0}, "no twins"),
    "stacking_faults": ("stacking_faults", {"min": 0, "max": 0}, "no stacking faults"),
    "shape": ("shape", "sphere", "balls"),
    "surface_energies": ("shape", "sphere", "balls"),
    "closed_shells": ("closed_shells", False, "uneven facets"),
    "thermal": ("thermal", {}, "atoms at rest"),
}


@dataclass(frozen=True)
class Asked:
    """What differs from the training of a network. None: nothing is said about it.

    Attributes:
        like_image: A file with an image of the microscope.
        pixel_size_A: For such a file that does not have it [Å].
    """

    energy_kev: float | None = None
    material: str | None = None
    like_image: Path | None = None
    pixel_size_A: float | None = None

    @property
    def first(self) -> str:
        """The first argument that is given; empty if there is none."""
        return next((name for name, value in vars(self).items() if value is not None), "")


@dataclass(frozen=True)
class StudyLike:
    """A study like that of a network.

    Attributes:
        text: Its file, without a head.
        lines: What it has from an image, what was adapted, and how long it takes.
    """

    study: Study
    text: str
    lines: tuple[str, ...]


def make(network: "Network", named: str, folder: Path, asked: Asked) -> StudyLike:
    """Return the study that trains one network like a network.

    Args:
        named: The network, as messages call it.
        folder: The study's folder, whose name is the study's.

    Raises:
        PassbandError: If the network's study is not there, has parts of its own or a mixture, or if
            what is asked is wrong.
    """
    condition = network.condition
    if isinstance(condition, Mixture):
        raise PassbandError(
            f"{named}: is a network of a mixture, which needs its study: give like = its file"
        )
    if own := network.study.known_parts.own:
        raise PassbandError(
            f"{named}: its study has a part of its own, {own[0].name}; give like = its file"
        )
    if asked.pixel_size_A is not None and asked.like_image is None:
        raise ArgumentError(
            "pixel_size_A: has an effect only together with like_image",
            "pixel_size_A",
            "like_image",
        )
    before = _of_network(network, condition, folder.absolute().name)
    content = deepcopy(before)
    lines: list[str] = []
    energy_kev = _given_energy(asked.energy_kev)
    if asked.like_image is not None:
        micrograph = _image(asked.like_image, asked.pixel_size_A, network)
        energy_kev = _energy(energy_kev, micrograph)
        lines += _set_noise(content, micrograph)
    if energy_kev is not None:
        lines += _set_energy(content, energy_kev, network.microscope)
    if asked.material is not None:
        lines += _set_material(content, asked.material)
        (renamed,) = content["specimens"]
        (earlier,) = before["specimens"].values()
        before["specimens"] = {renamed: earlier}
    study, cut = _shortened(validate(content, str(folder / CONFIG)))
    its = named if len(named) <= _SHORT else "before"  # the path of a file would fill the lines
    text = study_text.of(study.written(), before, its)
    return StudyLike(study, text, (*lines, cut))


def _of_network(network: "Network", condition: Condition, name: str) -> dict[str, Any]:
    """Return the content of the study that trains one network as a network was trained.

    It is tested over the defocus and the dose of the network's study.
    """
    study = network.study
    specimen = network.metadata.specimen
    own = condition.values()
    one = {"replicas": 1, "replicas_per_job": 1, "conditions_per_job": 1}
    content = study.written()
    of_specimen = study.specimens[specimen].under(condition).model_dump(mode="json")
    return {
        "study": content["study"] | one | {"name": name, "allow_incomplete": False},
        "microscope": study.microscope.under(condition).model_dump(mode="json"),
        "specimens": {specimen: of_specimen | {"trained": True}},
        "grid": {axis: [own[axis]] for axis in MAIN_AXES},
        "test_grid": _tested(study, own),
        "training": content["training"] | {"architectures": [network.metadata.architecture]},
    }


def _tested(study: Study, own: dict[str, float]) -> dict[str, list[float]]:
    """Return the values of defocus and dose of the tests, with the network's own."""
    tested = {}
    for axis in ("defocus_nm", "dose_e_per_A2"):
        values = sorted({*study.test_axes[axis], own[axis]})
        if len(values) > _MOST_TESTED:
            values = sorted({values[0], own[axis], values[-1]})
        tested[axis] = values
    return tested


def _image(path: Path, pixel_size_A: float | None, network: "Network") -> "Micrograph":
    """Return the image of the microscope, if it can be one."""
    from passband.micrographs.images import own_noise, readers, segmentation

    found = readers.read(path, pixel_size_A)
    if found.is_colour:
        raise PassbandError(f"{path}: is a colour image; give the image that the camera stored")
    first = found.images[0]
    if own_noise.is_repeated(first):
        raise PassbandError(
            f"{path}: its pixels were repeated to enlarge it; give the image that the camera stored"
        )
    try:
        segmentation.check_image(first.shape, found.pixel_size_A, network)
    except PassbandError as error:
        raise PassbandError(f"{path}: {error}") from None
    return found


def _given_energy(energy_kev: float | None) -> float | None:
    """Return a beam energy [keV] after a check of its limits."""
    if energy_kev is not None:
        try:
            AXES["energy_kev"].within(energy_kev, f"energy_kev = {energy_kev:g}")
        except ValueError as error:
            raise ArgumentError(str(error)) from None
    return energy_kev


def _energy(given: float | None, micrograph: "Micrograph") -> float | None:
    """Return the beam energy that is given, or that an image states [keV]."""
    stated = micrograph.stated.energy_keV
    if given is None or stated is None:
        return stated if given is None else given
    if abs(stated - given) > _TOLERANCE * given:
        raise ArgumentError(
            f"energy_kev = {given:g}: {micrograph.path} states {stated:g} keV; give the one that "
            "is right, or another image"
        )
    return given


def _set_noise(content: dict[str, Any], micrograph: "Micrograph") -> list[str]:
    """Give the simulated images the noise of an image."""
    from passband.config.detector import DetectorNoise
    from passband.micrographs.images import bars, own_noise

    image = micrograph.images[0]
    detector = content["microscope"]["detector"]
    noise, why = own_noise.of_camera(
        image[bars.used(image, None).place],
        micrograph.pixel_size_A,
        usual=DetectorNoise.model_validate(detector["noise"]),
        network_pixel_A=content["microscope"]["pixel_size_A"],
    )
    detector["noise"] = noise.model_dump(mode="json")
    return [f"{micrograph.path}: pixels of {micrograph.pixel_size_A:.4g} Å; {why}"]


def _set_energy(content: dict[str, Any], energy_kev: float, microscope: Microscope) -> list[str]:
    """Set the beam energy. Without an aperture, the pixels end at another angle then."""
    if energy_kev == microscope.energy_kev:
        return []
    content["microscope"]["energy_kev"] = energy_kev
    lines = []
    (before,) = content["grid"]["aperture_mrad"]
    after = _aperture(content, microscope, energy_kev)
    content["grid"]["aperture_mrad"] = [after]
    if after != before:
        lines.append(f"aperture {after:g} mrad in place of {before:g}, for {energy_kev:g} keV")
    pixel = microscope.multislice_pixel_A
    if energy_kev < SLOW_KEV and pixel != "auto":
        content["microscope"]["multislice_pixel_A"] = "auto"
        lines.append(
            f"multislice_pixel_A auto in place of {pixel:g}, whose error is not known below "
            f"{SLOW_KEV:g} keV"
        )
    return lines


def _aperture(content: dict[str, Any], microscope: Microscope, energy_kev: float) -> float:
    """Return the aperture under another beam energy [mrad].

    One that is as wide as the band of the pixels stays so. Any is made as narrow as the pixels and
    the field of view need.
    """
    (before,) = content["grid"]["aperture_mrad"]
    wavelength = ctf.wavelength(microscope.energy_eV)
    is_open = before > _OPEN * microscope.wave_sampling.cutoff * wavelength * 1e3
    under = microscope.model_copy(update={"energy_kev": energy_kev})
    widest = before * ctf.wavelength(under.energy_eV) / wavelength if is_open else before
    axes = content["grid"] | {"defocus_nm": content["test_grid"]["defocus_nm"]}
    for share in np.linspace(1, 0.05, 96):
        found = float(np.floor(10 * share * widest) / 10)
        try:
            study_checks.check_microscope(axes | {"aperture_mrad": [found]}, under)
        except ValueError:
            continue
        return found
    return before  # the check of the study says why it is refused


def _set_material(content: dict[str, Any], material: str) -> list[str]:
    """Set the material, with other values of keys that it cannot have."""
    file = Path(material)
    if material not in MATERIALS and not file.is_file():
        raise ArgumentError(
            f"material = {material!r}: must be {', '.join(sorted(MATERIALS))}, or a crystal file"
        )
    ((_, specimen),) = content["specimens"].items()
    is_known = material in MATERIALS
    name = material if is_known else re.sub("[^A-Za-z0-9.-]", "-", file.stem)[:40].strip(".-")
    changed = specimen | {"material": material if is_known else str(file.absolute())}
    changed["surface_energies"] = {}
    changed["thermal"] = specimen["thermal"] | {"msd_A2": {}}
    instead = []
    while error := _refusal(changed):
        key, value, words = _REMEDIES.get(re.split("[ .]", error)[0], ("", None, ""))
        if not key or changed[key] == value:
            said = error.partition(": ")[2] if error.startswith("material = ") else error
            raise ArgumentError(f"material = {material!r}: {said}")
        changed[key] = value
        instead.append(words)
    content["specimens"] = {name or "particles": changed}
    return [f"{material}: {', '.join(instead)}"] if instead else []


def _refusal(specimen: dict[str, Any]) -> str:
    """Return why a specimen is not possible, which begins with a key; empty if it is."""
    try:
        Specimen.model_validate(specimen)
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False)
        return str(first.get("ctx", {}).get("error", first["msg"]))
    return ""


def _shortened(study: Study) -> tuple[Study, str]:
    """Return a study with as many structures and epochs as the time allows, and a line about it."""
    train = study.study.structures.train
    epochs = study.training.epochs
    changed = study
    for share in np.linspace(1, 0.1, 46):
        few = max(study.training.batch_size, round(share * train)) if share < 1 else train
        changed = study.replaced("study.structures.train", few)
        changed = changed.replaced("training.epochs", max(1, round(share * epochs)))
        if seconds(changed) <= MOST_S:
            break
    line = f"{_words(changed)}: about {duration(seconds(changed))} on {CORES} typical cores"
    shorter = f" (cut from {_words(study)})" if changed.steps != study.steps else ""
    return changed, f"{line}{shorter}; `passband plan` measures this machine"


def _words(study: Study) -> str:
    return f"{study.study.structures.train} structures, {study.training.epochs} epochs"


def seconds(study: Study) -> float:
    """Return how long a study takes on typical cores [s]."""
    speeds = rates.typical(study)
    took = rates.seconds_by_rule(study, speeds)
    return plan.elapsed(study, took, speeds, together=CORES)
