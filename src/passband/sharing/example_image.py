"""The test input of a published network: one image of the training condition."""

import torch
from torch import Tensor

from passband.imaging.acquisition import Acquisition
from passband.imaging.splits import Split
from passband.learning.network_files import Network
from passband.results import Results
from passband.seeds import seed
from passband.storage import StoreError
from passband.wave_sets import wave_set


def example_image(network: Network, results: Results | None) -> tuple[Tensor, str]:
    """Return a normalised image of the network's training condition, and its description.

    If the study's exit waves exist, the image is the image of the first test structure. Otherwise
    the image is Poisson noise of vacuum.

    Args:
        results: The study.

    Returns:
        (1, 1, px, px) float32: the image, as large as a training image.
        What the image shows.
    """
    cpu = torch.device("cpu")
    acquisition = Acquisition.from_microscope(network.microscope, network.normalisation, cpu)
    specimen, study_seed = network.metadata.specimen, network.study.study.seed
    if results is not None:
        waves, microscope = wave_set(network.condition), network.microscope.under(network.condition)
        first = results.waves(specimen, "test", [waves])[:1]
        names = study_seed, specimen, "test"
        try:
            split = Split.load(first, names, microscope, cpu).first(1)
        except StoreError:
            pass  # the exit waves are deleted after a study, or the study has not made them here
        else:
            images = acquisition.images(split, network.condition)
            return images.contiguous(), f"a simulated image of {specimen}, test structure 0"
    vacuum = torch.ones(1, network.microscope.field_px, network.microscope.field_px)
    number = seed(study_seed, specimen, "test", network.condition.id, "published")
    counts = acquisition.exposed(vacuum, network.condition, [number])
    noise = acquisition.normalised(counts, network.condition)[:, None]
    return noise, "Poisson noise of vacuum, because the study's exit waves were not at hand"
