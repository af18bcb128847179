"""Training a job's networks: the loop, interruptions, and replicas in step or stacked."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from passband import PassbandError, checkpoints, learner, networks, training
from passband.config import Microscope, Training
from passband.examples import Camera
from passband.learner import Learner
from passband.store import FullError
from passband.training import Clock, Keeper, StoppedError

NAME = "compact-w4-d2"


def settings(**changes):
    return Training(**({"precision": "float32", "batch_size": 4, "epochs": 3} | changes))


@pytest.fixture(scope="module")
def splits(make_split):
    return make_split(10, "train"), make_split(6, "val")


@pytest.fixture
def fit(camera, splits, condition):
    """``fit(seed)`` trains one network, ``fit({replica: seed, …})`` several."""

    def train(seeds=1, options=None, **changes):
        many = seeds if isinstance(seeds, dict) else {0: seeds}
        made = training.train(
            NAME, camera, splits, condition, settings(**changes), many, **(options or {})
        )
        return made if isinstance(seeds, dict) else made[0]

    return train


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def timeless(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def alike(one, other):
    """Whether two results are the same to the last bit."""
    return one.keys() == other.keys() and all(
        same(one[r].weights, other[r].weights)
        and timeless(one[r].history) == timeless(other[r].history)
        for r in one
    )


# One network


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_short_training_learns(make_split, camera, condition, precision):
    splits = make_split(48, "train"), make_split(12, "val")
    options = settings(epochs=12, learning_rate=0.02, precision=precision)
    done = training.train("compact-w8-d2", camera, splits, condition, options, {0: 1})[0]
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
    assert timeless(first.history) == timeless(again.history)


def test_another_seed_trains_another_network(fit):
    assert not same(fit(1, epochs=1).weights, fit(2, epochs=1).weights)


def test_every_epoch_is_drawn_once_for_all_replicas(fit, monkeypatch):
    draws = []
    images = Camera.images

    def record(self, split, condition, draw=0):
        draws.append((split.names[-1], draw))
        return images(self, split, condition, draw)

    monkeypatch.setattr(Camera, "images", record)
    for together in ("never", "always"):
        draws.clear()
        made = fit({0: 1, 1: 2}, epochs=3, replicas_together=together)
        # Stacking is tried on a batch of the first draw.
        assert sorted(set(draws)) == [("train", 0), ("train", 1), ("train", 2), ("val", 0)]
        assert len(draws) == 4
        for trained in made.values():
            assert [row["epoch"] for row in trained.history] == [0, 1, 2]


def test_every_step_and_validation_is_lightnings(fit, monkeypatch):
    seen = []
    step, validate = Learner.step, Learner.validate

    def stepped(self, images, masks):
        seen.append((self.name, len(images[0])))
        step(self, images, masks)

    def validated(self, images, masks):
        seen.append((self.name, "validated", len(images)))
        validate(self, images, masks)

    monkeypatch.setattr(Learner, "step", stepped)
    monkeypatch.setattr(Learner, "validate", validated)
    fit({0: 1, 3: 2}, epochs=2, replicas_together="never")
    epoch = [(name, n) for name in ("replica 0", "replica 3") for n in (4, 4, 2)]
    epoch += [(name, "validated", 6) for name in ("replica 0", "replica 3")]
    assert seen == epoch * 2


def test_train_loss_is_the_mean_over_steps(fit, monkeypatch):
    values = []
    real = learner.loss

    def record(*arguments):
        value = real(*arguments)
        if torch.is_grad_enabled():
            values.append(value.item())
        return value

    monkeypatch.setattr(learner, "loss", record)
    done = fit(epochs=2)
    assert len(values) == 6
    assert done.history[0]["train_loss"] == pytest.approx(np.mean(values[:3]), rel=1e-6)
    assert done.history[1]["train_loss"] == pytest.approx(np.mean(values[3:]), rel=1e-6)


def test_learning_rates_are_the_schedules(fit):
    done = fit(schedule="exponential", learning_rate=0.01, decay=0.5)
    assert [row["learning_rate"] for row in done.history] == pytest.approx([0.01, 0.005, 0.0025])


def test_dropout_is_seeded_and_leaves_the_global_generator_alone(make_split, condition):
    """fpn-resnet18 has dropout, which draws from torch's global generator."""
    microscope = Microscope(field_px=64, pixel_size_A=0.4, focal_members=3)
    camera = Camera.of(microscope, "zscore", torch.device("cpu"))
    splits = make_split(4, "train", px=64), make_split(2, "val", px=64)
    before = torch.random.get_rng_state()
    runs = []
    for state in (1, 2):
        torch.manual_seed(state)
        made = training.train("fpn-resnet18", camera, splits, condition, settings(epochs=1), {0: 5})
        runs.append(made[0].weights)
        assert torch.initial_seed() == state
    torch.random.set_rng_state(before)
    assert same(*runs)


