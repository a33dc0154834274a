"""Programs for ExecuTorch, PyTorch's runtime for microcontrollers and phones.

Programs in float32 use the portable kernels. Programs in 8-bit integers use XNNPACK, which runs on
processors of phones and small computers (Arm Cortex-A, x86), not on microcontrollers.

References:
    ExecuTorch, https://docs.pytorch.org/executorch/; its XNNPACK backend and its quantizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

if TYPE_CHECKING:
    from torch.export import ExportedProgram

METADATA_METHOD = "nasbench_ecg"
"""Name of the method of a program that returns the metadata of the network as JSON text."""

Floats = NDArray[np.float32]


def float_program(program: ExportedProgram, text: str) -> bytes:
    """Return the program of an exported network for one beat.

    Args:
        program: The network, traced with one beat.
        text: Its metadata.
    """
    from executorch.exir import to_edge

    edge = to_edge(_without_layouts(program), constant_methods={METADATA_METHOD: text})
    return bytes(edge.to_executorch().buffer)


def quantized(network: nn.Module, calibration: Floats) -> ExportedProgram:
    """Return a network in 8-bit integers, traced with one beat.

    Weights are quantized per output channel, activations per tensor.

    Args:
        network: Maps beats [batch, leads, samples] to probabilities; in evaluation mode.
        calibration: Beats that set the ranges of activations.
    """
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.constant_fold import constant_fold
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    beats = torch.from_numpy(calibration)
    one = (beats[:1],)
    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True)
    )
    with torch.no_grad():
        traced = _without_layouts(torch.export.export(network, one)).module()
        constant_fold(traced)  # weights that the network reshapes
        _as_parameters(traced)
        prepared = prepare_pt2e(traced, quantizer)
        for beat in beats:
            prepared(beat[None])
        return torch.export.export(convert_pt2e(prepared), one)


def int8_program(program: ExportedProgram, text: str) -> bytes:
    """Return the program of a :func:`quantized` network.

    Args:
        program: The network.
        text: Its metadata.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(
        program, partitioner=[XnnpackPartitioner()], constant_methods={METADATA_METHOD: text}
    )
    return bytes(lowered.to_executorch().buffer)


def constant_bytes(program: ExportedProgram) -> int:
    """Return the bytes of the weights, biases and scales of a :func:`quantized` network."""
    constants: list[Any] = [*program.state_dict.values(), *program.constants.values()]
    tensors = [one for one in constants if isinstance(one, torch.Tensor)]
    return sum(one.nbytes for one in tensors if one.dtype != torch.int64)  # zero points are 0


def load_program(content: bytes) -> tuple[str, Callable[[Floats], Floats]]:
    """Return the metadata of a program, and the function from beats to probabilities."""
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(content)
    (text,) = program.load_method(METADATA_METHOD).execute([])

    def probabilities(beats: Floats) -> Floats:
        forward = program.load_method("forward")  # which does not keep the program itself
        parts = [
            forward.execute([torch.from_numpy(np.ascontiguousarray(beat[None]))])[0].numpy().copy()
            for beat in beats
        ]
        return np.concatenate(parts)

    return text, probabilities


def _as_parameters(module: nn.Module) -> None:
    """Make parameters of folded constants, which quantization replaces under the same names."""
    for name in [name for name in dir(module) if name.startswith("_frozen_param")]:
        value = getattr(module, name)
        if not isinstance(value, torch.Tensor):  # a counter
            continue
        delattr(module, name)
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def _without_layouts(program: ExportedProgram) -> ExportedProgram:
    """Return a program without changes of the memory layout: kernels know one order."""
    for node in list(program.graph.nodes):
        if node.target is torch.ops.aten.contiguous.default:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.graph_module.recompile()
    return program
