"""Fixtures of all tests. Tests use one thread: more threads make networks this small slower."""

from __future__ import annotations

import functools
import os
import pkgutil
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.testing
from hypothesis import HealthCheck, settings

import nasbench_ecg
from nasbench_ecg.cli.console import stderr, stdout
from nasbench_ecg.plugin import session

os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell ignores SIGINT in jobs that it starts in the background, and their children inherit
    # it. Tests that press Ctrl-C need the handler that a foreground process has.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A module that is first imported while a test replaces a function would keep the replacement for
# all later tests; which tests those are depends on the order in which workers take them.
for _module in pkgutil.walk_packages(nasbench_ecg.__path__, "nasbench_ecg."):
    if not _module.name.endswith("__main__"):
        with suppress(ImportError):  # of an extra that is not installed
            import_module(_module.name)

# No test depends on a time: a loaded machine must not fail one. In CI the same cases are tried each
# time, so that a change fails by what it changes; elsewhere new ones.
settings.register_profile(
    "untimed",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")


# Typer makes all commands anew for each call: most of the time of a test that calls a light one.
typer.testing._get_command = functools.cache(typer.testing._get_command)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow",
        metavar="I/N",
        help="of the files with tests that are marked slow, run those of part I of N only "
        "(default: all)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Options of this run, which another pytest that a test starts may not know. The process that
    # starts workers runs no test, and they read them, too.
    if not config.getoption("numprocesses", None):
        os.environ.pop("PYTEST_ADDOPTS", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if (part := config.getoption("--slow")) is None:
        return
    number, parts = map(int, part.split("/"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    files = sorted({item.path for item in slow})  # whose tests share what they make
    left_out = {item for item in slow if item.path not in files[number - 1 :: parts]}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def beats_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of beats that all tests share, also between pytest's worker processes."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session", autouse=True)
def empty_user_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the datasets that the developer has added."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_ECG_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


# What the project reads and its tests set. Others are not watched: a library that is imported for
# the first time leaves variables and entries of sys.path of its own, which harm no other test.
_WATCHED = (
    *("NASBENCH_ECG", "SLURM", "SBATCH", "SQUEUE", "SCANCEL", "OMP_NUM_THREADS", "CUDA_VISIBLE"),
    *("COLUMNS", "HOME", "JUPYTER_PATH", "NO_PROXY", "PATH", "PYTHONPATH", "TZ", "LANG", "LC_"),
)


def _state_of_the_process() -> dict[str, Any]:
    packages = Path(sysconfig.get_path("purelib"))
    return {name: value for name, value in os.environ.items() if name.startswith(_WATCHED)} | {
        "folder": Path.cwd(),
        "sys.path": [entry for entry in sys.path if packages not in Path(entry).parents],
        "registered strategies": [component.name for component in session.components()],
        "handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "threads of torch": torch.get_num_threads(),
        "type of torch": torch.get_default_dtype(),
        "determinism of torch": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.fixture(scope="module", autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """Fail a module that leaves the process changed: which one is next depends on the workers."""
    before, on_sigterm = _state_of_the_process(), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, on_sigterm)  # which a command replaces until its process ends
    after = _state_of_the_process()
    changed = {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }
    assert changed == {}


@pytest.fixture(autouse=True)
def new_consoles() -> Iterator[None]:
    """Make new consoles for each test, because a console keeps the width it was created with."""
    yield
    stdout.cache_clear()
    stderr.cache_clear()


@pytest.fixture
def few_draws() -> Iterator[None]:
    """Let searches mutate after 100 random networks above a limit, in place of 2,000."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasbench_ecg_blackbox.limits.MAX_REJECTED", 100)
        yield


@pytest.fixture
def made_up_records() -> Iterator[None]:
    """Let records be read whose keys and scores are made up, for tests of what is done with them.

    That such records are refused otherwise is tested in test_consistency.py.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nasbench_ecg.run.validation.check_consistent", lambda record: None)
        yield


@pytest.fixture(scope="module")
def outside(
    tmp_path_factory: pytest.TempPathFactory, beats_cache: Path
) -> Iterator[dict[str, str]]:
    """The third-party example package, installed for the tests of a module.

    The value is an environment in which other processes find the package too.
    """
    from tiny_runs import install

    paths = install(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        for path in reversed(paths):
            patch.syspath_prepend(path)
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        yield {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
