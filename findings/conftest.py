"""What the tests of all findings share. They run from the repository's root, as the scripts do."""

from pathlib import Path

import pytest
import torch

# One thread, as in a job. Images in tests are so small that threads would mostly wait.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
