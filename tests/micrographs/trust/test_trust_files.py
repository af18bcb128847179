"""What is known about images is read from the file beside a network, which may be damaged."""

import pytest
from low_dose import extract

from passband import PassbandError
from passband.learning.network_files import open_networks
from passband.micrographs.trust import trust_files
from passband.storage import checked_json


def test_published_folder_has_everything(tmp_path):
    folder = extract(tmp_path)
    networks = open_networks(folder)
    found = trust_files.open_trust(networks)
    assert found.networks == (networks[0].id,)
    assert set(found.calibrations) == {"plain", "ctf"}


@pytest.mark.parametrize("content", ["", "{}", '{"networks": []}', "[1]"])
def test_damaged_file_of_a_published_folder_is_reported(tmp_path, content):
    folder = extract(tmp_path)
    (folder / "likeness.json").write_text(content)
    with pytest.raises(PassbandError, match=r"likeness\.json: is damaged"):
        trust_files.open_trust(open_networks(folder))


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
        trust_files.open_trust(open_networks(folder))
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
        trust_files.open_trust(open_networks(folder))


def test_a_published_file_with_a_checksum_is_compared_with_it(tmp_path):
    folder = extract(tmp_path)
    path = folder / "likeness.json"
    networks = open_networks(folder)
    known = trust_files.open_trust(networks)
    text = path.read_text()
    path.write_text(text.replace('"dice": 0.', '"dice": 0.0', 1))
    with pytest.raises(PassbandError, match="is damaged: its checksum does not match its content"):
        trust_files.open_trust(networks)
    path.write_text(text)
    assert trust_files.open_trust(networks).to_values() == known.to_values()


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
        trust_files.open_trust(open_networks(folder))
