"""The dominant eigenvalue of the Hessian in α against exact ones."""

from __future__ import annotations

import copy

import pytest
import torch
from darts_searches import OPERATIONS, completed, search, started, task_of
from torch.nn.functional import cross_entropy

from nasbench_ecg_darts.architect import Batch, pure_loss
from nasbench_ecg_darts.edges import MergedEdges
from nasbench_ecg_darts.hessian import alpha_eigenvalue, dominant_eigenvalue
from nasbench_ecg_darts.options import DartsESOptions, DartsOptions
from nasbench_ecg_darts.relaxation import mixing_weights
from nasbench_ecg_darts.supernet import SuperNet


def test_the_dominant_eigenvalue_of_a_quadratic_is_its_largest_and_not_its_most_negative():
    torch.manual_seed(0)
    basis, _ = torch.linalg.qr(torch.randn(30, 30, dtype=torch.float64))
    values = torch.linspace(-9, 1, 30, dtype=torch.float64)
    values[7] = 4.0
    matrix = basis @ torch.diag(values) @ basis.T

    def quadratic(x):
        return x @ matrix @ x / 2 + x.sum()

    at = torch.randn(30, dtype=torch.float64)
    assert dominant_eigenvalue(quadratic, at, products=30) == pytest.approx(4, rel=1e-9)
    assert dominant_eigenvalue(quadratic, at, products=12) == pytest.approx(4, rel=0.02)
    flat = dominant_eigenvalue(lambda x: (x * x).sum(), at, products=30)
    assert flat == pytest.approx(2, rel=1e-12)


def test_the_eigenvalue_is_that_of_the_whole_hessian_of_alpha():
    torch.manual_seed(0)
    net = SuperNet(
        MergedEdges, operations=OPERATIONS, nodes=2, cells=3, channels=2, stem_filters=4,
        n_leads=2, n_classes=3,
    ).double()  # fmt: skip
    data = task_of().validation
    batch = Batch(torch.tensor(data.signals[:16]).double(), torch.tensor(data.labels[:16]))
    weights = {name: p.detach() for name, p in net.named_parameters()}
    buffers = {name: b.clone() for name, b in net.named_buffers()}

    def loss(flat):
        parts = zip(("normal", "reduction"), flat.view(2, 5, -1), strict=True)
        logits = torch.func.functional_call(
            net, {**weights, **buffers}, (batch.x, mixing_weights(dict(parts)))
        )
        return cross_entropy(logits, batch.y)

    at = torch.randn(2 * 5 * len(OPERATIONS), dtype=torch.float64)
    matrix = torch.autograd.functional.hessian(loss, at)
    largest = float(torch.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])
    assert largest > 0
    assert dominant_eigenvalue(loss, at, products=50) == pytest.approx(largest, rel=1e-8)
    assert 0.7 * largest < dominant_eigenvalue(loss, at) <= largest * (1 + 1e-9)


def test_the_eigenvalue_is_of_the_validation_loss_and_changes_nothing():
    variant, state = started("darts")
    before = copy.deepcopy(state.snapshot())
    random = torch.get_rng_state()
    value = alpha_eigenvalue(state, variant.deterministic_mixing(state))
    assert torch.equal(torch.get_rng_state(), random)
    after = state.snapshot()
    assert torch.equal(after["generator"], before["generator"])
    assert all(torch.equal(after["net"][name], v) for name, v in before["net"].items())
    assert all(p.grad is None for p in state.net.parameters())
    assert all(a.grad is None for a in state.alpha.values())

    loss = pure_loss(state.net, "float32")
    weights = {name: p.detach() for name, p in state.net.named_parameters()}
    at = torch.cat([a.detach().ravel() for a in state.alpha.values()])

    def of(flat):
        parts = dict(zip(state.alpha, flat.view(2, 5, -1), strict=True))
        return loss(weights, parts, state.fixed_validation_batch(16))

    matrix = torch.autograd.functional.hessian(of, at)
    largest = float(torch.linalg.eigvalsh((matrix + matrix.T).double() / 2)[-1])
    assert 0.7 * largest < value < 1.01 * largest


def test_the_eigenvalue_changes_neither_result_nor_run_key():
    with_it, points = completed("darts")
    without_it, others = search("darts", hessian_eigenvalue=False)
    assert with_it == without_it
    assert [{k: v for k, v in p.items() if k != "hessian_eigenvalue"} for p in points] == others
    for model in (DartsOptions, DartsESOptions):
        assert "hessian_eigenvalue" not in model().model_dump(mode="json")
