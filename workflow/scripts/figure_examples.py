"""Draw predictions under a network's training condition and its two worst conditions."""

from passband.figures import images as figures
from passband.figures import style
from passband.grid import Condition
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Structures
from passband.jobs import job as jobs
from passband.learning import devices, evaluation, networks
from passband.matrices.of_study import matrices
from passband.matrices.stored import MatrixName
from passband.results import training_jobs
from passband.storage import datasets


def main(snakemake):
    input = snakemake.input
    with jobs.job("figure_examples", snakemake.log[0], snakemake.threads, snakemake.config) as job:
        drawn = job.study.figures
        condition = snakemake.params.settings["condition"]
        parts = job.study.known_parts
        network, found = networks.load_first(input.weights[0], {"condition": condition}, parts)
        specimen = found.specimen
        device = devices.device()
        structures = Structures.of_study(job.study, specimen, "test", input.waves)
        microscope = structures.microscope
        acquired = Acquisition.from_microscope(microscope, found.normalisation, device)
        loaded = structures.load(device).first(drawn.examples)
        name = MatrixName(specimen, found.architecture, specimen)
        every = matrices(metrics=datasets.read(input.ood, datasets.OOD))
        matrix = next(each for each in every if each.name == name)
        shown = figures.shown_conditions(matrix, found.condition)
        seen = evaluation.examples(network, acquired, loaded, shown, found.precision)
        files = training_jobs.files_by_condition(input.there, training_jobs.groups_of(job.study))
        there = {}
        for id in files.keys() & {condition.id for condition in shown[1:]}:
            of, _ = networks.load_first(files[id], {"condition": id}, parts)
            its = evaluation.examples(of, acquired, loaded, [Condition.parse(id)], found.precision)
            there[id] = its[1][id], its[2][id]
        masks = {one.id: loaded.under(one).masks[:, 0].cpu().numpy() for one in shown}
        pixels = {one.id: microscope.under(one).pixel_size_A for one in shown}
        given = *seen[:2], masks, seen[2], found.condition, pixels, there, drawn.width_cm
        labels = {condition.id: style.condition_label(condition) for condition in shown}
        style.save(figures.examples(*given, labels), snakemake.output, drawn.dpi)
        job.result = snakemake.output[0]


if "snakemake" in globals():
    main(snakemake)
