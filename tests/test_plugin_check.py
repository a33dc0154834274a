"""The contract checks find violations, and ``nasbench-ecg plugin check`` reports them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import made_up_plugin
import numpy as np
import pytest
import torch
from tiny_beats import tiny_beats
from tiny_runs import registry_with
from typer.testing import CliRunner

from nasbench_ecg.api import (
    Architecture,
    Categorical,
    Evaluation,
    NoOptions,
    OptionError,
    Options,
    SearchResult,
    check_values,
)
from nasbench_ecg.cli import app
from nasbench_ecg.contracts import Requirement
from nasbench_ecg.errors import PluginError
from nasbench_ecg.front import loading
from nasbench_ecg.plugin import registry as registry_module
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.plugin.specs import (
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
)
from nasbench_ecg.testing import EvaluatorContract, runner
from nasbench_ecg.testing.checks import checks_of
from nasbench_ecg.testing.fixtures import component_under_test, small_task, synthetic_beats
from nasbench_ecg.testing.runner import CheckResult, run_check, run_checks

CELLS = {"space": {"nodes": 1, "operations": ["skip", "conv-3"]}}


def result_of(spec: ComponentSpec, check: str) -> CheckResult:
    """Return the result of one check on a made-up component."""
    overrides = {} if spec.kind == "search-space" else CELLS
    component = component_under_test(registry_with(spec), spec.kind, spec.name, overrides)
    (found,) = [one for one in checks_of(spec.kind) if one.name == check]
    return run_check(found, component)


# Strategies


class Correct:
    """Draws three architectures and takes the best."""

    def __init__(self, options: Any) -> None:
        self.memory: list[Architecture] = []

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        limit = ctx.budget.evaluations
        over = ctx.budget.seconds is not None
        n = 1 if over else 3 if limit is None else min(3, limit)
        drawn = [space.sample(self.rng(ctx)) for _ in range(3)]
        found = [ctx.evaluate_many([arch])[0] for arch in drawn[:n]]
        for one in found:
            ctx.log(one.score)
        best = max(found, key=lambda one: one.score, default=None)
        return SearchResult(best.architecture if best else drawn[0], self.details())

    def rng(self, ctx: Any) -> Any:
        return ctx.rng

    def details(self) -> dict[str, Any]:
        return {}


class DrawsGlobally(Correct):
    def rng(self, ctx: Any) -> Any:
        return np.random.default_rng(random.getrandbits(32))


class SeedsTorch(Correct):
    def rng(self, ctx: Any) -> Any:
        torch.manual_seed(0)
        return ctx.rng


class Remembers(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        self.memory.append(super().search(task, space, builder, ctx).architecture)
        return SearchResult(self.memory[0], {"searches": len(self.memory)})


class DetailsNotJson(Correct):
    def details(self) -> dict[str, Any]:
        return {"space": object()}


class Overspends(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        found = ctx.evaluate_many([space.sample(ctx.rng) for _ in range(5)])
        return SearchResult(found[0].architecture)


class IgnoresTheClock(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        limit = ctx.budget.evaluations
        n = 4 if limit is None else min(4, limit)
        found = ctx.evaluate_many([space.sample(ctx.rng) for _ in range(n)])
        return SearchResult(found[0].architecture if found else space.sample(ctx.rng))


class ScalesTheBeats(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        task.train.signals[0, 0, 0] += 1.0
        return super().search(task, space, builder, ctx)


class ZeroesTheBeats(Correct):
    """Changes the beats through a tensor, which numpy cannot prevent."""

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        torch.from_numpy(task.train.signals).zero_()
        return super().search(task, space, builder, ctx)


class SwitchesGradientsOff(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        torch.set_grad_enabled(False)
        return super().search(task, space, builder, ctx)


class LooksForTheTest(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        registry_module.load_registry()
        return super().search(task, space, builder, ctx)


class LoadsTheTest(Correct):
    """Loads a dataset as a user does; the module of that function has imported the loaders."""

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        loading.load_dataset("synthetic-2lead", profile="smoke")
        return super().search(task, space, builder, ctx)


class NeedsLongBeats(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        if task.n_samples < 400:
            raise OptionError("these beats are too short")
        return super().search(task, space, builder, ctx)


class SwallowsStops(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        try:
            return super().search(task, space, builder, ctx)
        except KeyboardInterrupt:
            return SearchResult(space.sample(np.random.default_rng(0)))


class ForgetsAtStops(Correct):
    """Saves how far it is, and not what it has found."""

    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        saved = ctx.checkpoint.load()
        best = None
        for step in range(saved["step"] if saved else 0, 3):
            (one,) = ctx.evaluate_many([space.sample(ctx.rng)])
            best = one if best is None or one.score > best.score else best
            if ctx.checkpoint.due():
                ctx.checkpoint.save({"step": step + 1})
        return SearchResult(best.architecture if best else space.sample(ctx.rng))


def strategy(target: Any) -> StrategySpec:
    return StrategySpec(name="made-up", target=target, summary="Made up", space="conv-cells")


@pytest.mark.parametrize(("target", "min_samples"), [(Correct, 1), (NeedsLongBeats, 400)])
@pytest.mark.slow
def test_a_correct_strategy_passes_all_checks(target: Any, min_samples: int) -> None:
    spec = replace(strategy(target), min_samples=min_samples)
    component = component_under_test(registry_with(spec), "strategy", "made-up", CELLS)
    assert [r for r in run_checks(component) if r.outcome != "passed"] == []


@pytest.mark.parametrize(
    ("target", "check", "reason"),
    [
        (DrawsGlobally, "equal-seeds-give-equal-results", "differs"),
        (DrawsGlobally, "leaves-global-generators-unchanged", "global generator of random"),
        (SeedsTorch, "leaves-global-generators-unchanged", "torch.manual_seed"),
        (Remembers, "equal-seeds-give-equal-results", "details differs"),
        (DetailsNotJson, "details-are-json", "not JSON"),
        (Overspends, "keeps-a-budget-of-evaluations", "ProtocolError"),
        (IgnoresTheClock, "keeps-a-budget-of-seconds", "as many as without limit"),
        (LooksForTheTest, "reads-no-other-beats", "load_registry"),
        (LoadsTheTest, "reads-no-other-beats", "load_registry"),
        (SwallowsStops, "resumes-after-an-interruption", "does not end"),
        (ForgetsAtStops, "resumes-after-an-interruption", "interrupted at checkpoint"),
    ],
)
def test_a_strategy_that_breaks_the_contract_is_caught(
    target: Any, check: str, reason: str
) -> None:
    found = result_of(strategy(target), check)
    assert found.outcome == "failed" and reason in found.reason


@pytest.mark.parametrize(
    ("target", "reason"),
    [(ScalesTheBeats, "read-only"), (ZeroesTheBeats, "the beats of the task are changed")],
)
def test_a_strategy_that_changes_the_beats_is_caught_by_every_order_of_checks(
    target: Any, reason: str
) -> None:
    component = component_under_test(registry_with(strategy(target)), "strategy", "made-up", CELLS)
    found = {one.check: one for one in run_checks(component)}
    assert found["leaves-the-beats-unchanged"].outcome == "failed"
    assert reason in found["leaves-the-beats-unchanged"].reason


def test_the_functions_that_load_beats_are_restored_in_all_modules() -> None:
    result_of(strategy(LoadsTheTest), "reads-no-other-beats")
    assert loading.load_registry is registry_module.load_registry is load_registry


def test_no_check_sees_beats_that_another_check_changed() -> None:
    before = small_task().train.fingerprint()
    result_of(strategy(ZeroesTheBeats), "leaves-the-beats-unchanged")
    assert small_task().train.fingerprint() == before


def test_a_strategy_that_leaves_settings_changed_is_caught() -> None:
    found = result_of(strategy(SwitchesGradientsOff), "leaves-global-settings-unchanged")
    assert found.outcome == "failed" and "gradient mode (True → False)" in found.reason
    assert torch.is_grad_enabled()


# Spaces


class Numbers:
    """Architectures 0 to 4; those next to each other are neighbours."""

    name = "made-up"
    size = 5

    def __init__(self, options: Any) -> None: ...

    def sample(self, rng: Any) -> Architecture:
        return self.arch(int(rng.integers(5)))

    def mutate(self, arch: Architecture, rng: Any) -> Architecture:
        found = list(self.neighbours(arch))
        return found[rng.integers(len(found))]

    def crossover(self, a: Architecture, b: Architecture, rng: Any) -> Architecture:
        return a if rng.random() < 0.5 else b

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        n = arch.genotype
        yield from (self.arch(m) for m in (n - 1, n + 1) if 0 <= m < 5)

    def validate(self, arch: Architecture) -> None:
        n = arch.genotype
        if arch.space != "made-up" or type(n) is not int or n not in range(5):
            raise OptionError("not a number of this space")

    @staticmethod
    def arch(n: Any) -> Architecture:
        return Architecture("made-up", n)


class MutatesFar(Numbers):
    def mutate(self, arch: Architecture, rng: Any) -> Architecture:
        return self.arch((arch.genotype + 2) % 5)


class MutatesOut(Numbers):
    def mutate(self, arch: Architecture, rng: Any) -> Architecture:
        return self.arch(arch.genotype + 5)


class OneWay(Numbers):
    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        yield self.arch((arch.genotype + 1) % 5)


class Undercounts(Numbers):
    size = 4


class AcceptsAnyType(Numbers):
    def validate(self, arch: Architecture) -> None:
        if arch.genotype not in range(5):
            raise OptionError("not a number of this space")


class RaisesTypeError(Numbers):
    def validate(self, arch: Architecture) -> None:
        if arch.space != "made-up" or not 0 <= arch.genotype < 5:
            raise OptionError("not a number of this space")


class SamplesGlobally(Numbers):
    def sample(self, rng: Any) -> Architecture:
        return self.arch(random.randrange(5))


class NeverTheSame(Numbers):
    """Samples no architecture twice: a resumed search, with a new space, would get others."""

    def __init__(self, options: Any) -> None:
        self.seen: list[Architecture] = []

    def sample(self, rng: Any) -> Architecture:
        left = [n for n in range(5) if self.arch(n) not in self.seen]
        self.seen.append(self.arch(left[rng.integers(len(left))] if left else 0))
        return self.seen[-1]


class Pairs(Numbers):
    """Pairs of numbers from 0 to 3, with parameters."""

    size = 16

    def sample(self, rng: Any) -> Architecture:
        return self.arch({name: int(rng.integers(4)) for name in "ab"})

    def crossover(self, a: Architecture, b: Architecture, rng: Any) -> Architecture:
        return self.arch({name: (a, b)[rng.integers(2)].genotype[name] for name in "ab"})

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        for name, own in arch.genotype.items():
            yield from (self.arch({**arch.genotype, name: n}) for n in range(4) if n != own)

    def validate(self, arch: Architecture) -> None:
        if arch.space != "made-up" or not isinstance(arch.genotype, dict):
            raise OptionError("not a pair of this space")
        check_values(self.parameters(), arch.genotype)

    def parameters(self) -> list[Categorical]:
        return [Categorical(name, (0, 1, 2, 3)) for name in "ab"]

    def encode(self, arch: Architecture) -> dict[str, Any]:
        return dict(arch.genotype)

    def decode(self, values: Any) -> Architecture:
        return self.arch(dict(check_values(self.parameters(), values)))


class ValidatesOneValue(Pairs):
    def validate(self, arch: Architecture) -> None:
        own = arch.genotype if isinstance(arch.genotype, dict) else {}
        super().validate(Architecture(arch.space, {**own, "b": 0} if "b" in own else own))


class IgnoresMoreValues(Pairs):
    def validate(self, arch: Architecture) -> None:
        own = arch.genotype if isinstance(arch.genotype, dict) else {}
        super().validate(Architecture(arch.space, {n: own[n] for n in "ab" if n in own}))


class DecodesOneValue(Pairs):
    def decode(self, values: Any) -> Architecture:
        checked = super().decode({**values, "b": 0} if "b" in values else values)
        return self.arch({**checked.genotype, "b": values["b"]})


def space(target: Any) -> SearchSpaceSpec:
    return SearchSpaceSpec(
        name="made-up", target=target, summary="Made up", builder="made-up", evaluator="train"
    )


def test_a_correct_space_with_parameters_passes_all_checks() -> None:
    component = component_under_test(registry_with(space(Pairs)), "search-space", "made-up")
    assert [r for r in run_checks(component) if r.outcome == "failed"] == []


def test_a_correct_space_passes_all_checks() -> None:
    component = component_under_test(registry_with(space(Numbers)), "search-space", "made-up")
    results = list(run_checks(component))
    assert [r for r in results if r.outcome == "failed"] == []
    assert {r.reason for r in results if r.outcome == "skipped"} == {
        "it has none of draw, draw_svg and canonical",
        "it has no parameters, encode and decode",
        "the space has no kinds of mutation",
    }


@pytest.mark.parametrize(
    ("target", "check", "reason"),
    [
        (MutatesFar, "mutations-are-neighbors", "not a neighbor"),
        (MutatesOut, "results-are-valid", "validate refuses"),
        (OneWay, "neighbors-are-distinct-and-mutual", "not the reverse"),
        (Undercounts, "size-counts-its-architectures", "size is 4; neighbors lead to 5"),
        (AcceptsAnyType, "invalid-architectures-are-refused", "validate accepts"),
        (RaisesTypeError, "invalid-architectures-are-refused", "TypeError, not OptionError"),
        (ValidatesOneValue, "invalid-architectures-are-refused", '"b":"no such value"'),
        (IgnoresMoreValues, "invalid-architectures-are-refused", '"no-such-key":1'),
        (DecodesOneValue, "other-values-are-refused", "decode accepts"),
        (NeverTheSame, "equal-generators-give-equal-architectures", "different architectures"),
        (
            SamplesGlobally,
            "equal-generators-give-equal-architectures",
            "global generator of random",
        ),
    ],
)
def test_a_space_that_breaks_the_contract_is_caught(target: Any, check: str, reason: str) -> None:
    found = result_of(space(target), check)
    assert found.outcome == "failed" and reason in found.reason


# Builders


class Linear:
    """One linear layer on the mean over time."""

    def __init__(self, options: Any) -> None: ...

    def build(self, arch: Any, *, n_leads: int, n_samples: int, n_classes: int) -> torch.nn.Module:
        if arch.space != "conv-cells":
            raise OptionError("another space")
        return torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(), torch.nn.Linear(n_leads, n_classes)
        )


class EvenOnly(Linear):
    def build(self, arch: Any, *, n_leads: int, n_samples: int, n_classes: int) -> torch.nn.Module:
        if n_samples % 2:
            raise ValueError("odd")
        return super().build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)


class TwoLogits(Linear):
    def build(self, arch: Any, *, n_leads: int, n_samples: int, n_classes: int) -> torch.nn.Module:
        return super().build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=2)


class BatchMean(Linear):
    def build(self, arch: Any, **sizes: int) -> torch.nn.Module:
        class Centred(torch.nn.Module):
            def __init__(self, inner: torch.nn.Module) -> None:
                super().__init__()
                self.inner = inner

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self.inner(x - x.mean(dim=0, keepdim=True))

        return Centred(super().build(arch, **sizes))


class SeedsItself(Linear):
    def build(self, arch: Any, **sizes: int) -> torch.nn.Module:
        torch.manual_seed(0)
        return super().build(arch, **sizes)


class KeepsNetworks(Linear):
    """Returns the network of an earlier call, which has been trained since."""

    def __init__(self, options: Any) -> None:
        self.made: dict[str, torch.nn.Module] = {}

    def build(self, arch: Any, **sizes: int) -> torch.nn.Module:
        key = f"{arch.hash} {sizes}"
        self.made[key] = self.made.get(key) or super().build(arch, **sizes)
        return self.made[key]


class LongOnly(Linear):
    def build(self, arch: Any, *, n_leads: int, n_samples: int, n_classes: int) -> torch.nn.Module:
        if n_samples < 400:
            raise ValueError("these beats are too short")
        return super().build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)


def test_a_builder_is_checked_on_beats_from_its_min_samples_on() -> None:
    spec = BuilderSpec(name="made-up", target=LongOnly, summary="Made up", space="conv-cells")
    spec = replace(spec, min_samples=400)
    component = component_under_test(registry_with(spec), "builder", "made-up", CELLS)
    assert [result for result in run_checks(component) if result.outcome != "passed"] == []
    found = result_of(replace(spec, min_samples=399), "shortest-beats-give-logits")
    assert found.outcome == "failed" and "Raise min_samples" in found.reason


@pytest.mark.parametrize(
    ("target", "check", "reason"),
    [
        (EvenOnly, "all-lengths-and-leads-give-logits", "ValueError: odd"),
        (TwoLogits, "all-lengths-and-leads-give-logits", "logits of shape (3, 2)"),
        (BatchMean, "beats-are-classified-independently", "a beat alone has different logits"),
        (SeedsItself, "equal-seeds-give-equal-weights", "torch.manual_seed"),
        (KeepsNetworks, "equal-seeds-give-equal-weights", "equal seeds give different"),
    ],
)
def test_a_builder_that_breaks_the_contract_is_caught(target: Any, check: str, reason: str) -> None:
    spec = BuilderSpec(name="made-up", target=target, summary="Made up", space="conv-cells")
    assert result_of(replace(spec, target=Linear), check).outcome == "passed"
    found = result_of(spec, check)
    assert found.outcome == "failed" and reason in found.reason


# Evaluators


class Majority:
    """Predicts the most frequent class of what it is fitted on."""

    def __init__(self, options: Any) -> None: ...

    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        fit_on, score_on = ctx.parts()
        guess = int(np.bincount(fit_on.labels).argmax())
        share = float((score_on.labels == guess).mean())
        return Evaluation(arch, share, {}, 0.0, predictions=[guess] * len(score_on))


class Peeks(Majority):
    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        score_on = ctx.parts()[1]
        return Evaluation(arch, 1.0, {}, 0.0, predictions=score_on.labels.tolist())


class OpensTwice(Majority):
    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        ctx.parts()
        return super().evaluate(arch, task, builder, ctx)


class RandomScore(Majority):
    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        return replace(super().evaluate(arch, task, builder, ctx), score=random.random())


class Counts(Majority):
    """Remembers its evaluations, so that a resumed search gets other scores."""

    def __init__(self, options: Any) -> None:
        self.evaluations = 0

    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        self.evaluations += 1
        found = super().evaluate(arch, task, builder, ctx)
        return replace(found, score=found.score + self.evaluations)


class OnlyScores(Majority):
    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        return replace(super().evaluate(arch, task, builder, ctx), predictions=None)


class NoNumbers(Majority):
    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        return replace(super().evaluate(arch, task, builder, ctx), metrics={"x": float("nan")})


@pytest.mark.parametrize(
    ("target", "check", "reason"),
    [
        (Peeks, "learns-nothing-from-the-test-labels", "change its predictions"),
        (OpensTwice, "requests-its-parts-once", "called 2 times"),
        (RandomScore, "equal-seeds-give-equal-evaluations", "the scores are"),
        (Counts, "equal-seeds-give-equal-evaluations", "the scores are"),
        (NoNumbers, "evaluation-is-well-formed", "leave it out"),
    ],
)
def test_an_evaluator_that_breaks_the_contract_is_caught(
    target: Any, check: str, reason: str
) -> None:
    spec = EvaluatorSpec(name="made-up", target=target, summary="Made up")
    assert result_of(replace(spec, target=Majority), check).outcome == "passed"
    found = result_of(spec, check)
    assert found.outcome == "failed" and reason in found.reason


def test_the_score_must_be_the_metric_that_the_spec_states() -> None:
    spec = EvaluatorSpec(name="made-up", target=Majority, summary="Made up", score="accuracy")
    found = result_of(spec, "evaluation-is-well-formed")
    assert found.outcome == "failed" and "states that the score is the metric" in found.reason


def test_what_the_test_labels_change_is_not_known_of_an_evaluator_without_predictions() -> None:
    spec = EvaluatorSpec(name="made-up", target=OnlyScores, summary="Made up")
    found = result_of(spec, "learns-nothing-from-the-test-labels")
    assert found.outcome == "skipped" and "neither weights nor predictions" in found.reason


# Datasets


class Bumps:
    def __init__(self, options: Any) -> None: ...

    def requires(self) -> Any:
        return ()

    def load(self, source: Any, progress: Any) -> Any:
        return synthetic_beats(120)

    def partition(self, protocol: str) -> Any:
        return None


class Ward(Bumps):
    def requires(self) -> Any:
        return (Requirement("ward", ("w1",), ("hea",)),)


class Gaps(Bumps):
    def load(self, source: Any, progress: Any) -> Any:
        beats = synthetic_beats(120)
        beats.signals[3, 0, 5] = np.nan
        return beats


class Doubles(Bumps):
    def load(self, source: Any, progress: Any) -> Any:
        return replace(synthetic_beats(120), sample=np.zeros(120, np.int64))


class Nameless(Bumps):
    def load(self, source: Any, progress: Any) -> Any:
        return replace(synthetic_beats(120), subjects=("",) * 6)


class TwoPeople(Bumps):
    def load(self, source: Any, progress: Any) -> Any:
        return replace(synthetic_beats(120), subjects=("a", "b") * 3)


class RandomBeats(Bumps):
    def load(self, source: Any, progress: Any) -> Any:
        return synthetic_beats(120, seed=random.randrange(10**6))


class Overlaps(Bumps):
    def partition(self, protocol: str) -> Any:
        return {"train": ["p0", "p1"], "test": ["p1", "p2"]}


@pytest.mark.parametrize(
    ("target", "check", "reason"),
    [
        (Gaps, "beats-are-well-formed", "NaN or infinity"),
        (Doubles, "beats-are-well-formed", "120 beats are at 6 positions"),
        (Nameless, "every-record-has-a-subject", "without a subject: p0"),
        (TwoPeople, "protocols-split-the-beats", "patient-kfold: patient-kfold"),
        (RandomBeats, "equal-options-give-equal-beats", "global generator of random"),
        (Overlaps, "partitions-are-disjoint", "are in both parts"),
    ],
)
def test_a_dataset_that_breaks_the_contract_is_caught(target: Any, check: str, reason: str) -> None:
    spec = DatasetSpec(name="made-up", target=target, summary="Made up")
    assert result_of(replace(spec, target=Bumps), check).outcome in ("passed", "skipped")
    found = result_of(spec, check)
    assert found.outcome == "failed" and reason in found.reason


def test_every_protocol_that_a_dataset_names_must_exist() -> None:
    spec = DatasetSpec(
        name="made-up", target=Bumps, summary="Made up", protocols=("intra-patient", "by-ward")
    )
    found = result_of(spec, "protocols-split-the-beats")
    assert found.outcome == "failed" and "there is no protocol by-ward" in found.reason


# Options


class Open(Options, extra="ignore"):
    """Takes anything."""


class Silent(Options):
    n: int = 1


class Contradictory(Options):
    PROFILES: ClassVar = {"smoke": {}, "quick": {"n": "many"}}
    n: int = 1
    """A number."""


@pytest.mark.parametrize(
    ("options", "check", "reason"),
    [
        (Open, "unknown-options-are-refused", "keep extra='forbid'"),
        (Silent, "every-option-has-a-description", "no docstring below n"),
        (Contradictory, "every-profile-is-valid", "'n' is not allowed"),
    ],
)
def test_options_that_break_the_contract_are_caught(options: Any, check: str, reason: str) -> None:
    spec = replace(strategy(Correct), options=options)
    assert result_of(replace(spec, options=NoOptions), check).outcome == "passed"
    found = result_of(spec, check)
    assert found.outcome == "failed" and reason in found.reason


# The command


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the checks in this process, with two made-up strategies beside the installed ones."""
    specs = (strategy(Correct), replace(strategy(DetailsNotJson), name="not-json"))
    known = registry_with(*specs)

    def check_component(
        kind: Any, name: str, *, overrides: Any, package: Any, data: Any, time_limit: float
    ) -> Any:
        return run_checks(component_under_test(known, kind, name, {**CELLS, **overrides}))

    made_up_plugin.install(monkeypatch, *specs)
    monkeypatch.setattr(runner, "check_component", check_component)


