"""Draw the widgets in napari after the sample was segmented and measured.

It needs a display, such as that of `xvfb-run`.
"""

import argparse
import tempfile
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication


def main(figure: Path) -> None:
    """Click the buttons, and save a picture of the window."""
    viewer = napari.Viewer()
    viewer.window.resize(1300, 860)
    viewer.open_sample("passband", "particles")
    _, segment = viewer.window.add_plugin_dock_widget("passband", "Segment")
    _, sizes = viewer.window.add_plugin_dock_widget("passband", "Sizes")
    segment.start.native.click()
    while not segment.start.enabled:
        QApplication.processEvents()
    with tempfile.TemporaryDirectory() as folder:
        sizes.folder.value = Path(folder)
        sizes.start.native.click()
    sizes.folder.value = None  # a name that every run makes anew
    viewer.scale_bar.visible = True
    viewer.fit_to_view()
    for _ in range(20):
        QApplication.processEvents()
    viewer.screenshot(figure, canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, metavar="FILE", required=True)
    main(parser.parse_args().figure)
