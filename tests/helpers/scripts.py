"""Run the workflow's scripts by import, without Snakemake."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

from snakemake.iocontainers import Namedlist

from passband.config import Study
from passband.results import layout
from passband.results.network_batches import NetworkBatch

FOLDER = Path(__file__).parents[2] / "workflow" / "scripts"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))


def load(name: str) -> ModuleType:
    """Import a script of the workflow as a separate module."""
    spec = importlib.util.spec_from_file_location(f"workflow_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def values(given: dict) -> Namedlist:
    """Return values in the form in which Snakemake passes params and wildcards."""
    return Namedlist(fromdict=given)


def files(given: list | dict) -> Namedlist:
    """Return paths as Snakemake passes inputs and outputs: a list with names for some paths."""
    if not isinstance(given, dict):
        return Namedlist(toclone=list(given))
    found = Namedlist()
    for name, part in given.items():
        first = len(found)
        found.extend([part] if isinstance(part, str) else part)
        found._set_name(name, first, end=None if isinstance(part, str) else len(found))
    return found


def run(
    script: str,
    log: Path,
    *,
    output: list | dict,
    config: dict,
    input: list | dict = (),
    params: dict | None = None,
    wildcards: dict | None = None,
    rule: str | None = None,
) -> str:
    """Run a script's `main` and return the last line of its log.

    Args:
        log: The log that it writes.
        output, input, params, wildcards: Attributes of the rule for the script.
        config: The study's configuration.
        rule: The rule, if its name differs from the script's.
    """
    snakemake = SimpleNamespace(
        rule=rule or script,
        input=files(input),
        output=files(output),
        params=values(params or {}),
        wildcards=values(wildcards or {}),
        log=files([str(log)]),
        threads=1,
        resources=SimpleNamespace(mem_mb=3000, runtime=60),
        config=config,
    )
    load(script).main(snakemake)
    return log.read_text().splitlines()[-1]


def train(study: Study, results: Path, batch: NetworkBatch, log: Path | None = None) -> str:
    """Run a `train` job of a study, and return the last line of its log.

    Its outputs are removed before, as Snakemake does. The log must be below ``results/logs``.
    """
    output = {
        "weights": str(results / batch.path(layout.WEIGHTS)),
        "history": str(results / batch.path(layout.HISTORY)),
    }
    for path in output.values():
        Path(path).unlink(missing_ok=True)
    return run(
        "train",
        log or results / "logs/train.log",
        output=output,
        wildcards=batch.wildcards,
        config=study.model_dump(mode="json"),
    )


def evaluate(study: Study, results: Path, batch: NetworkBatch, log: Path | None = None) -> str:
    """Run an `evaluate` job of a study as :func:`train` runs a `train` job."""
    output = results / batch.path(layout.RECORD)
    output.unlink(missing_ok=True)
    return run(
        "evaluate",
        log or results / "logs/evaluate.log",
        input={"weights": str(results / batch.path(layout.WEIGHTS))},
        output=[str(output)],
        wildcards=batch.wildcards,
        config=study.model_dump(mode="json"),
    )
