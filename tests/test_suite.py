"""Suites: files, plans, rules, and the execution with a record of every run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
from tiny_runs import SETTINGS, registry_with
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.contracts import Budget
from nasbench_ecg.errors import NasbenchError, OptionError, StorageError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.record import Status
from nasbench_ecg.run.recording import new_record
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite import runner as suite_runner
from nasbench_ecg.suite.claims import Claims
from nasbench_ecg.suite.plan import PlannedRun, broken_rules, plan, recipes_in_words
from nasbench_ecg.suite.processes import LocalExecutor, LocalOptions
from nasbench_ecg.suite.runner import (
    Engine,
    execute_runs,
    pending_runs,
    reuse_results,
    statuses,
)
from nasbench_ecg.suite.spec import check_name, load_suite, parse_suite, shipped_suites

GRID = """
title = "Two by two"
seeds = [0, 1]

[[runs]]
strategies = ["cnn-9", "random"]
datasets = ["synthetic-2lead"]
protocols = ["intra-patient", "inter-patient"]
profiles = ["smoke"]
"""


def planned(text: str = GRID, **changes: Any) -> list[PlannedRun]:
    """Return the plan of a suite's text."""
    return plan(parse_suite(text, "mine", "mine.toml"), load_registry(), device="cpu", **changes)


# Plans


def test_a_plan_is_every_combination_once() -> None:
    runs = planned()
    assert len(runs) == 2 * 2 * 2 == len({run.key for run in runs})
    assert {(r.config.strategy.name, r.config.protocol, r.config.search_seed) for r in runs} == {
        (strategy, protocol, seed)
        for strategy in ("cnn-9", "random")
        for protocol in ("intra-patient", "inter-patient")
        for seed in (0, 1)
    }


def test_an_entry_without_protocols_uses_that_of_each_dataset() -> None:
    text = GRID.replace('"synthetic-2lead"', '"mitbih-2lead", "mitbih-svdb-rhythm"').replace(
        'protocols = ["intra-patient", "inter-patient"]\n', ""
    )
    protocols = {(run.config.dataset.name, run.config.protocol) for run in planned(text)}
    assert protocols == {
        ("mitbih-2lead", "intra-patient"), ("mitbih-svdb-rhythm", "inter-patient")
    }  # fmt: skip


def test_every_method_has_a_first_result_before_any_has_a_second() -> None:
    text = f"{GRID}\n[[runs]]\nstrategies = ['darts']\ndatasets = ['synthetic-2lead']"
    assert [run.config.search_seed for run in planned(text)] == [0] * 5 + [1] * 5


def test_a_run_that_two_entries_share_is_planned_once() -> None:
    again = GRID.split("[[runs]]")[1].replace('"random"', '"cnn-11"')
    assert len(planned(f"{GRID}\n[[runs]]{again}")) == 8 + 4


def test_a_planned_run_has_the_key_of_its_command() -> None:
    text = f"{GRID}set.evaluator.epochs = 3\nset.dataset.seed = 7"
    for run in planned(text):
        words = shlex.split(run.config.command())
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        assert sorted(settings) == ["dataset.seed=7", "evaluator.epochs=3"]
        request = RunRequest(
            words[2], words[3], protocol=words[5], profile="smoke", device="cpu",
            overrides={"dataset": {"seed": 7}, "evaluator": {"epochs": 3}},
            search_seed=run.config.search_seed,
        )  # fmt: skip
        assert configure(load_registry(), request).key() == run.key


def test_runs_share_a_row_where_only_their_seeds_differ() -> None:
    grid = GRID.split("[[runs]]")[1]
    text = f"{GRID}\n[[runs]]{grid}\nset.dataset.records = ['s01', 's02']"
    rows = [run.row for run in planned(text)]
    assert len(rows) == 2 * len(set(rows)) == 2 * 8
    assert ('synthetic-2lead records=["s01", "s02"]', "intra-patient", "smoke", "cnn-9") in rows
    assert len({str(run) for run in planned(text)}) == 16


def test_profile_and_seeds_can_be_replaced() -> None:
    runs = planned(profile="quick", seeds=[5])
    assert {(run.config.profile, run.config.search_seed) for run in runs} == {("quick", 5)}


# Files


