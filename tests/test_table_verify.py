"""Trainings of a table that are repeated: equal on the same machine, near elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_tables import SPACE, toy_result, toy_table

from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.table import PARTS, Table
from nasbench_ecg.tables.verify import seed_deviation, verify

ROWS = {arch.hash: row for row, arch in enumerate(SPACE.members)}


@pytest.fixture
def table() -> Table:
    made = toy_table()
    return Table(made.card.model_copy(update={"machines": ("here",)}), made.arrays)


def trained(arch, seed):
    return toy_result(ROWS[arch.hash], seed)


def costs_of(arch):
    return {name: values[ROWS[arch.hash]] for name, values in toy_table().costs().items()}


def altered(arch, seed, *, by, part=1):
    result = trained(arch, seed)
    confusion = result.confusion.copy()
    confusion[-1, part, 0, 0] += by
    return replace(result, confusion=confusion)


def test_equal_trainings_hold_and_the_sample_is_as_large_as_asked(table):
    found = list(verify(table, trained, "here", costs=costs_of, sample=7))
    assert len(found) == 7 == len({(one.row, one.seed) for one in found})
    assert all(one.equal and one.same_machine and one.holds for one in found)
    assert {one.difference for one in found} == {0.0}


def test_all_trainings_are_repeated_at_most_once(table):
    found = list(verify(table, trained, "here", costs=costs_of, sample=10_000))
    assert len(found) == int(table.trained.sum())


def test_a_difference_of_one_beat_fails_on_the_same_machine_and_holds_elsewhere(table):
    def train(arch, seed):
        return altered(arch, seed, by=1)

    (here,) = verify(table, train, "here", costs=costs_of, sample=1)
    assert not here.equal and not here.holds and here.difference > 0
    (elsewhere,) = verify(table, train, "another processor", costs=costs_of, sample=1)
    assert not elsewhere.equal and not elsewhere.same_machine and elsewhere.holds


def test_a_machine_whose_seconds_were_predicted_is_still_the_same(table):
    name = "here; seconds predicted for a processor"
    predicted = Table(table.card.model_copy(update={"machines": (name,)}), table.arrays)
    (found,) = verify(predicted, trained, "here", costs=costs_of, sample=1)
    assert found.same_machine and found.holds


def test_what_cannot_be_compared_is_refused(table):
    one_seed = toy_table(seeds=1)
    card = one_seed.card.model_copy(update={"machines": ("here",)})
    one_seed = Table(card, one_seed.arrays)
    assert all(one.holds for one in verify(one_seed, trained, "here", costs=costs_of, sample=3))
    with pytest.raises(TableError, match="noise of a seed is not known"):
        list(verify(one_seed, trained, "another processor", costs=costs_of, sample=3))
    with pytest.raises(TableError, match="No member of the table is trained"):
        list(
            verify(
                toy_table(untrained=range(SPACE.size)), trained, "here", costs=costs_of, sample=3
            )
        )


@pytest.mark.parametrize("part", [0, 1])
def test_a_large_difference_fails_everywhere(table, part):
    def train(arch, seed):
        return altered(arch, seed, by=100_000, part=part)

    (one,) = verify(table, train, "another processor", costs=costs_of, sample=1)
    differences = (one.validation_difference, one.difference)
    assert abs(differences[part]) > 5 * seed_deviation(table, PARTS[part]) and not one.holds
    assert differences[1 - part] == 0


@pytest.mark.parametrize("machine", ["here", "another processor"])
def test_a_changed_cost_fails_everywhere(table, machine):
    changed = {**table.arrays, "cost_parameters": table.arrays["cost_parameters"] + 1}
    found = list(verify(Table(table.card, changed), trained, machine, costs=costs_of, sample=2))
    assert [(one.other_costs, one.holds) for one in found] == [(("parameters",), False)] * 2


def test_the_deviation_of_a_seed_is_pooled_over_members(table):
    scores = table.values("test", "f1_of_macro")[:, :, -1]
    by_hand = [np.var(row, ddof=1) for row in scores]
    assert seed_deviation(table) == pytest.approx(np.sqrt(np.mean(by_hand)))
