"""How many shades of the background an evenness below a limit flags, and how many even fields.

    python -m findings.background.shades --simulate            # writes shades.csv, in minutes
    python -m findings.background.shades                       # the tables of it
    python -m findings.background.shades --hrtem FOLDER        # real patches without any shade

The network is `general-2026`. A part of the field, or a smooth spot, is 1 or 1.5 standard
deviations darker. A shade is harmful if it costs a Dice of 0.05. The evenness is that of
:func:`passband.micrographs.trust.certainty.evenness`: how far the masks with and without the smooth
part of the image agree. Structures of even numbers choose the limit, the others report.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from docs.scripts.real import PIXEL_A as PATCH_A
from docs.scripts.real import read
from findings.background import disturbances
from findings.background.disturbances import CONDITION, FIELD_PX, NETWORK, TRUST, WIDE_PX
from passband.grid import Condition
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.micrographs.trust.certainty import evenness
from passband.micrographs.trust.trust import Assessor
from passband.reports import markdown
from passband.scores import dice_of_masks

TABLE = Path(__file__).with_suffix(".csv")
PAGE = Path(__file__).with_name("README.md")
SEED = 6203
#: Number of structures of each kind of field.
STRUCTURES = 12
#: A shade is harmful if it costs this Dice.
HARM = 0.05
#: At most this part of hard fields without a shade may be flagged.
MOST = 0.1
LIMITS = 0.95, 0.97, 0.98, 0.985, 0.99
#: Width of the edge of a part that is darker [Å].
EDGE_A = 3.0
CONDITIONS = (
    CONDITION,
    Condition(defocus_nm=10, cs_um=0, aperture_mrad=26, dose_e_per_A2=400),
    Condition(defocus_nm=25, cs_um=0, aperture_mrad=26, dose_e_per_A2=100),
    Condition(defocus_nm=25, cs_um=20, aperture_mrad=26, dose_e_per_A2=200),
)


def in_words(condition: Condition) -> str:
    words = f"{condition.defocus_nm:g} nm, Cs {condition.cs_um:g} µm"
    return f"{words}, {condition.dose_e_per_A2:g} e/Å²"


def grid(image: np.ndarray) -> list[np.ndarray]:
    """Return the rows and columns of pixels."""
    return np.meshgrid(*(np.arange(n) + 0.5 for n in image.shape), indexing="ij")


def part(image: np.ndarray, height: float, pixel_A: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image of which a third, on one side, is darker."""
    y, x = grid(image)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    edge = (along - np.quantile(along, 0.65)) * pixel_A / EDGE_A
    return image - height * image.std() * (1 + np.tanh(edge)) / 2


def spot(image: np.ndarray, height: float, pixel_A: float, rng: np.random.Generator) -> np.ndarray:
    """Return an image with a dark spot as large as a particle, a Gaussian function."""
    y, x = grid(image)
    rows, columns = (rng.uniform(0.25, 0.75) * n for n in image.shape)
    width = rng.uniform(10, 15) / pixel_A
    squares = (y - rows) ** 2 + (x - columns) ** 2
    return image - height * image.std() * np.exp(-squares / 2 / width**2)


SHADES: dict[str, Callable] = {"darker part": part, "dark spot": spot}


def looked_at(image: np.ndarray, pixel_A: float, filtered: bool | None) -> tuple:
    """Return the mask, the evenness, and whether anything else flags the image."""
    assessor = Assessor([TRUST], [NETWORK])
    even = []

    def watch(network, image, normalise, probability) -> None:
        assessor.watch(network, image, normalise, probability)
        whole = normalise(image)
        even.append(evenness([network.model()], whole, TRUST.reference.side))

    settings = Settings(filter_noise=filtered)
    result = segment(
        np.ascontiguousarray(image, np.float32), pixel_A, [NETWORK], settings, watch=watch
    )
    flagged = bool(result.flags) or assessor.finish().is_flagged
    return result.mask, even[0], flagged


