from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import get_args

import pytest

from bench.catalog.datasets import dataset_rows, find_dataset, is_in_domain
from bench.data.generated.corpora import Family
from bench.errors import UnknownNameError


def test_every_row_is_complete():
    for name, row in dataset_rows().items():
        assert row.name == name
        assert row.num_classes == len(row.class_names) == len(set(row.class_names))
        assert len(row.fingerprint) == 16
        assert int(row.fingerprint, 16) >= 0
        assert row.kind in ("real", "generated")
        empty = {f.name for f in dataclasses.fields(row) if getattr(row, f.name) in ("", 0)}
        assert empty <= {"caution"}
        assert "\n" not in row.description


def test_digits_says_that_its_parts_share_writers():
    assert "same writers" in find_dataset("digits").caution


def test_a_set_is_in_the_domain_of_the_corpora_that_its_row_names_whatever_their_classes():
    assert is_in_domain("unseen", "mix-64")
    assert is_in_domain("unseen", "rings-1000")
    assert not is_in_domain("digits", "mix-64")
    assert is_in_domain("shapes", "shapes")
    assert not is_in_domain("somebody's own", "mix-64")


def test_every_corpus_that_a_set_is_near_to_is_one_that_is_made_here():
    assert {name for row in dataset_rows().values() for name in row.in_domain_of} <= {*get_args(Family)}


def test_an_unknown_data_set_comes_with_the_nearest_names():
    with pytest.raises(UnknownNameError, match=r"Unknown data set 'texture'. Did you mean 'textures'\?") as caught:
        find_dataset("texture")

    assert caught.value.nearest == ["textures"]


def test_the_data_set_catalog_needs_neither_torch_nor_numpy():
    code = (
        "import sys, bench.catalog.datasets as d; d.dataset_rows(); sys.exit(bool({'torch', 'numpy'} & {*sys.modules}))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
