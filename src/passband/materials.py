"""What Passband knows of crystals by name: plain data, so that a configuration can be checked
without importing ase."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Material:
    """An elemental crystal.

    Attributes
    ----------
    symbol : str
        Chemical symbol.
    structure : str
        Crystal structure as ASE names it.
    lattice_A : float
        Cubic lattice constant at room temperature [Å].
    surface_energies : dict of Miller indices to float
        Surface energies [J/m²]; only their ratios shape a Wulff particle.
    """

    symbol: str
    structure: str
    lattice_A: float
    surface_energies: dict[tuple[int, int, int], float]

    @property
    def neighbour_A(self) -> float:
        """Nearest-neighbour distance of the fcc lattice [Å]."""
        return self.lattice_A / 2**0.5

    @property
    def atoms_per_A3(self) -> float:
        """Atomic density of the fcc lattice [1/Å³]."""
        return 4 / self.lattice_A**3


# Lattice constants: CRC Handbook of Chemistry and Physics. Surface energies: Vitos et al.,
# Surf. Sci. 411, 186 (1998), full-charge-density calculations.
MATERIALS: dict[str, Material] = {
    m.symbol: m
    for m in (
        Material("Ag", "fcc", 4.085, {(1, 1, 1): 1.172, (1, 0, 0): 1.200, (1, 1, 0): 1.238}),
        Material("Au", "fcc", 4.078, {(1, 1, 1): 1.283, (1, 0, 0): 1.627, (1, 1, 0): 1.700}),
        Material("Cu", "fcc", 3.615, {(1, 1, 1): 1.952, (1, 0, 0): 2.166, (1, 1, 0): 2.237}),
        Material("Pd", "fcc", 3.891, {(1, 1, 1): 1.920, (1, 0, 0): 2.326, (1, 1, 0): 2.225}),
        Material("Pt", "fcc", 3.924, {(1, 1, 1): 2.299, (1, 0, 0): 2.734, (1, 1, 0): 2.819}),
    )
}
