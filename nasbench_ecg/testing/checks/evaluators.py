"""What every evaluator must do."""

from __future__ import annotations

import math
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
from nasbench_ecg.metrics import confusion_matrix
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import FinalTestContext, ValidationContext
from nasbench_ecg.run.resume import ResumeFolder, StageState
from nasbench_ecg.testing.fixtures import (
    Subject,
    fingerprint,
    must_leave_generators_alone,
    shaken,
    small_task,
    small_test,
)
from nasbench_ecg.testing.harness import Broken, Check, NotApplicable, claims, expect
from nasbench_ecg.testing.searching import Moment, Saves, Stopped, search
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.seeding import seeded


@claims()
def its_evaluation_is_well_formed(subject: Subject, seed: int) -> None:
    """Scores are finite; confusion, predictions and weights fit the beats and the network."""
    scene = _scene(subject)
    test, found = small_test(), scene.examine()
    expect(isinstance(found, Evaluation), f"evaluate returns a {type(found).__name__}")
    expect(found.architecture == scene.arch, "it evaluates another architecture")
    expect(math.isfinite(found.score), f"the score is {found.score}")
    for name, value in found.metrics.items():
        expect(math.isfinite(value), f"the metric {name} is {value}: leave it out instead")
    expect(found.seconds >= 0, f"it took {found.seconds} seconds")
    for name, values in found.curves.items():
        expect(all(math.isfinite(v) for v in values), f"the curve {name} holds no numbers")
    _predictions_must_fit(found, test)
    if found.state is not None:
        on_gpu = [name for name, value in found.state.items() if value.device.type != "cpu"]
        expect(not on_gpu, f"weights are not on the CPU: {on_gpu[:3]}")
        scene.build().load_state_dict(dict(found.state))


@claims()
def equal_seeds_give_equal_evaluations(subject: Subject, seed: int) -> None:
    """Evaluated again with the same seed, an architecture gets the same scores and weights."""
    scene = _scene(subject)
    ends = []
    for shake in (1, 2):
        with shaken(shake):
            ends.append(scene.examine())
    _must_be_equal(*ends)


@claims()
def it_leaves_global_generators_alone(subject: Subject, seed: int) -> None:
    """The evaluation seeds no generator of torch and leaves Python's and numpy's as they were."""
    scene = _scene(subject)
    must_leave_generators_alone(f"the evaluator {subject.spec.name!r}", scene.examine)


@claims()
def it_opens_its_parts_once(subject: Subject, seed: int) -> None:
    """The evaluation asks for its parts once at most, so that the test part is opened once."""
    scene = _scene(subject)
    opened = _Opened(small_task(), small_test(), "cpu", Silent())
    scene.examine(opened)
    expect(opened.count <= 1, f"ctx.parts() is called {opened.count} times")


@claims()
def it_learns_nothing_from_the_test_part(subject: Subject, seed: int) -> None:
    """Other labels of the test part change neither the weights nor a prediction."""
    scene, test = _scene(subject), small_test()
    other = replace(test, labels=(test.labels + 1) % test.n_classes)
    one = scene.examine()
    two = scene.examine(FinalTestContext(small_task(), other, "cpu", Silent()))
    _states_must_be_equal(one.state, two.state)
    expect(
        _listed(one.predictions) == _listed(two.predictions),
        "the labels of the test part change its predictions",
    )


@claims()
def it_scores_candidates_of_a_search(subject: Subject, seed: int) -> None:
    """During a search it scores on the validation part, as briefly as the fidelity says."""
    scene, task = _scene(subject), small_task()
    trial = ValidationContext(task, "cpu", Silent(), Fidelity(epochs=1, beats=100))
    found = scene.examine(trial)
    expect(math.isfinite(found.score), f"the score is {found.score}")
    _predictions_must_fit(found, task.validation)
    longest = max((len(values) for values in found.curves.values()), default=0)
    expect(longest <= 1, f"a curve has {longest} points where the fidelity is one epoch")


@claims()
def it_leaves_beats_and_architecture_alone(subject: Subject, seed: int) -> None:
    """The evaluation changes no beat and not the architecture."""
    scene = _scene(subject)
    before = *fingerprint(small_task()), small_test().fingerprint(), scene.arch.to_json()
    scene.examine()
    after = *fingerprint(small_task()), small_test().fingerprint(), scene.arch.to_json()
    expect(before == after, "beats or architecture are changed")


