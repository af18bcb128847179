"""The pieces, the checks, the statistics and the page, on small studies."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from findings.twelve_thousand import baselines, check, doses, matrix, packed, pieces, results
from passband import PassbandError
from passband.config import load, validate
from passband.grid import Axes, Condition

ROOT = Path(__file__).parents[3]
WHOLE = ROOT / "studies" / "twelve-thousand.yaml"

#: A study of two pieces with two training conditions each.
MINIATURE = {
    "study": {
        "name": "mini",
        "structures": {"train": 4, "val": 1, "test": 2},
        "replicas": 2,
        "replicas_per_job": 2,
        "conditions_per_job": 2,
    },
    "microscope": {"pixel_size_A": 0.5, "field_px": 64, "focal_members": 3},
    "grid": {
        "defocus_nm": [5, 20],
        "cs_um": [1.2],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 1000],
    },
    "training": {"architectures": ["compact-w4-d2"], "epochs": 2, "batch_size": 2},
    "evaluation": {"bootstrap": 10, "test_own": True},
}


# ── Pieces ────────────────────────────────────────────────────────────────────────────────────────


def test_the_pieces_have_all_networks_of_the_study_once():
    whole = load(WHOLE)
    studies = [validate(pieces.piece_content(WHOLE, k), "a piece") for k in range(1, 13)]
    trained = [c.id for study in studies for c in study.train_conditions]
    assert len(trained) == len(set(trained)) == 1728
    assert set(trained) == {c.id for c in whole.train_conditions}
    assert 7 * len(trained) == 12_096
    for number, study in enumerate(studies, 1):
        assert study.study.name == f"twelve-thousand-{number:02d}"
        assert study.test_conditions == whole.test_conditions
        # Everything else is the same, so that the pieces can be merged.
        for block in ("microscope", "specimens", "training", "evaluation", "information"):
            assert getattr(study, block) == getattr(whole, block)
        assert study.study.seed == whole.study.seed
    # The test conditions are training conditions, with the ends of each axis.
    assert {c.id for c in whole.test_conditions} < set(trained)
    assert len(whole.test_conditions) == 144
    for name, values in whole.test_axes.items():
        assert values[0] == whole.train_axes[name][0]
        assert values[-1] == whole.train_axes[name][-1]


@pytest.mark.parametrize("number", [0, 13])
def test_a_piece_that_does_not_exist_is_one_line(number):
    with pytest.raises(PassbandError, match=rf"^piece = {number}: must be between 1 and 12$"):
        pieces.piece_content(WHOLE, number)


def test_a_piece_that_is_packed_does_not_run_again(tmp_path):
    there = tmp_path / "parts" / "twelve-thousand-03-01.zarr.zip"
    there.parent.mkdir()
    there.touch()
    with pytest.raises(PassbandError, match="exists; this piece is complete"):
        pieces.piece(3, 1, WHOLE, tmp_path)


def test_missing_pieces_are_named():
    ids = [c.id for c in load(WHOLE).train_conditions]
    pieces.check_pieces(ids, "results", WHOLE)
    lacking = [id for id in ids if not id.startswith(("df-0012.73", "df+0001.82"))] + ids[:1]
    with pytest.raises(PassbandError, match=r"^results: networks of piece 2, 4 are missing; run"):
        pieces.check_pieces(lacking, "results", WHOLE)
    one = [id for id in ids if id != ids[-1]]
    with pytest.raises(PassbandError, match=r"^results: networks of piece 12 are missing"):
        pieces.check_pieces(one, "results", WHOLE)
    other = Condition(1, 1.2, 10, 100).id
    with pytest.raises(PassbandError, match="is no training condition of"):
        pieces.check_pieces([*ids, other], "results", WHOLE)


def test_each_piece_has_one_line_in_the_table():
    where = Path("parts.csv")
    rows = [{"part": f"twelve-thousand-{k:02d}"} for k in range(1, 13)]
    pieces.check_lines(rows, where, WHOLE)
    with pytest.raises(PassbandError, match=r"^parts.csv: piece 3 has 0 lines; it must have one$"):
        pieces.check_lines(rows[:2] + rows[3:], where, WHOLE)
    with pytest.raises(PassbandError, match=r"^parts.csv: piece 12 has 2 lines"):
        pieces.check_lines(rows + rows[-1:], where, WHOLE)


def test_processes_belong_to_the_stage_whose_script_they_run():
    stage_of = pieces.stage_of
    assert stage_of(["python", "/tmp/scripts/tmp0qf3.train.py"]) == "train"
    assert stage_of(["python", "workflow/scripts/evaluate.py"]) == "evaluate"
    assert stage_of(["python", "-m", "snakemake", "--configfile", "train.yaml"]) == ""
    assert stage_of(["python", "retrain.py"]) == ""


@pytest.mark.slow
def test_the_watch_counts_the_processor_time_of_a_stage(tmp_path):
    script = tmp_path / "tmp1.train.py"
    script.write_text("import time\nwhile time.process_time() < 1: pass\ninput()\n")
    words = [sys.executable, script]
    with (
        pieces.Watch(0.05) as watch,
        subprocess.Popen(words, stdin=subprocess.PIPE) as process,
    ):
        while watch.seconds["train"] < 0.6:
            assert process.poll() is None
            time.sleep(0.05)
        process.communicate(b"\n")
    assert watch.seconds["train"] < 3
    assert watch.seconds["evaluate"] == 0
    assert 1e6 < watch.peak_bytes < 1e9


def test_runs_of_an_interrupted_piece_are_added():
    rows = [
        {"wall_s": "10.0", "train_cpu_s": "7.0", "peak_memory_MB": "900.0"},
        {"wall_s": "5.5", "train_cpu_s": "2.0", "peak_memory_MB": "800.0"},
    ]
    assert pieces.joined(rows) == {
        "runs": "2",
        "wall_s": "15.5",
        "train_cpu_s": "9.0",
        "peak_memory_MB": "900.0",
    }


def test_files_with_two_names_have_their_bytes_once(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_bytes(b"12345")
    (tmp_path / "b").hardlink_to(tmp_path / "folder" / "a")
    (tmp_path / "c").write_bytes(b"123")
    assert pieces.size(tmp_path) == (3, 8)


# ── Statistics ───────────────────────────────────────────────────────────────────────────────────

DOSES, DEFOCUS, CS = (100.0, 400.0, 1600.0), (0.0, 10.0, 20.0, 30.0), (1.2, 100.0)


def conditions_of(defocus=DEFOCUS, doses=DOSES):
    ids = [Condition(d, c, 10, s).id for d in defocus for c in CS for s in doses]
    data = xr.Dataset(coords=Axes.main.coordinates(ids, "train") | {"train": ids})
    return results.Conditions.of(data, "train")


@pytest.fixture
def sides():
    return conditions_of(), conditions_of(DEFOCUS[::3], DOSES[::2])


def scores_of(sides, M, own=None, replicas=4, images=5, noise=0.0):
    """Return scores with a given mean, and with noise of replicas and of images."""
    random = np.random.default_rng(0)
    of_replica = random.normal(0, noise, (len(M), replicas, 1, 1))
    of_image = random.normal(0, noise, (1, 1, 1, images))
    D = M[:, None, :, None] + of_replica + of_image + np.zeros((len(M), replicas, 1, images))
    own = np.full(len(M), 0.9) if own is None else own
    own = np.broadcast_to(own[:, None, None], (len(M), replicas, images))
    kinds = D.astype(np.float32), own.astype(np.float32)
    return results.Scores(*sides, *kinds)


def test_sources_of_variance_are_found_and_add_to_the_variance(sides):
    train, test = sides
    dose = np.log10(np.outer(train.values["dose_e_per_A2"], test.values["dose_e_per_A2"]))
    training = train.values["defocus_nm"][:, None] + np.zeros(dose.shape)
    testing = test.values["cs_um"][None] + np.zeros(dose.shape)
    both = np.equal.outer(train.values["cs_um"], test.values["cs_um"]).astype(float)
    both -= both.mean()
    for M, name in (
        (dose, "pair of doses"),
        (training, "training lens"),
        (testing, "test lens"),
        (both, "lens × lens"),
    ):
        found = results.sources(M, train, test)
        assert found[name] == pytest.approx(M.var())
        assert sum(found.values()) == pytest.approx(M.var())
    M = np.random.default_rng(0).normal(size=dose.shape)
    found = results.sources(M, train, test)
    assert sum(found.values()) == pytest.approx(M.var())


def test_noise_of_the_replicas_is_no_variance_of_a_lens(sides):
    train, _ = sides
    M = np.log10(train.values["dose_e_per_A2"])[:, None] / 10 + np.zeros((24, 8))
    scores = scores_of(sides, M, replicas=7, noise=0.1)
    found = results.variance(scores)
    # The variance of the mean of 7 replicas is 0.1²/7, and that of the doses is 0.0024.
    assert found.noise == pytest.approx(0.1**2 / 7 / (0.1**2 / 7 + M.var()), rel=0.5)
    assert abs(found.shares["training lens"].value) < 0.15
    assert found.shares["training lens"].low < 0.1
    doses = found.shares["pair of doses"]
    assert doses.low < doses.value < doses.high
    assert found.shares["lens × lens"].value == pytest.approx(0, abs=1e-6)


def test_a_share_without_all_combinations_is_refused(sides):
    train, test = sides
    few = {name: values[:-1] for name, values in train.values.items()}
    lacking = results.Conditions(train.ids[:-1], few)
    with pytest.raises(PassbandError, match="no product"):
        results.sources(np.zeros((23, 8)), lacking, test)


def test_the_interval_of_a_mean_has_the_noise_of_the_images(sides):
    scores = scores_of(sides, np.full((24, 8), 0.5), images=8, noise=0.1)
    found = scores.estimate(lambda M, own: float(M.mean()))
    per_image = scores.images.mean((0, 1, 2))
    expected = per_image.std(ddof=0) / 8**0.5
    assert found.value == pytest.approx(per_image.mean(), abs=1e-6)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * expected, rel=0.3)


# ── The simplest methods ─────────────────────────────────────────────────────────────────────────


def test_blur_and_threshold_finds_dark_discs_in_noise():
    y, x = np.indices((64, 64))
    truth = np.stack([np.hypot(y - 30, x - 20) < 12, np.hypot(y - 20, x - 40) < 10])
    images = np.random.default_rng(0).normal(size=(2, 64, 64)) - 1.5 * truth
    rule, score = baselines.best_rule(images, truth)
    assert rule.sign == "dark"
    assert 2 <= rule.blur_px <= 8
    assert score > 0.85
    np.testing.assert_allclose(baselines.dice_of(rule.masks(images), truth).mean(), score)
    assert baselines.best_rule(-images, truth)[0].sign == "bright"
    everything = baselines.dice_of(np.ones_like(truth), truth)
    np.testing.assert_allclose(everything, [2 * t.sum() / (t.sum() + 64**2) for t in truth])


def test_interrupted_baselines_leave_the_table_as_it_was(tmp_path, monkeypatch):
    def interrupted(_):
        yield {"test": "a", "dice": "0.5"}
        raise KeyboardInterrupt

    monkeypatch.setattr(baselines, "scores", interrupted)
    (tmp_path / "baselines.csv").write_text("as it was")
    with pytest.raises(KeyboardInterrupt):
        baselines.write(WHOLE, tmp_path)
    assert (tmp_path / "baselines.csv").read_text() == "as it was"


# ── The whole chain ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_two_pieces_become_a_page(tmp_path, monkeypatch):
    """Two pieces are run, packed, merged, checked, and described, by the package's workflow."""
    monkeypatch.chdir(tmp_path)
    whole, folder = Path("mini.yaml"), Path("docs")
    whole.write_text(yaml.safe_dump(MINIATURE))
    for number in (1, 2):
        assert pieces.piece(number, 2, whole, folder) == 0
    rows = pieces.read(folder / "parts.csv")
    assert [row["part"] for row in rows] == ["mini-01", "mini-02"]
    assert [row["networks"] for row in rows] == ["4", "4"]
    for row in rows:
        for stage in ("simulate", "train", "evaluate", "aggregate", "snakemake"):
            assert 0 < float(row[f"{stage}_cpu_s"]) < 600
        assert float(row["wall_s"]) > 1
        assert int(row["files"]) > 20
    joined = packed.joined(folder, whole)
    assert dict(joined.sizes)["train"] == 4
    (of_pieces,) = packed.matrices(joined)
    home = np.stack([of_pieces.home(row) for row in of_pieces.rows]).mean((1, 2))

    again = check.check_again(whole, folder, 2, 2)
    assert (again["drawn"], again["equal"], again["all"], again["all_equal"]) == (2, 2, 4, 4)
    # For each network, tp and fp of 4 cells, Dice of 2 images, and the own condition's.
    assert again["numbers"] == 2 * (4 * (2 + 2) + 2 + 2)
    assert again["all_numbers"] == 2 * again["numbers"]
    alone = check.check_alone(whole, folder, 2, 2)
    assert alone["low"] <= 0 <= alone["high"]
    # A changed number is seen.
    stored = check.stored(folder, [str(joined.train.values[0])])
    for name in check.INTEGERS:
        other = stored.copy(deep=True)
        other[name].values[..., 0] ^= 1
        assert check.equal(stored, stored).all()
        assert not check.equal(other, stored).all()
    content = {"git_revision": "4f729f9", "again": again, "alone": alone}
    (folder / "check.json").write_text(json.dumps(content))

    assert doses.write(folder, whole) == 0
    rows = pd.read_csv(folder / "doses.csv").set_index("score").loc["dice"]
    assert list(zip(rows.iloc[:, 0], rows.iloc[:, 1], strict=True)) == [
        (a, b) for a in (100, 1000) for b in (100, 1000)
    ]
    of_dose = [joined.train_dose_e_per_A2.values == dose for dose in (100, 1000)]
    own = [home[at].mean() for at in of_dose]
    np.testing.assert_allclose(rows["mean"].iloc[[0, 3]], own, atol=0.004)  # Dice in eight bits

    baselines.write(whole, folder)
    assert matrix.write(folder, whole) == 0
    found = json.loads((folder / "matrix.json").read_text(encoding="utf-8"))
    assert (found["networks"], found["cells"]) == (8, 32)
    assert found["home"][0] == pytest.approx(home.mean())
    assert sum(ends[0] for ends in found["shares"].values()) == pytest.approx(1)
    assert set(found["simple"]) == {"100", "1000", "all"}
