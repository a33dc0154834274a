"""A step captured once as a CUDA graph and replayed: one launch in place of thousands.

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
"""Steps taken before a capture: libraries choose kernels in them, optimisers make their state."""

R = TypeVar("R")


class Recorder(Protocol):
    """What takes a step aside from other work, and records one to be replayed."""

    def aside(self, step: Callable[[], Any]) -> Any:
        """Take ``step`` where a recording may follow, and return its result."""

    def record(self, step: Callable[[], Any]) -> tuple[Callable[[], object], Any]:
        """Record ``step`` without taking it; return what takes it, and where its result will be.

        Raises:
            RuntimeError: It cannot be recorded.
        """


class CudaRecorder:
    """Records CUDA graphs, on the side stream that the steps before were taken on too."""

    def __init__(self) -> None:
        self.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def aside(self, step: Callable[[], Any]) -> Any:
        """Take ``step`` on the side stream."""
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            result = step()
        here.wait_stream(self.stream)
        return result

    def record(self, step: Callable[[], Any]) -> tuple[Callable[[], object], Any]:
        """Record the kernels that ``step`` launches.

        Garbage is collected first: a graph that ends up in it must not be freed while another is
        captured. After a failure the stream is as it was, which PyTorch does not see to.
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
    """Return what records steps on ``device``; None where there is nothing to gain."""
    return CudaRecorder() if torch.device(device).type == "cuda" else None


class GraphedStep(Generic[R]):
    """A function of tensors of fixed shapes, replayed as a CUDA graph on a GPU.

    Every call takes one step and gives what the function itself would. The first few run on a side
    stream, the next is captured, all later ones are replayed. Elsewhere than on a GPU, for inputs
    of other shapes (a ragged last batch), and where capturing failed, which is warned of once, the
    function is called.

    The function may read and change tensors beside its inputs (weights, statistics, an optimiser's
    state), if they are changed in place and never replaced. It must not wait for the device
    (``item``, ``tolist``, copies to the CPU), nor count anything in Python: its code runs no more
    once it is captured, and Python's numbers stay as they were then. For a learning rate there is
    :func:`rate_from`; Adam needs ``capturable=True``.

    Args:
        function: What a step does. What it returns is overwritten by the next call.
        examples: Tensors of the shapes and on the device of the inputs; they are overwritten.
        enabled: False: always call the function.

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
        """Whether steps are, or will soon be, replayed."""
        return self._recorder is not None

    @property
    def captured(self) -> bool:
        """Whether steps are replayed by now."""
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
                warm: R = self._recorder.aside(self._take)
                return warm
            try:
                self._replay, self._result = self._recorder.record(self._take)
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

    A captured step follows ``rate.fill_(...)``; schedule and saved state keep plain numbers.

    Args:
        optimizer: A fused or capturable one.
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
