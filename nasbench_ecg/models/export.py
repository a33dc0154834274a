"""Export a trained network to one file that runs without this package.

The formats are those of PyTorch (``.pt2``), ONNX (``.onnx``), and ExecuTorch (``.pte``), which runs
on microcontrollers.
"""

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
from nasbench_ecg.models.executorch import float_program, load_program
from nasbench_ecg.models.load import first_line
from nasbench_ecg.models.seal import OPEN, SEAL, sealed
from nasbench_ecg.run.record import RunRecord

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FORMATS = (".pt2", ".onnx", ".pte")
METADATA = "nasbench_ecg.json"
"""Name of the entry of the file that holds :func:`metadata` as JSON text."""

_NEEDED = {".onnx": ("onnx", "onnxscript", "onnxruntime"), ".pte": ("executorch",)}
"""Libraries that a format needs."""

_EXTRAS = {".onnx": "onnx", ".pte": "executorch"}
_TOLERANCE = 1e-4
_EXAMPLE_BEATS = 3  # the exported network accepts any number


class Classifier(nn.Module):
    """A network that returns probabilities instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, beats: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to probabilities [batch, classes]."""
        return torch.softmax(self.network(beats), dim=1)


def metadata(record: RunRecord) -> dict[str, Any]:
    """Return input, output, classes, preparation and scores of the network, as JSON data."""
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
        "training": _training(record),
        "architecture": record.architecture,
        "run_key": record.run_key,
    }


def _training(record: RunRecord) -> dict[str, Any]:
    """Return what a test on other beats has to know of the run."""
    assert record.dataset is not None
    parts = record.split.records if record.split else {}
    names = [name for part in ("train", "validation") for name in parts.get(part, ())]
    records = list(dict.fromkeys(names or record.dataset.records))
    persons = record.dataset.persons
    return {
        "strategy": record.strategy,
        "protocol_options": record.protocol_options,
        "macro_classes": record.macro_classes,
        "records": records,
        "persons": {name: persons[name] for name in records if name in persons},
    }


def check_path(path: Path, *, int8: bool = False) -> None:
    """Check before the work that a network can be written to ``path``.

    Args:
        path: The file.
        int8: Whether the network is to be quantized, which .pt2 files cannot hold.

    Raises:
        OptionError: The extension is not in :data:`FORMATS`, or libraries are not installed.
        StorageError: The folder does not exist.
    """
    extension = path.suffix.lower()
    if extension not in FORMATS:
        raise OptionError(
            f"A model cannot be written as {path.suffix or 'a file without extension'!r}.",
            where=str(path),
            fix=f"Choose a file name that ends in one of {', '.join(FORMATS)}.",
        )
    if int8 and extension == ".pt2":
        raise OptionError(
            "Files .pt2 hold no networks in 8-bit integers.",
            where=str(path),
            fix="Choose a file name that ends in .onnx or .pte, or leave --int8 out.",
        )
    needed = _NEEDED.get(extension, ())
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise OptionError(
            f"Files {extension} need packages that are not installed: {', '.join(missing)}.",
            where=str(path),
            fix=f"Install them with pip install 'nasbench-ecg[{_EXTRAS[extension]}]', or write a "
            ".pt2 file.",
        )
    if not path.parent.is_dir():
        raise StorageError(
            "The output folder does not exist.", where=str(path.parent), fix="Create it first."
        )


def write(content: bytes, path: Path) -> None:
    """Write a file atomically.

    Raises:
        StorageError: The file cannot be written.
    """
    with storage_errors(path, option="-o"), replace_atomically(path) as temporary:
        temporary.write_bytes(content)


def exported(model: nn.Module, record: RunRecord, extension: str) -> tuple[bytes, float]:
    """Return the content of an exported file, and how much its probabilities differ.

    Args:
        model: The network of the run, on the CPU.
        record: The run; its :func:`metadata` is part of the content.
        extension: One of :data:`FORMATS`.

    Returns:
        The content, and the largest difference between probabilities of the exported network and
        of ``model``.

    Raises:
        OptionError: The network cannot be traced, or the traced network gives other probabilities.
    """
    assert record.dataset is not None
    classifier = Classifier(model).eval()
    shape = (len(record.dataset.leads), record.dataset.n_samples)
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(_EXAMPLE_BEATS, *shape, generator=generator)
    beats = torch.randn(2 * _EXAMPLE_BEATS + 1, *shape, generator=generator)
    builder = f"builder {record.components['builder'].name!r}"
    # the checksums of a .pt2 file are in its format
    seal = {} if extension == ".pt2" else {SEAL: OPEN}
    text = json.dumps({**metadata(record), **seal}, ensure_ascii=False)
    convert = {".onnx": _as_onnx, ".pt2": _as_pt2, ".pte": _as_pte}[extension]
    any_batch = ({0: torch.export.Dim("batch", min=1)},)
    with quiet(), torch.no_grad():
        try:
            # the memory of an ExecuTorch program is planned for one beat
            program = (
                torch.export.export(classifier, (example[:1],))
                if extension == ".pte"
                else torch.export.export(classifier, (example,), dynamic_shapes=any_batch)
            )
            content, probabilities = convert(program, text, beats)
        except Exception as error:
            raise OptionError(
                f"This network cannot be exported: {first_line(error)}",
                where=builder,
                fix="Load its weights in Python instead: nasbench_ecg.models.load.load_model.",
            ) from error
        difference = float((probabilities - classifier(beats)).abs().max())
    if not difference <= _TOLERANCE:
        raise OptionError(
            f"The exported network gives probabilities that differ by {difference:.1g}.",
            where=builder,
            fix="Its forward pass may depend on more than its input.",
        )
    return content if extension == ".pt2" else sealed(content), difference


def _as_pt2(program: ExportedProgram, text: str, beats: Tensor) -> tuple[bytes, Tensor]:
    """Return the content of the file, and the probabilities of ``beats`` that it gives."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: text})
    buffer.seek(0)
    return buffer.getvalue(), torch.export.load(buffer).module()(beats)


def _as_onnx(program: ExportedProgram, text: str, beats: Tensor) -> tuple[bytes, Tensor]:
    """Return the content of the file, and the probabilities of ``beats`` that it gives."""
    import onnxruntime

    converted = torch.onnx.export(program, dynamo=True, verbose=False)
    assert converted is not None
    converted.model.metadata_props[METADATA] = text
    content: bytes = converted.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"beats": beats.numpy()})
    return content, torch.from_numpy(probabilities)


def _as_pte(program: ExportedProgram, text: str, beats: Tensor) -> tuple[bytes, Tensor]:
    """Return the content of the file, and the probabilities of ``beats`` that it gives."""
    content = float_program(program, text)
    _, probabilities = load_program(content)
    return content, torch.from_numpy(probabilities(beats.numpy()))


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the logs and warnings of libraries that export and quantize networks."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
