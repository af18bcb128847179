"""Commands with networks of mixtures: the right answer, or one line that says why not."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from finished_study import small_study, varied
from recommended import make_results, make_study
from synthetic import weights_metadata

import passband
from passband import PassbandError, cli
from passband.answers import trust
from passband.answers.tested_networks import TestedNetworks
from passband.config import validate
from passband.grid import Axes, Condition
from passband.learning.network_files import finished_networks, open_networks
from passband.network_id import NetworkId, is_id
from passband.reports.explorer.explorer import Blocks
from passband.reports.explorer.ranking import predicted, ranking
from passband.results import Results, layout, network_batches
from passband.runs import plan, rates
from passband.storage import datasets, weights

ALL = {"mixture": {"name": "all", "over": "grid"}}


def with_mixture(study):
    given = study.model_dump(mode="json")
    return validate(given | {"grid": [given["grid"], ALL]})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of a small study with the networks of a mixture."""
    folder, study = tmp_path_factory.mktemp("mixed"), with_mixture(small_study())
    for cell in network_batches.cells_of(study):
        job = cell.batch
        names = str(cell.id).split("/")
        states = {
            replica: varied(job.architecture, *names, replica).state_dict()
            for replica in job.replicas
        }
        metadata = weights_metadata(
            job.replicas,
            architecture=job.architecture,
            specimen=job.specimen,
            condition=cell.condition,
            provenance={"configuration": study.model_dump_json()},
        )
        weights.save(states, folder / job.path(layout.WEIGHTS), metadata)
    return folder


@pytest.fixture(scope="module")
def mixture():
    (found,) = with_mixture(small_study()).mixtures
    return found


def test_networks_of_a_mixture_are_opened_by_their_id(results, mixture):
    id = NetworkId("gold", "compact-w4-d2", mixture.id)
    assert is_id(str(id))
    assert is_id(f"{id}/1")
    assert id in finished_networks(Results(None, results))
    found = open_networks(results, id)
    assert [str(network.id) for network in found] == [f"{id}/0", f"{id}/1"]
    assert found[0].condition == mixture
    assert found[1].id == NetworkId("gold", "compact-w4-d2", mixture.id, 1)
    with pytest.raises(PassbandError, match="has none of this specimen"):
        open_networks(results, replace(id, condition="all-00000000"))


