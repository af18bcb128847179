"""Recommendations from a study's files, with a table of results whose Dice is known."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from recommended import STRUCTURES, make_results, make_study
from scipy.stats import t
from toy_networks import true_dice

import passband
from passband import PassbandError
from passband.analysis.spectra import SPECTRUM
from passband.answers import next_conditions, tested_networks
from passband.answers.recommendation import asked_of, recommend_from
from passband.answers.tested_networks import TestedNetworks
from passband.axes import AXES
from passband.config.study_checks import is_allowed
from passband.grid import Axes, Condition
from passband.learning import network_files
from passband.matrices.of_study import matrices
from passband.optics import ctf
from passband.prediction import gaussian_process
from passband.prediction.range_of_use import Asked
from passband.results import Results, wave_layout
from passband.scores import dice
from passband.storage import checked_json, datasets

pytestmark = pytest.mark.slow


def open_(tmp_path, specimen=None, without=0, **options):
    study = make_study(**options)
    return TestedNetworks.open(
        Results(study, make_results(study, tmp_path, without=without)), specimen
    )


@pytest.mark.parametrize(
    ("asked", "best"),
    [
        (Condition(6, 20, 14, 850), Condition(5, 1.2, 10, 1000)),
        (Condition(19, 20, 14, 120), Condition(20, 1.2, 10, 100)),
    ],
)
def test_the_best_network_of_a_finished_study_is_recommended(tmp_path, asked, best):
    found = recommend_from(open_(tmp_path), Asked.at(asked))
    first = found.networks[0].id
    condition = Condition.parse(first.condition)
    assert (condition.defocus_nm, condition.dose_e_per_A2) == (best.defocus_nm, best.dose_e_per_A2)
    assert first.replica == 0
    assert len(found.networks) == 16
    dice = found.networks[0].dice
    assert dice.value == pytest.approx(true_dice(condition, asked), abs=0.1)
    assert dice.low < true_dice(condition, asked) < dice.high
    assert dice.low < dice.value < dice.high
    assert found.inside
    assert found.train_next.gain >= 0


def test_a_tested_condition_has_the_measured_mean_and_its_interval(tmp_path):
    here = Condition(5, 1.2, 10, 100)
    found = recommend_from(open_(tmp_path), Asked.at(here))
    assert {network.how for network in found.networks} == {"measured"}
    assert found.nearest == here.id
    first = next(n for n in found.networks if n.id.condition == here.id)
    assert first.dice.value == pytest.approx(0.95, abs=1e-5)
    deviation = np.std(0.01 * np.linspace(-1, 1, STRUCTURES), ddof=1)
    half = t.ppf(0.95, STRUCTURES - 1) * deviation / np.sqrt(STRUCTURES)
    assert first.dice.high - first.dice.value == pytest.approx(half, rel=1e-3)


def test_measured_dice_and_intervals_are_those_of_each_network(tmp_path, monkeypatch):
    tested = open_(tmp_path, replicas=2, without=3)
    table = tested.results.table.load()
    factor = np.random.default_rng(0).uniform(0.5, 2, table.counts.shape[:-1])
    table["counts"] = table.counts * np.stack([np.ones_like(factor), factor, factor], -1)
    # The last two conditions are further ones.
    own, further = (table.isel(test=part) for part in (slice(0, -2), slice(-2, None)))
    monkeypatch.setattr(tested_networks, "read_further", lambda *_: further)
    means = tuple(matrices(further[["dice"]]))
    tested = replace(tested, matrices=tuple(matrices(own)), further_matrices=means)
    asked = [tested.further[1], Condition(6, 20, 14, 850), *tested.tested[3:5]]
    found = tested.measured(asked)
    assert found.test == tuple(asked)
    is_tested = [c != Condition(6, 20, 14, 850) for c in asked]
    np.testing.assert_array_equal(found.is_measured, np.tile(is_tested, (26, 1)))
    assert np.isnan(np.stack([found.mean, found.low, found.high])[..., 1]).all()
    ids = [c.id for c, is_there in zip(asked, is_tested, strict=True) if is_there]
    for network in found.networks:
        place = {"train": network.condition, "replica": network.replica}
        of_network = table.sel(place | {"test": ids}).squeeze()
        scores = dice(of_network.counts.transpose("test", "structure", "outcome").values)
        half = t.ppf(0.95, STRUCTURES - 1) * scores.std(1, ddof=1) / np.sqrt(STRUCTURES)
        here = found.of(network)
        mean, low, high = (values[0, is_tested] for values in (here.mean, here.low, here.high))
        np.testing.assert_allclose(mean, of_network.dice, rtol=1e-6)
        np.testing.assert_allclose(high - mean, half, rtol=1e-6)
        np.testing.assert_allclose(mean - low, half, rtol=1e-6)


def test_replicas_are_separate_networks(tmp_path):
    found = recommend_from(open_(tmp_path, replicas=2), Asked.at(Condition(6, 20, 14, 850)))
    assert len(found.networks) == 32
    assert {n.id.replica for n in found.networks} == {0, 1}
    assert found.networks[0].id.replica == 0  # replica 1 is worse by 0.002


def test_the_test_specimen_decides_between_networks_of_several_specimens(tmp_path):
    study = make_study(specimens=("gold", "silver"))
    results = make_results(study, tmp_path)
    with pytest.raises(PassbandError, match="specimen is missing: must be one of gold, silver"):
        TestedNetworks.open(Results(study, results))
    with pytest.raises(PassbandError, match="specimen = 'iron': must be one of gold, silver"):
        TestedNetworks.open(Results(study, results), "iron")
    for name in ("gold", "silver"):
        tested = TestedNetworks.open(Results(study, results), name)
        found = recommend_from(tested, Asked.at(Condition(6, 20, 14, 850)))
        assert len(found.networks) == 32
        assert found.networks[0].id.specimen == name
        assert found.specimen == name


def test_missing_networks_are_left_out(tmp_path):
    found = recommend_from(open_(tmp_path, without=10), Asked.at(Condition(6, 20, 14, 850)))
    assert len(found.networks) == 6


def test_a_study_with_too_few_results_is_refused(tmp_path):
    with pytest.raises(PassbandError, match=r"3 training conditions with results; .* needs 4"):
        open_(tmp_path, without=13)
    study = make_study(defocus_nm=[5.0], cs_um=[1.2])
    study = study.model_copy(update={"test_grid": type(study.test_grid)(dose_e_per_A2=[100.0])})
    with pytest.raises(PassbandError, match="2 test conditions with results"):
        TestedNetworks.open(Results(study, make_results(study, tmp_path / "other")))
    with pytest.raises(PassbandError, match="the study has no table of results yet; run the"):
        TestedNetworks.open(Results(study, tmp_path / "nothing"))


def test_the_function_for_python_finds_a_study_by_its_name(tmp_path, monkeypatch):
    make_results(make_study(), tmp_path)
    monkeypatch.chdir(tmp_path)
    words = {"defocus_nm": "5:8", "cs_um": 20, "aperture_mrad": 14, "dose_e_per_A2": 850}
    found = passband.open("known").recommend(words)
    assert found.asked.ranged == ["defocus_nm"]
    condition = Condition(6, 20, 14, 850)
    assert passband.open("known").recommend(condition).asked.ranged == []
    of_another_study = Axes({"astigmatism_nm": 2.0}).parse(condition.id)
    found = passband.open("known").recommend(of_another_study)
    assert found.asked.low.id == f"{condition.id}_as0002.000"


def test_a_second_call_fits_nothing_and_gives_the_same_result(tmp_path, monkeypatch):
    tested = open_(tmp_path)
    asked = Asked.at(Condition(6, 20, 14, 850))
    first = recommend_from(tested, asked)
    (file,) = (tmp_path / "results/known/store/recommend").iterdir()

    def again():
        return recommend_from(TestedNetworks.open(tested.results), asked)

    with monkeypatch.context() as patch:
        patch.setattr(gaussian_process, "_optimum", None)
        assert again() == first
        # With other results, the models are fitted again.
        table = tested.results.table
        changed = matrices(table.assign(dice=table.dice * 0.9), study=tested.study)
        changed = TestedNetworks(tested.results, "gold", tuple(changed))
        with pytest.raises(TypeError, match="not callable"):
            recommend_from(changed, asked)
    file.write_text("damaged")
    assert again() == first
    assert file.read_text() != "damaged"


def test_a_changed_digit_in_the_kept_parameters_changes_nothing(tmp_path):
    tested = open_(tmp_path)
    asked = Asked.at(Condition(6, 20, 14, 850))
    first = recommend_from(tested, asked)
    (file,) = (tmp_path / "results/known/store/recommend").iterdir()
    text = file.read_text()
    theta = text.index('"theta"')
    places = [i for i in range(theta, len(text)) if text[i].isdigit()]
    for place in places[:: len(places) // 7]:
        file.write_text(f"{text[:place]}{(int(text[place]) + 5) % 10}{text[place + 1 :]}")
        assert recommend_from(TestedNetworks.open(tested.results), asked) == first
        assert file.read_text() == text


@pytest.mark.parametrize(
    "content",
    [
        {"spectrum": [[0.0], [1.0]], "theta": []},
        {"spectrum": [[0.0], [1.0]], "theta": [[0.0, 1.0]]},
        {"spectrum": [[0.0], [1.0]], "theta": [[1e308] * 16]},
        {"spectrum": [[0.0], [1.0]], "theta": [[float("nan")] * 16]},
        {"spectrum": [[0.0, 0.1], [1.0]], "theta": [[0.0] * 16]},
        {"spectrum": 1, "theta": 2},
        {},
    ],
)
def test_kept_parameters_of_another_shape_are_fitted_again(tmp_path, content):
    tested = open_(tmp_path)
    asked = Asked.at(Condition(6, 20, 14, 850))
    first = recommend_from(tested, asked)
    (file,) = (tmp_path / "results/known/store/recommend").iterdir()
    text = file.read_text()
    checked_json.write(
        file, {"recipe_digest": json.loads(text)["recipe_digest"], "content": content}
    )
    assert recommend_from(TestedNetworks.open(tested.results), asked) == first
    assert file.read_text() == text


def test_a_first_call_solves_the_equations_of_each_group_once(tmp_path, monkeypatch):
    """With 12,096 networks, each further solution takes seconds."""
    fitted, fit = [], gaussian_process.fit
    monkeypatch.setattr(
        gaussian_process, "fit", lambda *a, **k: (fitted.append(1), fit(*a, **k))[1]
    )
    tested = open_(tmp_path)
    recommend_from(tested, Asked.at(Condition(6, 20, 14, 850)))
    assert len(fitted) == len(tested.of_matrices) > 0


def test_models_are_fitted_again_once_there_are_exit_waves(tmp_path, monkeypatch):
    """Without exit waves, the spectrum of the specimen is flat."""
    tested = open_(tmp_path)
    asked = Asked.at(Condition(6, 20, 14, 850))
    recommend_from(tested, asked)
    for name in wave_layout.shards(tested.study, "gold", "train"):
        tested.results.path(name).parent.mkdir(parents=True, exist_ok=True)
        tested.results.path(name).touch()
    flat = tested._mean_spectrum()
    monkeypatch.setattr(TestedNetworks, "_mean_spectrum", lambda _: flat)
    monkeypatch.setattr(gaussian_process, "_optimum", None)
    with pytest.raises(TypeError, match="not callable"):
        recommend_from(TestedNetworks.open(tested.results), asked)


def test_a_published_folder_has_one_network(tmp_path, monkeypatch):
    tested = open_(tmp_path)
    folder = tmp_path / "published"
    datasets.write(
        tested.results.table.load(),
        folder / "table.zarr.zip",
        datasets.TABLE,
        {},
    )
    (tmp_path / "config.yaml").rename(folder / "study.yaml")
    (folder / "weights.safetensors").touch()
    every = recommend_from(tested, Asked.at(Condition(6, 20, 14, 850))).networks
    opened = [SimpleNamespace(id=every[3].id)]
    monkeypatch.setattr(network_files, "open_networks", lambda source: opened)
    before = sorted(folder.iterdir())
    found = passband.open(folder).recommend(Condition(6, 20, 14, 850))
    assert found.networks == (every[3],)
    assert found.train_next is None
    assert sorted(folder.iterdir()) == before
    (folder / "table.zarr.zip").unlink()
    with pytest.raises(PassbandError, match=r"the published folder has no table.zarr.zip"):
        passband.open(folder).recommend(Condition(6, 20, 14, 850))


def test_the_table_of_a_published_folder_has_the_spectrum(tmp_path):
    tested = open_(tmp_path)
    tested.results.table.attrs[SPECTRUM] = '{"gold": [[0.0, 1.0], [0.02, 0.01]]}'
    q, power = tested._mean_spectrum()
    assert (q.tolist(), power.tolist()) == ([0.0, 1.0], [0.02, 0.01])


def test_conditions_without_images_are_not_recommended_for_training(tmp_path):
    tested = open_(tmp_path)
    widest = Condition(6, 20, 60, 850)
    assert not is_allowed(tested.study, widest)
    found = recommend_from(tested, Asked.at(widest))
    assert Condition.parse(found.train_next.id.condition).aperture_mrad < 60


def test_a_finer_value_than_the_resolution_is_refused():
    values = {"cs_um": 1, "aperture_mrad": 10, "dose_e_per_A2": 100}
    with pytest.raises(PassbandError, match=r"--defocus-nm = '12\.001': is finer than the axis's"):
        Asked.parse(values | {"defocus_nm": "12.001"})


# ── Further axes ─────────────────────────────────────────────────────────────────────────────────

FURTHER = {"cs_um": [1.2], "aperture_mrad": [15], "astigmatism_nm": [0, 8]}
WORDS = {"defocus_nm": 6, "cs_um": 1.2, "aperture_mrad": 15, "dose_e_per_A2": 850}


@pytest.fixture
def astigmatic(tmp_path, monkeypatch):
    """A study in which networks work only near the astigmatism that they were trained at."""

    def dice(train, test):
        apart = dict(train.further).get("astigmatism_nm", 0) - dict(test.further).get(
            "astigmatism_nm", 0
        )
        return true_dice(train, test) - 0.05 * abs(apart)

    monkeypatch.setattr("recommended.true_dice", dice)
    return open_(tmp_path, **FURTHER)


def test_the_best_network_has_the_asked_astigmatism(astigmatic):
    for asked, best in (({}, ""), ({"astigmatism_nm": 7.5}, "_as0008.000")):
        found = recommend_from(astigmatic, asked_of(astigmatic.study, WORDS | asked))
        assert found.inside
        condition = found.networks[0].id.condition
        assert Condition.parse(condition).defocus_nm == 5
        assert condition.endswith(best or "_ds001000.00")
        assert Condition.parse(found.nearest).further == Condition.parse(condition).further
    asked = asked_of(astigmatic.study, WORDS | {"astigmatism_nm": "0:8"})
    first, *_ = recommend_from(astigmatic, asked).networks
    # The other end of the range is the worst.
    assert ("_as0008" in first.worst_condition) != ("_as0008" in first.id.condition)


def test_a_lens_that_the_study_does_not_have_is_asked_about_and_is_outside(tmp_path):
    """The study's lens is round, so the profiles need more azimuths than those of the study."""
    tested = open_(tmp_path, cs_um=[1.2], aperture_mrad=[15])
    asked = asked_of(tested.study, WORDS | {"astigmatism_nm": 12})
    found = recommend_from(tested, asked)
    assert [excess.words for excess in found.outside] == [
        "astigmatism: 12 nm above the only value, 0 nm"
    ]
    assert {network.how for network in found.networks} == {"extrapolated"}
    (condition,), _ = asked.points()
    covered = tested.covering([condition])
    assert tested.profiles(tested.tested).T.shape[1] == 256
    q = covered.profiles([condition])
    optics = tested.study.microscope.optics(condition)
    np.testing.assert_allclose(q.T[0], ctf.transfer(optics, q.frequency, q.azimuth), atol=1e-12)
    assert len(np.unique(q.azimuth)) > 1
    # For the study's own conditions, both numbers of azimuths give the same expected Dice.
    here = [Condition(6, 1.2, 15, 850)]
    known, same = (each.expected(here).mean for each in (covered, tested))
    np.testing.assert_allclose(known, same, atol=1e-6)
    assert covered.covering([condition]) is covered
    # The direction of a lens that is not round cannot matter to networks of a round lens.
    turned = asked_of(tested.study, WORDS | {"astigmatism_nm": 12, "astigmatism_deg": 45})
    both = [recommend_from(tested, a).networks[0].dice.value for a in (asked, turned)]
    assert both[0] == pytest.approx(both[1], abs=1e-3)


