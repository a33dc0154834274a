"""The largest network that a search may evaluate: the rule of a small-parameter track."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasbench_ecg.api import Architecture, Builder, OptionError, SearchSpace, Task

MOST_REFUSED = 2000
"""Draws in a row that are too large, after which a search goes on with what it has."""


@dataclass(frozen=True)
class SizeLimit:
    """Which architectures are small enough; one that is not is refused before any training.

    Attributes:
        most: Most trainable parameters of the network that ``builder`` makes; None for any number.
        task: The beats that the network is for.
        builder: What makes it.
    """

    most: int | None
    task: Task
    builder: Builder

    def allows(self, arch: Architecture) -> bool:
        """Return whether the network of ``arch`` is small enough."""
        if self.most is None:
            return True
        from nasbench_ecg_blackbox.costs import network_costs

        counted = network_costs(arch, self.task, self.builder, device="cpu", names=["parameters"])
        return counted["parameters"] <= self.most

    def sample(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return a random architecture, drawn uniformly from those that are small enough.

        Raises:
            OptionError: None of many draws is.
        """
        for _ in range(MOST_REFUSED):
            arch = space.sample(rng)
            if self.allows(arch):
                return arch
        raise self.nothing_fits()

    def nothing_fits(self) -> OptionError:
        """Return the error of a search that finds no architecture that is small enough."""
        return OptionError(
            f"None of {MOST_REFUSED:,} random architectures has {self.most:,} parameters or fewer.",
            where="strategy.max_parameters",
            fix="Let the builder make smaller networks, for example with "
            "--set builder.cells=6 --set builder.channels=2, or allow more parameters.",
        )
