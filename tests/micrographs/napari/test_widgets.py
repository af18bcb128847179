"""The widgets in a real viewer, whose buttons are clicked."""

import time
from types import SimpleNamespace

import display
import numpy as np
import pytest
import tifffile

import passband
from passband.results import published

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

#: [s]
PATIENCE = 120


@pytest.fixture(scope="module")
def viewer():
    with display.shown():
        import napari

        viewer = napari.Viewer(show=False)
        yield viewer
        viewer.close()


@pytest.fixture
def open_widgets(viewer):
    viewer.layers.clear()
    docks = [
        viewer.window.add_plugin_dock_widget("passband", name) for name in ("Segment", "Sizes")
    ]
    (_, segment), (_, sizes) = docks
    yield SimpleNamespace(segment=segment, sizes=sizes)
    for dock, _ in docks:
        viewer.window.remove_dock_widget(dock)


def click(button):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.mouseClick(button.native, Qt.MouseButton.LeftButton)


def wait(widget):
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE
    while not widget.start.enabled:
        assert time.monotonic() < end
        QApplication.processEvents()


def test_the_sample_is_segmented_corrected_and_measured(viewer, open_widgets, tmp_path):
    viewer.open_sample("passband", "particles")
    click(open_widgets.segment.start)
    wait(open_widgets.segment)
    expected = passband.open("general").segment("sample")
    image, outlines, layer = viewer.layers
    np.testing.assert_array_equal(layer.data, expected.labels)
    assert expected.verdict in open_widgets.segment.said.value
    np.testing.assert_allclose(layer.scale, image.scale)
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 2
    assert outlines.contour >= 1

    layer.data = np.where(layer.data == 1, 0, layer.data)  # as a person deletes a particle
    sizes = open_widgets.sizes
    sizes.folder.value = tmp_path / "out"
    click(sizes.start)
    saved = tmp_path / "out/sample_instances.changed.ome.tif"
    np.testing.assert_array_equal(tifffile.imread(saved), layer.data)
    assert "4 particles" in sizes.said.value
    assert not sizes.picture.pixmap().isNull()
    passband.measure_labels(published.SAMPLE, saved, tmp_path / "again")
    for name in ("particles.csv", "summary.csv", "sizes.png"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    click(sizes.start)
    assert [*(tmp_path / "out").glob("*.changed*")] == [saved]


def test_a_layer_never_replaces_the_labels_of_another(viewer, open_widgets, tmp_path):
    images = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in images:
        path.write_bytes(published.SAMPLE.read_bytes())
        viewer.open(path, plugin="napari")
    first, second = viewer.layers
    labels = viewer.add_labels(np.eye(128, dtype=int), metadata={"kept": 1})
    copied = viewer.add_labels(2 * np.eye(128, dtype=int), metadata=labels.metadata)
    sizes = open_widgets.sizes
    sizes.folder.value = tmp_path / "out"
    for image, layer in ((first, labels), (second, labels), (first, copied), (first, labels)):
        sizes.image.value = image
        sizes.particles.value = layer
        click(sizes.start)
    values = {
        path.name: tifffile.imread(path).max() for path in (tmp_path / "out").glob("*.changed*")
    }
    assert values == {
        "a_instances.changed.ome.tif": 1,
        "b_instances.changed.ome.tif": 1,
        "a_instances.changed2.ome.tif": 2,
    }


def test_bad_input_is_one_line(viewer, open_widgets):
    segment, sizes = open_widgets.segment, open_widgets.sizes
    click(segment.start)
    assert segment.said.value.startswith("no image: ")
    viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="colour")
    click(segment.start)
    assert segment.said.value.startswith("colour: is in colour (RGB)")
    viewer.layers.clear()
    viewer.add_image(np.random.default_rng(0).normal(size=(64, 64)), name="bare")
    click(segment.start)
    assert segment.said.value == "bare: has no pixel size; give it in Å"
    sizes.pixel_size.value = 0.5
    click(sizes.start)
    assert sizes.said.value.startswith("no labels: ")


def test_cancelled_adds_no_layer(viewer, open_widgets):
    viewer.open_sample("passband", "particles")
    click(open_widgets.segment.start)
    click(open_widgets.segment.cancel)
    wait(open_widgets.segment)
    assert open_widgets.segment.said.value == "cancelled: no layer was added"
    assert len(viewer.layers) == 1
