"""Random atomic structures: nanoparticles on amorphous carbon.

Lengths in this module are in Å. In ``config.Specimen``, diameters, gap and thickness are in nm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation
from scipy.special import ndtr, ndtri

from passband.config import MOST_IN_PARTICLE, Diameter, Orientation, Specimen, Study, too_many_atoms
from passband.config.crystals import Material
from passband.errors import PassbandError
from passband.optics.sampling import Sampling
from passband.seeds import generator
from passband.specimens import bodies, carbon, contact, crystals, thermal
from passband.specimens.crystals import Crystal
from passband.units import A_PER_NM

#: Distance along the beam between a particle and the face of the substrate [Å]: about the sum of
#: the covalent radii of carbon and a noble metal.
CONTACT_A = 2.2
#: Height of the vacuum above and below the atoms, so that no atom is at the border of the cell [Å].
PADDING_A = 2.0
#: Faces of the substrate: the beam leaves at the top and enters at the bottom.
FACES = ("top", "bottom")
#: Number of random positions that are tried for a particle before the particle is left out.
PLACE_TRIES = 500
#: Number of directions from which a particle is moved against another one, before it is placed as
#: one that need not touch.
TOUCH_TRIES = 50
#: Maximum number of particles with complete shells that :func:`check` draws, and the maximum
#: number of atoms in all of them.
CHECK_DRAWS, CHECK_ATOMS = 8, 100_000
#: Maximum number of random bodies that are drawn to find a body that is not too wide.
BODY_TRIES = 100
#: Factor for the width of a perfect form, for particles whose width the configuration cannot
#: compute. The widths of random bodies differ. At least one body in five is at most as wide as the
#: perfect form times this factor.
WIDENED = 1.05


@dataclass(frozen=True)
class Structure:
    """The atoms of one random sample of a specimen.

    Attributes:
        atoms: The atoms in an orthorhombic cell, field × field × height [Å], which is periodic in x
            and y. The beam travels along +z. The integer array ``particle`` is 0 for atoms of the
            substrate, 1 for atoms of the first particle, 2 for atoms of the second particle, and so
            on.
        material: The material of the particles. Masks need the material's `neighbour_A`.
        faces: The face of each particle, as an index of :data:`FACES`.
    """

    atoms: Atoms
    material: Material | Crystal
    faces: tuple[int, ...]


class Steps:
    """The steps of a draw, and the state of the generator at the beginning of each of them.

    All random numbers of a structure come from one generator, one after another. If the substrate
    were thicker, its atoms would take more of the numbers, and the particles would get other ones.
    So the specimen with the study's own values is drawn first, and a specimen with other values
    then begins each step with the numbers that this step had.

    Attributes:
        kept: For each face of the substrate, the random positions of its particles, see
            :func:`place`.
    """

    def __init__(self, rng: np.random.Generator):
        self._rng = rng
        self._states: dict[tuple, dict] = {}
        self._again = False
        self.kept: dict[int, dict[int, int]] = {}

    def repeat(self) -> None:
        """Begin the draw again, with the same random numbers in each step."""
        self._again = True

    def begin(self, *step: str | int) -> np.random.Generator:
        """Return the generator at the beginning of a step.

        In a repeated draw, a step that the first draw did not have has a separate generator.
        """
        if not self._again:
            self._states[step] = self._rng.bit_generator.state
        elif step in self._states:
            self._rng.bit_generator.state = self._states[step]
        else:
            return generator(repr(next(iter(self._states.values()))), *step)
        return self._rng


def draw(
    specimen: Specimen,
    sampling: Sampling,
    rng: np.random.Generator,
    own: tuple[Specimen, Sampling] | None = None,
) -> Structure:
    """Return a random structure.

    The number of particles is uniformly distributed. :func:`diameters` draws the diameters of the
    particles, and :func:`particle` makes the particles. Positions of particles are uniformly
    distributed over the periodic field. On each face of the substrate, the circles around projected
    particles are at least `gap_nm` apart. A particle that does not fit at any of
    :data:`PLACE_TRIES` positions is left out; the first particle always fits. So a crowded field
    has fewer particles, but at least one. If particles may lie on both faces of the substrate, each
    face has the probability ½. Particles on opposite faces may overlap in projection, as in a real
    image. The thickness of the substrate is constant, or has a normal distribution that is
    truncated at 0.

    With `touching` above 0, a particle is put against an earlier one of its face with this
    probability: it comes from a random direction and stops where the smallest distance of the
    projected atoms of the two is the nearest-neighbour distance. The circles around them then
    overlap.

    Args:
        sampling: The grid of the image's pixels. Its field of view is the side of the cell.
        own: The specimen and the grid with the study's own values, if `specimen` or `sampling` has
            other values. The structure then has the same number of particles, and each particle has
            the same random numbers, as the structure with the study's own values: for its quantile
            among the diameters, its body, its orientation, its face and its positions in units of
            the field.

    Raises:
        PassbandError: If the substrate's density cannot be reached, or a particle is wider than the
            field of view.
    """
    steps = Steps(rng)
    if own is not None and own != (specimen, sampling):
        _draw(*own, steps)
        steps.repeat()
    return _draw(specimen, sampling, steps)


def _draw(specimen: Specimen, sampling: Sampling, steps: Steps) -> Structure:
    crystal = crystals.of_specimen(specimen)
    field = sampling.field_A
    rng = steps.begin("substrate")
    thickness = _thickness(specimen, rng)
    substrate = carbon.amorphous_carbon(
        field,
        thickness,
        specimen.substrate.density_g_per_cm3,
        carbon.DISTANCE_A,
        rng,
    )
    rng = steps.begin("number")
    number = rng.integers(specimen.particles.min, specimen.particles.max, endpoint=True)
    drawn = [
        particle(crystal, specimen, diameter * A_PER_NM, steps, field - crystal.neighbour_A, k)
        for k, diameter in enumerate(diameters(specimen.diameter_nm, number, rng))
    ]
    both, rng = specimen.substrate.faces == "both", steps.begin("places")
    lies_on = rng.integers(len(FACES), size=number) if both else np.zeros(number, int)
    particles, faces = [], []
    for face in range(len(FACES)):
        of_face = [p for p, on in zip(drawn, lies_on, strict=True) if on == face]
        places = place(
            [p.positions for p in of_face],
            field,
            specimen.gap_nm * A_PER_NM,
            crystal.neighbour_A / 2,
            rng,
            steps.kept.setdefault(face, {}),
            specimen.touching,
        )
        for p, positions in zip(of_face, places, strict=True):
            if positions is not None:
                z = -CONTACT_A - positions[:, 2].max() if face else thickness + CONTACT_A
                particles.append((p.numbers, positions + np.array([0, 0, z])))
                faces.append(face)
    positions = np.concatenate([substrate, *(p for _, p in particles)])
    positions[:, :2] %= field
    positions[:, 2] += PADDING_A - positions[:, 2].min()
    sizes = [len(substrate), *(len(p) for _, p in particles)]
    atoms = Atoms(
        np.concatenate([np.full(len(substrate), 6), *(n for n, _ in particles)]),
        positions,
        cell=[field, field, positions[:, 2].max() + PADDING_A],
        pbc=(True, True, False),
    )
    atoms.new_array("particle", np.repeat(np.arange(len(sizes)), sizes))
    return Structure(atoms, crystal.material or crystal, tuple(faces))


def check(study: Study) -> None:
    """Check specimens by making trial particles, so that mistakes are found before a study runs.

    A specimen is checked if its `needs_trial_particles` is true, and if it is of the package's
    kind; see :func:`passband.specimens.drawing.check` for others.

    Raises:
        PassbandError: If a crystal file is not valid, an element has no mean square displacement,
            or a particle cannot be grown or is wider than the field of view.
    """
    for name, specimen in study.specimens.items():
        if not specimen.needs_trial_particles or specimen.kind_part.is_own:
            continue
        rng, sets = generator("check", name), study.extreme_waves
        fields = [study.microscope.under(waves).sampling.field_A for waves in sets]
        try:
            crystal = crystals.of_specimen(specimen)
            if (atoms := specimen.most_atoms(crystal.atoms_per_A3)) > MOST_IN_PARTICLE:
                raise PassbandError(too_many_atoms(specimen, atoms))
            for waves in sets:
                elements = sorted(set(crystal.cell.get_chemical_symbols()))
                thermal.mean_squares(specimen.under(waves), elements)
            field, rim = min(fields), crystal.neighbour_A / 2
            _check_width(widest_A(crystal, specimen) + 2 * rim, field)
            largest = specimen.diameter_nm.max * A_PER_NM
            # A particle with complete shells is not random: if it is too wide, a new draw would
            # give the same particle. Its rotation is random, and so is its width in projection.
            draws = max(1, min(CHECK_DRAWS, int(CHECK_ATOMS / max(atoms, 1.0))))
            for _ in range(draws if specimen.closed_shells else 0):
                drawn = particle(crystal, specimen, largest, rng)
                place([drawn.positions], field, 0.0, rim, rng)
        except PassbandError as error:
            raise PassbandError(f"specimens.{name}: {error}") from None


def _thickness(specimen: Specimen, rng: np.random.Generator) -> float:
    """Return the substrate's thickness [Å], from a normal distribution truncated at 0."""
    mean, std = specimen.substrate.thickness_nm, specimen.substrate.thickness_std_nm
    if std:
        low = ndtr(-mean / std)
        mean = max(0.0, mean + std * ndtri(low + (1 - low) * rng.random()))
    return mean * A_PER_NM


