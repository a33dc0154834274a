"""Training steps captured as CUDA graphs and replayed: one launch instead of thousands.

References:
    PyTorch, "CUDA semantics", section "CUDA Graphs": whole-network capture, warm-up on a side
    stream, private memory pools.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor

WARMUP = 3
"""Steps before a capture, in which libraries choose kernels and optimizers create their state."""

R = TypeVar("R")


class Recorder(Protocol):
    """Runs steps in preparation of a capture, and captures a step for replay."""

    def warm_up(self, step: Callable[[], Any]) -> Any:
        """Run ``step`` as preparation of a capture, and return its result."""

    def capture(self, step: Callable[[], Any]) -> tuple[Callable[[], object], Any]:
        """Capture ``step`` without running it; return its replay function and its result tensors.

        Raises:
            RuntimeError: The step cannot be captured.
        """


class CudaRecorder:
    """Captures CUDA graphs on a side stream, on which the warm-up steps run too."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def warm_up(self, step: Callable[[], Any]) -> Any:
        """Run ``step`` on the side stream."""
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            result = step()
        here.wait_stream(self.stream)
        return result

    def capture(self, step: Callable[[], Any]) -> tuple[Callable[[], object], Any]:
        """Capture the kernels that ``step`` launches.

        Garbage is collected first, because no other graph may be freed during a capture. After a
        failure the current stream is restored, which PyTorch does not do itself.
        """
        gc.collect()
        here = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                result = step()
        except BaseException:
            torch.cuda.set_stream(here)
            raise
        return graph.replay, result


def recorder_for(device: str) -> Recorder | None:
    """Return the recorder of ``device``; None for devices other than CUDA."""
    return CudaRecorder() if torch.device(device).type == "cuda" else None


class GraphedStep(Generic[R]):
    """A function of tensors of fixed shapes, replayed as a CUDA graph on a GPU.

    Every call takes one step and returns what the function would return. The first calls run on a
    side stream, the next one is captured, and all later ones are replayed. The function is called
    directly on other devices, for inputs of other shapes (a smaller last batch), and if the capture
    failed, which gives one warning.

    The function may read and change further tensors (weights, statistics, the optimizer's state)
    if it changes them in place. It must not wait for the device (``item``, ``tolist``, copies to
    the CPU) and must not change Python state: a replay runs no Python code, and Python numbers keep
    the value they had at the capture. For a learning rate use :func:`rate_from`; Adam needs
    ``capturable=True``.

    Args:
        function: The step. The next call overwrites the tensors that it returns.
        examples: Tensors with the shapes and the device of the inputs; they are overwritten.
        enabled: False to call the function directly on every device.

    Example:
        >>> weight = torch.ones(())
        >>> step = GraphedStep(lambda x: weight.add_(x), torch.zeros(()))
        >>> float(step(torch.tensor(2.0)))
        3.0
    """

    def __init__(self, function: Callable[..., R], *examples: Tensor, enabled: bool = True) -> None:
        self.function = function
        self._inputs = examples
        self._recorder = recorder_for(str(examples[0].device)) if enabled else None
        self._steps = 0
        self._replay: Callable[[], object] | None = None
        self._result: Any = None

    @property
    def replays(self) -> bool:
        """Whether steps are replayed, now or after the capture."""
        return self._recorder is not None

    @property
    def captured(self) -> bool:
        """Whether the step has been captured."""
        return self._replay is not None

    def __call__(self, *inputs: Tensor) -> R:
        """Take one step."""
        if self._recorder is None or not self._fits(inputs):
            return self.function(*inputs)
        for static, given in zip(self._inputs, inputs, strict=True):
            static.copy_(given)
        if self._replay is None:
            if self._steps < WARMUP:
                self._steps += 1
                warm: R = self._recorder.warm_up(self._take)
                return warm
            try:
                self._replay, self._result = self._recorder.capture(self._take)
            except RuntimeError as error:
                self._recorder = None
                warnings.warn(
                    f"A step could not be captured as a CUDA graph and runs slower: "
                    f"{error.__context__ or error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return self.function(*inputs)
        self._replay()
        result: R = self._result
        return result

    def _take(self) -> R:
        return self.function(*self._inputs)

    def _fits(self, inputs: tuple[Tensor, ...]) -> bool:
        return all(
            given.shape == static.shape for given, static in zip(inputs, self._inputs, strict=True)
        )


@contextmanager
def rate_from(optimizer: torch.optim.Optimizer, rate: Tensor) -> Iterator[None]:
    """Let ``optimizer`` read its learning rate from a tensor inside the block.

    A captured step then follows ``rate.fill_(...)``. Outside the block, the learning rate is a
    plain number again, for schedules and saved states.

    Args:
        optimizer: A fused or capturable optimizer.
        rate: float32 [], on the device of the weights.
    """
    before = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = rate
    try:
        yield
    finally:
        for group, lr in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = lr
