"""Check this node. If a check fails, the results are in the log only, and no report is written."""

from pathlib import Path

from passband.jobs import running
from passband.results import Results
from passband.runs import preflight
from passband.storage import atomic


def main(snakemake):
    with running.of_rule(snakemake, "preflight") as job:
        results = Results(job.study, Path(snakemake.output[0]).parent)
        found = preflight.run(results)
        job.log(f"this node:\n{found}")
        found.raise_on_failure()
        with atomic.replacing(snakemake.output[0]) as beside:
            beside.write_text(f"{found}\n", encoding="utf-8")
        job.result = f"{len(found.checks)} checks without failure in {snakemake.output[0]}"


if "snakemake" in globals():
    main(snakemake)
