"""Collects what the page of a study shows, and writes the page.

The workflow's rule `report` and the command ``passband report`` use this module. The page of an
incomplete study says what is missing, and shows the rest.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from passband import repository
from passband.errors import PassbandError
from passband.results import Results, layout, network_batches
from passband.version import __version__

if TYPE_CHECKING:
    import numpy as np

    from passband.reports.page.page import Content, Example
    from passband.runs.job_states import Run

#: The largest size of a figure [bytes]: no browser could open a page with a larger one.
_MOST_BYTES = 100_000_000
#: Number of failed jobs that the page shows, and of lines of their logs.
MOST_FAILURES, MOST_LINES = 10, 8
#: Number of example structures of each specimen, and of all specimens.
EXAMPLES, MOST_EXAMPLES = 4, 8
#: Largest side of the picture of an example structure [pixels].
EXAMPLE_PX = 256


def write(results: Results, target: Path) -> list[str]:
    """Write the page of a study, whole or not at all; return a sentence on each missing part."""
    from passband.reports.page import page
    from passband.storage import atomic

    content = collect(results)
    if target.absolute().parent == results.folder.absolute():
        content = replace(content, explorer=layout.EXPLORER)
    html = page.render(content)
    try:
        with atomic.replacing(target) as beside:
            beside.write_text(html, encoding="utf-8")
    except OSError as error:
        raise PassbandError(
            f"{target}: cannot be written: {error.strerror}; write the page to another folder: "
            f"passband report {results.study.study.name} --output FILE.html"
        ) from error
    return list(content.missing)


def collect(results: Results) -> "Content":
    """Return what the page of a study shows. Parts that are missing are left out."""
    from passband.reports.collected import Collected
    from passband.reports.page import job_files, page
    from passband.reports.page.numbers import Numbers
    from passband.reports.page.numbers import numbers as numbers_of
    from passband.runs.job_states import Run
    from passband.runs.run_files import tail

    study = results.study
    run = Run(results).read()
    confidence = study.evaluation.confidence if study.evaluation.bootstrap else None
    numbers = Numbers()
    figures = _figures(results)
    with Collected.so_far(results) as found:
        stores = [found.metrics, found.information, found.prediction]
        if found.source.images is not None:
            numbers = numbers_of(found.source.matrices, confidence)
        unlearned = found.unlearned
        predicted = found.predicted
    attrs = next((store.attrs for store in stores if store is not None), {})
    lacking = list(found.damaged)
    if "parts" not in attrs:  # which 0.3 merged; its jobs ran in the folders of pieces
        lacking = [*_missing(run), *lacking]
    cells = network_batches.cells_of(study)
    return page.Content(
        study=study,
        made=_date(attrs.get("created")),
        revision=attrs.get("git_revision", "").replace("unknown", ""),
        results=str(results),
        numbers=numbers,
        # Those of the store: the table may be newer, and is closed now.
        matrices=[] if found.metrics is None else found.source.of_metrics,
        unlearned=unlearned,
        information=found.information,
        prediction=predicted,
        figures=figures,
        parts=study.known_parts.of("figure"),
        expected=study.drawn,
        histories=job_files.histories((c.id, results.history(c.batch)) for c in cells),
        costs=job_files.costs(results.path(layout.BENCHMARKS)),
        failures=[
            page.Failure(job.stage, job.log, tuple(tail(job.log).splitlines()[-MOST_LINES:]))
            for job in run.failures[:MOST_FAILURES]
        ],
        failed=len(run.failed),
        missing=lacking,
        examples=list(_examples(results)),
        citation=_citation(),
    )


def _missing(run: "Run") -> Iterator[str]:
    """Yield words about each stage whose jobs are not all done."""
    if run.complete:  # also if exit waves were deleted that nothing needs any more
        return
    done = {"train": "trained", "evaluate": "tested"}
    for stage, jobs in run.stages.items():
        needed = [job for job in jobs if job.needed]
        left = [job for job in needed if job.state != "done"]
        if not left or stage == "report":
            continue
        if stage in done:
            number, total = run.networks(stage)
            yield f"{number:,} of {total:,} networks are {done[stage]}"
        elif len(needed) == 1:
            yield f"the job {stage} is not done"
        else:
            yield f"{len(left):,} of {len(needed):,} {stage} jobs are not done"


def _figures(results: Results) -> dict[str, dict[str, bytes]]:
    """Return the files of all figures that exist and are not too large, by name and format."""
    found: dict[str, dict[str, bytes]] = {}
    for name in results.study.known_parts.of("figure"):
        for form in ("png", "svg"):
            with suppress(OSError):
                path = results.path(layout.FIGURE, figure=name, format=form)
                if path.stat().st_size <= _MOST_BYTES:
                    found.setdefault(name, {})[form] = path.read_bytes()
    return found


def _repository(name: str) -> Path | None:
    """Return a file or folder of Passband's repository, or None."""
    with suppress(PassbandError):
        path = repository.folder() / name
        return path if path.exists() else None
    return None


