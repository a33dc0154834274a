"""Repeat what a component does in another process, where sets of texts have another order."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import lru_cache
from multiprocessing.reduction import ForkingPickler
from typing import Any
from unittest.mock import patch

from nasbench_ecg.testing.check import ContractViolation, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest

_HASH_SEED = "PYTHONHASHSEED"


def expect_equal_in_another_process(
    function: Callable[[ComponentUnderTest, int], Any],
    component: ComponentUnderTest,
    seed: int,
    here: Any,
) -> None:
    """Raise ContractViolation unless ``function`` returns ``here`` in another process too.

    Texts have other hashes there, so sets of them have another order. A component that cannot be
    sent to another process, such as one of an interactive session, is not tried.

    Args:
        function: A function of a module; it gets ``component`` and ``seed``.
        component: The component under test.
        seed: A seed of the function.
        here: What the function returns in this process.
    """
    sent = replace(component, cache={})
    try:
        ForkingPickler.dumps(sent)
    except Exception:  # pickle raises errors of many types
        return
    try:
        there = _process(*_settings()).submit(function, sent, seed).result()
    except BrokenProcessPool as error:
        _process.cache_clear()
        raise ContractViolation("it ends another process that repeats the same") from error
    expect(
        there == here,
        "the result differs in another process: does it go through a set of texts, or keep "
        "something in its module?",
    )


def _settings() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return where plugins and added datasets are found, which tests may change."""
    own = {k: value for k, value in os.environ.items() if k.startswith("NASBENCH_ECG")}
    return tuple(sys.path), tuple(sorted(own.items()))


@lru_cache(1)
def _process(
    path: tuple[str, ...], environment: tuple[tuple[str, str], ...]
) -> ProcessPoolExecutor:
    """Return a process with other hashes of texts than this one, started with these settings."""
    seed = "1" if os.environ.get(_HASH_SEED) == "0" else "0"
    executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with patch.dict(os.environ, {_HASH_SEED: seed}):
        executor.submit(int).result()
    return executor
