"""A published folder: complete, equal to the network, valid, and readable without Passband."""

import contextlib
import gc
import json
import re
import shutil
import socket
import subprocess
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx_file
import pandas as pd
import pytest
import torch
import yaml

from passband import PassbandError, extras
from passband.cli import main
from passband.config import load, validate, validate_stored
from passband.config.detector import DetectorNoise
from passband.learning import network_folder, networks
from passband.learning.network_files import open_networks
from passband.network_id import NetworkId
from passband.results import Results
from passband.results.published import PREPARATION
from passband.results.stores import load_table
from passband.sharing import bioimageio_description, onnx_export, publication
from passband.sharing.attribution import Labels
from passband.storage import StoreError, datasets, integrity, weights

pytestmark = pytest.mark.slow

FINISHED = Path(__file__).parents[1] / "data" / "finished_03.tar.xz"
CONDITION = "df+0005.00_cs+0001.200_ap016.00_ds001000.00"
CELL = NetworkId("gold", "compact-w4-d2", CONDITION)
FILE = f"results/smallest/networks/{CELL}/r000-001.safetensors"

try:
    extras.check(extras.SHARE, "this test")
except PassbandError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with the finished smallest study."""
    folder = tmp_path_factory.mktemp("study")
    subprocess.run(["tar", "xf", FINISHED], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def published(study):
    """A published network of the smallest study."""
    out = study / "published"
    arguments = ["--replica", "1", "--out", str(out), "--author", "A. Author", "--license", "MIT"]
    assert main(["publish", str(study / FILE), *arguments]) == 0
    return out


@pytest.fixture
def network(study):
    return open_networks(study / FILE, replace(CELL, replica=1))[0]


@pytest.fixture
def quick(monkeypatch):
    """Leave out the ONNX file, whose export takes seconds."""
    onnx_file.leave_out(monkeypatch)


@pytest.fixture(scope="module")
def bare(study):
    """The folder of a network that is published without its study."""
    network = open_networks(study / FILE, replace(CELL, replica=1))[0]
    trust = SimpleNamespace(to_values=lambda: {})
    with pytest.MonkeyPatch.context() as patch:
        onnx_file.leave_out(patch)
        labels = Labels("a network", "MIT")
        publication.publish(network, None, study / "bare", labels, trust=lambda: trust)
    return study / "bare"


def images(network, *sizes):
    random = np.random.default_rng(1)
    for number, (height, width) in enumerate(sizes, 1):
        yield random.normal(size=(number, 1, height, width)).astype(np.float32)


def test_probabilities_of_onnxruntime_are_torchs_at_three_sizes(published, network):
    import onnxruntime

    session = onnxruntime.InferenceSession(published / "model.onnx")
    assert session.get_inputs()[0].shape == ["batch", 1, "height", "width"]
    for image in images(network, (12, 20), (64, 64), (128, 100)):
        with torch.inference_mode():
            expected = torch.sigmoid(network.module(torch.from_numpy(image))).numpy()
        (found,) = session.run(["probability"], {"image": image})
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
    (found,) = session.run(["probability"], {"image": np.load(published / "test_input.npy")})
    np.testing.assert_allclose(found, np.load(published / "test_output.npy"), atol=1e-4, rtol=0)


def test_another_networks_onnx_file_is_refused(published, study):
    other = open_networks(study / FILE, replace(CELL, replica=0))[0]
    with pytest.raises(PassbandError, match=r"differ from torch's by [\d.e-]+ for images of 12 ×"):
        onnx_export.largest_differences(other.module, 4, 8, published / "model.onnx")


def test_onnx_file_has_no_path_of_the_machine_that_made_it(published):
    content = (published / "model.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content


def test_description_is_valid_without_a_connection(published, monkeypatch):
    from bioimageio.spec import load_model_description

    @contextlib.contextmanager
    def closed():
        """Let Python close the files that bioimageio.spec leaves open."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
            gc.collect()

    def refuse(*args, **kwargs):
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with closed():
        model = load_model_description(published / "rdf.yaml", perform_io_checks=True)
    assert model.validation_summary.status != "failed"
    assert model.license == "MIT"
    assert [author.name for author in model.authors] == ["A. Author"]
    (image,), (probability, means) = model.inputs, model.outputs
    assert [axis.size.step for axis in image.axes[2:]] == [4, 4]
    assert [axis.scale for axis in image.axes[2:]] == [0.35, 0.35]
    assert probability.axes[1].channel_names == ["particle"]
    assert str(means.id) == "means"
    assert model.config.model_dump()["passband"]["network"] == f"{CELL}/1"
    assert "&id" not in (published / "rdf.yaml").read_text()


