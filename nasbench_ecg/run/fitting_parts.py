"""Refuse a run whose parts do not fit one another, before any record is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.contracts import Encodes, NamesArchitecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import KnowsLength
from nasbench_ecg.plugin.specs import BuilderSpec, SearchSpaceSpec, StrategySpec

if TYPE_CHECKING:
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.config import RunConfig


def check_length(config: RunConfig) -> None:
    """Refuse a dataset whose beats are too short, where their length follows from its options."""
    options = config.dataset.options
    if not isinstance(options, KnowsLength):
        return
    for role in ("builder", "strategy"):
        chosen = config.components()[role]
        spec = chosen.component.spec
        assert isinstance(spec, BuilderSpec | StrategySpec)
        if options.n_samples < spec.min_samples:
            raise OptionError(
                f"Beats of {options.n_samples} samples are too short for the {role} "
                f"{chosen.name!r}, which needs {spec.min_samples}.",
                where=f"dataset {config.dataset.name}",
                fix="Widen the window of the dataset, or choose another dataset.",
            )


def check_encoding(config: RunConfig) -> None:
    """Refuse a space without parameters, where the strategy needs them."""
    strategy = config.strategy.component.spec
    assert isinstance(strategy, StrategySpec)
    if strategy.needs_encoding and not isinstance(config.space.create(), Encodes):
        raise OptionError(
            f"The strategy {strategy.name!r} searches spaces with parameters, and the space "
            f"{config.space.name!r} has none.",
            fix="Choose another strategy or space, or give the space the methods parameters, "
            "encode and decode (nasbench_ecg.api.Encodes).",
        )


def check_architecture(config: RunConfig, registry: Registry) -> None:
    """Refuse an architecture that the strategy is given, and that is not of the space of the run.

    Raises:
        OptionError: It is of another space, or its space refuses it.
        PluginError: Its space is not installed.
    """
    options = config.strategy.options
    if not isinstance(options, NamesArchitecture):
        return
    if (arch := options.named_architecture()) is None:
        return  # each candidate of a study brings its own
    if arch.space == config.space.name:
        config.space.create().validate(arch)
        return
    spec = registry.get("search-space", arch.space).spec
    assert isinstance(spec, SearchSpaceSpec)
    raise OptionError(
        f"The architecture is of the space {arch.space!r}, and this run has the space "
        f"{config.space.name!r}.",
        where="strategy.architecture",
        fix=f"Add --space {arch.space} --builder {spec.builder}.",
    )
