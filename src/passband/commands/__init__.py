"""The commands of ``passband``, each in a module with two functions.

`add(commands)` adds the command to the parser, and `run(options)` runs it and returns the exit
status, which is 0 unless the function says more. An error that the user can correct is a
:class:`passband.PassbandError`, of which the user reads one line.
"""
