"""Groups of training conditions: the conditions whose networks one job trains.

A group of one condition has the id of the condition as its name. So a study with one condition in a
job has the file names that it had before groups existed. The name of a larger group is
``<first>~<last>~<digest>``, where `first` and `last` are the first and the last id in alphabetical
order. The parts of `last` that are equal to those of `first` are left out. The name shows which
conditions cannot be in a group, so that a search for a condition opens few files. The digest is
that of all ids, so that groups with different conditions have different names.
"""

from collections.abc import Sequence

from passband.seeds import digest

#: The longest name of a group. A file's name has at most 255 characters, also while it is written.
LONGEST = 180

#: A regular expression of what follows the first id in the name of a group.
PATTERN = r"(?:~[^/]+)?"


def grouped(conditions: Sequence[str], per_job: int) -> dict[str, tuple[str, ...]]:
    """Return the ids of the training conditions of each job, by the name of the group.

    Args:
        conditions: Ids of all training conditions, in the order of the study.
        per_job: Largest number of conditions in a group.
    """
    members = (
        tuple(conditions[first : first + per_job]) for first in range(0, len(conditions), per_job)
    )
    return {group_name(ids): ids for ids in members}


def group_name(ids: Sequence[str]) -> str:
    """Return the name of a group of conditions with the given ids."""
    if len(ids) == 1:
        return ids[0]
    first, last = min(ids), max(ids)
    start, end = first.split("_"), last.split("_")
    if len(start) == len(end):
        equal = next(k for k in range(len(end)) if start[k] != end[k])
        rest = "_".join(end[equal:])
    else:
        rest = f"~{last}"  # nothing is left out, and "~~" says so
    name, hashed = f"{first}~{rest}", digest(list(ids))[:8]
    return f"{name if len(name) <= LONGEST else first}~{hashed}"


def has_several(group: str) -> bool:
    """Return whether a group has several conditions, from the group's name."""
    return "~" in group


def may_have(group: str, condition: str) -> bool:
    """Return whether a group can have a condition, from the group's name alone."""
    first, *others = group.split("~")
    if not others:
        return group == condition
    if condition < first:
        return False
    if len(others) == 1:  # the name would have been too long
        return True
    if others[0]:
        rest = others[0].split("_")
        last = "_".join([*first.split("_")[: -len(rest)], *rest])
    else:
        last = others[1]
    return condition <= last


#: If a variable of the table would have more files than this, a file has several training
#: conditions. Then a study of thousands of conditions has few files.
MOST_FILES = 256


def conditions_per_file(conditions: int) -> int:
    """Return the number of training conditions in a file of a variable of the table of results."""
    return -(-conditions // MOST_FILES)
