"""The jobs of a study and the names of their files. tests/workflow compares them with real runs."""

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from passband import PassbandError
from passband.config import SPLITS, load, validate
from passband.parts import PACKAGE
from passband.parts.kinds import INPUTS
from passband.results import (
    figure_list,
    layout,
    network_batches,
    shown_networks,
    wave_layout,
    wildcard_patterns,
)
from passband.runs import study_jobs

ROOT = Path(__file__).parents[2]
SMALLEST = ROOT / "tests" / "data" / "smallest.yaml"


def changed(**blocks):
    """Return the smallest study with changed keys."""
    given = load(SMALLEST).model_dump()
    for block, keys in blocks.items():
        given[block] |= keys
    return validate(given)


def test_files_of_a_finished_study_are_those_of_its_jobs():
    """The finished study is in tests/data. An earlier version of the workflow made its files."""
    with tarfile.open(ROOT / "tests/data/finished_03.tar.xz") as archive:
        names = [name for name in archive.getnames() if "results/smallest/" in name]
    found = {name.partition("results/smallest/")[2] for name in names}
    needed = [job for job in study_jobs.jobs(load(SMALLEST)) if job.needed]
    outputs = {output for job in needed for output in job.outputs}
    pngs = {path for path in outputs if not path.endswith(".svg")}
    assert {path for path in outputs if path.startswith(("waves", "networks", "records"))} <= found
    assert {"table.zarr", "ood.zarr", "information.zarr"} <= outputs & found
    whole = re.compile(
        r"(waves|networks|records)/.*(\.zip|\.safetensors)|[a-z]+\.zarr|figures/.+png"
    )
    assert {path for path in found if whole.fullmatch(path)} == {
        path for path in pngs if whole.fullmatch(path)
    }


def test_no_two_jobs_share_a_file():
    every = list(study_jobs.jobs(changed(study={"replicas": 5, "structures_per_shard": 3})))
    files = [file for job in every for file in (job.log, *job.outputs)]
    assert len(files) == len(set(files)) > 50


@pytest.mark.parametrize(("own", "after"), [(False, 5.0), (True, 9.0)])
def test_tests_of_own_conditions_follow_their_exit_waves(own, after):
    """Exit waves at 200 keV changed last. Only networks of 200 keV are tested with them."""
    grids = {"grid": {"energy_kev": [200.0, 300.0]}, "test_grid": {"energy_kev": [300.0]}}
    study = changed(**grids, evaluation={"test_own": own})
    times = {"waves/gold/test/00000.zarr.zip": 5.0}
    if own:
        (file,) = wave_layout.shards(study, "gold", "test", ["en0200.00"])
        times[file] = 9.0
    found = {job.log: job.after for job in study_jobs.jobs(study, times) if job.rule == "evaluate"}
    assert len(found) == 8
    assert {found[log] for log in found if "en0200" in log} == {after}
    assert {found[log] for log in found if "en0200" not in log} == {5.0}


def test_a_training_job_names_its_files():
    study = changed(study={"replicas": 5, "replicas_per_job": 2})
    every = list(network_batches.batches_of(study))
    assert len(every) == 4 * 3
    assert [batch.replicas for batch in every[:3]] == [(0, 1), (2, 3), (4,)]
    batch = every[2]
    assert batch.path(layout.RECORD) == (
        f"records/gold/compact-w4-d2/{batch.condition}/r004-004.zarr.zip"
    )
    assert batch.path(layout.CHECKPOINTS) == (
        f"checkpoints/gold_compact-w4-d2_{batch.condition}_r004-004"
    )
    assert layout.BATCH.format(**batch.wildcards) == f"{batch.cells[0].id}/{batch.batch}"


def test_a_job_of_several_conditions_names_its_files_after_the_group():
    study = changed(study={"conditions_per_job": 3, "replicas": 2, "replicas_per_job": 1})
    every = list(network_batches.batches_of(study))
    ids = [condition.id for condition in study.train_conditions]
    assert [batch.conditions for batch in every] == [tuple(ids[:3])] * 2 + [(ids[3],)] * 2
    assert every[0].condition.startswith(f"{ids[0]}~")
    assert every[2].condition == ids[3]
    assert every[0].networks == 3
    assert [cell.condition for cell in every[0].cells] == ids[:3]
    assert len({cell.further for cell in network_batches.cells_of(study)}) == 8
    whole = re.compile(wildcard_patterns.of_study(study)["condition"])
    assert all(whole.fullmatch(batch.condition) for batch in every)
    # Each network is counted once, and each condition has its state.
    trained = [job for job in study_jobs.jobs(study) if job.rule == "train"]
    assert sum(job.networks for job in trained) == 8
    assert {cell.condition for job in trained for cell in job.cells} == set(ids)
    # The example is found by its condition.
    assert (
        shown_networks.example_cell(study, lambda path: True).condition == study.middle_condition.id
    )
    files = [every[0].path(layout.WEIGHTS), every[2].path(layout.WEIGHTS)]
    by_condition = network_batches.files_by_condition(files, network_batches.groups_of(study))
    assert by_condition == {**dict.fromkeys(ids[:3], files[0]), ids[3]: files[1]}


