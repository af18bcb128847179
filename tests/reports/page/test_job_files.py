"""Files beside the stores, whose content is on the page that presents a study."""

import yaml

from passband.config import validate
from passband.network_id import NetworkId
from passband.reports.page import tables
from passband.reports.page.job_files import Cost, costs, histories


def test_costs_are_sums_over_benchmarks(tmp_path):
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    for name, row in {
        "train/gold/a/r0.tsv": "10.5\t0:00:10\t700.0\t8.5",
        "train/gold/b/r0.tsv": "1.5\t0:00:01\t900.0\t1.5",
        "ood.tsv": "0.4\t0:00:00\tNA\tNA",
        "aggregate.tsv": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + row)
    assert costs(tmp_path) == [Cost("train", 2, 12.0, 10.0, 900.0), Cost("ood", 1, 0.4, 0.0, 0.0)]
    table = tables.cost_table(costs(tmp_path))
    assert table.rows[-1] == ["all", "3", "12 s", "< 0.01", "0.9 GB"]
    assert costs(tmp_path / "absent") == []


def test_a_memory_that_no_benchmark_has_is_a_dash():
    table = tables.cost_table([Cost("train", 1, 12.0), Cost("ood", 1, 0.4)])
    assert [row[-1] for row in table.rows] == ["–"] * 3


def test_histories_that_cannot_be_read_are_left_out(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("replica,epoch,val_loss,val_dice\n0,0,2,0.1\n0,1,1,0.7\n0,2,3,0.9\n1,0,,\n")
    bad.write_text("replica,epoch\n0,0\n")
    found = histories(
        (NetworkId("a", "b", id), path)
        for id, path in (("c", good), ("d", bad), ("e", tmp_path / "absent"))
    )
    assert [str(h.network) for h in found] == ["a/b/c/0", "a/b/c/1"]
    assert found[0].final == 0.7  # after the epoch with the lowest validation loss


def test_the_configuration_on_the_page_is_that_of_a_valid_study():
    for energies in ([200], [200, 300]):
        study = validate({"grid": {"energy_kev": energies}})
        assert validate(yaml.safe_load(tables.configuration(study))) == study
