"""Losses, and learners of single and vectorized networks: their state and their best epoch."""

import math
from dataclasses import asdict

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from passband.config import Microscope, Training
from passband.config.architectures import parse
from passband.config.base import key
from passband.imaging.acquisition import Acquisition
from passband.learning import backend, devices, schedules
from passband.learning.batches import Batches, Images
from passband.learning.evaluation import confusion
from passband.learning.learner import Learner, Trained
from passband.learning.losses import entropy_dice
from passband.scores import dice

CPU = torch.device("cpu")
NAME = "compact-w4-d2"


def settings(**changes):
    return Training(**({"precision": "float32", "batch_size": 4, "epochs": 3} | changes))


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# Loss


def test_loss_by_hand():
    # p = 1/2 and 3/4. Cross-entropy: (ln 2 + ln 4)/2; Dice loss: 1 − 2·(1/2)/(5/4 + 1) = 5/9.
    logits = torch.tensor([0.0, math.log(3)]).reshape(1, 1, 1, 1, 2)
    masks = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 1, 2)
    entropy = 1.5 * math.log(2)
    for weight in (0, 1, 2.5):
        value = entropy_dice(logits, masks, settings(dice_weight=weight))
        assert value.shape == (1,)
        assert value.item() == pytest.approx(entropy + weight * 5 / 9)


def test_dice_loss_is_of_the_whole_batch_and_of_one_network():
    logits = torch.tensor([[20.0, 20.0], [-20.0, -20.0]]).reshape(1, 2, 1, 1, 2)
    masks = torch.tensor([[1.0, 1.0], [1.0, 0.0]]).reshape(1, 2, 1, 1, 2)

    def dice_loss(logits, masks):
        both, entropy = (entropy_dice(logits, masks, settings(dice_weight=x)) for x in (1, 0))
        return both - entropy

    # The loss of the batch is 1 − 2·2/(2 + 3) = 1/5; the mean over images would be 1/2.
    assert dice_loss(logits, masks).item() == pytest.approx(1 / 5, abs=1e-5)
    both = dice_loss(torch.cat([logits, -logits]), torch.cat([masks, masks]))
    # With opposite signs, the second network finds one of three pixels: 1 − 2·1/(2 + 3).
    assert both.tolist() == pytest.approx([1 / 5, 3 / 5], abs=1e-5)


def test_loss_is_computed_in_float32():
    logits = torch.randn(1, 2, 1, 4, 4, generator=torch.manual_seed(0)).bfloat16()
    masks = (torch.arange(32.0).reshape(1, 2, 1, 4, 4) > 15).float()
    value = entropy_dice(logits, masks, settings())
    assert value.dtype == torch.float32
    assert value.item() == entropy_dice(logits.float(), masks, settings()).item()


def test_loss_and_gradient_at_the_ends_are_finite():
    logits = torch.tensor([-200.0, 200.0, 0.0]).reshape(1, 1, 1, 1, 3).requires_grad_()
    for masks in (torch.zeros(1, 1, 1, 1, 3), torch.ones(1, 1, 1, 1, 3)):
        value = entropy_dice(logits, masks, settings())
        value.sum().backward()
        assert torch.isfinite(value).all()
        assert torch.isfinite(logits.grad).all()


# Stacked and alone


class Course:
    """Learners that train on batches of a few structures."""

    def __init__(self, make_split, px, instances, **changes):
        microscope = Microscope(field_px=px, pixel_size_A=0.4, focal_members=3)
        condition = make_split.condition
        camera = Acquisition.from_microscope(microscope, "zscore", CPU)
        self.settings = settings(**changes)
        self.batches = Batches(
            Images(camera, make_split(8, "train", px=px), condition, instances=instances),
            self.settings,
        )
        self.held_out = Images(camera, make_split(5, "val", px=px), condition, instances=instances)

    def learner(self, architecture, seeds):
        return Learner(architecture, seeds, self.settings, len(self.batches), CPU)

    def run(self, learner, epochs=None, steps=None):
        """Train to the end, or for the given numbers of epochs and steps."""
        for epoch in range(learner.epoch, epochs or self.settings.epochs):
            for pair in self.batches.epoch(list(learner.seeds), epoch):
                learner.step(*pair)
            for places in torch.arange(5).split(3):
                learner.validate(*self.held_out.take(places.numpy()))
            learner.close_epoch(1.0)
        return learner


