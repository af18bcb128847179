"""What a result depends on, said once for each kind of thing that is made.

A :class:`Recipe` follows from the study alone, so no file is read to know whether a result that is
there is still valid: its file has the digest of the recipe that it was made by. The exception is
the results of networks, which also depend on the weights themselves, see
:mod:`passband.store.results`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from passband.config import Study
from passband.errors import PassbandError
from passband.parts import Part
from passband.parts.kinds import SETTINGS
from passband.seeds import digest
from passband.stages import STAGES
from passband.wave_sets import WaveSet, wave_set_of
from passband.words import number_of

#: The attribute of a file of the store with the digest of its recipe.
DIGEST = "recipe_digest"
#: A value of more characters is cut, and the values of a longer list are counted.
_LONGEST = 60

#: How the name of a leaf begins that is the digest of a file's content.
CONTENT = "content of "

#: What the images of networks depend on that a figure shows.
_EXAMPLES = "study.seed", "study.conditions_per_job", "figures.examples", "images"


@dataclass(frozen=True)
class Recipe:
    """Everything that a result depends on, except the device that it is made on.

    Attributes:
        stage: The name of the stage that makes it.
        leaves: Values by name. The name of a key of the study is its path, such as
            ``training.epochs``.
        inputs: The recipes of what it is made from.
        number: The stage's number, see :data:`passband.STAGES`.
    """

    stage: str
    leaves: Mapping[str, Any]
    inputs: "Mapping[str, Recipe]" = field(default_factory=dict)
    number: int = -1

    def __post_init__(self) -> None:
        if self.number < 0:
            object.__setattr__(self, "number", STAGES[self.stage])

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that are the same for the same recipe only."""
        inputs = {name: recipe.digest for name, recipe in self.inputs.items()}
        return digest(self.stage, self.number, dict(self.leaves), inputs)

    def differs(self, other: Self) -> list[str]:
        """Return what is different in another recipe, such as ``training.epochs = 12 → 20``.

        Returns:
            A line for each difference, with the value here before that of `other`. Differences of
            the inputs are among them, but each is there once.
        """
        found = dict.fromkeys(differences(self.params, other.params))
        for name in self.inputs.keys() & other.inputs.keys():
            found |= dict.fromkeys(self.inputs[name].differs(other.inputs[name]))
        return list(found)

    @property
    def params(self) -> dict[str, Any]:
        """The leaves and the stage's number, as a param of a rule.

        If a job runs since this param has changed, Snakemake's reason has both values, from which
        `passband run --dry-run --why` says which leaves have changed.
        """
        return {f"stage {self.stage}": self.number, **self.leaves}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values that are not the same, such as ``training.epochs = 12 → 20``."""
    for name in dict.fromkeys([*before, *now]):
        if name in before and name in now and before[name] == now[name]:
            continue
        if name.startswith(CONTENT):  # the values are digests
            yield f"the {name} has changed"
        else:
            sides = [short(side[name]) if name in side else "none" for side in (before, now)]
            others = ", others" * (sides[0] == sides[1])
            yield f"{name} = {' → '.join(sides)}{others}"


def short(value: Any) -> str:
    """Return a value as a line shows it."""
    text = str(value).lower() if isinstance(value, bool) else str(_plain(value))
    if len(text) <= _LONGEST:
        return text
    return number_of(len(value), "value") if isinstance(value, list) else f"{text[:57]}..."


def _plain(value: Any) -> Any:
    """Return a value with whole numbers as a user writes them: 5 and not 5.0."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ── The recipes of a study ───────────────────────────────────────────────────────────────────────


