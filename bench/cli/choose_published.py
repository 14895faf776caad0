"""`choose --dataset imagenet`: timm's published checkpoints, with the finalists timed on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from bench.analyse.public.choose import Choice, Filtered, Wanted
    from bench.analyse.public.rows import CostAxis, Place, PublicRow, Timing
    from bench.cli.progress import BarProgress, PlainProgress
    from bench.execute.runner import Mode
    from bench.store.record import Record
    from bench.suite.cell import Cell

SUITE = "public"  # where the timings are kept: `vitbench report public` shows them
DEFAULT_MEASURED = 5  # finalists, where there is a limit on time
# What `--robust` says, and the column of the test set.
ROBUST = {
    "real": "real_top1",
    "v2": "imagenet_v2_top1",
    "sketch": "sketch_top1",
    "r": "imagenet_r_top1",
    "a": "imagenet_a_top1",
}


def wanted_of(
    limits: dict[str, float], robust: str | None, min_top1: float | None, stratum: str | None, families: Sequence[str]
) -> Wanted:
    """What the options ask for. Raises UnknownNameError for a name that is none of the known ones."""
    from typing import get_args

    from bench.analyse.public.choose import Wanted
    from bench.catalog.identity import PublicFamily
    from bench.catalog.strata import STRATA
    from bench.errors import UnknownNameError

    for kind, names, known in (
        ("stratum", [stratum] if stratum is not None else [], STRATA),
        ("robustness test", [robust] if robust is not None else [], tuple(ROBUST)),
        ("family", families, get_args(PublicFamily)),
    ):
        for name in names:
            if name not in known:
                raise UnknownNameError(kind, name, known)
    test_set = "imagenet_top1" if robust is None else ROBUST[robust]
    return Wanted(limits, test_set, min_top1, stratum, tuple(families))  # type: ignore[arg-type]  # checked above


def choose_published(
    wanted: Wanted, measure: int | None, results: Path, device: str, *, rerun: bool, as_json: bool
) -> None:
    """Time the finalists, unless measure is 0, and print what to take.

    measure: how many; None for as many as is usual for these limits. rerun: as if nothing were stored. Raises
    RequestError if no row qualifies.
    """
    from bench.analyse.public.choose import filtered
    from bench.cli.choose_published_words import print_answer, print_json

    most = (DEFAULT_MEASURED if wanted.timed_limits else 0) if measure is None else measure
    search = _Search(wanted, most, results, device, "rerun" if rerun else "resume")
    rows = search.study_rows()
    here, absent = _in_this_timm(rows)
    search.filtered = filtered(here, wanted)
    _require_some(search.filtered, len(here))
    choice = search.run() if most else search.choice(search.done.values())
    search.require_estimates(choice)
    answer = Answer(choice, search.filtered, len(rows), absent, most, search.finalists, search.machine)
    if own := _own_accuracies(results):
        typer.echo(f"'{results}' holds accuracies measured on imagenet: `--suite {own[0]}` chooses by these.", err=True)
    (print_json if as_json else print_answer)(answer)


@dataclass(frozen=True)
class Answer:
    """What is printed. rows: published ones in all. absent: rows that this timm does not have.

    asked: the most finalists that were to be timed. timed_now: those that were, in this call.
    """

    choice: Choice
    filtered: Filtered
    rows: int
    absent: Sequence[PublicRow]
    asked: int
    timed_now: Sequence[Place]
    machine: str


@dataclass
class _Search:
    """Times a small model of each kind where nothing was timed yet, and then finalists, one after the other."""

    wanted: Wanted
    most: int
    results: Path
    device: str
    mode: Mode
    finalists: list[Place] = field(default_factory=list)  # that this call asked for
    asked: list[tuple[Place, Timing]] = field(default_factory=list)

    def __post_init__(self) -> None:
        from bench.execute.environment import describe_conditions
        from bench.execute.local_context import LocalContext
        from bench.execute.run_options import RunOptions
        from bench.execute.runner import Resources, default_workers, finished_cells
        from bench.measure.devices import resolve_device
        from bench.store.files import read_records, suite_folder
        from bench.suite.spec import load_suite

        self.suite, self.device = load_suite(SUITE), resolve_device(self.device)
        self.resources = Resources(1, default_workers("cpu"))
        self.context = LocalContext(self.device, RunOptions(), Path())
        conditions = describe_conditions(self.device, self.resources.timing_threads, 1)
        self.machine = str(conditions["machine"])
        stored = read_records(suite_folder(self.results, SUITE, local=True))
        for warning in stored.warnings:
            typer.echo(f"Warning: {warning}", err=True)
        self.done = finished_cells(stored.records, conditions, self.resources.threads, self.mode)
        self.filtered: Filtered

    @property
    def cheaper(self) -> CostAxis:
        """By what an alternative is cheaper: the first limit on time, else the time that is measured, else a count."""
        from bench.analyse.public.rows import COSTS

        axes = [COSTS[name] for name in self.wanted.limits]
        timed = [axis for axis in axes if axis.time is not None]
        default = [COSTS["latency"]] if self.most else axes or [COSTS["macs"]]
        return (timed or default)[0]

    @property
    def timings(self) -> list[Timing]:
        """What is to be known of a finalist."""
        axis = self.cheaper
        return list(dict.fromkeys([*self.wanted.timed_limits, *([axis.time] if axis.time is not None else [])]))

    def study_rows(self) -> Sequence[PublicRow]:
        from bench.analyse.public.study import public_study

        return public_study(list(self.done.values()), self.device).rows

    def choice(self, records: Iterable[Record]) -> Choice:
        """What follows from these records of this machine."""
        from bench.analyse.public.choose import Choice, Here, untimed
        from bench.analyse.public.study import public_study

        records = list(records)
        here = Here.of(public_study(records, self.device).estimates, untimed(records, self.timings))
        return Choice(self.wanted, self.filtered.rows, here, self.cheaper, by_estimate=not self.most)

    def run(self) -> Choice:
        """Time until there is nothing more to ask, with what is stored counted in; each record is kept at once."""
        from bench.cli.progress import make_progress
        from bench.execute.runner import run_plan
        from bench.store.files import open_run

        if all(cell.cell_id in self.done for cell in self.plan(self.done.values())):
            return self.choice(self.done.values())
        with open_run(self.results, SUITE, self.machine, local=True) as writer:
            progress = _GrowingProgress(make_progress(err=True), self)
            try:
                summary, timed = run_plan(SUITE, self.plan, self.done, self.resources, writer, progress)
            finally:
                progress.inner.close()
            writer.append_summary(summary.as_json())
        return self.choice({**self.done, **timed}.values())

    def plan(self, finished: Iterable[Record]) -> list[Cell]:
        """What was asked for so far, and once all of it is in, what is worth timing next."""
        records = list(finished)
        known = {record.cell_id for record in records}
        cells = self._cells(records)
        while all(cell.cell_id in known for cell in cells) and self._ask(records):
            cells = self._cells(records)
        return cells

    def _ask(self, records: Sequence[Record]) -> bool:
        """Add what is worth timing next; False where nothing is."""
        from bench.analyse.public.choose import CALIBRATION, place_of, untried

        choice = self.choice(records)
        first = [
            (place, timing)
            for timing in self.timings
            if len(choice.here.measured[timing]) < len(CALIBRATION)
            for place in untried(CALIBRATION, choice.here, timing)
        ]
        if first:
            self.asked += first
            return True
        singly = {place_of(record) for record in records if len(record.cell.get("metrics", ())) == 1}
        contenders = {row.place for row in choice.contenders} & singly - set(CALIBRATION) | set(self.finalists)
        following = choice.next_to_time()
        if following is None or (len(contenders) >= self.most and following[0] not in self.finalists):
            return False
        if following in self.asked:  # timed, and neither a number nor a reason came of it
            return False
        self.asked.append(following)
        self.finalists = list(dict.fromkeys([*self.finalists, following[0]]))
        return True

    def _cells(self, finished: Sequence[Record]) -> list[Cell]:
        """As the suite times its models, but of one kind of time and in one process."""
        from bench.suite.speed_plan import SpeedPlan

        block, context = self.suite.speed[0], self.context.planning_context(finished)
        cells: list[Cell] = []
        for (architecture, size), timing in self.asked:
            batches: dict[str, Any] = {"batch_sizes": (1,), "gpu_batch_sizes": ()} if timing == "latency" else {}
            own = block.model_copy(update={"metrics": (timing,), "processes": 1, **batches})
            place = {"model": architecture, "definition": None, "resolution_px": size, "num_classes": block.num_classes}
            cells += SpeedPlan(own, self.suite, context).cells([place])
        return cells

    def most_left(self) -> int:
        """Cells that may still be asked for, beyond those that were."""
        return (self.most - len(self.finalists)) * len(self.timings)

    def require_estimates(self, choice: Choice) -> None:
        """Raise for a limit on time of which nothing can be estimated."""
        from bench.analyse.public.estimates import MIN_ANCHORS
        from bench.errors import BenchError, RequestError

        missing = [timing for timing in self.wanted.timed_limits if choice.here.estimators[timing] is None]
        if missing and not self.most:
            raise RequestError(
                f"Too little was timed on this machine to estimate a {missing[0]}. Leave --measure out: it times "
                f"what is needed first. `vitbench run {SUITE}` times more."
            )
        if missing:
            reasons = [f"{place[0]}: {reason}" for place, reason in choice.here.untimed.items()]
            raise BenchError(
                f"No {missing[0]} can be estimated: it takes {MIN_ANCHORS} models that were timed here and do not "
                f"contradict each other. {'; '.join(reasons) or 'Close other programs, and add --rerun.'}"
            )


class _GrowingProgress:
    """The progress of a run whose plan grows: the most there may be is said once, at its beginning."""

    def __init__(self, inner: PlainProgress | BarProgress, search: _Search) -> None:
        self.inner, self._search, self._begun = inner, search, False
        self.started, self.finished = inner.started, inner.finished

    def planned(self, waiting: int, done: int) -> None:
        if not self._begun:
            self.inner.planned(waiting + self._search.most_left(), done)
        self._begun = True


def _in_this_timm(rows: Sequence[PublicRow]) -> tuple[list[PublicRow], list[PublicRow]]:
    """Rows whose architecture the installed timm has, and the others."""
    from bench.measure.build import model_exists

    exists = {row.place[0]: model_exists(row.place[0]) for row in rows}
    return [row for row in rows if exists[row.place[0]]], [row for row in rows if not exists[row.place[0]]]


def _require_some(found: Filtered, rows: int) -> None:
    from bench.errors import RequestError
    from bench.number_format import whole

    if found.rows:
        return
    steps = ", ".join(f"{whole(left)} with {words}" for words, left in found.left)
    raise RequestError(f"Nothing qualifies: of {whole(rows)} published rows {steps}.")


def _own_accuracies(results: Path) -> list[str]:
    """The user's suites with an accuracy measured on imagenet."""
    from bench.store.files import read_records, stored_suites, suite_folder

    return [
        name
        for name in stored_suites(results, local=True)
        if any(
            record.cell.get("dataset") == "imagenet" and record.status == "ok"
            for record in read_records(suite_folder(results, name, local=True)).records
        )
    ]
