"""Which networks to train: one for all conditions, several, or one that is told the condition.

    python -m findings.train_this.train_this studies  # writes train-this-192.yaml and the like
    python -m findings.train_this.train_this train    # trains, and tests under the 144 tests
    python -m findings.train_this.train_this judge    # tests the chosen rows where none was chosen

All networks have the recipe of studies/twelve-thousand.yaml and, but for the last two rows, its
steps times 1, 4 or 16. A process that was interrupted continues with the networks that it lacks;
what each took is appended to the costs.csv of the twelve thousand. Only mixtures are in the
package; a study file has those of each number of steps, and ``passband run`` trains the same
networks. The other methods are here.

**Rows.** *Condition unknown at test*: `all`, a mixture over the ranges of the tests; `five`, one
over five conditions that `passband next` chooses among the twelve thousand's, after four that are
drawn; `all, test statistics`, whose batch normalisation has the statistics of the test images of
a condition. *Condition known*: `doses`, a mixture over doses at the asked lens; `lenses`, one over
lenses at the asked dose; `flipped`, the mixture `all` of images whose phases are flipped where the
transfer is negative; `told`, the same mixture for networks whose features are scaled and shifted
by functions of the condition (FiLM, Perez et al. 2018). *References*: `specialists`, networks of
the twelve thousand that were trained under the test condition; `best single`, the one condition of
them that is best on average.

**Hypothesis.** A row has a mean Dice of at least 0.885 over the 144 tests, and 0.78 in the 10th
percentile. **Choice.** In either group, of unknown and of known conditions, the row with the
highest mean Dice under the 144 tests, on the 8 old structures, is chosen. These two, specialists
and the best single condition are judged once, under the first 24 new tests of the locked set, in
the order in which they were drawn, and on 24 structures that no row has seen. What needs networks
of its own for each condition has one replica there. It is refuted for new conditions if the 95%
interval of a chosen row's mean Dice minus that of the specialists is not above −0.02, the margin of
the column `below`. Intervals are of bootstrap samples of tests.

**If time is short**, rows are left out from the end of this order: `all`, `lenses`, `flipped`,
`five`, `told` and `doses` at 768 steps, then 192 steps, then 3,072. `doses` needs two replicas of
48 networks: the second replica is the first to go.

This text was committed before any network of a row was trained. Then the machine was so busy that
networks took four to seven times their processor time. So less was judged than all 150 new tests
with two replicas: 60 tests were fixed when `all` and `lenses` had been tested at 768 steps, and 24
tests with one replica when all rows had; no Dice under new tests had been seen. With 3,072 steps,
`told` and `all` were put before the rest, and did not end in time.

After the result was known, specialists with as many steps as a chosen row were judged too: a row of
768 steps beside specialists of 192 says little. The other rows came out again as they were.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from findings import committed
from findings.choosing.next import START, Matrix
from findings.train_this.methods import KEPT, Bench
from findings.twelve_thousand import packed, pieces
from findings.twelve_thousand.studies import STUDIES as OTHER_STUDIES
from passband import PassbandError
from passband.analysis.bootstrap import interval_edges, percentile_interval, resample
from passband.axes import MAIN_AXES
from passband.config import Study, load, study_file
from passband.grid import Condition
from passband.mixtures import Mixture
from passband.prediction.range_of_use import ranges

FOLDER = Path("findings/train_this")
STUDIES = FOLDER / "studies"
RESULT = FOLDER / "train-this.csv"
#: What the networks took, beside the other studies with the recipe of the twelve thousand.
COSTS = OTHER_STUDIES / "costs.csv"
LOCKED = pieces.FOLDER / "locked/study.yaml"
#: The steps of the recipe.
FEWEST = 192
REPLICAS = 4
#: Rows, their steps and their replicas, in the order in which networks are trained.
ORDER = (
    *((row, 768, REPLICAS) for row in ("all", "lenses", "flipped", "five", "told")),
    ("doses", 768, 1),
    *((row, 192, REPLICAS) for row in ("all", "lenses", "flipped", "five", "told")),
    *((row, 3072, REPLICAS) for row in ("told", "all")),
    ("doses", 768, 2),
    *((row, 3072, REPLICAS) for row in ("lenses", "flipped", "five")),
)
SPECIALISTS, SINGLE, STATISTICS = "specialists", "best single", "all, test statistics"
GROUPS = {"unknown": ("all", STATISTICS, "five"), "known": ("lenses", "flipped", "told", "doses")}
#: The rows that have networks of their own for each lens or dose.
OWN = ("lenses", "doses")
#: New tests under which rows are judged, and replicas of those with networks for each condition.
JUDGED, OF_EACH = 24, 1
#: What judges: the numbers of structures that no row has seen.
NEW_STRUCTURES = range(8, 32)
DRAWS, CONFIDENCE, MARGIN = 2000, 0.95, 0.02
OLD_CELLS = "144 tests"


# ── Studies ──────────────────────────────────────────────────────────────────────────────────────


class Plain(yaml.SafeDumper):
    """Writes every value where it is, without references."""

    def ignore_aliases(self, _data) -> bool:
        return True


def points(conditions: Iterable[Condition]) -> list[dict[str, float]]:
    return [{name: getattr(each, name) for name in MAIN_AXES} for each in conditions]


def mixtures(whole: Study, five: Sequence[Condition], with_doses: bool) -> list[dict[str, Any]]:
    """Return the blocks of `grid` with the mixtures; those of doses are numbered by their lens."""
    tests = whole.test_conditions
    ends = {name: list(pair) for name, pair in ranges(tests).items()}
    blocks: list[dict[str, Any]] = [{"name": "all", "ranges": ends}]
    blocks.append({"name": "five", "points": points(five)})
    for dose in sorted({c.dose_e_per_A2 for c in tests}):
        one = ends | {"dose_e_per_A2": dose}
        blocks.append({"name": f"lenses-{dose:g}", "ranges": one})
    if with_doses:
        for number, lens in enumerate(lenses(tests)):
            one = dict(zip(MAIN_AXES, lens, strict=False)) | {
                "dose_e_per_A2": ends["dose_e_per_A2"]
            }
            blocks.append({"name": f"doses-{number:02d}", "ranges": one})
    return [{"mixture": block} for block in blocks]


def lenses(conditions: Iterable[Condition]) -> list[tuple[float, ...]]:
    """Return defocus, Cs and aperture of conditions, each lens once."""
    return list(dict.fromkeys(lens_of(each) for each in conditions))


def lens_of(condition: Condition) -> tuple[float, ...]:
    return tuple(getattr(condition, name) for name in list(MAIN_AXES)[:3])


def five_by_next(number: int = 5) -> list[Condition]:
    """Return conditions that `passband next` chooses after four that are drawn."""
    matrix = Matrix(pieces.DATA / "ood.zarr.zip", "gold")
    rows = matrix.chosen(START + number, 0)[START:]
    return [Condition.parse(str(matrix.train.ids[row])) for row in rows]


def write_studies(folder: Path = STUDIES) -> None:
    """Write a study file for each number of steps."""
    whole = load(pieces.WHOLE)
    five = five_by_next()
    single = Condition.parse(Known.read().single)
    for steps in sorted({steps for _, steps, _ in ORDER}):
        content = study_file.read(pieces.WHOLE)
        content["study"] |= {"name": f"train-this-{steps}", "replicas": REPLICAS}
        content["study"] |= {"replicas_per_job": REPLICAS, "conditions_per_job": 60}
        # A grid needs a condition beside its mixtures.
        doses = ("doses", steps, OF_EACH) in ORDER
        content["grid"] = [{"points": points([single])}, *mixtures(whole, five, doses)]
        content["test_grid"] = [whole.test_axes, {"points": points(five)}]
        content["training"]["epochs"] *= steps // FEWEST
        content["evaluation"] |= {"bootstrap": 0, "test_own": False}
        text = yaml.dump(content, Dumper=Plain, sort_keys=False, default_flow_style=None, width=100)
        head = f"# Written by {FOLDER}/train_this.py, before any of these networks was trained.\n"
        (folder / f"train-this-{steps}.yaml").write_text(head + text, encoding="utf-8")


# ── Rows ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def old_tests() -> list[Condition]:
    return load(pieces.WHOLE).test_conditions


def new_tests() -> list[Condition]:
    """Return the new tests of the locked set, in the order in which they were drawn."""
    _, new = study_file.read(LOCKED)["test_grid"]
    return [Condition(**point) for point in new["points"]]


def own_mixture(row: str, condition: Condition, study: Study) -> Mixture:
    """Return the mixture of doses at a condition's lens, or that of lenses at its dose.

    If a study has it, it is that of the study, so that its networks are those of ``passband run``.
    """
    lens = dict(zip(MAIN_AXES, lens_of(condition), strict=False))
    fixed = lens if row == "doses" else {"dose_e_per_A2": condition.dose_e_per_A2}
    ends = ranges(old_tests()) | {name: (value, value) for name, value in fixed.items()}
    made = Mixture(row, (), tuple((name, *pair) for name, pair in ends.items()), study.axes)
    return next((each for each in study.mixtures if each.ranges == made.ranges), made)


def dice_of(bench: Bench, row: str, tests: Sequence[Condition], replicas: int) -> np.ndarray:
    """Return Dice of a row, (replica, test, structure); its networks are trained if needed."""
    numbers, of = range(replicas), {each.name: each for each in bench.study.mixtures}
    if row == SPECIALISTS or row in OWN:
        parts: dict[int, np.ndarray] = {}
        under = {
            k: c if row == SPECIALISTS else own_mixture(row, c, bench.study)
            for k, c in enumerate(tests)
        }
        for each in dict.fromkeys(under.values()):
            places = [k for k, other in under.items() if other == each]
            D = bench.tested(bench.trained(each, numbers), [tests[k] for k in places])
            parts |= {k: D[:, place] for place, k in enumerate(places)}
        return np.stack([parts[k] for k in range(len(tests))], 1)
    if row == SINGLE:
        return bench.tested(bench.trained(bench.study.train_conditions[0], numbers), tests)
    kind = row if row in ("flipped", "told") else ""
    found = bench.trained(of["five" if row == "five" else "all"], numbers, kind)
    return bench.tested(found, tests, kind, row == STATISTICS)


@dataclass
class Known:
    """Dice of the twelve thousand networks under the old tests.

    Attributes:
        D: (train, test), means over replicas and structures.
        home: (train,), the same under the own condition.
    """

    D: np.ndarray
    home: np.ndarray
    train: list[str]
    test: list[str]

    @classmethod
    def read(cls) -> "Known":
        """Read the first replicas from the packed pieces."""
        D = []
        own = []
        train = []
        for matrix in packed.pieces():
            D.append(matrix.images()[:, :REPLICAS])
            own.append([matrix.home(row)[:REPLICAS] for row in matrix.rows])
            train += matrix.rows
        return cls(
            np.concatenate(D).mean((1, 3)),
            np.concatenate(own).mean((1, 2)),
            train,
            list(matrix.columns),
        )

    @property
    def single(self) -> str:
        """The id of the training condition that is best on average."""
        return self.train[int(self.D.mean(1).argmax())]

    def specialists(self, tests: Sequence[Condition]) -> np.ndarray:
        """Return Dice of networks under their own conditions, (test,)."""
        return self.home[[self.train.index(each.id) for each in tests]]


def score(D: np.ndarray, reference: np.ndarray, home: float) -> dict[str, float]:
    """Return the columns of a row.

    Args:
        D, reference: (test,), Dice of the row and of the specialists.
        home: Dice minus that of the specialists under the conditions of the row's training.
    """
    apart = D - reference
    means = resample(len(D), DRAWS, "train this", "tests") @ apart / len(D)
    low, high = percentile_interval(means, interval_edges(CONFIDENCE))
    return {
        "dice": D.mean(),
        "percentile_10": np.quantile(D, 0.1),
        "worst": D.min(),
        "below": (apart < -MARGIN).mean(),
        "home": home,
        "difference": apart.mean(),
        "low": low,
        "high": high,
    }


def chosen(frame: pd.DataFrame) -> list[tuple[str, int]]:
    """Return row and steps with the highest mean Dice under the old tests, for each group."""
    old = frame[frame.cells == OLD_CELLS]
    found = (old[old.row.isin(rows)].sort_values("dice").tail(1) for rows in GROUPS.values())
    return [(of.row, int(of.steps)) for each in found for of in each.itertuples()]


def study_of(steps: int) -> Study:
    return load(STUDIES / f"train-this-{steps}.yaml")


def old_rows(known: Known) -> list[dict[str, Any]]:
    """Return the rows under the old tests, of all networks that have been tested."""
    tests, single = old_tests(), known.train.index(known.single)
    there = known.specialists(tests)
    rows = [("", SPECIALISTS, FEWEST, REPLICAS, there, 0.0)]
    rows.append(("", SINGLE, FEWEST, REPLICAS, known.D[single], 0.0))
    for group, names in GROUPS.items():
        for path in sorted(KEPT.glob("*.npy")):
            row, _, steps = path.stem.rpartition("-")
            if row in names:
                D = np.load(path)
                replicas, D = len(D), D.mean((0, 2))
                study = study_of(int(steps))
                home = (D[: len(tests)] - there).mean()
                if row == "five":
                    (five,) = (each for each in study.mixtures if each.name == "five")
                    at = [c for c, _ in five.points]
                    home = D[len(tests) :].mean() - known.specialists(at).mean()
                rows.append((group, row, int(steps), replicas, D[: len(tests)], home))
    head = "known", "row", "steps", "replicas"
    return [
        dict(zip(head, of, strict=False)) | {"cells": OLD_CELLS} | score(of[4], there, of[5])
        for of in rows
    ]


def write(rows: Sequence[Mapping[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    frame["home"] = pd.to_numeric(frame["home"], errors="coerce")
    committed.write(frame, RESULT)
    print(table(pd.read_csv(RESULT, keep_default_na=False)), flush=True)


def train() -> None:
    """Train and test the rows in their order; write the table after each."""
    known, tests = Known.read(), old_tests()
    for row, steps, replicas in ORDER:
        names = (row, STATISTICS) if row == "all" else (row,)
        paths = [KEPT / f"{name}-{steps}.npy" for name in names]
        if all(path.exists() and len(np.load(path)) >= replicas for path in paths):
            continue
        with costs(f"train-this-{steps}", row) as bench:
            for name, path in zip(names, paths, strict=True):
                of = bench.study.mixtures
                five = [c for each in of if each.name == row == "five" for c, _ in each.points]
                np.save(path, dice_of(bench, name, [*tests, *five], replicas))
        write([*old_rows(known), *judged()])


def judged() -> list[dict[str, Any]]:
    """Return the rows under new tests that the file has."""
    if not RESULT.exists():
        return []
    frame = pd.read_csv(RESULT, keep_default_na=False)
    return frame[frame.cells != OLD_CELLS].to_dict("records")


@contextmanager
def costs(name: str, row: str, structures: range = range(8)) -> Iterator[Bench]:
    """Yield the bench of a study; what was done with it is appended to costs.csv."""
    bench, start = Bench(load(STUDIES / f"{name}.yaml"), structures=structures), time.monotonic()
    before, status = time.process_time(), 1
    try:
        yield bench
        status = 0
    finally:
        of = {f"{stage}_cpu_s": seconds for stage, seconds in bench.seconds.items()}
        others = time.process_time() - before - sum(of.values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        line = {"wall_s": time.monotonic() - start, **of, "aggregate_cpu_s": others}
        line |= {"snakemake_cpu_s": 0.0, "peak_memory_MB": peak}
        numbers = {key: f"{value:.1f}" for key, value in line.items()}
        pieces.append(COSTS, {"study": f"{name} {row}", "status": status, "runs": 1} | numbers)


def judge() -> None:
    """Test the chosen rows and the references under new tests and on new structures, once.

    A chosen row is also compared with specialists that were trained for as many steps.

    Raises:
        PassbandError: If they were judged before.
    """
    if judged():
        raise PassbandError(f"{RESULT}: has been judged; its result stands")
    frame = pd.read_csv(RESULT, keep_default_na=False)
    tests, D = new_tests()[:JUDGED], {}
    picked = chosen(frame)
    equal = [(SPECIALISTS, steps) for _, steps in picked]
    for row, steps in dict.fromkeys([*picked, (SPECIALISTS, FEWEST), *equal, (SINGLE, FEWEST)]):
        replicas = OF_EACH if row in OWN or row == SPECIALISTS else REPLICAS
        with costs(f"train-this-{steps}", f"judge {row}", NEW_STRUCTURES) as bench:
            D[row, steps, replicas] = dice_of(bench, row, tests, replicas).mean((0, 2))
    rows, there = [], D[SPECIALISTS, FEWEST, OF_EACH]
    ends = "difference", "low", "high"
    for (row, steps, replicas), of in D.items():
        group = next((group for group, names in GROUPS.items() if row in names), "")
        head = {"known": group, "row": row, "steps": steps, "replicas": replicas}
        head |= {"cells": f"{len(tests)} new"} | score(of, there, float("nan"))
        if (row, steps) in picked:
            as_long = score(of, D[SPECIALISTS, steps, OF_EACH], float("nan"))
            head |= {f"{name}_equal_steps": as_long[name] for name in ends}
        rows.append(head)
    write([*frame.to_dict("records"), *rows])


def table(frame: pd.DataFrame) -> str:
    """Return the table of the page: each row with the number of steps that is best.

    Rows under the old tests come first, from the highest Dice to the lowest.
    """
    lines = ["| network, steps | Dice | 10%, worst | below | home |", "|---|---|---|---|---|"]
    best = frame.sort_values("dice", ascending=False, kind="stable")
    best = best.drop_duplicates(["cells", "row"])
    for cells in frame.cells.drop_duplicates():
        for of in best[best.cells == cells].itertuples():
            where = "" if cells == OLD_CELLS else f"{cells}: "
            home = f"{float(of.home):+.3f}" if of.home != "" else ""
            low = f"{float(of.percentile_10):.3f}, {float(of.worst):.3f}"
            numbers = f"{float(of.dice):.3f} | {low} | {float(of.below):.0%} | {home}".rstrip()
            lines.append(f"| {where}{of.row}, {of.steps} | {numbers} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("studies", "train", "judge"))
    steps: dict[str, Callable[[], None]] = {
        "studies": write_studies,
        "train": train,
        "judge": judge,
    }
    torch.set_num_threads(1)
    try:
        steps[parser.parse_args(arguments).step]()
    except PassbandError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
