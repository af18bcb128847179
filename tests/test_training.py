"""Training one network."""

import math
import os
import warnings

import lightning
import numpy as np
import pytest
import torch

from passband import networks, training
from passband.config import Microscope, Training
from passband.evaluation import confusion
from passband.examples import Camera
from passband.scores import dice
from passband.training import Epochs, Segmentation, Trained, loss, turn

NAME = "compact-w4-d2"


def settings(**changes):
    return Training(**({"precision": "float32", "batch_size": 4, "epochs": 3} | changes))


@pytest.fixture(scope="module")
def splits(make_split):
    return make_split(10, "train"), make_split(6, "val")


@pytest.fixture
def fit(camera, splits, condition):
    def train(network_seed=1, **changes):
        return training.train(NAME, camera, splits, condition, settings(**changes), network_seed)

    return train


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# Loss


def test_loss_by_hand():
    # p = 1/2 and 3/4. Cross-entropy: (ln 2 + ln 4)/2; Dice loss: 1 − 2·(1/2)/(5/4 + 1) = 5/9.
    logits = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 2)
    masks = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    entropy = 1.5 * math.log(2)
    for weight in (0, 1, 2.5):
        assert loss(logits, masks, weight).item() == pytest.approx(entropy + weight * 5 / 9)


def test_dice_loss_is_of_the_whole_batch():
    logits = torch.tensor([[20.0, 20.0], [-20.0, -20.0]]).reshape(2, 1, 1, 2)
    masks = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).reshape(2, 1, 1, 2)
    without = loss(logits, masks, 0).item()
    # Of the batch 1 − 2·2/(2 + 3) = 1/5; the mean over images would be 1/2.
    assert loss(logits, masks, 1).item() - without == pytest.approx(1 / 5, abs=1e-5)


def test_loss_is_computed_in_float32():
    logits = torch.randn(2, 1, 4, 4, generator=torch.manual_seed(0)).bfloat16()
    masks = (torch.arange(32.0).reshape(2, 1, 4, 4) > 15).float()
    value = loss(logits, masks, 1.0)
    assert value.dtype == torch.float32
    assert value.item() == loss(logits.float(), masks, 1.0).item()


def test_loss_of_empty_masks_is_finite():
    nothing = torch.full((1, 1, 2, 2), -200.0)
    assert torch.isfinite(loss(nothing, torch.zeros(1, 1, 2, 2), 1.0))


# Turns


def test_turns_are_the_eight_symmetries_of_the_square():
    image = torch.arange(9.0).reshape(1, 3, 3)
    turned = [turn(image, how) for how in range(8)]
    assert len({tuple(t.flatten().tolist()) for t in turned}) == 8
    distance = torch.cdist(*[torch.cartesian_prod(torch.arange(3.0), torch.arange(3.0))] * 2)
    for t in turned:  # symmetries keep every pixel's distance to every other
        order = t.flatten().long()
        assert torch.equal(distance[order][:, order], distance)
    assert torch.equal(turned[0], image)


# Epochs


def epochs(camera, split, condition, network_seed=1, **changes):
    return Epochs(camera, split, condition, settings(**changes), network_seed)


def origin(pair, images, masks):
    """Return the structure and the symmetry that a batch's image and mask come from."""
    found = [
        (i, how)
        for i in range(len(images))
        for how in range(8)
        if torch.equal(turn(images[i], how), pair[0])
    ]
    assert len(found) == 1
    (i, how) = found[0]
    assert torch.equal(turn(masks[i], how), pair[1]), "image and mask are turned differently"
    return i, how


def origins(batches, images, masks):
    return [origin(pair, images, masks) for batch in batches for pair in zip(*batch, strict=True)]


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(3, [3, 3, 4]), (4, [4, 4, 2]), (5, [5, 5]), (9, [10]), (10, [10]), (64, [10])],
)
def test_every_structure_is_in_an_epoch_exactly_once(camera, splits, condition, batch_size, sizes):
    """A last image that would be alone joins the batch before."""
    made = epochs(camera, splits[0], condition, augment=False, batch_size=batch_size)
    batches = list(made)
    assert len(made) == len(batches)
    assert [len(images) for images, _ in batches] == sizes
    images = camera.images(splits[0], condition)
    found = origins(batches, images, splits[0].masks)
    assert sorted(i for i, _ in found) == list(range(10))
    assert {how for _, how in found} == {0}


