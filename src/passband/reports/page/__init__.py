"""The page that presents a study."""
