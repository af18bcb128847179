"""The block `microscope.background` of the configuration: uneven light."""

from passband.config.base import Block, key


class Background(Block):
    """Uneven light, which is added to the counts after they are drawn and filtered.

    The unit *sd* is the standard deviation of the image without the background. See
    `passband.imaging.camera`.
    """

    slope_sd: float = key(
        0.0,
        "How much brighter the brightest point of an image is than the darkest one, by a slope of "
        "the brightness.",
        "sd",
        ge=0,
        le=20,
    )
    slope_deg: float = key(
        0.0,
        "Direction in which the slope becomes brighter, from the first axis of the images towards "
        "the second axis.",
        "°",
        ge=-360,
        le=360,
    )
    vignette_sd: float = key(
        0.0,
        "How much darker the corners of an image are than its middle. The brightness falls with "
        "the square of the distance. A number below 0 is bright corners.",
        "sd",
        ge=-20,
        le=20,
    )

    @property
    def is_even(self) -> bool:
        """Whether nothing is added to the counts."""
        return self.slope_sd == 0 and self.vignette_sd == 0
