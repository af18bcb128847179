"""The packages of the extra ``passband[share]``, which only publishing needs."""

from importlib.util import find_spec

from passband.errors import PassbandError

#: The modules of the extra's packages.
MODULES = ("onnx", "onnxscript", "bioimageio.spec")


def check() -> None:
    """Check that the packages of the extra are installed. No package is imported.

    Raises:
        PassbandError: If a package is missing. The message has the command that installs all
            packages.
    """
    missing = [module for module in MODULES if not _is_installed(module)]
    if missing:
        raise PassbandError(
            f"publish needs {', '.join(missing)}, which is not installed: run "
            "pip install 'passband[share]', or pip install -e '.[share]' in a checkout"
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that would contain the module is missing
        return False
