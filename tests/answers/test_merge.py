"""Pieces of a study are merged to the table of the whole study, and packed in small files."""

import json
import re
import shutil
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from passband import PassbandError, cli
from passband.analysis import table_union
from passband.answers import merge, opened_pieces, packing
from passband.config import validate_stored
from passband.grid import Axes, Condition
from passband.matrices.packed import packed
from passband.mixtures import MIXTURES, is_mixture
from passband.particle_scores import NO_NUMBER, NUMBERS, SCORES, TRUTHS
from passband.results import pieces
from passband.results.stores import load_table
from passband.scores import dice
from passband.seeds import digest
from passband.storage import datasets, integrity

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FEW = ("counts", "dice", "val_loss", "best_epoch", "status")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of results of a finished study: its table and its OOD metrics."""
    folder = tmp_path_factory.mktemp("whole")
    with tarfile.open(ROOT / "tests/data/finished_03.tar.xz") as archive:
        wanted = [
            member
            for member in archive.getmembers()
            if member.name.startswith(
                (
                    "results/smallest/table.zarr",
                    "results/smallest/ood.zarr",
                    "results/smallest/waves",
                )
            )
        ]
        archive.extractall(folder, wanted, filter="data")
    return folder / "results/smallest"


@cache
def _loaded(whole):
    return load_table(whole / "table.zarr").load().drop_encoding()


def loaded(whole):
    """Return a copy of the table of the finished study, which is read once."""
    return _loaded(whole).copy(deep=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    return tmp_path


#: Without intervals and bands, a merge takes less time.
FAST = (("evaluation.bootstrap", 0), ("information.bands_per_A", []))


def piece(whole, name, train=slice(None), changes=FAST, **indices):
    """Write a piece of the table to results/<name>, with other values of keys in `changes`.

    A piece that an earlier test has written is copied.
    """
    kept = whole.parent / f"{name}-{digest(str(train), changes, indices)}"
    if not kept.exists():
        opened = loaded(whole).isel(train=train, **indices)
        study = json.loads(opened.attrs["configuration"])
        study["study"]["name"] = name
        for key, value in changes:
            put(study, key, value)
        attrs = opened.attrs | {"configuration": json.dumps(study), "study": name}
        datasets.write(opened, kept / "table.zarr", datasets.TABLE, attrs)
    shutil.copytree(kept, Path("results") / name)
    return name


def put(study, key, value):
    *path, last = key.split(".")
    for each in path:
        study = study[each]
    study[last] = value


def halves(whole, changes=FAST):
    return [piece(whole, "a", slice(0, 2), changes), piece(whole, "b", slice(2, 4), changes)]


def test_two_halves_are_the_whole_table_and_its_metrics(place, whole):
    for name in halves(whole, ()):
        shutil.copytree(whole / "waves", f"results/{name}/waves")
    found = merge.merge(["b", "a"], Path("results/smallest"))
    assert (found.networks, found.missing, found.left_out) == (8, 0, ())
    made, known = (load_table(f / "table.zarr") for f in (Path("results/smallest"), whole))
    for name in FEW:
        xr.testing.assert_equal(made[name].load(), known[name].load())
    raw = json.loads((place / "results/smallest/table.zarr/counts/zarr.json").read_text())
    assert raw["data_type"] == "uint32"
    # The metrics of the workflow, apart from rounding.
    metrics, expected = (
        datasets.read(f / "ood.zarr", datasets.OOD) for f in (Path("results/smallest"), whole)
    )
    assert set(metrics) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(metrics[name], values, atol=1e-6, err_msg=name)
    assert metrics.attrs["replicas"] == 2


def test_each_network_has_the_piece_that_it_comes_from(place, whole):
    merge.merge(halves(whole), Path("results/ab"))
    made = load_table("results/ab/table.zarr")
    np.testing.assert_array_equal(made.part.values[0, 0], [[0, 0], [0, 0], [1, 1], [1, 1]])
    origin = json.loads(made.attrs["parts"])
    assert [each["part"] for each in origin] == ["a", "b"]
    assert origin[1] == {"part": "b"} | {
        name: load_table("results/b/table.zarr").attrs[name]
        for name in (
            "study",
            "config_digest",
            "passband_version",
            "git_revision",
            "command",
            "created",
        )
    }
    study = json.loads(made.attrs["configuration"])
    assert study["study"]["name"] == "ab"


def test_a_merged_table_can_be_merged_again(place, whole):
    names = [piece(whole, f"p{k}", slice(k, k + 1)) for k in range(4)]
    merge.merge(names[2:], Path("results/late"))
    merge.merge([names[0], "late", names[1]], Path("results/all"))
    made = load_table("results/all/table.zarr")
    origin = [each["part"] for each in json.loads(made.attrs["parts"])]
    assert origin == ["p0", "p2", "p3", "p1"]
    np.testing.assert_array_equal(made.part.values[0, 0, :, 0], [0, 3, 1, 2])


def test_particles_are_merged_and_have_their_metrics(place, whole):
    """If one of the pieces has none, they are left out, and the result says so."""
    numbers = np.random.default_rng(0).integers(1, 9, (4, 2, 4, 4, len(TRUTHS), len(NUMBERS)))
    dims = "train", "replica", "test", "structure", "truth", "number"
    for name, train, replicas in (("a", [0, 1], [0, 1]), ("b", [3], [0])):
        opened = loaded(whole).isel(train=train, replica=replicas)
        of_piece = numbers[train][:, replicas].astype(np.uint32)
        found = xr.DataArray(of_piece, dims=dims).expand_dims(
            ["specimen", "architecture", "test_specimen"]
        )
        found = found.transpose(*opened.counts.dims[:-1], "truth", "number")
        attrs = {"missing": NO_NUMBER}
        opened = opened.assign(particles=(found.dims, found.values, attrs))
        opened = opened.assign_coords(truth=list(TRUTHS), number=list(NUMBERS))
        study = json.loads(opened.attrs["configuration"])
        study["study"]["name"] = name
        for key, value in FAST:
            put(study, key, value)
        attrs = opened.attrs | {"configuration": json.dumps(study), "study": name}
        datasets.write(opened, f"results/{name}/table.zarr", datasets.TABLE, attrs)
    assert merge.merge(["a", "b"], Path("results/ab")).left_out == ()
    made = load_table("results/ab/table.zarr").load()
    numbers[3, 1] = NO_NUMBER  # no piece has this network
    values = made.particles.squeeze().transpose(*dims)
    np.testing.assert_array_equal(values, numbers[[0, 1, 3]])
    metrics = datasets.read("results/ab/ood.zarr", datasets.OOD)
    expected = np.nanmean(SCORES["instance_f1"](numbers[[0, 1, 3]]), (1, 3))
    np.testing.assert_allclose(metrics.instance_f1.squeeze(), expected, rtol=1e-6)
    assert merge.merge(["a", piece(whole, "c", [2])], Path("results/ac")).left_out == ("particles",)
    assert "instance_f1" not in datasets.read("results/ac/ood.zarr", datasets.OOD)


def test_replicas_and_missing_networks(place, whole):
    """Three of eight networks are in no piece: their results are missing, and marked as missing."""
    names = [piece(whole, "a", slice(0, 3), replica=[0]), piece(whole, "b", [0, 3], replica=[1])]
    found = merge.merge(names, Path("results/some"))
    assert (found.networks, found.missing) == (5, 3)
    made = load_table("results/some/table.zarr")
    there = np.array([[1, 1], [1, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(made.status.values[0, 0], there)
    np.testing.assert_array_equal(np.isfinite(made.dice.values[0, 0, ..., 0, 0]), there == 1)
    np.testing.assert_array_equal(made.part.values[0, 0] < 0, there == 0)
    assert json.loads(made.attrs["configuration"])["study"]["allow_incomplete"] is True


def test_the_same_network_in_two_pieces_must_agree(place, whole):
    names = [piece(whole, "a", slice(0, 3)), piece(whole, "b", slice(2, 4))]
    merge.merge(names, Path("results/ab"))
    made = load_table("results/ab/table.zarr")
    np.testing.assert_array_equal(made.part.values[0, 0, :, 0], [0, 0, 0, 1])
    other = load_table("results/b/table.zarr").load()
    shifted = other.assign(dice=other.dice - 0.019)
    datasets.write(shifted.drop_encoding(), "results/b/table.zarr", datasets.TABLE, {})
    merge.merge(names, Path("results/near"))
    shifted.dice[0, 0, 0, 1, 0, 2] += 0.0411
    datasets.write(shifted.drop_encoding(), "results/b/table.zarr", datasets.TABLE, {})
    with pytest.raises(PassbandError) as error:
        merge.merge(names, Path("results/far"))
    id, test = other.train.values[0], other.test.values[2]
    message = str(error.value)
    assert message.startswith(f"network gold/compact-w4-d2/{id}/1: its Dice under {test} is 0.")
    assert message.endswith(" in b; must agree within 0.02")
    assert not Path("results/far").exists()


def test_pieces_with_other_test_conditions(place, whole):
    names = [piece(whole, "a", slice(0, 2)), piece(whole, "b", slice(2, 4), test=[0, 1, 3])]
    id = str(loaded(whole).test.values[2])
    with pytest.raises(PassbandError, match="is in a and not in b; test all pieces") as error:
        merge.merge(names, Path("results/ab"))
    assert str(error.value).startswith(f"test = {id}: ")
    # Three of four combinations are no product of axes, so two are left.
    shutil.rmtree("results/b")
    names[1] = piece(whole, "b", slice(2, 4), test=[3, 1])
    merge.merge(names, Path("results/ab"), common=True)
    made = load_table("results/ab/table.zarr")
    assert made.test.values.tolist() == loaded(whole).test.values[[1, 3]].tolist()
    known = loaded(whole).isel(test=[1, 3])
    np.testing.assert_array_equal(made.dice, known.dice)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("study.seed", 7),
        ("microscope.energy_kev", 200.0),
        ("microscope.detector.gain", 2.0),
        ("study.structures.test", 5),
        ("training.epochs", 3),
    ],
)
def test_pieces_of_different_studies_are_refused(place, whole, key, value, capsys):
    halves(whole)
    file = Path("results/b/table.zarr/zarr.json")
    content = json.loads(file.read_text())
    study = json.loads(content["attributes"]["configuration"])
    known = study
    for each in key.split("."):
        known = known[each]
    put(study, key, value)
    content["attributes"]["configuration"] = json.dumps(study)
    file.write_text(json.dumps(content))
    integrity.write_checksums(file.parent, file.parent.rglob("zarr.json"))
    assert cli.main(["merge", "a", "b", "--into", "results/ab"]) == 1
    assert capsys.readouterr().err == (
        f"{key}: {json.dumps(known)} in a, {json.dumps(value)} in b; the pieces of a study must "
        "agree\n"
    )
    assert not Path("results/ab").exists()


def _first(name, value):
    """Return a function that gives a table another first id along a dimension."""

    def change(opened):
        ids = opened[name].values.tolist()
        return opened.assign_coords({name: [value or ids[1], *ids[1:]]})

    return change


def _spectrum(text):
    return lambda table: table.assign_attrs(spectrum=text)


def _too_many(variable):
    """Return sums of pixels, which are integers along no structures, as the largest number."""
    if variable.name not in ("tp", "fp"):
        return variable
    return variable.astype("uint32") * 0 + np.uint32(2**32 - 1)


OTHER = Condition(7, 1.2, 16, 1000).id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_first("train", None), r"has train = df\+0005\S+ twice;"),
        (_first("train", OTHER), "has train = df.0007.*, which its own configuration has not;"),
        (_first("specimen", "lead"), "has specimen = lead, which its own configuration has not;"),
        (_first("test_specimen", "lead"), "has test_specimen = lead, which its own configuration"),
        (_first("architecture", "compact-w2-d2"), "has architecture = compact-w2-d2, which its"),
        (_first("replica", 999), "has replica = 999, which its own configuration has not;"),
        (lambda t: t.drop_vars("counts"), "has no variable counts;"),
        (lambda t: t.isel(test=0, drop=True), "counts is float64 along specimen, architecture,"),
        (lambda t: t.isel(structure=slice(0, 0)), "has no structure;"),
        (lambda t: t.assign(status=t.status * 0.5), "status is float64 along specimen,"),
        (lambda t: t.assign_attrs(parts="["), "its attribute parts is damaged;"),
        (lambda t: t.assign_attrs(study=7), "its attribute study is no text;"),
        (_spectrum("["), "its attribute spectrum is damaged: .*;"),
        (_spectrum('{"lead": [[0, 1], [1, 1]]}'), "has a spectrum of lead, which its own"),
        (_first("test", OTHER), "has test = df.0007.*, which its own configuration has not;"),
        (
            lambda t: t.assign(dice=t.dice * np.nan),
            r"network gold/.*: is done in a, but has no Dice;",
        ),
        (lambda t: t.assign(best_epoch=t.best_epoch - 9), r"best_epoch = -\d, must be 0 or more;"),
        (
            lambda t: t.assign(counts=t.counts + xr.DataArray([64.0**2, 0, 0], dims="outcome")),
            r"counts of train = df\S+ has an image of \d+ pixels, must be at most 4096;",
        ),
        (
            lambda t: t.assign(counts=t.counts.where(t.counts.structure != 0)),
            r"counts of train = df\S+ has an image of 4294967295 pixels, must be at most 4096;",
        ),
        (
            lambda t: packed(t).assign_attrs(t.attrs).map(_too_many, keep_attrs=True),
            r"tp \+ fp = 8,589,934,590 pixels, must be at most [\d,]+, those of its \d+ images;",
        ),
        (lambda t: t.assign_attrs(configuration="{study"), "its configuration is no JSON object;"),
    ],
)
def test_a_piece_with_what_cannot_be_is_refused(place, whole, change, message, capsys):
    piece(whole, "a", slice(0, 2))
    opened = datasets.read("results/a/table.zarr", datasets.TABLE).drop_encoding()
    made = change(opened)
    datasets.write(made, "results/a/table.zarr", datasets.TABLE, made.attrs)
    assert cli.main(["merge", "a", "--into", "results/ab"]) == 1
    out, error = capsys.readouterr()
    assert re.search(rf"^.*{message}.* make this piece again\n$", error)
    assert (out, error.count("\n")) == ("", 1)
    assert not Path("results/ab").exists()


def test_a_newer_format_a_damaged_zip_and_missing_pieces(place, whole, capsys):
    piece(whole, "a")
    assert cli.main(["pack", "a", "--into", "packed"]) == 0
    capsys.readouterr()
    file = Path("packed/a.zarr.zip")
    whole_file = file.read_bytes()

    def message(*pieces):
        assert cli.main(["merge", *pieces, "--into", "results/ab"]) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert not Path("results/ab").exists()
        return err

    file.write_bytes(whole_file[: len(whole_file) // 2])
    assert message("a", str(file)).startswith("packed/a.zarr.zip: cannot be read: BadZipFile: ")
    middle = len(whole_file) // 2
    file.write_bytes(whole_file[:middle] + b"\xff\x00\xff" + whole_file[middle + 3 :])
    assert "make this piece again" in message(str(file))
    assert message("nowhere").startswith("nowhere: no study of this name")
    assert (
        message("packed/none.zarr.zip") == "packed/none.zarr.zip: there is no such file or folder\n"
    )
    assert message("results/none.zarr") == "results/none.zarr: there is no such file or folder\n"
    Path("results/empty").mkdir()
    assert message("empty").startswith("empty: has no table.zarr; run this piece")
    newer = Path("results/a/table.zarr/zarr.json")
    content = json.loads(newer.read_text())
    content["attributes"]["format"] = 3
    newer.write_text(json.dumps(content))
    assert message("a").startswith("results/a/table.zarr: its format is 3, and this Passband reads")
    datasets.write(xr.Dataset({"x": 1}), "results/x.zarr", datasets.TABLE, {})
    assert message("results/x.zarr").startswith("results/x.zarr: does not name its study")


def test_a_flipped_bit_in_integers_is_named_in_one_line(place, whole, capsys):
    piece(whole, "a", slice(0, 2))
    (chunk,) = Path("results/a/table.zarr/status").glob("c.*")
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 4
    chunk.write_bytes(content)
    for words in (["merge", "a", "--into", "results/ab"], ["pack", "a", "--into", "packed"]):
        assert cli.main(words) == 1
        error = capsys.readouterr().err
        assert re.fullmatch(r"results/a/table\.zarr: its status is damaged: .* again\n", error)
    assert not Path("results/ab").exists()
    assert not Path("packed").exists()


#: What says how large an array is.
OF_AN_ARRAY = ("shape", "data_type", "chunk_grid", "codecs", "fill_value")
ODD = (None, -1, "\x1b[31m", [[]], 10**30, "[" * 100_000, {"name": "a"})


def test_whatever_the_metadata_of_a_packed_piece_are_it_is_read_or_refused(place, whole):
    piece(whole, "a", slice(0, 2))
    (file,) = packing.pack("a", Path("packed"))
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    refused = []
    for name in ("zarr.json", "tp/zarr.json"):
        root = json.loads(content[name])
        places = [(root, key) for key in (root if name == "zarr.json" else OF_AN_ARRAY)]
        if name == "zarr.json":
            attributes = root["attributes"]
            keys = dict.fromkeys([*attributes, "parts", "spectrum", "packed_files"])
            places += [(attributes, key) for key in keys]
        for block, key in places:
            before = block.get(key)
            for odd in ODD:
                block[key] = odd
                with zipfile.ZipFile("odd.zarr.zip", "w") as archive:
                    for each, data in {**content, name: json.dumps(root)}.items():
                        archive.writestr(each, data)
                try:
                    found = pieces.find("odd.zarr.zip")
                    opened_pieces.spectra([found])
                    opened_pieces.open_piece(found)
                except PassbandError as error:
                    refused.append(str(error))
            if before is None:
                del block[key]
            else:
                block[key] = before
    assert len(refused) > 100
    assert all(line.isprintable() for line in refused)


def test_the_target_is_never_replaced(place, whole, capsys):
    piece(whole, "a")
    Path("results/old").mkdir()
    Path("results/old/notes.txt").write_text("mine")
    assert cli.main(["merge", "a", "--into", "results/old"]) == 1
    assert capsys.readouterr().err == (
        "--into = 'results/old': exists; give a new folder, or delete it\n"
    )
    assert Path("results/old/notes.txt").read_text() == "mine"
    assert cli.main(["merge", "a", "--into", "results/no such/x"]) == 1
    assert "there is no folder" in capsys.readouterr().err
    assert cli.main(["merge", "a", "--into", "results/x", "--ood", "x.zip"]) == 1
    assert capsys.readouterr().err == "--ood = 'x.zip': must end in .zarr.zip\n"
    assert cli.main(["merge", "a", "--into", "results/bad_name"]) == 1
    assert "study.name = 'bad_name'" in capsys.readouterr().err
    assert sorted(p.name for p in Path("results").iterdir()) == ["a", "old"]


def test_a_packed_piece_has_the_dice_of_every_image(whole):
    opened = loaded(whole)
    small = packed(opened)
    exact = dice(opened.counts.values)
    assert small.image_dice.dims == opened.counts.dims[:-1]
    np.testing.assert_allclose(small.image_dice / 254, exact, atol=0.5 / 254)
    assert small.image_dice.dtype == np.uint8
    np.testing.assert_array_equal(small.image_dice, np.rint(254 * exact))
    for name in ("tp", "fp"):
        own = opened.counts.sel(outcome=name).sum("structure")
        np.testing.assert_array_equal(small[name], own)


def test_missing_networks_stay_missing_in_a_packed_piece(whole):
    opened = loaded(whole)
    opened.counts[0, 0, 1, 0] = np.nan
    small = packed(opened)
    assert (small.image_dice[0, 0, 1, 0] == 255).all()
    assert (small.tp[0, 0, 1, 0] == 0).all()
    np.testing.assert_array_equal(small.image_dice == 255, np.isnan(opened.counts.values[..., 0]))


def test_packed_pieces_give_the_metrics_and_their_intervals(place, whole, capsys):
    for name in halves(whole, ()):
        assert cli.main(["pack", name, "--into", "pieces"]) == 0
    files = sorted(map(str, Path("pieces").iterdir()))
    assert files == ["pieces/a.zarr.zip", "pieces/b.zarr.zip"]
    small = ["--ood", "small.zarr.zip"]
    assert cli.main(["merge", *files, "--into", "results/ab", *small]) == 0
    assert (
        "8 networks of 2 piece(s) in results/ab: 4 training and 4 test" in capsys.readouterr().out
    )
    metrics, known = (
        datasets.read(f / "ood.zarr", datasets.OOD) for f in (Path("results/ab"), whole)
    )
    # The specimen's spectrum is not known here, so that near and far differ.
    for name in ("id", "ood", "worst", "dice", "gap_test", "dice_interval", "ood_interval"):
        np.testing.assert_allclose(metrics[name], known[name], atol=1 / 254, err_msg=name)
    few = datasets.read("small.zarr.zip", datasets.OOD)
    assert "dice_interval" not in few
    assert few.sizes["train"] == 4
    assert few.attrs["replicas"] == 2
    np.testing.assert_allclose(few.dice, metrics.dice, atol=2**-14)
    assert cli.main(["table", "ab"]) == 0


def test_a_packed_piece_and_a_table_are_merged(place, whole):
    names = halves(whole)
    (file,) = packing.pack(names[0], Path("pieces"))
    found = merge.merge([file, names[1]], Path("results/ab"))
    assert found.left_out == ()
    made = load_table("results/ab/table.zarr")
    assert "image_dice" in made
    known = loaded(whole)
    np.testing.assert_allclose(made.dice, known.dice, atol=0.5 / 254)
    assert "counts" not in made


def test_a_large_piece_is_divided_among_files(place, whole):
    piece(whole, "a")
    (one,) = packing.pack("a", Path("one"))
    size = one.stat().st_size
    files = packing.pack("a", Path("more"), size - 1)
    assert len(files) > 1
    assert files[0].name == "a-01.zarr.zip"
    assert max(file.stat().st_size for file in files) < size
    assert sorted(Path("more").iterdir()) == files
    merge.merge(files, Path("results/again"))
    made = load_table("results/again/table.zarr")
    (ready,) = packing.pack("again", Path("repacked"))
    again = datasets.read(ready, datasets.PACKED)
    first = datasets.read(one, datasets.PACKED)
    for name in first:
        xr.testing.assert_equal(again[name], first[name])
    assert made.sizes["train"] == 4


def test_a_packed_piece_without_one_of_its_files_is_named(place, whole, capsys):
    """A move of the files that was interrupted leaves some of them."""
    piece(whole, "a", [0, 1])
    piece(whole, "b", [2, 3])
    (one,) = packing.pack("a", Path("one"))
    first, second = packing.pack("a", Path("more"), one.stat().st_size - 1)
    assert "packed_files" not in pieces.find(one).attrs
    (other,) = packing.pack("b", Path("more"))
    for given, number in (([first], 2), ([other, second], 1), ([second, "b", second], 1)):
        assert cli.main(["merge", *map(str, given), "--into", "results/ab"]) == 1
        named = next(each for each in given if each in (first, second))
        assert capsys.readouterr().err == (
            f"{named}: is one of 2 files of the piece a, and number {number} is not given; give "
            "all of them, or pack the piece again\n"
        )
    assert not Path("results/ab").exists()
    assert merge.merge([second, other, first], Path("results/ab")).networks == 8


def test_packed_files_of_earlier_versions_need_not_be_complete():
    """They do not have their number in their attributes."""
    files = sorted((ROOT / "findings/twelve_thousand/data/parts").glob("*.zarr.zip"))
    assert pieces.find_all(files[:1])
    assert len(pieces.find_all(files)) == len(files)


def test_a_file_has_one_training_condition_at_least(place, whole):
    piece(whole, "a")
    files = packing.pack("a", Path("pieces"), most_bytes=1)
    assert [datasets.read(file, datasets.PACKED).sizes["train"] for file in files] == 4 * [1]


def test_files_are_not_replaced(place, whole, capsys):
    piece(whole, "a")
    assert cli.main(["pack", "a", "--into", "pieces"]) == 0
    capsys.readouterr()
    assert cli.main(["pack", "a", "--into", "pieces"]) == 1
    assert capsys.readouterr().err.startswith("pieces/a.zarr.zip: exists; delete it")


def with_own(whole, name, train):
    """Write a piece whose networks were tested under their own training condition too."""
    opened = loaded(whole).isel(train=train)
    own = [opened.counts.sel(train=id, test=id, drop=True) for id in opened.train.values]
    dims = [name for name in opened.counts.dims if name != "test"]
    counts = xr.concat(own, opened.train.variable).transpose(*dims).values
    more = {
        "own_counts": (dims, counts),
        "own_dice": (dims[:-2], dice(counts).mean(-1).astype("float32")),
    }
    target = f"results/{name}/table.zarr"
    datasets.write(opened.assign(more).drop_encoding(), target, datasets.TABLE, {})
    return name


def test_conditions_that_are_no_product_become_points(place, whole):
    names = [piece(whole, "a", [0]), piece(whole, "b", [1, 2])]
    merge.merge(names, Path("results/ab"))
    study = json.loads(load_table("results/ab/table.zarr").attrs["configuration"])
    assert len(study["grid"]["points"]) == 3
    ids = load_table(whole / "table.zarr").train.values[:3].tolist()
    assert [c.id for c in validate_stored(study).train_conditions] == ids
    assert cli.main(["table", "ab"]) == 0


def test_a_piece_with_a_further_axis(place, whole):
    """Piece b has astigmatism. Piece a has the study's own value, which is not in its ids."""
    piece(whole, "a", [0, 1])
    opened = load_table(whole / "table.zarr").isel(train=[0, 1]).load()
    axes = Axes({"astigmatism_nm": 0.0})
    ids = [f"{id}_as0004.000" for id in opened.train.values]
    test = opened.test.values.tolist()
    moved = opened.drop_vars([n for n in opened.coords if str(n).startswith(("train", "test_"))])
    moved = moved.assign_coords(
        {"test_specimen": opened.test_specimen, "train": ids}
        | axes.coordinates(ids, "train")
        | axes.coordinates(test, "test")
    )
    given = json.loads(opened.attrs["configuration"])
    given["test_grid"] = given["grid"]
    given["grid"] = given["grid"] | {"astigmatism_nm": [0, 4]}
    attrs = {"configuration": json.dumps(given)}
    datasets.write(moved.drop_encoding(), "results/b/table.zarr", datasets.TABLE, attrs)
    merge.merge(["a", "b"], Path("results/ab"))
    made = load_table("results/ab/table.zarr")
    assert made.train_astigmatism_nm.values.tolist() == [0, 4, 0, 4]
    assert made.test_astigmatism_nm.values.tolist() == [0] * len(test)
    study = validate_stored(json.loads(made.attrs["configuration"]))
    assert study.axes == axes
    assert [c.id for c in study.train_conditions] == made.train.values.tolist()


