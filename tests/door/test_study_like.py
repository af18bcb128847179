"""The study that trains a network like `general` for another microscope, by command and by call."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import passband
from passband import PassbandError, cli
from passband.config import Study, load
from passband.config.detector import DetectorNoise
from passband.door import study_like
from passband.door.study_like import Asked
from passband.learning import network_files
from passband.micrographs.images import preparation
from passband.mixtures import Mixture
from passband.storage import datasets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def general():
    """The network of the package whose study is short enough to be taken over as a whole."""
    (network,) = network_files.open_networks("general-2026")
    return network


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def white(folder):
    """An image of counts with pixels of 0.4 Å, whose file states neither pixels nor energy."""
    np.save(folder / "white.npy", np.random.default_rng(1).poisson(30, (200, 200)))
    return folder / "white.npy"


def made(network, **asked) -> Study:
    """Return the study as it is in its file."""
    if "like_image" in asked:
        asked["like_image"] = Path(asked["like_image"])
    text = study_like.make(network, "general", Path("mine"), Asked(**asked)).text
    Path("made.yaml").write_text(text)
    return load("made.yaml")


def changed(study: Study, before: Study) -> set[str]:
    """Return the paths of keys with other values; the specimens of both are compared by place."""

    def flat(value, path=""):
        if not isinstance(value, dict):
            return {path: value}
        return {
            key: each
            for name, inner in value.items()
            for key, each in flat(inner, f"{path}.{name}".lstrip(".")).items()
        }

    flats = []
    for one in (study, before):
        content = one.written()
        content["specimens"] = dict(enumerate(content["specimens"].values()))
        flats.append(flat(content))
    one, other = flats
    return {key for key in {*one, *other} if one.get(key) != other.get(key)}


def test_without_options_it_is_the_networks_own_study(general):
    study = made(general)
    assert changed(study, general.study) == {"study.name"}
    assert study.train_ids == [general.condition.id]


def test_each_option_changes_its_key(general, white):
    before = made(general)
    energy = made(general, energy_kev=200.0)
    # 26 mrad is the band of the pixels at 300 keV, which is wider for longer waves.
    assert changed(energy, before) == {"microscope.energy_kev", "grid.aperture_mrad"}
    assert energy.microscope.energy_kev == 200
    assert energy.train_axes["aperture_mrad"][0] == pytest.approx(26 * 2.508 / 1.969, abs=0.1)
    assert changed(made(general, material="Pt"), before) == {"specimens.0.material"}
    assert list(made(general, material="Pt").specimens) == ["Pt"]
    noise = changed(made(general, like_image=white, pixel_size_A=0.4), before)
    assert noise == {
        f"microscope.detector.noise.{key}" for key in ("form", "width_A", "stored_pixel_A")
    }


def test_a_small_aperture_is_kept_unless_the_pixels_do_not_show_it(general):
    microscope = general.microscope

    def aperture(before, energy_kev):
        content = {
            "grid": {"cs_um": [0.0], "aperture_mrad": [before]},
            "test_grid": {"defocus_nm": [-10.0, 40.0]},
        }
        return study_like._aperture(content, microscope, energy_kev)

    assert aperture(12.0, 200.0) == 12
    assert aperture(22.0, 1000.0) < 12


@pytest.mark.parametrize("energy", [20.0, 60.0, 80.0, 120.0, 1000.0, 2000.0])
def test_a_study_of_any_energy_is_possible(general, energy):
    assert made(general, energy_kev=energy).microscope.energy_kev == energy


@pytest.mark.parametrize("energy", [60.0, 80.0, 1000.0])
def test_slow_electrons_get_the_pixels_of_multislice_whose_error_is_known(general, energy):
    made_like = study_like.make(general, "general", Path("a"), Asked(energy_kev=energy))
    pixel = made_like.study.microscope.multislice_pixel_A
    assert pixel == ("auto" if energy < 80 else general.microscope.multislice_pixel_A)
    said = [line for line in made_like.lines if line.startswith("multislice_pixel_A auto in place")]
    assert len(said) == (energy < 80)


@pytest.mark.parametrize(
    ("material", "shape", "twins", "temperature"),
    [
        ("Cu", "wulff", 2, 300),
        ("Fe", "wulff", 0, 300),
        ("CeO2", "sphere", 2, 0),
        ("CdSe", "sphere", 2, 0),
    ],
)
def test_a_material_has_only_what_is_known_of_it(general, material, shape, twins, temperature):
    (specimen,) = made(general, material=material).specimens.values()
    assert (specimen.material, specimen.shape) == (material, shape)
    assert (specimen.twins.max, specimen.thermal.temperature_K) == (twins, temperature)
    lines = study_like.make(general, "general", Path("a"), Asked(material=material)).lines
    said = [line for line in lines if line.startswith(f"{material}: ")]
    assert len(said) == (material != "Cu")
    assert ("balls" in "".join(said)) == (shape == "sphere")
    assert ("no twins" in "".join(said)) == (twins == 0)


def test_a_crystal_file_is_found_from_the_studys_folder(general, folder):
    from ase.build import bulk

    (folder / "crystals").mkdir()
    bulk("Ni", cubic=True).write(folder / "crystals/nickel.cif")
    ((name, specimen),) = made(general, material="crystals/nickel.cif").specimens.items()
    assert (name, specimen.shape, specimen.structure) == ("nickel", "sphere", "file")
    assert not specimen.is_elsewhere


def test_an_image_that_states_energy_and_pixel_size_is_used(general, folder, monkeypatch):
    """The file is what RosettaSciIO returns of a DM3 file, so that no file is needed."""
    module = pytest.importorskip("rsciio.digitalmicrograph")
    counts = np.random.default_rng(0).poisson(20, (256, 256)).astype(np.float32)
    read = {
        "metadata": {"Acquisition_instrument": {"TEM": {"beam_energy": 80.0}}},
        "axes": [{"navigate": False, "units": "nm", "scale": 0.06}] * 2,
        "data": counts,
    }
    monkeypatch.setattr(module, "file_reader", lambda path: [read])
    (folder / "a.dm3").touch()
    study = made(general, like_image="a.dm3")
    assert study.microscope.energy_kev == 80
    assert study.microscope.detector.noise == DetectorNoise(stored_pixel_A=0.6)
    made(general, like_image="a.dm3", energy_kev=80.4)  # people round energies
    with pytest.raises(PassbandError, match=r"energy_kev = 200: a\.dm3 states 80 keV; give"):
        made(general, like_image="a.dm3", energy_kev=200.0)
    # Averaged over a kernel: the width follows from the slope of the noise.
    kernel = DetectorNoise(form="hann", width_A=0.9)
    read["data"] = preparation.filter_noise(counts, 0.6, kernel)
    found = made(general, like_image="a.dm3").microscope.detector.noise
    assert (found.form, found.stored_pixel_A) == ("hann", 0.6)
    assert found.middle.width_A == pytest.approx(0.9, abs=0.06)


def test_large_pixels_do_not_show_the_noise(general, white):
    found = study_like.make(
        general, "general", Path("a"), Asked(like_image=white, pixel_size_A=0.9)
    )
    before = general.microscope.detector.noise
    assert found.study.microscope.detector.noise == before.model_copy(
        update={"stored_pixel_A": 0.9}
    )
    assert "its noise cannot be measured with pixels of 0.9 Å" in found.lines[0]


def test_a_long_path_of_a_network_is_not_in_each_comment(general):
    path = "results/study/networks/r000-000.safetensors"
    text = study_like.make(general, path, Path("a"), Asked(material="Pt")).text
    assert "    material: Pt  # before: Au\n" in text


def test_the_study_takes_no_longer_than_it_may(general, monkeypatch):
    whole = made(general)
    took = study_like.seconds(whole)
    assert 60 < took < study_like.MOST_S
    monkeypatch.setattr(study_like, "MOST_S", 0.6 * took)
    found = study_like.make(general, "general", Path("a"), Asked())
    assert study_like.seconds(found.study) <= 0.6 * took
    structures, epochs = found.study.study.structures.train, found.study.training.epochs
    all_structures, all_epochs = whole.study.structures.train, whole.training.epochs
    assert structures / all_structures == pytest.approx(epochs / all_epochs, abs=0.02)
    assert 0.5 < structures / all_structures < 1
    assert f"{structures} structures, {epochs} epochs: about" in found.lines[-1]
    assert f"(cut from {all_structures} structures, {all_epochs} epochs)" in found.lines[-1]
    assert changed(found.study, whole) == {
        "study.name",
        "study.structures.train",
        "training.epochs",
    }
    assert f"epochs: {epochs}  # general: {all_epochs}" in found.text


def test_by_command_and_by_call_the_study_is_the_same(white, capsys):
    words = ["--energy-kev", "200", "--material", "Pt", "--pixel-size-A", "0.4"]
    assert cli.main(["new", "mine", "--like", "general", *words, "--like-image", str(white)]) == 0
    out = capsys.readouterr().out
    lines = []
    Path("mine").rename("by-command")
    options = {"energy_kev": 200, "material": "Pt", "like_image": white, "pixel_size_A": 0.4}
    study = passband.new("mine", like="general", **options, report=lines.append)
    by_command = Path("by-command/config.yaml").read_text()
    assert Path("mine/config.yaml").read_text() == by_command
    assert out.startswith("mine/config.yaml has the study mine, like general: 1 network.\n")
    assert [f"  {line}" for line in lines] == out.splitlines()[1 : len(lines) + 1]
    assert re.search(r"about \d+ min.* on 2 typical cores", lines[-1])
    verbs = re.findall(r"^  passband (\w+)", out, re.M)
    assert verbs == ["check", "plan", "run", "predict"]
    assert study.check().networks == 1
    assert study.study.trained_specimens.keys() == {"Pt"}
    assert "energy_kev: 200  # general: 300" in by_command
    assert max(map(len, by_command.splitlines())) <= 121


def test_without_like_an_option_means_general(capsys):
    assert cli.main(["new", "mine", "--material", "Ag"]) == 0
    assert "like general: 1 network." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--energy-kev", "5"], "--energy-kev = 5: must be between 20.0 and 2000.0 keV"),
        (["--energy-kev", "nan"], "--energy-kev = nan: must be between 20.0 and 2000.0 keV"),
        (["--material", "Xx"], "--material = 'Xx': must be Ag, Au, CdSe, CeO2, Cu, Fe, Pd, Pt"),
        (["--material", "no.cif"], "--material = 'no.cif': not a CIF of a crystal: has no "),
        (["--like-image", "none.tif"], "none.tif: no such file"),
        (["--like-image", "folder"], "folder: "),
        (["--like-image", "white.npy"], "pixel size: white.npy has none; give --pixel-size-A"),
        (["--like-image", "white.npy", "--pixel-size-A", "20"], "--pixel-size-A = 20: must be"),
        (["--like-image", "white.npy", "--pixel-size-A", "4"], "white.npy: pixel size 4 Å: must"),
        (["--like-image", "white.npy", "--pixel-size-A", "0.05"], "white.npy: the image has 20"),
        (["--pixel-size-A", "0.4"], "--pixel-size-A: has an effect only together with --like-im"),
        (["--like-image", "rgb.png", "--pixel-size-A", "0.4"], "rgb.png: is a colour image; give"),
        (["--like-image", "twice.npy", "--pixel-size-A", "0.4"], "twice.npy: its pixels were rep"),
        (["--like-image", "a.zarr", "--energy-kev", "80"], "--energy-kev = 80: a.zarr states 300"),
        (["--like", "demo", "--energy-kev", "80"], "--energy-kev: is for --like = a network, such"),
        (["--like", "no.safetensors"], "no.safetensors: there is no such file or folder; give a"),
        (["--like", "no.cif"], "no.cif: "),
        (["--part", "metric", "--material", "Pt"], "--part: cannot be used together with --mat"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(words, says, white, folder, capsys):
    rng = np.random.default_rng(0)
    (folder / "folder").mkdir()
    (folder / "no.cif").write_text("nothing")
    colours = rng.integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(colours).save(folder / "rgb.png")
    np.save(folder / "twice.npy", rng.poisson(30, (100, 100)).repeat(2, 0).repeat(2, 1))
    _store(folder / "a.zarr", rng.poisson(30, (1, 200, 200)))
    assert cli.main(["new", "mine", *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(says)
    assert err.count("\n") == 1
    assert not Path("mine").exists()


def _store(path, counts):
    """Write a study's store of images, which states energy and pixel size."""
    import xarray as xr

    images = xr.Dataset({"counts": (("image", "x", "y"), counts.astype(np.float32))})
    condition = "df+0005.00_cs+0001.200_ap010.00_ds001000.00"
    stated = {"condition": condition, "energy_kev": 300.0, "pixel_size_A": 0.3}
    datasets.write(images.assign_attrs(stated), path, datasets.IMAGES, {})


