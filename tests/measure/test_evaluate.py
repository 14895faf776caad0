from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.data.imagenet_info import ImageNetInfo
from torch import Tensor, nn

from bench.data.sets.collection import LabelledImages, RawImage
from bench.errors import BenchError, CellFailedError, DataError, OutOfMemoryError, UnsupportedError
from bench.measure.build import build_model
from bench.measure.outcome import Outcome
from bench.measure.scoring.evaluate import evaluate
from bench.measure.scoring.imagenet_checks import real_labels
from bench.measure.weights import LoadedModel
from bench.process_group import ProcessGroup, alone
from bench.suite.cell import EvaluateCell, Settings

CONFIG = {
    "input_size": (3, 32, 32),
    "interpolation": "bilinear",
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
    "crop_pct": 1.0,
    "crop_mode": "center",
}
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (0, 0, 0)]


@dataclass(frozen=True)
class Held:
    """A reader of images in memory."""

    images: tuple[RawImage, ...]

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> RawImage:
        return self.images[index]


class NearestColour(nn.Module):
    """The class of an image is the colour of COLOURS that its mean is nearest to; scores are minus the distances."""

    def __init__(self, classes: int = len(COLOURS)) -> None:
        super().__init__()
        self.num_classes = classes
        self.register_buffer("colours", torch.tensor(COLOURS[:classes]).float() / 255)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(tuple(images.shape))
        mean = images.mean(dim=(2, 3)) * 0.25 + 0.5  # undo CONFIG's mean and std: (B, 3)
        return -torch.cdist(mean, self.colours)  # (B, C)


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (48, 40)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


def part_of(shown: list[int], labels: list[int], keys: list[str] | None = None) -> LabelledImages:
    """Images of these colours, said to be of those classes."""
    return LabelledImages(
        Held(tuple(picture(COLOURS[colour]) for colour in shown)),
        np.array(labels, dtype=np.int64),
        tuple(keys or [f"{number}.png" for number in range(len(shown))]),
    )


def cell(**changes: Any) -> EvaluateCell:
    return EvaluateCell(
        **{
            "model": "resnet_32px_s",
            "resolution_px": 32,
            "weights": "sha256 0123456789abcdef",
            "dataset": "colours",
            "fingerprint": "f" * 16,
            "device": "cpu",
            "settings": Settings(),
            **changes,
        }
    )


def run(
    part: LabelledImages,
    model: nn.Module | None = None,
    *,
    workers: int = 0,
    asked: EvaluateCell | None = None,
    **known: Any,
) -> Outcome:
    loaded = LoadedModel(model or NearestColour(), "0123456789abcdef", CONFIG, **known)
    names = [f"colour {i}" for i in range(len(COLOURS))]
    return evaluate(asked or cell(), loaded, part, names, workers=workers, group=alone("cpu"))


def test_counts_are_those_counted_by_hand() -> None:
    # class 0: two of three right; class 1: one of one; class 2: none of one. 3 of 5, and (2/3 + 1 + 0) / 3 per class.
    result = run(part_of(shown=[0, 0, 1, 1, 3], labels=[0, 0, 0, 1, 2]))
    assert result.predictions.predictions.tolist() == [0, 0, 1, 1, 3]
    assert result.predictions.keys == ("0.png", "1.png", "2.png", "3.png", "4.png")
    assert result.values["images"] == 5
    assert result.values["correct_top1"] == 3
    assert result.values["top1_pct"] == pytest.approx(60.0)
    assert result.values["mean_per_class_pct"] == pytest.approx(500 / 9)


def test_top_five_counts_labels_among_the_five_nearest() -> None:
    # From black: itself 0, the three primaries 1, the three mixtures 1.41. A mixture's rank is 4 (three nearer ties
    # and black before it) for all three, since they are equally far and none of them scores higher than another.
    result = run(part_of(shown=[6, 6, 0], labels=[0, 3, 4]))
    # From red: itself 0; yellow, magenta and black 1; green and blue 1.41; cyan, 1.73, comes last of seven.
    assert result.predictions.label_rank.tolist() == [1, 4, 6]
    assert result.values["top5_pct"] == pytest.approx(200 / 3)
    assert result.values["top1_pct"] == 0.0


