"""What the README quotes from the committed report of `public` is what that report says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[re.sub(r"[¹²³⁴⁵⁶⁷⁸⁹⁰]+$", "", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]


def quoted():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme[readme.index("<!-- public: begin -->") : readme.index("<!-- public: end -->")]


def first_screen():
    return (ROOT / "reports/public/report.md").read_text(encoding="utf-8").split("\n\n![")[0]


def bullets_of(text):
    return [line for line in text.splitlines() if line.lstrip().startswith("- ")]


def test_the_finding_and_the_answers_are_the_reports():
    (finding,) = [line for line in first_screen().splitlines() if line.startswith("**Finding.** ")]
    assert finding.removeprefix("**Finding.** ") in quoted()
    assert bullets_of(quoted()) == bullets_of(first_screen())
    assert len(bullets_of(quoted())) > 3


def test_the_table_holds_columns_of_the_reports_first_table():
    first = rows_of(first_screen())
    head, _, *ours = rows_of(quoted())
    columns = [first[0].index(heading) for heading in head]
    assert ours == [[row[column] for column in columns] for row in first[2:]]
