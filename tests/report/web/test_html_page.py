import base64
import gzip
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import write_page
from markdown_it import MarkdownIt
from synthetic_store import (
    complexity_record,
    desk_like,
    make_record,
    memory_record,
    speed_record,
    train_cell,
    train_values,
)

from bench.report.web import html_page
from bench.report.web.html_page import inline_html, markdown_html
from bench.report.web.payload import ON_DARK

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b*c_[x](javascript:alert(1))",
    '"><img src=x onerror=alert(2)>',
    "</script><svg onload=alert(3)>",
    "\U0001f600 {{ 7*7 }} %{x} &lt;b&gt;",
    "long" * 75,
)


def hostile_records():
    records = []
    for place, model in enumerate(HOSTILE):
        for dataset in HOSTILE[:3]:
            values = train_values(80.0 + place, macs=1e6 * 2**place)  # apart on the plot
            records += [make_record(train_cell(model, dataset, seed), values) for seed in range(2)]
        records += [speed_record(model, repeat, 100.0 + place) for repeat in range(2)]
    records.append(make_record(train_cell(HOSTILE[0], HOSTILE[2], 9), status="failed", reason=HOSTILE[3]))
    return records


class Tags(HTMLParser):
    """The tags of a document with their attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return write_page(hostile_records(), tmp_path_factory.mktemp("reports"), warnings=[HOSTILE[1]], question=HOSTILE[2])


def test_hostile_names_stay_text_in_the_page(hostile):
    tags = Tags(hostile.read_text(encoding="utf-8"))
    scripts = [attributes for tag, attributes in tags.found if tag == "script"]
    assert scripts == [{"type": "text/plain", "id": "data"}, {}, {}]
    assert {attributes["src"][:22] for tag, attributes in tags.found if tag == "img"} == {"data:image/png;base64,"}
    assert not [tag for tag, _ in tags.found if tag == "svg"]
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert not [a for tag, a in tags.found if tag == "a" and a["href"].startswith("javascript")]
    assert all(name in tags.text for name in HOSTILE)


def test_hostile_names_stay_text_in_markdown(hostile):
    text = hostile.with_name("report.md").read_text(encoding="utf-8")
    tags = Tags(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))  # lets HTML through
    ours = "h1 h2 p em strong table thead tbody tr th td br ul li a img pre code"
    assert {tag for tag, _ in tags.found} <= set(ours.split())
    assert all(a["src"].startswith("figures/") for tag, a in tags.found if tag == "img")
    assert all(a["href"].startswith(("figures", "tables")) for tag, a in tags.found if tag == "a")
    shown = tags.text.replace("\u200b", "")
    assert all(name in shown for name in HOSTILE)


def test_the_policy_names_the_pages_own_scripts_alone(hostile):
    text = hostile.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert len(scripts) == 2
    assert policy.split("; ") == [
        "default-src 'none'",
        "script-src " + " ".join(f"'sha256-{one}'" for one in hashes),
        "style-src 'unsafe-inline'",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_every_table_of_the_report_is_on_the_page_with_its_records(desk):
    text = desk.read_text(encoding="utf-8")
    names = {path.stem for path in (desk.parent / "tables").glob("*.csv")}
    assert set(re.findall(r'data-table="([^"]*)"', text)) == names
    assert set(re.findall(r'href="tables/(\w+).csv"', text)) == names
    packed = re.search(r'id="data">([^<]*)</script>', text)[1]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    known = {record.cell_id for record in desk_like()}
    shown = set(data["records"]["ids"].split())
    assert shown <= known
    assert len(shown) > 0.9 * len(known)


def test_the_finding_is_that_of_the_markdown_report(desk):
    markdown = desk.with_name("report.md").read_text(encoding="utf-8")
    finding = next(line for line in markdown.splitlines() if line.startswith("**Finding.** "))
    assert str(inline_html(finding)) in desk.read_text(encoding="utf-8")


def test_figures_that_have_no_room_are_links_to_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(html_page, "MOST_BYTES", 0)
    page = write_page([make_record(train_cell("vit_32px_s"), train_values(80.0))], tmp_path)
    text = page.read_text(encoding="utf-8")
    files = re.findall(r'<a href="(figures/[^"]*\.png)">Figure: ', text)
    assert "<img" not in text
    assert files == ["figures/accuracy_vs_macs.png", "figures/paper_figure_5.png"]
    assert all((page.parent / name).exists() for name in files)


def test_a_store_without_results_gives_a_page_without_plotly(tmp_path):
    page = write_page([], tmp_path)
    assert page.stat().st_size < 100_000
    assert "This suite has no results yet." in page.read_text(encoding="utf-8")


def test_markdown_keeps_html_as_text_and_knows_no_script_address():
    assert str(inline_html("**b** *i* `c` <i>x</i>")) == (
        "<strong>b</strong> <em>i</em> <code>c</code> &lt;i&gt;x&lt;/i&gt;"
    )
    assert "href" not in markdown_html("[x](javascript:alert(1))")
    assert '<a href="tables">' in markdown_html("[`tables/`](tables)")


def test_families_stand_out_from_their_ground_in_both_schemes():
    assert all(_contrast(light, "#ffffff") >= 3 for light in ON_DARK)
    assert all(_contrast(dark, "#16181d") >= 6 for dark in ON_DARK.values())


def _contrast(first, second):
    """WCAG 2.1's contrast ratio of two colours `#rrggbb`."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_stands_out_from_its_ground_in_both_schemes():
    style = (Path(html_page.__file__).parent / "page.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    for colours in schemes[:2]:
        for text in ("ink", "muted", "link"):
            for ground in ("paper", "raised", "warning"):
                assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


@pytest.mark.slow
def test_a_page_of_ten_thousand_records_is_under_six_megabytes_and_takes_under_five_seconds(tmp_path, monkeypatch):
    spent = []

    def timed(*arguments):
        start = time.process_time()
        text = html_page.html_page(*arguments)
        spent.append(time.process_time() - start)
        return text

    monkeypatch.setattr("bench.report.report_files.html_page", timed)
    page = write_page(big_store(), tmp_path)
    assert page.stat().st_size < 6_000_000
    assert spent[0] < 5


def big_store():
    """10,000 records of 200 models, as in tests/report/test_page.py."""
    records = []
    for index in range(200):
        name = f"custom_model_{index:03d}"
        family = ("vit", "cnn", "hybrid")[index % 3]
        records += [complexity_record(name, 1e6 * 1.02**index, family=family), memory_record(name, 10.0 + index)]
        records += [speed_record(name, repeat, 1000.0 + index + repeat) for repeat in range(12)]
        records += [
            make_record(train_cell(name, dataset, seed, train_images=images), train_values(70 + index / 40 + seed))
            for dataset in ("textures", "shapes", "digits")
            for images in (256, 512, 1024, 4096)
            for seed in range(3)
        ]
    return records
