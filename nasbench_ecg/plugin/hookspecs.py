"""The six hooks of a plugin. Each yields specs of one kind of component.

A plugin is any module named by an entry point of the group ``nasbench_ecg.plugins``. The module
says which API version it was written for, and implements one hook or more::

    PLUGIN_API_VERSION = "1.0"


    @hookimpl
    def nasbench_ecg_strategies():
        yield StrategySpec(...)
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from nasbench_ecg.plugin.specs import (
    BuilderSpec,
    DatasetSpec,
    EvaluatorSpec,
    ExecutorSpec,
    SearchSpaceSpec,
    StrategySpec,
)

ENTRY_POINT_GROUP = "nasbench_ecg.plugins"

hookspec = pluggy.HookspecMarker("nasbench_ecg")


@hookspec
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:  # type: ignore[empty-body]
    """Yield search spaces.

    Example:
        >>> from nasbench_ecg.api import SearchSpaceSpec, hookimpl
        >>> @hookimpl
        ... def nasbench_ecg_search_spaces():
        ...     yield SearchSpaceSpec(
        ...         name="my-space",
        ...         target="my_package.space:MySpace",
        ...         summary="Two-layer networks",
        ...         builder="my-builder",
        ...         evaluator="train",
        ...     )
        >>> [spec.name for spec in nasbench_ecg_search_spaces()]
        ['my-space']
    """


@hookspec
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:  # type: ignore[empty-body]
    """Yield builders.

    Example:
        >>> from nasbench_ecg.api import BuilderSpec, hookimpl
        >>> @hookimpl
        ... def nasbench_ecg_builders():
        ...     yield BuilderSpec(
        ...         name="my-builder",
        ...         target="my_package.network:MyBuilder",
        ...         options="my_package.network:MyBuilderOptions",
        ...         space="my-space",
        ...         summary="Networks of two layers",
        ...     )
        >>> [spec.space for spec in nasbench_ecg_builders()]
        ['my-space']
    """


@hookspec
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:  # type: ignore[empty-body]
    """Yield search strategies.

    Example:
        >>> from nasbench_ecg.api import SearchResult, StrategySpec, hookimpl
        >>> class FirstComer:
        ...     def __init__(self, options): ...
        ...     def search(self, task, space, builder, ctx):
        ...         return SearchResult(space.sample(ctx.rng))
        >>> @hookimpl
        ... def nasbench_ecg_strategies():
        ...     yield StrategySpec(
        ...         name="first-comer",
        ...         target=FirstComer,
        ...         summary="Returns the first random architecture",
        ...         space="conv-cells",
        ...     )
        >>> [spec.name for spec in nasbench_ecg_strategies()]
        ['first-comer']
    """


@hookspec
def nasbench_ecg_datasets() -> Iterable[DatasetSpec]:  # type: ignore[empty-body]
    """Yield datasets.

    Example:
        >>> from nasbench_ecg.api import DatasetSpec, hookimpl
        >>> @hookimpl
        ... def nasbench_ecg_datasets():
        ...     yield DatasetSpec(
        ...         name="my-hospital",
        ...         target="my_package.data:MyHospital",
        ...         summary="Beats of our hospital",
        ...         protocols=("intra-patient", "patient-kfold"),
        ...     )
        >>> [spec.protocol for spec in nasbench_ecg_datasets()]
        ['intra-patient']
    """


@hookspec
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:  # type: ignore[empty-body]
    """Yield evaluators.

    Example:
        >>> from nasbench_ecg.api import EvaluatorSpec, hookimpl
        >>> @hookimpl
        ... def nasbench_ecg_evaluators():
        ...     yield EvaluatorSpec(
        ...         name="parameters", target="my_package:Parameters", summary="Fewer is better"
        ...     )
        >>> [spec.name for spec in nasbench_ecg_evaluators()]
        ['parameters']
    """


@hookspec
def nasbench_ecg_executors() -> Iterable[ExecutorSpec]:  # type: ignore[empty-body]
    """Yield executors; since version 1.1 of the plugin API.

    Example:
        >>> from nasbench_ecg.api import ExecutorSpec, hookimpl
        >>> @hookimpl
        ... def nasbench_ecg_executors():
        ...     yield ExecutorSpec(
        ...         name="my-queue",
        ...         target="my_package.queue:MyQueue",
        ...         options="my_package.queue:MyQueueOptions",
        ...         summary="Jobs of our batch system",
        ...     )
        >>> [spec.name for spec in nasbench_ecg_executors()]
        ['my-queue']
    """
