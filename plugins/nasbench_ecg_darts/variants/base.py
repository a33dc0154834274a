"""What tells the relatives of DARTS apart: a few hooks around one supernet and one search loop.

A relative is a :class:`Variant` that changes one or two of them; each has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.relaxation import Alpha, discretise, mixing_weights
from nasbench_ecg_darts.supernet import EdgeWeights

if TYPE_CHECKING:
    from nasbench_ecg_darts.state import SearchState


@dataclass(frozen=True)
class Moment:
    """Where a search stands, for what changes in its course.

    Attributes:
        epoch: Epochs that are over.
        epochs: Epochs of the search.
        operations: Candidate operations, the columns of α.
        memory: What the relative remembers, :attr:`SearchState.memory`.
    """

    epoch: int
    epochs: int
    operations: tuple[str, ...]
    memory: Mapping[str, Any]


def _softmax(alpha: Alpha, moment: Moment) -> EdgeWeights:
    return mixing_weights(alpha)


def _by_strength(state: SearchState) -> Genotype:
    strengths = state.variant.strengths(state.alpha)
    return discretise(strengths, state.space.operations, state.space.nodes)


@dataclass(frozen=True)
class Variant:
    """A member of the family; the defaults are DARTS itself.

    Attributes:
        name: Name of the strategy.
        edges: Makes the mixed edges of a cell, see :class:`~nasbench_ecg_darts.supernet.SuperNet`.
        columns: Columns of α beyond one an operation.
        mix: How α becomes the mixing weights of a step; may draw from torch's global generator.
        noiseless: The same without chance, for the Hessian; None where ``mix`` has none.
        strengths: Weights [n_edges, |O|] that edges and operations are ranked by.
        penalty: Added to the validation loss that α descends.
        derive: The discrete cells that the state stands for.
        after_epoch: Called with the state and the epoch's figures after each epoch; may change α
            and the state's memory, and returns whether the search is over.
        rounds: Short epochs that follow the search's own, for a space.
        round_epochs: Length of such a round, in epochs.
        steady: Whether a step computes the same in every epoch and asks nothing of the host: then
            a GPU may replay it.
        extra_steps: Work beyond the steps, in steps of the search; for estimates.
        report: What a relative adds to the details of the result.
    """

    name: str = "darts"
    edges: Callable[..., nn.Module] = MergedEdges
    columns: int = 0
    mix: Callable[[Alpha, Moment], EdgeWeights] = _softmax
    noiseless: Callable[[Alpha, Moment], EdgeWeights] | None = None
    strengths: Callable[[Alpha], EdgeWeights] = mixing_weights
    penalty: Callable[[Alpha, Moment], Tensor] | None = None
    derive: Callable[[SearchState], Genotype] = _by_strength
    after_epoch: Callable[[SearchState, Mapping[str, float]], bool] | None = None
    rounds: Callable[[ConvCells], int] = lambda space: 0
    round_epochs: float = 0.0
    steady: bool = True
    extra_steps: Callable[[SearchState], float] = lambda state: 0.0
    report: Callable[[SearchState], dict[str, Any]] = lambda state: {}


DARTS = Variant()
"""DARTS itself (Liu et al. 2019)."""
