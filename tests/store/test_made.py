"""What made results, beside an edited file of their study: a line, or an error; no mixture."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

import passband
from passband import cli
from passband.config import validate
from passband.errors import PassbandError
from passband.results import Results
from passband.store import made

pytestmark = pytest.mark.slow

RESULTS = Path("results/smallest")
#: Edits that leave all results as they are, each with a name.
HARMLESS = {
    "nothing": {},
    "a wider grid": {"grid": {"defocus_nm": [5, 20, 40]}},
    "a narrower grid": {"grid": {"defocus_nm": [5]}},
    "fewer structures in a file": {"study": {"structures_per_shard": 4}},
    "fewer replicas in a job": {"study": {"replicas_per_job": 1}},
    "a further replica": {"study": {"replicas": 3}},
    "conditions in a job": {"study": {"conditions_per_job": 2}},
    "figures": {"figures": {"formats": ["png", "svg"], "dpi": 50, "examples": 1}},
    "a further architecture": {"training": {"architectures": ["compact-w4-d2", "compact-w4-d1"]}},
    "further resampling": {"evaluation": {"bootstrap": 30}},
}
#: Edits that need other results, with what the line says.
OTHERS = {
    "training.epochs = 2; config.yaml says 20": {"training": {"epochs": 20}},
    "microscope.energy_kev = 300; config.yaml says 200": {"microscope": {"energy_kev": 200}},
    "study.structures.test = 4; config.yaml says 3": {"study": {"structures": {"test": 3}}},
    "evaluation.confidence = 0.95; config.yaml says 0.9": {"evaluation": {"confidence": 0.9}},
    "specimens.gold.diameter_nm.mean = 1.3; config.yaml says 1.4": {
        "specimens": {"gold": {"diameter_nm": {"mean": 1.4}}}
    },
    "microscope.energy_kev = 300 and training.epochs = 2; config.yaml says 200 and 20": {
        "microscope": {"energy_kev": 200},
        "training": {"epochs": 20},
    },
}
BOTH = list(OTHERS)[-1]


def line(words: str) -> str:
    return f"{RESULTS} was made with {words}: run `passband run config.yaml`"


@pytest.fixture
def place(archived, tmp_path, monkeypatch) -> Path:
    """A copy of a finished study of four conditions, as the working directory."""
    folder = tmp_path / "place"
    shutil.copytree(archived, folder)
    (folder / "study.yaml").rename(folder / "config.yaml")
    monkeypatch.chdir(folder)
    return folder


def edit(changes: dict) -> None:
    """Change keys of the study's file."""
    content = yaml.safe_load(Path("config.yaml").read_text())
    update_config(content, changes)
    Path("config.yaml").write_text(yaml.safe_dump(content))


def said(capsys, *words: str) -> tuple[int, list[str]]:
    """Return the exit status of a command, and the lines that it says on standard error."""
    capsys.readouterr()
    status = cli.main([*words])
    return status, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("changes", HARMLESS.values(), ids=HARMLESS)
def test_what_leaves_results_as_they_are_raises_no_alarm(place, changes):
    edit(changes)
    assert made.of(Results.find("config.yaml")) is None


@pytest.mark.parametrize("words", OTHERS)
def test_a_line_names_the_keys_that_ask_for_other_results(place, words):
    edit(OTHERS[words])
    for noun in ("config.yaml", "smallest", RESULTS):
        found = made.of(Results.find(noun))
        assert found is not None
        assert found.line() == line(words)


def test_a_line_names_five_keys_at_most(place):
    edit(OTHERS[BOTH] | {"study": {"seed": 5}})
    edit({"training": {"batch_size": 3, "augment": False, "crop_px": 32}})
    edit({"evaluation": {"confidence": 0.9}, "microscope": {"focal_members": 3}})
    found = made.of(Results.find("config.yaml")).line()
    assert re.search(r" and \d other values? of other keys; config.yaml says ", found)
    assert "\n" not in found


def test_only_keys_of_a_kind_are_compared_if_it_is_asked_for(place):
    edit({"training": {"epochs": 20}})
    found = made.of(Results.find("config.yaml"))
    assert found.line(made.WAVES, made.IMAGES, made.RESULTS, made.METRICS) == ""
    assert found.line(made.NETWORKS) == line("training.epochs = 2; config.yaml says 20")


