"""The search space conv-cells, its drawings, and the layers of its networks."""

from __future__ import annotations

import copy
import itertools
import json
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg_cells.drawing import draw_text
from nasbench_ecg_cells.genotype import Edge, Genotype
from nasbench_ecg_cells.layers import (
    BatchNorm,
    Conv,
    ConvNormRelu,
    FactorizedReduction,
    Head,
    MaxPool,
    ReluConvNorm,
    operation,
)
from nasbench_ecg_cells.options import OPERATIONS, ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells

PAPER = ConvCells(ConvCellsOptions())


def space_of(nodes, operations):
    return ConvCells(ConvCellsOptions(nodes=nodes, operations=operations))


def decisions(arch):
    """Return every edge of a genotype as (cell, node, operation, source)."""
    return {
        (cell, i, op, source)
        for cell in ("normal", "reduction")
        for i, node in enumerate(arch.genotype[cell])
        for op, source in node
    }


@st.composite
def spaces(draw_from):
    nodes = draw_from(st.integers(1, 5))
    operations = draw_from(
        st.lists(st.sampled_from(OPERATIONS), min_size=2, max_size=10, unique=True).filter(
            lambda ops: len(set(ops) - {"none"}) >= 2
        )
    )
    return space_of(nodes, tuple(operations))


seeds = st.integers(0, 2**32 - 1)


# -- the paper's space -------------------------------------------------------------------------


def test_the_candidates_are_the_papers_ten():
    # Section IV-C: six convolutions, two poolings, skip, zero.
    assert sorted(OPERATIONS) == sorted(
        [f"conv-{k}" for k in (3, 5, 9, 13, 17, 27)] + ["max-pool-3", "max-pool-5", "skip", "none"]
    )
    assert PAPER.nodes == 4
    assert PAPER.operations == OPERATIONS


def test_the_paper_space_has_the_size_that_counting_by_hand_gives():
    # Nodes choose 2 of 2, 3, 4, 5 states and one of nine operations on each, in two cells.
    assert PAPER.size == ((1 * 3 * 6 * 10) * 81**4) ** 2


@pytest.mark.parametrize(
    ("nodes", "operations"), [(1, ("skip", "conv-3")), (2, ("skip", "none", "conv-5"))]
)
def test_size_is_the_number_of_genotypes_of_a_tiny_space(nodes, operations):
    space = space_of(nodes, operations)
    real = [op for op in operations if op != "none"]
    node_choices = [
        [
            [[op_a, a], [op_b, b]]
            for a, b in itertools.combinations(range(i + 2), 2)
            for op_a in real
            for op_b in real
        ]
        for i in range(nodes)
    ]
    cells = [list(cell) for cell in itertools.product(*node_choices)]
    everything = {
        Architecture("conv-cells", {"normal": n, "reduction": r}).to_json()
        for n in cells
        for r in cells
    }
    for text in itertools.islice(everything, 200):
        space.validate(Architecture.from_json(text))
    assert space.size == len(everything)


def test_sampling_reaches_every_genotype_of_a_tiny_space_about_equally():
    space = space_of(1, ("skip", "conv-3"))
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng).to_json() for _ in range(1600)]
    counts = np.array([drawn.count(text) for text in set(drawn)])
    assert len(counts) == space.size == 16
    # Chi-square with 15 degrees of freedom: 37.7 is its 99.9th percentile.
    assert ((counts - 100) ** 2 / 100).sum() < 37.7


# -- moves -------------------------------------------------------------------------------------


@given(spaces(), seeds)
@settings(max_examples=40, deadline=None)
def test_samples_and_mutants_are_valid_and_a_mutant_differs_in_one_decision(space, seed):
    rng = np.random.default_rng(seed)
    arch = space.sample(rng)
    mutant = space.mutate(arch, rng)
    space.validate(arch)
    space.validate(mutant)
    assert mutant != arch
    assert len(decisions(arch) - decisions(mutant)) == 1
    assert len(decisions(mutant) - decisions(arch)) == 1


@given(spaces(), seeds)
@settings(max_examples=40, deadline=None)
def test_a_mutation_by_kind_changes_an_operation_or_a_source(space, seed):
    rng = np.random.default_rng(seed)
    arch = space.sample(rng)
    assert (
        space.mutation_kinds
        == ("operation", "source")[len(space.real_operations) == 1 : 1 + (space.nodes > 1)]
    )
    for kind in space.mutation_kinds:
        mutant = space.mutate_kind(arch, kind, rng)
        assert mutant in set(space.neighbours(arch))
        assert (sources(mutant) == sources(arch)) == (kind == "operation")


