"""The hooks by which the variants of DARTS differ, around one supernet and one search loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nasbench_ecg.api import SearchContext, Task
from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.architect import Mix
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import Alpha, discretize, mixing_weights
from nasbench_ecg_darts.state import SearchProgress, SearchState
from nasbench_ecg_darts.supernet import EdgeWeights


def _softmax(alpha: Alpha, progress: SearchProgress) -> EdgeWeights:
    return mixing_weights(alpha)


@dataclass(frozen=True)
class Variant:
    """A member of the DARTS family; the defaults are DARTS itself.

    Attributes:
        name: Name of the strategy.
        edges: Makes the mixed edges of a cell, see :class:`~nasbench_ecg_darts.supernet.SuperNet`.
        extra_columns: Columns of α beyond one per operation.
        without_none: Whether ``none`` is left out of the candidate operations.
        alpha_scale: Standard deviation of the first α.
        alpha_betas: Betas of Adam over α.
        mix: Returns the mixing weights of a step; may draw from torch's global generator.
        deterministic_mix: The same without randomness, for the Hessian; None where ``mix`` draws
            nothing.
        strengths: Returns the weights [n_edges, |O|] by which edges and operations are ranked.
        penalty: Returns a term that is added to the validation loss of α.
        derive_by: Returns the discrete cells; None to rank by ``strengths``.
        after_epoch: Called with the state and the figures of each epoch. It may change α and the
            state's memory, and returns whether the search ends.
        tuning_rounds: Number of short training rounds after the last epoch.
        epochs_per_round: Length of a tuning round in epochs.
        capturable: Whether every step runs the same kernels and reads nothing from the host, so
            that a CUDA graph can replay it.
        extra_steps: Returns the cost of work outside the steps, in steps; for estimates.
        details: Returns what the variant adds to the details of the result.
    """

    name: str = "darts"
    edges: Callable[..., nn.Module] = MergedEdges
    extra_columns: int = 0
    without_none: bool = False
    alpha_scale: float = 1e-3
    alpha_betas: tuple[float, float] = (0.5, 0.999)
    mix: Callable[[Alpha, SearchProgress], EdgeWeights] = _softmax
    deterministic_mix: Callable[[Alpha, SearchProgress], EdgeWeights] | None = None
    strengths: Callable[[Alpha], EdgeWeights] = mixing_weights
    penalty: Callable[[Alpha, SearchProgress], Tensor] | None = None
    derive_by: Callable[[SearchState], Genotype] | None = None
    after_epoch: Callable[[SearchState, Mapping[str, float]], bool] | None = None
    tuning_rounds: Callable[[ConvCells], int] = lambda space: 0
    epochs_per_round: float = 0.0
    capturable: bool = True
    extra_steps: Callable[[SearchState], float] = lambda state: 0.0
    details: Callable[[SearchState], dict[str, Any]] = lambda state: {}

    def start(
        self, options: DartsOptions, task: Task, space: ConvCells, ctx: SearchContext
    ) -> SearchState:
        """Return the state of a search before its first step."""
        return SearchState.start(
            options,
            task,
            space.without_none() if self.without_none else space,
            ctx,
            edges=self.edges,
            extra_columns=self.extra_columns,
            alpha_scale=self.alpha_scale,
            alpha_betas=self.alpha_betas,
        )

    def mixing(self, state: SearchState) -> Mix:
        """Return the function from α to the mixing weights of the current step."""
        return lambda alpha: self.mix(alpha, state.progress)

    def deterministic_mixing(self, state: SearchState) -> Mix:
        """Return :meth:`mixing` without randomness."""
        mix = self.deterministic_mix or self.mix
        return lambda alpha: mix(alpha, state.progress)

    def derive(self, state: SearchState) -> Genotype:
        """Return the discrete cells that α currently encodes."""
        if self.derive_by is not None:
            return self.derive_by(state)
        return discretize(self.strengths(state.alpha), state.space.operations, state.space.nodes)


DARTS = Variant()
"""DARTS itself (Liu et al. 2019)."""
