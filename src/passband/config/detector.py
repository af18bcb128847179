"""The block `microscope.detector` of the configuration: MTF, gain, and the noise's spectrum."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator

from passband.config.base import Block, key, short
from passband.config.drawn import Ranged, is_range, lowest, middle, ranged

#: The forms of :class:`DetectorNoise` with a width.
_KERNELS = "binned", "hann"


def _pairs(most_q: float, most_factor: float, words: str) -> Any:
    """Return the type of a curve: pairs of numbers from 0 to these limits."""

    def check(pairs: list[list[float]]) -> list[list[float]]:
        for pair in pairs:
            if len(pair) != 2 or not 0 <= pair[0] <= most_q or not 0 <= pair[1] <= most_factor:
                raise ValueError(f"{short(pair)}: must be a pair of {words}")
        if pairs and pairs[0] != [0, 1]:
            raise ValueError(f"{pairs[0]}: the first pair must be [0, 1]")
        for (before, _), (after, _) in pairwise(pairs):
            if after <= before:
                raise ValueError(f"{after:g} after {before:g}: fractions must ascend")
        return pairs

    return Annotated[list[list[float]], AfterValidator(check)]


@dataclass(frozen=True)
class _Forms:
    """Marks the type of `form`: one form, or white noise and a kernel, of which images have one."""

    words = "'white', 'binned', 'hann' or 'table', or a choice, [white, binned] or [white, hann]"
    one = "white", "binned", "hann", "table"

    def check(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            if len(value) == 2 and value[0] == "white" and value[1] in _KERNELS:
                return list(value)
        elif value in self.one:
            return value
        raise ValueError(f"{short(value)}: must be {self.words}")

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        choices = [["white", kernel] for kernel in _KERNELS]
        return {"enum": [*self.one, *choices]}


class DetectorNoise(Ranged):
    """The filter of the counts: their noise has a spectrum if they were averaged or resampled.

    The filter acts after counts are drawn, on noise and signal alike. Counts are then not integers.
    See `passband.optics.noise_filter`.
    """

    drawn_keys: ClassVar[tuple[str, ...]] = ("form", "width_A", "stored_pixel_A")

    form: Annotated[str | list[str], BeforeValidator(_Forms().check), _Forms()] = key(
        "white",
        "`white`: counts stay as they are. `binned`: counts are averaged over a square with the "
        "side `width_A`. `hann`: counts are averaged with a Hann kernel of the half-width "
        "`width_A`. `table`: `table` is the filter. With a choice, each image has one of the two, "
        "with equal probability.",
    )
    width_A: ranged(0, 20, "Å") = key(
        1.0,
        "The side of the square for `binned`, or the half-width of the kernel for `hann`. With 0, "
        "counts stay as they are.",
        "Å",
    )
    table: _pairs(
        10, 2, "a spatial frequency between 0 and 10 per Å and a factor between 0 and 2"
    ) = key(
        list,
        "Pairs of the spatial frequency in 1/Å and the factor of the filter, if `form` is `table`. "
        "The factor is interpolated linearly, and is constant beyond the last pair. Its square is "
        "the normalised power spectrum of the noise.",
    )
    stored_pixel_A: ranged(0, 20, "Å") = key(
        0.0,
        "Side of the pixels with which images are stored. Beyond the Nyquist frequency of these "
        "pixels, counts have neither signal nor noise. With 0, there is no such limit.",
        "Å",
    )

    @property
    def arguments(self) -> tuple[str, float, list[list[float]], float]:
        """Arguments of the functions of :mod:`passband.optics.noise_filter`, of the middle."""
        return self.filter_form, middle(self.width_A), self.table, middle(self.stored_pixel_A)

    @property
    def filter_form(self) -> str:
        """The form; of a choice, the one that is not white."""
        return self.form[-1] if isinstance(self.form, list) else self.form

    @property
    def has_kernel(self) -> bool:
        """Whether some or all images are averaged over a kernel, whose width is `width_A`."""
        return self.filter_form in _KERNELS

    @property
    def kernel_A(self) -> float:
        """The width of the kernel of all images [Å], the middle of a range; 0 without a kernel."""
        return middle(self.width_A) if self.has_kernel else 0.0

    @property
    def pixel_A(self) -> float:
        """Side of the pixels over which counts were averaged [Å]; 0 if that is not known.

        Of a range, it is the lowest.
        """
        return lowest(self.stored_pixel_A) or (lowest(self.width_A) if self.has_kernel else 0.0)

    @property
    def is_white(self) -> bool:
        """Whether all counts stay as they are drawn."""
        filters = self.filter_form == "table" or (self.has_kernel and self.width_A != 0)
        return not filters and not self.stored_pixel_A

    @property
    def needs_filter(self) -> bool:
        """Whether an image with white noise lacks a filter that all training images had."""
        is_narrow = is_range(self.width_A) and lowest(self.width_A) == 0
        return not (self.is_white or is_narrow or is_range(self.form))

    def replaced(self, path: str, value: Any) -> Self:
        """Return a copy with another value of a key, see :meth:`Block.replaced`.

        A given width is that of all images, also if others had white noise.
        """
        copied = super().replaced(path, value)
        if path == "width_A" and isinstance(self.form, list):
            return copied.replaced("form", self.filter_form)
        return copied

    def _check_values(self) -> None:
        if self.form == "table" and not self.table:
            raise ValueError("table = []: must have pairs such as [[0, 1], [0.6, 0.4]]")
        if self.form != "table" and self.table:
            raise ValueError(f"form = {self.form!r}: must be 'table', since there is a table")
        if not self.has_kernel and self.width_A != 1:
            raise ValueError(
                f"form = {self.form!r}: must be 'binned' or 'hann', since there is a width_A"
            )


class Detector(Block):
    """The detector counts electrons. Its noise is white unless `noise` gives it a spectrum.

    See `passband.optics.detector` and `passband.optics.noise_filter`.
    """

    mtf: Literal["none", "gaussian", "lorentzian", "table"] = key(
        "none",
        "Modulation transfer function (MTF), which includes that of the pixels. `none` is 1, "
        "`gaussian` is m^(f²), `lorentzian` is 1/(1 + (1/m − 1)f²), and `table` is `mtf_table`, "
        "where f is the frequency as a fraction of the Nyquist frequency. The MTF blurs the "
        "expected counts, before counts are drawn.",
    )
    mtf_nyquist: float = key(
        0.5,
        "The MTF at the Nyquist frequency, m, for `gaussian` and `lorentzian`.",
        gt=0,
        le=1,
    )
    mtf_table: _pairs(
        1.5, 1, "a fraction of the Nyquist frequency between 0 and 1.5 and an MTF between 0 and 1"
    ) = key(
        list,
        "Pairs of the frequency f and the MTF, if `mtf` is `table`. The MTF is interpolated "
        "linearly between the pairs, and is constant beyond the last pair. The corners of the "
        "spectrum of an image are at f = 1.41.",
    )
    gain: ranged(0, 1e6, "counts/electron", above=True) = key(
        1.0, "Number of counts per electron.", "counts/electron"
    )
    clip_low: ranged(0, 0.25) = key(
        0.0,
        "Share of an image's pixels that are too dark for the detector, and have one value: the "
        "lowest of the others.",
        since="0.4.0",
    )
    clip_high: ranged(0, 0.25) = key(
        0.0,
        "Share of an image's pixels that are too bright for the detector, and have one value: the "
        "highest of the others.",
        since="0.4.0",
    )
    noise: DetectorNoise = key(
        DetectorNoise,
        "The filter of the counts, which gives their noise a spectrum.",
    )

    def _check_values(self) -> None:
        if self.mtf == "table" and not self.mtf_table:
            raise ValueError("mtf_table = []: must have pairs such as [[0, 1], [1, 0.4]]")
        if self.mtf != "table" and self.mtf_table:
            raise ValueError(f"mtf = {self.mtf!r}: must be 'table', since there is an mtf_table")
