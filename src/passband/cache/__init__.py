"""Finds the results that a job needs, whatever job made them."""
