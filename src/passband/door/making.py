"""Makes a study to edit, and parts of it."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband import repository
from passband.config import load
from passband.door import study_like
from passband.door.experiment import Experiment
from passband.door.study_like import Asked
from passband.errors import ArgumentError, PassbandError
from passband.outcomes import Written
from passband.parts.examples import write_example
from passband.results.locate import CONFIG, RESULTS, is_here, network_path
from passband.results.published import shipped
from passband.runs.workflow import DEFAULT

if TYPE_CHECKING:
    from passband.learning.network_files import Network

#: A line by which editors find the configuration's schema.
_SCHEMA = "# yaml-language-server: $schema={}"

#: The file by which `snakemake` alone runs a new study in its folder. With `include:`, Snakemake
#: would make nothing unless a rule is named.
_SNAKEFILE = """\
# Passband's workflow with its default rule, for the study in config.yaml: snakemake --profile slurm
from passband import repository
workflow.include(f"{repository.folder()}/Snakefile", overwrite_default_target=True)
"""


def new(
    folder: str | Path,
    like: str | Path | None = None,
    *,
    energy_kev: float | None = None,
    material: str | None = None,
    like_image: str | Path | None = None,
    pixel_size_A: float | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> Experiment:
    """Make a folder with a study to edit, and open it.

    In the folder, ``snakemake --profile slurm`` runs the study on a cluster, as in a clone.

    Args:
        folder: The new folder, whose name is the study's.
        like: The study to begin with: a name in `studies/` of Passband's repository, or a file; by
            default ``"demo"``. Or a network: ``"general"``, a weights file or a published folder.
            The study then trains one network like it. The other arguments say how its microscope
            and its particles differ; with them, the default is ``"general"``.
        energy_kev: Beam energy [keV]; by default that of the image, if its file states it.
        material: A material of the package, or a crystal file.
        like_image: A file with an image of the microscope. Simulated images get its noise.
        pixel_size_A: For such a file that does not have it [Å].
        report: Receives lines about what was measured in the image, what was adapted to the energy
            or the material, and how long the study takes.

    Raises:
        PassbandError: If the folder or a study of this name exists, or if the name or an argument
            is wrong.

    Example:
        >>> mine = passband.new("mine", like="pilot")
        >>> mine.study.study.name
        'mine'
        >>> platinum = passband.new("platinum", like="general", energy_kev=200, material="Pt")
        >>> platinum.study.microscope.energy_kev, list(platinum.study.specimens)
        (200.0, ['Pt'])
    """
    folder = Path(folder)
    name = folder.absolute().name
    image = None if like_image is None else Path(like_image)
    asked = Asked(
        energy_kev=energy_kev, material=material, like_image=image, pixel_size_A=pixel_size_A
    )
    source = str(like or ("general" if asked.first else "demo"))
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,39}", name) is None:
        raise ArgumentError(
            f"folder = {str(folder)!r}: its name must have up to 40 letters, digits, points and "
            "hyphens, and begin with a letter or digit"
        )
    if folder.exists():
        raise PassbandError(f"{folder}: exists already; give another name")
    if is_here(name) or (RESULTS / name).exists():
        raise PassbandError(f"{name}: there is already a study of this name here")
    text, lines = _written(folder, source, asked)
    try:
        folder.mkdir(parents=True)
        (folder / CONFIG).write_text(text, encoding="utf-8")
        _write_workflow(folder)
    except OSError as error:
        raise PassbandError(f"{folder}: cannot be made: {error.strerror}") from None
    for line in lines:
        report(line)
    return Experiment.find(folder)


def _write_workflow(folder: Path) -> None:
    """Write what `snakemake` needs to run a study in its folder: a Snakefile and profiles.

    The profile of all runs stays where it is, since its paths begin there.
    """
    (folder / "Snakefile").write_text(_SNAKEFILE, encoding="utf-8")
    profiles = folder / DEFAULT.parent
    for profile in (repository.folder() / DEFAULT.parent).glob("*/config.yaml"):
        if profile.parent.name != DEFAULT.name:
            copy = profiles / profile.parent.name / profile.name
            copy.parent.mkdir(parents=True)
            copy.write_bytes(profile.read_bytes())
    (folder / "slurm").symlink_to(DEFAULT.with_name("slurm"))  # as in a clone


def new_part(kind: str, folder: str | Path = ".") -> Written:
    """Write an example of a part to edit, into the folder `parts` beside a study's file.

    Args:
        kind: What the part is, such as ``"metric"`` or ``"figure"``, see docs/add.md.
        folder: The folder with the study's file.

    Raises:
        PassbandError: If there is no such kind or folder, or if the file exists.

    Example:
        >>> study = passband.new("varied")
        >>> file = passband.new_part("noise", "varied").files[0]
    """
    file = write_example(kind, Path(folder))
    return Written(
        (file,), f"{file}: an example of a part ({kind}) to edit; `passband parts` lists it."
    )


def _written(folder: Path, like: str, asked: Asked) -> tuple[str, tuple[str, ...]]:
    """Return the text of a new study's file, and what is said about it."""
    name = folder.absolute().name
    path = network_path(like)
    if path is not None:
        made = study_like.make(_network(path, like), named=like, folder=folder, asked=asked)
        about = [
            "#",
            f"# It trains one network like {like}, whose values are in comments where others were",
            "# asked for. Keys that are not here have their defaults.",
        ]
        return _text(name, about, made.text), made.lines
    if asked.first:
        raise ArgumentError(
            f"{asked.first}: is for like = a network, such as 'general'; in a copy of a study, "
            "edit its file",
            asked.first,
            "like",
        )
    return _copied(name, _source(like)), ()