def test_patterns_match_groups_of_conditions_of_several_products():
    products = [
        {"defocus_nm": [x], "cs_um": [1.2], "aperture_mrad": [16], "dose_e_per_A2": [200, 1000]}
        for x in (5, 20)
    ]
    given = changed(study={"conditions_per_job": 3}).model_dump() | {"grid": products}
    study = validate(given)
    whole = re.compile(wildcard_patterns.of_study(study)["condition"])
    names = list(network_batches.groups_of(study))
    assert len(names) == 2
    assert all(whole.fullmatch(name) for name in names)
    assert not whole.fullmatch(names[0].replace("df+0005.00", "df+0006.00"))


def test_the_last_shard_has_the_rest_of_the_structures():
    study = changed(study={"structures_per_shard": 5})
    files = wave_layout.shards(study, "gold", "train")
    assert files == [f"waves/gold/train/0000{k}.zarr.zip" for k in range(3)]
    assert wave_layout.structures_of_shard(study, "train", "00000") == range(0, 5)
    assert wave_layout.structures_of_shard(study, "train", "00002") == range(10, 12)


def test_patterns_match_the_conditions_of_the_grid_alone():
    study = load(SMALLEST)
    pattern = re.compile(wildcard_patterns.of_conditions(study.train_products))
    ids = [condition.id for condition in study.train_conditions]
    assert ids
    assert all(pattern.fullmatch(id) for id in ids)
    assert not pattern.fullmatch(ids[0].replace("df+0005.00", "df+0006.00"))
    patterns = wildcard_patterns.of_study(study)
    for job in study_jobs.jobs(study):
        if job.rule == "train":
            values = re.fullmatch("logs/train/(.*)/(.*)/(.*)/(.*).log", job.log).groups()
            for name, value in zip(
                ("specimen", "architecture", "condition", "batch"), values, strict=True
            ):
                assert re.fullmatch(patterns[name], value)


def test_patterns_of_images_match_conditions_of_both_grids_and_replicas_of_training():
    given = changed(study={"conditions_per_job": 3}).model_dump(exclude_none=True)
    mixed = [given["grid"], {"mixture": {"name": "all", "over": "grid"}}]
    tested = {"defocus_nm": [12], "dose_e_per_A2": [500]}
    study = validate(given | {"grid": mixed, "test_grid": tested})
    patterns = wildcard_patterns.of_study(study) | wildcard_patterns.of_images(study)
    every = re.sub(r"{(\w+)}", lambda found: f"(?:{patterns[found[1]]})", layout.IMAGES)
    own = study.middle_condition.id
    beside = "df+0012.00_cs+0001.200_ap016.00_ds000500.00"
    for name in (
        *(f"{split}/{own}" for split in SPLITS),
        f"test/{beside}",
        f"train/{own}_replica1_draw0",
        f"train/{own}_replica0_draw12",
    ):
        assert re.fullmatch(every, f"images/gold/{name}.zarr"), name
    for name in (
        f"test/{beside.replace('000500', '001000')}",  # defocus of one grid, dose of the other
        f"test/{own.replace('20', '21')}",
        f"train/{own}_draw3",  # whose?
        f"train/{own}_replica2_draw3",  # of 0 and 1
        f"train/{own}_replica1_draw03",
        f"test/{own}_replica1_draw3",  # test images are the same for all replicas
        *(f"train/{name}" for name in network_batches.groups_of(study) if name != own),
    ):
        assert not re.fullmatch(every, f"images/gold/{name}.zarr"), name