@pytest.fixture
def course(make_split, condition):
    def make(px=32, instances=False, **changes):
        make_split.condition = condition
        return Course(make_split, px, instances, **changes)

    return make


SEEDS = {0: 11, 1: 12, 5: 13}


def descent(settings, parameters):
    """Return an optimizer of gradient descent with momentum, in place of Adam."""
    return torch.optim.SGD(parameters, lr=settings.learning_rate, momentum=0.9)


def difference(one: Trained, other: Trained) -> float:
    """Return the largest relative difference of weights and running statistics of two networks."""
    return max(
        ((a.double() - other.weights[name].double()).abs().max() / (1 + a.abs().max())).item()
        for name, a in one.weights.items()
    )


@pytest.mark.parametrize(
    ("name", "px", "rate", "precision", "tolerance"),
    [
        (NAME, 32, 0.02, "float32", 1e-5),
        (NAME, 32, 0.02, "bfloat16", 2e-3),
        (f"{NAME}+votes", 32, 0.005, "float32", 1e-5),
        # Deep networks magnify what rounding leaves at every step, more at a larger rate.
        pytest.param("unet-resnet18", 64, 0.002, "float32", 5e-4, marks=pytest.mark.slow),
        pytest.param("unet-resnet18+votes", 64, 0.001, "float32", 5e-4, marks=pytest.mark.slow),
        pytest.param("unet-resnet18", 64, 0.002, "bfloat16", 2e-2, marks=pytest.mark.slow),
    ],
)
def test_vectorized_replicas_equal_separate_replicas(
    course, monkeypatch, name, px, rate, precision, tolerance
):
    """With gradient descent, the weights are equal except for rounding errors.

    Adam divides by the gradient's size. If a gradient is only a rounding error, rounding decides
    the direction of the step.
    """
    monkeypatch.setattr(backend, "WIDEST", 0)
    seeds = dict(list(SEEDS.items())[: 2 if px > 32 else 3])
    monkeypatch.setattr(schedules, "optimizer", descent)
    how = {"learning_rate": rate, "schedule": "cosine"}
    how["epochs"] = 2 if name.startswith("compact") else 1
    made = course(px, instances="+" in name, precision=precision, **how)
    stacked = made.run(made.learner(name, seeds)).trained()
    assert list(stacked) == list(seeds)
    for replica, its_seed in seeds.items():
        alone = made.run(made.learner(name, {replica: its_seed})).trained()[replica]
        assert alone.weights.keys() == stacked[replica].weights.keys()
        assert any("running_mean" in key for key in alone.weights) == ("-in-" not in name)
        assert difference(alone, stacked[replica]) < tolerance
        for row, other in zip(alone.history, stacked[replica].history, strict=True):
            assert asdict(row) == pytest.approx(
                asdict(other), rel=10 * tolerance, abs=max(1e-3, 10 * tolerance)
            )
        assert not alone.vectorized
        assert stacked[replica].vectorized
    first, second, *_ = stacked.values()
    assert difference(first, second) > 1e-2


