"""Gather the distances of all specimens, architectures and test conditions."""

from passband.analysis import distances
from passband.jobs import reuse, running
from passband.storage import datasets


def main(snakemake):
    output = snakemake.output[0]
    with running.of_rule(snakemake, "distances") as job:
        attrs = reuse.attributes(job, snakemake, datasets.DISTANCES)
        measured = [datasets.read(file, datasets.DISTANCES) for file in snakemake.input]
        gathered = distances.gather(measured)
        datasets.write(gathered, output, kind=datasets.DISTANCES, attrs=attrs)
        sizes = gathered.sizes
        job.result = f"{sizes['train']} × {sizes['test']} pairs in {output}"


if "snakemake" in globals():
    main(snakemake)
