"""The kinds of jobs whose results have version numbers."""

#: Version number of the results of each stage. Snakemake does not see changes inside a package, so
#: every rule of Snakemake has the version number of its stage as a param. Increase a stage's
#: version number if a change of the code changes the results of this stage. Snakemake then makes
#: the stage's results again, and all results that depend on them. `particles` is that part of
#: `evaluate` which only networks with a head have.
STAGES = {
    "simulate": 3,
    "train": 6,
    "evaluate": 4,
    "particles": 1,
    "information": 3,
    "aggregate": 4,
    "ood": 5,
    "prediction": 6,
    "figures": 7,
    "report": 4,
    "explorer": 2,
}
