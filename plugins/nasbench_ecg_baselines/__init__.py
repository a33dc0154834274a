"""Hand-designed baseline networks, as strategies that return them without a search."""

from collections.abc import Iterable

from nasbench_ecg.api import BuilderSpec, SearchSpaceSpec, StrategySpec, hookimpl

PLUGIN_API_VERSION = "1.0"

LEAKY_RELU_INITIALIZATION = 2
"""Revision of the CNNs since they are initialized for LeakyReLU; ResNet-31 did not change."""


@hookimpl
def nasbench_ecg_search_spaces() -> Iterable[SearchSpaceSpec]:
    """Yield ``fixed``."""
    yield SearchSpaceSpec(
        name="fixed",
        target="nasbench_ecg_baselines.space:Fixed",
        builder="fixed-network",
        evaluator="train",
        summary="The baseline networks, each by its name",
    )


@hookimpl
def nasbench_ecg_builders() -> Iterable[BuilderSpec]:
    """Yield ``fixed-network``."""
    yield BuilderSpec(
        name="fixed-network",
        target="nasbench_ecg_baselines.builder:FixedNetwork",
        space="fixed",
        min_samples=16,
        summary="Builds a baseline network for any number of leads and samples",
    )


@hookimpl
def nasbench_ecg_strategies() -> Iterable[StrategySpec]:
    """Yield ``cnn-9``, ``cnn-11`` and ``resnet-31``."""
    yield StrategySpec(
        name="cnn-9",
        target="nasbench_ecg_baselines.strategy:cnn_9",
        space="fixed",
        spaces=("fixed",),
        role="fixed",
        min_samples=28,
        revision=LEAKY_RELU_INITIALIZATION,
        summary="The 9-layer CNN of Acharya et al. 2017 (heartbeats)",
    )
    yield StrategySpec(
        name="cnn-11",
        target="nasbench_ecg_baselines.strategy:cnn_11",
        space="fixed",
        spaces=("fixed",),
        role="fixed",
        min_samples=100,
        revision=LEAKY_RELU_INITIALIZATION,
        summary="The 11-layer CNN of Acharya et al. 2017 (tachycardia segments)",
    )
    yield StrategySpec(
        name="resnet-31",
        target="nasbench_ecg_baselines.strategy:resnet_31",
        space="fixed",
        spaces=("fixed",),
        role="fixed",
        min_samples=16,
        summary="A residual network of 31 convolutions (reconstruction of Li et al. 2020)",
    )
