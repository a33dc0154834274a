"""What a plugin yields from its hooks: small frozen values that name a component and where it is.

A spec imports nothing heavy: its ``target`` and ``options`` are strings, resolved only when the
component is used, so that ``nasbench-ecg list`` stays quick with any number of plugins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pluggy

API_VERSION = 1
"""Version of the plugin contracts. A plugin made for another one is listed as a problem."""

FLOOR = "random"
"""Name of the strategy that draws at random; every suite that holds a search holds it too."""

Kind = Literal["search-space", "builder", "strategy", "dataset", "evaluator"]

hookimpl = pluggy.HookimplMarker("nasbench_ecg")
"""Decorator that marks a function of a plugin as the implementation of a hook."""


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One component of a plugin, by name.

    Example:
        >>> from nasbench_ecg.api import StrategySpec
        >>> StrategySpec(name="my-search", target="my_package:MySearch", summary="What it does")
        ... # doctest: +ELLIPSIS
        StrategySpec(name='my-search', ...)
    """

    kind: ClassVar[Kind]

    name: str
    """The name users type: lower-case words joined by hyphens."""

    target: str | Callable[..., Any]
    """``"package.module:Class"``, imported when used. Called with the options, and nothing else."""

    summary: str
    """One line for ``nasbench-ecg list``."""

    options: str | type | None = None
    """``"package.module:Class"`` of an :class:`~nasbench_ecg.api.Options` model, if any."""

    revision: int = 1
    """Raise it when the same options give other results: it is part of every run key."""

    api_version: int = API_VERSION
    """The version of the contracts that the component was written for."""


@dataclass(frozen=True, kw_only=True)
class SearchSpaceSpec(ComponentSpec):
    """A set of architectures that can be sampled and changed."""

    kind = "search-space"


@dataclass(frozen=True, kw_only=True)
class BuilderSpec(ComponentSpec):
    """A way to make a torch module of an architecture."""

    kind = "builder"

    space: str = "conv-cells"
    """The search space whose architectures it builds."""


@dataclass(frozen=True, kw_only=True)
class StrategySpec(ComponentSpec):
    """A way to search an architecture. A fixed model is a strategy that returns its only one."""

    kind = "strategy"

    space: str = "conv-cells"
    """The search space used when the user names none."""

    builder: str = "stacked-cells-shortcut"
    """The builder used when the user names none."""

    evaluator: str = "train"
    """The evaluator used when the user names none."""

    searches: bool = True
    """False where it returns its only architecture, as a baseline does: it owes no comparison with
    random search."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """Labelled heartbeats."""

    kind = "dataset"

    protocol: str = "intra-patient"
    """The protocol used when the user names none."""

    protocols: tuple[str, ...] = ("intra-patient", "patient-kfold")
    """The protocols that this dataset can be split by."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec(ComponentSpec):
    """A way to score an architecture."""

    kind = "evaluator"

    space: str | None = None
    """The search space whose architectures it scores; None: any that can be built."""
