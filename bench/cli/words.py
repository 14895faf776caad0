"""Short texts for cells, results and tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from bench.shown import shortage_words
from bench.store.record import Record
from bench.suite.cell import (
    Cell,
    ComplexityCell,
    EvaluateCell,
    FewshotCell,
    FinetuneCell,
    LargestBatchCell,
    MemoryCell,
    PixelsCell,
    PreflightCell,
    PretrainCell,
    SpeedCell,
    TrainCell,
    TrainingMemoryCell,
    TrainingStepCell,
    parse_cell,
)

_BUDGETS = {"gflop": "{:.6g} GFLOP", "images": "{:.0f} images seen", "device_s": "{:g} s of steps"}


def describe_cell(cell: Cell) -> str:
    """What a cell asks for, in one line."""
    match cell:
        case TrainCell():
            return (
                f"train {cell.model} on {cell.train_images} {cell.dataset} images, "
                f"{cell.budget_gflop:g} GFLOP, lr {cell.recipe.learning_rate:g}, seed {cell.seed}"
            )
        case SpeedCell():
            what = f"{' and '.join(cell.metrics)} of {cell.model} at {cell.resolution_px} px"
            if cell.role == "trial":
                return f"trial of {cell.settings.words}: {what}, batch {cell.batch_size}"
            under = f" with its best settings ({cell.settings.words})" if cell.role == "best" else ""
            return f"{what}, batch {cell.batch_size}{under}, process {cell.repeat + 1}"
        case MemoryCell():
            return f"peak memory of {cell.model} at {cell.resolution_px} px, batch {cell.batch_size}"
        case TrainingStepCell():
            what = f"training step of {cell.model} at {cell.resolution_px} px"
            return f"{what}, batch {cell.batch_size}, process {cell.repeat + 1}"
        case TrainingMemoryCell():
            return f"peak memory of a training step of {cell.model} at {cell.resolution_px} px, batch {cell.batch_size}"
        case LargestBatchCell():
            return f"largest batch of {cell.model} at {cell.resolution_px} px"
        case ComplexityCell():
            return f"complexity of {cell.model} at {cell.resolution_px} px"
        case PreflightCell():
            return f"look at every image of {cell.dataset}"
        case EvaluateCell():
            return f"evaluate {cell.model} ({cell.weights} weights) on {cell.dataset} at {cell.resolution_px} px"
        case FewshotCell():
            shots = "/".join(str(shot) for shot in cell.shots)
            return f"{shots} shots of {cell.dataset} on features of {cell.model} ({cell.weights} weights)"
        case FinetuneCell():
            what = "trial" if cell.scored_part == "validation" else "final run"
            return (
                f"fine-tune {cell.model} ({cell.weights} weights) on {cell.dataset} at {cell.resolution_px} px, "
                f"{cell.recipe.name} recipe, lr {cell.recipe.learning_rate:g}, seed {cell.seed}, {what}"
            )
        case PretrainCell():
            return (
                f"pretrain {cell.model} on {cell.train_images} {cell.dataset} images at {cell.resolution_px} px, "
                f"{_BUDGETS[cell.budget.unit].format(cell.budget.amount)}, lr {cell.recipe.learning_rate:g}, "
                f"seed {cell.seed}"
            )
        case PixelsCell():
            return f"logistic regression on the pixels of {cell.dataset} at {cell.resolution_px} px, seed {cell.seed}"


def describe_result(record: Record) -> str:
    """A finished cell and its first number, or why there is none."""
    what = describe_cell(parse_cell(record.cell))
    if record.status != "ok":
        return f"{record.status}: {what}: {record.reason}"
    values = record.values
    match record.cell["task"]:
        case "train" | "evaluate" | "finetune" | "pixels":
            return f"{what}: top-1 {values['top1_pct']:.1f} % in {record.wall_s:.1f} s"
        case "pretrain":
            return f"{what}: validation top-1 {values['validation_top1_pct']:.1f} % in {record.wall_s:.1f} s"
        case "speed":
            parts = []
            if values.get("throughput_img_per_s") is not None:
                parts.append(f"{values['throughput_img_per_s']:.0f} images/s")
            if values.get("latency_p50_ms") is not None:
                parts.append(f"p50 {values['latency_p50_ms']:.2f} ms")
            return f"{what}: {', '.join(parts)}"
        case "training_step":
            return f"{what}: {values['training_img_per_s']:.0f} images/s"
        case "largest_batch":
            stopped = "the cap" if values["stopped_by"] == "cap" else values["stopped_by"]
            return f"{what}: {values['largest_batch']} images, stopped by {stopped}, {len(values['tries'])} tries"
        case "memory" | "training_memory":
            return f"{what}: {next(iter(values.values())):.1f} MiB"
        case "preflight":
            return f"{what}: {values['images']} images, {len(values['bad'])} of them cannot be used"
        case "fewshot":
            best = max(values["results"], key=lambda result: result["shots"])
            short = shortage_words(best.get("short_classes"), best.get("fewest_images"))
            named = f"{best['shots']}-shot{f' ({short})' if short else ''}"
            return f"{what}: {named} top-1 {best['top1_pct']:.1f} % in {record.wall_s:.1f} s"
        case _:
            return f"{what}: {values['macs'] / 1e9:.4g} GMACs, certificate {values['certificate']}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Columns padded with spaces; `right` names the columns that are right-aligned."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(widths[i]) if i in right else c.ljust(widths[i]) for i, c in enumerate(cells)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.1 h` or `12 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 100 * 3600 else f"{seconds / 86_400:.0f} days"
