"""What the tests of the page share: the made-up stores of the folder above, and pages opened in a browser."""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # the stores are modules of tests/report

from synthetic_store import desk_like

from bench.report.report_files import write_report

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium of this machine; tests are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here: {', '.join(_BROWSERS)}")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page in a window of its own, with all that it asked for and all that it complained of."""

    def __init__(self, browser: Any, path: Path, **window: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **window})
        self.page = self.context.new_page()
        self.page.set_default_timeout(5000)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html.is-ready")

    def traces(self) -> list[dict[str, Any]]:
        """The traces of points as plotly holds them: name, x, y and hover texts."""
        return self.page.evaluate(
            "[...document.getElementById('chart').data].filter((trace) => trace.customdata)"
            ".map(({name, x, y, hovertext, marker}) => ({name, x, y, hovertext, marker}))"
        )

    def point(self, number: int) -> tuple[float, float]:
        """Scrolls the plot into view and tells where in the window one of its points is."""
        self.page.locator("#chart").scroll_into_view_if_needed()
        place = self.page.evaluate(
            """(number) => {
                const chart = document.getElementById("chart");
                const traces = chart.data.filter((trace) => trace.customdata);
                const [x, y] = traces.flatMap((trace) => trace.x.map((x, i) => [x, trace.y[i]]))[number];
                const { xaxis, yaxis } = chart._fullLayout;
                const box = chart.getBoundingClientRect();
                return [box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(y)];
            }""",
            number,
        )
        return place[0], place[1]

    def until(self, expression: str) -> None:
        """Waits for the expression to be true. The page's policy forbids the polling of playwright itself."""
        deadline = time.monotonic() + 5
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, expression
            self.page.wait_for_timeout(20)

    def layout(self, path: str) -> Any:
        """A value of the plot's layout, such as `xaxis.type`."""
        return self.page.evaluate(f"document.getElementById('chart').layout.{path}")


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """visit(path, **window) opens a page; it must not complain or ask for anything by the end of the test."""
    visits: list[Visit] = []

    def opened(path: Path, **window: Any) -> Visit:
        visits.append(Visit(browser, path, **window))
        return visits[-1]

    yield opened
    complaints = [complaint for one in visits for complaint in one.complaints]
    asked = [url for one in visits for url in one.requests if not url.startswith(("file:", "data:"))]
    files = [url for one in visits for url in one.requests if url.startswith("file:")]
    for one in visits:
        one.context.close()
    assert not complaints
    assert not asked
    assert len(files) == len(visits)  # the page itself and no other file


def write_page(records: Any, out: Path, predictions: Any = lambda cell_id: None, **more: Any) -> Path:
    """The page of these records."""
    told = {"question": "Who wins?", "rebuild_command": "vitbench report suite", **more}
    return write_report("suite", records, predictions, out=out, **told).with_name("index.html")


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a store that looks like the committed desk."""
    return write_page(desk_like(), tmp_path_factory.mktemp("desk"))
