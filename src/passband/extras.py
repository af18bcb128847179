"""The packages of extras: what needs them says in one line which command installs them."""

from importlib.util import find_spec

from passband.errors import PassbandError

#: What makes studies, and answers from their results.
GRID = "grid"
#: The widgets for napari.
NAPARI = "napari"
#: What publishes a network.
SHARE = "share"
#: The modules of each extra's packages.
MODULES = {
    GRID: (
        "abtem",
        "ase",
        "dask",
        "jinja2",
        "lightning",
        "markupsafe",
        "numba",
        "pandas",
        "safetensors",
        "seaborn",
        "segmentation_models_pytorch",
        "snakemake",
        "snakemake_executor_plugin_slurm",
        "snakemake_interface_logger_plugins",
        "torch",
        "xarray",
        "zarr",
    ),
    NAPARI: ("napari", "PyQt6"),
    SHARE: ("onnx", "onnxscript", "bioimageio.spec"),
}


def missing(extra: str) -> list[str]:
    """Return the modules of an extra that are not installed. None is imported."""
    return [module for module in MODULES[extra] if not _is_installed(module)]


def check(extra: str, what: str) -> None:
    """Check that the packages of an extra are installed.

    Args:
        what: What needs them.

    Raises:
        PassbandError: If a package is missing. The message has the command that installs all.
    """
    if lacking := missing(extra):
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise PassbandError(
            f"{what} needs {', '.join(lacking[:3])}{more}, not installed here: run "
            f"pip install 'passband[{extra}]', or pip install -e '.[{extra}]' in a checkout"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that would contain the module is missing
        return False
