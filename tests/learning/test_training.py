"""Training of a job's networks: the loop, interruptions, single and vectorized replicas."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from passband import PassbandError, log_lines
from passband.config import Microscope, Spread, Training
from passband.imaging.acquisition import Acquisition
from passband.learning import backend, callbacks, losses, training
from passband.learning.callbacks import CheckpointCallback
from passband.learning.deadline import StopCondition, StoppedError
from passband.learning.learner import Learner
from passband.learning.training import ImageDataModule, ReplicaModule
from passband.storage import FullError, lease
from passband.storage import weights as files
from passband.store import checkpoints

pytestmark = pytest.mark.slow

NAME = "compact-w4-d2"


def settings(**changes):
    return Training(**({"precision": "float32", "batch_size": 4, "epochs": 3} | changes))


@pytest.fixture(scope="module")
def splits(make_split):
    return make_split(10, "train"), make_split(6, "val")


@pytest.fixture
def fit(camera, splits, condition):
    """The function that trains networks.

    ``fit(seed)`` trains one network, and ``fit({replica: seed, …})`` trains several networks.
    """

    def train(seeds=1, options=None, *, together=None, **changes):
        many = seeds if isinstance(seeds, dict) else {0: seeds}
        options = {"together": together} | (options or {})
        made = training.train(NAME, camera, splits, condition, settings(**changes), many, **options)
        return made if isinstance(seeds, dict) else made[0]

    return train


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def timeless(history):
    return [replace(record, seconds=0.0) for record in history]


def alike(one, other):
    """Return whether the results of two trainings are exactly equal."""
    return one.keys() == other.keys() and all(
        same(one[r].weights, other[r].weights)
        and timeless(one[r].history) == timeless(other[r].history)
        for r in one
    )


# One network


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("compact-w8-d2", "float32"),
        pytest.param("compact-w8-d2", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_short_training_learns(make_split, camera, condition, name, precision):
    splits = make_split(48, "train"), make_split(12, "val")
    options = settings(epochs=12, learning_rate=0.02, precision=precision)
    done = training.train(name, camera, splits, condition, options, {0: 1})[0]
    assert done.history[-1].train_loss < done.history[0].train_loss / 2
    assert done.best.val_dice > 0.85
    # Batch normalisation counts its steps.
    numbers = {torch.int64} if name == "compact-w8-d2" else set()
    assert {v.dtype for v in done.weights.values()} == {torch.float32, *numbers}


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


@pytest.mark.parametrize("together", [False, True])
def test_images_are_formed_once_for_all_replicas_and_epochs(fit, monkeypatch, together):
    formed = []
    intensities = Acquisition.intensities

    def record(self, split, condition, draw=0, chunk=64):
        formed.append((split.structures.split, len(split)))
        return intensities(self, split, condition, draw, chunk)

    monkeypatch.setattr(Acquisition, "intensities", record)
    made = fit({0: 1, 1: 2}, epochs=3, together=together)
    assert formed == [("train", 10), ("val", 6)]
    for trained in made.values():
        assert [row.epoch for row in trained.history] == [0, 1, 2]


def shown(monkeypatch, train):
    """Return the exact training and validation batches that each replica sees, in order."""
    seen = {}
    step, validate = Learner.step, Learner.validate

    def stepped(self, images, masks):
        for replica, *pair in zip(self.seeds, images, masks, strict=True):
            seen.setdefault(("trained", replica), []).append([x.numpy().tobytes() for x in pair])
        step(self, images, masks)

    def validated(self, *pair):
        for replica in self.seeds:
            seen.setdefault(("validated", replica), []).append([x.numpy().tobytes() for x in pair])
        validate(self, *pair)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", stepped)
        patch.setattr(Learner, "validate", validated)
        train()
    return seen


def test_images_go_by_the_replica_and_not_by_the_architecture(
    camera, splits, condition, monkeypatch
):
    def seen(name, seeds):
        run = (name, camera, splits, condition, settings(epochs=2), seeds)
        return shown(monkeypatch, lambda: training.train(*run, together=False))

    one, other = seen(NAME, {0: 1, 3: 2}), seen("compact-w2-d1", {0: 5, 3: 6})
    assert one == other
    assert one["validated", 0] == one["validated", 3]
    first, second = one["trained", 0], one["trained", 3]
    assert not {image for image, _ in first} & {image for image, _ in second}


def test_a_network_is_its_number_and_its_seed(fit):
    """With the same initial weights, a replica with another number trains on different images."""
    one, same_number, other = (fit({r: 1}, epochs=1)[r].weights for r in (0, 0, 1))
    assert same(one, same_number)
    assert not same(one, other)


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
    fit({0: 1, 3: 2}, epochs=2, together=False)
    epoch = [(name, n) for name in ("replica 0", "replica 3") for n in (4, 4, 2)]
    epoch += [(name, "validated", 6) for name in ("replica 0", "replica 3")]
    assert seen == epoch * 2


def test_trainer_fits_a_module_with_a_data_module_of_all_batches(fit, monkeypatch):
    """Lightning runs the loop, and all batches come from the loaders of the data module."""
    given, batches = [], {"train": 0, "validation": 0}
    real = lightning.Trainer.fit

    def record(self, module, **named):
        given.extend((module, named["datamodule"]))
        return real(self, module, **named)

    def counted(kind, method):
        def each(self):
            for batch in method(self):
                batches[kind] += 1
                yield batch

        return each

    monkeypatch.setattr(lightning.Trainer, "fit", record)
    for kind, name in (("train", "_training_batches"), ("validation", "_validation_batches")):
        monkeypatch.setattr(ImageDataModule, name, counted(kind, getattr(ImageDataModule, name)))
    fit(epochs=2)
    module, data = given
    assert isinstance(module, ReplicaModule)
    assert isinstance(module, lightning.LightningModule)
    assert isinstance(data, lightning.LightningDataModule)
    assert batches == {"train": 2 * 3, "validation": 2}
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert isinstance(loader, torch.utils.data.DataLoader)


def test_train_loss_is_the_mean_over_steps(fit, monkeypatch):
    values = []
    real = losses.entropy_dice

    def record(*arguments):
        value = real(*arguments)
        if torch.is_grad_enabled():
            values.append(value.item())
        return value

    monkeypatch.setattr(losses, "entropy_dice", record)
    monkeypatch.setattr(backend, "WIDEST", 0)
    done = fit(epochs=2)
    assert len(values) == 6
    assert done.history[0].train_loss == pytest.approx(np.mean(values[:3]), rel=1e-6)
    assert done.history[1].train_loss == pytest.approx(np.mean(values[3:]), rel=1e-6)


def test_learning_rates_are_the_schedules(fit):
    done = fit(schedule="exponential", learning_rate=0.01, decay=0.5)
    assert [row.learning_rate for row in done.history] == pytest.approx([0.01, 0.005, 0.0025])


def test_dropout_is_seeded_and_leaves_the_global_generator_alone(make_split, condition):
    """fpn-resnet18 has dropout, which draws from torch's global generator."""
    microscope = Microscope(field_px=64, pixel_size_A=0.4, focal_members=3)
    camera = Acquisition.from_microscope(microscope, "zscore", torch.device("cpu"))
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


