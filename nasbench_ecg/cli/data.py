"""``nasbench-ecg data``: list, fetch, verify, describe and add ECG records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli import data_contents
from nasbench_ecg.cli.console import RichProgress, print_text, stdout, styled, table
from nasbench_ecg.cli.data_contents import (
    RecordsOption,
    database_folder,
    parse_records,
    say,
)
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import LocalDataOption
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    from nasbench_ecg.plugin.registry import Registry

app = Verbs(
    help="List, fetch, verify, describe and add ECG records.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _complete(incomplete: str) -> list[str]:
    from nasbench_ecg.physionet.catalog import DATABASES

    return [name for name in DATABASES if name.startswith(incomplete)]


Database = Annotated[
    str,
    typer.Argument(
        metavar="DB",
        help="Name of a database ('nasbench-ecg data list').",
        autocompletion=_complete,
    ),
]


@app.command("list")
def list_databases(data: LocalDataOption = None) -> None:
    """List the databases that can be fetched, with their licenses, datasets and locations."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    source, datasets = LocalSource(data), _datasets_by_database(load_registry())
    listed = table("database", "", "records", "size", "location")
    for column in listed.columns[2:4]:
        column.justify, column.no_wrap = "right", True
    for name, database in DATABASES.items():
        try:
            location = styled(str(source.folder(name)))
        except MissingDataError:
            location = styled(("not fetched", "dim"))
        details = ", ".join([database.license, *datasets.get(name, [])])
        listed.add_row(
            styled((name, "bold")),
            styled(f"{database.title}\n", (details, "dim")),
            str(database.n_records),
            f"{database.size_mb:.0f} MB",
            location,
        )
    stdout().print(listed)


@app.command()
def fetch(
    database: Database,
    records: RecordsOption = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder of databases, for later use with --data. Default: the cache.",
        ),
    ] = None,
) -> None:
    """Fetch the missing files of a database from PhysioNet."""
    from contextlib import suppress

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import describe_size, estimate_bytes, find_database
    from nasbench_ecg.physionet.fetch import fetch as fetch_database
    from nasbench_ecg.physionet.fetch import server

    known = find_database(database)
    names = parse_records(records)
    folder = LocalSource().download_folder(database)
    if to is not None:
        folder = to if to.name == database else to / database
    else:
        with suppress(MissingDataError):
            if (used := LocalSource().folder(database)) != folder:
                say(f"{used} has this database, and is what runs use; this makes a copy.")
    n_records = known.n_records if names is None else len(names)
    size = estimate_bytes(database, [".dat"] * n_records) or 0
    say(
        f"{known.title} {known.version}: {counted(n_records, 'record')}, "
        f"about {describe_size(size)}"
    )
    say(f"from {server()} into {folder}")
    done = fetch_database(database, folder, records=names, progress=RichProgress())
    say(
        f"{counted(done.n_fetched, 'file')} fetched ({describe_size(done.n_bytes)}), "
        f"{done.n_present} were already complete; all have the published SHA-256."
    )
    say(f"License: {known.license}.\nPlease cite: {known.citation}")


