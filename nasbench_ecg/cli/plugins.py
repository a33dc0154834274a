"""``nasbench-ecg plugins``: what is installed, what it provides, and what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import print_json, stdout, table

if TYPE_CHECKING:
    from nasbench_ecg.registry import PluginInfo, PluginProblem


def plugins(
    verify: Annotated[
        bool, typer.Option("--verify", help="Import every component too, which takes longer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show installed plugins and their problems."""
    from nasbench_ecg.registry import load_registry

    registry = load_registry()
    problems = [*registry.problems, *(registry.verify() if verify else [])]
    if as_json:
        print_json(
            {
                "plugins": [_as_data(plugin) for plugin in registry.plugins],
                "problems": [dataclasses.asdict(problem) for problem in problems],
            }
        )
        return
    _show_plugins(registry.plugins)
    for problem in problems:
        _show_problem(problem)


def _show_plugins(found: tuple[PluginInfo, ...]) -> None:
    if not found:
        stdout().print("No plugin is installed. Reinstalling nasbench-ecg brings back its own.")
        return
    listed = table("plugin", "distribution", "version", "provides")
    for plugin in found:
        listed.add_row(
            f"[bold]{plugin.name}[/]", plugin.distribution, plugin.version, _provides(plugin)
        )
    stdout().print(listed)


def _provides(plugin: PluginInfo) -> str:
    if plugin.state != "loaded":
        return f"[yellow]{plugin.state}[/]"
    names: dict[str, list[str]] = {}
    for component in plugin.components:
        names.setdefault(component.kind.replace("-", " "), []).append(component.name)
    return "\n".join(f"{kind}: {', '.join(some)}" for kind, some in names.items()) or "nothing"


def _show_problem(problem: PluginProblem) -> None:
    source = " ".join(part for part in (problem.distribution, problem.version) if part)
    heading = " ".join(
        [f"Problem with {problem.plugin or 'a plugin'}", *([f"({source})"] if source else [])]
    )
    out = stdout()
    out.print(f"{heading}, stage {problem.stage}:", style="yellow", markup=False)
    out.print(f"  {problem.error}", markup=False, soft_wrap=True)


def _as_data(plugin: PluginInfo) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "shipped": plugin.shipped,
        "state": plugin.state,
        "components": [{"kind": c.kind, "name": c.name} for c in plugin.components],
    }
