"""Measure the explorer of large synthetic studies: size of the file, time to paint, time to hover.

    python benchmarks/explorer.py             # 16², 135², 576², and 12,096 networks × 144; minutes
    python benchmarks/explorer.py --quick     # 16² only, opened once

The page is opened in a headless Chromium, which must be installed. The time to paint is from the
start of the navigation to the frame with the matrix, the median of five openings. The time to hover
is the 95th percentile of 200 moves of the pointer, with the drawing. Only a machine without other
load gives comparable times.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import Table

from passband.analysis import information, ood
from passband.analysis.profiles import SAMPLES, flat_spectrum, profiles
from passband.matrices.of_study import matrices
from passband.network_id import NetworkId
from passband.prediction import gaussian_process
from passband.prediction.covariance import PROFILES
from passband.prediction.recommend.network_dice import FittedNetworks
from passband.reports.explorer import content as explorer_content
from passband.reports.explorer import explorer, ranking

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
import browser
from explored import large_results, large_study, spectra

#: Numbers of the values of each axis in training and in testing, number of replicas, largest size
#: [MB] and longest time to paint [s].
CASES = {
    "16²": ((2, 2, 2, 2), (2, 2, 2, 2), 1, 8, 1.5),
    "135²": ((9, 3, 5, 1), (9, 3, 5, 1), 1, 8, 1.5),
    "576²": ((8, 3, 6, 4), (8, 3, 6, 4), 1, 10, 1.5),
    "12,096 networks × 144": ((12, 4, 9, 4), (6, 3, 4, 2), 7, 10, 1.5),
}
HOVER_MS, MOVES = 16, 200

#: Moves the pointer over cells, and returns the time of each move with the drawing [ms].
_MOVE = """
(async () => {
  const overlay = document.getElementById('overlay');
  const box = overlay.getBoundingClientRect();
  const {left, top, width, height} = explorer.view;
  const times = [];
  for (let n = 0; n < %d; n++) {
    const [u, v] = [(n * 0.618) %% 1, (n * 0.383) %% 1];
    const where = {clientX: box.x + left + u * width, clientY: box.y + top + v * height};
    const started = performance.now();
    overlay.dispatchEvent(new PointerEvent('pointermove', where));
    overlay.getContext('2d').getImageData(0, 0, 1, 1);
    document.getElementById('tip').getBoundingClientRect();
    times.push(performance.now() - started);
    await new Promise(requestAnimationFrame);
  }
  return times;
})()
"""


def write(file: Path, train: tuple, test: tuple, replicas: int) -> None:
    """Write the explorer of a synthetic study, with all matrices and a ranking if it is allowed.

    The ranking is that of the means of replicas. Metrics of transfer functions have two weights,
    the second of them like a specimen's.
    """
    study = large_study(train, test, replicas)
    metrics, table = large_results(study)
    blocks = explorer.Blocks()
    random = np.random.default_rng(2)
    predicted = random.uniform(size=(len(study.train_conditions), len(study.test_conditions)))
    q = np.linspace(0, 1.5, 200)
    curves = spectra(study) | {"gold": (q, 0.02 * np.exp(-((q / 0.35) ** 2)) + 1e-4)}
    stored = information.metrics(
        study.train_conditions, study.test_conditions, study.microscope, curves
    )
    metrics["distance"] = ("train", "test"), ood.distance(stored, "gold")
    (matrix,) = matrices(table, metrics)
    content = explorer_content.content(study, [matrix], stored, blocks, {matrix.name: predicted})
    if predicted.size <= ranking.MOST_NUMBERS:
        content["rankings"] = [_ranking(study, metrics, blocks)]
    file.write_text(explorer.page("synthetic", content, blocks), encoding="utf-8")


def _ranking(study, metrics, blocks):
    """Return a ranking with parameters that are not fitted, which changes neither size nor time."""
    curve = flat_spectrum()
    ends = (
        profiles(chosen, study.microscope, SAMPLES, curve)
        for chosen in (study.train_conditions, study.test_conditions)
    )
    train, test = ends
    dice = metrics.dice.values[0, 0, 0]
    of_side, _ = PROFILES.prior
    theta = np.concatenate([of_side, of_side, np.log([0.01, 0.01, 0.3, 0.02])])
    model = gaussian_process.fit(dice, train, test, theta=theta)
    names = "gold", study.training.architectures[0]
    networks = tuple(NetworkId(*names, condition.id, 0) for condition in study.train_conditions)
    return ranking.ranking(
        [FittedNetworks(*names, networks, model)],
        study.test_conditions,
        [],
        [dice],
        test,
        study.microscope.response(test.frequency),
        "gold",
        blocks,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only 16², opened once")
    options = parser.parse_args()
    if shutil.which(browser.PROGRAM) is None:
        sys.exit(f"not installed: {browser.PROGRAM} (tests/helpers/browser.py install)")
    cases = dict(list(CASES.items())[:1]) if options.quick else CASES
    openings = 1 if options.quick else 5
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        for name, (train, test, replicas, most_MB, most_s) in cases.items():
            file = Path(folder) / f"{len(name)}.html"
            write(file, train, test, replicas)
            table.row(f"{name}: size [MB]", most_MB, file.stat().st_size / 1e6)
            painted = []
            for opening in range(openings):
                with browser.opened(file) as page:
                    painted.append(page.wait("window.explorer?.painted") / 1000)
                    if opening == openings - 1:
                        page.evaluate("explorer.ready")
                        time.sleep(0 if options.quick else 2)  # other numbers are read meanwhile
                        moves = page.evaluate(_MOVE % (20 if options.quick else MOVES))
                    # Chromium's advice about the readback, with which drawings are timed.
                    problems = [p for p in page.problems if "willReadFrequently" not in p]
                if problems:
                    sys.exit(f"{name}: {problems}")
            table.row(f"{name}: painted after [s]", most_s, statistics.median(painted))
            table.row(f"{name}: hover [ms]", HOVER_MS, float(np.quantile(moves, 0.95)))


if __name__ == "__main__":
    main()
