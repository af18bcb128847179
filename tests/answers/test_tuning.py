"""A network is tuned, tried on left-out images, and written if it is better."""

import labelled
import numpy as np
import pytest
import torch
from scipy import stats

import passband
from passband import PassbandError
from passband.answers import tuning
from passband.answers.tuning import LeftOut, Tuned
from passband.learning.network_files import open_networks
from passband.learning.tuning import Schedule
from passband.micrographs import labelled_images
from passband.micrographs.labelled_images import LabelledImage
from passband.storage import integrity


@pytest.fixture
def network(tmp_path):
    return labelled.network(tmp_path)


def images(tmp_path, number):
    labelled.write_images(tmp_path, number)
    paths = sorted((tmp_path / "images").iterdir())
    return labelled_images.read(paths, tmp_path / "labels", labelled.PIXEL_A)


def tuned(*gains, out="mine"):
    left_out = [LeftOut(f"{k}.npy", 0.5, 0.5 + gain) for k, gain in enumerate(gains)]
    return Tuned("gold/a/b/0", out, max(len(gains), 2), tuple(left_out))


# ── Whether a network is written ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("values", [(0.1, 0.2, 0.05, -0.01), (0.0, 1.0), (0.3,) * 5])
def test_the_interval_is_that_of_students_t(values):
    with np.errstate(invalid="ignore"):
        error = stats.sem(values)
    middle = np.mean(values)
    expected = (
        (middle, middle)
        if error < 1e-12
        else stats.t.interval(0.95, len(values) - 1, loc=middle, scale=error)
    )
    assert tuning.t_interval(values) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("gains", "objection"),
    [
        ((0.1, 0.2, -0.049, 0.0), ""),
        ((0.1, 0.2, -0.051, 0.0), "2.npy loses 0.051; must be at most 0.05"),
        ((0.04, -0.04, 0.01, -0.03), "on average, tuning gains nothing: -0.005"),
        ((0.0, 0.0, 0.0, 0.0), "on average, tuning gains nothing: +0.000"),
        ((), ""),
    ],
)
def test_a_network_is_written_if_the_mean_gain_is_above_0_and_none_loses_much(gains, objection):
    found = tuned(*gains)
    assert found.objection == objection
    assert found.folder == (None if objection else "mine")
    last = str(found).splitlines()[-1]
    if objection:
        assert last == f"mine is not written: {objection}"
    else:
        assert last == "mine is written; use it as a network: passband predict mine FILES"


def test_what_is_said_of_the_gain():
    lines = str(tuned(0.1, 0.2, 0.3, 0.0)).splitlines()
    assert lines[0] == "0.npy: Dice 0.500, tuned without it 0.600 (+0.100)"
    low, high = stats.t.interval(0.95, 3, loc=0.15, scale=stats.sem([0.1, 0.2, 0.3, 0.0]))
    assert lines[4] == (
        f"mean gain in Dice +0.150 (95% interval {low:+.3f} to {high:+.3f}) over 4 images, each "
        "left out of tuning once"
    )
    assert str(tuned()).splitlines()[0] == "not tested: 2 images are too few; label 4 or more"
    assert '"gain": null' in tuned().to_json()


# ── The numbers of images ────────────────────────────────────────────────────────────────────────


def test_four_images_are_each_left_out_once_with_their_copies(tmp_path, network, monkeypatch):
    own = images(tmp_path, 4)
    first = own[0]
    turned = [np.ascontiguousarray(np.rot90(each)) for each in (first.image, first.labels)]
    own.append(LabelledImage(tmp_path / "turned.npy", *turned, first.pixel_size_A))
    given = []

    def record(network, examples, schedule, names, step):
        given.append([float(each.image.sum()) for each in examples])
        return network.module

    monkeypatch.setattr(tuning.tuning, "tuned", record)
    found = tuning.tune(network, own, tmp_path / "mine")
    every = [float(tuning.prepare(each, network).example.image.sum()) for each in own]
    left = [[1, 2, 3], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 4]]
    assert given == [[every[k] for k in kept] for kept in left]  # nothing is gained or written
    assert found.images == 4
    assert [each.name for each in found.left_out][:2] == ["0.npy and turned.npy", "1.npy"]
    assert found.objection == "on average, tuning gains nothing: +0.000"
    assert not (tmp_path / "mine").exists()


