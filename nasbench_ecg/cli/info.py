"""``nasbench-ecg info``: one component, its options and their defaults."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import print_json, stdout, table
from nasbench_ecg.cli.kinds import complete_kind, complete_name, parse_kind

if TYPE_CHECKING:
    from nasbench_ecg.plugin.registry import Component

_LONG = 20
"""Characters of a list beyond which the table counts its values instead."""


def info(
    name: Annotated[str, typer.Argument(help="Name of a component.", autocompletion=complete_name)],
    kind: Annotated[
        str | None,
        typer.Option(
            help="Its kind, where several components share the name.", autocompletion=complete_kind
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a component, its options and their defaults."""
    from nasbench_ecg.plugin.registry import load_registry

    found = load_registry().find(name, parse_kind(kind) if kind else None)
    described = [_describe(component) for component in found]
    if as_json:
        print_json(described)
        return
    for description in described:
        _show(description)


def _describe(component: Component) -> dict[str, Any]:
    from nasbench_ecg.cli.options_table import describe_options
    from nasbench_ecg.plugin.specs import ComponentSpec

    common = {field.name for field in dataclasses.fields(ComponentSpec)}
    own = [field.name for field in dataclasses.fields(component.spec) if field.name not in common]
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.spec.summary,
        **{name: getattr(component.spec, name) for name in own},
        "plugin": component.plugin,
        "distribution": component.distribution,
        "version": component.version,
        "target": component.target,
        "revision": component.spec.revision,
        "options": describe_options(component.options_model()),
    }


def _show(description: dict[str, Any]) -> None:
    from rich.markup import escape

    out = stdout()
    facts = dict(description)
    options = facts.pop("options")
    out.print(f"[bold]{facts.pop('name')}[/] ({facts.pop('kind').replace('-', ' ')})")
    out.print(facts.pop("summary"), markup=False)
    out.print()
    facts["plugin"] += f" ({facts.pop('distribution')} {facts.pop('version')})"
    for name, value in facts.items():
        out.print(f"[dim]{name:<10}[/] {escape(_text(value))}", soft_wrap=True)
    if not options:
        out.print("\nIt takes no options.")
        return
    listed = table(
        "option", "type", "paper", "elsewhere", "description", title="\nOptions and their defaults"
    )
    for option in options:
        listed.add_row(
            f"[bold]{option['name']}[/]",
            escape(option["type"]),
            escape(_cell(option["defaults"]["paper"])),
            escape(_elsewhere(option["defaults"])),
            escape(option["description"]),
        )
    out.print(listed)
    _show_long_values(options)
    _show_protocols(options)


def _elsewhere(by_profile: dict[str, Any]) -> str:
    """Return the defaults that differ from those of the profile paper, one profile a line."""
    return "\n".join(
        f"{profile}: {_cell(value)}"
        for profile, value in by_profile.items()
        if value != by_profile["paper"]
    )


def _show_protocols(options: list[dict[str, Any]]) -> None:
    from rich.markup import escape

    changed = [option for option in options if option["protocols"]]
    if not changed:
        return
    protocols = sorted({protocol for option in changed for protocol in option["protocols"]})
    listed = table("option", *protocols, title="\nOther defaults under a protocol, in all profiles")
    for option in changed:
        values = [_cell(option["protocols"].get(protocol, "")) for protocol in protocols]
        listed.add_row(f"[bold]{option['name']}[/]", *map(escape, values))
    stdout().print(listed)


def _cell(value: Any) -> str:
    text = _text(value)
    return f"{len(value)} values" if isinstance(value, list) and len(text) > _LONG else text


def _show_long_values(options: list[dict[str, Any]]) -> None:
    """Print in full the lists that the table only counts, each once."""
    for option in options:
        told: list[Any] = []
        for profile, value in option["defaults"].items():
            if _cell(value) != _text(value) and value not in told:
                told.append(value)
                stdout().print(f"{option['name']} ({profile}): {_text(value)}", markup=False)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
