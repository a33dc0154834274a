"""PC-DARTS: partial channel connections and edge normalization."""

from __future__ import annotations

import pytest
import torch
from darts_searches import OPERATIONS, edges_of, progress_at, random_alpha, started, take_step

from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import resolve
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.options import PcDartsOptions
from nasbench_ecg_darts.supernet import edge_index
from nasbench_ecg_darts.variants import pc
from nasbench_ecg_darts.variants.pc import PartialEdges


def partial_reference(plain, s0, s1, weights, share, *, reduction):
    """Return the nodes as Xu et al. write them: mask, mix, bypass, concatenate and shuffle."""
    active = s0.shape[1] // share
    order = [group * active + c for c in range(active) for group in range(share)]
    states = [s0, s1]
    for node in range(plain.nodes):
        total = 0
        for source in range(node + 2):
            row, x = edge_index(node, source), states[source]
            bypass = x[:, active:]
            if reduction and source < 2:
                odd = bypass[..., 1::2]
                pad = bypass.shape[-1] % 2
                odd = torch.cat([odd, bypass[..., -1:]], -1) if pad else odd
                bypass = torch.maximum(bypass[..., ::2], odd)
            alpha, beta = weights[row, :-1], weights[row, -1]
            mixed = sum(
                a * op(x[:, :active])
                for a, op in zip(alpha, plain.edges[row].operations, strict=True)
            )
            total = total + beta * torch.cat([mixed, bypass], 1)[:, order]
        states.append(total)
    return states[2:]


@pytest.mark.parametrize("cell", [0, 1])
@pytest.mark.parametrize("length", [20, 13])
@pytest.mark.parametrize("share", [2, 4])
def test_partial_channels_are_those_of_the_paper(cell, length, share):
    active = 2 if cell == 0 else 4
    plain, merged = edges_of(OPERATIONS, 3, 2, cell)
    ours = PartialEdges(OPERATIONS, 3, active * share, reduction=cell == 1, share=share).double()
    ours.load_state_dict(merged.state_dict())
    torch.manual_seed(2)
    s0, s1 = torch.randn(2, 5, active * share, 1, length, dtype=torch.float64).unbind(0)
    alpha, other = random_alpha(3, len(OPERATIONS) + 1), random_alpha(3, len(OPERATIONS) + 1)
    got = ours(s0, s1, pc.mix(alpha, progress_at(0))["normal"])

    beta = other["normal"][:, -1]
    sums = torch.cat([b.softmax(0) for b in beta.split([2, 3, 4])]).unsqueeze(1)
    weights = torch.cat([other["normal"][:, :-1].softmax(-1), sums], 1)
    expected = partial_reference(plain, s0, s1, weights, share, reduction=cell == 1)
    coefficients = torch.randn_like(torch.cat(expected, 1))
    for nodes in (got, expected):
        (torch.cat(nodes, 1) * coefficients).sum().backward()
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(alpha["normal"].grad, other["normal"].grad, rtol=1e-10, atol=1e-10)


def test_edge_normalization_sums_to_one_per_node_and_ranks_its_edges():
    alpha = random_alpha(4, len(OPERATIONS) + 1)
    strengths = pc.strengths(alpha)["normal"]
    torch.testing.assert_close(
        torch.stack([part.sum() for part in strengths.split([2, 3, 4, 5])]),
        torch.ones(4, dtype=torch.float64),
    )
    variant, state = started("pc-darts")
    with torch.no_grad():
        state.alpha["normal"].zero_()
        state.alpha["normal"][[edge_index(1, 0), edge_index(1, 2)], -1] = 1.0
    assert [edge.source for edge in variant.derive(state).normal[1]] == [0, 2]


def test_beta_is_trained_with_alpha_and_weights_shrink_by_the_square_of_the_share():
    variant, state = started("pc-darts")
    before = {name: value.detach().clone() for name, value in state.alpha.items()}
    take_step(variant, state)
    assert all((state.alpha[n][:, -1] != before[n][:, -1]).any() for n in before)
    full = MergedEdges(OPERATIONS, 2, 8, reduction=False)
    part = PartialEdges(OPERATIONS, 2, 8, reduction=False, share=4)
    count = [sum(p.numel() for p in m.parameters()) for m in (full, part)]
    assert count[0] == 16 * count[1]


@pytest.mark.parametrize("channels", [6, 4])
def test_channels_must_be_divisible(channels):
    with pytest.raises(OptionError, match="multiple of partial_channels"):
        resolve(PcDartsOptions, component="strategy pc-darts", overrides={"channels": channels})
