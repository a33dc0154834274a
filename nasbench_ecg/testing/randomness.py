"""Global generators: put into a known state for a block, and watched for who touches them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from nasbench_ecg.testing.check import Broken, expect

_OURS = "nasbench_ecg.training.seeding"

_SEEDING = (
    (torch, "manual_seed"),
    (torch.random, "manual_seed"),
    (torch, "seed"),
    (torch.cuda, "manual_seed"),
    (torch.cuda, "manual_seed_all"),
)


@contextmanager
def shaken(seed: int) -> Iterator[None]:
    """Put the global generators of Python and numpy into some state for the block.

    Torch's are left to the harness, which seeds them around every strategy and evaluator.
    """
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextmanager
def watched(who: str) -> Iterator[None]:
    """Raise Broken if the block seeds torch, or does not leave Python's and numpy's generators be.

    A library that knows no generator but the global one may be seeded, if the state from before is
    put back.
    """
    calls: list[str] = []
    before = _states()
    with ExitStack() as stack:
        for module, name in _SEEDING:
            told = _told(getattr(module, name), f"{module.__name__}.{name}", calls)
            stack.enter_context(patch.object(module, name, told))
        yield
    expect(not calls, f"{who} calls {', '.join(sorted(set(calls)))}")
    for name, one, other in zip(("random", "numpy.random"), before, _states(), strict=True):
        expect(one == other, f"{who} leaves the global generator of {name} in another state")


def must_leave_generators_alone(who: str, act: Callable[[], object]) -> None:
    """Raise Broken if ``act`` touches a global generator, not only where it is called first.

    A library that is imported at its first use may draw then: that is not the component's doing.
    """
    try:
        with shaken(0), watched(who):
            act()
    except Broken:
        with shaken(0), watched(who):
            act()


def _told(function: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if caller != _OURS and caller.partition(".")[0] != "torch":
            calls.append(name)
        return function(*args, **kwargs)

    return called


def _states() -> tuple[str, str]:
    numpy_state: Any = np.random.get_state()
    return repr(random.getstate()), repr([np.asarray(part).tolist() for part in numpy_state])
