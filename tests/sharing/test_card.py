"""The card of a published network: its numbers, its table of conditions and its limits."""

import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import low_dose
import numpy as np
import pytest
import torch
import xarray as xr
from discs import discs
from synthetic import weights_metadata

from passband.config import Study, validate_stored
from passband.config.detector import DetectorNoise
from passband.grid import Axes, Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.heads.votes import targets, votes
from passband.learning.network_files import Network, open_networks
from passband.micrographs.images.segmentation import segment
from passband.micrographs.images.settings import Settings
from passband.optics import noise_filter
from passband.scores import dice_of_masks
from passband.sharing import card, further_outputs, performance
from passband.specimens.exit_waves import simulate

MAIN_AXES = {
    "defocus_nm": [5, 10, 20],
    "cs_um": [1.2],
    "aperture_mrad": [10],
    "dose_e_per_A2": [100, 1000],
}
IDS = [condition.id for condition in Axes.main.conditions(MAIN_AXES)]
DICE = [0.91, 0.7, 0.85, 0.95, 0.4321, 0.81]


@pytest.fixture
def network(tmp_path):
    configuration = Study().model_dump(mode="json")
    metadata = weights_metadata(
        condition=IDS[0],
        architecture="compact-w8-d3",
        provenance={"study": "demo", "configuration": json.dumps(configuration)},
    )
    condition = Condition.parse(IDS[0])
    return Network(torch.nn.Identity(), 0, metadata, Study().microscope, condition, tmp_path)


def facts(**changes):
    values = np.stack([DICE, np.full(6, 0.25)])
    dims = "test_specimen", "test"
    measured = xr.Dataset(
        {"dice": (dims, values), "standard_error": (dims, values / 100)},
        {"test_specimen": ["gold", "platinum"], "test": IDS},
        {"images": 24},
    )
    given = {
        "name": "a network",
        "license": "CC0-1.0",
        "authors": ("A. Author",),
        "configuration": Study().model_dump(mode="json"),
        "network_seed": 123,
        "measured": measured,
        "measured_in": "demo/table.zarr",
        "expected": None,
        "picture": "performance.png",
        "example": "an image",
        "further": None,
        "differences": {"probability": 1e-6},
        "sizes": [(24, 24)],
        "versions": {"torch": "2.13"},
    }
    return card.Facts(**given | changes)


def test_numbers_on_the_card_are_those_that_were_measured(network):
    text = card.render(network, facts())
    assert "tested on 24 simulated images under each of 6 conditions (demo/table.zarr)" in text
    assert "Under the training condition, Dice is 0.910. Over the 5 other conditions, mean " in text
    assert f"Dice is {np.mean(DICE[1:]):.3f}. It is lowest at defocus 20 nm, " in text
    assert "dose 100 e/Å²: 0.432." in text
    assert "Mean Dice is above 0.8 under 4 of 6 tested conditions." in text
    assert "| Cs, aperture | 100 e/Å² | 1000 e/Å² |" in text
    assert "| 1.2 µm, 10 mrad | 5 to 10 | 10 to 20 |" in text
    assert "The table is measured, not predicted" in text
    assert "| platinum | 0.250 | 0.250 |" in text
    assert "License: CC0-1.0. Authors: A. Author." in text
    assert "| seed of the initial weights | 123 |" in text
    assert "defocus 5 to 20 nm; Cs 1.2 µm; aperture 10 mrad; dose 100 to 1000 e/Å²" in text


def test_the_specimen_is_described_in_the_letters_of_the_study(network):
    configuration = Study().model_dump(mode="json")
    configuration["specimens"]["gold"]["material"] = "Proben/Grünspan.cif"
    text = card.render(network, facts(configuration=configuration))
    assert "material: Proben/Grünspan.cif" in text


