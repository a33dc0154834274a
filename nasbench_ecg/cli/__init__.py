"""The command ``nasbench-ecg``: one thin module a verb, which parses, calls the library and prints.

No module imports a heavy library at its top: help and shell completion load all of them.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import nasbench_ecg
from nasbench_ecg.cli import (
    annotate,
    arch,
    cache,
    components,
    correlate,
    data,
    doctor,
    evaluate,
    export,
    generalize,
    leaderboard,
    plugin,
    results,
    run,
    score,
    show,
    submit,
    suite,
    table,
    verify,
)
from nasbench_ecg.cli.console import show_error, show_unexpected, stderr
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.streams import close_streams, keep_stdout, prepare_streams, stdout_fails
from nasbench_ecg.errors import (
    NasbenchError,
    OutOfMemoryError,
    StorageError,
    describe_error,
    is_out_of_memory,
)

# typer exports no base of its errors: BadParameter < UsageError < ClickException.
_ClickException: type[Any] = typer.BadParameter.__mro__[2]


_SECTIONS = {
    "Run": ("run", "suite"),
    "Results": ("show", "leaderboard", "export", "results", "verify", "submit"),
    "Studies": ("evaluate", "generalize", "correlate", "table"),
    "Annotations": ("annotate", "score"),
    "Components and data": ("list", "info", "data", "cache", "arch", "plugin", "doctor"),
}
"""The commands as the help lists them."""


class Commands(TyperGroup):
    """Commands whose errors become one panel on stderr and an exit code.

    The exit code is 2 for an error that the user can fix, 1 for a bug or a fault of the machine,
    and 130 for Ctrl-C.
    """

    _debug = False

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in sections, with those of no section last."""
        rest = [name for name in self.commands if name not in chain(*_SECTIONS.values())]
        for title, names in [*_SECTIONS.items(), ("Commands", rest)]:
            rows = [
                (name, self.commands[name].get_short_help_str(limit=1000))
                for name in names
                if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; Ctrl-C ends it with one line."""
        self._debug = bool(ctx.params.get("debug"))
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            stderr().print("Interrupted.")
            raise typer.Exit(130) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse and run, and print errors as a panel; arguments as in the base class."""
        prepare_streams()
        rest = (args, prog_name, complete_var)
        unwritten: OSError | None = None
        if not standalone_mode:
            return super().main(*rest, False, windows_expand_args, **extra)
        try:
            status = super().main(*rest, False, windows_expand_args, **extra)
        except NasbenchError as error:
            show_error(error, debug=self._debug)
            status = 2
        except _ClickException as error:
            status = _show_usage_error(error)
        except typer.Abort:
            stderr().print("Aborted.")
            status = 1
        except SystemExit as error:
            if not getattr(error, "__notes__", ()):
                close_streams()
                raise
            show_unexpected(error, debug=self._debug)
            status = 1
        except Exception as error:
            status = 1
            if isinstance(error, OSError) and not error.filename and stdout_fails():
                unwritten = error
            elif is_out_of_memory(error):
                show_error(_of_memory(error), debug=self._debug)
            elif isinstance(error, OSError) and error.errno in _OF_A_PATH and error.filename:
                show_error(_of_path(error), debug=self._debug)
                status = 2
            else:
                show_unexpected(error, debug=self._debug)
        unwritten = close_streams() or unwritten
        if unwritten is not None:
            status = 1
            _show_unwritten(unwritten)
        sys.exit(status if isinstance(status, int) else 0)


_OF_A_PATH = (
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.EROFS,
)
"""Numbers of system errors that are those of a path that the user has given."""


def _of_path(error: OSError) -> StorageError:
    return StorageError(
        f"The path cannot be used: {(error.strerror or str(error)).lower()}.",
        where=str(error.filename),
        fix="Choose another path, or change its permissions.",
    )


def _of_memory(error: BaseException) -> OutOfMemoryError:
    """Return memory that ran out as an error that says what to do."""
    return OutOfMemoryError(
        f"There is not enough memory: {describe_error(error)}.",
        fix="Use smaller batches or fewer beats, a smaller --parallel, or a machine with more "
        "memory. The same command continues a run.",
    )


def _show_unwritten(error: OSError) -> None:
    show_error(
        StorageError(
            f"The output cannot be written: {(error.strerror or str(error)).lower()}.",
            where="stdout",
            fix="Free some space, or send the output elsewhere.",
        )
    )


def _show_usage_error(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "nasbench-ecg"
    problem = NasbenchError(error.format_message(), fix=f"See '{path} --help'.")
    problem.title = "Usage"
    show_error(problem)
    return 2


_HELP = """A benchmark of neural architecture search for ECG heartbeat classification.

A strategy searches for a network on a dataset. The network is trained from scratch and scored once
on a test set that the search has not used. Leaderboards compare the results.

\b
First steps:
  nasbench-ecg list
  nasbench-ecg run darts synthetic-2lead --profile smoke
  nasbench-ecg leaderboard
"""

app = Verbs(
    name="nasbench-ecg",
    cls=Commands,
    help=_HELP,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", envvar="NASBENCH_ECG_DEBUG", help="Show the traceback of an error."
        ),
    ] = False,
) -> None:
    if version:
        typer.echo(f"nasbench-ecg {nasbench_ecg.__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.command("list")(components.list_components)
app.command("info")(components.info)
app.command("show")(show.show)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("submit")(submit.submit)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("generalize")(generalize.generalize)
app.command("evaluate")(evaluate.evaluate)
app.command("correlate")(correlate.correlate)
app.command("annotate")(annotate.annotate)
app.command("score")(score.score)
app.add_typer(arch.app, name="arch")
app.add_typer(cache.app, name="cache")
app.add_typer(data.app, name="data")
app.add_typer(plugin.app, name="plugin")
app.add_typer(results.app, name="results")
app.add_typer(table.app, name="table")
app.add_typer(suite.app, name="suite")


def main() -> None:
    """Run the command line and exit."""
    keep_stdout()
    app()
