"""Members trained side by side: equal to those trained alone, in rounds, with predicted seconds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, nnls
from tiny_beats import tiny_beats
from torch.nn.functional import cross_entropy
from toy_tables import SPACE as TOY
from toy_tables import toy_card, toy_result, toy_table

from nasbench_ecg.contracts import StacksNetworks, Task
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.options import NoOptions
from nasbench_ecg.tables import gpu_build
from nasbench_ecg.tables.build import build, n_trainings, open_or_create, pack, trainings
from nasbench_ecg.tables.card import Recipe, TableError
from nasbench_ecg.tables.clock import (
    clock_of_other_processor,
    fit_clock,
    layer_work,
    timed_by,
    with_seconds_of,
)
from nasbench_ecg.tables.gpu_build import build_side_by_side
from nasbench_ecg.tables.gpu_training import StackTrainer
from nasbench_ecg.tables.training import train_member
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.options import OPERATIONS, TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells, to_architecture
from nasbench_ecg_tiny.stack import Stack

BUILDER = TinyNetwork(NoOptions())
SHARES = (0.8, 0.15, 0.05)
TEST = tiny_beats(160, shares=SHARES, seed=160)


def networks(members, n_samples=75):
    made = []
    for seed, arch in enumerate(members):
        torch.manual_seed(seed)
        made.append(BUILDER.build(arch, n_leads=2, n_samples=n_samples, n_classes=3).double())
    return made


def some_members(width, cells, operations=OPERATIONS):
    space = TinyCells(TinyCellsOptions(operations=operations, widths=(width,), cells=(cells,)))
    chosen = np.random.default_rng(0).permutation(space.size)[:12]
    return [space.members[i] for i in chosen]


@pytest.mark.parametrize(
    "members",
    [
        some_members(2, 2),
        some_members(3, 1),
        some_members(2, 1, ("conv-3", "conv-27", "sep-9", "sep-27")),
        some_members(2, 1, ("skip", "max-pool-3")),
        [to_architecture(("zero", "skip", "zero", 4, 1))],
    ],
    ids=["all", "odd width", "no copy of the input", "no weights in cells", "one"],
)
def test_a_stack_computes_what_its_networks_compute_and_the_same_gradients(members):
    alone = networks(members)
    stack = Stack(alone).double()
    x = torch.randn(16, len(members), 2, 75, dtype=torch.float64)
    y = torch.randint(0, 3, (16, len(members)))
    expected = torch.stack([network(x[:, i]) for i, network in enumerate(alone)], dim=1)
    found = stack(x)
    torch.testing.assert_close(found, expected)

    cross_entropy(expected.flatten(0, 1), y.flatten()).backward()
    cross_entropy(found.flatten(0, 1), y.flatten()).backward()
    squares = torch.zeros(len(members), dtype=torch.float64)
    for parameter, rows in stack.stacked_parameters():
        squares.index_add_(0, rows, parameter.grad.square().flatten(1).sum(dim=1))
    expected_squares = [
        sum(p.grad.square().sum() for p in network.parameters()) for network in alone
    ]
    torch.testing.assert_close(squares, torch.stack(expected_squares))

    rate = 0.1
    with torch.no_grad():
        for model in (stack, *alone):
            for parameter in model.parameters():
                parameter -= rate * parameter.grad
    copies = networks(members)
    stack.copy_to(copies)
    for network, copy in zip(alone, copies, strict=True):
        own_state, copied = (
            {k: v for k, v in one.state_dict().items() if not k.endswith("tracked")}
            for one in (network, copy)
        )
        torch.testing.assert_close(own_state, copied)
    for model in (stack, *alone):
        model.eval()
    torch.testing.assert_close(
        stack(x), torch.stack([network(x[:, i]) for i, network in enumerate(alone)], dim=1)
    )


def test_every_parameter_of_a_stack_belongs_to_members():
    stack = Stack(networks(some_members(2, 2)))
    listed = {id(parameter) for parameter, _ in stack.stacked_parameters()}
    assert listed == {id(parameter) for parameter in stack.parameters()}
    assert isinstance(BUILDER, StacksNetworks)


def trainer(recipe, device="cpu"):
    train, validation = (tiny_beats(n, shares=SHARES, seed=n) for n in (400, 150))
    task = Task(train, validation, train.classes)
    plan = SimpleNamespace(
        task=task, test=TEST, builder=BUILDER, card=SimpleNamespace(recipe=recipe)
    )
    clock = SimpleNamespace(
        processor="a processor", predict=lambda work: np.full((len(work), 2), 3, np.float32)
    )
    return StackTrainer(plan, clock, device)


MEMBERS = [
    (to_architecture(("conv-9", "skip", "sep-27", 2, 1)), 3),
    (to_architecture(("skip", "conv-3", "max-pool-3", 2, 1)), 1),
    (to_architecture(("zero", "sep-9", "zero", 2, 1)), 3),
    (to_architecture(("sep-27", "conv-27", "conv-3", 2, 1)), 0),
]


def test_members_side_by_side_get_the_results_that_each_gets_alone():
    # 130 beats in batches of 32: the last batch is smaller. A large rate needs the limit of
    # gradients, but would amplify rounding.
    recipe = Recipe(beats=130, epochs=2, batch_size=32, lr=0.002)
    own = trainer(recipe)
    for (arch, seed), found in zip(MEMBERS, own.train(MEMBERS), strict=True):
        alone = train_member(arch, own.task, TEST, BUILDER, recipe, seed)
        np.testing.assert_array_equal(found.confusion, alone.confusion)
        np.testing.assert_allclose(found.nll.astype(float), alone.nll.astype(float), atol=2e-3)
        assert (found.seconds == 3).all()


def test_stacks_hold_members_of_equal_width_and_number_of_cells():
    members = [(arch, 0) for w, c in ((2, 1), (2, 2), (4, 1)) for arch in some_members(w, c)]
    found = trainer(Recipe()).stacks(members)
    assert sorted(i for stack in found for i in stack) == list(range(len(members)))
    for stack in found:
        assert len({BUILDER.stack_key(members[i][0]) for i in stack}) == 1


def test_a_builder_that_cannot_stack_is_named():
    plan = SimpleNamespace(task=None, builder=SimpleNamespace())
    with pytest.raises(OptionError, match="one by one"):
        StackTrainer(plan, None, "cpu")


class ToyTrainer:
    machine = "a GPU, trained side by side; seconds predicted for a processor"

    def __init__(self, rows):
        self.rows = rows

    def stacks(self, members):
        half = len(members) // 2
        return [one for one in (list(range(half)), list(range(half, len(members)))) if one]

    def train(self, members):
        return [toy_result(self.rows[arch.hash], seed) for arch, seed in members]


@pytest.fixture
def toy(tmp_path):
    card = toy_card()
    costs = {"parameters": np.arange(card.members, dtype=np.float64)}
    table = open_or_create(tmp_path, card, TOY.members, lambda: costs)
    rows = {arch.hash: row for row, arch in enumerate(table.members)}
    return tmp_path, table, [0] * card.members, rows


def test_a_table_is_the_same_whether_members_are_trained_alone_or_side_by_side(toy, monkeypatch):
    folder, table, groups, rows = toy
    monkeypatch.setattr(gpu_build, "ROUND", 10)
    alone = build(folder, table, groups, lambda a, s: toy_result(rows[a.hash], s), "a processor")
    for _ in range(5):
        next(alone)
    alone.close()
    steps = list(build_side_by_side(folder, table, groups, ToyTrainer(rows)))
    assert steps[-1].done == steps[-1].total == n_trainings(table.card)
    packed = pack(folder)
    assert packed.trained.all()
    assert set(packed.card.machines) == {"a processor", ToyTrainer.machine}
    np.testing.assert_array_equal(packed.arrays["confusion"], toy_table().arrays["confusion"])
    assert not list(build_side_by_side(folder, packed, groups, ToyTrainer(rows)))


def test_a_processor_does_not_repeat_what_a_killed_build_side_by_side_has_written(toy, monkeypatch):
    folder, table, groups, rows = toy
    monkeypatch.setattr(gpu_build, "ROUND", 10)
    steps = build_side_by_side(folder, table, groups, ToyTrainer(rows))
    for _ in range(3):
        next(steps)
    steps.close()
    made = list(
        build(folder, table, groups, lambda a, s: toy_result(rows[a.hash], s), "a processor")
    )
    total = n_trainings(table.card)
    assert [step.done for step in made] == list(range(11, total + 1))
    packed = pack(folder)
    machine = packed.card.machines.index(ToyTrainer.machine)
    assert (packed.arrays["machine"] == machine).sum() == 10


def test_a_training_in_two_journals_is_entered_once(toy):
    folder, table, groups, rows = toy
    steps = build(folder, table, groups, lambda a, s: toy_result(rows[a.hash], s), "a processor")
    next(steps)
    steps.close()
    (journal,) = (folder / "shards").glob("*.jsonl")
    line = journal.read_text().replace("a processor", ToyTrainer.machine)
    (folder / "shards" / "stacked-1-1.jsonl").write_text(line)
    packed = pack(folder)
    assert packed.trained.sum() == 1 and packed.card.machines == ("a processor",)


def test_a_round_that_is_cut_short_leaves_a_fair_sample(toy, monkeypatch):
    folder, table, groups, rows = toy
    monkeypatch.setattr(gpu_build, "ROUND", 10)
    steps = build_side_by_side(folder, table, groups, ToyTrainer(rows))
    for _ in range(3):  # two stacks of the first round, one of the second
        next(steps)
    steps.close()
    trained = {tuple(one) for one in np.argwhere(pack(folder).trained).tolist()}
    assert trained == set(trainings(table.card, groups)[:10])


def test_two_processes_side_by_side_in_one_shard_are_refused(toy):
    folder, table, groups, rows = toy
    steps = build_side_by_side(folder, table, groups, ToyTrainer(rows))
    next(steps)
    with pytest.raises(StorageError, match="Another process"):
        next(build_side_by_side(folder, table, groups, ToyTrainer(rows)))
    assert next(build_side_by_side(folder, table, groups, ToyTrainer(rows), shard=(1, 2)))


# the clock

TASK = SimpleNamespace(n_leads=2, n_samples=64, n_classes=3)


def measured_table(true_seconds, *, factor=1.0, untrained=()):
    table = toy_table(untrained=untrained)
    for row, arch in enumerate(table.members):
        total = factor * true_seconds(layer_work(arch, BUILDER, TASK))
        table.arrays["seconds"][row] = np.array([0.5, 1.0]) * total
    return type(table)(table.card.model_copy(update={"machines": ("a processor",)}), table.arrays)


def seconds_of(work):
    return sum(0.01 * amount * (1 + len(kind) % 3) for kind, amount in work.items())


def test_the_clock_predicts_sums_of_layers(monkeypatch):
    monkeypatch.setattr("nasbench_ecg.tables.clock._FEWEST", 20)
    rows = range(TOY.size)
    table = measured_table(seconds_of, untrained=rows[40:])
    clock = fit_clock(table, BUILDER, TASK)
    works = [layer_work(arch, BUILDER, TASK) for arch in table.members]
    expected = np.array([seconds_of(work) for work in works])
    assert clock.members == 40 and clock.processor == "a processor"
    np.testing.assert_allclose(clock.predict(works)[rows[:40], 1], expected[:40], rtol=1e-3)
    np.testing.assert_allclose(clock.predict(works)[:, 0], 0.5 * clock.predict(works)[:, 1])


def test_a_table_with_few_measured_members_scales_the_clock_of_another(monkeypatch):
    monkeypatch.setattr("nasbench_ecg.tables.clock._FEWEST", 20)
    rows = range(TOY.size)
    reference = measured_table(seconds_of)
    table = measured_table(seconds_of, factor=1.5, untrained=rows[6:])
    clock = fit_clock(table, BUILDER, TASK, reference)
    works = [layer_work(arch, BUILDER, TASK) for arch in table.members]
    expected = 1.5 * np.array([seconds_of(work) for work in works])
    np.testing.assert_allclose(clock.predict(works)[:, 1], expected, rtol=1e-3)
    few = measured_table(seconds_of, untrained=rows[3:])
    with pytest.raises(TableError, match="too few"):
        fit_clock(few, BUILDER, TASK, reference)
    with pytest.raises(TableError, match="too few"):
        fit_clock(few, BUILDER, TASK)


def test_the_clock_of_noisy_seconds_is_a_fit_of_relative_errors(monkeypatch):
    monkeypatch.setattr("nasbench_ecg.tables.clock._FEWEST", 20)
    table = measured_table(seconds_of)
    factors = np.exp(np.random.default_rng(0).normal(0, 0.2, TOY.size)).astype(np.float32)
    factors[0] = 50  # a member for which the processor was busy
    table.arrays["seconds"] *= factors[:, None, None]
    table.arrays["seconds"][:3, :, 0] *= 1.5
    clock = fit_clock(table, BUILDER, TASK)
    works = [layer_work(arch, BUILDER, TASK) for arch in table.members]
    matrix = np.array([[work.get(kind, 0.0) for kind in clock.kinds] for work in works])
    seconds = table.arrays["seconds"][:, :, -1].mean(axis=1, dtype=np.float64)

    def fitted(rows):
        relative = matrix[rows] / seconds[rows, None]
        return nnls(relative, np.ones(len(rows)))[0]

    everything = list(range(TOY.size))
    expected = matrix @ fitted(everything)
    np.testing.assert_allclose(clock.predict(works)[:, 1], expected, rtol=1e-4)
    least = lsq_linear(matrix / seconds[:, None], np.ones(TOY.size), bounds=(0, np.inf))
    errors = matrix @ clock.seconds / seconds - 1
    assert (errors**2).sum() / 2 == pytest.approx(least.cost, rel=1e-4)
    shares = [table.arrays["seconds"][i].mean(axis=0) / seconds[i] for i in everything]
    np.testing.assert_allclose(clock.shares, np.median(shares, axis=0), rtol=1e-5)
    left_out = []
    for part in range(10):
        own = fitted([i for i in everything if i % 10 != part])
        left_out += [abs(matrix[i] @ own / seconds[i] - 1) for i in everything[part::10]]
    assert clock.error == pytest.approx(np.median(left_out), rel=1e-4)

    few = measured_table(seconds_of, factor=1.5, untrained=everything[7:])
    few.arrays["seconds"][2] *= 50
    scaled = fit_clock(few, BUILDER, TASK, measured_table(seconds_of))
    expected = 1.5 * np.array([seconds_of(work) for work in works])
    np.testing.assert_allclose(scaled.predict(works)[:, 1], expected, rtol=1e-3)
    assert scaled.error < 1e-3


def test_seconds_of_members_that_were_trained_side_by_side_are_not_measurements(monkeypatch):
    monkeypatch.setattr("nasbench_ecg.tables.clock._FEWEST", 20)
    table = measured_table(seconds_of)
    card = table.card.model_copy(update={"machines": (ToyTrainer.machine,)})
    with pytest.raises(TableError, match="too few"):
        fit_clock(type(table)(card, table.arrays), BUILDER, TASK)


def test_a_table_keeps_the_seconds_of_its_first_processor(monkeypatch):
    monkeypatch.setattr("nasbench_ecg.tables.clock._FEWEST", 20)
    table = measured_table(seconds_of)
    table.arrays["machine"][30:] = 1
    table.arrays["seconds"][30:] *= 3
    card = table.card.model_copy(update={"machines": ("a processor", "a slower one")})
    mixed = type(table)(card, table.arrays)
    assert clock_of_other_processor(mixed, "a processor", BUILDER, TASK) is None
    clock = clock_of_other_processor(mixed, "a slower one", BUILDER, TASK)
    assert clock.processor == "a processor" and clock.members == 30
    arch = mixed.members[40]
    train = timed_by(clock, lambda arch, seed: toy_result(40, seed), BUILDER, TASK)
    result = train(arch, 1)
    expected = seconds_of(layer_work(arch, BUILDER, TASK))
    np.testing.assert_allclose(result.seconds, [0.5 * expected, expected], rtol=0.05)
    np.testing.assert_array_equal(result.confusion, toy_result(40, 1).confusion)
    assert with_seconds_of("a slower one", clock.processor).endswith(
        "; seconds predicted for a processor"
    )


def test_a_new_table_and_one_with_few_seconds_take_those_of_this_machine():
    untrained = measured_table(seconds_of, untrained=range(TOY.size))
    assert clock_of_other_processor(untrained, "here", BUILDER, TASK) is None
    few = measured_table(seconds_of, untrained=range(3, TOY.size))
    assert clock_of_other_processor(few, "here", BUILDER, TASK) is None
