"""Wrong or odd studies, each with a part of its error message, or OK if it is accepted.

A study is bytes, text, or the result of :func:`at` for a key and a value in YAML. A study with
several errors has a part of the message of each error.
"""

from collections.abc import Iterable, Iterator
from string import ascii_lowercase, ascii_uppercase
from typing import NamedTuple

from passband.config import Block, Study, block_of
from passband.config.base import keys_of

OK = ()
Says = str | tuple[str, ...]


class Odd(NamedTuple):
    """A study, and a part of each line of its error. An accepted study has no line."""

    study: bytes
    says: tuple[str, ...]


def at(key: str, value: str) -> str:
    """Return a study as one line that sets one key, such as ``grid.cs_um``."""
    *blocks, last = key.split(".")
    return "".join(f"{{{block}: " for block in [*blocks, last]) + value + "}" * len(blocks) + "}"


def alike(key: str, says: str, *values: str | tuple[str, object]) -> list[tuple[str, str, str]]:
    """Return a row for each value of a key, with the same message about each of them.

    A value is written in YAML. If Python writes it in another way, it is given as a pair of both.
    """
    pairs = ((value, repr(value)) if isinstance(value, str) else value for value in values)
    return [(key, yaml, says.format(key=key, yaml=yaml, python=python)) for yaml, python in pairs]


def numbers(count: int, step: float = 0.01) -> str:
    return f"[{', '.join(f'{(i + 1) * step:.2f}' for i in range(count))}]"


def product(cs: int, defocus: int, dose: int, aperture: int) -> str:
    """Return a product of axes with these numbers of values."""
    ends = {"cs_um": (0, 40, cs), "defocus_nm": (1, 40, defocus), "dose_e_per_A2": (1, 999, dose)}
    ends |= {"aperture_mrad": (9, 18, aperture)}
    axes = (f"{key}: {{start: {a}, stop: {b}, num: {n}}}" for key, (a, b, n) in ends.items())
    return f"{{{', '.join(axes)}}}"


def large(specimen: str) -> str:
    """Return a study whose field is 1.6 µm wide, with one specimen."""
    microscope = "{field_px: 8192, pixel_size_A: 2, multislice_pixel_A: 2}"
    return (
        f"{{microscope: {microscope}, grid: {{aperture_mrad: [1]}}, specimens: {{a: {specimen}}}}}"
    )


def bomb(blocks: bool, levels: int) -> str:
    """Return YAML aliases that represent 2 to the power of `levels` values."""
    form = "{{a: *x{0}, b: *x{0}}}" if blocks else "[*x{0}, *x{0}]"
    lines = [f"x{i}: &x{i} {form.format(i - 1)}\n" for i in range(1, levels)]
    return "x0: &x0 {a: 1}\n" + "".join(lines)


LONG = "x" * 5000
POINT = "{defocus_nm: 5, cs_um: 1.2, aperture_mrad: 16, dose_e_per_A2: 200}"
FACES = "{" + ", ".join(f"'{hkl:03}': 1" for hkl in range(1, 1000)) + "}"
SYMBOLS = "{" + ", ".join(f"'{a}{b}': 0.01" for a in ascii_uppercase for b in ascii_lowercase) + "}"

