"""A lock of a part: predictions are committed first, and opened once."""

from pathlib import Path

import numpy as np
import pytest

from findings.second_lock.locked import Lock
from passband import PassbandError

LOCK = Lock("part9")


def test_a_lock_is_opened_once_after_its_commits(protocol, commit):
    with pytest.raises(PassbandError, match=r"digests\.json: is missing; predict first"):
        LOCK.committed()
    LOCK.write({"A": np.array([[0.5, 1.0]])})
    with pytest.raises(PassbandError, match="has no commit"):
        LOCK.open({}, {})
    commit()
    np.testing.assert_allclose(LOCK.read()["A"], [[0.5, 1.0]], atol=1e-5)
    LOCK.open({"dice": np.array([0.25])}, {"primary": 1})
    with pytest.raises(PassbandError, match="was opened before; its result stands"):
        LOCK.open({}, {})
    LOCK.result.unlink()
    LOCK.open({"dice": np.array([0.25])}, {"primary": 1})
    commit()
    LOCK.result.unlink()
    with pytest.raises(PassbandError, match="was opened before; its result stands"):
        LOCK.open({}, {})


def test_another_protocol_or_other_predictions_are_one_line(protocol, commit):
    LOCK.write({"A": np.array([[0.5]])})
    commit()
    np.savez_compressed(LOCK.predictions, A=np.array([[7]], np.uint16))
    with pytest.raises(PassbandError, match="the protocol or the predictions have changed"):
        LOCK.open({}, {})
    protocol.write_text("other margins")
    with pytest.raises(PassbandError, match=r"protocol\.md: differs from the committed file"):
        LOCK.read()
    commit()
    with pytest.raises(PassbandError, match="the protocol or the predictions have changed"):
        LOCK.committed()


def test_predictions_that_are_committed_twice_are_refused(protocol, commit):
    for value in (0.5, 0.6):
        LOCK.write({"A": np.array([[value]])})
        commit()
    with pytest.raises(PassbandError, match=r"was committed in .*, and changed in"):
        LOCK.committed()
    assert isinstance(LOCK.phases[1][0], str)
    assert Path(LOCK.phases[1][0]).parts[0] == "locked"
