"""The arms of networks for damaged real images, and what they are drawn from."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from findings.second_lock import damaged, draws, locked, networks
from passband.config import load

DIGEST = "0" * 64


@pytest.fixture(scope="module")
def arms():
    return damaged.arms(damaged.drawn(DIGEST))


def test_arms_differ_only_in_what_is_cut(arms):
    whole, *cut = arms
    assert [arm.name for arm in arms] == ["whole", "10 mrad", "8 mrad"]
    for arm in cut:
        assert (arm.conditions, arm.tests) == (whole.conditions, whole.tests)
        assert arm.seeds(3) == whole.seeds(3)
        assert arm.trains == arm.tests_by != whole.trains
    assert len({arm.recipe(0) for arm in arms}) == 3


def test_conditions_are_those_of_real_images(arms):
    of = arms[0]
    assert (len(of.conditions), len(of.tests)) == (48, 36)
    for conditions, lowest in ((of.conditions, 50), (of.tests, 12)):
        assert {(c.cs_um, c.aperture_mrad) for c in conditions} == {(0, 26)}
        doses, defoci = (
            [getattr(c, name) for c in conditions] for name in ("dose_e_per_A2", "defocus_nm")
        )
        assert lowest <= min(doses) < 2 * lowest < 400 < max(doses) <= 800
        assert -10 <= min(defoci) < 10 < 40 < max(defoci) <= 60


def test_the_study_is_that_of_real_images_with_192_steps():
    of = damaged.study()
    real = load(damaged.REAL)
    assert of.microscope == real.microscope
    assert of.specimens == real.specimens
    assert of.training.epochs * of.study.structures.train // of.training.batch_size == 192


@pytest.mark.parametrize(("arm", "limit"), [(1, 0.50794), (2, 0.40635)])
def test_counts_are_cut(arms, arm, limit):
    assert damaged.limit(arms[arm].name) == pytest.approx(limit, abs=1e-5)
    counts = torch.poisson(torch.full((2, 128, 128), 50.0), torch.Generator().manual_seed(0))
    form = arms[arm].trains(damaged.study().microscope, "zscore", torch.device("cpu"))
    found = form.normalised(counts, arms[arm].conditions[0]).numpy()
    power = np.abs(np.fft.fft2(found)) ** 2
    q = np.fft.fftfreq(128, 0.5)
    beyond = np.hypot(q[:, None], q) > limit
    assert power[:, beyond].sum() < 1e-9 * power.sum()
    np.testing.assert_allclose(found.std((1, 2)), 1, rtol=1e-3)


def test_what_was_drawn_is_committed():
    assert draws.read_draw(damaged.DRAW, damaged.drawn) == damaged.drawn(locked.digest())


# ── Results ──────────────────────────────────────────────────────────────────────────────────────


def test_a_result_has_the_scores_of_all_lines(made):
    found = damaged.result(*made)
    assert set(found["lines"]) == {"A", "B", "raw", "dose", "own mean"}
    for line in "AB":
        assert found["lines"][line]["rho"]["value"] == pytest.approx(1)
        assert found["lines"][line]["error"]["value"] == pytest.approx(0.1125)
    assert found["pairs"]["A"] == dict.fromkeys("abcde", (20.0, 200.0))
    assert found["lines"]["raw"]["rho"]["value"] < 0.5
    assert [each["verdict"] for each in found["claims"].values()] == ["holds", "holds"]


def test_images_are_not_seen_before_predictions_are_committed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(damaged, "LOCK", locked.Lock("no part"))
    assert damaged.main(["open", str(tmp_path)]) == 1
    assert "predict" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["2/2", "x"])
def test_a_wrong_part_is_one_line(part, capsys):
    assert damaged.main(["train", "--part", part]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_lines_see_simulated_and_real_images(arms, tmp_path, monkeypatch, folder):
    monkeypatch.setattr(damaged, "KEPT", tmp_path)
    monkeypatch.setattr(damaged, "IMAGES", 2)
    of = {name: ids[:3] for name, ids in damaged.drawn(DIGEST).items()}
    train, tests, real = damaged.seen_by_image(arms[2], of, folder)
    assert (len(train), len(tests), len(real)) == (3, 3, 4)
    rings = [each.parameters["spectrum"].shape[1] for each in (train, tests, real)]
    assert rings == [13, 13, 13]
    assert np.isfinite(real.parameters["spectrum"]).all()


def test_all_networks_see_all_versions(folder, monkeypatch):
    class Bright(torch.nn.Module):
        """Finds what is bright, and nothing where images are cut."""

        def __init__(self, arm):
            super().__init__()
            self.finds = arm.name == "whole"

        def forward(self, x):
            return 10 * (x - 0.5) if self.finds else x - 1000

    cell = SimpleNamespace(metadata=SimpleNamespace(precision="float32"))
    monkeypatch.setattr(networks, "trained", lambda *_: cell)
    monkeypatch.setattr(networks, "restored", lambda arm, _: {0: Bright(arm)})
    of = {name: ids[:2] for name, ids in damaged.drawn(DIGEST).items()}
    (found,) = damaged.measured(of, folder).values()
    assert found.shape == (3, 2, 4)
    assert (found[1:] == 0).all()
    assert (found[0, 0] == found[0, 1]).all()
    assert (np.diff(found[0, 0]) < 0).all()  # with less dose
