"""Files of TIA: SER files have the images, and an EMI file says what belongs together."""

from pathlib import Path

from passband.errors import PassbandError
from passband.micrographs.images import declared, rosetta
from passband.micrographs.images.contents import Content
from passband.micrographs.images.suffixes import ser_files
from passband.parts import reader
from passband.storage.integrity import check_regular


@reader(suffixes=(".ser",))
def ser(path: Path) -> Content:
    """Return the images of a SER file, read with RosettaSciIO."""
    declared.check_ser(path)
    return rosetta.read(path, "tia")


@reader(suffixes=(".emi",))
def emi(path: Path) -> Content:
    """Return the images of the SER files that belong to an EMI file, read with RosettaSciIO."""
    files = ser_files(path)
    if not files:
        raise PassbandError(f"{path}: the images are in {path.stem}_1.ser, which is missing")
    for file in files:
        check_regular(file)
        declared.check_ser(file)
    return rosetta.read(path, "tia")
