"""Test one job's networks under all test conditions, and keep an earlier record's valid cells."""

from pathlib import Path

from passband.grid import Axes
from passband.imaging.structures import tested_structures
from passband.jobs import job as jobs
from passband.jobs import reuse
from passband.storage.records import with_own
from passband.store import networks
from passband.store.record_job import RecordJob


def main(snakemake):
    params, wildcards, output = snakemake.params, snakemake.wildcards, snakemake.output[0]
    name, runtime = " ".join(["evaluate", *wildcards]), snakemake.resources.runtime
    with jobs.job(name, snakemake.log[0], snakemake.threads, snakemake.config, runtime) as job:
        of = {key: wildcards[key] for key in ("specimen", "architecture")}
        trained = params.get("conditions", [wildcards.condition])
        parts = networks.trained(snakemake.input.weights, of, trained)
        structures = tested_structures(params)
        splits = {specimen: each.digests for specimen, each in structures.items()}
        test = [condition.id for condition in Axes(params.get("own", {})).conditions(params.test)]
        tests = {id: with_own(test, id, params.get("test_own", False)) for id in trained}
        given, attrs = (params.version, params.microscope), job.provenance(output) | of
        tested = RecordJob(Path(params.cache), parts, given, splits, tests)
        reuse.record(job, tested, output, attrs)

        # This module imports torch, which takes seconds. So a job without work does not need it.
        from passband.jobs import evaluation_job

        jobs.cap_threads(snakemake.threads)
        computed, number = evaluation_job.complete(job, tested, attrs, structures)
        tested.write(computed, output, attrs)
        pairs = len(set().union(*map(tested.lacking, parts)))
        done = f"{len(tested)} network(s) on {pairs} conditions, {number} of them computed"
        job.result = f"{done}, in {output}"


if "snakemake" in globals():
    main(snakemake)