def diameters(distribution: Diameter, number: int, rng: np.random.Generator) -> np.ndarray:
    """Return `number` random diameters, in the distribution's unit; float64.

    The distribution is truncated at its minimum and its maximum. Each diameter is the inverse
    distribution function of a uniform random number. For a lognormal distribution, `mean` and
    `std` are the mean and the standard deviation of the diameter d before the truncation, not those
    of ln d. Then ln d has the variance s² = ln(1 + std²/mean²) and the mean ln(mean) − s²/2.
    """
    d = distribution
    if d.distribution == "uniform":
        return d.min + (d.max - d.min) * rng.random(number)
    if d.std == 0:
        return np.full(number, d.mean)
    if d.distribution == "lognormal":
        s = np.sqrt(np.log1p((d.std / d.mean) ** 2))
        mean, std, ends = np.log(d.mean) - s**2 / 2, s, np.log([d.min, d.max])
    else:
        mean, std, ends = d.mean, d.std, (d.min, d.max)
    low, high = ndtr((ends[0] - mean) / std), ndtr((ends[1] - mean) / std)
    draws = mean + std * ndtri(low + (high - low) * rng.random(number))
    if d.distribution == "lognormal":
        draws = np.exp(draws)
    return np.clip(draws, d.min, d.max)  # a rounding error can exceed the bounds


