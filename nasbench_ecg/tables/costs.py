"""Proxies of all members of a table: scores of their untrained networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Evaluator, Task
from nasbench_ecg.progress import Silent
from nasbench_ecg.run.contexts import ValidationContext
from nasbench_ecg.tables.table import PROXY
from nasbench_ecg.training.seeding import seeded


def proxy_array(name: str) -> str:
    """Return the name of the array of an evaluator's scores."""
    return PROXY + name.replace("-", "_")


def score_untrained(
    members: Sequence[Architecture], evaluator: Evaluator, task: Task, builder: Builder, seed: int
) -> Iterator[float]:
    """Yield the score of each untrained member by an evaluator such as ``synflow``.

    Args:
        members: The members.
        evaluator: Scores untrained networks.
        task: Training and validation set.
        builder: Makes the networks.
        seed: Seed of the initial weights and of the batch, the same for each member.
    """
    ctx = ValidationContext(task, "cpu", Silent())
    for arch in members:
        with seeded(seed):
            yield float(evaluator.evaluate(arch, task, builder, ctx).score)
