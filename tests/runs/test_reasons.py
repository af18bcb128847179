"""Why jobs would run, from the lines that Snakemake 9.27 writes."""

import pytest
from regrouped import regrouped

from passband.config import Study
from passband.results import Results, layout
from passband.results.network_batches import batches_of
from passband.runs.reasons import Reasons
from passband.runs.study_jobs import Job

CONDITIONS = [f"df+{nm:04d}.00_cs+0001.200_ap016.00_ds000200.00" for nm in (5, 20)]
PARAMS = (
    "Params have changed since last execution: Union of exclusive params before and now across all "
    "output: before: {} now: {} "
)
MISSING = "Missing output files: {}"
MADE = "Input files updated by another job: {}"


def train(condition: str, folder) -> Job:
    """Return a job, which is logged below a folder."""
    wildcards = {"specimen": "gold", "architecture": "unet", "condition": condition}
    outputs = [str(folder / f"networks/gold/unet/{condition}/r000-000.{e}") for e in ("st", "csv")]
    return Job("train", str(folder / f"{condition}.log"), wildcards, outputs)


def lines(*said: tuple[Job, str], results: Results | None = None) -> list[str]:
    reasons = Reasons(results)
    for job, line in said:
        reasons.add(job, line)
    return list(reasons.lines())


def changed(before: str, now: str, rule: str = "ood", **wildcards: str) -> str:
    """Return the words about changed params."""
    (line,) = lines((Job(rule, wildcards=wildcards), PARAMS.format(before, now)))
    return line.partition(": 1 job")[2].partition(": ")[2]


def test_jobs_with_one_reason_are_one_line_in_the_workflows_order(tmp_path):
    told = PARAMS.format("{'training.epochs': 2},'x'", "{'training.epochs': 3},'y'")
    ood = Job("ood"), MADE.format("results/s/table.zarr, results/s/information.zarr")
    assert lines(ood, *((train(id, tmp_path), told) for id in CONDITIONS)) == [
        "train: 2 jobs: training.epochs = 2 → 3",
        "ood: 1 job: the table is made again",
    ]


def test_one_job_of_many_is_named(tmp_path):
    (line,) = lines((train(CONDITIONS[0], tmp_path), MISSING.format("a")))
    assert line == "train: 1 job (gold unet, 5 nm, 1.2 µm, 16 mrad, 200 e/Å²): never made"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "never made"),
        ("08:00:00 train gold: 2 network(s) in a in 1.5 s\n", "its file was deleted: {}"),
        ("08:00:00 error: train gold: the disk is full\n", "its last attempt failed"),
        ("08:00:00 started on vm, process 3\n", "its last attempt did not end"),
    ],
)
def test_a_missing_file_was_never_made_or_is_gone(tmp_path, log, words):
    job = train(CONDITIONS[0], tmp_path)
    if log:
        (tmp_path / f"{CONDITIONS[0]}.log").write_text(log)
    (line,) = lines((job, MISSING.format(job.outputs[0])))
    assert line.partition("): ")[2] == words.format(job.outputs[0])


def test_a_damaged_file_was_set_aside(tmp_path):
    job = train(CONDITIONS[0], tmp_path)
    (tmp_path / f"{CONDITIONS[0]}.log").write_text("08:00:00 train a: 2 of b in 1.5 s\n")
    aside = tmp_path / f"networks/gold/unet/{CONDITIONS[0]}/r000-000.st.damaged"
    aside.parent.mkdir(parents=True)
    aside.touch()
    (line,) = lines((job, MISSING.format(job.outputs[0])))
    assert line.endswith(f"): its file was damaged and set aside: {job.outputs[0]}")