def test_images_and_masks_are_turned_alike_and_every_way(camera, splits, condition):
    made = epochs(camera, splits[0], condition, noise="fixed")
    images = camera.images(splits[0], condition)
    found = [origins(made, images, splits[0].masks) for _ in range(8)]
    assert all(sorted(i for i, _ in epoch) == list(range(10)) for epoch in found)
    assert {how for epoch in found for _, how in epoch} == set(range(8))
    assert len({tuple(epoch) for epoch in found}) == 8  # another order and other turns every time


def test_order_differs_between_epochs_and_between_seeds(camera, splits, condition):
    def order(made):
        images = camera.images(splits[0], condition)
        return [i for i, _ in origins(made, images, splits[0].masks)]

    one, other = (epochs(camera, splits[0], condition, s, noise="fixed") for s in (1, 2))
    orders = [order(one), order(one), order(other), order(other)]
    assert len({tuple(o) for o in orders}) == 4


def test_same_seed_makes_the_same_batches(camera, splits, condition):
    one, again = (epochs(camera, splits[0], condition) for _ in range(2))
    for _ in range(2):
        for (images, masks), (images2, masks2) in zip(one, again, strict=True):
            assert torch.equal(images, images2)
            assert torch.equal(masks, masks2)


def test_batches_do_not_depend_on_global_random_state(camera, splits, condition):
    torch.manual_seed(1)
    first = next(iter(epochs(camera, splits[0], condition)))[0]
    torch.manual_seed(2)
    assert torch.equal(next(iter(epochs(camera, splits[0], condition)))[0], first)


def test_fresh_noise_is_drawn_every_epoch_and_fixed_noise_once(camera, splits, condition):
    fresh = epochs(camera, splits[0], condition, augment=False, noise="fresh")
    fixed = epochs(camera, splits[0], condition, augment=False, noise="fixed")
    for epoch in range(3):
        of_epoch = camera.images(splits[0], condition, draw=epoch)
        found = origins(fresh, of_epoch, splits[0].masks)  # fails if an image is of another draw
        assert len(found) == 10
        assert len(origins(fixed, camera.images(splits[0], condition), splits[0].masks)) == 10


def test_every_epoch_of_a_training_is_drawn_once(camera, splits, condition, monkeypatch):
    draws = []
    images = Camera.images

    def record(self, split, condition, draw=0):
        draws.append((split.names[-1], draw))
        return images(self, split, condition, draw)

    monkeypatch.setattr(Camera, "images", record)
    done = training.train(NAME, camera, splits, condition, settings(epochs=4), 1)
    assert sorted(draws) == [("train", 0), ("train", 1), ("train", 2), ("train", 3), ("val", 0)]
    assert [row["epoch"] for row in done.history] == [0, 1, 2, 3]


def test_lightning_takes_every_batch_of_an_epoch_once(camera, splits, condition):
    made = epochs(camera, splits[0], condition, noise="fixed", epochs=2)
    seen = []

    class Watched(Segmentation):
        def training_step(self, batch, index):
            seen.append(len(batch[0]))
            return super().training_step(batch, index)

    validation = [(camera.images(splits[1], condition), splits[1].masks)]
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(
            Watched(networks.build(NAME), settings(epochs=2), len(made)),
            made,
            torch.utils.data.DataLoader(validation, batch_size=None),
        )
    assert seen == [4, 4, 2, 4, 4, 2]
    assert made.epoch == 2


# Training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_short_training_learns(make_split, camera, condition, precision):
    splits = make_split(48, "train"), make_split(12, "val")
    options = settings(epochs=12, learning_rate=0.02, precision=precision)
    done = training.train("compact-w8-d2", camera, splits, condition, options, 1)
    assert done.history[-1]["train_loss"] < done.history[0]["train_loss"] / 2
    assert done.best["val_dice"] > 0.85
    assert {v.dtype for v in done.weights.values()} == {torch.float32, torch.int64}


