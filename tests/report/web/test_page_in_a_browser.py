"""The page in headless Chromium: what a reader can do with it, by mouse and by keyboard."""

import time

import pytest
from conftest import write_page
from synthetic_store import desk_like, make_record, speed_record, train_cell, train_values
from test_html_page import HOSTILE, big_store, hostile_records


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return write_page(hostile_records(), tmp_path_factory.mktemp("hostile"), question=HOSTILE[2], warnings=[HOSTILE[1]])


def column(page, table, number):
    return page.eval_on_selector_all(
        f'[data-table="{table}"] tbody tr:not([hidden])',
        "(rows, number) => rows.map((row) => row.cells[number].textContent)",
        number,
    )


def test_page_loads_without_complaint_or_request_and_draws_every_model(desk, visit):
    one = visit(desk)
    assert {trace["name"]: len(trace["x"]) for trace in one.traces()} == {"ViT": 3, "hybrid": 3, "CNN": 6}
    assert one.page.locator("#chart .scatterlayer .points path").count() == 12


def test_choosing_axes_changes_what_is_plotted(desk, visit):
    one = visit(desk)
    before = one.traces()[0]
    one.page.select_option("#axis-x", "throughput")
    one.page.select_option("#axis-y", "top1:digits")
    after = one.traces()[0]
    assert before["x"] == [1.6e6, 3.7e6, 8.0e6]
    assert after["x"] == pytest.approx([9000, 3892, 1800], rel=0.05)
    assert after["y"] != before["y"]
    assert one.layout("xaxis.title.text") == "Throughput [img/s]"


def test_an_axis_is_linear_or_logarithmic_as_ticked(desk, visit):
    one = visit(desk)
    assert one.layout("xaxis.type") == "log"
    one.page.uncheck("#log-x")
    assert one.layout("xaxis.type") == "linear"
    one.page.check("#log-y")
    assert one.layout("yaxis.type") == "log"
    low, high = one.layout("yaxis.range")
    assert 50 < 10**low < 10**high < 110  # the range of a logarithmic axis is in powers of ten


def test_families_and_kinds_of_numbers_are_shown_as_ticked(desk, visit):
    one = visit(desk)
    one.page.uncheck("input[name=family][value=cnn]")
    assert {trace["name"] for trace in one.traces()} == {"ViT", "hybrid"}
    one.page.select_option("#axis-x", "pretrain_flop")
    one.page.select_option("#axis-y", "finetuned:imagenet")
    assert {trace["name"] for trace in one.traces()} == {"ViT", "hybrid"}  # published alone: nothing to tell apart
    assert {trace["marker"]["symbol"] for trace in one.traces()} == {"circle-dot", "triangle-up-dot"}
    one.page.uncheck("input[name=layer][value=paper]")
    assert one.traces() == []


def test_hovering_shows_the_conditions_of_the_records(desk, visit):
    one = visit(desk)
    one.page.mouse.move(*one.point(0))
    text = one.page.locator("#chart .hoverlayer .hovertext").text_content()
    for words in ("ViT S", "measured here", "Contours: top-1 [%]", "3 seeds", "learning rate 0.002", "MACs of one",
                  "3 records of 2026-01-02", "commit 0123456789ab", "32 px", "cpu, fp32, channels_last"):  # fmt: skip
        assert words in text, words


def test_unstable_seeds_are_on_no_front(tmp_path, visit):
    models = {"vit_32px_s": (1e6, (74.4, 99.0, 98.8)), "resnet_32px_s": (2e6, (80, 80, 80)),
              "mbconv_32px_s": (3e6, (85, 85, 85))}  # fmt: skip
    records = [
        make_record(train_cell(model, seed=seed), train_values(top1, macs=macs))
        for model, (macs, values) in models.items()
        for seed, top1 in enumerate(values)
    ]
    one = visit(write_page(records, tmp_path))
    fronts = one.page.evaluate(
        "document.getElementById('chart').data.filter((trace) => trace.name === 'Pareto front').map(({x}) => [...x])"
    )
    assert fronts == [[2e6, 3e6]]
    assert {trace["name"]: trace["x"] for trace in one.traces()}["ViT"] == [1e6]


def test_a_chosen_point_is_ringed_and_its_records_listed(desk, visit):
    one = visit(desk)
    label = next(text for text in one.page.locator("#point option").all_text_contents() if text.startswith("ViT M"))
    one.page.select_option("#point", label=label)
    details = one.page.locator("#point-details")
    assert "ViT M" in details.text_content()
    details.locator("summary").click()
    shown = details.locator("code").all_text_contents()
    vit = [r for r in desk_like() if r.cell.get("model") == "vit_32px_m" and r.cell.get("dataset") == "shapes"]
    largest = {record.cell_id for record in vit if record.cell["train_images"] == 8190}
    assert largest <= set(shown)
    assert len(shown) == len(largest) + 1  # and the record that counted the MACs


