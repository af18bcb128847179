"""The block `training` of the configuration: how networks are trained."""

from typing import Any, Literal

from pydantic import PrivateAttr, model_validator

from passband.config import architectures
from passband.config.architectures import Architecture
from passband.config.base import Block, Gone, first_repeated, gone, key, short
from passband.parts import PACKAGE, Part, PartError, Parts

#: Presets for the block `training`, by name: values for the keys that a study does not give.
RECIPES = {
    "none": {},
    "group-2024": {
        "architectures": ["unet-resnet18"],
        "epochs": 25,
        "batch_size": 16,
        "learning_rate": 0.001,
        "schedule": "exponential",
        "decay": 0.8,
        "dice_weight": 1.0,
        "normalisation": "minmax",
        "augment": True,
    },
}


class Training(Block):
    """How networks are trained."""

    recipe: Literal["none", "group-2024"] = key(
        "none",
        "A preset for the keys of `training` that a study does not give. `group-2024` trains a "
        "U-Net on a ResNet-18 for 25 epochs with Adam. The learning rate is 0.001, multiplied by "
        "0.8 after each epoch. Batches have 16 images, which are scaled to 0–1, with random "
        "quarter turns and flips.",
    )

    architectures: list[str] = key(
        lambda: ["compact-w8-d3"],
        "Names of network architectures. `compact-w<width>-d<depth>` is Passband's own U-Net. "
        "`<decoder>-<encoder>`, such as `unet-resnet18`, is a network of "
        "segmentation_models_pytorch. Others are in the folder `parts` of a study. With a `+` "
        "and the name of a head behind it, a network also tells single particles apart.",
        min_length=1,
        max_length=100,
    )
    epochs: int = key(
        12,
        "Number of epochs. In an epoch, every training structure is used once.",
        "epochs",
        ge=1,
        le=10_000,
    )
    batch_size: int = key(8, "Number of images in an optimizer step.", "images", ge=2, le=4096)
    optimizer: Gone = gone("adam")
    learning_rate: float = key(0.004, "The highest learning rate of the schedule.", gt=0, le=1)
    momentum: Gone = gone(0.9)
    weight_decay: Gone = gone(0.0)
    schedule: Literal["one-cycle", "exponential", "cosine", "constant"] = key(
        "one-cycle",
        "How the learning rate changes. `one-cycle`: it rises and falls. `exponential`: it is "
        "multiplied by `decay` after each epoch. `cosine`: it falls to 0 along half a cosine. "
        "`constant`: it does not change.",
    )
    decay: float = key(
        0.8,
        "Factor by which the schedule `exponential` multiplies the learning rate after each epoch.",
        gt=0,
        le=1,
    )
    loss: str = key(
        "entropy-dice",
        "What training makes small. `entropy-dice` is cross-entropy plus weighted Dice loss. "
        "Others are in the folder `parts` beside the study's file.",
        since="0.4.0",
    )
    entropy_weight: Gone = gone(1.0)
    focal_gamma: Gone = gone(0.0)
    dice_weight: float = key(
        1.0, "Weight of the Dice loss, which is added to cross-entropy.", ge=0, le=100
    )
    patience: Gone = gone(0)
    normalisation: Literal["zscore", "minmax", "vacuum"] = key(
        "zscore",
        "How counts are scaled for the network. `zscore`: each image has mean 0 and variance 1. "
        "`minmax`: each image has the range 0 to 1. `vacuum`: the relative deviation from the mean "
        "count of a vacuum pixel.",
    )
    noise: Literal["fresh", "fixed"] = key(
        "fresh",
        "`fresh`: the noise of a training image is drawn again in every epoch. `fixed`: the noise "
        "is drawn only once. Each replica has its own noise.",
    )
    augment: bool = key(
        True,
        "Whether training images are changed by random quarter turns and flips. With a lens that "
        "is not round, structures are turned and flipped before the lens forms their images.",
    )
    crop_px: int = key(
        0,
        "Side of a random square that is cut from every training image, at another place in every "
        "epoch. So training takes less time, and particles are cut by the edge. The images are "
        "periodic, so the square may pass over an edge. Validation and test images are whole. With "
        "0, training images are whole too.",
        "pixels",
        ge=0,
        le=8192,
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = key(
        "auto",
        "Precision in which networks compute. `auto` is the precision in which the processor or "
        "the GPU is fastest.",
    )

    _parts: Parts = PrivateAttr(default_factory=lambda: PACKAGE)

    def model_post_init(self, context: Any) -> None:
        """Remember which parts the study knows."""
        self._parts = (context or {}).get("parts", PACKAGE)

    def architecture(self, name: str) -> Architecture:
        """Return the architecture of a name. Errors are those of :func:`architectures.parse`."""
        return architectures.parse(name, self._parts)

    @property
    def loss_part(self) -> Part:
        """The part with the loss of networks."""
        return self._parts.get("loss", self.loss)

    @property
    def has_own_parts(self) -> bool:
        """Whether the loss, an architecture or a head is a part that the study brings."""
        named = [self.architecture(name) for name in self.architectures]
        parts = [self.loss_part, *(each.part for each in named), *(each.head for each in named)]
        return any(part.is_own for part in parts if part)

    def needs_instances(self, architecture: str) -> bool:
        """Return whether training compares with the labels of single particles."""
        in_loss = "instances" in self.loss_part.declaration.targets
        return in_loss or self.architecture(architecture).head is not None

    def params(self) -> dict[str, Any]:
        """Return the keys of `training` that the networks of a train job depend on."""
        # The values of `recipe` are in the other keys. The architecture is a leaf of its own of
        # each network's Recipe, see passband.store.recipe.
        without = ["architectures", "recipe"]
        if self.schedule != "exponential":
            without.append("decay")
        if self.optimizer != "sgd":  # which results of 0.3 may have
            without.append("momentum")
        return self.identity(without=without)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_recipe(cls, given: Any) -> Any:
        name = given.get("recipe") if isinstance(given, dict) else None
        return {**RECIPES[name], **given} if isinstance(name, str) and name in RECIPES else given

    def _check_values(self) -> None:
        try:
            _ = self.loss_part
        except PartError as error:
            raise ValueError(f"loss = {error}") from None
        for i, name in enumerate(self.architectures):
            try:
                self.architecture(name)
            except (ValueError, PartError) as error:
                raise ValueError(f"training.architectures[{i}] = {short(name)}: {error}") from None
        if (repeated := first_repeated(self.architectures)) is not None:
            i = self.architectures.index(repeated)
            raise ValueError(f"training.architectures[{i}] = {repeated!r}: is listed twice")
