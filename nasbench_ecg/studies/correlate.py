"""Scores of one random sample of architectures by several evaluators, to correlate them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture, digest, distinct_architectures
from nasbench_ecg.contracts import Evaluation, SearchSpace
from nasbench_ecg.data.code import execution_digest, package_digest
from nasbench_ecg.errors import OptionError
from nasbench_ecg.io import storage_errors, to_json, write_atomically
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.key import KEY_LENGTH
from nasbench_ecg.run.prepare import PreparedRun
from nasbench_ecg.run.resume import EvaluationLog
from nasbench_ecg.studies.correlation_files import INPUTS, RESULT


@dataclass(frozen=True)
class SampleScores:
    """The evaluations of the sample by one evaluator with one seed.

    Attributes:
        evaluator: Name of the evaluator.
        evaluations: One for each architecture, in the order of the sample.
        seed: Seed of the evaluations.
        code: Digests of the code that made them, as :func:`evaluate_sample` notes it.
    """

    evaluator: str
    evaluations: tuple[Evaluation, ...]
    seed: int = 0
    code: tuple[str, ...] = ()

    @property
    def scores(self) -> list[float]:
        """The scores, larger is better."""
        return [evaluation.score for evaluation in self.evaluations]


def sample_architectures(space: SearchSpace, n: int, seed: int) -> list[Architecture]:
    """Return ``n`` different random architectures; a larger ``n`` adds to the same ones.

    Raises:
        OptionError: The space has fewer.
    """
    drawn = list(distinct_architectures(space, np.random.default_rng(seed), n))
    if len(drawn) < n:
        raise OptionError(
            f"The search space {space.name!r} has only {len(drawn)} different architectures.",
            fix=f"Use --samples {len(drawn)} or fewer.",
        )
    return drawn


def sample_key(config: RunConfig) -> str:
    """Return a key of the sample and its beats, which does not depend on the evaluator.

    It does not depend on the seed of the evaluations either; the sample's stands twice, as it did
    when the two could not differ.
    """
    components = {
        role: [chosen.name, chosen.component.spec.revision, chosen.options.model_dump(mode="json")]
        for role, chosen in config.components().items()
        if role in ("space", "builder", "dataset")
    }
    protocol = [
        config.protocol, config.protocol_options.model_dump(mode="json", exclude_none=True)
    ]  # fmt: skip
    seeds = [config.search_seed, config.search_seed]
    return digest([components, protocol, seeds, config.device])[:KEY_LENGTH]


def evaluate_sample(
    prepared: PreparedRun,
    configs: Sequence[RunConfig],
    architectures: Sequence[Architecture],
    folder: Path,
) -> list[SampleScores]:
    """Score each architecture with each evaluator and seed on the validation part.

    The test part is not used. Each evaluation is stored at once and never repeated: not after an
    interruption, nor for a larger sample or further evaluators. Those of other beats are discarded,
    so that one process at a time may use a folder. Another revision of an evaluator has evaluations
    of its own; those of other code of one revision are kept, and it is noted.

    Args:
        prepared: Beats, space and builder.
        configs: One configuration for each evaluator and seed of evaluations, equal in everything
            else.
        architectures: The sample.
        folder: Folder of the stored evaluations.

    Raises:
        StorageError: An evaluation cannot be stored.
    """
    _discard_if_changed(prepared, folder)
    results = []
    for config in configs:
        name, seed = config.evaluator.name, config.evaluation_seed
        own = prepared.with_config(config)
        ctx = own.search_context()
        ctx.evaluation_log = EvaluationLog(folder / log_name(config))
        n_new = sum(ctx.evaluation_log.find(arch, None) is None for arch in architectures)
        code = _note_code(own, folder, n_new, len(architectures) - n_new)
        evaluations: list[Evaluation] = []
        label = name if seed == config.search_seed else f"{name} seed {seed}"
        with prepared.progress.track(label, len(architectures)) as bar:
            for arch in architectures:
                evaluations += ctx.evaluate_many([arch])
                bar.advance(score=evaluations[-1].score)
        results.append(SampleScores(name, tuple(evaluations), seed, tuple(code)))
    return results


def log_name(config: RunConfig) -> str:
    """Return the name of the file of the evaluations by one revision of an evaluator."""
    revision = config.evaluator.component.spec.revision
    options = digest([revision, config.evaluator.options.model_dump(mode="json")])[:8]
    own = config.evaluation_seed == config.search_seed
    return (
        f"{config.evaluator.name}-{options}{'' if own else f'-seed-{config.evaluation_seed}'}.jsonl"
    )


def _note_code(prepared: PreparedRun, folder: Path, n_new: int, n_stored: int) -> list[str]:
    """Return digests of the code that makes and made the evaluations of one file, oldest first.

    They are stored beside it. Stored evaluations that state none count as made by other code.
    """
    config, inputs = prepared.config, _read(folder / INPUTS)
    stated = inputs.get("code")
    by_file = dict(stated) if isinstance(stated, dict) else {}
    before = list(by_file.get(log_name(config)) or (["unknown"] if n_stored else []))
    parts = [package_digest(one) for one in (prepared.builder, prepared.evaluator)]
    now = digest([execution_digest(), *parts])[:KEY_LENGTH]
    if not n_new or now in before:
        return before
    if before:
        prepared.progress.note(
            f"{n_stored} stored evaluations by {config.evaluator.name!r} were made by other or "
            f"unknown code of its revision {config.evaluator.component.spec.revision}. They are "
            f"kept: remove {folder / log_name(config)} to make them again."
        )
    by_file[log_name(config)] = [*before, now]
    with storage_errors(folder):
        write_atomically(folder / INPUTS, to_json({**inputs, "code": by_file}))
    return [*before, now]


def _discard_if_changed(prepared: PreparedRun, folder: Path) -> None:
    """Delete the stored evaluations if they were made with other beats or another split.

    Those that do not state theirs, because a file is damaged, count as made with other ones.
    """
    dataset, split = prepared.record.dataset, prepared.record.split
    assert dataset is not None and split is not None
    now = {"beats": dataset.fingerprint, "split": split.fingerprint}
    before = _read(folder / INPUTS) or _read(folder / RESULT)
    stored = any(folder.glob("*.jsonl"))
    changed = [name for name, value in now.items() if stored and before.get(name) != value]
    if changed:
        prepared.progress.note(
            f"The stored evaluations were made with different {' and '.join(changed)}. They are "
            "discarded."
        )
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.jsonl") if changed else ():
            path.unlink(missing_ok=True)
        code = {} if changed or "code" not in before else {"code": before["code"]}
        write_atomically(folder / INPUTS, to_json({**now, **code}))


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is none that can be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
