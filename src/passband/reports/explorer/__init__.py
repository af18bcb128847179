"""The page that shows every cell of a study's matrix."""
