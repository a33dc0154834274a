"""``nasbench-ecg arch``: show, draw and check an architecture from a file or a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasbench_ecg.cli.console import print_json, print_text, stderr, stdout, styled
from nasbench_ecg.cli.parsing import Verbs
from nasbench_ecg.cli.shared_options import OutOption

if TYPE_CHECKING:
    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.run.record import RunRecord

app = Verbs(help="Show, draw, validate or hash an architecture.", no_args_is_help=True)

FILE = "architecture.json"

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|RUN",
        help="JSON file, '-' for stdin, or a run key or its first characters.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="space.OPTION=VALUE",
        help="Set an option of the search space. Repeatable.",
    ),
]


@app.command("show")
def show(
    source: SourceArgument,
    assignments: SetOption = None,
    out: OutOption = Path("results"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the canonical JSON, on one line.")
    ] = False,
) -> None:
    """Print the search space, the hash and a drawing."""
    from nasbench_ecg.contracts import DrawsText

    arch, space = _open(source, assignments, out)
    if as_json:
        print_text(arch.to_json())
        return
    console = stdout()
    console.print(
        styled(("space", "dim"), f"  {arch.space}\n", ("hash", "dim"), f"   {arch.hash}\n")
    )
    if isinstance(space, DrawsText):
        console.print(space.draw(arch))
    else:
        print_json(arch.genotype)


@app.command("draw")
def draw(
    source: SourceArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write to FILE, which ends in .svg or .txt."
        ),
    ] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Draw SVG: without -o on stdout.")] = False,
    assignments: SetOption = None,
    out: OutOption = Path("results"),
) -> None:
    """Draw an architecture as text or SVG."""
    from nasbench_ecg.contracts import DrawsSvg, DrawsText
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.io import storage_errors, write_atomically

    if output is not None and output.suffix not in (".svg", ".txt"):
        raise OptionError(
            f"{output.name!r} has no known format.", fix="The name must end in .svg or .txt."
        )
    if svg and output is not None and output.suffix == ".txt":
        raise OptionError(f"--svg does not go with -o {output.name}.", fix="Leave out one of them.")
    arch, space = _open(source, assignments, out)
    as_svg = svg or (output is not None and output.suffix == ".svg")
    if as_svg and isinstance(space, DrawsSvg):
        drawing = space.draw_svg(arch)
    elif not as_svg and isinstance(space, DrawsText):
        drawing = space.draw(arch)
    else:
        raise OptionError(
            f"The search space {arch.space!r} does not draw as {'SVG' if as_svg else 'text'}.",
            fix="'nasbench-ecg arch show' prints the architecture.",
        )
    drawing = drawing.rstrip("\n") + "\n"
    if output is None:
        print_text(drawing, end="")
        return
    with storage_errors(output, option="-o"):
        write_atomically(output, drawing)
    stderr().print(f"Written: {output}")


@app.command("validate")
def validate(
    source: SourceArgument, assignments: SetOption = None, out: OutOption = Path("results")
) -> None:
    """Check that an architecture belongs to its search space."""
    arch, space = _open(source, assignments, out)
    space.validate(arch)
    stdout().print(f"Valid: an architecture of {arch.space}, hash {arch.hash}.")


@app.command("hash")
def hash_architecture(
    source: SourceArgument, assignments: SetOption = None, out: OutOption = Path("results")
) -> None:
    """Print the hash, which is the same however the JSON is written."""
    arch, _ = _open(source, assignments, out)
    print_text(arch.hash)


def _open(source: str, assignments: list[str] | None, out: Path) -> tuple[Architecture, Any]:
    """Return the architecture in its canonical form, and its search space.

    The space has the options of the run that found the architecture, if there is one, and its
    defaults otherwise; ``assignments`` replace both.

    Raises:
        OptionError: The text is not an architecture, or an option is not allowed.
        PluginError: The search space is not installed.
        StorageError: The file cannot be read, or there is no such run.
    """
    from nasbench_ecg.architecture import Architecture
    from nasbench_ecg.contracts import Canonicalizes
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments, resolve
    from nasbench_ecg.plugin.registry import load_registry

    text, record = read_architecture(source, out)
    try:
        arch = Architecture.from_json(text)
    except OptionError as error:
        raise OptionError(error.what, where=error.where or source, fix=error.fix) from None
    component = load_registry().get("search-space", arch.space)
    overrides = parse_assignments(assignments or [])
    if other := set(overrides) - {"space"}:
        raise OptionError(
            f"--set {min(other)}.OPTION has no effect on an architecture.",
            fix="Set options of the search space only: --set space.OPTION=VALUE",
        )
    used = record.components["space"] if record is not None else None
    before = used.options if used is not None and used.name == arch.space else {}
    options = resolve(
        component.options_model(),
        component=f"search-space {arch.space}",
        overrides={**before, **overrides.get("space", {})},
    )
    space = component.create(options)
    if isinstance(space, Canonicalizes):
        arch = space.canonical(arch)
    return arch, space


def read_architecture(source: str, out: Path) -> tuple[str, RunRecord | None]:
    """Return the JSON text of an architecture, and the record of its run, if there is one."""
    from nasbench_ecg.errors import OptionError, StorageError
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.record_files import find_record, read_record_file

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
            "There is no such file.", where=source, fix=f"The file of a run is RUN/{FILE}."
        )
    record = find_record(out, source)
    if record.architecture is None:
        raise OptionError(
            f"The run {record.run_key} ended as {record.status!r} and found no architecture.",
            fix=f"'nasbench-ecg show {record.run_key[:8]}' shows its error.",
        )
    from nasbench_ecg.architecture import Architecture

    return Architecture.from_dict(record.architecture).to_json(), record
