"""A user's own file: run once, again after an edit, apart from other models' modules, its mistakes told with a line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.errors import RequestError, UnknownNameError, UserCodeError
from bench.measure.build import build_model, check_takes_resolution, native_resolution, require_own_code_builds
from bench.measure.complexity import measure_complexity
from bench.measure.user_model import files_beside_definition, user_function
from bench.suite.model_source import changed_files, require_definition

HEAD = "import torch\nfrom torch import nn\n"
LINEAR = "def build(num_classes=10):\n    return nn.Linear(WIDTH, num_classes)\n"


def write(path: Path, text: str) -> str:
    """The name of the model that the file's function `build` makes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return f"{path}:build"


def width(name: str) -> int:
    model = build_model(name)
    assert isinstance(model, nn.Linear)
    return model.in_features


def test_a_dataclass_under_postponed_annotations_is_made(tmp_path: Path) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + HEAD
    text += (
        "@dataclass\nclass Config:\n    width: int = 16\n    name: str | None = None\nWIDTH = Config().width\n" + LINEAR
    )
    assert width(write(tmp_path / "net.py", text)) == 16


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("X = {'small': 16}['large']\n", "net.py:3: KeyError: 'large'"),
        ("import nosuchpackage\n", "net.py:3: ModuleNotFoundError: No module named 'nosuchpackage'. Install it"),
        ("def build(:\n", "net.py:3: SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)\n", "net.py:4: SystemExit: 3"),
        ("class Panic(BaseException): pass\nraise Panic('in Rust')\n", "net.py:4: Panic: in Rust"),
        ("x = input()\n", "net.py:3: EOFError"),
        ("open('no-such-file')\n", "net.py:3: FileNotFoundError"),
        ("from net2 import X\n", r"net2.py:2: ZeroDivisionError"),
        ("from .net2 import X\n", "net.py:3: ImportError: attempted relative import.*Put an `__init__.py`"),
        (
            "def build():\n    return helper()\ndef helper():\n    raise ValueError('a\\n  b')\n",
            "net.py:6: ValueError: a b",
        ),
        ("def build():\n    return nn.Linear(-3.5, 'x')\n", "net.py:4: "),
    ],
)
def test_whatever_a_users_code_raises_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    write(tmp_path / "net2.py", "\n1 / 0\n")
    with pytest.raises(UserCodeError, match=told):
        build_model(write(tmp_path / "net.py", HEAD + text))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def build(depth, width=3):\n    pass\n", "net.py:3: .* needs the argument 'depth'"),
        ("def build():\n    return nn.Identity(), 3\n", "net.py:3: .* returned tuple, expected a torch.nn.Module"),
        ("build = nn.Identity()\n", "is a Identity that is made already"),
        ("build = {}\n", "is a dict, expected a function"),
    ],
)
def test_what_cannot_be_called_for_a_model_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        build_model(write(tmp_path / "net.py", HEAD + text))


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        (
            "class build(nn.Linear):\n  def __init__(self, num_classes=4):\n    super().__init__(3, num_classes)\n",
            4,
        ),
        ("build = lambda num_classes=5: nn.Linear(3, num_classes)\n", 5),
        ("import functools\nbuild = functools.partial(nn.Linear, 3, out_features=6)\n", 6),
        ("def build(num_classes):\n    return nn.Linear(3, num_classes)\n", 1000),  # as for a timm model without a head
        ("def build(**given):\n    return nn.Linear(3, given.get('num_classes', 8))\n", 8),
    ],
)
def test_classes_lambdas_and_partials_make_models(tmp_path: Path, text: str, classes: int) -> None:
    model = build_model(write(tmp_path / "net.py", HEAD + text))
    assert isinstance(model, nn.Linear)
    assert model.out_features == classes


def test_a_name_that_is_not_in_the_file_gets_the_nearest(tmp_path: Path) -> None:
    name = write(tmp_path / "net.py", HEAD + "def make_net():\n    return nn.Identity()\n")
    with pytest.raises(UnknownNameError, match=r"Did you mean 'make_net'"):
        user_function(name.replace("build", "make_nett"))


def test_two_files_may_each_have_modules_of_the_same_name_beside_them(tmp_path: Path) -> None:
    names = []
    for folder, size in (("a", 3), ("b", 7)):
        write(tmp_path / folder / "layers.py", f"WIDTH = {size}\n")
        late = (
            "def build(num_classes=10):\n    from late import MORE\n    return nn.Linear(WIDTH + MORE, num_classes)\n"
        )
        write(tmp_path / folder / "late.py", f"MORE = {size}\n")
        names.append(write(tmp_path / folder / "net.py", HEAD + "from layers import WIDTH\n" + late))
    assert [width(name) for name in (*names, *names)] == [6, 14, 6, 14]


def test_an_edit_is_seen_also_one_that_leaves_length_and_time(tmp_path: Path) -> None:
    layers = tmp_path / "layers.py"
    write(layers, "WIDTH = 16\n")
    name = write(tmp_path / "net.py", HEAD + "from layers import WIDTH\n" + LINEAR)
    assert width(name) == 16
    times = layers.stat()
    layers.write_text("WIDTH = 32\n")
    os.utime(layers, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert width(name) == 32


def test_a_file_is_run_once_as_long_as_nothing_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [
        write(tmp_path / folder / "net.py", HEAD + f"print({folder!r})\nWIDTH = 3\n" + LINEAR) for folder in ("a", "b")
    ]
    for name in (*names, *names):
        build_model(name)
        assert native_resolution(name) == 224
    assert capsys.readouterr().err.split() == ["a", "b"]


def test_modules_of_a_package_import_relatively(tmp_path: Path) -> None:
    write(tmp_path / "zoo" / "__init__.py", "")
    write(tmp_path / "zoo" / "layers.py", "WIDTH = 9\n")
    assert width(write(tmp_path / "zoo" / "net.py", HEAD + "from .layers import WIDTH\n" + LINEAR)) == 9


def test_a_module_that_hides_behind_a_loaded_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "random.py", "X = 1\n")
    with pytest.raises(RequestError, match=r"imports 'random'.*Rename the one beside it"):
        build_model(write(tmp_path / "net.py", HEAD + "import random\nWIDTH = 3\n" + LINEAR))


