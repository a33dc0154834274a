"""Checks of evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Checkpoint, Evaluation, Evaluator, Fidelity
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.plugin.specs import EvaluatorSpec
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, ValidationContext
from nasbench_ecg.run.evaluations import evaluation_fault, fault_of_stated_score
from nasbench_ecg.run.resume import ResumeFolder, StageState
from nasbench_ecg.testing.another_process import expect_equal_in_another_process
from nasbench_ecg.testing.check import ContractViolation, NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest, fingerprints
from nasbench_ecg.testing.randomness import (
    expect_no_global_random,
    expect_settings_unchanged,
    global_seed,
)
from nasbench_ecg.testing.searching import (
    CountingCheckpoint,
    InterruptAt,
    SearchInterrupted,
    run_search,
)
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.costs import build_network
from nasbench_ecg.training.seeding import seeded


@check()
def evaluation_is_well_formed(component: ComponentUnderTest, seed: int) -> None:
    """Scores are finite; confusion, predictions and weights match the beats and the network."""
    case, spec = _case(component), component.spec
    found = case.evaluate()
    fault = evaluation_fault(found, case.arch, component.test(), component.task().macro_classes)
    assert isinstance(spec, EvaluatorSpec)
    fault = fault or fault_of_stated_score(found, spec.score)
    expect(not fault, fault)
    if found.state is not None:
        case.build().load_state_dict(dict(found.state))


@check()
def equal_seeds_give_equal_evaluations(component: ComponentUnderTest, seed: int) -> None:
    """With the same seed, an architecture gets the same scores and weights.

    A run evaluates all its candidates with one evaluator, which must remember none of them.
    """
    case, evaluator = _case(component), component.evaluator()
    ends = []
    for state in (1, 2):
        with global_seed(state):
            ends.append(case.evaluate(evaluator=evaluator))
    _expect_equal(*ends)
    other_seed = 5  # new to this process, so that a module that remembers another one shows it
    here = _scores(component, other_seed)
    expect_equal_in_another_process(_scores, component, other_seed, here)


def _scores(component: ComponentUnderTest, seed: int) -> tuple[Any, ...]:
    found = _case(component).evaluate(seed=seed)
    return found.score, dict(found.metrics), _listed(found.predictions)


@check()
def leaves_global_generators_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """The evaluation does not seed torch and does not change Python's or numpy's generator."""
    case = _case(component)
    expect_no_global_random(f"the evaluator {component.spec.name!r}", case.evaluate)


@check()
def requests_its_parts_once(component: ComponentUnderTest, seed: int) -> None:
    """The evaluation calls ``ctx.parts()`` at most once, so the test part is requested once."""
    case = _case(component)
    ctx = _CountingContext(component.task(), component.test(), "cpu", Silent())
    case.evaluate(ctx)
    expect(ctx.count <= 1, f"ctx.parts() is called {ctx.count} times")


@check()
def learns_nothing_from_the_test_labels(component: ComponentUnderTest, seed: int) -> None:
    """Different labels of the test part change neither weights nor predictions."""
    case, test = _case(component), component.test()
    other = replace(test, labels=(test.labels + 1) % test.n_classes)
    ctx = FinalTestContext(component.task(), other, "cpu", Silent())
    one, two = case.evaluate(), case.evaluate(ctx)
    if ctx.opened and one.state is None and one.predictions is None:
        raise NotApplicable("it returns neither weights nor predictions, which would show it")
    _expect_equal_states(one.state, two.state)
    expect(
        _listed(one.predictions) == _listed(two.predictions),
        "the labels of the test part change its predictions",
    )


@check()
def follows_the_fidelity_of_a_search(component: ComponentUnderTest, seed: int) -> None:
    """During a search it scores on the validation part, with the epochs of the fidelity."""
    case, task = _case(component), component.task()
    ctx = ValidationContext(task, "cpu", Silent(), Fidelity(epochs=1, beats=100))
    found = case.evaluate(ctx)
    fault = evaluation_fault(found, case.arch, task.validation, task.macro_classes)
    expect(not fault, fault)
    longest = max((len(values) for values in found.curves.values()), default=0)
    expect(longest <= 1, f"a curve has {longest} points where the fidelity is one epoch")


@check()
def leaves_beats_and_architecture_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """The evaluation changes neither beats nor the architecture."""
    case = _case(component)
    task, test = component.task(), component.test()
    before = *fingerprints(task), test.fingerprint(), case.arch.to_json()
    case.evaluate(FinalTestContext(task, test, "cpu", Silent()))
    after = *fingerprints(task), test.fingerprint(), case.arch.to_json()
    expect(before == after, "beats or architecture are changed")


@check()
def leaves_global_settings_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """It leaves PyTorch's settings, signal handlers, environment and folder as they are."""
    expect_settings_unchanged(_case(component).evaluate)


