"""DARTS-PT: operations are chosen by what their loss costs the relaxed network, not by α.

References:
    Wang et al. 2021, "Rethinking Architecture Selection in Differentiable NAS", ICLR; algorithm 1.
    What it leaves open is as in its authors' code: edges in random order, batch statistics, α and
    weights both go on learning between decisions. The weights' learning rate stays at its least
    there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.family import DartsPtOptions
from nasbench_ecg_darts.perturbation import choose_edges, choose_operation
from nasbench_ecg_darts.relaxation import CELL_NAMES, Alpha, discretise, mixing_weights
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.strategy import Darts
from nasbench_ecg_darts.supernet import CellName, EdgeWeights, n_edges
from nasbench_ecg_darts.variant import Moment, Variant


def darts_pt(options: DartsPtOptions) -> Darts:
    """Return DARTS with perturbation-based selection.

    Choose it where α is not to be trusted: after a search by ``darts``, every edge tries each
    operation's removal. It takes about twice as long.
    """
    return Darts(
        options,
        Variant(
            name="darts-pt",
            steady=False,
            mix=mix,
            derive=derive,
            after_epoch=partial(after_epoch, options=options),
            rounds=lambda space: decisions(space) - 1,
            round_epochs=options.tune_epochs,
            extra_steps=partial(extra_steps, options=options),
        ),
    )


def decisions(space: ConvCells) -> int:
    """Return how often both cells decide: on each edge's operation, then on each node's edges."""
    return n_edges(space.nodes) + space.nodes - 1


def mix(alpha: Alpha, moment: Moment) -> EdgeWeights:
    """Return softmax(α), but on decided edges the one operation, or nothing where one was cut."""
    weights = mixing_weights(alpha)
    if "decided" not in moment.memory:
        return weights
    decided, chosen = moment.memory["decided"], moment.memory["chosen"]
    return {
        name: torch.where(decided[name].to(w.device).unsqueeze(1), chosen[name].to(w.device), w)
        for name, w in weights.items()
    }


def after_epoch(
    state: SearchState, figures: Mapping[str, float], *, options: DartsPtOptions
) -> bool:
    """Take the next decision in both cells once the search's own epochs are over."""
    turn = state.epoch - options.epochs
    if turn < 0:
        return False
    if "decided" not in state.memory:
        _prepare(state)
    edges, beats = n_edges(state.space.nodes), options.projection_beats
    with torch.no_grad():
        for name in CELL_NAMES:
            if turn < edges:
                choose_operation(state, name, state.memory["edges"][name][turn], beats)
            else:
                choose_edges(state, name, state.memory["nodes"][name][turn - edges], beats)
    return turn + 1 == decisions(state.space)


def _prepare(state: SearchState) -> None:
    def order(first: int, n: int) -> dict[CellName, list[int]]:
        return {
            name: (first + torch.randperm(n, generator=state.generator)).tolist()
            for name in CELL_NAMES
        }

    state.memory.update(
        edges=order(0, n_edges(state.space.nodes)),
        nodes=order(1, state.space.nodes - 1),  # the first node has two edges and keeps them
        decided={n: torch.zeros_like(a[:, 0], dtype=torch.bool) for n, a in state.alpha.items()},
        chosen={n: torch.zeros_like(a) for n, a in state.alpha.items()},
    )


def derive(state: SearchState) -> Genotype:
    """Return the cells as decided; α stands in for decisions that there was no time for."""
    strengths = mixing_weights(state.alpha)
    if "decided" in state.memory:
        decided, chosen = state.memory["decided"], state.memory["chosen"]
        strengths = {
            name: w * torch.where(decided[name].unsqueeze(1), chosen[name], 1.0).to(w.device)
            for name, w in strengths.items()
        }
    return discretise(strengths, state.space.operations, state.space.nodes)


def extra_steps(state: SearchState, *, options: DartsPtOptions) -> float:
    """Return the cost of all decisions, in steps: a step is about five times a forward pass."""
    nodes = state.space.nodes
    real = sum(name != "none" for name in state.space.operations)
    cuts = sum(sum(range(3, node + 3)) for node in range(1, nodes))
    beats = min(options.projection_beats or len(state.validation), len(state.validation))
    return 2 * (n_edges(nodes) * real + cuts) * beats / state.batch_size / 5
