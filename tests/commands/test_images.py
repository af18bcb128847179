"""The command ``passband images``, without running Snakemake."""

import pytest

import passband
from passband import PassbandError, cli
from passband.runs import child
from passband.runs.child import Ended

LENS = ["--cs-um", "1.2", "--aperture-mrad", "16"]
STUDY = """
study: {name: tiny}
microscope: {pixel_size_A: 0.35, field_px: 64}
specimens:
  gold: {diameter_nm: {mean: 1.3, max: 1.6}, particles: {min: 1, max: 1}}
  platinum: {material: Pt, shape: sphere, trained: false, diameter_nm: {mean: 1.3, max: 1.6}}
grid: {defocus_nm: [5, 20], cs_um: [1.2], aperture_mrad: [16], dose_e_per_A2: [200, 1000]}
test_grid: {defocus_nm: [12]}
training: {architectures: [compact-w4-d2]}
"""


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The commands that would have been run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(STUDY)
    commands = []

    def run(words, folder, **_):
        commands.append(words)
        return Ended(0)

    monkeypatch.setattr(child, "run", run)
    return commands


def test_images_of_conditions_are_targets_and_are_named_at_the_end(started, capsys):
    given = ["--defocus-nm", "5,20", *LENS, "--dose-e-per-A2", "200"]
    assert cli.main(["images", "study.yaml", *given, "--split", "val", "--cores", "3"]) == 0
    (command,) = started
    targets = command[command.index("--") + 1 :]
    assert targets == [
        f"results/tiny/images/gold/val/df+{defocus}_cs+0001.200_ap016.00_ds000200.00.zarr"
        for defocus in ("0005.00", "0020.00")
    ]
    assert command[command.index("--cores") + 1] == "3"
    assert command[command.index("--configfile") + 1] == "study.yaml"
    assert capsys.readouterr().out.splitlines() == targets


def test_python_makes_the_same_files_and_refuses_the_same(started, capsys):
    study = passband.open("study.yaml")
    lens = {"cs_um": 1.2, "aperture_mrad": 16, "dose_e_per_A2": 200}
    given = [lens | {"defocus_nm": defocus} for defocus in (5, 20)]
    made = study.write_images(given, split="val")
    words = ["--defocus-nm", "5,20", *LENS, "--dose-e-per-A2", "200", "--split", "val"]
    assert cli.main(["images", "study.yaml", *words]) == 0
    assert capsys.readouterr().out == f"{made}\n"
    first, second = started
    assert first == second
    with pytest.raises(PassbandError, match=r"^specimen = 'iron': must be one of gold, platinum$"):
        study.write_images(given, specimen="iron")
    with pytest.raises(PassbandError, match=r"^defocus_nm = 7: must be one of 5, 12, 20$"):
        study.write_images(lens | {"defocus_nm": 7})
    assert len(started) == 2


def test_a_condition_may_be_given_with_the_study_s_own_value_of_an_axis(started, tmp_path):
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("grid: {", "grid: {astigmatism_nm: [0, 5], ")
    )
    given = ["--defocus-nm", "5", *LENS, "--dose-e-per-A2", "200", "--axis", "coma_nm=0"]
    assert cli.main(["images", "study.yaml", *given, "--axis", "astigmatism_nm=0,5"]) == 0
    (command,) = started
    id = "df+0005.00_cs+0001.200_ap016.00_ds000200.00"
    assert command[command.index("--") + 1 :] == [
        f"results/tiny/images/gold/test/{id}{further}.zarr" for further in ("", "_as0005.000")
    ]


def test_exit_waves_must_be_those_of_the_split(started, tmp_path, capsys):
    """Networks are trained at two energies, and tested at the study's own energy."""
    (tmp_path / "study.yaml").write_text(
        STUDY.replace("grid: {", "grid: {energy_kev: [200, 300], ", 1).replace(
            "test_grid: {", "test_grid: {energy_kev: [300], "
        )
    )
    given = ["--defocus-nm", "5", *LENS, "--dose-e-per-A2", "200", "--axis", "energy_kev=200"]
    assert cli.main(["images", "study.yaml", *given, "--split", "train"]) == 0
    ((*_, target),) = started
    assert target.endswith("gold/train/df+0005.00_cs+0001.200_ap016.00_ds000200.00_en0200.00.zarr")
    assert cli.main(["images", "study.yaml", *given]) == 1
    assert (
        "energy_kev = 200: needs exit waves that the study's test images do not have; they"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no condition is given; give --defocus-nm"),
        (["--defocus-nm", "5"], "--cs-um is missing"),
        (
            ["--defocus-nm", "7", *LENS, "--dose-e-per-A2", "200"],
            "defocus_nm = 7: must be one of 5, 12, 20",
        ),
        (
            ["--defocus-nm", "5", *LENS, "--dose-e-per-A2", "200", "--specimen", "iron"],
            "--specimen = 'iron': must be one of gold, platinum",
        ),
        (
            ["--defocus-nm", "5", *LENS, "--dose-e-per-A2", "200", "--split", "all"],
            "--split = 'all': must be one of train, val, test",
        ),
        (
            [
                *("--defocus-nm", "12", *LENS, "--dose-e-per-A2", "200"),
                *("--specimen", "platinum", "--split", "train"),
            ],
            "--split = 'train': must be one of test",
        ),
        (
            ["--defocus-nm", "5", *LENS, "--dose-e-per-A2", "200", "--axis", "coma_nm=5"],
            "coma_nm = 5: must be 0\n",
        ),
        (["--defocus-nm", "x", *LENS, "--dose-e-per-A2", "200"], "--defocus-nm = 'x': must be"),
    ],
)
def test_images_are_refused_in_one_line(started, capsys, words, says):
    assert cli.main(["images", "study.yaml", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert started == []


def test_the_gallery_names_its_target(started, capsys):
    assert cli.main(["gallery", "study.yaml", "--profile", "slurm"]) == 0
    (gallery,) = started
    assert gallery[gallery.index("--") :] == ["--", "gallery"]
    assert "--cores" not in gallery
    printed = capsys.readouterr().out.splitlines()
    assert "results/tiny/gallery/gold.png" in printed
    assert "results/tiny/gallery/platinum.svg" in printed


@pytest.mark.parametrize(("snakemakes", "status"), [(0, 0), (1, 1), (2, 2), (7, 1), (130, 130)])
def test_the_exit_status_follows_snakemakes(started, monkeypatch, capsys, snakemakes, status):
    monkeypatch.setattr(child, "run", lambda words, folder, **_: Ended(snakemakes))
    assert cli.main(["gallery", "study.yaml"]) == status
    assert bool(capsys.readouterr().out) == (status == 0)
