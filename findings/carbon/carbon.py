"""Tests whether networks of this package have the published asymmetry of doses.

    python -m findings.carbon.carbon run    # trains 36 networks, and writes their scores
    python -m findings.carbon.carbon [TABLE]  # writes findings/carbon/doses-carbon.csv

TABLE is dose_180_networks.csv, made from the notebooks of msa-em/hrtem-transfer-learning. With it,
the rows of the published networks are made again too. This file was committed before its networks
were trained.

For a pair of doses, let L(a, b) be how much worse a score is, under the dose b, for networks that
were trained at a than for networks that were trained at b. The asymmetry is L(low, high) minus
L(high, low). The published one is above 0: networks of a low dose fail at a high dose. Dice of the
twelve thousand networks has the other sign at equal lenses: 0.090 − 0.287.

**Question.** Which sign do four scores have, for carbon of 1 and 5 nm: Dice, the share of wrong
pixels, cross-entropy [nat a pixel], and the published loss? The published loss is cross-entropy
with the softmax applied twice, ln(1 + exp(1 − 2p)), where p is the probability of the true class,
minus its least value ln(1 + 1/e). A sign is that of the published networks if the asymmetry's 95%
interval between 30 and 600 e/Å² is above 0, the opposite one if it is below 0, and otherwise open.
Before any result, wrong pixels and the published loss were expected to have the published sign.

Intervals are percentile intervals of bootstrap samples of replicas and images. Networks are tested
on carbon of the thickness that they were trained on.
"""

import sys
from collections.abc import Sequence
from itertools import combinations
from math import exp, log1p
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from findings import committed
from findings.twelve_thousand.studies import finish
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.answers.likeness import StudyImages
from passband.config import load
from passband.grid import Condition
from passband.learning.evaluation import confusion, predict
from passband.learning.network_files import finished_networks, open_networks
from passband.reports import markdown
from passband.results import Results
from passband.scores import dice

FOLDER = Path("findings/carbon")
STUDIES = FOLDER / "studies"
NAME = "doses-carbon"
TABLE = FOLDER / f"{NAME}.csv"
#: The scores, each of which is larger for a worse network, and the words for them.
SCORES = {
    "dice_loss": "1 − Dice",
    "wrong": "share of wrong pixels",
    "entropy": "cross-entropy",
    "published": "published loss",
}
#: The networks of the published table.
PUBLISHED = "published"
#: The doses of the question [e/Å²].
LOW = 30
HIGH = 600
DRAWS, CONFIDENCE = 2000, 0.95
#: The least published loss.
LEAST = log1p(exp(-1))


def scores(logits: torch.Tensor, masks: torch.Tensor) -> dict[str, np.ndarray]:
    """Return the scores of each image (N,) for logits and masks (N, 1, H, W)."""
    counts, pixels = confusion(logits, masks).numpy(), masks[0].numel()
    entropy = binary_cross_entropy_with_logits(logits, masks.float(), reduction="none")
    p = torch.exp(-entropy)  # the probability of the true class
    twice = torch.log1p(torch.exp(1 - 2 * p)) - LEAST
    return {
        "dice_loss": 1 - dice(counts),
        "wrong": counts[:, 1:].sum(1) / pixels,
        "entropy": entropy.flatten(1).mean(1).numpy(),
        "published": twice.flatten(1).mean(1).numpy(),
    }


def carbon_nm(condition: Condition) -> float:
    """Return the thickness of carbon, which is 1 nm unless the condition has another."""
    return dict(condition.further).get("substrate_thickness_nm", 1.0)


def tested(results: Results) -> pd.DataFrame:
    """Return the scores of all networks of a study, a row for each test condition and image.

    Raises:
        PassbandError: If Dice is not that of the table of results, whose images then differ.
    """
    study, frames = results.study, []
    images = StudyImages(results, study.training.normalisation, study.training.architectures[0])
    (matrix,) = results.matrices()
    ids = finished_networks(results)
    networks = [network for id in ids for network in open_networks(results, id)]
    for condition in study.test_conditions:
        _, inputs, truth = images.images("gold", "test", condition)
        inputs, masks = (torch.from_numpy(each)[:, None] for each in (inputs, truth))
        for network in networks:
            trained = network.condition
            found = scores(predict(network.module, inputs, "float32"), masks)
            column = matrix.test.index(condition)
            replica = matrix.replicas.index(network.replica)
            expected = 1 - matrix.images(trained, [column])[replica, 0, : len(masks)]
            if np.abs(found["dice_loss"] - expected).max() > 0.01:  # a few pixels round otherwise
                raise PassbandError(f"{network.id}: Dice is not that of the table of results")
            row = {"carbon_nm": carbon_nm(trained), "train_dose": trained.dose_e_per_A2}
            row |= {"test_carbon_nm": carbon_nm(condition), "test_dose": condition.dose_e_per_A2}
            row |= {"replica": network.replica, "image": np.arange(len(masks))}
            frames.append(pd.DataFrame(row | found))
    return pd.concat(frames)


