"""Tries what a study brings of its own to make images, before its first job starts."""

from passband.config import Study
from passband.parts import PartError

#: Side of images whose noise is tried [pixels].
_PX = 16


def check(study: Study) -> None:
    """Make trial particles, structures and waves where only a trial shows a mistake.

    Raises:
        PassbandError: If a specimen cannot be made, see
            :func:`passband.specimens.structures.check`; or if a part of the study must not run,
            fails, or returns something else than its kind of part.
    """
    from passband.specimens import drawing, structures  # ase takes a second to import

    structures.check(study)
    drawing.check(study)
    if study.microscope.engine_part.is_own:
        _check_engine(study)
    if study.microscope.noise_part.is_own:
        _check_noise(study)


def _check_engine(study: Study) -> None:
    """Compute the wave behind one atom on the study's grid."""
    import numpy as np
    from ase import Atoms

    from passband.specimens import exit_waves

    microscope = study.microscope
    side = microscope.multislice.field_A
    atom = Atoms("Au", [(side / 2, side / 2, 1.0)], cell=(side, side, 2.0), pbc=(1, 1, 0))
    atom.new_array("particle", np.array([1]))
    exit_waves.wave_of(atom, exit_waves.engine(microscope), microscope)


def _check_noise(study: Study) -> None:
    """Draw the counts of small images, of which each must follow from its seed alone."""
    import torch

    from passband.imaging import noise

    part = study.microscope.noise_part
    intensity = torch.linspace(0, 2, 2 * _PX * _PX).reshape(2, _PX, _PX)
    first = noise.drawn(part, intensity, 100.0, [1, 2])
    again = noise.drawn(part, intensity.flip(0), 100.0, [2, 1]).flip(0)
    if not torch.equal(first, again):
        raise PartError(
            f"{part}: draws other counts when it is called again; all its random numbers must be "
            "from the generator that it is given"
        )
