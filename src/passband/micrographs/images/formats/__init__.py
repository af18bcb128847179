"""Readers of image files: a file for each format, or family of formats."""
