"""Storage: data sets and weights in files that are complete or absent, and leases of jobs.

Import the errors of this package from here, and all other public names from their modules.
"""

from passband.storage.integrity import (
    DamagedError,
    FullError,
    NewerError,
    StoreError,
    UnreachableError,
)

__all__ = ["DamagedError", "FullError", "NewerError", "StoreError", "UnreachableError"]