def test_what_the_text_does_not_show_is_seen_when_the_model_is_made(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    write(tmp_path / "plugins" / "one.py", "MORE = 2\n")
    (tmp_path / "config.json").write_text(json.dumps({"width": 4}))
    torch.save({"x": torch.ones(1)}, tmp_path / "w.pt")
    save_file({"x": torch.ones(1)}, tmp_path / "w.safetensors")
    text = """
import importlib, json, pathlib
from safetensors.torch import load_file
HERE = pathlib.Path(__file__).parent
PLUGIN = importlib.import_module("plugins." + next((HERE / "plugins").glob("*.py")).stem)
def build(num_classes=10):
    torch.load(HERE / "w.pt", weights_only=True)
    load_file(HERE / "w.safetensors")
    (HERE / "log").write_text("written, not read")
    return nn.Linear(json.loads((HERE / "config.json").read_text())["width"] + PLUGIN.MORE, num_classes)
"""
    name = write(tmp_path / "net.py", HEAD + text)
    assert width(name) == 6
    assert set(files_beside_definition(name)) == {"plugins", "plugins/one.py", "config.json", "w.pt", "w.safetensors"}
    (tmp_path / "config.json").write_text(json.dumps({"width": 5}))
    assert width(name) == 7


def test_a_file_that_was_not_there_is_known_to_have_been_asked_for(tmp_path: Path) -> None:
    text = """
from pathlib import Path
def build(num_classes=10):
    try:
        width = int(Path(__file__).with_name("width").read_text())
    except OSError:
        width = 4
    return nn.Linear(width, num_classes)
"""
    name = write(tmp_path / "net.py", HEAD + text)
    assert width(name) == 4
    seen = files_beside_definition(name)
    assert set(seen) == {"width"}
    assert changed_files(name, seen) == []
    (tmp_path / "width").write_text("6")
    assert changed_files(name, seen) == ["width"]
    assert width(name) == 6


def test_what_a_users_code_writes_itself_did_not_go_into_its_model(tmp_path: Path) -> None:
    text = """
from pathlib import Path
NOTES = Path(__file__).with_name("notes")
def build(num_classes=10):
    try:
        NOTES.read_text()
    except OSError:
        NOTES.write_text("made")
    with NOTES.open("a") as notes:
        notes.write(" and more")
    return nn.Linear(len(NOTES.read_text()), num_classes)
"""
    name = write(tmp_path / "net.py", HEAD + text)
    assert width(name) == len("made and more")
    assert files_beside_definition(name) == {}


def test_a_file_that_shows_all_has_nothing_beside_its_definition(tmp_path: Path) -> None:
    write(tmp_path / "layers.py", "WIDTH = 5\n")
    name = write(tmp_path / "net.py", HEAD + "import timm, json\nfrom layers import WIDTH\n" + LINEAR)
    build_model(name)
    assert files_beside_definition(name) == {}


def test_code_that_changed_after_the_plan_is_refused(tmp_path: Path) -> None:
    name = write(tmp_path / "net.py", HEAD)
    with pytest.raises(RequestError, match=r"changed after the plan was made"):
        require_definition(name, "sha256 0123456789abcdef")


def test_what_a_users_code_prints_and_sets_stays_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "import os\nprint('hello')\nos.chdir('/')\ntorch.set_default_dtype(torch.float64)\nWIDTH = 3\n" + LINEAR
    here = os.getcwd()
    build_model(write(tmp_path / "net.py", HEAD + text))
    assert (os.getcwd(), torch.get_default_dtype()) == (here, torch.float32)
    assert capsys.readouterr().out == ""


def test_an_error_in_a_forward_pass_is_told_with_its_line_when_it_is_counted(tmp_path: Path) -> None:
    text = "class build(nn.Module):\n    def forward(self, images):\n        return {}['gone']\n"
    with pytest.raises(UserCodeError, match=r"net.py:5: KeyError: 'gone'"):
        measure_complexity(write(tmp_path / "net.py", HEAD + text), 8)


def test_a_size_is_to_blame_only_if_the_models_own_works(tmp_path: Path) -> None:
    size = "class build(nn.Module):\n    def __init__(self, resolution_px=32):\n        super().__init__()\n"
    size += "        if resolution_px % 8:\n            raise ValueError('multiples of 8')\n"
    size += "    def forward(self, images):\n        return images.mean((2, 3))\n"
    with pytest.raises(
        RequestError, match=r"cannot take 30 px images: multiples of 8. The next size that works is 32 px"
    ):
        check_takes_resolution(write(tmp_path / "sized.py", HEAD + size), 30)
    with pytest.raises(UserCodeError, match=r"broken.py:4: ValueError: never"):
        check_takes_resolution(
            write(tmp_path / "broken.py", HEAD + "def build():\n    raise ValueError('never')\n"), 30
        )


def test_a_model_that_cannot_be_made_is_found_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"net.py:4: KeyError"):
        require_own_code_builds(write(tmp_path / "net.py", HEAD + "def build():\n    return {}['x']\n"), num_classes=3)
    asks = "def build():\n    return nn.Linear(int(torch.ones(1).item()), 2)\n"  # which shapes alone cannot answer
    require_own_code_builds(write(tmp_path / "asks.py", HEAD + asks), num_classes=3)
