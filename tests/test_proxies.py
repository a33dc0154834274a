"""Zero-cost proxies and counts, compared with independent computations of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn
from torch.nn.functional import cross_entropy

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Task
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, ValidationContext
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg_baselines.builder import FixedNetwork
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_evaluators import proxies as measures

SPACE = ConvCells(ConvCellsOptions(nodes=2))
ARCH = SPACE.sample(np.random.default_rng(3))
BUILDER = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4))
TASK = Task(tiny_beats(60, seed=1), tiny_beats(20, seed=2), ("N", "S", "V"))
PROXIES = ("synflow", "naswot", "jacob-cov", "grad-norm", "snip")
REGISTRY = load_registry()


def evaluate(name, arch=ARCH, *, builder=BUILDER, task=TASK, seed=0, ctx=None, **options):
    component = REGISTRY.get("evaluator", name)
    evaluator = component.create(component.options_model()(**options))
    with seeded(seed):
        return evaluator.evaluate(
            arch, task, builder, ctx or ValidationContext(task, "cpu", Silent())
        )


class Linear(nn.Module):
    """Logits of a flat beat: everything about it can be computed by hand."""

    def __init__(self, weight, *, rectify=False):
        super().__init__()
        self.linear = nn.Linear(weight.shape[1], weight.shape[0])
        self.linear.weight.data = weight.clone()
        self.rectify = rectify

    def forward(self, x):
        out = self.linear(x.flatten(1))
        return out.relu() if self.rectify else out


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 1, 4, generator=generator), torch.tensor([0, 1, 2, 1, 0])


@pytest.fixture
def weight():
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(1))


def test_synflow_of_a_linear_layer_is_the_log_of_its_absolute_weights(batch, weight):
    assert measures.synflow(Linear(weight), *batch) == pytest.approx(
        math.log(weight.abs().sum()), rel=1e-6
    )


def test_synflow_sums_the_flow_of_both_layers_and_bypasses_normalization(batch):
    generator = torch.Generator().manual_seed(2)
    first, second = (torch.randn(4, 4, generator=generator) for _ in range(2))
    layers = [
        nn.Linear(4, 4, bias=False),
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.Linear(4, 4, bias=False),
    ]
    layers[0].weight.data, layers[3].weight.data = first, second
    layers[1].running_var.fill_(9.0)
    flow = float((second.abs() @ first.abs()).sum())
    signals = batch[0].flatten(1)
    measured = measures.synflow(nn.Sequential(*layers), signals, batch[1])
    assert measured == pytest.approx(math.log(2 * flow), rel=1e-6)


def test_synflow_of_a_network_that_ignores_its_input_is_the_lowest(batch, weight):
    assert measures.synflow(Linear(torch.zeros_like(weight)), *batch) == pytest.approx(-708, abs=1)


def test_naswot_is_the_log_determinant_of_equal_rectifier_states(batch, weight):
    signals = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(5))
    model = Linear(torch.randn(40, 4, generator=torch.Generator().manual_seed(6)), rectify=True)
    on = (model.linear(signals.flatten(1)) > 0).numpy()
    equal = (on[:, None] == on[None]).sum(2)
    assert measures.naswot(model, signals, None) == pytest.approx(
        np.linalg.slogdet(equal.astype(float))[1], rel=1e-6
    )


@pytest.mark.parametrize(
    "rectifier",
    [
        nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(), nn.ReLU6(), nn.ReLU6(inplace=True),
        nn.PReLU(), nn.RReLU(), nn.RReLU(inplace=True), nn.RReLU().eval(),
    ],
)  # fmt: skip
def test_naswot_sees_every_kind_of_rectifier(rectifier):
    signals = torch.randn(4, 30, generator=torch.Generator().manual_seed(3))
    on = (signals > 0).numpy()
    equal = (on[:, None] == on[None]).sum(2).astype(float)
    assert measures.naswot(rectifier, signals, None) == pytest.approx(
        np.linalg.slogdet(equal)[1], rel=1e-6
    )


@pytest.mark.parametrize("other", [nn.Identity(), nn.ELU(), nn.GELU(), nn.Hardtanh()])
def test_naswot_of_a_network_without_rectifiers_is_refused(other):
    with pytest.raises(OptionError, match="this network has none"):
        measures.naswot(other, torch.randn(4, 30), None)


def test_naswot_of_equal_beats_is_low_and_finite():
    alike = torch.ones(4, 30)
    different = torch.randn(4, 30, generator=torch.Generator().manual_seed(3))
    low, high = (measures.naswot(nn.ReLU(), x, None) for x in (alike, different))
    assert math.isfinite(low)
    assert low < high


def test_jacobian_covariance_follows_the_papers_formula():
    class Squares(nn.Module):
        def forward(self, x):
            return (x.flatten(1) ** 2).sum(1, keepdim=True)

    signals = torch.randn(6, 1, 50, generator=torch.Generator().manual_seed(4))
    v = np.linalg.eigvalsh(np.corrcoef(2 * signals.flatten(1).double().numpy())) + 1e-5
    expected = -np.sum(np.log(v) + 1 / v)
    assert measures.jacobian_covariance(Squares(), signals, None) == pytest.approx(expected)


def test_beats_with_one_jacobian_score_lower_than_beats_with_different_ones(weight):
    class Cubes(nn.Module):
        def forward(self, x):
            return (x.flatten(1) ** 3).sum(1, keepdim=True)

    signals = torch.randn(6, 1, 50, generator=torch.Generator().manual_seed(4))
    one_for_all = Linear(torch.randn(3, 50, generator=torch.Generator().manual_seed(1)))
    dead = Linear(torch.zeros(3, 50))
    low = measures.jacobian_covariance(one_for_all, signals, None)
    assert low < measures.jacobian_covariance(Cubes(), signals, None)
    assert measures.jacobian_covariance(dead, signals, None) == pytest.approx(low, rel=0.5)


def gradient_by_hand(weight, bias, signals, labels):
    x = signals.flatten(1)
    probabilities = torch.softmax(x @ weight.T + bias, 1)
    return (probabilities - nn.functional.one_hot(labels, 3)).T @ x / len(x)


def test_grad_norm_and_snip_of_softmax_regression_match_the_closed_form(batch, weight):
    model = Linear(weight)
    gradient = gradient_by_hand(weight, model.linear.bias.detach(), *batch)
    assert measures.grad_norm(model, *batch) == pytest.approx(float(gradient.norm()), rel=1e-5)
    model = Linear(weight)
    gradient = gradient_by_hand(weight, model.linear.bias.detach(), *batch)
    saliency = float((weight * gradient).abs().sum())
    assert measures.snip(model, *batch) == pytest.approx(saliency, rel=1e-5)


def test_saliency_is_the_first_order_change_of_the_loss_without_the_weight(batch, weight):
    small = 1e-3 * weight
    model = Linear(small)
    with torch.no_grad():
        before = cross_entropy(model(batch[0]), batch[1])
        saliency = 0.0
        for i, j in np.ndindex(3, 4):
            model.linear.weight[i, j] = 0
            saliency += abs(float(cross_entropy(model(batch[0]), batch[1]) - before))
            model.linear.weight[i, j] = small[i, j]
    assert measures.snip(model, *batch) == pytest.approx(saliency, rel=0.05)


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_is_repeatable_finite_and_a_metric_under_its_name(name):
    a, b = evaluate(name, seed=4), evaluate(name, seed=4)
    assert a.score == b.score
    assert math.isfinite(a.score)
    assert dict(a.metrics) == {name.replace("-", "_"): a.score}
    assert a.confusion is None
    assert a.state is None


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_depends_on_the_seed_and_on_the_architecture(name):
    other = SPACE.sample(np.random.default_rng(8))
    scores = {evaluate(name).score, evaluate(name, seed=1).score, evaluate(name, other).score}
    assert len(scores) == 3


@pytest.mark.parametrize("name", [*PROXIES, "parameters", "flops"])
def test_no_proxy_opens_the_test_part_or_uses_validation(name):
    test = tiny_beats(10, seed=3)
    ctx = FinalTestContext(TASK, test, "cpu", Silent())
    got = evaluate(name, ctx=ctx)
    assert not ctx.opened
    other = Task(TASK.train, tiny_beats(20, seed=9), TASK.macro_classes)
    assert evaluate(name, task=other).score == got.score


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_score_the_baseline_networks_too(name):
    task = Task(tiny_beats(40, n_samples=220), tiny_beats(5, n_samples=220), ("N", "S", "V"))
    builder = FixedNetwork(None)
    for network in ("cnn-9", "resnet-31"):
        got = evaluate(name, Architecture("fixed", {"name": network}), builder=builder, task=task)
        assert math.isfinite(got.score)


def test_a_batch_is_no_larger_than_the_train_part():
    few = Task(tiny_beats(3), tiny_beats(5), ("N", "S", "V"))
    assert math.isfinite(evaluate("naswot", task=few).score)


@pytest.mark.parametrize(("n_leads", "published"), [(1, 22_805), (2, 22_820)])
def test_parameters_of_cnn_9_are_the_published_number(n_leads, published):
    beats = tiny_beats(6, n_leads=n_leads, n_samples=300, classes="NSVFQ")
    task = Task(beats, beats, tuple("NSVFQ"))
    arch, builder = Architecture("fixed", {"name": "cnn-9"}), FixedNetwork(None)
    got = evaluate("parameters", arch, builder=builder, task=task)
    assert got.metrics == {"parameters": published}
    assert got.score == published


def test_flops_are_two_for_each_multiply_accumulate_counted_by_hand():
    # Convolutions (kernel · inputs · filters · outputs) and the three linear layers of CNN-9.
    convolutions = 3 * 2 * 5 * 298 + 4 * 5 * 10 * 146 + 4 * 10 * 20 * 70
    macs = convolutions + 700 * 30 + 30 * 20 + 20 * 5
    beats = tiny_beats(6, n_leads=2, n_samples=300, classes="NSVFQ")
    task = Task(beats, beats, tuple("NSVFQ"))
    arch, builder = Architecture("fixed", {"name": "cnn-9"}), FixedNetwork(None)
    assert evaluate("flops", arch, builder=builder, task=task).metrics == {"flops": 2 * macs}


@pytest.mark.parametrize("name", ["parameters", "flops"])
def test_the_cheaper_network_can_be_preferred(name):
    more, fewer = evaluate(name), evaluate(name, prefer="fewer")
    assert fewer.score == -more.score < 0 < fewer.metrics[name]
