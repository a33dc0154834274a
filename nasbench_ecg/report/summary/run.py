"""One run in the terminal: what it found, how good and how costly that is, what to run next."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.box import ROUNDED
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from nasbench_ecg.data.protocols import open_folds, protocol_options
from nasbench_ecg.report.leaderboard.folds import fold_of
from nasbench_ecg.report.leaderboard.published import Published, counterpart, published_for
from nasbench_ecg.report.measures import COSTS, GROSS_SCORES, RANKED_BY, SCORES, SECONDS
from nasbench_ecg.run.option_text import value_text
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.request import DEFAULT_OUT, RunRequest
from nasbench_ecg.run.store import RecordStore, weights_path
from nasbench_ecg.text import difference, duration, percent

_STATUS = {
    "ok": ("✓ ok", "green"),
    "failed": ("✗ failed", "red"),
    "timeout": ("✗ out of time", "red"),
    "oom": ("✗ out of memory", "red"),
    "interrupted": ("– interrupted", "yellow"),
}
_PART_USE = {"train": "train", "validation": "validate", "test": "test"}
_REPEAT_SEEDS = (0, 1, 2)
_UNSEEN_PATIENTS = ("inter-patient", "patient-kfold")
"""Protocols whose test patients are not in the training set, in the order of preference."""
_ERROR_LINES = 6
_WIDTH = 78
MAX_WIDTH = 100


def run_summary(
    record: RunRecord,
    *,
    drawing: str | None,
    out: Path,
    protocols: tuple[str, ...] = (),
) -> RenderableType:
    """Return the summary of one run; it fits 80 columns.

    Args:
        record: The run.
        drawing: The architecture as text, if its search space can draw it.
        out: Folder of results that holds the record.
        protocols: Protocols of the dataset, if it is installed.
    """
    sections: list[list[RenderableType]] = [
        [_settings(record)],
        _architecture(record, drawing),
        _scores(record),
        _gross_scores(record),
        class_tables(record),
        _error(record),
    ]
    shown = [section for section in sections if section]
    body = [part for section in shown for part in [Text(""), *section]][1:]
    status, color = _STATUS[record.status]
    if record.cause:
        status += f": {record.cause}"
    panel = Panel(
        Group(*body),
        box=ROUNDED,
        title=Text(f"{record.strategy} on {record.dataset_name}", style="bold"),
        subtitle=Text(status, style=f"bold {color}"),
        title_align="left",
        subtitle_align="right",
        border_style=color,
    )
    return Group(Constrain(panel, MAX_WIDTH), *_next_steps(record, out, protocols))


# Settings and architecture


def _settings(record: RunRecord) -> Text:
    fold = fold_of(record)
    first = [
        f"protocol {record.protocol}" + (f", fold {fold[0]} of {fold[1]}" if fold else ""),
        f"profile {record.profile}",
        f"seed {record.search_seed}",
        f"on {record.device}",
    ]
    if record.evaluation_seed != record.search_seed:
        first.insert(3, f"training seed {record.evaluation_seed}")
    if "total" in record.seconds:
        first.append(f"took {duration(record.seconds['total'])}")
    lines = [first, [f"builder {record.components['builder'].name}"]]
    if record.split:
        counts = record.split.counts
        lines.append(
            [
                f"{sum(counts[part].values()):,} beats to {use}"
                for part, use in _PART_USE.items()
                if part in counts
            ]
        )
    changed = [
        f"{role}.{name}={value_text(value)}"
        for role, component in record.components.items()
        for name, value in component.changed.items()
    ]
    changed += [f"budget.{name}={value_text(limit)}" for name, limit in record.budget.items()]
    if changed:
        lines.append([f"changed: {', '.join(changed)}"])
    unbroken = (" · ".join(part.replace(" ", "\u00a0") for part in line) for line in lines)
    return Text("\n".join(unbroken), style="dim")


def _architecture(record: RunRecord, drawing: str | None) -> list[RenderableType]:
    if record.architecture is None:
        return []
    parts: list[RenderableType] = [_heading("architecture", record.architecture_hash or "")]
    shown = drawing or json.dumps(record.architecture.get("genotype"), ensure_ascii=False)
    parts.append(Text(shown.rstrip("\n"), style="cyan", overflow="fold"))
    if progress := _search_progress(record):
        parts += [Text(""), progress]
    return parts


def _search_progress(record: RunRecord) -> Text | None:
    """Return the values of the search as one line of bars; None for fewer than two."""
    values = [point["value"] for point in record.trajectory if "value" in point]
    if len(values) < 2:
        return None
    shown = values if len(values) <= 24 else [values[i * len(values) // 24] for i in range(24)]
    low, high = min(values), max(values)
    bars = "".join(
        "▁▂▃▄▅▆▇█"[round(7 * (v - low) / (high - low)) if high > low else 0] for v in shown
    )
    label = ("validation score or objective  ", "dim")
    return Text.assemble(label, (bars, "cyan"), f"  best {high:.4g}")


# Scores and costs


def _scores(record: RunRecord) -> list[RenderableType]:
    if not record.metrics and not record.costs:
        return []
    reference = _reference(record)
    table = small_table("score", "this run", *(["published", "diff."] if reference else []))
    for name, measure in SCORES.items():
        if name not in record.metrics:
            continue
        ours = Text(percent(record.metrics[name]), style="bold" if name == RANKED_BY else "")
        theirs = reference.scores.get(name) if reference else None
        comparison: list[RenderableType] = (
            [] if theirs is None else [percent(theirs), _difference(record.metrics[name], theirs)]
        )
        table.add_row(measure.label, ours, *comparison)
    if record.score is not None and record.score != record.metrics.get(RANKED_BY):
        table.add_row("score, ranks", Text(f"{record.score:.4g}", style="bold"))
    others = [n for n in record.metrics if n not in SCORES and not n.startswith("ec57_")]
    overall = [name for name in others if not _is_of_one_class(name, record)]
    for name in overall:
        table.add_row(name, f"{record.metrics[name]:.4g}")
    notes = []
    if n_of_classes := len(others) - len(overall):
        notes.append(f"The record has {n_of_classes} more scores of single classes.")
    notes += _macro_note(record)
    if reference:
        notes.append(f"published: {reference.label}, {reference.citation}")
    notes += map(str, record.provenance.get("notes", []))
    parts: list[RenderableType] = [Columns([table, _costs(record)], padding=(0, 4))]
    return [*parts, *(Text(note, style="dim") for note in notes)]


def _macro_note(record: RunRecord) -> list[str]:
    """Return which classes macro scores average over, unless it is all of them."""
    if not record.macro_classes or record.macro_classes == record.classes:
        return []
    test = record.split.counts.get("test", {}) if record.split else {}
    left_out = [
        f"{name} ({test[name]:,})"
        for name in record.classes
        if name not in record.macro_classes and test.get(name)
    ]
    if len(record.macro_classes) < 2:
        return [f"no macro scores: all test beats are of the class {record.macro_classes[0]}"]
    note = f"macro: mean over {', '.join(record.macro_classes)}"
    return [f"{note}; without {', '.join(left_out)} test beats" if left_out else note]


def _is_of_one_class(metric: str, record: RunRecord) -> bool:
    """Return whether a metric is of a single class: ``…_se_v``, or EC57's of S and V."""
    return "_ec57_" in metric or metric.rpartition("_")[2] in map(str.lower, record.classes)


