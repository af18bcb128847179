"""The option `--axis`, for the axes that commands have no option for."""

from pathlib import Path

import pytest

from passband import axes, cli
from passband.axes import Axis
from passband.commands import arguments
from passband.errors import PassbandError

HERE = ["--defocus-nm=5", "--cs-um=1", "--aperture-mrad=10", "--dose-e-per-A2=100"]


def parsed(name, *words):
    """Return the options of a command."""
    options, rest = cli._parser(name).parse_known_args([name, *words])
    assert rest == []
    return options


def test_further_axes_are_given_by_name():
    words = "--axis=coma_nm=3", "--axis", "vignette_sd=-1", "--axis=astigmatism_nm=0:5"
    found = arguments.axes_given(parsed("recommend", "demo", *HERE, *words))
    assert list(found) == [*axes.AXES]
    given = {name: value for name, value in found.items() if name not in axes.MAIN_AXES and value}
    assert given == {"coma_nm": "3", "vignette_sd": "-1", "astigmatism_nm": "0:5"}
    assert found["defocus_nm"] == "5"


@pytest.mark.parametrize(
    ("command", "word", "says"),
    [
        ("images", "com_nm=3", "--axis com_nm=3: did you mean coma_nm? further axes are astigma"),
        ("images", "x=3", "--axis x=3: further axes are astigmatism_nm, astigmatism_deg, coma_nm"),
        ("next", "coma_um=3", "--axis coma_um=3: did you mean coma_nm (1 µm is 1000 nm)? "),
        ("evaluate", "coma_nm", "--axis coma_nm: has no value; write --axis coma_nm=VALUE"),
        ("evaluate", "coma_nm=", "--axis coma_nm=: has no value; write --axis coma_nm=VALUE"),
        ("recommend", "cs_um=3", "--axis cs_um=3: write --cs-um 3"),
        ("recommend", "coma_nm=3", "--axis coma_nm=3: the axis is given twice"),
        ("predict", "energy_kev=3", "--axis energy_kev=3: write --energy-kev 3; further axes are"),
        ("predict", "roughness=0.1", "--axis roughness=0.1: further axes are astigmatism_nm, "),
    ],
)
def test_a_wrong_axis_is_one_line(command, word, says, capsys):
    words = {"predict": ["general", "image.tif"], "next": ["demo", "--budget=1"]}
    twice = ["--axis=coma_nm=1"] if word == "coma_nm=3" else []
    options = parsed(command, *words.get(command, ["demo"]), *twice, f"--axis={word}")
    known = arguments.FURTHER_BEHIND if command == "predict" else axes.FURTHER_AXES
    with pytest.raises(PassbandError) as error:
        arguments.axes_given(options, known)
    assert str(error.value).startswith(says)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("command", ["evaluate", "images", "next", "predict", "recommend"])
@pytest.mark.parametrize("words", [["--astigmatism-nm", "3"], ["--astigmatism-nm=3"]])
def test_a_former_option_says_how_to_write_it(command, words, capsys):
    given = {"predict": ["general", "image.tif"], "next": ["demo", "--budget=1"]}
    with pytest.raises(SystemExit):
        cli.main([command, *given.get(command, ["demo"]), *words])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("error: --astigmatism-nm: write --axis astigmatism_nm=3")


@pytest.mark.parametrize("name", ["out", "network", "axes", "jobs"])
def test_an_axis_may_have_the_name_of_an_option(name, monkeypatch):
    own = Axis(
        name=name,
        label=name,
        unit="1",
        token="ow",
        digits=2,
        decimals=2,
        minimum=0.0,
        maximum=9.0,
        key=f"microscope.{name}",
    )
    for table in (axes.AXES, axes.FURTHER_AXES, axes.BEHIND_WAVE, arguments.FURTHER_BEHIND):
        monkeypatch.setitem(table, name, own)
    options = parsed("predict", "general", "image.tif", f"--axis={name}=3", "--defocus-nm=5")
    assert options.out == Path("predictions")
    assert (options.network, options.jobs) == ([], 1)
    found = arguments.axes_given(options, arguments.FURTHER_BEHIND)
    assert (found[name], found["defocus_nm"]) == ("3", 5)


def test_predict_has_at_most_30_options():
    options = parsed("predict", "general", "image.tif")
    assert len([each for each in options.actions if each.option_strings]) <= 30
