"""The supernet: its size in the paper, and equal results of its plain and merged form."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nasbench_ecg_cells.options import OPERATIONS
from nasbench_ecg_darts.edges import (
    MergedEdges,
    merged_to_plain,
    plain_to_merged,
    target_nodes,
)
from nasbench_ecg_darts.matrix_edges import MatrixEdges
from nasbench_ecg_darts.supernet import (
    MixedOperation,
    PlainEdges,
    SuperNet,
    edge_index,
    n_edges,
)

SUBSETS = {
    "all": OPERATIONS,
    "no poolings": tuple(op for op in OPERATIONS if "pool" not in op),
    "no skip": tuple(op for op in OPERATIONS if op != "skip"),
    "no convolutions": tuple(op for op in OPERATIONS if "conv" not in op),
    "skip and none": ("skip", "none"),
    "poolings alone": ("max-pool-5", "max-pool-3"),
    "another order": ("conv-9", "skip", "max-pool-3", "none", "conv-3"),
    "one convolution": ("conv-5",),
}


def supernet(edges, *, operations=OPERATIONS, nodes=3, cells=4, channels=2, n_leads=2, seed=0):
    torch.manual_seed(seed)
    return SuperNet(
        edges,
        operations=operations,
        nodes=nodes,
        cells=cells,
        channels=channels,
        stem_filters=6,
        n_leads=n_leads,
        n_classes=5,
    )


def random_alpha(operations, nodes, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(n_edges(nodes), len(operations), generator=generator)
        .to(dtype)
        .requires_grad_()
        for name in ("normal", "reduction")
    }


def softmax_of(alpha):
    return {name: value.softmax(-1) for name, value in alpha.items()}


def twins(dtype=torch.float64, **options):
    """Return the plain and the merged form with the same weights, and fresh statistics."""
    plain = supernet(PlainEdges, **options).to(dtype)
    merged = supernet(MergedEdges, **{**options, "seed": 99}).to(dtype)
    plain_to_merged(plain, merged)
    return plain, merged


def loss_of(net, x, alpha):
    logits = net(x, softmax_of(alpha))
    return logits, torch.nn.functional.cross_entropy(logits, torch.arange(len(x)) % 5)


def gradients_as_plain(net, shape):
    """Return the gradients of a merged network by the plain form's names."""
    gradients, plain = copy.deepcopy(net), copy.deepcopy(shape)
    with torch.no_grad():
        for target, source in zip(gradients.parameters(), net.parameters(), strict=True):
            target.copy_(source.grad)
    merged_to_plain(gradients, plain)
    return {name: p.detach() for name, p in plain.named_parameters()}


def statistics(net):
    return {name: b for name, b in net.named_buffers() if "running" in name}


# -- the paper's search network ----------------------------------------------------------------


@pytest.fixture(scope="module")
def papers_network():
    return SuperNet(
        PlainEdges,
        operations=OPERATIONS,
        nodes=4,
        cells=8,
        channels=16,
        stem_filters=32,
        n_leads=2,
        n_classes=5,
    )


def test_the_papers_search_network_has_16_6_million_parameters(papers_network):
    assert round(sum(p.numel() for p in papers_network.parameters()) / 1e6, 1) == 16.6


@pytest.mark.slow
def test_a_pass_of_100_beats_costs_244_gflop(papers_network):
    alpha = random_alpha(OPERATIONS, 4, torch.float32)
    with FlopCounterMode(display=False) as counter:
        papers_network(torch.randn(2, 2, 300), softmax_of(alpha)).sum().backward()
    assert 50 * counter.get_total_flops() == pytest.approx(244e9, rel=0.01)


def test_alpha_of_four_nodes_has_14_rows_and_every_edge_its_own():
    assert n_edges(4) == 14
    rows = [edge_index(node, source) for node in range(4) for source in range(node + 2)]
    assert rows == list(range(14))


def test_target_nodes_are_the_edges_listed_by_source():
    for nodes in (1, 2, 4):
        pairs = {(s, n) for s in range(nodes + 1) for n in target_nodes(s, nodes)}
        assert pairs == {(s, n) for n in range(nodes) for s in range(n + 2)}


