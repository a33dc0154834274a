"""The builder ``fixed-network`` of the baseline networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from nasbench_ecg.api import Architecture, NoOptions
from nasbench_ecg_baselines.cnn import CNN_9, CNN_11, Cnn
from nasbench_ecg_baselines.resnet import ResNet31
from nasbench_ecg_baselines.space import network_name

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "cnn-9": partial(Cnn, CNN_9),
    "cnn-11": partial(Cnn, CNN_11),
    "resnet-31": ResNet31,
}


class FixedNetwork:
    """Builds the baseline networks; without options, so that a name identifies one network."""

    def __init__(self, options: NoOptions) -> None:
        self.options = options

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes].

        Raises:
            OptionError: The architecture is not in ``fixed``, or the beats are too short.
        """
        network = NETWORKS[network_name(arch)]
        return network(n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
