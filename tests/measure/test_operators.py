from __future__ import annotations

import pytest

from bench.measure.counting.operators import attention_macs, einsum_macs, matmul_macs


def test_attention_macs_are_batch_heads_queries_keys_and_both_widths() -> None:
    assert attention_macs([2, 3, 5, 8], [2, 3, 7, 8], [2, 3, 7, 4]) == 2 * 3 * 5 * 7 * (8 + 4)


def test_attention_macs_with_shared_key_heads_count_the_query_heads() -> None:
    assert attention_macs([2, 6, 5, 8], [2, 2, 7, 8], [2, 2, 7, 8]) == 2 * 6 * 5 * 7 * 16


def test_attention_macs_broadcast_missing_batch_dimensions() -> None:
    assert attention_macs([2, 3, 5, 8], [7, 8], [7, 8]) == 2 * 3 * 5 * 7 * 16


@pytest.mark.parametrize(
    ("left", "right", "macs"),
    [
        ([2, 3], [3, 4], 2 * 3 * 4),
        ([5, 1, 2, 3], [7, 3, 4], 5 * 7 * 2 * 3 * 4),
        ([3], [3], 3),
        ([2, 3], [3], 6),
        ([3], [3, 4], 12),
    ],
)
def test_matmul_macs(left: list[int], right: list[int], macs: int) -> None:
    assert matmul_macs(left, right) == macs


@pytest.mark.parametrize(
    ("equation", "operands", "macs"),
    [
        ("ij,jk->ik", ([2, 3], [3, 4]), 24),
        ("...ij,...jk->...ik", ([5, 2, 3], [5, 3, 4]), 120),
        ("ij,ij->ij", ([2, 3], [2, 3]), 0),
        ("ij->ji", ([2, 3],), 0),
        ("ij,jk,kl->il", ([2, 3], [3, 4], [4, 5]), 2 * 3 * 4 + 2 * 4 * 5),
    ],
)
def test_einsum_macs(equation: str, operands: tuple[list[int], ...], macs: int) -> None:
    assert einsum_macs(equation, *operands) == macs
