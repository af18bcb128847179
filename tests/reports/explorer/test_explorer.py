"""The content of the explorer; `tests/commands/test_explore.py` opens it in Chromium."""

import base64
import gzip
import re
from dataclasses import replace

import numpy as np
import pytest
from explored import large_results, large_study

from passband.config import Microscope, Specimen
from passband.grid import Condition
from passband.matrices.of_study import matrices
from passband.optics import ctf
from passband.parts import PACKAGE
from passband.reports.explorer import explorer, matrix_blocks, study_lens
from passband.reports.explorer.metric_names import labels
from passband.reports.explorer.sides import Sides


def bytes_of(blocks, description):
    packed = base64.b64decode(blocks.texts[description["block"]])
    return np.frombuffer(gzip.decompress(packed), np.uint8)


@pytest.mark.parametrize(("kind", "step"), [("u2", 2e-5), ("u2", 1e-9), ("u1", 1e-9)])
def test_integers_keep_numbers_to_half_a_step(kind, step):
    values = np.random.default_rng(0).uniform(-0.2, 1, (7, 9))
    values[2, 3] = np.nan
    blocks = explorer.Blocks()
    found = blocks.integers(values, step, kind)
    assert found["shape"] == [7, 9]
    assert found["step"] >= step
    stored = bytes_of(blocks, found).astype(int)
    if kind == "u2":
        stored = stored[: values.size] + 256 * stored[values.size :]
    missing = stored == explorer.MISSING[kind]
    assert missing.tolist() == np.isnan(values).ravel().tolist()
    numbers = found["low"] + found["step"] * stored
    known = ~missing
    assert np.abs(numbers - values.ravel())[known].max() <= found["step"] / 2 * (1 + 1e-6)


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.3, 0.3]])
def test_integers_of_equal_or_missing_numbers(values):
    blocks = explorer.Blocks()
    found = blocks.integers(np.array(values), 1e-4)
    stored = bytes_of(blocks, found).astype(int)
    stored = stored[:2] + 256 * stored[2:]
    if np.isnan(values).all():
        assert stored.tolist() == [65535, 65535]
    else:
        assert found["low"] + found["step"] * stored[0] == pytest.approx(0.3)


def test_short_floats_have_nearly_five_digits():
    values = np.random.default_rng(1).normal(size=1000) * 10.0 ** np.arange(-3, 2).repeat(200)
    blocks = explorer.Blocks()
    planes = bytes_of(blocks, blocks.short_floats(values)).reshape(3, -1).astype(np.uint32)
    bits = planes[0] << 8 | planes[1] << 16 | planes[2] << 24
    np.testing.assert_allclose(bits.view(np.float32), values, rtol=2e-5)


def test_the_same_content_gives_the_same_page():
    def made():
        blocks = explorer.Blocks()
        return explorer.page("x", {"a": blocks.floats(np.arange(3.0))}, blocks)

    assert made() == made()


def test_a_number_that_json_does_not_have_is_an_error():
    with pytest.raises(ValueError, match="JSON"):
        explorer.page("x", {"a": float("nan")}, explorer.Blocks())


def test_gold_and_iron_have_the_planes_of_their_lattices():
    found = study_lens.lattice({"gold": Specimen(), "iron": Specimen(material="Fe")})
    assert [plane["plane"] for plane in found["gold"]] == ["111", "200", "220", "311", "222"]
    assert found["gold"][0]["q"] == pytest.approx(3**0.5 / 4.08, rel=1e-2)
    assert [plane["plane"] for plane in found["iron"]] == ["110", "200", "211", "220", "310"]


def test_draws_of_the_lens_are_those_of_its_jitter():
    still = study_lens.lens(Microscope(), 0)
    assert (still["varies"], len(still["draws"])) == (False, 1)
    optics = Microscope().optics(Condition(0, 0, 1, 1))
    assert still["wavelength"] == ctf.wavelength(optics.energy)
    varied = study_lens.lens(Microscope(spread={"focus_nm": 2, "astigmatism_nm": 1}), 0)
    assert (varied["varies"], len(varied["draws"])) == (True, 32)
    assert np.std([draw[0] for draw in varied["draws"]]) == pytest.approx(20, rel=0.2)  # Å