def _reference(record: RunRecord) -> Published | None:
    """Return the published scores of the same method, or else those with the best F1."""
    return counterpart(record) or next(
        (published for published in published_for(record) if RANKED_BY in published.scores),
        None,
    )


def _difference(ours: float, theirs: float) -> Text:
    text = difference(ours, theirs)
    return Text(text, style={"+": "green", "−": "yellow"}.get(text[0], ""))


def _costs(record: RunRecord) -> Table:
    table = small_table("cost", "")
    for measures, values in ((COSTS, record.costs), (SECONDS, record.seconds)):
        for name, measure in measures.items():
            if name in values:
                table.add_row(measure.label, measure.show(values[name]))
    return table


def _gross_scores(record: RunRecord) -> list[RenderableType]:
    """Return the gross scores of S and V beside the published ones, for unseen patients."""
    if not record.protocol.startswith("inter-patient"):
        return []
    if not any(name in record.metrics for name in GROSS_SCORES):
        return []
    measures = [*GROSS_SCORES.values(), SCORES["accuracy"], SCORES["macro_se"]]
    table = small_table("EC57 gross scores", *(measure.label for measure in measures))

    def cells(scores: Mapping[str, float], style: str) -> list[Text]:
        shown = (percent(scores[m.name]) if m.name in scores else "" for m in measures)
        return [Text(text, style=style) for text in shown]

    table.add_row("this run", *cells(record.metrics, "bold"))
    for published in published_for(record):
        label = Text(f"{published.label}, published", style="dim")
        table.add_row(label, *cells(published.scores, "dim"))
    return [table]


