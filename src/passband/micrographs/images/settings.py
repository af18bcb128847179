"""How images are segmented."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_type_hints

from pydantic import TypeAdapter, ValidationError

from passband.config.base import short
from passband.config.loading import allowed
from passband.errors import ArgumentError, PassbandError
from passband.learning.heads.found import opened
from passband.micrographs.images.bars import Box
from passband.parts import Part

if TYPE_CHECKING:
    from passband.micrographs.models.network import Network


@dataclass(frozen=True)
class Settings:
    """How images are segmented.

    Attributes:
        hot_pixels: Whether hot pixels are removed.
        flat_field: Whether an image is divided by its smooth background; with False, no background
            is taken off. By default, the image decides, see
            :func:`passband.micrographs.images.background.take_off`.
        filter_noise: Whether an image is filtered as the counts of a network's training images
            were, see :func:`passband.micrographs.images.preparation.filter_noise`. By default, the
            image's own noise is measured, see :mod:`passband.micrographs.images.own_noise`.
        dose_e_per_A2: The image's dose, which networks with the normalisation ``vacuum`` need
            [e/Å²].
        tile: Side of tiles in the network's pixels. By default, see :func:`tiles.default_tile`.
        smallest_nm: Smallest equivalent diameter of a particle [nm].
        precision: See :func:`passband.learning.devices.precision`.
        particles: ``mask``: particles are regions of the mask, which are split at necks.
            ``head``: the head of the networks finds them. It is not the default, since no head has
            been as good as the mask on real images yet.
        crop: The part ``x0:x1,y0:y1`` of the image that is used [pixels]. Outside, nothing is
            found. By default, bars and frames are cut off, see
            :func:`passband.micrographs.images.bars.inside`.
    """

    hot_pixels: bool = True
    flat_field: bool | None = None
    filter_noise: bool | None = None
    dose_e_per_A2: float | None = None
    tile: int | None = None
    smallest_nm: float = 0.5
    precision: Literal["float32", "auto", "bfloat16", "float16"] = "float32"
    particles: Literal["mask", "head"] = "mask"
    crop: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, object]) -> "Settings":
        """Return the settings that are given by name.

        Raises:
            PassbandError: If a name is unknown, or if a value has a wrong type.
        """
        types = get_type_hints(cls)
        values = {}
        for name, value in given.items():
            if name not in types:
                known = ", ".join(types)
                raise PassbandError(f"{name} = {short(value)}: unknown setting; allowed: {known}")
            try:
                values[name] = TypeAdapter(types[name]).validate_python(value)
            except ValidationError:
                words = allowed(name, types[name])
                raise PassbandError(f"{name} = {short(value)}: must be {words}") from None
        return cls(**values)

    def words(self, normalisation: str) -> str:
        """Return a description of the preparation.

        Args:
            normalisation: That of the networks.
        """
        flat = {
            None: "background taken off where there is one",
            True: "divided by the smooth background",
            False: "background kept",
        }
        words = [
            "hot pixels removed" if self.hot_pixels else "hot pixels kept",
            flat[self.flat_field],
            f"{normalisation} over the whole image",
            f"particles of {self.smallest_nm:g} nm or more",
            self.precision,
        ]
        return ", ".join(words)

    def check(self, networks: Sequence["Network"]) -> None:
        """Check that these networks can be used with these settings.

        Raises:
            PassbandError: If the dose is missing or wrong, the tile is too small, the part of the
                image has another form, or the head of a network is missing or must not run.
        """
        if self.dose_e_per_A2 is not None and not 0 < self.dose_e_per_A2 < math.inf:
            raise ArgumentError(f"dose_e_per_A2 = {self.dose_e_per_A2:g}: must be above 0")
        if self.tile is not None and self.tile < 1:
            raise ArgumentError(f"tile = {self.tile}: must be at least 1 pixel")
        if not 0 <= self.smallest_nm < math.inf:
            raise ArgumentError(f"smallest_nm = {self.smallest_nm:g}: must be at least 0 nm")
        if self.crop is not None:
            Box.parse(self.crop)
        if part := self.head(networks):
            opened(part)
        for network in networks:
            if network.normalisation == "vacuum" and self.dose_e_per_A2 is None:
                raise ArgumentError(
                    f"{network.id} was trained with the normalisation 'vacuum', which needs the "
                    "dose: give dose_e_per_A2",
                    "dose_e_per_A2",
                )

    def head(self, networks: Sequence["Network"]) -> Part | None:
        """Return the head that finds the particles of networks, None if it is their mask.

        Raises:
            ArgumentError: If a head is wanted, and the networks have none in common.
        """
        if self.particles == "mask" or not networks:
            return None
        if reason := _no_common_head(networks):
            raise ArgumentError(f"particles = 'head': {reason}; allowed: 'mask'")
        return networks[0].head


def _no_common_head(networks: Sequence["Network"]) -> str:
    """Return why no head finds the particles of networks together, or nothing."""
    first = networks[0]
    for network in networks:
        head = network.head
        if head is None:
            return f"{network.id} has no head"
        own = first.head
        if (head.name, head.identity) != (own.name, own.identity):
            return f"{network.id} has another head than {first.id}"
        if network.pixel_size_A != first.pixel_size_A:
            return f"{network.id} has pixels of another size than {first.id}"
    return ""
