from synthetic_protocols import crossing, preflight_record

from bench.analyse.study import study
from bench.report.sections.preflight_section import preflight_sections, preflight_table, preflight_warnings
from bench.report.tables.table import render_table


def protocols(*records):
    return study("s", records, lambda cell_id: None).protocols


def test_section_names_every_finding():
    (section,) = preflight_sections(protocols(preflight_record(notes=["a *note*"], near_duplicates=crossing(2))))
    assert section.heading == "Data set birds"
    assert section.text == "\n".join(
        [
            "- 1\u202f000 images were decoded once: train 800 and test 200.",
            "- Width [px]: least 32, median 500, most 900; height [px]: least 30, median 375, most 800.",
            "- 1 bad file, 0.10 %, left out of everything: train/wren/7.jpg (train: truncated file).",
            "- Converted to upright RGB: CMYK 1 and grey 12.",
            "- Extension that does not say the content: 1 file (train/wren/9.png).",
            "- Classes of very few images, whose accuracy says little: dodo (test 2).",
            "- Classes without an image in test: auk.",
            "- Exact duplicates: none found.",
            "- Near-duplicates: 2 groups, 2 of them across parts: train/a.jpg = test/b.jpg (across parts); 1 more.",
            "- The parts that were missing are split off here, stratified and always the same way (validation missing "
            "in the source).",
            r"- a \*note\*",
            "- Fingerprint of keys, labels and bytes: `0123456789abcdef`.",
        ]
    )


def test_table_whole():
    assert render_table(preflight_table(protocols(preflight_record(exact_duplicates=crossing(3))))) == "\n".join(
        [
            "| Data set | Images | Train | Validation | Test | Bad files | Bad [%] | Converted | Wrong extension "
            "| Tiny classes | Exact duplicates across parts | Near-duplicates across parts | Split made here "
            "| Checked [img/s] |",
            "|:---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|:---|---:|",
            "| birds | 1\u202f000 | 800 | – | 200 | 1 | 0.10 | 13 | 1 | 1 | 3 | 0 | yes | 420 |",
        ]
    )


def test_duplicates_across_parts_are_a_warning_and_others_are_not():
    inside = {**crossing(4), "across_parts": 0, "twins_in_other_parts": {}}
    assert preflight_warnings(protocols(preflight_record(exact_duplicates=inside))) == []
    assert preflight_warnings(protocols(preflight_record(exact_duplicates=crossing(2, test=5)))) == [
        "**Warning.** birds: the same pictures stand in several parts (2 groups of exact duplicates; at least 5 test "
        "images, 2.5 % of the test part), so a score on one part can be of images seen in another. See the data set's "
        "section."
    ]


def test_long_lists_end_with_how_many_are_left_out():
    bad = [{"key": f"{i}.jpg", "part": "train", "reason": "truncated"} for i in range(25)]
    (section,) = preflight_sections(protocols(preflight_record(bad=bad, bad_share=0.025)))
    assert "19.jpg (train: truncated), 5 more." in section.text
    assert "20.jpg" not in section.text


def test_names_of_files_and_sets_stay_text():
    bad = [{"key": "<script>|*x*", "part": "train", "reason": "<b>"}]
    (section,) = preflight_sections(protocols(preflight_record("a|<img>*b*", bad=bad)))
    assert section.heading == r"Data set a\|&lt;img&gt;\*b\*"
    assert r"&lt;script&gt;\|\*x\* (train: &lt;b&gt;)" in section.text


def test_a_clean_set_says_so():
    (section,) = preflight_sections(protocols(preflight_record(bad=[], bad_share=0.0, converted={}, tiny_classes=[])))
    assert "- No file failed to decode." in section.text
    assert "Converted" not in section.text
