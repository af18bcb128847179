"""The block `microscope.background` of the configuration: uneven light."""

from passband.config.base import Block, key
from passband.config.drawn import ranged


class Background(Block):
    """Uneven light, which is added to the counts after they are drawn and filtered.

    The unit *sd* is the standard deviation of the image without the background. See
    `passband.imaging.camera`.
    """

    slope_sd: ranged(0, 20, "sd") = key(
        0.0,
        "How much brighter the brightest point of an image is than the darkest one, by a slope of "
        "the brightness.",
        "sd",
    )
    slope_deg: ranged(-360, 360, "°") = key(
        lambda: [0.0, 360.0],
        "Direction in which the slope becomes brighter, from the first axis of the images towards "
        "the second axis.",
        "°",
    )
    vignette_sd: ranged(-20, 20, "sd") = key(
        0.0,
        "How much darker the corners of an image are than its middle. The brightness falls with "
        "the square of the distance. A number below 0 is bright corners.",
        "sd",
    )

    @property
    def is_even(self) -> bool:
        """Whether nothing is added to the counts."""
        return self.slope_sd == 0 and self.vignette_sd == 0
