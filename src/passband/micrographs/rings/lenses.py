"""The lenses of image files of one microscope: what :func:`passband.ctf` returns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from passband.console import escaped
from passband.errors import PassbandError
from passband.micrographs.images import pixel_size, readers, suffixes
from passband.micrographs.rings import lens
from passband.micrographs.rings.lens import Known, Lens
from passband.outcomes import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Lenses(Outcome):
    """The measured lenses of images.

    Attributes:
        images: The lens of each image.
        failures: Why files could not be used, one line each.
        number: The number of files.
    """

    images: tuple[Lens, ...]
    failures: tuple[str, ...]
    number: int

    def __str__(self) -> str:
        """The measured images, and what their rings do not determine."""
        return "\n".join(map(escaped, self._lines()))

    def _lines(self) -> list[str]:
        lines = [line for each in self.images for line in each.lines()]
        seen = [each for each in self.images if each.measurement.is_visible]
        if not seen:
            return lines
        cs = seen[0].values()["cs_um"]
        fixed = seen[0].settings.cs_A is not None
        how = "as given" if fixed else f"fitted, {cs['low']:.0f} to {cs['high']:.0f}"
        digits = 0 if cs["value"] >= 20 else 2
        lines.append(f"Cs {cs['value']:.{digits}f} µm ({how})")
        lines.append("not determined:")
        sentences = dict.fromkeys(s for each in seen for s in each.undetermined())
        return lines + [f"  {sentence}" for sentence in sentences]

    def values(self) -> dict[str, Any]:
        """Return the content for JSON: that of the only file, or a list."""
        found = [each.values() for each in self.images]
        return found[0] if len(found) == 1 and not self.failures else {"images": found}

    def plot(self) -> "Figure":
        """Draw the first image's spectrum, its fit and its rings."""
        from passband.figures import thon_rings

        return thon_rings.thon_rings(self.images[0])


def ctf(
    files: str | Path | Iterable[str | Path],
    pixel_size_A: float | None = None,
    energy_kev: float | None = None,
    cs_um: float | None = None,
    aperture_mrad: float | None = None,
    amplitude_contrast: float | None = None,
    sign: int = 0,
    report: Callable[[str], object] = lambda line: None,
    *,
    readers_of: str | Path | None = None,
) -> Lenses:
    """Measure defocus, astigmatism and Cs from the Thon rings of images of one microscope.

    All images share one Cs. What is not given is taken from the files, if they state it, or
    measured; docs/ctf.md describes the method.

    Args:
        files: Image files, or folders with image files. ``"sample"`` is the simulated image of the
            package.
        pixel_size_A: For files that do not have it [Å].
        energy_kev, cs_um, aperture_mrad, amplitude_contrast: What is known of the microscope.
        sign: 1 if the images are in underfocus, −1 in overfocus, 0 if it is not known.
        report: Receives a line about files that are left out.
        readers_of: The file of a study, whose own readers read files of other formats.

    Returns:
        `images`, the lens of each image, and `failures`, a line for each file that could not be
        used; as text what `passband ctf` prints, and as JSON what docs/ctf.md describes.

    Raises:
        PassbandError: If a value is not allowed, if no beam energy is known, if the files differ in
            pixel size, energy or stated Cs, or if the only file cannot be used.

    Example:
        >>> found = passband.ctf("image.tif", energy_kev=300)
        >>> found.images[0].values()["rings"]
        False
    """
    pixel_size.check_option(pixel_size_A)
    known = Known(
        energy_keV=energy_kev,
        cs_um=cs_um,
        aperture_mrad=aperture_mrad,
        amplitude_contrast=amplitude_contrast,
        sign=sign,
    )
    known.check()
    suffixes.use_of(readers_of)
    paths = readers.find([files] if isinstance(files, str | Path) else files, report)
    failures: list[str] = []
    found = lens.measure(paths, pixel_size_A, known, failures=failures)
    if failures and len(paths) == 1:
        raise PassbandError(failures[0])
    return Lenses(tuple(found), tuple(failures), len(paths))