def with_astigmatism(whole, name, train):
    """Write a piece whose only astigmatism is 4 nm; the study's own value 0 is not written."""
    opened = loaded(whole).isel(train=train)
    given = json.loads(opened.attrs["configuration"])
    for block in ("grid", "test_grid"):
        given[block] = {**(given[block] or {}), "astigmatism_nm": [4]}
    given["evaluation"]["bootstrap"] = 0
    given["information"]["bands_per_A"] = []
    given["study"]["name"] = name
    del given["microscope"]["aberrations"]
    study = validate_stored(given)
    ids = {
        side: [f"{id}_as0004.000" for id in opened[side].values.tolist()]
        for side in ("train", "test")
    }
    moved = opened.drop_vars([n for n in opened.coords if str(n).startswith(("train", "test_"))])
    coords = {}
    for side in ("train", "test"):
        coords |= Axes({"astigmatism_nm": 0.0}).coordinates(ids[side], side)
    moved = moved.assign_coords({"test_specimen": opened.test_specimen} | ids | coords)
    attrs = opened.attrs | {"configuration": json.dumps(study.written())}
    datasets.write(moved.drop_encoding(), f"results/{name}/table.zarr", datasets.TABLE, attrs)
    return study.axes


def test_pieces_with_an_axis_that_leaves_out_its_own_value(place, whole):
    axes = [with_astigmatism(whole, name, rows) for name, rows in (("a", [0, 1]), ("b", [2]))]
    files = [packing.pack(name, Path("packed"))[0] for name in ("a", "b")]
    for number, given in enumerate((["a", "b"], files)):
        folder = Path(f"results/ab{number}")
        merge.merge(given, folder)
        attrs = load_table(folder / "table.zarr").attrs
        study = validate_stored(json.loads(attrs["configuration"]))
        assert study.axes == axes[0] == Axes({"astigmatism_nm": 0})
        assert len(study.train_conditions) == 3
        assert pieces.find(folder).study == study


