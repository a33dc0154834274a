"""``nasbench-ecg list`` and ``nasbench-ecg info``: the installed components and their options.

Also what the other verbs need to read and complete the names of components.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, styled, table
from nasbench_ecg.cli.option_types import describe_options
from nasbench_ecg.cli.shared_options import JsonOption
from nasbench_ecg.errors import OptionError, nearest

if TYPE_CHECKING:
    from nasbench_ecg.plugin.registry import Component, Registry
    from nasbench_ecg.plugin.specs import Kind

PLURALS: dict[Kind, str] = {
    "strategy": "strategies",
    "dataset": "datasets",
    "search-space": "search-spaces",
    "builder": "builders",
    "evaluator": "evaluators",
    "executor": "executors",
}
"""The kinds of components, in the order in which they are listed."""

_BUILT_IN = {"protocol": "protocols", "profile": "profiles"}
"""What is listed beside the components, though no plugin provides it."""

_ALIASES: dict[str, Kind] = {"space": "search-space", "spaces": "search-space"}

_LONG_LIST = 20
"""Characters above which the table shows the number of values instead of a list."""


# Names of kinds and components


def parse_kind(text: str, others: Iterable[str] = ()) -> Kind:
    """Return the kind that ``text`` names, in singular or plural and in any case.

    ``others`` are further words that the error names.

    Raises:
        OptionError: ``text`` names no kind of component.
    """
    word = text.strip().lower().replace("_", "-").replace(" ", "-")
    for kind, plural in PLURALS.items():
        if word in (kind, plural) or _ALIASES.get(word) == kind:
            return kind
    raise OptionError(
        f"There is no kind of component {text!r}.",
        fix=nearest(word, [*PLURALS, *PLURALS.values(), *others]),
    )


def _parse_listed(text: str) -> str:
    """Return what ``text`` names: a kind of component, ``protocol`` or ``profile``."""
    word = text.strip().lower()
    built_in = next((one for one, plural in _BUILT_IN.items() if word in (one, plural)), None)
    return built_in or parse_kind(text, [*_BUILT_IN, *_BUILT_IN.values()])


def _built_in(word: str) -> dict[str, str]:
    """Return names and summaries of the protocols or of the profiles."""
    from nasbench_ecg.options import PROFILE_SUMMARIES, PROTOCOL_SUMMARIES

    return PROTOCOL_SUMMARIES if word == "protocol" else PROFILE_SUMMARIES


def complete_listed(incomplete: str) -> list[str]:
    """Return what ``list`` takes and starts with ``incomplete``, for shell completion."""
    listed = [*PLURALS.values(), *_BUILT_IN.values()]
    return [plural for plural in listed if plural.startswith(incomplete)]


def complete_kind(incomplete: str) -> list[str]:
    """Return the kinds that start with ``incomplete``, for shell completion."""
    return [plural for plural in PLURALS.values() if plural.startswith(incomplete)]


def complete_name(incomplete: str) -> list[str]:
    """Return the components that start with ``incomplete``, for shell completion."""
    return _complete(incomplete, None)


def complete_described(incomplete: str) -> list[str]:
    """Return what ``info`` takes and starts with ``incomplete``, for shell completion."""
    names = [*_built_in("protocol"), *_built_in("profile")]
    return [*complete_name(incomplete), *(n for n in names if n.startswith(incomplete))]


def complete_strategy(incomplete: str) -> list[str]:
    """Return the strategies that start with ``incomplete``, for shell completion."""
    return _complete(incomplete, "strategy")


def complete_dataset(incomplete: str) -> list[str]:
    """Return the datasets that start with ``incomplete``, for shell completion."""
    return _complete(incomplete, "dataset")


def _complete(incomplete: str, kind: Kind | None) -> list[str]:
    from nasbench_ecg.plugin.registry import load_registry

    names = {component.name for component in load_registry().components(kind)}
    return sorted(name for name in names if name.startswith(incomplete))


# list


def list_components(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help=f"List only one of: {', '.join([*PLURALS.values(), *_BUILT_IN.values()])}.",
            autocompletion=complete_listed,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List strategies, datasets and all other components, protocols and profiles."""
    from nasbench_ecg.plugin.registry import load_registry

    words = [_parse_listed(kind)] if kind else [*PLURALS, *_BUILT_IN]
    kinds = [one for one in PLURALS if one in words]
    registry = load_registry()
    if as_json:
        listed: list[dict[str, str]] = [
            {"kind": one, "name": c.name, "summary": c.spec.summary, **_source(c)}
            for one in kinds
            for c in registry.components(one)
        ]
        listed += [
            {"kind": word, "name": name, "summary": summary}
            for word in words
            if word in _BUILT_IN
            for name, summary in _built_in(word).items()
        ]
        print_json(listed)
        return
    for one in kinds:
        _print_kind(one, registry.components(one))
    for word in words:
        if word in _BUILT_IN:
            _print_built_in(word)
    stderr().print(
        "'nasbench-ecg info NAME' shows the options of a component; "
        "'nasbench-ecg run STRATEGY DATASET' runs one.",
        style="dim",
    )
    warn_plugin_problems(registry)


