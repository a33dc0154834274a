"""Memory settings of the process that make training faster."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for later allocations instead of returning it to the system.

    A training step allocates and frees hundreds of large tensors. By default glibc returns each of
    them to the system, and the next step maps and zeroes the pages again. Without glibc this
    function does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**25)


@cache
def freeze_garbage_collection() -> None:
    """Exclude all objects that exist now from garbage collection; once a process.

    Building a network of some hundred modules triggers collections, and each of them traverses
    every object of the imported libraries. This took half of the time of building.
    """
    gc.collect()
    gc.freeze()
