"""Write the page that presents the study."""

from pathlib import Path

from passband.jobs import running
from passband.results import Results
from passband.runs import report_page


def main(snakemake):
    with running.of_rule(snakemake, "report") as job:
        target = Path(snakemake.output[0])
        report_page.write(Results(job.study, target.parent), target)
        job.result = f"{target.stat().st_size / 1e6:.1f} MB in {target}"


if "snakemake" in globals():
    main(snakemake)
