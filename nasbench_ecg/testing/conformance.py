"""The contract of a component gone through outside pytest, claim by claim."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nasbench_ecg.component import describe
from nasbench_ecg.specs import Kind
from nasbench_ecg.testing.check import Broken, Check, NotApplicable
from nasbench_ecg.testing.subject import Subject

_MODULES: dict[Kind, str] = {
    "strategy": "strategies",
    "dataset": "datasets",
    "search-space": "spaces",
    "builder": "builders",
    "evaluator": "evaluators",
}

Outcome = Literal["holds", "fails", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    Attributes:
        kind: Kind of the component.
        component: Its name.
        check: Name of the check.
        claim: What it claims.
        outcome: Whether it holds.
        reason: Why it does not hold, or was skipped; empty where it holds.
    """

    kind: Kind
    component: str
    check: str
    claim: str
    outcome: Outcome
    reason: str = ""


def checks_of(kind: Kind) -> Sequence[Check]:
    """Return the contract of a kind: what holds of all options, then what is its own."""
    from nasbench_ecg.testing import options

    own: tuple[Check, ...] = importlib.import_module(
        f"nasbench_ecg.testing.{_MODULES[kind]}"
    ).CHECKS
    return (*options.CHECKS, *own)


def go_through(subject: Subject, *, start: int = 0) -> Iterator[Verdict]:
    """Yield the verdict on each claim of the component's contract, from the ``start``-th on.

    No exception of the component leaves this function, ``SystemExit`` included.
    """
    for check in checks_of(subject.spec.kind)[start:]:
        yield judge(check, subject)


def judge(check: Check, subject: Subject) -> Verdict:
    """Return the verdict on one claim, tried with as many seeds as it asks for."""
    outcome: Outcome = "holds"
    reason = ""
    try:
        for seed in range(check.seeds):
            check.hold(subject, seed)
    except NotApplicable as skipped:
        outcome, reason = "skipped", str(skipped)
    except Broken as broken:
        outcome, reason = "fails", str(broken)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        outcome, reason = "fails", _located(error)
    return verdict(check, subject, outcome, reason)


def verdict(check: Check, subject: Subject, outcome: Outcome, reason: str) -> Verdict:
    """Return a verdict on a claim."""
    spec = subject.spec
    return Verdict(spec.kind, spec.name, check.name, check.claim, outcome, reason)


def _located(error: BaseException) -> str:
    """Return the error with the last line of code outside this package that led to it."""
    ours = str(Path(__file__).parent)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return describe(error) + where
