"""The strategy immune: it searches architectures within a budget and can be resumed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from nasbench_ecg.contracts import Budget, Evaluation, Fidelity
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.options import PROFILE_NAMES, resolve
from nasbench_ecg.progress import Silent
from nasbench_ecg_blackbox.options import RandomSearchOptions
from nasbench_ecg_cells.options import ConvCellsOptions
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_immune.options import ImmuneOptions
from nasbench_ecg_immune.strategy import ArchitectureProblem, Immune

SPACE = ConvCells(ConvCellsOptions())


def share_of_skips(arch):
    """Return the score of a test: the share of edges with the operation skip."""
    edges = [op for cell in arch.genotype.values() for node in cell for op, _ in node]
    return edges.count("skip") / len(edges)


class MemoryCheckpoint:
    """A checkpoint in memory, saved as JSON after every generation."""

    def __init__(self, text=None):
        self.text = text
        self.all = []

    def due(self):
        return True

    def save(self, state):
        self.text = json.dumps(state, allow_nan=False)
        self.all.append(self.text)

    def load(self):
        return None if self.text is None else json.loads(self.text)


@dataclass
class Context:
    """A search context that scores architectures by their skips and enforces the budget."""

    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    checkpoint: MemoryCheckpoint = field(default_factory=MemoryCheckpoint)
    device: str = "cpu"
    progress: Silent = field(default_factory=Silent)
    seconds: float = 0.0

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)
        self.evaluated, self.batches, self.rows, self.fidelities = [], [], [], []

    def evaluate_many(self, architectures, fidelity=None):
        self.batches.append(len(architectures))
        self.fidelities.append(fidelity)
        for arch in architectures:
            SPACE.validate(arch)
            self.evaluated.append(arch)
            if self.budget.evaluations is not None and (
                len(self.evaluated) > self.budget.evaluations
            ):
                raise ProtocolError("The budget is spent.")
        return [Evaluation(a, share_of_skips(a), {}, 0.0) for a in architectures]

    def log(self, value, **figures):
        self.rows.append({"value": value, **figures})


def run(ctx=None, **options):
    ctx = ctx or Context()
    result = Immune(ImmuneOptions(**options)).search(None, SPACE, None, ctx)
    return result, ctx


def test_the_best_architecture_evaluated_is_returned():
    result, ctx = run()
    scores = [share_of_skips(arch) for arch in ctx.evaluated]
    assert share_of_skips(result.architecture) == max(scores)
    assert result.details["memory"][0] == {
        "architecture": result.architecture.hash,
        "score": max(scores),
    }


def test_it_finds_better_architectures_than_as_many_random_ones():
    found, drawn = [], []
    for seed in range(5):
        result, ctx = run(Context(seed))
        rng = np.random.default_rng(1000 + seed)
        found.append(share_of_skips(result.architecture))
        drawn.append(max(share_of_skips(SPACE.sample(rng)) for _ in ctx.evaluated))
    assert np.mean(found) > np.mean(drawn) + 0.05


@pytest.mark.parametrize("evaluations", [1, 3, 21, 50])
def test_the_budget_of_evaluations_is_spent_and_not_exceeded(evaluations):
    _, ctx = run(Context(budget=Budget(evaluations=evaluations)))
    assert len(ctx.evaluated) == evaluations
    assert len({arch.hash for arch in ctx.evaluated}) == evaluations


def test_without_a_single_evaluation_an_architecture_is_drawn():
    result, ctx = run(Context(budget=Budget(evaluations=0)))
    SPACE.validate(result.architecture)
    assert not ctx.evaluated


def test_no_batch_begins_after_the_budget_of_seconds():
    _, ctx = run(Context(budget=Budget(seconds=0.0)), batch=2)
    assert ctx.batches == [2]


def test_candidates_are_evaluated_in_batches_at_the_fidelity_of_the_options():
    _, ctx = run(epochs=2, beats=700, batch=5)
    assert max(ctx.batches) == 5 and len(ctx.batches) < len(ctx.evaluated)
    assert set(ctx.fidelities) == {Fidelity(epochs=2, beats=700)}


def test_every_generation_is_logged():
    result, ctx = run()
    assert [row["generation"] for row in ctx.rows] == list(
        range(1, result.details["generations"] + 1)
    )
    values = [row["value"] for row in ctx.rows]
    assert values == sorted(values) and values[-1] == share_of_skips(result.architecture)


def test_the_same_seed_evaluates_the_same_architectures():
    (_, first), (_, second), (_, other) = run(Context(4)), run(Context(4)), run(Context(5))
    assert first.evaluated == second.evaluated != other.evaluated


def test_a_stopped_search_continues_to_the_same_result():
    whole, ctx = run(Context(2))
    middle = ctx.checkpoint.all[len(ctx.checkpoint.all) // 2]
    resumed, again = run(Context(77, checkpoint=MemoryCheckpoint(middle)))
    assert resumed.architecture == whole.architecture
    assert 0 < len(again.evaluated) < len(ctx.evaluated)
    assert again.evaluated == ctx.evaluated[-len(again.evaluated) :]


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_it_evaluates_as_many_architectures_as_random_search(profile):
    immune = resolve(ImmuneOptions, component="immune", profile=profile)
    random = resolve(RandomSearchOptions, component="random", profile=profile)
    assert immune.epochs == random.epochs and immune.beats == random.beats
    if profile != "smoke":  # where random search draws too few for a generation
        assert immune.evaluations == random.samples


def test_distance_is_the_share_of_values_that_differ():
    rng = np.random.default_rng(0)
    problem = ArchitectureProblem(SPACE, lambda batch: [], 4)
    a = SPACE.sample(rng)
    near = next(iter(SPACE.neighbours(a)))
    d = problem.distances([a, near, a])
    # Sixteen edges with an operation and a source each; one of the 32 differs.
    assert d[0].tolist() == [0, 1 / 32, 0]


def test_a_larger_rate_makes_more_mutations():
    rng = np.random.default_rng(0)
    problem = ArchitectureProblem(SPACE, lambda batch: [], 6)
    a = SPACE.sample(rng)

    def mean_distance(rate):
        changed = [problem.hypermutate(a, rate, rng) for _ in range(20)]
        return problem.distances([a, *changed])[0, 1:].mean()

    assert mean_distance(0.0) < mean_distance(0.5) < mean_distance(1.0)
    assert mean_distance(0.0) > 0
