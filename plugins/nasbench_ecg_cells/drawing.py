"""Drawings of a genotype as text and as SVG: both cells, with the two operations of each node.

SVG colors are attributes of the elements, so that every SVG viewer shows them; the style sheet only
adapts them to a dark background.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from nasbench_ecg_cells.genotype import Cell, Edge, Genotype
from nasbench_ecg_cells.layout import INPUT_HEIGHT, Layout, Position, layout_cell


def draw_text(genotype: Genotype) -> str:
    """Return both cells as text, side by side, with one line per edge.

    ``in₁`` is the output of the second-to-last cell, ``in₂`` that of the last cell.
    """
    columns = [
        _text_of_cell("normal cell", genotype.normal),
        _text_of_cell("reduction cell", genotype.reduction),
    ]
    width = max(len(line) for line in columns[0]) + 4
    height = max(map(len, columns))
    left, right = (column + [""] * (height - len(column)) for column in columns)
    return "\n".join(f"{a:<{width}}{b}".rstrip() for a, b in zip(left, right, strict=True))


def _text_of_cell(title: str, cell: Cell) -> list[str]:
    names = [_name(state) for state in range(len(cell) + 2)]
    lines = [title]
    for i, node in enumerate(cell):
        for edge, corner, tail in zip(node, "┬╯", (f"─ {names[i + 2]}", ""), strict=True):
            lines.append(f"{names[edge.source]:<3} ─ {edge.operation:<10} ─{corner}{tail}".rstrip())
    lines.append(f"output = [{', '.join(names[2:])}]")
    return lines


def _name(state: int) -> str:
    return f"in{chr(0x2081 + state)}" if state < 2 else f"n{chr(0x2081 + state - 2)}"


BOX = (110.0, 26.0)
"""Width and height of an operation's box."""

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
class _Colors:
    """Colors of an operation: of its box, of the text in it, and of the line to it."""

    box: str
    text: str
    line: str


_COLORS = {
    "conv-3": _Colors("#dbeafe", _INK, "#60a5fa"),
    "conv-5": _Colors("#bfdbfe", _INK, "#60a5fa"),
    "conv-9": _Colors("#93c5fd", _INK, "#60a5fa"),
    "conv-13": _Colors("#60a5fa", _INK, "#60a5fa"),
    "conv-17": _Colors("#2563eb", "#ffffff", "#60a5fa"),
    "conv-27": _Colors("#1e40af", "#ffffff", "#60a5fa"),
    "max-pool-3": _Colors("#a7f3d0", _INK, "#34d399"),
    "max-pool-5": _Colors("#34d399", _INK, "#34d399"),
    "skip": _Colors("#fde68a", _INK, "#f59e0b"),
    "none": _Colors("#e5e7eb", _INK, "#d1d5db"),
}


def draw_svg(genotype: Genotype) -> str:
    """Return both cells as one SVG document; equal genotypes give equal text.

    ``in₁`` is the output of the second-to-last cell, ``in₂`` that of the last cell; the output is
    the concatenation of the nodes. ``↓2`` marks operations of stride 2. Darker blue is a larger
    kernel.
    """
    cells = (
        ("normal cell", genotype.normal, False),
        ("reduction cell", genotype.reduction, True),
    )
    layouts = [layout_cell(cell) for _, cell, _ in cells]
    width = max(_width(layout) for layout in layouts) + 2 * _MARGIN
    parts: list[str] = []
    top = _MARGIN
    for (title, _, reduction), layout in zip(cells, layouts, strict=True):
        group = f'<g transform="translate({_n(_MARGIN)} {_n(top)})">'
        parts += [group, *_cell(title, layout, reduction=reduction), "</g>"]
        top += _TITLE + layout.height + _BETWEEN
    height = top - _BETWEEN + _MARGIN
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" class="nasbench-ecg-cell"'
            ' font-family="system-ui, Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif"'
            ' font-size="13" fill="none">',
            "<title>Normal and reduction cell</title>",
            f"<desc>{escape(_description(genotype))}</desc>",
            f"<style>@media (prefers-color-scheme:dark){{{_scoped(_DARK)}}}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def _scoped(rules: str) -> str:
    """Return CSS rules that apply inside the drawing only."""
    return "".join(f".nasbench-ecg-cell {rule}}}" for rule in rules.split("}") if rule)


def _description(genotype: Genotype) -> str:
    return "; ".join(
        f"{name} cell: "
        + ", ".join(
            f"{_name(i + 2)} = " + " + ".join(f"{e.operation}({_name(e.source)})" for e in node)
            for i, node in enumerate(cell)
        )
        for name, cell in (("normal", genotype.normal), ("reduction", genotype.reduction))
    )


def _cell(title: str, layout: Layout, *, reduction: bool) -> Iterator[str]:
    yield _text(0, 12, title, anchor="start", style='font-weight="600" font-size="15"')
    yield f'<g transform="translate(0 {_n(_TITLE)})">'
    yield from _passing_lines(layout)
    for index, node in enumerate(layout.cell):
        yield from _node(layout, index + 2, node, reduction=reduction)
    for state in (0, 1):
        yield from _input(layout, state)
    yield from _output(layout)
    yield "</g>"