def test_a_mixed_operation_is_equation_2():
    torch.manual_seed(0)
    mixed = MixedOperation(OPERATIONS, 4, 1).double()
    x = torch.randn(3, 4, 20, dtype=torch.float64)
    alpha = torch.randn(10, dtype=torch.float64)
    weight = alpha.exp() / alpha.exp().sum()
    expected = sum(weight[o] * op(x) for o, op in enumerate(mixed.operations))
    torch.testing.assert_close(mixed(x, alpha.softmax(0)), expected)


def test_batch_norms_of_the_relaxed_cells_learn_nothing():
    net = supernet(PlainEdges)
    norms = [m for m in net.cells.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert norms
    assert not any(norm.affine for norm in norms)


# -- merged equals plain -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_samples"), [("all", 32), *((name, 45) for name in SUBSETS)])
def test_merged_equals_plain_in_outputs_gradients_and_running_statistics(name, n_samples):
    operations = SUBSETS[name]
    plain, merged = twins(operations=operations)
    x = torch.randn(5, 2, n_samples, dtype=torch.float64)
    alphas = [random_alpha(operations, 3) for _ in range(2)]
    results = [loss_of(net, x, a) for net, a in zip((plain, merged), alphas, strict=True)]
    for _, loss in results:
        loss.backward()

    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-10, atol=1e-10)
    for cell in ("normal", "reduction"):
        torch.testing.assert_close(
            alphas[1][cell].grad, alphas[0][cell].grad, rtol=1e-10, atol=1e-10
        )
    weights = gradients_as_plain(merged, plain)
    for key, parameter in plain.named_parameters():
        torch.testing.assert_close(weights[key], parameter.grad, rtol=1e-9, atol=1e-10)
    back = copy.deepcopy(plain)
    merged_to_plain(merged, back)
    got = statistics(back)
    for key, value in statistics(plain).items():
        torch.testing.assert_close(got[key], value, rtol=1e-10, atol=1e-10)

    plain.eval(), merged.eval()
    torch.testing.assert_close(
        loss_of(merged, x, alphas[0])[0], loss_of(plain, x, alphas[0])[0], rtol=1e-9, atol=1e-10
    )


def test_merged_equals_plain_in_single_precision():
    plain, merged = twins(torch.float32)
    x = torch.randn(8, 2, 75)
    alphas = [random_alpha(OPERATIONS, 3, torch.float32) for _ in range(2)]
    results = [loss_of(net, x, a) for net, a in zip((plain, merged), alphas, strict=True)]
    for _, loss in results:
        loss.backward()
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(results[1][0], results[0][0], **close)
    for cell in ("normal", "reduction"):
        torch.testing.assert_close(alphas[1][cell].grad, alphas[0][cell].grad, **close)
    weights = gradients_as_plain(merged, plain)
    for key, parameter in plain.named_parameters():
        scale = parameter.grad.abs().max().clamp_min(1e-6)
        assert (weights[key] - parameter.grad).abs().max() < 1e-4 * scale + 1e-6, key