def test_patience_ends_training(fit, monkeypatch):
    monkeypatch.setattr(
        learner, "loss", lambda logits, *_: logits.float().mean((1, 2, 3, 4)) * 0 + 1
    )
    made = fit({0: 1, 1: 2}, epochs=9, patience=3, replicas_together="never")
    assert [len(trained.history) for trained in made.values()] == [4, 4]
    assert made[0].best["epoch"] == 0


# Replicas


def test_one_after_another_is_to_the_last_bit_what_each_is_alone(fit):
    many = fit({0: 1, 7: 2}, replicas_together="never")
    assert list(many) == [0, 7]
    for replica, network_seed in ((0, 1), (7, 2)):
        alone = fit(network_seed)
        assert alike({0: alone}, {0: many[replica]})
        assert not many[replica].stacked


@pytest.mark.parametrize(("ratio", "stacked"), [(0.84, True), (0.86, False), (1.5, False)])
def test_choice_goes_by_the_clock_with_a_margin(fit, monkeypatch, caplog, ratio, stacked):
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr(training, "_ratio", lambda *_: ratio)
    caplog.set_level("INFO", "passband")
    made = fit({0: 1, 1: 2}, epochs=1)
    assert [trained.stacked for trained in made.values()] == [stacked, stacked]
    words = "stacked" if stacked else "one after another"
    assert f"replicas: {words}; stacked steps take {ratio:.2f} of the time" in caplog.text
    always = fit({0: 1, 1: 2}, epochs=1, replicas_together="always" if stacked else "never")
    assert alike(made, always)  # what was timed leaves no trace


def test_real_steps_are_timed(fit, monkeypatch):
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    found = []
    real = training._ratio
    monkeypatch.setattr(training, "_ratio", lambda *a: found.append(real(*a)) or found[-1])
    fit({0: 1, 1: 2}, epochs=1)
    assert len(found) == 1
    assert 0.05 < found[0] < 50


def test_short_trainings_and_single_networks_are_not_timed(fit, monkeypatch):
    monkeypatch.setattr(training, "_ratio", lambda *_: pytest.fail("timed"))
    assert not fit({0: 1, 1: 2}, epochs=1)[0].stacked
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    assert not fit(1, epochs=1).stacked
    assert not fit({0: 1, 1: 2}, epochs=1, replicas_together="never")[0].stacked


def test_what_cannot_be_stacked_is_trained_one_after_another(fit, monkeypatch, caplog):
    caplog.set_level("INFO", "passband")

    def fail(*_):
        raise RuntimeError("called random operation\nwhile in randomness error mode")

    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr("passband.stacking.Stack.forward", fail)
    assert not fit({0: 1, 1: 2}, epochs=1)[1].stacked
    assert "one after another, since they cannot be stacked: called random" in caplog.text
    with pytest.raises(PassbandError, match="replicas_together = 'always': these") as error:
        fit({0: 1, 1: 2}, epochs=1, replicas_together="always")
    assert "\n" not in str(error.value)


