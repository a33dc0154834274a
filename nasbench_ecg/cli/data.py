"""``nasbench-ecg data``: which records are here, fetch them, verify them, tell what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli import data_features
from nasbench_ecg.cli.console import RichProgress, stderr, stdout, table

if TYPE_CHECKING:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.signal.summary import RecordSummary

app = typer.Typer(
    help="List, fetch, verify, describe and add ECG records.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("features")(data_features.features)


def _complete(incomplete: str) -> list[str]:
    from nasbench_ecg.physionet.catalog import DATABASES

    return [name for name in DATABASES if name.startswith(incomplete)]


Database = Annotated[
    str, typer.Argument(metavar="DB", help="Name of a database.", autocompletion=_complete)
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Folder that holds databases.")
]
Records = Annotated[
    str | None,
    typer.Option("--records", metavar="A,B,...", help="Only these records, parted by commas."),
]


@app.command("list")
def list_databases(data: Data = None) -> None:
    """List the databases that can be fetched, where they lie, their licence and their datasets."""
    from rich.markup import escape

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    source, users = LocalSource(data), _users(load_registry())
    listed = table("database", "", "records", "size", "lies in")
    for column in listed.columns[2:4]:
        column.justify, column.no_wrap = "right", True
    for name, database in DATABASES.items():
        try:
            place = escape(str(source.folder(name)))
        except MissingDataError:
            place = "[dim]not here[/]"
        details = ", ".join([database.licence, *users.get(name, [])])
        listed.add_row(
            f"[bold]{name}[/]",
            f"{database.title}\n[dim]{escape(details)}[/]",
            str(database.n_records),
            f"{database.size_mb:.0f} MB",
            place,
        )
    stdout().print(listed)


@app.command()
def fetch(
    database: Database,
    records: Records = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder of databases, later named by --data; the cache if not given.",
        ),
    ] = None,
) -> None:
    """Fetch a database from PhysioNet, or what is missing of it."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.physionet import fetch as download
    from nasbench_ecg.physionet.catalog import describe_size, estimate_bytes, find_database

    known = find_database(database)
    names = _names(records)
    folder = LocalSource().download_folder(database)
    if to is not None:
        folder = to if to.name == database else to / database
    n_records = known.n_records if names is None else len(names)
    size = estimate_bytes(database, [".dat"] * n_records) or 0
    _say(f"{known.title} {known.version}: {n_records} records, about {describe_size(size)}")
    _say(f"from {download.server()} into {folder}")
    done = download.fetch(database, folder, records=names, progress=RichProgress())
    _say(
        f"{done.n_fetched} files fetched ({describe_size(done.n_bytes)}), "
        f"{done.n_kept} were here already; all have the published SHA-256."
    )
    _say(f"Licence: {known.licence}.\nPlease cite: {known.citation}")


