"""Draw one network's predictions under its training condition and where it does worst."""

import torch

from passband import config, devices, evaluation, figures, jobs, networks, store
from passband.examples import Camera, Split
from passband.grid import Condition
from passband.scores import dice

params = snakemake.params

with jobs.job("figure_examples", snakemake.log[0], snakemake.threads, snakemake.config) as job:
    weights, metadata = networks.load(snakemake.input.weights[0])
    network = networks.restore(metadata["architecture"], next(iter(weights.values())))
    train = metadata["condition"]
    microscope = config.Microscope(**params.microscope)
    camera = Camera.of(microscope, metadata["normalisation"], devices.device())
    waves = store.read(snakemake.input.waves[0], store.WAVES)
    split = Split.from_dataset(
        waves.isel(structure=slice(params.structures)), params.seed, camera.imager.device
    )
    M = store.read(snakemake.input.ood, store.OOD).dice.sel(
        specimen=metadata["specimen"],
        test_specimen=metadata["specimen"],
        architecture=metadata["architecture"],
        train=train,
    )
    # The worst at the training dose, for the lens, and the worst of all.
    same_dose = M[(M.test_dose_e_per_A2 == M.train_dose_e_per_A2).values]
    shown = dict.fromkeys([train, *(str(m.test[int(m.argmin())].values) for m in (same_dose, M))])
    images, predictions, scores = {}, {}, {}
    for id in shown:
        images[id] = torch.cat(list(camera.counts(split, Condition.parse(id)))).cpu().numpy()
        seen = camera.images(split, Condition.parse(id))
        logits = evaluation.predict(network, seen, metadata["precision"])
        predictions[id] = (logits > 0)[:, 0].cpu().numpy()
        scores[id] = dice(evaluation.confusion(logits, split.masks).cpu().numpy())
    figure = figures.examples(
        images, predictions, split.masks[:, 0].cpu().numpy(), scores, train, microscope.pixel_size_A
    )
    figures.save(figure, snakemake.output, params.dpi)
    job.made = snakemake.output[0]
