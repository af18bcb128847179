"""The experiment, on small studies and on made-up Dice."""

import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from findings.train_this import methods, recompute, train_this
from findings.twelve_thousand import locked
from passband import PassbandError
from passband.config import study_file, validate
from passband.grid import Condition
from passband.imaging import mixture_images
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import networks, training
from passband.mixtures import Mixture
from passband.seeds import seed

ARCHITECTURE = "compact-w4-d2"
COSTS = train_this.COSTS
RESULT = train_this.RESULT


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(train_this, "RESULT", tmp_path / "train-this.csv")
    monkeypatch.setattr(train_this, "KEPT", tmp_path)


def study():
    content = study_file.read(Path("studies/twelve-thousand.yaml"))
    content["study"] |= {"structures": {"train": 2, "val": 2, "test": 2}}
    content["training"] |= {"epochs": 2, "batch_size": 2}
    point = {"defocus_nm": 20, "cs_um": 1.2, "aperture_mrad": 10, "dose_e_per_A2": 400}
    ends = {"defocus_nm": [-20, 60], "cs_um": [1.2, 500]}
    ends |= {"aperture_mrad": [7, 13], "dose_e_per_A2": [50, 1600]}
    content["grid"] = [{"points": [point]}, {"mixture": {"name": "all", "ranges": ends}}]
    content["evaluation"] |= {"test_own": False}
    return validate(content)


