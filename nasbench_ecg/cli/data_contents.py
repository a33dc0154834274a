"""``nasbench-ecg data info`` and ``data features``: the contents of records and datasets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, stderr, stdout, styled, table
from nasbench_ecg.cli.shared_options import LocalDataOption
from nasbench_ecg.text import counted

if TYPE_CHECKING:
    from nasbench_ecg.contracts import Dataset
    from nasbench_ecg.data.cache import LoadedBeats
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.options import Options
    from nasbench_ecg.plugin.component import Component
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.signal.aami import SymbolMap
    from nasbench_ecg.signal.features import FeatureTable
    from nasbench_ecg.signal.records import RecordSummary

RecordsOption = Annotated[
    str | None,
    typer.Option("--records", metavar="A,B,...", help="Use only these records."),
]
NameArgument = Annotated[
    str, typer.Argument(metavar="DB|DATASET", help="Name of a database or of a dataset.")
]


def info(name: NameArgument, data: LocalDataOption = None) -> None:
    """Show the records of a database, or the beats of a dataset."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry

    source, registry = LocalSource(data), load_registry()
    if _is_database(name, source, registry):
        _show_database(name, database_folder(name, source))
    else:
        _show_dataset(name, source, registry)


def features(
    name: NameArgument,
    data: LocalDataOption = None,
    records: RecordsOption = None,
    lead: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Lead to measure, by name or position (#0). Default: the first lead of a "
            "database, or of the dataset's options.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the table to a .csv or .parquet file."),
    ] = None,
) -> None:
    """Measure intervals and amplitudes of each beat: 18 features."""
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.signal.features import check_table_path

    if out is not None:
        check_table_path(out)
    source, names, registry = LocalSource(data), parse_records(records), load_registry()
    if _is_database(name, source, registry):
        measured = _features_of_database(name, source, names, lead)
    else:
        measured = _features_of_dataset(name, source, names, lead, registry)
    _show_features(name, measured)
    if out is not None:
        measured.write(out)
        say(f"written: {out}")


# Shared by all verbs


def say(line: str) -> None:
    """Print a line without markup and without wrapping."""
    stdout().print(line)


def parse_records(records: str | None) -> list[str] | None:
    """Return the names in the value of ``--records``; None if it is not given.

    Raises:
        OptionError: The value contains no name.
    """
    from nasbench_ecg.errors import OptionError

    if records is None:
        return None
    names = [name.strip() for name in records.split(",") if name.strip()]
    if not names:
        raise OptionError("--records contains no record.", fix="For example: --records 100,101")
    return names


def database_folder(database: str, source: LocalSource) -> Path:
    """Return the folder of ``database``.

    Raises:
        MissingDataError: The database is not on this machine.
        OptionError: There is no such database at all; the error suggests the nearest name.
    """
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import find_database

    try:
        return source.folder(database)
    except MissingDataError:
        find_database(database)
        raise


def _is_database(name: str, source: LocalSource, registry: Registry) -> bool:
    """Return whether a name stands for the records of a folder, and not for a dataset."""
    from nasbench_ecg.errors import MissingDataError
    from nasbench_ecg.physionet.catalog import DATABASES

    if name in DATABASES:
        return True
    if name in {component.name for component in registry.components("dataset")}:
        return False  # an added dataset has the name of its folder of records, too
    try:
        return source.folder(name).is_dir()
    except MissingDataError:
        return False


def _find_dataset(name: str, registry: Registry) -> tuple[Component, Options, Dataset]:
    """Return a dataset with its default options.

    Raises:
        OptionError: There is no database and no dataset of this name.
    """
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
    return component, options, component.create(options)


def _load_dataset(
    component: Component, options: Options, dataset: Dataset, source: LocalSource
) -> LoadedBeats:
    from nasbench_ecg.run.loading import beats_of

    return beats_of(component, options, dataset, source, RichProgress(stderr()))


# info


def _show_database(name: str, folder: Path) -> None:
    from nasbench_ecg.physionet.catalog import record_names
    from nasbench_ecg.signal.aami import AAMI_SYMBOLS, describe_symbols
    from nasbench_ecg.signal.records import summarize_record

    names = record_names(folder)
    present = [record for record in names if (folder / f"{record}.hea").is_file()]
    with RichProgress().track(f"Reading {name}", len(present)) as bar:
        summaries = []
        for record in present:
            summaries.append(summarize_record(folder, record))
            bar.advance()
    _show_records(name, summaries)
    counts = sum((Counter(summary.symbols) for summary in summaries), Counter[str]())
    say(f"Annotations: {describe_symbols(counts, AAMI_SYMBOLS)}")
    for note in (note for summary in summaries for note in summary.notes):
        say(note)
    say(f"{len(present)} of {len(names)} records are in {folder}")


def _show_records(name: str, summaries: list[RecordSummary]) -> None:
    from nasbench_ecg.signal.aami import CLASSES

    listed = table("record", "leads", "Hz", "minutes", *CLASSES, title=f"Beats of {name} by class")
    for column in listed.columns[2:]:
        column.justify = "right"
    for record in summaries:
        beats = [f"{n:,}" for n in record.beats.values()] if record.beats else [""] * len(CLASSES)
        leads = ", ".join(record.leads)
        listed.add_row(record.name, leads, f"{record.fs:g}", f"{record.seconds / 60:.1f}", *beats)
    listed.add_section()
    annotated = [record.beats for record in summaries if record.beats]
    totals = [f"{sum(beats[label] for beats in annotated):,}" for label in CLASSES]
    minutes = sum(record.seconds for record in summaries) / 60
    listed.add_row(
        styled((counted(len(summaries), "record"), "bold")), "", "", f"{minutes:,.0f}", *totals
    )
    stdout().print(listed)