# Interruptions


class After(Clock):
    """Saves nothing, and stops after a number of steps or epochs."""

    def __init__(self, ticks):
        super().__init__(1e9)
        self.ticks = ticks

    @property
    def reason_to_stop(self):
        self.ticks -= 1
        return "the test" if self.ticks <= 0 else ""


@pytest.mark.parametrize("together", ["never", "always"])
def test_training_stopped_at_every_step_ends_with_the_same_bits(fit, tmp_path, together):
    seeds = {0: 1, 1: 2}
    through = fit(seeds, replicas_together=together)
    for ticks in (1, 3):
        attempts = 1
        while True:
            options = {"unfinished": tmp_path, "context": "x", "clock": After(ticks)}
            try:
                done = fit(seeds, options, replicas_together=together)
                break
            except StoppedError:
                attempts += 1
        assert attempts >= 3
        assert alike(done, through)
        for file in tmp_path.iterdir():
            file.unlink()


def test_state_of_another_context_is_not_gone_on_from(fit, tmp_path):
    for context in ("x", "y"):
        with pytest.raises(StoppedError):
            fit(1, {"unfinished": tmp_path, "context": context, "clock": After(4)}, epochs=2)
    (file,) = tmp_path.iterdir()
    assert checkpoints.load(file, "y")[1]["steps"] == 4  # and not 7


def test_choice_is_kept(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr(training, "_ratio", lambda *_: 0.5)
    options = {"unfinished": tmp_path, "context": "x"}
    with pytest.raises(StoppedError):
        fit({0: 1, 1: 2}, options | {"clock": After(2)}, epochs=1)
    monkeypatch.setattr(training, "_ratio", lambda *_: pytest.fail("timed again"))
    assert fit({0: 1, 1: 2}, options, epochs=1)[0].stacked


WORDS = (
    "stopped in epoch 1 of 3 for its time being up; its state is saved, and the next attempt goes "
    "on from there"
)


def test_budget_stops_training_in_time(fit, tmp_path):
    options = {"unfinished": tmp_path, "context": "x", "clock": Clock(1e9, budget=0.0)}
    with pytest.raises(PassbandError, match=WORDS):
        fit(1, options)
    (file,) = tmp_path.iterdir()
    assert checkpoints.load(file, "x")[1]["steps"] == 1  # a step is always taken


@pytest.mark.parametrize(
    ("number", "on_slurm"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)],
)
def test_a_signal_saves_and_stops(fit, tmp_path, monkeypatch, number, on_slurm):
    if on_slurm:
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        monkeypatch.setenv("SLURM_NTASKS", "1")
    step = Learner.step
    before = signal.getsignal(number)

    def terminated(self, *pair):
        step(self, *pair)
        if self.steps == 5:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", terminated)
        with pytest.raises(StoppedError, match=f"stopped in epoch 2 of 3 for {number.name}"):
            fit(1, {"unfinished": tmp_path, "context": "x"})
    assert signal.getsignal(number) is before
    done = fit(1, {"unfinished": tmp_path, "context": "x"})
    assert alike({0: done}, {0: fit(1)})


@pytest.mark.parametrize(
    ("moment", "after", "saved"),
    [("on_train_batch_end", 1, 2), ("on_train_batch_end", 3, 3), ("on_validation_start", 6, 6)],
    ids=["after a step is over", "at the end of an epoch", "in validation"],
)
def test_a_signal_at_any_moment_saves_and_stops(fit, tmp_path, monkeypatch, moment, after, saved):
    """Also when Lightning, which listens to SIGTERM too, would have left by itself."""
    hook = getattr(Keeper, moment)

    def terminated(self, *arguments):
        hook(self, *arguments)
        if self._learners[0].steps == after:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, moment, terminated)
        with pytest.raises(StoppedError, match="for SIGTERM; its state is saved"):
            fit(1, {"unfinished": tmp_path, "context": "x"})
    (file,) = tmp_path.iterdir()
    assert checkpoints.load(file, "x")[1]["steps"] == saved


