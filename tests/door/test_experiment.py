"""A study in Python, by `passband.open`."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import passband
from passband import PassbandError
from passband.imaging import export
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.learning import devices
from passband.micrographs.images import readers
from passband.results.published import SHIPPED
from passband.results.stores import load_table
from passband.scores import dice
from passband.storage import datasets

ROOT = Path(__file__).parents[2]
CONDITION = {"defocus_nm": 5, "cs_um": 1.2, "aperture_mrad": 16, "dose_e_per_A2": 200}
SAMPLE = SHIPPED / "sample.ome.tif"


def test_the_package_imports_no_library_and_knows_its_public_names():
    code = "import sys, passband; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "xarray", "pydantic", "yaml"} & set(run.stdout.split())
    assert sorted({"PassbandError", *passband._MODULES}) == passband.__all__
    for name in passband.__all__:
        assert getattr(passband, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        passband.other  # noqa: B018


@pytest.fixture
def study(copied, monkeypatch) -> passband.Experiment:
    monkeypatch.chdir(copied.folder)
    return passband.open("smallest")


@pytest.mark.slow
@pytest.mark.workflow
class TestStudy:
    def test_a_name_a_file_and_a_folder_open_the_same_study(self, study):
        for noun in ("studies/smallest.yaml", "results/smallest", Path("results/smallest")):
            same = passband.open(noun)
            assert same.study == study.study
            assert same.ood.identical(study.ood)
        (file, *_) = Path("results/smallest/networks").rglob("*.safetensors")
        assert list(passband.open(file).networks) == list(study.networks)

    def test_networks_and_images_give_the_dice_of_the_table(self, study):
        """The same numbers from the outside: images, weights and a threshold."""
        assert len(study.networks) == 8
        for id, network in list(study.networks.items())[::3]:
            assert study.networks[str(id)] == network
            assert network.condition.id == id.condition
            for test in study.study.test_conditions[:2]:
                images = study.images(test)
                counts = torch.as_tensor(images.counts.values.astype(np.float32))
                mean, std = (
                    counts.mean((1, 2), True),
                    counts.std((1, 2), correction=0, keepdim=True),
                )
                shown = (counts - mean) / std
                with torch.inference_mode():
                    found = network.load()(shown[:, None])[:, 0].numpy() > 0
                true = images["mask"].values > 0
                outcomes = [found & true, found & ~true, ~found & true]
                each = dice(np.stack([one.sum((1, 2)) for one in outcomes], -1))
                measured = network.dice.sel(test_specimen="gold", test=test.id)
                assert each.mean() == pytest.approx(float(measured), abs=1e-3)

    def test_images_are_formed_under_conditions_that_the_study_does_not_have(self, study):
        images = study.images({**CONDITION, "defocus_nm": 12.5, "astigmatism_nm": 4})
        assert images.attrs["condition"] == "df+0012.50_cs+0001.200_ap016.00_ds000200.00_as0004.000"
        assert images.counts.dims == ("structure", "x", "y")
        own = study.images(CONDITION)
        assert not np.array_equal(own.counts, images.counts)
        assert np.array_equal(own["mask"], images["mask"])
        assert np.array_equal(own["mask"], study.exit_waves()["mask"])
        assert np.array_equal(own.counts, study.images(study.condition(CONDITION).id).counts)

    def test_networks_are_recommended(self, study, all_learned):
        found = study.recommend({**CONDITION, "dose_e_per_A2": "200:1000"})
        assert {each.id for each in found.networks} == set(study.networks)
        best = study.recommend(study.condition(CONDITION)).networks[0]
        assert best.dice.value == max(
            float(network.dice.sel(test=study.condition(CONDITION).id).squeeze())
            for network in study.networks.values()
        )

    def test_a_network_segments_an_image(self, study):
        (network, *_) = study.networks.values()
        image = study.images(CONDITION).counts[0].values
        found = network.segment(image, pixel_size_A=0.35)
        assert found.mask.shape == image.shape

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"defocus_nm": 5}, "cs_um is missing: give defocus_nm, cs_um"),
            ({**CONDITION, "focus": 5}, "'focus': is no axis; axes are defocus_nm"),
            ({**CONDITION, "defocus_nm": "five"}, "defocus_nm = 'five': must be"),
            ({**CONDITION, "dose_e_per_A2": -1}, "dose_e_per_A2 = -1: must be"),
            ({**CONDITION, "aperture_mrad": 40}, "aperture"),
            ({**CONDITION, "energy_kev": 80}, "needs exit waves"),
            ("df+0005.00", "is not the id of a condition"),
        ],
    )
    def test_a_wrong_condition_is_one_line(self, study, given, message):
        with pytest.raises(PassbandError, match=message) as error:
            study.images(given)
        assert "\n" not in str(error.value)

    def test_what_is_not_there_is_one_line(self, study, tmp_path):
        with pytest.raises(KeyError, match="gold/compact"):
            study.networks["gold/compact-w4-d2/df+0006.00_cs+0001.200_ap016.00_ds000200.00/0"]
        for options, message in (
            ({"specimen": "iron"}, "specimen = 'iron': must be one of gold"),
            ({"split": "all"}, "split = 'all': must be one of train, val, test"),
        ):
            with pytest.raises(PassbandError, match=message):
                study.images(CONDITION, **options)
        empty = passband.Experiment(study.study, tmp_path / "empty")
        assert not empty.networks
        with pytest.raises(PassbandError, match="run the study first"):
            empty.images(CONDITION)
        with pytest.raises(PassbandError, match="the study has no table of results yet; run the"):
            empty.table  # noqa: B018
        with pytest.raises(PassbandError, match="the study has no table of results yet; run the"):
            empty.matrices()
        alone = passband.Experiment(None, passband.open("general").folder)
        with pytest.raises(PassbandError, match="is a network alone, without the results of"):
            alone.matrices()

    def test_matrices_go_to_another_process(self, study):
        (matrix,) = study.matrices()
        study.matrices().clear()  # a list of its own
        (same,) = pickle.loads(pickle.dumps(study.matrices()))
        np.testing.assert_array_equal(same.dice, matrix.dice)
        np.testing.assert_array_equal(same.metrics.dice, matrix.metrics.dice)
        assert same.ids == matrix.ids


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """A folder with a finished study that has two replicas, and exit waves of two energies."""
    folder = tmp_path_factory.mktemp("grouped")
    archive = ROOT / "tests/data/grouped_03.tar.xz"
    subprocess.run(["tar", "xf", archive, "study.yaml", "results"], cwd=folder, check=True)
    return folder


@pytest.fixture
def grouped(unpacked, monkeypatch) -> passband.Experiment:
    monkeypatch.chdir(unpacked)
    return passband.open("results/grouped")


@pytest.mark.slow
class TestFurtherAxes:
    @pytest.mark.parametrize(
        ("energy", "folder"), [(200, "gold/en0200.00/test"), (300, "gold/test")]
    )
    def test_exit_waves_and_images_are_of_the_beam_energy(self, grouped, energy, folder):
        given = {**CONDITION, "energy_kev": energy, "astigmatism_nm": 4}
        (file,) = (grouped.folder / "waves" / folder).iterdir()
        stored = datasets.read(file, datasets.WAVES)
        assert grouped.exit_waves(condition=given).spectrum.equals(stored.spectrum)
        under, device = grouped.condition(given), devices.device()
        microscope = grouped.study.microscope
        camera = Acquisition.from_microscope(microscope, "zscore", device)
        names = grouped.study.study.seed, "gold", "test"
        structures = Structures(*names, microscope.under(under), (str(file),))
        split = structures.load(device, instances=True).under(under)
        for draw, replica in ((0, None), (2, 1)):
            made = export.images(camera, split, under, draw, replica)
            assert grouped.images(given, draw=draw, replica=replica).identical(made)

    @pytest.mark.parametrize(("energy", "wavelength"), [(200, 0.025079), (300, 0.019687)])
    def test_the_transfer_is_what_the_lens_and_the_camera_pass(self, grouped, energy, wavelength):
        """Compared with the formula of the phase, outside the package's own code."""
        under = {**CONDITION, "energy_kev": energy}
        lens = grouped.transfer({**under, "defocus_nm": 0, "cs_um": 0, "astigmatism_nm": 4})
        inside = lens.q < 0.016 / wavelength
        phase = np.pi * wavelength * 40 * lens.q**2
        assert np.allclose(lens.transfer, lens.envelope * np.sin(phase), atol=1e-4)
        assert np.array_equal(lens.envelope > 0, inside)
        assert float(abs(lens.transfer).max()) > 0.2
        assert lens.q.attrs["units"] == "1/Å"
        blurred = grouped.transfer({**under, "vibration_A": 0.5})
        factor = (blurred.envelope / grouped.transfer(under).envelope)[inside]
        assert np.allclose(factor, np.exp(-2 * (np.pi * 0.5 * lens.q[inside]) ** 2))
        with pytest.raises(PassbandError, match="cs_um is missing"):
            grouped.transfer({"defocus_nm": 5})

    def test_dice_is_the_first_variable_of_the_table_and_nothing_else_changes(self, grouped):
        stored = load_table(grouped.folder / "table.zarr")
        assert next(iter(stored)) != "dice"
        assert next(iter(grouped.table)) == "dice"
        assert grouped.table.identical(stored)
        assert repr(grouped.table).partition("Data variables:\n")[2].split()[0] == "dice"

    def test_energies_draws_and_replicas_differ(self, grouped):
        counts = [
            grouped.images({**CONDITION, "energy_kev": energy}, draw=draw, replica=replica).counts
            for energy, draw, replica in ((300, 0, None), (200, 0, None), (300, 1, 0), (300, 1, 1))
        ]
        for number, each in enumerate(counts):
            assert not any(np.array_equal(each, other) for other in counts[:number])
        assert grouped.exit_waves().equals(grouped.exit_waves(condition=CONDITION))

    def test_the_dice_of_a_network_is_that_of_its_replica(self, grouped):
        table = grouped.table.dice
        one, other = list(grouped.networks.values())[:2]
        assert (one.id.cell, one.id.replica, other.id.replica) == (other.id.cell, 0, 1)
        for network in (one, other):
            row = {"train": network.id.condition, "replica": network.id.replica}
            expected = table.sel(row, drop=True).squeeze()
            assert np.array_equal(network.dice.squeeze(), expected)
        assert not np.array_equal(one.dice, other.dice)

    def test_the_asked_condition_is_recommended_for(self, grouped, all_learned):
        given = {**CONDITION, "defocus_nm": 12.5, "astigmatism_nm": 2, "energy_kev": 200}
        for condition in (given, grouped.condition(given), grouped.condition(given).id):
            asked = grouped.recommend(condition, "gold").asked
            assert grouped.tested("gold") is grouped.tested("gold")
            assert asked.low == asked.high == grouped.condition(given)
            assert asked.low.values() == given
        ranged = grouped.recommend({**given, "defocus_nm": "5:20"}).asked
        assert (ranged.low.defocus_nm, ranged.high.defocus_nm) == (5, 20)

    @pytest.mark.parametrize(
        ("image", "settings", "message"),
        [
            (np.eye(64)[None], {}, "image: 3 dimensions (1 × 64 × 64); must be height × width"),
            (np.full((64, 64), np.nan), {}, "image: the image has 4096 of 4096 pixels that are"),
            (np.ones((64, 64)), {}, "image: the image has the value 1 in every pixel"),
            (np.eye(8), {}, "image: 1 images of 8 × 8 pixels; an image has at least 32 × 32"),
            ("image.tif", {}, "image: 0 dimensions (); must be height × width"),
            (np.full((64, 64), "a"), {}, "image: <U1 values; an image has real numbers"),
            (np.eye(64), {"pixel_size_A": 20}, "pixel_size_A = 20: must be above 0 and below 10"),
            (np.eye(64), {"pixel_size_A": 5}, "image: pixel size 5 Å: must be between"),
            (np.eye(64), {"threshold": 0.5}, "threshold = 0.5: unknown setting; allowed: hot_pix"),
            (np.eye(64), {"tile": "x"}, "tile = 'x': must be an integer"),
            (np.eye(64), {"hot_pixels": None}, "hot_pixels = None: must be true or false"),
            (np.eye(64), {"particles": "x"}, "particles = 'x': must be 'mask' or 'head'"),
            (np.eye(64), {"smallest_nm": -1}, "smallest_nm = -1: must be at least 0 nm"),
        ],
    )
    def test_a_wrong_image_or_setting_is_one_line(self, grouped, image, settings, message):
        (network, *_) = grouped.networks.values()
        with pytest.raises(PassbandError, match=re.escape(message)) as error:
            network.segment(image, **{"pixel_size_A": 0.35, **settings})
        assert "\n" not in str(error.value)

    def test_files_and_images_are_segmented_alike(self, grouped):
        (network, *_) = grouped.networks.values()
        image = readers.read(SAMPLE)
        found = network.segment(image.images[0], image.pixel_size_A, tile=np.int64(64))
        same = grouped.segment(SAMPLE, network.id, tile=64)
        assert np.array_equal(found.probability, same.probability)
        assert found.unassessed == same.unassessed
        assert found.unassessed.startswith("the network has not been compared with its training")
        both = grouped.segment(SAMPLE, network.id.cell)
        assert both.disagreement is not None
        for wrong, message in (
            ({"files": "no.tif"}, "no.tif: no such file or folder"),
            ({"network": None}, "give the id of a network, such as"),
            ({"network": "gold/x"}, "network = 'gold/x': must be an id such as"),
            ({"smallest_nm": "x"}, "smallest_nm = 'x': must be a number"),
        ):
            with pytest.raises(PassbandError, match=re.escape(message)):
                grouped.segment(**{"files": SAMPLE, "network": network.id, **wrong})

    def test_counts_of_a_study_keep_their_noise(self, grouped, tmp_path):
        """A network for filtered counts filters white noise, except in a study's own images."""
        general, store = passband.open("general-2026"), tmp_path / "counts.zarr"
        images = grouped.images(CONDITION).isel(structure=[0])
        datasets.write(images, store, datasets.IMAGES, {"study": "grouped"})
        found = general.segment(store)
        kept = general.segment(store, filter_noise=False)
        (network,) = general.networks.values()
        image = readers.read(store)
        other = network.segment(image.images[0], image.pixel_size_A)
        assert np.array_equal(found.probability, kept.probability)
        assert not np.array_equal(found.probability, other.probability)

    def test_a_weights_file_needs_no_id(self, grouped):
        (file,) = grouped.folder.glob("networks/gold/*/soft-*/*.safetensors")
        opened = passband.open(file)
        assert opened.networks.keys() == grouped.networks.keys()
        found = opened.segment(SAMPLE)
        network = "gold/compact-w2-d2/soft-ee60cf05"
        same = grouped.segment(SAMPLE, network)
        assert np.array_equal(found.probability, same.probability)
        assert opened.networks[next(iter(opened.networks))].load()

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"defocus_nm": 5}, "cs_um is missing: give defocus_nm, cs_um"),
            ({**CONDITION, "focus": 5}, "'focus': is no axis; axes are defocus_nm"),
            ({**CONDITION, "defocus_nm": "20:5"}, "the range is reversed; write 5:20"),
            ({**CONDITION, "energy_kev": 80}, "needs exit waves"),
            ("df+0005.00", "is not the id of a condition"),
        ],
    )
    def test_a_wrong_condition_is_not_recommended_for(self, grouped, given, message):
        with pytest.raises(PassbandError, match=message) as error:
            grouped.recommend(given)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize(
        ("noun", "message"),
        [
            ("nothing", "nothing: no study of this name: it is no file, there is no folder"),
            ("", "'': there is no such file or folder; give a study's file"),
            ("nothing.yaml", "study file 'nothing.yaml': No such file or directory; give a YAML"),
            ("no.safetensors", "no.safetensors: there is no such file or folder; give a weights"),
            ("results/grouped/table.zarr/zarr.json", "zarr.json: "),
        ],
    )
    def test_a_wrong_noun_is_one_line(self, grouped, noun, message):
        with pytest.raises(PassbandError, match=message) as error:
            passband.open(noun)
        assert "\n" not in str(error.value)

    def test_a_study_has_priority_over_a_network_of_the_package(self, grouped, tmp_path):
        assert passband.open("general").is_published
        (tmp_path / "studies").mkdir()
        file = (ROOT / "tests/data/smallest.yaml").read_text()
        (tmp_path / "studies/any.yaml").write_text(file.replace("name: smallest", "name: general"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            general = passband.open("general")
            assert not general.is_published
            assert general.study.study.name == "general"
            assert not general.networks


@pytest.mark.slow
def test_the_network_of_the_package_has_no_study_beside_it():
    general = passband.open("general")
    found = general.segment(SAMPLE)
    assert found.mask.mean() > 0.1
    # It has a file of measurements, so that its images are assessed.
    assert found.verdict.startswith("looks like the training images; expected Dice 0.")
    dice = found.expected_dice
    assert 0 <= dice.low < dice.value < dice.high <= 1
    assert found.flags == ()
    assert np.array_equal(found.labels, general.segment("sample").labels)
    ((path, (same,)),) = general.segment([SAMPLE], likeness=False).items()
    assert (same.expected_dice, same.verdict) == (
        None,
        "not assessed, because this was not asked for",
    )
    assert path == SAMPLE
    assert np.array_equal(found.labels, same.labels)
    alone = passband.Experiment(None, general.folder)
    with pytest.raises(PassbandError, match="is a network alone"):
        alone.table  # noqa: B018


@pytest.mark.slow
def test_a_folder_or_a_stack_gives_a_list_for_each_file(tmp_path):
    general = passband.open("general")
    image = readers.read(SAMPLE).images[0]
    np.save(tmp_path / "stack.npy", np.stack([image, image]))
    size = {"pixel_size_A": 0.75, "likeness": False}
    ((path, frames),) = general.segment(tmp_path / "stack.npy", **size).items()
    assert (path, len(frames)) == (tmp_path / "stack.npy", 2)
    (tmp_path / "stack.npy").unlink()
    np.save(tmp_path / "one.npy", image)
    assert general.segment(tmp_path / "one.npy", **size).labels.shape == image.shape
    assert list(general.segment(tmp_path, **size)) == [tmp_path / "one.npy"]


def test_an_array_is_an_image_that_does_not_state_its_pixels(tmp_path):
    general = passband.open("general")
    micrograph = readers.read(SAMPLE)
    (image,) = micrograph.images
    found = general.segment(image, pixel_size_A=micrograph.pixel_size_A)
    assert np.array_equal(found.labels, general.segment("sample").labels)
    assert found.verdict.startswith("looks like the training images")
    for given, message in (
        ({}, "pixel_size_A is missing: an array does not state it; give it in Å"),
        ({"pixel_size_A": 0.5, "out": tmp_path}, "needs image files; an array has no name"),
        ({"pixel_size_A": general.id}, "pixel_size_A = NetworkId.*: must be above 0 and below"),
    ):
        with pytest.raises(PassbandError, match=message):
            general.segment(image, **given)
    with pytest.raises(PassbandError, match="network = 'auto': needs image files"):
        passband.Experiment(None, general.folder).segment(image, "auto", 0.5)


def test_what_is_opened_has_a_face_in_a_notebook(grouped, tmp_path):
    face = passband.open("general")._repr_html_()
    id = passband.open("general").id
    assert face.startswith("<pre>general-2026: for HRTEM of gold particles of 1.4 to 7 nm")
    assert face.endswith(f"{id}</pre>")
    lines = grouped._repr_html_().splitlines()
    assert lines[0].startswith("<pre>study grouped in ")
    number = len(grouped.networks)
    assert lines[2] == f"{number} of {number} networks trained"
    assert "table.zarr, ood.zarr" in lines[-1]
    file = tmp_path / "new.yaml"
    text = (ROOT / "tests/data/smallest.yaml").read_text()
    file.write_text(text.replace("name: smallest", "name: new"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        face = passband.open(file)._repr_html_()
        assert "\n0 of " in face
        assert face.endswith("results: none yet</pre>")
        (tmp_path / "results/lost").mkdir(parents=True)
        # A notebook that shows an error in place of a face would hide what was opened.
        assert "lost: neither config.yaml nor" in passband.open("results/lost")._repr_html_()


@pytest.mark.slow
def test_an_image_unlike_the_training_images_is_flagged():
    (network,) = passband.open("general").networks.values()
    noise = np.random.default_rng(0).poisson(9.0, (128, 128))
    found = network.segment(noise, pixel_size_A=0.5)
    assert found.flags
    assert found.verdict.startswith("unlike the training images, because of ")
    assert network.segment(noise, pixel_size_A=0.5, likeness=False).flags == ()