def test_a_network_with_a_head_is_published_with_its_outputs(network, tmp_path):
    """bioimageio.spec checks the description, and onnxruntime computes the test tensors again.

    Both outputs of the ONNX file are compared with torch's.
    """
    name = "compact-w4-d2+votes"
    own = replace(
        network,
        module=networks.build(name, seed=3).eval(),
        metadata=replace(network.metadata, architecture=name),
    )
    publication.publish(own, None, tmp_path / "out", Labels("a network", "MIT"))
    folder = tmp_path / "out"

    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    shapes = [(each.name, each.shape) for each in session.get_outputs()]
    assert shapes == [
        ("probability", ["batch", 1, "height", "width"]),
        ("particles", ["batch", 3, "height", "width"]),
        ("means", ["batch", 28]),
    ]
    found = session.run(["probability", "particles"], {"image": np.load(folder / "test_input.npy")})
    for values, file, within in zip(
        found, ("test_output.npy", "test_particles.npy"), (1e-4, 1e-3), strict=True
    ):
        np.testing.assert_allclose(values, np.load(folder / file), atol=within, rtol=0)
    assert found[1].shape == (1, 3, 64, 64)
    outputs = yaml.safe_load((folder / "rdf.yaml").read_text())["outputs"]
    assert [each["id"] for each in outputs] == ["probability", "particles", "means"]
    names = outputs[1]["axes"][1]["channel_names"]
    assert names == ["row_offset", "column_offset", "log_diameter"]
    (found,) = open_networks(folder)
    assert str(found.id) == f"gold/{name}/{CONDITION}/1"
    wrong = yaml.safe_load((folder / "rdf.yaml").read_text())
    wrong["outputs"][1]["axes"][1]["channel_names"] = names[:2]
    with pytest.raises(PassbandError, match=r"rdf.yaml: bioimageio.spec refuses"):
        bioimageio_description.write(wrong, folder)
    compared = own.module, 4, 8, folder / "model.onnx"
    bias = next(x for x in reversed([*own.module.parameters()]) if x.shape in ((3,), (4,)))
    with torch.no_grad():
        bias[-1] += 0.01
    with pytest.raises(PassbandError, match=r"outputs for particles differ from torch's by 0\.01 "):
        onnx_export.largest_differences(*compared, has_head=True)
    # Without a head, other further outputs of a network are left out.
    onnx_export.largest_differences(*compared)


def test_changed_file_is_detected(published, tmp_path):
    description = yaml.safe_load((published / "rdf.yaml").read_text())
    for path in published.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(PassbandError, match=r"rdf.yaml: bioimageio.spec refuses .*weights"):
        bioimageio_description.write(description, tmp_path)


def test_published_network_is_opened_as_a_network_of_the_study(published, network):
    (found,) = open_networks(published)
    assert str(found.id) == str(network.id) == f"{CELL}/1"
    assert found.microscope == network.microscope
    state, expected = (each.module.state_dict() for each in (found, network))
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert list(found.metadata.history) == list(found.metadata.best) == [1]
    assert found.metadata.provenance == network.metadata.provenance
    assert (published / "weights.safetensors").stat().st_mode & 0o044


