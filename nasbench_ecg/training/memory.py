"""Upkeep of memory, which otherwise costs more time than some of the arithmetic."""

from __future__ import annotations

import ctypes
import gc
import sys
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of giving it back at once.

    A training step frees and takes hundreds of large tensors. By default each of them goes back to
    the system, and its pages are zeroed and mapped anew in the next step. Elsewhere than on glibc
    this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_MMAP_THRESHOLD, 2**25)


@cache
def spare_what_is_loaded() -> None:
    """Keep the garbage collector from walking through all imported modules, once a process.

    Building a network of some hundred modules sets off collections, each of which looks at every
    object of PyTorch and its company and finds nothing: half of the time that building takes.
    """
    gc.collect()
    gc.freeze()