def test_a_network_that_gains_is_written_and_predicts(tmp_path, network):
    own = images(tmp_path, 4)
    steps = []
    found = tuning.tune(
        network,
        own,
        tmp_path / "mine",
        schedule=Schedule(steps=20, rate=0.05),
        progress=lambda done, total, what: steps.append((done, total)),
    )
    assert [each.before for each in found.left_out] == [0.0] * 4
    assert min(each.after for each in found.left_out) > 0.9
    assert found.folder == tmp_path / "mine"
    assert steps[-1] == (100, 100)
    (mine,) = open_networks(tmp_path / "mine")
    assert mine.id == network.id
    assert mine.tuned_on == 4
    assert mine.unchecked == ""
    assert min(tuning.dice(each, mine) for each in own) > 0.9
    card = (tmp_path / "mine/README.md").read_text()
    assert "0.npy, 1.npy, 2.npy, 3.npy" in card
    assert "Mean gain in Dice +" in card


@pytest.mark.parametrize("number", [2, 3])
def test_two_or_three_images_are_not_tested(tmp_path, network, number):
    found = tuning.tune(
        network, images(tmp_path, number), tmp_path / "mine", schedule=Schedule(steps=2)
    )
    assert found.left_out == ()
    assert found.gain is None
    assert f"Not tested: {number} images are too few" in (tmp_path / "mine/README.md").read_text()


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([0], "1 labelled image: must be at least 2; with 4 or more, the gain is measured"),
        ([0, 0, 0], "3 labelled images that are copies of one image: must be at least 2"),
    ],
)
def test_one_image_is_too_few(tmp_path, network, chosen, message):
    own = images(tmp_path, 1)
    with pytest.raises(PassbandError, match=message):
        tuning.tune(network, [own[k] for k in chosen], tmp_path / "mine")


# ── Preparation ──────────────────────────────────────────────────────────────────────────────────


def test_labels_are_on_the_pixels_that_the_network_sees(tmp_path, network):
    mask = labelled.mask_of_discs((128, 144), (30, 30, 16), (90, 100, 16))
    image = labelled.image_of(mask, 0)
    image[:10] = 0  # a bar
    source = LabelledImage(tmp_path / "a.npy", image, mask.astype(int), labelled.PIXEL_A / 2)
    example = tuning.prepare(source, network).example
    assert example.image.shape == example.labels.shape == (59, 72)
    bright = example.image > (example.image.min() + example.image.max()) / 2
    assert tuning.dice_of_masks(bright, example.labels > 0) > 0.95


def test_an_image_that_does_not_fit_is_named(tmp_path, network):
    (own,) = images(tmp_path, 1)
    large = LabelledImage(own.path, own.image, own.labels, 5.0)
    with pytest.raises(PassbandError, match=r"0\.npy: pixel size 5 Å: must be between"):
        tuning.prepare(large, network)


def test_a_mask_is_refused_if_the_loss_needs_single_particles(tmp_path, network, monkeypatch):
    monkeypatch.setattr(tuning.tuning, "needs_numbers", lambda network: True)
    own = images(tmp_path, 2)
    with pytest.raises(PassbandError, match=r"0\.npy: its labels are a mask, and the loss of gold"):
        tuning.tune(network, own, tmp_path / "mine")


# ── Files ────────────────────────────────────────────────────────────────────────────────────────


def weights(folder):
    (found,) = open_networks(folder)
    return found.module.state_dict()


def test_the_same_seed_writes_the_same_bits(tmp_path, network):
    own = images(tmp_path, 2)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tuning.tune(network, own, tmp_path / name, seed=seed, schedule=Schedule(steps=3))
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("where", ["steps", "files"])
def test_nothing_is_left_of_an_interrupted_call(tmp_path, network, monkeypatch, where):
    own = images(tmp_path, 2)
    before = sorted(tmp_path.iterdir())

    def interrupt(*_):
        raise KeyboardInterrupt

    if where == "files":
        monkeypatch.setattr(integrity, "write_checksums", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(
            network,
            own,
            tmp_path / "mine",
            schedule=Schedule(steps=2),
            progress=interrupt if where == "steps" else None,
        )
    assert sorted(tmp_path.iterdir()) == before


def test_a_tuned_network_is_tuned_again_and_is_not_published(tmp_path, network):
    own = images(tmp_path, 2)
    short = Schedule(steps=2)
    tuning.tune(network, own, tmp_path / "mine", schedule=short)
    (mine,) = open_networks(tmp_path / "mine")
    tuning.tune(mine, own, tmp_path / "again", schedule=short)
    (again,) = open_networks(tmp_path / "again")
    digests = {each.metadata.recipe_digest for each in (network, mine, again)}
    assert len(digests) == 3
    assert again.study == network.study
    with pytest.raises(PassbandError, match="is a tuned network, which cannot be published"):
        passband.open(tmp_path / "mine")._one(None, None)
