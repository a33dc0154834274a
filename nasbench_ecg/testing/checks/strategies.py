"""Checks of search strategies."""

from __future__ import annotations

import json
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Budget
from nasbench_ecg.encoding import Categorical, Integer, Parameter, ParameterValue, check_values
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.specs import StrategySpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext
from nasbench_ecg.run.evaluations import details_fault
from nasbench_ecg.testing.another_process import expect_equal_in_another_process
from nasbench_ecg.testing.check import ContractViolation, NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest, fingerprints
from nasbench_ecg.testing.randomness import (
    expect_no_global_random,
    expect_settings_unchanged,
    global_seed,
)
from nasbench_ecg.testing.searching import (
    InterruptAt,
    SearchInterrupted,
    SearchOutcome,
    SearchParts,
    run_search,
    search_parts,
)
from nasbench_ecg.training.seeding import seeded

_NO_TIME = 1e-6
_FREE_WORK = 2
"""Units of work that a search may do before it looks at the clock."""

_FORBIDDEN = (
    "nasbench_ecg.plugin.registry.load_registry",
    "nasbench_ecg.data.cache.load_beats",
    "nasbench_ecg.data.protocols.split",
    "nasbench_ecg.signal.records.read_record",
)
"""Functions that lead to other beats than those of the task."""


@check()
def returns_an_architecture_of_its_space(component: ComponentUnderTest, seed: int) -> None:
    """The search returns a SearchResult with an architecture that is valid in the space."""
    _reference(component)


@check()
def searches_any_space(component: ComponentUnderTest, seed: int) -> None:
    """A strategy that does not declare its spaces can search one that it has never seen.

    The space has parameters only if the strategy declares that it needs them.
    """
    spec = _spec(component)
    if spec.spaces is not None:
        raise NotApplicable(f"it declares its spaces: {', '.join(spec.spaces)}")
    if not spec.searches:
        raise NotApplicable("it does not search")
    space = _UnknownEncodedSpace() if spec.needs_encoding else _UnknownSpace()
    parts = SearchParts(component.create(), space, _LinearBuilder())
    try:
        run_search(component, parts=parts)
    except OptionError as error:
        raise ContractViolation(
            f"{error} Declare spaces=(...) or needs_encoding=True in the spec"
        ) from error


@check()
def details_are_json(component: ComponentUnderTest, seed: int) -> None:
    """The details of the result can be written to the run record."""
    if fault := details_fault(_reference(component).result.details):
        raise ContractViolation(f"the details cannot be recorded: {fault}")


@check()
def equal_seeds_give_equal_results(component: ComponentUnderTest, seed: int) -> None:
    """The search uses only the generators of its context, and keeps no state for the next one."""
    parts = search_parts(component)
    results = []
    for state in (1, 2):
        with global_seed(state):
            results.append(run_search(component, parts=parts, seed=1).to_json())
    expect(results[0] == results[1], _difference(results[0], results[1]))
    expect_equal_in_another_process(_result, component, 1, results[0])


def _result(component: ComponentUnderTest, seed: int) -> str:
    return run_search(component, seed=seed).to_json()


@check()
def leaves_global_generators_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """The search does not seed torch and does not change Python's or numpy's generator."""
    parts = search_parts(component)
    expect_no_global_random(
        f"the strategy {component.spec.name!r}", lambda: run_search(component, parts=parts)
    )


@check()
def reads_no_other_beats(component: ComponentUnderTest, seed: int) -> None:
    """The search calls none of the functions that load records or datasets."""
    parts = search_parts(component)
    with _forbidden_calls() as calls:
        run_search(component, parts=parts)
    expect(not calls, f"the search calls {', '.join(calls)}")


@check()
def leaves_the_beats_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """The search changes no beat of its task."""
    task = component.task()
    before = fingerprints(task)
    run_search(component, task=task)
    expect(fingerprints(task) == before, "the beats of the task are changed")


@check()
def leaves_global_settings_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """The search leaves PyTorch's settings, signal handlers, environment and folder as they are."""
    parts = search_parts(component)
    expect_settings_unchanged(lambda: run_search(component, parts=parts))


@check()
def keeps_a_budget_of_evaluations(component: ComponentUnderTest, seed: int) -> None:
    """With a budget of 0, 1 or 3 evaluations it makes no more, and returns an architecture."""
    _skip_unless_kept(component, "evaluations")
    for allowed in (0, 1, 3):
        try:
            outcome = run_search(component, budget=Budget(evaluations=allowed))
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ContractViolation(
                f"a budget of {allowed} evaluations ends in {reason}"
            ) from error
        expect(outcome.evaluations <= allowed, f"{outcome.evaluations} evaluations of {allowed}")


@check()
def keeps_a_budget_of_seconds(component: ComponentUnderTest, seed: int) -> None:
    """Without time left it does less work than without a limit, and returns an architecture."""
    _skip_unless_kept(component, "seconds")
    whole = _reference(component).work
    limited = run_search(component, budget=Budget(seconds=_NO_TIME)).work
    expect(
        limited < whole or whole <= _FREE_WORK,
        f"without any time left it makes {limited} evaluations and steps, as many as without limit",
    )


