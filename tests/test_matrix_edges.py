"""Edges as one matrix product for each state compute what their convolutions compute."""

from __future__ import annotations

import pytest
import torch
from test_supernet import SUBSETS, loss_of, random_alpha, supernet

from nasbench_ecg_cells.options import OPERATIONS
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.matrix_edges import MatrixEdges, OutgoingProduct, edges_on
from nasbench_ecg_darts.supernet import PlainEdges, n_edges
from nasbench_ecg_darts.variants.pc import PartialEdges


def both_forms(**options):
    return tuple(supernet(edges, **options).double() for edges in (MergedEdges, MatrixEdges))


def gradients(net, x, alpha):
    """Return loss, gradients of α, and gradients of the weights by the names of the products."""
    net.zero_grad()
    logits, loss = loss_of(net, x, alpha)
    of_alpha = torch.autograd.grad(loss, tuple(alpha.values()), retain_graph=True)
    loss.backward()
    of_weights = {}
    for name, parameter in net.named_parameters():
        state, found, _ = name.partition(".convs.")
        key = f"{state}.weight" if found else name
        of_weights.setdefault(key, []).append(parameter.grad.flatten())
    return logits, of_alpha, {name: torch.cat(parts) for name, parts in of_weights.items()}


@pytest.mark.parametrize("name", SUBSETS)
@pytest.mark.parametrize("samples", [64, 77])
def test_products_equal_convolutions_with_all_their_gradients(name, samples):
    operations = SUBSETS[name]
    merged, product = both_forms(operations=operations)
    alpha = random_alpha(operations, 3)
    x = torch.randn(4, 2, samples, dtype=torch.float64)
    expected, got = gradients(merged, x, alpha), gradients(product, x, alpha)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("operations", [("conv-5",), ("conv-9", "conv-3", "skip")])
@pytest.mark.parametrize("reduction", [False, True])
@pytest.mark.parametrize("nodes", [1, 3])
def test_gradients_are_those_of_finite_differences(operations, reduction, nodes):
    torch.manual_seed(0)
    edges = MatrixEdges(operations, nodes, 2, reduction=reduction).double()
    weights = torch.rand(n_edges(nodes), len(operations), dtype=torch.float64, requires_grad=True)
    states = [torch.randn(3, 2, 9, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(
        lambda s0, s1, w, *_: torch.cat(edges(s0, s1, w), dim=1),
        (*states, weights, *edges.parameters()),
        fast_mode=nodes > 1,  # one random direction in place of every weight
    )


def test_second_derivatives_in_alpha_agree_too():
    merged, product = both_forms(cells=3)
    x = torch.randn(4, 2, 64, dtype=torch.float64)
    found = []
    for net in (merged, product):
        alpha = random_alpha(OPERATIONS, 3)
        _, loss = loss_of(net, x, alpha)
        first = torch.autograd.grad(loss, tuple(alpha.values()), create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), alpha.values()))
    torch.testing.assert_close(found[1], found[0], rtol=1e-8, atol=1e-11)


def test_products_take_images_and_signals():
    edges = MatrixEdges(OPERATIONS, 2, 4, reduction=True).double()
    states = [torch.randn(3, 4, 21, dtype=torch.float64) for _ in range(2)]
    weights = torch.rand(n_edges(2), len(OPERATIONS), dtype=torch.float64)
    of_signals = edges(*states, weights)
    of_images = edges(*(state.unsqueeze(2) for state in states), weights)
    assert [tuple(node.shape) for node in of_images] == [(3, 4, 1, 11)] * 2
    torch.testing.assert_close(of_signals, of_images)


def test_a_cell_has_one_product_for_each_state_and_as_many_weights():
    merged, product = (
        edges(OPERATIONS, 4, 4, reduction=False) for edges in (MergedEdges, MatrixEdges)
    )
    assert sum(isinstance(m, OutgoingProduct) for m in product.modules()) == 5
    assert sum(p.numel() for p in merged.parameters()) == sum(
        p.numel() for p in product.parameters()
    )


def test_only_a_gpu_has_products_and_only_for_the_usual_edges():
    assert edges_on("cuda:1", MergedEdges) is MatrixEdges
    assert edges_on("cpu", MergedEdges) is MergedEdges
    for other in (PlainEdges, PartialEdges):
        assert edges_on("cuda", other) is other