def test_patterns_match_the_names_of_the_study_alone():
    patterns = wildcard_patterns.of_study(load(SMALLEST))
    names = {
        "specimen": ("gold", "silver"),
        "split": ("train", "training"),
        "shard": ("00001", "1"),
        "architecture": ("compact-w4-d2", "compact-w8-d3"),
        "batch": ("r000-001", "r000-000"),
        "waves": ("", "en0200.00/"),
        "figure": ("matrix", "mine"),
    }
    assert {*names, "condition"} == set(patterns)
    for wildcard, (own, other) in names.items():
        assert re.fullmatch(patterns[wildcard], own)
        assert not re.fullmatch(patterns[wildcard], other)


def test_the_example_is_the_middle_condition_or_the_first_that_is_counted():
    study = load(SMALLEST)
    assert (
        shown_networks.example_cell(study, lambda path: True).condition == study.middle_condition.id
    )
    last = study.train_conditions[-1].id
    first = study.train_conditions[0].id
    assert shown_networks.example_cell(
        study, lambda path: first in path or last in path
    ).condition in (
        first,
        study.middle_condition.id,
    )
    assert shown_networks.example_cell(study, lambda path: first in path).condition == first
    assert shown_networks.example_cell(study, lambda path: False) is None


def test_a_study_without_records_is_refused():
    study = load(SMALLEST)
    assert len(network_batches.counted_records(study, lambda path: True)) == 4
    with pytest.raises(PassbandError, match="there is no record under results/smallest/records"):
        network_batches.counted_records(study, lambda path: False)


def test_a_complete_study_has_the_figures_whose_inputs_it_has():
    large = changed(grid={"defocus_nm": [5, 10, 15, 20], "cs_um": [1.2, 30, 60]})
    assert large.predictable
    every = {*PACKAGE.of("figure")}
    assert figure_list.on_request(large) == ["structure"]
    assert {*figure_list.figures(large, predicted=True)} == every - {"structure"}
    few = figure_list.figures(large, predicted=False, pictured=False)
    assert every - {*few} == {"structure", "examples", "prediction"}
    assert {*load(SMALLEST).drawn} == every - {"structure", "prediction"}


def test_each_input_of_a_figure_that_is_no_store_is_told_apart():
    """A figure of examples needs the OOD metrics, by which its conditions are chosen."""
    parts = PACKAGE.of("figure")
    assert figure_list.stores_of(parts["ctf"]) == {}
    assert figure_list.stores_of(parts["examples"]) == {"ood": layout.OOD}
    assert figure_list.stores_of(parts["metrics"]) == {
        "ood": layout.OOD,
        "information": layout.INFORMATION,
    }
    assert {*INPUTS} - {*figure_list.STORES} == {"examples", "study"}


def test_a_holey_study_is_predicted_from_the_conditions_that_have_records():
    large = changed(
        study={"allow_incomplete": True},
        grid={"defocus_nm": [5, 10, 15, 20], "cs_um": [1.2, 30, 60]},
    )

    def names(times=None):
        return {job.words for job in study_jobs.jobs(large, times) if job.stage != "train"}

    whole = names()
    records = [batch.path(layout.RECORD) for batch in network_batches.batches_of(large)]
    few = names(dict.fromkeys(records[:-1], 1.0))
    assert whole - few == {"prediction", "figure prediction"}


def test_parsing_the_workflow_loads_no_numerical_library():
    """Every job parses the workflow again."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    pattern = re.compile(r"^(?:from|import) passband.*?(?:\([^)]*\))?$", re.MULTILINE)
    lines = {line for file in files for line in pattern.findall(file.read_text())}
    assert len(lines) > 5
    code = "\n".join([*sorted(lines), "import sys", "print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "passband.results.layout" in loaded
    heavy = {"torch", "lightning", "xarray", "zarr", "dask", "pandas", "scipy", "ase", "abtem"}
    assert not (heavy | {"numba", "sklearn", "matplotlib", "threadpoolctl"}) & loaded


def test_the_example_is_compared_with_networks_of_all_training_conditions():
    study = changed(study={"replicas": 3, "replicas_per_job": 2})
    example = shown_networks.example_cell(study, lambda record: True)
    found = shown_networks.example_networks(study, example, lambda record: True)
    assert [path.split("/")[-2] for path in found] == [c.id for c in study.train_conditions]
    assert {path.split("/")[-1] for path in found} == {"r000-001.safetensors"}
    assert example.batch.path(layout.WEIGHTS) in found
    one = shown_networks.example_networks(
        study, example, lambda record: example.condition in record
    )
    assert one == [example.batch.path(layout.WEIGHTS)]
    assert shown_networks.example_networks(study, None, lambda record: True) == []
