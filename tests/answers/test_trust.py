"""What is known about images is opened from a study or a published folder, and kept."""

import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from likeness_study import STUDY, write_study
from low_dose import extract
from recommended import make_results, make_study
from toy_networks import true_dice

from passband import PassbandError
from passband.answers import likeness, trust
from passband.answers.tested_networks import TestedNetworks
from passband.grid import Condition
from passband.learning.network_files import open_networks
from passband.network_id import NetworkId
from passband.results import Results
from passband.storage import checked_json

CELL = NetworkId("gold", "compact-w4-d2", STUDY.train_conditions[0].id)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("results") / "tiny")


def test_a_network_of_a_study_is_measured_only_when_it_is_published(results, monkeypatch):
    """Predicting with it says in one line how to have it measured, and measures nothing."""
    monkeypatch.setattr(likeness.StudyImages, "measure", lambda *_: pytest.fail("it was measured"))
    networks = open_networks(results, CELL)
    with pytest.raises(PassbandError) as caught:
        trust.open_trust(networks)
    said, _, command = str(caught.value).partition(": ")
    assert said == (
        "the network has not been compared with its training images; publish it, and predict with "
        "the folder"
    )
    assert shlex.split(command) == [
        *("passband", "publish", str(results), "--network", f"{CELL}/0"),
    ]


@pytest.mark.slow
def test_a_network_alone_has_no_disagreement(results):
    (network,) = open_networks(results, replace(CELL, replica=1))
    found = trust.measured_trust(network, with_ctf=False)
    assert found.networks == (replace(CELL, replica=1),)
    assert "disagreement" not in found.calibrations["plain"].names


@pytest.mark.slow
def test_without_a_table_the_condition_is_not_used(results):
    networks = open_networks(results, replace(CELL, replica=1))
    assert set(trust.measured_trust(networks[0], with_ctf=True).calibrations) == {"plain"}
    with pytest.raises(PassbandError, match="no table of results"):
        trust.expected_dice(networks, STUDY.train_conditions[1])


def test_networks_are_grouped_by_training_condition(results):
    other = replace(CELL, condition=STUDY.train_conditions[1].id)
    networks = [
        *open_networks(results, replace(CELL, replica=1)),
        *open_networks(results, other),
    ]
    networks += open_networks(results, replace(CELL, replica=0))
    found = [[str(network.id) for network in group] for group in trust.by_condition(networks)]
    assert found == [[f"{CELL}/0", f"{CELL}/1"], [f"{other}/0", f"{other}/1"]]


def test_weights_that_are_not_in_a_study_are_not_assessed(results, tmp_path):
    (path,) = (results / "networks" / str(CELL)).glob("*.safetensors")
    shutil.copy(path, tmp_path / "copy.safetensors")
    with pytest.raises(PassbandError, match=r"copy\.safetensors is not in the results of a study"):
        trust.open_trust(open_networks(tmp_path / "copy.safetensors"))


def test_published_folder_has_everything(tmp_path):
    folder = extract(tmp_path)
    networks = open_networks(folder)
    found = trust.open_trust(networks)
    assert found.networks == (networks[0].id,)
    assert set(found.calibrations) == {"plain", "ctf"}


@pytest.mark.parametrize("content", ["", "{}", '{"networks": []}', "[1]"])
def test_damaged_file_of_a_published_folder_is_reported(tmp_path, content):
    folder = extract(tmp_path)
    (folder / "likeness.json").write_text(content)
    with pytest.raises(PassbandError, match=r"likeness\.json: is damaged"):
        trust.open_trust(open_networks(folder))