def test_expected_dice_is_shown_between_the_tested_conditions(network):
    between = performance.between(IDS)
    values = [0.9 if c.defocus_nm <= 12 else 0.5 for c in between]
    expected = xr.DataArray(values, {"test": [c.id for c in between]}, "test")
    text = card.render(network, facts(expected=expected))
    assert "| 1.2 µm, 10 mrad | 5 to 12 | 5 to 12 |" in text
    assert "The expected Dice comes from a Gaussian process" in text
    assert "not predicted" not in text


def with_astigmatism(values):
    """Return measurements with a mean Dice for each value of the astigmatism [nm]."""
    axes = Axes({"astigmatism_nm": 0.0})
    tested = axes.conditions(MAIN_AXES | {"astigmatism_nm": list(values)})
    dice = [[values[c.value("astigmatism_nm")] for c in tested]] * 2
    ids, dims = [c.id for c in tested], ("test_specimen", "test")
    return xr.Dataset(
        {"dice": (dims, dice), "standard_error": (dims, dice)},
        {
            "test_specimen": ["gold", "platinum"],
            "test": ids,
            **axes.coordinates(ids, "test"),
        },
        {"images": 24},
    )


def test_numbers_are_for_the_networks_own_values_of_further_axes(network):
    text = card.render(network, facts(measured=with_astigmatism({0: 0.9, 10: 0.2})))
    before, _, after = text.partition("### Other values of astigmatism\n\n")
    assert "### As in training: astigmatism 0 nm\n\nUnder the training condition, " in before
    assert "Dice is 0.900. Over the 5 other conditions, mean Dice is 0.900." in before
    assert "Mean Dice is above 0.8 under 6 of 6 tested conditions." in before
    assert "| 1.2 µm, 10 mrad | 5 to 20 | 5 to 20 |" in before
    assert (
        "The network was trained with astigmatism 0 nm. Under the 6 tested conditions with other "
        "values, mean Dice is 0.200, and it is above 0.8 under 0 of them. It is lowest at defocus "
        "5 nm, Cs 1.2 µm, aperture 10 mrad, dose 100 e/Å², astigmatism 10 nm: 0.200.\n\n"
        "### Other specimens\n\nMean and lowest Dice over all test conditions"
    ) in after


def test_a_card_says_that_no_test_has_the_networks_own_values(network):
    text = card.render(network, facts(measured=with_astigmatism({5: 0.7, 10: 0.2}), picture=None))
    assert "As in training" not in text
    assert "The table" not in text
    assert "trained with astigmatism 0 nm. Under the 12 tested conditions with other" in text


def test_a_card_of_a_network_with_a_head_has_the_scores_and_the_meaning_of_its_outputs(network):
    own = replace(network, metadata=replace(network.metadata, architecture="compact-w8-d3+votes"))
    given = facts()
    scores = {"instance_f1": 0.875, "count_error": -0.031, "diameter_bias": 0.012}
    dims = "test_specimen", "test"
    for name, value in scores.items():
        given.measured[name] = dims, np.full((2, 6), value)
    further = further_outputs.of_architecture(own.architecture)
    differences = {"probability": 1e-6, "particles": 2e-5}
    text = card.render(own, replace(given, further=further, differences=differences))
    assert "From its further outputs, the head `votes` makes single particles." in text
    assert "their F1 score is 0.875, where" in text
    assert "particles differs from the true one by -3.1%, and their mean diameter by +1.2%." in text
    assert "`row_offset`, `column_offset`, `log_diameter`. Each pixel says where" in text
    assert "and of a further output 2.0e-05, for random images" in text
    assert "multiples of 8 pixels; the particles.\n" in text
    assert (
        "There, a pixel of the mask without a particle is the nearest one's. The ONNX file" in text
    )
    nothing = {"count_error": np.nan, "diameter_bias": np.nan}
    for name, value in nothing.items():
        given.measured[name] = dims, np.full((2, 6), value)
    text = card.render(own, replace(given, further=further, differences=differences))
    assert "their F1 score is 0.875, where" in text
    assert "nan" not in text
    assert "single particles" not in card.render(network, facts())


