"""The files of a published folder are compared with their checksums."""

import pytest

from passband import PassbandError
from passband.results import published
from passband.storage import integrity


def test_a_file_of_gigabytes_is_refused_before_it_is_read(tmp_path):
    for name in (published.WEIGHTS, "other"):
        (tmp_path / name).touch()
    integrity.write_checksums(tmp_path, [*tmp_path.iterdir()])
    published.check(tmp_path)
    with (tmp_path / "other").open("r+b") as file:
        file.truncate(10**12)  # takes no place on the disk
    with pytest.raises(PassbandError, match=r"other has 1,000,000 MB, must be at most 4000; copy"):
        published.check(tmp_path)


@pytest.mark.parametrize(
    "name", [published.WEIGHTS, published.LIKENESS, published.STUDY, published.TABLE, "parts/a.py"]
)
def test_a_file_that_is_added_without_a_digest_is_refused(tmp_path, name):
    """Such as code of a part, which would run."""
    (tmp_path / "card.md").touch()
    integrity.write_checksums(tmp_path, [*tmp_path.iterdir()])
    published.check(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(
        PassbandError, match=rf": {name} has no digest in .*; copy the folder again"
    ):
        published.check(tmp_path)
