"""Make finished_03.tar.xz: results of the smallest study, with the records of Snakemake.

Run `python tests/data/finished.py` at a clean commit. Later versions of Passband find nothing to do
in these results until the number of a stage in `passband.STAGES` is raised. The archive is then
made again. `python tests/data/finished.py --update` makes only the results of this stage and of the
stages after it again; all other results stay those of an earlier version. See `tests/workflow`.
"""

import base64
import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/helpers"))

from workplace import Workplace  # noqa: E402

#: Where it is made: results say where they were made, and this folder is no one's home.
FOLDER = Path("/tmp/finished")


def main() -> None:
    """Run the smallest study and write the archive of its results."""
    place = Workplace(FOLDER)
    if "--update" in sys.argv:
        unpack("finished_03", FOLDER)
    # One format of figures, and a low resolution, for the file's size.
    study = place.study(figures={"formats": ["png"], "dpi": 30})
    place.run(study=study)
    pack("finished_03", FOLDER, "smallest")


def unpack(name: str, folder: Path) -> None:
    """Write the files of an archive in tests/data into a folder."""
    with tarfile.open(ROOT / f"tests/data/{name}.tar.xz") as archive:
        archive.extractall(folder, filter="tar")


def pack(name: str, folder: Path, study: str) -> None:
    """Write an archive in tests/data of a study's results, and delete the folder of its run."""
    # The report is left out: tests make it for a study that was finished without it.
    page = f"results/{study}/report.html"
    record = base64.b64encode(page.encode()).decode()
    for file in (page, f".snakemake/metadata/{record}"):
        (folder / file).unlink()
    for kind in ("logs/report.log", "benchmarks/report.tsv"):
        (folder / "results" / study / kind).unlink()
    for log in (folder / "results").rglob("*.log"):
        before = log.stat()
        log.write_text(log.read_text().replace(f"{ROOT}/", ""))
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        for file in ("study.yaml", "results", ".snakemake/metadata"):
            archive.add(folder / file, file, filter=anonymous)
    (ROOT / f"tests/data/{name}.tar.xz").write_bytes(packed.getvalue())
    shutil.rmtree(folder)
    print(f"{len(packed.getvalue()) / 1e6:.2f} MB")


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return an archive member without its owner's name."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