def _with(network, **provenance):
    return replace(network, metadata=replace(network.metadata, provenance=provenance))


def test_a_network_without_a_study_or_of_a_mixture_is_refused(general):
    with pytest.raises(PassbandError, match="its metadata have no study"):
        made(_with(general))
    mixture = Mixture.__new__(Mixture)
    with pytest.raises(PassbandError, match="general: is a network of a mixture, which needs its"):
        made(replace(general, condition=mixture))


def test_a_network_of_a_grid_is_trained_alone(general):
    """A study with two specimens, a further axis, points and replicas leaves one network."""
    content = json.loads(general.metadata.provenance["configuration"])
    content["study"] |= {"replicas": 3, "replicas_per_job": 3}
    content["specimens"]["other"] = content["specimens"]["gold"] | {"material": "Pd"}
    content["grid"] |= {"dose_e_per_A2": [100, 200], "astigmatism_nm": [0, 5]}
    content["test_grid"] = {"defocus_nm": list(range(-10, 41, 5)), "dose_e_per_A2": [50, 400]}
    several = _with(general, configuration=json.dumps(content))
    condition = several.study.axes.condition(general.condition.values() | {"astigmatism_nm": 5})
    study = made(
        replace(several, condition=condition, microscope=several.study.microscope.under(condition))
    )
    assert study.train_number == study.study.replicas == len(study.specimens) == 1
    assert study.microscope.aberrations.astigmatism_nm == 5
    assert study.test_axes["defocus_nm"] == [-10, 25, 40]
    assert study.test_axes["dose_e_per_A2"] == [50, 200, 400]
    assert general.condition.dose_e_per_A2 in study.train_axes["dose_e_per_A2"]
