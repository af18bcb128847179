"""Checks of a study that involve several blocks.

The argument `study` is a :class:`passband.config.Study`, which calls these checks.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from math import ceil, prod

from pydantic import ValidationError

from passband import units
from passband.axes import AXES, FURTHER_AXES
from passband.config import axis_effects, grid_blocks, mixture_block
from passband.config.axis_effects import AMPLITUDES
from passband.config.base import Block, short
from passband.config.drawn import is_range
from passband.config.microscope import Microscope
from passband.errors import ArgumentError
from passband.grid import Condition
from passband.optics import ctf
from passband.wave_sets import WaveSet, extremes, wave_set

#: The largest number of training conditions, and the largest number of test conditions.
MOST_CONDITIONS = 200_000
#: The largest number of jobs of a study. Snakemake needs about 20 GB for a graph of so many jobs.
MOST_JOBS = 1_000_000
#: The largest number of sets of exit waves that a message names.
_MOST_NAMED = 6
#: The angle [°] after which each aberration repeats, by the axis with the aberration's azimuth.
_TURNS = {"astigmatism_deg": 180, "coma_deg": 360, "threefold_deg": 120}


def check(study) -> None:
    """Raise ValueError, with a line that begins with a key, if the study is not possible."""
    if not any(specimen.trained for specimen in study.specimens.values()):
        name = next(iter(study.specimens))
        raise ValueError(f"specimens.{name}.trained = False: must be true for one specimen or more")
    _check_specimens(study)
    blocks = study.mixture_blocks
    number = len(grid_blocks.named("grid", study.grid))
    mixture_block.check(blocks, number, study.microscope)
    _check_own_values(study)
    axis_effects.check(study)
    _check_numbers("grid", study.train_products)
    _check_numbers("test_grid", study.test_products)
    _check_jobs(study)
    _check_waves(study)
    check_architectures(study)
    products = study.blocks
    check_optics = partial(_check_optics, study)
    for name, block in study.named_blocks.items():
        if grid_blocks.given_products(block) != [{}]:
            _check_products(name, products[name], check_optics, block)
    for name, block in blocks.items():
        for place, axes in block.extremes().items():
            _check_products(f"{name}.{place}", [axes], check_optics)


def _check_own_values(study) -> None:
    """Refuse a written value of an axis's key that no condition has.

    A block that does not have the axis has the written value there.
    """
    given = study.given_values
    products = [*study.train_products, *study.test_products]
    for name, axis in FURTHER_AXES.items():
        if name not in given:
            continue
        blocks = study.holders(axis)
        path = axis.path
        first, *others = blocks
        for other in others:
            if blocks[other].at(path) != blocks[first].at(path):
                raise ValueError(
                    f"{other}.{path} = {blocks[other].at(path):g}: must equal {first}.{path} = "
                    f"{blocks[first].at(path):g}, since {name} is an axis of the grid"
                )
        own = study.axes.own_value(name)
        written_own = blocks[first].at(path)
        if is_range(written_own) and own in given[name]:
            raise ValueError(
                f"{first}.{path} = {written_own}: its middle, {own:g}, stands for the range in "
                f"results, and is a value of the axis {name} too; take another range or value"
            )
        if any(own in axes.get(name, [own]) for axes in products) or _is_mixed_in(study, name):
            continue
        values = short(sorted(given[name]))
        for where, written in blocks.items():
            if written.is_written(path):
                value = written.at(path)
                raise ValueError(
                    f"{where}.{path} = {value if is_range(value) else f'{value:g}'}: is not a "
                    f"value of the axis {name} = {values}; add the value to the axis, or remove "
                    "the key"
                )


def _is_mixed_in(study, name: str) -> bool:
    """Return whether a mixture has the study's own value of a further axis."""
    own = study.axes.own_value(name)
    return any(
        name not in axes or axes[name][0] <= own <= axes[name][-1]
        for block in study.mixture_blocks.values()
        for axes in block.extremes().values()
    )


