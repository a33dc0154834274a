"""The space ``tiny-cells`` and its builder, against plain torch modules and by brute force."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import ListsMembers
from nasbench_ecg.errors import OptionError
from nasbench_ecg.options import NoOptions, resolve
from nasbench_ecg.training import count_parameters
from nasbench_ecg_tiny.layers import Depthwise
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.options import OPERATIONS, TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells, canonical, to_architecture, to_genotype

SPACE = TinyCells(TinyCellsOptions())
ALL = list(product(OPERATIONS, OPERATIONS, OPERATIONS, (2, 4, 8), (1, 2)))
genotypes = st.sampled_from(ALL)
members = st.sampled_from(list(SPACE.forms))


def built(genotype, n_leads=2, n_samples=64, n_classes=3):
    arch = to_architecture(genotype)
    sizes = {"n_leads": n_leads, "n_samples": n_samples, "n_classes": n_classes}
    return TinyNetwork(NoOptions()).build(arch, **sizes)


class Zero(nn.Module):
    def forward(self, x):
        return x * 0


def plain_operation(name, c):
    """Return an operation as the design page defines it, of torch's own 1-D modules."""
    if name == "zero":
        return Zero()
    if name == "skip":
        return nn.Identity()
    kind, k = name.rsplit("-", 1)
    if kind == "max-pool":
        return nn.MaxPool1d(int(k), 1, int(k) // 2)
    pad = int(k) // 2
    if kind == "conv":
        convs = [nn.Conv1d(c, c, int(k), padding=pad, bias=False)]
    else:
        depthwise = nn.Conv1d(c, c, int(k), padding=pad, groups=c, bias=False)
        convs = [depthwise, nn.Conv1d(c, c, 1, bias=False)]
    return nn.Sequential(*convs, nn.BatchNorm1d(c), nn.ReLU())


class PlainCell(nn.Module):
    def __init__(self, edges, c):
        super().__init__()
        first, direct, second = edges
        self.direct = plain_operation(direct, c)
        self.first, self.second = plain_operation(first, c), plain_operation(second, c)

    def forward(self, x):
        return self.direct(x) + self.second(self.first(x))


class PlainNetwork(nn.Module):
    """The network of a genotype in its raw form, dead operations included."""

    def __init__(self, genotype, n_leads=2, n_classes=3):
        super().__init__()
        *edges, width, cells = genotype

        def conv(c_in, c_out, k, stride):
            layer = nn.Conv1d(c_in, c_out, k, stride=stride, padding=k // 2, bias=False)
            return nn.Sequential(layer, nn.BatchNorm1d(c_out), nn.ReLU())

        sizes = [(n_leads, width, 7, 4), (width, 2 * width, 3, 2), (2 * width, 4 * width, 3, 2)]
        self.layers = nn.ModuleList()
        for size in sizes:
            stage = nn.Sequential(*(PlainCell(edges, size[1]) for _ in range(cells)))
            self.layers += [conv(*size), stage]
        self.linear = nn.Linear(4 * width, n_classes)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.linear(x.mean(-1))


def live_operations(cell, edges):
    """Yield the operations of a plain cell that reach its output, with their names."""
    first, direct, second = edges
    yield direct, cell.direct
    if "zero" not in (first, second):
        yield first, cell.first
        yield second, cell.second


def fill(modules, seed):
    """Give modules of one kind the same weights whatever else the network holds."""
    generator = torch.Generator().manual_seed(seed)
    for module in modules:
        for name, values in [*module.named_parameters(), *module.named_buffers()]:
            if values.dtype.is_floating_point:
                drawn = torch.rand(values.shape, generator=generator, dtype=values.dtype)
                values.data = drawn + 0.1 if "var" in name else drawn - 0.4


def with_weights_by_role(genotype):
    """Return a plain network whose k-th live operation of a name has weights of its own."""
    network = PlainNetwork(genotype).double().eval()
    fill([*network.layers[::2], network.linear], 0)
    for s, stage in enumerate(network.layers[1::2]):
        for i, cell in enumerate(stage):
            seen = Counter()
            for name, operation in live_operations(cell, genotype[:3]):
                place = OPERATIONS.index(name), seen[name], s, i
                fill([operation], int(np.ravel_multi_index(place, (8, 3, 3, 2))) + 1)
                seen[name] += 1
    return network


def sum_of_paths(genotype):
    """Return what a genotype computes: a sum of chains of operations, or None if nothing."""
    first, direct, second, width, cells = genotype
    paths = [[direct], [first, second]]
    alive = [tuple(op for op in path if op != "skip") for path in paths if "zero" not in path]
    if not alive:
        return None
    identity = alive == [()]
    return frozenset(Counter(alive).items()), width, 1 if identity else cells


@given(members, st.data())
@settings(max_examples=40, deadline=None)
def test_genotypes_of_one_canonical_form_compute_one_function(member, data):
    one, other = (data.draw(st.sampled_from(SPACE.forms[member])) for _ in range(2))
    x = torch.randn(3, 2, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        a, b = (with_weights_by_role(genotype)(x) for genotype in (one, other))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
def test_six_networks_of_a_width_are_two_members_each():
    """One cell with a path of an operation twice has the layers of two cells of it alone."""
    x = torch.randn(4, 2, 64, generator=torch.Generator().manual_seed(0))
    by_output = defaultdict(list)
    for member in TinyCells(TinyCellsOptions(widths=(2,))).forms:
        torch.manual_seed(0)
        by_output[tuple(built(member)(x).flatten().tolist())].append(member)
    twice = {frozenset(equal) for equal in by_output.values() if len(equal) > 1}
    operations = [name for name in OPERATIONS if name not in ("zero", "skip")]
    assert twice == {
        frozenset({(name, "zero", name, 2, 1), ("zero", name, "zero", 2, 2)}) for name in operations
    }
    assert len(by_output) == 1935 // 3 - 6


def test_the_canonical_form_is_the_sum_of_paths_and_there_are_1935():
    forms = {}
    for genotype in ALL:
        form, computed = canonical(genotype), sum_of_paths(genotype)
        assert (form is None) == (computed is None)
        if form is not None:
            assert forms.setdefault(computed, form) == form
            assert canonical(form) == form
    assert len(forms) == len(set(forms.values())) == SPACE.size == len(SPACE.members) == 1935
    assert set(forms.values()) == set(SPACE.forms)
    assert isinstance(SPACE, ListsMembers)


@pytest.mark.parametrize(
    ("genotype", "parameters"),
    [
        (("conv-27", "sep-9", "conv-3", 8, 1), 44_813),
        (("skip", "conv-27", "max-pool-3", 8, 2), 75_109),
        (("conv-9", "skip", "sep-27", 8, 1), 17_485),
        (("skip", "max-pool-3", "skip", 4, 2), 677),
        (("conv-3", "conv-3", "sep-27", 2, 1), 1_271),
        (("zero", "skip", "zero", 2, 1), 221),
        (("conv-27", "conv-27", "conv-27", 8, 2), 220_709),
    ],
)
def test_parameters_on_two_leads_and_five_classes(genotype, parameters):
    """The first five counts are those of an earlier, separate implementation."""
    assert count_parameters(built(genotype, n_classes=5)) == parameters


@given(members)
@settings(max_examples=25, deadline=None)
def test_the_network_and_its_gradients_are_those_of_plain_modules(member):
    torch.manual_seed(0)
    plain, network = PlainNetwork(member), built(member)
    own, other = network.state_dict(), plain.state_dict()
    assert [v.shape for v in own.values()] == [v.shape for v in other.values()]
    network.load_state_dict(dict(zip(own, other.values(), strict=True)))
    x = torch.randn(5, 2, 75)
    grads = []
    for model in (plain.train(), network.train()):
        logits = model(x)
        F.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
        grads.append([logits, *(p.grad for p in model.parameters())])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-4)
    with torch.inference_mode():
        torch.testing.assert_close(plain.eval()(x), network.eval()(x), rtol=2e-3, atol=2e-4)


@given(
    kernel=st.sampled_from([17, 19, 27]),
    channels=st.integers(1, 5),
    n=st.integers(1, 80),
    batch=st.integers(1, 4),
)
@settings(max_examples=40, deadline=None)
def test_band_matrices_are_the_convolution_in_values_and_gradients(kernel, channels, n, batch):
    torch.manual_seed(n)
    layer = Depthwise(channels, kernel).double().train()
    x = torch.randn(batch, channels, n, dtype=torch.float64, requires_grad=True)
    assert layer._is_slow(x.unsqueeze(2))
    fast = layer(x.unsqueeze(2)).squeeze(2)
    slow = F.conv1d(x, layer.weight, padding=kernel // 2, groups=channels)
    seen = torch.randn_like(slow)
    torch.testing.assert_close(fast, slow)
    ours = torch.autograd.grad(fast, [x, layer.weight], seen)
    theirs = torch.autograd.grad(slow, [x, layer.weight], seen)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_band_matrices_pass_the_numeric_gradient_check_twice():
    torch.manual_seed(0)
    layer = Depthwise(2, 17).double().train()
    x = torch.randn(2, 2, 1, 9, dtype=torch.float64, requires_grad=True)

    def run(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.weight))
    assert torch.autograd.gradgradcheck(run, (x, layer.weight))


def test_all_layouts_of_a_depthwise_convolution_agree():
    torch.manual_seed(0)
    layer, x = Depthwise(3, 27), torch.randn(4, 3, 30)
    flat = layer.eval()(x)
    torch.testing.assert_close(layer(x.unsqueeze(2)).squeeze(2), flat)
    torch.testing.assert_close(layer.train()(x.unsqueeze(2)).squeeze(2), flat)


@given(members, st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_moves_stay_among_members_in_canonical_form(member, seed):
    rng = np.random.default_rng(seed)
    arch = to_architecture(member)
    for other in (SPACE.mutate(arch, rng), SPACE.crossover(arch, SPACE.sample(rng), rng)):
        assert to_genotype(other) in SPACE.forms
        assert SPACE.canonical(other) == other
    near = list(SPACE.neighbours(arch))
    by_hand = {
        canonical(g)
        for form in SPACE.forms[member]
        for g in ALL
        if sum(a != b for a, b in zip(form, g, strict=True)) == 1
    }
    assert {to_genotype(one) for one in near} == by_hand - {None, member}


def test_samples_are_uniform_over_members():
    space = TinyCells(TinyCellsOptions(operations=("zero", "skip"), widths=(2,), cells=(1, 2)))
    rng = np.random.default_rng(0)
    drawn = Counter(space.sample(rng).hash for _ in range(3000))
    assert len(drawn) == space.size == 3  # x, 2x of one cell and 2x of two cells
    assert min(drawn.values()) > 900


@pytest.mark.parametrize(
    ("genotype", "reason"),
    [
        (("zero", "zero", "conv-3", 2, 1), "cut off"),
        (("zero", "conv-3", "conv-5", 2, 1), "'conv-5' is not a choice"),
        (("conv-3", "skip", "skip", 3, 1), "3 is not a choice"),
        (("conv-3", "skip", "skip", 2, 0), "0 is not a choice"),
    ],
)
def test_invalid_genotypes_are_refused_everywhere(genotype, reason):
    arch = to_architecture(genotype)
    rng = np.random.default_rng(0)
    with pytest.raises(OptionError, match=reason):
        SPACE.validate(arch)
    with pytest.raises(OptionError, match=reason):
        SPACE.mutate(arch, rng)
    with pytest.raises(OptionError, match=reason):
        SPACE.canonical(arch)


@pytest.mark.parametrize(
    ("genotype", "reason"),
    [
        (("zero", "zero", "conv-3", 2, 1), "cut off"),
        (("conv-3", "foo", "skip", 2, 1), "no operation 'foo'"),
        (("zero", "conv-3", "foo", 2, 1), "no operation 'foo'"),
        (("conv-3", "skip", "skip", 0, 1), "at least 1"),
        (("conv-3", "skip", "skip", 2, -1), "at least 1"),
    ],
)
def test_the_builder_refuses_what_it_cannot_build(genotype, reason):
    with pytest.raises(OptionError, match=reason):
        built(genotype)


@pytest.mark.parametrize(
    "genotype",
    [
        None,
        {"edges": ["skip", "skip", "skip"], "width": 2},
        {"edges": ["skip", "skip"], "width": 2, "cells": 1},
        {"edges": ["skip", "skip", 3], "width": 2, "cells": 1},
        {"edges": ["skip", "skip", "skip"], "width": 2.0, "cells": 1},
        {"edges": ["skip", "skip", "skip"], "width": True, "cells": 1},
    ],
)
def test_other_forms_of_data_are_refused(genotype):
    with pytest.raises(OptionError, match="no genotype of tiny-cells"):
        SPACE.validate(Architecture("tiny-cells", genotype))


def test_a_smaller_space_validates_exactly_its_own_genotypes():
    options = TinyCellsOptions(operations=("zero", "skip", "conv-3"), widths=(2,), cells=(2,))
    space = TinyCells(options)
    valid = set()
    for genotype in ALL:
        try:
            space.validate(to_architecture(genotype))
        except OptionError:
            continue
        valid.add(genotype)
    assert valid == {genotype for forms in space.forms.values() for genotype in forms}
    assert ("zero", "skip", "zero", 2, 2) not in valid  # the same as one cell, which is not here


@pytest.mark.parametrize(
    "options", [{"operations": ["zero"]}, {"operations": []}, {"widths": [0]}, {"cells": [-1]}]
)
def test_options_of_an_empty_space_are_refused(options):
    with pytest.raises(OptionError, match="tiny-cells"):
        resolve(TinyCellsOptions, component="search space tiny-cells", overrides=options)


def test_a_space_of_one_member_cannot_be_mutated():
    space = TinyCells(TinyCellsOptions(operations=("conv-3",), widths=(2,), cells=(1,)))
    assert space.size == 1
    with pytest.raises(OptionError, match="single architecture"):
        space.mutate(space.members[0], np.random.default_rng(0))


def test_a_drawing_names_the_live_operations():
    text = SPACE.draw(to_architecture(("conv-9", "zero", "sep-27", 4, 2)))
    assert "conv-9" in text and "sep-27" in text and "width 4" in text
    assert "conv-9" not in SPACE.draw(to_architecture(("zero", "sep-9", "conv-9", 4, 2)))
