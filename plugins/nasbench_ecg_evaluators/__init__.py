"""Ways to score an architecture."""

from collections.abc import Iterable

from nasbench_ecg.api import EvaluatorSpec, hookimpl


@hookimpl
def nasbench_ecg_evaluators() -> Iterable[EvaluatorSpec]:
    """Yield ``train``."""
    yield EvaluatorSpec(
        name="train",
        target="nasbench_ecg_evaluators.train:Train",
        options="nasbench_ecg_evaluators.options:TrainOptions",
        summary="Trains the network from scratch and scores its last epoch",
    )