def _print_kind(kind: Kind, components: list[Component]) -> None:
    heading = PLURALS[kind].replace("-", " ").capitalize()
    if not components:
        stdout().print(f"{heading}: none\n")
        return
    listed = table("name", "summary", "plugin", title=heading)
    for component in components:
        listed.add_row(styled((component.name, "bold")), component.spec.summary, component.plugin)
    stdout().print(listed)
    stdout().print()


def _print_built_in(word: str) -> None:
    listed = table("name", "summary", title=_BUILT_IN[word].capitalize())
    for name, summary in _built_in(word).items():
        listed.add_row(styled((name, "bold")), summary)
    stdout().print(listed)
    stdout().print()


def warn_plugin_problems(registry: Registry) -> None:
    """Print one line on stderr that names the plugins with problems, if there are any."""
    if registry.problems:
        names = sorted({problem.plugin or problem.distribution for problem in registry.problems})
        stderr().print(
            f"Problems with {', '.join(names)}: see 'nasbench-ecg plugin list'.", style="yellow"
        )


def _source(component: Component) -> dict[str, str]:
    """Return the plugin and the distribution that provide a component."""
    return {
        "plugin": component.plugin,
        "distribution": component.distribution,
        "version": component.version,
    }


# info


def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of a component, a protocol or a profile.",
            autocompletion=complete_described,
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Kind of the component, if several components have this name.",
            autocompletion=complete_kind,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a component, protocol or profile is, its options and their defaults."""
    described = _described(name, kind)
    if as_json:
        print_json(described)
        return
    for description in described:
        _print_description(description)


def _described(name: str, kind: str | None) -> list[dict[str, Any]]:
    """Return the descriptions of everything of a name, or of that of one kind."""
    from nasbench_ecg.errors import PluginError
    from nasbench_ecg.plugin.registry import load_registry

    word = _parse_listed(kind) if kind else None
    described = [
        _describe_built_in(one, name)
        for one in _BUILT_IN
        if word in (None, one) and name in _built_in(one)
    ]
    if word in _BUILT_IN:
        if not described:
            raise OptionError(f"There is no {word} {name!r}.", fix=nearest(name, _built_in(word)))
        return described
    try:
        found = load_registry().find(name, parse_kind(word) if word else None)
    except PluginError:
        if described:
            return described
        similar = nearest(name, chain(*map(_built_in, _BUILT_IN)))
        if word is None and similar.startswith("Did you mean"):
            raise OptionError(f"There is nothing called {name!r}.", fix=similar) from None
        raise
    return [*map(_describe, found), *described]


def _describe_built_in(word: str, name: str) -> dict[str, Any]:
    """Return what ``info`` shows of a protocol or a profile, as JSON data."""
    described: dict[str, Any] = {"kind": word, "name": name, "summary": _built_in(word)[name]}
    if word == "protocol":
        from nasbench_ecg.data.protocols import protocol_options
        from nasbench_ecg.plugin.registry import load_registry
        from nasbench_ecg.plugin.specs import DatasetSpec

        described["datasets"] = [
            component.name
            for component in load_registry().components("dataset")
            if isinstance(component.spec, DatasetSpec) and name in component.spec.protocols
        ]
        described["options"] = describe_options(protocol_options(name))
    return described


def _describe(component: Component) -> dict[str, Any]:
    """Return everything that ``info`` shows of a component, as JSON data."""
    from nasbench_ecg.plugin.specs import ComponentSpec

    common = {field.name for field in dataclasses.fields(ComponentSpec)}
    own = [field.name for field in dataclasses.fields(component.spec) if field.name not in common]
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.spec.summary,
        **{name: getattr(component.spec, name) for name in own},
        **_source(component),
        "target": component.target,
        "revision": component.spec.revision,
        "options": describe_options(component.options_model()),
    }


def _print_description(description: dict[str, Any]) -> None:
    out = stdout()
    facts = dict(description)
    kind, options = facts.pop("kind"), facts.pop("options", [])
    name = facts.pop("name")
    out.print(styled((name, "bold"), f" ({kind.replace('-', ' ')})"))
    out.print(facts.pop("summary"))
    out.print()
    if kind == "profile":
        out.print("'nasbench-ecg info COMPONENT' shows the options that it sets.")
        return
    if "plugin" in facts:
        facts["plugin"] += f" ({facts.pop('distribution')} {facts.pop('version')})"
    facts = _shown_facts(kind, facts)
    width = max(map(len, facts), default=0)
    for fact, value in facts.items():
        out.print(styled((f"{fact:<{width}}", "dim"), f"  {_text(value)}"), soft_wrap=True)
    if not options:
        out.print("\nThis component has no options.")
        return
    out.print()
    _print_options(options)
    _print_long_lists(options)
    _print_protocol_defaults(options)
    role = "space" if kind == "search-space" else kind
    values = {option["name"]: option["defaults"]["paper"] for option in options}
    example = next((name for name in values if not isinstance(values[name], list)), min(values))
    command = f"suite run ... --executor {name}" if kind == "executor" else "run ..."
    out.print(f"\nTo change an option: nasbench-ecg {command} --set {role}.{example}=VALUE")


def _shown_facts(kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Return what a spec states, without what it leaves at its default or does not use."""
    shown = dict(facts)
    if kind == "strategy":
        if shown["role"] not in ("search", "random-search"):  # then a run refuses every budget
            del shown["budgets"]
        elif not shown["budgets"]:
            shown["budgets"] = "none"
        shown["spaces"] = shown["spaces"] or (
            "any with parameters" if shown["needs_encoding"] else "any"
        )
    return {
        "default protocol" if name == "protocol" else name.replace("_", " "): value
        for name, value in shown.items()
        if value not in (None, False, "", ())
    }


