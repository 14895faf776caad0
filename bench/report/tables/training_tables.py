"""Tables of trainings from scratch: families compared, training sizes and budgets, learning rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from bench.analyse.accuracies.accuracy import PixelBaseline, Trained
from bench.analyse.accuracies.pooling import along_images
from bench.analyse.accuracies.subjects import RunKey
from bench.analyse.accuracies.trials import SweptModel
from bench.analyse.compare.differences import FAMILY_PAIRS, Difference, Place
from bench.analyse.study import Study
from bench.catalog.identity import family_rank, identify_dataset
from bench.number_format import Scale, fixed, flop_scale, learning_rate, rounded, significant, whole
from bench.report.tables.accuracy_cells import PIXELS, edge_words, pairs_table, score_cell, tried_cell
from bench.report.tables.columns import dataset_column, each, no_records, number, words
from bench.report.tables.table import Cell, ColumnSpec, Notes, Table, grouped, make_table
from bench.units import GIGA

_Pair = tuple[RunKey, RunKey, str]  # the second is subtracted from the first; a data set, or ""


def differences_table(study: Study) -> Table | None:
    """One row per two models of one size and of different families, a column per data set, at full size and budget."""
    main = {(s.key, s.dataset): (s.train_images, s.budget_gflop) for s in study.main}
    found = {
        place: one
        for place, one in study.differences.items()
        if main.get((place.first, place.dataset)) == (place.train_images, place.budget_gflop)
    }
    names = [dataset.name for dataset in study.datasets if any(place.dataset == dataset.name for place in found)]
    columns = {name: f"{identify_dataset(name).title} [points]" for name in names}
    return _differences("differences", study, found, lambda place: place.dataset, columns)


def size_differences_table(study: Study) -> Table | None:
    """The same on one set, a column per number of training images; of pairs with several."""
    on_axis = {(s.key, s.dataset, s.train_images, s.budget_gflop) for s in along_images(study.scores)}
    found = _with_several(
        {
            place: one
            for place, one in study.differences.items()
            if (place.first, place.dataset, place.train_images, place.budget_gflop) in on_axis
        }
    )
    columns = {size: f"{fixed(size, 0)} images [points]" for size in sorted({place.train_images for place in found})}
    return _differences("size_differences", study, found, lambda p: p.train_images, columns, by_set=True)


def budget_differences_table(study: Study) -> Table | None:
    """The same at the largest training set, a column per training budget; of pairs with several."""
    sizes = {score.dataset: score.train_images for score in study.main}
    found = _with_several({p: one for p, one in study.differences.items() if sizes.get(p.dataset) == p.train_images})
    scale = flop_scale(place.budget_gflop * GIGA for place in found)
    columns = {b: f"{_budget(b, scale)} [points]" for b in sorted({place.budget_gflop for place in found})}
    return _differences("budget_differences", study, found, lambda p: p.budget_gflop, columns, by_set=True)


def _with_several(found: Mapping[Place, Difference]) -> dict[Place, Difference]:
    """Of pairs that meet in several places on one data set."""
    places = Counter((place.first, place.second, place.dataset) for place in found)
    return {p: one for p, one in found.items() if places[p.first, p.second, p.dataset] > 1}


def _differences(
    name: str,
    study: Study,
    found: Mapping[Place, Difference],
    column_of: Callable[[Place], object],
    columns: Mapping[Any, str],
    *,
    by_set: bool = False,
) -> Table | None:
    """Differences by pair (and set) along the columns, each with the records of both models."""
    ids = {(s.key, s.dataset, s.train_images, s.budget_gflop): s.cell_ids for s in study.scores}
    order = {row.key: index for index, row in enumerate(study.rows)}

    def rank(pair: _Pair) -> tuple[object, ...]:
        first, second, dataset = pair
        families = study.families[first.model], study.families[second.model]
        return FAMILY_PAIRS.index(families), order.get(first, len(order)), order.get(second, len(order)), dataset

    rows: dict[_Pair, dict[object, tuple[Difference, tuple[str, ...]]]] = {}
    for place, one in found.items():
        where = place.dataset, place.train_images, place.budget_gflop
        pair = place.first, place.second, place.dataset if by_set else ""
        both = ids[(place.first, *where)] + ids[(place.second, *where)]
        rows.setdefault(pair, {})[column_of(place)] = one, both
    leading: list[ColumnSpec[_Pair]] = [
        words("First minus second", lambda pair: f"{study.labels[pair[0]]} − {study.labels[pair[1]]}",
              lambda pair: f"{pair[0].model} {pair[1].model}"),
        *([dataset_column(lambda pair: pair[2])] if by_set else []),
    ]  # fmt: skip
    ordered = {pair: rows[pair] for pair in sorted(rows, key=rank)}
    return pairs_table(name, ordered, leading, columns, "the two were not trained alike there")


def training_sizes_table(study: Study) -> Table | None:
    """Top-1 by number of training images, for the models and sets that have several."""
    curves = grouped(along_images(study.scores), lambda s: (s.dataset, study.labels[s.key]), lambda s: s.train_images)
    several = {line: own for line, own in curves.items() if len(own) > 1}
    headings = {
        size: f"{fixed(size, 0)} images: top-1 [%]" for size in sorted({n for own in several.values() for n in own})
    }
    return _scores_table("training_sizes", study, several, headings, "no run at this size")


def budgets_table(study: Study) -> Table | None:
    """Top-1 by training budget, for models that were trained to several on the full set."""
    sizes = {score.dataset: score.train_images for score in study.main}
    found = [score for score in study.scores if sizes.get(score.dataset) == score.train_images]
    curves = grouped(found, lambda s: (s.dataset, study.labels[s.key]), lambda s: s.budget_gflop)
    if all(len(own) == 1 for own in curves.values()):
        return None
    scale = flop_scale(score.budget_gflop * GIGA for score in found)
    headings = {b: f"{_budget(b, scale)}: top-1 [%]" for b in sorted({score.budget_gflop for score in found})}
    return _scores_table("training_budgets", study, curves, headings, "no run at this budget")


def _budget(gflop: float, scale: Scale) -> str:
    return f"{significant(gflop * GIGA / scale.factor, 3)} {scale.unit}"


def _scores_table(
    name: str,
    study: Study,
    curves: Mapping[tuple[str, str], Mapping[Any, Trained]],
    headings: Mapping[Any, str],
    missing: str,
) -> Table | None:
    """A row per data set and model, then of the regression on pixels, a column per place along an axis."""
    order = {row.label: index for index, row in enumerate(study.rows)}
    found: dict[tuple[str, str], dict[Any, Trained | PixelBaseline]] = {line: {**own} for line, own in curves.items()}
    for (dataset, _), own in curves.items():
        known = {place: score.pixels for place, score in own.items() if score.pixels is not None}
        found.setdefault((dataset, PIXELS.capitalize()), {}).update(known)

    def top1(line: tuple[str, str], place: object, notes: Notes) -> Cell:
        return score_cell(found[line].get(place), notes, missing)

    columns: list[ColumnSpec[tuple[str, str]]] = [
        words("Model", lambda line: line[1]),
        dataset_column(lambda line: line[0]),
        *each(headings, lambda place: headings[place], top1),
    ]
    lines = (line for line, own in found.items() if own)
    return make_table(name, sorted(lines, key=lambda line: (line[0], order.get(line[1], len(order)))), columns)


def learning_rates_table(study: Study) -> Table | None:
    """Validation top-1 by learning rate, the chosen rate, and whether it sits at the edge of what was tried."""
    if not study.swept:
        return None
    several = len({(swept.dataset, swept.train_images) for swept in study.swept}) > 1
    scale = flop_scale(swept.budget_gflop * GIGA for swept in study.swept)

    def top1(swept: SweptModel, rate: float, _: Notes) -> Cell:
        found = swept.top1_pct.get(rate)
        ids = swept.cell_ids.get(rate, ())
        return tried_cell(found, ids, was_tried=rate in swept.tried, is_best=rate == swept.best_rate)

    columns: list[ColumnSpec[SweptModel]] = [
        words("Model", lambda one: one.identity.title, lambda one: one.identity.name)
    ]
    if several:
        columns += [
            dataset_column(lambda one: one.dataset),
            number("Training images", lambda one: one.train_images, whole, records=no_records),
        ]
    columns += [
        number(f"Training [{scale.unit}]", lambda one: one.budget_gflop * GIGA,
               rounded(2, scale.factor), records=no_records),
        *each(sorted({rate for one in study.swept for rate in one.tried}),
              lambda rate: f"{learning_rate(rate)}: top-1 [%]", top1),
        number("Trials", lambda one: len(one.tried), str,
               records=lambda one: tuple(cell_id for known in one.cell_ids.values() for cell_id in known)),
        number("Chosen", lambda one: one.best_rate, learning_rate, records=lambda one: one.cell_ids[one.best_rate]),
        words("Remark", lambda one: edge_words(one.edge)),
    ]  # fmt: skip
    ordered = sorted(
        study.swept,
        key=lambda s: (family_rank(s.identity.family), s.identity.title, s.dataset, s.train_images, s.budget_gflop),
    )
    return make_table("learning_rates", ordered, columns)
