"""The engines of the package, which compute exit waves."""

from passband.optics.sampling import Sampling
from passband.parts import engine
from passband.specimens.abtem_engine import AbtemMultislice
from passband.specimens.multislice import Multislice


@engine(bytes_per_pixel=80, seconds_per_pixel=1e-7)
def passband(sampling: Sampling, energy: float, device: str) -> Multislice:
    """Return Passband's own multislice."""
    return Multislice(sampling, energy, device)


# abTEM distributes an atom over four pixels, which blurs all atoms of a column in the same way, so
# its pixels do not depend on the energy. It dampens the frequencies from 0.97 times its cutoff on,
# and its cutoff is the same fraction of the Nyquist frequency as that of the image.
@engine(
    bytes_per_pixel=130,
    seconds_per_pixel=6e-7,
    pixel_A=0.02,
    pixel_share=0.1,
    coarsest=0.97,
    imports=("abtem",),
)
def abtem(sampling: Sampling, energy: float, device: str) -> AbtemMultislice:
    """Return the multislice of abTEM."""
    return AbtemMultislice(sampling, energy, device)
