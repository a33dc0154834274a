"""Layered graph layout of a cell: nodes in columns by depth, with few line crossings.

A node is placed one column to the right of its deepest source. A line that passes through a column
has its own position there (a lane), so that it never crosses a node.

References:
    Sugiyama, Tagawa, Toda 1981, "Methods for Visual Understanding of Hierarchical System
    Structures", IEEE Transactions on Systems, Man, and Cybernetics 11(2).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from nasbench_ecg_cells.genotype import Cell

NODE_HEIGHT = 62.0
INPUT_HEIGHT = 30.0
LANE_HEIGHT = 10.0
GAP = 16.0
_SWEEPS = 12

Position = tuple[int, int]
"""A column and a state in it: a node, or the lane of its line. States are numbered as sources."""


@dataclass(frozen=True)
class Layout:
    """The layout of a cell; its top is at y = 0.

    Attributes:
        cell: The cell.
        depth: Column of each state: the two inputs, the nodes, and the output.
        y: Vertical center of each position.
        output_order: The nodes from top to bottom, as their lines reach the output.
        height: Height of the drawing.
    """

    cell: Cell
    depth: tuple[int, ...]
    y: Mapping[Position, float]
    output_order: tuple[int, ...]
    height: float

    def route(self, source: int, target: int) -> list[Position]:
        """Return the positions of a line from ``source`` to the column before ``target``."""
        return [(column, source) for column in range(self.depth[source], self.depth[target])]


def layout_cell(cell: Cell) -> Layout:
    """Return the layout of ``cell``; equal cells have equal layouts."""
    depth = _depths(cell)
    columns, links = _positions(cell, depth)
    _order(columns, links)
    y = _heights(columns, links)
    output = len(cell) + 2
    last = columns[-2]
    order = sorted((s for _, s in last if s >= 2), key=lambda s: y[depth[output] - 1, s])
    top = min(y[position] - _height(position, depth) / 2 for position in y)
    shifted = {position: center - top for position, center in y.items()}
    height = max(shifted[position] + _height(position, depth) / 2 for position in shifted)
    return Layout(cell, depth, shifted, tuple(order), height)


def _depths(cell: Cell) -> tuple[int, ...]:
    depth = [0, 0]
    for node in cell:
        depth.append(1 + max(depth[edge.source] for edge in node))
    return (*depth, 1 + max(depth))


def _positions(
    cell: Cell, depth: tuple[int, ...]
) -> tuple[list[list[Position]], dict[Position, set[Position]]]:
    """Return the positions by column, and the neighbors of each position along the lines."""
    output = len(cell) + 2
    lines = {(edge.source, i + 2) for i, node in enumerate(cell) for edge in node}
    lines |= {(state, output) for state in range(2, output)}
    columns: list[list[Position]] = [[] for _ in range(depth[output] + 1)]
    for state in range(output + 1):
        reach = max([depth[state] + 1, *(depth[t] for s, t in lines if s == state)])
        for column in range(depth[state], min(reach, depth[output] + 1)):
            columns[column].append((column, state))
    links: dict[Position, set[Position]] = {
        position: set() for column in columns for position in column
    }
    for source, target in lines:
        route = [(column, source) for column in range(depth[source], depth[target])]
        for here, there in zip(route, [*route[1:], (depth[target], target)], strict=True):
            links[here].add(there)
            links[there].add(here)
    return columns, links


def _order(columns: list[list[Position]], links: Mapping[Position, set[Position]]) -> None:
    """Reduce line crossings: sort columns by the mean rank of neighbors, in alternating sweeps.

    The order with the fewest crossings of all sweeps is kept.
    """
    best = _crossings(columns, links), [list(column) for column in columns]
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        indices = range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1)
        for i in indices:
            before = columns[i - 1 if forward else i + 1]
            rank = {position: r for r, position in enumerate(before)}
            columns[i].sort(key=lambda p: _mean((rank[q] for q in links[p] if q in rank), 0.0))
        crossings = _crossings(columns, links)
        if crossings < best[0]:
            best = crossings, [list(column) for column in columns]
    columns[:] = best[1]


def _crossings(columns: list[list[Position]], links: Mapping[Position, set[Position]]) -> int:
    count = 0
    for left, right in pairwise(columns):
        rank = {position: r for r, position in enumerate(right)}
        lines = [(i, rank[q]) for i, p in enumerate(left) for q in links[p] if q in rank]
        count += sum(a < c and b > d for a, b in lines for c, d in lines)
    return count


def _heights(
    columns: list[list[Position]], links: Mapping[Position, set[Position]]
) -> dict[Position, float]:
    """Return the vertical center of each position: near its neighbors, with order and gaps kept."""
    from scipy.optimize import isotonic_regression

    depth = _depth_of(columns)
    y: dict[Position, float] = {}
    stacks = []
    for column in columns:
        centers, end = [], 0.0
        for position in column:
            height = _height(position, depth)
            centers.append(end + height / 2)
            end += height + GAP
        stacks.append([center - end / 2 for center in centers])
        y.update(zip(column, stacks[-1], strict=True))
    for sweep in range(2 * _SWEEPS):
        order = range(len(columns)) if sweep % 2 else range(len(columns) - 1, -1, -1)
        for i in order:
            column, stack = columns[i], stacks[i]
            wanted = [_mean((y[q] for q in links[p]), y[p]) for p in column]
            fitted = isotonic_regression([w - s for w, s in zip(wanted, stack, strict=True)]).x
            y.update((p, float(f) + s) for p, f, s in zip(column, fitted, stack, strict=True))
    return y


def _depth_of(columns: list[list[Position]]) -> tuple[int, ...]:
    first: dict[int, int] = {}
    for column in columns:
        for index, state in column:
            first.setdefault(state, index)
    return tuple(first[state] for state in sorted(first))


def _height(position: Position, depth: tuple[int, ...]) -> float:
    column, state = position
    if column != depth[state]:
        return LANE_HEIGHT
    return INPUT_HEIGHT if state < 2 else NODE_HEIGHT


def _mean(values: Iterable[float], default: float) -> float:
    listed = list(values)
    return fmean(listed) if listed else default
