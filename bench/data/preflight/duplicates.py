"""Images that a data set holds twice: byte for byte, or as another file of the same picture.

Works on what the preflight kept of each image, a digest and a thumbnail; never looks at the images themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = (16, 18)  # (height, width) in pixels
_SAMPLES = 4  # pixels looked at across one pixel of the thumbnail: fine enough that recompressing moves few bits
_BANDS, _BAND_BITS = 7, 9
MOST_BITS = _BANDS - 1  # of 63; two hashes this near share at least one of seven bands, so no near pair is missed
LEAST_CORRELATION = 0.985  # of two thumbnails; copies at a third of the size or JPEG quality 40 stay above 0.99
_LEAST_CONTRAST = 3.0  # standard deviation in grey levels; a flatter picture looks like every other flat one
_MOST_COMPARED = 400_000_000  # pairs of hashes, about 10 s
_MOST_PAIRS = 200_000  # found ones; a set with more is made of look-alikes, and the number says so
_BLOCK = 1 << 21


@dataclass(frozen=True)
class Twins:
    """Groups of images that are the same picture, each an array of positions in ascending order.

    complete: False where a set of look-alikes was too large to be compared pair by pair.
    """

    groups: tuple[NDArray[np.int64], ...]
    complete: bool = True


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """The RGB image as THUMBNAIL grey pixels, each the mean of 16 samples. Costs 2 % of decoding a 500 x 375 JPEG."""
    height, width = THUMBNAIL
    sampled = image.resize((width * _SAMPLES, height * _SAMPLES), Image.Resampling.NEAREST)
    small = sampled.reduce(_SAMPLES).convert("L")
    return np.frombuffer(small.tobytes(), dtype=np.uint8).reshape(THUMBNAIL)  # half the time of np.asarray


def exact_twins(digests: NDArray[np.void]) -> Twins:
    """Images whose digests (N,) are equal."""
    if not len(digests):
        return Twins(())
    order = np.argsort(digests, kind="stable")
    starts = np.flatnonzero(np.r_[True, digests[order[1:]] != digests[order[:-1]]])
    runs = np.split(order, starts[1:])
    return Twins(tuple(sorted((run for run in runs if len(run) > 1), key=lambda run: int(run[0]))))


def repeated(digests: NDArray[np.void], parts: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which images have their digest in their own part before them: (N,), for digests and parts (N,)."""
    first = _first_of_each(np.unique(digests, return_inverse=True)[1], parts, np.arange(len(digests)))
    again = np.ones(len(digests), dtype=np.bool_)
    again[first] = False
    return again


def near_twins(digests: NDArray[np.void], thumbnails: NDArray[np.uint8], parts: NDArray[np.int8]) -> Twins:
    """Images that are another file of the same picture: recompressed, resized, a little brighter.

    digests: (N,). thumbnails: (N, 16, 18), uint8. parts: (N,), which part each image is in. Only pairs of different
    parts are looked for, because those let a model see what it is tested on; in a set of one part, all pairs.
    A pair has perceptual hashes within MOST_BITS and thumbnails that correlate by LEAST_CORRELATION; equal digests
    are left to `exact_twins`. Mirrored, turned and cropped copies are not found.
    """
    one_part = len(np.unique(parts)) < 2
    # One copy of a file in each part says all; thousands of copies would be compared in millions of pairs.
    identity = np.unique(digests, return_inverse=True)[1]
    members = _first_of_each(identity, parts, np.flatnonzero(_contrast(thumbnails) >= _LEAST_CONTRAST))
    look = _checksums(thumbnails)
    found = _same_look(look, identity, parts, members, one_part)
    members = _first_of_each(np.unique(look, return_inverse=True)[1], parts, members)
    hashes = perceptual_hashes(thumbnails[members])
    pairs = compared = 0
    complete = True
    for bucket in _buckets(hashes):
        bucket_parts = parts[members[bucket]]
        if not one_part and (bucket_parts == bucket_parts[0]).all():
            continue
        compared += len(bucket) ** 2 // 2
        if compared > _MOST_COMPARED or pairs > _MOST_PAIRS:
            complete = False
            break
        for left, right in _near_pairs(hashes, bucket):
            a, b = members[left], members[right]
            kept = (identity[a] != identity[b]) & (look[a] != look[b])
            if not one_part:
                kept &= parts[a] != parts[b]
            a, b = a[kept], b[kept]
            alike = _correlation(thumbnails[a], thumbnails[b]) >= LEAST_CORRELATION
            found.append(np.stack([a[alike], b[alike]]))
            pairs += int(alike.sum())
    return Twins(_connected(found, len(digests)), complete)


