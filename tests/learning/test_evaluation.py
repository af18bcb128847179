"""The evaluation of networks under test conditions."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from synthetic import loaded, weights_metadata

from passband.config import Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.noise import normalise
from passband.learning import devices, evaluation, networks, training
from passband.learning.instance_counts import Truth, count, visible
from passband.particle_scores import NO_NUMBER
from passband.scores import dice
from passband.storage import DamagedError, NewerError, integrity, records
from passband.storage import weights as files

NAME = "compact-w4-d2"
CONDITIONS = [
    Condition(defocus_nm, 1.2, 15, dose) for defocus_nm in (5, 15) for dose in (100, 1000)
]
IDS = [condition.id for condition in CONDITIONS]


@pytest.fixture(scope="module")
def splits(make_split):
    """Two specimens. The images of the second specimen have less contrast."""
    return {
        "gold": make_split(5, "test", "gold"),
        "silver": make_split(5, "test", "silver", phase=0.2),
    }


@pytest.fixture(scope="module")
def replicas():
    """Untrained networks whose logits vary, since they have the running means of a few images."""
    made = {r: networks.build(NAME, seed=r) for r in (3, 8)}
    for network in made.values():
        with torch.no_grad():
            network(torch.randn(8, 1, 32, 32, generator=torch.manual_seed(0)))
    return made


def run(replicas, camera, splits, conditions=CONDITIONS, batch_size=4, **options):
    return evaluation.evaluate(
        replicas, camera, loaded(splits), conditions, batch_size, "float32", **options
    )


@pytest.fixture(scope="module")
def record(replicas, camera, splits):
    return run(replicas, camera, splits)


@pytest.fixture
def formed(monkeypatch):
    """The specimen and the condition id of each pass of evaluation that forms images."""
    seen = []
    counts = Acquisition.counts

    def watch(self, split, condition, draw=0, chunk=64):
        seen.append((split.structures.specimen, condition.id))
        return counts(self, split, condition, draw, chunk=chunk)

    monkeypatch.setattr(Acquisition, "counts", watch)
    return seen


# Counts


def test_confusion_by_hand():
    logits = torch.tensor([[3.0, 1.0, -1.0, 2.0, 0.0, -2.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    masks = torch.tensor([[1.0, 1.0, 1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    counts = evaluation.confusion(logits.reshape(2, 1, 2, 3), masks.reshape(2, 1, 2, 3))
    assert counts.tolist() == [[2, 1, 2], [0, 6, 0]]  # a logit of 0 is no particle
    assert counts.dtype == torch.int64


def test_confusion_is_that_of_a_loop_over_pixels():
    random = np.random.default_rng(0)
    logits, masks = random.normal(size=(3, 1, 9, 9)), random.integers(2, size=(3, 1, 9, 9))
    expected = [
        [
            sum(1 for v, m in zip(image.flat, mask.flat, strict=True) if (v > 0, m) == kind)
            for kind in ((True, 1), (True, 0), (False, 1))
        ]
        for image, mask in zip(logits, masks, strict=True)
    ]
    found = evaluation.confusion(torch.tensor(logits), torch.tensor(masks, dtype=torch.float32))
    assert found.tolist() == expected


# Prediction


def test_prediction_is_of_a_network_that_does_not_train():
    network = networks.build(NAME)
    images = torch.randn(4, 1, 16, 16)
    whole = evaluation.predict(network, images, "float32")
    assert not whole.requires_grad
    one = evaluation.predict(network, images[:1], "float32")
    torch.testing.assert_close(one, whole[:1])  # no statistics of the batch


def test_prediction_does_not_change_the_network():
    network = networks.build(NAME)
    state = {name: (t.clone(), t.stride()) for name, t in network.state_dict().items()}
    evaluation.predict(network, torch.randn(2, 1, 16, 16), "bfloat16")
    assert network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name][0])
        assert tensor.stride() == state[name][1]


def test_bfloat16_prediction_is_close_and_comes_back_as_float32():
    images = torch.randn(2, 1, 32, 32)
    full, half = (
        evaluation.predict(networks.build(NAME), images, p) for p in ("float32", "bfloat16")
    )
    assert half.dtype == full.dtype == torch.float32
    assert not torch.equal(half, full)
    torch.testing.assert_close(half, full, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_auto_precision_is_the_devices(monkeypatch, name):
    images = torch.randn(1, 1, 32, 32)
    expected = evaluation.predict(networks.build(NAME), images, name)
    monkeypatch.setattr(devices, "precision", lambda *_: name)
    assert torch.equal(evaluation.predict(networks.build(NAME), images, "auto"), expected)


# Records


def test_record_is_labelled(record):
    assert record.counts.dims == ("replica", "test_specimen", "test", "structure", "outcome")
    assert record.counts.dtype == np.uint32
    assert record.counts.attrs["units"] == "pixels"
    assert record.replica.values.tolist() == [3, 8]
    assert record.test_specimen.values.tolist() == ["gold", "silver"]
    assert record.test.values.tolist() == IDS
    assert record.outcome.values.tolist() == ["tp", "fp", "fn"]


@pytest.mark.parametrize("normalisation", ["zscore", "vacuum"])
def test_record_is_that_of_a_direct_loop(replicas, microscope, splits, normalisation):
    camera = Acquisition.from_microscope(microscope, normalisation, torch.device("cpu"))
    record = run(replicas, camera, splits)
    assert len(np.unique(record.counts.sel(outcome="tp"))) > 20  # networks that see something
    for r, network in replicas.items():
        for specimen, split in splits.items():
            for condition in CONDITIONS:
                logits = evaluation.predict(network, camera.images(split, condition), "float32")
                np.testing.assert_array_equal(
                    record.counts.sel(replica=r, test_specimen=specimen, test=condition.id),
                    evaluation.confusion(logits, split.masks),
                )


def test_counts_add_up_to_the_masks(record, splits):
    for specimen, split in splits.items():
        found = record.counts.sel(test_specimen=specimen, outcome=["tp", "fn"]).sum("outcome")
        np.testing.assert_array_equal(
            found, np.broadcast_to(split.masks.sum((1, 2, 3)), found.shape)
        )


@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
def test_batch_size_changes_nothing(replicas, camera, splits, record, batch_size):
    other = run(replicas, camera, splits, batch_size=batch_size)
    assert other.counts.identical(record.counts)
    # The last bit of a logit depends on the number of images in a forward pass.
    xr.testing.assert_allclose(other, record, rtol=1e-5, atol=1e-4)


def test_order_of_conditions_changes_nothing(replicas, camera, splits, record):
    other = run(replicas, camera, splits, CONDITIONS[::-1])
    assert other.test.values.tolist() == IDS[::-1]
    assert other.sel(test=IDS).identical(record)


def test_images_are_formed_once_for_all_networks(replicas, camera, splits, formed):
    run(replicas, camera, splits)
    assert sorted(formed) == sorted((s, id) for s in splits for id in IDS)


def test_progress_wraps_the_cells(replicas, camera, splits):
    seen = []

    def progress(items):
        for item in items:
            seen.append(item)
            yield item

    run(replicas, camera, splits, progress=progress)
    assert len(seen) == len(CONDITIONS) * len(splits)


def test_only_wanted_cells_are_computed(replicas, camera, splits, record, formed):
    wanted = np.array([[True, False, False, True], [False, True, False, False]])
    found = run(replicas, camera, splits, wanted=wanted)
    assert formed == [("gold", IDS[0]), ("gold", IDS[3]), ("silver", IDS[1])]
    expected = np.where(wanted[None, :, :, None, None], record.counts, 0)
    np.testing.assert_array_equal(found.counts, expected)


def test_record_says_on_which_kind_of_device_it_was_made(record, camera):
    assert json.loads(record.devices) == [devices.describe(camera.imager.device)]


def test_record_survives_the_disk(tmp_path, record):
    path = tmp_path / "record.zarr.zip"
    records.write({"a": record}, path, {})
    assert records.read(path, "a").drop_attrs().identical(record.drop_attrs())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedError, match="not a whole store of record"):
        records.read(path)


def test_a_record_of_a_newer_format_is_not_written_over(tmp_path, record, monkeypatch):
    path = tmp_path / "record.zarr.zip"
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "FORMAT", integrity.FORMAT + 1)
        records.write({"a": record}, path, {})
    with pytest.raises(NewerError, match="its format is "):
        records.read(path)


def test_networks_of_several_conditions_share_images(replicas, camera, splits, record, formed):
    shared = evaluation.SharedImages()
    for _ in range(2):
        assert run(replicas, camera, splits, shared=shared).identical(record)
    assert len(formed) == len(splits) * len(IDS)


def test_shared_images_keep_the_first_that_fit(replicas, camera, splits, record, formed):
    split = splits["gold"]
    shared = evaluation.SharedImages(3 * len(split) * 4 * camera.imager.image.px**2)
    for _ in range(2):
        assert run(replicas, camera, splits, shared=shared).identical(record)
    pairs = [(specimen, id) for specimen in splits for id in IDS]
    assert formed == [*pairs, *pairs[3:]]


def test_shared_images_have_their_own_normalisation(microscope, splits):
    shared, split = evaluation.SharedImages(), splits["gold"]
    for name in ("zscore", "vacuum"):
        camera = Acquisition.from_microscope(microscope, name, torch.device("cpu"))
        images = torch.cat(list(shared.batches(camera, split, CONDITIONS[0], 2)))
        assert torch.equal(images, camera.images(split, CONDITIONS[0]))


# Together with training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_reloaded_network_has_the_validation_dice_of_its_history(
    tmp_path, make_split, camera, condition, precision
):
    train, val = make_split(12, "train"), make_split(6, "val")
    settings = Training(precision=precision, batch_size=4, epochs=3, learning_rate=0.02)
    done = training.train(NAME, camera, (train, val), condition, settings, {0: 1})[0]
    files.save({0: done.weights}, tmp_path / "net.safetensors", weights_metadata(architecture=NAME))
    weights, _ = networks.load(tmp_path / "net.safetensors")
    record = evaluation.evaluate(
        {0: networks.restore(NAME, weights[0])},
        camera,
        loaded({"gold": val}),
        [condition],
        16,
        precision,
    )
    tolerance = 1e-6 if precision == "float32" else 0.02
    assert 0.05 < done.best.val_dice < 1
    assert dice(record.counts.values).mean() == pytest.approx(done.best.val_dice, abs=tolerance)


def test_network_sees_counts_normalised_by_the_conditions_dose(camera, splits, microscope):
    """Vacuum-normalised images of two doses have the same mean, but their counts have not."""
    camera = Acquisition.from_microscope(microscope, "vacuum", torch.device("cpu"))
    seen = {}

    class Probe(torch.nn.Module):
        def forward(self, images):
            seen.setdefault("means", []).append(images.mean().item())
            return images

    evaluation.evaluate(
        {0: Probe()}, camera, loaded({"gold": splits["gold"]}), CONDITIONS[:2], 64, "float32"
    )
    split = splits["gold"]
    expected = [
        normalise(next(camera.counts(split, c)), "vacuum", c.dose_e_per_A2 * 0.4**2).mean().item()
        for c in CONDITIONS[:2]
    ]
    assert seen["means"] == pytest.approx(expected)
    assert abs(expected[0] - expected[1]) < 0.02


# Particles


class Discs(torch.nn.Module):
    """A network whose second output says where the first image of a specimen has its particles."""

    def __init__(self, labels):
        super().__init__()
        self.labels = torch.as_tensor(labels[:, None].astype(np.float32))

    def forward(self, images):
        shown = self.labels[: len(images)]
        return torch.cat([shown - 0.5, shown], 1)


class Further:
    """A head that reads its particles, and their diameters, from a further output."""

    def decode(self, logits, pixel_nm):
        assert logits.dtype == np.float32
        labels = logits[1].astype(np.int32)
        return SimpleNamespace(labels=labels, diameters_nm=np.full(labels.max(), 2.0))


def test_particles_are_counted_for_networks_with_a_head(camera, make_split):
    splits = {name: make_split(5, "test", name) for name in ("gold", "silver")}
    labels = visible(splits["gold"].instances.swapaxes(0, 1))
    replicas = {2: Discs(labels), 5: Discs(0 * labels)}
    record = run(replicas, camera, splits, batch_size=5, head=Further())
    assert record.particles.dtype == np.uint32
    assert record.particles.dims == (*records.CELL, "structure", "truth", "number")
    assert record.particles.attrs["missing"] == NO_NUMBER
    pixel_nm = camera.imager.image.pixel_A / 10
    for s, split in enumerate(splits.values()):
        truths = [Truth.of(each, pixel_nm) for each in split.instances]
        for r, shown in enumerate((labels, 0 * labels)):
            expected = [
                count(truth, image, np.full(image.max(), 2.0))
                for truth, image in zip(truths, shown, strict=True)
            ]
            for t in range(len(CONDITIONS)):
                np.testing.assert_array_equal(record.particles.values[r, s, t], expected)
    assert record.particles.sel(number="matched").sum() > 0
    # The numbers of pixels are those of the first output.
    assert (record.counts.sel(outcome="tp", replica=2, test_specimen="gold") > 0).all()
    assert (record.counts.sel(outcome=["tp", "fp"], replica=5) == 0).all()


def test_a_record_of_networks_without_a_head_has_pixels_alone(record):
    assert list(record.data_vars) == ["counts"]
    assert "number" not in record.coords


def test_particles_of_a_part_of_the_images_are_in_their_place(camera, make_split):
    split = make_split(5, "test", "gold")
    network = {0: Discs(visible(split.instances.swapaxes(0, 1)))}
    whole = run(network, camera, {"gold": split}, batch_size=5, head=Further())
    wanted = np.array([[False, True, False, False]])
    part = run(network, camera, {"gold": split}, batch_size=5, head=Further(), wanted=wanted)
    found, expected = part.particles.values, whole.particles.values
    assert (found[:, ~wanted] == 0).all()
    np.testing.assert_array_equal(found[:, wanted], expected[:, wanted])
