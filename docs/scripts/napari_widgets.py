"""Draws docs/images/napari.png: the widgets after the sample was segmented and measured.

Run it under a display, such as `xvfb-run python docs/scripts/napari_widgets.py`.
"""

import tempfile
from pathlib import Path

import napari
from qtpy.QtWidgets import QApplication

FILE = Path(__file__).parents[1] / "images" / "napari.png"


def main() -> None:
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
    viewer.screenshot(FILE, canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    main()
