# Passband: simulate → train → evaluate → information → table → OOD metrics → figures → pages.
# Edit config.yaml and run `snakemake --cores all`, or `snakemake --profile slurm` on a cluster.
import sys

# Snakemake has put this folder before the installed packages. A user's random.py in it must not be imported.
sys.path[:] = [folder for folder in sys.path if folder != workflow.basedir]

from os.path import isfile, relpath, samefile

from snakemake.utils import min_version

from passband import processes
from passband.errors import PassbandError
from passband.config import study_file

min_version("9.10")
processes.ignore_working_directory()

# Check the study's file. Snakemake itself would use the last of two equal keys, and would read 010 as 8.
# Jobs do not repeat this check.
if workflow.is_main_process:
    by_conda = "conda" in map(str, workflow.deployment_settings.deployment_method)
    # The scripts in envs/ install the folder in which Snakemake is started.
    if by_conda and not (isfile("pyproject.toml") and samefile(workflow.basedir, ".")):
        sys.exit(
            "--software-deployment-method conda: must be given in a clone of Passband; without it, "
            "jobs use the packages that Passband uses"
        )
    try:
        for path in workflow.configfiles or ["config.yaml"]:
            study_file.read(relpath(path))
    except PassbandError as error:
        sys.exit(str(error))

# A study file given by --configfile is the whole configuration: it is not merged into config.yaml.
if not workflow.configfiles:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/information.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/preflight.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/{layout.TABLE}",
        f"{RESULTS}/{layout.OOD}",
        [f"{RESULTS}/{layout.PREDICTION}"] if PREDICTED else [],
        FIGURE_FILES,
        f"{RESULTS}/{layout.REPORT}",
        f"{RESULTS}/{layout.EXPLORER}",
