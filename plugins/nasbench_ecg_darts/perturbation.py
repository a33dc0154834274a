"""What the relaxed network loses without an operation or an edge (Wang et al. 2021, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.supernet import CellName, EdgeWeights, edge_index

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
