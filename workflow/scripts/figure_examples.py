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
    specimen, train = metadata["specimen"], metadata["condition"]
    microscope = config.Microscope(**params.microscope)
    camera = Camera.of(microscope, metadata["normalisation"], devices.device())
    split = Split.load(
        snakemake.input.waves, (params.seed, specimen, "test"), microscope, camera.imager.device
    ).first(params.structures)
    M = store.read(snakemake.input.ood, store.OOD).dice.sel(
        specimen=specimen,
        test_specimen=specimen,
        architecture=metadata["architecture"],
        train=train,
    )
    # The worst at the training dose, for the lens, and the worst of all.
    same_dose = M[(M.test_dose_e_per_A2 == M.train_dose_e_per_A2).values]
    worst = [str(m.test.values[m.values.argmin()]) for m in (same_dose, M) if m.size]
    images, predictions, scores = {}, {}, {}
    for id in dict.fromkeys([train, *worst]):
        condition = Condition.parse(id)
        images[id] = torch.cat(list(camera.counts(split, condition)))
        seen = camera.seen(images[id], condition)
        logits = evaluation.predict(network, seen[:, None], metadata["precision"])
        predictions[id] = (logits > 0)[:, 0].cpu().numpy()
        scores[id] = dice(evaluation.confusion(logits, split.masks).cpu().numpy())
    figure = figures.examples(
        {id: counts.cpu().numpy() for id, counts in images.items()},
        predictions,
        split.masks[:, 0].cpu().numpy(),
        scores,
        train,
        microscope.pixel_size_A,
    )
    figures.save(figure, snakemake.output, params.dpi)
    job.made = snakemake.output[0]
