"""Tries the parts that a study brings, before any job needs them: all are imported, and metrics
and OOD metrics are computed of small arrays.
"""

import numpy as np

from passband.analysis.metric_function import MetricFunction
from passband.analysis.views import Pair, View
from passband.config import Study
from passband.errors import PassbandError
from passband.parts import PAIR, TRAIN, Part, PartError

#: Number of training conditions.
_TRAIN = 2
#: Number of test conditions.
_TEST = 3
#: Number of frequencies.
_FREQUENCIES = 16
#: Number of replicas.
_REPLICAS = 2
#: Number of images of each test condition.
_STRUCTURES = 4


def check(study: Study) -> None:
    """Import the study's own parts, compute its metrics, and look for the keys of its figures.

    Raises:
        PartError: If one fails, or returns another shape or type. The message names the part and
            its file.
        PassbandError: If a figure depends on a key that there is not.
    """
    known = study.known_parts
    for part in known.own:
        known.get(part.kind, part.name).load()
    rng = np.random.default_rng(0)
    train = _view(_TRAIN, rng)
    pair = Pair(train, _view(_TEST, rng))
    for part in known.own_of("metric"):
        metric = MetricFunction(part)
        if part.declaration.of == PAIR:
            metric(pair, (_TRAIN, _TEST), "(train, test)")
        else:
            metric(train, (_TRAIN,), "(condition,)")
    for part in known.own_of("ood_metric"):
        _try_ood_metric(part, rng)
    for part in known.own_of("figure"):
        for path in part.declaration.settings:
            if "." in path:
                try:
                    study.at(path)
                except AttributeError:
                    raise PassbandError(
                        f"{part}: settings = {path!r}: the study has no such key"
                    ) from None


def _try_ood_metric(part: Part, rng: np.random.Generator) -> None:
    """Compute an OOD metric of a row without a matrix; what one needs a matrix for is not tried."""
    from passband.analysis.rows import Row  # xarray takes a second to import

    class TrialRow(Row):
        def score(self, name: str) -> np.ndarray:
            return self.dice

    dice = rng.uniform(0.1, 0.9, (_REPLICAS, _TEST, _STRUCTURES))
    near = np.array([True, True, False])
    row = TrialRow(dice=dice, home=dice[:, 0], ideal=dice.mean(0), own=0, near=near)
    metric = MetricFunction(part)
    try:
        if part.declaration.of == TRAIN:
            metric(row, (_REPLICAS, _STRUCTURES), "(replica, structure)")
        else:
            metric(row, dice.shape, "(replica, test, structure)")
    except PartError as error:
        if "'NoneType' object" not in str(error.__cause__):  # it needs the matrix
            raise


def _view(conditions: int, rng: np.random.Generator) -> View:
    """Return a view of some conditions, with positive spectra and transfers of both signs."""
    return View(
        T=rng.uniform(-1, 1, (conditions, _FREQUENCIES)),
        dose=rng.uniform(100, 1000, conditions),
        power=rng.uniform(0.1, 1, _FREQUENCIES),
        area=rng.uniform(0.1, 1, _FREQUENCIES),
        q=np.linspace(0, 1, _FREQUENCIES),
    )