def test_loader_processes_change_nothing() -> None:
    part = part_of(shown=[i % 7 for i in range(70)], labels=[i % 5 for i in range(70)])
    alone_, helped = run(part), run(part, workers=2)
    assert np.array_equal(alone_.predictions.predictions, helped.predictions.predictions)
    assert alone_.predictions.label_probability.tolist() == helped.predictions.label_probability.tolist()
    assert alone_.values["correct_top1"] == helped.values["correct_top1"] == sum(i % 7 == i % 5 for i in range(70))


def test_images_are_resized_and_cropped_as_the_weights_say() -> None:
    # 96 x 48: green on the left and right thirds, red in the middle. Shorter side to 32, then the middle 32 x 32.
    pixels = np.zeros((48, 96, 3), dtype=np.uint8)
    pixels[:, :, 1] = 255
    pixels[:, 24:72] = (255, 0, 0)
    part = LabelledImages(Held((pixels,)), np.array([0]), ("wide",))
    model = NearestColour()
    assert run(part, model).predictions.predictions.tolist() == [0]
    assert model.seen == [(1, 3, 32, 32)]
    squashed = LoadedModel(NearestColour(), None, {**CONFIG, "crop_mode": "squash"})
    names = [str(i) for i in range(7)]
    result = evaluate(cell(), squashed, part, names, workers=0, group=alone("cpu"))
    assert result.predictions.label_probability[0] < run(part).predictions.label_probability[0]  # green is in sight


def test_mean_and_std_are_the_weights_own() -> None:
    class Sees(NearestColour):
        def forward(self, images: Tensor) -> Tensor:
            self.values = images[0, :, 0, 0].tolist()
            return super().forward(images)

    model = Sees()
    run(part_of([0], [0]), model)
    assert model.values == [(1 - 0.5) / 0.25, (0 - 0.5) / 0.25, (0 - 0.5) / 0.25]


def test_values_say_how_images_were_prepared() -> None:
    loaded = LoadedModel(NearestColour(), "0123456789abcdef", {**CONFIG, "crop_pct": 0.9})
    result = evaluate(cell(), loaded, part_of([0], [0]), [str(i) for i in range(7)], workers=0, group=alone("cpu"))
    assert result.values["preprocessing"] == {
        "resized_px": 35,  # floor(32 / 0.9)
        "crop_px": 32,
        "crop_pct": 0.9,
        "crop_mode": "center",
        "interpolation": "bilinear",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
    }
    assert result.values["weights_sha256"] == "0123456789abcdef"
    assert result.values["processes"] == 1
    assert result.values["img_per_s"] > 0
    assert json.loads(json.dumps(result.values)) == result.values


def test_a_head_of_another_size_is_refused_with_both_numbers() -> None:
    with pytest.raises(UnsupportedError, match=r"has 5 classes, data set 'colours' has 7"):
        run(part_of([0], [0]), NearestColour(classes=5))


def test_a_model_that_hides_the_size_of_its_head_is_refused_as_well() -> None:
    model = NearestColour(classes=5)
    del model.num_classes
    with pytest.raises(UnsupportedError, match=r"shape \(5,\).*7 classes"):
        run(part_of([0], [0]), model)


def test_outputs_are_read_by_the_heads_own_names_in_whatever_order() -> None:
    names = [f"colour {i}" for i in range(7)]
    swapped = (names[0], names[2], names[1], *names[3:])  # output 1 is of class 2
    result = run(part_of(shown=[0, 1, 2], labels=[0, 2, 2]), class_names=swapped)
    assert result.predictions.predictions.tolist() == [0, 2, 1]
    assert (result.values["correct_top1"], result.values["notes"]) == (2, [])


def test_a_head_of_other_classes_is_refused_with_one_that_it_lacks() -> None:
    names = ("colour 0", "colour 1", "hue 2", *(f"colour {i}" for i in range(3, 7)))
    with pytest.raises(UnsupportedError, match="Class 'colour 2' of data set 'colours' is none of the outputs of"):
        run(part_of([0], [0]), class_names=names)


