"""Prepare a run: load and split its beats, and create its components.

The test part is loaded again when it is needed, so that no search has it in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np

from nasbench_ecg.contracts import Builder, Evaluator, SearchSpace, Strategy, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.code import package_digest
from nasbench_ecg.data.fitting import fitted
from nasbench_ecg.data.folds import Index
from nasbench_ecg.data.protocols import Split, check_one_split, split
from nasbench_ecg.data.record_options import RecordsOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import NasbenchError, RecordError
from nasbench_ecg.executors import CallsFunctions
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.calls import ComponentCalls, describe
from nasbench_ecg.run.config import ResolvedComponent, RunConfig
from nasbench_ecg.run.contexts import CandidateWorkers, RunSearchContext
from nasbench_ecg.run.cross_validation import n_folds
from nasbench_ecg.run.loading import beats_of
from nasbench_ecg.run.parallel import RemoteWorkers, Workers
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.recording import new_record, with_data
from nasbench_ecg.run.request import ROLES
from nasbench_ecg.run.warm import CandidateCheckpoints
from nasbench_ecg.training.memory import freeze_garbage_collection, keep_freed_memory

_ROLES = tuple(role for role in ROLES if role != "dataset")


def prepare_run(
    config: RunConfig,
    *,
    source: LocalSource,
    progress: Progress,
    suite: str,
    parallel: int = 1,
    fresh: bool = False,
    executor: CallsFunctions | None = None,
) -> PreparedRun:
    """Load and split the beats and create the components: records → beats → split → task.

    Args:
        config: The run.
        source: Folders of records and of cached beats.
        progress: Where progress is shown.
        suite: Name of the suite that the record belongs to.
        parallel: Number of candidates that a search evaluates at the same time.
        fresh: Load the beats from the records, not from the cache.
        executor: Evaluates the candidates of a search in its workers.

    Raises:
        NasbenchError: Records are missing or damaged, or a component cannot be created.
    """
    started = monotonic()
    check_one_split(config.protocol, config.protocol_options)
    keep_freed_memory()
    freeze_garbage_collection()
    calls = ComponentCalls(progress)
    with calls.of(describe(config.dataset.component), attribute=False):
        dataset = config.dataset.create()
        component, options = config.dataset.component, config.dataset.options
        loaded = beats_of(component, options, dataset, source, progress, fresh=fresh)
        beats = loaded.beats
        parts = split(config.protocol, config.protocol_options, beats, dataset)
        beats = fitted(beats, dataset, parts.train)
    if loaded.from_cache:
        progress.note(f"The beats of {config.dataset.name} come from the cache.")
    task = _task(beats, parts)
    if (folds := n_folds(task)) > 1:
        progress.note(f"Candidates are scored by cross-validation: {folds} trainings each.")
    excluded = _load_excluded(config.dataset, source)
    record = with_data(new_record(config, suite), loaded, parts, dataset, excluded)
    record.seconds["load"] = round(monotonic() - started, 3)
    record.provenance["beats_from_cache"] = loaded.from_cache
    if parallel > 1:
        record.provenance["parallel"] = parallel
    return PreparedRun(
        config=config,
        task=task,
        test=TestBeats(config.dataset, source, loaded.fingerprint, parts.train, parts.test),
        **_created(config, calls),
        record=record,
        progress=progress,
        parallel=parallel,
        calls=calls,
        executor=executor,
    )


def _task(beats: Beats, parts: Split) -> Task:
    """Return training and validation part in one memory, so that joining them copies nothing."""
    both = beats.take(np.concatenate([parts.train, parts.validation]))
    n_train = len(parts.train)
    train, validation = both.part(0, n_train), both.part(n_train, len(both))
    return Task(train, validation, parts.macro_classes, parts.folds)


def _load_excluded(resolved: ResolvedComponent, source: LocalSource) -> Beats | None:
    """Return the beats of the records that the option ``exclude`` leaves out.

    None if it leaves out no record, or if they are missing or damaged, which may be why they are
    left out.
    """
    options = resolved.options
    if not isinstance(options, RecordsOptions) or not options.exclude:
        return None
    own = options.model_copy(update={"records": options.exclude, "exclude": None})
    only = replace(resolved, options=own)
    try:
        return beats_of(resolved.component, own, only.create(), source, Silent()).beats
    except NasbenchError:
        return None


def _created(
    config: RunConfig, calls: ComponentCalls, roles: Sequence[str] = _ROLES
) -> dict[str, Any]:
    """Return new instances of the components of these roles."""
    instances = {}
    for role, resolved in config.components().items():
        if role in roles:
            with calls.of(describe(resolved.component), attribute=False):
                instances[role] = resolved.create()
    return instances


@dataclass(frozen=True)
class TestBeats:
    """The test part of a split, which is not in memory before it is needed.

    Attributes:
        dataset: The dataset.
        source: Folders of records and of cached beats.
        fingerprint: Fingerprint of the beats that were split.
        train: int64 [n], the training beats among them, for which the dataset prepares the others.
        index: int64 [n], the test beats among them.
    """

    __test__ = False  # not a class of pytest

    dataset: ResolvedComponent
    source: LocalSource
    fingerprint: str
    train: Index
    index: Index

    def load(self) -> Beats:
        """Load the beats of the dataset again, and return those of the test part.

        Raises:
            RecordError: The dataset now has other beats than those that were split.
        """
        dataset = self.dataset.create()
        component, options = self.dataset.component, self.dataset.options
        loaded = beats_of(component, options, dataset, self.source, Silent())
        if loaded.fingerprint != self.fingerprint:
            raise RecordError(
                f"The beats of {self.dataset.name} have changed during the run.",
                where=self.dataset.component.source,
                fix="Leave the records as they are during a run, and run the same command again.",
            )
        return fitted(loaded.beats, dataset, self.train).take(self.index).read_only()


@dataclass
class PreparedRun:
    """A run with loaded and split beats and created components."""

    config: RunConfig
    task: Task
    test: TestBeats
    strategy: Strategy
    space: SearchSpace
    builder: Builder
    evaluator: Evaluator
    record: RunRecord
    progress: Progress
    parallel: int = 1
    calls: ComponentCalls = field(default_factory=ComponentCalls)
    executor: CallsFunctions | None = None

    def search_context(self) -> RunSearchContext:
        """Return a new context for the strategy."""
        return RunSearchContext(
            task=self.task,
            space=self.space,
            builder=self.builder,
            evaluator=self.evaluator,
            rng=np.random.default_rng(self.config.search_seed),
            evaluation_seed=self.config.evaluation_seed,
            device=self.config.device,
            progress=self.progress,
            budget=self.config.budget,
            parallel=self.parallel,
            key=self.config.key(),
            evaluator_name=describe(self.config.evaluator.component),
            builder_name=describe(self.config.builder.component),
            calls=self.calls,
        )

    def code(self) -> dict[str, str]:
        """Return the SHA-256 of the code of the components by role; see :func:`package_digest`."""
        components = {
            "strategy": self.strategy,
            "space": self.space,
            "builder": self.builder,
            "evaluator": self.evaluator,
        }
        return {role: package_digest(component) for role, component in components.items()}

    @contextmanager
    def workers(
        self, candidates: CandidateCheckpoints | None = None
    ) -> Iterator[CandidateWorkers | None]:
        """Open the workers that evaluate candidates; yield None if this process does.

        Workers of an executor have no access to the checkpoints of ``candidates``, and train each
        candidate from scratch, with the same result.
        """
        if self.executor is not None:
            remote = RemoteWorkers(
                self.executor,
                task=self.task,
                builder=self.config.builder,
                evaluator=self.config.evaluator,
                device=self.config.device,
                seed=self.config.evaluation_seed,
                calls=self.calls,
            )
            with closing(remote):
                yield remote
            return
        if self.parallel == 1:
            yield None
            return
        workers = Workers(
            self.parallel,
            task=self.task,
            builder=self.config.builder,
            evaluator=self.config.evaluator,
            device=self.config.device,
            seed=self.config.evaluation_seed,
            calls=self.calls,
            candidates=candidates,
        )
        with closing(workers):
            yield workers

    def with_config(self, config: RunConfig) -> PreparedRun:
        """Return a run on the same beats and split, with the components of another ``config``."""
        return replace(self, config=config, **_created(config, self.calls))

    def after_search(self) -> PreparedRun:
        """Return the run with a new builder and a new evaluator, as its record describes them.

        What a search did to its own does not reach the final training. A run that continues after
        its search has new ones too. Components that a caller has put in their place stay.
        """
        new = _created(self.config, self.calls, ("builder", "evaluator"))
        own = {role: one for role, one in new.items() if type(getattr(self, role)) is type(one)}
        return replace(self, **own)
