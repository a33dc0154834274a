"""``nasbench-ecg arch``: an architecture as a file, or that of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import print_json, stderr, stdout

if TYPE_CHECKING:
    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.run.record import RunRecord

app = typer.Typer(help="Show, draw, validate or hash an architecture.", no_args_is_help=True)

FILE = "architecture.json"

SourceArgument = Annotated[
    str, typer.Argument(metavar="FILE|RUN", help="A JSON file, '-' for stdin, or a run key.")
]
OutOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="space.K=V", help="Option of the search space; may be repeated."),
]


@app.command("show")
def show(
    source: SourceArgument,
    assignments: SetOption = None,
    out: OutOption = Path("results"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print its canonical JSON, on one line.")
    ] = False,
) -> None:
    """Print an architecture: its space, its hash, and its drawing."""
    arch, space = _opened(source, assignments, out)
    if as_json:
        print(arch.to_json())
        return
    console = stdout()
    console.print(f"[dim]space[/]  {arch.space}\n[dim]hash[/]   {arch.hash}\n")
    if hasattr(space, "draw"):
        console.print(space.draw(arch), markup=False, soft_wrap=True)
    else:
        print_json(arch.genotype)


@app.command("draw")
def draw(
    source: SourceArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="File ending in .svg or .txt."),
    ] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Print SVG on stdout.")] = False,
    assignments: SetOption = None,
    out: OutOption = Path("results"),
) -> None:
    """Draw an architecture as text, or as SVG into a file."""
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.io import storage_errors, write_atomically

    if output is not None and output.suffix not in (".svg", ".txt"):
        raise OptionError(
            f"There is no drawing for {output.name!r}.", fix="Its ending must be .svg or .txt."
        )
    arch, space = _opened(source, assignments, out)
    wanted = "draw_svg" if svg or (output is not None and output.suffix == ".svg") else "draw"
    if not hasattr(space, wanted):
        form = "as SVG" if wanted == "draw_svg" else "as text"
        raise OptionError(
            f"The search space {arch.space!r} does not draw {form}.",
            fix="'nasbench-ecg arch show' prints what there is.",
        )
    drawing = str(getattr(space, wanted)(arch)).rstrip("\n") + "\n"
    if output is None:
        sys.stdout.write(drawing)
        return
    with storage_errors(output, option="-o"):
        write_atomically(output, drawing)
    stderr().print(f"Drawn: {output}", markup=False, soft_wrap=True)


@app.command("validate")
def validate(
    source: SourceArgument, assignments: SetOption = None, out: OutOption = Path("results")
) -> None:
    """Check that an architecture is one of its search space."""
    arch, space = _opened(source, assignments, out)
    space.validate(arch)
    stdout().print(f"A valid architecture of {arch.space}, {arch.hash}.", markup=False)


@app.command("hash")
def hash_architecture(
    source: SourceArgument, assignments: SetOption = None, out: OutOption = Path("results")
) -> None:
    """Print the hash of an architecture, the same for all ways to write it down."""
    arch, _ = _opened(source, assignments, out)
    print(arch.hash)


def _opened(source: str, assignments: list[str] | None, out: Path) -> tuple[Architecture, Any]:
    """Return the architecture in its canonical form, and its space.

    The space has the options of the run where the architecture is that of a run, its own
    otherwise; ``assignments`` win over both.

    Raises:
        OptionError: It is no architecture, or an option is not allowed.
        PluginError: Its space is not installed.
        StorageError: The file cannot be read, or there is no such run.
    """
    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments, resolve
    from nasbench_ecg.plugin.registry import load_registry

    text, record = _read(source, out)
    try:
        arch = Architecture.from_json(text)
    except OptionError as error:
        raise OptionError(error.what, where=error.where or source, fix=error.fix) from None
    component = load_registry().get("search-space", arch.space)
    overrides = parse_assignments(assignments or [])
    if stray := set(overrides) - {"space"}:
        raise OptionError(f"--set {min(stray)}.… means nothing here.", fix="Only space.K=V does.")
    used = record.components["space"] if record is not None else None
    before = used.options if used is not None and used.name == arch.space else {}
    options = resolve(
        component.options_model(),
        component=f"search-space {arch.space}",
        overrides={**before, **overrides.get("space", {})},
    )
    space = component.create(options)
    if hasattr(space, "canonical"):
        arch = space.canonical(arch)
    return arch, space


def _read(source: str, out: Path) -> tuple[str, RunRecord | None]:
    """Return the JSON text of an architecture, and the record of the run it belongs to, if any."""
    from nasbench_ecg.errors import OptionError, StorageError
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.store import find_record, read_record_file

    if source == "-":
        return sys.stdin.read(), None
    path = Path(source)
    path = path / FILE if path.is_dir() else path
    if path.is_file():
        beside = read_record_file(path.resolve().parent.with_suffix(".json"))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"This file cannot be read: {error}.", where=source) from None
        return text, beside if isinstance(beside, RunRecord) and path.name == FILE else None
    if path.suffix or len(path.parts) > 1:
        raise StorageError(
            "There is no such file.", where=source, fix=f"A run keeps its own as RUN/{FILE}."
        )
    record = find_record(out, source)
    if record.architecture is None:
        raise OptionError(
            f"The run {record.run_key} ended as {record.status!r} and found no architecture.",
            fix=f"'nasbench-ecg show {record.run_key[:8]}' tells more of it.",
        )
    from nasbench_ecg.architecture import Architecture

    return Architecture.from_dict(record.architecture).to_json(), record
