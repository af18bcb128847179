"""The tables of a run."""

import csv
import json
from dataclasses import replace
from math import nan

import pytest

from passband import PassbandError, __version__
from passband.micrographs import summary
from passband.micrographs.images.particles import Particle
from passband.micrographs.summary import Frame
from passband.micrographs.truth import Score
from passband.network_id import NetworkId
from passband.prediction.recommend.network_dice import Dice

CONDITION = "df+0005.00_cs+0001.200_ap010.00_ds000100.00"
PARTICLES = (
    Particle(1, 12.5, 4.0, 1.5, 2.5, False, 0.93, 0.97, 4.5, 0.875),
    Particle(2, 3.25, 2.0, 0.1, 9.0, True, 0.81),
    Particle(3, 3.25, 3.0, 5.0, 6.0, False, nan),
)
FULL = Frame(
    file="a,b.tif",
    frame=1,
    number=2,
    networks=tuple(NetworkId("gold", "net", CONDITION, replica) for replica in (0, 1)),
    shape=(100, 200),
    pixel_size_A=0.5,
    dose_e_per_A2=400.0,
    done=("3 hot pixels replaced", "noise not filtered: why; more"),
    particles=PARTICLES,
    confidence=0.987654321,
    disagreement=0.0123,
    expected_dice=Dice(0.5, 0.25, 0.75),
    flags=("its spectrum", "its small field"),
    notes=("a note",),
    score=Score((10, 0, 10), 0.01, 100),
)
OF_HEAD = Frame(
    file="f.tif",
    frame=0,
    particles=(
        Particle(1, 1.0, 5.0, 1.0, 1.0, False, certainty=0.75, overlapped=True),
        Particle(2, 1.0, 3.0, 1.0, 1.0, False, certainty=0.0, overlapped=True),
        Particle(3, 1.0, 6.0, 1.0, 1.0, True, certainty=0.5),
    ),
    confidence=0.9,
    head="votes",
)
EMPTY = Frame(file="b.tif", frame=0, pixel_size_A=0.5, confidence=1.0, unassessed="no likeness")
FAILED = Frame(file="c.tif", error="c.tif: is damaged")


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_image_has_a_row_and_also_a_file_that_failed(tmp_path):
    written = summary.write([FULL, EMPTY, FAILED], tmp_path)
    assert written == [tmp_path / "particles.csv", tmp_path / "summary.csv"]
    full, empty, failed = rows(tmp_path / "summary.csv")
    assert full == {
        "file": "a,b.tif",
        "frame": "1",
        "pixel_size_A": "0.5",
        "dose_e_per_A2": "400",
        "done": "3 hot pixels replaced | noise not filtered: why; more",
        "particles": "3",
        "whole_particles": "2",
        "mean_diameter_nm": "3.5",
        "sd_diameter_nm": "0.707107",
        "confidence": "0.987654",
        "expected_dice": "0.5",
        "expected_dice_low": "0.25",
        "expected_dice_high": "0.75",
        "flagged": "yes",
        "flags": "its spectrum | its small field",
        "not_assessed": "",
        "dice": "0.666667",
        "networks": f"gold/net/{CONDITION}/0 | gold/net/{CONDITION}/1",
        "version": __version__,
        "error": "",
    }
    assert (empty["particles"], empty["whole_particles"], empty["mean_diameter_nm"]) == (
        "0",
        "0",
        "",
    )
    assert (empty["flagged"], empty["not_assessed"]) == ("", "no likeness")
    known = {name: value for name, value in failed.items() if value}
    assert known == {"file": "c.tif", "version": __version__, "error": "c.tif: is damaged"}


def test_each_particle_has_a_row_with_its_image(tmp_path):
    like = Frame(
        file="d.tif", frame=0, particles=PARTICLES[:1], confidence=1, expected_dice=Dice(1, 1, 1)
    )
    summary.write([FULL, EMPTY, like], tmp_path)
    first, second, third, other = rows(tmp_path / "particles.csv")
    assert first == {
        "file": "a,b.tif",
        "frame": "1",
        "flagged": "yes",
        "particle": "1",
        "area_nm2": "12.5",
        "diameter_nm": "4",
        "x_nm": "1.5",
        "y_nm": "2.5",
        "touches_edge": "no",
        "mean_probability": "0.93",
        "solidity": "0.97",
        "feret_diameter_nm": "4.5",
        "neck_ratio": "0.875",
    }
    assert second["touches_edge"] == "yes"
    assert (third["mean_probability"], third["neck_ratio"]) == ("", "")
    assert (other["file"], other["flagged"]) == ("d.tif", "no")


