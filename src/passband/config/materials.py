"""The materials of the package: cubic crystals, as data that is read without running this file.

Lattice constants: CRC Handbook of Chemistry and Physics. Surface energies: Vitos et al., *Surf.
Sci.* 411, 186 (1998), full-charge-density calculations. B factors: Sears & Shelley, *Acta Cryst.*
A47, 441 (1991), room temperature. The B factors for 280 K of Peng et al., *Acta Cryst.* A52, 456
(1996), are within 5% of these after conversion to the same temperature.

Compounds have no surface energies here, because these depend on the termination of the surface and
on the surroundings.
"""

from passband.parts import material

Ag = material(
    structure="fcc",
    lattice_A=4.085,
    surface_energies={(1, 1, 1): 1.172, (1, 0, 0): 1.200, (1, 1, 0): 1.238},
    b_A2=0.73,
)
Au = material(
    structure="fcc",
    lattice_A=4.078,
    surface_energies={(1, 1, 1): 1.283, (1, 0, 0): 1.627, (1, 1, 0): 1.700},
    b_A2=0.62,
)
CdSe = material(structure="zincblende", lattice_A=6.05)
CeO2 = material(structure="fluorite", lattice_A=5.411)
Cu = material(
    structure="fcc",
    lattice_A=3.615,
    surface_energies={(1, 1, 1): 1.952, (1, 0, 0): 2.166, (1, 1, 0): 2.237},
    b_A2=0.56,
)
Fe = material(
    structure="bcc",
    lattice_A=2.867,
    surface_energies={
        (1, 1, 0): 2.430,
        (1, 0, 0): 2.222,
        (2, 1, 1): 2.589,
        (3, 1, 0): 2.393,
        (1, 1, 1): 2.733,
    },
    b_A2=0.34,
)
Pd = material(
    structure="fcc",
    lattice_A=3.891,
    surface_energies={(1, 1, 1): 1.920, (1, 0, 0): 2.326, (1, 1, 0): 2.225},
    b_A2=0.45,
)
Pt = material(
    structure="fcc",
    lattice_A=3.924,
    surface_energies={(1, 1, 1): 2.299, (1, 0, 0): 2.734, (1, 1, 0): 2.819},
    b_A2=0.37,
)
