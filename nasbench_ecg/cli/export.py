"""``nasbench-ecg export``: the trained network of a run as one standalone file."""

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
            help="Write to FILE, which ends in .pt2 (PyTorch) or .onnx (needs the extra 'onnx').",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of run records.")] = Path(
        "results"
    ),
) -> None:
    """Export the trained network of a run to one standalone file.

    The file runs without nasbench-ecg.
    """
    from nasbench_ecg.run.store import find_record

    record = find_record(out, run)
    # torch is imported only for a run that exists
    from nasbench_ecg.models.export import export as write
    from nasbench_ecg.models.export import metadata
    from nasbench_ecg.models.load import load_model

    model = load_model(record, out)
    with stderr().status(f"Exporting {record.strategy} on {record.dataset_name}"):
        difference = write(model, record, output)
    described = metadata(record)
    stderr().print(
        f"Written: {output}, {output.stat().st_size / 1e6:.2f} MB, "
        f"{record.costs.get('parameters', 0):,.0f} parameters.\n"
        f"Input: beats [batch, {len(described['leads'])} leads, {described['samples']} samples]. "
        f"Output: probabilities of {', '.join(described['classes'])}; they differ from those of "
        f"the stored network by at most {difference:.0e}.",
        markup=False,
        soft_wrap=True,
    )
