"""Trainings of a table that are repeated: equal on the same machine, near elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_tables import SPACE, toy_result, toy_table

from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.table import Table
from nasbench_ecg.tables.verify import seed_deviation, verify

ROWS = {arch.hash: row for row, arch in enumerate(SPACE.members)}


@pytest.fixture
def table() -> Table:
    made = toy_table()
    return Table(made.card.model_copy(update={"machines": ("here",)}), made.arrays)


def trained(arch, seed):
    return toy_result(ROWS[arch.hash], seed)


def altered(arch, seed, *, by):
    result = trained(arch, seed)
    confusion = result.confusion.copy()
    confusion[-1, 1, 0, 0] += by
    return replace(result, confusion=confusion)


def test_equal_trainings_hold_and_the_sample_is_as_large_as_asked(table):
    found = list(verify(table, trained, "here", sample=7))
    assert len(found) == 7 == len({(one.row, one.seed) for one in found})
    assert all(one.equal and one.same_machine and one.holds for one in found)
    assert {one.difference for one in found} == {0.0}


def test_all_trainings_are_repeated_at_most_once(table):
    found = list(verify(table, trained, "here", sample=10_000))
    assert len(found) == int(table.trained.sum())


def test_a_difference_of_one_beat_fails_on_the_same_machine_and_holds_elsewhere(table):
    def train(arch, seed):
        return altered(arch, seed, by=1)

    (here,) = verify(table, train, "here", sample=1)
    assert not here.equal and not here.holds and here.difference > 0
    (elsewhere,) = verify(table, train, "another processor", sample=1)
    assert not elsewhere.equal and not elsewhere.same_machine and elsewhere.holds


def test_a_machine_whose_seconds_were_predicted_is_still_the_same(table):
    name = "here; seconds predicted for a processor"
    predicted = Table(table.card.model_copy(update={"machines": (name,)}), table.arrays)
    (found,) = verify(predicted, trained, "here", sample=1)
    assert found.same_machine and found.holds


def test_what_cannot_be_compared_is_refused(table):
    one_seed = toy_table(seeds=1)
    card = one_seed.card.model_copy(update={"machines": ("here",)})
    one_seed = Table(card, one_seed.arrays)
    assert all(one.holds for one in verify(one_seed, trained, "here", sample=3))
    with pytest.raises(TableError, match="noise of a seed is not known"):
        list(verify(one_seed, trained, "another processor", sample=3))
    with pytest.raises(TableError, match="No member of the table is trained"):
        list(verify(toy_table(untrained=range(SPACE.size)), trained, "here", sample=3))


def test_a_large_difference_fails_everywhere(table):
    def train(arch, seed):
        return altered(arch, seed, by=100_000)

    (one,) = verify(table, train, "another processor", sample=1)
    assert abs(one.difference) > 5 * seed_deviation(table) and not one.holds


def test_the_deviation_of_a_seed_is_pooled_over_members(table):
    scores = table.values("test", "f1_of_macro")[:, :, -1]
    by_hand = [np.var(row, ddof=1) for row in scores]
    assert seed_deviation(table) == pytest.approx(np.sqrt(np.mean(by_hand)))
