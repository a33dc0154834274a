"""The hand-designed networks: layers and parameters as published, for any beats."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import NoOptions
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg_baselines import cnn, resnet
from nasbench_ecg_baselines.builder import FixedNetwork
from nasbench_ecg_baselines.cnn import CNN_9, CNN_11
from nasbench_ecg_baselines.resnet import ResidualBlock
from nasbench_ecg_baselines.space import NAMES, Fixed, architecture

SPACE = Fixed(NoOptions())
PLANS = {"cnn-9": CNN_9, "cnn-11": CNN_11}
SHORTEST = {"cnn-9": 28, "cnn-11": 100, "resnet-31": 16}


def network(name, *, n_leads=2, n_samples=300, n_classes=5, seed=0):
    torch.manual_seed(seed)
    builder = FixedNetwork(NoOptions())
    arch = architecture(name)
    return builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


# Networks


@pytest.mark.parametrize(
    ("name", "n_leads", "parameters"),
    [("cnn-9", 1, 22_805), ("cnn-9", 2, 22_820), ("cnn-11", 1, 5_529), ("cnn-11", 2, 5_610)],
)
def test_the_plain_networks_have_the_published_number_of_parameters(name, n_leads, parameters):
    assert n_parameters(network(name, n_leads=n_leads)) == parameters


@pytest.mark.parametrize("name", ["cnn-9", "cnn-11"])
def test_the_plain_networks_are_initialized_as_he_et_al_propose(name):
    for layer in network(name).modules():
        if not isinstance(layer, nn.Conv1d | nn.Linear):
            continue
        fan_in = layer.weight[0].numel()
        bound = (3 * 2 / ((1 + 0.01**2) * fan_in)) ** 0.5  # of a uniform distribution
        assert layer.weight.abs().max() <= bound
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)
        assert not layer.bias.any()


@pytest.mark.parametrize("name", ["cnn-9", "cnn-11"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_beats_still_differ_at_the_input_of_the_last_layer(name, seed):
    net = network(name, seed=seed)
    arriving = []
    net.last.register_forward_pre_hook(lambda _, args: arriving.append(args[0]))
    net(torch.randn(256, 2, 300))
    assert arriving[0].std(dim=0).mean() > 0.05  # PyTorch's own start leaves 0.001


@pytest.mark.parametrize(
    ("name", "n_samples", "flat"),
    [
        ("cnn-9", 300, 700), ("cnn-9", 250, 560), ("cnn-9", 220, 500),
        ("cnn-11", 300, 130), ("cnn-11", 250, 100), ("cnn-11", 220, 80),
    ],
)  # fmt: skip
def test_only_the_first_fully_connected_layer_depends_on_the_length(name, n_samples, flat):
    here, at_300 = network(name, n_samples=n_samples), network(name)
    assert here.hidden[0].in_features == flat
    differing = {
        key
        for key, value in here.state_dict().items()
        if value.shape != at_300.state_dict()[key].shape
    }
    assert differing == (set() if n_samples == 300 else {"hidden.0.weight"})


def test_resnet_31_has_31_convolutions_and_the_parameters_of_its_description():
    net = network("resnet-31")
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv1d)]
    stem, widths = 2 * 16 * 7, (16, 32, 64)
    first = sum(3 * a * b for a, b in zip((16, 16, 32), widths, strict=True))
    others = sum(9 * 3 * w * w for w in widths)
    norms = 2 * (16 + 10 * sum(widths))
    assert len(convolutions) == 31
    assert n_parameters(net) == stem + first + others + norms + 64 * 5 + 5 == 156_421


def plain_reference(net, plan, x):
    """Compute a plain network from torch's own 1-D layers and the weights of ``net``."""
    layers = []
    for (kernel, filters), own in zip(plan.convolutions, net.convolutions, strict=True):
        conv = nn.Conv1d(own.in_channels, filters, kernel)
        conv.load_state_dict(own.state_dict())
        layers += [conv, nn.LeakyReLU(), nn.MaxPool1d(2, 2)]
    layers.append(nn.Flatten())
    for layer in net.hidden:
        layers += [layer, nn.LeakyReLU()]
    return nn.Sequential(*layers, net.last)(x)