def _print_options(options: list[dict[str, Any]]) -> None:
    listed = table("option", "defaults", "description and type", title="Options")
    for option in options:
        listed.add_row(
            styled((option["name"], "bold")),
            _defaults_text(option["defaults"]),
            styled(f"{option['description'].replace('``', '')}\n", (option["type"], "dim")),
        )
    stdout().print(listed)


def _defaults_text(by_profile: dict[str, Any]) -> str:
    """Return the default of the profile paper and those that differ from it, one a line."""
    return "\n".join(
        f"{profile}: {_cell(value)}"
        for profile, value in by_profile.items()
        if profile == "paper" or value != by_profile["paper"]
    )


def _print_long_lists(options: list[dict[str, Any]]) -> None:
    """Print in full the lists of which the table shows only the length, each once."""
    for option in options:
        printed: list[Any] = []
        for profile, value in option["defaults"].items():
            if _cell(value) != _text(value) and value not in printed:
                printed.append(value)
                stdout().print(f"{option['name']} ({profile}): {_text(value)}")


def _print_protocol_defaults(options: list[dict[str, Any]]) -> None:
    changed = [option for option in options if option["protocols"]]
    if not changed:
        return
    protocols = sorted({protocol for option in changed for protocol in option["protocols"]})
    stdout().print(styled(("\nDefaults that a protocol changes, in all profiles", "bold")))
    listed = table("option", *protocols)
    for option in changed:
        values = [_cell(option["protocols"].get(protocol, "")) for protocol in protocols]
        listed.add_row(styled((option["name"], "bold")), *values)
    stdout().print(listed)


def _cell(value: Any) -> str:
    """Return a value for a table: a long list as the number of its values."""
    text = _text(value)
    return f"{len(value)} values" if isinstance(value, list) and len(text) > _LONG_LIST else text


def _text(value: Any) -> str:
    """Return a value as ``--set`` reads it, but for the brackets of a list."""
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