def test_networks_of_other_exit_waves_are_ranked_too(tmp_path):
    study = make_study(aperture_mrad=[15], energy_kev=[200, 300])
    results = make_results(study, tmp_path)
    asked = {"defocus_nm": 8, "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 300}
    found = passband.open(results).recommend(asked).networks
    assert len(found) == len(study.train_conditions)
    assert sum("_en0200.00" in network.id.condition for network in found) == len(found) // 2
    assert all(0 < network.dice.low <= network.dice.value <= 1 for network in found)


def test_suggested_training_conditions_have_exit_waves_of_training_images(tmp_path, monkeypatch):
    seen, study = set(), make_study(aperture_mrad=[15])
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))

    def allowed(study, condition, split="test"):
        seen.add(split)
        return True

    monkeypatch.setattr("passband.answers.recommendation.is_allowed", allowed)
    words = {"defocus_nm": 8, "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 300}
    recommend_from(tested, asked_of(study, words))
    assert seen == {"train"}


def test_the_exit_waves_of_a_condition_may_be_any_of_the_study(tmp_path):
    """Tests have 200 keV too, and the study's own value is 300 keV."""
    study = make_study(aperture_mrad=[15], energy_kev=[200, 300])
    tested = TestedNetworks.open(Results(study, make_results(study, tmp_path)))
    words = {"defocus_nm": 8, "cs_um": 5, "aperture_mrad": 15, "dose_e_per_A2": 300}
    asked = asked_of(study, words | {"energy_kev": "200"})
    assert asked.values["energy_kev"] == (200, 200)
    assert asked.low.further == (("energy_kev", 200.0),)
    found = recommend_from(tested, asked)
    assert not found.outside
    # A known test condition has its own measured Dice, at either energy.
    for energy in (200, 300):
        known = next(c for c in study.test_conditions if c.value("energy_kev") == energy)
        best = recommend_from(tested, asked_of(study, known.values())).networks[0]
        measured = tested.results.table.dice.sel(test=known.id)
        assert best.dice.value == pytest.approx(float(measured.max()), abs=1e-6)
    for value, message in (
        (
            "200:300",
            "--axis energy_kev = '200:300': must be a number, since the study has",
        ),
        ("250", "energy_kev = 250: needs exit waves that the study's test images do not have"),
    ):
        with pytest.raises(PassbandError, match=f"^{message}"):
            asked_of(study, words | {"energy_kev": value})


def test_beyond_the_tested_doses_no_answer_follows_the_model(tmp_path):
    """The tests have 100 and 1,000 e/Å²; ranking, figure, prediction and `next` agree."""
    tested = open_(tmp_path)
    places = [Condition(12, 5, 15, dose) for dose in (1000, 3000, 100_000)]
    top, *above = (recommend_from(tested, Asked.at(place)) for place in places)
    for found in above:
        assert found.as_at_dose == 1000
        assert [(n.id, n.dice) for n in found.networks] == [(n.id, n.dice) for n in top.networks]
        assert found.train_next == top.train_next
    of_map = tested.expected(places)
    for values in (of_map.mean, of_map.low, of_map.high):
        np.testing.assert_allclose(values, np.tile(values[:, :1], 3), rtol=0, atol=1e-12)
    chosen = []
    for dose in ("1000", "100000"):
        given = dict.fromkeys(AXES) | WORDS | {"dose_e_per_A2": dose}
        candidates = next_conditions.candidate_conditions(tested)
        chosen.append(next_conditions.next_conditions(tested, 2, given, candidates=candidates))
    assert chosen[0].conditions == chosen[1].conditions
    assert chosen[0].errors == chosen[1].errors
    low = replace(places[0], dose_e_per_A2=49)
    for answer in (
        lambda: recommend_from(tested, Asked.at(low)),
        lambda: tested.expected([low]),
        lambda: next_conditions.next_conditions(
            tested, 2, given | {"dose_e_per_A2": "49:400"}, candidates=candidates
        ),
    ):
        with pytest.raises(PassbandError, match=r"^--dose-e-per-A2 = 49: must be 50 e/Å² or"):
            answer()


def test_a_test_at_a_dose_makes_it_known(tmp_path):
    """After `passband evaluate` at 20 e/Å², Dice is expected there and between."""
    tested = open_(tmp_path)
    further = tested.results.table.load().isel(test=[0])[["dice"]]
    here = replace(tested.tested[0], dose_e_per_A2=20)
    tested = replace(
        tested, further_matrices=tuple(matrices(further.assign_coords(test=[here.id])))
    )
    assert (tested.doses.low, tested.doses.lowest) == (20, 10)
    assert recommend_from(tested, Asked.at(replace(here, defocus_nm=8))).networks
