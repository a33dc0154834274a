"""``nasbench-ecg export``: the trained network of a run as one standalone file."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from nasbench_ecg.cli.console import RichProgress, stderr
from nasbench_ecg.cli.shared_options import DataOption, OutOption


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run key, or its first characters.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to FILE, which ends in .pt2 (PyTorch), .onnx (needs the extra 'onnx') or "
            ".pte (ExecuTorch, extra 'executorch').",
        ),
    ],
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Quantize to 8-bit integers and score the result; needs the run's records.",
        ),
    ] = False,
    data: DataOption = None,
    out: OutOption = Path("results"),
) -> None:
    """Export the trained network of a run to one standalone file, with a model card beside it.

    The file runs without nasbench-ecg.
    """
    from nasbench_ecg.front.exporting import export as export_run
    from nasbench_ecg.run.record_files import find_record

    record = find_record(out, run)
    status = stderr().status(f"Exporting {record.strategy} on {record.dataset_name}")
    with nullcontext() if int8 else status:  # int8 has a progress bar
        done = export_run(record, output, int8=int8, data=data, out=out, progress=RichProgress())
    from nasbench_ecg.models.export import metadata
    from nasbench_ecg.text import difference

    described = metadata(record)
    if (found := done.int8) is None:
        least = f"differ from those of the stored network by at most {done.difference:.0e}"
        accuracy = f"they {least if done.difference else 'equal those of the stored network'}."
    else:
        accuracy = (
            f"{found.agreement:.2%} of {found.test_beats:,} test beats get the class of the float "
            f"network; F1 {found.f1_of_macro:.2%}, {difference(-found.loss)} points."
        )
    stderr().print(
        f"Written: {output}, {output.stat().st_size / 1e6:.2f} MB, "
        f"{record.costs.get('parameters', 0):,.0f} parameters; model card {done.card.name}.\n"
        f"Input: beats [{'1' if output.suffix.lower() == '.pte' else 'batch'}, "
        f"{len(described['leads'])} leads, {described['samples']} samples]. "
        f"Output: probabilities of {', '.join(described['classes'])}; {accuracy}",
    )