def test_results_under_the_own_condition_are_merged_and_packed(place, whole):
    names = [with_own(whole, "a", [0, 1]), with_own(whole, "b", [2, 3])]
    merge.merge(names, Path("results/ab"))
    made = load_table("results/ab/table.zarr").load()
    files = [packing.pack(name, Path(f"pieces-{name}"))[0] for name in names]
    merge.merge(files, Path("results/packed"))
    small = load_table("results/packed/table.zarr").load()
    for each, names in ((made, ("counts", "dice")), (small, ("image_dice", "tp", "fp", "dice"))):
        for k, id in enumerate(each.train.values):
            for name in names:
                same = each[name].isel(train=k).sel(test=id)
                np.testing.assert_array_equal(each[f"own_{name}"].isel(train=k), same)


def test_conditions_are_a_product_or_points():
    given = [Condition(d, 1.2, 10, e) for d in (5, 10) for e in (100, 200)]
    assert merge.grid_of(given) == {
        "defocus_nm": [5, 10],
        "cs_um": [1.2],
        "aperture_mrad": [10],
        "dose_e_per_A2": [100, 200],
    }
    points = merge.grid_of(given[:3])["points"]
    assert [Condition(**point) for point in points] == given[:3]


def with_unknown(table: xr.Dataset, sides=("left", "right")) -> xr.Dataset:
    """Return a table with variables that no code names, one along a dimension of its own."""
    random = np.random.default_rng(5)
    network = ["specimen", "architecture", "train", "replica"]
    image = [*network, "test_specimen", "test", "structure"]
    of_network = [table.sizes[d] for d in network]
    return table.assign(
        unknown=(image, random.random([table.sizes[d] for d in image])),
        turned=([*network, "side"], random.integers(9, size=[*of_network, len(sides)])),
    ).assign_coords(named=("side", list(sides)))


