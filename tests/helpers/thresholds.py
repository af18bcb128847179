"""Networks without training that find bright pixels, and images of bright discs."""

import json
from pathlib import Path

import numpy as np
import torch
from synthetic import weights_metadata

from passband.learning import networks
from passband.storage import weights as files

NAME = "compact-w1-d1"
CONDITION = "df+0005.00_cs+0001.200_ap010.00_ds000100.00"
CELL = f"gold/{NAME}/{CONDITION}"


def threshold_weights(at: float) -> dict[str, torch.Tensor]:
    """Return weights of a network whose logit is 10 (max(x, 0) − `at`) for the pixel value x.

    Only the first channel of the skip connection is used, and each kernel has only its centre.
    """
    state = networks.build(NAME).state_dict()
    for tensor in state.values():
        if tensor.ndim == 4:
            tensor.zero_()
    for name in ("down.0.0", "down.0.3", "up.0.0", "up.0.3"):
        state[f"{name}.weight"][0, 0, 1, 1] = 1
    state["head.weight"][0, 0] = 10
    state["head.bias"][0] = -10 * at
    return state


def save(
    path: Path,
    at: dict[int, float] | None = None,
    pixel_size_A: float = 0.3,
    field_px: int = 32,
    **changes,
):
    """Write a weights file with a network for each replica in `at`, which has its threshold."""
    at = {0: 0.5} if at is None else at
    states = {replica: threshold_weights(value) for replica, value in at.items()}
    return save_states(states, path, NAME, pixel_size_A, field_px, **changes)


def save_states(
    states: dict[int, dict[str, torch.Tensor]],
    path: Path,
    architecture: str,
    pixel_size_A: float = 0.3,
    field_px: int = 32,
    **changes,
):
    """Write a weights file of networks with the given weights, by their replicas."""
    configuration = {"microscope": {"pixel_size_A": pixel_size_A, "field_px": field_px}}
    given = {
        "architecture": architecture,
        "condition": CONDITION,
        "provenance": {"configuration": json.dumps(configuration)},
    }
    files.save(states, path, weights_metadata(tuple(states), **given | changes))
    return path


def mask_of_discs(shape: tuple[int, int], *discs: tuple[float, float, float]) -> np.ndarray:
    """Return a bool array of discs, each with row and column of its centre and its radius."""
    y, x = np.indices(shape)
    mask = np.zeros(shape, bool)
    for row, column, radius in discs:
        mask |= np.hypot(y - row, x - column) <= radius
    return mask


def image_of(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return counts of about 20 electrons in the mask and 10 elsewhere, with little noise."""
    noise = np.random.default_rng(seed).normal(0, 0.3, mask.shape)
    return (10 + 10 * mask + noise).astype(np.float32)