@pytest.mark.parametrize(
    "old, new, where, said",
    [
        ('"random"', '"randon"', "entry 1, randon on synthetic-2lead", "'random'"),
        ('"synthetic-2lead"', '"synthetic"', "entry 1, cnn-9 on synthetic", "synthetic-2lead"),
        ('"intra-patient"', '"intra-patients"', "entry 1", "Did you mean 'intra-patient'"),
        ('["smoke"]', '["smok"]', "entry 1", "Did you mean 'smoke'"),
        ('["smoke"]', '["smoke"]\nset.strategy.epoch = 1', "entry 1", "no option 'epoch'"),
        ('["cnn-9", "random"]', "[]", "runs › entry 1 › strategies", "list is empty"),
        ("seeds = [0, 1]", "seeds = []", "seeds", "list is empty"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "seeds", "A seed is listed twice."),
        ("seeds = [0, 1]", "seeds = [-1]", "seeds › entry 1", "greater than or equal to 0"),
        ("[[runs]]", "[[runs]]\nstrategy = 1", "runs › entry 1 › strategy", "'strategies'"),
        ('title = "Two by two"', "", "title", "missing"),
        ("[[runs]]", "[[runs]", "mine.toml", "not TOML"),
    ],
)
def test_an_error_in_a_suite_names_file_and_entry(
    old: str, new: str, where: str, said: str
) -> None:
    with pytest.raises(OptionError) as raised:
        planned(GRID.replace(old, new))
    assert raised.value.where.startswith("mine.toml") and where in raised.value.where
    assert said in raised.value.what + raised.value.fix


def test_a_suite_without_runs_is_refused() -> None:
    with pytest.raises(OptionError, match="list is empty"):
        parse_suite('title = "Nothing"\nseeds = [0]\nruns = []', "nothing", "nothing.toml")


@pytest.mark.parametrize("name", ["../up", "Mine", "a b", "", ".hidden"])
def test_a_name_that_is_not_a_plain_folder_name_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="cannot name a suite"):
        parse_suite(GRID, name, "mine.toml")


@pytest.mark.parametrize("name", ["speed", "tables", "correlation", "submitted"])
def test_folders_of_results_that_hold_no_suite_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="cannot name a suite"):
        check_name(name, "--suite")


def test_an_unknown_suite_is_answered_with_similar_names(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as raised:
        load_suite("heart-dart")
    assert "'heart-darts'" in raised.value.fix
    with pytest.raises(StorageError, match="cannot be read"):
        load_suite(str(tmp_path / "none.toml"))


def test_a_suite_can_be_a_file_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "my-own.toml").write_text(GRID)
    assert load_suite(str(tmp_path / "my-own.toml")).name == "my-own"


# Rules


@pytest.mark.parametrize("suite", shipped_suites(), ids=lambda suite: suite.name)
def test_shipped_suites_keep_the_rules_and_name_existing_components(suite: Any) -> None:
    runs = plan(suite, load_registry(), device="cpu")
    assert broken_rules(runs, published=suite.content.published) == []
    unpublished = (
        "smoke",
        "rivals",
        "rhythm-ablation",
        "recipe-ablation",
        "input-ablation",
        "smallest",
    )
    assert suite.content.published == (suite.name not in unpublished)


def test_a_search_without_random_search_beside_it_breaks_a_rule() -> None:
    text = GRID.replace('"random"', '"darts"')
    (first, *rest) = broken_rules(planned(text), published=False)
    assert "darts searches conv-cells on synthetic-2lead under intra-patient" in first
    assert len(rest) == 1  # the other protocol


@pytest.mark.parametrize(
    "floor",
    ["set.strategy.samples = 1", "budget.evaluations = 3", "set.strategy.max_parameters = 5000"],
)
def test_random_search_with_a_smaller_budget_does_not_count(floor: str) -> None:
    rivals = GRID.replace('"random"', '"darts"')
    chance = GRID[GRID.index("[[runs]]") :].replace('"cnn-9", ', "")
    lesser = f"{rivals}{chance}"
    assert broken_rules(planned(lesser), published=False) == []
    (first, *_) = broken_rules(planned(f"{lesser}{floor}"), published=False)
    assert "without random search under the same budget" in first


@pytest.mark.parametrize(
    "other",
    [
        'set.dataset.leads = ["MLII"]',
        "set.space.nodes = 2",
        "set.evaluator.epochs = 7",
        "set.protocol.seed = 3",
    ],
)
def test_random_search_of_another_comparison_does_not_count(other: str) -> None:
    rivals = GRID.replace('"cnn-9", "random"', '"darts"')
    chance = GRID[GRID.index("[[runs]]") :].replace('"cnn-9", ', "")
    assert broken_rules(planned(f"{rivals}{chance}{other}"), published=False)
    both = f"{rivals}{other}\n{chance}{other}"
    assert broken_rules(planned(both), published=False) == []


SHARED = """
title = "T"
seeds = [0]
[shared.short.evaluator]
epochs = 1
lr = 0.1
[shared.slow.evaluator]
lr = 0.01
[[runs]]
strategies = ["cnn-9"]
datasets = ["synthetic-2lead"]
use = ["short", "slow"]
set.evaluator.epochs = 2
"""


