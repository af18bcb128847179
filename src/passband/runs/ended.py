"""What a run has made."""

import base64
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from passband.outcomes import Outcome
from passband.results import Results, layout
from passband.runs.job_states import Run


class Ran(Outcome):
    """A study after a run.

    Args:
        results: The study.
        listed: What a dry run has listed; None after a run.
    """

    def __init__(self, results: Results, listed: str | None = None):
        self.results = results
        self.listed = listed

    @cached_property
    def complete(self) -> bool:
        """Whether all that the study needs is done."""
        return self.listed is None and Run(self.results).read().complete

    @property
    def pages(self) -> list[Path]:
        """The report and the explorer, if they exist."""
        templates = (layout.REPORT, layout.EXPLORER)
        return [self.results.path(each) for each in templates if self.results.has(each)]

    def __str__(self) -> str:
        if self.listed is not None:
            return self.listed.rstrip("\n")
        if not self.complete:
            return f"The study is not complete; see: passband status {self.results.noun}"
        from passband.reports.study_summary import Summary

        lines = [
            Summary(self.results).ood,
            "",
            f"Open {self.results.path(layout.REPORT)} in a browser.",
        ]
        if self.results.has(layout.EXPLORER):
            explorer = self.results.path(layout.EXPLORER)
            lines.append(f"A page for each cell of the matrix is {explorer}.")
        return "\n".join(lines)

    def values(self) -> dict[str, Any]:
        """Return what :meth:`to_json` writes, by name."""
        return {
            "study": self.results.study.study.name,
            "results": str(self.results),
            "complete": self.complete,
            "pages": self.pages,
            "listed": None if self.listed is None else self.listed.splitlines(),
        }


@dataclass(frozen=True)
class Made(Outcome):
    """Files that were made, and are shown in a notebook if they are pictures."""

    files: tuple[Path, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.files))

    def _repr_html_(self) -> str:
        pictures = [file for file in self.files if file.suffix == ".png"]
        if not pictures:
            return super()._repr_html_()
        shown = []
        for file in pictures:
            data = base64.b64encode(file.read_bytes()).decode()
            name = html.escape(str(file), quote=True)
            shown.append(f'<img alt="{name}" title="{name}" src="data:image/png;base64,{data}">')
        return "\n".join(shown)
