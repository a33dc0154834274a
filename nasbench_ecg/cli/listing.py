"""``nasbench-ecg list``: the components there are, without loading any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, table
from nasbench_ecg.cli.kinds import PLURALS, complete_kind, parse_kind

if TYPE_CHECKING:
    from nasbench_ecg.plugin.registry import Component, Registry


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join(PLURALS.values())}; all when left out.",
            autocompletion=complete_kind,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List components: strategies, datasets and so on."""
    from nasbench_ecg.plugin.registry import load_registry

    kinds = [parse_kind(kind)] if kind else list(PLURALS)
    registry = load_registry()
    if as_json:
        print_json([_as_data(c) for one in kinds for c in registry.components(one)])
        return
    for index, one in enumerate(kinds):
        if index:
            stdout().print()
        components = registry.components(one)
        heading = PLURALS[one].replace("-", " ").capitalize()
        listed = table("name", "summary", "plugin", title=heading)
        for component in components:
            listed.add_row(f"[bold]{component.name}[/]", component.spec.summary, component.plugin)
        stdout().print(listed if components else f"{heading}: none")
    tell_of_problems(registry)


def tell_of_problems(registry: Registry) -> None:
    """Say on stderr, in one line, that some plugins have problems, if any have."""
    if registry.problems:
        names = sorted({problem.plugin or problem.distribution for problem in registry.problems})
        stderr().print(
            f"Problems with {', '.join(names)}: 'nasbench-ecg plugin list' tells more.",
            style="yellow",
        )


def _as_data(component: Component) -> dict[str, str]:
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.spec.summary,
        "plugin": component.plugin,
        "distribution": component.distribution,
        "version": component.version,
    }
