"""``python -m passband`` is the command ``passband``."""

import sys

from passband.cli import main

if __name__ == "__main__":
    sys.exit(main())