def losses(of: pd.DataFrame, score: str, trained: float, at: float) -> tuple[float, np.ndarray]:
    """Return L(trained, at), and its bootstrap samples.

    Args:
        of: Scores of networks of one thickness of carbon, tested on the same.
    """
    total, samples = 0.0, np.zeros(DRAWS)
    for dose, sign in ((trained, 1), (at, -1)):
        rows = of[(of.train_dose == dose) & (of.test_dose == at)]
        # (replica, image)
        D = rows.pivot(index="replica", columns="image", values=score).values
        # A training condition has the same sample of replicas in all differences.
        parts = [
            resample(n, DRAWS, "asymmetry of doses", name) / n
            for n, name in zip(D.shape, (f"replicas {dose:g}", "images"), strict=True)
        ]
        total += sign * D.mean()
        samples += sign * np.einsum("dr,ri,di->d", parts[0], D, parts[1])
    return total, samples


def parts(of: pd.DataFrame, score: str, low: float, high: float) -> list[np.ndarray]:
    """Return the part (replica, image) of the networks of each of two doses in the asymmetry."""
    found = []
    for trained, sign in ((low, 1), (high, -1)):
        rows = of[(of.train_dose == trained) & of.test_dose.isin([low, high])]
        # The networks of a dose are tested at both doses.
        sums = rows.groupby(["replica", "image"])[score].sum()
        found.append(sign * sums.unstack("image").values)
    return found


def asymmetry(of: pd.DataFrame, score: str, low: float, high: float) -> dict[str, float]:
    """Return the losses between two doses, their difference, and the ends of its interval."""
    up, up_samples = losses(of, score, low, high)
    down, down_samples = losses(of, score, high, low)
    ends = percentile_interval(up_samples - down_samples, interval_edges(CONFIDENCE))
    found = {"low_to_high": up, "high_to_low": down, "asymmetry": up - down}
    return found | dict(zip(("interval_low", "interval_high"), ends, strict=True))


def sign(row: dict[str, Any]) -> str:
    """Return which sign an asymmetry has."""
    if row["interval_low"] > 0:
        return "published"
    return "opposite" if row["interval_high"] < 0 else "open"


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each thickness of carbon, pair of doses and score."""
    rows = []
    for carbon, of in frame[frame.carbon_nm == frame.test_carbon_nm].groupby("carbon_nm"):
        for low, high in combinations(sorted(of.train_dose.unique()), 2):
            for score, words in SCORES.items():
                row = {"networks": f"carbon {carbon:g} nm", "low": low, "high": high}
                row |= {"score": words} | asymmetry(of, score, low, high)
                rows.append(row | {"sign": sign(row)})
    return rows


def table(rows: pd.DataFrame) -> str:
    """Return the asymmetry of each score between :data:`LOW` and :data:`HIGH` in Markdown.

    Args:
        rows: The rows of :func:`rows_of`.
    """
    of = rows[(rows.low == LOW) & (rows.high == HIGH)].set_index(["score", "networks"])
    networks = [name for name in of.index.unique("networks") if name != PUBLISHED]
    lines = []
    for score in SCORES.values():
        cells = [score]
        for name in networks:
            row = of.loc[score, name]
            value, *ends = (
                f"{row[key]:+z.3f}" for key in ("asymmetry", "interval_low", "interval_high")
            )
            cells.append(f"{value} ({' to '.join(ends)}): {row['sign']}")
        lines.append(cells)
    return markdown.table(["score", *networks], lines)


def published_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the published networks after pretraining, without intervals."""
    frame, start = pd.read_csv(path), "pretrain_validation_"
    means = frame.groupby("pretrain_dose")[[c for c in frame if c.startswith(start)]].mean()
    rows = []
    for low, high in combinations(means.index, 2):
        up = means.at[low, f"{start}{high}"] - means.at[high, f"{start}{high}"]
        down = means.at[high, f"{start}{low}"] - means.at[low, f"{start}{low}"]
        row = {"networks": PUBLISHED, "low": low, "high": high, "score": SCORES["published"]}
        row |= {"low_to_high": up, "high_to_low": down, "asymmetry": up - down}
        rows.append(row | {"sign": "published" if up > down else "opposite"})
    return rows


def main(words: Sequence[str]) -> int:
    """Train the networks, or write the table and print the page's; return the exit status."""
    path = STUDIES / f"{NAME}.csv"
    if list(words) == ["run"]:
        try:
            finish(NAME, 1, STUDIES)
            committed.write(
                tested(Results(load(STUDIES / f"{NAME}.yaml"), f"results/{NAME}")), path
            )
        except PassbandError as error:
            print(error, file=sys.stderr)
            return 1
        return 0
    made = pd.DataFrame(rows_of(pd.read_csv(path)))
    if words:
        published = pd.DataFrame(published_rows(Path(words[0])))
    else:  # those that are there stay
        published = pd.read_csv(TABLE).query(f"networks == '{PUBLISHED}'")
    committed.write(pd.concat([made, published]), TABLE)
    print(table(pd.read_csv(TABLE)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