def test_variables_that_no_code_names_are_merged(place, whole):
    opened = with_unknown(loaded(whole))
    for name, rows in (("a", [0, 2]), ("b", [1, 3])):
        table = opened.isel(train=rows).drop_encoding()
        datasets.write(table, f"results/{name}/table.zarr", datasets.TABLE, opened.attrs)
    assert merge.merge(["a", "b"], Path("results/ab")).left_out == ()
    made = load_table("results/ab/table.zarr").load()
    for name in ("unknown", "turned"):
        assert made[name].dims == opened[name].dims
        assert made[name].coords.equals(opened[name].coords)
        np.testing.assert_array_equal(made[name], opened[name])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: table.drop_vars("unknown"), ["unknown"]),
        (lambda table: with_unknown(table, ("left", "front")), ["turned"]),
        (lambda table: with_unknown(table.drop_dims("side"), ("left",)), ["turned"]),
        (lambda table: table.assign(unknown=table.status), ["unknown"]),
        (lambda table: table.assign(unknown=table.unknown.isel(replica=0)), ["unknown"]),
        (packed, ["turned", "unknown"]),
    ],
)
def test_variables_that_pieces_have_in_another_way_are_left_out(whole, change, expected):
    one = with_unknown(loaded(whole)[["counts", "dice", "status"]])
    pieces = [
        table_union.Piece(name, each, ({},)) for name, each in (("a", one), ("b", change(one)))
    ]
    for given in (pieces, pieces[::-1]):
        kept, left_out = table_union.alike(given)
        assert left_out == expected
        for piece in kept:
            assert {"unknown", "turned"} - {*piece.table.data_vars} == {*expected}