def test_saves_are_at_the_interval(fit, tmp_path, monkeypatch):
    saved = []
    real = checkpoints.save

    def save(path, context, tensors, progress):
        saved.append(progress["steps"])
        real(path, context, tensors, progress)

    monkeypatch.setattr(checkpoints, "save", save)
    fit(1, {"unfinished": tmp_path, "context": "x", "clock": Clock(0.0)})
    # At every step but an epoch's last, which is saved once validation is done; the end needs none.
    assert saved == [1, 2, 3, 4, 5, 6, 7, 8]
    saved.clear()
    fit(2, {"unfinished": tmp_path, "context": "y", "clock": Clock(1e9)})
    assert saved == []
    fit(2)
    assert saved == []  # nowhere to save


def test_a_full_disk_is_no_reason_to_stop(fit, tmp_path, monkeypatch, caplog):
    """The save that fails is the next attempt's; this one may end well."""

    def full(*_):
        raise FullError(tmp_path, OSError(errno.ENOSPC, ""))

    options = {"unfinished": tmp_path, "context": "x"}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        done = fit(1, options | {"clock": Clock(0.0)})
        assert caplog.text.count(f"not saved: {tmp_path}: no space left") == 8
        with pytest.raises(StoppedError, match="its state could not be saved, for the disk is"):
            fit(1, options | {"clock": Clock(1e9, budget=0.0)})
    assert alike({0: done}, {0: fit(1)})


def test_a_failure_in_training_is_no_interruption(fit, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(Learner, "validate", fail)
    with pytest.raises(ZeroDivisionError):
        fit(1, {"unfinished": tmp_path, "context": "x"})


KILLED = """
import sys, pickle, torch
torch.set_num_threads(1)
sys.path[:0] = [{tests!r}]
from synthetic import CPU, SEED, discs
from passband import networks, training
from passband.config import Microscope, Training
from passband.examples import Camera, Split
from passband.grid import Condition
from pathlib import Path
camera = Camera.of(Microscope(field_px=32, pixel_size_A=0.4, focal_members=3), "zscore", CPU)
splits = [Split.from_dataset(discs(n, s), SEED, CPU) for n, s in ((10, "train"), (6, "val"))]
settings = Training(
    precision="float32", batch_size=4, epochs=24, replicas_together={together!r}
)
print("ready", flush=True)
made = training.train(
    "compact-w4-d2", camera, splits, Condition(15, 1.2, 15, 1000), settings, {{0: 1, 1: 2}},
    unfinished=Path({folder!r}) / "unfinished", context="x", clock=training.Clock(0.05),
)
weights = {{r: trained.weights for r, trained in made.items()}}
networks.save(weights, Path({folder!r}) / "done.safetensors", {{}})
"""


@pytest.mark.slow
@pytest.mark.parametrize("together", ["never", "always"])
def test_killed_training_ends_with_the_same_weights(tmp_path, together):
    """SIGKILL at random moments, at least five times, then left to end."""

    def start(folder):
        code = KILLED.format(
            tests=str(Path(__file__).parent), folder=str(folder), together=together
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    through, killed = tmp_path / "through", tmp_path / "killed"
    process = start(through)
    began = time.monotonic()
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    lasts = time.monotonic() - began
    moments, kills = random.Random(5), 0
    while not (killed / "done.safetensors").exists():
        process = start(killed)
        try:
            # From the sixth attempt on it may end.
            process.wait(timeout=moments.uniform(0.02, 0.25) * lasts if kills < 5 else 200)
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.communicate()
        assert kills <= 5
    assert kills >= 3
    one, other = (networks.load(f / "done.safetensors")[0] for f in (through, killed))
    assert all(same(one[replica], other[replica]) for replica in (0, 1))


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