def test_an_unknown_kind_of_mutation_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(OptionError, match="'width'"):
        PAPER.mutate_kind(PAPER.sample(rng), "width", rng)


def sources(arch):
    genotype = Genotype.from_architecture(arch)
    cells = (genotype.normal, genotype.reduction)
    return [sorted(edge.source for edge in node) for cell in cells for node in cell]


@given(spaces(), seeds)
@settings(max_examples=40, deadline=None)
def test_a_child_takes_every_node_from_a_parent(space, seed):
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.crossover(a, b, rng)
    space.validate(child)
    for cell in ("normal", "reduction"):
        for node, from_a, from_b in zip(
            child.genotype[cell], a.genotype[cell], b.genotype[cell], strict=True
        ):
            assert node in (from_a, from_b)


def test_crossover_of_equal_parents_is_that_parent_and_others_are_mixed():
    rng = np.random.default_rng(1)
    a, b = PAPER.sample(rng), PAPER.sample(rng)
    assert PAPER.crossover(a, a, rng) == a
    children = {PAPER.crossover(a, b, rng).to_json() for _ in range(50)}
    assert len(children - {a.to_json(), b.to_json()}) > 10


@given(spaces(), seeds)
@settings(max_examples=15, deadline=None)
def test_neighbours_are_all_valid_architectures_one_decision_away(space, seed):
    arch = space.sample(np.random.default_rng(seed))
    neighbours = list(space.neighbours(arch))
    for other in neighbours:
        space.validate(other)
        assert len(decisions(arch) - decisions(other)) == 1
        [before], [after] = decisions(arch) - decisions(other), decisions(other) - decisions(arch)
        assert before[:2] == after[:2]
        assert (before[2] == after[2]) != (before[3] == after[3])
    assert len({other.to_json() for other in neighbours}) == len(neighbours)
    # Each edge: another of the real operations, or another of the states not used by its node.
    n = len(space.real_operations)
    assert len(neighbours) == 2 * sum(2 * (n - 1) + 2 * i for i in range(space.nodes))


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_neighbourhood_is_mutual(seed):
    space = space_of(2, ("skip", "conv-3", "conv-5"))
    rng = np.random.default_rng(seed)
    arch = space.sample(rng)
    other = space.mutate(arch, rng)
    assert arch in list(space.neighbours(other))


def test_moves_depend_on_nothing_but_the_generator():
    def walk(seed):
        rng = np.random.default_rng(seed)
        a, b = PAPER.sample(rng), PAPER.sample(rng)
        return [a, b, PAPER.mutate(a, rng), PAPER.crossover(a, b, rng)]

    assert walk(3) == walk(3)
    assert walk(3) != walk(4)


def test_mutating_where_there_is_one_architecture_is_an_option_error():
    space = space_of(1, ("skip", "none"))
    assert space.size == 1
    with pytest.raises(OptionError, match="single architecture"):
        space.mutate(space.sample(np.random.default_rng(0)), np.random.default_rng(0))


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_architectures_survive_json_with_their_hash(seed):
    arch = PAPER.sample(np.random.default_rng(seed))
    back = Architecture.from_json(json.dumps(json.loads(arch.to_json()), indent=1))
    assert back == arch
    assert back.hash == arch.hash
    assert Genotype.from_architecture(back).to_architecture() == arch


def test_unknown_or_useless_operations_cannot_make_a_space():
    for operations in (("conv-4",), ("none",), ("skip", "skip"), ()):
        with pytest.raises(ValidationError):
            ConvCellsOptions(operations=operations)


# -- malformed genotypes -----------------------------------------------------------------------

GOOD = PAPER.sample(np.random.default_rng(0)).genotype


def with_node(cell, index, node):
    genotype = copy.deepcopy(GOOD)
    genotype[cell][index] = node
    return genotype


