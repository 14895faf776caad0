"""The baseline that every study of trainings has without asking: logistic regression on pixels, on as many images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from bench.suite.cell import PixelsCell, TrainCell
from bench.suite.planning_context import ImagesFacts

LARGEST_PX = 32  # larger images are shrunk: their regression has more weights than such sets have images


def pixel_baselines(
    trainings: Iterable[TrainCell], asked: Collection[str], find_images: Callable[[str], ImagesFacts]
) -> list[PixelsCell]:
    """A regression for each set that is trained on and tested, and each number of images there.

    One for each seed, which draws its images; with the most images a single one. asked: the sets of the suite's own
    `[[pixels]]` blocks, which say how many images there are.
    """
    seeds: dict[tuple[str, int], set[int]] = defaultdict(set)
    of_set: dict[str, TrainCell] = {}
    for cell in trainings:
        if cell.scored_part == "test" and cell.dataset not in asked:
            seeds[cell.dataset, cell.train_images].add(cell.seed)
            of_set[cell.dataset] = cell
    most = {name: max(images for other, images in seeds if other == name) for name in of_set}
    return [
        PixelsCell(
            dataset=name,
            fingerprint=find_images(name).fingerprint,
            resolution_px=min(of_set[name].resolution_px, LARGEST_PX),
            num_classes=of_set[name].num_classes or find_images(name).num_classes,
            train_images=images,
            seed=seed,
        )
        for (name, images), own in seeds.items()
        for seed in sorted(own)[: 1 if images == most[name] else None]
    ]
