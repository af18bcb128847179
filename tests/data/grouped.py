"""Make grouped_03.tar.xz: a finished study that has what the smallest study lacks.

Several conditions in a job, a mixture, two further axes (one of them needs other exit waves), and
results of `passband evaluate`. Run `python tests/data/grouped.py` as `tests/data/finished.py`.
"""

import subprocess
import sys
from pathlib import Path

import yaml
from finished import pack, unpack
from workplace import SMALLEST, Workplace

#: Where it is made, as in `finished`.
FOLDER = Path("/tmp/grouped")

GRID = {
    "defocus_nm": [5, 20],
    "cs_um": [1.2],
    "aperture_mrad": [16],
    "dose_e_per_A2": [200, 1000],
    "astigmatism_nm": [0, 4],
    "energy_kev": [200, 300],
}
SOFT = {
    "name": "soft",
    "ranges": {
        "defocus_nm": [0, 30],
        "cs_um": 1.2,
        "aperture_mrad": 16,
        "dose_e_per_A2": [100, 1000],
    },
}

#: Conditions that no network of the study is trained or tested under.
FURTHER = {
    "defocus-nm": "12",
    "cs-um": "1.2",
    "aperture-mrad": "16",
    "dose-e-per-A2": "400",
    "energy-kev": "200,300",
}


def study() -> dict:
    """Return the study: small fields and few structures, but most networks learn something."""
    study = yaml.safe_load(SMALLEST.read_text())
    study["study"] |= {
        "name": "grouped",
        "structures": {"train": 6, "val": 2, "test": 4},
        "conditions_per_job": 4,
    }
    study["microscope"]["field_px"] = 48
    study["specimens"]["gold"]["diameter_nm"] = {"mean": 1.0, "std": 0.1, "min": 0.9, "max": 1.1}
    study["grid"] = [GRID, {"mixture": SOFT}]
    study["training"] |= {
        "architectures": ["compact-w2-d2"],
        "epochs": 15,
        "learning_rate": 0.02,
    }
    study["figures"] = {"formats": ["png"], "dpi": 30, "examples": 1}
    return study


def main() -> None:
    """Run the study and `passband evaluate`, and write the archive of its results."""
    place = Workplace(FOLDER)
    if "--update" in sys.argv:
        unpack("grouped_03", FOLDER)
    (FOLDER / "study.yaml").write_text(yaml.safe_dump(study(), sort_keys=False))
    place.run(study="study.yaml")
    options = [f"--{name}={value}" for name, value in FURTHER.items()]
    command = [sys.executable, "-m", "passband.cli", "evaluate", "study.yaml", *options]
    subprocess.run(command, cwd=FOLDER, check=True)
    pack("grouped_03", FOLDER, "grouped")


if __name__ == "__main__":
    main()