@check()
def resumes_after_an_interruption(component: ComponentUnderTest, seed: int) -> None:
    """Interrupted at a checkpoint and started again, it ends with the same scores and weights."""
    case = _case(component)
    expected = case.evaluate()
    with TemporaryDirectory() as folder:
        checkpoint = _checkpoint(Path(folder), None)
        _expect_equal(expected, case.evaluate(_test_context(component, checkpoint)))
    if not checkpoint.saves:
        raise NotApplicable("it saves nothing, so it starts over")
    for number in sorted({1, (checkpoint.saves + 1) // 2, checkpoint.saves}):
        with TemporaryDirectory() as folder:
            _interrupt(case, Path(folder), number)
            resumed = case.evaluate(_test_context(component, _checkpoint(Path(folder), None)))
            _expect_equal(expected, resumed)


@dataclass(frozen=True)
class _Case:
    """An architecture, and the evaluator and builder that it is evaluated with."""

    component: ComponentUnderTest
    arch: Architecture
    builder: Builder

    def evaluate(
        self, ctx: Any = None, evaluator: Evaluator | None = None, seed: int = 3
    ) -> Evaluation:
        """Return its evaluation; by default by a new evaluator, and on the test part."""
        evaluator = evaluator or self.component.evaluator()
        ctx = ctx or _test_context(self.component, NoCheckpoint())
        with seeded(seed):
            return evaluator.evaluate(self.arch, ctx.task, self.builder, ctx)

    def build(self) -> torch.nn.Module:
        """Return its network."""
        task = self.component.task()
        return build_network(self.arch, task, self.builder)


@dataclass
class _CountingContext(FinalTestContext):
    """A context that counts the calls of ``parts``."""

    count: int = 0

    def parts(self) -> tuple[Beats, Beats]:
        self.count += 1
        self.opened = False
        return super().parts()


def _case(component: ComponentUnderTest) -> _Case:
    """Return a sample of the space, or the result of a search if samples will not do."""
    if "case" not in component.cache:
        strategy = component.strategy()
        if strategy is None:
            arch = component.space().sample(np.random.default_rng(0))
        else:
            arch = run_search(strategy, task=component.task()).result.architecture
        component.cache["case"] = _Case(component, arch, component.builder())
    case: _Case = component.cache["case"]
    return case


def _test_context(component: ComponentUnderTest, checkpoint: Checkpoint) -> FinalTestContext:
    task, test = component.task(), component.test()
    return FinalTestContext(task, test, "cpu", Silent(), checkpoint=checkpoint)


def _checkpoint(folder: Path, interrupt_at: InterruptAt | None) -> CountingCheckpoint:
    stage = StageState()
    inner = ResumeFolder(folder, 0.0).checkpoint("evaluation", stage.state, stage.restore)
    return CountingCheckpoint(inner, interrupt_at)


def _interrupt(case: _Case, folder: Path, number: int) -> None:
    try:
        checkpoint = _checkpoint(folder, InterruptAt("checkpoint", number))
        case.evaluate(_test_context(case.component, checkpoint))
    except SearchInterrupted:
        return
    raise ContractViolation("Ctrl-C does not end the evaluation")


def _expect_equal(one: Evaluation, other: Evaluation) -> None:
    expect(one.score == other.score, f"the scores are {one.score} and {other.score}")
    for name in {*one.metrics, *other.metrics}:
        values = one.metrics.get(name), other.metrics.get(name)
        expect(values[0] == values[1], f"the metric {name} is {values[0]} and {values[1]}")
    expect(_listed(one.predictions) == _listed(other.predictions), "the predictions differ")
    _expect_equal_states(one.state, other.state)


def _expect_equal_states(
    one: Mapping[str, torch.Tensor] | None, other: Mapping[str, torch.Tensor] | None
) -> None:
    one, other = one or {}, other or {}
    expect(one.keys() == other.keys(), "the networks have different parameters")
    differing = [name for name in one if not torch.equal(one[name], other[name])]
    expect(not differing, f"the weights differ: {', '.join(differing[:3])}")


def _listed(predictions: Any) -> list[int] | None:
    return None if predictions is None else [int(label) for label in predictions]