@claims()
def it_goes_on_after_a_stop_as_if_there_had_been_none(subject: Subject, seed: int) -> None:
    """Stopped at a checkpoint and begun again, it ends with the same scores and weights."""
    scene = _scene(subject)
    expected = scene.examine()
    with TemporaryDirectory() as folder:
        saves = _saves(Path(folder), None)
        _must_be_equal(expected, scene.examine(_examination(saves)))
    if not saves.count:
        raise NotApplicable("it saves nothing: it is simply run again")
    for number in sorted({1, (saves.count + 1) // 2, saves.count}):
        with TemporaryDirectory() as folder:
            _stop(scene, Path(folder), number)
            _must_be_equal(expected, scene.examine(_examination(_saves(Path(folder), None))))


@dataclass(frozen=True)
class _Scene:
    """An architecture and what it is evaluated with."""

    subject: Subject
    arch: Architecture
    builder: Builder

    def examine(self, ctx: Any = None) -> Evaluation:
        """Return its evaluation by a new evaluator; on the test part, unless ``ctx`` says else."""
        task = small_task()
        evaluator: Evaluator = self.subject.evaluator()
        with seeded(3):
            return evaluator.evaluate(
                self.arch, task, self.builder, ctx or _examination(NoCheckpoint())
            )

    def build(self) -> torch.nn.Module:
        """Return its network."""
        task = small_task()
        return self.builder.build(
            self.arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
        )


@dataclass
class _Opened(FinalTestContext):
    """An examination that counts how often its parts are asked for."""

    count: int = 0

    def parts(self) -> tuple[Beats, Beats]:
        self.count += 1
        self.opened = False
        return super().parts()


def _scene(subject: Subject) -> _Scene:
    """Return the first architecture of the space, or what the evaluator's strategy finds."""
    if "scene" not in subject.found:
        strategy = subject.of_companion()
        if strategy is None:
            arch = subject.space().sample(np.random.default_rng(0))
        else:
            arch = search(strategy).result.architecture
        subject.found["scene"] = _Scene(subject, arch, subject.builder())
    scene: _Scene = subject.found["scene"]
    return scene


def _examination(checkpoint: Checkpoint) -> FinalTestContext:
    return FinalTestContext(small_task(), small_test(), "cpu", Silent(), checkpoint=checkpoint)


def _saves(folder: Path, moment: Moment | None) -> Saves:
    clock = StageState()
    kept = ResumeFolder(folder, 0.0).checkpoint("evaluation", clock.state, clock.restore)
    return Saves(kept, moment)


def _stop(scene: _Scene, folder: Path, number: int) -> None:
    try:
        scene.examine(_examination(_saves(folder, Moment("save", number))))
    except Stopped:
        return
    raise Broken("Ctrl-C does not end the evaluation")


def _predictions_must_fit(found: Evaluation, beats: Beats) -> None:
    n, k = len(beats), beats.n_classes
    if found.confusion is not None:
        table = np.asarray(found.confusion)
        expect(table.shape == (k, k), f"the confusion has shape {table.shape}, not {(k, k)}")
        rows = table.sum(axis=1).tolist()
        true = list(beats.counts().values())
        expect(rows == true, f"the rows of the confusion sum to {rows}; there are {true} beats")
    if found.predictions is not None:
        predicted = np.asarray(found.predictions)
        expect(predicted.shape == (n,), f"{predicted.shape} predictions for {n} beats")
        expect(bool(((predicted >= 0) & (predicted < k)).all()), "a prediction is no class")
        if found.confusion is not None:
            counted = confusion_matrix(beats.labels, predicted, k)
            expect(np.array_equal(counted, found.confusion), "confusion and predictions disagree")


def _must_be_equal(one: Evaluation, other: Evaluation) -> None:
    expect(one.score == other.score, f"the scores are {one.score} and {other.score}")
    for name in {*one.metrics, *other.metrics}:
        values = one.metrics.get(name), other.metrics.get(name)
        expect(values[0] == values[1], f"the metric {name} is {values[0]} and {values[1]}")
    expect(_listed(one.predictions) == _listed(other.predictions), "the predictions differ")
    _states_must_be_equal(one.state, other.state)


def _states_must_be_equal(
    one: Mapping[str, torch.Tensor] | None, other: Mapping[str, torch.Tensor] | None
) -> None:
    one, other = one or {}, other or {}
    expect(one.keys() == other.keys(), "the networks have different parameters")
    differing = [name for name in one if not torch.equal(one[name], other[name])]
    expect(not differing, f"the weights differ: {', '.join(differing[:3])}")


def _listed(predictions: Any) -> list[int] | None:
    return None if predictions is None else [int(label) for label in predictions]


CHECKS: tuple[Check, ...] = (
    its_evaluation_is_well_formed,
    equal_seeds_give_equal_evaluations,
    it_leaves_global_generators_alone,
    it_opens_its_parts_once,
    it_learns_nothing_from_the_test_part,
    it_scores_candidates_of_a_search,
    it_leaves_beats_and_architecture_alone,
    it_goes_on_after_a_stop_as_if_there_had_been_none,
)
