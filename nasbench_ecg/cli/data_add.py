"""``nasbench-ecg data add`` and ``data remove``: a dataset of any folder of WFDB records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_ecg.cli.console import stdout


def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.toml", help="States name and folder, and what else.")
    ],
) -> None:
    """Add a dataset: a folder of WFDB records that a few lines of TOML describe."""
    from nasbench_ecg.data.add import describe
    from nasbench_ecg.data.added import find, store

    described = describe(file)
    added = described.added
    again = find(added.name) is not None
    _check_free(added.name, again=again)
    path = store(added)
    counts = ", ".join(f"{label} {n:,}" for label, n in described.beats.items() if n)
    _say(f"{'Replaced' if again else 'Added'} the dataset {added.name}: {added.summary}")
    _say(
        f"{len(added.options['records'])} records of {described.persons} persons in "
        f"{added.folder}; annotated beats: {counts or 'none'}"
    )
    _say(f"Its protocols: {', '.join(added.protocols)}. Its description: {path}")
    _say(f"Next: nasbench-ecg run cnn-9 {added.name}")


def remove(
    name: Annotated[str, typer.Argument(help="Name of a dataset that was added.")],
) -> None:
    """Forget a dataset that was added; its records stay."""
    from nasbench_ecg.data.added import find
    from nasbench_ecg.data.added import remove as forget

    added = find(name)
    forget(name)
    _say(
        f"Removed the dataset {name}." + (f" Its records stay in {added.folder}." if added else "")
    )


def _check_free(name: str, *, again: bool) -> None:
    from nasbench_ecg.data.databases import DATABASES
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.registry import load_registry

    taken = [c for c in load_registry().components("dataset") if c.name == name]
    source = "the database of that name" if name in DATABASES else ""
    if taken and not again:
        source = taken[0].source
    if source:
        raise OptionError(
            f"The name {name!r} is taken.", where=source, fix="Choose another in the entry name."
        )


def _say(line: str) -> None:
    stdout().print(line, markup=False, soft_wrap=True)