def test_sums_of_several_widths_keep_their_values(whole):
    small = packed(loaded(whole))
    large = small.assign(tp=small.tp.astype("uint32") + 70_000)
    pieces = [table_union.Piece(name, each, ({},)) for name, each in (("a", small), ("b", large))]
    (a, b), left_out = table_union.alike(pieces)
    assert left_out == []
    assert a.table.tp.dtype == b.table.tp.dtype == np.uint32
    np.testing.assert_array_equal(a.table.tp, small.tp)
    np.testing.assert_array_equal(b.table.tp, large.tp)
    assert a.table.tp.attrs == small.tp.attrs


def test_zip_files_of_tables_are_pieces(place, whole):
    opened = loaded(whole)
    datasets.write(opened.drop_encoding(), "t.zarr.zip", datasets.TABLE, {})
    with zipfile.ZipFile("t.zarr.zip") as archive:
        assert "counts/zarr.json" in archive.namelist()
    found = merge.merge(["t.zarr.zip"], Path("results/t"))
    assert found.networks == 8
    assert "image_dice" not in load_table("results/t/table.zarr")


def with_mixture(whole, name):
    """Write a piece with conditions and a mixture of them, whose row is that of a condition."""
    opened = loaded(whole).isel(train=[2, 3, 0])
    study = json.loads(opened.attrs["configuration"])
    study["study"]["name"] = name
    study["evaluation"]["bootstrap"] = 0
    study["test_grid"] = study["grid"]
    study["grid"] = [
        study["grid"] | {"defocus_nm": [20.0]},
        {"mixture": {"name": "all", "over": "grid"}},
    ]
    (mixture,) = validate_stored(study).mixtures
    ids = [*opened.train.values[:2].tolist(), mixture.id]
    opened = opened.drop_vars("train").assign_coords(
        {"train": ids} | Axes.main.coordinates(ids, "train")
    )
    attrs = opened.attrs | {
        "configuration": json.dumps(study),
        MIXTURES: json.dumps({mixture.id: mixture.content}),
    }
    datasets.write(opened.drop_encoding(), f"results/{name}/table.zarr", datasets.TABLE, attrs)
    return mixture


