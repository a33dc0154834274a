"""Candidates evaluated several at a time, in processes that live as long as the search.

Processes, because stacking does not pay: four networks of one architecture (8 cells, C8, 64 beats)
as one vmapped step over ``torch.func.stack_module_state`` took 0.53–0.61 s of processor time on one
thread, one after another 0.38–0.43 s. A stacked convolution is a grouped one, ``vmap`` does not
support the channels-last form that is faster on a CPU, and most candidates differ in shape.
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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
import torch

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.plugin.component import describe
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.config import ResolvedComponent
from nasbench_ecg.run.contexts import evaluate_candidate
from nasbench_ecg.training.memory import keep_freed_memory, spare_what_is_loaded

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WorkerError(NasbenchError):
    """A process that evaluates candidates cannot be started, or ended before it should."""

    title = "Problem with a worker process"


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to evaluate candidates; sent once, when it is started."""

    train: SharedBeats
    validation: SharedBeats
    macro_classes: tuple[str, ...]
    builder: ResolvedComponent
    evaluator: ResolvedComponent
    device: str
    seed: int
    threads: int

    def prepared(self) -> Callable[..., Evaluation]:
        """Map the beats and make the components; return what evaluates a candidate."""
        return partial(
            evaluate_candidate,
            task=Task(self.train.beats(), self.validation.beats(), self.macro_classes),
            builder=self.builder.create(),
            evaluator=self.evaluator.create(),
            device=self.device,
            seed=self.seed,
            progress=Silent(),
        )


class Workers:
    """Processes that evaluate candidates; started when there is something to do.

    On the CPU each computes with its share of the threads, on a GPU they share the device. An
    evaluation depends on its candidate alone, so with equal numbers of threads it is the one that
    this process would make; with others, sums are rounded in another order.

    Args:
        n: How many.
        task: The train and the validation part.
        builder: Makes the networks.
        evaluator: Scores them.
        device: ``cpu`` or ``cuda``.
        seed: Seed of each evaluation.
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
    ) -> None:
        self.n = n
        self._task = task
        self._described = partial(
            Assignment,
            macro_classes=task.macro_classes,
            builder=builder,
            evaluator=evaluator,
            device=device,
            seed=seed,
            threads=max(1, torch.get_num_threads() // n),
        )
        self._context = multiprocessing.get_context("spawn")
        self._ends, self._lifeline = self._context.Pipe(duplex=False)
        self._executor: ProcessPoolExecutor | None = None

    def evaluate(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None, progress: Progress
    ) -> Iterator[Evaluation]:
        """Yield the evaluations in the order of ``architectures``, which differ.

        Raises:
            WorkerError: A process could not be started, or ended.
        """
        with progress.track("Evaluating", len(architectures)) as bar:
            for future in self._submitted(architectures, fidelity):
                try:
                    evaluation = future.result()
                except BrokenProcessPool as error:
                    raise _ended() from error
                bar.advance(score=evaluation.score)
                yield evaluation

    def _submitted(
        self, architectures: Sequence[Architecture], fidelity: Fidelity | None
    ) -> list[Future[Evaluation]]:
        try:
            if self._executor is None:
                self._executor = self._made()
            with _signals_held():
                return [self._executor.submit(_evaluate, arch, fidelity) for arch in architectures]
        except BrokenProcessPool as error:
            raise _ended() from error
        except Exception as error:  # no space for the beats, a component that cannot be sent
            raise WorkerError(
                f"Candidates cannot be evaluated in processes of their own: {describe(error)}.",
                fix="Leave --parallel out.",
            ) from error

    def _made(self) -> ProcessPoolExecutor:
        train, validation = map(SharedBeats.of, (self._task.train, self._task.validation))
        assignment = self._described(train=train, validation=validation)
        return ProcessPoolExecutor(
            self.n,
            mp_context=self._context,
            initializer=_begin,
            initargs=(assignment, self._ends),
        )

    def close(self) -> None:
        """End all processes, those at work too."""
        self._lifeline.close()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
        self._ends.close()


def _ended() -> WorkerError:
    return WorkerError(
        "A process that evaluates candidates ended before its work was done.",
        fix="If memory ran out, say a smaller --parallel. What was evaluated is kept: the same "
        "command goes on from there.",
    )


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold signals back inside the block; a process started in it never gets them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_prepared: Callable[..., Evaluation]


def _begin(assignment: Assignment, lifeline: Connection) -> None:
    """Prepare this process; it ends when the other side of ``lifeline`` does.

    Signals from a terminal reach a whole group of processes: the one that started this one
    decides what follows.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    torch.set_num_threads(assignment.threads)
    keep_freed_memory()
    spare_what_is_loaded()
    global _prepared
    _prepared = assignment.prepared()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def _evaluate(arch: Architecture, fidelity: Fidelity | None) -> Evaluation:
    return _prepared(arch, fidelity)


_ARRAYS = ("signals", "labels", "record", "sample")


@dataclass(frozen=True)
class SharedBeats:
    """Beats in a file without a name, which every process maps and the system keeps once.

    The file is gone when the last process that has it open ends, however it ends. It is handed to
    a process that is being started, and to no other.

    Attributes:
        file: The open file; in a process that was started, its descriptor.
        places: Type, shape and first byte of each array.
        described: Beats without any beat: what is no array.
    """

    file: Any
    places: dict[str, tuple[str, tuple[int, ...], int]]
    described: Beats

    @classmethod
    def of(cls, beats: Beats) -> SharedBeats:
        """Copy ``beats`` into such a file.

        Raises:
            OSError: There is no space.
        """
        file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as it is shared
        places = {}
        for name in _ARRAYS:
            array = np.ascontiguousarray(getattr(beats, name))
            places[name] = (array.dtype.str, array.shape, file.tell())
            file.write(array.data)
            file.write(bytes(-file.tell() % 64))
        file.flush()
        return cls(file, places, beats.take(np.arange(0)))

    def beats(self) -> Beats:
        """Map the file; what is written to the arrays is seen by this process alone."""
        handle = self.file.fileno() if hasattr(self.file, "fileno") else self.file.detach()
        mapped = mmap.mmap(handle, 0, access=mmap.ACCESS_COPY)
        arrays: dict[str, Any] = {
            name: np.frombuffer(mapped, dtype, math.prod(shape), first).reshape(shape)
            for name, (dtype, shape, first) in self.places.items()
        }
        return replace(self.described, **arrays)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "file": DupFd(self.file.fileno())}
