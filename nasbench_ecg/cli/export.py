"""``nasbench-ecg export``: the trained network of a run as a file to take away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasbench_ecg.cli.console import stderr


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run key, or its first characters.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File ending in .pt2 (PyTorch) or .onnx (needs the extra 'onnx').",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
) -> None:
    """Write the network that a run trained as one file that needs no nasbench-ecg."""
    from nasbench_ecg.run.store import find_record

    record = find_record(out, run)
    from nasbench_ecg.models.export import export as write
    from nasbench_ecg.models.export import metadata
    from nasbench_ecg.models.load import load_model

    model = load_model(record, out)
    with stderr().status(f"Exporting {record.strategy} on {record.dataset_name}"):
        difference = write(model, record, output)
    told = metadata(record)
    stderr().print(
        f"Written: {output}, {output.stat().st_size / 1e6:.2f} MB, "
        f"{record.costs.get('parameters', 0):,.0f} parameters. Beats "
        f"[batch, {len(told['leads'])} leads, {told['samples']} samples] to probabilities of "
        f"{', '.join(told['classes'])}, within {difference:.0e} of the network's own.",
        markup=False,
        soft_wrap=True,
    )
