"""DARTS-PT: operations and edges selected by the loss of the network without them."""

from __future__ import annotations

import copy

import pytest
import torch
from darts_searches import (
    CONV,
    OPERATIONS,
    SKIP,
    SPACE,
    completed,
    context,
    prefer,
    started,
    strategy_of,
    task_of,
)
from torch.nn.functional import cross_entropy

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.relaxation import mixing_weights
from nasbench_ecg_darts.search import steps_of_epochs
from nasbench_ecg_darts.supernet import edge_index
from nasbench_ecg_darts.variants import pt


def worth(table):
    """Return a score that falls by the value in ``table`` for every weight that is 0."""

    def score(state, weights, beats):
        lost = sum(v for (cell, row, o), v in table.items() if weights[cell][row, o] == 0)
        return -float(lost), 0.0

    return score


def test_the_operation_with_the_largest_loss_is_chosen_whatever_its_alpha(monkeypatch):
    variant, state = started("darts-pt")
    prefer(state.alpha, "normal", SKIP, [0])
    pt.start_decisions(state)
    monkeypatch.setattr(pt, "score", worth({("normal", 0, CONV): 0.3, ("normal", 0, SKIP): 0.1}))
    with torch.no_grad():
        pt.choose_operation(state, "normal", 0, None)
    weights = variant.mixing(state)(state.alpha)["normal"]
    assert weights[0].tolist() == [float(o == CONV) for o in range(len(OPERATIONS))]
    torch.testing.assert_close(weights[1:], mixing_weights(state.alpha)["normal"][1:])
    assert variant.derive(state).normal[0][0].operation == "conv-3"


def test_a_removal_sets_one_weight_to_zero_and_none_is_never_tried(monkeypatch):
    _, state = started("darts-pt")
    pt.start_decisions(state)
    expected = mixing_weights(state.alpha)
    tried = []

    def score(state, weights, beats):
        gone = (weights["normal"] == 0).nonzero().tolist()
        kept = weights["normal"] != 0
        assert torch.equal(weights["normal"][kept], expected["normal"][kept])
        assert torch.equal(weights["reduction"], expected["reduction"])
        tried.extend(map(tuple, gone))
        return 0.0, 0.0

    monkeypatch.setattr(pt, "score", score)
    with torch.no_grad():
        pt.choose_operation(state, "normal", 3, None)
    assert tried == [(3, o) for o, name in enumerate(OPERATIONS) if name != "none"]


def test_the_edges_with_the_largest_losses_are_kept(monkeypatch):
    variant, state = started("darts-pt", projection_beats=None)
    pt.start_decisions(state)
    edges = [edge_index(1, source) for source in range(3)]
    for row in edges:
        state.memory["chosen"]["normal"][row, CONV] = 1
        state.memory["decided"]["normal"][row] = True
    missed = {("normal", row, CONV): v for row, v in zip(edges, (0.5, 0.1, 0.4), strict=True)}
    monkeypatch.setattr(pt, "score", worth(missed))
    with torch.no_grad():
        pt.choose_edges(state, "normal", 1, None)
    assert [edge.source for edge in variant.derive(state).normal[1]] == [0, 2]
    assert not variant.mixing(state)(state.alpha)["normal"][edges[1]].any()


def test_every_edge_is_scored_alone_beside_all_others_into_its_node(monkeypatch):
    """Wang et al. 2021, Algorithm 1: a node keeps the two edges with the lowest ACC without them.

    The first two of the four edges do the same: either can go, but not both. Cutting edges one
    after another would keep the second.
    """
    strategy, task, space = strategy_of("darts-pt"), task_of(), ConvCells(ConvCellsOptions(nodes=3))
    state = strategy.variant.start(strategy.options, task, space, context(task))
    pt.start_decisions(state)
    edges = [edge_index(2, source) for source in range(4)]
    for row in edges:
        state.memory["chosen"]["normal"][row, CONV] = 1
        state.memory["decided"]["normal"][row] = True

    def accuracy(state, weights, beats):
        present = [bool(weights["normal"][row].any()) for row in edges]
        lost = sum(v for v, here in zip((0.01, 0.02, 0.1, 0.2), present, strict=True) if not here)
        return 0.9 - lost - (0.0 if any(present[:2]) else 0.5), 0.0

    monkeypatch.setattr(pt, "score", accuracy)
    with torch.no_grad():
        pt.choose_edges(state, "normal", 2, None)
    assert [edge.source for edge in strategy.variant.derive(state).normal[2]] == [2, 3]


def test_the_score_is_accuracy_and_loss_of_the_relaxed_network_and_does_not_change_it():
    _, state = started("darts-pt")
    before = copy.deepcopy(state.net.state_dict())
    weights = mixing_weights(state.alpha)
    with torch.no_grad():
        accuracy, negative_loss = pt.score(state, weights, 20)
        probe = state.fixed_validation_batch(20)
        for name, value in state.net.state_dict().items():
            assert torch.equal(value, before[name])
        logits = state.net(probe.x, weights)
    assert accuracy == pytest.approx(float((logits.argmax(1) == probe.y).float().mean()))
    assert -negative_loss == pytest.approx(float(cross_entropy(logits, probe.y)), rel=1e-5)


def test_a_last_batch_of_a_single_beat_is_left_out():
    _, state = started("darts-pt", batch_size=19)
    weights = mixing_weights(state.alpha)
    with torch.no_grad():
        accuracy, negative_loss = pt.score(state, weights, 20)
        probe = state.fixed_validation_batch(20)
        logits = state.net(probe.x[:19], weights)
    assert accuracy == pytest.approx(float((logits.argmax(1) == probe.y[:19]).float().mean()))
    assert -negative_loss == pytest.approx(float(cross_entropy(logits, probe.y[:19])), rel=1e-5)


def test_the_epochs_of_a_tuning_round_are_drawn_as_those_of_the_search_are():
    strategy = strategy_of("darts-pt", tune_epochs=3, beats=40, majority_share=0.5)
    task = task_of(shares=(0.7, 0.15, 0.15))
    state = strategy.variant.start(strategy.options, task, SPACE, context(task))
    steps = steps_of_epochs(state, strategy.variant)[-1]
    assert steps == 3 * state.steps_per_epoch == 6
    list(state.batches(steps))
    for order, labels in zip(
        state.order, (state.train_labels, state.validation_labels), strict=True
    ):
        epochs = order.split(40)
        for epoch in epochs:
            assert len(epoch.unique()) == 40
            assert labels[epoch].bincount().max() <= 20
        assert not torch.equal(epochs[0], epochs[1])


def test_all_edges_are_decided_in_turn_and_the_cells_are_the_decisions():
    result, trajectory = completed("darts-pt")
    # Two nodes: five edges and one node with more than two; tuning lies between the decisions.
    assert pt.n_decisions(SPACE) == 6
    assert len(trajectory) == 2 + 5
    genotype = Genotype.from_architecture(result.architecture)
    assert len(genotype.normal) == 2


def test_without_decisions_the_cells_are_derived_from_alpha():
    variant, state = started("darts-pt")
    prefer(state.alpha, "normal", CONV, range(5))
    assert {e.operation for node in variant.derive(state).normal for e in node} == {"conv-3"}


def test_a_cell_of_one_node_has_two_decisions():
    assert pt.n_decisions(ConvCells(ConvCellsOptions(nodes=1))) == 2
    assert pt.n_decisions(ConvCells(ConvCellsOptions(nodes=4))) == 17
