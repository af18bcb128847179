"""The lens of image files, measured from Thon rings, for commands."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from passband.errors import ArgumentError, PassbandError
from passband.micrographs.images import readers
from passband.micrographs.images.file_metadata import Recorded
from passband.micrographs.images.pixel_size import TOLERANCE
from passband.micrographs.rings import ctf_fit
from passband.micrographs.rings.ctf_fit import WIDTH, Measurement, Settings, Solution
from passband.optics import ctf
from passband.units import A_PER_NM, A_PER_UM, EV_PER_KEV

#: Allowed beam energies [keV].
ENERGIES_KEV = 10.0, 3000.0
#: A sign of the defocus whose likelihood is below this is excluded.
UNLIKELY = 0.01
#: Names of the signs.
SIGNS = {1: "underfocus", -1: "overfocus"}
#: What a measurement without rings means.
NO_RINGS = (
    "no rings: the spectrum of the background fits a lens without rings as well, so the condition "
    "cannot be measured"
)


@dataclass(frozen=True)
class Known:
    """What a user knows about the microscope; None is unknown.

    Attributes:
        energy_keV, cs_um, aperture_mrad, amplitude_contrast: Beam energy, Cs, semi-angle of the
            objective aperture, amplitude contrast.
        sign: 1 for underfocus, −1 for overfocus, 0 for unknown.
    """

    energy_keV: float | None = None
    cs_um: float | None = None
    aperture_mrad: float | None = None
    amplitude_contrast: float | None = None
    sign: int = 0

    def check(self) -> None:
        """Raise PassbandError if a value is not allowed."""
        limits = (
            ("energy_kev", self.energy_keV, *ENERGIES_KEV, "keV"),
            ("cs_um", self.cs_um, -9999.999, 9999.999, "µm"),
            ("aperture_mrad", self.aperture_mrad, 0.1, 200, "mrad"),
            ("amplitude_contrast", self.amplitude_contrast, -0.9, 0.9, ""),
        )
        for name, value, low, high, unit in limits:
            if value is not None and not low <= value <= high:  # NaN fails too
                between = f"must be between {low:g} and {high:g} {unit}".rstrip()
                raise ArgumentError(f"{name} = {value:g}: {between}")


@dataclass(frozen=True)
class Lens:
    """The measured lens of an image, and what it was measured with.

    Attributes:
        name: The name of the file, with the number of the frame if the file is a stack.
    """

    name: str
    path: Path
    pixel_size_A: float
    settings: Settings
    measurement: Measurement
    stated: Recorded
    notes: tuple[str, ...]

    @property
    def signs(self) -> list[int]:
        """The signs of the defocus that are possible, the first one reported first.

        If neither is excluded, underfocus is first, unless it is much less likely.
        """
        likelihoods = self.measurement.likelihoods
        possible = [
            s for s in (1, -1) if likelihoods[s] >= UNLIKELY and self.measurement.of_sign(s)
        ]
        if len(possible) == 2 and likelihoods[1] < 0.05:
            possible.reverse()
        return possible

    def values(self) -> dict[str, Any]:
        """Return the lens as JSON's types; see docs/ctf.md."""
        found, settings = self.measurement, self.settings
        lam = ctf.wavelength(settings.energy_eV)
        shared = settings.shared(found.cs_A)
        spread = WIDTH * shared.contrast_std
        result: dict[str, Any] = {
            "image": self.name,
            "rings": found.is_visible,
            "ring_gain": round(found.gain, 2),
            "pixel_size_A": self.pixel_size_A,
            "energy_kev": settings.energy_eV / EV_PER_KEV,
            "background": {
                "found_by": found.image.found_by,
                "fraction": round(found.image.spectrum.background, 4),
            },
            "defocus_nm": None,
            "astigmatism_nm": None,
            "astigmatism_angle_deg": None,
            "cs_um": None,
            "amplitude_contrast": _interval(
                shared.contrast, shared.contrast - spread, shared.contrast + spread
            ),
            "sign": None,
            "signs": [],
            "undetermined": [],
            "notes": list(self.notes),
        }
        if not found.is_visible:
            return result | {"undetermined": [NO_RINGS]}
        first, *_ = signs = self.signs
        for sign in signs:
            result["signs"].append(
                {"sign": SIGNS[sign], "likelihood": round(found.likelihoods[sign], 4)}
                | self._of_sign(sign)
            )
        cs, width = found.cs_A / A_PER_UM, WIDTH * found.cs_std_A / A_PER_UM
        defocus = found.defocus_A(first)[0]
        return result | {
            **self._of_sign(first),
            "cs_um": _interval(cs, max(0.0, cs - width) if width else cs, cs + width),
            "sign": SIGNS[first] if len(signs) == 1 else "undetermined",
            "scaled": {
                "wavelength_defocus_per_pixel2": float(f"{lam * defocus / self._square:.5g}"),
                "cs_wavelength3_per_pixel4": float(f"{found.cs_A * lam**3 / self._square**2:.5g}"),
            },
            "undetermined": self.undetermined(),
        }

    @property
    def _square(self) -> float:
        return self.pixel_size_A**2

    def _of_sign(self, sign: int) -> dict[str, dict[str, float]]:
        """Return defocus and astigmatism for a sign of the defocus, with intervals."""
        found = self.measurement
        best: Solution = found.of_sign(sign)[0]
        length, angle = best.astigmatism_A / A_PER_NM, math.degrees(best.azimuth)
        widths = WIDTH * best.stds
        of_length, of_angle = widths[1] / A_PER_NM, math.degrees(widths[2])
        return {
            "defocus_nm": _interval(*(x / A_PER_NM for x in found.defocus_A(sign))),
            "astigmatism_nm": _interval(length, max(0.0, length - of_length), length + of_length),
            "astigmatism_angle_deg": _interval(angle, angle - of_angle, angle + of_angle),
        }

    def undetermined(self) -> list[str]:
        """Return sentences about what the rings do not determine."""
        sentences = [
            "rings fix only λ·Δf/p² and Cs·λ³/p⁴: another energy or pixel size p gives another "
            "defocus Δf and another Cs"
        ]
        if len(self.signs) == 2:
            under, over = (self.measurement.likelihoods[sign] for sign in (1, -1))
            sentences.append(
                f"the sign of the defocus: underfocus has the likelihood {under:.2f}, overfocus "
                f"{over:.2f}; --underfocus or --overfocus decides"
            )
        if self.settings.cs_A is None and self.measurement.cs_A == 0:
            sentences.append(
                "Cs: the rings are explained by a Cs of 0; give --cs-um if it is known"
            )
        return sentences

    def lines(self) -> list[str]:
        """Return the result in one line, and the notes."""
        return [self.line(), *(f"  {note}" for note in self.notes)]

    def line(self) -> str:
        """Return the result in one line."""
        found = self.measurement
        if not found.is_visible:
            return f"{self.name}: {NO_RINGS}"
        words = []
        for sign in self.signs:
            each = self._of_sign(sign)
            value, low, high = each["defocus_nm"].values()
            text = f"defocus {value:.1f} nm ({low:.1f} to {high:.1f})"
            if len(self.signs) == 2:
                text += f" with likelihood {found.likelihoods[sign]:.2f}"
            words.append(text)
        each = self._of_sign(self.signs[0])
        length, angle = each["astigmatism_nm"], each["astigmatism_angle_deg"]
        return (
            f"{self.name}: {' or '.join(words)}, astigmatism {length['value']:.1f} nm "
            f"({length['low']:.1f} to {length['high']:.1f}) at {angle['value']:.0f}°"
        )


