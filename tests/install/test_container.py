"""What the Containerfile makes is Passband, which makes a study and segments an image."""

import pytest

pytestmark = pytest.mark.install


def test_the_entry_is_passband(container):
    assert container.run('"$ENTRYPOINT" --help').startswith("usage: passband")
    assert container.run("pwd && id -un") == "/work\nroot\n"


def test_a_new_study_is_checked_and_run(container):
    container.run("passband new mine --like smallest && cd mine && passband check")
    container.run("passband run mine")
    assert (container.work / "results" / "mine" / "report.html").is_file()


def test_an_image_is_segmented(container):
    container.run("passband predict general sample")
    assert (container.work / "predictions" / "sample_overlay.png").is_file()