def test_same_seed_trains_the_same_network(fit):
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (that the global generators do not matter is the point)
    first = fit(epochs=2)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    again = fit(epochs=2)
    assert same(first.weights, again.weights)
    strip = [{k: v for k, v in row.items() if k != "seconds"} for row in first.history]
    assert strip == [{k: v for k, v in row.items() if k != "seconds"} for row in again.history]


def test_another_seed_trains_another_network(fit):
    assert not same(fit(1, epochs=1).weights, fit(2, epochs=1).weights)


def test_history_says_what_it_should(fit, splits):
    done = fit()
    assert [list(row) for row in done.history] == 3 * [
        ["epoch", "learning_rate", "train_loss", "val_loss", "val_dice", "seconds"]
    ]
    assert all(row["seconds"] > 0 and 0 <= row["val_dice"] <= 1 for row in done.history)


def validate(done, camera, splits, condition, batch):
    """Return loss and Dice of the returned weights on the validation images, by hand."""
    network = networks.restore(NAME, done.weights)
    images = camera.images(splits[1], condition)
    with torch.inference_mode():
        logits = torch.cat([network(part) for part in images.split(batch)])
    losses = [
        loss(a, b, 1.0).item() * len(a)
        for a, b in zip(logits.split(batch), splits[1].masks.split(batch), strict=True)
    ]
    counts = confusion(logits, splits[1].masks).numpy()
    return sum(losses) / len(images), dice(counts).mean()


@pytest.mark.parametrize("batch_size", [2, 4])  # validation in batches of 4 and 2, and in one
def test_returned_weights_have_the_lowest_loss_of_the_history(
    fit, camera, splits, condition, batch_size
):
    done = fit(epochs=5, learning_rate=0.05, schedule="constant", batch_size=batch_size)
    losses = [row["val_loss"] for row in done.history]
    assert done.best is done.history[int(np.argmin(losses))]
    value, score = validate(done, camera, splits, condition, 4 * batch_size)
    assert value == pytest.approx(min(losses), rel=1e-4)
    assert score == pytest.approx(done.best["val_dice"], abs=1e-6)


def test_dropout_is_seeded_and_leaves_the_global_generator_alone(make_split, condition):
    """fpn-resnet18 has dropout, which draws from torch's global generator."""
    microscope = Microscope(field_px=64, pixel_size_A=0.4, focal_members=3)
    camera = Camera.of(microscope, "zscore", torch.device("cpu"))
    splits = make_split(4, "train", px=64), make_split(2, "val", px=64)
    before = torch.random.get_rng_state()
    runs = []
    for state in (1, 2):
        torch.manual_seed(state)
        runs.append(
            training.train("fpn-resnet18", camera, splits, condition, settings(epochs=1), 5).weights
        )
        assert torch.initial_seed() == state
    torch.random.set_rng_state(before)
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_weights_are_those_of_the_best_epoch_and_not_of_the_last(fit, monkeypatch):
    """Validation losses are shifted so that the second of four epochs is the best for certain."""
    states, shifts = [], [3000, 0, 2000, 1000]
    real, end = training.loss, Segmentation.on_validation_epoch_end

    def shifted(*arguments):
        return real(*arguments) + (0 if torch.is_grad_enabled() else shifts[len(states)])

    def record(self):
        states.append({k: v.clone() for k, v in self.network.state_dict().items()})
        end(self)

    monkeypatch.setattr(training, "loss", shifted)
    monkeypatch.setattr(Segmentation, "on_validation_epoch_end", record)
    done = fit(epochs=4)
    assert done.best["epoch"] == 1
    assert same(done.weights, states[1])
    assert not same(states[1], states[3])


def test_train_loss_is_the_mean_over_steps(camera, splits, condition, monkeypatch):
    values = []
    real = training.loss

    def record(logits, masks, weight):
        value = real(logits, masks, weight)
        if torch.is_grad_enabled():
            values.append(value.item())
        return value

    monkeypatch.setattr(training, "loss", record)
    done = training.train(NAME, camera, splits, condition, settings(epochs=2), 1)
    assert len(values) == 6
    assert done.history[0]["train_loss"] == pytest.approx(np.mean(values[:3]), rel=1e-6)
    assert done.history[1]["train_loss"] == pytest.approx(np.mean(values[3:]), rel=1e-6)