def test_inputs_are_made_for_the_first_time_or_again(tmp_path):
    jobs = [train(id, tmp_path) for id in CONDITIONS]
    for job in jobs:
        job.outputs = [job.outputs[0].replace(str(tmp_path), "results/s")]
    first, other = (job.outputs[0] for job in jobs)
    never, again = MISSING.format(first), PARAMS.format("{'a': 1}", "{'a': 2}")
    waves = "results/s/waves/gold/test/00000.zarr.zip"
    for said, files, words in (
        ([never, never], f"{first}, {other}", "networks are made for the first time"),
        ([again, again], f"{waves}, {other}", "networks are made again"),
        ([never, again], f"{first}, {other}", "networks are made again, some for the first time"),
        ([again, again], waves, "exit waves are made again"),
        ([again, again], "other.txt", "other.txt is made again"),
    ):
        of = Job("evaluate", wildcards={"specimen": "gold"}), MADE.format(files)
        found = lines(*zip(jobs, said, strict=True), of)
        assert found[-1] == f"evaluate: 1 job (gold): {words}"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ("'figures 3'", "'figures 4'", "stage figures = 3 → 4"),
        ("{'stage train': 6, 'a': 1}", "{'stage train': 7, 'a': 1}", "stage train = 6 → 7"),
        # What belongs together is found by the names, not by the order or the param.
        ("{'a': 1},{'c': 5}", "{'b': 8},{'c': 5, 'a': 1}", "b = none → 8"),
        ("{'a': 1},{'b': 2}", "{'b': 3},{'a': 4}", "a = 1 → 4; b = 2 → 3"),
        ("{'a': 1}", "{'a': 1, 'b': True}", "b = none → true"),
        ("{'a': 'x now: y'},3", "{'a': 'x'}", "a = x now: y → x"),
        ("{'a': [0.5, 1.0]}", "{'a': []}", "a = [0.5, 1] → []"),
        ("{'a': 2.0}", "{'a': 2.5}", "a = 2 → 2.5"),
        ("{'content of a.b': '0f'}", "{'content of a.b': 'f0'}", "the content of a.b has changed"),
        ("['0123456789abcdef']", "['fedcba9876543210']", "what it depends on has changed"),
        ("['0f', 'f0']", "['f0']", "it depends on less than before"),
        ("['0f']", "['f0', '0f']", "it depends on more than before"),
        ("'its file is damaged'", "'ood 5',{'a': 1}", "its file is damaged"),
        (
            "'its log does not say what it depends on'",
            "<nothing exclusive>",
            "its log does not say what it depends on",
        ),
        ("{'a': {'b': 1, 'c': 2}}", "{'a': {'b': 1, 'c': 3}}", "a of c = 2 → 3"),
        ("range(0, 3)", "range(0, 4)", "what it depends on has changed"),
        ("<nothing exclusive>", "'a'", "what it depends on has changed"),
    ],
)
def test_changed_values_have_the_names_of_their_keys(before, now, words):
    assert changed(before, now) == words


SHARD = "{{'study.structures_per_shard': {}}}"
LAST = "{{'study.structures_per_shard': {}, 'study.structures.train': {}}}"


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (LAST.format(8, 12), SHARD.format(5), "study.structures_per_shard = 8 → 5"),
        (SHARD.format(8), LAST.format(20, 12), "study.structures_per_shard = 8 → 20"),
        (LAST.format(8, 12), SHARD.format(8), "study.structures.train = 12 → 16 or more"),
        (SHARD.format(8), LAST.format(8, 12), "study.structures.train = 16 or more → 12"),
        (LAST.format(8, 12), LAST.format(8, 13), "study.structures.train = 12 → 13"),
    ],
)
def test_the_number_of_structures_is_known_of_the_last_shard_alone(before, now, words):
    assert changed(before, now, rule="simulate", shard="00001") == words


def test_a_long_list_is_counted():
    two, three = ({"test conditions": [f"{n:040d}" for n in range(most)]} for most in (2, 3))
    assert changed(str(two), str(three)) == "test conditions = 2 values → 3 values"
    other = {"test conditions": [f"{n:040d}" for n in (0, 7)]}
    assert changed(str(two), str(other)) == "test conditions = 2 values → 2 values, others"
    long = {"a": "x" * 100}
    assert changed(str(long), "{'a': 'y'}") == f"a = {'x' * 57}... → y"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Forced execution", "an option forces it"),
        ("Set of input files has changed since last execution", "it has other inputs than before"),
        (
            "Set of input files has changed since last execution; Updated input files: a.txt",
            "a.txt is newer than what it made",
        ),
        (
            "Updated input files: results/s/records/a.zarr.zip",
            "records are newer than what it made",
        ),
        (
            "Software environment definition has changed since last execution",
            "the conda environment has changed",
        ),
        (
            f"Set of input files has changed since last execution; {PARAMS.format(*'12')}; "
            "Software environment definition has changed since last execution",
            "what it depends on has changed; the conda environment has changed",
        ),
        ("", "Snakemake gives no reason"),
    ],
)
def test_each_reason_of_snakemake_has_words(said, words):
    assert lines((Job("aggregate"), said)) == [f"aggregate: 1 job: {words}"]


def test_a_job_that_was_killed_is_not_forced_by_an_option(tmp_path):
    """Snakemake forces jobs whose outputs it knows to be incomplete."""
    (tmp_path / f"{CONDITIONS[0]}.log").write_text("08:00:00 started on vm, process 3\n")
    (line,) = lines((train(CONDITIONS[0], tmp_path), "Forced execution"))
    assert line.endswith("its last attempt did not end")


def test_what_only_lists_other_files_is_left_out():
    assert lines((Job("all"), MADE.format("a"))) == []


