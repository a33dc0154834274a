"""A genotype drawn as SVG: both cells, each node as the sum of its two operations.

Colours are set on the elements themselves, so that every SVG reader shows them; a style sheet only
changes what a dark background needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from nasbench_ecg_cells.genotype import Edge, Genotype
from nasbench_ecg_cells.layout import INPUT_HEIGHT, Layout, Place, lay_out

BOX = (110.0, 26.0)
"""Width and height of an operation."""

_RADIUS = 15.0
_INPUT_WIDTH = 46.0
_OUTPUT_WIDTH = 30.0
_COLUMN = 240.0
_MARGIN = 20.0
_TITLE = 34.0
_BETWEEN = 30.0
_PORT = 17.0
_BLOCK = BOX[0] + 34 + 2 * _RADIUS
_INK, _LINE, _PAPER = "#1f2937", "#9ca3af", "#ffffff"

_DARK = (
    ".ink{fill:#e5e7eb}.line{stroke:#6b7280}.node{fill:#111827;stroke:#9ca3af}"
    ".end{fill:#1f2937;stroke:#6b7280}"
)


@dataclass(frozen=True)
class _Colours:
    """Colours of an operation: its box, the text on it, and the line that leads to it."""

    box: str
    text: str
    line: str


_COLOURS = {
    "conv-3": _Colours("#dbeafe", _INK, "#60a5fa"),
    "conv-5": _Colours("#bfdbfe", _INK, "#60a5fa"),
    "conv-9": _Colours("#93c5fd", _INK, "#60a5fa"),
    "conv-13": _Colours("#60a5fa", _INK, "#60a5fa"),
    "conv-17": _Colours("#2563eb", "#ffffff", "#60a5fa"),
    "conv-27": _Colours("#1e40af", "#ffffff", "#60a5fa"),
    "max-pool-3": _Colours("#a7f3d0", _INK, "#34d399"),
    "max-pool-5": _Colours("#34d399", _INK, "#34d399"),
    "skip": _Colours("#fde68a", _INK, "#f59e0b"),
    "none": _Colours("#e5e7eb", _INK, "#d1d5db"),
}


def draw_svg(genotype: Genotype) -> str:
    """Return both cells as one SVG document, the same text for the same genotype.

    ``in₁`` is the output of the last but one cell, ``in₂`` that of the last cell; the output is the
    concatenation of the nodes. ``↓2`` marks operations of stride 2. Darker blue is a wider kernel.
    """
    cells = (
        ("normal cell", genotype.normal, False),
        ("reduction cell", genotype.reduction, True),
    )
    layouts = [lay_out(cell) for _, cell, _ in cells]
    width = max(_width(layout) for layout in layouts) + 2 * _MARGIN
    parts: list[str] = []
    top = _MARGIN
    for (title, _, reduction), layout in zip(cells, layouts, strict=True):
        moved = f'<g transform="translate({_n(_MARGIN)} {_n(top)})">'
        parts += [moved, *_cell(title, layout, reduction=reduction), "</g>"]
        top += _TITLE + layout.height + _BETWEEN
    height = top - _BETWEEN + _MARGIN
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" class="nasbench-ecg-cell"'
            ' font-family="system-ui, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"'
            ' font-size="13" fill="none">',
            "<title>Normal and reduction cell</title>",
            f"<desc>{escape(_described(genotype))}</desc>",
            f"<style>@media (prefers-color-scheme:dark){{{_scoped(_DARK)}}}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _scoped(rules: str) -> str:
    return "".join(f".nasbench-ecg-cell {rule}}}" for rule in rules.split("}") if rule)


def _described(genotype: Genotype) -> str:
    return "; ".join(
        f"{name} cell: "
        + ", ".join(
            f"{_name(i + 2)} = " + " + ".join(f"{e.operation}({_name(e.source)})" for e in node)
            for i, node in enumerate(cell)
        )
        for name, cell in (("normal", genotype.normal), ("reduction", genotype.reduction))
    )


def _name(state: int) -> str:
    return f"in{chr(0x2081 + state)}" if state < 2 else f"n{chr(0x2081 + state - 2)}"


def _cell(title: str, layout: Layout, *, reduction: bool) -> Iterator[str]:
    yield _text(0, 12, title, anchor="start", style='font-weight="600" font-size="15"')
    yield f'<g transform="translate(0 {_n(_TITLE)})">'
    yield from _trunks(layout)
    for index, node in enumerate(layout.cell):
        yield from _node(layout, index + 2, node, reduction=reduction)
    for state in (0, 1):
        yield from _input(layout, state)
    yield from _output(layout)
    yield "</g>"


def _trunks(layout: Layout) -> Iterator[str]:
    """Yield the lines on their way through columns they do not end in."""
    output = len(layout.cell) + 2
    drawn: set[tuple[Place, Place]] = set()
    ends = [(e.source, i + 2) for i, node in enumerate(layout.cell) for e in node]
    ends += [(state, output) for state in range(2, output)]
    for source, target in ends:
        way = layout.way(source, target)
        for here, there in pairwise(way):
            if (here, there) in drawn:
                continue
            drawn.add((here, there))
            y, y_next = layout.y[here], layout.y[there]
            x, x_next = _leaves(layout, here), _left(there[0])
            path = f"{_curve(x, y, x_next, y_next)} H{_n(x_next + _BLOCK)}"
            yield _line(path, _LINE, "line")


def _node(layout: Layout, state: int, node: tuple[Edge, Edge], *, reduction: bool) -> Iterator[str]:
    column = layout.depth[state]
    x, y = _left(column), layout.y[column, state]
    centre = x + _BLOCK - _RADIUS
    arriving = sorted(node, key=lambda edge: layout.y[layout.way(edge.source, state)[-1]])
    for edge, side in zip(arriving, (-1, 1), strict=True):
        colours = _COLOURS[edge.operation]
        port = y + side * _PORT
        before = layout.way(edge.source, state)[-1]
        came = _curve(_leaves(layout, before), layout.y[before], x, port)
        dashed = edge.operation == "none"
        yield _line(came, colours.line, dashed=dashed)
        yield _line(_curve(x + BOX[0], port, centre, y), colours.line, dashed=dashed)
        label = edge.operation + (" ↓2" if reduction and edge.source < 2 else "")
        yield _box(x, port, BOX, colours.box)
        yield _text(x + BOX[0] / 2, port, label, fill=colours.text)
    yield (
        f'<circle class="node" cx="{_n(centre)}" cy="{_n(y)}" r="{_n(_RADIUS)}"'
        f' fill="{_PAPER}" stroke="{_INK}" stroke-width="1.5"/>'
    )
    yield _text(centre, y, _name(state))


def _input(layout: Layout, state: int) -> Iterator[str]:
    y = layout.y[0, state]
    used = any(edge.source == state for node in layout.cell for edge in node)
    yield f'<g opacity="{1 if used else 0.4}">'
    yield _box(0, y, (_INPUT_WIDTH, INPUT_HEIGHT), "#f3f4f6", end=True)
    yield _text(_INPUT_WIDTH / 2, y, _name(state))
    yield "</g>"


def _output(layout: Layout) -> Iterator[str]:
    """Yield the bar that concatenates the nodes, and the last piece of their lines."""
    output = len(layout.cell) + 2
    column = layout.depth[output]
    x, y = _left(column), layout.y[column, output]
    pitch = 22.0
    height = max(76.0, pitch * (len(layout.output_order) + 0.6))
    for place, state in enumerate(layout.output_order):
        port = y + pitch * (place - (len(layout.output_order) - 1) / 2)
        before = column - 1, state
        path = _curve(_leaves(layout, before), layout.y[before], x, port)
        yield _line(path, _LINE, "line")
    yield _box(x, y, (_OUTPUT_WIDTH, height), "#f3f4f6", end=True)
    middle = _n(x + _OUTPUT_WIDTH / 2)
    yield f'<g transform="translate({middle} {_n(y)}) rotate(-90)">'
    yield _text(0, 0, "concat")
    yield "</g>"


def _left(column: int) -> float:
    return 0.0 if column == 0 else _INPUT_WIDTH + 64 + (column - 1) * _COLUMN


def _leaves(layout: Layout, place: Place) -> float:
    """Return where a line leaves a place."""
    column, state = place
    return _INPUT_WIDTH if column == 0 and state < 2 else _left(column) + _BLOCK


def _width(layout: Layout) -> float:
    return _left(layout.depth[-1]) + _OUTPUT_WIDTH


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = _n((x0 + x1) / 2)
    return f"M{_n(x0)} {_n(y0)} C{middle} {_n(y0)} {middle} {_n(y1)} {_n(x1)} {_n(y1)}"


def _line(path: str, colour: str, role: str = "", *, dashed: bool = False) -> str:
    extra = (f' class="{role}"' if role else "") + (' stroke-dasharray="3 4"' if dashed else "")
    return f'<path{extra} d="{path}" stroke="{colour}" stroke-width="1.8"/>'


def _box(x: float, y: float, size: tuple[float, float], fill: str, *, end: bool = False) -> str:
    width, height = size
    extra = f' class="end" stroke="{_LINE}"' if end else ""
    return (
        f'<rect{extra} x="{_n(x)}" y="{_n(y - height / 2)}" width="{_n(width)}"'
        f' height="{_n(height)}" rx="7" fill="{fill}"/>'
    )


def _text(
    x: float, y: float, text: str, *, fill: str = "", anchor: str = "middle", style: str = ""
) -> str:
    colour = f'fill="{fill}"' if fill else f'class="ink" fill="{_INK}"'
    baseline = _n(y + 4.5)
    place = f'x="{_n(x)}" y="{baseline}" text-anchor="{anchor}"'
    return f"<text {place} {colour}{' ' + style if style else ''}>{escape(text)}</text>"


def _n(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"
