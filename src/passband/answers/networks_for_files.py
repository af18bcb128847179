"""The network that a study recommends for each image file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.micrographs.batch import failure
from passband.micrographs.choices import Choice

if TYPE_CHECKING:
    from passband.answers.tested_networks import TestedNetworks
    from passband.micrographs.rings.lens import Known

#: A function that receives what is said while files are prepared, line by line.
Report = Callable[[str], object]


def known(given: Mapping[str, float], amplitude_contrast: float | None, sign: int) -> "Known":
    """Return what is known of the lens of images whose condition is measured."""
    from passband.micrographs.rings.lens import Known  # scipy.interpolate takes long to import

    found = Known(
        energy_keV=given.get("energy_kev"),
        cs_um=given.get("cs_um"),
        aperture_mrad=given.get("aperture_mrad"),
        amplitude_contrast=amplitude_contrast,
        sign=sign,
    )
    found.check()
    return found


def recommended(
    tested: "TestedNetworks",
    paths: Sequence[Path],
    known: "Known",
    *,
    given: Mapping[str, float],
    pixel_size_A: float | None,
    report: Report,
) -> dict[Path, Choice | str]:
    """Return the network that the study recommends for each image, and report why.

    Each image is measured alone. A study's store of images is not measured, since it states its
    condition. An image whose condition cannot be measured, or that no network fits, has a line that
    says so.

    Args:
        given: What is known of the condition of all images, by the names of axes.
    """
    # torch and the models take seconds to import.
    from passband.answers import image_recommendation
    from passband.learning.network_files import open_networks
    from passband.prediction.recommend import network_ranking

    words = {name: f"{value:.10g}" for name, value in given.items() if name != "energy_kev"}
    found: dict[Path, Choice | str] = {}
    for path in paths:
        try:
            ranked = image_recommendation.of_store(tested, path, words)
            lines = [f"{path.name}: states {ranked[0].found.asked.words}"] if ranked else []
            if not ranked:
                lens = image_recommendation.measure(path, pixel_size_A, known, tested.study)
                lines = lens.lines()
                without_cs = {name: text for name, text in words.items() if name != "cs_um"}
                ranked = image_recommendation.recommend(tested, lens, without_cs)
            id, expected = image_recommendation.best(ranked)
            found[path] = Choice(open_networks(tested.results, id), {id: expected})
        except Exception as error:  # the other files are still segmented
            found[path] = failure(path, error)
            continue
        lines.append(f"  recommended: {id}, expected Dice {expected:.3f}")
        lines += [f"  {line}" for line in network_ranking.beyond_doses(ranked[0].found)]
        for line in lines:
            report(line)
    return found
