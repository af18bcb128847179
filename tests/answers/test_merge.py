"""Pieces of a study are linked into one study, whose run makes the table."""

import shutil
import tarfile
from pathlib import Path

import pytest
from pieces_of_study import DEFOCUS, STUDY, halves, piece

from passband import PassbandError, cli
from passband.answers import merge
from passband.config import load
from passband.results import Results
from passband.storage import integrity

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of results of a finished study."""
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(ROOT / "tests/data/finished_03.tar.xz") as archive:
        wanted = [m for m in archive if m.name.startswith("results/smallest/store")]
        archive.extractall(folder, wanted, filter="data")
    return folder / "results/smallest"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return tmp_path


def files(folder):
    store = folder / "store"
    return {path.relative_to(store) for path in store.rglob("*.*") if path.is_file()}


def test_two_halves_are_the_whole_study(place, whole, capsys):
    assert cli.main(["merge", *halves(whole), "--into", "results/ab"]) == 0
    assert capsys.readouterr().out == (
        "8 networks of 2 piece(s) are linked in results/ab; `passband run ab` makes the table\n"
    )
    study = load("results/ab/study.yaml")
    expected = load(ROOT / "tests/data/smallest.yaml")
    assert study.study.name == "ab"
    assert study.train_ids == expected.train_ids
    assert study.test_conditions == expected.test_conditions
    assert study.training == expected.training
    assert Results.find("ab").study == study
    linked = files(Path("results/ab"))
    assert {path for path in files(whole) if path.parts[0] in ("waves", "networks", "records")} == (
        linked
    )
    one = next(path for path in linked if path.parts[0] == "waves")
    assert Path("results/ab/store", one).samefile(Path("results/a/store", one))


def test_a_network_that_no_piece_has_is_named_as_missing(place, whole, capsys):
    names = halves(whole)
    shutil.rmtree(next(Path("results/b/store/networks").glob("*/*/*")))
    assert cli.main(["merge", *names, "--into", "results/ab"]) == 0
    assert capsys.readouterr().out == (
        "6 networks of 2 piece(s) are linked in results/ab; `passband run ab` makes the table, "
        "which also trains 2 that are missing\n"
    )


def test_networks_of_another_recipe_do_not_count(place, whole, monkeypatch):
    monkeypatch.setitem(merge.Recipes.__init__.__globals__["STAGES"], "train", 99)
    found = merge.merge(halves(whole), Path("results/ab"))
    assert (found.networks, found.missing) == (0, 8)


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        (
            {"microscope": {"energy_kev": 200}},
            "microscope.energy_kev: 300.0 in results/a, 200.0 in results/b; the pieces of a study "
            "must agree",
        ),
        ({"training": {"epochs": 7}}, "training.epochs: "),
    ],
)
def test_what_differs_is_named_in_one_line(place, whole, capsys, blocks, says):
    names = halves(whole, **{k: STUDY.get(k, {}) | v for k, v in blocks.items()})
    assert cli.main(["merge", *names, "--into", "results/ab"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert not Path("results/ab").exists()


def test_test_conditions_must_agree_or_are_left_out(place, whole, capsys):
    names = halves(whole, test_grid=STUDY["grid"] | {"defocus_nm": [5]})
    assert cli.main(["merge", *names, "--into", "results/ab"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("test = df+0020.00_")
    assert "is in results/a and not in results/b; test all pieces under it, or leave it " in said
    assert cli.main(["merge", *names, "--into", "results/ab", "--common"]) == 0
    assert {c.defocus_nm for c in load("results/ab/study.yaml").test_conditions} == {5}


@pytest.mark.parametrize(
    ("into", "says"),
    [
        ("elsewhere", "must be a new folder in the folder results"),
        ("results/a", "exists; give a new folder, or delete it"),
        ("absent/results/ab", "there is no folder absent/results; create it first"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_in_one_line(place, whole, capsys, into, says):
    assert cli.main(["merge", *halves(whole), "--into", into]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"--into = {into!r}: {says}")
    assert said.count("\n") == 1


def test_a_piece_that_is_missing_or_of_0_2_is_one_line(place, whole):
    with pytest.raises(PassbandError, match=r"^absent: no study of this name"):
        merge.merge(["absent"], Path("results/ab"))
    name = piece(whole, "a", DEFOCUS)
    shutil.rmtree("results/a/store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(merge.listing, "is_of_02", lambda folder: True)
        with pytest.raises(PassbandError, match=integrity.MADE_BY_02):
            merge.merge([name], Path("results/ab"))


def test_a_link_in_a_piece_is_not_followed(place, whole):
    name = piece(whole, "a", DEFOCUS)
    Path("results/a/store/waves/elsewhere").symlink_to("/")
    with pytest.raises(PassbandError, match="is a link; only the study's own folder"):
        merge.merge([name], Path("results/ab"))


def test_own_parts_are_copied_if_they_are_trusted(place, whole, monkeypatch):
    name = piece(whole, "a", DEFOCUS)
    Path("results/a/parts").mkdir()
    shutil.copy(ROOT / "examples/parts/dice_histogram.py", "results/a/parts")
    with pytest.raises(PassbandError, match="has parts of its own, whose code would run"):
        merge.merge([name], Path("results/ab"))
    monkeypatch.setattr(Results, "trusts_stored", True)  # --trust-parts
    merge.merge([name], Path("results/ab"))
    assert Path("results/ab/parts/dice_histogram.py").is_file()
    assert load("results/ab/study.yaml").known_parts.own
