"""A network in an ONNX file, which onnxruntime computes: neither torch nor its code is needed.

The file is opened as what a stranger made, see :mod:`passband.micrographs.models.onnx_file`.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from passband.errors import PassbandError
from passband.micrographs.models import onnx_file
from passband.storage.integrity import check_regular

#: The names of the input and of the outputs. Only the probability must be there.
INPUT = "image"
PROBABILITY, FURTHER, MEANS = "probability", "particles", "means"
#: The largest file [bytes].
MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class OnnxModel:
    """A network in an ONNX file, see :class:`passband.micrographs.models.model.Model`.

    Attributes:
        outputs: The number of outputs, with that of the mask.
        has_means: Whether the file has the means of the encoder's features.
    """

    path: Path
    name: str
    divisor: int
    smallest_px: int
    outputs: int
    halo: int | None
    bytes_per_pixel: float
    has_means: bool
    _session: Any = field(repr=False, compare=False)
    _options: Any = field(repr=False, compare=False)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        digest: str,
        name: str,
        divisor: int,
        smallest_px: int,
        outputs: int,
        halo: int | None,
        bytes_per_pixel: float,
        threads: int = 0,
    ) -> "OnnxModel":
        """Return the network in a file.

        Args:
            digest: The SHA-256 of the file, in hexadecimal digits.
            name, divisor, smallest_px, outputs, halo, bytes_per_pixel: See
                :class:`passband.micrographs.models.model.Model`.
            threads: Number of threads; by default as many as the processor has cores.

        Raises:
            PassbandError: If onnxruntime is missing, or if the file is missing, too large, changed,
                damaged, or has what is not allowed. The message is one line.
        """
        onnxruntime = _onnxruntime()
        path = Path(path)
        content = _content(path, digest)
        try:
            onnx_file.check(content)
        except ValueError as error:
            raise PassbandError(f"{path}: the ONNX file {error}") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = False  # it needs half as much memory again, and no less time
        options.log_severity_level = 4  # its warnings are for those who make the file
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class of errors for each reason
            raise PassbandError(f"{path}: onnxruntime refuses it: {_words(error)}") from None
        _check_input(path, session)
        found = {each.name for each in session.get_outputs()}
        wanted = {PROBABILITY, FURTHER} if outputs > 1 else {PROBABILITY}
        if not wanted <= found <= {PROBABILITY, FURTHER, MEANS}:
            raise PassbandError(
                f"{path}: the ONNX file has the outputs {', '.join(sorted(found))[:200]}; must be "
                f"{' and '.join(sorted(wanted, reverse=True))}, and may be {MEANS}"
            )
        run_options = onnxruntime.RunOptions()
        run_options.log_severity_level = 4
        run_options.only_execute_path_to_fetches = True
        return cls(
            path=path,
            name=name,
            divisor=divisor,
            smallest_px=smallest_px,
            outputs=outputs,
            halo=halo,
            bytes_per_pixel=bytes_per_pixel,
            has_means=MEANS in found,
            _session=session,
            _options=run_options,
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return (N, outputs, height, width) float32: the probability, and the further outputs.

        Raises:
            PassbandError: If an output has a wrong shape or a NaN; of all methods.
        """
        number, _, *sides = images.shape
        shapes = {PROBABILITY: (number, 1, *sides)}
        if self.outputs > 1:
            shapes[FURTHER] = (number, self.outputs - 1, *sides)
        return np.concatenate(self._run(images, shapes), 1)

    def probability(self, images: np.ndarray) -> np.ndarray:
        """Return the probability alone, (N, height, width) float32."""
        (found,) = self._run(images, {PROBABILITY: images.shape})
        return found[:, 0]

    def means(self, images: np.ndarray) -> np.ndarray:
        """Return the means (N, channels) float64 of the encoder's features over the pixels."""
        if not self.has_means:
            raise PassbandError(f"{self.path}: the ONNX file lacks the output {MEANS}")
        (found,) = self._run(images, {MEANS: (len(images), None)})
        return found.astype(float)

    def _run(
        self, images: np.ndarray, shapes: dict[str, tuple[int | None, ...]]
    ) -> list[np.ndarray]:
        """Return some outputs, whose shapes are known except for sides that are None."""
        given = {INPUT: np.ascontiguousarray(images, np.float32)}
        try:
            every = self._session.run([*shapes], given, self._options)
        except Exception as error:  # onnxruntime has a class of errors for each reason
            raise PassbandError(f"{self.path}: onnxruntime fails: {_words(error)}") from None
        for (name, shape), found in zip(shapes.items(), every, strict=True):
            is_like = found.ndim == len(shape) and all(
                side in (None, own) for side, own in zip(shape, found.shape, strict=True)
            )
            if not is_like or found.dtype != np.float32:
                raise PassbandError(
                    f"{self.path}: its output {name} is {found.dtype} of {found.shape}; must be "
                    f"float32 of {shape}"
                )
            if not np.isfinite(found).all():
                raise PassbandError(f"{self.path}: its output {name} has a NaN or infinite number")
        return every


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise PassbandError(
            "networks need onnxruntime, which is not installed: run pip install onnxruntime"
        ) from None
    return onnxruntime


def _content(path: Path, digest: str) -> bytes:
    """Return the content of a file that is not too large and has a digest."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise PassbandError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise PassbandError(f"{path}: must have at most {MOST_BYTES / 1e6:g} MB")
    if hashlib.sha256(content).hexdigest() != digest:
        raise PassbandError(f"{path}: was changed: it has another digest than {digest[:12]}…")
    return content


def _check_input(path: Path, session: Any) -> None:
    """Raise PassbandError unless the only input is images of one channel."""
    inputs = session.get_inputs()
    (first, *others) = inputs or [None]
    is_image = (
        not others
        and first is not None
        and first.name == INPUT
        and first.type == "tensor(float)"
        and len(first.shape) == 4
        and first.shape[1] == 1
    )
    if not is_image:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)[:200]
        raise PassbandError(
            f"{path}: the ONNX file has the inputs {found or 'none'}; must be {INPUT}, float of "
            "batch × 1 × height × width"
        )


def _words(error: Exception) -> str:
    """Return the first line of an error's message."""
    return " ".join(str(error).strip().split("\n")[0].split())[:300]
