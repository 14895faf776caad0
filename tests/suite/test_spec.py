"""Suite files: what is refused, and how well the refusal says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SuiteFileError, UnknownNameError
from bench.suite.spec import builtin_suites, load_suite, parse_suite

GOOD = """
question = "Why?"

[[train]]
models = ["vit_32px_s"]
datasets = ["digits"]
budgets_gflop = [5]
seeds = [0]
"""


def parse(text: str) -> object:
    return parse_suite(text, Path("mine.toml"))


@pytest.mark.parametrize("name", sorted(builtin_suites()))
def test_every_suite_that_ships_parses_and_asks_a_question(name: str) -> None:
    assert load_suite(name).question.endswith("?")


def test_the_name_is_the_files_stem() -> None:
    assert parse_suite(GOOD, Path("mine.toml")).name == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "colour = 3\n", "Suite file mine.toml:9: train.0.colour: unknown key."),
        (GOOD.replace("[0]", "[]"), "Suite file mine.toml:8: train.0.seeds: must not be empty."),
        (GOOD.replace("[0]", '["x"]'), "Suite file mine.toml:8: train.0.seeds.0: Input should be a valid integer"),
        (GOOD.replace("seeds = [0]", ""), "Suite file mine.toml:4: train.0.seeds: is missing."),
        (GOOD.replace('question = "Why?"', ""), "Suite file mine.toml: question: is missing."),
        (GOOD + "[settings]\nprecision = 'fp12'\n", "Suite file mine.toml:10: settings.precision: 'fp12' is not known"),
        (GOOD.replace("[5]", "['5']"), "Suite file mine.toml:7: train.0.budgets_gflop.0: "),
        (GOOD.replace("[5]", "[inf]"), "Suite file mine.toml"),
        (GOOD.replace("[0]", "[true]"), "Suite file mine.toml:8: train.0.seeds.0: "),
        (GOOD + "[settings]\ncompile = 'yes'\n", "Suite file mine.toml:10: settings.compile: "),
        (GOOD + "learning_rate = { learning_rates = [0, 0.1] }\n", "Suite file mine.toml"),
        ("question = 'Why?'\n", "Suite file 'mine.toml' asks for nothing."),
        ("question = \n", "Suite file 'mine.toml' is not TOML: Invalid value (at line 1, column 12)"),
        (GOOD + "name = '../up'\n", "cannot name a folder"),
    ],
)
def test_a_bad_suite_is_one_line_with_file_key_and_line(text: str, message: str) -> None:
    if text.endswith("'../up'\n"):
        text = "name = '../up'\n" + GOOD
    with pytest.raises(SuiteFileError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    text = "question = 'Why?'\n[[speed]]\nmodels = ['resnet18']\nmetrics = ['troughput']\n"
    with pytest.raises(SuiteFileError, match=r"mine.toml:4: speed.0.metrics.0: 'troughput' is not known.*throughput"):
        parse(text)


def test_an_unknown_suite_gets_the_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'pocket'"):
        load_suite("poket")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SuiteFileError, match=r"'nowhere.toml' does not exist"):
        load_suite("nowhere.toml")


@pytest.mark.parametrize("block", ["evaluate", "fewshot", "finetune"])
def test_the_pretraining_of_a_file_is_said_beside_it_and_nowhere_else(block: str) -> None:
    text = f'question = "?"\n[[{block}]]\nmodels = ["a"]\ndatasets = ["b"]\npretraining = "our shop"\n'
    with pytest.raises(SuiteFileError, match="pretraining is of `file:` weights, and the block has none"):
        parse(text)
    suite = parse(f'{text}weights = ["public", "file:w.safetensors"]\n')
    assert [one.pretraining for one in suite.from_weights] == ["our shop"]  # type: ignore[attr-defined]
