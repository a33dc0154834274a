"""From α to cells: mixing weights, their indicators, and the discrete cell."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_ecg_cells.genotype import Genotype
from nasbench_ecg_cells.options import (
    OPERATIONS,
    ConvCellsOptions,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.relaxation import (
    discretize,
    entropy,
    initial_alpha,
    mixing_weights,
    skip_share,
)


def strongest_cell(rows, operations, nodes):
    """Return DARTS' cell by trying every pair of edges with every pair of real operations."""
    cell, start = [], 0
    for node in range(nodes):
        sources = range(node + 2)
        candidates = [
            (rows[start + s][o], s, name)
            for s in sources
            for o, name in enumerate(operations)
            if name != "none"
        ]
        pairs = [(a, b) for a, b in itertools.combinations(candidates, 2) if a[1] != b[1]]
        best = max(pairs, key=lambda pair: pair[0][0] + pair[1][0])
        cell.append(sorted((source, name) for _, source, name in best))
        start += node + 2
    return cell


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
    st.sampled_from([OPERATIONS, ("none", "skip", "conv-3"), ("conv-9", "none"), ("skip",)]),
)
@settings(max_examples=60, deadline=None)
def test_the_discrete_cell_is_the_strongest_by_brute_force(seed, nodes, operations):
    rng = np.random.default_rng(seed)
    rows = nodes * (nodes + 3) // 2
    weights = {
        name: torch.tensor(rng.normal(size=(rows, len(operations)))).softmax(-1)
        for name in ("normal", "reduction")
    }
    genotype = discretize(weights, operations, nodes)
    for name in ("normal", "reduction"):
        got = [[(e.source, e.operation) for e in node] for node in getattr(genotype, name)]
        assert got == strongest_cell(weights[name].tolist(), operations, nodes)
    ConvCells(ConvCellsOptions(nodes=nodes, operations=operations)).validate(
        genotype.to_architecture()
    )


def test_none_is_never_chosen_however_strong():
    column = OPERATIONS.index("none")
    logits = torch.zeros(14, 10)
    logits[:, column] = 50
    weights = {name: logits.softmax(-1) for name in ("normal", "reduction")}
    genotype = discretize(weights, OPERATIONS, 4)
    edges = [e for cell in (genotype.normal, genotype.reduction) for node in cell for e in node]
    assert len(edges) == 16
    assert all(edge.operation != "none" for edge in edges)


def test_a_heavy_none_weakens_its_edge_against_others():
    # Section 2.4 of DARTS compares softmax weights that "none" takes part in.
    logits = torch.zeros(5, 3)  # two nodes; operations none, skip, conv-3
    logits[2:, 1] = torch.tensor([2.0, 1.5, 1.0])
    logits[2, 0] = 5.0
    genotype = discretize(
        {name: logits.softmax(-1) for name in ("normal", "reduction")},
        ("none", "skip", "conv-3"),
        2,
    )
    assert [edge.source for edge in genotype.normal[1]] == [1, 2]


def test_alpha_starts_as_the_paper_says():
    torch.manual_seed(0)
    alpha = initial_alpha(4, 10, "cpu")
    assert {name: tuple(value.shape) for name, value in alpha.items()} == {
        "normal": (14, 10),
        "reduction": (14, 10),
    }
    assert all(value.is_leaf and value.requires_grad for value in alpha.values())
    values = torch.cat([value.detach().ravel() for value in alpha.values()])
    assert 0.8e-3 < values.std() < 1.2e-3
    assert not torch.equal(alpha["normal"], alpha["reduction"])


def test_mixing_weights_are_a_softmax_over_the_operations_of_an_edge():
    alpha = {name: torch.randn(5, 3).requires_grad_() for name in ("normal", "reduction")}
    weights = mixing_weights(alpha)
    for name, value in alpha.items():
        expected = value.exp() / value.exp().sum(1, keepdim=True)
        torch.testing.assert_close(weights[name], expected)


def test_entropy_is_log_10_where_uniform_and_zero_where_decided():
    uniform = {name: torch.full((14, 10), 0.1) for name in ("normal", "reduction")}
    decided = {name: torch.eye(10)[:5] for name in ("normal", "reduction")}
    assert entropy(uniform) == pytest.approx(math.log(10), rel=1e-6)
    assert entropy(decided) == pytest.approx(0, abs=1e-9)


def test_the_skip_share_counts_edges_of_both_cells():
    node = (("skip", 0), ("conv-3", 1))
    all_skips = (("skip", 0), ("skip", 1))
    arch = Genotype.from_architecture(
        copy.deepcopy(ConvCells(ConvCellsOptions(nodes=1)).sample(np.random.default_rng(0)))
    ).to_architecture()
    arch.genotype.update(normal=[list(map(list, node))], reduction=[list(map(list, all_skips))])
    assert skip_share(Genotype.from_architecture(arch)) == 0.75