def particle(
    crystal: Crystal,
    specimen: Specimen,
    diameter: float,
    rng: np.random.Generator | Steps,
    widest: float = inf,
    number: int = 0,
) -> Atoms:
    """Return a particle of a specimen: grown, with planar defects, roughened, and rotated.

    Args:
        diameter: Diameter of the particle before its surface is roughened [Å]; see
            :func:`passband.specimens.bodies.grow`.
        widest: Largest width of a body between the centres of atoms [Å]. A random body that is
            wider is drawn again, up to :data:`BODY_TRIES` times.
        number: The number of the particle in its structure, which is a part of the names of steps.

    Returns:
        The particle, without a cell and with at least one atom. Positions are relative to its
        centre.
    """
    steps = rng if isinstance(rng, Steps) else Steps(rng)
    rng = steps.begin("body", number)
    for _ in range(1 if specimen.closed_shells else BODY_TRIES):
        atoms = _body(crystal, specimen, diameter, rng)
        if 2 * np.linalg.norm(atoms.positions, axis=1).max() <= widest:
            break
    if specimen.roughness:
        rng = steps.begin("surface", number)
        atoms = crystals.roughen(atoms, crystal, specimen.roughness, rng)
    turn = orientation(specimen.orientation, crystal, steps.begin("orientation", number))
    atoms.positions = atoms.positions @ turn.as_matrix().T
    return atoms


def widest_A(crystal: Crystal, specimen: Specimen) -> float:
    """Return a width that is sufficient for a specimen's particles, between atoms' centres [Å].

    At least one in ten random bodies of the largest diameter has this width or less, so that a few
    draws find such a body.
    """
    widest = specimen.widest
    if specimen.needs_trial_particles:
        form = bodies.form(crystal, specimen.shape_part, specimen.energies)
        widest = max(widest, WIDENED * form.width)
    return (widest * specimen.diameter_nm.max + specimen.steps_nm) * A_PER_NM


def _body(crystal: Crystal, specimen: Specimen, diameter: float, rng: np.random.Generator) -> Atoms:
    """Return a particle with its planar defects, before it is roughened and rotated."""
    atoms = bodies.grow(
        crystal, specimen.shape_part, diameter, rng, specimen.energies, specimen.closed_shells
    )
    twins, faults = (
        rng.integers(planes.min, planes.max, endpoint=True) if planes.max else 0
        for planes in (specimen.twins, specimen.stacking_faults)
    )
    if twins or faults:
        atoms = crystals.add_planar_defects(atoms, crystal, twins, faults, rng)
        if not specimen.closed_shells:
            atoms = bodies.without_loose(atoms, crystal)
        atoms.positions -= atoms.positions.mean(0)
    return atoms