def test_clicking_a_point_chooses_it(desk, visit):
    one = visit(desk)
    one.page.mouse.click(*one.point(0))
    assert one.page.locator("#point-details .point-name").text_content() == "ViT S"


def test_zooming_by_button_narrows_the_axes_and_numbers_them_anew(desk, visit):
    one = visit(desk)
    low, high = one.layout("xaxis.range")
    one.page.click("#zoom-in")
    inner_low, inner_high = one.layout("xaxis.range")
    assert (inner_high - inner_low) == pytest.approx(0.7 * (high - low))
    one.until("document.getElementById('chart').layout.xaxis.tickvals.length > 2")
    one.page.click("#zoom-reset")
    assert one.layout("xaxis.range") == pytest.approx([low, high])


def test_numbers_sort_by_value_with_missing_ones_last_both_ways(tmp_path, visit):
    rates = {"vit_32px_s": 12_345.0, "vit_32px_m": None, "resnet_32px_s": 987.0, "resnet_32px_m": 2_345.0}
    records = [make_record(train_cell(model), train_values(80.0)) for model in rates]
    records += [speed_record(model, 0, rate) for model, rate in rates.items() if rate]
    one = visit(write_page(records, tmp_path))
    heads = one.page.locator('[data-table="main"] thead th')
    place = next(i for i, text in enumerate(heads.all_text_contents()) if text.startswith("Throughput"))
    stored = column(one.page, "main", place)
    expected = {
        "ascending": ["9873", "2\u202f3453", "12\u202f3453", "n/a2"],  # the last digit is the footnote's
        "descending": ["12\u202f3453", "2\u202f3453", "9873", "n/a2"],
        "none": stored,
    }
    for order, shown in expected.items():
        heads.nth(place).locator("button").click()
        assert heads.nth(place).get_attribute("aria-sort") == order
        assert column(one.page, "main", place) == shown


def test_a_filter_keeps_the_rows_that_hold_every_word(desk, visit):
    one = visit(desk)
    box = one.page.locator('[data-table="main"]')
    box.locator("input[type=search]").fill("vit cnn")
    assert box.locator("output").text_content() == "0 of 12 rows"
    box.locator("input[type=search]").fill("RESNET cnn")
    assert column(one.page, "main", 0) == [
        "ResNet S (resnet_32px_s)",
        "ResNet M (resnet_32px_m)",
        "ResNet L (resnet_32px_l)",
    ]
    box.locator("input[type=search]").fill("")
    throughput = box.locator("tbody tr").first.locator("td").nth(9).text_content().split(" ")[0]
    assert "\u202f" in throughput
    box.locator("input[type=search]").fill(throughput.replace("\u202f", " "))
    assert "ViT S (vit_32px_s)" in column(one.page, "main", 0)
    assert not box.locator("output").text_content().startswith("12")


def test_an_entry_tells_its_records_by_click_and_by_keyboard(desk, visit):
    one = visit(desk)
    box = one.page.locator('[data-table="main"]')
    entry = box.locator("tbody tr").first.locator("td").nth(4)
    expected = {
        record.cell_id
        for record in desk_like()
        if record.cell.get("model") == "vit_32px_s" and record.cell.get("dataset") == "shapes"
    }
    entry.click()
    assert set(box.locator(".records code").all_text_contents()) == expected
    box.get_by_role("button", name="Close").click()
    assert box.locator(".records").is_hidden()
    box.locator(".trace").check()
    entry.locator("button").focus()
    one.page.keyboard.press("Enter")
    assert (
        "ViT S (vit_32px_s) – Contours: top-1 [%]: 3 records of 2026-01-02" in box.locator(".records p").text_content()
    )
    box.locator(".trace").uncheck()
    assert entry.locator("button").count() == 0
    assert box.locator(".records").is_hidden()


FOCUSABLE = "a[href], button, input, select, summary, [tabindex='0']"


def test_everything_is_reached_by_the_tab_key_in_order_and_seen(desk, visit):
    one = visit(desk)
    one.page.evaluate(
        "document.querySelectorAll(`a[href], button, input, select, summary, [tabindex='0']`)"
        ".forEach((element, place) => { element.dataset.place = place; })"
    )
    wanted = one.page.eval_on_selector_all(
        FOCUSABLE, "all => all.filter((one) => one.checkVisibility()).map((one) => Number(one.dataset.place))"
    )
    reached = []
    for _ in range(len(wanted) + 5):
        one.page.keyboard.press("Tab")
        place = one.page.evaluate("document.activeElement.dataset.place ?? null")
        if place is None:
            break
        reached.append(int(place))
        outline = one.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", place
    assert len(wanted) > 60
    assert reached == wanted


