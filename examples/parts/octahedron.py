"""A shape: the octahedron, with {111} facets alone, as small particles of platinum may have it.

In the study: `shape: octahedron`.
"""

from passband.parts import shape


@shape(structures=("fcc", "rocksalt", "fluorite"), widest=1.5)
def octahedron(crystal):
    """Return the distances of faces from the centre by Miller indices, in any unit."""
    return {(1, 1, 1): 1.0}