def class_tables(record: RunRecord) -> list[RenderableType]:
    """Return the scores of each class and the confusion matrix, side by side if they fit."""
    if not record.per_class:
        return []
    table = small_table("class", "beats", "Se", "+P", "Spe", "F1")
    for name in record.classes:
        if name not in record.per_class:
            continue
        row = record.per_class[name]
        scores = (percent(row[key]) if key in row else "–" for key in ("se", "pp", "spe", "f1"))
        table.add_row(Text(name, style="bold"), f"{row['support']:.0f}", *scores)
    if record.confusion is None:
        return [table]
    matrix = small_table("↓ true  as →", *record.classes)
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
    if not record.reason:
        return [Text("The run ended without a result. No leaderboard includes it.")]
    *trace, reason = (re.sub(r'File ".*/([^/"]+/[^/"]+)"', r'File "\1"', line) for line in lines)
    text = Text("\n".join([*trace, ""]), style="dim", overflow="fold")
    return [_heading("error", ""), text.append(reason, style="not dim bold red")]


# What to run next


def _next_steps(record: RunRecord, out: Path, protocols: tuple[str, ...]) -> list[Text]:
    path = RecordStore(out, record.suite).path(record.run_key)
    lines = [Text.assemble(("record ", "dim"), str(path), overflow="fold")]
    if record.status == "oom":
        lines.append(Text("A smaller batch size or a smaller network needs less memory."))
    lines += [_command(*step) for step in _next_commands(record, out, protocols)]
    return lines


def _next_commands(
    record: RunRecord, out: Path, protocols: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Return commands to run next, each after its purpose."""
    key = record.run_key[:8]
    request = RunRequest.from_record(record)

    def repeat(request: RunRequest, seeds: tuple[int, ...] = ()) -> str:
        return request.command(seeds=seeds, out=out, suite=record.suite)

    if record.status != "ok":
        steps = [("try again", repeat(request))]
        if record.error:
            steps.append(("show the full record", command_text("show", key, "--json", out=out)))
        return steps
    steps = [
        ("show this summary again", command_text("show", key, out=out)),
        ("compare with all other runs", command_text("leaderboard", out=out)),
    ]
    if weights_path(record, out).is_file():
        export = command_text("export", key, "-o", "model.pt2", out=out)
        steps.append(("write the network to a file", export))
    several = replace(request, search_seed=0, evaluation_seed=None)
    steps.append(("repeat with three seeds", repeat(several, _REPEAT_SEEDS)))
    apart = next((name for name in _UNSEEN_PATIENTS if name in protocols), None)
    if record.protocol not in (*_UNSEEN_PATIENTS, "inter-patient-strict") and apart:
        overrides = {role: o for role, o in request.overrides.items() if role != "protocol"}
        persons = len({*record.dataset.persons.values()}) if record.dataset else 0
        if apart == "patient-kfold" and 0 < persons < open_folds(protocol_options(apart)()):
            overrides["protocol"] = {"k": persons}
        unseen = replace(request, protocol=apart, overrides=overrides)
        steps.append(("test on unseen patients", repeat(unseen)))
    elif record.profile != "paper":
        published = replace(request, profile="paper")
        steps.append(("run with the published settings", repeat(published)))
    return steps


def command_text(*words: str, out: Path) -> str:
    """Return a command on a folder of results, which is named unless it is the default."""
    where = [] if out == DEFAULT_OUT else ["--out", str(out)]
    return shlex.join(["nasbench-ecg", *words, *where])


def _command(purpose: str, command: str) -> Text:
    """Return a command with its purpose as a shell comment, on the same line if it fits."""
    text = _wrapped(command)
    comment = f"# {purpose}"
    if len(text.splitlines()[-1]) + 2 + len(comment) <= _WIDTH and "\n" not in text:
        return Text.assemble(text, (f"  {comment}", "dim"))
    return Text.assemble((f"{comment}\n", "dim"), text)


def _wrapped(command: str) -> str:
    """Return a shell command on lines joined by backslashes; an option stays with its value."""
    pieces: list[str] = []
    for word in map(shlex.quote, shlex.split(command)):
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1]:
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) > _WIDTH - 4:
            lines.append(piece)
        else:
            lines[-1] += f" {piece}"
    return " \\\n  ".join(lines)


# Layout


def _heading(text: str, detail: str) -> Rule:
    title = Text.assemble((text, "bold"), f"  {detail}" if detail else "")
    return Rule(title, align="left", style="dim", characters="─")


def small_table(*columns: str) -> Table:
    """Return an empty table without lines, whose first column holds names."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table
