"""The two formats that people read."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from synthetic_results import (
    HOSTILE,
    failed,
    make_model,
    make_result,
    more_work,
    passed,
    same_work,
    undecided,
)

from bench.gate.formats import wording
from bench.gate.formats.pages import render_comment, render_page

PAGE = Path(__file__).parent / "expected_page.md"


def test_the_page_is_whole():
    result = make_result(
        passed(),
        failed(),
        exact=(more_work(), same_work()),
        problems=("A pair was thrown away.",),
    )
    assert render_page(result) == PAGE.read_text(encoding="utf-8")


def test_the_comment_is_short_and_begins_with_its_marker():
    text = render_comment(make_result(passed(), undecided()))
    top, _, folded = text.partition("<details><summary>Details</summary>\n\n")
    assert top == (
        "<!-- vitbench check -->\n\n"
        "**vitbench check: INCONCLUSIVE.** Not decided on 1 of 2 models, which is not a pass: `hybrid_s` "
        "(its worker died: out of memory).\n\n"
        "| Model | Slowdown and 99 % interval [%] | Verdict |\n"
        "|:---|---:|:---|\n"
        "| `hybrid_s` | n/a | **INCONCLUSIVE** |\n"
        "| `vit_s` | +0.3 [−0.4, +1.0] | PASS |\n\n"
        "**Noise of this runner.** Base against itself came out +0.2 % over 4 pairs of processes "
        "(−0.5 to +0.9). Head against itself in a worktree came out −0.1 % over 4 pairs of processes "
        "(−0.6 to +0.4).\n\n"
    )
    assert "| `vit_s` | 10.0 | 10.0 |" in folded


def test_a_comment_of_a_thousand_models_still_fits():
    text = render_comment(make_result(*(passed(f"model_{number}") for number in range(1000))))
    assert len(text.encode()) <= 60_000
    assert "The worst 20 of 1000 models." in text
    assert "too long for a comment" in text


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            make_result(passed()),
            "Head is not slower than base by 5 % or more on vit_s: slowdown +0.3 % [−0.4, +1.0] (99 % interval).",
        ),
        (
            make_result(passed(), make_model("b", slowdown=(0.9, 0.04, 1.8)), threshold_pct=3),
            "Head is not slower than base by 3 % or more on any of 2 models; the largest slowdown seen is +0.9 % "
            "[+0.04, +1.80] on b (99 % interval).",
        ),
        (make_result(failed()), "Head is slower than base: resnet_s +8.1 % [+6.9, +9.2] (99 % interval)."),
        (
            make_result(*(failed(name) for name in "abcde")),
            "Head is slower than base on 5 of 5 models: a +8.1 % [+6.9, +9.2], b +8.1 % [+6.9, +9.2], "
            "c +8.1 % [+6.9, +9.2] and 2 more (99 % intervals).",
        ),
        (
            make_result(*(undecided(name) for name in "abcd"), passed()),
            "Not decided on 4 of 5 models, which is not a pass: a, b, c and 1 more (its worker died: out of memory).",
        ),
        (make_result(exact=(same_work(),)), "No count rose on 1 model; no time was measured."),
        (make_result(), "Nothing was compared, which is not a pass."),
    ],
)
def test_the_first_sentence_claims_what_the_intervals_allow(result, sentence):
    assert wording.headline(result) == sentence


def test_an_interval_that_excludes_zero_is_not_shown_as_touching_it():
    assert wording.bare_estimate(make_model("a", slowdown=(1.2, 0.04, 2.4))) == "+1.2 [+0.04, +2.40]"


class _Shown(HTMLParser):
    """The elements of a page and what stands inside its code elements."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.codes: list[str] = []
        self._open: list[str] = []
        self.columns: list[int] = []

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self._open.append(tag)
        if tag == "code":
            self.codes.append("")
        if tag == "tr":
            self.columns.append(0)
        if tag in ("td", "th"):
            self.columns[-1] += 1

    def handle_endtag(self, tag):
        self._open.remove(tag)

    def handle_data(self, data):
        if "code" in self._open:
            self.codes[-1] += data


@pytest.mark.parametrize(
    "name", [HOSTILE, "a|b", "``", "`", "a\\|b", "_a_", "*", "", " ", "www.a.b", "https://a.b", "&lt;", "-->"]
)
@pytest.mark.parametrize("render", [render_page, render_comment])
def test_a_name_stays_text_wherever_it_is_shown(name, render):
    model = make_model(name, "FAIL", (8.1, 6.9, 9.2), reason=name)
    result = make_result(model, exact=(more_work(name),), problems=(name,))
    page = render(result)
    shown = _Shown()
    shown.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(page))
    tidy = wording.tidy(name)
    assert shown.elements <= {
        *("h2", "h3", "p", "ul", "li", "strong", "em", "code", "details", "summary"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    assert set(shown.columns) <= {2, 3, 6, 8}
    assert shown.codes.count(tidy) >= 4 or not tidy
    assert "@someone" not in page
    assert "http://" not in page