class Recipes:
    """The recipes of what a study makes. Each is put together once."""

    def __init__(self, study: Study):
        self._study = study
        self._waves: dict[tuple[str, str, str], Recipe] = {}
        self._results: dict[tuple[str, str, bool], Recipe] = {}

    def waves(self, specimen: str, split: str, waves: str = "") -> Recipe:
        """Return the recipe of the exit waves of each structure of a split.

        Args:
            waves: Id of the set of exit waves, see :mod:`passband.wave_sets`.
        """
        key = specimen, split, waves
        if key not in self._waves:
            self._waves[key] = _of_waves(self._study, *key)
        return self._waves[key]

    def networks(self, specimen: str, architecture: str, condition: str) -> Recipe:
        """Return the recipe of each network of a training condition, whatever its replica.

        Args:
            condition: Id of the training condition or of the mixture.
        """
        waves = wave_set_of(condition)
        inputs = {split: self.waves(specimen, split, waves) for split in ("train", "val")}
        leaves = {"specimen": specimen, "architecture": architecture, "condition": condition}
        named = self._study.training.architecture(architecture)
        leaves |= _code(f"architecture {architecture}", named.part)
        leaves |= _code(f"head {named.head.name}", named.head) if named.head else {}
        return Recipe("train", leaves, {"settings": self.training, **inputs})

    def results(self, test_specimen: str, waves: str = "", particles: bool = False) -> Recipe:
        """Return the recipe of results on the test structures of a specimen, of any network.

        Args:
            waves: Id of the set of exit waves of the test conditions.
            particles: Whether the networks have a head, so that their particles are counted.
        """
        key = test_specimen, waves, particles
        if key not in self._results:
            inputs = {"settings": self.testing, "test": self.waves(test_specimen, "test", waves)}
            leaves: dict[str, Any] = {"test specimen": test_specimen}
            if particles:  # a stage of its own: results of other networks do not depend on it
                leaves["stage particles"] = STAGES["particles"]
            self._results[key] = Recipe("evaluate", leaves, inputs)
        return self._results[key]

    def settings(self, *keys: str, **blocks: Mapping[str, Any]) -> dict[str, Any]:
        """Return values of the study by the paths of their keys, as a param of a rule.

        Args:
            keys: Paths of single keys, such as ``figures.dpi``. One with ``since=`` is left out
                while it has its default.
            blocks: Those values of a block that matter, by its name.
        """
        found = {}
        for path in keys:
            block, name = path.split(".")
            found |= _flat(block, getattr(self._study, block).identity(only=(name,)))
        for block, values in blocks.items():
            found |= _flat(block, values)
        return found

    def figure(self, part: Part, example: str | None) -> dict[str, Any]:
        """Return what a figure depends on besides its stores, as a param of its rule.

        Args:
            example: Id of the training condition of the network whose images figures show, if any.

        Raises:
            PassbandError: If the figure names a key that the study does not have.
        """
        shows_examples = "examples" in part.declaration.inputs
        named = [*(_EXAMPLES if shows_examples else ()), *part.declaration.settings]
        keys = [name for name in named if name not in SETTINGS]
        for name in keys:
            block, key = name.split(".")
            if key not in getattr(type(getattr(self._study, block, None)), "model_fields", {}):
                raise PassbandError(f"{part}: settings = {name!r}: the study has no such key")
        found = self.settings(*keys, "figures.dpi", "figures.width_cm")
        for name in named:
            found |= self._described(name) if name in SETTINGS else {}
        if shows_examples:
            found["condition"] = example
        if part.declaration.version > 1:
            found[f"version of the figure {part.name}"] = part.declaration.version
        if part.identity is not None:  # the code of a part of one's own has no number
            found[f"{CONTENT}the figure {part.name}"] = part.identity["digest"]
        return found

    def shown_figures(self, parts: Mapping[str, Part]) -> dict[str, Any]:
        """Return what the page depends on of figures, as a param of its rule."""
        found: dict[str, Any] = {}
        for name, part in parts.items():
            found[f"{CONTENT}the caption of the figure {name}"] = digest(part.declaration.caption)
            found[f"place of the figure {name}"] = part.declaration.place
        return found

    def _described(self, name: str) -> dict[str, Any]:
        """Return the values behind one of :data:`passband.parts.kinds.SETTINGS`."""
        study = self._study
        match name:
            case "training conditions":
                return study.condition_settings("train")
            case "test conditions":
                return study.condition_settings("test")
            case "lens":
                return _flat("microscope", study.microscope.lens_params())
            case "images":
                return self.images
            case _:
                return {name: study.spacings}

    @cached_property
    def images(self) -> dict[str, Any]:
        """What images depend on beside exit waves, as a param of a rule."""
        microscope = self._study.microscope
        keys = _flat("microscope", microscope.imaging_params())
        return keys | _code("microscope.noise", microscope.noise_part)

    def code(self, kind: str) -> dict[str, str]:
        """Return the digests of the code of own parts of a kind, as params of a rule."""
        found = {}
        for part in self._study.known_parts.own_of(kind):
            found |= _code(f"the {kind} {part.name}", part)
        return found

    # What the jobs depend on that make the stores, as params of their rules.

    @cached_property
    def tests(self) -> dict[str, Any]:
        """What a record depends on besides its networks and exit waves."""
        own = self.settings("evaluation.test_own")
        return self._study.condition_settings("test") | own | self.testing.params

    @cached_property
    def information(self) -> dict[str, Any]:
        """What the information metrics depend on besides exit waves."""
        study = self._study
        found = study.condition_settings("train", "test") | self.settings(
            "study.seed",
            "information.bands_per_A",
            microscope=study.microscope.transfer_params(),
        )
        # If a metric is new, or the code of one of the study's own is changed, the job runs again.
        return found | {"metrics": sorted(study.known_parts.of("metric"))} | self.code("metric")

    @cached_property
    def table(self) -> dict[str, Any]:
        """What the table depends on besides records.

        The test specimens are not among these: if they change, the records are made again.
        """
        study = self._study
        trained = {"trained specimens": list(study.trained_specimens)}
        return (
            study.condition_settings("train", "test")
            | trained
            | self.settings(
                "study.replicas",
                "study.replicas_per_job",
                "study.conditions_per_job",
                "study.allow_incomplete",
                "training.architectures",
                "evaluation.test_own",
            )
        )

    @cached_property
    def ood(self) -> dict[str, Any]:
        """What the OOD metrics depend on besides table and information metrics."""
        # Only whether there are intervals matters here.
        intervals = "above 0" if self._study.evaluation.bootstrap else 0
        found = self.settings("evaluation.confidence") | {"evaluation.bootstrap": intervals}
        return found | self.code("ood_metric")

    @cached_property
    def prediction(self) -> dict[str, Any]:
        """What the predictions depend on besides the table and exit waves."""
        study = self._study
        trained = {"trained specimens": list(study.trained_specimens)}
        return (
            study.condition_settings("train", "test")
            | trained
            | self.settings(
                "study.seed",
                "evaluation.bootstrap",
                "evaluation.confidence",
                # The profiles of the conditions, as in the information metrics.
                microscope=study.microscope.transfer_params(),
            )
        )

    @cached_property
    def training(self) -> Recipe:
        """What all networks of the study depend on, apart from exit waves."""
        study = self._study
        numbers = {name: getattr(study.study.structures, name) for name in ("train", "val")}
        leaves = self._settings(**numbers) | _flat("training", study.training.params())
        return Recipe("train", leaves | _code("training.loss", study.training.loss_part))

    @cached_property
    def testing(self) -> Recipe:
        """What all results of networks depend on, apart from exit waves."""
        return Recipe("evaluate", self._settings(test=self._study.study.structures.test))

    def _settings(self, **structures: int) -> dict[str, Any]:
        """Return the seed, numbers of structures by split, and what images depend on."""
        return {
            "study.seed": self._study.study.seed,
            **{f"study.structures.{split}": number for split, number in structures.items()},
            **self.images,
        }