# ── The code that runs the ONNX file ─────────────────────────────────────────────────────────────


@pytest.fixture
def run_code(tmp_path, monkeypatch):
    """Run the code for a network on an image, with torch in place of the ONNX file.

    The result has the code's variables, and the probability of `segment` on the network's pixels.
    """

    def run(network, image, pixel_A, is_white=True, dose=None):
        class Session:
            def __init__(self, path):
                assert path == "model.onnx"

            def run(self, _, given):
                with torch.inference_mode():
                    return (torch.sigmoid(network.module(torch.from_numpy(given["image"]))),)

        monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
        monkeypatch.chdir(tmp_path)
        np.save("image.npy", image)
        code = re.sub("(?m)^pixel_A = .*", f"pixel_A = {pixel_A}", card.example_code(network))
        code = code.replace("is_white = True", f"is_white = {is_white}")
        found, seen = {}, []
        exec(code, found)  # the card's own code
        filtered = is_white and not network.microscope.detector.noise.is_white
        settings = Settings(filter_noise=filtered, dose_e_per_A2=dose)
        watch = lambda *each: seen.append(each[-1])  # noqa: E731
        result = segment(image, pixel_A, [network], settings, watch=watch)
        seen.append(result.background.kind)
        return found, *seen

    return run


@pytest.mark.parametrize("normalisation", ["zscore", "minmax", "vacuum"])
def test_the_code_prepares_an_image_as_predict_does(run_code, network, normalisation):
    """The network is the identity, so the probability shows its input."""
    place = np.arange(90) / 90
    image = 111 * (1 + 0.3 * np.sin(9 * place[:, None]) * np.cos(30 * place[None, :70]))
    image = np.random.default_rng(0).poisson(image).astype(np.float32)
    image[50:52, 60] = 2000  # hot pixels
    own = replace(network, metadata=replace(network.metadata, normalisation=normalisation))
    found, probability, _ = run_code(own, image, 0.26, dose=100 / 0.3**2)
    ours = np.asarray(found["probability"])[0, 0, : found["height"], : found["width"]]
    assert ours.shape == probability.shape == (78, 61)
    difference = (ours - probability)[4:-4, 4:-4]
    # The extreme values are near the edges, where the two ways to extend an image differ.
    limit = 0.2 if normalisation == "minmax" else 0.05
    assert np.square(difference).mean() ** 0.5 < limit * probability.std()


@pytest.mark.parametrize("pixel_A", [0.3, 0.14])
@pytest.mark.parametrize("kind", ["none", "plane", "quadratic"])
def test_the_code_takes_off_the_background_that_predict_takes_off(run_code, network, kind, pixel_A):
    y, x = np.ogrid[-1:1:100j, -1:1:120j]
    image = 100 + 10 * np.random.default_rng(0).standard_normal((100, 120))
    image[40:60, 50:80] += 40
    image += {"none": 0 * x, "plane": 15 * x - 9 * y, "quadratic": 5 * x - 20 * (x**2 + y**2)}[kind]
    found, probability, taken = run_code(network, image.astype(np.float32), pixel_A)
    ours = np.asarray(found["probability"])[0, 0, : found["height"], : found["width"]]
    assert taken == kind
    difference = (ours - probability)[4:-4, 4:-4]
    # Near the edges, the two ways to extend an image differ where it is resampled.
    limit = 1e-3 if pixel_A == 0.3 else 0.08
    assert np.square(difference).mean() ** 0.5 < limit * probability.std()
    assert abs(np.corrcoef(ours.mean(0), np.arange(ours.shape[1]))[0, 1]) < 0.4


