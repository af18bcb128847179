"""Blocks of the configuration for tests of networks, metrics and figures."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator

from passband.config.base import Block, distinct, key


class Evaluation(Block):
    """How networks are tested."""

    batch_size: int = key(
        32, "Number of images that a network predicts at a time.", "images", ge=1, le=65536
    )
    bootstrap: int = key(
        200,
        "Number of bootstrap draws for the interval of the smoothness of Dice. Intervals of Dice "
        "over replicas and images need none. With 0, there are no confidence intervals at all.",
        ge=0,
        le=100_000,
    )
    confidence: float = key(0.95, "Coverage probability of confidence intervals.", gt=0, lt=1)
    test_own: bool = key(
        False,
        "true: each network is also tested under its own training condition, if this is no test "
        "condition. The result is stored for each network and is no column of the matrix, so that "
        "the score in distribution exists for every network.",
    )


def _bands(edges: list[float]) -> list[float]:
    """Return the edges of frequency bands unchanged. Raise ValueError if they do not ascend."""
    for before, after in pairwise([0.0, *edges]):
        if not before < after <= 100:
            raise ValueError(
                f"{after:g} after {before:g}: edges must ascend, from above 0 to at most 100 per Å"
            )
    return edges


class Information(Block):
    """How contrast transfer functions are compared."""

    bands_per_A: Annotated[list[float], AfterValidator(_bands)] = key(
        lambda: [0.25, 0.6],
        "Spatial frequencies that divide the specimen's power spectrum into bands. Information "
        "metrics are also computed for each band. With [], there are no bands. The default gives "
        "three bands: shapes of particles, the widest lattice spacings, and finer details.",
        "1/Å",
        max_length=20,
    )


class Figures(Block):
    """How figures look. A change of these keys does not train any network again."""

    formats: Annotated[list[Literal["png", "svg"]], AfterValidator(distinct)] = key(
        lambda: ["png", "svg"], "File formats of figures.", min_length=1
    )
    dpi: int = key(150, "Resolution of PNG files.", "dots/inch", ge=30, le=1200)
    width_cm: float = key(
        17.0,
        "Width of figures: 8.5 is one column of a journal, and 17 is two columns. Fonts have the "
        "same size at each width.",
        "cm",
        ge=8.5,
        le=17,
    )
    examples: int = key(3, "Number of test structures in the figure `examples`.", ge=1, le=20)


#: The matrix of scores is predicted if a study has at least so many training conditions and at
#: least so many test conditions.
FEWEST_PREDICTED = 24