def _first_of_each(values: NDArray[np.int64], parts: NDArray[np.int8], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those members that are the first with their value in their part, in ascending order."""
    first = np.unique(values[members] * 128 + parts[members], return_index=True)[1]
    kept: NDArray[np.int64] = members[np.sort(first)]
    return kept


def _same_look(
    look: NDArray[np.uint64],
    identity: NDArray[np.int64],
    parts: NDArray[np.int8],
    members: NDArray[np.int64],
    one_part: bool,
) -> list[NDArray[np.int64]]:
    """Pairs (2, P) of members with equal thumbnails in different files: pixels alike, metadata not."""
    order = members[np.argsort(look[members], kind="stable")]
    found = []
    for group in np.split(order, np.flatnonzero(np.diff(look[order])) + 1):
        if len(group) > 1 and len(set(identity[group])) > 1 and (one_part or len(set(parts[group])) > 1):
            found.append(np.stack([np.full(len(group) - 1, group[0]), group[1:]]))
    return found


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(N, 16, 18) -> (N,): 63 bits, the signs of the lowest 8 x 8 cosine coefficients around their median.

    The constant coefficient is left out. The median makes half of the bits one even for pictures that are mostly
    background, where differences of neighbours (dHash) would all be zero.
    """
    down, across = (_cosines(side)[:8] for side in THUMBNAIL)
    weights = np.uint64(1) << np.arange(63, dtype=np.uint64)
    hashes = np.empty(len(thumbnails), dtype=np.uint64)
    for start in range(0, len(thumbnails), 4096):
        block = thumbnails[start : start + 4096].astype(np.float32)
        spectrum = (down @ block @ across.T).reshape(len(block), 64)[:, 1:]
        # The added one is above rounding: drawn pictures have many coefficients of zero, whose signs say nothing.
        bits = spectrum > np.median(spectrum, axis=1, keepdims=True) + 1
        hashes[start : start + 4096] = (bits * weights).sum(axis=1, dtype=np.uint64)
    return hashes


def _cosines(length: int) -> NDArray[np.float32]:
    """The discrete cosine transform of type II, (length, length), not normalised."""
    at = np.arange(length)
    return np.cos(np.pi * (2 * at[None] + 1) * at[:, None] / (2 * length)).astype(np.float32)


def _buckets(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.int64]]:
    """Positions whose hashes agree in one band, small buckets first: a huge one is the likeliest to say nothing."""
    buckets: list[NDArray[np.int64]] = []
    for band in range(_BANDS):
        values = (hashes >> np.uint64(band * _BAND_BITS)) & np.uint64(2**_BAND_BITS - 1)
        order = np.argsort(values, kind="stable")
        buckets += np.split(order, np.flatnonzero(np.diff(values[order])) + 1)
    yield from sorted((bucket for bucket in buckets if len(bucket) > 1), key=len)


def _near_pairs(
    hashes: NDArray[np.uint64], bucket: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of positions in the bucket whose hashes differ in at most MOST_BITS, in blocks of bounded size."""
    held = hashes[bucket]
    rows = max(1, _BLOCK // len(bucket))
    for start in range(0, len(bucket), rows):
        block = held[start : start + rows]
        left, right = np.nonzero(_set_bits(block[:, None] ^ held[None, start:]) <= MOST_BITS)
        later = right > left
        yield bucket[start + left[later]], bucket[start + right[later]]


def _set_bits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Number of ones in each word, by adding neighbours (Warren, Hacker's Delight, 5-1). numpy 1 has no bit count."""
    twos, fours, bytes_ = (
        np.uint64(pattern) for pattern in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    words = words - ((words >> np.uint64(1)) & twos)
    words = (words & fours) + ((words >> np.uint64(2)) & fours)
    words = (words + (words >> np.uint64(4))) & bytes_
    return (words * np.uint64(0x0101010101010101)) >> np.uint64(56)


def _contrast(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Standard deviation of each thumbnail, in grey levels."""
    result = np.empty(len(thumbnails), dtype=np.float32)
    for start in range(0, len(thumbnails), 4096):
        result[start : start + 4096] = _flat(thumbnails[start : start + 4096]).std(axis=1)
    return result


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pearson's, of each pair of thumbnails. None of them is flat."""
    result = np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), 4096):
        x, y = _flat(a[start : start + 4096]), _flat(b[start : start + 4096])
        x -= x.mean(axis=1, keepdims=True)
        y -= y.mean(axis=1, keepdims=True)
        result[start : start + 4096] = (x * y).sum(axis=1) / np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
    return result


def _checksums(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(N,), equal for equal thumbnails and, but for one pair in 10^19, for no others: a sum with random weights."""
    weights = np.random.default_rng(0).integers(0, 2**64, THUMBNAIL[0] * THUMBNAIL[1], dtype=np.uint64)
    result = np.empty(len(thumbnails), dtype=np.uint64)
    for start in range(0, len(thumbnails), 4096):
        block = thumbnails[start : start + 4096]
        result[start : start + 4096] = (block.reshape(len(block), -1) * weights).sum(axis=1, dtype=np.uint64)
    return result


def _flat(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    return thumbnails.reshape(len(thumbnails), -1).astype(np.float32)


def _connected(pairs: list[NDArray[np.int64]], count: int) -> tuple[NDArray[np.int64], ...]:
    """Groups of positions that pairs connect, in the order of their first members."""
    if not any(found.size for found in pairs):
        return ()
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    touched = np.unique(np.concatenate([left, right]))
    order = touched[np.argsort(component[touched], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return tuple(sorted(groups, key=lambda group: int(group[0])))
