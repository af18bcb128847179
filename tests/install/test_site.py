"""The site is built from a clone: without network, and in a path with a space."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browser
import clones
import pytest

from passband import cli

pytestmark = pytest.mark.install

LINE = (
    "results/demo is not finished (make demo): the site is without its report and its explorer, "
    "and notebooks are not executed"
)
#: What the finished demo has, as far as the site needs it.
DEMO = "report.html", "explorer.html", "table.zarr", "ood.zarr", "information.zarr"
#: A notebook's header, and its cells with code.
CODE = r"(?ms)\A---\n.*?^---\n|^```\{code-cell\}.*?^```\n"
ADDRESS = "https://example.org/passband"
#: No address of another host is reached.
CLOSED = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")


class Links(HTMLParser):
    """The links of a page, its ids, and what a browser loads with it."""

    def __init__(self, page: Path):
        super().__init__()
        self.links, self.ids, self.loaded = set(), set(), set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found[key] for key in ("id", "name") if key in found}
        if tag == "a" and found.get("href"):
            self.links.add(found["href"])
        if tag in ("img", "script") and found.get("src"):
            self.loaded.add(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.add(found["href"])


def make(clone: Path, *words: str, programs: Path) -> subprocess.CompletedProcess:
    """Type `make docs` in a clone, whose environment has the given programs."""
    path = f"{programs}:{os.environ['PATH']}"
    left = "MAKELEVEL", "MAKEFLAGS", "MFLAGS", "VIRTUAL_ENV"
    environment = {k: v for k, v in os.environ.items() if k not in left} | CLOSED | {"PATH": path}
    return subprocess.run(
        ["make", "docs", *words],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )


def build(clone: Path) -> str:
    """Build the site with the packages of the tests, and return all that is printed."""
    done = make(clone, "-o", ".venv/.installed-dev", programs=Path(sys.executable).parent)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the clone in a folder with a space, without results."""
    folder = tmp_path_factory.mktemp("a clone")
    clones.copy(folder)
    return folder


@pytest.fixture(scope="module")
def printed(clone) -> str:
    return build(clone)


@pytest.fixture(scope="module")
def site(clone, printed) -> Path:
    return clone / "build" / "site"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Links]:
    found = (page for page in sorted(site.rglob("*.html")) if page.parent.name != "_static")
    return {page.resolve(): Links(page) for page in found}


def test_without_the_demo_one_line_says_what_is_missing(printed, site):
    assert printed.splitlines() == [
        "passband docs",
        LINE,
        "Open build/site/index.html in a browser",
    ]
    assert not (site / "demo").exists()


def test_the_start_page_is_the_readme(site, pages):
    start = (site / "index.html").read_text(encoding="utf-8")
    assert start == (site / "README.html").read_text(encoding="utf-8")
    assert "What you get" in start
    for part in ("start", "how-to", "explanation", "reference"):
        assert f"docs/site/{part}.html" in pages[(site / "index.html").resolve()].links


def test_every_page_of_the_clone_is_on_the_site(clone, site, pages):
    written = {*clone.glob("docs/**/*.md"), *clone.glob("findings/**/*.md")}
    written |= {clone / "README.md", clone / "CHANGELOG.md"}
    written.remove(clone / "findings/twelve_thousand/page.md")  # what its README is made from
    for page in written:
        assert (site / page.relative_to(clone).with_suffix(".html")).resolve() in pages


def test_every_link_leads_to_a_place_on_the_site(site, pages):
    broken = []
    for page, found in pages.items():
        for link in {*found.links, *found.loaded}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            there = pages[target].ids if target in pages else {unquote(parts.fragment)}
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in there):
                broken.append(f"{page.relative_to(site.resolve())}: {link}")
    assert sum(len(found.links) for found in pages.values()) > 1000
    assert broken == []


def test_pages_load_nothing_from_another_host(pages):
    loaded = {link for found in pages.values() for link in found.loaded}
    assert len(loaded) > 10
    assert [link for link in loaded if urlsplit(link).netloc] == []


def test_every_command_and_its_options_are_described(site):
    text = re.sub("<[^>]+>", "", (site / "docs/site/commands.html").read_text(encoding="utf-8"))
    for group in cli.COMMANDS.values():
        for command in group:
            assert f"passband {command.example}" in " ".join(text.split()).replace("&gt;", ">")
    assert "--like STUDY" in " ".join(text.split())
    assert "if --network is a path or general" in " ".join(text.split())


def test_a_parameter_and_its_description_have_a_dash_between_them(site):
    text = re.sub("<[^>]+>", "", (site / "docs/site/api.html").read_text(encoding="utf-8"))
    assert "noun – A study" in text
    assert " -- " not in text


def test_the_search_finds_a_page_without_a_server(site):
    browser.require()
    with browser.opened(f"{(site / 'search.html').as_uri()}?q=underfocus") as page:
        page.wait("document.querySelector('#search-results a[href*=\"docs/ctf.html\"]')?.innerText")


def test_without_the_extra_one_line_says_what_is_missing(clone, tmp_path):
    for name, status in (("passband", 0), ("python", 1)):  # python finds no such module
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    done = make(clone, "-o", ".venv/.installed-gpu", "EXTRAS=gpu", programs=tmp_path)
    assert done.returncode != 0
    _, line, _ = done.stdout.splitlines()  # between the command and make's own line
    assert line == "EXTRAS = gpu: the site needs the extra docs, which dev has"


@pytest.fixture(scope="module")
def released(clone, pages) -> Path:
    """The site of a clone with an address and a finished demo, and notebooks without code."""
    results, notebooks, project = (
        clone / name for name in ("results/demo", "docs/notebooks", "pyproject.toml")
    )
    results.mkdir()
    for name in DEMO:
        (results / name).write_text(f"<p>{name} of the demo")
    for page in notebooks.glob("*.md"):  # other pages link to them
        prose = re.sub(CODE, "", page.read_text(encoding="utf-8"))
        page.write_text(prose, encoding="utf-8")
    text = project.read_text(encoding="utf-8")
    address = f'[project.urls]\nRepository = "{ADDRESS}"\n\n[project.scripts]'
    project.write_text(text.replace("[project.scripts]", address), encoding="utf-8")
    assert LINE not in build(clone)
    return clone / "build" / "site"


def test_the_pages_of_a_finished_demo_are_on_the_site(released):
    for name in ("report.html", "explorer.html"):
        assert (released / "demo" / name).read_text() == f"<p>{name} of the demo"
        assert f"../demo/{name}" in Links(released / "docs/gallery.html").links


def test_links_to_other_files_lead_to_the_repository_if_it_has_an_address(pages, released):
    page = released / "docs/ten-minutes.html"
    assert not [link for link in pages[page.resolve()].links if "pilot.yaml" in link]
    assert f"{ADDRESS}/blob/main/studies/pilot.yaml" in Links(page).links
