"""The interaction of a matrix, its ceiling, and scores of predictions whose errors are known."""

import numpy as np
import pytest

from passband.prediction.matrix.interaction import FEWEST, SCORES, basis, components, noise, scores

LEVELS = np.repeat([50.0, 200, 1600], FEWEST), np.repeat([100.0, 400], FEWEST + 2)
RANDOM = np.geomspace(20, 4000, 40), np.geomspace(50, 1600, 30)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_with_levels_the_interaction_is_centred_by_network_and_test_within_pairs_of_doses():
    random = np.random.default_rng(1)
    doses = tuple(random.permutation(dose) for dose in LEVELS)
    Y = normal(len(doses[0]), len(doses[1]))
    found = components(Y, doses)["interaction"]
    for a in np.unique(doses[0]):
        for b in np.unique(doses[1]):
            cells = np.ix_(doses[0] == a, doses[1] == b)
            block = Y[cells]
            expected = block - block.mean(0) - block.mean(1, keepdims=True) + block.mean()
            np.testing.assert_allclose(found[cells], expected, atol=1e-12)


@pytest.mark.parametrize("doses", [LEVELS, RANDOM, (LEVELS[0], RANDOM[1])])
def test_components_are_projections_and_orthogonal(doses):
    Y = normal(len(doses[0]), len(doses[1]))
    found = components(Y, doses)
    np.testing.assert_allclose(sum(found.values()), Y, atol=1e-12)
    for name, component in found.items():
        again = components(component, doses)
        for other, value in again.items():
            expected = component if other == name else 0
            np.testing.assert_allclose(value, expected, atol=1e-12)


@pytest.mark.parametrize("doses", [LEVELS, RANDOM])
def test_effects_of_networks_and_tests_are_no_interaction(doses):
    """A cubic function of the log dose, and an effect of each side, leave only the product."""
    x, y = (np.log(dose) - 5 for dose in doses)
    train, test = normal(len(x), seed=2), normal(len(y), seed=3)
    separable = np.add.outer(train + x**3, test - y**2) + np.outer(x, y**3)
    separable += np.outer(train, y) + np.outer(x**2, test)
    np.testing.assert_allclose(components(separable, doses)["interaction"], 0, atol=1e-9)
    product = np.outer(train, test)
    outside = [v - basis(d) @ (basis(d).T @ v) for v, d in zip((train, test), doses, strict=True)]
    found = components(separable + product, doses)["interaction"]
    np.testing.assert_allclose(found, np.outer(*outside), atol=1e-9)


def test_few_conditions_at_a_dose_have_no_interaction():
    few = np.append(LEVELS[0], [800.0] * (FEWEST - 1))
    Y = normal(len(few), len(LEVELS[1]))
    for name, component in components(Y, (few, LEVELS[1])).items():
        enough = len(LEVELS[0])
        np.testing.assert_allclose(
            component[:enough], components(Y[:enough], LEVELS)[name], atol=1e-12
        )
        assert np.isnan(component[enough:]).all()
    nine = RANDOM[0][: FEWEST - 1]
    assert np.isnan(components(Y[:9], (nine, LEVELS[1]))["interaction"]).all()
    found = scores(Y[:9], Y[:9], (nine, LEVELS[1]), Y[:9, None])
    assert np.isnan(found["interaction"])
    assert found["r2"] == 1


def test_scores_are_those_of_known_errors():
    """An error in one component lowers R² of this one, and of the whole, and of no other."""
    shape = len(RANDOM[0]), len(RANDOM[1])
    true, other = normal(*shape), components(normal(*shape, seed=1), RANDOM)
    of_true = components(true, RANDOM)
    deviations = normal(shape[0], 3, shape[1], seed=2)
    deviations -= deviations.mean(1, keepdims=True)
    single = np.sqrt((deviations**2).sum(1).mean() / 2)
    for wrong in ("main_train", "main_test", "interaction"):
        error = 0.3 * other[wrong]
        found = scores(true, true - error, RANDOM, true[:, None] + deviations)
        assert list(found) == list(SCORES)
        for name in ("main_train", "main_test", "interaction"):
            left = (error**2).sum() / (of_true[name] ** 2).sum() if name == wrong else 0
            assert found[name] == pytest.approx(1 - left)
        assert found["r2"] == pytest.approx(1 - (error**2).mean() / true.var())
        assert found["rmse_replicas"] == pytest.approx(np.sqrt((error**2).mean()) / single)


@pytest.mark.slow
@pytest.mark.parametrize("doses", [LEVELS, RANDOM])
def test_the_ceiling_is_the_score_of_the_true_means(doses):
    """Noise that is the same for a network under all tests takes nothing from the ceiling."""
    shape, random = (len(doses[0]), len(doses[1])), np.random.default_rng(4)
    means, ceilings, reached = normal(*shape), [], []
    for _ in range(300):
        # Replicas differ in what they are, and in how well they suit tests that are alike.
        own = 2 * random.normal(size=(shape[0], 4, 1))
        alike = random.normal(size=(shape[0], 4, 3)) @ normal(3, shape[1], seed=5)
        replicas = means[:, None] + own + 0.4 * alike
        found = scores(replicas.mean(1), means, doses, replicas)
        ceilings.append(found["ceiling"])
        reached.append(found["interaction"])
    assert np.mean(ceilings) == pytest.approx(np.mean(reached), abs=0.004)
    assert 0.5 < np.mean(reached) < 0.95


def test_networks_with_one_replica_have_the_mean_noise_of_the_others():
    Y = normal(len(LEVELS[0]), len(LEVELS[1]))
    assert np.isnan(scores(Y, Y, LEVELS, Y[:, None])["ceiling"])
    replicas = Y[:, None] + normal(len(Y), 3, Y.shape[1], seed=1)
    some = replicas.copy()
    some[::2, 1:] = np.nan
    some[1::2, 2, 5] = np.nan  # a replica that lacks a test does not count
    pair = replicas[1::2, :2]
    every = np.repeat(pair, 2, axis=0)
    assert noise(some, LEVELS) == pytest.approx(noise(every, LEVELS))
    single = pair.std(1, ddof=1)
    found = scores(Y, Y + 0.1, LEVELS, some)["rmse_replicas"]
    assert found == pytest.approx(0.1 / np.sqrt((single**2).mean()))