def _network(path: Path, like: str) -> "Network":
    """Return the first of the networks of a file or a folder, which are replicas."""
    found = Experiment.of_weights(path).open_networks()
    if len({network.id.cell for network in found}) > 1:
        raise ArgumentError(
            f"like = {like!r}: has networks of several training conditions; publish the one that "
            "you mean, and give its folder"
        )
    return found[0]


def _source(like: str) -> Path:
    """Return the file of the study to begin with, from its name in the repository or its path."""
    known = repository.studies()
    if like not in known and not Path(like).is_file():
        raise ArgumentError(
            f"like = {like!r}: must be a study's file, or one of {', '.join(known)}; or a network: "
            f"{', '.join(shipped())}, a weights file or a published folder"
        )
    return known.get(like, Path(like))


def _copied(name: str, source: Path) -> str:
    """Return the text of a study's file with another name, and with comments for its reader."""
    like = load(source).study.name
    lines = source.read_text(encoding="utf-8").splitlines()
    head = next(k for k, line in enumerate(lines) if line and not line.startswith("#"))
    body = "\n".join(lines[head:])
    found = re.search(rf"^  name: {re.escape(like)}\b *", body, re.M)
    if found is None:
        raise PassbandError(f"{source}: has no line `  name: {like}`; give another study")
    named = f"  name: {name}"
    rest = body[found.end() :]
    if rest.startswith("#"):  # a comment stays in its column
        named = named.ljust(len(found[0]) - 1) + " "
    body = body[: found.start()] + named + rest
    about = [line for line in lines[:head] if line and "$schema=" not in line]
    about = [] if like == "demo" else ["#", f"# About the study {like}:", *about]
    return _text(name, about, f"{body}\n")


def _text(name: str, about: Sequence[str], body: str) -> str:
    """Return the text of a study's file with comments for its reader."""
    schema = repository.folder() / "docs" / "config.schema.json"
    return "\n".join(
        [
            _SCHEMA.format(schema),
            f"# The study {name}. Results go to results/{name} in the folder in which it is run.",
            "# docs/configuration.md of Passband's repository explains every key.",
            *about,
            "",
            body,
        ]
    )
