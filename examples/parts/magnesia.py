"""A material: magnesia, whose smoke has cubes.

In the study: `material: MgO` and `shape: cube`. This file is read, and never run.
"""

from passband.parts import material

MgO = material(
    structure="rocksalt",
    lattice_A=4.212,  # CRC Handbook of Chemistry and Physics
)
