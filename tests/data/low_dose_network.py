"""Make low_dose_network.tar.xz: a trained network with its likeness.json, and images with masks.

Run `python tests/data/low_dose_network.py RESULTS` with the folder of results of the finished demo.
The network was trained at 100 e/Å², where other images are hardest to recognize. The images are of
the training condition: test structures of the demo, and iron and cadmium selenide in place of gold.
"""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import torch

from passband.answers import trust
from passband.imaging.acquisition import Acquisition
from passband.imaging.structures import Split, Structures
from passband.learning.network_files import open_networks
from passband.network_id import NetworkId
from passband.results import Results
from passband.specimens import exit_waves

ROOT = Path(__file__).resolve().parents[2]
NETWORK = NetworkId("gold", "compact-w8-d3", "df+0005.00_cs+0001.200_ap010.00_ds000100.00", 0)
#: Number of images of each material.
NUMBERS = {"Au": 24, "Fe": 8, "CdSe": 8}


def main() -> None:
    """Write the archive."""
    results = Results.find(sys.argv[1])
    (network,) = open_networks(results, NETWORK)
    study = network.study
    cpu, gold = torch.device("cpu"), study.specimens["gold"]
    acquisition = Acquisition.from_microscope(study.microscope, network.normalisation, cpu)
    arrays = {}
    for material, number in NUMBERS.items():
        if material == "Au":
            split = results.structures("gold", "test").load(cpu).first(number).sets[""]
        else:
            shape = "wulff" if material == "Fe" else "sphere"
            specimen = gold.model_copy(update={"material": material, "shape": shape})
            waves = exit_waves.simulate(
                material, specimen, study.microscope, study.study.seed, "test", range(number), "cpu"
            )
            structures = Structures(study.study.seed, material, "test", study.microscope)
            split = Split.from_dataset(waves, structures, cpu)
        counts = torch.cat(list(acquisition.counts(split, network.condition))).numpy()
        arrays[material] = counts.astype(np.uint8)
        arrays[f"{material}_mask"] = split.masks[:, 0].numpy() > 0.5
        assert np.array_equal(arrays[material], counts)
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    known = json.dumps(trust.measured_trust(network, with_ctf=True).to_values()).encode()
    contents = {
        "weights.safetensors": network.path.read_bytes(),
        "likeness.json": known,
        "images.npz": packed.getvalue(),
    }
    target = ROOT / "tests/data/low_dose_network.tar.xz"
    with tarfile.open(target, mode="w:xz", preset=9) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    print(f"{target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
