"""What a study answers, by the door and by the commands that call it."""

import numpy as np
import pytest
from carbon_images import film_image
from matplotlib.figure import Figure

import passband
from passband import PassbandError, cli

HERE = {"defocus_nm": 6, "cs_um": 20, "aperture_mrad": 14, "dose_e_per_A2": 850}
WORDS = [f"--{name.replace('_', '-')}={value}" for name, value in HERE.items()]


@pytest.fixture
def study(known) -> passband.Experiment:
    return passband.open("known")


def printed(capsys, *words: str) -> str:
    """Return what a command prints, without the last end of a line."""
    assert cli.main([*words]) == 0
    return capsys.readouterr().out.removesuffix("\n")


@pytest.mark.slow
def test_a_recommendation_is_what_the_command_prints(study, capsys):
    found = study.recommend(HERE, top=3)
    assert printed(capsys, "recommend", "known", *WORDS, "--top=3") == str(found)
    assert printed(capsys, "recommend", "known", *WORDS, "--top=3", "--json") == found.to_json()
    assert len(found.networks) == 16
    assert "3  " in found._repr_html_()
    assert isinstance(study.plot_recommendation(found), Figure)


def test_values_are_given_as_a_mapping_or_as_keywords(study):
    """As `Matrix.sel` takes them."""
    ranged = HERE | {"defocus_nm": "5:15"}
    same = HERE | {"defocus_nm": slice(5, 15)}
    assert str(study.recommend(**same)) == str(study.recommend(ranged))
    found = study.next(1, {"defocus_nm": "5:15"}, between=1)
    assert str(study.next(1, defocus_nm=slice(5, 15), between=1)) == str(found)
    for values, message in (
        ({"defocus": 5}, "'defocus': is no axis; axes are defocus_nm, "),
        ({"defocus_nm": 5}, "defocus_nm = 5: is given twice"),
        ({"astigmatism_nm": slice(None, 5)}, "must have two ends, and no step"),
    ):
        with pytest.raises(PassbandError, match=message):
            study.recommend(HERE, **values)
    with pytest.raises(PassbandError, match="cs_um is missing: give "):
        study.recommend(defocus_nm=5)


@pytest.mark.slow
def test_a_check_is_what_the_command_prints(study, capsys):
    found = study.check_recommendations()
    assert printed(capsys, "recommend", "known", "--check") == str(found)
    assert printed(capsys, "recommend", "known", "--check", "--json") == found.to_json()


@pytest.mark.slow
def test_the_next_conditions_are_what_the_command_prints(study, capsys):
    found = study.next(2, {"defocus_nm": "5:15"}, between=1)
    words = "next", "known", "--budget=2", "--between=1", "--defocus-nm=5:15"
    assert printed(capsys, *words) == str(found)
    assert printed(capsys, *words, "--json") == found.to_json()


@pytest.mark.slow
def test_an_image_is_measured_by_the_same_function(study, capsys):
    np.save("film.npy", film_image(defocus=400, cs=2e5, aperture=14))
    known = {name: value for name, value in HERE.items() if name != "defocus_nm"}
    found = study.recommend_like("film.npy", known, pixel_size_A=0.4, sign=1, top=1)
    words = "recommend", "known", "--like=film.npy", "--pixel-size-A=0.4", "--underfocus"
    assert printed(capsys, *words, *WORDS[1:], "--top=1") == str(found)
    assert printed(capsys, *words, *WORDS[1:], "--top=1", "--json") == found.to_json()
    (only,) = found.by_sign
    assert only.sign == 1
    with pytest.raises(PassbandError, match="defocus_nm = 6: cannot be given, since it is meas"):
        study.recommend_like("film.npy", HERE, pixel_size_A=0.4)


@pytest.mark.parametrize(
    ("verb", "arguments", "words", "message"),
    [
        ("recommend", {"top": 0}, ["--top=0"], "top = 0: must be 1 or more"),
        (
            "recommend",
            {"specimen": "iron"},
            ["--specimen=iron"],
            "specimen = 'iron': must be one of gold",
        ),
        (
            "recommend",
            {"condition": HERE | {"energy_kev": 80}},
            ["--energy-kev=80"],
            "energy_kev = 80: needs exit waves that the study's test images do not have",
        ),
        ("next", {"budget": 0}, ["--budget=0"], "budget = 0: must be between 1 and 1,000"),
        ("next", {"between": 10}, ["--between=10"], "between = 10: must be between 0 and 9"),
        (
            "next",
            {"use": {"defocus_nm": "9:5"}},
            ["--defocus-nm=9:5"],
            "--defocus-nm = '9:5': the range is reversed; write 5:9",
        ),
    ],
)
def test_a_mistake_has_the_same_words(study, capsys, verb, arguments, words, message):
    given = {"recommend": {"condition": HERE}, "next": {"budget": 1}}[verb] | arguments
    typed = {"recommend": WORDS, "next": ["--budget=1"]}[verb]
    with pytest.raises(PassbandError) as caught:
        getattr(study, verb)(**given)
    assert str(caught.value).startswith(message)
    assert cli.main([verb, "known", *typed, *words]) == 1
    said = capsys.readouterr().err.strip()
    for name in ("top", "specimen", "budget", "between"):
        said = said.replace(f"--{name} =", f"{name} =")
    assert said == str(caught.value)


def test_results_that_are_not_used_are_reported(study, monkeypatch):
    from passband.answers.tested_networks import TestedNetworks

    said = []
    monkeypatch.setattr(TestedNetworks, "left_out", 3)
    study.recommend(HERE, report=said.append)
    (line,) = said
    assert line.startswith("3 further condition(s) are not used, because some networks have no")
