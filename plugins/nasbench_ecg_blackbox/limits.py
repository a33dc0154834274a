"""The limits of size and cost of the black-box searches, and architectures within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np

from nasbench_ecg.api import (
    Architecture,
    Builder,
    OptionError,
    Progress,
    SearchSpace,
    Silent,
    Task,
    distinct_architectures,
)
from nasbench_ecg_blackbox.options import CostName, LimitedOptions

MAX_REJECTED = 2000
"""Consecutive random architectures above a limit after which mutations are tried."""

MAX_MUTATIONS = 1000
"""Consecutive mutations of an architecture without success after which a search of them ends."""


@dataclass
class SizeLimit:
    """The largest network that a search may evaluate; larger ones are rejected untrained.

    Random architectures are drawn until one is within the limits. Where thousands in a row are not,
    one is made from the smallest of them: mutations that make it smaller are kept. From there on,
    every new one is a mutation of the last one. These are near each other, and not drawn uniformly.

    Attributes:
        limits: Largest costs, by name; empty for no limit.
        task: The beats that the networks are built for.
        builder: Builds the networks.
        progress: Says when architectures are no longer drawn uniformly.
    """

    limits: Mapping[CostName, int]
    task: Task
    builder: Builder
    progress: Progress = field(default_factory=Silent, repr=False)
    _excesses: dict[str, dict[CostName, float]] = field(default_factory=dict, repr=False)
    _smallest: tuple[float, Architecture | None] = field(default=(inf, None), repr=False)
    _last_mutated: Architecture | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        options: LimitedOptions,
        task: Task,
        builder: Builder,
        progress: Progress | None = None,
    ) -> SizeLimit:
        """Return the limit that the options of a search state."""
        return cls(options.limits, task, builder, progress or Silent())

    def excess(self, arch: Architecture) -> dict[CostName, float]:
        """Return by how much the network of ``arch`` exceeds each limit; negative below it."""
        if not self.limits:
            return {}
        if arch.hash not in self._excesses:
            from nasbench_ecg.training import network_costs

            names = list(self.limits)
            costs = network_costs(arch, self.task, self.builder, device="cpu", names=names)
            found = {name: costs[name] - limit for name, limit in self.limits.items()}
            self._excesses[arch.hash] = found
            self._smallest = min(self._smallest, (self._share(found), arch), key=lambda one: one[0])
        return self._excesses[arch.hash]

    def allows(self, arch: Architecture) -> bool:
        """Return whether the network of ``arch`` is within the limit."""
        return all(excess <= 0 for excess in self.excess(arch).values())

    def sample(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return an architecture within the limit.

        Raises:
            OptionError: None was found.
        """
        if self._last_mutated is None:
            for _ in range(MAX_REJECTED):
                arch = space.sample(rng)
                if self.allows(arch):
                    return arch
        return self._mutated(space, rng)

    def distinct(
        self, space: SearchSpace, rng: np.random.Generator, n: int
    ) -> Iterator[Architecture]:
        """Yield ``n`` distinct architectures within the limit, or as many as are found.

        Raises:
            OptionError: None was found.
        """
        found = set()
        if self._last_mutated is None:
            for arch in distinct_architectures(
                space, rng, n, accept=self.allows, max_rejected=MAX_REJECTED
            ):
                found.add(arch.hash)
                yield arch
        repeats = 0
        while self.limits and len(found) < min(n, space.size) and repeats < MAX_MUTATIONS:
            arch = self._mutated(space, rng)
            repeats = repeats + 1 if arch.hash in found else 0
            if not repeats:
                found.add(arch.hash)
                yield arch

    def sample_distinct(
        self, space: SearchSpace, rng: np.random.Generator, n: int
    ) -> list[Architecture]:
        """Return the architectures of :meth:`distinct`."""
        return list(self.distinct(space, rng, n))

    def _mutated(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return a mutation of the last one within the limit, or the first one."""
        last = self._last_mutated
        if last is None:
            last = self._shrunk(space, rng)
            self.progress.note(
                f"None of {MAX_REJECTED:,} random architectures in a row is within "
                f"{self._options}: from here on, they are mutations of each other."
            )
        else:
            mutations = (_mutation(last, space, rng) for _ in range(MAX_MUTATIONS))
            last = next((arch for arch in mutations if self.allows(arch)), last)
        self._last_mutated = last
        return last

    def _shrunk(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return what mutations make of the smallest architecture so far."""
        share, smallest = self._smallest
        tried = 0
        while smallest is not None and share > 0 and tried < MAX_MUTATIONS:
            arch = _mutation(smallest, space, rng)
            new = self._share(self.excess(arch))
            tried = 0 if new < share else tried + 1
            if new <= share:
                share, smallest = new, arch
        if smallest is None or share > 0:
            raise self._no_architecture()
        return smallest

    def _share(self, excess: Mapping[CostName, float]) -> float:
        """Return the sum of the excesses above 0, each as a share of its limit."""
        return sum(max(over, 0.0) / self.limits[name] for name, over in excess.items())

    @property
    def _options(self) -> str:
        return " and ".join(f"strategy.{_OPTIONS[name]}" for name in self.limits)

    def _no_architecture(self) -> OptionError:
        stated = (f"{limit:,} or fewer {_COSTS[name]}" for name, limit in self.limits.items())
        smallest = self._smallest[1]
        over = {} if smallest is None else self.excess(smallest)
        has = (f"{self.limits[name] + over[name]:,.0f} {_COSTS[name]}" for name in over)
        return OptionError(
            f"No architecture was found with {' and '.join(stated)}. The nearest of "
            f"{MAX_REJECTED:,} random ones and their mutations has {' and '.join(has)}.",
            where=self._options,
            fix="Allow more, or set options of the builder or of the search space that make the "
            "networks smaller.",
        )


def _mutation(arch: Architecture, space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Return a neighbor of ``arch``; ``arch`` itself in a space that contains no other."""
    try:
        return space.mutate(arch, rng)
    except OptionError:
        return arch


_OPTIONS: Mapping[CostName, str] = {
    "parameters": "max_parameters",
    "macs": "max_macs",
    "flash_bytes": "max_flash",
    "ram_bytes": "max_ram",
}
_COSTS: Mapping[CostName, str] = {
    "parameters": "trainable parameters",
    "macs": "multiply-accumulates",
    "flash_bytes": "bytes of flash",
    "ram_bytes": "bytes of RAM",
}
