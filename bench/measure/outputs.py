"""What a classifier must hand back: one score a class for every image, as a tensor of floats."""

from __future__ import annotations

from torch import Tensor, nn

from bench.errors import CellFailedError


def class_scores(model: nn.Module, images: Tensor, name: str, num_classes: int | None) -> Tensor:
    """The model's scores for a batch of images, (B, C). num_classes: C; None takes any.

    Raises CellFailedError for anything else, which a loss or an argmax might take without a word.
    """
    output: object = model(images)
    count = len(images)
    if isinstance(output, Tensor) and output.ndim == 2 and output.is_floating_point():
        rows, columns = output.shape
        if rows == count and columns == (num_classes or columns):
            return output
    raise CellFailedError(
        f"Model {name!r} returns {_described(output)} for {count} images in "
        f"{'training' if model.training else 'evaluation'}; class scores were expected, a tensor of floats of shape "
        f"({count}, {'classes' if num_classes is None else num_classes}). {_remedy(output, num_classes)}"
    )


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of {str(output.dtype).removeprefix('torch.')} of shape {tuple(output.shape)}"
    kind = type(output).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _remedy(output: object, num_classes: int | None) -> str:
    if not isinstance(output, Tensor):
        return "Return the scores alone, in training too: without auxiliary ones, and `.logits` of such an object."
    if not output.is_floating_point():
        return "Return scores, not the classes chosen."
    if output.ndim == 2 and num_classes is not None and output.shape[1] != num_classes:
        return "Let the function take `num_classes`, and make its head by it."
    return "Return a row of scores for every image."
