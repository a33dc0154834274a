"""Beats that several processes read from one place in memory."""

from __future__ import annotations

import math
import mmap
import tempfile
from dataclasses import dataclass, replace
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from nasbench_ecg.data.beats import Beats

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