@pytest.mark.parametrize("number", [0, 1, 9])
def test_the_code_finds_the_particles_of_the_head(network, tmp_path, monkeypatch, number):
    """Discs that overlap on both faces, of which a network is unsure where their centres are."""
    rng = np.random.default_rng(number)
    labels = np.zeros((2, 128, 160), np.uint8)
    for k in range(1, number + 1):
        disc = rng.uniform(10, 118), rng.uniform(10, 150), rng.uniform(4, 20)
        labels[k % 2][discs(labels.shape[1:], disc)] = k
    wanted = targets(torch.from_numpy(labels))[0].numpy()
    logits = np.where(labels.any(0), 4.0, -4.0) + rng.normal(size=labels.shape[1:])
    logits = np.stack([logits, *(wanted + rng.normal(scale=0.02, size=wanted.shape))])
    logits = logits.astype(np.float32)
    expected = votes().decode(logits[:, :120, :150], 0.05)

    class Session:
        def __init__(self, path):
            pass

        def run(self, _, given):
            assert given["image"].shape == (1, 1, 120, 152)
            return 1 / (1 + np.exp(-logits[None, :1])), logits[None, 1:]

    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    monkeypatch.chdir(tmp_path)
    np.save("image.npy", rng.poisson(100, (120, 150)))
    own = replace(
        network,
        metadata=replace(network.metadata, architecture="compact-w8-d3+votes"),
        microscope=network.microscope.replaced("pixel_size_A", 0.5),
    )
    found = {}
    exec(card.example_code(own), found)  # the card's own code
    assert (number > 4) == (expected.labels.max() > 3)
    np.testing.assert_array_equal(found["labels"], expected.labels)
    np.testing.assert_allclose(found["diameters_nm"], expected.diameters_nm, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("pixel_A", [0.3, 0.26])
def test_the_code_finds_the_mask_of_predict(run_code, tmp_path, pixel_A):
    """Networks without a filter; in the second case the image has other pixels, and odd sides."""
    (network,) = open_networks(low_dose.extract(tmp_path))
    counts, masks = low_dose.images("Au")
    image = counts[0].copy()
    image[50:52, 60] = 5 * image.max()  # hot pixels
    image = image[:, : 128 if pixel_A == 0.3 else 121]
    found, probability, _ = run_code(network, image, pixel_A)
    mask = np.asarray(found["mask"])
    assert dice_of_masks(mask, probability > 0.5) > 0.995
    if pixel_A == 0.3:
        assert dice_of_masks(mask, masks[0] > 0) > 0.8


@pytest.mark.slow
def test_the_code_filters_white_counts_as_in_the_training(run_code):
    """A network that was trained with filtered counts fails for white ones without the filter."""
    (network,) = open_networks("general-2026")
    study = validate_stored(json.loads(network.metadata.provenance["configuration"]))
    camera = study.microscope.replaced("detector.noise", DetectorNoise())
    seed = study.study.seed
    waves = simulate("gold", study.specimens["gold"], camera, seed, "test", [0], "cpu")
    structures = Structures(seed, "gold", "test", camera)
    split = Split.from_dataset(waves, structures, torch.device("cpu"))
    acquisition = Acquisition.from_microscope(camera, "zscore", torch.device("cpu"))
    ((counts,),) = acquisition.counts(split, network.condition)
    true = split.masks[0, 0].numpy() > 0.5
    dice = {}
    for is_white in (True, False):
        found, probability, _ = run_code(network, counts.numpy(), 0.5, is_white)
        mask = np.asarray(found["mask"])
        assert dice_of_masks(mask, probability > 0.5) > 0.995
        dice[is_white] = dice_of_masks(mask, true)
    assert dice[True] > 0.95
    assert dice[False] < 0.85


@pytest.mark.parametrize(
    "noise",
    [
        {"form": "binned", "width_A": 0.9},
        {"form": "hann", "width_A": 1.0, "stored_pixel_A": 0.8},
        {"form": "table", "table": [[0, 1], [0.4, 0.7], [1, 0.2]]},
        {"stored_pixel_A": 0.8},
    ],
)
def test_the_filter_of_the_code_is_that_of_the_training(noise):
    """The frequencies include the pole of the Hann kernel, 0.5 1/Å, and the limit 0.625 1/Å."""
    noise = DetectorNoise.model_validate(noise)
    qy, qx = np.arange(0, 1, 0.025)[:, None], np.arange(0, 1, 0.025)[None, :]
    found = eval(" * ".join(card.filter_factors(noise)), {"np": np, "qy": qy, "qx": qx})
    expected = noise_filter.response(qy, qx, *noise.arguments)
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, atol=1e-6)


