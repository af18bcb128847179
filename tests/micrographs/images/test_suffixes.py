"""The suffix of a file says which reader reads it; those of a study go before the package's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from passband import PassbandError
from passband.micrographs.images import readers, suffixes
from passband.parts import PACKAGE, PartError, Parts

EXAMPLES = Path(__file__).parents[3] / "examples/parts"
IMAGE = np.random.default_rng(0).poisson(50, (48, 64)).astype(np.uint16)


@pytest.fixture(autouse=True)
def readers_of_the_package_alone():
    yield
    suffixes.use(PACKAGE)


def own(folder: Path, *texts: str, trusted: bool = True) -> Parts:
    """Let this process use the readers in a folder of parts."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"reader_{number}.py").write_text(text)
    parts = Parts.read(folder)
    if trusted:
        parts.trust()
    suffixes.use(parts)
    return parts


def text(body: str, suffix: str = ".abc", name: str = "abc", arguments: str = "path") -> str:
    return (
        "import numpy as np\n"
        "from passband.micrographs.images.contents import Content\n"
        "from passband.parts import reader\n"
        f"@reader(suffixes=({suffix!r},))\n"
        f"def {name}({arguments}):\n"
        f"    {body}\n"
    )


GOOD = text("return Content(np.arange(1600.).reshape(40, 40), (0.3, 0.3))")


@pytest.mark.slow
def test_readers_of_the_package_are_known_without_their_libraries():
    """Only the names of suffixes are needed where a command looks for images."""
    code = (
        "import sys; from passband.micrographs.images import suffixes; "
        "print(*suffixes.readers()); "
        "print(*{'zarr', 'tifffile', 'PIL', 'rsciio', 'h5py'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    known, imported = done.stdout.splitlines()
    assert known == (
        ".dm3 .dm4 .emd .emi .jpeg .jpg .mrc .mrcs .npy .png .ser .tif .tiff .zarr .zarr.zip"
    )
    assert imported == ""


def test_the_longest_suffix_counts_in_any_case():
    assert suffixes.suffix(Path("a.zarr.zip")) == ".zarr.zip"
    assert suffixes.suffix(Path("A.TIF")) == ".tif"
    assert suffixes.suffix(Path("a.unknown")) == ".unknown"
    assert suffixes.suffix(Path(".npy")) == ""
    (first, *_, last) = suffixes.companions(Path("A.TIF"), Path("masks"))
    assert first == Path("masks/A.TIF")
    assert last == Path("masks/A.zarr.zip")


def test_a_reader_of_a_study_reads_its_files(tmp_path):
    own(tmp_path / "parts", GOOD)
    (tmp_path / "a.abc").touch()
    (tmp_path / "a.txt").touch()
    assert readers.find([tmp_path]) == [tmp_path / "a.abc"]
    micrograph = readers.read(tmp_path / "a.abc")
    assert micrograph.images.shape == (1, 40, 40)
    assert micrograph.pixel_size_A == 0.3


def test_a_reader_of_a_study_goes_before_the_packages(tmp_path):
    own(tmp_path / "parts", GOOD.replace(".abc", ".npy"))
    np.save(tmp_path / "a.npy", IMAGE)
    assert readers.read(tmp_path / "a.npy").images.shape == (1, 40, 40)


def test_two_readers_of_a_study_for_one_suffix(tmp_path):
    own(tmp_path / "parts", GOOD, GOOD.replace("def abc", "def other"))
    with pytest.raises(PartError) as error:
        suffixes.readers()
    assert str(error.value) == (
        "reader 'other' of parts/reader_1.py, line 4: parts/reader_0.py, line 4 reads files .abc, "
        "too"
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (text("return 3"), "returns int; must return a Content with an array"),
        (text("return Content([[1]])"), "returns list; must return a Content with an array"),
        (
            text("raise KeyError('x')"),
            "not a whole .abc file for reader 'abc' of parts/reader_0.py",
        ),
        ("1 / 0\n" + GOOD, "its import fails: ZeroDivisionError: division by zero"),
        ("import absent_module\n" + GOOD, "its import fails: ModuleNotFoundError"),
    ],
)
def test_a_reader_that_is_wrong_is_named_in_one_line(tmp_path, written, message):
    own(tmp_path / "parts", written)
    (tmp_path / "a.abc").touch()
    with pytest.raises(PassbandError) as error:
        readers.read(tmp_path / "a.abc")
    (line,) = str(error.value).splitlines()
    assert message in line
    assert "reader 'abc' of parts/reader_0.py" in line


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (text("", arguments="path, also").replace("    \n", "    pass\n"), "must take path"),
        (text("pass", suffix="abc"), "'abc' must be a point and small letters"),
        (text("pass", suffix=".ABC"), "'.ABC' must be a point and small letters"),
        (text("pass").replace("('.abc',)", "()"), "must have one at least"),
        (text("pass").replace("suffixes=('.abc',)", ""), "suffixes: is missing"),
    ],
)
def test_a_wrong_declaration_is_found_before_any_file_is_read(tmp_path, written, message):
    with pytest.raises(PartError, match=message) as error:
        own(tmp_path / "parts", written)
    assert "parts/reader_0.py, line 4" in str(error.value)


def test_a_reader_of_a_study_that_is_only_read_does_not_run(tmp_path):
    mark = tmp_path / "mark"
    own(tmp_path / "parts", f"open({str(mark)!r}, 'w')\n" + GOOD, trusted=False)
    (tmp_path / "a.abc").touch()
    with pytest.raises(PartError, match="its code is not run"):
        readers.read(tmp_path / "a.abc")
    assert not mark.exists()


def test_the_reader_of_the_examples(tmp_path):
    parts = Parts.read(EXAMPLES)
    parts.trust()
    suffixes.use(parts)
    head = np.array([*IMAGE.shape], "<u4").tobytes() + np.float32(0.031).tobytes()
    (tmp_path / "a.dump").write_bytes(head + IMAGE.tobytes() + IMAGE.tobytes())
    micrograph = readers.read(tmp_path / "a.dump")
    assert micrograph.pixel_size_A == pytest.approx(0.31)
    np.testing.assert_array_equal(micrograph.images, np.stack([IMAGE, IMAGE]))
    (tmp_path / "b.dump").write_bytes(head + IMAGE.tobytes()[:-2])
    with pytest.raises(PassbandError, match=r"b\.dump: not a whole \.dump file for reader 'dump'"):
        readers.read(tmp_path / "b.dump")
