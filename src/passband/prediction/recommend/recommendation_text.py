"""Recommendations, their checks, and the training conditions that teach most, as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from passband.analysis.bootstrap import Estimate
from passband.axes import AXES, BEHIND_COUNTS
from passband.prediction.gaussian_process import COVERAGE
from passband.words import listed, number_of

if TYPE_CHECKING:
    from passband.prediction.recommend.network_ranking import Recommendation
    from passband.prediction.recommend.recommendation_scores import Losses, RecommendationCheck
    from passband.prediction.recommend.sequential_design import Next

#: Number of networks that are printed by default.
TOP = 10
#: Text in place of a value that does not exist.
_NONE = "–"


def recommendation(found: "Recommendation") -> str:
    """Return the ranked networks, where the asked condition lies, and what to train next.

    If no network is ranked, the remark is alone.
    """
    return "\n\n".join(_paragraphs(found) if found.networks else [found.remark])


def _paragraphs(found: "Recommendation") -> Iterator[str]:
    ranged = bool(found.asked.ranged)
    axes = found.asked.axes
    top = TOP if found.top is None else found.top
    yield f"{found.specimen} at {found.asked.words}, with the networks of the study {found.study}"
    if found.outside:
        lines = [
            "outside this study: expected Dice is extrapolated, and less certain than inside",
            *(f"  {excess.words}" for excess in found.outside),
            *(f"  {line}" for line in beyond_doses(found)),
        ]
        yield "\n".join(lines)
    else:
        yield "inside this study: within the range of its test conditions on every axis"
    head = ["", "expected Dice", *["worst in the range"] * ranged, "how", "network"]
    rows = [
        [
            f"{rank}",
            network.dice.words,
            *([network.worst.words] if ranged else []),
            network.how,
            str(network.id),
        ]
        for rank, network in enumerate(found.networks[:top], 1)
    ]
    yield columns([head, *rows])
    notes = [f"Ranked by {found.ranked_by}."]
    if (more := len(found.networks) - top) > 0:
        notes.append(f"{more} more networks: --top {len(found.networks)} prints all.")
    if found.outside:
        notes.append(
            "In parentheses: the model's interval. Far outside the study, the interval and the "
            "expected Dice can be wrong."
        )
    else:
        notes.append(
            f"In parentheses: the interval that contains the measured Dice in "
            f"{COVERAGE:.0%} of cases."
        )
    if ranged:
        worst = found.networks[0].worst_condition
        notes.append(
            f"Expected Dice is the mean over the range. The first network is worst at "
            f"{axes.parse(worst).words}."
        )
    if unseen := _unseen(found):
        notes.append(f"Expected Dice does not depend on {listed(unseen)}.")
    yield "\n".join([*notes, found.remark] if found.remark else notes)
    lines = [f"nearest tested condition: {axes.parse(found.nearest).words}"]
    if following := found.train_next:
        lines.append(
            f"train next: {following.id.specimen}, {following.id.architecture}, "
            f"{axes.parse(following.id.condition).words}; "
            f"expected Dice {following.dice.words}, "
            f"expected gain in Dice {following.gain:.3f}"
        )
    yield "\n".join(lines)


def _unseen(found: "Recommendation") -> list[str]:
    """Return the labels of the study's and the asked axes that a model of Dice does not see."""
    if found.ranked_by.startswith("measured"):
        return []
    asked = found.asked.low
    given = asked.axes.own.keys() | asked.axes.ranged | dict(asked.further).keys()
    return [AXES[name].label for name in BEHIND_COUNTS if name in given]


def beyond_doses(found: "Recommendation") -> list[str]:
    """Return what is said about Dice beyond the tested doses, a line for each end."""
    dose = AXES["dose_e_per_A2"]
    lines = []
    if found.as_at_dose is not None:
        highest = dose.words(f"{found.as_at_dose:,.10g}")
        lines.append(f"expected Dice is as at {highest}, the highest tested dose")
    if found.below_dose is not None:
        lowest = dose.words(f"{found.below_dose:,.10g}")
        lines.append(
            f"below {lowest}, the lowest tested dose, expected Dice is at most that at "
            f"{lowest}, and intervals reach further down"
        )
    return lines


