"""The page of ``passband explore`` for further axes, and for rows that are no test condition."""

import json
import re

import numpy as np
import off_grid
import pytest
from explored import make_explored, use_few_samples
from explorer_page import READ, STEP, matrix_of, plain, show
from recommended import make_study

from passband import cli
from passband.answers import recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.axes import FURTHER_AXES
from passband.config import validate
from passband.optics import ctf
from passband.prediction.range_of_use import Asked
from passband.results import Results
from passband.storage import datasets

pytestmark = pytest.mark.slow


def ranked(page, condition):
    """Return the Dice of all networks by id, and the words of what is outside, as the page has."""
    asked = list(condition.values().values())
    return page.evaluate(
        f"explorer.rank(0, {json.dumps(asked)}).then(found => [Object.fromEntries("
        "found.networks.map(n => [n.id, n.dice])), found.outside])"
    )


@pytest.mark.parametrize(
    ("axes", "is_round"),
    [
        ({"astigmatism_nm": [0, 4], "coma_deg": [0, 90]}, False),
        ({"focal_spread_nm": [2, 3], "vibration_A": [0, 0.5], "mtf_nyquist": [0.3, 0.5]}, True),
    ],
)
def test_further_axes_have_their_transfer_metrics_and_ranking(
    tmp_path, other, axes, is_round, monkeypatch
):
    given = json.loads(make_study(cs_um=[1.2], aperture_mrad=[15]).model_dump_json())
    given["grid"] |= axes
    given["microscope"] |= {"aperture_edge_mrad": 3.0}
    given["microscope"]["detector"] |= {"mtf": "gaussian"}
    given["microscope"]["aberrations"] |= {"coma_nm": 0 if is_round else 200}
    for name in axes:
        _, *blocks, key = FURTHER_AXES[name].key.split(".")
        block = given["microscope"][blocks[0]] if blocks else given["microscope"]
        block.pop(key)
    use_few_samples(monkeypatch)
    study = validate(given)
    results = make_explored(study, tmp_path)
    assert cli.main(["explore", str(results)]) == 0
    show(other, results / "explorer.html")
    listed = other.evaluate("document.querySelectorAll('#row-axes li').length")
    assert listed == 2 + len(axes)
    words = "Array.from(document.querySelectorAll('.sliders label')).map(l => l.innerText.trim())"
    sliders = other.evaluate(f"explorer.change({{tab: 'microscope'}}).then(() => {words})")
    assert sliders[:4] == ["defocus [nm]", "Cs [µm]", "aperture [mrad]", "dose [e/Å²]"]
    units = {
        name: "" if FURTHER_AXES[name].unit == "1" else f" [{FURTHER_AXES[name].unit}]"
        for name in axes
    }
    assert sliders[4:] == [
        FURTHER_AXES[name].label + units[name] for name in FURTHER_AXES if name in axes
    ]
    stored = datasets.read(results / "information.zarr", datasets.INFORMATION).sel(weight="flat")
    assert {*stored.data_vars} <= {*other.evaluate("explorer.metrics()")}
    for name, variable in stored.items():
        if {"train", "test"} <= {*variable.dims}:
            step = max(STEP, np.ptp(variable.values) / 60_000)
            assert np.allclose(matrix_of(other, name), variable.values, rtol=0, atol=step), name
    tested = TestedNetworks.open(Results.find(results))
    asked = [*off_grid.inside(study, 3), *off_grid.outside(study, 1), tested.tested[-1]]
    for condition in asked:
        found, words = ranked(other, condition)
        expected = recommendation.recommend_from(tested, Asked.at(condition))
        assert list(map(plain, words)) == [excess.words for excess in expected.outside]
        wanted = {str(network.id): network.dice.value for network in expected.networks}
        assert found.keys() == wanted.keys()
        assert all(abs(wanted[id] - value) < 2e-4 for id, value in found.items())
    # The drawn curve is that of the condition, and not of the study's own lens.
    last = len(study.train_conditions) - 1
    other.evaluate(f"explorer.change({{cell: [{last}, {last}], tab: 'cell'}})")
    q = np.linspace(0.01, 0.7, 50)
    optics = study.microscope.optics(study.train_conditions[last])
    drawn = other.evaluate(f"explorer.transfer(explorer.train.values[{last}], {q.tolist()})")
    assert np.allclose(drawn, ctf.transfer(optics, q), rtol=0, atol=1e-9)
    azimuths = np.linspace(0, 2 * np.pi, 720, endpoint=False)[:, None]
    mean = np.sqrt((ctf.transfer(optics, q, azimuths) ** 2).mean(0))
    drawn = other.evaluate(f"explorer.azimuthal(explorer.train.values[{last}], {q.tolist()})")
    assert np.allclose(drawn, mean, rtol=0, atol=0.02)
    legend = other.evaluate("document.querySelector('#panel-cell .legend').innerText")
    assert ("root mean square over azimuths" in legend) != is_round


def test_own_dice_of_a_row_that_is_no_column_is_shown(tmp_path, other):
    study = make_study(cs_um=[1.2], aperture_mrad=[15])
    results = make_explored(study, tmp_path)
    metrics = datasets.read(results / "ood.zarr", datasets.OOD).drop_vars(
        "created", errors="ignore"
    )
    metrics = metrics.isel(test=[1, 2, 3]).load()
    own = metrics.id.transpose(..., "train").values[0, 0, 0]
    whole = datasets.read(results / "table.zarr", datasets.TABLE)
    datasets.write(whole.isel(test=[1, 2, 3]), results / "table.zarr", datasets.TABLE, {})
    datasets.write(metrics.drop_encoding(), results / "ood.zarr", datasets.OOD, {})
    assert cli.main(["explore", str(results)]) == 0
    show(other, results / "explorer.html")
    other.evaluate("explorer.change({cell: [0, 1], tab: 'cell'})")
    text = other.evaluate("document.getElementById('panel-cell').innerText")
    (number,) = re.findall(r"^of this network, in distribution\s+(0\.\d\d\d)", text, re.M)
    assert abs(float(number) - own[0]) < READ
    gap = own[:, None] - metrics.dice.transpose(..., "train", "test").values[0, 0, 0]
    assert np.allclose(matrix_of(other, "gap_model"), gap, rtol=0, atol=2 * STEP)
    other.evaluate("explorer.change({brush: [0], tab: 'networks'})")
    cells = other.evaluate(
        "Array.from(document.querySelectorAll('#panel-networks td')).map(td => td.innerText)"
    )
    assert abs(float(cells[1]) - own[0]) < READ