def test_dice_weight_reaches_the_loss(camera, splits, condition, monkeypatch):
    weights = set()
    real = training.loss
    monkeypatch.setattr(
        training, "loss", lambda *arguments: weights.add(arguments[2]) or real(*arguments)
    )
    training.train(NAME, camera, splits, condition, settings(epochs=1, dice_weight=0.25), 1)
    assert weights == {0.25}


# Schedules


def test_constant_schedule_keeps_the_learning_rate(fit):
    done = fit(schedule="constant", learning_rate=0.003)
    assert [row["learning_rate"] for row in done.history] == [0.003] * 3


def test_exponential_schedule_multiplies_by_decay_every_epoch(fit):
    done = fit(schedule="exponential", learning_rate=0.01, decay=0.5)
    assert [row["learning_rate"] for row in done.history] == pytest.approx([0.01, 0.005, 0.0025])


def test_one_cycle_rises_to_the_learning_rate_and_falls(camera, splits, condition, monkeypatch):
    rates = []
    step = Segmentation.training_step

    def record(self, batch, index):
        rates.append(self.optimizers().param_groups[0]["lr"])
        return step(self, batch, index)

    monkeypatch.setattr(Segmentation, "training_step", record)
    training.train(
        NAME, camera, splits, condition, settings(epochs=10, batch_size=5, learning_rate=0.01), 1
    )
    assert len(rates) == 20
    top = int(np.argmax(rates))
    assert max(rates) == pytest.approx(0.01, rel=0.02)
    assert 3 <= top <= 8
    assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)
    assert rates[0] < 0.01 / 20
    assert rates[-1] < 0.01 / 1000


# SLURM


def test_lightning_leaves_slurm_to_snakemake(fit, monkeypatch):
    """Under SLURM, Lightning would take signals for itself and requeue the job."""
    for key, value in {
        "SLURM_NTASKS": "1",
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": "7",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }.items():
        monkeypatch.setenv(key, value)
    found = []
    real = lightning.Trainer.fit

    def record(self, *arguments):
        found.append(type(self._accelerator_connector.cluster_environment).__name__)
        return real(self, *arguments)

    monkeypatch.setattr(lightning.Trainer, "fit", record)
    fit(epochs=1)
    assert found == ["LightningEnvironment"]


def test_training_writes_no_files(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(epochs=1)
    assert os.listdir(tmp_path) == []


# Interrupted jobs


@pytest.fixture
def made():
    """A maker of networks that counts its calls."""

    class Maker:
        calls = 0

        def __call__(self):
            self.calls += 1
            history = [
                {"epoch": e, "val_loss": v, "val_dice": 0.5} for e, v in enumerate((2.0, 1.0, 3.0))
            ]
            return Trained({"a": torch.full((3,), float(self.calls))}, history)

    return Maker()


def test_finished_network_is_taken_over(tmp_path, made):
    path = tmp_path / "unfinished" / "000.safetensors"
    first = training.resumable(path, "context", made)
    again = training.resumable(path, "context", made)
    assert made.calls == 1
    assert same(again.weights, first.weights)
    assert again.history == first.history
    assert again.best == {"epoch": 1, "val_loss": 1.0, "val_dice": 0.5}


def test_network_of_another_context_is_made_anew(tmp_path, made):
    path = tmp_path / "000.safetensors"
    training.resumable(path, "context", made)
    assert training.resumable(path, "other", made).weights["a"][0] == 2
    assert training.resumable(path, "other", made).weights["a"][0] == 2
    assert made.calls == 2


def test_torn_file_is_made_anew(tmp_path, made):
    path = tmp_path / "000.safetensors"
    training.resumable(path, "context", made)
    path.write_bytes(path.read_bytes()[:-4])
    assert training.resumable(path, "context", made).weights["a"][0] == 2
    assert training.resumable(path, "context", made).weights["a"][0] == 2
    assert made.calls == 2


def test_interrupted_training_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    path = tmp_path / "000.safetensors"
    with pytest.raises(KeyboardInterrupt):
        training.resumable(path, "context", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_real_training_survives_the_disk(tmp_path, fit):
    path = tmp_path / "000.safetensors"
    first = training.resumable(path, "context", lambda: fit(epochs=1))
    again = training.resumable(path, "context", lambda: pytest.fail("trained again"))
    assert same(again.weights, first.weights)
    assert again.history == first.history
