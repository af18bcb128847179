"""The account, which is made from the files beside it."""

import shutil
from string import Template

import pytest

from findings.twelve_thousand import page, recompute
from findings.twelve_thousand.pieces import FOLDER
from passband import PassbandError


def test_the_account_is_made_from_the_files_beside_it():
    made, text = page.fields(), (FOLDER / "page.md").read_text(encoding="utf-8")
    assert set(Template(text).get_identifiers()) == set(made)
    account = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert account == Template(text).substitute(made)
    assert "nan" not in account
    lines = account.splitlines()
    rows = sum(line.startswith("|") for line in lines) - 2 * sum(
        line.startswith("|---") for line in lines
    )
    words = sum(len(line.split()) for line in lines if not line.startswith("|"))
    assert rows <= 42
    assert words <= 1200


def test_an_account_without_a_file_is_one_line(tmp_path):
    with pytest.raises(PassbandError, match=r"matrix.json: is missing; run the other commands"):
        page.fields(tmp_path)


def test_an_account_with_another_number_is_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "account"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("parts"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    (folder / "README.md").write_text(text.replace("12,096 networks", "12,097 networks"))
    monkeypatch.setattr(recompute, "FOLDER", folder)
    with pytest.raises(PassbandError, match=r"README.md: line 3: .*12,097.*, made again: .*12,096"):
        [*recompute.account()]