def test_the_skip_link_is_first_and_leads_to_the_report(desk, visit):
    one = visit(desk)
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.textContent") == "Skip to the report"
    one.page.keyboard.press("Enter")
    assert one.page.evaluate("document.activeElement.id") == "main"


def test_enter_on_a_heading_sorts(desk, visit):
    one = visit(desk)
    head = one.page.locator('[data-table="main"] thead th').nth(2)
    head.locator("button").focus()
    one.page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"


def test_headings_come_in_order_and_every_control_and_figure_has_a_name(desk, visit):
    one = visit(desk)
    levels = one.page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    assert one.page.get_attribute("html", "lang") == "en"
    assert all(one.page.eval_on_selector_all("img", "all => all.map((one) => one.alt)"))
    unnamed = one.page.eval_on_selector_all(
        "input, select", "all => all.filter((one) => !one.labels.length || !one.labels[0].textContent.trim()).length"
    )
    assert unnamed == 0
    places = one.page.eval_on_selector_all("[id]", "all => all.map((one) => one.id)")
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", ["desk", "hostile"])
def test_a_narrow_window_never_scrolls_sideways(name, visit, request):
    one = visit(request.getfixturevalue(name), viewport={"width": 400, "height": 800})
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 400
    one.page.locator("#points-table summary").click()
    one.page.select_option("#point", index=1)
    assert one.page.evaluate("document.scrollingElement.scrollWidth") <= 400
    assert one.page.evaluate("document.querySelector('#chart .main-svg').clientWidth") <= 400
    head = one.page.locator('[data-table="main"] tbody th').first
    before = head.bounding_box()["x"]
    one.page.eval_on_selector('[data-table="main"] .table-box', "box => { box.scrollLeft = 300; }")
    assert head.bounding_box()["x"] == pytest.approx(before, abs=1)  # the first column stays


def test_dark_mode_colours_page_and_plot(desk, visit):
    one = visit(desk, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert one.page.evaluate(ground) == "rgb(22, 24, 29)"
    assert one.layout("font.color") == "#e6e8eb"
    assert one.traces()[0]["marker"]["color"] == "#56B4E9"
    one.page.emulate_media(color_scheme="light")
    one.until("document.getElementById('chart').layout.font.color === '#1d1f23'")
    assert one.page.evaluate(ground) == "rgb(255, 255, 255)"
    assert one.traces()[0]["marker"]["color"] == "#0072B2"


def test_printing_is_in_the_light_colours_without_controls(desk, visit):
    one = visit(desk, color_scheme="dark")
    one.page.emulate_media(media="print", color_scheme="dark")
    one.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert one.traces()[0]["marker"]["color"] == "#0072B2"
    assert one.page.locator("#plot-controls").is_hidden()
    assert one.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_scripts_the_page_is_readable(desk, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(desk.as_uri())
    assert page.locator("noscript").is_visible()
    assert page.locator('[data-table="main"] tbody tr').count() == 12
    assert page.locator("#plot").is_hidden()
    context.close()


def test_hostile_names_stay_text_wherever_they_are_shown(hostile, visit):
    one = visit(hostile)
    elements = one.page.evaluate("document.querySelectorAll('script, img[src=x], #chart a, #chart b').length")
    assert elements == 3  # the page's own scripts
    offered = " ".join(one.page.locator("#point option").all_text_contents())
    for place, name in enumerate(HOSTILE[:5]):
        one.page.select_option("#point", index=place + 1)
        assert name in one.page.locator("#point-details").text_content() + offered
    for place, name in enumerate(HOSTILE):
        one.page.mouse.move(*one.point(place))
        one.page.locator("#chart .hovertext", has_text=name[:60]).wait_for()
    for option in one.page.eval_on_selector_all("#axis-y option", "all => all.map((one) => one.value)")[:3]:
        one.page.select_option("#axis-y", option)
        drawn = one.page.locator("#chart .ytitle").text_content()
        assert drawn == one.page.locator(f'#axis-y option[value="{css(option)}"]').text_content()
    heads = one.page.locator('[data-table="main"] thead').text_content()
    assert all(name in heads for name in HOSTILE[:3])


def css(text):
    return text.replace("\\", "\\\\").replace('"', '\\"')


@pytest.mark.slow
def test_thousands_of_points_are_drawn_anew_within_a_second(tmp_path, visit):
    one = visit(write_page(big_store(), tmp_path))
    one.page.wait_for_selector("html.is-ready")
    start = time.perf_counter()
    one.page.select_option("#axis-x", "train_images")
    assert sum(len(trace["x"]) for trace in one.traces()) == 800  # four sizes of 200 models
    assert time.perf_counter() - start < 3  # on a machine that others use too
