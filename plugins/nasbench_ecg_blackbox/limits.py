"""The limits of size and cost of the black-box searches, and architectures within them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

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
"""Consecutive mutations without success after which a search of them ends."""

_MAX_TIMED = 20
"""Random architectures among which those for a time estimate are chosen."""

_FIRST_NOTE = 200
"""Architectures above the limits after which a search says why it takes long."""


@dataclass
class SizeLimit:
    """The largest network that a search may evaluate; larger ones are rejected untrained.

    Random architectures are drawn until one is within the limits. Where thousands in a row are not,
    one is made from the nearest of them: mutations that bring it nearer are kept. From there on,
    every new one is a mutation of one that is within. These are not drawn uniformly.

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
    _within: list[Architecture] = field(default_factory=list, repr=False)
    _nearest: tuple[float, Architecture | None] = field(default=(inf, None), repr=False)
    _drawn: dict[str, int] | None = field(default=None, repr=False)

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

    @property
    def details(self) -> dict[str, Any]:
        """What a run record says of a search whose architectures became mutations; else empty.

        ``before_mutations`` has how many were looked at until then, and how many of these were
        within the limits.
        """
        return {} if self._drawn is None else {"before_mutations": self._drawn}

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
            share = self._share(found)
            self._nearest = min(self._nearest, (share, arch), key=lambda one: one[0])
            if share == 0:
                self._within.append(arch)
            elif not self._within and len(self._excesses) == _FIRST_NOTE:
                self.progress.note(
                    f"The first {_FIRST_NOTE} random architectures are above {self._options}; up "
                    f"to {MAX_REJECTED:,} are tried."
                )
        return self._excesses[arch.hash]

    def allows(self, arch: Architecture) -> bool:
        """Return whether the network of ``arch`` is within the limit."""
        return all(excess <= 0 for excess in self.excess(arch).values())

    def sample(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return an architecture within the limit.

        Raises:
            OptionError: None was found.
        """
        if self._drawn is None:
            for _ in range(MAX_REJECTED):
                arch = space.sample(rng)
                if self.allows(arch):
                    return arch
            self._mutate_from_here()
        if not self._within:
            return self._shrunk(space, rng)
        mutations = (self._mutation(space, rng) for _ in range(MAX_MUTATIONS))
        return next((arch for arch in mutations if self.allows(arch)), self._within[-1])

    def distinct(
        self, space: SearchSpace, rng: np.random.Generator, n: int
    ) -> Iterator[Architecture]:
        """Yield ``n`` distinct architectures within the limit, or as many as are found.

        Raises:
            OptionError: None was found.
        """
        found: set[str] = set()
        if self._drawn is None:
            rejected = 0

            def accept(arch: Architecture) -> bool:
                nonlocal rejected
                allowed = self.allows(arch)
                rejected = 0 if allowed else rejected + 1
                return allowed

            for arch in distinct_architectures(
                space, rng, n, accept=accept, max_rejected=MAX_REJECTED
            ):
                found.add(arch.hash)
                yield arch
            if rejected < MAX_REJECTED:  # there are n, or no others in the space
                if self.limits and not found:
                    raise self._no_architecture()
                if self.limits and len(found) < n:
                    self._note_few(len(found))
                return
            self._mutate_from_here()
        if not self._within:
            found.add((arch := self._shrunk(space, rng)).hash)
            yield arch
        misses = 0
        while len(found) < min(n, space.size) and misses < MAX_MUTATIONS:
            arch = self._mutation(space, rng)
            misses += 1
            if arch.hash not in found and self.allows(arch):
                misses = 0
                found.add(arch.hash)
                yield arch
        if len(found) < n:
            self._note_few(len(found))

    def sample_distinct(
        self, space: SearchSpace, rng: np.random.Generator, n: int
    ) -> list[Architecture]:
        """Return the architectures of :meth:`distinct`."""
        return list(self.distinct(space, rng, n))

    def for_estimate(
        self, space: SearchSpace, rng: np.random.Generator, n: int
    ) -> list[Architecture]:
        """Return ``n`` random architectures within the limit, or the nearest ones of a few."""
        found: list[Architecture] = []
        others: list[tuple[float, Architecture]] = []
        while len(found) < n and len(found) + len(others) < _MAX_TIMED:
            arch = space.sample(rng)
            if self.allows(arch):
                found.append(arch)
            else:
                others.append((self._share(self.excess(arch)), arch))
        nearest = sorted(others, key=lambda one: one[0])
        return [*found, *(arch for _, arch in nearest)][:n]

    def _mutate_from_here(self) -> None:
        """Note that further architectures are mutations."""
        within, n = len(self._within), len(self._excesses)
        self._drawn = {"architectures": n, "within_limits": within}
        self.progress.note(
            f"{within or 'None'} of {n:,} architectures {'are' if within > 1 else 'is'} within "
            f"{self._options}: further ones are mutations."
        )

    def _note_few(self, n: int) -> None:
        found = "1 architecture" if n == 1 else f"{n:,} architectures"
        self.progress.note(f"No more than {found} within {self._options} found.")

    def _mutation(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return a mutation of an architecture within the limits."""
        return _neighbor(self._within[int(rng.integers(len(self._within)))], space, rng)

    def _shrunk(self, space: SearchSpace, rng: np.random.Generator) -> Architecture:
        """Return what mutations make of the architecture that is nearest to the limits."""
        share, nearest = self._nearest
        tried = 0
        while nearest is not None and share > 0 and tried < MAX_MUTATIONS:
            arch = _neighbor(nearest, space, rng)
            new = self._share(self.excess(arch))
            tried = 0 if new < share else tried + 1
            if new <= share:
                share, nearest = new, arch
        if nearest is None or share > 0:
            raise self._no_architecture()
        return nearest

    def _share(self, excess: Mapping[CostName, float]) -> float:
        """Return the sum of the excesses above 0, each as a share of its limit."""
        return sum(max(over, 0.0) / self.limits[name] for name, over in excess.items())

    @property
    def _options(self) -> str:
        return " and ".join(f"strategy.{_OPTIONS[name]}" for name in self.limits)

    def _no_architecture(self) -> OptionError:
        stated = (f"{limit:,} or fewer {_COSTS[name]}" for name, limit in self.limits.items())
        nearest = self._nearest[1]
        over = {} if nearest is None else self.excess(nearest)
        has = (f"{self.limits[name] + over[name]:,.0f} {_COSTS[name]}" for name in over)
        return OptionError(
            f"No architecture was found with {' and '.join(stated)}. The nearest of "
            f"{len(self._excesses):,} that were tried has {' and '.join(has)}.",
            where=self._options,
            fix="Allow more, or set options of the builder or of the search space that make the "
            "networks smaller.",
        )


def _neighbor(arch: Architecture, space: SearchSpace, rng: np.random.Generator) -> Architecture:
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