def test_a_loss_that_compiled_functions_do_not_know_is_trained_by_torch(course, monkeypatch):
    """The networks learn the new loss, as they would without compiled functions."""

    class Later(Training):
        square_weight: float = key(0.0, "A weight.", since="9.0.0")

    def later_loss(logits, masks, given):
        square = (logits.float().sigmoid() - masks).square().mean((1, 2, 3, 4))
        return entropy_dice(logits, masks, given) + getattr(given, "square_weight", 0.0) * square

    def trained(**weight) -> Trained:
        made = course(precision="auto", epochs=1)
        made.settings = Later(**made.settings.model_dump(), **weight)
        learner = made.learner(NAME, {0: 11})
        assert learner.compiled == (not weight and backend.WIDEST > 0)
        return made.run(learner).trained()[0]

    monkeypatch.setattr("passband.learning.losses.entropy_dice", later_loss)
    monkeypatch.setattr(devices, "precision", lambda name, device: "float32")
    before, after = trained(), trained(square_weight=5.0)
    assert difference(before, after) > 1e-3
    monkeypatch.setattr(backend, "WIDEST", 0)
    assert same(trained(square_weight=5.0).weights, after.weights)


WORK = ("convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm")


class Computed(TorchDispatchMode):
    """Records the input types of convolutions and matrix products, and of their gradients."""

    def __init__(self):
        super().__init__()
        self.types = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        if name in WORK:
            found = {x.dtype for x in args if isinstance(x, torch.Tensor)}
            self.types[name] = self.types.get(name, set()) | found
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((NAME, precision) for precision in devices.DTYPES),
        # It has linear layers.
        pytest.param("segformer-resnet18", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_vectorized_replicas_compute_in_their_precision(name, precision, monkeypatch):
    """Training, its gradients and prediction compute in this precision, but the loss does not."""
    monkeypatch.setattr(backend, "WIDEST", 0)
    px, dtype = parse(name).smallest_px, devices.DTYPES[precision]
    images, masks = torch.rand(2, 2, 1, px, px), torch.zeros(2, 2, 1, px, px)
    learner = Learner(name, {0: 1, 1: 2}, settings(precision=precision), 2, CPU)
    with Computed() as computed:
        logits = learner.networks.forward(images)
        value = entropy_dice(logits, masks, learner.settings)
        value.sum().backward()
        predicted = learner.networks.predict(images[0])
    assert {"convolution", "convolution_backward"} <= computed.types.keys()
    assert name == NAME or {"mm", "addmm", "bmm", "baddbmm"} & computed.types.keys()
    assert set.union(*computed.types.values()) == {dtype}
    assert logits.dtype == predicted.dtype == dtype
    assert value.dtype == torch.float32
    for parameter in learner.networks.parameters.values():
        assert parameter.dtype == parameter.grad.dtype == torch.float32


def test_vectorized_replicas_with_adam_are_as_good(course):
    made = course(epochs=2, learning_rate=0.01)
    stacked = made.run(made.learner(NAME, SEEDS)).trained()
    for replica, its_seed in SEEDS.items():
        alone = made.run(made.learner(NAME, {replica: its_seed})).trained()[replica]
        assert alone.best.val_loss == pytest.approx(stacked[replica].best.val_loss, rel=0.02)


@pytest.mark.slow
def test_networks_with_dropout_are_not_vectorized(course):
    made = course(64)
    learner = made.learner("fpn-resnet18", {0: 1, 1: 2})
    with pytest.raises(RuntimeError, match="random"):
        learner.step(*next(made.batches.epoch([1, 2], 0)))


# State


@pytest.mark.parametrize("seeds", [{4: 9}, SEEDS], ids=["alone", "stacked"])
def test_restored_learner_gives_exactly_the_same_weights(course, seeds):
    made = course(precision="bfloat16" if len(seeds) == 1 else "float32")
    through = made.run(made.learner(NAME, seeds))
    before = made.run(made.learner(NAME, seeds), epochs=1)
    batches = list(made.batches.epoch(list(seeds), 1))
    before.step(*batches[0])
    tensors, progress = before.state()
    after = made.learner(NAME, seeds)
    after.restore({k: t.clone() for k, t in tensors.items()}, progress)
    assert (after.epoch, after.steps, after.steps_left) == (1, 3, 1)
    # The trained networks of the epoch before, which the new step does not change.
    for replica, trained in before.trained().items():
        assert same(after.trained()[replica].weights, trained.weights)
    after.step(*batches[1])
    for places in torch.arange(5).split(3):
        after.validate(*made.held_out.take(places.numpy()))
    after.close_epoch(1.0)
    made.run(after)
    for replica, trained in through.trained().items():
        assert same(after.trained()[replica].weights, trained.weights)
        assert after.trained()[replica].history == trained.history


def test_loss_scale_of_float16_is_kept(course):
    made = course(precision="float16")
    one, other = (made.learner(NAME, {0: 1}) for _ in range(2))
    one.step(*next(made.batches.epoch([1], 0)))
    tensors, progress = one.state()
    assert progress["scaler"]["scale"] > 1
    progress["scaler"]["scale"] = 128.0
    other.restore(tensors, progress)
    assert other.state()[1]["scaler"]["scale"] == 128.0


# Best epoch


def closed(learner, losses):
    """End epochs with given losses, a list for each replica. Return the weights of each epoch."""
    weights = []
    for at in zip(*losses, strict=True):
        for name in ("head.weight", "head.bias"):
            learner.networks.tensors[name].add_(1)
        weights.append({k: t.clone() for k, t in learner.networks.tensors.items()})
        learner._sums.losses.append(torch.tensor(at))
        learner._sums.counts.append(torch.ones(len(at), 1, 3, dtype=torch.int64))
        learner._sums.images += 1
        learner.steps += learner.steps_per_epoch
        learner.close_epoch(1.0)
        if learner.done:
            break
    return weights


def test_weights_are_each_replicas_best_epochs(course):
    nan = math.nan
    learner = course(epochs=4).learner(NAME, SEEDS)
    weights = closed(learner, [[nan, 2.0, 3.0, 2.0], [3.0, 2.0, 1.0, 1.5], [1.0, nan, 2.0, 3.0]])
    best = {0: 1, 1: 2, 5: 0}
    for place, (replica, trained) in enumerate(learner.trained().items()):
        assert trained.best.epoch == best[replica]
        expected = {k: t[place] for k, t in weights[best[replica]].items()}
        assert same(trained.weights, expected)


def test_all_epochs_are_run(course):
    learner = course(epochs=4).learner(NAME, {0: 1})
    closed(learner, [[1.0, 2.0, 3.0, 4.0]])
    assert learner.done
    assert learner.epoch == 4


def test_history_is_of_all_validation_images(course):
    """Losses of batches of 3 and 2 images have the weights 3 and 2. Dice is a mean over images."""
    made = course(epochs=1)
    learner = made.run(made.learner(NAME, {0: 3}))
    (row,) = learner.trained()[0].history
    images, masks = made.held_out.take(torch.arange(5).numpy())
    with torch.inference_mode():
        logits = torch.cat([learner.networks.predict(part)[0] for part in images.split(3)])
    parts = zip(logits.split(3), masks.split(3), strict=True)
    losses = [entropy_dice(a[None], b[None], made.settings).item() * len(a) for a, b in parts]
    assert row.val_loss == pytest.approx(sum(losses) / 5, rel=1e-5)
    assert row.val_dice == pytest.approx(dice(confusion(logits, masks).numpy()).mean())
    assert list(asdict(row)) == [
        "epoch", "learning_rate", "train_loss", "val_loss", "val_dice", "seconds",
    ]  # fmt: skip


# Compilation


def test_failing_compiler_is_a_warning_and_changes_nothing(course, monkeypatch, caplog):
    def broken(function, **options):
        def fail(*arguments):
            raise RuntimeError("no compiler\nhere")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(backend, "WIDEST", 0)
    made = course(epochs=1)
    for seeds in ({0: 1}, SEEDS):
        plain, compiled = (made.learner(NAME, seeds) for _ in range(2))
        compiled.networks.compile()
        one, other = made.run(plain).trained(), made.run(compiled).trained()
        assert all(same(one[r].weights, other[r].weights) for r in seeds)
    assert [r.getMessage() for r in caplog.records] == 2 * [
        "torch.compile failed; networks are trained without it: RuntimeError: no compiler here"
    ]
