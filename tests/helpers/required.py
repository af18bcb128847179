"""What a machine may lack, but CI must have."""

import os
from typing import NoReturn

import pytest


def refuse(what: str, reason: str) -> NoReturn:
    """Skip the test for a reason; fail if PASSBAND_REQUIRE_<what> is set, as .ci/run does."""
    (pytest.fail if os.environ.get(f"PASSBAND_REQUIRE_{what}") else pytest.skip)(reason)