def drawn(
    side: int, indices: range, *structure: Callable, **specimen: object
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the images of structures, each under all conditions, with their masks."""
    of = disturbances.study(side, **specimen)
    pairs = disturbances.images(of, indices, *structure, seed=SEED, conditions=CONDITIONS)
    return list(zip(*pairs, strict=True))


def uniform(low: float, high: float) -> dict[str, object]:
    return {"distribution": "uniform", "min": low, "max": high}


def usual(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return drawn(FIELD_PX, range(number))


def full(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return fields more than half of which is particle."""
    many = {"particles": {"min": 4, "max": 4}, "diameter_nm": uniform(5.0, 7.2)}
    found: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    while len(found) < number * len(CONDITIONS):
        each = drawn(FIELD_PX, range(start, start + number), **many)
        found += [(image, mask) for image, mask in each if mask.mean() > 0.5]
        start += number
    return found[: number * len(CONDITIONS)]


def at_the_edge(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return fields with one particle that an edge cuts, from wider ones, which are periodic."""
    one = {"particles": {"min": 1, "max": 1}, "diameter_nm": uniform(3.0, 6.0)}
    first = (WIDE_PX - FIELD_PX) // 2
    part = np.s_[first : first + FIELD_PX, :FIELD_PX]
    place = WIDE_PX // 2, 0
    pairs = [disturbances.moved(*each, place) for each in drawn(WIDE_PX, range(number), **one)]
    return [(image[part], mask[part]) for image, mask in pairs]


def on_wedge(number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return fields on carbon that grows from 1 to 8 nm."""
    thick = {"thickness_nm": 8.0, "thickness_std_nm": 0.0, "faces": "both"}
    few = {"particles": {"min": 2, "max": 5}, "diameter_nm": uniform(2.0, 4.0)}
    pairs = drawn(WIDE_PX, range(number), disturbances.on_wedge, **few, substrate=thick)
    part = np.s_[:FIELD_PX, :FIELD_PX]
    return [(image[part], mask[part]) for image, mask in pairs]


KINDS = {
    "usual": usual,
    "particles over half": full,
    "particle at the edge": at_the_edge,
    "carbon of 1 to 8 nm": on_wedge,
}


def simulated(number: int, kind: str) -> Iterator[dict[str, object]]:
    """Yield a row of the CSV for each field of a kind, and for each of its shades."""
    pixel_A = NETWORK.pixel_size_A
    for i, (image, mask) in enumerate(KINDS[kind](number)):
        structure, under = divmod(i, len(CONDITIONS))
        height = 1.0 if (structure // 2 + under) % 2 else 1.5
        rng = np.random.default_rng((SEED, i))
        shaded = {"none": image}
        for name, shade in SHADES.items():
            shaded[name] = shade(image, height, pixel_A, rng)
        for name, each in shaded.items():
            found, even, flagged = looked_at(each, pixel_A, filtered=False)
            yield {
                "field": kind,
                "structure": structure,
                "condition": in_words(CONDITIONS[under]),
                "shade": name,
                "height_sd": 0 if name == "none" else height,
                "dice": round(dice_of_masks(found, mask), 4),
                "evenness": round(even, 4),
                "flagged": flagged,
            }


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────


def measured() -> pd.DataFrame:
    """Return the rows of the CSV with what a shade costs, and whether it is harmful."""
    rows = pd.read_csv(TABLE)
    field = ["field", "structure", "condition"]
    even = rows[rows["shade"] == "none"].set_index(field)["dice"]
    own = even.reindex(pd.MultiIndex.from_frame(rows[field])).to_numpy()
    return rows.assign(harmful=own - rows["dice"] >= HARM, reports=rows["structure"] % 2 == 1)


def of(flagged: pd.Series) -> str:
    return f"{flagged.sum()} of {len(flagged)}"


def counts(rows: pd.DataFrame, limit: float) -> list[str]:
    """Return the cells of fields without a shade, and of each kind of harmful shades."""
    is_none = rows["shade"] == "none"
    below = rows["evenness"] < limit
    cells = [of(below[is_none])]
    cells += [of(below[rows["harmful"] & (rows["shade"] == name)]) for name in SHADES]
    return cells


def even_flagged(rows: pd.DataFrame, limit: float) -> float:
    """Return the part of the hard fields without a shade whose evenness is below a limit."""
    hard = rows[(rows["shade"] == "none") & (rows["field"] != "usual")]
    return float((hard["evenness"] < limit).mean())


def tables() -> tuple[str, str]:
    """Return the table that chooses the limit, and that of the other structures."""
    rows = measured()
    first = rows[~rows["reports"]]
    head = "even fields flagged", *(f"harmful flagged: {name}" for name in SHADES)
    choice = [[f"{limit:g}", *counts(first, limit)] for limit in LIMITS]
    chosen = max(limit for limit in LIMITS if even_flagged(first, limit) <= MOST)
    second = rows[rows["reports"]]
    kinds = [(kind, second[second["field"] == kind]) for kind in KINDS]
    report = []
    for kind, each in [*kinds, ("all", second)]:
        before = of(each["flagged"][each["harmful"]])
        report.append([kind, *counts(each, chosen), before])
    return (
        markdown.table(("limit", *head), choice),
        markdown.table(("field", *head, "harmful flagged without it"), report),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--simulate", action="store_true")
    parser.add_argument("--hrtem", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.hrtem is not None:
        for patch in read(options.hrtem):
            _, even, flagged = looked_at(patch.image, PATCH_A, filtered=None)
            print(patch.name, f"{even:.4f}", "flagged" if flagged else "")
        return
    if options.simulate:
        rows = [row for kind in KINDS for row in simulated(STRUCTURES, kind)]
        pd.DataFrame(rows).to_csv(TABLE, index=False)
    print(*tables(), sep="\n\n")


if __name__ == "__main__":
    main()
