# Passband: simulate → train → evaluate → information → table → OOD metrics → figures.
# Edit config.yaml and run `snakemake --cores all`, or `snakemake --profile slurm` on a cluster.
from snakemake.utils import min_version

min_version("9.10")

# A study file given by --configfile is the whole configuration: it is not merged into config.yaml.
if not workflow.configfiles:

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/slurm.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/information.smk"
include: "workflow/rules/aggregate.smk"
include: "workflow/rules/distances.smk"
include: "workflow/rules/prediction.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/preflight.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/table.zarr",
        f"{RESULTS}/ood.zarr",
        [f"{RESULTS}/prediction.zarr"] if PREDICTED else [],
        figure_files(),
