"""What every search strategy must do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np

from nasbench_ecg.contracts import Budget
from nasbench_ecg.io import jsonable
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext
from nasbench_ecg.testing.fixtures import (
    Subject,
    fingerprint,
    must_leave_generators_alone,
    shaken,
    small_task,
    small_test,
)
from nasbench_ecg.testing.harness import Broken, Check, NotApplicable, claims, expect
from nasbench_ecg.testing.searching import Moment, Searched, Stopped, parts_of, search
from nasbench_ecg.training.seeding import seeded

_NO_TIME = 1e-6
_FREE = 2
"""Units of work that may be done before a search looks at the clock."""

_SOURCES = (
    "nasbench_ecg.plugin.registry.load_registry",
    "nasbench_ecg.data.cache.load_beats",
    "nasbench_ecg.data.protocols.split",
    "nasbench_ecg.signal.records.read_record",
)


@claims()
def it_finds_an_architecture_of_its_space(subject: Subject, seed: int) -> None:
    """The search returns a SearchResult whose architecture its space takes."""
    _reference(subject)


@claims()
def its_details_are_json(subject: Subject, seed: int) -> None:
    """The details of the result can be written to the run record."""
    details = _reference(subject).result.details
    try:
        json.dumps(jsonable(dict(details)), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Broken(f"the details are no JSON data: {error}") from error


@claims()
def equal_seeds_give_equal_searches(subject: Subject, seed: int) -> None:
    """The search follows the generators of its context alone, and keeps no state between two."""
    parts = parts_of(subject)
    ends = []
    for shake in (1, 2):
        with shaken(shake):
            ends.append(search(subject, parts=parts, seed=1).end())
    expect(ends[0] == ends[1], _differing(ends[0], ends[1]))


@claims()
def it_leaves_global_generators_alone(subject: Subject, seed: int) -> None:
    """The search seeds no generator of torch and leaves those of Python and numpy as they were."""
    parts = parts_of(subject)
    must_leave_generators_alone(
        f"the strategy {subject.spec.name!r}", lambda: search(subject, parts=parts)
    )


@claims()
def it_sees_no_beats_but_its_task(subject: Subject, seed: int) -> None:
    """The search loads no records and no dataset: the test part stays out of its reach."""
    parts = parts_of(subject)
    with _sources_told() as calls:
        search(subject, parts=parts)
    expect(not calls, f"the search calls {', '.join(calls)}")


@claims()
def it_leaves_the_beats_alone(subject: Subject, seed: int) -> None:
    """The search changes no beat of its task."""
    before = fingerprint(small_task())
    search(subject)
    expect(fingerprint(small_task()) == before, "the beats of the task are changed")


@claims()
def it_keeps_to_a_budget_of_evaluations(subject: Subject, seed: int) -> None:
    """With a budget of 0, 1 or 3 evaluations it makes no more, and still finds an architecture."""
    for allowed in (0, 1, 3):
        try:
            done = search(subject, budget=Budget(evaluations=allowed))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise Broken(f"a budget of {allowed} evaluations ends in {reason}") from error
        expect(done.evaluations <= allowed, f"{done.evaluations} evaluations of {allowed}")


@claims()
def it_keeps_to_a_budget_of_seconds(subject: Subject, seed: int) -> None:
    """When its seconds are over it does less than it would, and still finds an architecture."""
    whole = _reference(subject).work
    cut = search(subject, budget=Budget(seconds=_NO_TIME)).work
    expect(
        cut < whole or whole <= _FREE,
        f"without any time left it does {cut} evaluations and steps, as many as with all the time",
    )


@claims()
def it_goes_on_after_a_stop_as_if_there_had_been_none(subject: Subject, seed: int) -> None:
    """Stopped at a checkpoint or between two evaluations, and begun again, it ends the same."""
    with TemporaryDirectory() as folder:
        kept = search(subject, folder=Path(folder))
    expected = _reference(subject).end()
    expect(kept.end() == expected, "saving changes it: " + _differing(expected, kept.end()))
    moments = [*_moments("save", kept.saves), *_moments("evaluation", len(kept.hashes))]
    if not moments:
        raise NotApplicable("it saves nothing and evaluates nothing: it is simply run again")
    for moment in moments:
        with TemporaryDirectory() as folder:
            _stop(subject, Path(folder), moment)
            again = search(subject, folder=Path(folder))
        end = again.end()
        expect(end == expected, f"stopped at {moment}, " + _differing(expected, end))


@claims()
def what_it_finds_can_be_scored(subject: Subject, seed: int) -> None:
    """Its builder and its evaluator make a score of what it finds, and open the test part once."""
    task, found = small_task(), _reference(subject).result
    examination = FinalTestContext(task, small_test(), "cpu", Silent())
    with seeded(seed):
        evaluation = subject.evaluator().evaluate(
            found.architecture, task, subject.builder(), examination
        )
    expect(evaluation.architecture == found.architecture, "another architecture is scored")
    expect(np.isfinite(evaluation.score), f"its score is {evaluation.score}")


def _reference(subject: Subject) -> Searched:
    """Return the search without any limit or stop, made once."""
    if "reference" not in subject.found:
        subject.found["reference"] = search(subject)
    found: Searched = subject.found["reference"]
    return found


def _moments(event: str, count: int) -> list[Moment]:
    """Return the first, the middle and the last of ``count`` events."""
    return [Moment(event, n) for n in sorted({1, (count + 1) // 2, count}) if 1 <= n <= count]


def _stop(subject: Subject, folder: Path, moment: Moment) -> None:
    try:
        search(subject, folder=folder, moment=moment)
    except Stopped:
        return
    raise Broken(f"Ctrl-C at {moment} does not end the search")


def _differing(one: str, other: str) -> str:
    """Return which part of two ends differs."""
    a, b = json.loads(one), json.loads(other)
    for part in ("architecture", "details", "trajectory"):
        if a[part] != b[part]:
            return f"the {part} differs: {_short(a[part])} and {_short(b[part])}"
    return "nothing differs"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


@contextmanager
def _sources_told() -> Iterator[list[str]]:
    """Yield the names of the functions that lead to other beats, as they are called."""
    calls: list[str] = []

    def told(address: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            calls.append(address)
            raise Broken(f"the search calls {address}")

        return called

    with ExitStack() as stack:
        for address in _SOURCES:
            stack.enter_context(patch(address, told(address)))
        yield calls


CHECKS: tuple[Check, ...] = (
    it_finds_an_architecture_of_its_space,
    its_details_are_json,
    equal_seeds_give_equal_searches,
    it_leaves_global_generators_alone,
    it_sees_no_beats_but_its_task,
    it_leaves_the_beats_alone,
    it_keeps_to_a_budget_of_evaluations,
    it_keeps_to_a_budget_of_seconds,
    it_goes_on_after_a_stop_as_if_there_had_been_none,
    what_it_finds_can_be_scored,
)
