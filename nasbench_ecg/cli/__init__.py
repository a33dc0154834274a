"""The command ``nasbench-ecg``: one thin module a verb, that parses, calls the library and prints.

Nothing heavy is imported here or at the top of a verb's module, since help and shell completion
load them all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import nasbench_ecg
from nasbench_ecg.cli import (
    arch,
    correlate,
    data,
    export,
    generalize,
    info,
    leaderboard,
    listing,
    plugin,
    run,
    show,
    suite,
)
from nasbench_ecg.cli.console import show_error, show_unexpected, stderr
from nasbench_ecg.errors import NasbenchError

# typer exports no base of its errors: BadParameter < UsageError < ClickException.
_ClickException: type[Any] = typer.BadParameter.__mro__[2]


class Commands(TyperGroup):
    """Commands whose errors become one panel on stderr and an exit code.

    2: the user can mend it; 1: a bug or an unforeseen state of the machine; 130: Ctrl-C.
    """

    _debug = False

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
        """Parse and run, and turn errors into a panel; takes and returns what the base does."""
        rest = (args, prog_name, complete_var)
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
                raise
            show_unexpected(error, debug=self._debug)
            status = 1
        except Exception as error:
            show_unexpected(error, debug=self._debug)
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


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


app = typer.Typer(
    name="nasbench-ecg",
    cls=Commands,
    help=nasbench_ecg.__doc__.splitlines()[0] if nasbench_ecg.__doc__ else None,
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
        typer.Option("--debug", envvar="NASBENCH_ECG_DEBUG", help="Show tracebacks of errors."),
    ] = False,
) -> None:
    if version:
        typer.echo(f"nasbench-ecg {nasbench_ecg.__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("run")(run.run)
app.command("list")(listing.list_components)
app.command("info")(info.info)
app.command("show")(show.show)
app.command("export")(export.export)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("generalize")(generalize.generalize)
app.command("correlate")(correlate.correlate)
app.add_typer(arch.app, name="arch")
app.add_typer(data.app, name="data")
app.add_typer(plugin.app, name="plugin")
app.add_typer(suite.app, name="suite")


def main() -> None:
    """Run the command line and exit."""
    app()
