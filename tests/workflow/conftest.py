"""A copy of the finished smallest study for tests that change it."""

import pytest
from workplace import Workplace


@pytest.fixture
def copied(finished, tmp_path) -> Workplace:
    """A copy of the finished smallest study, which the test may change."""
    place = Workplace(tmp_path / "copy")
    place.take(finished.folder)
    return place
