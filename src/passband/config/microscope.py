"""The microscope: keys that are the same under every condition, and their internal units."""

import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field

from passband.axes import FURTHER_AXES
from passband.config.background import Background
from passband.config.base import Block, PartName, WithParts, key, number_hint, short
from passband.config.detector import Detector
from passband.config.drawn import Ranged, highest, is_range, middle, ranged
from passband.grid import Condition
from passband.optics import ctf, detector, noise_filter
from passband.optics.jitter import Jitter
from passband.optics.sampling import Sampling, rest
from passband.parts import Part
from passband.units import A_PER_NM, A_PER_UM, EV_PER_KEV
from passband.wave_sets import WaveSet


class Aberrations(Block):
    """Aberrations that are not round. These aberrations are the same under every condition.

    The azimuth of an aberration is the direction of the highest aberration phase, measured from the
    first axis of the images towards the second axis.
    """

    astigmatism_nm: float = key(0.0, "Two-fold astigmatism C12.", "nm", ge=0, le=1000)
    astigmatism_deg: float = key(0.0, "Azimuth of two-fold astigmatism.", "°", ge=-360, le=360)
    coma_nm: float = key(0.0, "Axial coma C21, which is three times B2.", "nm", ge=0, le=100_000)
    coma_deg: float = key(0.0, "Azimuth of axial coma.", "°", ge=-360, le=360)
    threefold_nm: float = key(
        0.0, "Three-fold astigmatism C23, which is also called A2.", "nm", ge=0, le=100_000
    )
    threefold_deg: float = key(0.0, "Azimuth of three-fold astigmatism.", "°", ge=-360, le=360)


class Spread(Block):
    """Jitter: random differences between images under one condition.

    The jitter of an image depends on the image's specimen, split, structure and condition, and on
    the number of the draw. All replicas have the same jitter and differ only in the noise. If a key
    is 0, its quantity has no jitter. Information metrics are means over random draws of the jitter.
    """

    focus_nm: float = key(
        0.0, "Standard deviation of the normally distributed defocus.", "nm", ge=0, le=100
    )
    dose: float = key(
        0.0,
        "Standard deviation of the ratio of an image's dose to the condition's dose. The ratio has "
        "a lognormal distribution with the mean 1.",
        ge=0,
        le=1,
    )
    astigmatism_nm: float = key(
        0.0,
        "Root mean square length of the random change of two-fold astigmatism. No direction of the "
        "change is preferred.",
        "nm",
        ge=0,
        le=100,
    )
    coma_nm: float = key(
        0.0, "Root mean square length of the random change of axial coma.", "nm", ge=0, le=10_000
    )
    threefold_nm: float = key(
        0.0,
        "Root mean square length of the random change of three-fold astigmatism.",
        "nm",
        ge=0,
        le=10_000,
    )


#: Bounds of `multislice_pixel_A` [Å], and the largest number of pixels along a side of the
#: multislice grid.
_MULTISLICE_A = 0.01, 2.0
_MULTISLICE_PX = 16_384


def _auto_or_pixel(value: Any) -> Any:
    low, high = _MULTISLICE_A
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value == "auto" or (number and low <= value <= high):
        return value
    raise ValueError(f"{short(value)}: must be {_AUTO_OR_PIXEL}{number_hint(value)}")


def _converged_A(microscope: "Microscope") -> float:
    """Return the pixel size of multislice with which exit waves have a small error [Å].

    The error is below 2%, or below 3% under 200 kV. The formulas are from trials at 60 to 2,000 kV
    with the specimen that needs the smallest pixels: a platinum particle at rest, with ⟨110⟩ along
    the beam. The error of an exit wave is the error at spatial frequencies up to the cutoff.
    Electrons that are scattered beyond an angle proportional to √λ lose their phase relation along
    a column of atoms and do not return to small angles. Slow electrons are scattered more.
    docs/scripts/convergence.py measures the error. Other engines declare their own pixels.
    """
    declared = microscope.engine_part.declaration
    share = (declared.pixel_share if declared else 0.7) * microscope.wave_sampling.pixel_A
    if declared and declared.pixel_A is not None:
        return round(min(declared.pixel_A, share), 4)
    wavelength = ctf.wavelength(microscope.energy_eV)
    slow, fast = (ctf.wavelength(kev * EV_PER_KEV) for kev in (60, 300))
    trusted = 0.09 * min(1, (wavelength / fast) ** 0.5, slow / wavelength)
    return max(_MULTISLICE_A[0], round(min(trusted, share), 3))