def _passing_lines(layout: Layout) -> Iterator[str]:
    """Yield the segments of the lines that lead to a later column, each once."""
    output = len(layout.cell) + 2
    drawn: set[tuple[Position, Position]] = set()
    ends = [(e.source, i + 2) for i, node in enumerate(layout.cell) for e in node]
    ends += [(state, output) for state in range(2, output)]
    for source, target in ends:
        for here, there in pairwise(layout.route(source, target)):
            if (here, there) in drawn:
                continue
            drawn.add((here, there))
            y, y_next = layout.y[here], layout.y[there]
            x, x_next = _right_edge(here), _left_edge(there[0])
            path = f"{_curve(x, y, x_next, y_next)} H{_n(x_next + _BLOCK)}"
            yield _line(path, _LINE, "line")


def _node(layout: Layout, state: int, node: tuple[Edge, Edge], *, reduction: bool) -> Iterator[str]:
    column = layout.depth[state]
    x, y = _left_edge(column), layout.y[column, state]
    center = x + _BLOCK - _RADIUS
    edges = sorted(node, key=lambda edge: layout.y[layout.route(edge.source, state)[-1]])
    for edge, side in zip(edges, (-1, 1), strict=True):
        colors = _COLORS[edge.operation]
        port = y + side * _PORT
        before = layout.route(edge.source, state)[-1]
        line = _curve(_right_edge(before), layout.y[before], x, port)
        dashed = edge.operation == "none"
        yield _line(line, colors.line, dashed=dashed)
        yield _line(_curve(x + BOX[0], port, center, y), colors.line, dashed=dashed)
        label = edge.operation + (" ↓2" if reduction and edge.source < 2 else "")
        yield _box(x, port, BOX, colors.box)
        yield _text(x + BOX[0] / 2, port, label, fill=colors.text)
    yield (
        f'<circle class="node" cx="{_n(center)}" cy="{_n(y)}" r="{_n(_RADIUS)}"'
        f' fill="{_PAPER}" stroke="{_INK}" stroke-width="1.5"/>'
    )
    yield _text(center, y, _name(state))


def _input(layout: Layout, state: int) -> Iterator[str]:
    y = layout.y[0, state]
    used = any(edge.source == state for node in layout.cell for edge in node)
    yield f'<g opacity="{1 if used else 0.4}">'
    yield _box(0, y, (_INPUT_WIDTH, INPUT_HEIGHT), "#f3f4f6", end=True)
    yield _text(_INPUT_WIDTH / 2, y, _name(state))
    yield "</g>"


def _output(layout: Layout) -> Iterator[str]:
    """Yield the output bar and the last segments of the lines to it."""
    output = len(layout.cell) + 2
    column = layout.depth[output]
    x, y = _left_edge(column), layout.y[column, output]
    pitch = 22.0
    height = max(76.0, pitch * (len(layout.output_order) + 0.6))
    for place, state in enumerate(layout.output_order):
        port = y + pitch * (place - (len(layout.output_order) - 1) / 2)
        before = column - 1, state
        path = _curve(_right_edge(before), layout.y[before], x, port)
        yield _line(path, _LINE, "line")
    yield _box(x, y, (_OUTPUT_WIDTH, height), "#f3f4f6", end=True)
    middle = _n(x + _OUTPUT_WIDTH / 2)
    yield f'<g transform="translate({middle} {_n(y)}) rotate(-90)">'
    yield _text(0, 0, "concat")
    yield "</g>"


def _left_edge(column: int) -> float:
    """Return the x coordinate at which a column starts."""
    return 0.0 if column == 0 else _INPUT_WIDTH + 64 + (column - 1) * _COLUMN


def _right_edge(place: Position) -> float:
    """Return the x coordinate at which lines leave a position."""
    column, state = place
    return _INPUT_WIDTH if column == 0 and state < 2 else _left_edge(column) + _BLOCK


def _width(layout: Layout) -> float:
    return _left_edge(layout.depth[-1]) + _OUTPUT_WIDTH


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = _n((x0 + x1) / 2)
    return f"M{_n(x0)} {_n(y0)} C{middle} {_n(y0)} {middle} {_n(y1)} {_n(x1)} {_n(y1)}"


def _line(path: str, color: str, role: str = "", *, dashed: bool = False) -> str:
    extra = (f' class="{role}"' if role else "") + (' stroke-dasharray="3 4"' if dashed else "")
    return f'<path{extra} d="{path}" stroke="{color}" stroke-width="1.8"/>'


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
    color = f'fill="{fill}"' if fill else f'class="ink" fill="{_INK}"'
    baseline = _n(y + 4.5)
    place = f'x="{_n(x)}" y="{baseline}" text-anchor="{anchor}"'
    return f"<text {place} {color}{' ' + style if style else ''}>{escape(text)}</text>"


def _n(value: float) -> str:
    """Return a coordinate as text with at most one decimal."""
    return f"{round(value, 1) + 0.0:g}"
