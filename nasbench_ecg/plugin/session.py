"""Strategies that exist only in this Python session, such as a class in a cell of a notebook."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any

from nasbench_ecg.plugin.component import Component
from nasbench_ecg.plugin.specs import StrategySpec

SESSION, SESSION_DISTRIBUTION = "session", "this-session"
"""Plugin and distribution that they are listed under."""

_specs: dict[str, StrategySpec] = {}


def add(spec: StrategySpec) -> None:
    """Keep a strategy until Python ends; it replaces an earlier one of its name.

    Its revision becomes a digest of the code of its class, so that a changed class makes new runs.
    """
    _specs[spec.name] = replace(spec, revision=_code_digest(spec.target) or spec.revision)


def components() -> tuple[Component, ...]:
    """Return the strategies that were added."""
    return tuple(Component(spec, SESSION, SESSION_DISTRIBUTION, "") for spec in _specs.values())


def _code_digest(target: str | Callable[..., Any]) -> int | None:
    """Return a digest of the source of a class or function, None if there is no source."""
    try:
        source = "\0".join(inspect.getsource(function) for function in _functions(target))
    except (OSError, TypeError):
        return None
    return int(sha256(source.encode()).hexdigest()[:12], 16) if source else None


def _functions(target: Any) -> Iterator[Any]:
    # The source of a class in a notebook cannot be found, but that of its functions can.
    if inspect.isfunction(target):
        yield target
    elif isinstance(target, type):
        for _, member in sorted(inspect.getmembers(target, inspect.isroutine)):
            if hasattr(member, "__code__") or hasattr(member, "__func__"):
                yield member
