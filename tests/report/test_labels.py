import itertools
import random

from bench.report.figures.labels import Box, PlanningContext, place_labels


def crowd(count, seed=0, width=300.0, height=200.0):
    rng = random.Random(seed)
    anchors = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(count)]
    markers = [Box(x, y, x, y).grown(3) for x, y in anchors]
    return anchors, PlanningContext(Box(-20, -20, width + 20, height + 20), markers, (), anchors)


def test_labels_cover_neither_each_other_nor_points_nor_the_frame():
    for seed in range(20):
        anchors, around = crowd(18, seed)
        spots = place_labels(anchors, [(45.0, 9.0)] * 18, around)
        boxes = [spot.box for spot in spots if spot is not None]
        assert len(boxes) == 18
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
        assert not any(box.overlaps(marker) for box in boxes for marker in around.blocked)
        assert all(around.bounds.contains(box) for box in boxes)


def test_the_same_points_get_the_same_places():
    anchors, around = crowd(15)
    assert place_labels(anchors, [(40.0, 9.0)] * 15, around) == place_labels(anchors, [(40.0, 9.0)] * 15, around)


def test_a_label_alone_stands_right_beside_its_point_without_a_line():
    (spot,) = place_labels([(50.0, 50.0)], [(30.0, 8.0)], PlanningContext(Box(0, 0, 200, 100), points=[(50.0, 50.0)]))
    assert (spot.box.left, spot.leader) == (55.0, None)


def test_a_label_nearer_to_another_point_gets_a_line_to_its_own():
    points = [(50.0, 50.0), (52.0, 57.0)]
    blocked = [Box(0, 0, 200, 49), Box(0, 50.5, 49, 100)]
    spots = place_labels(points[:1], [(30.0, 8.0)], PlanningContext(Box(0, 0, 200, 100), blocked, (), points))
    assert spots[0].leader is not None


def test_a_label_with_no_free_place_is_left_out():
    (spot,) = place_labels([(5.0, 5.0)], [(30.0, 8.0)], PlanningContext(Box(0, 0, 10, 10)))
    assert spot is None


def test_lines_are_avoided_when_there_is_another_place():
    line = [Box(x, 49.0, x + 2, 51.0) for x in range(50, 120, 2)]
    (spot,) = place_labels([(50.0, 50.0)], [(30.0, 8.0)], PlanningContext(Box(0, 0, 200, 100), lines=line))
    assert not any(spot.box.overlaps(bead) for bead in line)
