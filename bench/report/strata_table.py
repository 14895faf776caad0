"""Which checkpoints cannot be told from the best on which set."""

from __future__ import annotations

from bench.analyse.protocols import Protocols
from bench.analyse.strata import Stratum
from bench.catalog.identity import identify_dataset
from bench.report.finetune_tables import mean_words
from bench.report.formats import fixed, listed, percent
from bench.report.markdown import Cell, Column, Notes, Table
from bench.report.weights_wording import why_unranked


def strata_table(protocols: Protocols) -> Table | None:
    """One row per protocol, set and pre-training data that has two checkpoints."""
    found = [(protocol, one) for protocol, own in protocols.strata.items() for one in own if len(one.means) > 1]
    if not found:
        return None
    notes = Notes()
    heads = [Column(name, is_number=False) for name in ("Data set", "Protocol", "Pre-training data")]
    heads += [Column("Compared"), Column("Best", is_number=False), Column("Best [%]")]
    heads += [Column("Not separable from it", is_number=False)]
    rows = tuple(_cells(protocol, one, protocols, notes) for protocol, one in found)
    return Table("checkpoints_compared", tuple(heads), rows, tuple(notes.texts))


def _cells(protocol: str, one: Stratum, protocols: Protocols, notes: Notes) -> tuple[Cell, ...]:
    several = len(one.datasets) > 1
    title = mean_words(one.datasets) if several else identify_dataset(one.datasets[0]).title
    unranked = listed(protocols.labels[subject] for subject in one.best.unranked)
    mark = notes.number(f"not ranked for {why_unranked(protocols, one)}: {unranked}") if unranked else None
    cells = [Cell(title, " ".join(one.datasets)), Cell(protocol), Cell(one.pretraining)]
    cells.append(Cell(fixed(one.best.compared, 0), one.best.compared, one.all_ids, mark=mark))
    if not one.best.members:
        return (*cells, *[notes.missing("none is ranked")] * 3)
    best, *others = one.best.members
    names = listed(protocols.labels[subject] for subject in others) or "none"
    return (
        *cells,
        Cell(protocols.labels[best], best.key.model),
        Cell(percent(one.means[best]), one.means[best], one.cell_ids[best]),
        Cell(names, " ".join(subject.key.model for subject in others), one.all_ids),
    )
