"""What happens to counts after they are drawn and filtered: uneven light, gain, clipping."""

from collections.abc import Sequence

import numpy as np
import torch

from passband.config import Background, Microscope


def recorded(counts: torch.Tensor, microscopes: Sequence[Microscope]) -> torch.Tensor:
    """Return the counts of images with the background, times the gain, clipped.

    Args:
        counts: (n, px, px), as they were drawn and filtered.
        microscopes: The microscope of each image.
    """
    if all(map(_records_all, microscopes)):
        return counts
    return torch.stack(
        [_recorded(image, one) for image, one in zip(counts, microscopes, strict=True)]
    )


def _records_all(microscope: Microscope) -> bool:
    """Return whether counts stay as they are."""
    detector = microscope.detector
    is_clipped = detector.clip_low or detector.clip_high
    return microscope.background.is_even and detector.gain == 1 and not is_clipped


def _recorded(counts: torch.Tensor, microscope: Microscope) -> torch.Tensor:
    background = microscope.background
    detector = microscope.detector
    if not background.is_even:
        # numpy sums in an order that does not depend on the number of threads.
        deviation = float(np.std(counts.cpu().numpy(), dtype=np.float64))
        added = deviation * light(background, counts.shape[-1])
        counts = counts + torch.as_tensor(added, dtype=counts.dtype, device=counts.device)
    if detector.gain != 1:
        counts = counts * detector.gain
    return clipped(counts, detector.clip_low, detector.clip_high)


def light(background: Background, px: int) -> np.ndarray:
    """Return uneven light in standard deviations of the image, (px, px) float64.

    A slope is 0 in the middle. A vignette is 0 in the middle, and grows with the square of the
    distance.
    """
    along = np.linspace(-1, 1, px)
    x = along[:, None]
    y = along[None, :]
    found = -background.vignette_sd * (x**2 + y**2) / 2
    if background.slope_sd:
        angle = np.radians(background.slope_deg)
        plane = np.cos(angle) * x + np.sin(angle) * y
        found = found + background.slope_sd * plane / np.ptp(plane)
    return found


def clipped(counts: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """Return an image, (px, px), whose darkest and brightest pixels have one value each.

    Args:
        low, high: Shares of the image's pixels. The value is the nearest one of all other pixels.
    """
    pixels = counts.flatten()
    dark = round(low * len(pixels))
    bright = round(high * len(pixels))
    lowest = pixels.kthvalue(dark + 1).values if dark else None
    highest = pixels.kthvalue(len(pixels) - bright).values if bright else None
    return counts.clamp(lowest, highest) if dark or bright else counts
