"""Immune evolution: a search strategy for any space, and maximum-margin clustering (IEMMC)."""

from collections.abc import Iterable

from nasbench_ecg.api import (
    BudgetName,
    BuilderSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
    hookimpl,
)

PLUGIN_API_VERSION = "1.0"

_OPTIONS = "nasbench_ecg_immune.options"
_CLUSTERING: tuple[tuple[str, str, str, tuple[BudgetName, ...], str], ...] = (
    (
        "iemmc",
        "iemmc:Iemmc",
        "IemmcOptions",
        ("seconds",),
        "Maximum-margin clustering by immune evolution",
    ),
    (
        "itersvr",
        "baselines:IterSvr",
        "IterSvrOptions",
        ("seconds",),
        "Maximum-margin clustering by iterative support vector regression",
    ),
    (
        "k-means",
        "baselines:KMeansClustering",
        "KMeansOptions",
        (),
        "Standard k-means on the standardized features",
    ),
    (
        "svm-rbf",
        "baselines:SvmRbf",
        "SvmRbfOptions",
        (),
        "Supervised RBF machine trained on a share of the labels, as a reference",
    ),
)
"""Name, target, options, budgets that the strategy keeps, and summary."""


@hookimpl
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:
    """Yield ``labelings``."""
    yield SearchSpaceSpec(
        name="labelings",
        target="nasbench_ecg_immune.space:Labelings",
        options=f"{_OPTIONS}:LabelingsOptions",
        builder="clustering",
        evaluator="clustering",
        summary="Assignments of beats to clusters within a balance bound",
    )


@hookimpl
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:
    """Yield ``clustering``."""
    yield BuilderSpec(
        name="clustering",
        target="nasbench_ecg_immune.evaluator:Clustering",
        options=f"{_OPTIONS}:ClusteringOptions",
        space="labelings",
        summary="Kernel functions over landmarks that carry a labeling over to new beats",
    )


@hookimpl
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:
    """Yield ``clustering``."""
    yield EvaluatorSpec(
        name="clustering",
        target="nasbench_ecg_immune.evaluator:ClusteringEvaluator",
        options=f"{_OPTIONS}:ClusteringEvaluatorOptions",
        summary="Agreement of clusters with classes, for clustered and for unseen beats",
        space="labelings",
        score="f1_of_macro",
    )


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``immune``, ``iemmc`` and the methods that ``iemmc`` is compared with."""
    yield StrategySpec(
        name="immune",
        target="nasbench_ecg_immune.strategy:Immune",
        options=f"{_OPTIONS}:ImmuneOptions",
        summary="Immune evolution of architectures: clonal selection, hypermutation, memory",
        space="conv-cells",
        evaluations_option="evaluations",
    )
    for name, target, options, budgets, summary in _CLUSTERING:
        yield StrategySpec(
            name=name,
            target=f"nasbench_ecg_immune.{target}",
            options=f"{_OPTIONS}:{options}",
            summary=summary,
            space="labelings",
            spaces=("labelings",),
            budgets=budgets,
        )
