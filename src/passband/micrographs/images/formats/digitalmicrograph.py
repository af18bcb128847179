"""Files of DigitalMicrograph.

No DM4 file of a whole image was at hand: two real ones have 2² pixels, and a larger one is made
from one of these, see the tests.
"""

from pathlib import Path

from passband.micrographs.images import rosetta
from passband.micrographs.images.contents import Content
from passband.parts import reader


@reader(suffixes=(".dm3", ".dm4"))
def digitalmicrograph(path: Path) -> Content:
    """Return the images of a DM3 or DM4 file, read with RosettaSciIO."""
    return rosetta.read(path, "digitalmicrograph")