def test_networks_without_a_table_are_compared_by_the_configuration_of_their_run(place):
    for name in ("table.zarr", "ood.zarr", "information.zarr"):
        shutil.rmtree(RESULTS / name)
    assert made.of(Results.find("config.yaml")) is None
    edit({"training": {"epochs": 20}})
    assert made.of(Results.find("config.yaml")).line() == line(next(iter(OTHERS)))
    shutil.rmtree(RESULTS / "networks")  # then nothing is there that could be mixed
    assert made.of(Results.find("config.yaml")) is None


def test_other_code_of_an_own_part_is_named(tmp_path):
    content = yaml.safe_load((Path(__file__).parents[1] / "data/smallest.yaml").read_text())
    loss = (
        "from passband.parts import loss\n\n\n@loss\ndef mine(logits, mask, settings):\n"
        "    return {}\n"
    )
    sides = []
    for name, value in (("before", "0"), ("now", "1")):
        folder = tmp_path / name / "parts"
        folder.mkdir(parents=True)
        (folder / "mine.py").write_text(loss.format(value))
        changed = content | {"training": content["training"] | {"loss": "mine"}}
        sides.append(validate(changed, str(folder.parent / "config.yaml")))
    found = made.Made(*sides, what="results/mine", file="mine.yaml")
    assert found.line() == (
        "results/mine was made with another training.loss: run `passband run mine.yaml`"
    )


# ── Readers ──────────────────────────────────────────────────────────────────────────────────────


def test_a_finished_study_says_nothing(place, capsys):
    assert said(capsys, "table", "config.yaml") == (0, [])
    assert said(capsys, "report", str(RESULTS)) == (0, [])


@pytest.mark.parametrize("noun", ["config.yaml", "smallest", str(RESULTS)])
def test_the_report_states_what_made_the_results_and_says_so(place, capsys, noun):
    edit(OTHERS[BOTH])
    assert said(capsys, "report", noun) == (0, [line(BOTH)])
    page = (RESULTS / "report.html").read_text()
    assert "300 keV" in page
    assert "200 keV" not in page
    assert re.search(r"\b2 epochs", page)
    assert not re.search(r"\b20 epochs", page)


@pytest.mark.parametrize(
    "words",
    [
        ["table", "config.yaml"],
        ["explore", "config.yaml", "--no-images"],
        ["next", "config.yaml", "--budget", "1", "--between", "1"],
        [
            *("recommend", "config.yaml", "--defocus-nm", "9", "--cs-um", "1.2"),
            *("--aperture-mrad", "16", "--dose-e-per-A2", "300"),
        ],
        ["recommend", "config.yaml", "--check"],
    ],
    ids=lambda words: f"{words[0]}{'-check' * ('--check' in words)}",
)
def test_commands_show_what_was_made_as_before_and_say_a_line(place, capsys, words, all_learned):
    assert cli.main(words) == 0
    before = capsys.readouterr()
    edit(OTHERS[BOTH])
    assert cli.main(words) == 0
    after = capsys.readouterr()
    assert after.out == before.out
    assert after.err.splitlines() == [line(BOTH), *before.err.splitlines()]


def test_predict_says_a_line_whatever_names_its_networks(place, capsys):
    edit({"training": {"epochs": 20}})
    network = next((RESULTS / "networks").rglob("*.safetensors"))
    id = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds000200.00"
    for first in ([str(network)], ["config.yaml", "--network", id]):
        words = ["predict", *first, "sample", "--out", "out", "--no-likeness"]
        _, lines = said(capsys, *words)
        assert lines.count(line("training.epochs = 2; config.yaml says 20")) == 1


def test_what_is_opened_by_its_results_has_the_study_that_made_them(place, capsys):
    edit(OTHERS[BOTH])
    by_results = passband.open(RESULTS)
    assert by_results.study.training.epochs == 2
    assert by_results.study.microscope.energy_kev == 300
    assert capsys.readouterr().err.splitlines() == [line(BOTH)]
    assert by_results.status().left == passband.open("config.yaml").status().left > 0
    assert by_results.plan(0).checked.study.training.epochs == 20


