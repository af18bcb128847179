"""The text of `passband plan`: how much work a study is, and how much of this work is left.

Numbers of jobs, images and files follow from the configuration alone, see
:mod:`passband.runs.counts`. Hours follow from measurements on this machine, see
:mod:`passband.runs.calibration`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from passband.axes import AXES
from passband.config import FEWEST_PREDICTED, Study
from passband.results import Results
from passband.runs import rates
from passband.runs.calibration import Speeds
from passband.runs.counts import GROWING, count, sizes
from passband.runs.rates import OTHERS, seconds_by_rule
from passband.runs.run import Run
from passband.words import duration, in_bytes, number_of, work


def summary(study: Study, listed: bool = False) -> str:
    """Return a few lines with the numbers of a study's specimens, conditions, networks and jobs.

    If `listed` is true, lines with the first and the last conditions of each block follow.
    """
    counted = count(study)
    product = " × ".join(
        number_of(number, noun)
        for number, noun in (
            (len(study.trained_specimens), "specimen"),
            (study.train_number, "condition"),
            (len(study.training.architectures), "architecture"),
            (study.study.replicas, "replica"),
        )
    )
    train, test, mixed = study.train_number, study.test_number, study.mixture_number
    under = f"{train - mixed:,} to train under, {test:,} to test under{_further(study)}"
    if mixed:
        condition = number_of(train - mixed, "condition")
        both = f"({condition} + {number_of(mixed, 'mixture')})"
        product = product.replace(number_of(train, "condition"), both, 1)
    trained, tested = len(study.trained_specimens), len(study.specimens)
    jobs = ", ".join(f"{counted.jobs[rule]:,} {rule}" for rule in GROWING)
    return _aligned(
        {
            "study": study.study.name,
            "specimens": f"{trained:,} to train on, {tested:,} to test on",
            "conditions": under,
            **({"mixtures": f"{mixed:,} to train under"} if mixed else {}),
            **(_blocks(study) if listed else {}),
            "networks": f"{counted.networks:,} = {product}",
            "jobs": jobs,
            "prediction": "each level of an axis from the others"
            if study.predictable
            else f"none, since it needs {FEWEST_PREDICTED} conditions of each kind",
        }
    )


def _further(study: Study) -> str:
    """Return words about tests of the own networks only."""
    own = study.own_number
    return f", {own:,} for the own networks only" if own else ""


#: Number of first conditions, and of last conditions, that are listed for each block.
_LISTED = 3


def _blocks(study: Study) -> dict[str, list[str]]:
    """Return lines with the number of conditions of each block, and its first and last ones."""
    lines = {}
    for name, products in study.blocks.items():
        if name.startswith("test_grid") and products == study.train_products:
            lines[name] = ["the conditions of grid"]
            continue
        found = study.axes.conditions(products)
        listed = [_words(condition.values()) for condition in found]
        if len(found) > 2 * _LISTED + 1:
            left = f"({len(found) - 2 * _LISTED:,} more)"
            listed = [*listed[:_LISTED], left, *listed[-_LISTED:]]
        lines[name] = [number_of(len(found), "condition"), *(f"  {words}" for words in listed)]
    for name, mixture in zip(study.mixture_blocks, study.mixtures, strict=True):
        lines[name] = [f"mixture {mixture.id}: {mixture.words()}"]
    return lines


def _words(values: dict[str, float]) -> str:
    return ", ".join(AXES[name].named(f"{value:g}") for name, value in values.items())


def _aligned(lines: dict[str, str | list[str]]) -> str:
    """Return aligned lines of text after their names. A name can have several lines."""
    rows = [
        (name if not place else "", text)
        for name, texts in lines.items()
        for place, text in enumerate([texts] if isinstance(texts, str) else texts)
    ]
    width = max(10, *map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)


def elapsed(study: Study, took: Mapping[str, float], speeds: Speeds, together: int) -> float:
    """Return the seconds until a study is complete, if `together` jobs run at a time.

    The jobs that make the table, the OOD metrics, the prediction and the pages run one after
    another. While they run, other cores have nothing to do.
    """
    jobs = count(study).jobs
    serial = ("aggregate", "ood", "prediction", "report", "explorer")
    alone = [rule for rule in serial if jobs.get(rule)]
    last = sum(rates.other_seconds(rule, speeds) + speeds.start_light for rule in alone)
    # Snakemake itself starts once.
    return (sum(took.values()) - last) / together + last + speeds.start_light / 2


def _left(
    results: Results, cases: Sequence[Mapping[str, float]], in_words: Callable[..., str]
) -> list[str]:
    """Return lines about the work that is not done yet, or no line if no work is done yet.

    Results that a changed configuration will make again count as done.

    Args:
        cases: The times of :func:`seconds_by_rule`; of several cases for a range.
    """
    run, counted = Run(results).read(), count(results.study)
    numbers = {stage: run.networks(stage) for stage in GROWING}
    shares = {stage: (total - done) / total for stage, (done, total) in numbers.items()}
    if min(shares.values()) == 1:
        return []
    if not any(shares.values()):
        return ["nothing: all structures, networks and tests are done"]
    files = round(shares["simulate"] * counted.jobs["simulate"])
    train, test = (round(shares[stage] * counted.networks) for stage in ("train", "evaluate"))
    jobs = sum(shares[stage] * counted.jobs[stage] for stage in GROWING)
    # All other jobs depend on networks.
    started = (jobs + sum(counted.others.values())) / sum(counted.jobs.values())
    seconds = [
        started * took["starting"]
        + took[OTHERS]
        + sum(shares[stage] * took[stage] for stage in GROWING)
        for took in cases
    ]
    return [
        f"{number_of(files, 'file')} of structures to simulate, "
        f"{number_of(train, 'network')} to train and {test:,} to test",
        f"{train * counted.steps_per_network:,} steps and {in_words(*seconds)}",
    ]


def render(results: Results, speeds: Speeds, device: str = "", gpus: int = 1) -> str:
    """Return aligned lines about a study's work, and about the part that is not done yet.

    Args:
        results: The study, of which nothing may exist yet.
        speeds: The times on this machine, see :func:`passband.runs.calibration.calibrate`.
        device: A GPU in the table of :mod:`passband.runs.rates`, on which networks are trained and
            tested; "" for this machine.
        gpus: Number of such GPUs.
    """
    study = results.study
    counted = count(study)
    written = sizes(study, speeds.wave_bytes, speeds.weight_bytes)
    steps = counted.networks * counted.steps_per_network
    at_most = "at most " if study.training.patience else ""
    trained = counted.trainings * counted.trained_on
    replicas = min(study.study.replicas, study.study.replicas_per_job)
    rows = {
        "steps": f"{at_most}{steps:,} of {study.training.batch_size} images",
        "images": f"{trained:,} to train, if they fit into memory, with noise drawn "
        f"{counted.drawn:,} times, and {counted.formed:,} to test",
        "memory": [
            f"{need / 1e9:.1f} GB in a train job of {number_of(replicas, 'replica')} of {name}"
            + (" on a CPU" if device else "")
            for name, need in speeds.memory.items()
        ],
        "files": [
            f"{sum(counted.files.values()):,} of {in_bytes(sum(written.values()))}",
            *(
                f"{name:<26}  {counted.files[name]:>7,}  {in_bytes(written[name]):>8}"
                for name in written
            ),
        ],
    }
    if speeds.by_torch and not device:
        rows["training"] = list(speeds.by_torch)
    in_words = _range if device else partial(work, unit=speeds.unit)
    times, cases = _on_gpus(study, speeds, device, gpus) if device else _here(study, speeds)
    rows |= times
    if lines := _left(results, cases, in_words):
        rows["left"] = lines
    return f"{summary(study)}\n{_aligned(rows)}"


def _here(study: Study, speeds: Speeds) -> tuple[dict[str, list[str]], list[dict[str, float]]]:
    """Return the lines about the time on this machine, and the times by rule."""
    took, where = seconds_by_rule(study, speeds), f"on {speeds.device}, measured"
    total = sum(took.values())
    if speeds.unit == "core":
        cores = os.cpu_count() or 1
        until = duration(elapsed(study, took, speeds, cores))
        where += f"; {until} with all {cores} cores of this machine"
    lines = [f"{work(total, speeds.unit)} {where}"]
    for name, t in took.items():
        lines.append(f"{name:<26}  {work(t, speeds.unit):>20}  {t / total:>4.0%}")
    return {"time": lines}, [took]


def _on_gpus(
    study: Study, speeds: Speeds, device: str, gpus: int
) -> tuple[dict[str, list[str]], list[dict[str, float]]]:
    """Return the lines about the time on GPUs that were not measured, and the times by rule.

    Times are ranges, from the shortest times to the longest.
    """
    *cases, assumptions = rates.stated(study, device, speeds)
    best, worst = (seconds_by_rule(study, case) for case in cases)
    on_cpu = {"simulate": best.pop("simulate"), OTHERS: best.pop(OTHERS)}
    for name in on_cpu:
        del worst[name]
    lowest, highest = sum(best.values()), sum(worst.values())
    several = f"{gpus:,} GPUs" if gpus > 1 else "1 GPU"
    rows = {
        "time": [
            f"{_range(lowest, highest)} on {device}, stated; "
            f"{duration(lowest / gpus)} to {duration(highest / gpus)} with {several}",
            *(f"{name:<26}  {_range(best[name], worst[name])}" for name in best),
            *(f"{name:<26}  {work(t, 'core')}, on CPUs" for name, t in on_cpu.items()),
        ],
        "assumed": assumptions,
    }
    none = dict.fromkeys(on_cpu, 0.0)
    return rows, [best | none, worst | none]


def _range(low: float, high: float) -> str:
    """Return a range of seconds of a GPU in words, with two digits and the unit of the longer."""
    unit, of = (3600, "GPU-hours") if high >= 7200 else (60, "GPU-minutes")
    ends = dict.fromkeys((_two_digits(low / unit), _two_digits(high / unit)))
    return f"{' to '.join(ends)} {of}"


def _two_digits(value: float) -> str:
    return f"{float(f'{value:.1e}'):,.0f}" if value >= 10 else f"{value:.2g}"
