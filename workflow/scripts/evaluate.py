"""Test one job's networks under all test conditions, and keep an earlier record's valid cells."""

import json

from passband import config
from passband.analysis import table
from passband.grid import Condition, conditions
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.learning.replicas import TrainedReplicas
from passband.storage import atomic, datasets


def main(snakemake):
    params, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output[0]
    name = " ".join(["evaluate", *wildcards])
    with jobs.job(
        name, snakemake.log[0], snakemake.threads, snakemake.config, snakemake.resources.runtime
    ) as job:
        cell = {key: wildcards[key] for key in ("specimen", "architecture", "condition")}
        microscope = config.Microscope(**params.microscope)
        trained = TrainedReplicas.load(
            snakemake.input.weights, cell, microscope, params.seed, params.waves
        )
        contexts = trained.contexts(params.version, params.microscope)
        test, replicas = conditions(params.test, params.get("own")), list(trained.weights)
        if params.get("test_own", False):  # results under the training condition are the last
            ids = table.with_own([c.id for c in test], wildcards.condition, test_own=True)
            test = list(map(Condition.parse, ids))
        known = reuse.record(job, params.cache, output, contexts, replicas, test)
        # The batch size does not change results, so it is not a param of the rule.
        batch_size = job.study.evaluation.batch_size
        record = trained.evaluate(test, batch_size, known, job.progress)
        attrs = job.provenance(output) | cell | {"contexts": json.dumps(contexts)}
        datasets.write(record, params.cache, datasets.RECORD, attrs)
        atomic.link(params.cache, output)
        kept = 0
        if known is not None:
            kept = len({*known.test.values} & {*record.test.values}) * known.sizes["test_specimen"]
        number = record.sizes["test_specimen"] * record.sizes["test"]
        job.result = (
            f"{len(replicas)} network(s) on {number} conditions, {number - kept} of them "
            f"computed, in {output}"
        )


if "snakemake" in globals():
    main(snakemake)
