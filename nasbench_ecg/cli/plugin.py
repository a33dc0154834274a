"""``nasbench-ecg plugin``: list plugins, create a new one, and check a contract."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.components import complete_kind, complete_name, parse_kind
from nasbench_ecg.cli.console import RichProgress, print_json, stderr, stdout, styled, table
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import JsonOption

if TYPE_CHECKING:
    from rich.text import Text

    from nasbench_ecg.plugin.component import Component
    from nasbench_ecg.plugin.registry import PluginInfo, PluginProblem, Registry
    from nasbench_ecg.plugin.specs import Kind
    from nasbench_ecg.testing.runner import CheckResult

app = Verbs(
    help="List plugins, create a new one, and check that it keeps its contract.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_COLORS = {"passed": "green", "failed": "red", "skipped": "yellow"}


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the component, such as my-search.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="strategy, dataset, search-space, builder, evaluator or executor.",
            autocompletion=complete_kind,
        ),
    ] = "strategy",
    parent: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Folder that the package is written to.")
    ] = Path(),
) -> None:
    """Create a small package that works without changes: component, tests, README."""
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.scaffold.create import commands, create

    chosen = parse_kind(kind)
    folder = create(name, chosen, parent, load_registry())
    out = stdout()
    out.print(f"Created {folder}")
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        out.print(f"  {path.relative_to(folder)}")
    out.print("Next:")
    for command in commands(name, chosen, folder):
        out.print(f"  {command}")


@app.command()
def check(
    plugin: Annotated[
        str,
        typer.Argument(
            metavar="NAME|PATH",
            help="An installed component or plugin, or the folder of a package that is not "
            "installed.",
            autocompletion=complete_name,
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Its kind, if several components have this name.",
            autocompletion=complete_kind,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PART.OPTION=VALUE",
            help="Set an option of the component or of one that it is checked with, such as "
            "space.nodes=2. Repeatable.",
        ),
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=1, metavar="S", help="Most seconds for one check.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder that holds databases, for the checks of a dataset. Default: "
            "NASBENCH_ECG_DATA, or the cache.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the contract checks of components; exit status 1 if one fails."""
    from nasbench_ecg.options import parse_assignments
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.testing.checks import checks_of
    from nasbench_ecg.testing.runner import TIME_LIMIT, check_component

    overrides = parse_assignments(assignments or [])
    chosen = parse_kind(kind) if kind else None
    package = _package(plugin, load_registry())
    components, problems = _components_to_check(plugin, chosen, package)
    results: list[CheckResult] = []
    with RichProgress(stderr()) as progress:
        for component in components:
            total = len(checks_of(component.kind))
            with progress.track(f"Checking {component.name} ({component.kind})", total) as bar:
                for result in check_component(
                    component.kind, component.name, overrides=overrides, package=package,
                    data=data, time_limit=limit or TIME_LIMIT,
                ):  # fmt: skip
                    results.append(result)
                    bar.advance()
    if as_json:
        print_json({"results": [dataclasses.asdict(r) for r in results], "problems": problems})
    else:
        for component in components:
            _show(component, results)
        for problem in problems:
            stdout().print(problem, style="red")
    if problems or any(result.outcome == "failed" for result in results):
        raise typer.Exit(1)


def _package(plugin: str, registry: Registry) -> Path | None:
    """Return the folder of the package; None if a component of that name is installed."""
    if any(component.name == plugin for component in registry.components()):
        return None
    path = Path(plugin).expanduser()
    return path.resolve() if path.is_dir() else None


def _components_to_check(
    plugin: str, kind: Kind | None, package: Path | None
) -> tuple[list[Component], list[str]]:
    """Return the components to check, and the problems of the plugin as a whole."""
    from nasbench_ecg.errors import PluginError
    from nasbench_ecg.plugin.discovery import discover_package
    from nasbench_ecg.plugin.registry import load_registry

    if package is None:
        installed = load_registry()
        if any(component.name == plugin for component in installed.components()):
            return installed.find(plugin, kind), []
        own = [one for one in installed.components(kind) if one.plugin == plugin]
        return own or installed.find(plugin, kind), []
    local = discover_package(package)
    names = {(found.name, found.distribution) for found in local}
    registry = load_registry(local)
    components = [
        component
        for component in registry.components(kind)
        if (component.plugin, component.distribution) in names
    ]
    problems = [
        str(problem)
        for problem in registry.problems
        if (problem.plugin, problem.distribution) in names
    ]
    if not components and not problems:
        raise PluginError("The package provides no component.", where=str(package))
    return components, problems


def _show(component: Component, results: list[CheckResult]) -> None:
    own = [r for r in results if (r.kind, r.component) == (component.kind, component.name)]
    title = f"{component.name} ({component.kind.replace('-', ' ')}), {component.source}"
    listed = table("", "claim", title=f"\n{title}")
    for result in own:
        color = _COLORS[result.outcome]
        claim = styled(result.claim)
        if result.reason:
            claim.append(f"\n{result.check}:", style="bold").append(f" {result.reason}")
        listed.add_row(styled((result.outcome, color)), claim)
    stdout().print(listed)
    counts = [
        f"{n} {outcome}"
        for outcome in _COLORS
        if (n := sum(result.outcome == outcome for result in own))
    ]
    stdout().print(f"{component.name}: {', '.join(counts)}")


@app.command("list")
def list_plugins(
    verify: Annotated[
        bool, typer.Option("--verify", help="Also import every component, which takes longer.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show installed plugins and their problems."""
    from nasbench_ecg.plugin.registry import load_registry

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
        stdout().print("No plugin is installed. Reinstall nasbench-ecg to get the shipped ones.")
        return
    listed = table("plugin", "distribution", "version", "provides")
    for plugin in found:
        listed.add_row(
            styled((plugin.name, "bold")), plugin.distribution, plugin.version, _provides(plugin)
        )
    stdout().print(listed)


def _provides(plugin: PluginInfo) -> Text | str:
    if plugin.state != "loaded":
        return styled((plugin.state, "yellow"))
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
    out.print(f"{heading}, stage {problem.stage}:", style="yellow")
    out.print(f"  {problem.error}")


def _as_data(plugin: PluginInfo) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "shipped": plugin.shipped,
        "state": plugin.state,
        "components": [{"kind": c.kind, "name": c.name} for c in plugin.components],
    }
