"""An exported network in 8-bit integers, and what that costs in accuracy.

Weights are quantized per output channel, activations per tensor, with ranges from calibration
beats. Convolutions and the linear layer compute in integers; the softmax at the end stays float32.

References:
    Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR; onnxruntime's static quantization (QDQ format).
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.data.beats import Beats
from nasbench_ecg.errors import OptionError
from nasbench_ecg.models.export import METADATA
from nasbench_ecg.models.load import first_line

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

    with tempfile.TemporaryDirectory() as folder, _quiet():
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
            told = {**json.loads(entry.value), "int8": asdict(found)}
            entry.value = json.dumps(told, ensure_ascii=False)
    return bytes(model.SerializeToString())


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
    quantized: bytes,
    floating: bytes,
    test: Beats,
    macro_classes: tuple[str, ...],
    *,
    n_calibration: int,
) -> Int8Scores:
    """Compare a quantized network with its float one on test beats.

    Args:
        quantized: The network in 8-bit integers, as ONNX.
        floating: The float network, as ONNX.
        test: The test beats.
        macro_classes: Classes that macro scores average over.
        n_calibration: Number of calibration beats.
    """
    from nasbench_ecg.metrics import confusion_matrix, scores

    signals = np.asarray(test.signals, dtype=np.float32)
    found = {
        name: predictions(c, signals) for name, c in (("int8", quantized), ("float", floating))
    }
    f1 = {
        name: scores(
            confusion_matrix(test.labels, predicted, len(test.classes)), test.classes, macro_classes
        )["f1_of_macro"]
        for name, predicted in found.items()
    }
    return Int8Scores(
        agreement=float((found["int8"] == found["float"]).mean()),
        f1_of_macro=f1["int8"],
        loss=f1["float"] - f1["int8"],
        weight_bytes=weight_bytes(quantized),
        test_beats=len(test),
        calibration_beats=n_calibration,
    )


def _softmax_nodes(path: Path) -> list[str]:
    import onnx

    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Softmax"]


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the logs of onnxruntime's quantization."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
