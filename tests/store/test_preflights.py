from analyse.records import record

from bench.store.preflights import BadImage, Listed, preflights

FOUND = {
    "images": 10,
    "parts": {"train": 8, "test": 2},
    "missing_parts": ["validation"],
    "split_made_here": True,
    "bad": [{"key": "a.jpg", "part": "train", "reason": "truncated"}],
    "bad_share": 0.1,
    "converted": {"grey": 3, "CMYK": 0},
    "wrong_extension": {"count": 60, "keys": ["b.png"]},
    "tiny_classes": [{"class_name": "auk", "part": "test", "images": 1}],
    "classes_missing": {"test": ["wren"], "train": []},
    "exact_duplicates": {"count": 2, "images": 4, "across_parts": 1, "labels_differ": 1,
                         "twins_in_other_parts": {"test": 1}, "complete": True,
                         "groups": [{"keys": ["a", "b"], "across_parts": True, "labels_differ": True}]},
    "near_duplicates": {"count": 0, "images": 0, "across_parts": 0, "labels_differ": 0, "twins_in_other_parts": {},
                        "complete": False, "groups": []},
    "width_px": {"min": 1, "max": 9},
    "height_px": {"min": 2, "max": 8},
    "img_per_s": 5.0,
    "notes": ["one note"],
}  # fmt: skip


def checked(dataset="birds", fingerprint="f", started_at="2026-01-01T00:00:00Z", **values):
    cell = {"task": "preflight", "metric_version": 1, "dataset": dataset, "fingerprint": fingerprint}
    return record(cell, {**FOUND, **values}, started_at=started_at)


def test_findings_are_read_as_they_were_stored():
    (one,) = preflights([checked()])
    assert (one.images, one.parts, one.bad) == (10, {"train": 8, "test": 2}, (BadImage("a.jpg", "train", "truncated"),))
    assert (one.converted, one.wrong_extension) == ({"grey": 3}, Listed(60, ("b.png",)))
    assert one.tiny_classes == ({"class_name": "auk", "part": "test", "images": 1},)
    assert one.classes_missing == {"test": ["wren"]}
    assert (one.exact_duplicates.count, one.exact_duplicates.labels_differ) == (2, 1)
    assert one.exact_duplicates.groups == ({"keys": ["a", "b"], "across_parts": True, "labels_differ": True},)
    assert (one.near_duplicates.complete, one.split_made_here, one.notes) == (False, True, ("one note",))


def test_duplicates_across_parts_are_what_crosses():
    assert preflights([checked()])[0].crosses_parts
    inside = {**FOUND["exact_duplicates"], "across_parts": 0}
    assert not preflights([checked(exact_duplicates=inside)])[0].crosses_parts


def test_the_newest_check_of_a_set_counts():
    old, new = checked(fingerprint="a", images=1), checked(fingerprint="b", started_at="2026-02-01T00:00:00Z")
    assert [one.images for one in preflights([new, old])] == [10]


def test_a_look_that_found_nothing_is_read_too():
    (one,) = preflights([record({"task": "preflight", "dataset": "empty", "fingerprint": ""}, {})])
    exact = one.exact_duplicates
    assert (one.images, one.bad, exact.count, exact.complete, one.crosses_parts) == (0, (), 0, True, False)