@check()
def resumes_after_an_interruption(component: ComponentUnderTest, seed: int) -> None:
    """Interrupted at a checkpoint or an evaluation, and started again, it ends the same."""
    with TemporaryDirectory() as folder:
        whole = run_search(component, folder=Path(folder))
    expected = _reference(component).to_json()
    saved = whole.to_json()
    expect(saved == expected, "with checkpoints, " + _difference(expected, saved))
    points = [
        *_points("checkpoint", whole.saves),
        *_points("evaluation", len(whole.evaluated)),
    ]
    if not points:
        raise NotApplicable("it saves nothing and evaluates nothing, so it starts over")
    for point in points:
        with TemporaryDirectory() as folder:
            _interrupt(component, Path(folder), point)
            resumed = run_search(component, folder=Path(folder)).to_json()
        expect(resumed == expected, f"interrupted at {point}, " + _difference(expected, resumed))


@check()
def result_can_be_evaluated(component: ComponentUnderTest, seed: int) -> None:
    """Its builder and evaluator score the architecture, requesting the test part once."""
    task, result = component.task(), _reference(component).result
    ctx = FinalTestContext(task, component.test(), "cpu", Silent())
    with seeded(seed):
        evaluation = component.evaluator().evaluate(
            result.architecture, task, component.builder(), ctx
        )
    expect(evaluation.architecture == result.architecture, "a different architecture is evaluated")
    expect(np.isfinite(evaluation.score), f"its score is {evaluation.score}")


def _spec(component: ComponentUnderTest) -> StrategySpec:
    assert isinstance(component.spec, StrategySpec)
    return component.spec


def _skip_unless_kept(component: ComponentUnderTest, budget: str) -> None:
    if not _spec(component).keeps(budget):
        raise NotApplicable(f"it does not declare that it keeps a budget of {budget}")


def _reference(component: ComponentUnderTest) -> SearchOutcome:
    """Return the search without limits or interruptions, run once."""
    if "reference" not in component.cache:
        component.cache["reference"] = run_search(component)
    outcome: SearchOutcome = component.cache["reference"]
    return outcome


def _points(event: str, count: int) -> list[InterruptAt]:
    """Return the first, the middle and the last of ``count`` events."""
    numbers = sorted({1, (count + 1) // 2, count})
    return [InterruptAt(event, n) for n in numbers if 1 <= n <= count]


def _interrupt(component: ComponentUnderTest, folder: Path, point: InterruptAt) -> None:
    try:
        run_search(component, folder=folder, interrupt_at=point)
    except SearchInterrupted:
        return
    raise ContractViolation(f"Ctrl-C at {point} does not end the search")


def _difference(one: str, other: str) -> str:
    """Return which part of two outcomes differs."""
    a, b = json.loads(one), json.loads(other)
    for part in ("architecture", "details", "trajectory"):
        if a[part] != b[part]:
            return f"{part} differs: {_shortened(a[part])} and {_shortened(b[part])}"
    return "nothing differs"


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


@contextmanager
def _forbidden_calls() -> Iterator[list[str]]:
    """Yield the list of forbidden functions, as they are called in the block."""
    calls: list[str] = []

    def spy(address: str) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            calls.append(address)
            raise ContractViolation(f"the search calls {address}")

        return called

    spies = [(pkgutil.resolve_name(address), spy(address)) for address in _FORBIDDEN]
    try:
        _replace_everywhere(spies)
        yield calls
    finally:
        _replace_everywhere([(spied, function) for function, spied in spies])


def _replace_everywhere(functions: Sequence[tuple[Callable[..., Any], Callable[..., Any]]]) -> None:
    """Replace functions by others in all modules: also in those that have imported them by name."""
    others = {id(function): other for function, other in functions}
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in others:
                setattr(module, name, others[id(value)])


class _UnknownSpace:
    """Lists of four numbers from 0 to 3."""

    name = "unknown-space"
    size = 4**4

    def sample(self, rng: np.random.Generator) -> Architecture:
        return Architecture(self.name, rng.integers(4, size=4).tolist())

    def mutate(self, arch: Architecture, rng: np.random.Generator) -> Architecture:
        neighbors = list(self.neighbours(arch))
        return neighbors[rng.integers(len(neighbors))]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        pairs = zip(a.genotype, b.genotype, strict=True)
        return Architecture(self.name, [x if rng.random() < 0.5 else y for x, y in pairs])

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        for place in range(4):
            for number in range(4):
                if number != arch.genotype[place]:
                    genotype = [*arch.genotype]
                    genotype[place] = number
                    yield Architecture(self.name, genotype)

    def validate(self, arch: Architecture) -> None:
        genotype = arch.genotype
        valid = isinstance(genotype, list) and len(genotype) == 4 and set(genotype) <= set(range(4))
        if arch.space != self.name or not valid:
            raise OptionError(f"{arch.to_json()} is not in {self.name}.")


class _UnknownEncodedSpace(_UnknownSpace):
    """The same with parameters: three choices, and an integer."""

    def parameters(self) -> tuple[Parameter, ...]:
        choices = (Categorical(f"choice-{i}", (0, 1, 2, 3)) for i in range(3))
        return (*choices, Integer("last", 0, 3))

    def encode(self, arch: Architecture) -> dict[str, ParameterValue]:
        names = (parameter.name for parameter in self.parameters())
        return dict(zip(names, arch.genotype, strict=True))

    def decode(self, values: Mapping[str, ParameterValue]) -> Architecture:
        return Architecture(self.name, list(check_values(self.parameters(), values).values()))


class _LinearBuilder:
    """One linear layer, whatever the architecture."""

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(n_leads * n_samples, n_classes))