PLAIN = "not YAML: must be plain text in UTF-8, without the"
#: What is no text, or no YAML of plain values.
FILES: list[tuple[bytes | str, Says]] = [
    (b"", "is empty, not a mapping"),
    (b"\n\n", "is empty, not a mapping"),
    (b"# only a comment\n", "is empty, not a mapping"),
    (b"---\n", "is empty, not a mapping"),
    (b"---\n...\n", "is empty, not a mapping"),
    (b"null", "is empty, not a mapping"),
    (b"{}", OK),
    (b"--- {}\n...\n", OK),
    (b"\xef\xbb\xbfstudy: {name: a}\n", OK),
    (b"study: {name: a}\r\ngrid: {cs_um: [1]}\r\n", OK),
    (b'{"study": {"name": "a"}, "grid": {"cs_um": [1.5]}}', OK),
    (b"- a\n- b\n", "is a list, not a mapping"),
    (b"[]", "is a list, not a mapping"),
    (b"just words", "is text, not a mapping"),
    (b"7", "is a single value, not a mapping"),
    (b"true", "is a single value, not a mapping"),
    ("study: {name: a}".encode("utf-16"), f"line 1: {PLAIN} byte 0xFF"),
    ("# Å\nstudy: {}".encode("latin-1"), f"line 1: {PLAIN} byte 0xC5"),
    ("study: {}\n# µ".encode("latin-1"), f"line 2: {PLAIN} byte 0xB5"),
    (b"study: {name: \xed\xa0\x80}", f"line 1: {PLAIN} byte 0xED"),
    (b"study: {name: \xc3", f"line 1: {PLAIN} byte 0xC3"),
    (b"\x1f\x8b\x08\x00\x00\x00", f"line 1: {PLAIN} byte 0x8B"),
    (b"study: {name: a}\x00", f"line 1: {PLAIN} control character U+0000"),
    (b"study: {name: \x01}", f"line 1: {PLAIN} control character U+0001"),
    (b"study: {}\n# \x1b[31m", f"line 2: {PLAIN} control character U+001B"),
    (b"a: \x7f", f"line 1: {PLAIN} control character U+007F"),
    (b"\n" * 1_100_000, "is larger than 1,000,000 bytes"),
    (b"# " + b"x" * 400_000, "is empty, not a mapping"),
    (b" " * 400_000 + b"{}", OK),
    (b"\n" * 400_000 + b"{}", OK),
    ("study:\n\tname: a\n", "line 2: not YAML: a tab, where only spaces are allowed"),
    ("\tstudy: {}", "line 1: not YAML: a tab, where only spaces are allowed"),
    ("study: [1,", "line 1: not YAML: "),
    ("study: {name: a", "line 1: not YAML: "),
    ("study: {name: a]", "line 1: not YAML: "),
    ("study: }", "line 1: not YAML: "),
    ("a: b: c", "line 1: not YAML: mapping values are not allowed here"),
    ("study: 'a", "not YAML: while scanning a quoted scalar"),
    ('study: "\\q"', "not YAML: while scanning a double-quoted scalar"),
    ('study: "' + "\\\n" * 200_000, "not YAML: while scanning a quoted scalar"),
    ("study: {}\n  grid: {}", "line 2: not YAML: "),
    ("study:\n    name: a\n  seed: 1", "line 3: not YAML: "),
    ("@study: 1", "line 1: not YAML: while scanning for the next token"),
    ("study: `a`", "line 1: not YAML: while scanning for the next token"),
    ("%YAML 9.9\n--- {}", "line 1: not YAML: found incompatible YAML document"),
    ("%FOO bar\n--- {}", OK),
    ("a: " + ": " * 200_000, "line 1: not YAML: mapping values are not allowed here"),
    ("a: [" + "b ? " * 100_000, "line 1: not YAML: "),
    ("study: {}\n---\nstudy: {}", "line 2: a second document"),
    ("---\n" * 100_000, "line 2: a second document"),
    ("study: !!python/object/apply:os.system [ls]", "python/object/apply:os.system': tags are not"),
    ("study: !!python/name:os.system ''", "python/name:os.system': tags are not allowed"),
    ("study: !!str a", "tag:yaml.org,2002:str': tags are not allowed"),
    ("study: !!binary aGVsbG8=", "tag:yaml.org,2002:binary': tags are not allowed"),
    ("study: !!set {a}", "tag:yaml.org,2002:set': tags are not allowed"),
    ("study: !!float nonsense", "tag:yaml.org,2002:float': tags are not allowed"),
    ("study: !!int ''", "tag:yaml.org,2002:int': tags are not allowed"),
    ("study: !own {a: 1}", "'!own': tags are not allowed"),
    ("study: !<> a", "not YAML: "),
    ('study: "\u202e"', r"study = '\u202e': must be a block of keys"),
    ("&\u202e study: a", "line 1: not YAML: "),
    ("study: ! a", "'!': tags are not allowed"),
    ("__use_yte__: true\n?if True:\n  study: {}", "__use_yte__: a key must not begin with '__'"),
    ("__source__: a.yaml", "__source__: a key must not begin with '__'"),
    ("__use_yte__: false", "__use_yte__: a key must not begin with '__'"),
    # Blocks in blocks
    ("a: " + "[" * 10_000 + "]" * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("{a: " * 10_000 + "1" + "}" * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("- " * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("[" * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("{" * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("? " * 10_000, "line 1: blocks and lists more than 20 deep"),
    ("a:\n" + "".join(" " * i + "a:\n" for i in range(1, 900)), "more than 20 deep"),
    ("? [a, b]\n: 1", "line 1: a list as a key: must be a name"),
    ("? {a: b}\n: 1", "line 1: a block as a key: must be a name"),
    # Aliases
    (bomb(blocks=False, levels=40), "more than 25,000 values, each alias counted as its"),
    (bomb(blocks=True, levels=40), "more than 25,000 values, each alias counted as its"),
    (bomb(blocks=True, levels=2), ("x0 = {'a': 1}: unknown key", "x1 = {'a': {'a': 1}, ")),
    ("a: &a [*a]", "line 1: *a: is used inside its own value"),
    ("a: &a {b: *a}", "line 1: *a: is used inside its own value"),
    ("a: <<", "line 1: not YAML: could not determine a constructor"),
    ("&a a: &b {<<: *b}", "line 1: *b: is used inside its own value"),
    ("&a {study: *a}", "line 1: *a: is used inside its own value"),
    ("study: *nowhere", "line 1: not YAML: found undefined alias 'nowhere'"),
    ("study: &a {}\ngrid: &a {}", "line 2: not YAML: found duplicate anchor 'a'"),
    ("study: {name: &n a}\nspecimens: {*n : {}}", OK),
    ("specimens: {a: &s {gap_nm: 0.4}, b: *s}", OK),
    ("specimens: {a: &s {gap_nm: 0.4}, b: {<<: *s, trained: false}}", OK),
    ("specimens: {a: &s {gap_nm: 0.4}, b: {<<: [*s, *s]}}", OK),
    ("specimens: {a: {<<: 5}}", "line 1: not YAML: while constructing a mapping"),
    ("specimens: {a: {<<: [{}, 5]}}", "line 1: not YAML: while constructing a mapping"),
    ("specimens: {a: {<<: {}, <<: {}}}", "specimens.a.'<<' is given twice"),
    # Keys
    ("study: {}\nstudy: {}", "lines 1 and 2: study is given twice; keep one of them"),
    ("study: {seed: 1}\ngrid: {}\nstudy: {seed: 2}", "lines 1 and 3: study is given twice"),
    ("study:\n  seed: 1\n  seed: 1\n", "lines 2 and 3: study.seed is given twice"),
    ("study: {seed: 1, seed: 1}", "line 1, twice: study.seed is given twice"),
    ('study: {seed: 1, "seed": 1}', "line 1, twice: study.seed is given twice"),
    ("grid:\n  cs_um: [1]\n  defocus_nm: [1]\n  cs_um: [2]", "lines 2 and 4: grid.cs_um is"),
    ('{"study": {"name": "a",\n "name": "b"}}', "lines 1 and 2: study.name is given twice"),
    ("specimens:\n  a: {}\n  a: {}", "lines 2 and 3: specimens.a is given twice"),
    ("specimens: {1: {}, '1': {}}", "line 1, twice: specimens.1 is given twice"),
    ("specimens: {a: {surface_energies: {111: 1, '111': 2}}}", "gies.111 is given twice"),
    ("a:\n- {b: 1,\n   b: 2}", "lines 2 and 3: a[0].b is given twice"),
    ("'a b': 1\n'a b': 2", "lines 1 and 2: 'a b' is given twice"),
    (f"{LONG}: 1", "line 1: not YAML: mapping values are not allowed here"),
    (f"? {LONG}\n: 1", "... = 1: unknown key; allowed: "),
    (f"? {LONG}\n: 1\n? {LONG}\n: 1", "lines 1 and 3: 'xxxx"),
    ("null: 1", "line 1: an empty key: must be a name"),
    (": 1", "line 1: not YAML: "),
    ("~: 1", "line 1: an empty key: must be a name"),
    ("true: 1", "line 1: the key True: must be a name; if it is one, put it in quotes"),
    ("1.5: 1", "line 1: the key 1.5: must be a name; if it is one, put it in quotes"),
    ("1: 1", "key = 1: unknown key; allowed: "),
    ('"": 1', "'' = 1: unknown key; allowed: "),
    ('"a\\nb": 1', r"'a\nb' = 1: unknown key; allowed: "),
    ('"\\e[31m": 1', r"'\x1b[31m' = 1: unknown key; allowed: "),
    ("größe: 1", "größe = 1: unknown key; allowed: "),
    ("研究: {}", "研究 = {}: unknown key; allowed: "),
    ("study.name: a", "study.name = 'a': unknown key; "),
    ("grid: {cs_mm: [1.2]}", "cs_mm = [1.2]: unknown key; did you mean cs_um (1 mm is 1000 µm"),
    ("microscope: {energy_kV: 300}", "energy_kV = 300: unknown key; did you mean energy_kev (1 kV"),
    ("Study: {}", "Study = {}: unknown key; did you mean study? allowed: "),
    ("x:\n" + "".join(f"  k{i}: {i}\n" for i in range(10_000)), "x = {'k0': 0, 'k1': 1"),
    ("x:\n" + "".join(f"  k{i}: {i}\n" for i in range(30_000)), "x.k12499: more than 25,000 val"),
    ("x: [" + "[1], " * 9000 + "1]", "x = [[1], [1], "),
    ("x: [" + "[1, 2, 3, 4], " * 9000 + "1]", "more than 25,000 values"),
    ("x: &a [" + "'y', " * 9000 + "]\n*a : 5", "line 2: a list as a key: must be a name"),
    # More than Passband can process
    (
        "study: {structures: {train: 1000000, val: 1000000}, structures_per_shard: 1}",
        "study.structures_per_shard = 1: makes 2,000,024 jobs to simulate and 32 to train and",
    ),
    ("study: {structures: {train: 1000000, val: 1000000, test: 1000000}}", OK),
    (
        "study: {replicas: 999}\ngrid: {defocus_nm: {start: -9, stop: 9, num: 200}}",
        "study.replicas_per_job = 1: makes 4 jobs to simulate and 3,196,800 to train and evaluate",
    ),
    (large("{diameter_nm: {max: 100}}"), "max = 100: makes particles of 30,882,820 atoms; must"),
    (large("{diameter_nm: {max: 30}}"), "structures of up to 270,8"),
    (large("{substrate: {thickness_nm: 50}}"), "structures of up to 13,458,6"),
    (large("{substrate: {thickness_nm: 0}}"), OK),
]  # fmt: skip

#: What may be read in another way than it was meant; key, value, and what is said.
TRAPS = [
    *alike(
        "study.seed", "{key} = {python}: must be an integer between 0 and ", "0o10", "1e3", "08"
    ),
    ("study.seed", "+7", OK),
    ("study.seed", "-0", OK),
    ("study.seed", "9" * 5000, "a number of 5,000 characters"),
    ("study.seed", "9" * 101, "a number of 101 characters"),
    ("study.seed", "9" * 100, "must be an integer between 0 and 9223372036854775807"),
    ("study.seed", str(2**63), "must be an integer between 0 and 9223372036854775807"),
    ("study.seed", str(2**63 - 1), OK),
    ("study.seed", "0x" + "f" * 5000, "a number of 5,002 characters"),
    ("study.seed", "1:" * 3000 + "1", "a number of 6,001 characters"),
    ("study.seed", "1:" * 200 + "1.5", "a number of 403 characters"),
    ("study.name", "y", OK),
    ("study.name", "'no'", OK),
    ("study.name", "no", "study.name = False: must be 1 to 40 letters"),
    ("study.name", "2026-13-45", "not YAML: month must be in 1..12"),
    ("study.name", "null", "study.name = None: must be 1 to 40 letters"),
    ("study.name", "'null'", OK),
    ("training.augment", "True", OK),
    ("training.augment", "TRUE", OK),
    ("training.augment", "1", "training.augment = 1: must be true or false"),
    ("training.augment", "'true'", "training.augment = 'true': must be true or false"),
    *alike(
        "grid.cs_um",
        "{key}[0] = {python}: must be a number between -9999.999",
        ("[1e3]", "'1e3'"),
        ("[1.0e3]", "'1.0e3'"),
        ("[-.5]", "'-.5'"),
        ("[nan]", "'nan'"),
    ),
    ("grid.cs_um", "[1.0e+2]", OK),
    ("grid.cs_um", "[1,5]", OK),
    ("grid.cs_um", "[.5, 1.]", OK),
    *alike(
        "grid.cs_um",
        "{key}[0] = {python}: must be a finite number",
        ("[.nan]", "nan"),
        ("[.inf]", "inf"),
        ("[-.INF]", "-inf"),
        ("[1.0e+400]", "inf"),
    ),
    ("grid.cs_um", f"[{'9' * 99}]", "grid.cs_um = 1e+99: must be between -9999.999 and 9999.999"),
    ("training.learning_rate", "1e-3", "must be a number above 0 and at most 1, not text"),
    ("training.learning_rate", "1.0e-3", OK),
]

#: Values that a key does not take, or just does.
VALUES = [
    # Points and blocks
    ("grid.points", f"[{POINT}]", OK),
    ("grid.points", f"[{POINT}, {POINT}]", "grid.points[1]: is the same point as points[0]"),
    ("grid.points", "[]", "grid.points: has 0 points; must have 1 to 10,000"),
    ("grid.points", "[5]", "grid.points[0] = 5: must be a block of keys"),
    ("grid.points", "5", "grid.points = 5: must be a list of points such as [{defocus_nm: 12, "),
    ("grid.points", "nowhere.csv", "grid.points = 'nowhere.csv': there is no such file; give the"),
    ("grid.points", ".", "grid.points = '.': is no regular file; give the path of a CSV file"),
    ("grid.points", "[{defocus_nm: 5}]", "grid.points[0].cs_um: missing; each point needs cs_um"),
    (
        "grid.points",
        f"[{POINT.replace('5', '99999')}]",
        "grid.points[0].defocus_nm = 99999: must be",
    ),
    ("grid.points", f"[{POINT.replace('5', 'a')}]", "points[0].defocus_nm = 'a': must be a number"),
    ("grid.points", f"[{POINT.replace('_nm', '')}]", "points[0].defocus = 5: unknown key; did you"),
    ("grid.points", f"[{POINT.replace('5', '5.001')}]", "finer than the axis's resolution of 0.01"),
    (
        "grid",
        f"{{points: [{POINT}], cs_um: [1]}}",
        "grid.cs_um: is given here and in points[0]; keep",
    ),
    ("grid", f"[{{}}, {{points: [{POINT}]}}]", OK),
    ("grid", f"[{{}}, {{point: [{POINT}]}}]", "grid[1].point = [{'defocus_nm': 5, 'cs_um': 1"),
    ("grid", "[]", "grid = []: must be a block of keys, or a list of 1 to 1,000 blocks"),
    ("grid", "[[]]", "grid = []: must be a block of keys, or a list of 1 to 1,000 blocks"),
    ("test_grid", f"[{{}}, {{points: [{POINT}]}}]", OK),
    (
        "grid",
        f"[{{}}, {{points: [{POINT.replace('16', '180')}]}}]",
        "grid[1].points[0].aperture_mrad =",
    ),
    (
        "grid",
        f"[{{}}, {{mixture: {{points: [{POINT}, {POINT[:-1]}, coma_nm: 0}}]}}}}]",
        "grid[1].mixture.points[1]: is the same condition as points[0], since the study itself has",
    ),
    (
        "test_grid.mixture",
        "{over: grid}",
        "test_grid = {mixture: ...}: must be a block",
    ),
    # Axes without any effect
    (
        "grid.mtf_nyquist",
        "[0.3, 0.6]",
        "microscope.detector.mtf = 'none': has no mtf_nyquist",
    ),
    ("grid.mtf_nyquist", "[0.5]", OK),
    (
        "grid.coma_deg",
        "[0, 45]",
        "microscope.aberrations.coma_nm = 0: has no azimuth, but ",
    ),
    # Names
    *alike(
        "study.name",
        "{key} = {python}: must be 1 to 40 letters",
        ("''", "''"),
        "..",
        "../../etc",
        "a/b",
        "/",
        "-a",
        ".a",
        "a b",
        "größe",
        "金",
        ('"a\\nb"', "'a\\nb'"),
        ('"a\\n"', "'a\\n'"),
        ('"\\0"', "'\\x00'"),
        ('"\\u202e"', "'\\u202e'"),
        ('"{wildcard}"', "'{wildcard}'"),
        ("5", "5"),
        ("[a]", "['a']"),
    ),
    ("study.name", '"\\ud800"', r"line 1: '\ud800': has half a character; write"),
    ("study.name", "a" * 40, OK),
    ("study.name", "a" * 41, "must be 1 to 40 letters"),
    ("study.name", LONG, "must be 1 to 40 letters"),
    ("specimens", "{}", "specimens = {}: must be a block of named blocks, not empty"),
    ("specimens", "[]", "specimens = []: must be a block of named blocks"),
    ("specimens", "[a, b]", "specimens = ['a', 'b']: must be a block of named blocks"),
    ("specimens", "gold", "specimens = 'gold': must be a block of named blocks"),
    *alike(
        "specimens",
        "{key} = {python}: a name here must be 1 to 40 letters",
        ("{'': {}}", "''"),
        ("{..: {}}", "'..'"),
        ("{a/b: {}}", "'a/b'"),
        ("{a_b: {}}", "'a_b'"),
        ("{1: {}}", "1"),
    ),
    ("specimens", "{'1': {}}", OK),
    ("specimens", "{flat: {}}", "specimens.flat = {...}: the flat weight"),
    ("specimens", "{Gold: {}, gold: {}}", "specimens.gold = {...}: differs from specimens.Gold"),
    ("specimens", "{a: {}, b: {}, A: {}}", "specimens.A = {...}: differs from specimens.a only"),
    ("specimens", "{range: {}, list: {}}", OK),
    ("specimens", "{a: null}", "specimens.a = None: must be a block of keys"),
    ("specimens", "{a: []}", "specimens.a = []: must be a block of keys"),
    ("specimens", "{a: {trained: false}}", "specimens.a.trained = False: must be true for one"),
    # Axes
    *alike(
        "grid.cs_um",
        "{key} = {python}: must be a list such as [5, 20] or a range such as ",
        ("5", "5"),
        ("null", "None"),
        ("'5'", "'5'"),
    ),
    ("grid.cs_um", "[]", "grid.cs_um = []: an axis needs at least one value"),
    ("grid.cs_um", "{}", tuple(f"cs_um.{key}: missing; it " for key in ("start", "stop", "num"))),
    *alike(
        "grid.cs_um",
        "{key}[0] = {python}: must be a number between -9999.999",
        ("[null]", "None"),
        ("[[1]]", "[1]"),
        ("[{a: 1}]", "{'a': 1}"),
        ("['5']", "'5'"),
        ("[true]", "True"),
    ),
    ("grid.cs_um", "[1, 1.0]", "grid.cs_um = 1: is listed twice; values must differ by 0.001"),
    ("grid.cs_um", "[1, 1.0000000001]", "grid.cs_um = 1: is listed twice; values must differ by"),
    ("grid.cs_um", "[0.0, -0.0]", "grid.cs_um = 0: is listed twice; values must differ by"),
    ("grid.cs_um", "[1.0001]", "1.0001: is finer than the axis's resolution of 0.001"),
    ("grid.cs_um", "[10000]", "grid.cs_um = 10000: must be between -9999.999 and 9999.999"),
    ("grid.defocus_nm", "[-0.001]", "-0.001: is finer than the axis's resolution of 0.01"),
    ("grid.aperture_mrad", "[0]", "grid.aperture_mrad = 0: must be between 0.1 and 200.0 mrad"),
    ("grid.aperture_mrad", "[-5]", "grid.aperture_mrad = -5: must be between 0.1 and 200.0"),
    ("grid.aperture_mrad", "[200]", "grid.aperture_mrad = 200: must not exceed 21.87 mrad"),
    ("grid.dose_e_per_A2", "[0]", "grid.dose_e_per_A2 = 0: must be between 0.01 and"),
    ("grid.dose_e_per_A2", "[-100]", "grid.dose_e_per_A2 = -100: must be between 0.01 and"),
    ("grid.dose_e_per_A2", "[1.0e+9]", "grid.dose_e_per_A2 = 1e+09: must be between 0.01 and"),
    ("grid.dose_e_per_A2", numbers(10_001), "dose_e_per_A2: a list of more than 10,000 values"),
    ("grid.dose_e_per_A2", numbers(100_000), "dose_e_per_A2: a list of more than 10,000 values"),
    ("grid.dose_e_per_A2", f"[{'1, ' * 9_999}1]", "dose_e_per_A2 = 1: is listed twice"),
    ("test_grid.cs_um", "[]", "test_grid.cs_um = []: an axis needs at least one value"),
    ("test_grid.cs_um", "null", OK),
    ("test_grid.aperture_mrad", "[150]", "test_grid.aperture_mrad = 150: must not exceed 21.87"),
    # Ranges
    *[
        (f"{block}.{name}", f"{{{given}}}", says)
        for block, name, given, says in (
            ("grid", "cs_um", "start: 1, stop: 5, num: 0", "num = 0: must be an integer between 1"),
            ("grid", "cs_um", "start: 1, stop: 5, num: -3", "num = -3: must be an integer betwee"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 2.5", "num = 2.5: must be an integer betwe"),
            ("grid", "cs_um", "start: 1, stop: 5, num: '3'", "num = '3': must be an integer betwe"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 1e9", "num = '1e9': must be an integer bet"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 1.0e+9", "num = 1000000000.0: must be an i"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 1000000000", "= 1000000000: must be an int"),
            (
                "grid",
                "cs_um",
                "start: 1, stop: 5, num: 10001",
                "num = 10001: must be an integer be",
            ),
            ("grid", "cs_um", f"start: 1, stop: 5, num: {10**60}", "must be an integer between"),
            (
                "grid",
                "cs_um",
                "start: 1, stop: 5, num: 1",
                "num = 1: start = 1 and stop = 5 need 2",
            ),
            ("grid", "cs_um", "start: 1, stop: 5, num: null", "num = None: must be an integer bet"),
            ("grid", "cs_um", "start: 1, stop: 5", "grid.cs_um.num: missing; it has no default"),
            (
                "grid",
                "cs_um",
                "start: 1, stop: 1, num: 5",
                "cs_um = 1: is listed twice; values must",
            ),
            ("grid", "cs_um", "start: 1, stop: 1, num: 1", OK),
            (
                "grid",
                "cs_um",
                "start: 1, stop: 1.001, num: 3",
                "is listed twice; values must differ",
            ),
            ("grid", "cs_um", "start: 1, stop: 2, num: 10000", "cs_um = 1: is listed twice"),
            ("grid", "cs_um", "start: .nan, stop: 5, num: 3", "start = nan: must be a finite numb"),
            (
                "grid",
                "cs_um",
                "start: 1, stop: .inf, num: 3",
                "stop = inf: must be a finite number",
            ),
            ("grid", "cs_um", "start: -1.0e+308, stop: 1.0e+308, num: 9", "= -1e+308: must be bet"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 3, spacing: log", "must be 'linear' or 'ge"),
            ("grid", "cs_um", "start: 0, stop: 5, num: 3, spacing: geometric", "neither of them 0"),
            ("grid", "cs_um", "start: -1, stop: 5, num: 3, spacing: geometric", "the same sign, n"),
            ("grid", "cs_um", "start: 1, stop: 5, num: 3, step: 2", "step = 2: unknown key; "),
            (
                "grid",
                "cs_um",
                "start: 1, num: 3, end: 5",
                ("stop: missing", "end = 5: unknown key"),
            ),
            (
                "grid",
                "dose_e_per_A2",
                "start: 0.01, stop: 999999.99, num: 30, spacing: geometric",
                OK,
            ),
            ("test_grid", "dose_e_per_A2", "start: 100, stop: 10, num: 3", OK),
            ("test_grid", "dose_e_per_A2", "start: 10, stop: 2.0e+6, num: 9", "= 2e+06: must be b"),
        )
    ],
    # Conditions
    *[
        (block, product(*numbers_of_values), says)
        for block, *numbers_of_values, says in (
            ("grid", 100, 100, 7, 3, "grid = 100 × 100 × 3 × 7 values: 210,000 conditions"),
            ("grid", 100, 100, 10, 10, "1,000,000 conditions; must not exceed 200,000"),
            ("grid", 1000, 1000, 100, 2, "200,000,000 conditions; must not exceed 200,000"),
            ("grid", 1000, 1000, 1000, 100, "100,000,000,000 conditions; must not exceed 200"),
            ("test_grid", 100, 100, 10, 10, "test_grid = 100 × 100 × 10 × 10 values: 1,000,000"),
            ("test_grid", 1000, 1000, 1000, 100, "100,000,000,000 conditions; must not exceed 2"),
        )
    ],
    # Specimens
    ("specimens.a.particles.max", "50", "particles.max = 50: must not exceed 7, to fit the field"),
    ("specimens.a.particles", "{min: 50, max: 50}", "particles.max = 50: must not exceed 7"),
    (
        "specimens.a",
        "{particles: {max: 50}, diameter_nm: {min: 2.3, mean: 2.4, max: 2.5}}",
        "particles.max = 50: must not exceed 2, to fit the field of view of 3.84 nm",
    ),
    ("specimens.a.particles", "{min: 3, max: 2}", "particles.min = 3: must not exceed max = 2"),
    ("specimens.a.particles", "{max: 0}", "particles.max = 0: must be an integer between 1"),
    ("specimens.a.particles", "5", "specimens.a.particles = 5: must be a block of keys"),
    *alike(
        "specimens.a.material",
        "{key} = ",
        "''",
        "/",
        "..",
        "au",
        "unobtainium.cif",
        '"a\\0b"',
        '"a\\nb"',
        LONG,
        "/dev/zero",
    ),
    ("specimens.a.material", '"\\ud800"', r"line 1: '\ud800': has half a character; write"),
    ("specimens.a.diameter_nm.max", "1000", "max = 1000: must be a number between 0.1 and 100"),
    ("specimens.a.diameter_nm.max", "100", "max = 100: must not exceed 2.95 nm, to fit"),
    ("specimens.a.diameter_nm", "{min: 2, max: 1}", "min = 2.0: must not exceed max = 1.0"),
    ("specimens.a.surface_energies", "{abc: 1}", "surface_energies = 'abc': must be three Mill"),
    ("specimens.a.surface_energies", "{111: -1}", "surface_energies.111 = -1: must be above 0"),
    ("specimens.a.surface_energies", "{111: .inf}", "surface_energies[111] = inf: must be a finit"),
    ("specimens.a.surface_energies", "[111]", "surface_energies = [111]: must be a block of"),
    ("specimens.a.surface_energies", f"{{{'1' * 99}: 1}}", "must be three Miller indices"),
    ("specimens.a.thermal.msd_A2", "{Au: .nan}", "msd_A2.Au = nan: must be a finite number"),
    ("specimens.a.thermal.msd_A2", "{'': 0.1}", "msd_A2 = '': must be a chemical symbol"),
    ("specimens.a.thermal.msd_A2", "{79: 0.1}", "msd_A2 = 79: "),
    ("specimens.a.orientation.zone", "[0, 0, 0]", "zone = [0, 0, 0]: must be three integers"),
    ("specimens.a.orientation.zone", "[1, 1]", "zone = [1, 1]: must be three integers"),
    ("specimens.a.orientation.zone", f"[1{'0' * 30}, 1, 1]", "must be an integer between -99"),
    (
        "specimens.a.orientation.zone",
        "[100, 1, 1]",
        "zone[0] = 100: must be an integer between -99",
    ),
    ("specimens.a.orientation.zone", "[1.5, 0, 0]", "zone[0] = 1.5: must be an integer"),
    ("specimens.a.orientation.zone", f"[{'1, ' * 9000}1]", "must be three integers, not all 0"),
    ("specimens.a.orientation", "{zone: [1, 1, 0], within_deg: 180}", OK),
    ("specimens.a.diameter_nm.min", "1.0e-300", "min = 1e-300: must be a number between 0.1 and"),
    (
        "specimens.a.surface_energies",
        "{111: 1.0e+300}",
        "energies.111 = 1e+300: must be above 0 and",
    ),
    ("specimens.a.surface_energies", "{'１１１': 1}", "must be three Miller indices"),
    ("specimens.a.surface_energies", FACES, "999 values; must not exceed 50"),
    ("specimens.a.thermal.msd_A2", SYMBOLS, "676 values; must not exceed 100"),
    (
        "specimens",
        "{" + ", ".join(f"s{i}: {{}}" for i in range(1001)) + "}",
        "1,001 values; must not",
    ),
    # Others
    ("microscope.field_px", "127", "field_px = 127: has the prime factor 127"),
    *alike(
        "microscope.field_px",
        "{key} = {python}: must be an integer between 16 and 8192",
        ("0", "0"),
        ("128.0", "128.0"),
        ("[128]", "[128]"),
    ),
    ("microscope.pixel_size_A", "1.0e-300", "must be a number between 0.02 and 2 Å"),
    (
        "microscope.detector.mtf_table",
        f"[{'[0, 1], ' * 5000}]",
        "= 0 after 0: fractions must ascend",
    ),
    ("microscope.detector", "{mtf: table, mtf_table: [[0, 1], [0, 1]]}", "fractions must ascend"),
    ("microscope.detector.mtf_table", "[[]]", "[]: must be a pair of a fraction"),
    ("microscope.aberrations.coma_nm", "100000", "displaces image detail by up to "),
    ("information.bands_per_A", numbers(10_000), "10,000 values; must not exceed 20"),
    ("information.bands_per_A", numbers(20), OK),
    ("information.bands_per_A", numbers(20, -1), "edges must ascend"),
    ("figures.formats", f"[{'png, ' * 9999}png]", "png is listed twice"),
    (
        "training.architectures",
        "[compact-w8-d3, compact-w8-d3]",
        "'compact-w8-d3': is listed twice",
    ),
    ("training.architectures", "['']", "training.architectures[0] = '': unknown architecture"),
    ("training.architectures", '["a\\nb"]', r"architectures[0] = 'a\nb': unknown architecture"),
    *alike("training.architectures", "unknown architecture", f"[{LONG}]", "[../unet-resnet18]"),
    ("training.architectures", "[compact-w999999999-d3]", "compact-w999999999-d3"),
    ("training.architectures", "[compact-w8-d999999999]", "compact-w8-d999999999"),
    ("training.architectures", f"[compact-w{'9' * 5000}-d3]", "training.architectures[0] = "),
    (
        "training.architectures",
        f"[{'compact-w8-d3, ' * 9999}fpn-x]",
        "10,000 values; must not exceed",
    ),
    ("training.architectures", "[compact-w8-d3, fpn-x]", "architectures[1] = 'fpn-x': unknown"),
    ("training.recipe", "{}", "training.recipe = {}: must be 'none' or 'group-2024'"),
    ("study.replicas_per_job", "999", "must not exceed study.replicas = 1"),
    ("study.structures.train", "1000001", "train = 1000001: must be an integer between 2 and"),
    ("study.structures", "[1, 2]", "study.structures = [1, 2]: must be a block of keys"),
]

#: Studies with as many conditions as are allowed. To check one takes seconds.
MANY_CONDITIONS = [
    ("grid", product(100, 100, 10, 2), OK),
    ("test_grid", product(100, 100, 10, 2), OK),
]

#: What no key takes, and a key that holds blocks does not take either.
NEVER = ("[[[]]]", '"\\e[2J\\n"', ".nan")
_PLACES = {"specimens": "specimens.a"}


def keys(model: type[Block] = Study, prefix: str = "") -> Iterator[str]:
    """Yield every key of the configuration. The specimen in it is called `a`."""
    for name, field in keys_of(model).items():
        yield prefix + name
        if name not in ("grid", "test_grid") and (inner := block_of(field.annotation)):
            yield from keys(inner, f"{_PLACES.get(name, prefix + name)}.")


def corpus() -> dict[str, Odd]:
    """Return all odd studies, by each study's number and beginning."""
    rows = [(study, study, says) for study, says in FILES]
    rows += [(f"{key}: {value}", at(key, value), says) for key, value, says in TRAPS + VALUES]
    return _odd(rows)


def of_many_conditions() -> dict[str, Odd]:
    """Return the studies with as many conditions as are allowed."""
    return _odd((f"{key}: {value}", at(key, value), says) for key, value, says in MANY_CONDITIONS)


def values_never_allowed() -> dict[str, Odd]:
    """Return a study for each key and each value that no key accepts."""
    return _odd((f"{key}: {value}", at(key, value), key) for key in keys() for value in NEVER)


def _odd(rows: Iterable[tuple]) -> dict[str, Odd]:
    return {
        f"{number} {str(name)[:50]!a}": Odd(
            study if isinstance(study, bytes) else study.encode(),
            (says,) if isinstance(says, str) else says,
        )
        for number, (name, study, says) in enumerate(rows)
    }


#: What real commands are tried on.
NASTIEST = {
    "alias bomb of blocks": bomb(blocks=True, levels=40).encode(),
    "recursive alias": b"study: &a {b: *a}",
    "10,000 lists": b"a: " + b"[" * 10_000 + b"]" * 10_000,
    "UTF-16": "study: {name: a}".encode("utf-16"),
    "key twice": b"study: {seed: 1}\nstudy: {seed: 2}\n",
    "100,000 values": at("grid.cs_um", numbers(100_000)).encode(),
    "10^11 points": b"grid: {cs_um: &r {start: 1, stop: 90, num: 1000}, defocus_nm: *r, "
    b"dose_e_per_A2: *r, aperture_mrad: {start: 1, stop: 9, num: 100}}",
    "no crystal file": at("specimens.a.material", "x" * 5000).encode(),
}


def crystal(
    cell: str = "4.08 0 0 0 4.08 0 0 0 4.08", *atoms: str, number: int | None = None
) -> str:
    """Return the text of an extended XYZ file with a crystal."""
    atoms = atoms or ("Au 0 0 0", "Au 2.04 2.04 0", "Au 2.04 0 2.04", "Au 0 2.04 2.04")
    return f'{number or len(atoms)}\nLattice="{cell}"\n' + "\n".join(atoms) + "\n"


def cif(a: str = "4.08", alpha: str = "90", atoms: str = "Au1 Au 0 0 0", more: str = "") -> str:
    keys = {"length_a": a, "length_b": "4.1(2)", "length_c": "4.08"}
    keys |= {"angle_alpha": alpha, "angle_beta": "90", "angle_gamma": "90"}
    cell = "".join(f"_cell_{key} {value}\n" for key, value in keys.items())
    columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
    sites = "loop_\n" + "".join(f"_atom_site_{column}\n" for column in columns) + atoms
    return f"data_x\n{cell}_symmetry_space_group_name_H-M 'P 1'\n{more}{sites}\n"


TOO_LARGE = "is too large or too flat"
NOT_CELL = "has no three-dimensional unit cell with atoms"
LEFT = "its cell vectors are left-handed, as with a negative length; give positive lengths"

#: Crystal files: name, content, and what is said of them.
CRYSTALS: list[tuple[str, str, Says]] = [
    ("good.xyz", crystal(), OK),
    ("good.cif", cif(), OK),
    ("warned.cif", cif(more="_symmetry_cell_setting 'monoclinic'\n"), OK),
    ("shared.cif", cif(atoms="Au1 Au 0 0 0\nAg1 Ag 0 0 0"), OK),  # ASE uses the first
    ("empty.xyz", "", "not a crystal file that ASE reads"),
    ("empty.cif", "", "not a CIF of a crystal: has no _cell_length_a"),
    ("words.xyz", "hello\nworld\n", "not a crystal file that ASE reads"),
    ("no-cell.xyz", "1\n\nAu 0 0 0\n", NOT_CELL),
    ("no-atom.xyz", '0\nLattice="4 0 0 0 4 0 0 0 4"\n', NOT_CELL),
    ("endless.xyz", crystal(number=10**12), "ASE has not read it in "),
    ("negative.xyz", crystal("-4.08 0 0 0 4.08 0 0 0 4.08"), LEFT),
    ("negative.cif", cif("-4.08"), "_cell_length_a = -4.08: must be above 0 and below 1000 Å"),
    ("quoted.cif", cif("'-4.08'"), "_cell_length_a = -4.08: must be above 0"),
    ("next-line.cif", cif("\n-4.08"), "_cell_length_a = -4.08: must be above 0"),
    ("UPPER.CIF", cif("-4.08"), "_cell_length_a = -4.08: must be above 0"),
    ("zero.cif", cif("0"), "_cell_length_a = 0: must be above 0"),
    ("unknown.cif", cif("?"), "_cell_length_a = ?: must be above 0"),
    ("nan.cif", cif("nan"), "_cell_length_a = nan: must be above 0"),
    ("long.cif", cif("1e9"), "_cell_length_a = 1e9: must be above 0 and below 1000 Å"),
    ("short.cif", cif("1e-5"), TOO_LARGE),
    ("angle-0.cif", cif(alpha="0.0001"), TOO_LARGE),
    ("angle-180.cif", cif(alpha="179.999"), TOO_LARGE),
    ("angle.cif", cif(alpha="-90."), "_cell_angle_alpha = -90.: must be above 0 and below 180 °"),
    ("place.cif", cif(atoms="Au1 Au nan 0 0"), "not a crystal file that ASE reads"),
    ("element.cif", cif(atoms="Zz1 Zz 0 0 0"), "not a crystal file that ASE reads"),
    ("group.cif", cif(more="_symmetry_Int_Tables_number 9999\n"), "not a crystal file that ASE"),
    ("flat.xyz", crystal("4.08 0 0 4.079 0.001 0 0 0 4.08", "Au 0 0 0"), TOO_LARGE),
    ("huge.xyz", crystal("1e6 0 0 0 1e6 0 0 0 1e6"), "is 1e+06 Å long; must not exceed 1000 Å"),
    ("overflow.xyz", crystal("1e300 0 0 0 1e300 0 0 0 1e300"), "must not exceed 1000 Å"),
    ("many.xyz", crystal("400 0 0 0 400 0 0 0 400", *["Au 1 1 1"] * 40_000), TOO_LARGE),
    ("far.xyz", crystal("4 0 0 0 4 0 0 0 4", "Au 4e9 0 0"), "cells outside its unit cell"),
    ("nan.xyz", crystal("4 0 0 0 4 0 0 0 4", "Au nan 0 0"), "not a finite number"),
    ("inf.xyz", crystal("4 0 0 0 4 0 0 0 4", "Au inf 0 0"), "not a finite number"),
    ("nan-cell.xyz", crystal("nan 0 0 0 4 0 0 0 4"), "not a finite number"),
    ("dummy.xyz", crystal("4 0 0 0 4 0 0 0 4", "X 0 0 0"), "atomic number 0; must be between 1"),
    ("heavy.xyz", crystal("4 0 0 0 4 0 0 0 4", "Og 0 0 0"), "atomic number 118; must be between"),
    ("large.cif", cif(more="_x 'y'\n" * 300_000), "has 2,100,2"),
    ("pickle.pckl", "cos\nsystem\n(S'true'\ntR.", "not a crystal file that ASE reads"),
]