def _show_dataset(name: str, source: LocalSource, registry: Registry) -> None:
    component, options, dataset = _find_dataset(name, registry)
    loaded = _load_dataset(component, options, dataset, source)
    beats = loaded.beats
    say(f"{name}: {component.spec.summary}")
    listed = table("class", "beats", "share")
    for column in listed.columns[1:]:
        column.justify = "right"
    for label, count in beats.counts().items():
        listed.add_row(label, f"{count:,}", f"{count / max(len(beats), 1):.2%}")
    listed.add_section()
    listed.add_row(styled(("all", "bold")), f"{len(beats):,}", "")
    stdout().print(listed)
    say(
        f"{counted(len(beats.records), 'record')} of "
        f"{counted(len(set(beats.subjects)), 'subject')}; "
        f"leads {', '.join(beats.leads)}; {beats.n_samples} samples per beat at {beats.fs:g} Hz"
    )
    say(f"fingerprint {loaded.fingerprint}")


# features


def _features_of_database(
    name: str, source: LocalSource, names: list[str] | None, lead: str | None
) -> FeatureTable:
    from nasbench_ecg.errors import RecordError
    from nasbench_ecg.physionet.catalog import record_names

    folder = source.folder(name)
    if names is None:
        listed = record_names(folder)
        names = [record for record in listed if (folder / f"{record}.atr").is_file()]
        if not names:
            raise RecordError(
                f"No record of {name} has annotations (.atr).",
                where=str(folder),
                fix="Fetch or verify the database, or choose another one.",
            )
        if n_skipped := len(listed) - len(names):
            RichProgress(stderr()).note(
                f"Skipped {counted(n_skipped, 'record')} without annotations."
            )
    return _measure(folder, names, [lead or "#0"], "aami")


def _features_of_dataset(
    name: str,
    source: LocalSource,
    names: list[str] | None,
    lead: str | None,
    registry: Registry,
) -> FeatureTable:
    """Return the features of the dataset's own beats."""
    import numpy as np

    from nasbench_ecg.data.declarations import requirements_of
    from nasbench_ecg.errors import OptionError, nearest

    component, options, dataset = _find_dataset(name, registry)
    databases = {requirement.database for requirement in requirements_of(dataset)}
    if len(databases) != 1:
        raise OptionError(
            f"The dataset {name!r} does not use exactly one database.",
            fix="Give the name of a database.",
        )
    beats = _load_dataset(component, options, dataset, source).beats
    unknown = sorted(set(names or ()) - set(beats.records))
    if unknown:
        raise OptionError(
            f"The dataset {name!r} has no record {unknown[0]!r}.",
            fix=nearest(unknown[0], beats.records),
        )
    leads = [lead] if lead else [*getattr(options, "leads", ("#0",))]
    measured = _measure(
        source.folder(databases.pop()),
        names or list(beats.records),
        leads,
        getattr(options, "symbols", None),
        getattr(options, "annotations", "atr"),
    )
    own = {(beats.records[r], int(s)) for r, s in zip(beats.record, beats.sample, strict=True)}
    pairs = zip(measured.record, measured.sample, strict=True)
    return measured.take(np.array([(str(r), int(s)) in own for r, s in pairs], dtype=bool))


def _measure(
    folder: Path,
    names: list[str],
    leads: list[str],
    symbols: SymbolMap | None,
    extension: str = "atr",
) -> FeatureTable:
    """Return the features of the first of ``leads`` in each record."""
    from nasbench_ecg.signal.features import beat_features, join_tables
    from nasbench_ecg.signal.records import read_record

    tables = []
    with RichProgress(stderr()).track("Measuring beats", len(names)) as steps:
        for name in names:
            record = read_record(folder, name, leads, extension)
            tables.append(beat_features(record, symbols=symbols))
            steps.advance()
    return join_tables(tables)


def _show_features(name: str, measured: FeatureTable) -> None:
    import numpy as np

    from nasbench_ecg.signal.features import BEAT_FEATURES, FEATURES

    listed = table("feature", "median", "5 %", "95 %", "measured", title=f"Features of {name}")
    for column in listed.columns[1:]:
        column.justify = "right"
    n_own = len(BEAT_FEATURES)
    for feature, values in zip(BEAT_FEATURES, measured.values.T[:n_own], strict=True):
        known = values[~np.isnan(values)]
        cells = [f"{q:.3f}" for q in np.percentile(known, [50, 5, 95])] if len(known) else [""] * 3
        listed.add_row(feature, *cells, f"{len(known) / max(len(values), 1):.1%}")
    stdout().print(listed)
    n_records, n_flat = len(np.unique(measured.record)), int((~measured.usable).sum())
    say(
        f"{counted(len(measured), 'beat')} of {counted(n_records, 'record')}, "
        f"{len(FEATURES)} features each "
        "(these, and the same of the previous beat); "
        f"{counted(n_flat, 'beat')} on a flat, saturated or missing lead"
    )
