"""What the README quotes from the committed report of `desk` is what that report says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows_of(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[re.sub(r"[¹²³⁴⁵⁶⁷⁸⁹⁰]+$", "", cell.strip()) for cell in line.strip("|").split("|")] for line in lines]


def quoted():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme[readme.index("<!-- desk: begin -->") : readme.index("<!-- desk: end -->")]


def report():
    return (ROOT / "reports/desk/report.md").read_text(encoding="utf-8")


def test_the_finding_is_the_reports():
    (finding,) = [line for line in report().splitlines() if line.startswith("**Finding.** ")]
    assert finding.removeprefix("**Finding.** ") in quoted()


def test_the_table_holds_columns_of_the_reports_main_table():
    main = rows_of(report().split("\n\n![")[0])
    head, _, *ours = rows_of(quoted())
    columns = [main[0].index(heading) for heading in head]
    assert ours == [[row[column] for column in columns] for row in main[2:]]
