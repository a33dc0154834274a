"""Training for plugin authors: recipe, training loop, prediction, CUDA graphs, precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.lazy import lazy_names

if TYPE_CHECKING:
    from nasbench_ecg.training.costs import (
        CostName,
        build_network,
        count_macs,
        count_parameters,
        latency,
        network_costs,
        peak_memory_mb,
    )
    from nasbench_ecg.training.engine import (
        DeviceBeats,
        fit,
        predict,
        raise_if_diverged,
        seconds_per_call,
        seconds_per_step,
        to_device,
        training_step,
    )
    from nasbench_ecg.training.fast_layers import FastLayers
    from nasbench_ecg.training.fast_layers.convolution import long_kernel_convolution
    from nasbench_ecg.training.graphs import GraphedStep, rate_from
    from nasbench_ecg.training.int8 import Footprint, flash_bytes, footprint, ram_bytes
    from nasbench_ecg.training.losses import Loss, loss_function
    from nasbench_ecg.training.optimizers import cosine, weight_optimizer
    from nasbench_ecg.training.precision import arithmetic, autocast, uses_tensor_cores
    from nasbench_ecg.training.recipe import (
        AUGMENTATIONS,
        Augmentation,
        LossName,
        Precision,
        Recipe,
        RecipeOptions,
    )

__getattr__ = lazy_names(
    __name__,
    {
        "nasbench_ecg.training.costs": (
            "CostName",
            "build_network",
            "count_macs",
            "count_parameters",
            "latency",
            "network_costs",
            "peak_memory_mb",
        ),
        "nasbench_ecg.training.engine": (
            "DeviceBeats",
            "fit",
            "predict",
            "raise_if_diverged",
            "seconds_per_call",
            "seconds_per_step",
            "to_device",
            "training_step",
        ),
        "nasbench_ecg.training.fast_layers": ("FastLayers",),
        "nasbench_ecg.training.fast_layers.convolution": ("long_kernel_convolution",),
        "nasbench_ecg.training.int8": (
            "Footprint",
            "flash_bytes",
            "footprint",
            "ram_bytes",
        ),
        "nasbench_ecg.training.graphs": (
            "GraphedStep",
            "rate_from",
        ),
        "nasbench_ecg.training.losses": (
            "Loss",
            "loss_function",
        ),
        "nasbench_ecg.training.optimizers": (
            "cosine",
            "weight_optimizer",
        ),
        "nasbench_ecg.training.precision": (
            "arithmetic",
            "autocast",
            "uses_tensor_cores",
        ),
        "nasbench_ecg.training.recipe": (
            "AUGMENTATIONS",
            "Augmentation",
            "LossName",
            "Precision",
            "Recipe",
            "RecipeOptions",
        ),
    },
)

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "CostName",
    "DeviceBeats",
    "FastLayers",
    "Footprint",
    "GraphedStep",
    "Loss",
    "LossName",
    "Precision",
    "Recipe",
    "RecipeOptions",
    "arithmetic",
    "autocast",
    "build_network",
    "cosine",
    "count_macs",
    "count_parameters",
    "fit",
    "flash_bytes",
    "footprint",
    "latency",
    "long_kernel_convolution",
    "loss_function",
    "network_costs",
    "peak_memory_mb",
    "predict",
    "raise_if_diverged",
    "ram_bytes",
    "rate_from",
    "seconds_per_call",
    "seconds_per_step",
    "to_device",
    "training_step",
    "uses_tensor_cores",
    "weight_optimizer",
]
