"""The closing sections: under which conditions, what failed or was left out, and what the numbers cannot show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analyse.accuracies.accuracy import Trained
from bench.analyse.stats.intervals import PROCESSES_FOR_INTERVAL
from bench.analyse.study import Study
from bench.catalog.tuned import tuned_rates
from bench.number_format import counted, fixed, listed, named, points, seconds, span, whole
from bench.report.document import Section
from bench.report.tables.columns import number, words
from bench.report.tables.table import ColumnSpec, Table, make_table
from bench.report.words.conditions import accuracy_conditions, speed_conditions, weights_conditions
from bench.report.words.pretraining_words import pretraining_limits
from bench.report.words.training_words import gap_words
from bench.report.words.weights_words import weights_limits
from bench.store.current import data_of, definition_of
from bench.store.record import Record
from bench.store.rows import machine_of
from bench.suite.cell import Settings
from bench.suite.tasks import TIMING_TASKS
from bench.text import bullets, escape

_SHOWN_CONDITIONS = (
    ("Device", "device"),
    ("CPU", "cpu_model"),
    ("Instructions", "isa"),
    ("GPU", "gpu_model"),
    ("Driver", "driver"),
    ("Cores", "cores"),
    ("Memory [GiB]", "memory_gib"),
    ("Threads per cell", "threads"),
    ("Trainings side by side", "side_by_side"),
    ("Allocator", "allocator"),
    ("Operating system", "os"),
    ("Python", "python"),
    ("torch", "torch"),
    ("timm", "timm"),
    ("torchvision", "torchvision"),
    ("fvcore", "fvcore"),
    ("numpy", "numpy"),
    ("vitbench", "package"),
    ("Machine", "machine"),
)
_MOST_NAMED = 8  # cells named per reason


def conditions_section(study: Study, run_summary: Mapping[str, Any] | None) -> Section:
    """Device, versions, precision, batch, resolution, images, commit, dates, and what the run took."""
    heading = "Conditions"
    if not study.records:
        return Section(heading)
    behind = study.shown or study.records
    counts = Counter(record.status for record in study.records)
    statuses = ", ".join(f"{whole(counts[status])} {status}" for status in sorted(counts))
    rows = [(name, _values(behind, key)) for name, key in _SHOWN_CONDITIONS]
    rows += [("Commit", _commits(behind)), ("Measured", _dates(behind)), ("Records", statuses)]
    if study.main:
        rows.append(("Accuracy", accuracy_conditions(study)))
        rows.append(("Recipe", _recipe(study)))
    rows += weights_conditions(study.protocols)
    if any(row.speed for row in study.rows):
        settled = sum(speed.is_settled for speed in study.speeds)
        did = f"{settled} of {counted(len(study.speeds), 'measurement')} did"
        rows.append(("Timing", f"{speed_conditions(study)}; warmed up until blocks settled ({did})"))
    if run_summary:
        rows.append(("Run", _run_words(run_summary)))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return Section(heading, f"| Condition | Value |\n|:---|:---|\n{table}")


def _values(records: Sequence[Record], key: str) -> str:
    """All values of a condition, with how many records have each where they differ; Markdown."""
    found = (record.conditions.get(key) for record in records)
    counts = Counter(fixed(v, 1) if isinstance(v, float) else str(v) for v in found if v is not None and v != "")
    if len(counts) < 2:
        return "".join(escape(value) for value in counts)
    return "; ".join(f"{escape(value)} ({counted(counts[value], 'record')})" for value in sorted(counts))


def _commits(records: Sequence[Record]) -> str:
    found = set()
    for record in records:
        commit = record.conditions.get("git_commit")
        if commit:
            dirty = " with uncommitted changes" if record.conditions.get("git_dirty") else ""
            found.add(f"`{escape(str(commit)[:12])}`{dirty}")
    return "; ".join(sorted(found))


def _dates(records: Sequence[Record]) -> str:
    days = sorted({record.started_at[:10] for record in records})
    return escape(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}") + " (UTC)"


def _recipe(study: Study) -> str:
    recipes = [r.cell.get("recipe") or {} for r in study.shown if r.cell.get("task") == "train"]
    parts = []
    for key, name in (
        ("optimizer", ""),
        ("weight_decay", "weight decay "),
        ("schedule", "schedule "),
        ("warmup_fraction", "warm-up fraction "),
        ("label_smoothing", "label smoothing "),
        ("grad_clip_norm", "gradient norm clipped at "),
        ("augmentation", "augmentation "),
        ("learning_rate", "peak learning rates "),
    ):
        values = sorted({str(recipe[key]) for recipe in recipes if recipe.get(key) is not None})
        if values:
            parts.append(f"{name}{escape(listed(values))}")
    return ", ".join(parts) + "; best of the looks at the validation part scored once on the test part"


def _run_words(summary: Mapping[str, Any]) -> str:
    parts = []
    for key, form in (
        ("wall_s", "wall time {}"),
        ("in_cell_s", "{} inside cells"),
        ("timing_wall_s", "timing phase {}"),
        ("timing_in_cell_s", "{} of it inside cells"),
    ):
        if summary.get(key) is not None:
            parts.append(form.format(seconds(float(summary[key]))))
    if summary.get("workers"):
        noun = "worker" if summary["workers"] == [1] else "workers"
        parts.insert(1, f"{listed(map(str, summary['workers']))} {noun}")
    if summary.get("overhead_ratio") is not None:
        parts.append(f"{float(summary['overhead_ratio']):.2f} worker-seconds per second inside cells")
    runs = int(summary.get("runs") or 1)
    told = ", ".join(parts) + (" (the last run)" if runs == 1 else f" ({runs} runs together)")
    if not summary.get("untold_records"):
        return told
    records, inside = int(summary["untold_records"]), seconds(float(summary["untold_in_cell_s"]))
    return f"{told}; without {counted(records, 'record')} of runs that were stopped ({inside} inside cells)"


def failures_section(study: Study, warnings: Sequence[str]) -> Section:
    """Every cell whose newest record is no result, results left out, and what was passed over in reading."""
    heading = "What failed or was left out, and why"
    if not study.records and not warnings:
        return Section(heading)
    uncertified = [row for row in study.rows if row.macs_note]
    items = []
    if uncertified:
        items.append(f"The MACs of {counted(len(uncertified), 'model')} are not certified: see the marks beside them.")
    items += [escape(warning) for warning in warnings]
    if study.failures or study.left_out:
        return Section(heading, table=failures_table(study), below=bullets(items))
    nothing = "Nothing: every cell that was run has a result." if study.records else ""
    return Section(heading, nothing, below=bullets(items))


def failures_table(study: Study) -> Table | None:
    """One row per status and reason, with the cells; results of another definition, data or software are `left out`."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    shown = {record.cell_id for record in study.shown}
    for record in study.failures:
        reason = record.reason or "no reason was recorded"
        if record.cell_id in shown:
            reason += " (an older result is shown)"
        groups[record.status, str(record.cell.get("task", "?")), reason].append(record)
    for record in study.left_out:
        groups["left out", str(record.cell.get("task", "?")), _left_out_words(record, study.shown)].append(record)
    columns: list[ColumnSpec[tuple[tuple[str, str, str], list[Record]]]] = [
        words("Status", lambda row: row[0][0]),
        words("Task", lambda row: row[0][1]),
        words("Reason", lambda row: row[0][2]),
        number("Cells", lambda row: len(row[1]), str, records=lambda row: tuple(record.cell_id for record in row[1])),
        words("Which", lambda row: named(dict.fromkeys(_cell_words(record) for record in row[1]), _MOST_NAMED)),
    ]
    return make_table("failures", sorted(groups.items(), key=lambda group: group[0]), columns)


