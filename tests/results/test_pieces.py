"""Pieces of a study are found, and disagreements are named, from their attributes alone."""

import json
import os
import re
from pathlib import Path

import pytest
from bare_stores import write_bare

from passband import PassbandError, cli
from passband.config import validate
from passband.results import pieces
from passband.storage import NewerError

BASE = {"study": {"name": "a", "seed": 7}, "microscope": {"focal_spread_nm": 3.0}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name, config=BASE, **more):
    """Write the attributes of a table of results, in a folder or in a zip file."""
    write_bare(name, **{"configuration": json.dumps(validate(config).written()), **more})
    return name


def test_a_piece_is_found_by_its_results_its_table_and_its_packed_file():
    write("results/a/table.zarr")
    write("a.zarr.zip")
    nouns = ("a", "results/a", "results/a/table.zarr", "a.zarr.zip")
    found = pieces.find_all(nouns)
    assert [each.name for each in found] == list(nouns)
    assert [each.is_zip for each in found] == [False, False, False, True]
    assert {each.study.study.name for each in found} == {"a"}
    assert [str(each.path) for each in found[::2]] == ["results/a/table.zarr"] * 2


def test_what_is_no_piece_is_named_in_one_line():
    Path("results/empty").mkdir(parents=True)
    write_bare("none.zarr")
    write_bare("text.zarr", configuration="[1]")
    Path("broken.zarr.zip").write_bytes(b"no zip")
    os.mkfifo("pipe.zarr.zip")
    Path("published").mkdir()
    Path("published/weights.safetensors").touch()
    for noun, says in {
        "absent.zarr": "there is no such file or folder",
        "results/empty": "has no table.zarr; run this piece to its end first",
        "none.zarr": "does not name its study; give a folder of results",
        "text.zarr": "its configuration is no JSON object; make this piece again",
        "broken.zarr.zip": "cannot be read: BadZipFile",
        "pipe.zarr.zip": "is a pipe",
        "published": "is the folder of a published network; give the study",
    }.items():
        with pytest.raises(PassbandError, match=f"^{re.escape(noun)}: {says}") as caught:
            pieces.find(noun)
        assert "\n" not in str(caught.value)


def test_a_piece_of_a_newer_format_is_refused():
    write("new.zarr", format=99)
    with pytest.raises(NewerError, match=r"^new\.zarr"):
        pieces.find("new.zarr")


@pytest.mark.parametrize(
    "changed",
    [
        {"study": {"name": "b", "seed": 7, "replicas": 2, "replicas_per_job": 2}},
        {"grid": {"defocus_nm": [7.0]}, "evaluation": {"bootstrap": 10}},
        {"training": {"architectures": ["compact-w4-d2"]}},
    ],
)
def test_pieces_may_differ_in_their_networks_and_their_analysis(changed):
    both = [write("a.zarr"), write("b.zarr", BASE | changed)]
    assert len(pieces.find_all(both)) == 2


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"study": {"name": "b", "seed": 8}}, "study.seed: 7 in a.zarr, 8 in b.zarr; the pieces"),
        ({"microscope": {"focal_spread_nm": 4.0}}, "microscope.focal_spread_nm: 3.0 in a.zarr, 4"),
        (
            {"specimens": {"gold": {}, "silver": {"material": "Ag"}}},
            'specimens.silver.kind: null in a.zarr, "particles" in b.zarr',
        ),
    ],
)
def test_pieces_of_other_studies_are_refused_with_the_first_key_that_differs(changed, says):
    both = [write("a.zarr"), write("b.zarr", BASE | changed)]
    with pytest.raises(PassbandError, match=f"^{re.escape(says)}"):
        pieces.find_all(both)


def test_all_files_of_a_packed_piece_are_given():
    one, two = (
        write(f"{k}.zarr.zip", config_digest="x", packed_file=k, packed_files=2) for k in (1, 2)
    )
    other = write("other.zarr.zip", config_digest="y", packed_file=2, packed_files=2)
    assert len(pieces.find_all([two, one])) == 2
    message = "1.zarr.zip: is one of 2 files of the piece a, and number 2 is not given"
    for given in ([one], [one, other]):
        with pytest.raises(PassbandError, match=f"^{re.escape(message)}"):
            pieces.find_all(given)


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ({"packed_file": 1, "packed_files": 10**9}, "packed_files is 1000000000, must be an"),
        ({"packed_file": 1, "packed_files": -5}, "packed_files is -5"),
        ({"packed_file": 1, "packed_files": [1]}, r"packed_files is \[1\]"),
        ({"packed_file": 1, "packed_files": True}, "packed_files is true"),
        ({"packed_file": 1, "packed_files": "2"}, 'packed_files is "2"'),
        ({"packed_file": 3, "packed_files": 2}, "packed_file is 3, must be an integer from 1 to 2"),
        ({"packed_file": {}, "packed_files": 2}, "packed_file is {}"),
        ({"packed_files": 2}, "packed_file is null"),
        ({"packed_file": 2}, "packed_files is null"),
    ],
)
def test_numbers_of_packed_files_are_checked_before_they_are_counted(numbers, says):
    write("a.zarr.zip", **numbers)
    with pytest.raises(PassbandError, match=rf"^a\.zarr\.zip: its {says}"):
        pieces.find_all(["a.zarr.zip"])


def test_json_that_is_deep_is_refused_by_every_command(capsys):
    Path("results/deep/table.zarr").mkdir(parents=True)
    Path("results/deep/table.zarr/zarr.json").write_text('{"attributes":' + "[" * 100_000)
    write("deep.zarr", configuration="[" * 100_000)
    microscope = "--defocus-nm 5 --cs-um 1 --aperture-mrad 9 --dose-e-per-A2 400"
    for command in (
        "table results/deep",
        "report results/deep",
        "explore results/deep",
        f"recommend results/deep {microscope}",
        "next results/deep --budget 1",
        "status results/deep",
        "pack results/deep --into p",
        "merge results/deep --into m",
        "merge deep.zarr --into m",
    ):
        assert cli.main(command.split()) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_an_empty_word_is_no_piece(capsys):
    write("table.zarr")  # of the working directory
    for before in ([], [write("a.zarr")]):
        assert cli.main(["merge", *before, "", "--into", "m"]) == 1
        assert capsys.readouterr().err.startswith("'': there is no such file or folder")
    with pytest.raises(PassbandError, match="there is no such file or folder"):
        pieces.find("")
    for into in ("", "..", "m/.."):
        with pytest.raises(PassbandError, match="must be the path of a new folder"):
            pieces.check_target(Path(into))


def test_a_target_is_new_or_an_empty_folder():
    Path("empty").mkdir()
    Path("full").mkdir()
    Path("full/file").touch()
    for folder in ("new", "empty"):
        pieces.check_target(Path(folder))
    for path in ("full", "full/file"):
        with pytest.raises(PassbandError, match=f"^into = '{path}': exists; give a new folder"):
            pieces.check_target(Path(path))