def _citation() -> list[str]:
    """Return the references in CITATION.cff as sentences, or a sentence about Passband."""
    import yaml

    ours = f"The Passband developers. Passband, version {__version__}."
    path = _repository("CITATION.cff")
    if path is None:
        return [ours]
    cited = yaml.safe_load(path.read_text(encoding="utf-8"))
    references = [f"The Passband developers. {cited['title']}. Version {__version__}."]
    for entry in cited.get("references", ()):
        names = ", ".join(map(_name, entry["authors"]))
        where = ", ".join(i["value"] for i in entry.get("identifiers", ()))
        references.append(f"{names} ({entry['year']}). {entry['title']}. {where}.")
    return references


def _name(author: Mapping[str, str]) -> str:
    """Return the name of a person, or of a group, from CITATION.cff."""
    parts = (author.get(key) for key in ("given-names", "family-names", "name"))
    return " ".join(part for part in parts if part)


def _date(created: str | None) -> str:
    """Return a day in words, from an ISO 8601 time or from the clock."""
    with suppress(ValueError, TypeError):
        day = datetime.fromisoformat(created)
        return f"{day.day} {day:%B %Y}"
    return time.strftime("%-d %B %Y")


def _examples(results: Results) -> "Iterator[Example]":
    """Yield the first test structures of each specimen, as far as their exit waves exist."""
    import numpy as np

    from passband.reports.page.page import Example
    from passband.storage import StoreError, datasets

    study = results.study
    tested = "" if "" in study.tested_waves else study.tested_waves[0]
    each = max(1, min(EXAMPLES, MOST_EXAMPLES // len(study.specimens)))
    for specimen in list(study.specimens)[:MOST_EXAMPLES]:
        path = results.waves(specimen, "test", [tested])[0]
        try:
            waves = datasets.read(path, datasets.WAVES, ["spectrum", "mask"])
        except StoreError:
            continue
        for index in range(min(each, waves.sizes["structure"])):
            mask = waves.mask.values[index] > 0
            wave = _sampled(waves.spectrum.values[index, 0], min(len(mask), EXAMPLE_PX))
            place = np.arange(len(wave)) * len(mask) // len(wave)
            yield Example(specimen, np.angle(wave / wave.mean()), mask[np.ix_(place, place)])


def _sampled(spectrum: "np.ndarray", px: int) -> "np.ndarray":
    """Return the wave of a centred, cropped spectrum on px² pixels, as far as these show it."""
    import numpy as np

    half = min(len(spectrum) // 2, (px - 1) // 2)
    middle, centre = len(spectrum) // 2, px // 2
    padded = np.zeros((px, px), np.complex64)
    padded[centre - half : centre + half + 1, centre - half : centre + half + 1] = spectrum[
        middle - half : middle + half + 1, middle - half : middle + half + 1
    ]
    return np.fft.ifft2(np.fft.ifftshift(padded))
