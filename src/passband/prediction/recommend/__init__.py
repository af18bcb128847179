"""Recommends networks and training conditions for a microscope."""
