"""One run in the terminal: what was found, how good it is, what it cost, what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.box import ROUNDED
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from nasbench_ecg.plugin.specs import ComponentSpec
from nasbench_ecg.report.advice import repeat, shell_text, show, ways_on
from nasbench_ecg.report.published import Published, counterpart, figures
from nasbench_ecg.report.text import amount, difference, duration, milliseconds, percent, value_text
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.store import RecordStore

_STATUS = {
    "ok": ("✓ ok", "green"),
    "failed": ("✗ failed", "red"),
    "timeout": ("✗ out of time", "red"),
    "oom": ("✗ out of memory", "red"),
    "interrupted": ("– interrupted", "yellow"),
}
_OVERALL = (
    ("accuracy", "accuracy"),
    ("macro_se", "macro Se"),
    ("macro_pp", "macro +P"),
    ("f1_of_macro", "F1 of macros"),
    ("macro_f1", "macro F1"),
)
_EC57 = (("ec57_s_se", "S Se"), ("ec57_s_pp", "S +P"), ("ec57_v_se", "V Se"), ("ec57_v_pp", "V +P"))
_COSTS = (
    ("parameters", "parameters", amount),
    ("macs", "MACs a beat", amount),
    ("latency_1_ms", "latency, 1 beat", milliseconds),
    ("latency_256_ms", "latency, 256", milliseconds),
    ("peak_memory_mb", "peak memory", lambda mb: f"{mb:,.0f} MB"),
)
_SECONDS = (("load", "loading"), ("search", "search"), ("evaluation", "training"))
_USE = {"train": "train", "validation": "validate", "test": "test"}
_ERROR_LINES = 6
_WIDTH = 78
_WIDEST = 100


def run_summary(
    record: RunRecord,
    *,
    drawing: str | None,
    out: Path,
    specs: Mapping[str, ComponentSpec] | None = None,
) -> RenderableType:
    """Return what a user sees of one run; it fits 80 columns.

    Args:
        record: The run.
        drawing: The architecture as text, as its search space draws it, if it does.
        out: Folder of all results, in which the record lies.
        specs: Specs of the strategy and the dataset by role, as far as they are installed; commands
            are shorter and fit the dataset with them.
    """
    sections: list[list[RenderableType]] = [
        [_facts(record)],
        _found(record, drawing),
        _scores(record),
        _between_patients(record),
        _classes(record),
        _error(record),
    ]
    shown = [section for section in sections if section]
    body = [part for section in shown for part in [Text(""), *section]][1:]
    status, colour = _STATUS[record.status]
    panel = Panel(
        Group(*body),
        box=ROUNDED,
        title=Text(f"{record.strategy} on {record.dataset_name}", style="bold"),
        subtitle=Text(status, style=f"bold {colour}"),
        title_align="left",
        subtitle_align="right",
        border_style=colour,
    )
    return Group(Constrain(panel, _WIDEST), *_next(record, out, specs or {}))


def _facts(record: RunRecord) -> Text:
    facts = [
        f"protocol {record.protocol}",
        f"profile {record.profile}",
        f"seed {record.search_seed}",
        f"on {record.device}",
    ]
    if "total" in record.seconds:
        facts.append(f"took {duration(record.seconds['total'])}")
    lines = [facts, [f"builder {record.components['builder'].name}"]]
    if record.split:
        counts = record.split.counts
        parts = [part for part in ("train", "validation", "test") if part in counts]
        lines.append([f"{sum(counts[part].values()):,} beats to {_USE[part]}" for part in parts])
    changed = [
        f"{role}.{name}={value_text(value)}"
        for role, component in record.components.items()
        for name, value in component.changed.items()
    ]
    changed += [f"budget.{name}={value_text(limit)}" for name, limit in record.budget.items()]
    if changed:
        lines.append([f"changed: {', '.join(changed)}"])
    kept_together = (" · ".join(part.replace(" ", "\u00a0") for part in line) for line in lines)
    return Text("\n".join(kept_together), style="dim")


def _found(record: RunRecord, drawing: str | None) -> list[RenderableType]:
    if record.architecture is None:
        return []
    heading = _heading("architecture found", record.architecture_hash or "")
    parts: list[RenderableType] = [heading]
    if drawing:
        parts.append(Text(drawing.rstrip("\n"), style="cyan", overflow="fold"))
    if curve := _trajectory(record):
        parts += [Text(""), curve] if drawing else [curve]
    return parts


def _trajectory(record: RunRecord) -> Text | None:
    """Return the validation score over the search as one line of bars."""
    values = [point["value"] for point in record.trajectory if "value" in point]
    if len(values) < 2:
        return None
    kept = values if len(values) <= 24 else [values[i * len(values) // 24] for i in range(24)]
    low, high = min(values), max(values)
    bars = "".join(
        "▁▂▃▄▅▆▇█"[round(7 * (v - low) / (high - low)) if high > low else 0] for v in kept
    )
    return Text.assemble(("what the search went by  ", "dim"), (bars, "cyan"), f"  best {high:.4g}")


def _of_one_class(metric: str, record: RunRecord) -> bool:
    """Whether a metric's name is that of a single class: ``…_se_v``, or EC57's of S and V."""
    return "_ec57_" in metric or metric.rpartition("_")[2] in map(str.lower, record.classes)


def _scores(record: RunRecord) -> list[RenderableType]:
    if not record.metrics and not record.costs:
        return []
    reference = _reference(record)
    known = dict(_OVERALL)
    names = [name for name in known if name in record.metrics]
    others = [n for n in record.metrics if n not in known and not n.startswith("ec57_")]
    own = [n for n in others if not _of_one_class(n, record)]
    table = _grid("score", "this run", *(["published", "diff."] if reference else []))
    for name in names:
        style = "bold" if name == "f1_of_macro" else ""
        theirs = reference.scores.get(name) if reference else None
        cells: list[RenderableType] = (
            [] if theirs is None else [percent(theirs), _diff(record.metrics[name], theirs)]
        )
        table.add_row(known[name], Text(percent(record.metrics[name]), style=style), *cells)
    for name in own:
        table.add_row(name, f"{record.metrics[name]:.4g}")
    notes = []
    if by_class := len(others) - len(own):
        notes.append(f"{by_class} more, of single classes, are in the record")
    if record.macro_classes and record.macro_classes != record.classes:
        notes.append(f"macro: mean over {', '.join(record.macro_classes)}")
    if reference:
        notes.append(f"published: {reference.label}, {reference.citation}")
    parts: list[RenderableType] = [Columns([table, _costs(record)], padding=(0, 4))]
    return [*parts, *(Text(note, style="dim") for note in notes)]


def _reference(record: RunRecord) -> Published | None:
    """Return the figure of the same method, or else the best one with the same scores."""
    return counterpart(record) or next(
        (
            figure
            for figure in figures(record.dataset_name, record.protocol)
            if "f1_of_macro" in figure.scores
        ),
        None,
    )


def _diff(ours: float, theirs: float) -> Text:
    text = difference(ours, theirs)
    return Text(text, style={"+": "green", "−": "yellow"}.get(text[0], ""))


def _costs(record: RunRecord) -> Table:
    table = _grid("cost", "")
    for name, label, told in _COSTS:
        if name in record.costs:
            table.add_row(label, told(record.costs[name]))
    for name, label in _SECONDS:
        if name in record.seconds:
            table.add_row(label, duration(record.seconds[name]))
    return table


def _between_patients(record: RunRecord) -> list[RenderableType]:
    """Return the gross scores of S and V beside those published."""
    if not record.protocol.startswith("inter-patient"):
        return []
    ours = {name: record.metrics[name] for name, _ in _EC57 if name in record.metrics}
    if not ours:
        return []
    table = _grid("EC57 gross scores", *(label for _, label in _EC57), "accuracy", "macro Se")
    names = [*(name for name, _ in _EC57), "accuracy", "macro_se"]

    def cells(scores: Mapping[str, float], style: str) -> Iterable[Text]:
        return (Text(percent(scores[n]) if n in scores else "", style=style) for n in names)

    table.add_row("this run", *cells(record.metrics, "bold"))
    for figure in figures(record.dataset_name, record.protocol):
        label = Text(f"{figure.label}, published", style="dim")
        table.add_row(label, *cells(figure.scores, "dim"))
    return [table]


def _classes(record: RunRecord) -> list[RenderableType]:
    """Return the scores of each class, and the confusion matrix beside or below."""
    if not record.per_class:
        return []
    names = [name for name in record.classes if name in record.per_class]
    table = _grid("class", "beats", "Se", "+P", "Spe", "F1")
    for name in names:
        row = record.per_class[name]
        figures_of_class = (
            percent(row[key]) if key in row else "–" for key in ("se", "pp", "spe", "f1")
        )
        table.add_row(Text(name, style="bold"), f"{row['support']:.0f}", *figures_of_class)
    if record.confusion is None:
        return [table]
    matrix = _grid("↓ true  as →", *record.classes)
    for i, (name, counts) in enumerate(zip(record.classes, record.confusion, strict=True)):
        cells = (
            Text(str(n), style="bold" if i == j else "" if n else "dim")
            for j, n in enumerate(counts)
        )
        matrix.add_row(Text(name, style="bold"), *cells)
    return [Columns([table, matrix], padding=(0, 3))]


def _error(record: RunRecord) -> list[RenderableType]:
    if record.status == "ok":
        return []
    lines = (record.error or "").rstrip().splitlines()[-_ERROR_LINES:]
    if record.status == "interrupted" or not lines:
        return [Text("It ended before there was a result; nothing of it enters a leaderboard.")]
    *steps, reason = (re.sub(r'File ".*/([^/"]+/[^/"]+)"', r'File "\1"', line) for line in lines)
    text = Text("\n".join([*steps, ""]), style="dim", overflow="fold")
    return [_heading("what happened", ""), text.append(reason, style="not dim bold red")]


def _next(record: RunRecord, out: Path, specs: Mapping[str, ComponentSpec]) -> list[Text]:
    path = RecordStore(out, record.suite).path(record.run_key)
    lines = [Text.assemble(("record ", "dim"), str(path), overflow="fold")]
    if record.status == "ok":
        commands = ways_on(record, out, specs)
    else:
        commands = [("to go on", repeat(record, out, specs))]
        if record.error:
            commands.append(("all that is known of it", show(record, out, "--json")))
        if record.status == "oom":
            lines.append(Text("A smaller batch or network needs less memory."))
    lines += [_command(purpose, words) for purpose, words in commands]
    return lines


def _command(purpose: str, words: list[str]) -> Text:
    """Return a command with its purpose as a shell's comment, behind it or above."""
    command = shell_text(words)
    comment = f"# {purpose}"
    if len(command.splitlines()[-1]) + 2 + len(comment) <= _WIDTH:
        return Text.assemble(command, (f"  {comment}", "dim"))
    return Text.assemble((f"{comment}\n", "dim"), command)


def _heading(text: str, detail: str) -> Rule:
    title = Text.assemble((text, "bold"), f"  {detail}" if detail else "")
    return Rule(title, align="left", style="dim", characters="─")


def _grid(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table