def _code(what: str, part: Part) -> dict[str, str]:
    """Return the digest of the code of a part; none for the package's, which stages cover."""
    if not part.identity:
        return {}
    # The name of its file is not in it: jobs read a copy in another folder. Earlier recipes had the
    # version of an installed package, which was "" for a file.
    return {f"{CONTENT}{what}": digest("", part.identity["digest"])}


def _of_waves(study: Study, specimen: str, split: str, waves: str) -> Recipe:
    own = study.specimens[specimen]
    under = WaveSet.parse(waves)
    place = f"specimens.{specimen}"
    leaves = {
        "specimen": specimen,
        "split": split,
        "study.seed": study.study.seed,
        **_flat("microscope", study.microscope.under(under).exit_wave_params()),
        **_flat(place, own.under(under).params()),
    }
    leaves |= _code("microscope.engine", study.microscope.engine_part)
    leaves |= _code(f"{place}.shape", own.shape_part)
    leaves |= _code(f"{place}.kind", own.kind_part)
    if own.content:
        leaves[f"{CONTENT}{place}.material"] = own.content
    if waves:  # structures keep the particles of the study's own specimen
        kept = {"microscope.pixel_size_A": study.microscope.pixel_size_A}
        kept |= _flat(place, own.params())
        leaves |= {f"own {name}": x for name, x in kept.items() if leaves.get(name) != x}
    return Recipe("simulate", leaves)


def _flat(place: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a block, and of the blocks inside it, by the paths of their keys."""
    found = {}
    for name, value in values.items():
        path = f"{place}.{name}"
        found |= _flat(path, value) if isinstance(value, dict) else {path: value}
    return found