def test_synsets_are_read_in_the_order_of_public_weights() -> None:
    class Thousand(nn.Module):
        num_classes = 1000

        def forward(self, images: Tensor) -> Tensor:
            return torch.arange(1000).float().expand(len(images), 1000)  # the last one scores highest

    synsets = ImageNetInfo().label_names()
    loaded = LoadedModel(Thousand(), None, CONFIG)
    asked = cell(weights="public")
    right = evaluate(asked, loaded, part_of([0], [0]), synsets, workers=0, group=alone("cpu"))
    assert right.values["notes"] == []
    assert right.predictions.predictions.tolist() == [999]
    turned = evaluate(asked, loaded, part_of([0], [0]), synsets[::-1], workers=0, group=alone("cpu"))
    assert turned.predictions.predictions.tolist() == [0]
    with pytest.raises(UnsupportedError, match="Class 'n99999999' of data set"):
        evaluate(asked, loaded, part_of([0], [0]), ["n99999999", *synsets[1:]], workers=0, group=alone("cpu"))


def test_an_order_of_classes_that_nothing_confirms_is_noted() -> None:
    assert run(part_of([0], [0])).values["notes"] == [
        "The weights do not say what their classes are called: the order of the data set's classes was trusted."
    ]


def test_weights_without_a_head_are_not_scored() -> None:
    with pytest.raises(UnsupportedError, match="no head"):
        run(part_of([0], [0]), has_own_head=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_fails_the_cell_by_its_name(workers: int) -> None:
    good = part_of([0, 1, 2], [0, 1, 2])
    images = (good.reader.read(0), b"\xff\xd8\xff torn", good.reader.read(2))
    with pytest.raises(
        CellFailedError, match=r"Image '1\.png' of data set 'colours' cannot be read: corrupt"
    ) as caught:
        run(LabelledImages(Held(images), good.labels, good.keys), workers=workers)
    assert "\n" not in str(caught.value)


def test_scores_that_are_no_numbers_fail_the_cell() -> None:
    class Overflows(NearestColour):
        def forward(self, images: Tensor) -> Tensor:
            logits = super().forward(images)
            logits[1] = float("inf")
            return logits

    with pytest.raises(CellFailedError, match=r"no numbers, first inf for class 0 of image '1\.png'"):
        run(part_of([0, 1, 2], [0, 1, 2]), Overflows())


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        run(part_of([], []))


class Short(NearestColour):
    """A device that holds so many images at once."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        return super().forward(images)


def test_short_memory_means_smaller_batches_and_the_same_counts() -> None:
    part = part_of(shown=[i % 7 for i in range(40)], labels=[0] * 40)
    result = run(part, Short(limit=10))
    assert result.predictions.predictions.tolist() == [i % 7 for i in range(40)]
    assert "8 at a time" in result.values["notes"][-1]  # 32, 16, 8
    assert run(part).values["notes"] == result.values["notes"][:-1]


def test_memory_for_not_even_one_image_is_out_of_memory() -> None:
    with pytest.raises(OutOfMemoryError, match="One image does not fit"):
        run(part_of([0], [0]), Short(limit=0))


def test_real_accuracy_goes_by_file_name_and_only_for_imagenet() -> None:
    class Says(nn.Module):
        """The first pixel's red value is the class."""

        num_classes = 1000

        def forward(self, images: Tensor) -> Tensor:
            red = ((images[:, 0, 0, 0] * 0.25 + 0.5) * 255).round().long()
            return nn.functional.one_hot(red, 1000).float()

    numbers = [n for n in range(1, 2000) if real_labels()[n - 1] and max(real_labels()[n - 1]) < 256][:3]
    empty = next(n for n in range(1, 2000) if not real_labels()[n - 1])
    shown = [min(real_labels()[numbers[0] - 1]), min(real_labels()[numbers[1] - 1]), 255, 0]  # right, right, wrong, -
    assert 255 not in real_labels()[numbers[2] - 1]
    keys = tuple(f"x/ILSVRC2012_val_{n:08d}.JPEG" for n in (*numbers, empty))
    images = tuple(np.full((32, 32, 3), red, dtype=np.uint8) for red in shown)
    part = LabelledImages(Held(images), np.array([999, 999, 999, 999]), keys)
    loaded = LoadedModel(Says(), None, CONFIG)
    names = [str(i) for i in range(1000)]
    on_imagenet = evaluate(cell(dataset="imagenet"), loaded, part, names, workers=0, group=alone("cpu")).values
    assert (on_imagenet["real_images"], on_imagenet["correct_top1"]) == (3, 0)
    assert on_imagenet["real_top1_pct"] == pytest.approx(200 / 3)
    elsewhere = evaluate(cell(), loaded, part, names, workers=0, group=alone("cpu")).values
    assert elsewhere["real_top1_pct"] is elsewhere["real_images"] is None


def test_the_self_check_is_in_the_values() -> None:
    values = run(part_of([0], [0])).values
    assert values["self_check"] == "no reference"
    assert "not the public ones" in values["self_check_note"]
    assert values["published_top1_pct"] is values["delta_pp"] is values["published_source"] is None


def images_of(count: int) -> NDArray[np.uint8]:
    """Blocks of random colours, so that a network with random weights does not say the same of all of them."""
    blocks = np.random.default_rng(5).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    return blocks.repeat(20, axis=1).repeat(18, axis=2)


NETWORK_CLASSES = list("abcdefg")
COUNTS = (2, 10, 11, 13)  # two images among three processes: one has nothing to do


def found_by(group: ProcessGroup, count: int, *, is_bad: bool = False) -> list[Any]:
    """What a small network with random weights gives for `count` images, or the error; image 1 may be no image."""
    loaded = LoadedModel(build_model("resnet_32px_s", num_classes=7, seed=3), None, CONFIG)
    images: list[RawImage] = list(images_of(count))
    if is_bad:
        images[1] = b"no image"
    part = LabelledImages(Held(tuple(images)), np.arange(count) % 7, tuple(map(str, range(count))))
    try:
        result = evaluate(cell(num_classes=7), loaded, part, NETWORK_CLASSES, workers=0, group=group)
    except BenchError as error:
        return [type(error).__name__, str(error)]
    predictions = result.predictions
    counts = [result.values[name] for name in ("images", "correct_top1", "top1_pct", "top5_pct", "mean_per_class_pct")]
    return [*counts, predictions.predictions.tolist(), predictions.label_rank.tolist(), list(predictions.keys)]


# Run by each process of a group.
MEMBER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_evaluate import COUNTS, found_by
from bench.process_group import joined_group
with joined_group("cpu") as group:
    found = [[found_by(group, count) for count in COUNTS], found_by(group, 4, is_bad=True)]
    Path(sys.argv[1]).joinpath(f"{{group.rank}}.json").write_text(json.dumps(found))
"""


def run_group(folder: Path, size: int) -> list[list[Any]]:
    """Real processes, as torchrun would start them: what each of them found."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    command = [sys.executable, "-c", MEMBER.format(tests=str(Path(__file__).parent)), str(folder)]
    group = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = []
    for rank in range(size):
        member = {**group, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": 1}
        started.append(subprocess.Popen(command, env={**os.environ, **{k: str(v) for k, v in member.items()}}))
    assert [process.wait(timeout=300) for process in started] == [0] * size
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(size)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_count_what_one_counts(size: int, tmp_path: Path) -> None:
    by_one = [found_by(alone("cpu"), count) for count in COUNTS]
    assert [found[0] for found in by_one] == list(COUNTS)
    assert len(set(by_one[-1][5])) > 1  # a network that always says the same would prove nothing
    for counted, of_a_bad_image in run_group(tmp_path, size):
        assert counted == by_one
        # Only one process met the bad image, and none waits for it.
        assert of_a_bad_image[0] == "CellFailedError"
        assert "Image '1' of data set 'colours'" in of_a_bad_image[1]
