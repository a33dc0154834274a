"""Compare annotation files, or folders of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasbench_ecg.ec57.comparison import LEARNING_SECONDS, MATCH_SECONDS, Comparison, compare
from nasbench_ecg.ec57.scores import scores_of_pairs
from nasbench_ecg.errors import OptionError
from nasbench_ecg.signal.aami import SymbolMap, symbol_map
from nasbench_ecg.signal.annotations import check_annotation_extension, read_annotations
from nasbench_ecg.signal.headers import Header, read_header

_DEFAULT_EXTENSION = "atr"
_BY_CHANCE = 0.6  # two unrelated rhythms of 75 beats a minute pair 2 × 150 of 800 ms, or 38 %


@dataclass(frozen=True)
class AnnotationFiles:
    """Annotation files of several records in one folder.

    Attributes:
        folder: The folder.
        extension: Extension of the files.
        records: Names of the records, sorted.
    """

    folder: Path
    extension: str
    records: tuple[str, ...]


def annotation_files(path: Path, extension: str | None = None) -> AnnotationFiles:
    """Return one annotation file, or all annotation files of a folder.

    Args:
        path: A file (``mitdb/100.atr``), or a folder.
        extension: Extension of the files of a folder; by default ``atr``.

    Raises:
        OptionError: There is no such file, or none in the folder; or an extension is given for a
            file.
    """
    if path.is_file():
        if extension is not None:
            raise OptionError(
                f"The extension {extension!r} is for a folder, and this is a file.",
                where=str(path),
                fix="Leave the extension out, or name the folder.",
            )
        check_annotation_extension(path.suffix.removeprefix("."), where=str(path))
        return AnnotationFiles(path.parent, path.suffix.lstrip("."), (path.stem,))
    extension = extension or _DEFAULT_EXTENSION
    check_annotation_extension(extension, where=str(path))
    found = sorted(p.stem for p in path.glob(f"*.{extension}") if p.is_file())
    if not found:
        what = "The folder has no" if path.is_dir() else "There is no such file, or folder with"
        raise OptionError(
            f"{what} annotation files *.{extension}.",
            where=str(path),
            fix="Name a file such as mitdb/100.atr, or a folder of such files.",
        )
    return AnnotationFiles(path, extension, tuple(found))


def compare_files(
    reference: AnnotationFiles,
    test: AnnotationFiles,
    *,
    records: Path | None = None,
    learning: float = LEARNING_SECONDS,
    match: float = MATCH_SECONDS,
    symbols: SymbolMap = "aami",
) -> list[Comparison]:
    """Return the comparison of each record of ``test``.

    Args:
        reference: Annotations that are taken as the truth; other records than those of ``test``
            are left out, see :func:`not_compared`.
        test: Annotations to judge.
        records: Folder of the header files; by default that of the reference, or else that of the
            test.
        learning: Seconds at the start of each record that are not compared.
        match: Largest distance of two paired beats, in seconds.
        symbols: Map from annotation symbols to AAMI classes.

    Raises:
        OptionError: The reference lacks a record, or is the test itself; or a record is shorter
            than ``learning``.
        RecordError: A header or an annotation file is missing, or cannot be read.
    """
    if missing := sorted(set(test.records) - set(reference.records)):
        raise OptionError(
            f"The reference has no annotations of {first_names(missing)}.",
            where=str(reference.folder),
            fix=f"Both need *.{reference.extension} files with the same names.",
        )
    _check_distinct(reference, test)
    folders = [records] if records is not None else [reference.folder, test.folder]
    comparisons = []
    for name in test.records:
        header = _header(name, folders)
        comparisons.append(
            compare(
                name,
                read_annotations(reference.folder, header, reference.extension),
                read_annotations(test.folder, header, test.extension),
                fs=header.fs,
                n_samples=header.n_samples,
                learning=learning,
                match=match,
                classes=symbol_map(symbols),
            )
        )
    return comparisons


def not_compared(reference: AnnotationFiles, test: AnnotationFiles) -> list[str]:
    """Return the records of the reference of which the test has no annotations, sorted."""
    return sorted(set(reference.records) - set(test.records))


def unlike(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the records whose two annotations hardly agree on where beats are, sorted.

    Annotations of another record, or at another sampling rate, pair by chance.
    """
    detected = {one.record: scores_of_pairs(one.counts).qrs_se for one in comparisons}
    return sorted(name for name, se in detected.items() if se is not None and se < _BY_CHANCE)


def first_names(records: Sequence[str]) -> str:
    """Return the names of at most five records as text."""
    return f"{', '.join(records[:5])}{' and others' if records[5:] else ''}"


def _check_distinct(reference: AnnotationFiles, test: AnnotationFiles) -> None:
    """Raise OptionError if a file would be compared with itself."""
    for name in test.records:
        file = test.folder / f"{name}.{test.extension}"
        truth = reference.folder / f"{name}.{reference.extension}"
        if file.exists() and truth.exists() and file.samefile(truth):
            raise OptionError(
                "The reference and the test are the same annotations, which agree in every beat.",
                where=str(file),
                fix="Name other annotations; for those with another extension in the same folder, "
                "add for example --test-extension qrs.",
            )


def _header(name: str, folders: list[Path]) -> Header:
    """Return the header of a record from the first folder that has one."""
    chosen = next((f for f in folders if (f / f"{name}.hea").is_file()), folders[0])
    return read_header(chosen, name)
