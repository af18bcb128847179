"""The training conditions that teach most, as text."""

import numpy as np

from passband.axes import AXES
from passband.prediction.sequential_design import Next
from passband.reports.recommendation_text import columns


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
