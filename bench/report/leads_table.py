"""Which checkpoint leads on which set, as a table: the statistic behind every sentence of the finding."""

from __future__ import annotations

from bench.analyse.identity import identify_dataset
from bench.analyse.leads import Lead, Side
from bench.analyse.protocols import Protocols
from bench.report.finetune_tables import mean_words
from bench.report.formats import bracketed, percent, signed, significant
from bench.report.markdown import Cell, Column, Notes, Table


def leads_table(protocols: Protocols) -> Table | None:
    """One row per protocol, set and stratum of pre-training data that has two families."""
    found = [
        (protocol, lead)
        for protocol, leads in (
            ("fine-tuned", protocols.finetuned_leads),
            ("evaluated", protocols.evaluated_leads),
            ("few-shot", protocols.fewshot_leads),
        )
        for lead in leads
        if lead.second is not None
    ]
    if not found:
        return None
    notes = Notes()
    heads = [Column(name, is_number=False) for name in ("Data set", "Protocol", "Pre-training data", "First", "Second")]
    heads += [Column("First [%]"), Column("Second [%]"), Column("Difference [points]"), Column("Interval or p")]
    heads += [Column("Pairs"), Column("First is", is_number=False)]
    rows = tuple(_cells(protocol, lead, protocols, notes) for protocol, lead in found)
    return Table("checkpoints_compared", tuple(heads), rows, tuple(notes.texts))


def _cells(protocol: str, lead: Lead, protocols: Protocols, notes: Notes) -> tuple[Cell, ...]:
    first, second = lead.first, lead.second
    assert second is not None  # the caller filters
    ids = lead.cell_ids
    several = len(lead.datasets) > 1
    title = mean_words(lead.datasets) if several else identify_dataset(lead.datasets[0]).title
    return (
        Cell(title, " ".join(lead.datasets)),
        Cell(protocol),
        Cell(lead.pretraining),
        _side_cell(first, protocols),
        _side_cell(second, protocols),
        Cell(percent(first.mean_pct), first.mean_pct, first.cell_ids),
        Cell(percent(second.mean_pct), second.mean_pct, second.cell_ids),
        Cell(signed(lead.delta_pp, 1), lead.delta_pp, ids),
        _statistic_cell(lead, notes),
        Cell(str(lead.pairs), lead.pairs, lead.candidate_ids),
        Cell(lead.verdict, lead.verdict, ids),
    )


def _side_cell(side: Side, protocols: Protocols) -> Cell:
    return Cell(protocols.labels[side.subject], side.subject.key.model)


def _statistic_cell(lead: Lead, notes: Notes) -> Cell:
    if lead.interval is not None:
        return Cell(bracketed(lead.interval), f"{lead.interval.low} {lead.interval.high}", lead.cell_ids)
    if lead.p_value is not None:
        text = "p < 0.001" if lead.p_value < 0.001 else f"p = {significant(lead.p_value, 2)}"
        return Cell(text, lead.p_value, lead.cell_ids, mark=notes.number("exact McNemar test, corrected for the pairs"))
    if lead.basis == "intervals apart":
        return Cell("apart", None, lead.cell_ids, mark=notes.number("no per-image predictions: Wilson intervals"))
    if lead.first.runs == 1:
        return notes.missing("one run each, intervals not apart, and no paired predictions to test")
    return notes.missing("nothing says how far runs differ")
