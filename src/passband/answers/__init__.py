"""Answers from a study's networks: which to use, what to try next, and when to trust them."""
