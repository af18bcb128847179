"""The jobs of a study: the files, the required resources and the state of each job."""