@app.command()
def verify(database: Database, data: Data = None, records: Records = None) -> None:
    """List everything that is wrong with a database's files; exit status 1 if anything is."""
    from rich.markup import escape

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.physionet import fetch as download
    from nasbench_ecg.physionet.catalog import record_names

    folder = _folder(database, LocalSource(data))
    names = _names(records)
    progress = RichProgress()
    problems = list(download.verify(folder, database, records=names, progress=progress))
    n_records = len(record_names(folder) if names is None else names)
    if not problems:
        _say(f"{database}: no problem in {n_records} records in {folder}")
        return
    listed = table("file", "problem")
    for problem in problems:
        listed.add_row(escape(problem.file), escape(problem.problem))
    stdout().print(listed)
    _say(f"{database}: {len(problems)} problems in {n_records} records in {folder}")
    raise typer.Exit(1)


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(metavar="DB|DATASET", help="Name of a database or of a dataset.")
    ],
    data: Data = None,
) -> None:
    """Show what a database's records hold, or the beats of a dataset."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    source = LocalSource(data)
    registry = load_registry()
    datasets = {component.name for component in registry.components("dataset")}
    if name in DATABASES or (name not in datasets and _lies_here(name, source)):
        _show_database(name, _folder(name, source))
    else:
        _show_dataset(name, source, registry)


@app.command()
def path(
    database: Annotated[
        str | None, typer.Argument(metavar="[DB]", help="Name of a database.")
    ] = None,
) -> None:
    """Print the folder of a database, or the one that databases are fetched into."""
    from nasbench_ecg.data.source import LocalSource

    source = LocalSource()
    typer.echo(_folder(database, source) if database else source.download_folder("db").parent)


def _names(records: str | None) -> list[str] | None:
    from nasbench_ecg.errors import OptionError

    if records is None:
        return None
    names = [name.strip() for name in records.split(",") if name.strip()]
    if not names:
        raise OptionError("--records names no record.", fix="For example: --records 100,101")
    return names


def _folder(database: str, source: LocalSource) -> Path:
    """Return the folder of ``database``; a name unknown everywhere is answered with the nearest."""
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import find_database

    try:
        return source.folder(database)
    except MissingDataError:
        find_database(database)
        raise


def _lies_here(database: str, source: LocalSource) -> bool:
    from nasbench_ecg.errors import MissingDataError

    try:
        return source.folder(database).is_dir()
    except MissingDataError:
        return False


def _users(registry: Registry) -> dict[str, list[str]]:
    """Return the names of the datasets that need each database, as far as they can tell."""
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.options import resolve

    users: dict[str, list[str]] = {}
    for component in registry.components("dataset"):
        try:
            model = component.options_model()
            dataset = component.create(resolve(model, component=component.name))
            needed = {requirement.database for requirement in dataset.requires()}
        except NasbenchError:
            continue
        for database in needed:
            users.setdefault(database, []).append(component.name)
    return users


def _show_database(name: str, folder: Path) -> None:
    from nasbench_ecg.physionet.catalog import record_names
    from nasbench_ecg.signal.summary import summarise

    names = record_names(folder)
    here = [record for record in names if (folder / f"{record}.hea").is_file()]
    with RichProgress().track(f"Reading {name}", len(here)) as bar:
        summaries = []
        for record in here:
            summaries.append(summarise(folder, record))
            bar.advance()
    _show_records(name, summaries)
    _say(f"{len(here)} of {len(names)} records lie in {folder}")


def _show_records(name: str, summaries: list[RecordSummary]) -> None:
    from rich.markup import escape

    from nasbench_ecg.signal.aami import CLASSES

    listed = table("record", "leads", "Hz", "minutes", *CLASSES, title=f"Beats of {name} by class")
    for column in listed.columns[2:]:
        column.justify = "right"
    for record in summaries:
        beats = [f"{n:,}" for n in record.beats.values()] if record.beats else [""] * len(CLASSES)
        leads = escape(", ".join(record.leads))
        listed.add_row(record.name, leads, f"{record.fs:g}", f"{record.seconds / 60:.1f}", *beats)
    listed.add_section()
    annotated = [record.beats for record in summaries if record.beats]
    totals = [f"{sum(beats[label] for beats in annotated):,}" for label in CLASSES]
    minutes = sum(record.seconds for record in summaries) / 60
    listed.add_row(f"[bold]{len(summaries)} records[/]", "", "", f"{minutes:,.0f}", *totals)
    stdout().print(listed)


def _show_dataset(name: str, source: LocalSource, registry: Registry) -> None:
    from nasbench_ecg.data.cache import load_beats
    from nasbench_ecg.errors import OptionError, PluginError, nearest
    from nasbench_ecg.options import resolve
    from nasbench_ecg.physionet.catalog import DATABASES

    try:
        component = registry.get("dataset", name)
    except PluginError as error:
        datasets = {component.name for component in registry.components("dataset")}
        raise OptionError(
            f"There is no database and no dataset {name!r}.",
            where=error.where,
            fix=nearest(name, {*DATABASES, *datasets}),
        ) from error
    options = resolve(component.options_model(), component=name)
    loaded = load_beats(
        name=name,
        revision=component.spec.revision,
        options=options,
        dataset=component.create(options),
        source=source,
        progress=RichProgress(stderr()),
    )
    beats = loaded.beats
    _say(f"{name}: {component.spec.summary}")
    listed = table("class", "beats", "share")
    for column in listed.columns[1:]:
        column.justify = "right"
    for label, count in beats.counts().items():
        listed.add_row(label, f"{count:,}", f"{count / max(len(beats), 1):.2%}")
    listed.add_section()
    listed.add_row("[bold]all[/]", f"{len(beats):,}", "")
    stdout().print(listed)
    _say(
        f"{len(beats.records)} records of {len(set(beats.subjects))} persons; "
        f"leads {', '.join(beats.leads)}; {beats.n_samples} samples a beat at {beats.fs:g} Hz"
    )
    _say(f"fingerprint {loaded.fingerprint}")


def _say(line: str) -> None:
    stdout().print(line, markup=False, soft_wrap=True)


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.toml", help="States name and folder, and what else.")
    ],
) -> None:
    """Add a dataset: a folder of WFDB records that a few lines of TOML describe."""
    from nasbench_ecg.data.user_datasets import describe, find, store

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


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name of a dataset that was added.")],
) -> None:
    """Forget a dataset that was added; its records stay."""
    from nasbench_ecg.data.user_datasets import find
    from nasbench_ecg.data.user_datasets import remove as forget

    added = find(name)
    forget(name)
    _say(
        f"Removed the dataset {name}." + (f" Its records stay in {added.folder}." if added else "")
    )


def _check_free(name: str, *, again: bool) -> None:
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.physionet.catalog import DATABASES
    from nasbench_ecg.plugin.registry import load_registry

    taken = [c for c in load_registry().components("dataset") if c.name == name]
    source = "the database of that name" if name in DATABASES else ""
    if taken and not again:
        source = taken[0].source
    if source:
        raise OptionError(
            f"The name {name!r} is taken.", where=source, fix="Choose another in the entry name."
        )