def columns(rows: list[list[str]]) -> str:
    """Return rows of text in aligned columns, without spaces at the ends of lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def check(found: "RecommendationCheck") -> str:
    """Return what recommendations are worth, for people; the verdict comes first."""
    lost = (
        f"recommended networks lose {_value(found.every.recommended)} of Dice against "
        f"the best, the nearest in parameters by range {_value(found.every.nearest)}"
    )
    if new := found.new:
        lost += (
            f"; without the networks that were trained there, {_value(new.recommended)} and "
            f"{_value(new.nearest)}"
        )
    true = (
        f"{COVERAGE:.0%} intervals contain {_value(found.coverage, '.1%')} of the measured "
        f"Dice of all networks, and {_value(found.every.coverage, '.1%')} of that of "
        "recommended ones"
    )
    conditions = number_of(len(found.conditions), "test condition")
    said = (
        f"study {found.study}, {found.specimen}: each of {conditions} was left out in turn, and "
        f"{number_of(found.networks, 'network')} ranked for it from the others"
    )
    rows = [_losses("all networks", found.every)]
    if found.new is not None:
        rows.append(_losses("all but those trained there", found.new))
    head = ["chosen from", "recommended loses", "nearest", "tested there", "nearest − recommended"]
    return "\n\n".join([f"{lost}\n{true}", said, columns([head, *rows]), "\n".join(_notes(found))])


def _losses(chosen_from: str, losses: "Losses") -> list[str]:
    every = losses.recommended, losses.nearest, losses.tested, losses.difference
    return [chosen_from, *map(_estimate, every)]


def _notes(found: "RecommendationCheck") -> Iterator[str]:
    if found.new is not None:
        of = f"{found.trained_there} of {len(found.conditions)}"
        yield (
            f"Networks were trained under {of} conditions. A microscope between the study's "
            "conditions is further from a network than with them, and nearer than without."
        )
    if found.structures > 1:
        yield (
            "One half of the test structures chooses networks, and the other half judges them, "
            "both ways. The best on the half that judges is partly the luckiest: “tested there” is "
            "chosen by a test under the left-out condition itself."
        )
    else:
        yield "The only test structure chooses networks and judges them, so losses are too small."
    if found.refitted:
        yield "The model's parameters were found without the left-out condition."
    else:
        yield (
            "The model's parameters are those found with all conditions, since to find them each "
            "time would take long; its expected Dice does not know the left-out results."
        )
    if found.outside:
        outside = number_of(found.outside, "condition")
        yield f"{outside} outside the range of the others: Dice is extrapolated there."
    if found.skipped:
        skipped = number_of(len(found.skipped), "condition")
        yield f"{skipped} not judged, since nothing is recommended for so low a dose."
    yield f"In parentheses: {found.confidence:.0%} bootstrap intervals over the conditions."
    if found.remark:
        yield found.remark


def _value(estimate: Estimate, form: str = "z.3f") -> str:
    return format(estimate.value, form) if estimate else _NONE


def _estimate(estimate: Estimate) -> str:
    if not estimate:
        return _NONE
    return f"{estimate.value:z.3f} ({estimate.low:z.3f} to {estimate.high:z.3f})"


def next_conditions(found: "Next") -> str:
    """Return the chosen conditions and the expected errors, for people."""
    use = "under the test conditions of the study"
    if found.asked is not None:
        use = f"in the range {found.asked.words}"
    yet = f"{found.trained} training conditions have networks, {found.candidates} are candidates"
    lines = [f"{found.specimen}, study {found.study}, {use}: {yet}", ""]
    rows = [
        [f"{number}", *(f"{x:.12g}" for x in condition.values().values()), f"{error:.3f}"]
        for number, (condition, error) in enumerate(
            zip(found.conditions, found.errors[1:], strict=True), 1
        )
    ]
    if rows:
        axes = [AXES[name] for name in found.conditions[0].axes.names]
        head = ["", *(f"{axis.label} [{axis.unit}]" for axis in axes), "error afterwards"]
        lines += [columns([head, *rows]), ""]
    lines.append(
        f"expected error of the candidates' Dice (root mean square): {found.errors[0]:.3f}"
    )
    if rows:
        lines[-1] += f" now, {found.errors[-1]:.3f} after these"
    if np.isfinite(found.checked):
        lines.append(
            f"cross-validation over the trained conditions: {found.checked:.3f}, each from 80% or "
            "less of the others"
        )
    return "\n".join(lines)