def test_a_piece_with_a_mixture(place, whole, capsys):
    mixture = with_mixture(whole, "b")
    for name in ("a", "b"):
        if name == "a":
            piece(whole, "a", [0, 1])
        assert cli.main(["pack", name, "--into", "packed"]) == 0
    for number, given in enumerate((["a", "b"], ["packed/a.zarr.zip", "packed/b.zarr.zip"])):
        target = Path(f"results/ab{number}")
        merge.merge(given, target)
        made = load_table(target / "table.zarr")
        before = [id for id in loaded(whole).train.values if not is_mixture(id)]
        assert made.train.values.tolist() == [*before, mixture.id]
        assert json.loads(made.attrs[MIXTURES]) == {mixture.id: mixture.content}
        study = validate_stored(json.loads(made.attrs["configuration"]))
        assert study.train_ids == made.train.values.tolist()
        metrics = datasets.read(target / "ood.zarr", datasets.OOD)
        row = metrics.sel(train=mixture.id).squeeze()
        # The mixture has the two conditions of 20 nm.
        own = row.dice.sel(test=before[2:]).mean("test")
        np.testing.assert_allclose(row.id, own, rtol=1e-6)
        assert cli.main(["table", str(target)]) == 0
        assert mixture.id in capsys.readouterr().out


