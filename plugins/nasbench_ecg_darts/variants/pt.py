"""What the relaxed network loses without an operation or an edge (Wang et al. 2021, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.options import DartsPtOptions
from nasbench_ecg_darts.relaxation import CELL_NAMES, Alpha, discretise, mixing_weights
from nasbench_ecg_darts.search import Darts
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.supernet import CellName, EdgeWeights, edge_index, n_edges
from nasbench_ecg_darts.variants.base import Moment, Variant

Score = tuple[float, float]
"""Accuracy, and the negative loss, which decides where accuracies are equal."""


def choose_operation(state: SearchState, cell: CellName, edge: int, beats: int | None) -> None:
    """Give an edge the operation without which the relaxed network does worst."""

    def without(operation: int) -> Score:
        weights = state.mix(state.alpha)
        weights[cell][edge, operation] = 0
        return score(state, weights, beats)

    real = [o for o, name in enumerate(state.space.operations) if name != "none"]
    state.memory["chosen"][cell][edge, _least(without, real)] = 1
    state.memory["decided"][cell][edge] = True


def choose_edges(state: SearchState, cell: CellName, node: int, beats: int | None) -> None:
    """Cut edges off a node, one at a time the one that is missed least, until it has two."""

    def without(edge: int) -> Score:
        weights = state.mix(state.alpha)
        weights[cell][edge] = 0
        accuracy, negative_loss = score(state, weights, beats)
        return -accuracy, -negative_loss

    edges = [edge_index(node, source) for source in range(node + 2)]
    while len(edges) > 2:
        cut = _least(without, edges)
        state.memory["chosen"][cell][cut] = 0
        edges.remove(cut)


def _least(score_of: Callable[[int], Score], candidates: Iterable[int]) -> int:
    return min(candidates, key=score_of)


def score(state: SearchState, weights: EdgeWeights, beats: int | None) -> Score:
    """Return how well the relaxed network does on fixed validation beats, with batch statistics."""
    probe = state.probe(beats)
    correct = loss = torch.zeros((), device=probe.y.device)
    xs, ys = (torch.split(whole, state.batch_size) for whole in (probe.x, probe.y))
    for x, y in zip(xs, ys, strict=True):
        buffers = {name: value.clone() for name, value in state.net.named_buffers()}
        logits: Tensor = functional_call(state.net, buffers, (x, weights)).float()
        correct = correct + (logits.argmax(1) == y).sum()
        loss = loss + cross_entropy(logits, y, reduction="sum")
    return float(correct) / len(probe.y), -float(loss) / len(probe.y)


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