def test_without_a_head_the_table_of_particles_has_no_further_column(tmp_path):
    summary.write([FULL], tmp_path)
    assert (tmp_path / "particles.csv").read_bytes().split(b"\r\n")[:2] == [
        b"file,frame,flagged,particle,area_nm2,diameter_nm,x_nm,y_nm,touches_edge,"
        b"mean_probability,solidity,feret_diameter_nm,neck_ratio",
        b'"a,b.tif",1,yes,1,12.5,4,1.5,2.5,no,0.93,0.97,4.5,0.875',
    ]


def test_a_head_adds_what_it_says_of_particles(tmp_path):
    """A particle with a certainty below ½ is in the table, and counts nowhere."""
    summary.write([FULL, OF_HEAD, EMPTY], tmp_path)
    *plain, large, missed, cut = rows(tmp_path / "particles.csv")
    assert [*large.values()][-2:] == ["0.75", "yes"]
    assert [*missed.values()][-2:] == ["0", "yes"]
    assert [*cut.values()][-2:] == ["0.5", "no"]
    assert {(*row.values(),)[-2:] for row in plain} == {("", "no")}
    assert [row["diameter_nm"] for row in (large, missed, cut)] == ["5", "3", "6"]
    assert OF_HEAD.line == (
        "f.tif: 2 particles, mean diameter 5 nm of 1 whole, 1 uncertain left out, confidence 0.900"
    )
    assert (OF_HEAD.whole, OF_HEAD.uncertain) == ([5.0], 1)
    row = rows(tmp_path / "summary.csv")[1]
    assert (row["particles"], row["whole_particles"], row["mean_diameter_nm"]) == ("2", "1", "5")
    assert str(Frame.from_values(json.loads(json.dumps(OF_HEAD.to_values())))) == str(OF_HEAD)


def test_line_says_of_how_many_whole_particles_the_mean_is():
    assert replace(FULL, flags=()).line == (
        "a,b.tif frame 1: 3 particles, mean diameter 3.5 nm of 2 whole, confidence 0.988, "
        "disagreement 0.012; Dice 0.667, precision 1.000, recall 0.500"
    )
    assert FULL.line.startswith("a,b.tif frame 1: particles that are not to be trusted; Dice 0.667")
    cut = Frame(file="e.tif", frame=0, particles=PARTICLES[1:2], confidence=0.5)
    assert cut.line == "e.tif: 1 particle, none whole, confidence 0.500"
    assert EMPTY.line == "b.tif: 0 particles, confidence 1.000"


def test_verdict_is_one_of_three_sentences():
    like = Frame(file="d.tif", expected_dice=Dice(0.866, 0.734, 1))
    assert like.verdict == "looks like the training images; expected Dice 0.87 (0.73 to 1.00)"
    assert FULL.verdict == (
        "unlike the training images, because of its spectrum and its small field: do not trust the "
        "mask"
    )
    assert EMPTY.verdict == "not assessed, because no likeness"


def test_a_frame_is_the_same_after_json():
    for frame in (FULL, EMPTY, FAILED):
        text = json.dumps(frame.to_values())
        assert json.dumps(Frame.from_values(json.loads(text)).to_values()) == text


def test_the_summary_is_whole_or_absent(tmp_path, monkeypatch):
    def fail(_):
        raise OSError("no space")

    monkeypatch.setitem(summary.IMAGE_COLUMNS, "error", fail)
    with pytest.raises(OSError, match="no space"):
        summary.write([FULL], tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_tables_of_a_run_are_replaced(tmp_path):
    summary.check(tmp_path)
    summary.write([FULL], tmp_path)
    summary.check(tmp_path)
    (tmp_path / "summary.csv").write_text("sample,remark\n")
    with pytest.raises(PassbandError, match=r"summary\.csv: was not written by `predict`"):
        summary.check(tmp_path)


def test_rows_of_an_earlier_run_stay_unless_their_file_is_done_again(tmp_path):
    """Those of networks with a head have more columns, which are empty for the others."""
    summary.write([FULL, EMPTY], tmp_path)
    summary.write([FAILED, OF_HEAD], tmp_path)
    summary.write([replace(EMPTY, confidence=0.75)], tmp_path)
    images = rows(tmp_path / "summary.csv")
    assert [row["file"] for row in images] == ["a,b.tif", "c.tif", "f.tif", "b.tif"]
    assert images[-1]["confidence"] == "0.75"
    particles = rows(tmp_path / "particles.csv")
    assert [row["certainty"] for row in particles] == ["", "", "", "0.75", "0", "0.5"]


@pytest.mark.parametrize("change", [(__version__, "0.0.1"), ("file,frame,", "file,frame,more,")])
def test_rows_of_another_version_or_with_other_columns_do_not_stay(tmp_path, change):
    summary.write([FULL], tmp_path)
    for name in ("summary.csv", "particles.csv"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(*(each.encode() for each in change)))
    summary.write([EMPTY], tmp_path)
    assert [row["file"] for row in rows(tmp_path / "summary.csv")] == ["b.tif"]
    assert not rows(tmp_path / "particles.csv")
