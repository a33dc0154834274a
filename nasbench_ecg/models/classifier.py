"""A trained network with what its beats need: from a run, or from an exported file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from nasbench_ecg.data.record_options import WaveformOptions, denoise_rate
from nasbench_ecg.errors import OptionError, StorageError
from nasbench_ecg.models.executorch import load_program
from nasbench_ecg.models.export import METADATA, metadata
from nasbench_ecg.models.load import first_line
from nasbench_ecg.models.preparation import check_shape, waveform_options
from nasbench_ecg.models.seal import check_seal
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.signal.added_leads import count_leads

Floats = NDArray[np.float32]

_BATCH = 1024
_UNSEALED = (
    "{} holds no SHA-256 of itself, so damage to it is not noticed. Export the run again to have "
    "it checked."
)


@dataclass(frozen=True)
class Origin:
    """The run that trained a network.

    Attributes:
        run_key: Its key.
        strategy: Its strategy.
        dataset: Its dataset.
        options: Options of the dataset, as JSON data.
        protocol: Its protocol.
        protocol_options: Options of the protocol, as JSON data.
        metrics: Scores on its own test part.
        macro_classes: The classes that these average over.
        records: Records of the training and validation part; empty if an exported file does not
            name them.
        persons: Person of each of these records, as far as they are known.
    """

    run_key: str
    strategy: str
    dataset: str
    options: Mapping[str, Any]
    protocol: str
    protocol_options: Mapping[str, Any]
    metrics: Mapping[str, float]
    macro_classes: tuple[str, ...]
    records: tuple[str, ...]
    persons: Mapping[str, str]


@dataclass(frozen=True)
class BeatClassifier:
    """A network that classifies beats, and how its beats are cut and prepared.

    Attributes:
        name: Name of the network, for messages.
        probabilities: Maps beats [n, leads, samples] to probabilities [n, classes]; raises
            OptionError if leads or samples are not those of the network.
        classes: Names of the classes.
        leads: Names of the signal leads that the network was trained on.
        fs: Sampling rate of its beats in hertz.
        options: Window, denoising, normalization and added leads.
        origin: The run that trained it.
        file: Name of the file that it was read from; empty for the network of a run.
        notes: What a user should know of the file.
    """

    name: str
    probabilities: Callable[[Floats], Floats]
    classes: tuple[str, ...]
    leads: tuple[str, ...]
    fs: float
    options: WaveformOptions
    origin: Origin | None = None
    file: str = ""
    notes: tuple[str, ...] = ()

    @property
    def denoise_rate(self) -> float | None:
        """Sampling rate in hertz at which the training records were denoised; None if unknown."""
        return denoise_rate(self.options, self.fs)


def classifier_of_run(
    record: RunRecord, out: Path, registry: Registry | None = None
) -> BeatClassifier:
    """Return the trained network of a run.

    Args:
        record: The run.
        out: Folder of all results.
        registry: The available components; by default those installed.

    Raises:
        NasbenchError: As :func:`~nasbench_ecg.models.load.load_model`; or its beats are features.
    """
    from nasbench_ecg.models.trained import trained_model

    model = trained_model(record, out, registry)
    return _classifier(f"the run {record.run_key[:8]}", metadata(record), model.probabilities)


def classifier_of_file(path: Path) -> BeatClassifier:
    """Return the network of a file that ``nasbench-ecg export`` wrote.

    Raises:
        OptionError: The file is of another format, or was not exported from a run.
        StorageError: The file cannot be read, is damaged, or does not describe its network.
    """
    if not path.is_file():
        raise StorageError(
            "There is no such file.",
            where=str(path),
            fix="Name a .onnx, .pt2 or .pte file that 'nasbench-ecg export' wrote.",
        )
    readers = {".onnx": _onnx, ".pt2": _pt2, ".pte": _pte}
    if path.suffix.lower() not in readers:
        raise OptionError(
            f"A network cannot be read from {path.suffix or 'a file without extension'!r}.",
            where=str(path),
            fix="Name a .onnx, .pt2 or .pte file that 'nasbench-ecg export' wrote.",
        )
    try:
        content = path.read_bytes()
        is_sealed = check_seal(content, where=str(path))  # damaged files can crash a runtime
        text, probabilities = readers[path.suffix.lower()](content)
    except ImportError as error:
        raise OptionError(
            f"This needs {error.name}, which is not installed.",
            where=str(path),
            fix="Install it with pip install 'nasbench-ecg[onnx]', for a .pte file with "
            "pip install 'nasbench-ecg[executorch]'.",
        ) from error
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(
            f"The network cannot be read: {first_line(error).rstrip('.')}.",
            where=str(path),
            fix="Name a file that 'nasbench-ecg export' wrote.",
        ) from error

    def checked(beats: Floats) -> Floats:
        check_shape(beats.shape[1:], described["leads"], described["samples"])
        return probabilities(beats)

    try:
        described = json.loads(text)
        found = _classifier(path.name, described, checked, file=path.name)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        lacks = f" It lacks {error}." if isinstance(error, KeyError) else ""
        raise StorageError(
            f"The file does not describe its network and how beats are prepared for it.{lacks}",
            where=f"{path}, {METADATA}",
            fix="Name a file that 'nasbench-ecg export' wrote, or export the run again.",
        ) from error
    if is_sealed or path.suffix.lower() == ".pt2":
        return found
    return replace(found, notes=(_UNSEALED.format(path.name),))


def _onnx(content: bytes) -> tuple[str, Callable[[Floats], Floats]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def probabilities(beats: Floats) -> Floats:
        parts = [
            session.run(None, {"beats": beats[i : i + _BATCH]})[0]
            for i in range(0, len(beats), _BATCH)
        ]
        return np.concatenate(parts)

    return session.get_modelmeta().custom_metadata_map.get(METADATA, ""), probabilities


def _pt2(content: bytes) -> tuple[str, Callable[[Floats], Floats]]:
    import torch

    # PyTorch does not check the sums of its own files
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} in the file differs, so it is damaged")
    extra = {METADATA: ""}
    module = torch.export.load(io.BytesIO(content), extra_files=extra).module()

    def probabilities(beats: Floats) -> Floats:
        with torch.no_grad():
            parts = torch.split(torch.from_numpy(beats), _BATCH)
            return torch.cat([module(part) for part in parts]).numpy()

    return extra[METADATA], probabilities


def _pte(content: bytes) -> tuple[str, Callable[[Floats], Floats]]:
    return load_program(content)


def _classifier(
    name: str,
    described: Mapping[str, Any],
    probabilities: Callable[[Floats], Floats],
    file: str = "",
) -> BeatClassifier:
    leads = tuple(described["leads"])
    try:
        options = waveform_options(described["preparation"]["options"], leads)
    except ValidationError as error:
        raise OptionError(
            f"The dataset {described['preparation']['dataset']!r} of {name} does not say how its "
            "beats are cut from a signal.",
            fix="Choose a network of a dataset whose options are WaveformOptions.",
        ) from error
    return BeatClassifier(
        name=name,
        probabilities=probabilities,
        classes=tuple(described["classes"]),
        leads=leads[: count_leads(leads).signals],
        fs=float(described["samples_per_second"]),
        options=options,
        origin=_origin(described),
        file=file,
    )


def _origin(described: Mapping[str, Any]) -> Origin:
    scores, training = dict(described["scores"]), described.get("training", {})
    return Origin(
        run_key=described["run_key"],
        strategy=training.get("strategy", "a network"),
        dataset=scores.pop("dataset"),
        options=described["preparation"]["options"],
        protocol=scores.pop("protocol"),
        protocol_options=training.get("protocol_options", {}),
        metrics=scores,
        macro_classes=tuple(training.get("macro_classes", described["classes"])),
        records=tuple(training.get("records", ())),
        persons=training.get("persons", {}),
    )
