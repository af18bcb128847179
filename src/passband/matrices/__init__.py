"""M(i, j), the Dice of networks under conditions, from a table of results or OOD metrics."""