def matrices_of(blocks, replicas=1):
    """Return the only group of a synthetic study of 2 training and 2 test conditions."""
    metrics, table = large_results(large_study((2, 1, 1, 1), (2, 1, 1, 1), replicas))
    (matrix,) = matrices(table, metrics)
    (group,) = matrix_blocks.stored([matrix], blocks, {}, Sides.of(matrix))
    return group


@pytest.mark.parametrize(("number", "kept"), [(1, []), (2, []), (3, ["low", "high"])])
def test_a_file_has_both_ends_of_a_range_or_none(monkeypatch, number, kept):
    monkeypatch.setattr(matrix_blocks, "_BYTES", 2 * 4 * number)
    found = matrices_of(explorer.Blocks())
    assert list(found["matrices"]) == ["dice", *kept]
    every = ["dice", "low", "high", "dice_std", "dice_selected", "dice_oracle"]
    assert found["left_out"] == [name for name in every if name not in found["matrices"]]


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        ({"u2": 24, "u1": 12}, "u2"),
        ({"u2": 23, "u1": 12}, "u1"),
        ({"u2": 23, "u1": 11}, None),
    ],
)
def test_dice_of_many_single_networks_has_fewer_bits_or_is_left_out(monkeypatch, limits, kind):
    monkeypatch.setattr(matrix_blocks, "_SINGLE_BYTES", limits)
    blocks = explorer.Blocks()
    found = matrices_of(blocks, replicas=3)  # 12 numbers
    if kind is None:
        assert (found["single"], found["left_out"]) == (None, ["single"])
    else:
        assert (found["single"]["kind"], found["left_out"]) == (kind, [])
        assert len(bytes_of(blocks, found["single"])) == limits[kind]


def test_scores_of_particles_are_in_the_choice_where_the_study_has_them():
    metrics, table = large_results(large_study((2, 1, 1, 1), (2, 1, 1, 1)))
    names = ["instance_f1", "count_error", "diameter_bias"]
    (matrix,) = matrices(table, metrics)
    assert not {*names} & {*labels(matrix.metrics, None, ())}
    for name in names:
        part = PACKAGE.get("ood_metric", name)
        attrs = {"units": "1", "label": part.declaration.label, "long_name": part.doc}
        metrics[name] = (metrics.dice - 0.5).assign_attrs(attrs)
    (matrix,) = matrices(table, metrics)
    found = labels(matrix.metrics, None, ())
    assert [name for name in found if name in names] == names
    assert [found[name]["label"] for name in names] == [
        "F1 of particles",
        "error of the number of particles",
        "error of the mean diameter",
    ]
    # Errors have both signs, and F1 has none; all are results.
    assert [found[name]["signed"] for name in names] == [False, True, True]
    assert {found[name]["heading"] for name in names} == {"Results"}
    (group,) = matrix_blocks.stored([matrix], explorer.Blocks(), {}, Sides.of(matrix))
    assert [name for name in group["matrices"] if name in names] == names


def test_no_function_of_the_page_replaces_another():
    """All scripts are one program, in which a second function of the same name would win."""
    names = [
        name
        for script in explorer.SCRIPTS
        for name in re.findall(r"^(?:async )?function (\w+)", explorer._source(script), re.M)
    ]
    assert len(names) > 50
    assert len(names) == len(set(names))


def test_the_lens_has_the_study_s_own_values():
    microscope = Microscope.model_validate({"vibration_A": 0.2, "detector": {"mtf": "gaussian"}})
    here = Condition(5, 1.2, 15, 100)
    found = study_lens.lens(microscope, 0, [here, replace(here, further={"vibration_A": 1})])
    assert (found["own"]["vibration_A"], found["mtf"]) == (0.2, "gaussian")
    assert found["own"]["mtf_nyquist"] == 0.5
    other = study_lens.lens(microscope, 0, [here, replace(here, further={"coma_nm": 9})])
    assert other["draws"] == found["draws"] == [[0, 1, 0, 0, 0, 0, 0, 0]]
