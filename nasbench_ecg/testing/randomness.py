"""Checks that a component depends on no global generator, and leaves no global state changed."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from nasbench_ecg.run.global_state import GlobalState
from nasbench_ecg.testing.check import ContractViolation, expect

_HARNESS = "nasbench_ecg.training.seeding"
"""The module that may seed torch: the harness seeds it around strategies and evaluators."""

_SEEDING_FUNCTIONS = (
    (torch, "manual_seed"),
    (torch.random, "manual_seed"),
    (torch, "seed"),
    (torch.cuda, "manual_seed"),
    (torch.cuda, "manual_seed_all"),
)


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy for the block, and restore them after it."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextmanager
def forbid_global_random(who: str) -> Iterator[None]:
    """Raise ContractViolation if the block seeds torch or changes Python's or numpy's generator.

    A block may seed a global generator, for a library that knows no other, if it restores the state
    afterwards.
    """
    calls: list[str] = []
    before = _states()
    with ExitStack() as stack:
        for module, name in _SEEDING_FUNCTIONS:
            spy = _spy(getattr(module, name), f"{module.__name__}.{name}", calls)
            stack.enter_context(patch.object(module, name, spy))
        yield
    expect(not calls, f"{who} calls {', '.join(sorted(set(calls)))}")
    for name, one, other in zip(("random", "numpy.random"), before, _states(), strict=True):
        expect(one == other, f"{who} changes the state of the global generator of {name}")


def expect_no_global_random(who: str, act: Callable[[], object]) -> None:
    """Raise ContractViolation if ``act`` touches a global generator when called repeatedly.

    The first call is not held against it: a library that it imports then may draw numbers.
    """
    try:
        with global_seed(0), forbid_global_random(who):
            act()
    except ContractViolation:
        with global_seed(0), forbid_global_random(who):
            act()


def expect_settings_unchanged(act: Callable[[], object]) -> None:
    """Raise ContractViolation if ``act`` leaves a global setting changed; restore the settings."""
    before = GlobalState()
    try:
        act()
    finally:
        changed = before.restore()
    # The generators have a check of their own.
    changed = [name for name in changed if not name.startswith("global generator")]
    expect(not changed, f"left changed: {'; '.join(changed)}")


def _spy(function: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller != _HARNESS and caller.partition(".")[0] != "torch":
            calls.append(name)
        return function(*args, **kwargs)

    return called


def _states() -> tuple[str, str]:
    numpy_state: Any = np.random.get_state()
    return repr(random.getstate()), repr([np.asarray(part).tolist() for part in numpy_state])
