"""Atomic structures and exit waves: crystals, particles, carbon, thermal motion, multislice."""
