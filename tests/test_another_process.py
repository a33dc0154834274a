"""The contract checks find what gives another result in another process, or from saved weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_plugin_check import Correct, Linear, Majority, Numbers, result_of, space, strategy

from nasbench_ecg.api import Architecture, Evaluation, SearchResult
from nasbench_ecg.plugin.specs import BuilderSpec, ComponentSpec, EvaluatorSpec
from nasbench_ecg.testing import another_process

_SCORES: dict[str, float] = {}


class GoesThroughASet(Correct):
    def search(self, task: Any, space: Any, builder: Any, ctx: Any) -> SearchResult:
        drawn = {arch.hash: arch for arch in (space.sample(ctx.rng) for _ in range(12))}
        return SearchResult(drawn[next(iter(set(drawn)))], {"order": list(set(drawn))})


class SamplesASet(Numbers):
    """Goes through a set so large that two processes never have it in the same order."""

    def sample(self, rng: Any) -> Architecture:
        names = list({f"name {n}" for n in range(1000)})
        return self.arch(int(names[rng.integers(1000)].split()[1]) % 5)


class RemembersScores(Majority):
    """Remembers scores in its module, also for runs of another seed."""

    def evaluate(self, arch: Any, task: Any, builder: Any, ctx: Any) -> Evaluation:
        score = _SCORES.setdefault(arch.hash, float(torch.rand(())))
        return Evaluation(arch, score, {}, 0.0)


class Changing(torch.nn.Module):
    """A network that changes in training, apart from its weights."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.steps = inner, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += self.training
        return self.inner(x) * (1 + self.steps / 50)


class Drawing(Changing):
    """A network that draws from a generator of its own."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__(inner)
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x + torch.rand(x.shape, generator=self.generator) * self.training)


class CountsSteps(Linear):
    module: type[Changing] = Changing

    def build(self, arch: Any, **sizes: int) -> torch.nn.Module:
        return self.module(super().build(arch, **sizes))


class DrawsItself(CountsSteps):
    module = Drawing


class InOrder(Linear):
    """Goes through the cells of an architecture in the order of the mapping."""

    def build(self, arch: Any, **sizes: int) -> torch.nn.Module:
        first = next(iter(arch.genotype), "")
        network = super().build(arch, **sizes)
        return torch.nn.Sequential(*network, torch.nn.Identity()) if first == "b" else network


def builder(target: Any) -> BuilderSpec:
    return BuilderSpec(name="made-up", target=target, summary="Made up", space="conv-cells")


@pytest.mark.parametrize(
    ("spec", "check", "reason"),
    [
        (strategy(GoesThroughASet), "equal-seeds-give-equal-results", "in another process"),
        (space(SamplesASet), "equal-generators-give-equal-architectures", "in another process"),
        (
            EvaluatorSpec(name="made-up", target=RemembersScores, summary="Made up"),
            "equal-seeds-give-equal-evaluations",
            "in another process",
        ),
        (builder(CountsSteps), "weights-can-be-restored", "different logits in evaluation"),
        (builder(DrawsItself), "weights-can-be-restored", "different logits in training"),
    ],
    ids=lambda value: getattr(getattr(value, "target", None), "__name__", "-"),
)
def test_a_result_that_a_resumed_run_would_not_repeat_is_caught(
    spec: ComponentSpec, check: str, reason: str
) -> None:
    if spec.kind == "evaluator":  # a search of another seed in this process
        result_of(spec, "evaluation-is-well-formed")
    found = result_of(spec, check)
    assert found.outcome == "failed" and reason in found.reason


def test_a_network_that_follows_the_order_of_a_mapping_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files have the mapping in the order of names."""
    arch = Architecture("conv-cells", {"b": 1, "a": 2})
    monkeypatch.setattr("nasbench_ecg.testing.checks.builders._architecture", lambda *_: arch)
    check = "an-architecture-from-json-gives-the-same-network"
    assert result_of(builder(Linear), check).outcome == "passed"
    found = result_of(builder(InOrder), check)
    assert found.outcome == "failed" and "the order of a mapping" in found.reason


def test_modules_that_are_found_later_are_found_in_the_other_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    another_process._process(*another_process._settings())
    (tmp_path / "found_later.py").write_text("VALUE = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    process = another_process._process(*another_process._settings())
    assert process.submit(eval, "__import__('found_later').VALUE").result() == 3
