"""Compares the study that made results with what the study's file asks for today.

All results have the configuration that made them in their attributes. Only what their recipes
depend on is compared, see :mod:`passband.store.recipe`: other conditions, replicas or figures, and
other numbers of structures in a file or of replicas in a job, leave results as they are.
"""

import json
import re
import shlex
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from passband.config import ConfigError, Study, validate_stored
from passband.errors import PassbandError
from passband.results import Results, layout, locate, network_batches
from passband.storage import integrity, json_text, metadata, provenance, weights
from passband.store.recipe import CONTENT, DIGEST, Recipe, Recipes, short
from passband.words import listed, number_of

#: What is compared: exit waves; what images depend on besides; training; tests; and metrics.
WAVES, IMAGES, NETWORKS, RESULTS, METRICS = KINDS = (
    *("exit waves", "images", "networks", "results", "metrics"),
)
#: What networks and their results depend on.
OF_NETWORKS = WAVES, IMAGES, NETWORKS, RESULTS
#: A line names so many keys at most.
_MOST = 5


@dataclass(frozen=True)
class Made:
    """A study that made results, and the study of today's file, which asks for others.

    Attributes:
        what: The results, or one of their files.
        file: The study's file, or what else asks for others.
        remedy: What to do; by default, to run the study of the file.
    """

    before: Study
    today: Study
    what: str | Path
    file: str | Path
    remedy: str = ""

    def line(self, *kinds: str) -> str:
        """Return one line about what differs, and what to do; "" if nothing differs.

        Args:
            kinds: Some of :data:`KINDS`; all by default.
        """
        found = differences(self.before, self.today, *kinds)
        remedy = self.remedy or f"run `passband run {shlex.quote(str(self.file))}`"
        return f"{_words(self.what, found, self.file)}: {remedy}" if found else ""


def differences(before: Study, now: Study, *kinds: str) -> dict[str, tuple[Any, Any]]:
    """Return the values of two studies by which their common results differ, by name.

    Args:
        kinds: Some of :data:`KINDS`; all by default.
    """
    sides = [_leaves(study) for study in (before, now)]
    found: dict[str, tuple[Any, Any]] = {}
    for of in sides[0]:
        if of in sides[1] and of[0] in (kinds or KINDS):
            found |= _differing(sides[0][of], sides[1][of])
    return found


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the values that differ. A digest of content counts where both studies have one."""
    names = dict.fromkeys([*before, *now])
    pairs = {name: (before.get(name), now.get(name)) for name in names}
    lacking = {name for name, pair in pairs.items() if name.startswith(CONTENT) and None in pair}
    return {n: pair for n, pair in pairs.items() if pair[0] != pair[1] and n not in lacking}


def _leaves(study: Study) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Return all values that the results of a study depend on, by the kind of results."""
    recipes = Recipes(study)
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for specimen, block in study.specimens.items():
        for split in block.splits:
            for id in study.waves(specimen, split):
                found[WAVES, specimen, split, id] = recipes.waves(specimen, split, id).leaves
    found[(IMAGES,)] = {"study.seed": study.study.seed, **recipes.images}
    found[(NETWORKS,)] = recipes.training.leaves
    trained = list(study.trained_specimens)
    for architecture in study.training.architectures:
        known = recipes.networks(trained[0], architecture, study.train_ids[0]).leaves
        code = {name: value for name, value in known.items() if name.startswith(CONTENT)}
        found[NETWORKS, architecture] = code
    found[(RESULTS,)] = recipes.testing.leaves
    found[(METRICS,)] = recipes.settings("information.bands_per_A") | recipes.ood
    return found


def _words(what: str | Path, found: Mapping[str, tuple[Any, Any]], file: str | Path) -> str:
    """Return what is said about results that were made with other values than a file has."""
    shown = dict(list(found.items())[:_MOST])
    values = {name: pair for name, pair in shown.items() if not name.startswith(CONTENT)}
    was = [f"{name} = {_word(pair[0])}" for name, pair in values.items()]
    was += [f"another {name.removeprefix(CONTENT)}" for name in shown if name not in values]
    if more := len(found) - len(shown):
        was.append(f"{number_of(more, 'other value')} of other keys")
    says = f"; {file} says {listed([_word(pair[1]) for pair in values.values()])}" if values else ""
    return f"{what} was made with {listed(was)}{says}"


def _word(value: Any) -> str:
    return "none" if value is None else short(value)


# ── What made results ────────────────────────────────────────────────────────────────────────────


def of(results: Results) -> Made | None:
    """Return what made a study's results, if the study's file of today asks for others.

    None is returned, too, if there are no networks and no tables yet, or no file.
    """
    file = _file(results)
    if file is None or not results.is_known:
        return None
    origins = Origins(results)
    return _made(origins.before, results.study, results, file)


def of_network(study: Study, results: Results) -> Made | None:
    """Return what made a network in a study's results, if the file of today asks for another.

    Args:
        study: The study that made the network.
    """
    file = _file(results)
    if file is None:
        return None
    with suppress(ConfigError):
        return _made(study, locate.load(file), results, file)
    return None


def _made(before: Study | None, today: Study, results: Results, file: Path) -> Made | None:
    if before is None or before is today:
        return None
    found = Made(before, today, locate.shown(results.folder), file)
    return found if found.line() else None


def _file(results: Results) -> Path | None:
    if results.is_published:
        return None
    with suppress(PassbandError):  # several files have the study's name
        file = results.file
        return locate.shown(file.absolute()) if file.exists() else None
    return None


