"""DARTS-PT: operations and edges by what the network loses without them."""

from __future__ import annotations

import copy

import pytest
import torch
from darts_relatives import CONV, OPERATIONS, SKIP, found, prefer, started
from darts_searches import SPACE
from torch.nn.functional import cross_entropy

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_darts import (
    darts_pt,
    perturbation,
)
from nasbench_ecg_darts.relaxation import mixing_weights
from nasbench_ecg_darts.supernet import edge_index


def worth(table):
    """Return a score that loses what ``table`` says for every weight that is gone."""

    def score(state, weights, beats):
        lost = sum(v for (cell, row, o), v in table.items() if weights[cell][row, o] == 0)
        return -float(lost), 0.0

    return score


def test_the_operation_that_is_missed_most_is_chosen_whatever_alpha_says(monkeypatch):
    state = started("darts-pt")
    prefer(state.alpha, "normal", SKIP, [0])
    darts_pt._prepare(state)
    monkeypatch.setattr(
        perturbation, "score", worth({("normal", 0, CONV): 0.3, ("normal", 0, SKIP): 0.1})
    )
    with torch.no_grad():
        perturbation.choose_operation(state, "normal", 0, None)
    weights = state.mix(state.alpha)["normal"]
    assert weights[0].tolist() == [float(o == CONV) for o in range(len(OPERATIONS))]
    torch.testing.assert_close(weights[1:], mixing_weights(state.alpha)["normal"][1:])
    assert state.genotype().normal[0][0].operation == "conv-3"


def test_a_removal_sets_one_weight_to_zero_and_none_is_never_tried(monkeypatch):
    state = started("darts-pt")
    darts_pt._prepare(state)
    expected = mixing_weights(state.alpha)
    tried = []

    def score(state, weights, beats):
        gone = (weights["normal"] == 0).nonzero().tolist()
        kept = weights["normal"] != 0
        assert torch.equal(weights["normal"][kept], expected["normal"][kept])
        assert torch.equal(weights["reduction"], expected["reduction"])
        tried.extend(map(tuple, gone))
        return 0.0, 0.0

    monkeypatch.setattr(perturbation, "score", score)
    with torch.no_grad():
        perturbation.choose_operation(state, "normal", 3, None)
    assert tried == [(3, o) for o, name in enumerate(OPERATIONS) if name != "none"]


def test_the_edges_that_are_missed_most_stay(monkeypatch):
    state = started("darts-pt", projection_beats=None)
    darts_pt._prepare(state)
    edges = [edge_index(1, source) for source in range(3)]
    for row in edges:
        state.memory["chosen"]["normal"][row, CONV] = 1
        state.memory["decided"]["normal"][row] = True
    missed = {("normal", row, CONV): v for row, v in zip(edges, (0.5, 0.1, 0.4), strict=True)}
    monkeypatch.setattr(perturbation, "score", worth(missed))
    with torch.no_grad():
        perturbation.choose_edges(state, "normal", 1, None)
    assert [edge.source for edge in state.genotype().normal[1]] == [0, 2]
    assert not state.mix(state.alpha)["normal"][edges[1]].any()


def test_the_score_is_the_accuracy_and_loss_of_the_relaxed_network_and_leaves_it_alone():
    state = started("darts-pt")
    before = copy.deepcopy(state.net.state_dict())
    weights = mixing_weights(state.alpha)
    with torch.no_grad():
        accuracy, negative_loss = perturbation.score(state, weights, 20)
        probe = state.probe(20)
        for name, value in state.net.state_dict().items():
            assert torch.equal(value, before[name])
        logits = state.net(probe.x, weights)
    assert accuracy == pytest.approx(float((logits.argmax(1) == probe.y).float().mean()))
    assert -negative_loss == pytest.approx(float(cross_entropy(logits, probe.y)), rel=1e-5)


def test_all_edges_are_decided_in_turn_and_the_cells_are_the_decisions():
    result, trajectory = found("darts-pt")
    # Two nodes: five edges and one node with more than two; tuning lies between the decisions.
    assert darts_pt.decisions(SPACE) == 6
    assert len(trajectory) == 2 + 5
    genotype = Genotype.from_architecture(result.architecture)
    assert len(genotype.normal) == 2


def test_without_time_for_decisions_alpha_stands_in():
    state = started("darts-pt")
    prefer(state.alpha, "normal", CONV, range(5))
    assert {e.operation for node in state.genotype().normal for e in node} == {"conv-3"}
