"""Two heads on one trunk, trained with equal steps: which finds more particles?

    python -m findings.heads.compare FOLDER     # goes on where it was stopped; 20 minutes

Both begin with the weights of `general-2026` and new further outputs, and see the same crops of the
same simulated fields. FOLDER keeps fields and networks. The fields of the test are the sets of
`findings/particles/sets.py` with the seeds for tuning.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from findings.particles import sets
from passband import config
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning import devices, networks
from passband.learning.heads.found import Head, opened
from passband.learning.instance_counts import Truth
from passband.learning.loss_of_study import LossOfStudy
from passband.learning.network_files import open_networks
from passband.learning.vectorized import SingleNetwork
from passband.micrographs.images.particles import instances as split_mask
from passband.specimens import exit_waves
from passband.storage import atomic

TRUNK = "general-2026"
#: The heads. The second one is in the folder `parts` here.
HEADS = "votes", "stars"
#: The seed of training fields, and how many there are of each set.
SEED = 3900
FIELDS = {"A": 20, "B": 40, "C": 20}
#: Images of each field, which differ in lens, dose and noise.
DRAWS = 4
STEPS = 2000
BATCH = 8
CROP_PX = 128
#: Highest learning rates, of the trunk and of new layers.
RATES = 1e-3, 4e-3
#: A network is kept every so many steps.
KEPT = 100
#: By how much `stars` must be better in set B to be kept.
MARGIN = 0.03
TABLE = Path("findings/heads/scores.csv")


def training_fields(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return normalised images (draw, field, y, x) and labels (field, face, y, x)."""
    cpu = torch.device("cpu")
    parts = []
    for name, number in FIELDS.items():
        file = folder / f"{name}.npz"
        if not file.exists():
            study = sets.study_of(name)
            split = f"heads {name}"
            gold = study.specimens["gold"]
            waves = exit_waves.simulate("gold", gold, study.microscope, SEED, split, range(number))
            structures = Structures(SEED, "gold", split, study.microscope)
            made = Split.from_dataset(waves, structures, cpu)
            camera = Acquisition.from_microscope(study.microscope, "zscore", cpu)
            (condition,) = study.train_conditions
            draws = [camera.images(made, condition, draw)[:, 0].numpy() for draw in range(DRAWS)]
            with atomic.replacing(file) as beside, beside.open("wb") as opened_file:
                np.savez(opened_file, images=np.stack(draws), instances=made.instances)
        with np.load(file) as kept:
            parts.append((kept["images"], kept["instances"]))
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images, axis=1), np.concatenate(labels)


