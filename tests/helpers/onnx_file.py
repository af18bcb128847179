"""Publishing without the ONNX file, whose export takes seconds."""

import pytest

from passband.sharing import onnx_export


def leave_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a file that is no network in place of the ONNX file."""

    def export(network, divisor, smallest_px, path, metadata, has_head, has_means):
        path.write_bytes(b"onnx")
        return 20

    monkeypatch.setattr(onnx_export, "export", export)
    none = {onnx_export.OUTPUT: 0.0, onnx_export.FURTHER: 0.0}
    monkeypatch.setattr(onnx_export, "largest_differences", lambda *_, **__: (none, [(8, 8)]))
