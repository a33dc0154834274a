"""Worker processes that evaluate several candidates of a search at the same time.

Processes are faster here than one stacked network: four networks of one architecture (8 cells, C8,
64 beats) as one vmapped step over ``torch.func.stack_module_state`` took 0.53-0.61 s of processor
time on one thread, one after another 0.38-0.43 s. A stacked convolution is a grouped convolution,
``vmap`` does not support the channels-last format that is faster on a CPU, and most candidates
differ in shape.
"""

from __future__ import annotations

import math
import mmap
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import NasbenchError, describe_error
from nasbench_ecg.executors import CallsFunctions
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.calls import ComponentCalls, describe
from nasbench_ecg.run.config import ResolvedComponent
from nasbench_ecg.run.contexts import evaluate_candidate
from nasbench_ecg.run.nodes import HostCode
from nasbench_ecg.run.warm import CandidateCheckpoints
from nasbench_ecg.shutdown import SIGNALS
from nasbench_ecg.training.memory import freeze_garbage_collection, keep_freed_memory


class WorkerError(NasbenchError):
    """A worker process cannot be started, or ended early."""

    title = "Problem with a worker process"


class Workers:
    """Processes that evaluate candidates; they start with the first evaluation.

    On the CPU each process computes with its share of the threads; on a GPU they share the device.
    An evaluation depends on its candidate alone, so with equal numbers of threads the result is
    that of this process. With other numbers of threads, sums are rounded in another order.

    Args:
        n: Number of processes.
        task: The training and the validation part.
        builder: Builds the networks.
        evaluator: Scores them.
        device: ``cpu`` or ``cuda``.
        seed: Seed of each evaluation.
        calls: Receives the notes of the processes.
        candidates: Checkpoints that trainings go on from.
    """

    def __init__(
        self,
        n: int,
        *,
        task: Task,
        builder: ResolvedComponent,
        evaluator: ResolvedComponent,
        device: str,
        seed: int,
        calls: ComponentCalls | None = None,
        candidates: CandidateCheckpoints | None = None,
    ) -> None:
        self.n = n
        self._calls = calls or ComponentCalls()
        self._task = task
        self._setup = partial(
            WorkerSetup,
            macro_classes=task.macro_classes,
            validation_folds=task.validation_folds,
            builder=builder,
            evaluator=evaluator,
            device=device,
            seed=seed,
            threads=max(1, torch.get_num_threads() // n),
            candidates=candidates,
        )
        self._context = multiprocessing.get_context("spawn")
        self._worker_end, self._parent_end = self._context.Pipe(duplex=False)
        self._executor: ProcessPoolExecutor | None = None

    def evaluate(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, progress: Progress
    ) -> Iterator[Evaluation]:
        """Yield the evaluations of different ``architectures``, in their order.

        Raises:
            WorkerError: A process could not be started, or ended early.
        """
        with progress.track("Evaluating", len(architectures)) as bar:
            for future in self._submit(architectures, fidelity):
                try:
                    evaluation, notes = future.result()
                except BrokenProcessPool as error:
                    raise _worker_died() from error
                for note in notes:
                    self._calls.tell(note)
                bar.advance(score=evaluation.score)
                yield evaluation

    def _submit(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None
    ) -> list[Future[tuple[Evaluation, list[str]]]]:
        try:
            if self._executor is None:
                self._executor = self._start()
            with _signals_blocked():
                return [self._executor.submit(_evaluate, arch, fidelity) for arch in architectures]
        except BrokenProcessPool as error:
            raise _worker_died() from error
        except Exception as error:  # no space for the beats, a component that cannot be pickled
            raise WorkerError(
                f"Candidates cannot be evaluated in worker processes: {describe_error(error)}.",
                fix="Leave --parallel out.",
            ) from error

    def _start(self) -> ProcessPoolExecutor:
        train, validation = map(SharedBeats.of, (self._task.train, self._task.validation))
        setup = self._setup(train=train, validation=validation)
        return ProcessPoolExecutor(
            self.n,
            mp_context=self._context,
            initializer=_initialize,
            initargs=(setup, self._worker_end),
        )

    def close(self) -> None:
        """End all processes, including busy ones."""
        self._parent_end.close()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        self._worker_end.close()


def _worker_died() -> WorkerError:
    return WorkerError(
        "A worker process ended before its evaluation was finished.",
        fix="If memory ran out, use a smaller --parallel. A component that writes to the task's "
        "beats, which are read-only, ends it too: try without --parallel. Finished evaluations are "
        "saved: the same command continues from there.",
    )


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGNALS in the block, also for processes that are started in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class HoldsBeats(Protocol):
    """Beats on their way to a worker."""

    def beats(self) -> Beats:
        """Return the beats, in the worker."""


@dataclass(frozen=True)
class SentBeats:
    """Beats that are sent to a worker on another machine."""

    sent: Beats

    def beats(self) -> Beats:
        """Return the beats, read-only."""
        return self.sent.read_only()


class RemoteWorkers:
    """Workers of an executor that evaluate candidates; the beats are sent to each worker once.

    Args:
        executor: Calls functions in its workers.
        task: The training and the validation part.
        builder: Builds the networks.
        evaluator: Scores them.
        device: ``cpu`` or ``cuda``.
        seed: Seed of each evaluation.
        calls: Receives the notes of the workers.
    """

    def __init__(
        self,
        executor: CallsFunctions,
        *,
        task: Task,
        builder: ResolvedComponent,
        evaluator: ResolvedComponent,
        device: str,
        seed: int,
        calls: ComponentCalls,
    ) -> None:
        self._calls = calls
        setup = WorkerSetup(
            train=SentBeats(task.train),
            validation=SentBeats(task.validation),
            macro_classes=task.macro_classes,
            validation_folds=task.validation_folds,
            builder=builder,
            evaluator=evaluator,
            device=device,
            seed=seed,
            threads=torch.get_num_threads(),
            submitted_by=HostCode.here(),
        )
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(executor.workers(setup.remote_function))

    def evaluate(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, progress: Progress
    ) -> Iterator[Evaluation]:
        """Yield the evaluations of different ``architectures``, in their order.

        Raises:
            ExecutorError: The workers are lost, or have other code.
        """
        with progress.track("Evaluating", len(architectures)) as bar:
            found = self._pool.map([(arch, fidelity) for arch in architectures])
            for evaluation, notes in found:
                for note in notes:
                    self._calls.tell(note)
                bar.advance(score=evaluation.score)
                yield evaluation

    def close(self) -> None:
        """Leave the workers."""
        self._stack.close()


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker needs to evaluate candidates; sent once, when it starts."""

    train: HoldsBeats
    validation: HoldsBeats
    macro_classes: tuple[str, ...]
    validation_folds: NDArray[np.int64] | None
    builder: ResolvedComponent
    evaluator: ResolvedComponent
    device: str
    seed: int
    threads: int
    candidates: CandidateCheckpoints | None = None
    submitted_by: HostCode | None = None
    """The code of the search, where workers may be on other machines."""

    def evaluation_function(self) -> Callable[..., Evaluation]:
        """Map the beats, create the components, and return the function of a candidate."""
        return partial(
            evaluate_candidate,
            task=Task(
                self.train.beats(),
                self.validation.beats(),
                self.macro_classes,
                self.validation_folds,
            ),
            builder=self.builder.create(),
            evaluator=self.evaluator.create(),
            device=self.device,
            seed=self.seed,
            progress=Silent(),
            evaluator_name=describe(self.evaluator.component),
            builder_name=describe(self.builder.component),
            candidates=self.candidates,
        )

    def remote_function(self) -> Callable[..., tuple[Evaluation, list[str]]]:
        """Prepare a worker of an executor, and return the function of a candidate.

        Raises:
            ExecutorError: The machine of the worker has other code.
        """
        if self.submitted_by is not None:
            self.submitted_by.check()
        torch.set_num_threads(self.threads)
        function = self.evaluation_function()

        def evaluate(arch: Architecture, fidelity: Fidelity | None) -> tuple[Evaluation, list[str]]:
            torch.set_num_threads(self.threads)  # the worker may work for other searches too
            calls = ComponentCalls()
            return function(arch, fidelity, calls=calls), calls.notes

        return evaluate


_evaluation_function: Callable[..., Evaluation]


def _initialize(setup: WorkerSetup, parent: Connection) -> None:
    """Prepare this worker, which ignores signals and exits when its parent closes the pipe.

    A terminal sends signals to the whole process group; only the parent reacts to them.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    torch.set_num_threads(setup.threads)
    keep_freed_memory()
    freeze_garbage_collection()
    global _evaluation_function
    _evaluation_function = setup.evaluation_function()


def _exit_with_parent(parent: Connection) -> None:
    parent.poll(None)  # returns when the other end is closed, also by a kill
    os._exit(1)


def _evaluate(arch: Architecture, fidelity: Fidelity | None) -> tuple[Evaluation, list[str]]:
    calls = ComponentCalls()
    return _evaluation_function(arch, fidelity, calls=calls), calls.notes


_ARRAYS = ("signals", "labels", "record", "sample")


@dataclass(frozen=True)
class SharedBeats:
    """Beats in an unnamed temporary file that all processes map, so that memory holds them once.

    The system deletes the file when the last process that has it open ends, even by a kill. It can
    be passed only to a process that is being started. Torch's ``share_memory_`` would not do: what
    one worker writes to a tensor is seen by all others, and /dev/shm is often small in containers.
    The beats are mapped read-only: an evaluation must not depend on what an earlier one wrote.

    Attributes:
        file: The open file; in a started process, its descriptor.
        layout: Type, shape and byte offset of each array.
        without_beats: The beats' other attributes, with empty arrays.
    """

    file: Any
    layout: dict[str, tuple[str, tuple[int, ...], int]]
    without_beats: Beats

    @classmethod
    def of(cls, beats: Beats) -> SharedBeats:
        """Copy ``beats`` into a new file.

        Raises:
            OSError: There is no space.
        """
        file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is shared
        layout = {}
        for name in _ARRAYS:
            array = np.ascontiguousarray(getattr(beats, name))
            layout[name] = (array.dtype.str, array.shape, file.tell())
            file.write(array.data)
            file.write(bytes(-file.tell() % 64))
        file.flush()
        return cls(file, layout, beats.take(np.arange(0)))

    def beats(self) -> Beats:
        """Map the file; a process that writes to the arrays by other means than numpy is ended."""
        descriptor = self.file.fileno() if hasattr(self.file, "fileno") else self.file.detach()
        mapped = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        arrays: dict[str, Any] = {
            name: np.frombuffer(mapped, dtype, math.prod(shape), offset).reshape(shape)
            for name, (dtype, shape, offset) in self.layout.items()
        }
        return replace(self.without_beats, **arrays)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "file": DupFd(self.file.fileno())}
