"""What the parts of studies/twelve-thousand.yaml took, for their page."""

from pathlib import Path

import pandas as pd
from twelve_parts import STAGES

from passband.config import Study
from passband.reports import markdown
from passband.runs.counts import count

#: The goal for all parts together, on 2 quiet cores [h].
GOAL_H = 3.0
#: A part ran on quiet cores if its processes had this share of the processor time of the cores.
QUIET = 0.9


def costs(parts: pd.DataFrame, folder: Path, whole: Study) -> dict[str, str]:
    """Return what all parts took, as the content of places in the page's text.

    Args:
        parts: The table of what each part took.
    """
    columns = [*(f"{stage}_cpu_s" for stage in STAGES), "snakemake_cpu_s"]
    of_part = parts[columns].sum(axis=1)
    total, wall = of_part.sum(), parts.wall_s.sum()
    lines = [
        [name, f"{parts[column].sum() / 3600:.2f}", f"{parts[column].sum() / total:.1%}"]
        for name, column in zip([*STAGES, "Snakemake itself"], columns, strict=True)
    ]
    lines.append(["together", f"{total / 3600:.2f}", "100%"])
    packed = sorted((folder / "parts").glob("*.zarr.zip"))
    sizes = [path.stat().st_size / 1e6 for path in packed]
    return {
        "costs": markdown.table(["", "processor time [h]", "share"], lines),
        "wall": f"{wall / 3600:.2f}",
        "against_goal": _against_goal(parts, of_part),
        "parts": f"{len(parts)}",
        "longest": f"{parts.wall_s.max() / 60:.0f}",
        "runs": f"{parts.runs.sum():.0f}",
        "cores": ", ".join(map(str, sorted(set(parts.cores)))),
        "commits": ", ".join(dict.fromkeys(f"`{commit}`" for commit in parts.commit)),
        "per_network": f"{parts.train_cpu_s.sum() / parts.networks.sum():.2f}",
        "memory": f"{parts.peak_memory_MB.max() / 1000:.1f}",
        "files": f"{parts.files.sum():,}",
        "files_of_one": f"{sum(count(whole).files.values()):,}",
        "bytes": f"{parts.MB.sum():,.0f}",
        "packed_number": f"{len(packed)}",
        "packed": f"{sum(sizes):.1f}",
        "packed_largest": f"{max(sizes):.2f}",
    }


def _against_goal(parts: pd.DataFrame, of_part: pd.Series) -> str:
    """Return sentences about the time of the parts and the goal.

    `of_part` has the processor time of each part [s].
    """
    shares = of_part / (parts.wall_s * parts.cores)
    quiet = shares >= QUIET
    sentences = [f"The goal was {GOAL_H:g} h on quiet cores."]
    if quiet.any():
        minutes = parts.wall_s[quiet].mean() / 60
        hours = minutes * len(parts) / 60
        sentences.append(
            f"In {quiet.sum()} of {len(parts)} parts, Passband's processes had at least "
            f"{QUIET:.0%} of the processor time of the cores, and {shares[quiet].mean():.0%} on "
            f"average: the cores were quiet. These parts took {minutes:.1f} min on average, and "
            f"{len(parts)} times this is **{hours:.2f} h**, which is {hours / GOAL_H:.2f} times "
            "the goal."
        )
    if not quiet.all():
        sentences.append(
            f"In {(~quiet).sum()} of {len(parts)} parts, they had less than {QUIET:.0%}, and "
            f"{shares[~quiet].mean():.0%} on average, since other processes ran on the same cores. "
            f"Such a part took {parts.wall_s[~quiet].mean() / 60:.0f} min."
        )
    computed = (of_part / parts.cores).sum() / 3600
    sentences.append(
        f"The processor time of all parts, divided by the number of cores, is {computed:.2f} h."
    )
    return " ".join(sentences)