def _check_specimens(study) -> None:
    """Refuse names of specimens that differ only in case, and the name of a weight."""
    if "flat" in study.specimens:
        raise ValueError(
            "specimens.flat = {...}: the flat weight of information metrics has this "
            "name; choose another"
        )
    alike: dict[str, str] = {}
    for name in study.specimens:
        other = alike.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(
                f"specimens.{name} = {{...}}: differs from specimens.{other} only in case, and "
                "some file systems do not distinguish case; choose another name"
            )


def _check_numbers(block: str, products: grid_blocks.Products) -> None:
    number = sum(prod(map(len, axes.values())) for axes in products)
    if number > MOST_CONDITIONS:
        lengths = " × ".join(f"{len(axis):,}" for axis in products[0].values())
        what = f"{lengths} values" if len(products) == 1 else f"{len(products):,} products"
        raise ValueError(
            f"{block} = {what}: {number:,} conditions; must not exceed {MOST_CONDITIONS:,}"
        )


def _check_jobs(study) -> None:
    block = study.study
    if block.replicas_per_job > block.replicas:
        raise ValueError(
            f"study.replicas_per_job = {block.replicas_per_job}: must not exceed "
            f"study.replicas = {block.replicas}"
        )
    simulate = study.number_of_shards()
    groups = len(study.trained_specimens) * len(study.training.architectures)
    groups *= study.group_number
    others = 2 * groups * ceil(block.replicas / block.replicas_per_job)
    if simulate + others > MOST_JOBS:
        key, value = (
            ("structures_per_shard", block.structures_per_shard)
            if simulate > others
            else ("replicas_per_job", block.replicas_per_job)
        )
        raise ValueError(
            f"study.{key} = {value}: makes {simulate:,} jobs to simulate and {others:,} to "
            f"train and evaluate; must not exceed {MOST_JOBS:,} together"
        )


def check_architectures(study) -> None:
    """Raise ValueError if images do not fit an architecture whose numbers are known."""
    for i, name in enumerate(study.training.architectures):
        architecture = study.training.architecture(name)
        if not architecture.is_known:
            continue
        px = study.microscope.field_px
        least = architecture.smallest_px
        crop = study.training.crop_px
        if crop and (crop % architecture.divisor or not least <= crop <= px):
            raise ValueError(
                f"training.crop_px = {crop}: must be 0, or a multiple of "
                f"{architecture.divisor} between {least} and microscope.field_px = {px}"
            )
        if px % architecture.divisor or px < least:
            raise ValueError(
                f"microscope.field_px = {px}: must be a multiple of {architecture.divisor}, "
                f"{least} or more, for training.architectures[{i}] = {name!r}"
            )


def _check_products(
    name: str,
    products: grid_blocks.Products,
    check: Callable[[dict[str, list[float]]], None],
    block: Block | None = None,
) -> None:
    """Check the products of a block by `check`, and name the place of the first that it refuses.

    The joined values of many products are checked before single products.
    """
    parts = [range(len(products))]
    while parts:
        part = parts.pop()
        try:
            check(grid_blocks.joined_axes(products[part.start : part.stop]))
        except ValueError as error:
            if len(part) > 1:
                half = len(part) // 2
                parts += [part[half:], part[:half]]
                continue
            # The message begins with an axis, or another key, such as that of a focal series.
            axis = str(error).partition(" ")[0]
            where = block.where(part[0], axis) if isinstance(block, grid_blocks.Points) else ""
            raise ValueError(f"{name}.{where}{error}" if axis in AXES else str(error)) from None


def check_split(study, specimen: str | None, split: str) -> str:
    """Return the name of a specimen, by default the first, after a check that it has the split.

    Raises:
        ArgumentError: If there is no such specimen or split.
    """
    specimen = specimen or next(iter(study.specimens))
    if specimen not in (known := study.specimens):
        raise ArgumentError(f"specimen = {specimen!r}: must be one of {', '.join(known)}")
    if split not in (known := study.specimens[specimen].splits):
        raise ArgumentError(f"split = {split!r}: must be one of {', '.join(known)}")
    return specimen


