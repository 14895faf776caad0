"""The command line: the only place that prints and that ends the process.

Heavy imports stay inside the commands, so that `vitbench --help` answers at once.
Exit codes: 0 done (skipped and out-of-memory cells included), 1 some cells failed or a check says FAIL, 2 the request
or a user's own model was wrong or the results folder cannot be used, 3 a check is INCONCLUSIVE, 70 a fault of this
program, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer

from bench import __version__
from bench.cli.adopt import adopt
from bench.cli.check import check
from bench.cli.choose import choose
from bench.cli.claims import claims
from bench.cli.compare import compare
from bench.cli.data import data_app
from bench.cli.explain import explain
from bench.cli.export import export
from bench.cli.inspect import inspect
from bench.cli.look import complexity, datasets, doctor, models, suites
from bench.cli.plan import plan
from bench.cli.report import report
from bench.cli.run import run
from bench.errors import BenchError
from bench.suite.model_source import error_words, place_in_user_code

# What typer raises for a wrong option is click's, of a copy of click that some versions of typer carry themselves.
UsageErrors: tuple[type[Exception], ...] = tuple(
    kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException"
)
EXIT_FAILED_CELLS = 1
EXIT_BAD_REQUEST = 2
EXIT_CRASHED = 70  # EX_SOFTWARE of sysexits.h: never 1, which a check says of a slower head
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="vitbench",
    help="Vision Transformers against CNNs: accuracy, compute, speed and memory, with intervals and provenance.",
    epilog="Exit codes: 0 done, 1 some cells failed or a check says FAIL, 2 the request was wrong, 3 a check is "
    "INCONCLUSIVE, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    run,
    plan,
    report,
    compare,
    claims,
    choose,
    explain,
    export,
    inspect,
    models,
    datasets,
    suites,
    complexity,
    doctor,
    adopt,
    check,
):
    app.command()(command)
app.add_typer(data_app, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vitbench {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = {"debug": debug}


def main() -> None:
    """Run one command and end the process with its exit code."""
    debug = "--debug" in sys.argv
    try:
        code = app(standalone_mode=False)
    except UsageErrors as error:
        error.show()  # type: ignore[attr-defined]
        code = EXIT_BAD_REQUEST
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except BrokenPipeError:  # `vitbench models | head`
        sys.stderr.close()
        code = 0
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and place_in_user_code(error) is None:
            raise  # of rich, which had nobody to write to; a model's code may call sys.exit() too
        code = _tell(error, debug)
    if code == EXIT_INTERRUPTED:  # some versions of typer say so by the code instead of raising
        typer.echo("Interrupted. Finished cells are kept, and the same command resumes; a check starts anew.", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: BaseException, debug: bool) -> int:
    """Print one line on what the user can mend, the traceback of a fault of this program; the exit code.

    The user's are: the request, a file or folder that it named, and what a model's own code raises.
    """
    place = None if isinstance(error, BenchError) else place_in_user_code(error)
    can_mend = place is not None or isinstance(error, BenchError | OSError)
    if debug or not can_mend:
        traceback.print_exception(error)
    if can_mend:
        typer.echo(f"Error: {error if place is None else error_words(error)}", err=True)
    return EXIT_BAD_REQUEST if can_mend else EXIT_CRASHED