def test_a_report_with_other_figures_names_what_may_be_the_cause():
    inputs = "Set of input files has changed since last execution"
    assert lines((Job("report"), inputs)) == [
        "report: 1 job: figures.formats, or which figures are drawn, has changed"
    ]


def test_a_figure_without_one_of_its_formats_is_not_called_deleted(tmp_path):
    log = tmp_path / "ctf.log"
    log.write_text("08:00:00 figure ctf: a in 1.5 s\n")
    figures = tmp_path / "figures"
    figures.mkdir()
    outputs = [str(figures / f"ctf.{suffix}") for suffix in ("png", "svg")]
    job = Job("figure", str(log), {"figure": "ctf"}, outputs)
    (figures / "ctf.png").touch()
    said = job, MISSING.format(outputs[1])
    assert lines(said) == ["figures: 1 job: figures.formats has svg, of which there is no file"]
    (figures / "ctf.png").unlink()
    said = job, MISSING.format(", ".join(outputs))
    assert lines(said) == [f"figures: 1 job: its file was deleted: {outputs[0]}"]


# ── What the store has ───────────────────────────────────────────────────────────────────────────


def growing(study: Study, rule: str, template: str) -> list[Job]:
    """Return the jobs of a rule, without logs."""
    if rule == "simulate":
        of = {"specimen": "gold", "waves": "", "split": "train"}
        every = [{**of, "shard": f"{shard:05d}"} for shard in range(3)]
    else:
        every = [batch.wildcards for batch in batches_of(study)]
    path = f"results/smallest/{template}"
    return [Job(rule, "", of, [path.format_map(of)]) for of in every]


def test_networks_and_results_in_other_groups_are_called_regrouped(archived):
    study = regrouped(1, 1)
    train = growing(study, "train", layout.WEIGHTS)
    evaluate = growing(study, "evaluate", layout.RECORD)
    records = [job.outputs[0] for job in evaluate]
    said = [(job, MISSING.format(*job.outputs)) for job in (*train, *evaluate)]
    said.append((Job("aggregate"), MADE.format(", ".join(records))))
    results = Results(study, archived / "results/smallest")
    assert lines(*said, results=results) == [
        "train: 8 jobs: its networks are only regrouped",
        "evaluate: 8 jobs: its networks are only regrouped",
        "aggregate: 1 job: records are regrouped",
    ]
    more = Results(regrouped(1, 1, training={"epochs": 3}), results.folder)
    assert lines(*said, results=more) == [
        "train: 8 jobs: never made",
        "evaluate: 8 jobs: never made",
        "aggregate: 1 job: records are made for the first time",
    ]


@pytest.mark.parametrize(
    ("per_shard", "number", "words"),
    [
        (5, 12, "taken from the store"),
        (5, 15, "taken from the store, some made for the first time"),
        (8, 24, "taken from the store, some made for the first time"),
    ],
)
def test_exit_waves_in_the_store_and_their_networks_are_taken_from_there(
    archived, per_shard, number, words
):
    numbers = {"structures_per_shard": per_shard}
    numbers |= {"structures": {"train": number, "val": 4, "test": 4}}
    study = regrouped(1, study=numbers)
    simulate = growing(study, "simulate", layout.WAVES)
    made = MADE.format(", ".join(job.outputs[0] for job in simulate))
    train = growing(study, "train", layout.WEIGHTS)
    evaluate = growing(study, "evaluate", layout.RECORD)
    said = [(job, MISSING.format(*job.outputs)) for job in simulate]
    said += [(job, made) for job in train]
    said += [(job, MADE.format(train[0].outputs[0])) for job in evaluate]
    # Snakemake may name a job after those that need its outputs.
    found = lines(*reversed(said), results=Results(study, archived / "results/smallest"))
    assert f"train: 4 jobs: exit waves are {words}" in found
    again = "taken from the store" if number == 12 else "made again"
    assert found[-1] == f"evaluate: 4 jobs: networks are {again}"


def test_a_new_specimen_is_named(archived):
    silver = {"material": "Ag", "diameter_nm": {"mean": 1.3, "max": 1.6}}
    study = regrouped(1, specimens={"silver": silver})
    of = {"specimen": "silver", "waves": "", "split": "test", "shard": "00000"}
    waves = [f"results/smallest/{layout.WAVES.format_map(of | {'split': x})}" for x in ("a", "b")]
    said = [(Job("simulate", "", of, [path]), MISSING.format(path)) for path in waves]
    more = PARAMS.format("['0f']", "['0f', 'f0']")
    said.append((Job("evaluate", wildcards=of), f"{MADE.format(', '.join(waves))}; {more}"))
    found = lines(*said, results=Results(study, archived / "results/smallest"))
    assert found[0] == "simulate: 2 jobs (silver): never made"
    assert found[1].endswith("): exit waves of silver are made for the first time")
