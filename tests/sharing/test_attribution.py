"""The name, the license and the authors of a published network."""

from types import SimpleNamespace

import pytest
from pydantic import TypeAdapter

from passband import PassbandError, cli
from passband.answers import publishing
from passband.sharing import attribution

pytestmark = pytest.mark.slow

PEOPLE = ["A. Author", "Müller, Ä.", "O'Brien-Smith (group 3)", "李明"]


def test_names_of_people_are_allowed():
    attribution.check(None, "MIT", PEOPLE)


def test_the_format_allows_names_of_people():
    from bioimageio.spec.model.v0_5 import Author

    for author in PEOPLE:
        TypeAdapter(Author).validate_python({"name": author})


@pytest.mark.parametrize(
    "author", ["<script>", "a/b", "a\\b", "", "  ", "a\nb", "\x1b[31mred", "a>b"]
)
def test_other_authors_are_refused_by_the_name_of_the_option(author):
    with pytest.raises(PassbandError, match=r"^author = ") as caught:
        attribution.check(None, "MIT", ["A. Author", author])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["abcd", "a" * 65, "naïve", "a<bcd", "a.bcde"])
def test_names_that_the_format_does_not_allow_are_refused(name):
    with pytest.raises(PassbandError, match=r"^name = .*: must have 5 to 64 characters"):
        attribution.check(name, "MIT", [])


def test_names_of_the_allowed_lengths_pass():
    attribution.check("abcde", "MIT", [])
    attribution.check("a" * 64, "CC-BY-4.0", [])


@pytest.mark.parametrize("license", ["free", "mit", ""])
def test_licenses_without_an_id_are_refused(license):
    with pytest.raises(PassbandError, match=r"^license = .*: must be the SPDX id of a license"):
        attribution.check(None, license, [])


@pytest.mark.parametrize("words", [("--author", "<script>"), ("--name", "a"), ("--license", "x")])
def test_a_label_is_refused_by_the_name_of_its_option(words, monkeypatch, capsys):
    monkeypatch.setattr(publishing, "publish", None)
    assert cli.main(["publish", "general", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{words[0]} = '{words[1]}': must ")


def test_the_default_name_is_allowed():
    condition = SimpleNamespace(defocus_nm=-12.4, dose_e_per_A2=399.7)
    metadata = SimpleNamespace(specimen="gold_5nm", architecture="resnet.18")
    network = SimpleNamespace(condition=condition, metadata=metadata, replica=3)
    name = attribution.default_name(network)
    assert name == "gold_5nm resnet-18 (-12 nm 400 e per A2) replica 3"
    attribution.check(name, "MIT", [])