def _cell_words(record: Record) -> str:
    """Model, weights, data set, seed and what else tells a cell from its neighbours."""
    cell = record.cell
    if cell.get("task") == "preflight":
        return str(cell.get("dataset", "?"))
    told = [str(cell.get("model", "?"))]
    if cell.get("weights") not in (None, "public"):
        told.append(f"({'from scratch' if cell['weights'] == 'random' else cell['weights']})")
    if cell.get("dataset"):
        told.append(f"on {cell['dataset']}")
    if cell.get("seed") is not None:
        told.append(f"seed {cell['seed']}")
    if cell.get("task") == "finetune" and cell.get("recipe"):
        told.append(f"learning rate {cell['recipe'].get('learning_rate')}")
    if cell.get("task") in TIMING_TASKS:
        told.append(f"at {cell.get('resolution_px', '?')} px")
    if cell.get("batch_size"):
        told.append(f"batch {cell['batch_size']}")
    if cell.get("role") in ("trial", "best"):
        told.append(f"({Settings(**cell['settings']).words})")
    return " ".join(told)


def _left_out_words(record: Record, shown: Sequence[Record]) -> str:
    """Why a result is not on the page: what newer records of the same name have otherwise."""
    cell, same = record.cell, [other for other in shown if other.cell.get("task") == record.cell.get("task")]
    models = [other for other in shown if other.cell.get("model") == cell.get("model")]
    sets = [other for other in same if other.cell.get("dataset") == cell.get("dataset")]
    if same and all(other.cell.get("metric_version") != cell.get("metric_version") for other in same):
        return "measured by an older version of the protocol"
    if cell.get("model") is not None and all(definition_of(other) != definition_of(record) for other in models):
        return "the model's name stood for another definition"
    if cell.get("dataset") is not None and all(data_of(other) != data_of(record) for other in sets):
        return "the data set was another one (fingerprint or classes)"
    versions = ", ".join(f"{key} {record.conditions[key]}" for key in ("torch", "timm") if record.conditions.get(key))
    threads = record.conditions.get("threads")
    allocator = str(record.conditions.get("allocator") or "")
    taken = ", ".join(w for w in (versions, counted(int(threads), "thread") if threads else "", allocator) if w)
    return (
        "newer timings of the model have other classes, threads, versions or another rule for freed memory; these: "
        f"{taken or 'not recorded'}"
    )


