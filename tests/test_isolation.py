"""A faulty plugin is named with its distribution and version, and all other plugins work."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import SETTINGS, assignments
from tiny_runs import install as install_third_party
from typer.testing import CliRunner

from nasbench_ecg.cli import app
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg.suite.plan import PlannedRun
from nasbench_ecg.suite.processes import LocalExecutor, LocalOptions
from nasbench_ecg.suite.runner import Engine, execute_runs
from nasbench_ecg.testing import runner
from nasbench_ecg.testing.check import Check
from nasbench_ecg.testing.checks import checks_of
from nasbench_ecg.testing.fixtures import component_under_test
from nasbench_ecg.testing.runner import CheckJob, check_component, run_check

FAULTY = """
    import os, time; print("the search says hello")
    from nasbench_ecg.api import Architecture, SearchResult, StrategySpec, hookimpl

    NAMES = ("breaks", "exits", "dies", "hangs", "strays", "returns-nothing")

    @hookimpl
    def nasbench_ecg_strategies():
        for name in NAMES:
            target = "faulty_search:" + name.title().replace("-", "")
            yield StrategySpec(name=name, target=target, summary="Faulty", space="conv-cells")

    class Faulty:
        def __init__(self, options): ...

    class Breaks(Faulty):
        def search(self, task, space, builder, ctx):
            raise ZeroDivisionError("a bug of the plugin")

    class Exits(Faulty):
        def search(self, task, space, builder, ctx):
            raise SystemExit(0)

    class Dies(Faulty):
        def search(self, task, space, builder, ctx):
            os._exit(7)

    class Hangs(Faulty):
        def search(self, task, space, builder, ctx):
            while True:
                time.sleep(0.05)

    class Strays(Faulty):
        def search(self, task, space, builder, ctx):
            return SearchResult(Architecture("labelings", {"clusters": 2}))

    class ReturnsNothing(Faulty):
        def search(self, task, space, builder, ctx): ...
"""

BROKEN = {
    "no-import": "import no_such_library",
    "no-hook": "from nasbench_ecg.api import hookimpl\n@hookimpl\ndef nasbench_ecg_strategy(): ...",
    "hook-raises": """
        from nasbench_ecg.api import hookimpl
        @hookimpl
        def nasbench_ecg_datasets():
            raise RuntimeError("no licence")
    """,
    "old-api": """
        from nasbench_ecg.api import StrategySpec, hookimpl
        @hookimpl
        def nasbench_ecg_strategies():
            yield StrategySpec(name="old", target="a:B", summary="Old", space="conv-cells")
    """,
    "same-name": """
        from nasbench_ecg.api import StrategySpec, hookimpl
        @hookimpl
        def nasbench_ecg_strategies():
            yield StrategySpec(name="darts", target="a:B", summary="Another", space="conv-cells")
    """,
    "no-options": """
        from nasbench_ecg.api import StrategySpec, hookimpl
        @hookimpl
        def nasbench_ecg_strategies():
            yield StrategySpec(
                name="unset", target="json:loads", summary="s", options="json:dumps", space="s"
            )
    """,
}
EXPECTED = {
    "no-import": "no_such_library",
    "no-hook": "nasbench_ecg_strategies",
    "hook-raises": "no licence",
    "old-api": "written for version 0.9",
    "same-name": "a shipped name cannot be replaced",
    "no-options": "not a model of Options",
}


API = {"old-api": "0.9"}


def install(site: Path, distribution: str, version: str, modules: dict[str, str]) -> None:
    """Install a distribution whose modules are one plugin each."""
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    )
    points = "".join(f"{name} = {name.replace('-', '_')}\n" for name in modules)
    (info / "entry_points.txt").write_text(f"[nasbench_ecg.plugins]\n{points}")
    for name, code in modules.items():
        text = textwrap.dedent(code) + f'\nPLUGIN_API_VERSION = "{API.get(name, "1.0")}"\n'
        (site / f"{name.replace('-', '_')}.py").write_text(text)


@dataclass(frozen=True)
class Installation:
    """The faulty plugins, installed beside the shipped plugins and the third-party example."""

    folder: Path

    def run(self, strategy: str, *more: str) -> Any:
        """Run ``strategy`` with the command line and return the result."""
        tiny = assignments({**SETTINGS, "evaluator": {"epochs": 1, "beats": 100}})
        words = ["run", strategy, "toy-2lead", "--profile", "smoke", "--device", "cpu", *tiny]
        return CliRunner().invoke(app, [*words, "--out", str(self.folder / "results"), *more])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, beats_cache: Path) -> Any:
    site = tmp_path_factory.mktemp("faulty")
    install(site, "faulty-search", "0.7", {"faulty-search": FAULTY})
    install(site, "broken-things", "3.1", BROKEN)
    paths = [str(site), *install_third_party(tmp_path_factory.mktemp("site"))]
    with pytest.MonkeyPatch.context() as patch:
        for path in reversed(paths):
            patch.syspath_prepend(path)
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        patch.setenv("NASBENCH_ECG_CONFIG", str(site / "settings"))
        patch.setenv("COLUMNS", "200")
        patch.setattr("nasbench_ecg.cli.execution.interrupt_on_sigterm", lambda: None)
        yield Installation(tmp_path_factory.mktemp("out"))


# Faults that the registry finds


@pytest.mark.parametrize("plugin", BROKEN)
def test_a_broken_plugin_is_named_with_its_distribution_and_version(
    installation: Installation, plugin: str
) -> None:
    registry = load_registry()
    problems = [*registry.problems, *registry.verify()]
    (problem,) = [problem for problem in problems if problem.plugin == plugin]
    assert (problem.distribution, problem.version) == ("broken-things", "3.1")
    assert EXPECTED[plugin] in problem.error


def test_what_a_plugin_prints_while_it_is_imported_is_not_on_stdout(
    installation: Installation,
) -> None:
    command = [sys.executable, "-m", "nasbench_ecg", "list", "strategies", "--json"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the search says hello" in found.stderr
    assert json.loads(found.stdout)


def test_all_other_plugins_are_loaded(installation: Installation) -> None:
    listed = CliRunner().invoke(app, ["list", "strategies", "--json"]).stdout
    sources = {c["name"]: c["distribution"] for c in json.loads(listed)}
    assert sources["darts"] == "nasbench-ecg" and sources["hangs"] == "faulty-search"
    assert sources["best-of-n"] == "nasbench-ecg-thirdparty-example"
    assert "old" not in sources


def test_settings_that_a_plugin_changes_when_it_is_imported_are_restored_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        import os, random, signal
        import torch
        os.environ["LEFT_BEHIND"] = "1"
        os.chdir("/")
        random.seed(0)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
    """
    install(tmp_path, "careless-things", "1.2", {"careless": code})
    monkeypatch.syspath_prepend(str(tmp_path))
    before = Path.cwd(), random.getstate(), signal.getsignal(signal.SIGUSR1)
    found = [p for p in load_registry().problems if p.plugin == "careless"]
    assert (Path.cwd(), random.getstate(), signal.getsignal(signal.SIGUSR1)) == before
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()
    assert "LEFT_BEHIND" not in os.environ
    (problem,) = found
    assert (problem.distribution, problem.version, problem.stage) == (
        "careless-things", "1.2", "import",
    )  # fmt: skip
    for name in (
        "current folder", "environment variables (LEFT_BEHIND)", "signal handlers (SIGUSR1)",
        "global generator of random", "default type (float32 → float64)", "gradient mode",
    ):  # fmt: skip
        assert name in problem.error