def crops(
    images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return turned crops of periodic fields, with their masks and labels, as a batch."""
    made = []
    for field in rng.integers(len(labels), size=BATCH):
        shift = tuple(-rng.integers(labels.shape[-1], size=2))
        turns = rng.integers(4)
        mirror = rng.integers(2)
        image = images[rng.integers(len(images)), field]
        both = np.concatenate([image[None], labels[field]])
        both = np.roll(both, shift, (1, 2))[:, :CROP_PX, :CROP_PX]
        both = both[:, ::-1] if mirror else both
        made.append(np.rot90(both, turns, (1, 2)))
    batch = np.stack(made)
    numbers = torch.from_numpy(batch[:, 1:].astype(np.uint8))
    mask = (numbers > 0).any(1, keepdim=True).float()
    return torch.from_numpy(batch[:, :1].astype(np.float32)), mask, numbers


class Trained:
    """A network with a head, whose training goes on from a file."""

    def __init__(self, head: str):
        content = config.load(sets.STUDY).written()
        content["training"]["architectures"] = [f"compact-w8-d4+{head}"]
        self.study = config.validate(content, str(Path(__file__).with_name(f"head {head}")))
        self.study.known_parts.trust()
        (name,) = self.study.training.architectures
        architecture = self.study.training.architecture(name)
        self.head: Head = opened(architecture.head)
        self.module = networks.build(architecture, seed=SEED)
        (trunk,) = open_networks(TRUNK)
        further = self.module.further
        weights = trunk.module.state_dict()
        weights |= {f"further.{name}": each for name, each in further.state_dict().items()}
        self.module.load_state_dict(weights)
        new = {*map(id, further.parameters())}
        groups = [[], []]
        for parameter in self.module.parameters():
            groups[id(parameter) in new].append(parameter)
        self.optimizer = torch.optim.Adam([{"params": each} for each in groups])
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, [*RATES], total_steps=STEPS, pct_start=0.1
        )
        self.loss = LossOfStudy(self.study.training, architecture.head)
        self.steps = 0
        self.cpu_s = 0.0

    @property
    def _kept(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("module", "optimizer", "schedule")}

    def load(self, file: Path) -> None:
        if file.exists():
            state = torch.load(file)
            for name, each in self._kept.items():
                each.load_state_dict(state[name])
            self.steps = state["steps"]
            self.cpu_s = state["cpu_s"]

    def save(self, file: Path) -> None:
        state = {name: each.state_dict() for name, each in self._kept.items()}
        with atomic.replacing(file) as beside:
            torch.save(state | {"steps": self.steps, "cpu_s": self.cpu_s}, beside)

    def train(self, images: np.ndarray, labels: np.ndarray, file: Path) -> None:
        """Go on training to the last step; the crops of a step depend on its number alone."""
        precision = devices.precision("auto", torch.device("cpu"))
        network = SingleNetwork(self.module.train(), precision)
        losses = []
        while self.steps < STEPS:
            start = time.process_time()
            rng = np.random.default_rng([SEED, self.steps])
            x, mask, numbers = crops(images, labels, rng)
            loss = self.loss(network.forward(x[None]), mask, numbers).sum()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.steps += 1
            losses.append(loss.item())
            self.cpu_s += time.process_time() - start
            if self.steps % KEPT == 0 or self.steps == STEPS:
                self.save(file)
                print(f"{self.steps}: {np.mean(losses):.4f}, {self.cpu_s:.0f} s", flush=True)
                losses.clear()


@torch.inference_mode()
def logits(module: nn.Module, image: np.ndarray) -> np.ndarray:
    """Return the outputs of a network for an image of counts, (outputs, y, x) float32."""
    x = (image - image.mean()) / image.std(ddof=1)
    return module.eval()(torch.from_numpy(x.astype(np.float32))[None, None])[0].numpy()


def scores(trained: dict[str, Trained]) -> Iterator[dict]:
    """Yield the scores of each set: of the heads, and of the rule for masks in three masks."""
    (trunk,) = open_networks(TRUNK)
    for name in sets.SETS:
        made = sets.fields(name, "tuning")
        found: dict[str, sets.Score] = {}
        for image, instances in zip(made.images, made.instances, strict=True):
            truths = Truth.of(instances, made.pixel_nm)
            mask = instances.any(0)
            for head, each in {"": None, **trained}.items():
                outputs = logits(each.module if each else trunk.module, image)
                probability = 1 / (1 + np.exp(-outputs[0]))
                labels = split_mask(probability, made.pixel_nm, smallest_nm=0.5)
                score = found.setdefault(f"the mask of {head or TRUNK}", sets.Score(made.pixel_nm))
                score.add(labels, truths, mask)
                if each:
                    particles = each.head.decode(outputs, made.pixel_nm)
                    score = found.setdefault(head, sets.Score(made.pixel_nm))
                    score.add(particles.labels, truths, mask, particles.diameters_nm)
                    right = sets.is_right(truths["faces"], particles.labels)
                    score.confidences += zip(particles.certainty, right, strict=True)
        for method, score in found.items():
            yield dict(zip(sets.COLUMNS, [name, method, *score.cells()], strict=True))


def kept(table: pd.DataFrame) -> str:
    """Return the head that the rule of the page keeps."""
    in_b = table[table["set"] == "B"].set_index("particles of")["F1, both faces"]
    scores = {head: float(in_b[head].partition(" ")[0]) for head in HEADS}
    return "stars" if scores["stars"] - scores["votes"] >= MARGIN else "votes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps fields and networks")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    images, labels = training_fields(folder)
    trained = {}
    for head in HEADS:
        each = trained[head] = Trained(head)
        file = folder / f"{head}.pt"
        each.load(file)
        print(f"{head}: {each.steps} of {STEPS} steps", flush=True)
        each.train(images, labels, file)
    spent = {head: round(each.cpu_s) for head, each in trained.items()}
    print(json.dumps(spent))
    table = pd.DataFrame(scores(trained))
    table.to_csv(TABLE, index=False)
    print(table.to_string(index=False), kept(table), sep="\n")


if __name__ == "__main__":
    main()