def check_condition(study, condition: Condition, split: str = "test") -> None:
    """Check that images of a split can be formed under a condition that is not in the grid.

    Raises:
        ValueError: If the pixels, the field of view or the focal series are not sufficient, if the
            study does not have the exit waves, or if an axis has no effect. The message of one line
            begins with the name of an axis or a key.
    """
    values = condition.values()
    if "noise_kernel_A" in dict(condition.further):
        axis_effects.check_kernel(study)
    check_has_waves(study, condition, split)
    _check_optics(study, {name: [value] for name, value in values.items()})


def is_allowed(study, condition: Condition, split: str = "test") -> bool:
    """Return whether images of a split can be formed under a condition, see `check_condition`."""
    try:
        check_condition(study, condition, split)
    except ValueError:
        return False
    return True


def check_aperture(study, condition: Condition) -> None:
    """Raise ValueError, as :meth:`check_condition`, if the pixels cannot show the aperture."""
    microscope = study.microscope.under(condition)
    _check_aperture(condition.aperture_mrad, microscope)


def check_has_waves(study, condition: Condition, split: str = "test") -> None:
    """Refuse a condition whose exit waves are not part of the study.

    Raises:
        ValueError: If the study has no structures of the split with the condition's exit waves.
    """
    waves = study.test_waves if split == "test" else study.train_waves
    if (id := wave_set(condition)) not in waves:
        known = [WaveSet.parse(one).words or "its own values" for one in waves[:_MOST_NAMED]]
        raise ValueError(
            f"{WaveSet.parse(id).words or 'own values'}: needs exit waves that the study's "
            f"{split} images do not have; they have those of {'; '.join(known)}"
            + ("; ..." if len(waves) > _MOST_NAMED else "")
            + ("" if id else "; give a value of each axis that needs exit waves")
        )


def _check_optics(study, axes: dict[str, list[float]]) -> None:
    # The limits are monotonic functions of every axis except azimuths.
    ends = [
        (name, axes[name] if axis.unit == "°" else (axes[name][0], axes[name][-1]))
        for name, axis in FURTHER_AXES.items()
        if name in axes and axis.block == "microscope"
    ]
    for values in product(*(values for _, values in ends)):
        further = dict(zip((name for name, _ in ends), values, strict=True))
        words = "".join(f" with {name} = {value:g}" for name, value in further.items())
        under = study.microscope.having(further.items())
        check_microscope(axes, under, words)


def check_microscope(axes: dict[str, list[float]], microscope: Microscope, words: str = "") -> None:
    """Refuse what the pixels, the field of view or the focal series do not suffice for.

    Args:
        axes: Ascending values of defocus, Cs and aperture.
        words: The values of further axes, for the message.
    """
    sampling = microscope.wave_sampling
    widest = axes["aperture_mrad"][-1]
    _check_aperture(widest, microscope, words)
    if microscope.coherence == "focal-series":
        optics = microscope.lens(aperture_mrad=widest)
        needed = ctf.members_needed(optics, sampling.cutoff)
        if needed > microscope.focal_members:
            raise ValueError(
                f"microscope.focal_members = {microscope.focal_members}: must be at least "
                f"{needed} to represent a focal spread of {microscope.focal_spread_nm:g} nm "
                f"up to {widest:g} mrad{words}"
            )
    # The displacement of image detail is a convex function of defocus and of Cs. So it is
    # largest at one of the extreme combinations of defocus and Cs.
    corners = product(*((axes[name][0], axes[name][-1]) for name in ("defocus_nm", "cs_um")))
    jitter = microscope.jitter
    for defocus, cs in corners:
        optics = microscope.lens(defocus, cs, widest)
        signs = (-1, 1) if jitter.lens_varies else (1,)
        displaced = max(ctf.displacement(jitter.extreme(optics, sign)) for sign in signs)
        if displaced > sampling.field_A / 2:
            raise ValueError(
                f"cs_um = {cs:g} with defocus_nm = {defocus:g} and aperture_mrad = "
                f"{widest:g}{words}: displaces image detail by up to {displaced:.0f} Å, which "
                f"must not exceed half the field of view, {sampling.field_A / 2:.0f} Å; take "
                f"more pixels{'' if optics.round else ', smaller microscope.aberrations'}"
                f"{', a smaller microscope.spread' if jitter.lens_varies else ''} or a "
                "smaller aperture"
            )


