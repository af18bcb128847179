"""Why jobs would run again, word for word, after edits of a finished study."""

import re

import pytest
from runs import SILVER, reasons
from workplace import Workplace

from passband import STAGES
from passband.config import load
from passband.results import Results
from passband.runs.job_states import Run

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

#: What follows for the jobs at the end, if the table or the OOD metrics change.
REPORT = ["report: 1 job: figures are made again"]
OF_TABLE = [
    "ood: 1 job: the table is made again",
    "figures: 4 jobs: OOD metrics are made again",
    *REPORT,
]
MORE = "dose_e_per_A2 of training conditions = [200, 1000] → [200, 500, 1000]"
SPACINGS = "[2.358475849639621, 2.0425, 1.4442656005735233]"
OF_RECORDS = ["aggregate: 1 job: records are made again", *OF_TABLE]


def after(place: Workplace, **changes: dict) -> list[str]:
    """Return the reasons after a change of the study."""
    return reasons(place, study=place.study(**changes))


def test_nothing_is_explained_if_there_is_nothing_to_do(finished):
    assert after(finished) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"training": {"epochs": 3}},
            [
                "train: 4 jobs: training.epochs = 2 → 3",
                "evaluate: 4 jobs: networks are made again",
                *OF_RECORDS,
            ],
        ),
        (
            {"study": {"replicas": 3}},
            [
                "train: 4 jobs: never made",
                "evaluate: 4 jobs: never made",
                "aggregate: 1 job: study.replicas = 2 → 3; records are made for the first time",
                *OF_TABLE,
            ],
        ),
        (
            {"test_grid": {"defocus_nm": [5, 10, 20]}},
            [
                "evaluate: 4 jobs: defocus_nm of test conditions = [5, 20] → [5, 10, 20]",
                "information: 1 job: defocus_nm of test conditions = [5, 20] → [5, 10, 20]",
                *OF_RECORDS,
            ],
        ),
        (
            {"microscope": {"field_px": 72}},
            [
                "simulate: 4 jobs: microscope.field_px = 64 → 72",
                "train: 4 jobs: exit waves are made again",
                "evaluate: 4 jobs: networks are made again",
                "information: 1 job: exit waves are made again",
                *OF_RECORDS[:-1],
                "figures: 1 job: microscope.field_px = 64 → 72",
                *REPORT,
            ],
        ),
        (
            {"specimens": {"gold": {"diameter_nm": {"mean": 1.4}}}},
            [
                "simulate: 4 jobs: specimens.gold.diameter_nm.mean = 1.3 → 1.4",
                "train: 4 jobs: exit waves are made again",
                "evaluate: 4 jobs: networks are made again",
                "information: 1 job: exit waves are made again",
                *OF_RECORDS,
            ],
        ),
        (
            {"study": {"structures": {"test": 6}}},
            [
                "simulate: 1 job (gold test 00000): study.structures.test = 4 → 6",
                "evaluate: 4 jobs: exit waves are made again",
                *OF_RECORDS,
            ],
        ),
        (
            {"evaluation": {"bootstrap": 0}},
            [
                "ood: 1 job: evaluation.bootstrap = above 0 → 0",
                *OF_TABLE[1:],
            ],
        ),
        (
            {"figures": {"dpi": 90}},
            ["figures: 5 jobs: figures.dpi = 80 → 90", *REPORT],
        ),
        (
            {"study": {"structures_per_shard": 5}},
            [
                "simulate: 1 job (gold train 00002): its exit waves are only regrouped",
                "simulate: 4 jobs: study.structures_per_shard = 8 → 5",
                "train: 4 jobs: exit waves are taken from the store",
                "evaluate: 4 jobs: networks are taken from the store",
                "information: 1 job: exit waves are taken from the store",
                *OF_RECORDS,
            ],
        ),
        (
            {"study": {"replicas_per_job": 1}},
            [
                "train: 8 jobs: its networks are only regrouped",
                "evaluate: 8 jobs: its networks are only regrouped",
                "aggregate: 1 job: study.replicas_per_job = 2 → 1; records are regrouped",
                *OF_TABLE,
            ],
        ),
        (
            {"specimens": {"silver": SILVER}},
            [
                "simulate: 4 jobs (silver): never made",
                "train: 4 jobs (silver): never made",
                "evaluate: 4 jobs: exit waves of silver are made for the first time",
                "evaluate: 4 jobs (silver): never made",
                "information: 1 job: exit waves of silver are made for the first time",
                "aggregate: 1 job: records are made again, some for the first time",
                *OF_TABLE[:2],
                f"figures: 1 job: lattice spacings of silver = none → {SPACINGS}",
                *REPORT,
            ],
        ),
        (
            {"figures": {"formats": ["png"]}},
            ["report: 1 job: figures.formats, or which figures are drawn, has changed"],
        ),
        # Two edits at once: a condition more, and a figure's width.
        (
            {
                "grid": {"dose_e_per_A2": [200, 500, 1000]},
                "test_grid": {"dose_e_per_A2": [200, 1000]},
                "figures": {"width_cm": 8.5},
            },
            [
                "train: 2 jobs: never made",
                "evaluate: 2 jobs: never made",
                f"information: 1 job: {MORE}",
                f"aggregate: 1 job: {MORE}; records are made for the first time",
                "ood: 1 job: the table is made again",
                "figures: 4 jobs: OOD metrics are made again",
                f"figures: 1 job: figures.width_cm = 17 → 8.5; {MORE}",
                *REPORT,
            ],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_edited_key_is_named_with_its_value_before_and_now(finished, changes, expected):
    study = finished.study(**changes)
    assert reasons(finished, study=study) == expected
    # The status counts the same jobs.
    run = Run(Results(load(finished.folder / study), finished.folder / "results/smallest")).read()
    left = [job for job in run.jobs if job.needed and job.state != "done"]
    assert len(left) == sum(int(re.search(r": (\d+) jobs?\b", line)[1]) for line in expected)


def test_a_raised_number_of_a_stage_is_named(finished):
    """Also of the stage `train`, whose number is in the recipe of the networks."""
    after_train = ["evaluate: 4 jobs: networks are made again", *OF_RECORDS]
    for stage, jobs, expected in (
        ("ood", "1 job", OF_TABLE[1:]),
        ("train", "4 jobs", after_train),
    ):
        (finished.folder / "raised.smk").write_text(
            f'import passband\n\npassband.STAGES["{stage}"] += 1\n\n\ninclude: "Snakefile"\n'
        )
        words = "all", "--snakefile", "raised.smk"
        first, *others = reasons(finished, *words, study="studies/smallest.yaml")
        number = STAGES[stage]
        assert first == f"{stage}: {jobs}: stage {stage} = {number} → {number + 1}"
        assert others == expected


def test_a_deleted_file_is_named(copied):
    """Snakemake makes it again as soon as another job needs it."""
    networks = copied.folder / "results/smallest/networks/gold/compact-w4-d2"
    deleted = networks / "df+0005.00_cs+0001.200_ap016.00_ds000200.00/r000-001.safetensors"
    deleted.unlink()
    assert after(copied) == []
    changed = "defocus_nm of test conditions = [5, 20] → [5, 10, 20]"
    cell = "gold compact-w4-d2 r000-001, 5 nm, 1.2 µm, 16 mrad, 200 e/Å²"
    assert after(copied, test_grid={"defocus_nm": [5, 10, 20]})[:3] == [
        f"train: 1 job ({cell}): its file was deleted: {deleted.relative_to(copied.folder)}",
        f"evaluate: 3 jobs: {changed}",
        f"evaluate: 1 job ({cell}): {changed}; networks are taken from the store",
    ]


def test_a_format_that_figures_get_is_named(copied):
    """It is not called deleted, although the logs of the figures say that they were drawn."""
    for file in (copied.folder / "results/smallest/figures").glob("*.svg"):
        file.unlink()
    assert after(copied) == [
        "figures: 5 jobs: figures.formats has svg, of which there is no file",
        *REPORT,
    ]
