"""One published number by a key such as `table5:JFT-300M:ViT-B/16:ImageNet`, so that a claim can name it in its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.analyse.claims.image_noise import images_tested
from bench.catalog.papers import CnnRow, cnn_published, deit_published, paper_sota, paper_transfer, read_table
from bench.catalog.papers import timm_published as timm_rows
from bench.errors import UnknownNameError


@dataclass(frozen=True)
class Quoted:
    """A published accuracy in percent. std_pp: the printed standard deviation, None where none is printed."""

    title: str
    value_pct: float
    source: str
    std_pp: float | None = None
    test_images: int | None = None  # of its set; None where that is not known


def quoted(key: str) -> Quoted:
    """The number of this key. Raises UnknownNameError for a table that is not here, or a key that is not in it.

    `table2:PRETRAINING:SYSTEM:DATA SET`, `table5:PRETRAINING:MODEL:DATA SET`, `text:ABLATION:MODEL:SETTING:DATA SET`,
    `cnn:PRETRAINING:MODEL:RESOLUTION:SOURCE`, `deit:PRETRAINING:MODEL:RESOLUTION`,
    `timm:NAME:RESOLUTION`.
    """
    table, _, rest = key.partition(":")
    if table not in _TABLES:
        raise UnknownNameError("table of published numbers", table, _TABLES)
    found = _TABLES[table]()
    if rest not in found:
        raise UnknownNameError("published number", rest, found, where=table)
    return found[rest]


def _table2() -> dict[str, Quoted]:
    return {
        f"{row.pretraining}:{row.system}:{row.dataset}": Quoted(
            f"{row.system} ({row.pretraining})",
            row.accuracy_pct,
            "arXiv 2010.11929v2, Table 2",
            row.std_pp,
            images_tested(row.dataset),
        )
        for row in paper_sota()
        if row.accuracy_pct is not None
    }


def _table5() -> dict[str, Quoted]:
    return {
        f"{row.pretraining}:{row.model}:{row.dataset}": Quoted(
            f"{row.model} ({row.pretraining})",
            row.top1_pct,
            "arXiv 2010.11929v2, Table 5",
            test_images=images_tested(row.dataset),
        )
        for row in paper_transfer()
        if row.top1_pct is not None
    }


def _text() -> dict[str, Quoted]:
    return {
        f"{row['ablation']}:{row['model']}:{row['setting']}:{row['dataset']}": Quoted(
            f"{row['model']} ({row['ablation']}, {row['setting']})",
            float(row["value"]),
            row["source"],
            test_images=images_tested(row["dataset"]),
        )
        for row in read_table("paper_ablations")
        if row["unit"].startswith("percent")
    }


def _of_imagenet(rows: list[CnnRow], *, by_source: bool) -> dict[str, Quoted]:
    found = {}
    for row in rows:
        if row.top1_pct is not None:
            key = f"{row.pretraining}:{row.model}:{row.resolution_px}" + (f":{row.source}" if by_source else "")
            title = f"{row.model} @{row.resolution_px} ({row.pretraining})"
            found[key] = Quoted(title, row.top1_pct, row.source, test_images=images_tested("ImageNet"))
    return found


def _cnn() -> dict[str, Quoted]:
    return _of_imagenet(cnn_published(), by_source=True)


def _deit() -> dict[str, Quoted]:
    return _of_imagenet(deit_published(), by_source=False)


def _timm() -> dict[str, Quoted]:
    return {
        f"{name}:{resolution}": Quoted(
            f"{row.system} @{resolution} ({name.partition('.')[2]})",
            row.imagenet_top1_pct,
            row.source,
            test_images=images_tested("ImageNet"),
        )
        for (name, resolution), row in timm_rows().items()
        if row.imagenet_top1_pct is not None
    }


_TABLES: dict[str, Callable[[], dict[str, Quoted]]] = {
    "table2": _table2,
    "table5": _table5,
    "text": _text,
    "cnn": _cnn,
    "deit": _deit,
    "timm": _timm,
}