# Replicas


def test_replicas_one_after_another_equal_single_replicas_exactly(fit):
    many = fit({0: 1, 7: 2}, together=False)
    assert list(many) == [0, 7]
    for replica, network_seed in ((0, 1), (7, 2)):
        alone = fit({replica: network_seed})
        assert alike(alone, {replica: many[replica]})
        assert not many[replica].vectorized


def test_compiled_replicas_together_equal_replicas_alone_exactly(fit, monkeypatch):
    monkeypatch.setattr(training, "_step_time_ratio", lambda *_: pytest.fail("timed"))
    together = fit({0: 1, 7: 2})
    apart = fit({0: 1, 7: 2}, together=False)
    assert alike(together, apart)
    assert [network.vectorized for network in together.values()] == [True, True]
    assert [network.vectorized for network in apart.values()] == [False, False]


@pytest.mark.parametrize(("ratio", "stacked"), [(0.84, True), (0.86, False), (1.5, False)])
def test_choice_goes_by_the_clock_with_a_margin(fit, monkeypatch, caplog, ratio, stacked):
    monkeypatch.setattr(backend, "WIDEST", 0)
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr(training, "_step_time_ratio", lambda *_: ratio)
    caplog.set_level("INFO", "passband")
    made = fit({0: 1, 1: 2}, epochs=1)
    assert [trained.vectorized for trained in made.values()] == [stacked, stacked]
    words = "vectorized" if stacked else "one after another"
    assert f"replicas: {words}; a vectorized step takes {ratio:.2f} of the time" in caplog.text
    always = fit({0: 1, 1: 2}, epochs=1, together=stacked)
    assert alike(made, always)  # what was timed leaves no trace


def test_real_steps_are_timed(fit, monkeypatch):
    monkeypatch.setattr(backend, "WIDEST", 0)
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    found = []
    real = training._step_time_ratio
    monkeypatch.setattr(
        training, "_step_time_ratio", lambda *a: found.append(real(*a)) or found[-1]
    )
    fit({0: 1, 1: 2}, epochs=1)
    assert len(found) == 1
    assert 0 < found[0] < np.inf