def test_the_command_succeeds_if_all_checks_pass(in_this_process: None) -> None:
    result = CliRunner().invoke(app, ["plugin", "check", "made-up"])
    assert result.exit_code == 0
    assert "made-up (strategy), plugin 'made-up' of tests 0" in result.stdout
    assert f"made-up: {len(checks_of('strategy'))} passed" in result.stdout


def test_the_command_says_what_fails_and_why_and_ends_with_1(in_this_process: None) -> None:
    result = CliRunner().invoke(app, ["plugin", "check", "not-json"])
    assert result.exit_code == 1
    assert "details-are-json: the details cannot be recorded" in result.stdout
    result = CliRunner().invoke(app, ["plugin", "check", "not-json", "--json"])
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    outcomes = {one["check"]: one["outcome"] for one in data["results"]}
    assert outcomes["details-are-json"] == "failed"
    assert outcomes["leaves-the-beats-unchanged"] == "passed"


def test_a_dataset_is_checked_on_the_records_in_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NASBENCH_ECG_DATA", "NASBENCH_ECG_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "empty"))
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "w1.hea").touch()
    registry = registry_with(DatasetSpec(name="ward", target=Ward, summary="A ward"))
    (check,) = (c for c in checks_of("dataset") if c.name == "every-record-has-a-subject")
    nowhere, there, elsewhere = (
        run_check(check, component_under_test(registry, "dataset", "ward", data=data))
        for data in (None, str(tmp_path), str(tmp_path / "empty"))
    )
    assert (nowhere.outcome, there.outcome, elsewhere.outcome) == ("skipped", "passed", "failed")
    assert "ward" in elsewhere.reason


