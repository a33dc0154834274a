"""The memory that a network needs on a microcontroller in int8: flash for weights, RAM to run.

The network is not quantized. One forward pass of one beat records its operations, and both numbers
follow from these. Two networks that compute the same by the same operations need the same, whatever
the device and the memory layout, and whether ReLU runs in place.

References:
    Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam, Kalenichenko 2018, "Quantization and Training of
    Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR (integer biases, folded
    batch normalization).

    onnxruntime, ``quantize_static`` with ``per_channel=True`` (what is stored).

    Lin, Chen, Lin, Cohn, Gan, Han 2020, "MCUNet: Tiny Deep Learning on IoT Devices", NeurIPS (peak
    activations as the memory that limits a network).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasbench_ecg.training.decomposition import decomposed, parametrized_once
from nasbench_ecg.training.recurrent import RecurrentCalls

WEIGHT_BYTES = ACTIVATION_BYTES = 1
"""Bytes of an int8 weight or activation."""

SCALE_BYTES = 4
"""Bytes of a float32 scale: one for each output channel of a layer, and one for an activation."""

BIAS_BYTES = 4
"""Bytes of an int32 bias, of which a layer has one for each output channel."""

ZERO_POINT_BYTES = 1
"""Bytes of the zero point of an activation. Those of weights are 0 and are not stored."""

FLOAT_BYTES = 4
"""Bytes of a parameter that stays float32, as onnxruntime leaves it."""


@dataclass(frozen=True)
class Footprint:
    """What a network needs in int8.

    Attributes:
        flash_bytes: Bytes of all weights and scales, see :func:`flash_bytes`.
        ram_bytes: Bytes of the activations, see :func:`ram_bytes`.
    """

    flash_bytes: int
    ram_bytes: int


def flash_bytes(model: nn.Module, n_leads: int, n_samples: int) -> int:
    """Return the bytes that the weights of ``model`` take in int8.

    The sum of

    - for each convolution and linear layer with weights W and C outputs: ``|W| + 4·C`` for int8
      weights and their float32 scales, one for each output channel;
    - ``4·C`` more for int32 biases, if the layer has biases or batch normalization follows;
    - 5 for each activation: a float32 scale and an int8 zero point. A convolution or linear layer
      has one activation together with the ReLU that follows it; poolings that take the largest
      value, paddings and reshapes keep that of their input, and all steps of a recurrent layer
      share theirs;
    - ``8·C`` for batch normalization of C channels that follows no such layer; otherwise it is
      folded into the layer, or into all the layers whose outputs are concatenated before it;
    - ``4·n`` for any other n values that the network reads, in float32.

    onnxruntime's files also hold the graph, and values that follow from others: the scales of
    biases, and the zero points of weights and biases, which are 0.

    Args:
        model: The network.
        n_leads: Leads of a beat.
        n_samples: Samples of a beat.
    """
    return footprint(model, n_leads, n_samples).flash_bytes


def ram_bytes(model: nn.Module, n_leads: int, n_samples: int) -> int:
    """Return the bytes of the activations of one beat in int8, at the operation with the most.

    The operations run in the order of the forward pass. A tensor is alive from the operation that
    writes it to the last one that reads it; at each operation the sizes of all tensors alive are
    added, inputs and outputs included. Batch normalization and other element-wise operations on one
    tensor run in place if nothing else reads that tensor later. Weights and the working memory of
    operations are not included.

    Args:
        model: The network.
        n_leads: Leads of a beat.
        n_samples: Samples of a beat.
    """
    return footprint(model, n_leads, n_samples).ram_bytes


def footprint(model: nn.Module, n_leads: int, n_samples: int) -> Footprint:
    """Return :func:`flash_bytes` and :func:`ram_bytes` from one forward pass."""
    parameter = next(model.parameters(), None)
    beat = torch.zeros(
        1, n_leads, n_samples, device=None if parameter is None else parameter.device
    )
    calls = RecurrentCalls()
    trace = _Trace([*model.parameters(), *model.buffers()], beat, calls)
    model.eval()
    with torch.no_grad(), decomposed(), parametrized_once(model, beat), calls, trace:
        output = model(beat)
    trace.read_after(output)
    return Footprint(_flash(trace), _ram(trace))


@dataclass(frozen=True)
class _Operation:
    """One operation of the forward pass.

    Attributes:
        name: Name of the operator, without that of its overload and without a last underscore.
        reads: Storages of its inputs that are activations.
        constants: Its other inputs.
        weights: The weights of a convolution or a linear layer; None for other operations.
        writes: Storage of its output.
        also_writes: Storages of further outputs, which take memory if they are read.
        has_scale: Whether its output is a number, and not an index or a truth value.
        channels: Channels of its output, or units of a linear layer.
        in_place: Whether it could write to the memory of its one input.
        shape: Shape of its output.
        layer: The recurrent layer that it is part of; None if it is none.
    """

    name: str
    reads: tuple[int, ...]
    constants: tuple[Tensor, ...]
    weights: Tensor | None
    writes: int
    also_writes: tuple[int, ...]
    has_scale: bool
    channels: int
    in_place: bool
    shape: tuple[int, ...]
    layer: int | None

    @property
    def normalizes(self) -> bool:
        """Whether this is a batch normalization."""
        return "batch_norm" in self.name


_FACTORS = {
    "convolution": slice(1, 2),
    "addmm": slice(1, 3), "baddbmm": slice(1, 3), "addbmm": slice(1, 3), "addmv": slice(1, 3),
    "mm": slice(2), "bmm": slice(2), "mv": slice(2), "dot": slice(2), "vdot": slice(2),
    "_trilinear": slice(3),
}  # fmt: skip
"""Which inputs of a layer may be its weights."""

_POINTWISE = torch.Tag.pointwise
_COPIES = ("clone", "_to_copy", "copy")
_KEEP_SCALE = (*_COPIES, "max_pool1d_with_indices", "max_pool2d_with_indices", "constant_pad_nd")
_FUSED_ACTIVATIONS = ("relu", "hardtanh")
# Releases of PyTorch differ in which of these they tag as point-wise.
_ACTIVATIONS = (
    *_FUSED_ACTIVATIONS, "leaky_relu", "prelu", "_prelu_kernel", "elu", "celu", "selu", "gelu",
    "silu", "mish", "sigmoid", "hardsigmoid", "hardswish", "tanh", "softplus",
    "log_sigmoid_forward", "threshold", "hardshrink", "softshrink",
)  # fmt: skip


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the operations of a forward pass; a tensor and its views share one storage.

    Attributes:
        operations: The operations in order, without views and those on constants alone.
        sizes: Number of values in each storage of activations.
        last_use: Number of the last operation that reads or writes a storage.
        calls: States the recurrent layer that is being computed.
        beat: Storage of the network's input.
    """

    def __init__(self, constants: list[Tensor], beat: Tensor, calls: RecurrentCalls) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = calls
        self.operations: list[_Operation] = []
        self.beat = _storage(beat)
        self.sizes = {self.beat: beat.numel()}
        self.last_use: dict[int, int] = {}
        self._kept: list[Any] = [constants, beat]  # so that no storage is used a second time

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it."""
        kwargs = kwargs or {}
        with self:
            if (decomposed := func.decompose(*args, **kwargs)) is not NotImplemented:
                return decomposed
        result = func(*args, **kwargs)
        self._kept += [args, kwargs, result]
        if outputs := _tensors(result):
            self._record(func, _tensors((args, kwargs)), outputs)
        return result

    def _record(self, func: Any, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """Record an operation; what no recorded operation has written is a constant."""
        constants = tuple(tensor for tensor in inputs if _storage(tensor) not in self.sizes)
        if constants and len(constants) == len(inputs):
            return
        reads = tuple(dict.fromkeys(map(_storage, inputs)))
        reads = tuple(storage for storage in reads if storage in self.sizes)
        output = next((tensor for tensor in outputs if tensor.is_floating_point()), outputs[0])
        written = _storage(output)
        if written in reads and not func._schema.is_mutable:  # a view
            return
        name = func._schema.name.removeprefix("aten::").removesuffix("_")
        factors = inputs[_FACTORS.get(name, slice(0))]
        weights = next((one for one in factors if _storage(one) not in self.sizes), None)
        elementwise = (
            _POINTWISE in func.tags or name in (*_COPIES, *_ACTIVATIONS) or "batch_norm" in name
        )
        for tensor in outputs:
            size = tensor.untyped_storage().nbytes() // tensor.element_size()
            self.sizes[_storage(tensor)] = max(size, self.sizes.get(_storage(tensor), 0))
        self.last_use |= dict.fromkeys((*reads, written), len(self.operations))
        self.operations.append(
            _Operation(
                name,
                reads,
                constants,
                weights,
                written,
                also_writes=tuple({*map(_storage, outputs)} - {written}),
                has_scale=output.is_floating_point() or output.is_complex(),
                channels=_channels(name, output, factors, weights),
                in_place=elementwise and len(reads) == 1,
                shape=tuple(output.shape),
                layer=self.calls.layer,
            )
        )

    def read_after(self, result: Any) -> None:
        """Count the ``result`` of the forward pass as read after the last operation."""
        self.last_use |= dict.fromkeys(map(_storage, _tensors(result)), len(self.operations))


def _channels(name: str, output: Tensor, factors: list[Tensor], weights: Tensor | None) -> int:
    if name == "convolution" or "batch_norm" in name:
        return output.shape[1]
    if weights is None or name == "_trilinear":
        return output.shape[-1] if output.dim() else 1
    of_rows = weights.dim() == 1 or weights is factors[0]
    summed = weights.shape[-1] if of_rows else weights.shape[-2]
    return weights.numel() // max(summed, 1)


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _ram(trace: _Trace) -> int:
    """Return the largest sum of the sizes of all tensors alive at one operation, in int8."""
    buffer = {trace.beat: trace.beat}
    size, last_use = dict(trace.sizes), dict(trace.last_use)
    alive = {trace.beat}
    peak = size[trace.beat]
    for i, operation in enumerate(trace.operations):
        sources = {buffer[storage] for storage in operation.reads}
        if operation.writes not in buffer:
            buffer[operation.writes] = operation.writes
            if operation.in_place and last_use[(source := sources.copy().pop())] == i:
                buffer[operation.writes] = source
                size[source] = max(size[source], size[operation.writes])
                last_use[source] = last_use[operation.writes]
        buffer |= {storage: storage for storage in operation.also_writes}
        alive |= {one for one in operation.also_writes if last_use.get(one, i) > i}
        alive.add(buffer[operation.writes])
        peak = max(peak, sum(size[one] for one in alive))
        alive = {one for one in alive if last_use[one] > i}
    return ACTIVATION_BYTES * peak


def _with_values(operations: list[_Operation]) -> list[_Operation]:
    """Return the operations with values in place of storages: one in place writes a new value."""
    value: dict[int, int] = {}
    found = []
    for number, operation in enumerate(operations, start=1):
        reads = tuple(value.get(storage, storage) for storage in operation.reads)
        value[operation.writes] = -number
        found.append(replace(operation, reads=reads, writes=-number))
    return found


def _flash(trace: _Trace) -> int:
    """Return the bytes of weights, biases, scales and all other constants, each counted once."""
    operations = _with_values(trace.operations)
    readers = Counter(value for operation in operations for value in operation.reads)
    written_by: dict[int, _Operation] = {}
    layers: dict[int, _Operation] = {}
    biased: set[int] = set()
    others: dict[int, int] = {}
    activations = 1  # the beat
    of_steps: Counter[tuple[Any, ...]] = Counter()  # activations of recurrent layers, by kind

    def layers_before(storage: int) -> list[int] | None:
        """Return the weights of the layers that batch normalization of a storage is folded into."""
        writer = written_by.get(storage)
        if writer is None or readers[storage] > 1:
            return None
        if writer.weights is not None:
            return [_storage(writer.weights)]
        if writer.name != "cat":
            return None
        found = [layers_before(part) for part in writer.reads]
        return None if None in found else [weights for part in found for weights in part or ()]

    for operation in operations:
        is_activation = True
        source = operation.reads[0] if operation.reads else None
        before = None if source is None else written_by.get(source)
        written_by[operation.writes] = operation
        if operation.normalizes and source is not None:
            if (folded := layers_before(source)) is not None:
                biased.update(folded)
                assert before is not None
                written_by[operation.writes] = before
                is_activation = False
            else:
                others[_storage(operation.constants[0])] = 2 * operation.channels
        elif operation.weights is not None:
            weights = _storage(operation.weights)
            layers[weights] = operation
            if any(tensor is not operation.weights for tensor in operation.constants):
                biased.add(weights)
        else:
            others |= {_storage(constant): constant.numel() for constant in operation.constants}
            follows_layer = before is not None and before.weights is not None
            fused = operation.name in _FUSED_ACTIVATIONS and follows_layer
            alone = source is not None and readers[source] == 1
            keeps = operation.name in _KEEP_SCALE or (fused and alone)
            is_activation = operation.has_scale and not keeps
        if operation.layer is None:
            activations += is_activation
        elif is_activation:
            layer_weights = None if operation.weights is None else _storage(operation.weights)
            of_steps[operation.layer, operation.name, operation.shape, layer_weights] += 1
    activations += sum(-(-n // trace.calls.steps[kind[0]]) for kind, n in of_steps.items())
    total = (SCALE_BYTES + ZERO_POINT_BYTES) * activations + FLOAT_BYTES * sum(others.values())
    for weights, layer in layers.items():
        assert layer.weights is not None
        total += WEIGHT_BYTES * layer.weights.numel() + SCALE_BYTES * layer.channels
        total += BIAS_BYTES * layer.channels if weights in biased else 0
    return total