def test_short_trainings_and_single_networks_are_not_timed(fit, monkeypatch):
    monkeypatch.setattr(backend, "WIDEST", 0)
    monkeypatch.setattr(training, "_step_time_ratio", lambda *_: pytest.fail("timed"))
    assert not fit({0: 1, 1: 2}, epochs=1)[0].vectorized
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    assert not fit(1, epochs=1).vectorized
    assert not fit({0: 1, 1: 2}, epochs=1, together=False)[0].vectorized


def test_replicas_that_cannot_be_vectorized_are_trained_one_after_another(fit, monkeypatch, caplog):
    monkeypatch.setattr(backend, "WIDEST", 0)
    caplog.set_level("INFO", "passband")

    def fail(*_):
        raise RuntimeError("called random operation\nwhile in randomness error mode")

    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr("passband.learning.vectorized.VectorizedNetworks.forward", fail)
    assert not fit({0: 1, 1: 2}, epochs=1)[1].vectorized
    assert "one after another, since they cannot be vectorized: called random" in caplog.text


# Interruptions


class After(StopCondition):
    """A callback that saves nothing and stops after a number of steps or epochs."""

    def __init__(self, ticks):
        super().__init__(1e9)
        self.ticks = ticks

    @property
    def reason_to_stop(self):
        self.ticks -= 1
        return "the test" if self.ticks <= 0 else ""


@pytest.mark.parametrize("together", [pytest.param(False, marks=pytest.mark.slow), True])
def test_training_stopped_at_every_step_ends_with_the_same_bits(fit, tmp_path, together):
    seeds = {0: 1, 1: 2}
    through = fit(seeds, together=together)
    for ticks in (1, 3):
        attempts = 1
        while True:
            options = {"folder": tmp_path, "digest": "x", "stop": After(ticks)}
            try:
                done = fit(seeds, options, together=together)
                break
            except StoppedError:
                attempts += 1
        assert attempts >= 3
        assert alike(done, through)
        for file in tmp_path.iterdir():
            file.unlink()


@pytest.mark.parametrize("noise", ["fresh", "fixed"])
def test_spread_images_go_on_where_memory_has_become_short(
    splits, condition, microscope, tmp_path, noise
):
    """Images are in memory before the interruption. After it, they are formed for every batch.

    The number of replicas in the job does not change the result either.
    """
    spread = Spread(focus_nm=3.0, dose=0.2)
    camera = Acquisition.from_microscope(
        microscope.model_copy(update={"spread": spread}), "zscore", torch.device("cpu")
    )
    how = settings(noise=noise, epochs=2)

    def run(seeds, **options):
        options = {"together": False} | options
        return training.train(NAME, camera, splits, condition, how, seeds, **options)

    through = run({1: 1, 2: 2})
    state = {"folder": tmp_path, "digest": "x"}
    with pytest.raises(StoppedError):
        run({1: 1, 2: 2}, stop=After(4), **state)
    assert alike(run({1: 1, 2: 2}, hold=False, **state), through)
    assert alike(run({2: 2}, hold=False), {2: through[2]})


def test_state_of_another_digest_is_not_gone_on_from(fit, tmp_path):
    for digest in ("x", "y"):
        with pytest.raises(StoppedError):
            fit(1, {"folder": tmp_path, "digest": digest, "stop": After(4)}, epochs=2)
    (file,) = tmp_path.iterdir()
    assert checkpoints.load(file, "y")[1]["steps"] == 4  # and not 7


def test_choice_is_kept(fit, tmp_path, monkeypatch):
    monkeypatch.setattr(backend, "WIDEST", 0)
    monkeypatch.setattr(training, "WORTH_TIMING", 1)
    monkeypatch.setattr(training, "_step_time_ratio", lambda *_: 0.5)
    options = {"folder": tmp_path, "digest": "x"}
    with pytest.raises(StoppedError):
        fit({0: 1, 1: 2}, options | {"stop": After(2)}, epochs=1)
    monkeypatch.setattr(training, "_step_time_ratio", lambda *_: pytest.fail("timed again"))
    assert fit({0: 1, 1: 2}, options, epochs=1)[0].vectorized


WORDS = (
    "stopped in epoch 1 of 3: the time limit was reached; its state is saved, and the next attempt "
    "continues from there"
)


