"""A hook of pytest that imports no file of which ``-m "not … and not …"`` leaves out every test.

Files of slow tests import Lightning, ONNX and much else, for which each worker of ``make quick``
would wait. What leaves out every test is a mark in the file's ``pytestmark``.
"""

import re
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    chosen = config.option.markexpr
    if collection_path.suffix != ".py" or not re.fullmatch(r"not \w+( and not \w+)*", chosen):
        return None
    left_out = "|".join(re.findall(r"not (\w+)", chosen))
    of_all = rf"^pytestmark = (\[[^]]*)?pytest\.mark\.({left_out})\b"
    return re.search(of_all, collection_path.read_text(), re.M) is not None or None
