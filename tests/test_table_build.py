"""Builds of a table that are killed, shared and packed: no training is lost or repeated."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tables import SPACE, toy_card, toy_result

from nasbench_ecg.tables import build as building
from nasbench_ecg.tables.build import (
    BASE_SEEDS,
    BLOCK,
    REPEATED,
    SHARD,
    add_arrays,
    build,
    n_trainings,
    open_or_create,
    order,
    pack,
    publish,
    read_journal,
    trainings,
    with_journals,
)
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.files import ARRAYS, CARD, NEXT_CARD, load_table, save_table, table_folder
from nasbench_ecg.tables.find import find_tables, find_tables_in
from nasbench_ecg.tables.plan import strata

FORK = multiprocessing.get_context("fork")
STRATA = strata(np.arange(SPACE.size, dtype=np.float64))
TOTAL = SPACE.size * BASE_SEEDS
ROWS = {arch.hash: row for row, arch in enumerate(SPACE.members)}


def costs():
    return {"parameters": np.arange(SPACE.size, dtype=np.float64)}


def opened(folder, card=None):
    return open_or_create(folder, card or toy_card(), SPACE.members, costs)


def run(folder, *, log=None, pause=0.0, **options):
    """Build in this process; every started training is a line of ``log``."""
    table = opened(folder)

    def train(arch, seed):
        if log is not None:
            line = f"{ROWS[arch.hash]} {seed}\n".encode()
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(handle, line)
            os.close(handle)
        time.sleep(pause)
        return toy_result(ROWS[arch.hash], seed)

    return list(build(folder, table, STRATA, train, "this machine", **options))


def start(folder, **options):
    process = FORK.Process(target=run, args=(folder,), kwargs=options, daemon=True)
    process.start()
    return process


def lines(log):
    return log.read_text().splitlines() if log.exists() else []


def wait_for(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("nothing happened in 15 s")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table of an uninterrupted build."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return pack(folder)


def assert_same(table, other):
    for name, array in other.arrays.items():
        np.testing.assert_array_equal(table.arrays[name], array, err_msg=name)
    digests = {"sha256": "", "card_sha256": ""}
    assert table.card.model_copy(update=digests) == other.card.model_copy(update=digests)


def test_a_whole_build_holds_every_training(whole):
    assert TOTAL > 2 * SHARD
    assert whole.trained.all()
    assert whole.card.machines == ("this machine",)
    for row, seed in itertools.product(range(SPACE.size), range(BASE_SEEDS)):
        expected = toy_result(row, seed)
        for name in ("confusion", "nll", "seconds"):
            np.testing.assert_array_equal(whole.arrays[name][row, seed], getattr(expected, name))


def test_a_build_that_is_killed_continues_and_gives_the_same_table(whole, tmp_path):
    folder, log = tmp_path / "table", tmp_path / "log"
    for wanted in (SHARD // 2, SHARD + 5):
        process = start(folder, log=log, pause=0.004)
        before = len(lines(log))
        wait_for(lambda before=before, wanted=wanted: len(lines(log)) >= before + wanted)
        process.kill()
        process.join()
        assert process.exitcode == -9
    run(folder, log=log)
    assert_same(pack(folder), whole)
    repeated = [n for n in Counter(lines(log)).values() if n > 1]
    assert len(lines(log)) - TOTAL == len(repeated) <= 2  # those that were running at a kill


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_line_that_was_cut_short_is_trained_again(whole, tmp_path, cut):
    log = tmp_path / "log"
    steps = build(tmp_path, opened(tmp_path), STRATA, lambda *_: toy_result(0, 0), "m")
    next(steps)
    steps.close()
    (journal,) = (tmp_path / "shards").glob("*.jsonl")
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert not read_journal(journal)
    run(tmp_path, log=log)
    assert len(lines(log)) == TOTAL
    assert_same(pack(tmp_path), whole)


def started_journal(folder):
    """Return the journal of a build that was stopped after its first training."""
    steps = build(folder, opened(folder), STRATA, lambda *_: toy_result(0, 0), "m")
    next(steps)
    steps.close()
    (journal,) = (folder / "shards").glob("*.jsonl")
    return journal


@pytest.mark.parametrize("key", ["member", "seed", "confusion", "nll", "seconds", "sha256"])
def test_a_line_with_another_value_than_was_written_is_trained_again(tmp_path, key):
    journal = started_journal(tmp_path)
    assert len(read_journal(journal)) == 1
    head, _, rest = journal.read_text().partition(f'"{key}": ')
    at = next(i for i, char in enumerate(rest) if char.isdecimal())
    other = str((int(rest[at]) + 1) % 10)
    journal.write_text(f'{head}"{key}": {rest[:at]}{other}{rest[at + 1 :]}')
    assert not read_journal(journal)
    journal.write_text(f'{head}"{key[:-1]}": {rest}')
    assert not read_journal(journal)


def test_lines_of_versions_without_digests_are_read(tmp_path):
    journal = started_journal(tmp_path)
    (line,) = read_journal(journal).values()
    journal.write_text("\n" + json.dumps(line))
    assert list(read_journal(journal).values()) == [line]


def test_trainings_of_a_table_that_is_missing_do_not_enter_another(whole, tmp_path):
    started_journal(tmp_path)
    (tmp_path / CARD).unlink()
    (tmp_path / ARRAYS).unlink()
    other = toy_card().model_copy(update={"beats_fingerprint": "other"})
    with pytest.raises(TableError, match="table itself is missing"):
        opened(tmp_path, other)
    with pytest.raises(TableError, match="table itself is missing"):
        save_table(whole, tmp_path)
    assert not (tmp_path / CARD).exists()


def test_processes_share_the_work_and_do_none_twice(whole, tmp_path):
    folder, log = tmp_path / "table", tmp_path / "log"
    processes = [start(folder, log=log, pause=0.002) for _ in range(2)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(Counter(lines(log)).values()) == [1] * TOTAL
    assert_same(pack(folder), whole)


def test_a_shard_of_a_process_that_was_stopped_is_built_by_the_other(tmp_path):
    stopped = build(tmp_path, opened(tmp_path), STRATA, lambda *_: toy_result(0, 0), "m")
    next(stopped)
    other = build(tmp_path, opened(tmp_path), STRATA, lambda *_: toy_result(1, 0), "m")
    next(other)  # of the second shard, since the first is taken
    stopped.close()
    assert [step.done for step in other][-1] == TOTAL
    assert pack(tmp_path).trained.all()


def test_packing_while_another_process_trains_loses_nothing(whole, tmp_path):
    folder, log = tmp_path / "table", tmp_path / "log"
    run(folder, log=log, hours=0)
    process = start(folder, log=log, pause=0.002)
    counts = []
    while process.is_alive():
        counts.append(int(pack(folder).trained.sum()))
        load_table(folder)
    process.join()
    assert process.exitcode == 0
    assert len(counts) > 1
    assert counts == sorted(counts)
    assert sorted(Counter(lines(log)).values()) == [1] * TOTAL
    assert_same(pack(folder), whole)
    assert not list((folder / "shards").glob("*.jsonl"))


@pytest.mark.parametrize("read", [with_journals, lambda folder: publish(folder, folder / "copy")])
def test_a_table_that_is_packed_while_it_is_read_is_read_whole(whole, tmp_path, monkeypatch, read):
    run(tmp_path)
    load = building.load_table

    def load_before_another_process_packs(folder):
        table = load(folder)
        monkeypatch.setattr(building, "load_table", load)
        pack(folder)
        return table

    monkeypatch.setattr(building, "load_table", load_before_another_process_packs)
    assert_same(read(tmp_path), whole)


def test_a_table_without_its_next_card_is_read(whole, tmp_path):
    save_table(whole, tmp_path)
    (tmp_path / CARD).rename(tmp_path / NEXT_CARD)
    opened(tmp_path / "other")
    (tmp_path / "other" / CARD).rename(tmp_path / CARD)  # as after a kill between the two
    assert_same(with_journals(tmp_path), whole)


def test_arrays_without_their_card_are_neither_replaced_nor_passed_over(whole, tmp_path):
    folder = tmp_path / "space" / "data-protocol"
    save_table(whole, folder)
    (folder / CARD).unlink()
    before = (folder / ARRAYS).read_bytes()
    for use in (opened, lambda folder: publish(whole_in(tmp_path / "other", whole), folder)):
        with pytest.raises(TableError, match="its card is missing"):
            use(folder)
    (found,) = find_tables_in(tmp_path)
    with pytest.raises(TableError, match="No such file"):
        load_table(found.folder)
    assert (folder / ARRAYS).read_bytes() == before


def test_the_folder_of_one_table_or_space_is_not_taken_for_one_of_tables(whole, tmp_path):
    save_table(whole, tmp_path / "space" / "data-protocol")
    for part, what in (("space", "space"), ("space/data-protocol", "table")):
        for use in (find_tables, lambda folder: table_folder(folder, "space", "data", "protocol")):
            with pytest.raises(TableError, match=f"of one {what}, .* Name the folder {tmp_path}"):
                use(tmp_path / part)
    assert any(one.track == "data-protocol" for one in find_tables(tmp_path))


def whole_in(folder, whole):
    save_table(whole, folder)
    return folder


def test_a_published_table_has_the_costs_of_its_source_and_keeps_what_that_lacks(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    add_arrays(opened(source), {"cost_parameters": np.ones(SPACE.size)}, source)
    older = {name: np.zeros(SPACE.size) for name in ("cost_parameters", "proxy_synflow")}
    add_arrays(opened(target), older, target)
    arrays = publish(source, target).arrays
    assert (arrays["cost_parameters"] == 1).all() and (arrays["proxy_synflow"] == 0).all()


def test_two_processes_that_create_one_table_count_its_costs_once(tmp_path):
    log = tmp_path / "log"

    def slow_costs():
        with log.open("a") as file:
            file.write("costs\n")
        time.sleep(0.2)
        return costs()

    def create():
        open_or_create(tmp_path / "table", toy_card(), SPACE.members, slow_costs)

    processes = [FORK.Process(target=create, daemon=True) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert lines(log) == ["costs"]


def test_shards_of_several_machines_are_the_whole(whole, tmp_path):
    log = tmp_path / "log"
    done = [run(tmp_path, log=log, shard=(i, 3)) for i in (3, 1, 2)]
    assert all(done)
    assert len(lines(log)) == len(set(lines(log))) == TOTAL
    assert_same(pack(tmp_path), whole)


def test_a_build_starts_no_training_after_its_hours(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(building, "time", SimpleNamespace(monotonic=lambda: now))

    def train(arch, seed):
        nonlocal now
        now += 3600
        return toy_result(ROWS[arch.hash], seed)

    steps = list(build(tmp_path, opened(tmp_path), STRATA, train, "m", hours=2.5))
    assert [step.done for step in steps] == [1, 2, 3]
    assert steps[-1].total == TOTAL


def test_progress_counts_what_is_packed_and_what_is_not_once(tmp_path):
    run(tmp_path, shard=(1, 2))
    journals = {path: path.read_bytes() for path in (tmp_path / "shards").glob("*.jsonl")}
    pack(tmp_path)
    for path, content in journals.items():  # a process that was killed before it removed them
        path.write_bytes(content)
    steps = run(tmp_path)
    assert [step.done for step in steps] == list(range(TOTAL - len(steps) + 1, TOTAL + 1))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seeds": 5}, "seeds"),
        ({"beats_fingerprint": "x"}, "beats_fingerprint"),
        ({"recipe": toy_card().recipe.model_copy(update={"lr": 0.5})}, "recipe"),
    ],
)
def test_a_folder_with_another_table_is_refused(tmp_path, change, named):
    opened(tmp_path)
    with pytest.raises(TableError, match=f"another {named}"):
        opened(tmp_path, toy_card(**change))


def test_a_new_option_that_is_null_does_not_make_another_table(tmp_path):
    opened(tmp_path)
    dataset = toy_card().dataset
    options = {**dataset.options, "rhythm": None}
    opened(tmp_path, toy_card(dataset=dataset.model_copy(update={"options": options})))


def test_machines_are_numbered_in_the_order_of_their_shards(tmp_path):
    table = opened(tmp_path)

    def train(arch, seed):
        return toy_result(ROWS[arch.hash], seed)

    for machine in ("a", "b"):
        steps = build(tmp_path, table, STRATA, train, machine)
        for _ in range(3):
            next(steps)
        steps.close()
    packed = pack(tmp_path)
    assert packed.card.machines == ("a", "b")
    made = [packed.arrays["machine"][training] for training in trainings(table.card, STRATA)[:6]]
    assert made == [0, 0, 0, 1, 1, 1]


# -- the order ---------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 4), min_size=1, max_size=200), st.data())
def test_every_beginning_of_the_order_is_a_fair_sample(groups, data):
    rows = order(groups)
    assert sorted(rows) == list(range(len(groups)))
    n = data.draw(st.integers(1, len(rows)))
    taken, sizes = Counter(groups[row] for row in rows[:n]), Counter(groups)
    for group, size in sizes.items():
        assert abs(taken[group] - n * size / len(rows)) <= 2.5


def test_members_get_their_base_seeds_block_by_block_and_the_first_ones_more():
    card = toy_card(seeds=5, members=230)
    groups = strata(np.arange(230, dtype=np.float64))
    plan = trainings(card, groups)
    rows = order(groups)
    first = plan[: BLOCK * BASE_SEEDS]
    assert set(first) == set(itertools.product(rows[:BLOCK], range(BASE_SEEDS)))
    assert len(plan) == len(set(plan)) == n_trainings(card) == 230 * 3 + 2 * REPEATED
    more = set(plan[230 * 3 :])
    assert more == set(itertools.product(rows[:REPEATED], (3, 4)))


def test_strata_are_tenths_by_parameters():
    parameters = np.random.default_rng(0).permutation(1000).astype(np.float64)
    groups = np.array(strata(parameters))
    assert Counter(groups.tolist()) == dict.fromkeys(range(10), 100)
    assert (groups == parameters // 100).all()


def test_a_table_that_is_replaced_can_be_read_at_any_time(tmp_path, whole):
    save_table(whole, tmp_path)
    changed = replace_seconds(whole)

    def write():
        for table in itertools.islice(itertools.cycle((changed, whole)), 60):
            save_table(table, tmp_path)

    process = FORK.Process(target=write, daemon=True)
    process.start()
    while process.is_alive():
        assert load_table(tmp_path).arrays["seconds"][0, 0, 0] in (
            whole.arrays["seconds"][0, 0, 0],
            changed.arrays["seconds"][0, 0, 0],
        )
    process.join()
    assert process.exitcode == 0


def replace_seconds(table):
    return type(table)(table.card, {**table.arrays, "seconds": table.arrays["seconds"] + 1})