@pytest.mark.parametrize("also", [None, signal.SIGTERM])
def test_a_job_that_lost_its_lease_stops_and_saves_nothing(fit, tmp_path, monkeypatch, also):
    """If the job also received a signal, the job ends, and does not wait for the other job."""
    step, folder = Learner.step, tmp_path / "one.lease"
    heard = []
    monkeypatch.setattr(signal, "raise_signal", heard.append)
    monkeypatch.setattr(lease, "PULSE_S", 0.02)

    def losing(self, *pair):
        step(self, *pair)
        if self.steps == 2:
            while not (folder / "another").exists():  # a heartbeat may rename the file meanwhile
                for file in list(folder.iterdir()):
                    with contextlib.suppress(FileNotFoundError):
                        file.rename(folder / "another")
            if also:
                os.kill(os.getpid(), also)
            else:
                with contextlib.suppress(lease.LostError):
                    while True:  # until a heartbeat fails
                        lease.check()
                        time.sleep(0.01)
        assert self.steps == 2 or not (folder / "another").exists()

    def work():
        with lease.held(folder):
            fit(1, {"folder": tmp_path / "states", "digest": "x", "stop": StopCondition(1e9)})

    monkeypatch.setattr(Learner, "step", losing)
    with pytest.raises(lease.LostError):
        work()
    assert not (tmp_path / "states").exists()
    assert heard == ([also] if also else [])


def test_budget_stops_training_in_time(fit, tmp_path):
    options = {"folder": tmp_path, "digest": "x", "stop": StopCondition(1e9, budget=0.0)}
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
        with pytest.raises(StoppedError, match=f"stopped in epoch 2 of 3 by {number.name}"):
            fit(1, {"folder": tmp_path, "digest": "x"})
    assert signal.getsignal(number) is before
    done = fit(1, {"folder": tmp_path, "digest": "x"})
    assert alike({0: done}, {0: fit(1)})


@pytest.mark.parametrize(
    ("moment", "after", "saved"),
    [("on_train_batch_end", 1, 2), ("on_train_batch_end", 3, 3), ("on_validation_start", 6, 6)],
    ids=["after a step is over", "at the end of an epoch", "in validation"],
)
def test_a_signal_at_any_moment_saves_and_stops(fit, tmp_path, monkeypatch, moment, after, saved):
    """The job saves its state even though Lightning handles SIGTERM too, and would exit."""
    hook = getattr(CheckpointCallback, moment)

    def terminated(self, *arguments):
        hook(self, *arguments)
        if self._learners[0].steps == after:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointCallback, moment, terminated)
        with pytest.raises(StoppedError, match="by SIGTERM; its state is saved"):
            fit(1, {"folder": tmp_path, "digest": "x"})
    (file,) = tmp_path.iterdir()
    assert checkpoints.load(file, "x")[1]["steps"] == saved


def test_the_log_says_how_many_epochs_are_done(fit, monkeypatch, caplog):
    """The last epoch has no line, since the log then has the networks."""
    caplog.set_level("INFO", "passband")
    fit(epochs=4)
    assert "epoch" not in caplog.text  # it took less than seconds
    monkeypatch.setattr(callbacks, "EPOCH_EVERY_S", 0.0)
    fit({0: 1, 1: 2}, epochs=4, together=True)
    lines = [line for line in caplog.messages if line.startswith("epoch")]
    assert lines == [log_lines.epoch(done, 4) for done in (1, 2, 3)]


def test_saves_are_at_the_interval(fit, tmp_path, monkeypatch):
    saved = []
    real = checkpoints.save

    def save(path, digest, tensors, progress):
        saved.append(progress["steps"])
        real(path, digest, tensors, progress)

    monkeypatch.setattr(checkpoints, "save", save)
    fit(1, {"folder": tmp_path, "digest": "x", "stop": StopCondition(0.0)})
    # At every step but an epoch's last, which is saved once validation is done; the end needs none.
    assert saved == [1, 2, 3, 4, 5, 6, 7, 8]
    saved.clear()
    fit(2, {"folder": tmp_path, "digest": "y", "stop": StopCondition(1e9)})
    assert saved == []
    fit(2)
    assert saved == []  # nowhere to save


def test_a_full_disk_does_not_stop_training(fit, tmp_path, monkeypatch, caplog):
    """Only a next attempt would need the state that was not saved. This attempt can succeed."""

    def full(*_):
        raise FullError(tmp_path, OSError(errno.ENOSPC, ""))

    options = {"folder": tmp_path, "digest": "x"}
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", full)
        done = fit(1, options | {"stop": StopCondition(0.0)})
        assert caplog.text.count(f"not saved: {tmp_path}: no space left") == 8
        with pytest.raises(StoppedError, match="its state could not be saved: the disk is full"):
            fit(1, options | {"stop": StopCondition(1e9, budget=0.0)})
    assert alike({0: done}, {0: fit(1)})


