"""What the harness hands to evaluators, during a search and after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Checkpoint, Evaluation, Evaluator, Fidelity, Task
from nasbench_ecg.data.beats import Beats, join
from nasbench_ecg.errors import ProtocolError
from nasbench_ecg.progress import Progress
from nasbench_ecg.training.checkpoint import NoCheckpoint
from nasbench_ecg.training.seeding import seeded


@dataclass
class Trial:
    """Context of an evaluation during a search: train and validation part."""

    task: Task
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)

    def parts(self) -> tuple[Beats, Beats]:
        """Return the train and the validation part."""
        return self.task.train, self.task.validation


@dataclass
class Examination:
    """Context of the evaluation after the search: the test part, opened once."""

    task: Task
    test: Beats
    device: str
    progress: Progress
    fidelity: Fidelity | None = None
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    opened: bool = False

    def parts(self) -> tuple[Beats, Beats]:
        """Return train with validation, and the test part.

        Raises:
            ProtocolError: It was opened before.
        """
        if self.opened:
            raise ProtocolError(
                "The test part was to be opened a second time.",
                fix="An evaluator may call ctx.parts() once.",
            )
        self.opened = True
        return join([self.task.train, self.task.validation]), self.test


def evaluate_candidate(
    arch: Architecture,
    fidelity: Fidelity | None,
    *,
    task: Task,
    builder: Builder,
    evaluator: Evaluator,
    device: str,
    seed: int,
    progress: Progress,
) -> Evaluation:
    """Return the evaluation of one candidate of a search, without the weights of its network.

    It depends on nothing else, so candidates may be evaluated in any order and anywhere.
    """
    trial = Trial(task, device, progress, fidelity)
    with seeded(seed):
        evaluation = evaluator.evaluate(arch, task, builder, trial)
    return replace(evaluation, state=None)
