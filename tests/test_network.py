"""The final networks: lengths, widths and shortcuts of Heart-DARTS."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg_cells.layers import Stem
from nasbench_ecg_cells.network import (
    MIN_SAMPLES,
    StackedCells,
    StackedCellsShortcut,
    reduction_positions,
)
from nasbench_ecg_cells.options import (
    ConvCellsOptions,
    StackedCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells

SPACE = ConvCells(ConvCellsOptions())
ARCH = SPACE.sample(np.random.default_rng(5))
SMALL = {"cells": 6, "channels": 2, "stem_filters": 4}


def shortcut_network(*, arch=ARCH, n_leads=2, n_samples=64, n_classes=5, seed=0, **options):
    torch.manual_seed(seed)
    builder = StackedCellsShortcut(StackedCellsShortcutOptions(**{**SMALL, **options}))
    return builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)


def plain_network(*, arch=ARCH, n_leads=2, n_samples=64, n_classes=5, seed=0, **options):
    torch.manual_seed(seed)
    builder = StackedCells(StackedCellsOptions(**{**SMALL, **options}))
    return builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)


def shapes(net, n_leads, n_samples):
    """Return (channels, samples) after the stem's convolution, the stem, and every cell."""
    seen = []

    def watch(module):
        module.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[-1])))

    for module in (net.stem[0], net.stem, *net.cells):
        watch(module)
    with torch.inference_mode():
        net.eval()(torch.randn(1, n_leads, n_samples))
    return seen


def run_algorithm_1(net, x):
    """Steps 8 to 19 of the paper's Algorithm 1, on [batch, channels, samples]."""
    layers = len(net.cells)
    s0 = s1 = net.stem(x)
    t = None
    for i in range(layers):
        s0, s1 = s1, net.cells[i](s0, s1)
        if i == 0 or i == layers // 3 or i == 2 * layers // 3:
            t = s1
        elif i == layers // 3 - 1 or i == 2 * layers // 3 - 1:
            s0 = torch.clamp(s0 + t, min=0)
            s1 = torch.clamp(s1 + t, min=0)
    return net.head.linear(s1.mean(-1))


# -- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_samples", "lengths"),
    [
        (300, (150, 75, 38, 19)),
        (250, (125, 63, 32, 16)),
        (220, (110, 55, 28, 14)),
    ],
)
def test_the_papers_network_has_the_published_lengths_and_widths(n_samples, lengths):
    net = shortcut_network(n_samples=n_samples, cells=15, channels=16, stem_filters=32)
    conv, stem, first, second = lengths
    assert shapes(net, 2, n_samples) == (
        [(32, conv), (32, stem)] + [(64, stem)] * 5 + [(128, first)] * 5 + [(256, second)] * 5
    )


def test_fifteen_cells_reduce_at_5_and_10_and_eight_at_2_and_5():
    assert reduction_positions(15) == (5, 10)
    assert reduction_positions(8) == (2, 5)
    net = shortcut_network(cells=15)
    assert net.reductions == (5, 10)
    strided = [
        i
        for i, cell in enumerate(net.cells)
        if any(getattr(m, "stride", 1) in (2, (2,)) for m in cell.operations.modules())
    ]
    assert strided == [5, 10]


def test_both_shortcuts_of_the_paper_join_equal_shapes():
    net = shortcut_network(n_samples=300, cells=15, channels=16, stem_filters=32)
    after = shapes(net, 2, 300)[2:]
    # Each closes after the cell before a reduction; there s0, s1 and t have one shape.
    assert after[0] == after[3] == after[4] == (64, 75)
    assert after[5] == after[8] == after[9] == (128, 38)


def test_the_stem_is_convolution_norm_relu_pool():
    torch.manual_seed(0)
    stem = Stem(2, 4)
    x = torch.randn(3, 2, 31)
    y = torch.nn.functional.conv1d(x, stem[0].weight, stride=2, padding=2)
    y = (y - y.mean((0, 2), keepdim=True)) / (
        y.var((0, 2), unbiased=False, keepdim=True) + 1e-5
    ) ** 0.5
    y = torch.nn.functional.max_pool1d(y.relu(), 3, 2, padding=1)
    torch.testing.assert_close(stem(x), y)
    assert stem[0].kernel_size == (5,)