def _check_aperture(widest: float, microscope: Microscope, words: str = "") -> None:
    """Raise ValueError if an aperture [mrad] is beyond the band limit of the pixels."""
    sampling = microscope.wave_sampling
    cutoff = sampling.cutoff * ctf.wavelength(microscope.energy_eV) * 1e3
    limit = cutoff - microscope.aperture_edge_mrad / 2
    if widest > limit:
        raise ValueError(
            f"aperture_mrad = {widest:g}{words}: must not exceed {limit:.2f} mrad, the "
            f"band limit of pixels of {sampling.pixel_A:g} Å at {microscope.energy_kev:g} "
            "keV; take smaller pixels or a smaller aperture"
        )


def _check_waves(study) -> None:
    """Check the specimens and the field of view under all conditions.

    Raises:
        ValueError: If a specimen or the field is impossible. The message of one line names a
            key, and the values of axes if the study's own values are possible.
    """
    _check_mixtures(study)
    _check(study, WaveSet())
    for name, products in study.blocks.items():
        _check_products(name, products, partial(_check_extremes, study))


def _check_mixtures(study) -> None:
    """Refuse a mixture over conditions with several sets of exit waves."""
    for place, block in study.mixture_blocks.items():
        if block.mixture.over and (others := [id for id in study.train_waves if id]):
            raise ValueError(
                f"{place}.mixture.over = 'grid': conditions of grid need the exit waves "
                f"{short(others)}; a mixture can have only axes that act behind the exit wave"
            )


def _check_extremes(study, axes: dict[str, list[float]]) -> None:
    """Check the extreme combinations of values: what is allowed is monotonic in every axis."""
    for waves in extremes(axes, study.axes):
        if not waves.further:
            continue
        try:
            _check(study, waves)
        except ValueError as error:
            raise ValueError(f"{waves.words}: is not possible here; {error}") from None


def _check(study, waves: WaveSet) -> None:
    microscope = study.microscope.under(waves)
    try:
        context = {"parts": study.known_parts}
        type(microscope).model_validate(microscope.model_dump(), context=context)
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None
    for name, specimen in study.specimens.items():
        try:
            specimen.check_under(waves)
            specimen.under(waves).check_in(microscope.sampling.field_A / units.A_PER_NM)
        except ValueError as error:
            raise ValueError(f"specimens.{name}.{error}") from None


def objections(study) -> Iterator[str]:
    """Yield what a new study must not have: numbers that people read differently, and twins."""
    named = study.named_blocks
    for name, block in named.items():
        if isinstance(block, grid_blocks.Points) and (objection := block.objection):
            yield f"{name}.points = {objection}"
    axes = grid_blocks.joined_axes([*study.train_products, *study.test_products])
    turns = {name: turn for name, turn in _TURNS.items() if name in axes}
    if all(len({*map(partial(_direction, name), axes[name])}) == len(axes[name]) for name in turns):
        return
    seen: dict[tuple, dict[str, float]] = {}
    for name, products in study.blocks.items():
        for number, values_of in enumerate(products):
            for condition in study.axes.conditions([values_of]):
                values = condition.values()
                same = tuple(_direction(*each) for each in values.items())
                twin = seen.setdefault(same, values)
                for azimuth, turn in turns.items():
                    if twin[azimuth] != values[azimuth]:
                        is_point = isinstance(named[name], grid_blocks.Points)
                        where = named[name].where(number, azimuth) if is_point else ""
                        yield (
                            f"{name}.{where}{azimuth} = {values[azimuth]:g}: is the same "
                            f"condition as {azimuth} = {twin[azimuth]:g}, since "
                            f"{AXES[AMPLITUDES[azimuth]].label} repeats after {turn}°; keep one of "
                            "them"
                        )
                        return


def _direction(axis: str, value: float) -> float:
    """Return a value of an axis, and an azimuth as its hundredths of a degree within one turn."""
    return round(100 * value) % (100 * _TURNS[axis]) if axis in _TURNS else value