def test_the_command_hands_the_folder_of_records_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(
        runner, "check_component", lambda *names, data, **others: given.append(data) or ()
    )
    result = CliRunner().invoke(app, ["plugin", "check", "qt-1lead", "--data", str(tmp_path)])
    assert (result.exit_code, given) == (0, [tmp_path])


def test_a_plugin_is_checked_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []
    monkeypatch.setattr(
        runner, "check_component", lambda kind, name, **others: given.append((kind, name)) or ()
    )
    result = CliRunner().invoke(app, ["plugin", "check", "baselines"])
    strategies = [("strategy", name) for name in ("cnn-9", "cnn-11", "resnet-31")]
    assert result.exit_code == 0
    assert sorted(given) == sorted(
        [("search-space", "fixed"), ("builder", "fixed-network"), *strategies]
    )
    given.clear()
    CliRunner().invoke(app, ["plugin", "check", "baselines", "--kind", "builder"])
    assert given == [("builder", "fixed-network")]


def test_beats_of_other_types_of_numbers_keep_the_contract_as_a_run_converts_them() -> None:
    class Doubles(Ward):
        def requires(self) -> Any:
            return ()

        def load(self, source: Any, progress: Any) -> Any:
            beats = tiny_beats(40)
            where = np.arange(40) * 300
            return replace(beats, signals=beats.signals.astype(np.float64), sample=where)

    registry = registry_with(DatasetSpec(name="doubles", target=Doubles, summary="Doubles"))
    (check,) = (c for c in checks_of("dataset") if c.name == "beats-are-well-formed")
    found = run_check(check, component_under_test(registry, "dataset", "doubles"))
    assert found.outcome == "passed", found.reason