def test_numbers_are_those_of_the_table(published, study):
    stored = load_table(study / "results/smallest/table.zarr")
    place = {"specimen": "gold", "architecture": "compact-w4-d2", "train": CONDITION, "replica": 1}
    dice = stored.dice.sel(place).sel(test_specimen="gold").compute()
    numbers = pd.read_csv(published / "performance.csv").set_index("condition")
    np.testing.assert_allclose(numbers.dice[dice.test.values], dice.values, atol=1e-6)
    card = (published / "README.md").read_text()
    assert f"Dice is {dice.sel(test=CONDITION).item():.3f}." in card
    assert "(performance.png)" in card
    assert "The expected Dice comes from a Gaussian process" in card
    copied = datasets.read(published / "table.zarr.zip", datasets.TABLE)
    np.testing.assert_array_equal(copied.counts.values, stored.counts.values)


def test_folder_has_what_the_expected_dice_of_an_image_needs(published, network):
    from passband.answers import trust
    from passband.micrographs.trust import trust_files
    from passband.micrographs.trust.trust import Trust

    found = open_networks(published)
    known = trust_files.open_trust(found)
    assert known.networks == (network.id,)
    assert set(known.calibrations) == {"plain", "ctf"}
    again = trust.measured_trust(network, with_ctf=True)
    assert known.to_values() == Trust.from_values(again.to_values()).to_values()
    expected = trust.expected_dice(found, network.condition)[network.id]
    assert expected == trust.expected_dice([network], network.condition)[network.id]


def test_study_in_the_folder_is_valid_if_an_axis_leaves_out_its_own_value(tmp_path):
    study = validate({"grid": {"energy_kev": [200]}})
    network_folder._write_study(
        SimpleNamespace(id=f"{CELL}/1", study=study), tmp_path / "study.yaml"
    )
    assert load(tmp_path / "study.yaml") == study


def test_study_in_the_folder_is_the_study_that_trained_the_network(published, network):
    configuration = json.loads(network.metadata.provenance["configuration"])
    assert load(published / "study.yaml") == validate_stored(configuration)


def test_code_on_the_card_gives_the_networks_probabilities(
    published, network, monkeypatch, tmp_path
):
    counts = np.random.default_rng(0).poisson(100, (96, 144)).astype(np.uint16)
    np.save(tmp_path / "image.npy", counts)
    (tmp_path / "model.onnx").symlink_to(published / "model.onnx")
    (code,) = re.findall(
        r"^```python\n(.*?)^```$", (published / "README.md").read_text(), re.M | re.S
    )
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)  # the card's own code
    from passband.imaging.noise import normalise

    image = normalise(torch.from_numpy(counts.astype(np.float32))[None, None], "zscore", 1.0)
    with torch.inference_mode():
        expected = torch.sigmoid(network.module(image)).numpy()
    np.testing.assert_allclose(found["probability"], expected, atol=1e-4)
    assert "is_white" not in code  # the counts of the training images are white


def test_test_input_is_an_image_of_the_study(published, bare):
    assert "a simulated image of gold" in (published / "README.md").read_text()
    assert "Poisson noise of vacuum" in (bare / "README.md").read_text()
    assert not (bare / "performance.csv").exists()
    shapes = [np.load(folder / "test_input.npy") for folder in (published, bare)]
    for image in shapes:
        assert image.shape == (1, 1, 64, 64)
        assert image.dtype == np.float32
        assert abs(image.mean()) < 1e-5
        assert image.std(ddof=1) == pytest.approx(1, abs=1e-5)
    assert not np.array_equal(*shapes)


@pytest.fixture
def copied(bare, tmp_path):
    """A published folder without measurements, which a test may change."""
    return Path(shutil.copytree(bare, tmp_path / "out"))