# Faults that a run finds


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("breaks", "ZeroDivisionError: a bug of the plugin"),
        ("exits", "SystemExit: 0"),
        ("strays", "not valid in the search space 'conv-cells'"),
        ("returns-nothing", "of the type NoneType, not a SearchResult"),
    ],
)
def test_a_failed_run_names_the_faulty_strategy(
    installation: Installation, strategy: str, said: str
) -> None:
    result = installation.run(strategy)
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.stderr.split())
    assert "plugin 'faulty-search' of faulty-search 0.7" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    store = RecordStore(installation.folder / "results", "runs")
    records = [store.read(path.stem) for path in store.folder.glob("*.json")]
    (record,) = [r for r in records if r and r.components["strategy"].name == strategy]
    assert record.status == "failed"
    assert record.components["strategy"].version == "0.7"


@pytest.mark.slow
def test_a_suite_continues_after_a_strategy_that_hangs_or_ends_its_process(
    installation: Installation, tmp_path: Path
) -> None:
    registry, store = load_registry(), RecordStore(tmp_path, "mine")
    store.check_writable()
    records = {}
    for name, limit in (("hangs", 30.0), ("dies", 100.0)):
        request = RunRequest(name, "toy-2lead", profile="smoke", device="cpu", overrides=SETTINGS)
        run = PlannedRun(configure(registry, request), 1)
        engine = Engine(LocalExecutor(LocalOptions(grace=1.0)))
        (done,) = execute_runs([run], store, engine, time_limit=limit)
        records[name] = done.record
    assert [records["hangs"].status, records["dies"].status] == ["timeout", "failed"]
    assert "Exit status 7" in (records["dies"].error or "")
    for record in records.values():
        assert "plugin 'faulty-search' of faulty-search 0.7" in (record.error or "")


# Faults that ``plugin check`` finds


def the_check(name: str) -> Check:
    (check,) = [check for check in checks_of("strategy") if check.name == name]
    return check


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        ("strays", "not in the space 'conv-cells'"),
        ("returns-nothing", "not a SearchResult"),
        ("exits", "SystemExit: 0"),
        ("breaks", "ZeroDivisionError: a bug of the plugin"),
    ],
)
def test_a_check_says_what_is_wrong(installation: Installation, strategy: str, reason: str) -> None:
    component = component_under_test(load_registry(), "strategy", strategy)
    result = run_check(the_check("returns-an-architecture-of-its-space"), component)
    assert result.outcome == "failed"
    assert reason in result.reason


@pytest.mark.parametrize(
    ("strategy", "limit", "reason"),
    [
        ("dies", 100.0, "it ends the process (exit status 7)"),
        ("hangs", 2.0, "it does not finish within 2 seconds"),
    ],
)
@pytest.mark.slow
def test_checks_continue_after_a_strategy_that_ends_or_blocks_its_process(
    installation: Installation,
    monkeypatch: pytest.MonkeyPatch,
    strategy: str,
    limit: float,
    reason: str,
) -> None:
    # Only the check that searches is run: the strategy ends or blocks its process there.
    searching = the_check("returns-an-architecture-of-its-space")
    start = list(checks_of("strategy")).index(searching)
    monkeypatch.setattr(runner, "checks_of", lambda kind: [searching])
    monkeypatch.setattr(
        runner, "CheckJob", lambda *job, **rest: CheckJob(*job, **{**rest, "start": start})
    )
    (result,) = check_component("strategy", strategy, time_limit=limit)
    assert (result.check, result.outcome) == (searching.name, "failed")
    assert reason in result.reason
