"""A trained network with what its beats need: from a run, or from an exported file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nasbench_ecg.data.preparation import RecordsOptions, WaveformOptions
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.models.export import METADATA, metadata
from nasbench_ecg.models.load import first_line, load_model
from nasbench_ecg.run.record import RunRecord

Floats = NDArray[np.float32]

_BATCH = 1024


@dataclass(frozen=True)
class BeatClassifier:
    """A network that classifies beats, and how its beats are cut and prepared.

    Attributes:
        name: Name of the network, for messages.
        probabilities: Maps beats [n, leads, samples] to probabilities [n, classes].
        classes: Names of the classes.
        leads: Names of the signal leads that the network was trained on.
        fs: Sampling rate of its beats in hertz.
        options: Window, denoising, normalization and rhythm planes.
    """

    name: str
    probabilities: Callable[[Floats], Floats]
    classes: tuple[str, ...]
    leads: tuple[str, ...]
    fs: float
    options: WaveformOptions

    @property
    def denoise_rate(self) -> float | None:
        """Sampling rate in hertz at which the training records were denoised; None if unknown.

        It is unknown where they were resampled after that.
        """
        if self.options.denoise_rate is None and self.options.rate is None:
            return self.fs
        return self.options.denoise_rate


def classifier_of_run(record: RunRecord, out: Path) -> BeatClassifier:
    """Return the trained network of a run.

    Args:
        record: The run.
        out: Folder of all results.

    Raises:
        NasbenchError: As :func:`~nasbench_ecg.models.load.load_model`; or its beats are features.
    """
    import torch

    model = load_model(record, out)

    def probabilities(beats: Floats) -> Floats:
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(beats), _BATCH)
            return torch.cat([model(part).softmax(dim=1) for part in parts]).numpy()

    return _classifier(f"the run {record.run_key[:8]}", metadata(record), probabilities)


def classifier_of_file(path: Path) -> BeatClassifier:
    """Return the network of a file that ``nasbench-ecg export`` wrote.

    Raises:
        OptionError: The file is of another format, or was not exported from a run.
        StorageError: The file cannot be read.
    """
    if not path.is_file():
        raise StorageError(
            "There is no such file.",
            where=str(path),
            fix="Name a .onnx or .pt2 file that 'nasbench-ecg export' wrote.",
        )
    readers = {".onnx": _onnx, ".pt2": _pt2}
    if path.suffix.lower() not in readers:
        raise OptionError(
            f"A network cannot be read from {path.suffix or 'a file without extension'!r}.",
            where=str(path),
            fix="Name a .onnx or .pt2 file that 'nasbench-ecg export' wrote.",
        )
    try:
        text, probabilities = readers[path.suffix.lower()](path)
        described = json.loads(text)
    except ImportError as error:
        raise OptionError(
            f"This needs {error.name}, which is not installed.",
            where=str(path),
            fix="Install it with 'pip install nasbench-ecg[onnx]'.",
        ) from error
    except Exception as error:
        raise StorageError(
            f"The network cannot be read: {first_line(error)}.",
            where=str(path),
            fix="Name a file that 'nasbench-ecg export' wrote.",
        ) from error
    return _classifier(path.name, described, probabilities)


def _onnx(path: Path) -> tuple[str, Callable[[Floats], Floats]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def probabilities(beats: Floats) -> Floats:
        parts = [
            session.run(None, {"beats": beats[i : i + _BATCH]})[0]
            for i in range(0, len(beats), _BATCH)
        ]
        return np.concatenate(parts)

    return session.get_modelmeta().custom_metadata_map[METADATA], probabilities


def _pt2(path: Path) -> tuple[str, Callable[[Floats], Floats]]:
    import torch

    extra = {METADATA: ""}
    module = torch.export.load(io.BytesIO(path.read_bytes()), extra_files=extra).module()

    def probabilities(beats: Floats) -> Floats:
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(beats), _BATCH)
            return torch.cat([module(part) for part in parts]).numpy()

    return extra[METADATA], probabilities


def _classifier(
    name: str, described: Mapping[str, Any], probabilities: Callable[[Floats], Floats]
) -> BeatClassifier:
    given = described["preparation"]["options"]
    of_records = RecordsOptions.model_fields
    known = {
        key: value
        for key, value in given.items()
        if key in WaveformOptions.model_fields and key not in of_records
    }
    try:
        options = WaveformOptions(records=(name,), leads=tuple(described["leads"]), **known)
    except ValidationError as error:
        raise OptionError(
            f"The beats of {name} are not cut from a signal: its dataset is "
            f"{described['preparation']['dataset']!r}.",
            fix="Choose a network that was trained on waveforms.",
        ) from error
    leads = tuple(described["leads"])
    return BeatClassifier(
        name=name,
        probabilities=probabilities,
        classes=tuple(described["classes"]),
        leads=leads[: len(leads) - len(options.plane_index)],
        fs=float(described["samples_per_second"]),
        options=options,
    )
