"""Component specs: what a plugin yields from its hooks.

A spec is a small frozen value that names a component, says where its implementation is, and
declares what it can do. It imports nothing heavy: ``target`` and ``options`` are strings that are
resolved only when the component is used, so that ``nasbench-ecg list`` is fast with any number of
plugins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import pluggy

API_VERSION = "1.1"
"""Version of the plugin API, ``major.minor``. A plugin written for the same major version and for
the same or an older minor version works with it: a new hook, or a new optional field of a spec,
raises the minor version only. Version 1.1 added the hook ``nasbench_ecg_executors``."""

Kind = Literal["search-space", "builder", "strategy", "dataset", "evaluator", "executor"]
Role = Literal["search", "random-search", "fixed", "given"]
BudgetName = Literal["evaluations", "seconds"]

hookimpl = pluggy.HookimplMarker("nasbench_ecg")
"""Decorator that marks a function of a plugin as the implementation of a hook."""


@dataclass(frozen=True, kw_only=True)
class ComponentSpec:
    """One component of a plugin, by name.

    Example:
        >>> from nasbench_ecg.api import StrategySpec
        >>> StrategySpec(
        ...     name="my-search",
        ...     target="my_package:MySearch",
        ...     summary="What it does",
        ...     space="conv-cells",
        ... )  # doctest: +ELLIPSIS
        StrategySpec(name='my-search', ...)
    """

    kind: ClassVar[Kind]

    name: str
    """The name that users type: lower-case words joined by hyphens."""

    target: str | Callable[..., Any]
    """``"package.module:Class"``, imported when used. Called with the options, and nothing else."""

    summary: str
    """One line for ``nasbench-ecg list``."""

    options: str | type | None = None
    """``"package.module:Class"`` of an :class:`~nasbench_ecg.api.Options` model, if any."""

    revision: int = 1
    """Raise it when the same options give other results: it is part of every run key."""


@dataclass(frozen=True, kw_only=True)
class SearchSpaceSpec(ComponentSpec):
    """A set of architectures that can be sampled and changed."""

    kind = "search-space"

    builder: str
    """The builder used when neither the user nor the strategy names one."""

    evaluator: str
    """The evaluator used when neither the user nor the strategy names one."""


@dataclass(frozen=True, kw_only=True)
class BuilderSpec(ComponentSpec):
    """A way to make a torch module of an architecture."""

    kind = "builder"

    space: str
    """The search space whose architectures it builds."""

    min_samples: int = 1
    """Fewest samples of a beat that its networks accept."""


@dataclass(frozen=True, kw_only=True)
class StrategySpec(ComponentSpec):
    """A way to search an architecture, or a fixed model: a strategy that returns its only one."""

    kind = "strategy"

    space: str
    """The search space used when the user names none."""

    spaces: tuple[str, ...] | None = None
    """The search spaces that it can search; None: any."""

    needs_encoding: bool = False
    """Whether it searches only spaces with parameters, see :class:`nasbench_ecg.api.Encodes`."""

    builder: str | None = None
    """The builder used with ``space`` when the user names none; None: that of the space."""

    evaluator: str | None = None
    """The evaluator used with ``space`` when the user names none; None: that of the space."""

    budgets: tuple[BudgetName, ...] = ("evaluations", "seconds")
    """The limits of a budget that it keeps; a run with another one is refused."""

    evaluations_option: str | None = None
    """The option that says how many architectures it evaluates, if there is one. Simulations on a
    table set it to their budget."""

    anytime: bool = False
    """Whether a budget only ends its search, so that what it evaluates before does not depend on
    the budget. Simulations on a table then run it once for all budgets."""

    min_samples: int = 1
    """Fewest samples of a beat that it accepts, where it needs more than its builder."""

    role: Role = "search"
    """``search``: its results are compared with random search under the same budget.
    ``random-search``: it is what searches are compared with. ``fixed``: it returns its only
    architecture, as a baseline does. ``given``: it returns the architecture of its option
    ``architecture``. Only the first two keep budgets."""

    @property
    def searches(self) -> bool:
        """Whether it chooses among architectures."""
        return self.role in ("search", "random-search")

    def keeps(self, budget: str) -> bool:
        """Return whether it keeps this limit of a budget, ``evaluations`` or ``seconds``."""
        return self.searches and budget in self.budgets


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(ComponentSpec):
    """Labeled heartbeats."""

    kind = "dataset"

    protocol: str = "intra-patient"
    """The protocol used when the user names none."""

    protocols: tuple[str, ...] = ("intra-patient", "patient-kfold")
    """The protocols that this dataset can be split by."""

    generated: bool = False
    """Whether its beats follow from its options and code alone. Beats of a dataset that requires no
    files are cached only then: nothing would show that a file that it reads has changed."""


@dataclass(frozen=True, kw_only=True)
class EvaluatorSpec(ComponentSpec):
    """A way to score an architecture."""

    kind = "evaluator"

    space: str | None = None
    """The only search space whose architectures it scores; None: any that can be built."""

    score: str | None = None
    """The metric that its score always is, such as ``f1_of_macro``; None: it may be another. A run
    record is then refused if its score is another value."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSpec(ComponentSpec):
    """A way to run the jobs of a suite, or the candidates of a search, here or on other machines.

    It does not change results, so it is no part of a run key.
    """

    kind = "executor"

    requires: str = ""
    """The module that it needs, if that is an optional dependency."""

    extra: str = ""
    """The extra of its distribution that installs this module."""
