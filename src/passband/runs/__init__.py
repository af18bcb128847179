"""A run of a study: what it takes, its jobs, and how far they are."""