@pytest.mark.parametrize(
    ("genotype", "says"),
    [
        ([], ["'normal'", "'reduction'"]),
        ({"normal": GOOD["normal"]}, ["'normal'", "'reduction'"]),
        ({**GOOD, "third": []}, ["'normal'", "'reduction'"]),
        ({**GOOD, "normal": 7}, ["normal cell"]),
        ({**GOOD, "reduction": []}, ["reduction cell"]),
        ({**GOOD, "normal": GOOD["normal"][:3]}, ["normal cell", "3", "4"]),
        ({**GOOD, "reduction": "conv"}, ["reduction cell"]),
        (with_node("normal", 1, None), ["normal cell, node 2"]),
        (with_node("normal", 1, "ab"), ["normal cell, node 2"]),
        (with_node("reduction", 3, [["skip", 0]]), ["reduction cell, node 4", "two edges"]),
        (with_node("reduction", 3, [["skip", 0]] * 3), ["reduction cell, node 4", "two edges"]),
        (with_node("normal", 0, [["skip", 0], ["skip", 0]]), ["normal cell, node 1", "different"]),
        (with_node("normal", 0, [["skip", 0], ["skip", 2]]), ["normal cell, node 1", "0…1"]),
        (with_node("normal", 2, [["skip", -1], ["skip", 2]]), ["normal cell, node 3", "0…3"]),
        (with_node("normal", 2, [["skip", 0.9], ["skip", 2]]), ["normal cell, node 3", "0.9"]),
        (with_node("normal", 2, [["skip", True], ["skip", 2]]), ["normal cell, node 3", "True"]),
        (with_node("normal", 2, [["skip", "1"], ["skip", "2"]]), ["normal cell, node 3", "'1'"]),
        (with_node("normal", 2, [["skip", float("inf")], ["skip", 2]]), ["node 3", "inf"]),
        (with_node("normal", 2, [["skip", "1"], ["skip", 2]]), ["normal cell, node 3"]),
        (with_node("normal", 2, [["conv-4", 1], ["skip", 2]]), ["normal cell, node 3", "'conv-4'"]),
        (with_node("normal", 2, [["none", 1], ["skip", 2]]), ["normal cell, node 3", "'none'"]),
        (with_node("normal", 2, [[["skip"], 1], ["skip", 2]]), ["normal cell, node 3"]),
    ],
)  # fmt: skip
def test_a_malformed_genotype_is_an_option_error_that_names_what_and_where(genotype, says):
    with pytest.raises(OptionError) as caught:
        PAPER.validate(Architecture("conv-cells", genotype))
    for part in says:
        assert part in str(caught.value)


def test_an_operation_outside_a_smaller_space_is_named_with_the_known_ones():
    space = space_of(4, ("skip", "conv-3"))
    with pytest.raises(OptionError) as caught:
        space.validate(
            Architecture("conv-cells", with_node("normal", 0, [["conv-9", 0], ["skip", 1]]))
        )
    assert "'conv-9'" in caught.value.what
    assert caught.value.where == "normal cell, node 1"
    assert "conv-3" in caught.value.fix


def test_an_architecture_of_another_space_is_refused():
    with pytest.raises(OptionError, match="labelings"):
        PAPER.validate(Architecture("labelings", GOOD))


# -- drawing -----------------------------------------------------------------------------------


@given(spaces(), seeds)
@settings(max_examples=25, deadline=None)
def test_the_drawing_shows_every_edge_of_both_cells(space, seed):
    genotype = Genotype.from_architecture(space.sample(np.random.default_rng(seed)))
    names = ["in₁", "in₂", "n₁", "n₂", "n₃", "n₄", "n₅"]
    lines = draw_text(genotype).splitlines()
    column = lines[0].index("reduction cell")
    for cell, part in (
        (genotype.normal, slice(None, column)),
        (genotype.reduction, slice(column, None)),
    ):
        rows = [line[part].split("─") for line in lines[1 : 1 + 2 * len(cell)]]
        edges = [(row[0].strip(), row[1].strip()) for row in rows]
        assert edges == [(names[e.source], e.operation) for node in cell for e in node]
        assert [row[-1].strip() for row in rows[::2]] == names[2 : 2 + len(cell)]
    assert space.draw(genotype.to_architecture()) == draw_text(genotype)


def test_the_drawing_of_a_known_cell_reads_as_written_by_hand():
    node = (Edge(0, "skip"), Edge(1, "conv-27"))
    genotype = Genotype((node,), (node,))
    assert draw_text(genotype).splitlines()[1].startswith("in₁ ─ skip       ─┬─ n₁")
    assert draw_text(genotype).splitlines()[2].startswith("in₂ ─ conv-27    ─╯")
    assert "output = [n₁]" in draw_text(genotype)


# -- layers ------------------------------------------------------------------------------------


def run_both_forms(module, x):
    """Return outputs and gradients of a layer on [b, c, n] and on channels-last [b, c, 1, n]."""
    results = []
    for four_d in (False, True):
        layer = copy.deepcopy(module)
        given = x.clone().requires_grad_()
        form = given.unsqueeze(2).contiguous(memory_format=torch.channels_last) if four_d else given
        out = layer(form)
        assert out.dim() == form.dim()
        flat = out.squeeze(2) if four_d else out
        (flat * torch.cos(torch.arange(flat.numel(), dtype=x.dtype)).view_as(flat)).sum().backward()
        grads = [p.grad for p in layer.parameters()]
        results.append([flat.detach(), given.grad, *grads, *layer.buffers()])
    return results


