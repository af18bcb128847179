"""``passband predict --labels``: measure particles that a person has labelled or corrected."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from passband.console import escaped
from passband.errors import PassbandError

if TYPE_CHECKING:
    from passband.micrographs.labels import Labels

#: Options that would have no effect.
_UNUSED = "truth", "mirror", "adapt"


def images(words: Sequence[str]) -> list[str]:
    """Return the words of a command that are images: all, or all but a network or a study first.

    So the option can be added to the command that has segmented the images.
    """
    from passband.commands.network_choice import check_no_image
    from passband.micrographs.images.suffixes import is_image

    try:
        check_no_image(words[0])
    except PassbandError:
        return list(words)
    if is_image(Path(words[0])):
        return list(words)
    if len(words) < 2:
        raise PassbandError(f"{words[0]}: is no image; --labels needs the images of the labels")
    return list(words[1:])


def find(options: argparse.Namespace, paths: Sequence[Path]) -> "Labels":
    """Return where the labels of images are, or raise PassbandError if that cannot be."""
    from passband.micrographs.labels import Labels

    for name in _UNUSED:
        if getattr(options, name):
            raise PassbandError(f"--{name}: has no effect together with --labels")
    labels = Labels(options.labels, options.pixel_size_A, options.crop)
    labels.check(paths)
    return labels


def run(labels: "Labels", paths: Sequence[Path], out: Path) -> int:
    """Measure the labels of images, and write the tables and the histogram.

    Returns:
        The exit status, which is 1 if a file failed.
    """
    from passband.micrographs import predictions, size_figure, summary
    from passband.micrographs.batch import failure
    from passband.micrographs.summary import Frame

    frames: list[Frame] = []
    failures: list[str] = []
    for path, name in zip(paths, predictions.output_names(paths), strict=True):
        try:
            found = labels.frames(path, name)
        except Exception as error:  # the other files are still measured
            failures.append(failure(path, error))
            frames.append(Frame(file=path.name, error=failures[-1]))
            continue
        frames += found
        for line in (line for frame in found for line in (frame.line, *frame.notes)):
            print(escaped(line))
    written, sizes = size_figure.write(frames, out)
    written += summary.write(frames, out)
    print(sizes)
    print(escaped(f"{len(written)} files in {out}: {', '.join(path.name for path in written)}"))
    if failures:
        print(f"{len(failures)} of {len(paths)} files failed:", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0
