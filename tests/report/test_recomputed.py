"""Every difference and verdict of the committed reports, computed anew from `results/` without `bench.analyse`."""

import csv
import json
import math
import re
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

ROOT = Path(__file__).parents[2]
MODELS = tomllib.loads((ROOT / "bench/catalog/small_models.toml").read_text())
TITLES = {row["title"]: name for name, row in MODELS.items()}
SUITES = [path.parent.name for path in sorted((ROOT / "reports").glob("*/report.md"))]


@cache
def records(suite):
    lines = [line for path in (ROOT / "results" / suite).glob("*.jsonl") for line in path.read_text().splitlines()]
    found = sorted((json.loads(line) for line in lines), key=lambda one: one.get("started_at", ""))
    return {one["cell_id"]: one for one in found if one.get("status") == "ok"}


@cache
def pretraining_seeds(suite):
    cells = ((one["cell"], one["values"]) for one in records(suite).values())
    return {values["weights_sha256"]: cell["seed"] for cell, values in cells if cell["task"] == "pretrain"}


@cache
def right_answers(suite, cell_id):
    path = ROOT / "results" / suite / "predictions" / f"{cell_id}.parquet"
    frame = pd.read_parquet(path).sort_values("key") if path.exists() else None
    return None if frame is None else (frame["label"] == frame["prediction"]).to_numpy(float)


def entries(suite, table):
    path = ROOT / "reports" / suite / "tables" / f"{table}.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def top1(record, shots):
    if record["cell"]["task"] != "fewshot":
        return record["values"]["top1_pct"]
    loo = [row for row in record["values"]["results"] if row["shots"] == shots and row["rule"] == "loo"]
    return float(np.mean([row["top1_pct"] for row in loo]))


def side(suite, ids, shots):
    """Means of each seed over data sets, variance by test images drawn anew, right answers (seeds, images) on one."""
    runs = defaultdict(dict)
    for cell_id, cell in ((one, records(suite)[one]["cell"]) for one in ids):
        if cell["task"] in ("train", "finetune", "fewshot"):
            seed = pretraining_seeds(suite).get(cell.get("weights"), cell.get("seed", 0))
            runs[cell["dataset"]][seed] = cell_id
    order = [[of_set[seed] for seed in sorted(of_set)] for of_set in runs.values()]
    table = np.array([[top1(records(suite)[cell_id], shots) for cell_id in of_set] for of_set in order])
    first = [records(suite)[of_set[0]]["values"] for of_set in order]
    images = np.array([values.get("test_images") or values.get("scored_images") for values in first])
    p, answers = table.mean(axis=1) / 100, [right_answers(suite, cell_id) for cell_id in order[0]]
    right = None if len(runs) > 1 or any(one is None for one in answers) else np.array(answers)
    return table.mean(axis=0), 1e4 * sum(p * (1 - p) / images) / len(runs) ** 2, right


def residual(right):
    """What seeds' disagreement on single images adds to the variance of an image's mean."""
    seeds, images = right.shape
    rest = right - right.mean(0) - right.mean(1, keepdims=True) + right.mean()
    return (rest**2).sum() / ((seeds - 1) * (images - 1) * seeds)


def is_unstable(values):
    width = 2 * stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return width > 20 or max(abs(values - np.median(values))) > 10


def welch(suite, first, second, shots=0):
    """Difference, ends of its 95 % interval, p, and whether seeds of one of the two are unstable."""
    sides = [side(suite, ids, shots) for ids in (first, second)]
    (ours, our_images, our_right), (theirs, their_images, their_right) = sides
    terms = [(values.var(ddof=1) / len(values), len(values) - 1) for values in (ours, theirs)]
    if our_right is None or their_right is None:
        terms += [(our_images, 1e4), (their_images, 1e4)]
    else:
        n, rest = our_right.shape[1], [residual(right) for right in (our_right, their_right)]
        terms = [(variance or 1e4 * own / n, df) for (variance, df), own in zip(terms, rest, strict=True)]
        joint = (our_right.mean(0) - their_right.mean(0)).var(ddof=1) - sum(rest)
        terms.append((1e4 * max(0.0, joint) / n, n - 1))
    total = sum(variance for variance, _ in terms)
    told = [(2 * variance, own) for variance, own in terms[:2]] + terms[2:]  # seeds count twice: docs/intervals.md
    df = sum(variance for variance, _ in told) ** 2 / sum(variance**2 / own for variance, own in told)
    delta, half = ours.mean() - theirs.mean(), stats.t.ppf(0.975, df) * math.sqrt(total)
    p = 2 * stats.t.sf(abs(delta) / math.sqrt(total), df)
    return delta, max(-100, delta - half), min(100, delta + half), p, is_unstable(ours) or is_unstable(theirs)