def test_merged_stays_plain_over_several_steps_of_sgd():
    plain, merged = twins()
    alpha = random_alpha(OPERATIONS, 3)
    for step in range(3):
        x = torch.randn(
            5, 2, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(step)
        )
        for net in (plain, merged):
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            optimizer.zero_grad()
            loss_of(net, x, alpha)[1].backward()
            optimizer.step()
    back = copy.deepcopy(plain)
    merged_to_plain(merged, back)
    got = back.state_dict()
    for key, value in plain.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(got[key], value, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"nodes": 1, "cells": 3},
        {"nodes": 4, "cells": 3},
        {"channels": 6, "cells": 5, "nodes": 2},
        {"channels": 3, "cells": 3, "nodes": 2},
        {"n_leads": 1, "cells": 3},
        {"n_leads": 12, "cells": 3},
    ],
)
def test_merged_equals_plain_for_other_sizes_and_leads(options):
    plain, merged = twins(**options)
    x = torch.randn(4, options.get("n_leads", 2), 61, dtype=torch.float64)
    alpha = random_alpha(OPERATIONS, options.get("nodes", 3))
    torch.testing.assert_close(
        loss_of(merged, x, alpha)[0], loss_of(plain, x, alpha)[0], rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("edges", [PlainEdges, MergedEdges, MatrixEdges])
def test_the_relaxed_network_is_the_same_in_one_dimension_and_channels_last(edges, monkeypatch):
    net = supernet(edges).double()
    x = torch.randn(4, 2, 77, dtype=torch.float64)
    weights = softmax_of(random_alpha(OPERATIONS, 3))
    in_two = net(x, weights)
    monkeypatch.setattr("nasbench_ecg_darts.supernet.to_fast_layout", lambda beats: beats)
    torch.testing.assert_close(net(x, weights), in_two, rtol=1e-9, atol=1e-10)


def test_edges_with_none_alone_output_zero():
    plain, merged = twins(operations=("none", "skip"), cells=3)
    only_none = {
        name: torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(n_edges(3), 1)
        for name in ("normal", "reduction")
    }
    x = torch.randn(3, 2, 64, dtype=torch.float64)
    for net in (plain, merged):
        torch.testing.assert_close(net(x, only_none), net.head.linear.bias.expand(3, 5))


def test_both_kinds_of_cell_use_their_own_alpha():
    _, merged = twins()
    x = torch.randn(3, 2, 64, dtype=torch.float64)
    alpha = random_alpha(OPERATIONS, 3)
    before = merged(x, softmax_of(alpha))
    for cell in ("normal", "reduction"):
        other = {**alpha, cell: random_alpha(OPERATIONS, 3, seed=7)[cell]}
        assert (merged(x, softmax_of(other)) - before).abs().max() > 1e-6


@pytest.mark.parametrize("edges", [PlainEdges, MergedEdges, MatrixEdges])
def test_bfloat16_gives_nearly_the_same_logits(edges):
    net = supernet(edges, cells=3)
    x = torch.randn(16, 2, 64)
    weights = softmax_of(random_alpha(OPERATIONS, 3, torch.float32))
    exact = net(x, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = net(x, weights).float()
    assert torch.isfinite(rough).all()
    assert (rough - exact).norm() < 0.1 * exact.norm()


# -- conversion --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUBSETS)
def test_conversion_there_and_back_loses_nothing(name):
    operations = SUBSETS[name]
    first = supernet(PlainEdges, operations=operations, seed=3)
    # A step in training mode gives every running statistic a value of its own.
    first(torch.randn(4, 2, 64), softmax_of(random_alpha(operations, 3, torch.float32)))
    merged = supernet(MergedEdges, operations=operations, seed=4)
    second = supernet(PlainEdges, operations=operations, seed=5)
    plain_to_merged(first, merged)
    merged_to_plain(merged, second)
    expected, got = first.state_dict(), second.state_dict()
    assert list(expected) == list(got)
    for key, value in expected.items():
        if "num_batches" not in key:
            assert torch.equal(got[key], value), key

    third = supernet(MergedEdges, operations=operations, seed=6)
    plain_to_merged(second, third)
    again = third.state_dict()
    for key, value in merged.state_dict().items():
        if "num_batches" not in key:
            assert torch.equal(again[key], value), key


def test_both_forms_have_equally_many_weights():
    for operations in SUBSETS.values():
        plain, merged = twins(operations=operations)
        assert sum(p.numel() for p in plain.parameters()) == sum(
            p.numel() for p in merged.parameters()
        )


def test_the_merged_form_has_30_convolutions_a_cell_where_the_plain_has_84():
    def convolutions(edges):
        made = edges(OPERATIONS, 4, 4, reduction=False)
        return sum(isinstance(m, torch.nn.Conv1d) for m in made.modules())

    assert convolutions(PlainEdges) == 84
    assert convolutions(MergedEdges) == 30
