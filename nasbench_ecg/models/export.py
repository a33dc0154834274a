"""A trained network as one file that runs without this package: PyTorch's own format, or ONNX."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.io import replace_atomically, storage_errors
from nasbench_ecg.models.load import first_line
from nasbench_ecg.run.record import RunRecord

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FORMATS = (".pt2", ".onnx")
ABOUT = "nasbench_ecg.json"
"""Name under which the file holds :func:`about` as JSON text."""

_ONNX = ("onnx", "onnxscript", "onnxruntime")
_TOLERANCE = 1e-4
_EXAMPLE = 3  # beats; their number stays free in the file


class Classifier(nn.Module):
    """A network with probabilities in place of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, beats: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to probabilities [batch, classes]."""
        return torch.softmax(self.network(beats), dim=1)


def about(record: RunRecord) -> dict[str, Any]:
    """Return what a user of the file must know, as JSON data."""
    assert record.dataset is not None
    data = record.components["dataset"]
    return {
        "input": "beats: float32 [batch, leads, samples], prepared as 'preparation' says",
        "output": "float32 [batch, classes], probabilities",
        "classes": record.classes,
        "leads": record.dataset.leads,
        "samples": record.dataset.n_samples,
        "samples_per_second": record.dataset.fs,
        "preparation": {"dataset": data.name, "options": data.options},
        "scores": {"dataset": data.name, "protocol": record.protocol, **record.metrics},
        "architecture": record.architecture,
        "run_key": record.run_key,
    }


def check_path(path: Path) -> None:
    """Say before the work begins what would stop :func:`export` after it.

    Raises:
        OptionError: The ending is none of :data:`FORMATS`, or its libraries are not installed.
        StorageError: The folder is not there.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise OptionError(
            f"A model cannot be written as {path.suffix or 'a file without ending'!r}.",
            where=str(path),
            fix=f"Name a file that ends in {' or '.join(FORMATS)}.",
        )
    missing = [name for name in _ONNX if importlib.util.find_spec(name) is None]
    if ending == ".onnx" and missing:
        raise OptionError(
            f"ONNX files need {', '.join(missing)}, not installed here.",
            where=str(path),
            fix="Install them with 'pip install nasbench-ecg[onnx]', or name a .pt2 file.",
        )
    if not path.parent.is_dir():
        raise StorageError(
            "The folder to write to does not exist.", where=str(path.parent), fix="Create it first."
        )


def export(model: nn.Module, record: RunRecord, path: Path) -> float:
    """Write a trained network to a file, whole or not at all, that takes any number of beats.

    Args:
        model: The network of the run, on the CPU.
        record: The run, of which the file holds :func:`about`.
        path: File ending in one of :data:`FORMATS`.

    Returns:
        The largest difference between probabilities of what was written and of ``model``.

    Raises:
        OptionError: As :func:`check_path`; or the network cannot be traced, or computes something
            else once it is.
        StorageError: As :func:`check_path`; or the file cannot be written.
    """
    check_path(path)
    assert record.dataset is not None
    classifier = Classifier(model).eval()
    shape = (len(record.dataset.leads), record.dataset.n_samples)
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(_EXAMPLE, *shape, generator=generator)
    trial = torch.randn(2 * _EXAMPLE + 1, *shape, generator=generator)
    builder = f"builder {record.components['builder'].name!r}"
    text = json.dumps(about(record), ensure_ascii=False)
    write = _as_onnx if path.suffix.lower() == ".onnx" else _as_pt2
    with _quiet(), torch.no_grad():
        try:
            program = torch.export.export(
                classifier, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
            content, exported = write(program, text, trial)
        except Exception as error:
            raise OptionError(
                f"This network cannot be exported: {first_line(error)}",
                where=builder,
                fix="Its weights can be loaded in Python: nasbench_ecg.models.load.load_model.",
            ) from error
        difference = float((exported - classifier(trial)).abs().max())
    if not difference <= _TOLERANCE:
        raise OptionError(
            f"Exported, the network gives probabilities that differ by {difference:.1g}.",
            where=builder,
            fix="Its forward pass may depend on more than its input.",
        )
    with storage_errors(path), replace_atomically(path) as temporary:
        temporary.write_bytes(content)
    return difference


def _as_pt2(program: ExportedProgram, text: str, trial: Tensor) -> tuple[bytes, Tensor]:
    """Return the file, and what it makes of some beats."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={ABOUT: text})
    buffer.seek(0)
    return buffer.getvalue(), torch.export.load(buffer).module()(trial)


def _as_onnx(program: ExportedProgram, text: str, trial: Tensor) -> tuple[bytes, Tensor]:
    """Return the file, and what it makes of some beats."""
    import onnxruntime

    converted = torch.onnx.export(program, dynamo=True, verbose=False)
    assert converted is not None
    converted.model.metadata_props[ABOUT] = text
    content: bytes = converted.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"beats": trial.numpy()})
    return content, torch.from_numpy(probabilities)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what PyTorch tells of its own insides while it exports."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