@pytest.mark.parametrize("name", PLANS)
def test_a_plain_network_is_conv_leaky_relu_pool_then_fully_connected(name):
    net, x = network(name), torch.randn(3, 2, 300)
    torch.testing.assert_close(net(x), plain_reference(net, PLANS[name], x))


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_the_same_in_both_layouts(name, monkeypatch):
    net, x = network(name).eval(), torch.randn(3, 2, 301)[..., :300]
    channels_last = net(x)
    for module in (cnn, resnet):
        monkeypatch.setattr(module, "to_fast_layout", lambda x: x)
    torch.testing.assert_close(net(x), channels_last, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n_leads=st.integers(1, 12),
    extra=st.integers(0, 400),
    n_classes=st.integers(2, 6),
)
def test_a_network_takes_any_leads_lengths_and_classes(name, n_leads, extra, n_classes):
    n_samples = SHORTEST[name] + extra
    net = network(name, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
    logits = net(torch.randn(2, n_leads, n_samples))
    assert logits.shape == (2, n_classes) and bool(logits.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_beats_that_are_too_short_are_refused_with_the_length_needed(name):
    network(name, n_samples=SHORTEST[name])
    with pytest.raises(OptionError) as caught:
        network(name, n_samples=SHORTEST[name] - 1)
    assert str(SHORTEST[name]) in caught.value.fix


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    net = network(name)
    nn.functional.cross_entropy(net(torch.randn(64, 2, 300)), torch.arange(64) % 5).backward()
    silent = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("form", ["1-D", "2-D"])
def test_a_residual_block_without_its_residual_is_the_identity(form):
    x = torch.rand(2, 4, 9)
    x = x.unsqueeze(2) if form == "2-D" else x
    same, halving = ResidualBlock(4, 4, stride=1).eval(), ResidualBlock(4, 6, stride=2).eval()
    for block in (same, halving):
        nn.init.zeros_(block.norm2.weight)
    assert torch.equal(same(x), x)
    out = halving(x)
    assert torch.equal(out[:, :4], x[..., ::2]) and out.shape[1] == 6 and not out[:, 4:].any()


def test_the_groups_of_resnet_31_halve_the_length_rounding_up():
    net, seen = network("resnet-31", n_samples=300), []
    for block in net.blocks:
        block.register_forward_hook(lambda m, i, out: seen.append((out.shape[1], out.shape[-1])))
    net(torch.randn(2, 2, 300))
    assert seen == [(16, 75)] * 5 + [(32, 38)] * 5 + [(64, 19)] * 5


# Space and strategies


@pytest.mark.parametrize("name", NAMES)
def test_the_other_networks_are_the_neighbours_of_a_network(name):
    neighbours = {arch.genotype["name"] for arch in SPACE.neighbours(architecture(name))}
    assert neighbours == set(NAMES) - {name} and len(neighbours) == SPACE.size - 1


def test_the_moves_of_the_space_stay_inside_and_change_what_they_should():
    rng = np.random.default_rng(1)
    drawn = [SPACE.sample(rng) for _ in range(60)]
    assert {arch.genotype["name"] for arch in drawn} == set(NAMES)
    for a, b in pairwise(drawn):
        assert SPACE.mutate(a, rng) != a
        assert SPACE.crossover(a, b, rng) in (a, b)
        assert SPACE.draw(a) == a.genotype["name"]


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (Architecture("conv-cells", {"name": "cnn-9"}), "'conv-cells', not 'fixed'"),
        (Architecture("fixed", {"name": "cnn-10"}), "no network 'cnn-10'"),
        (Architecture("fixed", {"name": ["cnn-9"]}), "no network"),
        (Architecture("fixed", "cnn-9"), "the name of a network"),
        (Architecture("fixed", {"name": "cnn-9", "leads": 2}), "the name of a network"),
    ],
)
def test_unknown_networks_are_refused(arch, message):
    with pytest.raises(OptionError, match=message):
        SPACE.validate(arch)
    with pytest.raises(OptionError, match=message):
        FixedNetwork(NoOptions()).build(arch, n_leads=2, n_samples=300, n_classes=5)


@pytest.mark.parametrize("name", NAMES)
def test_a_fixed_model_is_a_strategy_with_one_answer(name):
    strategy = load_registry().get("strategy", name)
    assert isinstance(strategy.spec, StrategySpec)
    assert strategy.spec.space == "fixed"
    result = strategy.create(NoOptions()).search(None, SPACE, None, None)
    assert result.architecture == Architecture("fixed", {"name": name})


def test_resnet_31_says_that_it_is_a_reconstruction():
    assert "reconstruction" in load_registry().get("strategy", "resnet-31").spec.summary
