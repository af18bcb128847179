"""Reads, prepares and segments images of microscopes."""
