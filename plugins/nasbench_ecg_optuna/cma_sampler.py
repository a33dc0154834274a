"""Optuna's sampler of CMA-ES with its state in memory.

Optuna writes the state of the optimizer to a trial, reads it back for every candidate, and goes
through all trials to find those of a generation. That allows several processes, but its seconds
grow with the square of the candidates. Here the state and the generations are kept. The candidates
are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from cmaes import CMA
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_SMALLEST_SIGMA = 1e-10
_LARGEST_SEED = 2**31 - 2
_SEEDS = 2**16


@dataclass
class _State:
    """The optimizer after the generation that was told in a trial.

    Attributes:
        trial: Number of the trial.
        told: The optimizer. A copy of it rounds its covariance to a symmetric matrix.
        optimizer: The same, for candidates: one that has proposed some is no longer told any.
    """

    trial: int
    told: CMA
    optimizer: CMA


@dataclass
class _Space:
    """Reals and integers in the unit cube; an integer has an interval of equal length.

    Attributes:
        names: The parameters, in the order of the axes.
        low: Lower ends of the intervals.
        width: Their widths.
        integers: Which parameters are integers.
    """

    names: Sequence[str]
    low: NDArray[np.float64]
    width: NDArray[np.float64]
    integers: NDArray[np.bool_]

    @classmethod
    def of(cls, space: dict[str, BaseDistribution]) -> _Space:
        integers = np.array([isinstance(one, IntDistribution) for one in space.values()])
        ends = np.array([_ends(one) for one in space.values()], np.float64)
        return cls(list(space), ends[:, 0], ends[:, 1] - ends[:, 0], integers)

    def point(self, params: dict[str, Any]) -> NDArray[np.float64]:
        """Return the point of values."""
        values = np.array([params[name] for name in self.names], float)
        return np.asarray((values - self.low) / self.width)

    def values(self, point: NDArray[np.float64]) -> dict[str, Any]:
        """Return the values of a point."""
        raw = point * self.width + self.low
        found: dict[str, Any] = {}
        high = self.low + self.width
        for i, name in enumerate(self.names):
            if self.integers[i]:
                low, last = int(self.low[i] + 0.5), int(high[i] - 0.5)
                found[name] = min(max(low + int(np.floor(raw[i] - low + 0.5)), low), last)
            else:
                found[name] = float(min(raw[i], np.nextafter(high[i], high[i] - 1)))
        return found


@dataclass
class _Memory:
    """What Optuna's sampler writes to trials.

    Attributes:
        distributions: The parameters that are sampled together.
        space: The same as a unit cube.
        states: The optimizer after each generation.
        generations: Numbers of the trials that each generation proposed.
    """

    distributions: dict[str, BaseDistribution]
    space: _Space
    states: list[_State] = field(default_factory=list)
    generations: dict[int, list[int]] = field(default_factory=dict)


class CmaEsInMemory(CmaEsSampler):
    """CMA-ES of one study in one process, on reals and integers.

    Args:
        seed: Seed of the candidates.
        population: Candidates of a generation; None: as many as the dimensions call for.
        sigma: Initial standard deviation in the unit cube; None: one sixth.
    """

    def __init__(self, seed: int, *, population: int | None, sigma: float | None) -> None:
        super().__init__(seed=seed, warn_independent_sampling=False)
        self._rng = np.random.RandomState(seed)
        self._population, self._sigma = population, sigma
        self._memory: _Memory | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that are sampled together: those of the first complete trial."""
        if self._memory is None:
            found = super().infer_relative_search_space(study, trial)
            if not found:
                return {}
            self._memory = _Memory(found, _Space.of(found))
        return self._memory.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the next candidate; none before the first complete trial."""
        memory = self._memory
        if memory is None:
            return {}
        trials = study.get_trials(deepcopy=False)
        state = next((s for s in reversed(memory.states) if _complete(trials[s.trial])), None)
        optimizer = state.optimizer if state is not None else self._new_optimizer(memory.space)
        proposed = memory.generations.get(optimizer.generation, [])
        scored = [t for t in map(trials.__getitem__, proposed) if _complete(t)]
        if len(scored) >= optimizer.population_size:
            if state is not None:
                optimizer = deepcopy(state.told)
            sign = 1 if study.direction == StudyDirection.MINIMIZE else -1
            told = scored[: optimizer.population_size]
            optimizer.tell([(memory.space.point(t.params), sign * (t.value or 0.0)) for t in told])
            copied = deepcopy(optimizer)
            memory.states.append(_State(trial.number, copied, deepcopy(copied)))
        optimizer.reseed_rng(self._rng.randint(1, _SEEDS) + trial.number)
        memory.generations.setdefault(optimizer.generation, []).append(trial.number)
        return memory.space.values(optimizer.ask())

    def _new_optimizer(self, space: _Space) -> CMA:
        dimensions = len(space.names)
        return CMA(
            mean=np.full(dimensions, 0.5),
            sigma=max(1 / 6 if self._sigma is None else self._sigma, _SMALLEST_SIGMA),
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            seed=self._rng.randint(1, _LARGEST_SEED),
            n_max_resampling=10 * dimensions,
            population_size=self._population,
        )


def _ends(distribution: BaseDistribution) -> tuple[float, float]:
    """Return the ends of the interval of a real number, or of the intervals of integers."""
    if isinstance(distribution, IntDistribution):
        return distribution.low - 0.5, distribution.high + 0.5
    assert isinstance(distribution, FloatDistribution)
    return distribution.low, distribution.high


def _complete(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE
