"""Functions whose results depend on the memory layout of a tensor, which faster forms change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

VIEWS = frozenset({Tensor.view, Tensor.view_as, torch.view_as_complex})
"""Functions that refuse some layouts; their values follow from those of the tensor alone."""

READS_LAYOUT = frozenset(
    {
        Tensor.as_strided,
        Tensor.as_strided_,
        Tensor.as_strided_scatter,
        Tensor.data_ptr,
        Tensor.set_,
        Tensor.storage,
        Tensor.storage_offset,
        Tensor.stride,
        Tensor.untyped_storage,
        torch.as_strided,
        torch.as_strided_,
        torch.as_strided_copy,
        torch.as_strided_scatter,
    }
)
"""Functions whose results are others in another layout."""


class LayoutError(Exception):
    """A network depends on the memory layout of a tensor, so it has no faster form."""


class CopiedViews:
    """The views that a forward pass takes of tensors in another layout, which have to be copies.

    A network that changes such a view in place means to change the tensor, and the reverse.
    """

    def __init__(self) -> None:
        self._copies: list[tuple[Tensor, Tensor, int, int]] = []

    def take(self, function: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return a view of ``x``, or of a copy where its layout does not allow the view."""
        try:
            return function(x, *args, **kwargs)
        except RuntimeError:
            copy = x.contiguous()
            if copy is x:
                raise
        view = function(copy, *args, **kwargs)
        self._copies.append((x, copy, x._version, copy._version))
        return view

    def check(self) -> None:
        """Raise a LayoutError if a view or its tensor has been changed since."""
        copies, self._copies = self._copies, []
        if any((x._version, copy._version) != (a, b) for x, copy, a, b in copies):
            raise LayoutError("The network changes a view in place, which is a copy here.")


def raise_if_other(function: Callable[..., Any], x: Any) -> None:
    """Raise a LayoutError if ``x`` may have another layout than without faster forms."""
    if isinstance(x, Tensor) and (x._is_view() or not x.is_contiguous()):
        name = getattr(function, "__name__", str(function))
        raise LayoutError(f"The network reads the memory layout of a tensor ({name}).")