def layers():
    made = {
        "factorized reduction to an odd width": lambda: FactorizedReduction(4, 5),
        "relu-conv-norm": lambda: ReluConvNorm(4, 3),
        "batch norm": lambda: BatchNorm(4),
    }
    for stride in (1, 2):
        for k in (1, 3, 27):
            made[f"bare conv {k}, stride {stride}"] = partial(Conv, 4, 6, k, stride)
        for op in OPERATIONS:
            made[f"{op}, stride {stride}"] = partial(operation, op, 4, stride, norm_after_pool=True)
    return made


LAYERS = layers()


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("length", [38, 19, 5, 2, 1])
def test_a_layer_computes_the_same_in_one_dimension_and_channels_last(name, length):
    torch.manual_seed(0)
    module = LAYERS[name]().double()
    x = torch.randn(3, 4, length, dtype=torch.float64)
    if not list(module.parameters()) and name.startswith("none"):
        # No gradient flows through "none": only its output and shape matter.
        flat, four = module(x), module(x.unsqueeze(2)).squeeze(2)
        torch.testing.assert_close(flat, four, rtol=0, atol=0)
        assert not flat.any()
        return
    one, two = run_both_forms(module, x)
    for a, b in zip(one, two, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("length", [38, 19, 75, 2, 1])
def test_operations_keep_the_length_at_stride_1_and_halve_it_rounding_up_at_stride_2(op, length):
    x = torch.randn(2, 4, length)
    assert operation(op, 4, 1)(x).shape == (2, 4, length)
    assert operation(op, 4, 2)(x).shape == (2, 4, (length + 1) // 2)


@pytest.mark.parametrize("length", [8, 7])
def test_factorized_reduction_sees_even_and_odd_samples_apart(length):
    torch.manual_seed(0)
    layer = FactorizedReduction(2, 5).double().eval()
    x = torch.randn(3, 2, length, dtype=torch.float64)
    even, odd = x[..., 0::2].relu(), x[..., 1::2].relu()
    odd = F.pad(odd, (0, even.shape[-1] - odd.shape[-1]))
    expected = torch.cat(
        [
            torch.einsum("oi,bin->bon", layer.even.weight[..., 0], even),
            torch.einsum("oi,bin->bon", layer.odd.weight[..., 0], odd),
        ],
        dim=1,
    )
    # In evaluation with fresh statistics, batch normalisation divides by sqrt(1 + eps).
    torch.testing.assert_close(layer(x), expected / np.sqrt(1 + layer.norm.eps))
    assert layer(x).shape == (3, 5, (length + 1) // 2)


def test_a_convolution_is_conv_then_norm_then_relu():
    torch.manual_seed(0)
    layer = ConvNormRelu(3, 4, 5)
    x = torch.randn(6, 3, 20)
    y = F.conv1d(x, layer[0].weight, padding=2)
    mean, var = y.mean((0, 2), keepdim=True), y.var((0, 2), unbiased=False, keepdim=True)
    torch.testing.assert_close(layer(x), F.relu((y - mean) / (var + 1e-5).sqrt()))


def test_batch_norm_is_torchs():
    torch.manual_seed(0)
    x = torch.randn(5, 3, 9)
    ours, torchs = BatchNorm(3), torch.nn.BatchNorm1d(3)
    torch.testing.assert_close(ours(x), torchs(x))
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    with pytest.raises(ValueError, match="dimensions"):
        ours(torch.randn(5, 3))


def test_a_max_pool_never_takes_its_padding_for_a_maximum():
    x = torch.full((1, 1, 7), -3.0)
    for stride in (1, 2):
        assert (MaxPool(5, stride)(x) == -3).all()
        assert (MaxPool(5, stride)(x.unsqueeze(2)) == -3).all()


def test_poolings_are_normalized_only_in_a_supernet():
    assert isinstance(operation("max-pool-3", 4, 1), MaxPool)
    searched = operation("max-pool-3", 4, 1, affine=False, norm_after_pool=True)
    assert [type(m) for m in searched] == [MaxPool, BatchNorm]
    assert not list(searched.parameters())


def test_the_head_averages_over_samples():
    torch.manual_seed(0)
    head = Head(4, 3)
    x = torch.randn(2, 4, 7)
    torch.testing.assert_close(head(x), head.linear(x.sum(-1) / 7))
    torch.testing.assert_close(head(x.unsqueeze(2)), head(x))


def test_an_unknown_operation_is_a_key_error():
    with pytest.raises(KeyError, match="dilated-conv-3"):
        operation("dilated-conv-3", 4, 1)