def test_an_unknown_name_is_answered_with_the_nearest(in_this_process: None) -> None:
    result = CliRunner().invoke(app, ["plugin", "check", "made-upp"])
    assert result.exit_code == 2 and "'made-up'" in result.stderr


def test_options_of_an_unknown_role_are_refused() -> None:
    with pytest.raises(OptionError, match="no component 'strateg'"):
        component_under_test(
            registry_with(strategy(Correct)), "strategy", "made-up", {"strateg": {}}
        )


def test_without_pytest_the_contract_classes_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    import nasbench_ecg.testing as testing

    monkeypatch.delitem(sys.modules, "nasbench_ecg.testing.contracts", raising=False)
    monkeypatch.delattr(testing, "contracts", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(PluginError, match="need hypothesis") as caught:
        _ = testing.StrategyContract
    assert "nasbench-ecg[testing]" in caught.value.fix


def test_a_contract_class_that_exempts_an_unknown_check_is_refused() -> None:
    with pytest.raises(OptionError) as error:

        class Misspelled(EvaluatorContract):
            name = "train"
            exempt: ClassVar[dict[str, str]] = {
                "equal-seed-gives-equal-evaluations": "it measures time"
            }

    assert "'equal-seed-gives-equal-evaluations'" in error.value.what
    assert error.value.where.endswith("Misspelled")
    assert "Did you mean 'equal-seeds-give-equal-evaluations'" in error.value.fix


def test_a_check_imports_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pluggy.py").write_text("raise SystemExit('not the pluggy that is installed')")
    monkeypatch.chdir(tmp_path)
    with closing(runner.check_component("search-space", "fixed")) as results:
        first = next(results)
    assert first.outcome == "passed", first.reason