class Origins:
    """The studies that made the files of results, each of which is read once.

    Args:
        results: The results, with the study of today's file.
    """

    def __init__(self, results: Results):
        self._results = results
        self._known: dict[str, Study | None] = {}

    @property
    def today(self) -> Study:
        """The study of today's file."""
        return self._results.study

    @cached_property
    def _digest(self) -> str:
        return self.today.digest

    @cached_property
    def before(self) -> Study | None:
        """The study that made the tables; without them, the study of the last run of networks."""
        for store in (layout.TABLE, layout.OOD, layout.INFORMATION):
            if (study := self.of(self._results.path(store))) is not None:
                return study
        has_networks = any(self._results.path(layout.NETWORKS).glob("*/*/*/*.safetensors"))
        copy = self.copy if has_networks else None
        return None if copy is None else self.of_copy(copy)

    @property
    def copy(self) -> Path | None:
        """The newest copy of a configuration that jobs have read."""
        folder = self._results.path(layout.CONFIGURATION, digest="").parent
        found = [path for path in folder.glob("*.json") if _is_digest(path.stem)]
        return max(found, key=lambda path: path.stat().st_mtime, default=None)

    def of(self, path: Path) -> Study | None:
        """Return the study that made a result; None if that is not known."""
        attrs = attributes(path)
        return self._study(attrs.get("config_digest"), attrs.get("configuration"), attrs)

    def of_copy(self, path: Path) -> Study | None:
        """Return the study of a copy of the configuration that jobs have read."""
        try:
            integrity.check_regular(path)
            return self._study(path.stem, path.read_text(encoding="utf-8"), {})
        except (OSError, PassbandError):
            return None

    def _study(self, digest: object, text: object, attrs: Mapping[str, Any]) -> Study | None:
        """Return a study that is read once, and today's if it is the same."""
        if not isinstance(digest, str) or not isinstance(text, str):
            return None
        if digest == self._digest:
            return self.today
        if digest not in self._known:
            self._known[digest] = self._read(digest, text, attrs)
        return self._known[digest]

    def _read(self, digest: str, text: str, attrs: Mapping[str, Any]) -> Study | None:
        today = self.today.known_parts
        folder = self._results.path(layout.PARTS, digest=digest) if _is_digest(digest) else None
        with suppress(ConfigError, OSError, ValueError, TypeError):
            # Paths of crystal files begin at the study's file.
            source = str(_file(self._results) or self._results)
            content = dict(json_text.parse(text))
            same = _parts(attrs.get(provenance.OWN_PARTS, "[]")) == _parts(today.identities())
            study = validate_stored(dict(content), source, today if same else folder)
            if not same and study.known_parts.digest == today.digest:
                study = validate_stored(content, source, today)  # whose code may run
            return study
        return None


def _parts(known: object) -> list[tuple[object, ...]]:
    """Return what identifies own parts, from their identities or the text of these."""
    identities = json.loads(known) if isinstance(known, str) else known
    assert isinstance(identities, list)
    of = "kind", "name", "digest"
    return sorted(tuple(str(each.get(name)) for name in of) for each in identities)


def _is_digest(text: str) -> bool:
    return re.fullmatch("[0-9a-f]{16}", text) is not None


def attributes(path: Path) -> dict[str, Any]:
    """Return what a result says of what made it; nothing if it is missing or cannot be read."""
    with suppress(
        *(OSError, ValueError, KeyError, TypeError, AttributeError),
        *(zipfile.BadZipFile, PassbandError),
    ):
        if path.suffix == ".safetensors":
            return weights.values(path)
        integrity.check_regular(path)
        return metadata.read_attributes(path)
    return {}


# ── Single files ─────────────────────────────────────────────────────────────────────────────────


def check_waves(results: Results, path: Path, recipe: Recipe) -> None:
    """Raise PassbandError if a file has exit waves by another recipe than a study's.

    Args:
        results: The study, with its folder.
    """
    if attributes(path).get(DIGEST) not in (None, recipe.digest):
        _refuse(results, path)


def check_networks(results: Results, path: Path, recipes: Mapping[str, Recipe]) -> None:
    """Raise PassbandError if a file has networks by other recipes than a study's.

    Args:
        results: The study, with its folder.
        recipes: Those of the networks by training condition.
    """
    found = weights.recipes_in(path)
    for condition in found.keys() & recipes.keys():
        if found[condition] not in ("", recipes[condition].digest):
            _refuse(results, path)


def check_belong(results: Results) -> None:
    """Raise PassbandError if networks or exit waves of test structures are not those of a study."""
    study = results.study
    recipes = Recipes(study)
    for batch in network_batches.batches_of(study):
        path = results.weights(batch)
        if path.exists():
            of = batch.specimen, batch.architecture
            known = {id: recipes.networks(*of, id) for id in batch.conditions}
            check_networks(results, path, known)
    for specimen in study.specimens:
        for id in study.test_waves:
            recipe = recipes.waves(specimen, "test", id)
            for path in results.waves(specimen, "test", [id]):
                check_waves(results, Path(path), recipe)


def check_tested(results: Results, network: Path) -> None:
    """Raise PassbandError if other networks were tested than those of a weights file.

    Args:
        results: The study of the weights file, with the folder of the tests.
        network: The weights file.
    """
    before = Origins(results).before
    if before is not None:
        made = Made(before, results.study, results.folder, network, "run the study")
        if line := made.line(*OF_NETWORKS):
            raise PassbandError(line)


def _refuse(results: Results, path: Path) -> None:
    """Raise PassbandError about a file that was made by another study, with what differs.

    A file that does not name its study is not refused.
    """
    file = _file(results) or results.noun
    before = Origins(results).of(path)
    if before is None:
        return
    if line := Made(before, results.study, path, file).line():
        raise PassbandError(line)
    raise PassbandError(
        f"{path} was made for another study, or by another version of Passband: run "
        f"`passband run {shlex.quote(str(file))}`"
    )
