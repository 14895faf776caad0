"""The closing sections: under which conditions, what failed or was left out, and what the numbers cannot show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analyse.frame import machine_of
from bench.analyse.study import Study
from bench.report.formats import counted, fixed, listed, seconds, span
from bench.report.markdown import Cell, Column, Table, bullets, escape, render_table
from bench.report.wording import accuracy_conditions, headline_pair, speed_conditions
from bench.store.record import Record

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


def conditions_section(study: Study, run_summary: Mapping[str, Any] | None) -> str:
    """Device, versions, precision, batch, resolution, images, commit, dates, and what the run took."""
    if not study.records:
        return ""
    rows = [(name, _values(study.records, key)) for name, key in _SHOWN_CONDITIONS]
    rows += [("Commit", _commits(study.records)), ("Measured", _dates(study.records)), ("Records", _statuses(study))]
    if study.main:
        rows.append(("Accuracy", accuracy_conditions(study)))
        rows.append(("Recipe", _recipe(study)))
    if any(row.speed for row in study.rows):
        rows.append(("Timing", f"{speed_conditions(study)}; {_warmup(study)}"))
    if run_summary:
        rows.append(("Run", _run_words(run_summary)))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    return f"## Conditions\n\n| Condition | Value |\n|:---|:---|\n{table}"


def _values(records: Sequence[Record], key: str) -> str:
    """All values of a condition, with how many records have each where they differ; Markdown."""
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        value = record.conditions.get(key)
        if value is not None and value != "":
            counts[fixed(value, 1) if isinstance(value, float) else str(value)] += 1
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


def _statuses(study: Study) -> str:
    counts: dict[str, int] = defaultdict(int)
    for record in study.records:
        counts[record.status] += 1
    return ", ".join(f"{fixed(counts[status], 0)} {status}" for status in sorted(counts))


def _recipe(study: Study) -> str:
    recipes = [r.cell.get("recipe") or {} for r in study.records if r.cell.get("task") == "train" and r.status == "ok"]
    words = []
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
            words.append(f"{name}{escape(listed(values))}")
    return ", ".join(words) + "; best of the looks at the validation part scored once on the test part"


def _warmup(study: Study) -> str:
    settled = sum(speed.is_settled for speed in study.speeds)
    return f"warmed up until blocks settled ({settled} of {counted(len(study.speeds), 'measurement')} did)"


def _run_words(summary: Mapping[str, Any]) -> str:
    words = []
    for key, form in (
        ("wall_s", "wall time {}"),
        ("in_cell_s", "{} inside cells"),
        ("timing_wall_s", "timing phase {}"),
        ("timing_in_cell_s", "{} of it inside cells"),
    ):
        if summary.get(key) is not None:
            words.append(form.format(seconds(float(summary[key]))))
    if summary.get("workers") is not None:
        words.insert(1, counted(int(summary["workers"]), "worker"))
    if summary.get("overhead_ratio") is not None:
        words.append(f"{float(summary['overhead_ratio']):.2f} worker-seconds per second inside cells")
    return ", ".join(words) + " (the last run)"


def failures_section(study: Study, warnings: Sequence[str]) -> str:
    """Every cell without a result, grouped by status and reason, and what was passed over in reading."""
    if not study.records and not warnings:
        return ""
    blocks = ["## What failed or was left out, and why"]
    if study.failures:
        blocks.append(render_table(failures_table(study)))
    elif study.records:
        blocks.append("Nothing: every cell that was run has a result.")
    unlabelled = [row for row in study.rows if row.count is not None and row.count.certificate != "ok"]
    items = []
    if unlabelled:
        items.append(f"The two counters do not agree on {counted(len(unlabelled), 'model')}: see the certificates.")
    items += [escape(warning) for warning in warnings]
    return "\n\n".join([*blocks, *([bullets(items)] if items else [])])


def failures_table(study: Study) -> Table:
    """One row per status and reason, with the cells."""
    groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in study.failures:
        groups[record.status, str(record.cell.get("task", "?")), record.reason or "no reason was recorded"].append(
            record
        )
    heads = (
        Column("Status", is_number=False),
        Column("Task", is_number=False),
        Column("Reason", is_number=False),
        Column("Cells"),
        Column("Which", is_number=False),
    )
    rows = []
    for (status, task, reason), records in sorted(groups.items()):
        ids = tuple(record.cell_id for record in records)
        names = list(dict.fromkeys(_cell_words(record) for record in records))
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        words = ", ".join(names[:_MOST_NAMED]) + more
        rows.append((Cell(status), Cell(task), Cell(reason), Cell(str(len(records)), len(records), ids), Cell(words)))
    return Table("failures", heads, tuple(rows))


def _cell_words(record: Record) -> str:
    cell = record.cell
    words = [str(cell.get("model", "?"))]
    if cell.get("dataset"):
        words.append(f"on {cell['dataset']}")
    if cell.get("seed") is not None:
        words.append(f"seed {cell['seed']}")
    if cell.get("batch_size"):
        words.append(f"batch {cell['batch_size']}")
    return " ".join(words)


def limits_section(study: Study) -> str:
    """What a reader might conclude and must not, made from what the suite holds."""
    items = [*_accuracy_limits(study), *_speed_limits(study), *_count_limits(study), *_sweep_limits(study)]
    machines = {machine_of(record) for record in study.records if record.status == "ok"}
    if len(machines) > 1:
        items.append(
            f"Records come from {len(machines)} machines. Timings of machines other than `{escape(study.home)}` are in "
            "the speed table alone and in no ratio."
        )
    return "## What these numbers cannot show\n\n" + bullets(items) if items else ""


def _accuracy_limits(study: Study) -> list[str]:
    scores = study.main
    if not scores:
        return []
    items = []
    pixels, images = max(s.key.resolution_px for s in scores), max(s.train_images for s in scores)
    items.append(
        f"Images of {pixels} px and at most {fixed(images, 0)} of them, trained from scratch: this regime favours "
        "CNNs, whose locality need not be learned. The paper's claim is about pre-training on 300 million images, and "
        "nothing here contradicts or supports it."
    )
    if any(d.kind == "generated" for d in study.datasets):
        items.append("Generated images have rules of their own; an order on them need not hold on photographs.")
    for dataset in study.datasets:
        if dataset.caution:
            items.append(f"{escape(dataset.title)}: {escape(dataset.caution)}")
    seeds = min(len(s.seeds) for s in scores)
    if seeds < 5:
        items.append(
            f"{counted(seeds, 'seed')} per model where five are wanted for a headline: the seed variance is pooled "
            "within each family, which assumes that its models vary alike."
            if seeds > 1
            else "One seed for some models: their intervals are over test images alone, not over seeds."
        )
    if any(score.group.correctness is None for score in scores):
        items.append(
            "Some runs have no per-image predictions, so test images count as drawn anew for each model: "
            "intervals of differences are too wide there."
        )
    pair = headline_pair(study)
    comparisons = [c for c in study.comparisons if (c.first.family, c.second.family) == pair]
    if len(comparisons) > 1:
        items.append(f"{len(comparisons)} comparisons at 95 % each: by chance alone one in twenty would seem decided.")
    if any(c.first.candidates != c.second.candidates for c in comparisons):
        items.append(
            "The families have different numbers of models. The larger one is represented by the expected result of "
            "choosing, on validation, among as many candidates as the smaller one has."
        )
    if {s.learning_rate for s in scores}:
        items.append(
            "Learning rates come from a sweep on one set; weight decay, augmentation and schedule are common to all "
            "models and were tuned for none. Sweep compute is not in the training column."
        )
    together = {int(n) for n in study.training["side_by_side"].dropna() if int(n) > 1}
    if together:
        items.append(
            f"Trainings ran {span(together)} at a time on one machine, so training img/s is what each got beside the "
            "others, not a clean speed measurement."
        )
    return items


def _speed_limits(study: Study) -> list[str]:
    timed = [row.speed for row in study.rows if row.speed is not None]
    if not timed:
        return []
    items = []
    fewest = min(speed.processes for speed in timed)
    if fewest < 5:
        items.append(
            f"{counted(fewest, 'process', 'processes')} per model where five are wanted: the relative spread is pooled "
            "over all models timed, and the speed intervals are rough."
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
    return [
        "Published accuracies come from weights pre-trained on JFT-300M, which were never released: what timm offers "
        "under these names are public stand-ins, and their MACs alone are counted here.",
        "The BiT rows of Table 6 come out 6–8 % high: the paper counts somewhat fewer MACs for its ResNets than timm.",
        "MACs leave out norms, activations, additions and memory traffic; they are not time.",
    ]


def _sweep_limits(study: Study) -> list[str]:
    if not study.swept:
        return []
    items = ["Validation accuracies choose a learning rate; they are not results, and no test image was used."]
    if max(swept.seeds for swept in study.swept) == 1:
        items.append("One seed per rate: neighbouring rates within a point or two are not told apart.")
    edges = [swept.identity.title for swept in study.swept if swept.edge]
    if edges:
        items.append(
            f"The best rate is at the edge of what was tried for {escape(listed(dict.fromkeys(edges)))}: a better one "
            "may lie outside."
        )
    return items
