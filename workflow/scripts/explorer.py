"""Write the page that shows every cell of the study's matrices."""

from pathlib import Path

from passband.answers import explorer_page
from passband.jobs import running
from passband.results import Results


def main(snakemake):
    with running.of_rule(snakemake, "explorer") as job:
        target = Path(snakemake.output[0])
        # A study may be too small for an explorer. It is complete nevertheless.
        reason = explorer_page.write(
            Results(job.study, target.parent), progress=job.progress, always=True
        )
        if reason:
            job.log(reason)
        job.result = f"{target.stat().st_size / 1e6:.1f} MB in {target}"


if "snakemake" in globals():
    main(snakemake)
