"""An exported network in 8-bit integers, and what that costs in accuracy.

Weights are quantized per output channel, activations per tensor, with ranges from calibration
beats. Convolutions and the linear layer compute in integers; the softmax at the end stays float32.

References:
    Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR; onnxruntime's static quantization (QDQ format);
    the XNNPACK quantizer of ExecuTorch.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.models import executorch
from nasbench_ecg.models.export import METADATA, Classifier, quiet
from nasbench_ecg.models.load import first_line
from nasbench_ecg.models.seal import OPEN, SEAL, sealed

if TYPE_CHECKING:
    from torch.export import ExportedProgram

CALIBRATION_BEATS = 1024
"""Training beats that set the ranges of activations, as many of each class as there are."""

_BATCH = 256
_INPUT = "beats"


@dataclass(frozen=True)
class Int8Scores:
    """What quantization costs, on the test beats.

    Attributes:
        agreement: Share of the beats that both networks give the same class.
        f1_of_macro: F1 of the quantized network, as a fraction.
        loss: F1 of the float network minus that of the quantized one.
        weight_bytes: Bytes of the quantized network's constants: weights, biases and scales.
        test_beats: Number of test beats.
        calibration_beats: Number of calibration beats.
    """

    agreement: float
    f1_of_macro: float
    loss: float
    weight_bytes: int
    test_beats: int
    calibration_beats: int


def calibration_beats(
    beats: Beats, n: int = CALIBRATION_BEATS, seed: int = 0
) -> NDArray[np.float32]:
    """Return training beats [n, leads, samples] with equal shares of the classes.

    A class with fewer beats than its share gives all it has; others do not fill the rest.

    Args:
        beats: The training part.
        n: Most beats.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    present = np.unique(beats.labels)
    share = max(1, n // len(present))
    index = [rng.permutation(np.flatnonzero(beats.labels == label))[:share] for label in present]
    chosen = np.sort(np.concatenate(index))
    return np.asarray(beats.take(chosen).signals, dtype=np.float32)


def quantize(content: bytes, calibration: NDArray[np.float32]) -> bytes:
    """Return an ONNX network in 8-bit integers.

    Args:
        content: The float network, whose input is ``beats`` [batch, leads, samples].
        calibration: Beats that set the ranges of activations.

    Raises:
        OptionError: onnxruntime cannot quantize the network.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            parts = range(0, len(calibration), _BATCH)
            self._left = iter([{_INPUT: calibration[i : i + _BATCH]} for i in parts])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        given, prepared, made = (Path(folder, name) for name in ("a.onnx", "b.onnx", "c.onnx"))
        given.write_bytes(content)
        try:
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                made,
                Batches(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=None,
                nodes_to_exclude=_softmax_nodes(prepared),
                extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
            )
        except Exception as error:
            raise OptionError(
                f"This network cannot be quantized: {first_line(error)}",
                fix="Export it without --int8.",
            ) from error
        return made.read_bytes()


def with_metadata(content: bytes, found: Int8Scores) -> bytes:
    """Return an ONNX network whose metadata states ``found`` under ``int8``.

    Args:
        content: The network, with the metadata of its float form.
        found: What quantization costs.
    """
    import onnx

    model = onnx.load_from_string(content)
    for entry in model.metadata_props:
        if entry.key == METADATA:
            told = {**json.loads(entry.value), "int8": asdict(found), SEAL: OPEN}
            entry.value = json.dumps(told, ensure_ascii=False)
    return sealed(bytes(model.SerializeToString()))


def quantized_program(
    network: nn.Module, calibration: NDArray[np.float32]
) -> tuple[ExportedProgram, bytes]:
    """Return a network in 8-bit integers, and its ExecuTorch program without metadata.

    Args:
        network: The network of a run, which returns logits.
        calibration: Beats that set the ranges of activations.

    Raises:
        OptionError: ExecuTorch cannot quantize the network.
    """
    with quiet():
        try:
            program = executorch.quantized(Classifier(network).eval(), calibration)
            return program, executorch.int8_program(program, "")
        except Exception as error:
            raise OptionError(
                f"This network cannot be quantized: {first_line(error)}",
                fix="Export it as .onnx, or without --int8.",
            ) from error


def program_with_metadata(
    program: ExportedProgram, described: Mapping[str, Any], found: Int8Scores
) -> bytes:
    """Return an ExecuTorch program whose metadata states ``found`` under ``int8``.

    Args:
        program: The network in 8-bit integers.
        described: The metadata of its float form.
        found: What quantization costs.
    """
    text = json.dumps({**described, "int8": asdict(found), SEAL: OPEN}, ensure_ascii=False)
    with quiet():
        return sealed(executorch.int8_program(program, text))


def program_predictions(content: bytes, beats: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of each beat by an ExecuTorch program, int64 [n_beats]."""
    _, probabilities = executorch.load_program(content)
    classes: NDArray[np.int64] = probabilities(beats).argmax(axis=1).astype(np.int64)
    return classes


def network_predictions(network: nn.Module, beats: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of each beat by the network of a run, int64 [n_beats]."""
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(beats[i : i + _BATCH])).argmax(dim=1)
            for i in range(0, len(beats), _BATCH)
        ]
    return torch.cat(parts).numpy().astype(np.int64)


def predictions(content: bytes, beats: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class of each beat by an ONNX network, int64 [n_beats]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    parts = [
        session.run(None, {_INPUT: beats[i : i + _BATCH]})[0].argmax(axis=1)
        for i in range(0, len(beats), _BATCH)
    ]
    return np.concatenate(parts).astype(np.int64)


def weight_bytes(content: bytes) -> int:
    """Return the bytes of an ONNX network's constants: weights, biases, scales, zero points."""
    import onnx

    model = onnx.load_from_string(content)
    return sum(onnx.numpy_helper.to_array(one).nbytes for one in model.graph.initializer)


def scores_of_int8(
    quantized: NDArray[np.int64],
    floating: NDArray[np.int64],
    test: Beats,
    macro_classes: tuple[str, ...],
    *,
    n_bytes: int,
    n_calibration: int,
) -> Int8Scores:
    """Compare a quantized network with its float one on test beats.

    Args:
        quantized: Classes by the network in 8-bit integers, int64 [n_beats].
        floating: Classes by the float network.
        test: The test beats.
        macro_classes: Classes that macro scores average over.
        n_bytes: Bytes of the quantized network's constants.
        n_calibration: Number of calibration beats.
    """
    from nasbench_ecg.metrics import confusion_matrix, scores

    in_int8, in_float = (
        scores(confusion_matrix(test.labels, p, len(test.classes)), test.classes, macro_classes)
        for p in (quantized, floating)
    )
    return Int8Scores(
        agreement=float((quantized == floating).mean()),
        f1_of_macro=in_int8["f1_of_macro"],
        loss=in_float["f1_of_macro"] - in_int8["f1_of_macro"],
        weight_bytes=n_bytes,
        test_beats=len(test),
        calibration_beats=n_calibration,
    )


def _softmax_nodes(path: Path) -> list[str]:
    import onnx

    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Softmax"]
