"""Measures the lens of a microscope from its Thon rings."""
