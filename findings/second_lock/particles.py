"""Part 4: do the scores of particles follow the lens, as Dice does?

    python -m findings.second_lock.particles learn  # whether the head votes learns
    python -m findings.second_lock.particles known --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.particles predict  # the predictions and their digest
    python -m findings.second_lock.particles judged --part 0/2  # and 1/2 beside it
    python -m findings.second_lock.particles open  # the result, once

Run it from the repository's root, after part 1, and commit what `predict` writes before `judged`:
`known` and `judged` let the networks of either half of the conditions see fields of several
particles. A command that was stopped continues.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from findings.second_lock import conditions, draws, fields, lens_or_image, lines, networks
from findings.second_lock import particle_scores as scores
from findings.second_lock.fields import Fields
from findings.second_lock.lens_or_image import LENS
from findings.second_lock.locked import Lock, as_stored
from findings.second_lock.networks import Arm
from findings.second_lock.particle_scores import F1, SCORES
from findings.second_lock.scores import difference
from passband.config import Study, validate
from passband.grid import Condition
from passband.particle_scores import instance_f1
from passband.prediction import gaussian_process

LOCK = Lock("part4")
KEPT = lens_or_image.KEPT
#: Numbers of the structures with several particles, and of the tests of each group.
STRUCTURES = range(32, 48)
OF_GROUP = 12
#: Conditions of the head's networks, those that are tried first, and the least F1 at home of each.
VOTES = 40
TRIED = 2
LEARNED = 0.5
HEAD = "compact-w4-d2+votes"
TEST_MEAN = "mean of the test"
#: What stands for a score that a network does not have, among shares that are below 1.
NONE = 1.0


def tests() -> tuple[Condition, ...]:
    """Return the first tests of each group of part 1."""
    groups = conditions.tests(lens_or_image.study())
    return tuple(test for group in groups.values() for test in group[:OF_GROUP])


def halves() -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the known and of the judged training conditions, in order."""
    number = len(lens_or_image.training_conditions())
    order = conditions.random("part 4, halves").permutation(number)
    return np.sort(order[: number // 2]), np.sort(order[number // 2 :])


def of_votes() -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the conditions of the head's networks, and of those tried first."""
    number = len(lens_or_image.training_conditions())
    order = conditions.random("part 4, votes").permutation(number)
    return np.sort(order[:VOTES]), order[VOTES : VOTES + TRIED]


@cache
def with_head() -> Study:
    """Return the study of part 1 with networks that have a head."""
    content = lens_or_image.study().written()
    content["study"]["name"] = "second-lock-votes"
    content["training"]["architectures"] = [HEAD]
    return validate(content)


def votes(numbers: Iterable[int], name: str = "votes") -> Arm:
    """Return networks with the head for some of the training conditions."""
    every = lens_or_image.training_conditions()
    return replace(
        lens_or_image.arm(),
        name=name,
        study=with_head(),
        architecture=HEAD,
        conditions=tuple(every[number] for number in numbers),
        tests=(),
    )


@cache
def seen() -> Fields:
    """Return the fields and the tests in which networks see them."""
    return Fields.of(lens_or_image.study(), KEPT, STRUCTURES, tests())


# ── Tests ────────────────────────────────────────────────────────────────────────────────────────


def tried() -> Arm:
    """Return the networks with the head that are tried first."""
    _, of = of_votes()
    return votes(of, "votes-tried")


def learn() -> None:
    """Train the networks that are tried, and say whether the head learns."""
    networks.run(tried(), KEPT)
    low, *_ = np.sort(home_f1(tried()))
    print(f"F1 at home of votes: {low:.3f} or more; must be at least {LEARNED}")


def home_f1(arm: Arm) -> np.ndarray:
    """Return F1 of networks with a head in small images of their own condition, (condition,).

    Raises:
        PassbandError: If networks are missing.
    """
    found = networks.results(arm, KEPT).home_particles
    return instance_f1(found.values).mean((1, 2))


def groups(half: np.ndarray) -> dict[str, tuple[Arm, np.ndarray]]:
    """Return the arms by name, and the numbers of their conditions that are in a half.

    Networks with the head are among them if the head learns.

    Args:
        half: Numbers among all training conditions.
    """
    found = {"rule": (lens_or_image.arm(), half)}
    if home_f1(tried()).min() >= LEARNED:
        of, _ = of_votes()
        found["votes"] = votes(of), np.flatnonzero(np.isin(of, half))
    return found


def see(half: np.ndarray, part: tuple[int, int]) -> None:
    """Let the networks of half of the conditions see the fields.

    Args:
        part: (k, n): every n-th of the conditions.
    """
    for name, (arm, numbers) in groups(half).items():
        fields.run(arm, KEPT, seen(), numbers, part=part, trains=name == "votes")


def see_judged(part: tuple[int, int]) -> None:
    """Let the networks of the judged half see the fields, after the predictions."""
    LOCK.committed()
    see(halves()[1], part)


# ── Predictions ──────────────────────────────────────────────────────────────────────────────────


def key(group: str, score: str, line: str) -> str:
    """Return the name of a prediction."""
    return f"{group}: {score}: {line}"


def predicted() -> dict[str, np.ndarray]:
    """Return the predicted shares of the judged half, (condition, test), by :func:`key`."""
    found = {}
    known, judged = map(groups, halves())
    for group, (arm, numbers) in known.items():
        _, others = judged[group]
        of = scores.by_replica(fields.results(arm, KEPT, seen(), numbers))
        Y = {name: SCORES[name].share(scores.mean(each)) for name, each in of.items()}
        train, new = ([arm.conditions[number] for number in each] for each in (numbers, others))
        for name, each in Y.items():
            means = np.nanmean(each, axis=0)
            found[key(group, name, TEST_MEAN)] = np.repeat(means[None], len(new), 0)
        for line in lines.LINES:
            sides = lines.seen(line, [train, new, tests()], ("train", "train", "val"), KEPT)
            of_known, of_new, of_tests = sides
            kernel = lines.kernel(line, of_known)
            for name, each in Y.items():
                model = gaussian_process.fit(each, of_known, of_tests, kernel=kernel)
                found[key(group, name, line)] = model.predict(of_new, None)[0]
    return found


def predict() -> None:
    """Write the predictions and their digest."""
    LOCK.write(predicted())


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────


def result(
    predicted: Mapping[str, np.ndarray],
    truth: Mapping[str, np.ndarray],
    doses: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, Any]:
    """Return the scores of each line for each score of particles, and the verdict.

    Args:
        predicted: Shares by :func:`key`.
        truth: By the names of group and score, shares (condition, replica, test), :data:`NONE`
            without one.
        doses: Of conditions and tests [e/Å²], by group.
    """
    found: dict[str, Any] = {}
    for group, of in doses.items():
        found[group] = {}
        for name, score in SCORES.items():
            of_truth = truth[f"{group}: {name}"]
            back = score.back(of_truth)
            replicas = back if name == F1 else np.where(of_truth == NONE, np.nan, back)
            true = scores.mean(replicas)
            by_line = {
                line: score.back(predicted[key(group, name, line)])
                for line in (*lines.LINES, TEST_MEAN)
            }
            found[group][name] = {
                line: scores.of_line(true, D, of, replicas) for line, D in by_line.items()
            }
            if name == F1:
                found[group]["differences of F1"] = {
                    f"{LENS} - {other}": difference(true, by_line[LENS], by_line[other]).values()
                    for other in lines.LINES[1:]
                }
            found[group][name]["mean"] = float(np.nanmean(true))
    return {"verdict": scores.verdict(found["rule"]), **found}


def scored(truth: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return what follows from the predictions and from the measured shares, see :func:`result`."""
    _, judged = halves()
    every = lens_or_image.training_conditions()
    with_votes, _ = of_votes()
    of = {"rule": judged, "votes": np.intersect1d(with_votes, judged)}
    of_tests = conditions.doses(tests())
    doses = {
        group: (conditions.doses([every[number] for number in numbers]), of_tests)
        for group, numbers in of.items()
        if f"{group}: {F1}" in truth
    }
    return result(LOCK.read(), truth, doses)


def opened() -> None:
    """Compare the predictions with the truth, and write the result."""
    LOCK.check()
    _, judged = halves()
    truth = {}
    home = {}
    for group, (arm, numbers) in groups(judged).items():
        made = fields.results(arm, KEPT, seen(), numbers)
        for name, each in scores.by_replica(made).items():
            share = SCORES[name].share(each)
            truth[f"{group}: {name}"] = as_stored(np.nan_to_num(share, nan=NONE))
        home[group] = float(instance_f1(made.home_particles.values).mean())
    found = scored(truth)
    LOCK.open(truth, found | {"F1 at home": home})
    print(found["verdict"])


COMMANDS: draws.Commands = {
    "learn": lambda _: learn(),
    "known": lambda part: see(halves()[0], part),
    "predict": lambda _: predict(),
    "judged": see_judged,
    "open": lambda _: opened(),
}

if __name__ == "__main__":
    draws.run("findings.second_lock.particles", COMMANDS, sys.argv[1:])
