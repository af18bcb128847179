"""M(i, j), the Dice of networks under conditions, and what a table of results says of it."""
