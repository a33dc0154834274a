"""Costs of a network: trainable parameters, multiply-accumulates, memory and latency.

Run records, size limits, cost objectives, cost evaluators and benchmarks all use these definitions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Literal, Protocol, runtime_checkable

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Task
from nasbench_ecg.training.decomposition import decomposed, parametrized_once
from nasbench_ecg.training.engine import seconds_per_call
from nasbench_ecg.training.int8 import footprint
from nasbench_ecg.training.precision import arithmetic, autocast
from nasbench_ecg.training.products import OPERATIONS
from nasbench_ecg.training.recipe import Precision
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg.training.shapes import with_shapes

CostName = Literal["parameters", "macs", "flash_bytes", "ram_bytes", "latency"]
"""Names of the costs that a search can minimize."""

LATENCY_BATCH = 256
"""Beats in the batch whose latency a run records."""

BEAT_REPEATS = 30
"""Timed passes of a single beat."""

BATCH_REPEATS = 5
"""Timed passes of a batch."""


def build_network(arch: Architecture, task: Task, builder: Builder) -> nn.Module:
    """Return the untrained network of ``arch`` for the beats of ``task``."""
    model = builder.build(
        arch, n_leads=task.n_leads, n_samples=task.n_samples, n_classes=task.n_classes
    )
    return with_shapes(model, task.n_leads, task.n_samples)


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters (``requires_grad``)."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def count_macs(model: nn.Module, n_leads: int, n_samples: int) -> int:
    """Return the multiply-accumulates of one beat [n_leads, n_samples].

    Convolutions and matrix products count, as in :mod:`torch.utils.flop_counter`, those of
    recurrent layers and attention included, and products with vectors; element-wise operations and
    poolings do not, and neither do parametrizations of weights. One multiply-accumulate is two
    floating-point operations. The model is set to evaluation mode.
    """
    parameter = next(model.parameters(), None)
    beat = torch.zeros(
        1, n_leads, n_samples, device=None if parameter is None else parameter.device
    )
    model.eval()
    counter = FlopCounterMode(display=False, custom_mapping=dict(OPERATIONS))
    # in inference mode, PyTorch cannot count the operations of parametrized weights
    with decomposed(), torch.no_grad(), parametrized_once(model, beat), counter:
        model(beat)
    return int(counter.get_total_flops()) // 2


def latency(
    model: nn.Module,
    n_leads: int,
    n_samples: int,
    device: str,
    *,
    beats: int = 1,
    repeats: int = BEAT_REPEATS,
    precision: Precision = "float32",
) -> float:
    """Return the median wall time of one inference pass, in milliseconds.

    Args:
        model: The network; it is moved to ``device`` and set to evaluation mode.
        n_leads: Leads of a beat.
        n_samples: Samples of a beat.
        device: ``cpu`` or ``cuda``.
        beats: Beats in the batch.
        repeats: Timed passes; one more pass before them warms up.
        precision: Arithmetic of the pass. In ``float32`` a GPU does not use TF32.
    """
    model = model.to(device).eval()
    batch = torch.zeros(beats, n_leads, n_samples, device=device)
    with torch.inference_mode(), arithmetic(device, precision), autocast(device, precision):
        return 1e3 * seconds_per_call(lambda: model(batch), device, repeats=repeats)


def latencies(model: nn.Module, n_leads: int, n_samples: int, device: str) -> dict[str, float]:
    """Return the float32 latencies that a run records.

    Returns:
        ``latency_1_ms`` of one beat and ``latency_256_ms`` of a batch of 256, in milliseconds.
    """
    return {
        f"latency_{beats}_ms": latency(
            model, n_leads, n_samples, device, beats=beats, repeats=repeats
        )
        for beats, repeats in ((1, BEAT_REPEATS), (LATENCY_BATCH, BATCH_REPEATS))
    }


def peak_memory_mb(device: str) -> float | None:
    """Return the peak memory of this process so far, in megabytes: on the GPU, or resident.

    None where the system does not tell, as on Windows.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def network_costs(
    arch: Architecture, task: Task, builder: Builder, *, device: str, names: Sequence[CostName]
) -> dict[str, float]:
    """Return the costs ``names`` of an untrained network for the beats of ``task``.

    torch's global generator is left as it was.

    Returns:
        ``parameters``, the trainable parameters; ``macs``, the multiply-accumulates of one beat;
        ``flash_bytes`` and ``ram_bytes``, the memory for weights and activations in int8;
        ``latency``, the milliseconds of one beat on ``device`` in float32, which varies between
        calls.
    """
    known = builder.known_costs(arch) if isinstance(builder, KnowsCosts) else {}
    if all(name in known for name in names):
        return {name: known[name] for name in names}
    with seeded(0):
        model = build_network(arch, task, builder)
    costs: dict[str, float] = {}
    if {"flash_bytes", "ram_bytes"} & set(names):
        costs |= asdict(footprint(model, task.n_leads, task.n_samples))
    costs |= {name: _COSTS[name](model, task, device) for name in names if name in _COSTS}
    return {name: float(costs[name]) for name in names}


@runtime_checkable
class KnowsCosts(Protocol):
    """A builder that has costs of networks without building them, as that of a table does."""

    def known_costs(self, arch: Architecture) -> Mapping[str, float]:
        """Return the known costs of a network by name, in the units of :func:`network_costs`."""


_COSTS: Mapping[CostName, Callable[[nn.Module, Task, str], float]] = {
    "parameters": lambda model, task, device: count_parameters(model),
    "macs": lambda model, task, device: count_macs(model, task.n_leads, task.n_samples),
    "latency": lambda model, task, device: latency(model, task.n_leads, task.n_samples, device),
}


def size_costs(model: nn.Module, n_leads: int, n_samples: int) -> dict[str, float]:
    """Return the costs of a network that are the same on every machine.

    Args:
        model: Maps beats [batch, n_leads, n_samples] to logits.
        n_leads: Leads of a beat.
        n_samples: Samples of a beat.

    Returns:
        ``parameters``, ``macs``, ``flash_bytes`` and ``ram_bytes``.
    """
    return {
        "parameters": count_parameters(model),
        "macs": count_macs(model, n_leads, n_samples),
        **asdict(footprint(model, n_leads, n_samples)),
    }


def measure_costs(
    arch: Architecture, task: Task, builder: Builder, device: str
) -> dict[str, float]:
    """Return the costs that a run records, of an untrained network on ``device``.

    Returns:
        ``parameters``, ``macs``, ``flash_bytes``, ``ram_bytes``, ``latency_1_ms``,
        ``latency_256_ms`` and, where the system tells it, ``peak_memory_mb``.
    """
    with seeded(0):
        model = build_network(arch, task, builder).to(device)
        costs = {
            **size_costs(model, task.n_leads, task.n_samples),
            **latencies(model, task.n_leads, task.n_samples, device),
        }
    if (peak := peak_memory_mb(device)) is not None:
        costs["peak_memory_mb"] = round(peak, 1)
    return costs
