"""The explorer of a finished study."""

import browser
import numpy as np
import pytest

from passband import cli
from passband.analysis import table
from passband.scores import dice
from passband.storage import datasets

pytestmark = [pytest.mark.slow, pytest.mark.workflow]


def test_the_page_of_a_finished_study_has_its_numbers_and_example_images(copied, capsys):
    results = copied.folder / "results/smallest"
    assert cli.main(["explore", str(results)]) == 0
    assert capsys.readouterr().out == f"{results / 'explorer.html'}\n"
    whole = table.load(results / "table.zarr").isel(specimen=0, architecture=0, test_specimen=0)
    counts = whole.counts.isel(replica=0).transpose("train", "test", "structure", "outcome")
    ood = datasets.read(results / "ood.zarr", datasets.OOD).isel(
        specimen=0, architecture=0, test_specimen=0
    )
    information = datasets.read(results / "information.zarr", datasets.INFORMATION)
    with browser.opened(results / "explorer.html") as page:
        page.wait("window.explorer !== undefined && explorer.ready.then(() => true)")
        for name, expected in (
            ("dice", ood.dice),
            ("gap_test", ood.gap_test),
            ("wiener", information.wiener.sel(weight="gold")),
        ):
            found = page.evaluate(f"explorer.matrixOf(0, {name!r}, 1).then(m => Array.from(m))")
            expected = expected.transpose("train", "test").values.ravel()
            assert np.allclose(found, expected, rtol=0, atol=1e-4), name
        scores = dice(counts.values[:, :, :2].astype(float))
        for i in range(4):
            for j in range(4):
                page.evaluate(f"explorer.change({{cell: [{i}, {j}], tab: 'cell'}})")
                shown = page.evaluate(
                    "Array.from(document.querySelectorAll('.examples figcaption'))"
                    ".map(caption => Number(/Dice (\\S+);/.exec(caption.textContent)[1]))"
                )
                assert np.allclose(shown, scores[i, j], rtol=0, atol=0.0051)
        outlined = page.evaluate(
            "(canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, "
            "canvas.height).data).filter((v, n, all) => n % 4 === 0 && v === 244 && "
            "all[n + 1] === 211 && all[n + 2] === 94).length)"
            "(document.querySelector('.examples canvas'))"
        )
        assert outlined > 50  # pixels of the true outline
        assert page.problems == []