def _interval(value: float, low: float, high: float) -> dict[str, float]:
    return {
        key: round(float(x), 4)
        for key, x in zip(("value", "low", "high"), (value, low, high), strict=True)
    }


def _cs_words(stated: Recorded) -> str:
    return "no Cs" if stated.cs_um is None else f"a Cs of {stated.cs_um:g} µm"


def _left_out(micrograph: readers.Micrograph, most_frames: int | None) -> list[str]:
    """Return a note if not all images of a stack are measured."""
    number = len(micrograph.images)
    if most_frames is None or number <= most_frames:
        return []
    return [f"measured in {most_frames} of {number} frames"]


# The matrices are small, and threads would wait for each other.
@threadpool_limits.wrap(limits=1)
def measure(
    paths: Sequence[Path],
    pixel_size_A: float | None,
    known: Known,
    most_frames: int | None = None,
    usual_keV: float | None = None,
    failures: list[str] | None = None,
) -> list[Lens]:
    """Return the lens of each image in files of one microscope; all images share one Cs.

    Args:
        paths: Files of images, see :func:`passband.micrographs.images.readers.find`.
        pixel_size_A: The pixel size, if the files do not have one [Å].
        known: What the user knows. What is None is taken from the files, if they state it.
        most_frames: How many images of a stack are measured; by default, all.
        usual_keV: The beam energy if neither the user nor the file states one [keV].
        failures: If it is given, a file that cannot be used adds a line to it, and the other files
            are still measured. Otherwise, such a file raises an error.

    Raises:
        PassbandError: If a file cannot be used, if no beam energy is known, or if the files differ
            in pixel size, beam energy or stated Cs.
    """
    known.check()

    @contextlib.contextmanager
    def use() -> Iterator[None]:
        """Note why a file cannot be used, in a block of code."""
        try:
            yield
        except PassbandError as error:
            if failures is None:
                raise
            failures.append(str(error))

    read = []
    for path in paths:
        with use():
            micrograph = readers.read(path, pixel_size_A)
            read.append((micrograph, micrograph.stated))
    if not read:
        return []
    energies = [_energy(micrograph, its, known, usual_keV) for micrograph, its in read]
    (first, stated), energy = read[0], energies[0]
    for (other, its), its_energy in zip(read[1:], energies[1:], strict=True):
        if abs(other.pixel_size_A - first.pixel_size_A) > TOLERANCE * first.pixel_size_A:
            raise PassbandError(
                f"{other.path}: has pixels of {other.pixel_size_A:g} Å, and {first.path} has "
                f"pixels of {first.pixel_size_A:g} Å; images of one fit have one pixel size"
            )
        if abs(its_energy - energy) > TOLERANCE * energy:
            raise PassbandError(
                f"{other.path}: states {its_energy:g} keV, and {first.path} states {energy:g} "
                "keV; images of one fit have one beam energy"
            )
        if known.cs_um is None and its.cs_um != stated.cs_um:
            raise PassbandError(
                f"{other.path}: states {_cs_words(its)}, and {first.path} states "
                f"{_cs_words(stated)}; images of one fit have one Cs: give --cs-um"
            )
    cs_um = known.cs_um if known.cs_um is not None else stated.cs_um
    settings = Settings(
        energy * EV_PER_KEV,
        None if cs_um is None else cs_um * A_PER_UM,
        known.amplitude_contrast,
        known.sign,
    )
    frames = []
    for micrograph, its in read:
        aperture = its.aperture_mrad if known.aperture_mrad is None else known.aperture_mrad
        own = replace(settings, aperture_mrad=aperture)
        with use():
            frames += _prepared(micrograph, its, first.pixel_size_A, own, most_frames)
    results = ctf_fit.measure([image for *_, image in frames], settings) if frames else []
    return [
        Lens(
            m.path.name if len(m.images) == 1 else f"{m.path.name} frame {number}",
            m.path,
            float(first.pixel_size_A),
            own,
            result,
            its,
            tuple(dict.fromkeys((*m.notes, *result.image.notes, *_left_out(m, most_frames)))),
        )
        for (m, its, number, own, _), result in zip(frames, results, strict=True)
    ]


def _energy(
    micrograph: readers.Micrograph, stated: Recorded, known: Known, usual_keV: float | None
) -> float:
    """Return the beam energy of a file [keV], or raise PassbandError if it is not known."""
    for energy in (known.energy_keV, stated.energy_keV, usual_keV):
        if energy is not None:
            return energy
    raise ArgumentError(f"energy_kev is missing: {micrograph.path} does not state a beam energy")


def _prepared(
    micrograph: readers.Micrograph,
    stated: Recorded,
    pixel_size_A: float,
    settings: Settings,
    most_frames: int | None,
) -> list[tuple]:
    """Return what is known of each frame of a file, and the frame prepared for the fit."""
    frames = []
    for number, frame in enumerate(micrograph.images[:most_frames]):
        try:
            image = ctf_fit.prepare(frame, pixel_size_A, settings)
        except PassbandError as error:
            where = f"{micrograph.path}: "
            if len(micrograph.images) > 1:
                where += f"frame {number}: "
            raise PassbandError(f"{where}{error}") from None
        frames.append((micrograph, stated, number, settings, image))
    return frames
