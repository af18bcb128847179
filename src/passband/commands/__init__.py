"""The commands of ``passband``: each module adds one command to the parser and runs it."""