def refused(folder, name, capsys):
    """Whether predict refuses a folder in one line that names one of its files."""
    status = main(["predict", str(folder), "image.npy", "--pixel-size-A", "0.35", "--no-likeness"])
    (line, *others) = capsys.readouterr().err.splitlines()
    assert "image.npy: no such file" in line or not others
    return status == 1 and line.startswith(f"{folder}: {name} ")


def test_files_of_a_published_folder_hold_together(copied, capsys):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=copied, check=True)
    names = sorted(path.name for path in copied.iterdir() if path.name != "SHA256SUMS")
    assert {"weights.safetensors", "model.onnx", "README.md", "likeness.json"} < set(names)
    assert not refused(copied, "", capsys)
    for name in names:
        whole = (copied / name).read_bytes()
        place = len(whole) // 2
        (copied / name).write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert refused(copied, name, capsys)
        (copied / name).unlink()
        if name != "weights.safetensors":  # without it, the folder is not published
            assert refused(copied, name, capsys)
        (copied / name).write_bytes(whole)
    assert not refused(copied, "", capsys)
    (copied / "table.zarr.zip").write_bytes(b"of another network")
    assert refused(copied, "table.zarr.zip", capsys)


def test_a_flipped_bit_of_the_list_of_digests_is_noticed(copied):
    whole = (copied / "SHA256SUMS").read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 60, replace=False).tolist():
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        (copied / "SHA256SUMS").write_bytes(changed)
        with pytest.raises(ValueError, match=r"SHA256SUMS|utf-8"):
            integrity.check_checksums(copied)


def test_a_folder_whose_list_was_deleted_is_read_and_said_to_be_unchecked(copied, capsys):
    np.save(copied.parent / "image.npy", np.random.default_rng(0).poisson(50, (64, 64)))
    command = ["predict", str(copied), str(copied.parent / "image.npy"), "--pixel-size-A", "0.35"]
    command += ["--no-likeness", "--out", str(copied.parent / "predictions")]
    command += ["--precision", "auto"]  # torch computes it, since this ONNX file is no network
    line = f"{copied} has no SHA256SUMS, so its files are not checked"
    assert main(command) == 0
    assert line not in capsys.readouterr().out.splitlines()
    (copied / "SHA256SUMS").unlink()
    assert main(command) == 0
    assert line in capsys.readouterr().out.splitlines()


def test_a_network_is_published_with_the_preparation_that_it_needs(quick, tmp_path):
    """The filter belongs to the field of the training images. It needs no exit waves.

    White noise that a network was trained with needs no filter; slopes are taken off always.
    """
    (network,) = open_networks("general-2026")
    white = network.microscope.replaced("detector.noise", DetectorNoise())
    words = "Hann kernel of half-width 1.1 Å, nothing that pixels of 0.776 Å cannot show"
    for name, of, filters in (("own", network.microscope, True), ("white", white, False)):
        own = replace(network, microscope=of)
        publication.publish(own, None, tmp_path / name, Labels("a network", "MIT"))
        description = yaml.safe_load((tmp_path / name / "rdf.yaml").read_text())
        assert description["config"]["passband"]["preparation"] == PREPARATION == 2
        card = (tmp_path / name / "README.md").read_text()
        assert "the background, if the image has one" in card
        assert ("the filter of the training's counts" in card) == filters
        assert (words in card) == filters
        image = np.load(tmp_path / name / "test_input.npy")
        assert image.shape == (1, 1, 192, 192)
        spectrum = np.abs(np.fft.rfft2(image[0, 0]))
        # Beyond pixels of 0.776 Å.
        assert (spectrum[80:112].max() < 1e-3 * spectrum.max()) == filters