@pytest.mark.slow
def test_networks_of_a_mixture_are_not_published(results, mixture, tmp_path, capsys):
    pytest.importorskip("onnx")
    (file,) = (results / "networks/gold/compact-w4-d2" / mixture.id).glob("*.safetensors")
    out = tmp_path / "published"
    assert cli.main(["publish", str(file), "--replica", "0", "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "is a network of a mixture; only networks of one training condition" in line
    assert not out.exists()


def test_images_are_not_compared_with_the_training_images_of_a_mixture(results, mixture):
    networks = open_networks(results, NetworkId("gold", "compact-w4-d2", mixture.id, 0))
    with pytest.raises(PassbandError, match="is a network of a mixture of conditions"):
        trust.measured(networks)


@pytest.fixture
def recommended(tmp_path, monkeypatch):
    """A folder with a study whose table has the row of a mixture; the mixture is the best."""
    study = with_mixture(make_study())
    results = make_results(study, tmp_path)
    table = datasets.read(results / "table.zarr", datasets.TABLE)
    ids = [*table.train.values.tolist(), *(mixture.id for mixture in study.mixtures)]
    row = table.isel(train=[0]).assign(dice=table.dice.isel(train=[0]) * 0 + 1)
    both = xr.concat([table, row], "train", data_vars="minimal", coords="minimal")
    both = both.drop_vars([n for n in both.coords if str(n).startswith("train")])
    both = both.assign_coords({"train": ids} | Axes.main.coordinates(ids, "train"))
    shutil.rmtree(results / "table.zarr")
    datasets.write(both.drop_encoding(), results / "table.zarr", datasets.TABLE, {})
    monkeypatch.chdir(tmp_path)
    return study


def test_mixtures_are_ranked(recommended, capsys):
    words = ["--defocus-nm", "12", "--cs-um", "30", "--aperture-mrad", "12"]
    assert cli.main(["recommend", "config.yaml", *words, "--dose-e-per-A2", "300", "--json"]) == 0
    (mixture,) = recommended.mixtures
    found = json.loads(capsys.readouterr().out)
    assert len(found["networks"]) == 17
    first, second = found["networks"][:2]
    assert first["id"] == f"gold/compact-w8-d3/{mixture.id}/0"
    assert first["how"] == "interpolated"
    # Under all tests its Dice is 1, and under the worst of them others are below 0.6.
    assert first["dice"]["low"] > second["dice"]["value"]
    assert first["dice"]["value"] > 0.98
    # A condition to train next is no mixture, and under a test condition Dice is measured.
    Condition.parse(found["train_next"]["condition"])
    here = passband.open("config.yaml").recommend(recommended.test_conditions[3])
    assert (str(here.networks[0].id), here.networks[0].how) == (first["id"], "measured")


@pytest.mark.slow
def test_the_explorer_ranks_and_predicts_mixtures(recommended):
    results = Results(recommended, Path("results/known"))
    (mixture,) = recommended.mixtures
    tested = TestedNetworks.open(results)
    (fitted,) = tested.fitted
    (matrix,) = results.matrices()
    dice = predicted(fitted, matrix)
    assert dice.shape == (17, 16)
    np.testing.assert_allclose(dice[matrix.row(mixture.id)], 1, atol=0.03)
    D = [rows.dice for rows in tested.of_matrices]
    profile = tested.profiles(tested.tested[:1])
    of_page = ranking(tested.fitted, tested.tested, [], D, profile, np.ones(1), "gold", Blocks())
    assert of_page["groups"][0]["train"][-1] == mixture.id
    assert of_page["groups"][0]["networks"] == list(map(str, fitted.networks))


@pytest.mark.slow
def test_the_page_on_metrics_draws_decay_loss_and_the_row_of_a_mixture(recommended):
    page = Path(__file__).parents[2] / "docs/metrics.md"
    (code,) = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    found = {}
    exec(code.replace('"demo"', '"config.yaml"'), found)  # the page's code
    plt.close("all")
    (mixture,) = recommended.mixtures
    table = Results(recommended, Path("results/known")).table
    M = table.dice.isel(specimen=0, architecture=0, test_specimen=0).mean("replica")
    M = M.transpose("train", "test")
    decay = [line.get_ydata() for line in found["decay"].lines]
    np.testing.assert_array_equal(decay, M[:2, :2])
    loss = M.values[:16].diagonal() - M
    by_dose = loss.groupby("test_dose_e_per_A2").mean()
    (mixed,) = found["mixed"].lines
    np.testing.assert_allclose(mixed.get_ydata(), by_dose.sel(train=mixture.id), rtol=1e-5)
    bars = [bar.get_height() for bar in found["loss"].patches]
    by_both = by_dose.isel(train=slice(16)).groupby("train_dose_e_per_A2").mean()
    by_both = by_both.transpose("test_dose_e_per_A2", "train_dose_e_per_A2")
    np.testing.assert_allclose(bars, by_both.values.ravel(), rtol=1e-5)


@pytest.mark.slow
def test_next_chooses_among_conditions(recommended, capsys):
    assert cli.main(["next", "config.yaml", "--budget", "2"]) == 0
    assert "16 training conditions have networks" in capsys.readouterr().out


def test_check_counts_conditions_and_mixtures(recommended):
    text = plan.summary(recommended, listed=True)
    assert "conditions  16 to train under, 16 to test under" in text
    assert "mixtures    1 to train under" in text
    (mixture,) = recommended.mixtures
    assert f"grid[1]     mixture {mixture.id}: 16 conditions, evenly" in text
    assert "17 = 1 specimen × (16 conditions + 1 mixture) × 1 architecture × 1 replica" in text


def test_the_time_of_a_mixture_includes_an_image_for_each_replica_and_epoch(recommended):
    zero, gold = {"compact-w8-d3": 0.0}, {"gold": 0.0}
    speeds = rates.Speeds("cpu", "core", 0, 0, gold, 1.0, 0.0, zero, zero)
    without = validate(recommended.model_dump(mode="json") | {"grid": {}})
    more = (
        rates.seconds_by_rule(recommended, speeds)["train"]
        - rates.seconds_by_rule(without, speeds)["train"]
    )
    split, epochs = recommended.study.structures, recommended.training.epochs
    assert more == pytest.approx(split.train * (1 + epochs) + split.val)
