"""DARTS-PT: choose operations and edges by how much the relaxed network loses without them.

After a search by DARTS, every edge keeps the operation whose removal lowers the validation accuracy
most; then every node keeps the two edges whose removal does. The supernet is tuned for some epochs
after each decision.

References:
    Wang et al. 2021, "Rethinking Architecture Selection in Differentiable NAS", ICLR; section 4,
    Algorithm 1 (perturbation-based architecture selection).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.options import DartsPtOptions
from nasbench_ecg_darts.relaxation import CELL_NAMES, Alpha, discretize, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchProgress, SearchState
from nasbench_ecg_darts.supernet import CellName, EdgeWeights, edge_index, n_edges
from nasbench_ecg_darts.variant import Variant

Score = tuple[float, float]
"""Accuracy, and the negative loss, which decides between equal accuracies."""


def darts_pt(options: DartsPtOptions) -> Darts:
    """Return DARTS with perturbation-based architecture selection.

    Choose it where α is a poor guide to the best operations. It takes about twice as long as
    ``darts``, and nearly three times in the profile ``paper``.
    """
    return Darts(
        options,
        Variant(
            name="darts-pt",
            capturable=False,
            mix=mix,
            derive_by=derive,
            after_epoch=partial(decide_after_epoch, options=options),
            tuning_rounds=lambda space: n_decisions(space) - 1,
            epochs_per_round=options.tune_epochs,
            extra_steps=partial(extra_steps, options=options),
        ),
    )


def n_decisions(space: ConvCells) -> int:
    """Return the number of decisions per cell: one for each edge, then one for each later node.

    The first node has two edges and keeps both.
    """
    return n_edges(space.nodes) + space.nodes - 1


def mix(alpha: Alpha, progress: SearchProgress) -> EdgeWeights:
    """Return softmax(α); a decided edge has weight 1 on its operation, or 0 where it was cut."""
    weights = mixing_weights(alpha)
    if "decided" not in progress.memory:
        return weights
    decided, chosen = progress.memory["decided"], progress.memory["chosen"]
    return {
        name: torch.where(decided[name].to(w.device).unsqueeze(1), chosen[name].to(w.device), w)
        for name, w in weights.items()
    }


def decide_after_epoch(
    state: SearchState, figures: Mapping[str, float], *, options: DartsPtOptions
) -> bool:
    """Take the next decision in both cells once the epochs of the search are over.

    Returns:
        Whether it was the last decision.
    """
    turn = state.epoch - options.epochs
    if turn < 0:
        return False
    if "decided" not in state.memory:
        start_decisions(state)
    edges, beats = n_edges(state.space.nodes), options.projection_beats
    with torch.no_grad():
        for name in CELL_NAMES:
            if turn < edges:
                choose_operation(state, name, state.memory["edges"][name][turn], beats)
            else:
                choose_edges(state, name, state.memory["nodes"][name][turn - edges], beats)
    return turn + 1 == n_decisions(state.space)


def start_decisions(state: SearchState) -> None:
    """Draw the order of the decisions, and mark all edges as undecided."""

    def order(first: int, n: int) -> dict[CellName, list[int]]:
        return {
            name: (first + torch.randperm(n, generator=state.generator)).tolist()
            for name in CELL_NAMES
        }

    state.memory.update(
        edges=order(0, n_edges(state.space.nodes)),
        nodes=order(1, state.space.nodes - 1),
        decided={n: torch.zeros_like(a[:, 0], dtype=torch.bool) for n, a in state.alpha.items()},
        chosen={n: torch.zeros_like(a) for n, a in state.alpha.items()},
    )


def choose_operation(state: SearchState, cell: CellName, edge: int, beats: int | None) -> None:
    """Keep on an edge the operation without which the relaxed network scores lowest."""

    def score_without(operation: int) -> Score:
        weights = mix(state.alpha, state.progress)
        weights[cell][edge, operation] = 0
        return score(state, weights, beats)

    real = [o for o, name in enumerate(state.space.operations) if name != "none"]
    state.memory["chosen"][cell][edge, min(real, key=score_without)] = 1
    state.memory["decided"][cell][edge] = True


def choose_edges(state: SearchState, cell: CellName, node: int, beats: int | None) -> None:
    """Keep the two edges into a node without which the relaxed network scores lowest."""

    def score_without(edge: int) -> Score:
        weights = mix(state.alpha, state.progress)
        weights[cell][edge] = 0
        return score(state, weights, beats)

    edges = [edge_index(node, source) for source in range(node + 2)]
    state.memory["chosen"][cell][sorted(edges, key=score_without)[2:]] = 0


def score(state: SearchState, weights: EdgeWeights, beats: int | None) -> Score:
    """Return the relaxed network's score on fixed validation beats, with batch statistics.

    A last batch of a single beat is left out: batch normalization needs a variance.
    """
    fixed = state.fixed_validation_batch(beats)
    n_beats = len(fixed.y)
    if n_beats % state.batch_size == 1 < n_beats:
        n_beats -= 1
    batches = (torch.split(whole[:n_beats], state.batch_size) for whole in (fixed.x, fixed.y))
    correct = loss = torch.zeros((), device=fixed.y.device)
    for x, y in zip(*batches, strict=True):
        buffers = {name: value.clone() for name, value in state.net.named_buffers()}
        logits: Tensor = functional_call(state.net, buffers, (x, weights)).float()
        correct = correct + (logits.argmax(1) == y).sum()
        loss = loss + cross_entropy(logits, y, reduction="sum")
    return float(correct) / n_beats, -float(loss) / n_beats


def derive(state: SearchState) -> Genotype:
    """Return the decided cells; α ranks the operations and edges that are not decided yet."""
    strengths = mixing_weights(state.alpha)
    if "decided" in state.memory:
        decided, chosen = state.memory["decided"], state.memory["chosen"]
        strengths = {
            name: w * torch.where(decided[name].unsqueeze(1), chosen[name], 1.0).to(w.device)
            for name, w in strengths.items()
        }
    return discretize(strengths, state.space.operations, state.space.nodes)


def extra_steps(state: SearchState, *, options: DartsPtOptions) -> float:
    """Return the cost of all decisions in steps; a step costs about five forward passes."""
    edges = n_edges(state.space.nodes)
    real = sum(name != "none" for name in state.space.operations)
    scored = 2 * (edges * real + edges - 2)  # the first node keeps both of its edges
    beats = min(options.projection_beats or len(state.validation), len(state.validation))
    return scored * beats / state.batch_size / 5
