"""The version of Passband that is installed."""

from importlib import metadata

__version__ = metadata.version("passband")