def test_pieces_of_mixtures_only_cannot_be_merged(place, whole):
    with_mixture(whole, "b")
    opened = load_table("results/b/table.zarr").isel(train=[2]).load().drop_encoding()
    datasets.write(opened, "results/c/table.zarr", datasets.TABLE, opened.attrs)
    with pytest.raises(PassbandError, match="networks of mixtures only"):
        merge.merge(["c"], Path("results/d"))


@pytest.fixture
def own_metrics(place, whole):
    """Two halves of a study; the first, `a`, has a file with two metrics of its own beside it."""
    halves(whole)
    (place / "a/parts").mkdir(parents=True)
    for name in ("same_sign", "failed"):
        shutil.copy(ROOT / f"examples/parts/{name}.py", "a/parts")
    stored = json.loads(load_table("results/a/table.zarr").attrs["configuration"])
    study = validate_stored(stored).model_dump(mode="json")
    Path("a/config.yaml").write_text(yaml.safe_dump(study))


@pytest.mark.parametrize(
    ("words", "computed"),
    [
        (["b", "a"], True),
        (["results/a", "b"], False),
        (["results/a", "b", "--trust-parts"], True),
    ],
)
@pytest.mark.usefixtures("own_metrics")
def test_own_metrics_are_computed_if_they_are_trusted(words, computed, capsys):
    assert cli.main(["merge", *words, "--into", "results/ab"]) == 0
    said = capsys.readouterr().err
    line = (
        "left out, since their code is not trusted or not here, see docs/merge.md: "
        "failed, same_sign"
    )
    assert (line in said) != computed
    transfer = datasets.read("results/ab/information.zarr", datasets.INFORMATION)
    metrics = datasets.read("results/ab/ood.zarr", datasets.OOD)
    assert ("same_sign" in transfer) == computed
    assert ("failed" in metrics) == computed
    if computed:
        np.testing.assert_allclose(np.diag(transfer.same_sign.sel(weight="flat")), 1)
        parts = json.loads(metrics.attrs["own_parts"])
        assert [each["name"] for each in parts] == ["failed", "same_sign"]


@pytest.mark.usefixtures("own_metrics")
def test_a_packed_piece_knows_which_metrics_it_lacks(capsys):
    known = [
        {"kind": "ood_metric", "name": "failed"},
        {"kind": "loss", "name": "tversky"},
    ]
    table = load_table("results/a/table.zarr").load().drop_encoding()
    attrs = table.attrs | {"own_parts": json.dumps(known)}
    datasets.write(table, "results/a/table.zarr", datasets.TABLE, attrs)
    packing.pack("a", Path("packed"))
    found = merge.merge(["packed/a.zarr.zip", "results/b"], Path("results/ab"))
    assert found.lacking == ("failed",)
