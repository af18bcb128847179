"""Conversion of microscopists' units to internal units: lengths in Å, energies in eV."""

A_PER_NM = 10.0
A_PER_UM = 1e4
EV_PER_KEV = 1e3
