"""Immune evolution: a search strategy for any space, and maximum-margin clustering (IEMMC)."""

from collections.abc import Iterable

from nasbench_ecg.api import (
    BuilderSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
    hookimpl,
)

_OPTIONS = "nasbench_ecg_immune.options"
_CLUSTERING = {"space": "labelings", "builder": "clustering", "evaluator": "clustering"}


@hookimpl
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:
    """Yield ``labelings``."""
    yield SearchSpaceSpec(
        name="labelings",
        target="nasbench_ecg_immune.labelings:Labelings",
        options=f"{_OPTIONS}:LabelingsOptions",
        summary="Assignments of beats to clusters within a balance bound",
    )


@hookimpl
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:
    """Yield ``clustering``."""
    yield BuilderSpec(
        name="clustering",
        target="nasbench_ecg_immune.machine:Clustering",
        options=f"{_OPTIONS}:ClusteringOptions",
        space="labelings",
        summary="Kernel functions over landmarks that carry a labelling over to new beats",
    )


@hookimpl
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:
    """Yield ``clustering``."""
    yield EvaluatorSpec(
        name="clustering",
        target="nasbench_ecg_immune.clustering:ClusteringEvaluator",
        options=f"{_OPTIONS}:ClusteringEvaluatorOptions",
        summary="Agreement of clusters with classes, for clustered and for unseen beats",
    )


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``immune``, ``iemmc`` and what the latter is compared with."""
    yield StrategySpec(
        name="immune",
        target="nasbench_ecg_immune.strategy:Immune",
        options=f"{_OPTIONS}:ImmuneOptions",
        summary="Immune evolution of architectures: clonal selection, hypermutation, memory",
    )
    yield StrategySpec(
        name="iemmc",
        target="nasbench_ecg_immune.iemmc:Iemmc",
        options=f"{_OPTIONS}:IemmcOptions",
        summary="Maximum-margin clustering by immune evolution",
        **_CLUSTERING,
    )
    yield StrategySpec(
        name="k-means",
        target="nasbench_ecg_immune.comparators:KMeansClustering",
        options=f"{_OPTIONS}:KMeansOptions",
        summary="Standard k-means on the standardised features",
        **_CLUSTERING,
    )
    yield StrategySpec(
        name="itersvr",
        target="nasbench_ecg_immune.comparators:IterSvr",
        options=f"{_OPTIONS}:IterSvrOptions",
        summary="Maximum-margin clustering by iterative support vector regression",
        **_CLUSTERING,
    )
    yield StrategySpec(
        name="svm-rbf",
        target="nasbench_ecg_immune.comparators:SvmRbf",
        options=f"{_OPTIONS}:SvmRbfOptions",
        summary="Supervised RBF machine trained on a share of the labels, as a reference",
        **_CLUSTERING,
    )
