"""What the preflight says of each checked data set: a section each, and the warning for the first screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.analyse.accuracies.protocols import Protocols
from bench.catalog.identity import identify_dataset
from bench.number_format import bare_rate, counted, listed, rounded, significant, whole
from bench.report.document import Section
from bench.report.tables.columns import dataset_column, number, own_records, words
from bench.report.tables.table import ColumnSpec, Table, make_table
from bench.store.preflights import Checked, Duplicates
from bench.text import bullets, escape

_QUANTILES = {"min": "least", "p05": "5 %", "p50": "median", "p95": "95 %", "max": "most"}
_MOST_NAMED = 20  # bad files, classes or groups of doubles named in the text


def preflight_warnings(protocols: Protocols) -> list[str]:
    """Why a test score on a checked set may be of images seen in training; Markdown."""
    warnings = []
    for one in protocols.checked:
        if one.crosses_parts:
            kinds = [
                f"{counted(found.across_parts, 'group')} of {what}"
                for what, found in (
                    ("exact duplicates", one.exact_duplicates),
                    ("near-duplicates", one.near_duplicates),
                )
                if found.across_parts
            ]
            warnings.append(
                f"**Warning.** {_title(one)}: the same pictures stand in several parts ({listed(kinds)}{_twins(one)}), "
                "so a score on one part can be of images seen in another. See the data set's section."
            )
    return warnings


def _twins(one: Checked) -> str:
    """How many test images have a twin elsewhere, where the record says it."""
    found = max(
        one.exact_duplicates.twins_in_other_parts.get("test", 0),
        one.near_duplicates.twins_in_other_parts.get("test", 0),
    )
    if not found or not one.parts.get("test"):
        return ""
    share = significant(100 * found / one.parts["test"], 2)
    return f"; at least {counted(found, 'test image')}, {share} % of the test part"


def preflight_table(protocols: Protocols) -> Table | None:
    """One row per checked data set."""
    columns: list[ColumnSpec[Checked]] = [
        dataset_column(lambda one: one.dataset),
        number("Images", lambda one: one.images, whole),
        number("Train", lambda one: one.parts.get("train"), whole),
        number("Validation", lambda one: one.parts.get("validation"), whole),
        number("Test", lambda one: one.parts.get("test"), whole),
        number("Bad files", lambda one: len(one.bad), whole),
        number("Bad [%]", lambda one: 100 * one.bad_share, rounded(2)),
        number("Converted", lambda one: sum(one.converted.values()), whole),
        number("Wrong extension", lambda one: one.wrong_extension.count, whole),
        number("Tiny classes", lambda one: len(one.tiny_classes), whole),
        number("Exact duplicates across parts", lambda one: one.exact_duplicates.across_parts, whole),
        number("Near-duplicates across parts", lambda one: one.near_duplicates.across_parts, whole),
        words("Split made here", lambda one: "yes" if one.split_made_here else "no", lambda one: one.split_made_here,
              records=own_records),
        number("Checked [img/s]", lambda one: one.img_per_s or None, bare_rate),
    ]  # fmt: skip
    return make_table("preflight", protocols.checked, columns)


def preflight_sections(protocols: Protocols) -> list[Section]:
    """One section for each checked data set, with every finding by name."""
    return [Section(f"Data set {_title(one)}", bullets(_findings(one))) for one in protocols.checked]


def _title(one: Checked) -> str:
    return escape(identify_dataset(one.dataset).title)


def _findings(one: Checked) -> list[str]:
    parts = listed(f"{escape(name)} {whole(count)}" for name, count in one.parts.items())
    items = [f"{counted(one.images, 'image')} were decoded once{f': {parts}' if parts else ''}."]
    items += [_size_words(one)] if one.width_px and one.height_px else []
    items.append(_bad_words(one))
    if one.converted:
        ways = listed(f"{escape(name)} {whole(count)}" for name, count in sorted(one.converted.items()))
        items.append(f"Converted to upright RGB: {ways}.")
    if one.wrong_extension.count:
        named = _named((escape(key) for key in one.wrong_extension.keys), one.wrong_extension.count)
        items.append(
            f"Extension that does not say the content: {counted(one.wrong_extension.count, 'file')} ({named})."
        )
    if one.tiny_classes:
        tiny = _named(
            (
                f"{escape(tiny['class_name'])} ({escape(tiny['part'])} {whole(tiny['images'])})"
                for tiny in one.tiny_classes
            ),
            len(one.tiny_classes),
        )
        items.append(f"Classes of very few images, whose accuracy says little: {tiny}.")
    for part, names in sorted(one.classes_missing.items()):
        items.append(f"Classes without an image in {escape(part)}: {_named((escape(n) for n in names), len(names))}.")
    items.append(_duplicate_words("Exact duplicates", one.exact_duplicates))
    items.append(_duplicate_words("Near-duplicates", one.near_duplicates))
    if one.split_made_here:
        missing = f" ({escape(listed(one.missing_parts))} missing in the source)" if one.missing_parts else ""
        items.append(f"The parts that were missing are split off here, stratified and always the same way{missing}.")
    items += [escape(note) for note in one.notes]
    if one.fingerprint:
        items.append(f"Fingerprint of keys, labels and bytes: `{escape(one.fingerprint)}`.")
    return items


def _size_words(one: Checked) -> str:
    def span(quantiles: Mapping[str, float]) -> str:
        return ", ".join(
            f"{_QUANTILES.get(name, escape(name))} {whole(float(value))}" for name, value in quantiles.items()
        )

    return f"Width [px]: {span(one.width_px)}; height [px]: {span(one.height_px)}."


def _bad_words(one: Checked) -> str:
    if not one.bad:
        return "No file failed to decode."
    named = (f"{escape(bad.key)} ({escape(bad.part)}: {escape(bad.reason)})" for bad in one.bad)
    return (
        f"{counted(len(one.bad), 'bad file')}, {significant(100 * one.bad_share, 2)} %, left out of everything: "
        f"{_named(named, len(one.bad))}."
    )


def _duplicate_words(what: str, found: Duplicates) -> str:
    if not found.count:
        return f"{what}: none found."
    told = f"{what}: {counted(found.count, 'group')}, {whole(found.across_parts)} of them across parts"
    if found.labels_differ:
        told += f", {whole(found.labels_differ)} with more than one label"
    if not found.complete:
        told += " (lower bounds: too many images look alike to compare all pairs)"
    shown = (
        " = ".join(escape(key) for key in group["keys"]) + (" (across parts)" if group.get("across_parts") else "")
        for group in sorted(found.groups, key=lambda group: not group.get("across_parts"))
    )
    named = _named(shown, found.count, separator="; ")
    return f"{told}: {named}." if named else f"{told}."


def _named(names: Iterable[str], count: int, separator: str = ", ") -> str:
    """The first of some names, and how many more there are."""
    shown = list(names)[:_MOST_NAMED]
    more = [f"{whole(count - len(shown))} more"] if count > len(shown) and shown else []
    return separator.join([*shown, *more])
