"""The arms of networks for damaged real images, and what they are drawn from."""

import numpy as np
import pytest
import torch

from findings.second_lock import damaged, draws, locked
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
    of, real = damaged.study(), load(damaged.REAL)
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