_AUTO_OR_PIXEL = f"'auto' or a number between {_MULTISLICE_A[0]} and {_MULTISLICE_A[1]:g} Å"
AutoPixel = Annotated[
    Literal["auto"] | Annotated[float, Field(ge=_MULTISLICE_A[0], le=_MULTISLICE_A[1])],
    BeforeValidator(_auto_or_pixel),
]


#: Keys that change images and do not change the linear transfer function.
_NOT_IN_TRANSFER = (
    "engine",
    "multislice_pixel_A",
    "oversampling",
    "coherence",
    "focal_members",
    "noise",
    "background",
)


class Microscope(Ranged, WithParts):
    """Parameters of the microscope that are the same under all conditions, and the pixels.

    Some keys may be a range of numbers, `[low, high]`, of which each image has its own. It depends
    on what jitter depends on.
    """

    axes_of: ClassVar[str] = "microscope"
    drawn_keys: ClassVar[tuple[str, ...]] = (
        "vibration_A",
        "detector.noise.form",
        "detector.noise.width_A",
        "detector.gain",
        "detector.clip_low",
        "detector.clip_high",
        "background.slope_sd",
        "background.slope_deg",
        "background.vignette_sd",
        "detector.noise.stored_pixel_A",
    )

    energy_kev: float = key(300.0, "Energy of the beam's electrons.", "keV", ge=20, le=2000)
    pixel_size_A: float = key(
        0.3, "Side of an image's pixel, measured at the specimen.", "Å", ge=0.02, le=2
    )
    field_px: int = key(
        128,
        "Number of pixels along each side of an image. The number must have no prime factor above "
        "7.",
        "pixels",
        ge=16,
        le=8192,
    )
    oversampling: int = key(
        1,
        "How many times finer the pixels are on which images are formed from exit waves. With 1, "
        "electrons that are scattered beyond the angles that the image's pixels can show are lost, "
        "as at an aperture, and particles are dark. A larger number keeps these electrons; images "
        "are then reduced to the image's pixels, without aliasing.",
        ge=1,
        le=8,
    )
    engine: Annotated[str, PartName("engine")] = key(
        "passband",
        "What computes exit waves: Passband's multislice, or that of abTEM, which takes a hundred "
        "times as long for the same error, see docs/specimens.md.",
    )
    multislice_pixel_A: AutoPixel = key(
        "auto",
        "Largest side of a pixel of the multislice grid, at most `pixel_size_A`. Exit waves are "
        "computed on the multislice grid, and cropped in Fourier space to the frequencies of the "
        "image. `auto` gives exit waves with an error below 2%, or below 3% under 200 kV, see "
        "docs/specimens.md; it is smaller for abTEM. With larger pixels, multislice is faster.",
        "Å",
    )
    coherence: Literal["focal-series", "quasi-coherent"] = key(
        "focal-series",
        "How an image includes the focal spread. `focal-series` adds the intensities of a weighted "
        "focal series. `quasi-coherent` multiplies the wave by the temporal envelope, which is "
        "faster, but wrong for thick specimens.",
    )
    focal_members: int = key(5, "Number of images in the focal series.", ge=1, le=99)
    focal_spread_nm: float = key(
        3.0,
        "1/e width of the distribution of the focus: √2 times its standard deviation.",
        "nm",
        ge=0,
        le=100,
    )
    source_spread_mrad: float = key(
        0.1,
        "Angular spread of the illumination, defined as abTEM's `angular_spread`.",
        "mrad",
        ge=0,
        le=10,
    )
    aperture_edge_mrad: float = key(
        0.0,
        "Width of the edge of the objective aperture. With 0, the edge is hard.",
        "mrad",
        ge=0,
        le=10,
    )
    aberrations: Aberrations = key(Aberrations, "Aberrations that are not round.")
    spread: Spread = key(Spread, "Jitter: random differences between images under one condition.")
    vibration_A: ranged(0, 10, "Å") = key(
        0.0, "Standard deviation, along one direction, of the vibration of the image.", "Å"
    )
    noise: Annotated[str, PartName("noise")] = key(
        "poisson",
        "How counts are drawn from the expected number of electrons in each pixel. `poisson`: "
        "Poisson noise of a detector that counts each electron once, which information metrics "
        "always assume.",
        since="0.4.0",
    )
    detector: Detector = key(Detector, "The detector, which counts electrons.")
    background: Background = key(Background, "Uneven light.", since="0.4.0")

    @property
    def engine_part(self) -> Part:
        """The part that computes exit waves."""
        return self.part("engine", self.engine)

    @property
    def noise_part(self) -> Part:
        """The part that draws counts."""
        return self.part("noise", self.noise)

    @property
    def energy_eV(self) -> float:
        """Beam energy [eV]."""
        return self.energy_kev * EV_PER_KEV

    @property
    def axis_values(self) -> dict[str, float]:
        """The values of further axes that are keys here, in the axes' units; a range's middle."""
        return {
            name: middle(self.at(axis.path))
            for name, axis in FURTHER_AXES.items()
            if axis.block == self.axes_of
        }

    def under(self, condition: Condition | WaveSet) -> Self:
        """Return the microscope with the condition's values of further axes."""
        return self.having(condition.further)

    def optics(self, condition: Condition) -> ctf.Optics:
        """Return the microscope under an imaging condition, in internal units."""
        under = self.under(condition)
        return under.lens(condition.defocus_nm, condition.cs_um, condition.aperture_mrad)

    def lens(
        self, defocus_nm: float = 0.0, cs_um: float = 0.0, aperture_mrad: float = 1.0
    ) -> ctf.Optics:
        """Return the lens with the microscope's own values of further axes, in internal units."""
        fixed = self.aberrations
        return ctf.Optics(
            energy=self.energy_eV,
            defocus=defocus_nm * A_PER_NM,
            cs=cs_um * A_PER_UM,
            aperture=aperture_mrad,
            aperture_edge=self.aperture_edge_mrad,
            focal_spread=self.focal_spread_nm * A_PER_NM,
            source_spread=self.source_spread_mrad,
            c12=fixed.astigmatism_nm * A_PER_NM,
            phi12=math.radians(fixed.astigmatism_deg),
            c21=fixed.coma_nm * A_PER_NM,
            phi21=math.radians(fixed.coma_deg),
            c23=fixed.threefold_nm * A_PER_NM,
            phi23=math.radians(fixed.threefold_deg),
        )

    @property
    def jitter(self) -> Jitter:
        """Jitter, the random differences between images: the block `spread` in internal units."""
        return Jitter(
            defocus=self.spread.focus_nm * A_PER_NM,
            dose=self.spread.dose,
            c12=self.spread.astigmatism_nm * A_PER_NM,
            c21=self.spread.coma_nm * A_PER_NM,
            c23=self.spread.threefold_nm * A_PER_NM,
        )

    @property
    def ranges(self) -> dict[str, list]:
        """See :attr:`Ranged.ranges`; without a slope, its direction is none."""
        found = super().ranges
        if self.background.slope_sd == 0:
            found.pop("background.slope_deg", None)
        return found

    @property
    def varies(self) -> bool:
        """Whether noise-free images of one structure under one condition differ."""
        return self.jitter.varies or is_range(self.vibration_A)

    @property
    def blur(self) -> np.ndarray | None:
        """The factor by which vibration and MTF multiply the spectrum of an image.

        A range of vibrations counts as its middle. See :func:`passband.optics.detector.blur`.
        """
        return detector.blur(self.sampling, *self.blurred_by)

    @property
    def noise_filter(self) -> np.ndarray | None:
        """The factor by which `detector.noise` multiplies the spectrum of counts; None if white.

        See :func:`passband.optics.noise_filter.on_grid`.
        """
        noise = self.detector.noise
        if noise.is_white:
            return None
        shape = self.field_px, self.field_px
        return noise_filter.on_grid(shape, self.pixel_size_A, *noise.arguments)

    def response(self, q: np.ndarray) -> np.ndarray:
        """Return the factor of vibration and MTF, in the shape of the frequencies `q` [1/Å]."""
        return detector.response(self.sampling, q * self.pixel_size_A, *self.blurred_by)

    def responses(
        self, conditions: Iterable[Condition], q: np.ndarray
    ) -> dict[tuple[tuple[str, float], ...], np.ndarray]:
        """Return :meth:`response` under conditions, by the further axes of the conditions."""
        distinct = {condition.further: condition for condition in conditions}
        return {further: self.under(c).response(q) for further, c in distinct.items()}

    @property
    def blurred_by(self) -> tuple[float, str, float, list[list[float]]]:
        """Arguments of :func:`detector.blur`: the vibration [Å], and three values for the MTF."""
        return (
            middle(self.vibration_A),
            self.detector.mtf,
            self.detector.mtf_nyquist,
            self.detector.mtf_table,
        )

    @property
    def sampling(self) -> Sampling:
        """The grid of an image's pixels."""
        return Sampling(self.field_px, self.pixel_size_A)

    @property
    def wave_sampling(self) -> Sampling:
        """The grid on which images are formed from exit waves."""
        return Sampling(self.field_px * self.oversampling, self.pixel_size_A / self.oversampling)

    @property
    def multislice_A(self) -> float:
        """The key `multislice_pixel_A` as a number [Å].

        With `auto`, the number depends on the engine, the image's pixel size and the beam energy,
        and not on the imaging conditions. So exit waves are not computed again if an aperture is
        added.
        """
        if self.multislice_pixel_A == "auto":
            return _converged_A(self)
        return self.multislice_pixel_A

    @property
    def multislice(self) -> Sampling:
        """The multislice grid, on which exit waves are computed."""
        return self.wave_sampling.finer(self.multislice_A)

    def exit_wave_params(self) -> dict[str, Any]:
        """Return the keys of the microscope that exit waves depend on.

        The value of `multislice_pixel_A` is returned as a number, also if it is `auto`.
        """
        only = "energy_kev", "pixel_size_A", "field_px", "oversampling", "engine"
        keys = self.identity(only=only)
        return keys | {"multislice_pixel_A": self.multislice_A}

    def imaging_params(self) -> dict[str, Any]:
        """Return the keys of the microscope that images depend on, in addition to exit waves."""
        unused = ["focal_members"] if self.coherence == "quasi-coherent" else []
        return self.identity(without=("engine", "multislice_pixel_A", *unused))

    def transfer_params(self) -> dict[str, Any]:
        """Return the keys of the microscope that information metrics depend on.

        Information metrics depend only on the linear transfer function, which has the temporal
        envelope for both values of `coherence`.
        """
        return self.identity(without=_NOT_IN_TRANSFER)

    def lens_params(self) -> dict[str, Any]:
        """Return the keys that the transfer function of the lens without jitter depends on."""
        return self.identity(without=(*_NOT_IN_TRANSFER, "spread", "vibration_A", "detector"))

    def _check_values(self) -> None:
        self._check_part("engine", "engine")
        self._check_part("noise", "noise")
        stored = highest(self.detector.noise.stored_pixel_A)
        field_A = self.field_px * self.pixel_size_A
        if stored > field_A / 16:
            raise ValueError(
                f"microscope.detector.noise.stored_pixel_A = {stored:g}: must be at most "
                f"{field_A / 16:.4g} Å, a sixteenth of the field"
            )
        given = self.multislice_pixel_A
        image = self.wave_sampling.pixel_A
        if given != "auto" and given > image:
            raise ValueError(
                f"microscope.multislice_pixel_A = {given:g}: must not exceed the image's pixel, "
                f"microscope.pixel_size_A = {image:g} Å"
            )
        declared = self.engine_part.declaration
        share = declared.coarsest if declared else 1
        coarsest = share * image
        if share < 1 and self.multislice.pixel_A > coarsest:
            raise ValueError(
                f"microscope.multislice_pixel_A = {given}: is too coarse for microscope.engine = "
                f"{self.engine!r}, which would cut the image's frequencies; take "
                f"{math.floor(1e3 * coarsest) / 1e3:g} Å or less"
            )
        if (px := self.multislice.px) > _MULTISLICE_PX:
            least = math.ceil(1e3 * self.sampling.field_A / _MULTISLICE_PX) / 1e3
            raise ValueError(
                f"microscope.multislice_pixel_A = {given}: makes {px} pixels a side, which must "
                f"not exceed {_MULTISLICE_PX}; take {least:g} Å or more, or a smaller field"
            )
        if (factor := rest(self.field_px)) > 1:
            raise ValueError(
                f"microscope.field_px = {self.field_px}: has the prime factor {factor}; allowed "
                "are numbers whose prime factors are 2, 3, 5 and 7"
            )


def lens_values(optics: ctf.Optics) -> dict[str, float]:
    """Return the defocus and the aberrations of a lens, by key and in the unit of each key."""
    values = {"defocus_nm": optics.defocus / A_PER_NM}
    for name, order in (("astigmatism", "12"), ("coma", "21"), ("threefold", "23")):
        values[f"{name}_nm"] = getattr(optics, f"c{order}") / A_PER_NM
        values[f"{name}_deg"] = math.degrees(getattr(optics, f"phi{order}"))
    return values
