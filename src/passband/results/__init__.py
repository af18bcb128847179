"""A study and its folder of results: names of files and jobs, and how a study is found."""

from passband.results.study_folder import Results

__all__ = ["Results"]
