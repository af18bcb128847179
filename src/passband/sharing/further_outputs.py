"""What the further outputs of a published network are, which its head makes particles of."""

import inspect
import re
from dataclasses import dataclass

from passband.config.architectures import Architecture
from passband.learning.heads.found import opened


@dataclass(frozen=True)
class FurtherOutputs:
    """The outputs of a network besides the logit of the mask.

    Attributes:
        head: The name of the head.
        channels: The name of each output.
        meaning: What the head says about them, the first paragraph first.
        is_votes: Whether the head is the package's `votes`, whose decoder the card has.
    """

    head: str
    channels: tuple[str, ...]
    meaning: tuple[str, ...]
    is_votes: bool


def of_architecture(architecture: Architecture) -> FurtherOutputs | None:
    """Return the further outputs of an architecture; None without a head.

    A head may name its outputs in an attribute `channels`; otherwise they have numbers.

    Raises:
        PartError: If the code of the head must not run, or fails.
    """
    part = architecture.head
    if part is None:
        return None
    made = opened(part)
    number = architecture.outputs - 1
    channels = tuple(map(str, getattr(made, "channels", ())))
    if len(channels) != number or not all(map(str.isidentifier, channels)):
        channels = tuple(f"output_{k}" for k in range(1, number + 1))
    text = inspect.getdoc(type(made)) or ""
    paragraphs = tuple(" ".join(each.split()) for each in re.split(r"\n\s*\n", text) if each)
    return FurtherOutputs(
        head=part.name,
        channels=channels,
        meaning=paragraphs,
        is_votes=part.name == "votes" and not part.is_own,
    )