def orientation(distribution: Orientation, crystal: Crystal, rng: np.random.Generator) -> Rotation:
    """Return a random rotation of a crystal.

    Without a zone axis, the rotation is uniformly distributed over all rotations. With a zone axis,
    the angle between zone axis and beam has an upper limit. The direction of the zone axis is
    uniformly distributed over the cap of the sphere within this limit. The rotation about the zone
    axis is uniformly distributed.
    """
    if not distribution.zone:
        return Rotation.random(None, rng)
    axis = np.array(distribution.zone) @ crystal.cell.cell.array
    to_beam, _ = Rotation.align_vectors([[0, 0, 1]], [axis / np.linalg.norm(axis)])
    about_zone, azimuth = 2 * np.pi * rng.random(2)
    tilt = np.arccos(1 - (1 - np.cos(np.radians(distribution.within_deg))) * rng.random())
    return Rotation.from_euler("zyz", [about_zone, tilt, azimuth]) * to_beam


def place(
    particles: Sequence[np.ndarray],
    field: float,
    gap: float,
    margin: float,
    rng: np.random.Generator,
    kept: dict[int, int] | None = None,
    touching: float = 0.0,
) -> list[np.ndarray | None]:
    """Return particles at random positions in the periodic field; their lowest atoms have z = 0.

    Args:
        particles: Positions of each particle's atoms relative to its centre [Å], (atoms, 3).
        field, gap: Side of the field, and minimum gap between the projected outlines of two
            particles [Å].
        margin: Distance of a particle's outline from the centre of its outermost atom [Å].
        kept: The numbers of the random positions at which the particles fit in an earlier draw. A
            particle keeps its position if it fits there, and is left out if it was left out before.
            An empty dictionary is filled.
        touching: The probability that a particle is put against an earlier one, if there is room.

    Returns:
        Positions of each particle's atoms, or None for a particle that fits at none of
        :data:`PLACE_TRIES` positions, (atoms, 3) float64. The first particle always fits.

    Raises:
        PassbandError: If a particle is wider than the field of view and would overlap its periodic
            image.
    """
    placed, centres, radii = [], np.empty((0, 2)), np.empty(0)
    kept = {} if kept is None else kept
    before = dict(kept)
    for number, positions in enumerate(particles):
        radius = np.hypot(*positions.T[:2]).max() + margin
        _check_width(2 * radius, field)
        tries = rng.random((PLACE_TRIES, 2)) * field
        apart = tries[:, None] - centres
        apart -= field * np.round(apart / field)
        fits = (radii + radius + gap <= np.hypot(*apart.T).T).all(1)
        own = before.get(number)
        if touching:
            first, against = _against(
                positions, placed, field=field, margin=margin, rng=rng, touching=touching, own=own
            )
            tries = np.concatenate([first, tries])
            fits = np.concatenate([against, fits])
        if fits.any() and (not before or number in before):
            chosen = own if own is not None and fits[own] else int(fits.argmax())
            kept[number], centre = chosen, tries[chosen]
            placed.append(positions + np.array([*centre, -positions[:, 2].min()]))
            centres, radii = np.vstack([centres, centre]), np.append(radii, radius)
        else:
            placed.append(None)
    return placed


def _against(
    positions: np.ndarray,
    placed: Sequence[np.ndarray | None],
    *,
    field: float,
    margin: float,
    rng: np.random.Generator,
    touching: float,
    own: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres at which a particle touches an earlier one, and whether there is room.

    The same number of random numbers is drawn in each case. See :func:`place` for the arguments.

    Args:
        own: The number of the centre in an earlier draw, which is tried first.

    Returns:
        Centres (:data:`TOUCH_TRIES`, 2) [Å], and bool. Those that would be tried after the first
        one with room are not computed.
    """
    centres = np.zeros((TOUCH_TRIES, 2))
    fits = np.zeros(TOUCH_TRIES, bool)
    touches = rng.random() < touching
    which, turns = rng.random((2, TOUCH_TRIES))
    others = [each[:, :2] for each in placed if each is not None]
    order = sorted(range(TOUCH_TRIES), key=lambda k: k != own)
    for k in order if touches and others else ():
        other = others[int(which[k] * len(others))]
        angle = 2 * np.pi * turns[k]
        centres[k] = contact.slide(positions[:, :2], other, near=2 * margin, angle=angle)
        xy = positions[:, :2] + centres[k]
        apart = min(contact.distance(xy, each, field) for each in others)
        fits[k] = apart >= contact.CLEARANCE * 2 * margin
        if fits[k]:
            break
    return centres, fits


def _check_width(width: float, field: float) -> None:
    if width > field:
        raise PassbandError(
            f"a particle is {width:.1f} Å wide, more than the field of view of {field:.1f} Å; take "
            "a smaller diameter_nm.max or a larger microscope.field_px"
        )
