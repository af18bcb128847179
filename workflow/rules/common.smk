# The study, and the names of its files. Every job parses this file again, so it reads no data.
import os
import sys
from functools import cache
from os.path import relpath

from passband import console, stages
from passband.errors import PassbandError
from passband.results import (
    Results,
    figure_list,
    layout,
    listing,
    shown_networks,
    snapshot,
    network_batches,
    wave_layout,
    wildcard_patterns,
)
from passband.runs import interrupt, locks, slurm_patches, validity
from passband.config import PARTS, SOURCE, validate, validate_job
from passband.config.base import UNQUOTED
from passband.store.recipe import Recipes

console.prepare()
# Snakemake has already imported all executor plugins, and starts the selected plugin later.
if "snakemake_executor_plugin_slurm" in sys.modules:
    slurm_patches.apply(sys.modules["snakemake_executor_plugin_slurm"])

try:
    # Scripts receive only `config`. Paths in `config` are relative to the study's file. Whatever
    # the study's file or --config say about them, its own parts are beside it.
    if workflow.is_main_process:
        config.pop(PARTS, None)
        config[SOURCE] = relpath(workflow.configfiles[-1])
    # Jobs read the copy that Snakemake's main process made of the study's file.
    STUDY = validate(config, config[SOURCE]) if workflow.is_main_process else validate_job(config)
    STUDY.known_parts.trust()
    RESULTS = Results(STUDY, f"results/{STUDY.study.name}")
    if workflow.is_main_process:
        if "--unlock" not in sys.argv:
            listing.refuse_02(RESULTS.folder)
        RESULTS.check_new(config[SOURCE])
        listing.check(RESULTS.folder)
    # Jobs do not repeat this check, because it takes seconds.
    if workflow.is_main_process and STUDY.needs_trial:
        from passband.imaging import image_trial

        image_trial.check(STUDY)
    if workflow.is_main_process and STUDY.known_parts.own:
        from passband.analysis import metric_trial

        metric_trial.check(STUDY)
except PassbandError as error:
    said = str(error)
    if workflow.config_settings.config:  # the user wrote no quotes
        said = said.replace(UNQUOTED, "Snakemake reads --config as text: use `passband run --set`")
    sys.exit(said)

if workflow.is_main_process:
    interrupt.watch()
    validity.apply()
    print(*STUDY.remarks, sep="\n", end="\n" if STUDY.remarks else "", file=sys.stderr)

# The number of a rule's stage is a param of the rule. The name of the stage is added, since
# Snakemake (9.27) compares the values of all params as a set. Without the name, the number could be
# equal to the value of a different param.
STAGES = {stage: f"{stage} {number}" for stage, number in stages.STAGES.items()}
# The file in envs/ with the jobs' environment. Only --software-deployment-method conda uses the
# file.
ENVIRONMENT = f"../../envs/{os.environ.get('PASSBAND_ENVIRONMENT', 'cpu')}.yaml"
NAMES = layout.JOB_NAMES.items()
LOGS = {made_by: f"{RESULTS}/{layout.log(name)}" for made_by, name in NAMES}
BENCHMARKS = {made_by: f"{RESULTS}/{layout.benchmark(name)}" for made_by, name in NAMES}
RECORD = f"{RESULTS}/{layout.RECORD}"
GROUPS = network_batches.groups_of(STUDY)
TRAINED = list(STUDY.trained_specimens)
# What exit waves, networks and results depend on, as params of the rules that make them.
RECIPES = Recipes(STUDY)
PATTERNS = wildcard_patterns.of_study(STUDY)


wildcard_constraints:
    **PATTERNS,


def below_results(paths):
    """Return paths of `layout` with the study's folder of results in front."""
    return [f"{RESULTS}/{path}" for path in paths]


def shards(specimen, split, conditions):
    """Return the files with the exit waves of one split of a specimen under conditions."""
    return RESULTS.waves(specimen, split, wave_layout.waves_of(conditions))


def test_shards(sets):
    """Return the files with exit waves of test structures, by specimen.

    These are the exit waves of the test conditions, and the sets with the given ids.
    """
    waves = dict.fromkeys([*STUDY.tested_waves, *sets])
    return {specimen: RESULTS.waves(specimen, "test", waves) for specimen in STUDY.specimens}


def flat(files):
    """Return files by specimen as one list."""
    return [file for of_specimen in files.values() for file in of_specimen]


def evaluated_waves(wildcards):
    """Return the ids of the sets of exit waves that a job needs."""
    return tuple(wave_layout.evaluated_waves(STUDY, GROUPS[wildcards.condition]))


@cache
def evaluated_shards(sets):
    """Return the files with the exit waves of test structures, of sets with these ids."""
    return flat(test_shards(sets))


@cache
def result_recipes(sets, architecture):
    """Return the recipes of the results on these exit waves."""
    particles = STUDY.training.architecture(architecture).head is not None
    return [RECIPES.results(name, id, particles).digest for name in STUDY.specimens for id in sets]


def is_counted(path):
    """Return whether a file is part of the study. Without `allow_incomplete`, every file is."""
    return not STUDY.study.allow_incomplete or exists(f"{RESULTS}/{path}")


FIGURES = STUDY.known_parts.of("figure")
try:
    RECORDS = network_batches.counted_records(STUDY, is_counted)
    # The figure of examples shows the first of these networks. None if no record exists.
    EXAMPLE = shown_networks.example_cell(STUDY, is_counted)
    # What each figure depends on besides its stores.
    DRAWN_BY = {
        name: RECIPES.figure(part, EXAMPLE and EXAMPLE.condition) for name, part in FIGURES.items()
    }
except PassbandError as error:
    sys.exit(str(error))
PREDICTED = figure_list.is_predicted(STUDY, RECORDS)
DRAWN = figure_list.figures(STUDY, predicted=PREDICTED, pictured=EXAMPLE is not None)


FIGURE_FILES = expand(f"{RESULTS}/{layout.FIGURE}", figure=DRAWN, format=STUDY.figures.formats)


def figure_inputs(wildcards):
    """Return the files that a figure is drawn from, by name."""
    part = FIGURES[wildcards.figure]
    found = {name: f"{RESULTS}/{store}" for name, store in figure_list.stores_of(part).items()}
    if "examples" in part.declaration.inputs:
        sets = wave_layout.waves_of([EXAMPLE.condition] if EXAMPLE else [])
        found |= {
            "weights": below_results([EXAMPLE.batch.path(layout.WEIGHTS)] if EXAMPLE else []),
            # The network that was trained under each condition that the figure may show.
            "there": below_results(shown_networks.example_networks(STUDY, EXAMPLE, is_counted)),
            "waves": test_shards(sets)[TRAINED[0]],
        }
    return found


# Snakemake calls this only in its main process, and only if there are jobs to run.
onstart:
    locks.sign()
    try:
        snapshot.hand_to_jobs(workflow.config_settings, config, RESULTS)
    except PassbandError as error:
        sys.exit(str(error))
