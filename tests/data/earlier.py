"""Make earlier.tar.xz: a small study that Passband 0.2 finished, and the answers that 0.2 gave.

It has what the other two archives of 0.2 lack: a predicted matrix, tests of networks under their
own conditions and under drawn microscopes, a piece from `passband pack`, and a published network of
the study in finished.tar.xz.
Run `python tests/data/earlier.py FOLDER` with a folder that has the code of commit 29bc31e.
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import yaml

TARGET = Path(__file__).with_name("earlier.tar.xz")
STUDY = {
    "study": {
        "name": "earlier",
        "structures": {"train": 6, "val": 2, "test": 4},
        "structures_per_shard": 8,
        "replicas": 2,
        "replicas_per_job": 2,
        "conditions_per_job": 8,
    },
    "microscope": {"pixel_size_A": 0.35, "field_px": 48},
    "specimens": {
        "gold": {
            "diameter_nm": {"mean": 1.0, "std": 0.1, "min": 0.9, "max": 1.1},
            "particles": {"min": 1, "max": 1},
            "substrate": {"thickness_nm": 0.6},
        }
    },
    "grid": [
        {
            "defocus_nm": [5, 10, 20, 30],
            "cs_um": [1.2],
            "aperture_mrad": [12, 16],
            "dose_e_per_A2": [200, 500, 1000],
        },
        {
            "mixture": {
                "name": "soft",
                "ranges": {
                    "defocus_nm": [0, 30],
                    "cs_um": 1.2,
                    "aperture_mrad": 16,
                    "dose_e_per_A2": [100, 1000],
                },
            }
        },
    ],
    "test_grid": {
        "defocus_nm": [5, 15, 20, 30],
        "cs_um": [1.2],
        "aperture_mrad": [12, 16],
        "dose_e_per_A2": [200, 500, 1000],
    },
    "training": {
        "architectures": ["compact-w2-d2"],
        "epochs": 15,
        "batch_size": 4,
        "learning_rate": 0.02,
    },
    "evaluation": {"bootstrap": 20, "test_own": True, "microscopes": 6},
    "information": {"samples": 128},
    "figures": {"formats": ["png"], "dpi": 30, "examples": 1},
}
LENS = "--defocus-nm=12", "--cs-um=1.2", "--aperture-mrad=16", "--dose-e-per-A2=400"
#: The published network, of the study in finished.tar.xz.
NETWORK = "gold/compact-w4-d2/df+0005.00_cs+0001.200_ap016.00_ds001000.00/0"
#: The answers of 0.2, by name: the commands that print them.
ANSWERS = {
    "recommend.json": ["recommend", "earlier", "--json", *LENS],
    "next.json": ["next", "earlier", "--budget=2", "--json"],
    "table.txt": ["table", "earlier"],
    "predict.txt": ["predict", "published", "image.npy", "--pixel-size-A=0.35", "--out=found"],
}


def image() -> bytes:
    """Return the file of a noisy image with a bright disc of 1 nm."""
    import numpy as np

    y, x = np.mgrid[:96, :96] - 48
    packed = io.BytesIO()
    np.save(packed, np.random.default_rng(2512).poisson(60 - 25 * (x**2 + y**2 < 14**2)))
    return packed.getvalue()


def main() -> None:
    """Run the study with the code of 0.2, ask what it says, and write the archive."""
    code = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), code)
        pack(Path(folder))


def make(folder: Path, code: Path) -> None:
    """Make the study, and what 0.2 answers, in a folder."""

    def passband(*words: str) -> str:
        environment = os.environ | {"PYTHONPATH": str(code / "src")}
        command = [sys.executable, "-m", "passband", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    (folder / "image.npy").write_bytes(image())
    passband("run", "study.yaml")
    passband("evaluate", "study.yaml", "--confidence", *LENS)
    with tarfile.open(TARGET.with_name("finished.tar.xz")) as archive:
        archive.extractall(folder / "finished", filter="data")
    words = f"--network={NETWORK}", "--name=a network", "--out=published"
    passband("publish", "finished/results/smallest", *words)
    passband("pack", "earlier", "--into", "packed")
    for name, words in ANSWERS.items():
        (folder / name).write_text(passband(*words))


def pack(folder: Path) -> None:
    """Write the archive without the pages, which are large."""

    def kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if member.name.endswith(".html") else member

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        for name in ("study.yaml", "image.npy", "results", "published", "packed", *ANSWERS):
            archive.add(folder / name, name, filter=kept)
    TARGET.write_bytes(packed.getvalue())
    print(f"{len(packed.getvalue()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
