"""``nasbench-ecg annotate``: beats of recordings, classified by a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import RichProgress, show_error, stderr, stdout
from nasbench_ecg.cli.parsing import listed, numbers, refuse_in_vain
from nasbench_ecg.cli.shared_options import OutOption

if TYPE_CHECKING:
    from nasbench_ecg.models.annotate import AnnotatedRecording
    from nasbench_ecg.signal.recordings import Recording


def annotate(
    context: typer.Context,
    recordings: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECORDING", help="WFDB records (such as mitdb/100), .csv or .edf files."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="Folder to write to.")
    ],
    run: Annotated[
        str | None, typer.Option(metavar="KEY", help="Run whose network classifies the beats.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Exported network, in place of a run.")
    ] = None,
    leads: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Leads to use, in the order of those of the network."),
    ] = None,
    fs: Annotated[
        float | None, typer.Option(metavar="HZ", help="Sampling rate of CSV files.")
    ] = None,
    peaks: Annotated[
        str | None,
        typer.Option(
            metavar="EXT",
            help="Extension of the annotation files beside the records that have the R peaks. "
            "Default: detect them.",
        ),
    ] = None,
    extension: Annotated[
        str, typer.Option(metavar="EXT", help="Extension of the annotation files to write.")
    ] = "atr",
    strips: Annotated[
        str | None,
        typer.Option(metavar="png,pdf", help="Also draw parts of each recording, as these files."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="S,...",
            help="Seconds that --strips shows. Default: runs of V, pauses, and rare classes.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace annotation files that exist.")
    ] = False,
    out: OutOption = Path("results"),
) -> None:
    """Find the beats of recordings, and classify them with a trained network.

    Writes a WFDB annotation file and a summary for each recording; exit status 2 if one of them has
    no beat or is damaged. For research, not for diagnosis.
    """
    from nasbench_ecg.errors import RecordError
    from nasbench_ecg.front.annotating import classifier_of, marked_beats
    from nasbench_ecg.io import storage_errors, write_atomically
    from nasbench_ecg.models.annotate import annotate as work
    from nasbench_ecg.models.annotate import choose_leads
    from nasbench_ecg.report.networks.annotation import (
        as_markdown,
        beside,
        check_classes,
        check_extension,
        check_target,
        write_annotations,
    )
    from nasbench_ecg.signal.recordings import check_seconds, files_of, open_recording

    if strips is None:
        refuse_in_vain(context, ("at",), "Without --strips nothing is drawn")
    if all(path.suffix.lower() != ".csv" for path in recordings):
        refuse_in_vain(context, ("fs",), "These recordings state their sampling rate")
    check_extension(extension)
    formats, seconds = _strip_formats(strips), numbers(at, "--at") if at else None
    classifier = classifier_of(run, model, out)
    check_classes(classifier.classes)
    chosen = None if leads is None else listed(leads)
    opened = [open_recording(path, fs) for path in recordings]
    _check_names([recording.name for recording in opened])
    marked: list[Any] = [None] * len(opened)
    for i, (path, recording) in enumerate(zip(recordings, opened, strict=True)):
        check_seconds(recording, seconds or [])
        target = output / f"{recording.name}.{extension}"
        for made in (target, *(beside(target, f".{form}") for form in ("md", *formats))):
            check_target(made, overwrite=overwrite, sources=files_of(path))
        choose_leads(recording, classifier, chosen)
        if peaks is not None:
            marked[i] = marked_beats(path, recording, peaks)
    with storage_errors(output, option="-o"):
        output.mkdir(parents=True, exist_ok=True)
    without, n_damaged = [], 0
    for recording, beats in zip(opened, marked, strict=True):
        try:
            with RichProgress() as progress:
                found = work(recording, classifier, progress, leads=chosen, peaks=beats)
        except RecordError as error:
            if len(opened) == 1:
                raise
            show_error(error)
            n_damaged += 1
            continue
        written = write_annotations(found, output, extension, overwrite=overwrite)
        summary = beside(written, ".md")  # last: it describes a file that exists
        with storage_errors(summary, option="-o"):
            write_atomically(summary, as_markdown(found, classifier.name))
        _tell(found, written)
        if not len(found.samples):
            without.append(found.name)
            continue
        _draw(recording, found, seconds, [beside(written, f".{form}") for form in formats])
    _check_found(without)
    if n_damaged:
        raise typer.Exit(2)


def _check_names(names: list[str]) -> None:
    """Raise OptionError if two recordings would be written to one file."""
    from nasbench_ecg.errors import OptionError

    if twice := [name for name in names if names.count(name) > 1]:
        raise OptionError(
            f"Several recordings are called {twice[0]!r}: one would replace the other.",
            fix="Annotate them into different folders.",
        )


def _check_found(without: list[str]) -> None:
    """Raise OptionError if no beat was found in some recordings; the others are annotated."""
    from nasbench_ecg.errors import OptionError

    if without:
        raise OptionError(
            f"No beat was found in {', '.join(without)}; the annotation file has none.",
            fix="The notes above and the summary say why; check the leads and the sampling rate.",
        )


def _strip_formats(text: str | None) -> list[str]:
    from nasbench_ecg.errors import OptionError

    formats = listed(text or "")
    if unknown := [form for form in formats if form not in ("png", "pdf")]:
        raise OptionError(
            f"Strips cannot be written as {unknown[0]!r}.", fix="Use --strips png, pdf or png,pdf."
        )
    return formats


def _draw(
    recording: Recording,
    found: AnnotatedRecording,
    seconds: list[float] | None,
    paths: list[Path],
) -> None:
    """Write the strips of a recording to files."""
    if not paths:
        return
    from nasbench_ecg import plot
    from nasbench_ecg.io import replace_atomically, storage_errors
    from nasbench_ecg.text import counted

    figure = plot.strips(recording, found, seconds)
    for path in paths:
        with storage_errors(path, option="-o"), replace_atomically(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:])
        stdout().print(f"{found.name}: {counted(len(figure.axes), 'strip')} → {path}")


def _tell(found: AnnotatedRecording, written: Path) -> None:
    from nasbench_ecg.report.networks.annotation import summarize
    from nasbench_ecg.text import counted

    summary = summarize(found)
    counts = ", ".join(f"{name} {n:,}" for name, n in summary.beats.items())
    beats = counted(len(found.samples), "beat")
    stdout().print(f"{found.name}: {beats} ({counts}) → {written}")
    for note in found.notes:
        stderr().print(f"{found.name}: {note}")
