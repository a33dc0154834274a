"""``nasbench-ecg cache``: what is cached, and how to delete it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout, table
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import JsonOption

if TYPE_CHECKING:
    from nasbench_ecg.data.cache import CacheEntry

app = Verbs(help="Show or delete cached beats and generated records.", no_args_is_help=True)

_Datasets = Annotated[
    list[str] | None,
    typer.Argument(metavar="DATASET", help="Only these datasets. Default: all."),
]


@app.command("info")
def info(
    datasets: _Datasets = None,
    as_json: JsonOption = False,
) -> None:
    """List cached beats and generated records, with their sizes; check the beats' digests."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.physionet.catalog import describe_size

    source = LocalSource()
    entries = _chosen(datasets)
    if as_json:
        print_json({"folder": str(source.cache), "entries": [_as_json(entry) for entry in entries]})
        return
    if entries:
        listed = table("dataset", "content", "beats", "size", "made", "folder")
        for entry in entries:
            listed.add_row(
                entry.dataset,
                f"{entry.kind}, damaged" if entry.damaged else entry.kind,
                "" if entry.n_beats is None else f"{entry.n_beats:,}",
                describe_size(entry.n_bytes),
                datetime.fromtimestamp(entry.made).strftime("%Y-%m-%d %H:%M"),
                entry.path.name,
            )
        stdout().print(listed)
    total = describe_size(sum(entry.n_bytes for entry in entries))
    stderr().print(f"{_count(entries)} in {source.cache}, {total}.")


@app.command("clear")
def clear(
    datasets: _Datasets = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")
    ] = False,
) -> None:
    """Delete cached beats and generated records; runs make them again. Downloads are kept."""
    from nasbench_ecg.data.cache import remove_entries
    from nasbench_ecg.physionet.catalog import describe_size

    entries = _chosen(datasets)
    if not dry_run:
        remove_entries(entries)
    total = describe_size(sum(entry.n_bytes for entry in entries))
    verb = "Would delete" if dry_run else "Deleted"
    stderr().print(f"{verb} {_count(entries)}, {total}.")


def _chosen(datasets: list[str] | None) -> list[CacheEntry]:
    """Return the entries of some datasets, or all.

    Raises:
        OptionError: A dataset has no entry.
    """
    from nasbench_ecg.data.cache import cache_entries
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import OptionError, nearest

    entries = cache_entries(LocalSource())
    known = {entry.dataset for entry in entries}
    for name in datasets or ():
        if name not in known:
            raise OptionError(f"Nothing is cached of {name!r}.", fix=nearest(name, known))
    return [entry for entry in entries if not datasets or entry.dataset in datasets]


def _as_json(entry: CacheEntry) -> dict[str, object]:
    return {
        "dataset": entry.dataset,
        "kind": entry.kind,
        "path": str(entry.path),
        "beats": entry.n_beats,
        "bytes": entry.n_bytes,
        "damaged": entry.damaged,
    }


def _count(entries: list[CacheEntry]) -> str:
    return f"{len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