@app.command()
def verify(database: Database, data: LocalDataOption = None, records: RecordsOption = None) -> None:
    """List every problem of the files of a database; exit status 1 if there is any."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.data.user_datasets import find_user_dataset
    from nasbench_ecg.physionet.catalog import record_names
    from nasbench_ecg.physionet.verify import verify as verify_database

    folder = database_folder(database, LocalSource(data))
    names, annotations = parse_records(records), "atr"
    if (added := find_user_dataset(database)) is not None:
        names = list(added.options["records"]) if names is None else names
        annotations = added.options["annotations"]
    problems = list(
        verify_database(
            folder, database, records=names, annotations=annotations, progress=RichProgress()
        )
    )
    n_records = len(record_names(folder) if names is None else names)
    if not problems:
        say(f"{database}: no problems in {counted(n_records, 'record')} in {folder}")
        return
    listed = table("file", "problem")
    for problem in problems:
        listed.add_row(problem.file, problem.problem)
    stdout().print(listed)
    say(
        f"{database}: {counted(len(problems), 'problem')} in {counted(n_records, 'record')} "
        f"in {folder}"
    )
    raise typer.Exit(1)


app.command()(data_contents.info)
app.command()(data_contents.features)


@app.command()
def path(
    database: Annotated[
        str | None, typer.Argument(metavar="DB", help="Name of a database.")
    ] = None,
) -> None:
    """Print the folder of a database, or the folder of all fetched databases."""
    from nasbench_ecg.data.source import LocalSource

    source = LocalSource()
    folder = database_folder(database, source) if database else source.download_folder("db").parent
    print_text(str(folder))


def _datasets_by_database(registry: Registry) -> dict[str, list[str]]:
    """Return the names of the datasets that use each database; broken datasets are skipped."""
    from nasbench_ecg.data.declarations import requirements_of
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.options import resolve

    datasets: dict[str, list[str]] = {}
    for component in registry.components("dataset"):
        try:
            model = component.options_model()
            dataset = component.create(resolve(model, component=component.name))
            needed = {requirement.database for requirement in requirements_of(dataset)}
        except NasbenchError:
            continue
        for database in needed:
            datasets.setdefault(database, []).append(component.name)
    return datasets


@app.command()
def add(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.toml", help="Its name, folder and optional entries."),
    ],
) -> None:
    """Add a dataset: a folder of WFDB records, described in a TOML file."""
    from nasbench_ecg.data.protocols import open_folds, protocol_options
    from nasbench_ecg.data.user_datasets import find_user_dataset, store_user_dataset
    from nasbench_ecg.data.wfdb_folder import describe
    from nasbench_ecg.signal.aami import describe_symbols, symbol_map

    described = describe(file)
    dataset = described.dataset
    replaces = find_user_dataset(dataset.name) is not None
    _check_name(dataset.name, replaces=replaces)
    path = store_user_dataset(dataset)
    counts = ", ".join(f"{label} {n:,}" for label, n in described.beats.items() if n)
    say(f"{'Replaced' if replaces else 'Added'} the dataset {dataset.name}: {dataset.summary}")
    say(
        f"{counted(len(dataset.options['records']), 'record')} of "
        f"{counted(described.n_subjects, 'subject')} with beats in {dataset.folder}; "
        f"annotated beats: {counts or 'none'}"
    )
    classes = symbol_map(dataset.options["symbols"])
    say(f"Annotations: {describe_symbols(described.symbols, classes)}")
    for note in described.notes:
        say(note)
    say(f"Protocols: {', '.join(dataset.protocols)}. Description: {path}")
    command = f"nasbench-ecg run cnn-9 {dataset.name}"
    say(f"Next: {command}")
    if "patient-kfold" in dataset.protocols:
        k = open_folds(protocol_options("patient-kfold")())
        few = f" --set protocol.k={described.n_subjects}" if described.n_subjects < k else ""
        say(f"Tested on other subjects: {command} --protocol patient-kfold{few}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of an added dataset.")],
) -> None:
    """Remove an added dataset; its records are kept."""
    from nasbench_ecg.data.user_datasets import find_user_dataset, remove_user_dataset

    dataset = find_user_dataset(name)
    remove_user_dataset(name)
    kept = f" Its records are kept in {dataset.folder}." if dataset else ""
    say(f"Removed the dataset {name}.{kept}")


def _check_name(name: str, *, replaces: bool) -> None:
    """Raise an OptionError if a database or another component has this name."""
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    owners = [c for c in load_registry().components() if c.name == name]
    owner = f"database {name}" if name in DATABASES else ""
    others = [c for c in owners if c.kind != "dataset" or not replaces]
    if others:
        owner = f"{others[0].kind} of {others[0].source}"
    if owner:
        raise OptionError(
            f"The name {name!r} is already used.",
            where=owner,
            fix="Choose another name in the entry name.",
        )
