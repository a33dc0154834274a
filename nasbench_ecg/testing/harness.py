"""A check: one claim about a component, and the function that puts it to the test."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from nasbench_ecg.plugin.component import describe_error
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.testing.fixtures import Subject, local_plugins, subject_of

if TYPE_CHECKING:
    from nasbench_ecg.testing.fixtures import Subject

Function = Callable[["Subject", int], None]


class Broken(AssertionError):  # noqa: N818 - a claim is broken, nothing erred
    """A claim does not hold; the message says what was found instead."""


class NotApplicable(Exception):  # noqa: N818 - as Broken
    """A claim does not concern this component, or cannot be tested here; the message says why."""


@dataclass(frozen=True)
class Check:
    """One claim of a contract.

    Attributes:
        name: What it is called in tables and in the identifiers of tests.
        claim: What holds of a component that keeps the contract.
        function: Takes the component and a seed; raises where the claim does not hold.
        seeds: How many seeds it is tried with outside pytest; 1: the seed does not matter.
    """

    name: str
    claim: str
    function: Function
    seeds: int = 1

    def __str__(self) -> str:
        return self.name

    def hold(self, subject: Subject, seed: int = 0) -> None:
        """Put the claim to the test.

        Raises:
            Broken: It does not hold. Any other error of the component says so too.
            NotApplicable: It does not concern this component.
        """
        self.function(subject, seed)


def claims(*, seeds: int = 1) -> Callable[[Function], Check]:
    """Make a check of a function: its name gives that of the check, its docstring the claim."""

    def made(function: Function) -> Check:
        claim = (function.__doc__ or "").strip().splitlines()[0]
        return Check(function.__name__.replace("_", "-"), claim, function, seeds)

    return made


def expect(condition: object, found: str) -> None:
    """Raise Broken with what was found unless ``condition`` holds."""
    if not condition:
        raise Broken(found)


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
    from nasbench_ecg.testing.checks import options

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
    return describe_error(error) + where


LIMIT = 180.0
"""Seconds that one check may take."""

_POLL_SECONDS = 0.05
_TAIL = 400


def examine(
    kind: Kind,
    name: str,
    *,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    package: Path | None = None,
    limit: float = LIMIT,
) -> Iterator[Verdict]:
    """Yield the verdict on each claim of a component's contract, whatever the component does.

    Args:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role, as ``--set`` takes them.
        package: Folder of its package where it is not installed.
        limit: Seconds that one check may take.
    """
    checks = checks_of(kind)
    done = 0
    with TemporaryDirectory() as folder:
        while done < len(checks):
            answers = Path(folder, f"{done}.jsonl")
            order = Order(
                kind, name, overrides or {}, str(package) if package else None, done, str(answers)
            )
            child = _Child(order, Path(folder, "log"), limit)
            for verdict in child.verdicts():
                done += 1
                yield verdict
            if done < len(checks):
                check = checks[done]
                yield Verdict(kind, name, check.name, check.claim, "fails", child.reason())
                done += 1


class _Child:
    """A process that goes through a contract from some check on."""

    def __init__(self, order: Order, log: Path, limit: float) -> None:
        self._answers = Path(order.answers)
        self._log = log
        self._limit = limit
        self._late = False
        command = [sys.executable, "-m", "nasbench_ecg.testing.harness", json.dumps(asdict(order))]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def verdicts(self) -> Iterator[Verdict]:
        """Yield verdicts as they come, until the process ends or is late."""
        read, heard = 0, time.monotonic()
        try:
            while True:
                ended = self._process.poll() is not None
                for line in self._lines()[read:]:
                    read, heard = read + 1, time.monotonic()
                    yield Verdict(**json.loads(line))
                if ended:
                    return
                if time.monotonic() - heard > self._limit:
                    self._late = True
                    return
                time.sleep(_POLL_SECONDS)
        finally:
            self._end()

    def reason(self) -> str:
        """Return why the process gave no further verdict."""
        if self._late:
            return f"it does not come to an end within {self._limit:g} seconds"
        code = self._process.returncode
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        log = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return f"it ends the process ({how})" + (f": {log[-_TAIL:]}" if log and code else "")

    def _lines(self) -> list[str]:
        if not self._answers.is_file():
            return []
        # A last line that is being written is taken up the next time.
        return self._answers.read_text(encoding="utf-8").split("\n")[:-1]

    def _end(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@dataclass(frozen=True)
class Order:
    """What the process is to do.

    Attributes:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role.
        package: Folder of its package where it is not installed.
        start: Number of the first check, from 0.
        answers: File that takes one JSON line a verdict.
    """

    kind: Kind
    name: str
    overrides: Mapping[str, Mapping[str, Any]]
    package: str | None
    start: int
    answers: str


def carry_out(order: Order) -> None:
    """Go through the contract and write the verdicts as they come."""
    local = local_plugins(Path(order.package)) if order.package else ()
    subject = subject_of(load_registry(local), order.kind, order.name, order.overrides)
    with Path(order.answers).open("a", encoding="utf-8") as answers:
        for verdict in go_through(subject, start=order.start):
            answers.write(json.dumps(asdict(verdict)) + "\n")
            answers.flush()


if __name__ == "__main__":
    carry_out(Order(**json.loads(sys.argv[1])))
