"""The pages of the shipped components, each with its options by profile."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any

from nasbench_ecg.cli.components import parse_kind
from nasbench_ecg.cli.option_types import describe_options
from nasbench_ecg.data.protocols import protocol_names, protocol_options
from nasbench_ecg.options import PROFILE_NAMES, PROTOCOL_SUMMARIES, Options
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import BuilderSpec, DatasetSpec, Kind, StrategySpec
from roles import to_markdown

_LONG = 24
"""A longer value, in characters, is shown below the table, which then shows its length."""

_OBVIOUS = re.compile(r"\AOptions of [^.;,:]*\.\s*")
"""Start of an options model's docstring that only repeats the heading."""

_PUBLISHED, *_OTHERS = PROFILE_NAMES


def page(kind: str) -> str:
    """Return Markdown of all shipped components of ``kind``."""
    components = _shipped(parse_kind(kind))
    overview = _table(
        ["name", "summary"],
        [[f"[`{c.name}`](#{c.name})", _text(c.spec.summary)] for c in components],
    )
    return "\n\n".join([overview, *(_component(component) for component in components)])


def protocols() -> str:
    """Return Markdown of all protocols with their datasets and options."""
    return "\n\n".join(map(_protocol, protocol_names()))


def _protocol(name: str) -> str:
    datasets = ", ".join(
        f"[`{c.name}`](datasets.md#{c.name})"
        for c in _shipped("dataset")
        if isinstance(c.spec, DatasetSpec) and name in c.spec.protocols
    )
    heading = f"## `{name}` {{#{name}}}\n\n{_text(PROTOCOL_SUMMARIES[name])}."
    options = _options(protocol_options(name))
    return f"{heading}\n\ndatasets {datasets}\n{{ .facts }}\n\n{options}"


def _shipped(kind: Kind) -> list[Component]:
    """Return the components of a kind that come with the project."""
    shipped = {plugin.name for plugin in _registry().plugins if plugin.shipped}
    return [c for c in _registry().components(kind) if c.plugin in shipped]


@cache
def _registry() -> Registry:
    return load_registry()


def _component(component: Component) -> str:
    parts = [f"## `{component.name}` {{#{component.name}}}", f"{_text(component.spec.summary)}."]
    parts.append(f"{_facts(component)}\n{{ .facts }}")
    parts += [_docstring(component), _options(component.options_model()), _references(component)]
    return "\n\n".join(parts)


def _facts(component: Component) -> str:
    spec = component.spec
    files = {
        "space": "search-spaces.md",
        "builder": "builders.md",
        "evaluator": "evaluators.md",
    }
    facts = [
        f"{role} [`{name}`]({file}#{name})"
        for role, file in files.items()
        if (name := getattr(spec, role, None))
    ]
    if isinstance(spec, StrategySpec):
        facts += _capabilities(spec)
    if isinstance(spec, DatasetSpec):
        names = ", ".join(f"[`{p}`](protocols.md#{p})" for p in spec.protocols)
        facts.append(f"protocols {names} (default `{spec.protocol}`)")
    if isinstance(spec, BuilderSpec | StrategySpec) and spec.min_samples > 1:
        facts.append(f"beats of at least {spec.min_samples} samples")
    facts.append(f"plugin `{component.plugin}`")
    facts.append(f"`{component.target}`")
    return " · ".join(facts)


def _capabilities(spec: StrategySpec) -> list[str]:
    """Return the search spaces and the budgets that a strategy declares."""
    if not spec.searches:
        return ["does not search"]
    others = [name for name in spec.spaces or () if name != spec.space]
    spaces = [f"also searches {', '.join(f'`{name}`' for name in others)}"] if others else []
    if spec.spaces is None:
        spaces = ["searches any space" + (" with parameters" if spec.needs_encoding else "")]
    budgets = f"budgets of {' and '.join(spec.budgets)}" if spec.budgets else "no budget"
    return [*spaces, f"keeps {budgets}"]


def _documented(component: Component) -> str:
    """Return the object whose docstring describes a component: its class, or else its module."""
    module, _, name = component.target.partition(":")
    target = getattr(import_module(module), name)
    return f"{module}.{name}" if inspect.isclass(target) and target.__doc__ else module


def _references(component: Component) -> str:
    """Return the references of the component's module as a Markdown list."""
    module = import_module(component.target.partition(":")[0])
    _, found, listed = inspect.cleandoc(module.__doc__ or "").partition("\nReferences:\n")
    if not found:
        return ""
    entries = inspect.cleandoc(listed).split("\n\n")
    return "\n".join(["References:", "", *(f"- {' '.join(e.split())}" for e in entries)])


def _docstring(component: Component) -> str:
    options = {
        "show_root_heading": "false",
        "show_root_toc_entry": "false",
        "show_bases": "false",
        "members": "false",
        "merge_init_into_class": "false",
        "separate_signature": "false",
        "show_docstring_parameters": "false",
        "show_docstring_raises": "false",
        "show_docstring_attributes": "false",
    }
    lines = "\n".join(f"      {name}: {value}" for name, value in options.items())
    shown = f"::: {_documented(component)}\n    options:\n{lines}"
    return f'<div class="component" markdown>\n\n{shown}\n\n</div>'


def _options(model: type[Options]) -> str:
    described = describe_options(model)
    if not described:
        return "It has no options."
    about = _OBVIOUS.sub("", to_markdown(inspect.cleandoc(model.__doc__ or "")))
    profiles = [name for name in _OTHERS if any(_differs(option, name) for option in described)]
    rows = [
        [
            f"`{option['name']}`<br><small>{_text(option['type'])}</small>",
            _value(option["defaults"][_PUBLISHED]),
            *(_value(option["defaults"][p]) if _differs(option, p) else "" for p in profiles),
            _text(to_markdown(option["description"])),
        ]
        for option in described
    ]
    parts = [about, _table(["option", _PUBLISHED, *profiles, "meaning"], rows)]
    parts += _long_values(described)
    parts += _by_protocol(described)
    return "\n\n".join(parts)


def _differs(option: Mapping[str, Any], profile: str) -> bool:
    defaults = option["defaults"]
    return bool(defaults[profile] != defaults[_PUBLISHED])


def _long_values(described: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return collapsed notes with the long lists that the table does not show."""
    return [
        f'??? note "`{option["name"]}`: {_value(value)}"\n\n    {_listed(value)}'
        for option in described
        if _is_long(value := option["defaults"][_PUBLISHED])
    ]


def _by_protocol(described: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [f"`{protocol}`", f"`{option['name']}`", _value(value)]
        for option in described
        for protocol, value in option["protocols"].items()
    ]
    if not rows:
        return []
    return ["Some defaults depend on the protocol, in all profiles:", _table(
        ["protocol", "option", "default"], sorted(rows)
    )]  # fmt: skip


def _is_long(value: Any) -> bool:
    return isinstance(value, list | dict) and len(_listed(value)) > _LONG


def _listed(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return ", ".join(map(str, value))


def _value(value: Any) -> str:
    if _is_long(value):
        return f"{len(value)} values"
    if isinstance(value, list | dict):
        return _text(_listed(value)) or "none"
    return "null" if value is None else _text(str(value))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Return ``text`` escaped for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
