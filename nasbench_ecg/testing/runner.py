"""Run the checks of a component, in this process or in a child process.

:func:`run_checks` runs them here. :func:`check_component` runs them in child processes, so that a
component that exits, crashes or hangs fails its check and nothing else.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from nasbench_ecg.errors import describe_error
from nasbench_ecg.plugin.discovery import discover_package
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.suite.processes import POLL_SECONDS, ChildProcess
from nasbench_ecg.testing.check import Check, ContractViolation, NotApplicable
from nasbench_ecg.testing.checks import checks_of
from nasbench_ecg.testing.fixtures import ComponentUnderTest, component_under_test

Outcome = Literal["passed", "failed", "skipped"]

TIME_LIMIT = 180.0
"""Seconds that one check may take in a child process."""

_LOG_TAIL = 400


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Attributes:
        kind: Kind of the component.
        component: Its name.
        check: Name of the check.
        claim: What it claims.
        outcome: ``passed``, ``failed`` or ``skipped``.
        reason: Why it failed or was skipped; empty if it passed.
    """

    kind: Kind
    component: str
    check: str
    claim: str
    outcome: Outcome
    reason: str = ""


# In this process


def run_checks(component: ComponentUnderTest, *, start: int = 0) -> Iterator[CheckResult]:
    """Yield the result of each check of the component's contract, beginning with number ``start``.

    No exception of the component leaves this function, not even ``SystemExit``.
    """
    for one in checks_of(component.spec.kind)[start:]:
        yield run_check(one, component)


def run_check(check: Check, component: ComponentUnderTest) -> CheckResult:
    """Return the result of one check, tried with as many seeds as it asks for."""
    outcome: Outcome = "passed"
    reason = ""
    try:
        for seed in range(check.seeds):
            check.run(component, seed)
    except NotApplicable as skipped:
        outcome, reason = "skipped", str(skipped)
    except ContractViolation as violation:
        outcome, reason = "failed", str(violation)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        outcome, reason = "failed", _located(error)
    spec = component.spec
    return CheckResult(spec.kind, spec.name, check.name, check.claim, outcome, reason)


def _located(error: BaseException) -> str:
    """Return the error with the last file and line outside this package that led to it."""
    ours = str(Path(__file__).parent)
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)
    ]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return describe_error(error) + where


# In child processes


@dataclass(frozen=True)
class CheckJob:
    """The work of a child process.

    Attributes:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role.
        package: Folder of its package, if it is not installed.
        data: Folder of databases; None for that of the environment, or the cache.
        start: Number of the first check, from 0.
        results: File that receives one JSON line per result.
    """

    kind: Kind
    name: str
    overrides: Mapping[str, Mapping[str, Any]]
    package: str | None
    data: str | None
    start: int
    results: str

    def run(self) -> None:
        """Run the checks, and write each result when it is known."""
        local = discover_package(Path(self.package)) if self.package else ()
        registry = load_registry(local)
        component = component_under_test(
            registry, self.kind, self.name, self.overrides, data=self.data
        )
        with Path(self.results).open("a", encoding="utf-8") as file:
            for result in run_checks(component, start=self.start):
                file.write(json.dumps(asdict(result)) + "\n")
                file.flush()


def check_component(
    kind: Kind,
    name: str,
    *,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    package: Path | None = None,
    data: Path | None = None,
    time_limit: float = TIME_LIMIT,
) -> Iterator[CheckResult]:
    """Yield the result of each check of a component's contract, whatever the component does.

    Args:
        kind: Kind of the component.
        name: Its name.
        overrides: Options by role, as ``--set`` takes them.
        package: Folder of its package, if it is not installed.
        data: Folder of databases; None for that of the environment, or the cache.
        time_limit: Seconds that one check may take.
    """
    checks = checks_of(kind)
    done = 0
    with TemporaryDirectory() as folder:
        while done < len(checks):
            results, log = Path(folder, f"{done}.jsonl"), Path(folder, "log")
            job = CheckJob(
                kind,
                name,
                overrides or {},
                package=str(package) if package else None,
                data=str(data.expanduser().absolute()) if data else None,
                start=done,
                results=str(results),
            )
            job_text = json.dumps(asdict(job))
            command = [sys.executable, "-P", "-m", "nasbench_ecg.testing.runner", job_text]
            child = ChildProcess(command, log, time_limit=time_limit, grace=0.0)
            for result in _results(child, results):
                done += 1
                yield result
            if done < len(checks):
                failed = checks[done]
                reason = _failure(child, log)
                yield CheckResult(kind, name, failed.name, failed.claim, "failed", reason)
                done += 1


def _results(child: ChildProcess, file: Path) -> Iterator[CheckResult]:
    """Yield the results in ``file`` as they come, until the child ends or is out of time."""
    read = 0
    try:
        while True:
            ended = child.ended()
            for line in _complete_lines(file)[read:]:
                read += 1
                child.restart_time_limit()
                yield CheckResult(**json.loads(line))
            if ended or child.timed_out:
                return
            time.sleep(POLL_SECONDS)
    finally:
        if not child.ended():
            child.kill()


def _complete_lines(file: Path) -> list[str]:
    if not file.is_file():
        return []
    # The text after the last newline is a line that is still being written.
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def _failure(child: ChildProcess, log: Path) -> str:
    """Return why the child gave no further result."""
    if child.timed_out:
        return f"it does not finish within {child.time_limit:g} seconds"
    code = child.returncode
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f"it ends the process ({how})" + (f": {text[-_LOG_TAIL:]}" if text and code else "")


if __name__ == "__main__":
    CheckJob(**json.loads(sys.argv[1])).run()
