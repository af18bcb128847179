"""Many files: each is predicted or fails alone, in one process or in several."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from passband import pools
from passband.console import escaped
from passband.errors import PassbandError
from passband.micrographs.images import readers, suffixes
from passband.micrographs.images.readers import Micrograph
from passband.micrographs.images.segmentation import Segmentation
from passband.micrographs.predictions import Prediction, Predictor
from passband.micrographs.summary import Frame
from passband.parts import Parts


@dataclass(frozen=True)
class Task:
    """One file of a run.

    Attributes:
        name: The beginning of the names of its output files.
        predictor: What predicts it; or why it cannot be predicted, in one line.
    """

    path: Path
    name: str
    predictor: Predictor | str

    @property
    def has_truth(self) -> bool:
        """Whether its masks are compared with their ground truth."""
        return isinstance(self.predictor, Predictor) and self.predictor.masks is not None

    def segment(self, micrograph: Micrograph | None = None) -> list[Segmentation]:
        """Return the segmentation of each image, and write nothing.

        Args:
            micrograph: The images, if they are not those of the file.
        """
        if isinstance(self.predictor, str):
            raise PassbandError(self.predictor)
        if micrograph is None:
            micrograph = readers.read(self.path, self.predictor.pixel_size_A)
        return self.predictor.segment(micrograph)

    def share(self, jobs: int) -> None:
        """Leave this process its share of the processor's cores, if so many processes use them."""
        if isinstance(self.predictor, Predictor):
            for network in self.predictor.networks:
                network.share(jobs)

    def outcome(self, progress: Callable[[Iterable], Iterable] = iter) -> Prediction | str:
        """Return the results, or the line that says why the file failed."""
        if isinstance(self.predictor, str):
            return self.predictor
        try:
            return self.predictor.predict(self.path, self.name, progress)
        except Exception as error:  # the other files are still segmented
            return failure(self.path, error)

    def frames(self, outcome: Prediction | str) -> tuple[Frame, ...]:
        """Return the images of the file, or what stands for a file that failed."""
        if isinstance(outcome, Prediction):
            return outcome.frames
        networks = () if isinstance(self.predictor, str) else self.predictor.ids
        return (Frame(file=self.path.name, networks=networks, error=outcome),)


def failure(path: Path, error: Exception) -> str:
    """Return in one line why a file failed."""
    if isinstance(error, PassbandError | OSError):
        return str(error)
    if isinstance(error, MemoryError):
        return escaped(f"{path}: does not fit into memory")
    return escaped(f"{path}: {type(error).__name__}: {' '.join(str(error).split())}")


def outcomes(
    tasks: Sequence[Task], jobs: int = 1, progress: Callable[[Iterable], Iterable] = iter
) -> Iterator[Prediction | str]:
    """Yield the outcome of each task, in their order; see :meth:`Task.outcome`.

    Args:
        jobs: Number of processes.
        progress: Wraps the tiles of an image, if there is one process.
    """
    if min(jobs, len(tasks)) < 2:
        yield from (task.outcome(progress) for task in tasks)
        return
    done = 0
    while done < len(tasks):
        try:
            for outcome in _in_processes(tasks[done:], jobs):
                yield outcome
                done += 1
        except BrokenProcessPool:
            # A process has ended, such as for lack of memory. The first file without an outcome may
            # be the reason: it has a process and all memory for itself.
            try:
                (outcome,) = _in_processes(tasks[done : done + 1], 1)
            except BrokenProcessPool:
                outcome = f"{tasks[done].path}: its process has ended, perhaps for lack of memory"
            yield outcome
            done += 1


def _in_processes(tasks: Sequence[Task], jobs: int) -> Iterator[Prediction | str]:
    jobs = min(jobs, len(tasks))
    given = tasks, jobs, suffixes.used()
    return pools.results(_outcome, range(len(tasks)), jobs, prepare=_begin, given=given)


_tasks: Sequence[Task] = ()


def _begin(tasks: Sequence[Task], jobs: int, parts: Parts) -> None:
    """Prepare a process."""
    global _tasks
    _tasks = tasks
    suffixes.use(parts)
    for task in tasks:
        task.share(jobs)


def _outcome(place: int) -> Prediction | str:
    return _tasks[place].outcome()
