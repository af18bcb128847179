"""Runs a study, and says how far it is."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from passband.config import load
from passband.door.opened import Opened, makes
from passband.errors import ArgumentError, PassbandError
from passband.outcomes import Progress
from passband.results import Results, changed, layout, locate

if TYPE_CHECKING:
    from passband.runs.ended import Made, Ran
    from passband.runs.status import Status


class Running(Opened):
    """The verbs that make a study's results with Snakemake.

    Each runs in the folder of the study's file, in processes of its own: signals, standard output
    and working directory of this process stay as they are.
    """

    @makes
    def changed(self, changes: Mapping[str, object] | Sequence[str], name: str = "") -> Self:
        """Return the study with other values of some keys, and without results.

        Args:
            changes: The new values by key, or words such as ``training.epochs=3``.
            name: The changed study's name, under which it can run: its file is written then.

        Raises:
            ConfigError: If a key or a value is wrong.
            PassbandError: If there is already a study of this name.

        Example:
            >>> longer = demo.changed({"training.epochs": 30}, name="longer")
            >>> longer.study.training.epochs
            30
        """
        self.refuse_published()
        return changed.change(self, changes, name)

    @makes
    def run(
        self,
        cores: int | str | None = None,
        *,
        profile: str | None = None,
        explorer: bool = True,
        dry_run: bool = False,
        why: bool = False,
        snakemake: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> "Ran":
        """Run the study to its end, or continue it: jobs that are done do not run again.

        After Ctrl-C, or if a notebook's kernel is interrupted, running jobs save their state and
        end, and KeyboardInterrupt is raised; the same call continues.

        Args:
            cores: Number of CPU cores; by default all.
            profile: A profile of Passband, such as ``"slurm"``, or the path of another.
            explorer: Whether to make the explorer too, which is made last.
            dry_run: Only list the jobs that would run.
            why: With `dry_run`, say also why each job would run.
            snakemake: Further words for Snakemake, such as ``["--keep-going"]``.
            progress: Is called now and then with the number of finished jobs, that of all jobs, and
                what runs. By default, what `passband run` shows is written to standard output and
                standard error.

        Raises:
            PassbandError: If an argument is wrong, a job failed, or the study cannot run here.
            KeyboardInterrupt: After Ctrl-C, as soon as all jobs have ended.

        Example:
            >>> print(demo.run(dry_run=True))  # doctest: +SKIP
        """
        from passband.runs import workflow
        from passband.runs.ended import Ran

        words = []
        if dry_run:
            words.append("--dry-run")
        if why:
            words.append("--logger-passband-why")
        if why and not dry_run:
            raise ArgumentError(
                "why: must be given together with dry_run, which runs no job", "why", "dry_run"
            )
        workflow.check_words(snakemake)
        words += snakemake
        # Told to stop earlier, too, Snakemake would make everything. No explorer is made then.
        stops = any(word.partition("=")[0] in ("--until", "-U") for word in words)
        if not explorer and not stops:
            words += ["--omit-from", "explorer"]
        self._check_runs()
        listed = self._start(cores, profile, words=words, progress=progress)
        self._forget()
        return Ran(self, listed if dry_run else None)

    @makes
    def gallery(
        self,
        cores: int | str | None = None,
        *,
        profile: str | None = None,
        progress: Progress | None = None,
    ) -> "Made":
        """Draw structures of each specimen with their atoms, waves and images.

        Args:
            cores, profile, progress: See :meth:`run`.

        Returns:
            `files`, the pictures, which a notebook shows.

        Raises:
            PassbandError: As :meth:`run`, or if the study's file asks for other exit waves or
                images than those of its results.
        """
        from passband.store import made

        self.refuse_mixed(made.WAVES, made.IMAGES)
        pictures = [
            layout.GALLERY.format(specimen=specimen, format=form)
            for specimen in self.study.specimens
            for form in self.study.figures.formats
        ]
        return self.make(pictures, cores, profile=profile, progress=progress, rule="gallery")

    @makes
    def make(
        self,
        files: Sequence[str],
        cores: int | str | None = None,
        *,
        profile: str | None = None,
        progress: Progress | None = None,
        rule: str = "",
    ) -> "Made":
        """Make files of the study with Snakemake.

        Args:
            files: Their paths in the folder of results.
            cores, profile, progress: See :meth:`run`.
            rule: A rule of the workflow that makes these files.
        """
        from passband.runs.ended import Made

        self.refuse_published()
        folder = locate.RESULTS / self.name  # as Snakemake names it
        targets = [rule] if rule else [f"{folder}/{file}" for file in files]
        self._start(cores, profile, targets=targets, progress=progress)
        self._forget()
        return Made(tuple(self.folder / file for file in files))

    @makes
    def status(self) -> "Status":
        """Return which jobs are done, run, have failed or wait.

        Example:
            >>> demo.status().complete
            True
        """
        from passband.runs.status import Status

        self.refuse_published()
        return Status.read(self)

    @makes
    def watch(self, seconds: float = 10.0) -> "Iterator[Status]":
        """Yield the status, again and again, until no job will run any more.

        Args:
            seconds: Time between two looks at the results [s].
        """
        from passband.runs.status import Status

        if not seconds > 0:
            raise ArgumentError(f"watch = {seconds:g}: must be above 0 s")
        self.refuse_published()
        status = Status(self)
        while True:
            status.look()
            yield status
            if status.over:
                return
            time.sleep(seconds)

    def _start(
        self,
        cores: int | str | None,
        profile: str | None,
        *,
        targets: Sequence[str] = (),
        words: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> str:
        """Run Snakemake, see :func:`passband.runs.starting.start`."""
        from passband.runs.starting import Machine, start

        machine = Machine(cores, profile)
        with tempfile.TemporaryDirectory() as folder:
            results: Results = self
            if "--dry-run" in words and not self.file.exists():  # whose file is then not kept
                file = Path(folder, self.name, layout.STUDY)
                results = Results(self.study, self.folder, file, self.noun)
            return start(results, machine, targets=targets, words=words, progress=progress)

    def _check_runs(self) -> None:
        """Raise PassbandError if the study cannot run."""
        self.refuse_published()
        changed.check_named(self)
        self.try_parts()
        if self.file.exists() and load(self.file) != self.study:
            raise PassbandError(
                f"{self.file}: has changed since the study was opened; open it again"
            )
