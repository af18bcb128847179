"""The extra `napari` on the base: napari finds the plugin, whose widget segments the sample."""

import os

import display
import pytest

pytestmark = pytest.mark.install

CODE = """
import napari
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer(show=False)
viewer.open_sample("passband", "particles")
_, segment = viewer.window.add_plugin_dock_widget("passband", "Segment")
segment.start.native.click()
while not segment.start.enabled:
    QApplication.processEvents()
print(segment.said.value)
print([layer.name for layer in viewer.layers])
viewer.close()
"""


def test_the_sample_is_segmented_in_napari(base):
    base.add("napari")
    base.run("napari/bin/python -m npe2 validate passband")
    base.run("! napari/bin/python -c 'import torch' 2>/dev/null")
    (base.work / "widget.py").write_text(CODE, encoding="utf-8")
    with display.shown():
        where = f"DISPLAY={os.environ['DISPLAY']} QT_QPA_PLATFORM=offscreen"
        said = base.run(f"{where} napari/bin/python widget.py")
    assert "5 particles" in said
    assert "looks like the training images" in said
    assert "'sample.ome.tif outlines', 'sample.ome.tif particles'" in said
    base.run("rm -r napari")
