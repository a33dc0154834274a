"""Tests compute on one thread: networks this small wait for threads longer than they compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nasbench_ecg.cli.console import stderr, stdout

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def beats_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of beats for all tests, in whichever of pytest's processes they run."""
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    cache.mkdir(exist_ok=True)
    return cache


@pytest.fixture(scope="session", autouse=True)
def no_datasets_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Datasets that a developer has added for himself are not listed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASBENCH_ECG_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def consoles_of_its_own() -> Iterator[None]:
    """Each test has the terminal that it asks for: a console keeps the width it was made with."""
    yield
    stdout.cache_clear()
    stderr.cache_clear()


@pytest.fixture(scope="module")
def outside(
    tmp_path_factory: pytest.TempPathFactory, beats_cache: Path
) -> Iterator[dict[str, str]]:
    """The outside package, with its toy beats, installed for the tests of a module.

    The value is the environment of processes that shall find it too.
    """
    from tiny_runs import install

    paths = install(tmp_path_factory.mktemp("site"))
    with pytest.MonkeyPatch.context() as patch:
        for path in reversed(paths):
            patch.syspath_prepend(path)
        patch.setenv("NASBENCH_ECG_CACHE", str(beats_cache))
        yield {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
