"""Figures of a study. Each function returns a matplotlib figure and reads no files."""
