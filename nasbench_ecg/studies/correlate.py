"""Several evaluators on one random sample of architectures, each evaluation done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_ecg.architecture import Architecture, digest, distinct_architectures
from nasbench_ecg.contracts import Evaluation, SearchSpace
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.plugin.specs import BuilderSpec
from nasbench_ecg.run.config import KEY_LENGTH, RunConfig, RunRequest
from nasbench_ecg.run.resume import EvaluationLog
from nasbench_ecg.run.runner import PreparedRun, under


@dataclass(frozen=True)
class Evaluated:
    """What one evaluator says of the sample.

    Attributes:
        evaluator: Name of the evaluator.
        evaluations: One for each architecture, in the order of the sample.
    """

    evaluator: str
    evaluations: tuple[Evaluation, ...]

    @property
    def scores(self) -> list[float]:
        """The scores, larger is better."""
        return [evaluation.score for evaluation in self.evaluations]


def default_builder(registry: Registry, request: RunRequest) -> str | None:
    """Return the builder for a request that names a space and no builder, the first by name."""
    if request.space is None or request.builder is not None:
        return request.builder
    fitting = (
        component.name
        for component in registry.components("builder")
        if isinstance(component.spec, BuilderSpec) and component.spec.space == request.space
    )
    return next(fitting, None)


def draw(space: SearchSpace, n: int, seed: int) -> list[Architecture]:
    """Return ``n`` different architectures; the first ones of a larger ``n`` are the same.

    Raises:
        OptionError: The space holds fewer.
    """
    drawn = list(distinct_architectures(space, np.random.default_rng(seed), n))
    if len(drawn) < n:
        raise OptionError(
            f"The space {space.name!r} gave only {len(drawn)} different architectures.",
            fix=f"Say --samples {len(drawn)} or fewer.",
        )
    return drawn


def sample_key(config: RunConfig) -> str:
    """Return what tells this sample on these beats from others, whatever evaluates it."""
    described = {
        role: [chosen.name, chosen.component.spec.revision, chosen.options.model_dump(mode="json")]
        for role, chosen in config.chosen().items()
        if role in ("space", "builder", "dataset")
    }
    protocol = [config.protocol, config.protocol_options.model_dump(mode="json")]
    seeds = [config.search_seed, config.evaluation_seed]
    return digest([described, protocol, seeds, config.device])[:KEY_LENGTH]


def evaluate_sample(
    ready: PreparedRun,
    configs: Sequence[RunConfig],
    architectures: Sequence[Architecture],
    folder: Path,
) -> list[Evaluated]:
    """Score each architecture with each evaluator: trained on train, scored on validation.

    The test part is not touched. Every evaluation is stored as soon as it is done, and is not done
    again: neither after a stop, nor for a larger sample or further evaluators.

    Args:
        ready: Beats, space and builder.
        configs: One configuration for each evaluator, alike in all else.
        architectures: The sample.
        folder: Where evaluations are stored.

    Raises:
        StorageError: They cannot be stored.
    """
    results = []
    for config in configs:
        name = config.evaluator.name
        revision = config.evaluator.component.spec.revision
        options = digest([revision, config.evaluator.options.model_dump(mode="json")])[:8]
        ctx = under(ready, config).search_context()
        ctx.evaluation_log = EvaluationLog(folder / f"{name}-{options}.jsonl")
        done = []
        with ready.progress.track(name, len(architectures)) as bar:
            for arch in architectures:
                done += ctx.evaluate_many([arch])
                bar.advance(score=done[-1].score)
        results.append(Evaluated(name, tuple(done)))
    return results