WRONG = {
    "a variance is not positive": lambda v: v["reference"]["normals"]["values"].update(rest=-1),
    "a scale is not positive": lambda v: v["reference"]["normals"]["values"]["scale"].__setitem__(
        0, 0
    ),
    "a value is not finite": lambda v: v["reference"]["normals"]["features"].update(rest="inf"),
    "axes have another shape": lambda v: v["reference"]["normals"]["values"]["axes"].pop(),
    "mean and scale have": lambda v: v["reference"]["normals"]["values"]["scale"].pop(),
    "a distribution is missing": lambda v: v["reference"]["normals"].pop("features"),
    "a distance of training images": lambda v: v["reference"]["usual"].update(spectrum=0),
    "names are not spectrum": lambda v: v["reference"]["largest"].pop("spectrum"),
    "side is not positive": lambda v: v["reference"].update(side=0),
    "dice = 1.5 is not between": lambda v: v["own"].update(dice=1.5),
    "a limit is missing": lambda v: v["limits"].pop("values"),
    "a limit is not finite": lambda v: v["limits"].update(values="nan"),
    "the calibration `plain`": lambda v: v["calibrations"].pop("plain"),
    "not a coefficient per": lambda v: v["calibrations"]["plain"]["coefficients"].append(1),
    "a coefficient is not": lambda v: v["calibrations"]["ctf"].update(
        coefficients=["nan" for _ in v["calibrations"]["ctf"]["coefficients"]]
    ),
    "a coefficient of a score is": lambda v: v["calibrations"]["plain"]["coefficients"].__setitem__(
        1, -1
    ),
    "a score is none of": lambda v: v["calibrations"]["plain"]["names"].__setitem__(0, "other"),
    "the quantiles of errors": lambda v: v["calibrations"]["plain"].update(inside=[1, 0]),
    "there is no network": lambda v: v.update(networks=[]),
}


@pytest.mark.parametrize("words", WRONG)
def test_numbers_that_cannot_be_are_refused_in_one_line(tmp_path, words):
    """A negative variance made every score, and the expected Dice, not a number."""
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    content = checked_json.read(path)
    WRONG[words](content)
    checked_json.write(path, content)
    with pytest.raises(PassbandError) as caught:
        trust.open_trust(open_networks(folder))
    assert str(caught.value).startswith(f"{path}: is damaged: ")
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_negative_variances_are_refused(tmp_path):
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    content = checked_json.read(path)
    normal = content["reference"]["normals"]["spectrum"]
    normal["variances"] = [-value for value in normal["variances"]]
    checked_json.write(path, content)
    with pytest.raises(PassbandError, match=r"is damaged: .*a variance is not positive$"):
        trust.open_trust(open_networks(folder))


def test_a_published_file_with_a_checksum_is_compared_with_it(tmp_path):
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    networks = open_networks(folder)
    known = trust.open_trust(networks)
    text = path.read_text()
    path.write_text(text.replace('"dice": 0.', '"dice": 0.0', 1))
    with pytest.raises(PassbandError, match="is damaged: its checksum does not match its content"):
        trust.open_trust(networks)
    path.write_text(text)
    assert trust.open_trust(networks).to_values() == known.to_values()


@pytest.mark.parametrize(
    ("network", "refusal"),
    [
        ("gold/x/all-5d8f5c27/0", "is of gold/x/all-5d8f5c27/0"),
        ("gold/x/y/0", "is damaged: network = 'gold/x/y/0'"),
    ],
)
def test_file_of_another_network_is_refused(tmp_path, network, refusal):
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    content = checked_json.read(path) | {"networks": [network]}
    checked_json.write(path, content)
    with pytest.raises(PassbandError, match=refusal):
        trust.open_trust(open_networks(folder))


def test_expected_dice_is_that_of_the_given_lens(tmp_path, monkeypatch):
    """Networks of this study work only near the astigmatism that they were trained at."""

    def dice(train, test):
        apart = len(train.further) - len(test.further)
        return true_dice(train, test) - 0.4 * abs(apart)

    monkeypatch.setattr("recommended.true_dice", dice)
    study = make_study(cs_um=[1.2], aperture_mrad=[15], astigmatism_nm=[0, 8])
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    here = Condition(5, 1.2, 15, 1000)
    both = [replace(here, further=further) for further in ((), {"astigmatism_nm": 8})]
    networks = [SimpleNamespace(id=NetworkId("gold", "compact-w8-d3", c.id, 0)) for c in both]
    monkeypatch.setattr(trust, "_tested", lambda group: tested)
    monkeypatch.setattr(trust, "by_condition", lambda networks: [networks])
    for length, best in ((0, 0), (7, 1)):
        asked = Condition(6, 1.2, 15, 850, {"astigmatism_nm": length})
        found = [trust.expected_dice(networks, asked)[network.id] for network in networks]
        assert found[best] > found[1 - best] + 0.2
    plain = trust.expected_dice(networks, Condition(6, 1.2, 15, 850))
    assert plain == trust.expected_dice(networks, replace(asked, further={"astigmatism_nm": 0}))