def limits_section(study: Study, more: Sequence[str] = ()) -> Section:
    """What a reader might conclude and must not, made from what the suite holds. more: Markdown, before the rest."""
    items = [
        *more,
        *_tied_scores(study),
        *_accuracy_limits(study),
        *weights_limits(study.protocols),
        *pretraining_limits(study.pretraining),
        *_speed_limits(study),
        *_count_limits(study),
        *_sweep_limits(study),
    ]
    machines = {machine_of(record) for record in study.shown}
    if len(machines) > 1:
        items.append(
            f"Records come from {len(machines)} machines. Timings of machines other than `{escape(study.home)}` are in "
            "the speed table alone and in no ratio."
        )
    return Section("What these numbers cannot show", bullets(items))


def _tied_scores(study: Study) -> list[str]:
    """Results that rest on the order of classes with equal scores, each with what its record says."""
    tied = [record for record in study.shown if record.values.get("tied_scores")]
    found = {f"{r.cell['task']}, {_cell_words(r)}": str(r.values["tied_scores"]) for r in tied}
    more = [f"Tied scores in {len(found) - _MOST_NAMED} results more."] if len(found) > _MOST_NAMED else []
    named = list(found.items())[:_MOST_NAMED]
    return [f"Tied scores ({escape(cell)}): {escape(words)}" for cell, words in named] + more


def _accuracy_limits(study: Study) -> list[str]:
    scores = study.main
    if not scores:
        return []
    items = []
    pixels, images = max(s.key.resolution_px for s in scores), max(s.train_images for s in scores)
    items.append(
        f"Images of {pixels} px and at most {fixed(images, 0)} of them, trained from scratch: a regime in which "
        "a CNN's built-in locality is expected to help. The paper's claim is about pre-training on 300 million images, "
        "and nothing here contradicts or supports it."
    )
    if any(d.kind == "generated" for d in study.datasets):
        items.append("Generated images have rules of their own; an order on them need not hold on photographs.")
    for dataset in study.datasets:
        if dataset.caution:
            items.append(f"{escape(dataset.title)}: {escape(dataset.caution)}")
    items += _seed_limits(scores)
    if any(score.group.correctness is None for score in scores):
        items.append(
            "Some runs have no per-image predictions, so test images count as drawn anew for each model: "
            "intervals of differences are too wide there."
        )
    items += _tuning_limits(study)
    together = {int(row["side_by_side"] or 0) for row in study.training} - {0, 1}
    if together:
        items.append(
            f"Trainings ran {span(together)} at a time on one machine, so training img/s is what each got beside the "
            "others, not a clean speed measurement."
        )
    return items


