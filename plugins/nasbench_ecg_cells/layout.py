"""Where the parts of a cell go in a drawing: columns by depth, lines that cross little.

A layered drawing: a node stands one column right of its deepest source. A line that passes a column
has a place of its own there, a lane, so that it runs beside the nodes and never through them.

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

Place = tuple[int, int]
"""A column and the state that stands in it or passes it; states are numbered as edges' sources."""


@dataclass(frozen=True)
class Layout:
    """A cell laid out, the first line at 0.

    Attributes:
        cell: The cell.
        depth: Column of each state: of the two inputs, of the nodes, and last of the output.
        y: Middle of each place; of the output that of its bar.
        output_order: The nodes from top to bottom, as their lines enter the output.
        height: Height of the whole.
    """

    cell: Cell
    depth: tuple[int, ...]
    y: Mapping[Place, float]
    output_order: tuple[int, ...]
    height: float

    def way(self, source: int, target: int) -> list[Place]:
        """Return the places from ``source`` to the column before ``target``."""
        return [(column, source) for column in range(self.depth[source], self.depth[target])]


def lay_out(cell: Cell) -> Layout:
    """Return a layout, the same for the same cell."""
    depth = _depths(cell)
    columns, links = _places(cell, depth)
    _order(columns, links)
    y = _heights(columns, links)
    output = len(cell) + 2
    last = columns[-2]
    order = sorted((s for _, s in last if s >= 2), key=lambda s: y[depth[output] - 1, s])
    top = min(y[place] - _height(place, depth) / 2 for place in y)
    shifted = {place: middle - top for place, middle in y.items()}
    height = max(shifted[place] + _height(place, depth) / 2 for place in shifted)
    return Layout(cell, depth, shifted, tuple(order), height)


def _depths(cell: Cell) -> tuple[int, ...]:
    depth = [0, 0]
    for node in cell:
        depth.append(1 + max(depth[edge.source] for edge in node))
    return (*depth, 1 + max(depth))


def _places(
    cell: Cell, depth: tuple[int, ...]
) -> tuple[list[list[Place]], dict[Place, set[Place]]]:
    """Return the places by column, and which are joined by a line, in both directions."""
    output = len(cell) + 2
    lines = {(edge.source, i + 2) for i, node in enumerate(cell) for edge in node}
    lines |= {(state, output) for state in range(2, output)}
    columns: list[list[Place]] = [[] for _ in range(depth[output] + 1)]
    for state in range(output + 1):
        reach = max([depth[state] + 1, *(depth[t] for s, t in lines if s == state)])
        for column in range(depth[state], min(reach, depth[output] + 1)):
            columns[column].append((column, state))
    links: dict[Place, set[Place]] = {place: set() for column in columns for place in column}
    for source, target in lines:
        way = [(column, source) for column in range(depth[source], depth[target])]
        for here, there in zip(way, [*way[1:], (depth[target], target)], strict=True):
            links[here].add(there)
            links[there].add(here)
    return columns, links


def _order(columns: list[list[Place]], links: Mapping[Place, set[Place]]) -> None:
    """Order each column by the mean rank of its neighbours, to and fro; the best order is kept."""
    best = _crossings(columns, links), [list(column) for column in columns]
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        indices = range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1)
        for i in indices:
            before = columns[i - 1 if forth else i + 1]
            rank = {place: r for r, place in enumerate(before)}
            columns[i].sort(key=lambda p: _mean((rank[q] for q in links[p] if q in rank), 0.0))
        crossings = _crossings(columns, links)
        if crossings < best[0]:
            best = crossings, [list(column) for column in columns]
    columns[:] = best[1]


def _crossings(columns: list[list[Place]], links: Mapping[Place, set[Place]]) -> int:
    count = 0
    for left, right in pairwise(columns):
        rank = {place: r for r, place in enumerate(right)}
        lines = [(i, rank[q]) for i, p in enumerate(left) for q in links[p] if q in rank]
        count += sum(a < c and b > d for a, b in lines for c, d in lines)
    return count


def _heights(columns: list[list[Place]], links: Mapping[Place, set[Place]]) -> dict[Place, float]:
    """Return middles that draw every place to its neighbours and keep order and distances."""
    from scipy.optimize import isotonic_regression

    depth = _depth_of(columns)
    y: dict[Place, float] = {}
    stacks = []
    for column in columns:
        middles, end = [], 0.0
        for place in column:
            height = _height(place, depth)
            middles.append(end + height / 2)
            end += height + GAP
        stacks.append([middle - end / 2 for middle in middles])
        y.update(zip(column, stacks[-1], strict=True))
    for sweep in range(2 * _SWEEPS):
        order = range(len(columns)) if sweep % 2 else range(len(columns) - 1, -1, -1)
        for i in order:
            column, stack = columns[i], stacks[i]
            wished = [_mean((y[q] for q in links[p]), y[p]) for p in column]
            fitted = isotonic_regression([w - s for w, s in zip(wished, stack, strict=True)]).x
            y.update((p, float(f) + s) for p, f, s in zip(column, fitted, stack, strict=True))
    return y


def _depth_of(columns: list[list[Place]]) -> tuple[int, ...]:
    first: dict[int, int] = {}
    for column in columns:
        for where, state in column:
            first.setdefault(state, where)
    return tuple(first[state] for state in sorted(first))


def _height(place: Place, depth: tuple[int, ...]) -> float:
    column, state = place
    if column != depth[state]:
        return LANE_HEIGHT
    return INPUT_HEIGHT if state < 2 else NODE_HEIGHT


def _mean(values: Iterable[float], otherwise: float) -> float:
    listed = list(values)
    return fmean(listed) if listed else otherwise
