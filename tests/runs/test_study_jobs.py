"""The jobs of a study. tests/results/test_layout.py has the tests of their files."""

from passband.runs.study_jobs import Job

ID = "df+0005.00_cs+0001.200_ap010.00_ds000100.00"


def words(rule, wildcards):
    return Job(rule, wildcards=wildcards).words


def test_a_job_in_words_has_the_units_of_its_condition():
    names = {"specimen": "gold", "architecture": "compact-w8-d3", "condition": ID}
    assert words("train", names | {"batch": "r000-000"}) == (
        "train gold compact-w8-d3, 5 nm, 1.2 µm, 10 mrad, 100 e/Å²"
    )
    assert words("train", names | {"batch": "r000-006"}).startswith(
        "train gold compact-w8-d3 r000-006, 5 nm"
    )
    further = {"condition": f"{ID}_as0005.000_mt0.300"}
    assert words("train", further).endswith(
        "100 e/Å², astigmatism 5 nm, MTF at the Nyquist frequency 0.3"
    )
    assert words("figure", {"figure": "matrix"}) == "figure matrix"
    assert words("mine", {"condition": "odd"}) == "mine odd"
    group = {"condition": f"{names['condition']}~ds000400.00~0a1b2c3d"}
    assert words("train", names | group) == f"{words('train', names)} and others"
