"""Recommendations, their checks, and the training conditions that teach most, as text."""

from collections.abc import Iterator

import numpy as np

from passband.analysis.bootstrap import NOTHING, Estimate
from passband.axes import AXES
from passband.prediction.recommend.choice_scores import (
    CONFIDENCE,
    GOOD,
    NEAREST,
    ORACLE,
    OURS,
    Check,
    Scores,
)
from passband.prediction.recommend.network_ranking import COVERAGE, Recommendation
from passband.prediction.recommend.sequential_design import Next
from passband.reports.markdown import NONE, number, table

#: Number of networks that are printed by default.
TOP = 10
_FIRST = " (the first replica of each training condition, from the table of results)"


def recommendation(found: Recommendation, study: str, top: int = TOP, remark: str = "") -> str:
    """Return the ranked networks, where the asked condition lies, and what to train next.

    Args:
        top: Number of networks in the text.
        remark: A sentence on networks that did not learn, or "". It is alone if no network is
            ranked.
    """
    return "\n\n".join(_parts(found, study, top, remark) if found.networks else [remark])


def _parts(found: Recommendation, study: str, top: int, remark: str) -> Iterator[str]:
    ranged, axes = bool(found.asked.ranged), found.asked.axes
    yield f"{found.specimen} at {found.asked.words}, with the networks of the study {study}"
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
            network.id,
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
            f"In parentheses: the interval that contains the measured Dice in {COVERAGE:.0%} of "
            "cases."
        )
    if ranged:
        worst = found.networks[0].worst_condition
        notes.append(
            "Expected Dice is the mean over the range. The first network is worst at "
            f"{axes.parse(worst).words}."
        )
    yield "\n".join([*notes, remark] if remark else notes)
    lines = [f"nearest tested condition: {axes.parse(found.nearest).words}"]
    if following := found.train_next:
        lines.append(
            f"train next: {following.specimen}, {following.architecture}, "
            f"{axes.parse(following.condition).words}; "
            f"expected Dice {following.dice.words}, expected gain in Dice {following.gain:.3f}"
        )
    yield "\n".join(lines)


def beyond_doses(found: Recommendation) -> list[str]:
    """Return what is said about Dice beyond the tested doses, a line for each end."""
    dose = AXES["dose_e_per_A2"]
    lines = []
    if found.as_at_dose is not None:
        highest = dose.words(f"{found.as_at_dose:,.10g}")
        lines.append(f"expected Dice is as at {highest}, the highest tested dose")
    if found.below_dose is not None:
        lowest = dose.words(f"{found.below_dose:,.10g}")
        lines.append(
            f"below {lowest}, the lowest tested dose, expected Dice is at most that at {lowest}, "
            "and intervals reach further down"
        )
    return lines


def columns(rows: list[list[str]]) -> str:
    """Return rows of text in aligned columns, without spaces at the ends of lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def check(found: Check) -> str:
    """Return the scores of recommended networks and of simpler rules, as Markdown."""
    inside, outside = found.inside, found.outside
    which = _FIRST if found.first_replicas else ""
    parts = [
        f"{inside.number} microscopes inside the ranges of the study, {outside.number} outside, "
        f"{found.networks} networks{which}, seed {found.seed}. Networks are chosen by their Dice "
        "on one half of the test structures and judged on the other half, both ways. Microscopes "
        "with less than half of the lowest tested dose are left out, since nothing is recommended "
        "for them.",
        _rules(inside),
        _intervals(inside, outside),
        f"Numbers in parentheses are {CONFIDENCE:.0%} bootstrap intervals over microscopes. "
        f"“{ORACLE}” chooses by the Dice of all networks under the microscope itself.",
    ]
    return "\n\n".join(parts)


def _rules(scores: Scores) -> str:
    head = ["network chosen by", "Dice", "recommended minus this", f"within {GOOD:g} of {ORACLE}"]
    rows = [
        [
            name,
            _estimate(rule.dice),
            _estimate(rule.behind, "z.4f") if name != OURS else NONE,
            f"{rule.good:.1%}",
        ]
        for name, rule in scores.rules.items()
    ]
    return table(head, rows)


def _intervals(inside: Scores, outside: Scores) -> str:
    of_both = [
        {
            f"coverage of {COVERAGE:.0%} intervals, all networks": _estimate(s.coverage, ".1%"),
            "coverage, recommended networks": _estimate(s.coverage_recommended, ".1%"),
            "mean half-width of the intervals": number(s.half_width),
            "error of expected Dice (root mean square)": number(s.error),
            "expected − true Dice, recommended network": number(s.optimism),
            "Dice of the recommended network, on the other half": _estimate(
                s.rules[OURS].dice if s.rules else NOTHING
            ),
            f"recommended minus {NEAREST}": _estimate(
                s.rules[NEAREST].behind if s.rules else NOTHING, "z.4f"
            ),
        }
        for s in (inside, outside)
    ]
    return table(["", "inside", "outside"], [[n, *(of[n] for of in of_both)] for n in of_both[0]])


def _estimate(estimate: Estimate, form: str = "z.3f") -> str:
    if not estimate:
        return NONE
    value, low, high = (format(x, form) for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def next_conditions(found: Next) -> str:
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
