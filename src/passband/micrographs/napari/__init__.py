"""Passband in napari: a reader, a sample, and the widgets *Segment* and *Sizes*.

``napari.yaml`` names them. Only :mod:`passband.micrographs.napari.widgets` imports napari.
"""