def waves(of, number=2, name="train"):
    """Return structures with random exit waves and masks, which need no multislice."""
    random, side = np.random.default_rng(0), of.microscope.wave_sampling.cropped
    spectra = random.normal(size=(number, 1, side, side, 2)).astype(np.float32) / 100
    spectra = torch.view_as_complex(torch.from_numpy(spectra))
    spectra[:, :, side // 2, side // 2] = 1
    masks = torch.from_numpy(random.random((number, 1, 64, 64)) > 0.7).float()
    return Split(Structures(0, "gold", name, of.microscope), np.arange(number), spectra, masks)


def pixels(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def acquisition(of, kind=Acquisition):
    return kind.from_microscope(of.microscope, "zscore", torch.device("cpu"))


def test_phases_are_flipped_where_the_transfer_is_negative():
    """Near the focus no phase has turned twice: the sign is that of −defocus in the aperture."""
    of, counts = study(), pixels(3, 64, 64) + 1
    q = np.fft.fftfreq(64, 0.5)
    angle = np.hypot(q[:, None], q) * 0.0196875 * 1e3  # mrad at 300 keV
    inside, beyond = (angle > 0) & (angle < 9.9), angle > 10.1
    before = torch.fft.fft2(counts - counts.mean((1, 2), keepdim=True))
    for defocus_nm, sign in ((5, -1), (-5, 1)):
        flipped = acquisition(of, methods.Flipped)
        after = flipped.normalised(counts, Condition(defocus_nm, 1.2, 10, 400))
        sign_found = np.sign((torch.fft.fft2(after) / before).real.numpy())
        assert (sign_found[:, inside] == sign).all()
        assert (sign_found[:, beyond] == 1).all()


def test_a_network_is_told_the_condition():
    plain, told = networks.build(ARCHITECTURE, 3).eval(), methods.Told(ARCHITECTURE, 3).eval()
    ranges = {"defocus_nm": (-20, 60), "cs_um": (0, 500), "aperture_mrad": (7, 13)}
    ranges |= {"dose_e_per_A2": (100, 1600)}
    ends = [Condition(-20, 0, 7, 100), Condition(60, 500, 13, 1600), Condition(20, 250, 10, 400)]
    planes = methods.planes(ends, ranges, 64)
    expected = np.repeat([[-1], [1], [0]], 4, axis=1)
    np.testing.assert_allclose(planes[:, :, 5, 9], expected, atol=1e-6)
    x = pixels(3, 1, 64, 64)
    with torch.inference_mode():
        first = told(torch.cat([x, planes], 1))
        assert torch.equal(first, plain(x))
        told.of_condition[-1].bias.fill_(0.1)
        assert not torch.allclose(told(torch.cat([x, planes], 1)), first)
        told.of_condition[-1].weight.normal_()
        same = torch.cat([x[:1].expand(3, -1, -1, -1), planes], 1)
        one, *others = told(same)
        assert all(not torch.allclose(one, other, atol=1e-3) for other in others)


def test_the_planes_are_those_of_each_images_condition():
    of, mixture = study(), study().mixtures[0]
    images = methods.ToldImages(acquisition(of), split := waves(of), mixture)
    x, masks = images.take(np.array([1, 0]), draw=4, replicas=[2])
    assert (x.shape, masks.shape) == ((2, 5, 64, 64), (2, 1, 64, 64))
    ends = {name: pair for name, *pair in mixture.ranges}
    for row, number in enumerate((1, 0)):
        condition = mixture_images.drawn(mixture, split.structures, number, 4, 2)
        assert torch.equal(x[row, 1:], methods.planes([condition], ends, 64)[0])
    assert torch.equal(masks, split.masks[[1, 0]])


def test_statistics_of_test_images_make_logits_independent_of_contrast():
    x, network = pixels(4, 1, 64, 64), networks.build(ARCHITECTURE, 0).eval()
    with torch.inference_mode():
        assert network(30 * x).std() > 3 * network(x).std()
        changed = methods.with_test_statistics(network)
        assert torch.allclose(changed(30 * x), changed(x), atol=2e-2)


def test_networks_have_the_seeds_of_the_package_and_are_trained_once(monkeypatch, tmp_path):
    of, given = study(), []

    def train(architecture, _acquisition, _splits, under, _settings, seeds, **_):
        given.append(seeds)
        made = {r: networks.build(architecture, seed).state_dict() for r, seed in seeds.items()}
        return {r: types.SimpleNamespace(weights=weights) for r, weights in made.items()}

    monkeypatch.setattr(training, "train", train)
    bench = methods.Bench(of, tmp_path, range(2))
    monkeypatch.setattr(bench, "split", lambda name, numbers: waves(of, len(numbers), name))
    mixture = of.mixtures[0]
    first = bench.trained(mixture, [0])
    both = bench.trained(mixture, [0, 1])
    seeds = [seed(of.study.seed, "gold", ARCHITECTURE, mixture.id, replica) for replica in (0, 1)]
    assert given == [{0: seeds[0]}, {1: seeds[1]}]
    assert bench.trained(mixture, [0, 1]).keys() == both.keys()
    assert len(given) == 2
    name = "head.weight"
    assert torch.equal(first[0].state_dict()[name], both[0].state_dict()[name])
    D = bench.tested(both, of.test_conditions[:3])
    assert D.shape == (2, 3, 2)
    assert (D[0] != D[1]).any()
    assert bench.seconds["evaluate"] > 0
    assert bench.tested(both, of.test_conditions[:3], statistics=True).shape == (2, 3, 2)


def test_a_told_network_learns_and_is_kept(monkeypatch, tmp_path):
    of = study()
    bench = methods.Bench(of, tmp_path, range(2))
    monkeypatch.setattr(bench, "split", lambda name, numbers: waves(of, len(numbers), name))
    made = bench.trained(of.mixtures[0], [1], "told")
    assert made[1].of_condition[-1].weight.any()
    again = bench.trained(of.mixtures[0], [1], "told")
    assert again[1].state_dict().keys() == made[1].state_dict().keys()
    D = bench.tested(again, of.test_conditions[:2], "told")
    assert np.array_equal(D, bench.tested(made, of.test_conditions[:2], "told"))


def test_each_test_has_the_mixture_of_its_lens_or_dose():
    of, asked = study(), Condition(12, 100, 9, 300)
    for row, fixed in (
        ("doses", ("defocus_nm", "cs_um", "aperture_mrad")),
        ("lenses", ("dose_e_per_A2",)),
    ):
        ranges = {name: pair for name, *pair in train_this.own_mixture(row, asked, of).ranges}
        assert [name for name, (low, high) in ranges.items() if low == high] == list(fixed)
        assert all(ranges[name][0] == getattr(asked, name) for name in fixed)

    class Bench:
        study = of

        def trained(self, under, replicas):
            return dict.fromkeys(replicas, under)

        def tested(self, found, tests):
            under = found[0]
            if isinstance(under, Mixture):
                assert all(
                    low <= getattr(t, name) <= high
                    for t in tests
                    for name, low, high in under.ranges
                )
            else:
                assert tests == [under]
            values = [t.defocus_nm + t.dose_e_per_A2 / 1e5 for t in tests]
            return np.array(values)[None, :, None] + np.zeros((len(found), 1, 2))

    tests = [Condition(d, 1.2, 9, dose) for dose in (50, 200) for d in (3, 1, 2)]
    for row in ("doses", "lenses", "specialists"):
        D = train_this.dice_of(Bench(), row, tests, 2)
        assert D.shape == (2, 6, 2)
        assert D[0, :, 0] == pytest.approx([t.defocus_nm + t.dose_e_per_A2 / 1e5 for t in tests])


def test_the_studies_have_the_mixtures_of_the_144_tests():
    tests = train_this.old_tests()
    assert len(tests) == 144
    new = {test.id for test in train_this.new_tests()}
    assert len(new) == 150
    assert new < {test.id for test in locked.new_study().test_conditions}
    assert not new & {test.id for test in tests}
    for steps in (192, 768, 3072):
        of = train_this.study_of(steps)
        rounds = of.study.structures.train // of.training.batch_size
        assert of.training.epochs * rounds == steps
        assert {c.id for c in tests} < {c.id for c in of.test_conditions}
        rows = ("lenses", "doses") if steps == 768 else ("lenses",)
        own = {train_this.own_mixture(row, c, of).id for row in rows for c in tests}
        others = {"all", "five"}
        assert own == {m.id for m in of.mixtures if m.name not in others}
        assert len(own) == (51 if steps == 768 else 3)
        (five,) = (m for m in of.mixtures if m.name == "five")
        assert {c.id for c, _ in five.points} < {c.id for c in of.test_conditions}


def test_a_row_is_scored_against_the_specialists():
    reference = np.linspace(0.8, 0.9, 101)
    D = reference.copy()
    D[:50] -= 0.03
    found = train_this.score(D, reference, 0.01)
    assert found["below"] == pytest.approx(50 / 101)
    assert found["difference"] == pytest.approx(-0.03 * 50 / 101)
    assert found["low"] < found["difference"] < found["high"] < 0
    assert (found["worst"], found["home"]) == (D.min(), 0.01)
    assert (found["percentile_10"] > D).mean() == pytest.approx(0.1, abs=0.01)


@pytest.fixture
def frame():
    cells = [("", "specialists", 192, 0.9), ("", "best single", 192, 0.85)]
    cells += [("unknown", "all", 192, 0.86), ("unknown", "all", 768, 0.87)]
    cells += [("unknown", "five", 768, 0.8), ("known", "told", 768, 0.88)]
    cells += [("known", "flipped", 192, 0.89)]
    rows = []
    for group, row, steps, value in cells:
        D = np.linspace(value - 0.1, value + 0.1, 11)
        head = {"known": group, "row": row, "steps": steps, "replicas": 4, "cells": "144 tests"}
        rows.append(head | train_this.score(D, D, 0.0))
    return pd.DataFrame(rows)


def test_the_best_row_of_each_group_is_chosen_on_the_old_tests_alone(frame):
    assert train_this.chosen(frame) == [("all", 768), ("flipped", 192)]
    new = frame[frame.row == "told"].assign(cells="24 new", dice=1.0)
    assert train_this.chosen(pd.concat([frame, new])) == [("all", 768), ("flipped", 192)]


def test_chosen_rows_are_judged_once_on_new_tests_and_structures(frame, monkeypatch):
    monkeypatch.setattr(train_this, "COSTS", train_this.KEPT / "costs.csv")
    monkeypatch.setattr(train_this, "load", lambda path: path)
    monkeypatch.setattr(
        train_this, "new_tests", lambda: [Condition(d, 1, 9, 50) for d in range(30)]
    )
    made, asked = train_this.RESULT, []
    bench = types.SimpleNamespace(seconds=dict.fromkeys(("simulate", "train", "evaluate"), 1.0))

    def make(study, structures):
        asked.append(structures)
        bench.steps = int(study.stem.rpartition("-")[2])
        return bench

    monkeypatch.setattr(train_this, "Bench", make)

    def dice_of(bench, row, tests, replicas):
        value = {"specialists": 0.9, "best single": 0.8}.get(row, 0.85)
        value += 0.02 * (row == "specialists" and bench.steps == 768)
        return np.full((replicas, len(tests), len(train_this.NEW_STRUCTURES)), value)

    monkeypatch.setattr(train_this, "dice_of", dice_of)
    train_this.write(frame.to_dict("records"))
    train_this.judge()
    found = pd.read_csv(made)
    new = found[found.cells == "24 new"]
    longer = new[(new.row == "specialists") & (new.steps == 768)]
    assert longer.dice.tolist() == pytest.approx([0.92])
    new = new.drop(longer.index).set_index("row")
    assert set(new.index) == {"all", "flipped", "specialists", "best single"}
    of_equal = new.difference_equal_steps
    assert of_equal[["all", "flipped"]].tolist() == pytest.approx([-0.07, -0.05])
    assert of_equal[["specialists", "best single"]].isna().all()
    assert new.difference["all"] == pytest.approx(-0.05)
    assert new.replicas.to_dict() == {"all": 4, "flipped": 4, "specialists": 1, "best single": 4}
    assert set(asked) == {range(8, 32)}
    costs = pd.read_csv(train_this.KEPT / "costs.csv")
    assert costs.columns.tolist() == pd.read_csv(COSTS).columns.tolist()
    assert (costs.train_cpu_s == 1).all()
    with pytest.raises(PassbandError, match="has been judged; its result stands"):
        train_this.judge()
    # Rows that are trained later stand beside those that have been judged.
    monkeypatch.setattr(train_this, "Known", types.SimpleNamespace(read=lambda: None))
    monkeypatch.setattr(train_this, "old_rows", lambda _known: frame.to_dict("records"))
    monkeypatch.setattr(train_this, "old_tests", list)
    monkeypatch.setattr(train_this, "ORDER", [("told", 3072, 4)])
    bench.study = types.SimpleNamespace(mixtures=[])
    train_this.train()
    assert np.load(train_this.KEPT / "told-3072.npy").shape == (4, 0, 24)
    assert pd.read_csv(made).equals(found)


def test_the_pages_have_the_numbers_of_the_csv_file():
    """What `make findings` compares, without the networks of the packed pieces."""
    frame = pd.read_csv(RESULT, keep_default_na=False)
    assert len([*recompute.pages(frame)]) == 6


def test_another_number_in_the_csv_file_is_named():
    frame = pd.read_csv(RESULT, keep_default_na=False)
    frame.loc[frame.row == "told", "dice"] += 0.01
    words = r"from train-this.csv: the page has '\| told, 768 \| 0.881 .* 0.891"
    with pytest.raises(PassbandError, match=words):
        [*recompute.pages(frame)]


def test_another_row_than_the_chosen_one_must_not_be_judged():
    frame = pd.read_csv(RESULT, keep_default_na=False)
    frame.loc[(frame.row == "all") & (frame.steps == 192), "dice"] = 0.8701
    frame.loc[(frame.row == "all") & (frame.steps == 768), "dice"] = 0.87
    with pytest.raises(PassbandError, match=r"judged \[\('all', 768\).*chosen \[\('all', 192\)"):
        recompute.check_chosen(frame)


@pytest.mark.slow
def test_references_are_those_of_the_packed_pieces():
    frame = pd.read_csv(RESULT, keep_default_na=False)
    assert len([*recompute.references(frame)]) == 2
    frame.loc[frame.row == "best single", "worst"] += 0.0001
    words = "best single: worst = 0.5724, from the packed pieces 0.5723"
    with pytest.raises(PassbandError, match=words):
        [*recompute.references(frame)]
