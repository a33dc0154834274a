"""All folds of one method and seed in the terminal: their scores, and those of all beats."""

from __future__ import annotations

from pathlib import Path

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.panel import Panel
from rich.text import Text

from nasbench_ecg.report.leaderboard.folds import FoldSet, fold_spread
from nasbench_ecg.report.leaderboard.types import FoldSpread
from nasbench_ecg.report.measures import SCORES
from nasbench_ecg.report.summary.run import MAX_WIDTH, class_tables, command_text, small_table
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.text import percent


def fold_summary(folds: FoldSet, out: Path) -> RenderableType:
    """Return the summary of a set of folds; it fits 80 columns.

    Args:
        folds: The folds.
        out: Folder of results that holds their records.
    """
    pooled = folds.pooled
    body: list[RenderableType] = [_settings(folds), Text(""), _scores(folds), *_notes(folds)]
    if tables := class_tables(pooled):
        body += [Text(""), *tables]
    panel = Panel(
        Group(*body),
        box=ROUNDED,
        title=Text(f"{pooled.strategy} on {pooled.dataset_name}, {folds.k} folds", style="bold"),
        title_align="left",
        border_style="yellow" if folds.missing else "green",
    )
    words = command_text("leaderboard", out=out)
    command = Text.assemble(words, ("  # compare with all other runs", "dim"))
    return Group(Constrain(panel, MAX_WIDTH), command)


def _settings(folds: FoldSet) -> Text:
    pooled = folds.pooled
    parts = [f"protocol {pooled.protocol}", f"profile {pooled.profile}"]
    parts += [f"seed {pooled.search_seed}", f"on {pooled.device}"]
    return Text(" · ".join(parts), style="dim")


def _scores(folds: FoldSet) -> RenderableType:
    spread = fold_spread(folds.finished.values())
    names = [name for name in SCORES if name in spread or name in folds.pooled.metrics]
    table = small_table("test part", "beats", *(SCORES[name].label for name in names), "record")

    def add(
        label: str, beats: int | None, cells: list[str], key: str = "", style: str = ""
    ) -> None:
        shown = "" if beats is None else f"{beats:,}"
        table.add_row(Text(label, style=style), shown, *(Text(c, style=style) for c in cells), key)

    for fold, run in folds.runs.items():
        cells = [percent(run.metrics[n]) if n in run.metrics else "" for n in names]
        add(f"fold {fold}", _test_beats(run), cells, run.run_key[:8])
    add("mean", None, [percent(spread[n].mean) if n in spread else "" for n in names])
    add("± sd", None, [_sd(spread.get(n)) for n in names])
    if not folds.missing:
        metrics = folds.pooled.metrics
        pooled = [percent(metrics[n]) if n in metrics else "" for n in names]
        add("all folds", _test_beats(folds.pooled), pooled, style="bold")
    return table


def _sd(spread: FoldSpread | None) -> str:
    return "" if spread is None or spread.sd is None else percent(spread.sd)


def _test_beats(run: RunRecord) -> int | None:
    return sum(run.split.counts.get("test", {}).values()) if run.split else None


def _notes(folds: FoldSet) -> list[RenderableType]:
    if folds.missing:
        missing = ", ".join(map(str, folds.missing))
        text = f"incomplete: no result of fold {missing}; the same command runs what is missing"
        return [Text(text, style="yellow")]
    notes = []
    if folds.pooled.confusion is not None:
        notes.append("all folds: scores of the summed confusion matrix, which rank on leaderboards")
    if folds.pooled.macro_classes:
        notes.append(f"macro, all folds: mean over {', '.join(folds.pooled.macro_classes)}")
    differing = {tuple(run.macro_classes) for run in folds.runs.values()}
    if differing != {tuple(folds.pooled.macro_classes)}:
        notes.append("macro, single folds: means over the classes with enough beats there")
    return [Text(note, style="dim") for note in notes]
