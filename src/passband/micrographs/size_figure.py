"""The histogram of a run: ``sizes.png``."""

from collections.abc import Sequence
from pathlib import Path

from passband.errors import PassbandError
from passband.micrographs.images import own_outputs
from passband.micrographs.sizes import PROBABILITY, Sizes, of_frames
from passband.micrographs.summary import Frame
from passband.storage import integrity
from passband.storage.atomic import replacing

#: The name of the picture.
SIZES = "sizes.png"
#: Its resolution [1/inch], and its height relative to its width.
DPI = 200
ASPECT = 0.75


def check(folder: Path) -> None:
    """Check that the picture can be written to a folder.

    Raises:
        PassbandError: If a file has its name, and is no such picture.
    """
    path = folder / SIZES
    if path.exists() or path.is_symlink():
        integrity.check_regular(path)
        if not own_outputs.is_output(path):
            raise PassbandError(f"{path}: was not written by `predict`; give another --out")


def write(frames: Sequence[Frame], folder: Path) -> tuple[list[Path], str]:
    """Write the histogram of the sizes in a run's images, and return the file and a line about it.

    Without whole particles in images that are not flagged, there is no file, also not an earlier
    run's.
    """
    found = of_frames(frames)
    path = folder / SIZES
    if found is None:
        path.unlink(missing_ok=True)
        return [], f"no {SIZES}: no image that is not flagged has a whole particle"
    with replacing(path) as beside:
        kept = {"Software": own_outputs.SOFTWARE}
        draw(found).savefig(beside, dpi=DPI, format="png", metadata=kept)
    return [path], f"sizes: {found.values}; {found.numbers}"


def draw(sizes: Sizes):
    """Return the figure: shares of the particles, and their band."""
    from matplotlib.figure import Figure

    from passband.figures import style

    style.set_theme()
    width = style.inches(style.COLUMN_CM)
    # pyplot would make a window for it where there is Qt, as in napari.
    figure = Figure(figsize=(width, ASPECT * width), layout="constrained")
    ax = figure.subplots()
    ax.stairs(100 * sizes.shares, sizes.edges, fill=True, color=style.FEATURES, alpha=0.5)
    ax.stairs(100 * sizes.shares, sizes.edges, color=style.OWN)
    if sizes.band is not None:
        low, high = 100 * sizes.band
        name = f"{PROBABILITY:.0%} of resamplings"
        ax.stairs(
            high, sizes.edges, baseline=low, fill=True, color="0", alpha=0.2, lw=0, label=name
        )
        ax.legend(loc="upper right", handlelength=1.2)
    ax.set_xlabel("equivalent diameter [nm]")
    ax.set_ylabel("share of particles [%]")
    ax.set_ylim(0, 1.25 * ax.dataLim.y1)  # there is room for the legend
    lines = [*sizes.values.split("; "), *sizes.numbers.split("; ")]
    ax.set_title("\n".join(lines), loc="left", fontsize=style.SMALL)
    return figure
