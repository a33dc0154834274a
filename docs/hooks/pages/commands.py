"""The page of the command line, from its commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent
from typing import Any

from typer._click import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from nasbench_ecg.cli import app

_NAME = "nasbench-ecg"
_EXAMPLES = re.compile(r"^\x08\n(?P<title>.+:)\n(?P<lines>(?: +.+\n)+)", re.M)
_LISTED = re.compile(r"^\* `(?P<verb>[\w-]+)`: .*$", re.M)


def page() -> str:
    """Return Markdown of every command with its arguments and options."""
    command = get_command(app)
    context: Any = Context(command, info_name=_NAME)  # typer's annotation names a subclass
    text = get_docs_for_click(obj=command, ctx=context, name=_NAME, title="Overview")
    text = text.replace("# Overview\n", "", 1).replace("```console\n$ ", "```text\n")
    text = _EXAMPLES.sub(_code_block, text)
    helps = dict(_helps(command))
    sections = re.split(r"^(?=#{2,} `)", text, flags=re.M)
    return "".join(_full_help(section, helps) for section in sections)


def _code_block(found: re.Match[str]) -> str:
    """Return the example commands below a title as a code block."""
    return f"{found['title']}\n\n```text\n{dedent(found['lines'])}```\n"


def _helps(command: Any, path: str = _NAME) -> Iterator[tuple[str, str]]:
    yield path, " ".join((command.help or "").split("\n\n")[0].split())
    for name, inner in getattr(command, "commands", {}).items():
        yield from _helps(inner, f"{path} {name}")


def _full_help(section: str, helps: dict[str, str]) -> str:
    """Add links and the complete help texts, which typer truncates, to a list of commands."""
    heading = re.match(r"#{2,} `(?P<path>[^`]+)`", section)
    path = heading["path"] if heading else _NAME
    before, listing, commands = section.partition("**Commands**:\n")

    def line(found: re.Match[str]) -> str:
        full = f"{path} {found['verb']}"
        return f"* [`{found['verb']}`](#{full.replace(' ', '-')}): {helps[full]}"

    return before + listing + _LISTED.sub(line, commands)