def test_entries_share_options_and_the_later_and_their_own_win() -> None:
    (run,) = planned(SHARED)
    assert run.config.evaluator.changed == {"epochs": 2, "lr": 0.01}
    (run,) = planned(SHARED.replace("set.evaluator.epochs = 2", ""))
    assert run.config.evaluator.changed == {"epochs": 1, "lr": 0.01}
    (run,) = planned(SHARED.replace('["short", "slow"]', '["slow", "short"]'))
    assert run.config.evaluator.changed == {"epochs": 2, "lr": 0.1}
    other = '[[runs]]\nstrategies = ["cnn-11"]\ndatasets = ["synthetic-2lead"]\n'
    assert planned(SHARED + other)[1].config.evaluator.changed == {}


def test_options_of_two_components_by_one_name_are_told_apart() -> None:
    grid = GRID.replace('"cnn-9", ', "").replace("seeds = [0, 1]", "seeds = [0]")
    text = f"{grid}set.strategy.epochs = 5\nset.evaluator.epochs = 40\nset.evaluator.lr = 0.1"
    assert planned(text)[0].method == "random strategy.epochs=5 evaluator.epochs=40 lr=0.1"
    other = text.replace("strategy.epochs = 5", "strategy.epochs = 6")
    assert planned(text)[0].row != planned(other)[0].row


def test_a_misspelt_entry_is_named_before_the_one_that_is_missing_for_it() -> None:
    with pytest.raises(OptionError, match="no such entry") as raised:
        planned(GRID.replace("strategies =", "strategie ="))
    assert "strategies" in raised.value.fix
    with pytest.raises(OptionError, match="This entry is missing"):
        planned(GRID.replace("seeds = [0, 1]", ""))


def test_runs_in_different_spaces_are_different_rows() -> None:
    tiny = GRID.replace('"cnn-9", ', "") + 'space = "tiny-cells"\nset.space.widths = [2, 4]'
    other = tiny.replace("[2, 4]", "[4, 8]")
    assert planned(tiny)[0].row != planned(other)[0].row


def test_shared_options_that_are_not_there_are_refused() -> None:
    with pytest.raises(OptionError, match="no shared options 'slwo'") as raised:
        planned(SHARED.replace('"slow"]', '"slwo"]'))
    assert raised.value.where == "mine.toml: runs › entry 1 › use"
    assert "Did you mean 'slow'?" in str(raised.value.fix)


def test_shared_options_that_no_entry_uses_are_refused() -> None:
    text = f"{GRID}\n[shared.recipe.evaluator]\nepochs = 2\n"
    with pytest.raises(OptionError, match="No entry uses the shared options 'recipe'") as raised:
        planned(text)
    assert raised.value.where == "mine.toml: shared › recipe"
    assert planned(text.replace("[[runs]]", '[[runs]]\nuse = ["recipe"]'))


def test_a_budget_applies_to_each_search_of_an_entry() -> None:
    searches = GRID.replace('"cnn-9"', '"nsga2"')
    runs = planned(f"{searches}budget = {{ evaluations = 5, seconds = 60 }}")
    assert {run.config.budget for run in runs} == {Budget(5, 60.0)}
    assert "budget.evaluations=5" in str(runs[0])
    assert "--budget-evaluations 5 --budget-seconds 60.0" in runs[0].config.command()


def test_a_budget_that_a_strategy_of_the_suite_does_not_keep_is_refused() -> None:
    searches = GRID.replace('"cnn-9"', '"darts"')
    with pytest.raises(OptionError, match="'darts' does not keep a budget") as raised:
        planned(f"{searches}budget.evaluations = 5")
    assert raised.value.where == "mine.toml: runs › entry 1, darts on synthetic-2lead"


def test_baselines_need_no_random_search() -> None:
    assert broken_rules(planned(GRID.replace('"random"', '"cnn-11"')), published=False) == []


def test_random_search_on_another_dataset_does_not_count() -> None:
    other = "[[runs]]\nstrategies=['random']\ndatasets=['mitbih-2lead']\nprofiles=['smoke']"
    text = f"{GRID.replace('random', 'darts')}\n{other}"
    assert len(broken_rules(planned(text), published=False)) == 2


def test_two_seeds_are_too_few_to_be_published() -> None:
    broken = broken_rules(planned(), published=True)
    needed = "have 2 of the 3 seeds that a published comparison needs."
    assert broken == [
        f"synthetic-2lead under intra-patient: cnn-9, random {needed}",
        f"synthetic-2lead under inter-patient: cnn-9, random {needed}",
    ]
    assert broken_rules(planned(), published=False) == []