def is_below_pixels(suite, ids):
    """Whether a training from scratch is below logistic regression on pixels, if that was run on as many images."""
    cells = [records(suite)[cell_id]["cell"] for cell_id in ids]
    places = {(cell["dataset"], cell["train_images"]) for cell in cells if cell["task"] == "train"}
    fits = [
        one["values"]["top1_pct"]
        for one in records(suite).values()
        if one["cell"]["task"] == "pixels" and places == {(one["cell"]["dataset"], one["cell"]["train_images"])}
    ]
    return bool(fits) and np.mean([records(suite)[i]["values"]["top1_pct"] for i in ids]) < np.mean(fits)


def parted(suite, entry):
    """The records of the two models of a row, or of one model with pretrained weights and of its control."""
    cells = {cell_id: records(suite)[cell_id]["cell"] for cell_id in entry["record_ids"].split()}
    if " − " in entry["row"]:
        models = [TITLES[title.split(",")[0].strip()] for title in entry["row"].split(" − ")]
        return [[i for i, cell in cells.items() if cell.get("model") == model] for model in models]
    controls = [i for i, cell in cells.items() if cell.get("weights", "random") == "random"]
    return [[i for i in cells if i not in controls], controls]


@pytest.mark.parametrize("suite", SUITES)
def test_every_difference_and_whether_it_is_decided_follows_from_the_records(suite):
    text = (ROOT / "reports" / suite / "report.md").read_text(encoding="utf-8")
    tables = [path.stem for path in sorted((ROOT / "reports" / suite / "tables").glob("*.csv"))]
    for table in (name for name in tables if name.endswith("differences") or name.startswith("pretraining_gain")):
        for entry in (one for one in entries(suite, table) if "[points]" in one["column"] and one["record_ids"]):
            where, found = (suite, table, entry["row"], entry["column"]), re.search(r"(\d+)-shot", entry["row"])
            sides, shots = parted(suite, entry), int(found[1]) if found else 0
            if min(len(side(suite, ids, shots)[0]) for ids in sides) == 1:  # one seed decides nothing
                assert f"**{entry['shown']}**" not in text, where
                continue
            delta, low, high, p, unstable = welch(suite, *sides, shots)
            assert unstable == (entry["shown"] == "unstable"), where
            is_trained = table in ("differences", "size_differences", "budget_differences")
            below = is_trained and not unstable and any(is_below_pixels(suite, ids) for ids in sides)
            assert below == ("below pixels" in entry["shown"]), where
            if not unstable:
                ends = re.findall(r"=(\S+)", entry["more"])
                said = [float(number) for number in (entry["value"], *ends)]
                assert said == pytest.approx([delta, low, high], abs=0.05), where
                assert (p < 0.05 and not below) == (f"**{entry['shown']}**" in text), where


@pytest.mark.parametrize("suite", [name for name in SUITES if entries(name, "differences")])
def test_the_models_in_bold_are_those_that_cannot_be_told_from_the_best(suite):
    text = (ROOT / "reports" / suite / "report.md").read_text(encoding="utf-8")
    columns = defaultdict(dict)
    for entry in (one for one in entries(suite, "main") if one["column"].endswith(": top-1 [%]") and one["record_ids"]):
        if entry["row"] == "Logistic regression on pixels":
            continue
        columns[entry["column"]][entry["row"]] = entry["record_ids"].split(), entry["shown"]
    for column, rows in columns.items():
        values = {row: side(suite, ids, 0)[0] for row, (ids, _) in rows.items()}
        below = [row for row, (ids, _) in rows.items() if is_below_pixels(suite, ids)]
        ranked = [row for row, own in values.items() if len(own) > 1 and not is_unstable(own) and row not in below]
        ranked.sort(key=lambda row: -values[row].mean())
        p = {row: welch(suite, rows[ranked[0]][0], rows[row][0])[3] for row in ranked[1:]}
        adjusted, best = 0.0, set(ranked)
        for rank, row in enumerate(sorted(p, key=p.get)):
            adjusted = max(adjusted, (len(p) - rank) * p[row])
            best -= {row} if adjusted < 0.05 else set()
        for row, (_, shown) in rows.items():
            line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
            assert (f"**{shown}**" in line) == (row in best), (suite, column, row)