@given(st.integers(1, 12), st.integers(MIN_SAMPLES, 120), st.integers(6, 12), st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_any_number_of_leads_any_length_and_any_depth_give_logits(n_leads, n_samples, cells, seed):
    arch = SPACE.sample(np.random.default_rng(seed))
    net = shortcut_network(
        arch=arch, n_leads=n_leads, n_samples=n_samples, n_classes=4, cells=cells
    )
    logits = net(torch.randn(2, n_leads, n_samples))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("n_leads", [1, 2, 12])
def test_leads_change_only_the_first_convolution(n_leads):
    one, some = shortcut_network(n_leads=1), shortcut_network(n_leads=n_leads)
    count = lambda net: sum(p.numel() for p in net.parameters())  # noqa: E731
    assert count(some) - count(one) == (n_leads - 1) * 5 * SMALL["stem_filters"]


def test_the_shallowest_network_of_each_builder_runs_and_shallower_is_refused():
    x = torch.randn(2, 2, 64)
    assert plain_network(cells=3)(x).shape == (2, 5)
    assert shortcut_network(cells=6)(x).shape == (2, 5)
    with pytest.raises(ValueError, match="cells"):
        plain_network(cells=2)
    with pytest.raises(ValueError, match="cells"):
        shortcut_network(cells=5)


def test_the_shortest_beats_leave_one_sample_and_shorter_ones_are_an_option_error():
    assert shapes(shortcut_network(n_samples=MIN_SAMPLES), 2, MIN_SAMPLES)[-1][1] == 1
    for build in (shortcut_network, plain_network):
        with pytest.raises(OptionError) as caught:
            build(n_samples=MIN_SAMPLES - 1)
        assert "15 samples" in caught.value.what
        assert "16" in caught.value.fix


# -- shortcuts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [6, 7, 8, 15])
@pytest.mark.parametrize("n_samples", [64, 77])
def test_the_shortcut_network_follows_algorithm_1(cells, n_samples):
    net = shortcut_network(cells=cells, n_samples=n_samples).double()
    x = torch.randn(4, 2, n_samples, dtype=torch.float64)
    torch.testing.assert_close(net(x), run_algorithm_1(net, x), rtol=1e-9, atol=1e-10)
    net.eval()
    torch.testing.assert_close(net(x), run_algorithm_1(net, x), rtol=1e-9, atol=1e-10)


def test_without_shortcuts_the_same_weights_make_a_row_of_cells():
    with_them, without = shortcut_network().double(), plain_network().double()
    without.load_state_dict(with_them.state_dict())
    x = torch.randn(4, 2, 64, dtype=torch.float64)
    s0 = s1 = without.stem(x)
    for cell in without.cells:
        s0, s1 = s1, cell(s0, s1)
    expected = without.head(s1)
    torch.testing.assert_close(without(x), expected, rtol=1e-9, atol=1e-10)
    assert (with_them(x) - expected).abs().max() > 1e-3


def test_the_two_builders_differ_in_no_parameter():
    a, b = shortcut_network().state_dict(), plain_network().state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


# -- cells -------------------------------------------------------------------------------------


def test_a_cell_concatenates_nodes_that_sum_their_two_edges():
    genotype = {
        "normal": [[["skip", 0], ["skip", 1]], [["skip", 1], ["max-pool-3", 2]]],
        "reduction": [[["skip", 0], ["skip", 1]], [["skip", 0], ["skip", 2]]],
    }
    net = plain_network(arch=Architecture("conv-cells", genotype), cells=3).double()
    cell = net.cells[0]
    x = torch.randn(3, 4, 16, dtype=torch.float64)
    a, b = cell.preprocess0(x), cell.preprocess1(x)
    first = a + b
    second = b + torch.nn.functional.max_pool1d(first, 3, 1, 1)
    torch.testing.assert_close(cell(x, x), torch.cat([first, second], 1))


def test_only_the_cell_after_a_reduction_halves_its_older_input():
    net = shortcut_network(cells=9)
    kinds = [type(cell.preprocess0).__name__ for cell in net.cells]
    assert [i for i, kind in enumerate(kinds) if kind == "FactorizedReduction"] == [4, 7]
    assert all(type(cell.preprocess1).__name__ == "ReluConvNorm" for cell in net.cells)


def test_batch_norms_of_the_final_network_learn_scale_and_shift():
    norms = [m for m in shortcut_network().modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert norms
    assert all(norm.affine for norm in norms)


def test_every_weight_of_the_network_gets_a_gradient():
    arch = SPACE.sample(np.random.default_rng(1))
    net = shortcut_network(arch=arch)
    net(torch.randn(4, 2, 64)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize(
    ("arch", "says"),
    [
        (Architecture("labelings", ARCH.genotype), "labelings"),
        (Architecture("conv-cells", {"normal": []}), "reduction"),
        (
            Architecture("conv-cells", {**ARCH.genotype, "normal": [[["conv-4", 0], ["skip", 1]]]}),
            "normal cell, node 1",
        ),
    ],
)
def test_a_builder_refuses_architectures_outside_its_space(arch, says):
    with pytest.raises(OptionError, match=says):
        plain_network(arch=arch)
