"""Shows what a study has found."""

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from passband.config import SPLITS
from passband.door.argument_checks import check_file
from passband.door.opened import Opened, shows
from passband.errors import ArgumentError
from passband.outcomes import Outcome, Progress, Written, counted
from passband.results import layout, listing
from passband.version import __version__

if TYPE_CHECKING:
    from passband.reports.study_summary import Summary


@dataclass(frozen=True)
class Page(Outcome):
    """A page that was written.

    Attributes:
        file: The page, to open in a browser.
        missing: A sentence on each part of the study that it lacks.
    """

    file: Path
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.file}: {self.file.stat().st_size / 1e6:.1f} MB; open it in a browser"

    def _repr_html_(self) -> str:
        name = html.escape(str(self.file), quote=True)
        return f'<a href="{name}">{name}</a>'


class Showing(Opened):
    """The verbs that show what a study has found."""

    @shows
    def summary(self) -> "Summary":
        """Return means of the OOD metrics, and the scores of the predictions.

        Returns:
            Text, a table in a notebook, `rows()` as a data frame, and `write(file)`, which writes
            these to a CSV or Parquet file.

        Raises:
            PassbandError: If the study has no results.

        Example:
            >>> rows = demo.summary().rows(cells=True)
        """
        from passband.reports.study_summary import Summary

        return Summary(self.existing())

    @shows
    def report(self, output: str | Path | None = None) -> Page:
        """Make the page that presents the study, finished or not. docs/report.md describes it.

        Args:
            output: The page's file; by default `report.html` in the folder of results.

        Raises:
            PassbandError: If the study has no results.

        Example:
            >>> page = demo.report("demo.html").file
        """
        from passband.runs import report_page

        self.existing()
        listing.check(self.folder)
        target = self.path(layout.REPORT) if output is None else Path(output)
        if output is not None:
            check_file("output", target)
        return Page(target, tuple(report_page.write(self, target)))

    @shows
    def explore(self, *, images: bool = True, progress: Progress | None = None) -> Page:
        """Write the page that shows every cell of the matrices. docs/explore.md describes it.

        Args:
            images: Whether it has example images, which take a while.
            progress: Is called with the number of test conditions whose images are made, and of
                all.

        Raises:
            PassbandError: If the study is not finished.
        """
        from passband.answers import explorer_page

        self.refuse_published()
        self.check_names()
        for needed in (layout.OOD, layout.TABLE):
            self.check_has(needed)
        explorer_page.write(self, images, counted(progress, "example images"))
        return Page(self.path(layout.EXPLORER))

    def export(self, specimen: str, split: str, index: int, file: str | Path) -> Written:
        """Write the atoms of a structure to a file.

        Args:
            specimen: The specimen's name.
            split: ``train``, ``val`` or ``test``.
            index: The structure's index in the split, from 0.
            file: The file, such as `gold.extxyz`.

        Raises:
            PassbandError: If there is no such structure, or if the file cannot be written.

        Example:
            >>> written = demo.export("gold", "test", 0, "gold.extxyz")
        """
        study = self.study
        file = Path(file)
        if specimen not in study.specimens:
            known = ", ".join(study.specimens)
            raise ArgumentError(f"specimen = {specimen!r}: must be one of {known}")
        if split not in SPLITS:
            raise ArgumentError(f"split = {split!r}: must be one of {', '.join(SPLITS)}")
        number = getattr(study.study.structures, split)
        if not 0 <= index < number:
            raise ArgumentError(f"index = {index}: must be between 0 and {number - 1} in {split}")
        check_file("file", file, ".extxyz")

        from passband.specimens import exit_waves as simulate  # ase takes a second to import
        from passband.storage import atomic

        seed = study.study.seed
        sampling = study.microscope.sampling
        found = simulate.structure(
            specimen, study.specimens[specimen], sampling, seed=seed, split=split, index=index
        )
        atoms = found.atoms
        atoms.info = {
            "study": study.study.name,
            "seed": seed,
            "specimen": specimen,
            "split": split,
            "structure": index,
            "passband": __version__,
        }
        with atomic.replacing(file) as beside:
            atoms.write(beside, format="extxyz")
        about = f"{len(atoms):,} atoms of {atoms.get_chemical_formula()} in {file}"
        return Written((file,), about)