def test_a_failure_in_training_is_no_interruption(fit, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(Learner, "validate", fail)
    with pytest.raises(ZeroDivisionError):
        fit(1, {"folder": tmp_path, "digest": "x"})


#: Runs one attempt of a training, in a process of its own, for each line that it reads.
#:
#: The process imports the libraries once and then forks, since each import takes seconds.
ATTEMPTS = """
import json, os, signal, sys, threading, time
from pathlib import Path
import torch
from synthetic import CPU, SEED, discs, weights_metadata
from passband.config import Microscope, Training
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import training
from passband.learning.deadline import StopCondition
from passband.learning.learner import Learner
from passband.storage import weights as files

def attempt(folder, together, kill_at, moment):
    # Kill this process after some steps, in the middle of the next step or save.
    calls, before, step = 0, 0.0, Learner.step

    def stepped(self, *pair):
        nonlocal calls, before
        if not calls:
            (folder / "begins").open("a").write(f"{self.steps} ")
        step(self, *pair)
        calls, now = calls + 1, time.monotonic()
        if calls == kill_at:
            wait = moment * (now - before)
            threading.Timer(wait, os.kill, (os.getpid(), signal.SIGKILL)).start()
        elif kill_at and calls == kill_at + 9:
            time.sleep(600)  # it is killed before
        before = now

    Learner.step = stepped
    microscope = Microscope(field_px=32, pixel_size_A=0.4, focal_members=3)
    camera = Acquisition.from_microscope(microscope, "zscore", CPU)
    splits = [
        Split.from_dataset(discs(n, s), Structures(SEED, "gold", s, microscope), CPU)
        for n, s in ((10, "train"), (6, "val"))
    ]
    settings = Training(precision="float32", batch_size=4, epochs=24)
    made = training.train(
        "compact-w4-d2", camera, splits, Condition(15, 1.2, 15, 1000), settings, {0: 1, 1: 2},
        together=together, folder=folder / "checkpoints", digest="x", stop=StopCondition(0.0),
    )
    weights = {r: trained.weights for r, trained in made.items()}
    files.save(weights, folder / "done.safetensors", weights_metadata((0, 1)))

torch.set_num_threads(1)
for line in sys.stdin:
    folder, *arguments = json.loads(line)
    child = os.fork()
    if not child:
        attempt(Path(folder), *arguments)
        sys.stdout.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_killed_training_ends_with_the_same_weights(tmp_path):
    """SIGKILL ends two attempts, each at a random moment. The third attempt ends normally."""
    helpers = str(Path(__file__).parents[1] / "helpers")
    process = subprocess.Popen(
        [sys.executable, "-c", ATTEMPTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([helpers, *sys.path])},
    )

    def attempt(folder, together, kill_at=0, moment=0.0):
        """Return the exit status of an attempt that is killed soon after step `kill_at`."""
        folder.mkdir(exist_ok=True)
        process.stdin.write(json.dumps([str(folder), together, kill_at, moment]) + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip() or process.communicate()[1]

    moments = random.Random(5)
    for together in (False, True):
        through, killed = (tmp_path / f"{kind}-{together}" for kind in ("through", "killed"))
        assert attempt(through, together) == "0"
        for _ in range(2):
            # The training has 72 steps, and twice as many if replicas are trained separately.
            when = moments.randint(2, 7), moments.uniform(0, 2)
            assert attempt(killed, together, *when) == str(-signal.SIGKILL)
            assert not (killed / "done.safetensors").exists()
        assert attempt(killed, together) == "0"
        begins = [int(steps) for steps in (killed / "begins").read_text().split()]
        assert begins[0] == 0 < begins[-1]
        assert begins == sorted(begins)
        one, other = (files.load(f / "done.safetensors")[0] for f in (through, killed))
        assert all(same(one[replica], other[replica]) for replica in (0, 1))
    _, errors = process.communicate()
    assert process.returncode == 0, errors


# SLURM


def test_lightning_leaves_slurm_to_snakemake(fit, monkeypatch):
    """Otherwise Lightning would handle signals under SLURM, and would requeue the job."""
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

    def record(self, *arguments, **named):
        found.append(type(self._accelerator_connector.cluster_environment).__name__)
        return real(self, *arguments, **named)

    monkeypatch.setattr(lightning.Trainer, "fit", record)
    fit(epochs=1)
    assert found == ["LightningEnvironment"]


def test_training_writes_no_files(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(epochs=1)
    assert os.listdir(tmp_path) == []