def _seed_limits(scores: Sequence[Trained]) -> list[str]:
    fewest = min(len(score.seeds) for score in scores)
    items = []
    if fewest == 1:
        items.append("One seed for some models: their intervals are over test images alone, not over seeds.")
    if 1 < fewest < 5:
        items.append(
            f"{counted(fewest, 'seed')} per model: no interval knows of a training that collapses once in ten. Five "
            "are wanted for a headline."
        )
    unstable = sum(score.group.is_unstable for score in scores)
    if unstable:
        items.append(f"{counted(unstable, 'accuracy', 'accuracies')} with unstable seeds: in no ranking.")
    return items


def _tuning_limits(study: Study) -> list[str]:
    tuned = {(row.model, row.learning_rate): row.seeds for row in tuned_rates().values()}
    rates = {(score.key.model, score.learning_rate) for score in study.scores}
    told = "Learning rates are given in the suite file."
    if rates <= tuned.keys():
        seeds = counted(min(tuned[rate] for rate in rates), "seed")
        told = (
            "Learning rates are from the sweep `tune`, whose compute is not in the training column: one data set and "
            f"{seeds} for rates within the noise of the best, so part of a gap between models may be the rate."
        )
    return [
        told,
        "Batch size, augmentation, schedule and initial weights were not tuned, and the pilots that set them looked at "
        "ViTs and EfficientNets more than at the others. What was tuned for whom, how often and on which images: "
        "`docs/fairness.md`.",
    ]


def _speed_limits(study: Study) -> list[str]:
    timed = [row.speed for row in study.rows if row.speed is not None]
    if not timed:
        return []
    items = []
    counts = sorted(speed.processes for speed in timed)
    if counts[0] < PROCESSES_FOR_INTERVAL:
        items.append(
            f"{counted(counts[0], 'process', 'processes')} for some models: with fewer than {PROCESSES_FOR_INTERVAL} "
            "nothing is said of how far processes differ."
        )
    items.append(
        "Throughput is with inputs already on the device, without loading or decoding images; on another processor, "
        "batch size or precision the order may be another."
    )
    if any(row.memory is not None and row.memory.kind == "process" for row in study.rows):
        items.append("Peak memory on a CPU is the growth of the whole process; it is not comparable with a GPU's.")
    return items


def _count_limits(study: Study) -> list[str]:
    if all(one.macs is None for one in study.scaling):
        return []
    gaps = [one.difference_pct for one in study.scaling if one.row.family == "cnn" and one.difference_pct is not None]
    bit = [f"The BiT rows of Table 6 differ from the published compute by {gap_words(gaps)}."] if gaps else []
    return [
        "Published accuracies come from weights pre-trained on JFT-300M, which were never released: what timm offers "
        "under these names are public stand-ins, and their MACs alone are counted here.",
        *bit,
        "MACs leave out norms, activations, additions and memory traffic; they are not time.",
    ]


def _sweep_limits(study: Study) -> list[str]:
    if not study.swept:
        return []
    items = ["Validation accuracies choose a learning rate; they are not results, and no test image was used."]
    if min(swept.seeds for swept in study.swept) == 1:
        worst = max(study.swept, key=lambda one: one.largest_dip_pp)
        dip = f"the largest dip of one rate below both of its neighbours is {points(worst.largest_dip_pp)}"
        where = f": {dip} ({escape(worst.identity.title)})" if worst.largest_dip_pp else ""
        items.append(f"One seed per rate cannot tell neighbouring rates apart{where}.")
    edges = [swept.identity.title for swept in study.swept if swept.edge]
    if edges:
        items.append(
            f"The best rate is at the edge of what was tried for {escape(listed(dict.fromkeys(edges)))}: a better one "
            "may lie outside."
        )
    return items
