"""The command ``passband recommend``."""

import json
import os
import re

import numpy as np
import pytest
import xarray as xr
from carbon_images import film_image
from imaged_study import STUDY, user_images, write_imaged_study
from matplotlib.image import imread
from recommended import make_results, make_study

import passband
from passband import PassbandError, cli
from passband.answers import image_recommendation
from passband.answers.tested_networks import TestedNetworks
from passband.config import validate
from passband.matrices import of_study
from passband.results.layout import FURTHER_LEASE
from passband.storage import datasets, lease

LIKE = ["--like=film.npy", "--pixel-size-A=0.4", "--cs-um=20"]
HERE_VALUES = {"defocus_nm": 6, "cs_um": 20, "aperture_mrad": 14, "dose_e_per_A2": 850}
HERE = ["--defocus-nm", "6", "--cs-um=20", "--aperture-mrad=14", "--dose-e-per-A2=850"]


def run(capsys, *arguments):
    status = cli.main(["recommend", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_networks_are_printed_in_their_order(known, capsys):
    status, out, err = run(capsys, "known", *HERE, "--top", "3")
    assert (status, err) == (0, "")
    assert out.startswith("gold at 6 nm · 20 µm · 14 mrad · 850 e/Å², with the networks of the")
    assert "\n\ninside this study" in out
    ranked = [line.split() for line in out.splitlines() if "interpolated" in line]
    assert [line[0] for line in ranked] == ["1", "2", "3"]
    assert "df+0005.00" in ranked[0][-1]
    assert "ds001000.00" in ranked[0][-1]
    assert "\nRanked by expected Dice.\n" in out
    assert "13 more networks: --top 16 prints all." in out
    assert "nearest tested condition: 5 nm" in out
    assert "train next: gold, compact-w8-d3" in out


@pytest.mark.slow
def test_a_flipped_bit_in_a_variable_that_is_read_late_is_one_line(known, capsys, monkeypatch):
    monkeypatch.setattr(datasets, "_opened", {})  # without the stores of other tests
    for chunk in (known / "results/known/table.zarr/dice").glob("c.*"):
        flipped = bytearray(chunk.read_bytes())
        flipped[len(flipped) // 2] ^= 1
        chunk.write_bytes(flipped)
    status, out, err = run(capsys, "known", *HERE)
    assert (status, out) == (1, "")
    assert err.startswith("results/known/table.zarr: its dice is damaged: Stored and computed")
    assert err.count("\n") == 1


def test_a_condition_outside_the_study_is_named_as_such(known, capsys):
    status, out, _ = run(capsys, "known", "--defocus-nm", "-10:25", *HERE[2:])
    assert status == 0
    assert "outside this study" in out
    assert "defocus: 15 nm below and 5 nm above the range from 5 to 20 nm" in out
    assert "worst in the range" in out


def test_json_has_networks_and_inside(known, capsys):
    status, out, _ = run(capsys, "known", *HERE, "--json")
    content = json.loads(out)
    assert status == 0
    assert content["inside"] is True
    assert len(content["networks"]) == 16
    numbers = [network["dice"]["value"] for network in content["networks"]]
    assert numbers == sorted(numbers, reverse=True)
    assert content["ranked_by"] == "expected Dice"
    assert (content["as_at_dose"], content["below_dose"]) == (None, None)
    first = content["networks"][0]
    assert first["dice"]["low"] < first["dice"]["value"] < first["dice"]["high"]
    assert first["how"] == "interpolated"
    assert cli.main(["recommend", "known", *HERE, "--json", "--top=2"]) == 0
    assert len(json.loads(capsys.readouterr().out)["networks"]) == 2


@pytest.mark.slow
def test_networks_are_ranked_for_an_image(known, capsys):
    np.save("film.npy", film_image(defocus=400, cs=2e5, aperture=14))
    known = ["known", *LIKE, "--underfocus", *HERE[3:]]
    status, out, err = run(capsys, *known, "--json", "--top=2")
    content = json.loads(out)
    assert (status, err) == (0, "")
    assert content["measured"]["defocus_nm"]["value"] == pytest.approx(40, abs=1.5)
    (found,) = content["recommendations"]
    assert found["sign"] == "underfocus"
    low, high = found["asked"]["defocus_nm"]
    assert low <= content["measured"]["defocus_nm"]["value"] <= high
    assert len(found["networks"]) == 2
    status, out, _ = run(capsys, *known, "--top=1")
    assert out.startswith("film.npy: defocus ")
    assert "underfocus, likelihood 1.00\n\ngold at " in out


@pytest.mark.slow
def test_the_figure_is_written(known, capsys):
    status, _, err = run(capsys, "known", *HERE, "--figure", "map.png")
    assert (status, err) == (0, "map.png: expected Dice over defocus and dose\n")
    assert np.ptp(imread(known / "map.png")[..., :3]) > 0.5


@pytest.mark.parametrize("asks", [HERE, ["--check"]])
@pytest.mark.parametrize("value", ["instance_f1", "count_error", "diameter_bias", "dice"])
def test_a_score_no_longer_ranks(known, capsys, asks, value):
    status, out, err = run(capsys, "known", *asks, f"--by={value}")
    assert (status, out) == (1, "")
    assert err == (
        f"--by {value} is gone since 0.4.0: leave it out: a choice by Dice loses less, also of F1\n"
    )


@pytest.fixture
def failed(monkeypatch):
    """Return a function that makes networks fail, with the first training conditions' numbers."""

    def fail(*places):
        def unlearned(matrices, every, study):
            table = every.table
            dims = "specimen", "architecture", "train", "replica"
            found = np.zeros([table.sizes[d] for d in dims], dtype=bool)
            found[:, :, list(places)] = True
            names = {name: table[name].values for name in dims}
            return xr.DataArray(found, names, dims, attrs={"learned": int((~found).sum())})

        monkeypatch.setattr(of_study, "unlearned", unlearned)

    return fail


@pytest.mark.slow
def test_networks_that_did_not_learn_are_not_ranked(known, failed, capsys):
    _, out, _ = run(capsys, "known", *HERE, "--json")
    first, *others = json.loads(out)["networks"]
    trains = [condition.id for condition in make_study().train_conditions]
    place = trains.index(first["id"].split("/")[2])
    failed(place)
    _, out, _ = run(capsys, "known", *HERE, "--json")
    found = json.loads(out)
    # Without the first, the ranks of the others change.
    assert sorted(found["networks"], key=str) == sorted(others, key=str)
    assert found["unlearned"] == [first["id"]]
    _, out, _ = run(capsys, "known", *HERE)
    assert "1 of 16 networks did not learn" in out
    assert first["id"] not in out


@pytest.mark.slow
def test_nothing_is_recommended_if_no_network_learned(known, failed, capsys):
    failed(*range(16))
    status, out, err = run(capsys, "known", *HERE, "--figure", "map.png")
    assert status == 0
    assert out.startswith("No network learned: ")
    assert out.count("\n") == 1
    assert err == "map.png: is not drawn, since no network is recommended\n"
    _, out, _ = run(capsys, "known", *HERE, "--json")
    found = json.loads(out)
    assert (found["networks"], found["train_next"], len(found["unlearned"])) == ([], None, 16)
    found = passband.open("known").recommend(HERE_VALUES)
    with pytest.raises(PassbandError, match="no network of the study has learned"):
        image_recommendation.best([image_recommendation.Like(1, 1.0, found)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["known"], "--defocus-nm, --cs-um, --aperture-mrad and --dose-e-per-A2 are missing: a"),
        (["known", *HERE[2:]], "--defocus-nm is missing: a condition has"),
        (["known", "--defocus-nm=6nm", *HERE[2:]], "--defocus-nm = '6nm': must be a number in nm"),
        (["known", "--defocus-nm=9:6", *HERE[2:]], "the range is reversed; write 6:9"),
        (["known", *HERE, "--specimen=iron"], "--specimen = 'iron': must be one of gold"),
        (["known", *HERE, "--top=0"], "--top = 0: must be 1 or more"),
        (["known", *HERE, "--figure=map.jpeg"], "--figure = 'map.jpeg': must end in .png"),
        (["known", *HERE, "--figure=no/map.png"], "there is no folder no; create it first"),
        (["known", *HERE, "--check"], "--check: cannot be used together with --defocus-nm"),
        (
            ["known", *HERE, "--energy-kev=80"],
            "energy_kev = 80: needs exit waves that the study's test images do not have; they have",
        ),
        (["known", *HERE, "--pixel-size-A=2"], "pixel_size_A = 2: needs exit waves that the study"),
        (
            ["known", *HERE, "--axis=roughness=0:0.1"],
            "--axis roughness = '0:0.1': must be a number",
        ),
        (
            ["known", *HERE[:3], "--aperture-mrad=10:54", HERE[4]],
            "aperture_mrad = 54: must not exceed 21.87 mrad, the band limit of pixels of 0.3 Å",
        ),
        (["known", "--check=words"], "--check = 'words': takes no value; give one study"),
        (["known", "--check", "--top=2"], "--check: cannot be used together with --top"),
        (["known", *HERE, "--like=film.npy"], "--defocus-nm = 6: cannot be given, since it is"),
        (["known", *LIKE], "film.npy: no such file"),
        (["known", *LIKE, "--energy-kev=200"], "--energy-kev = 200: the networks of the study"),
        (["known", *LIKE, "--check"], "--check: cannot be used together with --"),
        (["known", "--by=image"], "--by image: needs --like FILES, images of your microscope"),
        (["known", *LIKE, "--by=image"], "--by image: cannot be used together with --cs-um"),
        (
            ["known", "--like=film.npy", "--by=image", "--figure=map.png"],
            "--by image: cannot be used together with --figure",
        ),
        (["known", "--by=image", "--check"], "--by image: cannot be used together with --check"),
        (
            ["known", "--like=film.npy", "--by=image", "--underfocus"],
            "--underfocus: has an effect only together with --by lens",
        ),
        (["known", *HERE, "--by=f2"], "--by = 'f2': must be lens or image"),
        (["known", "--like", "a.npy", "b.npy"], "--like: takes one image, or several together"),
        (["known", "--like=film.npy", "--by=image"], "film.npy: no such file"),
        (["unknown", *HERE], "unknown: no study of this name"),
    ],
)
def test_a_mistake_is_one_line(known, capsys, arguments, message):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_networks_are_ranked_for_images(tmp_path, monkeypatch, capsys):
    write_imaged_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    condition = STUDY.test_conditions[5]
    for name in "ab":
        np.save(f"{name}.npy", user_images(condition))
    images = ["--like", "a.npy", "b.npy", "--by=image", "--pixel-size-A=0.4"]
    status, out, err = run(capsys, "tiny", *images, "--top=2")
    assert (status, err) == (0, "")
    assert out.startswith("gold as in 12 fields of a.npy and b.npy, with the networks of the study")
    assert "\n2 of 16 networks, ranked by expected Dice, from the power spectrum of the im" in out
    status, out, _ = run(capsys, "tiny", *images, "--json")
    assert status == 0
    assert len(json.loads(out)["networks"]) == 16


def test_a_study_without_results_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(make_study().model_dump_json(), encoding="utf-8")
    for arguments in (HERE, ["--check"]):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (1, "")
        assert "results/known: the study has no table of results yet; run the study first" in err


@pytest.mark.slow
def test_a_running_test_of_networks_is_named_and_not_blamed(known, capsys, monkeypatch):
    monkeypatch.setattr(TestedNetworks, "left_out", 3)
    with lease.held(known / "results/known" / FURTHER_LEASE):
        status, _, err = run(capsys, "known", *HERE)
    assert (status, err.count("\n")) == (0, 1)
    assert "3 further condition(s) are not used, because passband evaluate still" in err
    assert f"tests networks there: process {os.getpid()} on" in err
    assert "run the study, and then passband evaluate" in run(capsys, "known", *HERE)[2]


# ── What recommendations are worth ───────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_the_check_says_the_verdict_first_and_json_has_the_same_numbers(known, capsys):
    status, out, err = run(capsys, "known", "--check")
    assert (status, err) == (0, "")
    assert run(capsys, "--check", "known") == (0, out, "")
    status, printed, _ = run(capsys, "known", "--check", "--json")
    assert status == 0
    found = json.loads(printed)
    assert printed == passband.open("known").check_recommendations().to_json() + "\n"
    lost, true, _, said, _, head, every, new, *notes = out.splitlines()
    values = [found[part][rule]["value"] for part in ("every", "new") for rule in RULES]
    assert lost == (
        "recommended networks lose {:z.3f} of Dice against the best, the nearest in parameters by "
        "range {:z.3f}; without the networks that were trained there, {:z.3f} and {:z.3f}"
    ).format(*values)
    assert f"contain {found['coverage']['value']:.1%} of the measured Dice of all networks" in true
    assert "each of 16 test conditions was left out in turn, and 16 networks ranked" in said
    assert head.split("  ")[0] == "chosen from"
    for line, part in ((every, "every"), (new, "new")):
        for name in (*RULES, "tested", "difference"):
            value, low, high = (
                f"{found[part][name][end]:z.3f}" for end in ("value", "low", "high")
            )
            assert f"  {value} ({low} to {high})" in line
    assert "Networks were trained under 16 of 16 conditions." in "".join(notes)
    assert "The model's parameters were found without the left-out condition." in notes


RULES = "recommended", "nearest"


@pytest.mark.slow
def test_the_check_of_networks_of_which_some_did_not_learn_says_so(known, failed, capsys):
    failed(3)
    _, out, _ = run(capsys, "known", "--check")
    assert "and 15 networks ranked for it" in out
    assert "1 of 16 networks did not learn" in out.splitlines()[-1]
    failed(*range(16))
    status, out, err = run(capsys, "known", "--check")
    assert (status, out) == (1, "")
    assert err == (
        "results/known: no network of the study has learned, so none is recommended; docs/ood.md "
        "says what to change\n"
    )


def test_the_check_of_one_test_condition_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = make_study()
    one = study.train_conditions[0].values()
    content = study.model_dump(mode="json") | {"test_grid": {k: [x] for k, x in one.items()}}
    make_results(validate(content), tmp_path)
    status, out, err = run(capsys, "known", "--check")
    assert (status, out) == (1, "")
    assert err == (
        "results/known: has 1 test condition with results; a recommendation needs 4 or more\n"
    )


# ── Further axes ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def results_of_further(tmp_path_factory):
    folder = tmp_path_factory.mktemp("further")
    study = make_study(cs_um=[20], aperture_mrad=[14], astigmatism_nm=[0, 5], vibration_A=[0, 0.5])
    make_results(study, folder)
    return folder


@pytest.fixture
def further(results_of_further, monkeypatch):
    monkeypatch.chdir(results_of_further)


@pytest.mark.slow
def test_further_axes_have_options_and_are_printed(further, capsys):
    astigmatism = "--axis", "astigmatism_nm=4"
    status, out, err = run(capsys, "known", *HERE, *astigmatism, "--figure=map.png", "--top=1")
    assert (status, err) == (0, "map.png: expected Dice over defocus and dose\n")
    first, inside, *_, last = out.split("\n\n")
    assert "850 e/Å² · astigmatism 4 nm · vibration 0 Å, with the networks" in first
    assert inside.startswith("inside this study")
    nearest, following = last.splitlines()
    for words in (nearest, following):
        assert re.search(r"astigmatism [045] nm · vibration (0|0.5) Å", words)
    assert imread("map.png").shape[2] == 4
    vibration = "--axis=vibration_A=0.25:0.75"
    status, out, _ = run(capsys, "known", *HERE, vibration, "--json", "--top=1")
    content = json.loads(out)
    assert content["asked"]["astigmatism_nm"] == [0, 0]
    assert content["asked"]["vibration_A"] == [0.25, 0.75]
    (excess,) = content["outside"]
    assert (excess["axis"], excess["above"]) == ("vibration_A", 0.25)


@pytest.mark.slow
def test_an_axis_that_the_study_lacks_is_outside_and_named(further, capsys):
    status, out, _ = run(capsys, "known", *HERE, "--axis=coma_nm=300", "--top=1")
    assert status == 0
    assert "outside this study" in out
    assert "  coma: 300 nm above the only value, 0 nm" in out
    assert "astigmatism 0 nm · coma 300 nm · vibration 0 Å, with the networks" in out
    own = run(capsys, "known", *HERE, "--axis=coma_nm=0", "--top=1")
    assert own == run(capsys, "known", *HERE, "--top=1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--axis=astigmatism_nm=5nm"], "--axis astigmatism_nm = '5nm': must be a number in nm"),
        (
            ["--axis=astigmatism_nm=6:2"],
            "--axis astigmatism_nm = '6:2': the range is reversed",
        ),
        (["--axis=mtf_nyquist=2"], "--axis mtf_nyquist = '2': must be between 0.001 and 1.0\n"),
        (["--check", "--axis=coma_nm=3"], "--check: cannot be used together with --defocus-nm"),
    ],
)
def test_a_wrong_further_value_is_one_line(further, capsys, words, message):
    status, out, err = run(capsys, "known", *HERE, *words)
    assert (status, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["explore"], ["recommend", *HERE]])
def test_many_networks_are_announced_before_anything_is_read(
    command, tmp_path, monkeypatch, capsys
):
    """Fitting the model takes a minute, in which nothing else is printed."""
    monkeypatch.chdir(tmp_path)
    for number in (600, 6):
        (tmp_path / "many.yaml").write_text(
            f"study: {{name: many}}\ngrid: {{defocus_nm: {{start: 0, stop: 40, num: {number}}}, "
            "cs_um: [1.2], aperture_mrad: [16], dose_e_per_A2: [100]}\n"
            "test_grid: {defocus_nm: [5, 10]}\n"
        )
        for store in ("table.zarr", "ood.zarr"):
            (tmp_path / "results/many" / store).mkdir(parents=True, exist_ok=True)
        assert cli.main([command[0], "many.yaml", *command[1:]]) == 1
        said = "reading the Dice of networks of 600 training conditions, and fitting a model to it"
        assert capsys.readouterr().err.startswith(said) == (number == 600)