@pytest.mark.parametrize("normalisation", ["zscore", "minmax", "vacuum"])
def test_the_code_and_the_card_have_the_same_steps(network, normalisation):
    """Each step of the card is in the code, in the same order, with and without a filter."""
    for noise in (DetectorNoise(), DetectorNoise(form="hann", width_A=1.1, stored_pixel_A=0.776)):
        microscope = network.microscope.replaced("detector.noise", noise)
        metadata = replace(network.metadata, normalisation=normalisation)
        own = replace(network, microscope=microscope, metadata=metadata)
        text = card.render(own, facts())
        code = card.example_code(own)
        compile(code, "card", "exec")
        steps = text.partition("in the same order: ")[2].partition(".\n")[0].split("; ")
        words = ["Hot", "background", "interpol", "filter of", "normalisation", "mult"]
        # Counts of electrons stay as they are, and white noise needs no filter.
        left_out = ["background"] * (normalisation == "vacuum") + ["filter of"] * noise.is_white
        words = [word for word in words if word not in left_out]
        assert len(re.findall(r"(?m)^# \d\. ", code)) == len(steps) == len(words)
        places = [re.search(f"# \\d\\. .*{word}", code).start() for word in words]
        assert places == sorted(places)
        assert ("Without this filter" in text) == (not noise.is_white)
        assert "has no expected Dice" in text
        row = f"| noise of the counts | {card.noise_words(noise)} |"
        assert row in text
    assert "Hann kernel of half-width 1.1 Å, nothing that pixels of 0.776 Å cannot show" in row


def test_a_parameter_of_the_training_is_on_the_card_once(network):
    own = replace(network, condition=replace(network.condition, further=(("energy_kev", 200),)))
    text = card.render(own, facts(measured=None))
    assert re.findall(r"beam energy \| (.*) \|", text) == ["200 keV"]


def test_card_without_measurements_says_so(network):
    text = card.render(network, facts(measured=None, measured_in="not tested", picture=None))
    assert "There are no measurements: not tested." in text
    assert "performance" not in text
    assert "Mean Dice" not in text


@pytest.mark.parametrize(
    ("normalisation", "line", "step"),
    [
        ("zscore", "image = (image - image.mean()) / image.std(ddof=1)", "zero_mean_unit_variance"),
        ("minmax", "image = (image - image.min()) / (image.max() - image.min())", "scale_range"),
        ("vacuum", "image = image / counts_of_a_vacuum_pixel - 1", "rdf.yaml has no step"),
    ],
)
def test_card_has_the_networks_own_normalisation(network, normalisation, line, step):
    changed = weights_metadata(
        condition=IDS[0], normalisation=normalisation, architecture="compact-w8-d3"
    )
    own = Network(network.module, 0, changed, network.microscope, network.condition, network.path)
    text = card.render(own, facts())
    assert line in text
    assert step in text


def test_the_noise_of_ranges_is_in_words():
    noise = DetectorNoise(form=["white", "hann"], width_A=[0.7, 1.6], stored_pixel_A=0.5)
    assert card.noise_words(noise) == (
        "filtered after they were drawn: every second image averaged with a Hann kernel of "
        "half-width 0.7 to 1.6 Å, the others white, nothing that pixels of 0.5 Å cannot show"
    )