def test_failure_leaves_nothing(network, quick, tmp_path, monkeypatch):
    def fail(*_):
        raise PassbandError("refused")

    monkeypatch.setattr(bioimageio_description, "write", fail)
    labels = Labels("a network", "MIT")
    with pytest.raises(PassbandError, match="refused"):
        publication.publish(network, None, tmp_path / "out", labels)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_table_is_named_before_a_folder_is_begun(network, study, tmp_path, monkeypatch):
    def refuse(results):
        raise StoreError("table.zarr: not a whole store")

    monkeypatch.setattr(Results, "table", property(refuse))
    monkeypatch.setattr(publication.atomic, "replacing", lambda folder: pytest.fail("begun"))
    results = Results(network.study, study / "results/smallest")
    labels = Labels("a network", "MIT")
    with pytest.raises(StoreError, match="not a whole store"):
        publication.publish(network, results, tmp_path / "out", labels)


def test_existing_folder_is_replaced_only_with_force(study, quick, tmp_path, capsys):
    # Outside the study's folder, there is no performance to draw, which would take seconds.
    file = shutil.copy(study / FILE, tmp_path / "a.safetensors")
    command = ["publish", str(file), "--replica", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    (tmp_path / "out/README.md").write_text("old")
    assert main(command) == 1
    assert "out': exists; give another name, or replace it with --force" in capsys.readouterr().err
    assert (tmp_path / "out/README.md").read_text() == "old"
    assert main([*command, "--force"]) == 0
    assert (tmp_path / "out/README.md").read_text() != "old"


def test_folder_that_is_not_published_is_never_replaced(study, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_text("a")
    out = ["--out", str(tmp_path / "photos"), "--force"]
    assert main(["publish", str(study / FILE), "--replica", "1", *out]) == 1
    assert "exists and is no published folder" in capsys.readouterr().err
    assert (tmp_path / "photos/a.jpg").exists()


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch, capsys):
    lacking = "numpy", "no_such_onnx", "no_such_package.spec"
    monkeypatch.setitem(extras.MODULES, extras.SHARE, lacking)
    assert main(["publish", "a.safetensors"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs no_such_onnx, no_such_package.spec, not installed here: run" in line
    assert "pip install 'passband[share]'" in line


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([FILE], r"--replica is missing: .* has the replicas 0, 1; give one of them"),
        ([FILE, "--replica", "7"], r"--replica = 7: .* has the replicas 0, 1"),
        ([FILE, "--network", f"{CELL}/7"], "has only the replicas 0, 1 of this"),
        (["results/smallest"], "has networks of 4 training conditions; give the id"),
        (["results/smallest", "--network", "gold/7"], "must be an id such as"),
        (["nowhere.safetensors"], "there is no such file or folder"),
        (["nowhere"], "no study of this name"),
        (["photo.png"], "photo.png: not a whole file of weights"),
        (["damaged.safetensors"], "damaged.safetensors: not a whole file of weights"),
        (["other.safetensors"], "other.safetensors: its metadata have no 'configuration'"),
        ([FILE, "--replica", "0", "--license", "free"], "--license = 'free': must be the SPDX id"),
        ([FILE, "--replica", "0", "--name", "naïve"], "--name = 'naïve': must have 5 to 64"),
        ([FILE, "--replica", "0", "--name", "abc"], "--name = 'abc': must have 5 to 64"),
        ([FILE, "--replica", "0", "--study", "nowhere"], "no study of this name"),
        ([FILE, "--author", "A. Author", "--author", "<script>"], "--author = '<script>': must be"),
    ],
)
def test_bad_input_is_refused_in_one_line(study, tmp_path, arguments, line, monkeypatch, capsys):
    (tmp_path / "results").symlink_to(study / "results")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    whole = (study / FILE).read_bytes()
    (tmp_path / "damaged.safetensors").write_bytes(whole[:-100])
    states, metadata = weights.load(study / FILE)
    values = metadata.to_values()
    del values["configuration"]
    weights.save(
        states, tmp_path / "other.safetensors", weights.WeightsMetadata.from_values(values)
    )
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["publish", *arguments]) == 1
    (printed,) = capsys.readouterr().err.splitlines()
    assert re.search(line, printed)
    assert sorted(tmp_path.iterdir()) == before
