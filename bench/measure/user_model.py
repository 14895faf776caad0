"""A user's own model file, run as an import would: with what lies beside it, and with its mistakes told as such.

A file is run once, and again as soon as anything that it was made from has changed. Modules of one model's are out of
sight while another's is in use, so that two files may each import a `layers` of their own.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bench.errors import BenchError, RequestError, UnknownNameError, UserCodeError
from bench.measure.counting.meta_shapes import needs_numbers
from bench.measure.devices import is_out_of_memory
from bench.measure.user_imports import modules_of, new_modules, run_file, use, watching
from bench.suite.model_source import (
    ID_DIGITS,
    error_words,
    file_of,
    is_installed,
    place_in_user_code,
    shown,
    source_files,
)


def user_function(name: str) -> Callable[..., Any]:
    """The function, class or other callable that `path/to/file.py:function` names.

    Raises RequestError for a file that is not there, UnknownNameError for a name that is not in it, UserCodeError for
    whatever running it raises.
    """
    _, _, attribute = name.rpartition(":")
    module = _load(name)
    found = getattr(module, attribute, None)
    if isinstance(found, nn.Module):
        raise RequestError(
            f"{name!r} is a {type(found).__name__} that is made already. Name a function or class that makes one: "
            "every measurement starts from a new one."
        )
    if found is not None and not callable(found):
        raise RequestError(f"{name!r} is a {type(found).__name__}, expected a function that returns a torch.nn.Module.")
    if found is None:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError("function", attribute, known, where=str(file_of(name)))
    return found  # type: ignore[no-any-return]


def make_user_model(name: str, offered: dict[str, int], defaults: dict[str, int], *, is_meta: bool) -> nn.Module:
    """What the user's function returns for those of the offered arguments that it takes.

    defaults: for arguments that it needs and that are not offered. is_meta: tensors are made on the meta device, so an
    error that speaks of it is no fault of the user's and is raised as it is.

    Raises RequestError for a function that needs other arguments or returns something else, UserCodeError.
    """
    function = user_function(name)
    parameters = _parameters(function)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    given = {key: value for key, value in offered.items() if takes_any or key in parameters}
    needed = [p.name for p in parameters.values() if p.default is p.empty and p.kind not in _VARIADIC]
    given |= {key: defaults[key] for key in needed if key in defaults and key not in given}
    missing = [key for key in needed if key not in given]
    if missing:
        raise RequestError(
            f"{_place(function)}{name!r} needs {_listed(missing)}, and it is called with num_classes and resolution_px "
            "alone, if it takes them. Give the others a default, or write a function that fills them in."
        )
    with user_code(name, is_meta=is_meta):
        model = function(**given)
    if not isinstance(model, nn.Module):
        raise RequestError(
            f"{_place(function)}{name!r} returned {type(model).__name__}, expected a torch.nn.Module, and that alone."
        )
    return model


def default_resolution(name: str) -> int | None:
    """The default of the function's `resolution_px`; None if it has none."""
    parameter = _parameters(user_function(name)).get("resolution_px")
    return parameter.default if parameter and isinstance(parameter.default, int) else None


def files_beside_definition(name: str) -> dict[str, str]:
    """What the model was made from in this process and its source does not show: path from its folder -> digest.

    Modules that are imported by computed names, and files that were read while it was imported or made. Empty for a
    model that was not made here.
    """
    model = modules_of(file_of(name))
    if model is None:
        return {}
    shown_by_source = {os.path.realpath(path) for path in source_files(model.file).values()}
    folder = os.path.realpath(model.file.parent)
    return {
        os.path.relpath(path, folder): digest[:ID_DIGITS]
        for path, digest in sorted(model.files.items())
        if path not in shown_by_source
    }


@contextlib.contextmanager
def user_code(name: str, *, is_meta: bool = False) -> Iterator[None]:
    """Within it a user's code runs: what it raises is told with its file and line, what it prints goes to stderr.

    It reads nothing from standard input, and leaves the current folder and torch's default type as they were.
    """
    folder, dtype = os.getcwd(), torch.get_default_dtype()
    with contextlib.redirect_stdout(sys.stderr), _no_input(), watching(file_of(name)):
        try:
            yield
        except (BenchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # other people's code: sys.exit, or a panic in Rust, which is no Exception
            if is_out_of_memory(error) or (is_meta and needs_numbers(error)):
                raise
            raise UserCodeError(_told(name, error)) from error
        finally:
            os.chdir(folder)
            torch.set_default_dtype(dtype)


def _told(name: str, error: BaseException) -> str:
    words = error_words(error)
    if place_in_user_code(error) is None:
        words = f"{shown(file_of(name))}: {words}"
    if isinstance(error, SystemExit):
        return f"{words}: {name!r} ends the program instead of returning a model."
    if isinstance(error, ModuleNotFoundError):
        words += f". Install it, or put it beside {file_of(name).name!r}"
    elif isinstance(error, ImportError) and "no known parent package" in str(error):
        words += ". Put an `__init__.py` into its folder, or import without the dot"
    return f"{words}. That is in the code of model {name!r}."


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """By name; none for what does not say them, and for a module without `__init__`, which shows nn.Module's."""
    if isinstance(function, type) and function.__init__ is nn.Module.__init__:  # type: ignore[misc]
        return {}
    try:
        return dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return {}


def _place(function: Callable[..., Any]) -> str:
    """`net.py:12: `, where the function begins; empty for one that was not written as such."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None and isinstance(function, type):
        code = getattr(function.__init__, "__code__", None)  # type: ignore[misc]
    if code is None or is_installed(os.path.dirname(code.co_filename)):
        return ""
    return f"{shown(code.co_filename)}:{code.co_firstlineno}: "


def _listed(names: Sequence[str]) -> str:
    return f"the argument {names[0]!r}" if len(names) == 1 else f"the arguments {', '.join(map(repr, names))}"


def _load(name: str) -> ModuleType:
    """The model's file, run now unless it was before and nothing has changed, with its modules in sight."""
    file = file_of(name)
    if not file.is_file():
        raise RequestError(f"No file {str(file)!r} for model {name!r}. Write it as path/to/file.py:function.")
    known = modules_of(file)
    if known is not None and known.is_current():
        use(known)
        return known.module
    with new_modules(file) as modules:
        _require_own(source_files(file), name)
        with user_code(name), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # what is drawn while a file is imported does not depend on what ran before
            modules.module = run_file(file)
    return modules.module


def _require_own(files: dict[str, Path], name: str) -> None:
    """Raise if something that the file imports from beside it is loaded already, from elsewhere."""
    for module_name, path in files.items():
        loaded = getattr(sys.modules.get(module_name), "__file__", None)
        if module_name and loaded is not None and os.path.realpath(loaded) != os.path.realpath(path):
            raise RequestError(
                f"Model {name!r} imports {module_name!r}, which is {shown(path)!r} beside it and {loaded!r} in this "
                "program. Rename the one beside it."
            )


@contextlib.contextmanager
def _no_input() -> Iterator[None]:
    """Standard input is the terminal of whoever waits for a number, or a worker's requests."""
    before = sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before
