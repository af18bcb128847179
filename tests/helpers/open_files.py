"""A process that cannot open files."""

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def too_many() -> Iterator[None]:
    """Let the process open no further file, as if it had too many open files."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
