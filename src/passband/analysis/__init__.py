"""Analysis of a study: the table of results, information metrics, OOD metrics and distances."""
