"""Tables that were built in shards on machines without a common folder become one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_table_build import ROWS, STRATA, assert_same, opened, run
from toy_tables import toy_card, toy_result
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.tables.build import build, pack, with_journals
from nasbench_ecg.tables.card import TableError
from nasbench_ecg.tables.files import load_table, table_folder
from nasbench_ecg.tables.merge import merge_tables, table_parts


def folder(out):
    return table_folder(out / "tables", "tiny-cells", "synthetic-2lead", "intra-patient")


def merge(*words):
    return CliRunner().invoke(app, ["results", "merge", *map(str, words)], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The table of one process."""
    made = tmp_path_factory.mktemp("whole")
    run(made)
    return pack(made)


@pytest.fixture
def shards(tmp_path):
    """Folders of results with one shard each, of which the second is still in its journals."""
    run(folder(tmp_path / "a"), shard=(1, 2))
    pack(folder(tmp_path / "a"))
    run(folder(tmp_path / "b"), shard=(2, 2))
    return tmp_path / "a", tmp_path / "b"


def test_two_shards_are_the_table_of_one_process(whole, shards, tmp_path):
    done = merge(*shards, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert f"{int(whole.trained.sum())} trainings of tables are copied" in done.stderr
    assert_same(load_table(folder(tmp_path / "out")), whole)
    assert with_journals(folder(shards[1])).complete < 1  # what is merged is not changed


def test_merging_again_adds_nothing(whole, shards, tmp_path):
    merge(*shards, "--out", tmp_path / "out")
    done = merge(*shards, "--out", tmp_path / "out")
    assert "0 trainings of tables are copied" in done.stderr
    assert_same(load_table(folder(tmp_path / "out")), whole)


def test_a_shard_is_added_to_the_folder_of_the_other(whole, shards):
    done = merge(shards[1], "--out", shards[0])
    assert done.exit_code == 0, done.output
    assert_same(load_table(folder(shards[0])), whole)


def test_trainings_keep_their_machine_and_tables_their_proxies(shards, tmp_path):
    a, b = folder(tmp_path / "other"), folder(shards[1])
    steps = build(a, opened(a), STRATA, lambda *_: toy_result(0, 0), "another")
    next(steps)
    steps.close()
    parts = table_parts([tmp_path / "other" / "tables", shards[1] / "tables"], tmp_path / "out")
    parts[1].table.arrays["proxy_made-up"] = np.arange(parts[1].table.card.members) * 1.0
    assert merge_tables(parts) == 1 + with_journals(b).trained.sum()
    merged = load_table(tmp_path / "out" / "tiny-cells" / "synthetic-2lead-intra-patient")
    assert merged.card.machines == ("another", "this machine")
    machine = np.array(merged.card.machines)[merged.arrays["machine"]]
    assert (machine[with_journals(b).trained] == "this machine").all()
    assert (machine[merged.trained] == "another").sum() == 1
    assert "made-up" in merged.proxies()


def slow(arch, seed):
    fast = toy_result(ROWS[arch.hash], seed)
    return replace(fast, seconds=3 * fast.seconds)


def test_seconds_of_another_processor_are_scaled_by_the_members_that_both_measured(
    whole, shards, tmp_path
):
    b = folder(tmp_path / "slow")
    list(build(b, opened(b), STRATA, slow, "slow"))
    done = merge(shards[0], tmp_path / "slow", "--out", tmp_path / "out")
    assert "several processors" not in done.stderr
    merged = load_table(folder(tmp_path / "out"))
    assert merged.card.machines == ("this machine", "slow; seconds predicted for this machine")
    np.testing.assert_allclose(merged.arrays["seconds"], whole.arrays["seconds"], rtol=1e-6)
    np.testing.assert_array_equal(merged.arrays["confusion"], whole.arrays["confusion"])


def test_seconds_of_processors_without_common_members_are_told(shards, tmp_path):
    b = folder(tmp_path / "slow")
    list(build(b, opened(b), STRATA, slow, "slow", shard=(2, 2)))
    for _ in range(2):  # the second time, the table has both
        done = merge(shards[0], tmp_path / "slow", "--out", tmp_path / "out")
        assert "has the seconds of several processors" in done.stderr
    assert load_table(folder(tmp_path / "out")).card.machines == ("this machine", "slow")


def test_different_results_of_a_training_are_named_and_nothing_is_copied(shards, tmp_path):
    c = folder(tmp_path / "c")
    steps = build(c, opened(c), STRATA, lambda *_: toy_result(7, 7), "m")
    next(steps)
    steps.close()
    done = merge(*shards, tmp_path / "c", "--out", tmp_path / "out")
    assert done.exit_code == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "A training has different results: member " in said and str(c) in said
    assert not (tmp_path / "out").exists()


def test_a_table_of_something_else_is_refused(shards, tmp_path):
    opened(folder(tmp_path / "c"), toy_card(seeds=5))
    with pytest.raises(TableError, match="another seeds"):
        table_parts([one / "tables" for one in (*shards, tmp_path / "c")], tmp_path / "out")
