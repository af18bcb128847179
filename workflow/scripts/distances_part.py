"""Measure the distances between one specimen's networks and some of the test conditions."""

from passband.errors import PassbandError
from passband.jobs import distances, reuse, running
from passband.storage import datasets


def main(snakemake):
    of = {name: snakemake.wildcards[name] for name in ("specimen", "architecture")}
    with running.of_rule(snakemake, "distances") as job:
        if not snakemake.input.weights:
            raise PassbandError("study.allow_incomplete = true: no network is trained yet")
        attrs = reuse.attributes(job, snakemake, datasets.DISTANCES)
        measured = distances.measure(
            job, **of, tests=snakemake.params.test["test conditions"], files=snakemake.input.weights
        )
        output = snakemake.output[0]
        datasets.write(measured, output, kind=datasets.DISTANCES, attrs=attrs | of)
        what = f"{measured.spectral.size} pairs of {measured.attrs['structures']} structures"
        job.result = f"{what} in {output}"


if "snakemake" in globals():
    main(snakemake)
