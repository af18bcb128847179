"""The widgets *Segment* and *Sizes*: their fields, buttons and layers, and nothing else."""

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from passband import extras

try:
    import napari.viewer
    from magicgui.widgets import (
        ComboBox,
        Container,
        FileEdit,
        FloatSpinBox,
        LineEdit,
        ProgressBar,
        PushButton,
        TextEdit,
    )
    from napari.layers import Image, Labels
    from napari.qt.threading import create_worker
    from napari.utils.colormaps import DirectLabelColormap
    from qtpy.QtCore import QObject, Qt, Signal
    from qtpy.QtGui import QPixmap
    from qtpy.QtWidgets import QLabel
except ImportError:
    extras.check(extras.NAPARI, "a widget of napari")
    raise  # an installed package that cannot start says itself what it lacks

from passband.errors import PassbandError
from passband.micrographs.batch import failure
from passband.micrographs.images.pixel_size import MAX_PIXEL_SIZE_A
from passband.micrographs.napari import corrected, found
from passband.micrographs.napari.shown import KEY, Shown

#: The width of the histogram [pixels].
_PICTURE_PX = 320


class _Told(QObject):
    """Carries the progress from the thread that computes to that of the widget."""

    progress = Signal(float, str)


class Segment(Container):
    """Finds the particles of an image, and adds their outlines and labels as layers."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer"):
        self._viewer = napari_viewer
        self._worker: Any = None
        self._told = _Told()
        self._told.progress.connect(self._tell)
        self.image = _layers(napari_viewer, "image", Image)
        self.network = LineEdit(
            label="network", value="general", tooltip="general, or a published folder"
        )
        self.pixel_size = _pixel_size()
        self.start = PushButton(text="Segment")
        self.cancel = PushButton(text="Cancel", enabled=False)
        self.progress = ProgressBar(label="", min=0, max=100, value=0)
        self.said = _text()
        self.start.clicked.connect(self._start)
        self.cancel.clicked.connect(self._cancel)
        super().__init__(
            widgets=[
                self.image,
                self.network,
                self.pixel_size,
                Container(
                    widgets=[self.start, self.cancel], layout="horizontal", labels=False, label=""
                ),
                self.progress,
                self.said,
            ]
        )

    def _start(self) -> None:
        layer = self.image.value
        try:
            shown = Shown.of(layer, self.pixel_size.value or None)
        except PassbandError as error:
            self.said.value = str(error)
            return
        self.said.value = ""
        self._running(True)
        self._worker = create_worker(
            found.segment,
            shown,
            self.network.value,
            progress=self._told.progress.emit,
            is_cancelled=lambda: self._worker.abort_requested,
            _start_thread=False,
            _ignore_errors=True,
        )
        self._worker.returned.connect(lambda result: self._add(result, layer))
        self._worker.errored.connect(lambda error: self._fail(shown, error))
        self._worker.finished.connect(self._end)
        self._worker.start()

    def _cancel(self) -> None:
        self._worker.quit()

    def _tell(self, share: float, words: str) -> None:
        self.progress.value = round(100 * share)
        self.said.value = words

    def _add(self, result: found.Found, layer: Image) -> None:
        place = result.shown.place
        layer.metadata = {**layer.metadata, **place["metadata"]}
        layer.scale = place["scale"]
        layer.units = place["units"]
        outlines = self._viewer.add_labels(
            result.outlines,
            colormap=DirectLabelColormap(color_dict=result.colors),
            **result.outlines_layer,
        )
        outlines.contour = result.width_px
        outlines.editable = False
        self._viewer.add_labels(result.labels, **result.labels_layer)
        self.progress.value = 100
        self.said.value = "\n".join(result.lines)

    def _fail(self, shown: Shown, error: Exception) -> None:
        self.said.value = failure(shown.file or Path(shown.name), error)

    def _end(self) -> None:
        if self._worker.abort_requested:
            self.said.value = found.CANCELLED
            self.progress.value = 0
        self._running(False)

    def _running(self, is_running: bool) -> None:
        self.start.enabled = not is_running
        self.cancel.enabled = is_running


class Sizes(Container):
    """Measures the particles of a labels layer as it is now, and saves it."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer"):
        self.image = _layers(napari_viewer, "image", Image)
        self.particles = _layers(napari_viewer, "labels", Labels)
        self.pixel_size = _pixel_size()
        self.folder = FileEdit(
            label="folder",
            mode="d",
            nullable=True,
            tooltip="for particles.csv, summary.csv and sizes.png; empty: predictions, beside the "
            "image",
        )
        self.start = PushButton(text="Measure")
        self.said = _text()
        self.picture = QLabel()
        #: Where a layer was saved, by the file of the image. Copies of a layer have its metadata.
        self._saved: WeakKeyDictionary[Labels, dict[Path | None, Path]] = WeakKeyDictionary()
        self.start.clicked.connect(self._start)
        super().__init__(
            widgets=[
                self.image,
                self.particles,
                self.pixel_size,
                self.folder,
                self.start,
                self.said,
            ]
        )
        self.native.layout().addWidget(self.picture)

    def _start(self) -> None:
        layer = self.particles.value
        known = {} if layer is None else self._saved.setdefault(layer, {})
        self.picture.clear()
        try:
            shown = Shown.of(self.image.value, self.pixel_size.value or None)
            measured = corrected.measure(
                shown,
                None if layer is None else layer.data,
                folder=self.folder.value,
                saved=known.get(shown.file),
            )
        except PassbandError as error:
            self.said.value = str(error)
            return
        known[shown.file] = measured.saved
        self.said.value = "\n".join(measured.lines)
        if measured.picture is not None:
            drawn = QPixmap(str(measured.picture))
            mode = Qt.TransformationMode.SmoothTransformation
            self.picture.setPixmap(drawn.scaledToWidth(_PICTURE_PX, mode))


def _layers(viewer: "napari.viewer.Viewer", label: str, kind: type) -> ComboBox:
    """Return a field that lists the layers of a kind, without the outlines of *Segment*."""

    def choices(_: ComboBox) -> list:
        return [
            layer
            for layer in viewer.layers
            if isinstance(layer, kind) and not layer.metadata.get(KEY, {}).get("is_outlines")
        ]

    return ComboBox(label=label, choices=choices)


def _pixel_size() -> FloatSpinBox:
    """Return the field for the pixel size, whose 0 stands for that of the file."""
    field = FloatSpinBox(
        label="pixel size [Å]", value=0, min=0, max=MAX_PIXEL_SIZE_A - 1e-4, step=0.0001
    )
    field.native.setSpecialValueText("of the file")
    return field


def _text() -> TextEdit:
    """Return the field that says what was found, from which words can be copied."""
    field = TextEdit(label="")
    field.native.setReadOnly(True)
    return field