def test_what_is_opened_by_its_file_asks_for_the_new_and_shows_the_old(place, capsys):
    edit(OTHERS[BOTH])
    study = passband.open("config.yaml")
    assert study.study.training.epochs == 20
    assert capsys.readouterr().err == ""
    images = study.images(study.study.test_conditions[0])
    edit({"microscope": {"energy_kev": 300}})
    before = passband.open("config.yaml").images(study.study.test_conditions[0])
    assert (images.counts == before.counts).all()
    assert len(study.networks) == 8
    assert len(study.matrices()) == 1
    assert capsys.readouterr().err.splitlines()[0] == line(BOTH)


# ── What refuses to mix ──────────────────────────────────────────────────────────────────────────

CONDITION = (
    *("--defocus-nm", "9", "--cs-um", "1.2"),
    *("--aperture-mrad", "16", "--dose-e-per-A2", "300"),
)
#: A condition of the grid.
KNOWN = (
    *("--defocus-nm", "5", "--cs-um", "1.2"),
    *("--aperture-mrad", "16", "--dose-e-per-A2", "200"),
)
ENERGY = "microscope.energy_kev = 300; config.yaml says 200"


def content() -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in RESULTS.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["evaluate", "config.yaml", *CONDITION], BOTH),
        (["images", "config.yaml", *KNOWN], ENERGY),
        (["gallery", "config.yaml"], ENERGY),
        (["publish", "config.yaml", "--network", "ID"], BOTH),
        (["publish", "FILE"], BOTH),
    ],
    ids=["evaluate", "images", "gallery", "publish", "publish-file"],
)
def test_nothing_is_mixed(place, capsys, words, expected):
    network = next((RESULTS / "networks").rglob("*.safetensors"))
    id = f"gold/compact-w4-d2/{network.parent.name}/0"
    edit(OTHERS[BOTH])
    before = content()
    named = {"ID": id, "FILE": str(network)}
    status, lines = said(capsys, *(named.get(word, word) for word in words))
    assert status == 1
    assert lines == [line(expected)]
    assert content() == before
    assert not Path("published").exists()


def test_images_are_made_if_only_the_training_is_another(place, monkeypatch):
    edit({"training": {"epochs": 20}})
    asked = []

    def make(study, files, *_, **__):
        asked.append(files)

    monkeypatch.setattr(passband.Experiment, "make", make)
    study = passband.open("config.yaml")
    study.write_images(study.study.test_conditions[0])
    assert len(asked) == 1


def other_waves(energy_kev: float = 200) -> str:
    """Make a file of exit waves that of another study, whole, and return its path."""
    from passband.results import wave_layout
    from passband.storage import datasets
    from passband.store.recipe import DIGEST, Recipes

    study = Results.find("config.yaml").study
    other = study.replaced("microscope.energy_kev", energy_kev)
    (name,) = wave_layout.shards(study, "gold", "test")
    waves = datasets.read(RESULTS / name, datasets.WAVES)
    attrs = dict(waves.attrs) | {
        "energy_eV": energy_kev * 1e3,
        "config_digest": other.digest,
        "configuration": json.dumps(other.written()),
        DIGEST: Recipes(other).waves("gold", "test").digest,
    }
    (RESULTS / name).unlink()
    datasets.write(waves.drop_attrs(), RESULTS / name, datasets.WAVES, attrs=attrs)
    return str(RESULTS / name)


def test_an_intact_file_of_another_study_is_not_called_damaged(place):
    file = other_waves()
    study = passband.open("config.yaml")
    expected = (
        f"{file} was made with microscope.energy_kev = 200; config.yaml says 300: "
        "run `passband run config.yaml`"
    )
    with pytest.raises(PassbandError) as images:
        study.images(study.study.test_conditions[0])
    assert str(images.value) == expected
    with pytest.raises(PassbandError) as evaluated:
        study.evaluate({"defocus_nm": 9, "cs_um": 1.2, "aperture_mrad": 16, "dose_e_per_A2": 300})
    assert str(evaluated.value) == expected


def test_a_network_of_another_study_among_those_of_the_table_is_not_published(place):
    """As after a run that was interrupted: the table is of the study before."""
    edit({"training": {"epochs": 20}})
    network = next((RESULTS / "networks").rglob("*.safetensors"))
    before = Results.find("config.yaml")
    with pytest.raises(PassbandError, match=r"was made with training\.epochs = 2;"):
        made.check_tested(before, network)