def test_seeds_of_other_budgets_do_not_add_up() -> None:
    entry = """
    [[runs]]
    strategies = ["random"]
    datasets = ["synthetic-2lead"]
    profiles = ["smoke"]
    seeds = [{seed}]
    budget.evaluations = {limit}
    """
    entries = "".join(entry.format(seed=seed, limit=seed + 2) for seed in range(3))
    text = f'title = "Three budgets"\nseeds = [0]\n{entries}'
    (sentence,) = broken_rules(planned(text), published=True)
    assert "random (3 times) have 1 of the 3 seeds" in sentence


def test_options_of_the_evaluator_that_all_methods_share_are_said_once() -> None:
    shared = (
        f"{GRID}set.evaluator = {{ lr = 0.003, epochs = 3 }}\nset.strategy = {{ epochs = 2 }}\n"
    )
    more = """
    [[runs]]
    strategies = ["random"]
    datasets = ["synthetic-2lead"]
    protocols = ["intra-patient"]
    profiles = ["smoke"]
    set.evaluator = { lr = 0.003, epochs = 4 }
    """
    runs = planned(shared.replace('"cnn-9", "random"', '"random", "regularized-evolution"') + more)
    said = ": the evaluator's options of all methods are lr=0.003"
    assert recipes_in_words(runs) == [
        f"synthetic-2lead · intra-patient · smoke{said}",
        f"synthetic-2lead · inter-patient · smoke{said} epochs=3",
    ]
    names = {str(run).split(" · ")[0] for run in runs}
    assert {"random strategy.epochs=2 evaluator.epochs=3", "random strategy.epochs=2"} <= names
    assert "random epochs=4" in names
    assert all("lr=0.003" in run.method for run in runs)
    alone = planned(shared.replace('"cnn-9", "random"', '"random"'))
    assert recipes_in_words(alone) == [] and "lr=0.003" in str(alone[0])


# Execution, with stand-ins for the processes of runs


