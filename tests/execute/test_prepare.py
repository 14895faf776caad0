"""What a training's record says of the count that its budget rests on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli.plan import print_plan
from bench.data.generated.embedded import load_dataset
from bench.execute.prepare import prepare
from bench.execute.run_options import RunOptions
from bench.suite.cell import Recipe, Settings, TrainCell
from bench.suite.spec import load_suite

BATCH, SIDE, CLASSES = 32, 32, 10
MACS = 3 * 32 * 32 * CLASSES
TWO_STEPS_GFLOP = 2 * 3 * 2 * MACS * BATCH / 1e9  # 3 x FLOPs x images

NET = """
import torch
from torch import nn

class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x)
        return x @ weight

    @staticmethod
    def backward(ctx, gradient):
        return None, ctx.saved_tensors[0].T @ gradient

class Net(nn.Module):
    def __init__(self, own):
        super().__init__()
        self.own, self.weight = own, nn.Parameter(torch.zeros(3072, 10))

    def forward(self, image):
        flat = image.flatten(1)
        return Product.apply(flat, self.weight) if self.own else flat @ self.weight

def own(num_classes=10):
    return Net(True)

def plain(num_classes=10):
    return Net(False)
"""


def training(folder: Path, function: str) -> TrainCell:
    file = folder / "net.py"
    file.write_text(NET)
    return TrainCell(
        model=f"{file}:{function}",
        num_classes=CLASSES,
        resolution_px=SIDE,
        dataset="digits",
        fingerprint=load_dataset("digits").fingerprint,
        train_images=100,
        seed=0,
        budget_gflop=TWO_STEPS_GFLOP,
        recipe=Recipe(batch_size=BATCH, validations=1, learning_rate=0.001),
        scored_part="test",
        device="cpu",
        settings=Settings(),
    )


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # embedded images are kept from changes
def test_two_spellings_of_one_network_get_the_same_steps(tmp_path: Path) -> None:
    values = {name: prepare(training(tmp_path, name), RunOptions())().values for name in ("own", "plain")}
    for one in values.values():
        assert (one["macs"], one["steps"]) == (MACS, 2)
    assert "certificate" not in values["plain"]
    assert values["own"]["certificate"] == "differs"
    assert "PythonOp.Product" in values["own"]["certificate_note"]


def test_a_plan_says_which_budgets_rest_on_uncertified_macs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [training(tmp_path, "own"), training(tmp_path, "plain")]
    print_plan(load_suite("pocket"), [*cells], 1)
    lines = [line for line in capsys.readouterr().out.splitlines() if "not certified" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"{cells[0].model} at {SIDE} px: Its MACs are not certified")
