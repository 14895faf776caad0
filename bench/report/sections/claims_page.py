"""The page of all claims, and the section on them in a suite's report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from bench.analyse.claims.verdicts import Figure, JudgedClaim, Verdict, Word, shown, sources
from bench.catalog.claims import PAPER
from bench.number_format import counted, listed
from bench.report.document import Section
from bench.report.tables.table import Cell, Column, Table, render_table
from bench.text import escape, fenced, joined

HEADING = "The paper's claims and these numbers"
_INTRODUCTION = f"""\
- **Verdicts.** A claim is *supported* if every figure beside it agrees at 95 %, *contradicted* if one disagrees at 95 %
  for all its figures together (Bonferroni), and else *inconclusive*.
- **Points** are of top-1 accuracy: of Table 6 on the mean of five data sets, else on ImageNet or the set that is named.
- **Brackets** are 95 % intervals: from the spread of three runs where Table 2 prints it, else from the number of test
  images. They leave out the noise of pre-training: each model was pre-trained once. Ranges (2 to 4) have no interval.
- **Times the compute** are a ResNet's over those of a ViT of equal accuracy, interpolated between the rows of Table 6.
  What rounds to two counts as about two.
- **Equal MACs**, where they were measured here, are within a factor of 1.25; a ViT is compared with the fastest CNN
  there. Of published speeds they are a regression of log time on log MACs, its interval a bootstrap over architectures.
- **Public checkpoints** (timm's) are compared within one stratum of pretraining data, if trained by labels alone: the
  most accurate of either family with at most so many MACs, or at least so many images/s on an RTX 5090. Of a front, the
  share is that of its range of costs, in logarithms.
- **Systems** differ in recipe as well as in architecture: a row that compares two says nothing of either alone.
- **Places.** Sections, figures and tables without another name are those of {PAPER}, mostly from memory.
  A *popular account* is what is told of a paper without standing in it."""
_ROWS = "bench/catalog/claims.toml"
_SHORT = (
    (rf"(https://arxiv\.org/abs/|arXiv ){PAPER.removeprefix('arXiv ')},? ", ""),
    ("https://arxiv.org/abs/", "arXiv "),
    ("https://github.com/huggingface/pytorch-image-models results/", "timm's results"),
    ("https://github.com/", ""),
)
_VERBS = ("support", "contradict", "leave open", "say nothing of")  # in the order of Word


def claims_page(judged: Sequence[JudgedClaim], suites: Sequence[str], rebuild_command: str) -> str:
    """The whole page. suites: names of those that were read, plain."""
    read = f"The records of {listed(map(escape, suites))}" if suites else "The records (none were read)"
    return joined(
        [
            f"# {HEADING}",
            f"**Of {counted(len(judged), 'claim')}, published numbers {_tally(one.published for one in judged)}. "
            f"{read} {_tally(one.measured for one in judged)}.**",
            _INTRODUCTION,
            render_table(claims_table(judged)),
            "## Rebuild this page",
            fenced(rebuild_command),
            "Every figure with its records or its source: [`tables/claims_evidence.csv`](tables/claims_evidence.csv). "
            f"One claim: `vitbench claims NAME`. The rows: `{_ROWS}`.",
        ]
    )


def claims_section(judged: Sequence[JudgedClaim]) -> Section:
    """The claims that this suite's records bear on; empty where there are none."""
    told = [one for one in judged if one.measured.figures]
    text = "What these records decide; the rules stand on [the page of all claims](../claims.md)."
    return Section(HEADING, text, claims_table(told)) if told else Section("")


def claims_table(judged: Sequence[JudgedClaim]) -> Table:
    """One row per claim: the published figures, their verdict with its reason, and what records say."""
    heads = ("Claim", "Published figures", "Published verdict", "Measured here")
    return Table("claims", _columns(heads), tuple(_row(one) for one in judged))


def _row(one: JudgedClaim) -> tuple[Cell, ...]:
    published, measured = one.published, one.measured
    source = sources(published.figures)
    figures = f"{shown(published.figures)} ({_short(source)})" if published.figures else "no numbers are printed"
    reason = f"{published.word}: {published.reason}." if published.figures else "none"
    here = f"{measured.word}: {shown(measured.figures)}" if measured.figures else f"needs {one.claim.needs}"
    ids = tuple(sorted({cell_id for figure in measured.figures for cell_id in figure.record_ids}))
    return (
        Cell(f"{one.claim.statement} ({one.claim.where})", one.claim.id),
        Cell(figures, source=source),
        Cell(f"{reason} {one.claim.note}".strip(), published.word, source=source),
        Cell(here, measured.word, ids, source="" if measured.figures else _ROWS),
    )


def evidence_table(judged: Sequence[JudgedClaim]) -> Table:
    """One row per figure of every claim."""
    rows = [
        (Cell(f"{one.claim.id}, {kind}: {figure.label}"), _value_cell(figure), Cell(figure.bearing, figure.bearing))
        for one in judged
        for kind, verdict in (("published", one.published), ("measured", one.measured))
        for figure in verdict.figures
    ]
    return Table("claims_evidence", _columns(("Claim and figure", "Value", "Says")), tuple(rows))


def _value_cell(one: Figure) -> Cell:
    ends = tuple((name, end) for name, end in (("low", one.low), ("high", one.high)) if end is not None)
    return Cell(one.value_words, one.value, one.record_ids, more=ends, source=one.source)


def _columns(heads: Iterable[str]) -> tuple[Column, ...]:
    return tuple(Column(head, is_number=False) for head in heads)


def _tally(verdicts: Iterable[Verdict]) -> str:
    counts = Counter(verdict.word for verdict in verdicts)
    return listed(f"{verb} {counts[word]}" for word, verb in zip(get_args(Word), _VERBS, strict=True) if counts[word])


def _short(source: str) -> str:
    """Publications without what the page says once, and without hosts."""
    text = source
    for long, short in _SHORT:
        text = re.sub(long, short, text)
    return "; ".join(dict.fromkeys(text.split("; ")))