def test_a_run_imports_nothing_from_the_folder_where_its_suite_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run, *_) = planned()
    store = RecordStore(tmp_path / "results", "mine")
    python, *options = suite_runner.command(run, store, data=None, checkpoint_seconds=30)
    (tmp_path / "typer.py").write_text("raise SystemExit('not the typer that is installed')")
    monkeypatch.chdir(tmp_path)
    asked = [python, *options[: options.index("run")], "--version"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr


OK = """
import json, sys
text = open(sys.argv[1]).read()
open(sys.argv[2], "w").write(text.replace('"interrupted"', '"ok"', 1))
"""
BEHAVIOUR = {
    "ok": OK,
    "raises": "raise ValueError('it broke')",
    "records": OK.replace('"ok"', '"failed"'),
    "hangs": "import time\nwhile True: time.sleep(0.05)",
    "hangs-recorded": OK.replace('"ok"', '"interrupted"') + "import time\ntime.sleep(600)",
    "killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "aborts": "import os; os.abort()",
    "lies": "pass",
    "disk-full": "from nasbench_ecg.cli.console import show_error\n"
    "from nasbench_ecg.errors import StorageError\n"
    "show_error(StorageError('No space is left on the disk.', where='out', fix='Free some.'))\n"
    "raise SystemExit(2)",
}

INTERRUPTIBLE = """
import pathlib, shutil, signal, sys, time
def stop(*_):
    shutil.copy(sys.argv[1], sys.argv[2])
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[3]).touch()
while True: time.sleep(0.01)
"""
"""Code of a run that records its interruption, and creates a file when it can be interrupted."""


def fake(behaviour: str) -> StrategySpec:
    return StrategySpec(
        name=behaviour, target="none:None", summary="", space="conv-cells", role="fixed"
    )


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    """A folder of results whose runs are processes that behave as their strategy is called."""
    monkeypatch.setattr(suite_runner, "command", command_that(BEHAVIOUR, tmp_path))
    return RecordStore(tmp_path / "results", "mine")


def command_that(
    code: str | Mapping[str, str], folder: Path, *arguments: Path
) -> Callable[..., list[str]]:
    """Return a stand-in for the command of a run: Python code, or code by name of the strategy."""

    def command(run: PlannedRun, store: RecordStore, **_: Any) -> list[str]:
        template = folder / f"{run.key}.json"
        template.write_text(new_record(run.config, store.suite).model_dump_json())
        source = code if isinstance(code, str) else code[run.config.strategy.name]
        words = [template, store.path(run.key), *arguments]
        return [sys.executable, "-c", source, *map(str, words)]

    return command


def runs_that(*behaviours: str) -> list[PlannedRun]:
    """Return runs whose processes behave so."""
    registry = registry_with(*map(fake, behaviours))
    requests = (RunRequest(b, "synthetic-2lead", profile="smoke", device="cpu") for b in behaviours)
    return [PlannedRun(configure(registry, request), 1) for request in requests]


def done(runs: list[PlannedRun], store: RecordStore, **limits: Any) -> dict[str, Any]:
    """Execute runs and return the records by strategy."""
    store.check_writable()
    time_limit = limits.pop("time_limit", None)
    engine = Engine(LocalExecutor(LocalOptions(**limits)))
    finished = execute_runs(runs, store, engine, time_limit=time_limit)
    return {one.run.config.strategy.name: one.record for one in finished}


def test_every_end_of_a_run_is_recorded_and_the_other_runs_continue(store: RecordStore) -> None:
    runs = runs_that("raises", "records", "killed", "aborts", "lies", "ok")
    records = done(runs, store)
    assert {name: record.status for name, record in records.items()} == {
        "raises": "failed", "records": "failed", "killed": "oom", "aborts": "failed",
        "lies": "failed", "ok": "ok",
    }  # fmt: skip
    assert "ValueError: it broke" in records["raises"].error
    assert "memory" in records["killed"].error and "signal 6" in records["aborts"].error
    assert "without a record" in records["lies"].error
    assert [store.read(run.key) for run in runs] == [records[r.config.strategy.name] for r in runs]


def test_a_run_that_could_not_write_its_record_says_why(store: RecordStore) -> None:
    error = done(runs_that("disk-full"), store)["disk-full"].error
    assert error.splitlines()[-1] == (
        "Exit status 2, without a record: No space is left on the disk. Where: out Free some."
    )


@pytest.mark.parametrize("behaviour", ["hangs", "hangs-recorded"])
def test_a_run_beyond_its_time_limit_is_a_timeout(store: RecordStore, behaviour: str) -> None:
    record = done(runs_that(behaviour), store, time_limit=0.6, grace=5.0)[behaviour]
    assert record.status == "timeout"
    assert "time limit for a run" in record.error


def test_an_old_record_does_not_count_for_a_process_that_wrote_none(
    store: RecordStore,
) -> None:
    runs = runs_that("raises")
    old = {"status": "timeout", "error": "too slow"}
    store.write(new_record(runs[0].config, "mine").model_copy(update=old))
    record = done(runs, store)["raises"]
    assert record.status == "failed" and "it broke" in record.error


def test_a_result_that_another_process_made_since_the_plan_is_kept(store: RecordStore) -> None:
    # "lies" ends well and writes nothing, as a run does that is already done
    runs = runs_that("lies")
    pending = pending_runs(runs, store)
    result = new_record(runs[0].config, "mine").model_copy(update={"status": "ok"})
    store.write(result)
    (finished,) = execute_runs(pending, store, Engine(LocalExecutor()))
    assert (finished.record, finished.seconds) == (result, None)
    assert store.read(runs[0].key) == result


def test_a_result_is_kept_even_if_its_file_seems_to_be_the_old_one(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as of a job in a queue that wrote it just before this process looked
    monkeypatch.setattr(suite_runner, "_file_version", lambda *_: (0, 0))
    runs = runs_that("ok")
    assert done(runs, store)["ok"].status == "ok" and statuses(runs, store) == ["ok"]


def test_pending_runs_are_the_plan_without_those_that_have_a_result(store: RecordStore) -> None:
    runs = runs_that("ok", "raises", "killed", "aborts")
    done(runs[:2], store)
    assert pending_runs(runs, store) == runs[2:]
    assert pending_runs(runs, store, retry_failed=True) == runs[1:]


def test_an_interrupted_run_is_resumed_and_a_damaged_record_replaced(store: RecordStore) -> None:
    runs = runs_that("ok", "lies")
    store.write(new_record(runs[0].config, "mine"))
    store.path(runs[1].key).write_text('{"schema_ver')
    assert statuses(runs, store) == ["interrupted", None]
    assert pending_runs(runs, store) == runs


def test_a_run_that_another_process_executes_is_left_for_later_and_not_executed_again(
    store: RecordStore,
) -> None:
    runs = runs_that("ok", "lies")
    lock = store.lock(runs[1].key).acquire()
    lock.__enter__()
    finished = execute_runs(runs, store, Engine(LocalExecutor()))
    assert next(finished).run == runs[0]
    record = new_record(runs[1].config, "mine").model_copy(update={"status": "ok"})
    store.write(record)
    lock.__exit__(None, None, None)
    (other,) = finished
    assert (other.run, other.record, other.seconds) == (runs[1], record, None)


def test_a_run_that_another_process_is_about_to_execute_is_left_for_later(
    store: RecordStore,
) -> None:
    runs = runs_that("ok", "lies")
    other = Claims(store.folder / ".unfinished")
    assert other.take(runs[0].key)
    finished = execute_runs(runs, store, Engine(LocalExecutor()))
    assert next(finished).run == runs[1]
    other.close()
    (later,) = finished
    assert later.run == runs[0]
    assert later.record.status == "ok"


def test_two_processes_on_one_folder_never_choose_the_same_run(store: RecordStore) -> None:
    runs = runs_that("ok", "lies", "raises", "killed")
    started: list[str] = []

    def work() -> None:
        engine = Engine(LocalExecutor())
        list(execute_runs(runs, store, engine, started=lambda run: started.append(run.key)))

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(started) == sorted(run.key for run in runs)


def test_claims_end_with_their_owner_and_are_kept_until_then(tmp_path: Path) -> None:
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take("a")
    assert first.take("a")
    assert not second.take("a")
    first.release("a")
    assert second.take("a")
    second.close()
    assert first.take("a")
    first.close()


# Results of other suites


def test_a_result_of_another_suite_is_reused_with_its_files(tmp_path: Path) -> None:
    run, other_profile, failed = runs_that("ok", "lies", "raises")
    there, here = (RecordStore(tmp_path, name) for name in ("theirs", "mine"))
    runs = [run, other_profile, failed]
    changes = [{"status": "ok"}, {"status": "ok", "profile": "paper"}, {"status": "failed"}]
    for one, change in zip(runs, changes, strict=True):
        record = new_record(one.config, "theirs").model_copy(update=change)
        there.write(record, {"curves.json": {"loss": [1.0]}})

    reused = reuse_results(runs, here)

    assert [(record.run_key, record.suite) for record in reused] == [(run.key, "mine")]
    assert statuses(runs, here) == ["ok", None, None]
    assert json.loads((here.folder / run.key / "curves.json").read_text()) == {"loss": [1.0]}
    assert there.read(run.key) is not None


def test_two_processes_copy_a_result_of_another_suite_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs_that("ok")
    record = new_record(run.config, "theirs").model_copy(update={"status": "ok"})
    RecordStore(tmp_path, "theirs").write(record, {"curves.json": {"loss": [1.0]}})
    here, meanwhile = RecordStore(tmp_path, "mine"), []
    copytree = shutil.copytree

    def copy_while_another_process_starts(*words: Any, **options: Any) -> Any:
        monkeypatch.setattr(shutil, "copytree", copytree)
        meanwhile.append(reuse_results([run], here))
        return copytree(*words, **options)

    monkeypatch.setattr(shutil, "copytree", copy_while_another_process_starts)
    assert [record.run_key for record in reuse_results([run], here)] == [run.key]
    assert meanwhile == [[]] and statuses([run], here) == ["ok"]
    assert (here.folder / run.key / "curves.json").is_file()


def test_a_result_whose_files_were_changed_is_not_reused(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    there, here = (RecordStore(tmp_path, name) for name in ("theirs", "mine"))
    record = new_record(run.config, "theirs").model_copy(update={"status": "ok"})
    there.write(record, {"curves.json": {"loss": [1.0]}})
    (there.folder / run.key / "curves.json").write_text('{"loss": [0.5]}')
    assert reuse_results([run], here) == [] and here.read(run.key) is None


def test_nothing_is_reused_from_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert reuse_results(runs_that("ok"), RecordStore(tmp_path / "none", "mine")) == []


def test_a_result_with_damaged_files_is_not_reused(tmp_path: Path) -> None:
    (run,) = runs_that("ok")
    there = RecordStore(tmp_path, "theirs")
    record = new_record(run.config, "theirs").model_copy(update={"status": "ok"})
    there.write(record, {"curves.json": {}})
    (there.folder / run.key / "curves.json").write_text("{")
    assert reuse_results([run], RecordStore(tmp_path, "mine")) == []


# On the command line


@pytest.fixture
def nasbench(outside: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command line in this process; runs of suites are child processes all the same."""
    monkeypatch.setenv("PYTHONPATH", outside["PYTHONPATH"])
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("nasbench_ecg.cli.execution.interrupt_on_sigterm", lambda: None)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def toy_suite(folder: Path, *, published: bool = False) -> Path:
    """Write a suite of seconds: a network that learns, and one whose option is refused late."""
    settings = "\n".join(
        f"set.{role}.{name} = {json.dumps(value)}"
        for role, options in SETTINGS.items()
        for name, value in options.items()
    )
    file = folder / "toys.toml"
    file.write_text(
        f"title = 'Toys'\nseeds = [0]\npublished = {str(published).lower()}\n"
        f"[[runs]]\nstrategies = ['random']\ndatasets = ['toy-2lead']\nprofiles = ['smoke']\n"
        f"{settings}\nset.strategy.samples = 1\n"
    )
    return file


@pytest.mark.slow
def test_a_suite_is_planned_run_resumed_and_reported(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    common = (str(file), "--device", "cpu", "--out", str(out))
    (row,) = json.loads(nasbench("suite", "plan", *common, "--json").stdout)
    assert row["status"] is None and not out.exists()

    ran = nasbench("suite", "run", *common)
    assert ran.exit_code == 0, ran.output
    assert "1/1  ok  random" in ran.stderr
    assert f"nasbench-ecg leaderboard --suite toys --out {out}" in ran.stdout
    record = json.loads((out / "toys" / f"{row['run_key']}.json").read_text())
    assert (record["status"], record["suite"]) == ("ok", "toys")

    again = nasbench("suite", "run", *common)
    assert (again.exit_code, "0 of 1 runs are to be executed" in again.stderr) == (0, True)
    (told,) = json.loads(nasbench("suite", "status", *common, "--json").stdout)
    assert told["runs"] == {"ok": 1}


def test_a_copied_result_from_which_that_of_another_suite_differs_is_named(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    common = (str(file), "--device", "cpu", "--out", str(out))
    (run,) = plan(load_suite(str(file)), load_registry(), device="cpu")
    for suite, f1 in (("first", 0.5), ("second", 0.5), ("third", 0.75)):
        result = {"status": "ok", "metrics": {"f1_of_macro": f1}, "confusion": None}
        RecordStore(out, suite).write(new_record(run.config, suite).model_copy(update=result))
    ran = nasbench("suite", "run", *common)
    assert ran.exit_code == 0, ran.output
    told = " ".join(ran.stderr.split())
    assert "1 result copied from other suites" in told
    assert f"The run {run.key} has another result in third than in first, which counts." in told
    assert "in second" not in told


def test_the_command_that_retries_failed_runs_repeats_the_options(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    asked = (str(file), "--seeds", "3", "--out", str(out), "--device", "cpu")
    (row,) = json.loads(nasbench("suite", "plan", *asked, "--json").stdout)
    (run,) = plan(load_suite(str(file)), load_registry(), device="cpu", seeds=[3])
    failed = new_record(run.config, "toys").model_copy(update={"status": "failed"})
    RecordStore(out, "toys").write(failed)
    shown = nasbench("suite", "run", *asked)
    assert (shown.exit_code, failed.run_key) == (1, row["run_key"])
    again = f"nasbench-ecg suite run {file} --seeds 3 --out {out} --device cpu --retry-failed"
    assert again in shown.stderr


def test_missing_gpus_are_refused(nasbench: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "results"
    shown = nasbench(
        "suite", "run", toy_suite(tmp_path), "--gpus", "0", "--device", "cpu", "--out", out
    )
    assert shown.exit_code == 2 and "--gpus needs a CUDA GPU" in shown.stderr
    assert not out.exists()


def test_a_plan_shows_results_of_another_suite(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    (run,) = plan(load_suite(str(file)), load_registry(), device="cpu")
    RecordStore(out, "elders").write(
        new_record(run.config, "elders").model_copy(update={"status": "ok"})
    )
    shown = nasbench("suite", "plan", file, "--device", "cpu", "--out", out)
    assert "in elders" in shown.stdout


@pytest.mark.parametrize("verb", ["plan", "status"])
def test_results_of_another_version_of_a_suite_are_noted(
    verb: str, nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    common = (file, "--device", "cpu", "--out", out)
    for run in plan(load_suite(str(file)), load_registry(), device="cpu"):
        record = new_record(run.config, "toys").model_copy(update={"status": "ok"})
        RecordStore(out, "toys").write(record)
    assert "none of these runs" not in nasbench("suite", verb, *common).stderr

    file.write_text(file.read_text().replace("samples = 1", "samples = 2"))
    shown = " ".join(nasbench("suite", verb, *common).stderr.split())
    assert f"1 result in {out / 'toys'} is of none of these runs" in shown.replace("/ ", "/")
    assert "none of these runs" not in nasbench("suite", verb, *common, "--seeds", "1").stderr


def test_a_plan_says_what_the_suite_compares(nasbench: Callable[..., Any], tmp_path: Path) -> None:
    file = toy_suite(tmp_path)
    file.write_text(f'about = "Which [toy] is better?"\n{file.read_text()}')
    title = load_suite(str(file)).content.title
    shown = nasbench("suite", "plan", file, "--device", "cpu").stdout
    assert shown.startswith(f"{title}\n\nWhich [toy] is better?\n")


@pytest.mark.parametrize("here", [None, "ok", "failed", "interrupted"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_plan_and_run_count_the_same_runs(
    here: Status | None, elsewhere: bool, nasbench: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(suite_runner, "execute_runs", lambda runs, *_, **__: (r for r in ()))
    file, out = toy_suite(tmp_path), tmp_path / "results"
    common = (file, "--device", "cpu", "--out", out)
    (run,) = plan(load_suite(str(file)), load_registry(), device="cpu")
    for suite, status in (("toys", here), ("elders", "ok" if elsewhere else None)):
        if status is not None:
            record = new_record(run.config, suite).model_copy(update={"status": status})
            RecordStore(out, suite).write(record)
    counted = [
        re.findall(
            r"toys: (\d) of 1 runs are to be executed", nasbench("suite", verb, *common).stderr
        )
        for verb in ("plan", "run")
    ]
    left = "0" if elsewhere or here in ("ok", "failed") else "1"
    assert counted == [[left], [left]]


@pytest.mark.parametrize("here", [None, "failed", "interrupted"])
def test_status_counts_results_of_other_suites_as_plan_does(
    here: Status | None, nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    common = (file, "--device", "cpu", "--out", out)
    (run,) = plan(load_suite(str(file)), load_registry(), device="cpu")
    for suite, status in (("toys", here), ("elders", "ok")):
        if status is not None:
            record = new_record(run.config, suite).model_copy(update={"status": status})
            RecordStore(out, suite).write(record)
    for verb in ("plan", "status"):
        assert "1 run: 1 ok in other suites." in nasbench("suite", verb, *common).stderr
    (row,) = json.loads(nasbench("suite", "status", *common, "--json").stdout)
    assert row["runs"] == {"ok in other suites": 1}


def test_a_plan_shows_builders_other_than_the_default() -> None:
    text = GRID.replace('"cnn-9", ', "") + 'builder = "stacked-cells"'
    assert str(planned(text)[0]).startswith("random stacked-cells · synthetic-2lead")


def test_a_damaged_record_is_named_by_plan_and_status(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file, out = toy_suite(tmp_path), tmp_path / "results"
    (out / "toys").mkdir(parents=True)
    (out / "toys" / "0123456789abcdef.json").write_text("{")
    for verb in ("plan", "status"):
        shown = nasbench("suite", verb, file, "--device", "cpu", "--out", out)
        assert shown.exit_code == 0
        assert "0123456789abcdef.json: not JSON" in shown.stderr


def test_a_published_suite_that_breaks_a_rule_is_refused(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    file = toy_suite(tmp_path, published=True)
    result = nasbench("suite", "run", file, "--device", "cpu", "--out", tmp_path / "results")
    assert result.exit_code == 2 and "1 of the 3 seeds" in " ".join(result.stderr.split())
    assert not (tmp_path / "results").exists()
    less = nasbench("suite", "plan", file, "--device", "cpu", "--seeds", "4")
    assert less.exit_code == 0 and "Note: toy-2lead under " in less.stderr


def test_missing_records_are_reported_before_the_first_run(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    out, data = tmp_path / "results", tmp_path / "empty"
    data.mkdir()
    result = nasbench(
        "suite", "run", "heart-darts", "--profile", "smoke", "--device", "cpu", "--data", data,
        "--out", out,
    )  # fmt: skip
    assert result.exit_code == 2 and "mitdb" in result.stderr
    assert list(out.glob("*/*.json")) == []


def test_ctrl_c_lets_the_running_run_record_that_it_was_interrupted(
    nasbench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, running = tmp_path / "results", tmp_path / "running"
    monkeypatch.setattr(suite_runner, "command", command_that(INTERRUPTIBLE, tmp_path, running))

    def press_ctrl_c() -> None:
        while not running.exists():
            sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = Thread(target=press_ctrl_c)
    thread.start()
    stopped = nasbench("suite", "run", toy_suite(tmp_path), "--device", "cpu", "--out", out)
    thread.join()
    assert stopped.exit_code == 130 and "Interrupted." in stopped.stderr
    (record,) = out.glob("toys/*.json")
    assert json.loads(record.read_text())["status"] == "interrupted"


def test_an_unknown_suite_is_one_panel(nasbench: Callable[..., Any]) -> None:
    result = nasbench("suite", "plan", "hart-darts")
    assert result.exit_code == 2 and "heart-darts" in result.stderr
    assert isinstance(result.exception, SystemExit | NasbenchError)


def test_a_run_can_be_put_into_a_suite_and_only_into_a_plain_folder(
    nasbench: Callable[..., Any], tmp_path: Path
) -> None:
    result = nasbench("run", "cnn-9", "toy-2lead", "--suite", "../up", "--out", tmp_path)
    assert result.exit_code == 2 and "cannot name a suite" in result.stderr
    assert list(tmp_path.iterdir()) == []
