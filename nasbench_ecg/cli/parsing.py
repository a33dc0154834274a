"""Words of the command line: options given twice or in vain, and lists of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperCommand

from nasbench_ecg.cli.streams import results_apart


class Verb(TyperCommand):
    """A command that refuses repeated options and empty values.

    By default the last value of an option that takes one would count, and the others would be
    ignored without a word. An empty value is that of a shell variable that is not set.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line; arguments as in the base class.

        Raises:
            typer.BadParameter: An option is repeated, or its value is empty.
        """
        given = list(args)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            parsed: Any = self.make_parser(ctx).parse_args(args=given)
            values, _, order = parsed
            for option in order:
                if order.count(option) > 1 and _takes_one_value(option):
                    raise typer.BadParameter("give it only once.", ctx=ctx, param=option)
                found = values.get(option.name)
                if "" in (found if isinstance(found, (list, tuple)) else (found,)):
                    raise typer.BadParameter("the value is empty.", ctx=ctx, param=option)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Execute the verb; what components print in it goes to stderr."""
        with results_apart():
            return super().invoke(ctx)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first sentence of the help, uncut: lists of commands wrap it."""
        return super().get_short_help_str(1000)


def _takes_one_value(option: Any) -> bool:
    return not (option.multiple or option.is_flag or option.count)


def refuse_in_vain(context: typer.Context, names: Iterable[str], reason: str) -> None:
    """Refuse arguments and options that have no effect beside another one.

    Args:
        context: The call of the command.
        names: Names of the command's parameters.
        reason: Why they have no effect, as the first half of a sentence.

    Raises:
        OptionError: One of them is given.
    """
    from nasbench_ecg.errors import OptionError

    parameters: dict[str, Any] = {str(one.name): one for one in context.command.params}
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            word = max(parameters[name].opts, key=len)
            given = word if word.startswith("-") else parameters[name].metavar or word.upper()
            raise OptionError(f"{reason}, so {given} has no effect.", fix="Leave it out.")


class Verbs(typer.Typer):
    """A group of commands, each a :class:`Verb`; arguments as in the base class."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Return the decorator that adds a verb; arguments as in the base class."""
        return super().command(name, **{"cls": Verb, **settings})


def parse_shard(text: str) -> tuple[int, int]:
    """Return I and N of ``--shard I/N``.

    Raises:
        OptionError: The text is not of this form.
    """
    from nasbench_ecg.errors import OptionError

    first, _, last = text.partition("/")
    if first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
        return int(first), int(last)
    if first.isdecimal() and last.isdecimal():
        raise OptionError(
            f"--shard {text!r}: there is no part {first} of {last}.",
            fix="Parts are counted from 1, for example --shard 1/4.",
        )
    raise OptionError(f"--shard {text!r} is not of the form I/N.", fix="For example --shard 1/4.")


def listed(text: str) -> list[str]:
    """Return the parts of ``A,B`` without spaces and without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str, option: str) -> list[float]:
    """Return the numbers of ``1,2.5``.

    Raises:
        OptionError: A part is no number.
    """
    from nasbench_ecg.errors import OptionError

    try:
        return [float(part) for part in listed(text)]
    except ValueError as error:
        raise OptionError(
            f"{option} {text!r} is no list of numbers.", fix=f"For example: {option} 24,12,0"
        ) from error


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that ``--seeds`` lists.

    Raises:
        OptionError: They are not different whole numbers from 0.
    """
    from nasbench_ecg.errors import OptionError

    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = [-1]
    if min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise OptionError(
            f"--seeds {text!r} is not a list of different whole numbers from 0.",
            fix="For example: --seeds 0,1,2",
        )
    return seeds
