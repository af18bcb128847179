"""Test one job's networks under all test conditions, and keep the results of earlier jobs."""

from pathlib import Path

from passband.jobs import reuse, running
from passband.results import network_batches
from passband.store import networks
from passband.store.results import StoredResults


def main(snakemake):
    wildcards = snakemake.wildcards
    output = Path(snakemake.output[0])
    with running.of_rule(snakemake, "evaluate") as job:
        of = {key: wildcards[key] for key in ("specimen", "architecture")}
        tested = network_batches.batch_of(job.study, wildcards)
        cells = networks.trained(snakemake.input.weights, of, tested.conditions)
        stored = StoredResults.of_batch(job.results, tested, cells)
        attrs = job.provenance(str(output)) | of
        found = reuse.or_end(job, stored, attrs)

        # This module imports torch, which takes seconds. So a job without work does not need it.
        from passband.jobs import evaluation

        running.cap_threads(snakemake.threads)
        structures = {
            specimen: job.results.structures(specimen, "test", stored.recipes.waves)
            for specimen in job.study.specimens
        }
        records, done = evaluation.complete(job, stored, found, attrs=attrs, structures=structures)
        stored.put(records, attrs)
        job.result = f"{done}, in {output}"


if "snakemake" in globals():
    main(snakemake)
