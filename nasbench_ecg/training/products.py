"""Multiply-accumulates of products that PyTorch's counter of operations does not know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch

Shape = Sequence[int]

_aten = torch.ops.aten


def _mv(matrix: Shape, vector: Shape, **_: Any) -> int:
    return 2 * prod(matrix)


def _addmv(added: Shape, matrix: Shape, vector: Shape, **_: Any) -> int:
    return 2 * prod(matrix)


def _dot(a: Shape, b: Shape, **_: Any) -> int:
    return 2 * prod(a)


def _addbmm(added: Shape, a: Shape, b: Shape, **_: Any) -> int:
    return 2 * prod(a) * b[-1]


def _trilinear(a: Shape, b: Shape, c: Shape, *expanded: Any, **_: Any) -> int:
    """Return two for each product of a value of each; ``expanded`` holds the added axes first."""
    shapes: list[list[int]] = []
    for shape, axes in zip((a, b, c), expanded, strict=False):
        sizes = list(shape)
        for axis in sorted(axes):
            sizes.insert(axis, 1)
        shapes.append(sizes)
    largest: list[int] = [max(sizes) for sizes in zip(*shapes, strict=True)]
    return 2 * prod(largest)


OPERATIONS: Mapping[Any, Callable[..., int]] = {
    _aten.mv: _mv,
    _aten.addmv: _addmv,
    _aten.dot: _dot,
    _aten.vdot: _dot,
    _aten.addbmm: _addbmm,
    _aten._trilinear: _trilinear,
}
"""Floating-point operations, two for each multiply-accumulate, from the shapes of the arguments."""
