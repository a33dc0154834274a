"""``cnn-9`` and ``cnn-11``: the plain convolutional networks that Heart-DARTS is compared with.

References:
    Acharya et al. 2017, "A deep convolutional neural network model to classify heartbeats",
    Computers in Biology and Medicine 89: 389–396 (``cnn-9``).

    Acharya et al. 2017, "Automated detection of arrhythmias using different intervals of
    tachycardia ECG segments with convolutional neural network", Information Sciences 405: 81–90
    (``cnn-11``).

    He et al. 2015, "Delving deep into rectifiers", ICCV (initialization).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_cells.layers import require_samples, to_fast_layout

POOL = 2
NEGATIVE_SLOPE = 0.01
"""Slope of LeakyReLU below 0."""


@dataclass(frozen=True)
class CnnPlan:
    """Layers of a plain network; each convolution is followed by max pooling of 2 with stride 2.

    Attributes:
        convolutions: Kernel size and filters of each convolution (stride 1, no padding).
        hidden: Units of the fully connected layers before the classifier.
    """

    convolutions: tuple[tuple[int, int], ...]
    hidden: tuple[int, ...]

    def length_after(self, n_samples: int) -> int:
        """Return the length after the last pooling; below 1, the beats are too short."""
        for kernel, _ in self.convolutions:
            n_samples = (n_samples - kernel + 1) // POOL
        return n_samples

    @property
    def min_samples(self) -> int:
        """Fewest samples of a beat: the last pooling leaves one sample."""
        n_samples = 1
        for kernel, _ in reversed(self.convolutions):
            n_samples = n_samples * POOL + kernel - 1
        return n_samples


CNN_9 = CnnPlan(convolutions=((3, 5), (4, 10), (4, 20)), hidden=(30, 20))
"""9 layers: three convolutions, three poolings, three fully connected layers."""

CNN_11 = CnnPlan(convolutions=((27, 3), (14, 10), (3, 10), (4, 10)), hidden=(30, 10))
"""11 layers: four convolutions, four poolings, three fully connected layers."""


class ValidConv(nn.Conv1d):
    """A convolution with bias and no padding, on [batch, c, n] or [batch, c, 1, n]."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) n − kernel + 1]."""
        if x.dim() == 4:
            return F.conv2d(x, self.weight.unsqueeze(2), self.bias)
        return F.conv1d(x, self.weight, self.bias)


class Cnn(nn.Module):
    """Convolutions, each with LeakyReLU and pooling, then fully connected layers with LeakyReLU.

    Only the first fully connected layer depends on the length of the beats. Weights are initialized
    for LeakyReLU (He et al. 2015), biases to 0. With PyTorch's default initialization, the input of
    the last layer hardly varies between beats, and training may never get past predicting the most
    frequent class.

    Raises:
        OptionError: The beats are too short for the convolutions.
    """

    def __init__(self, plan: CnnPlan, *, n_leads: int, n_samples: int, n_classes: int) -> None:
        super().__init__()
        require_samples(n_samples, plan.min_samples)
        widths = [n_leads, *(filters for _, filters in plan.convolutions)]
        self.convolutions = nn.ModuleList(
            ValidConv(c_in, c_out, kernel)
            for (c_in, c_out), (kernel, _) in zip(pairwise(widths), plan.convolutions, strict=True)
        )
        units = [widths[-1] * plan.length_after(n_samples), *plan.hidden]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(units))
        self.last = nn.Linear(units[-1], n_classes)
        self.apply(_init_weights)

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, n_leads, n_samples] to logits [batch, n_classes]."""
        x = to_fast_layout(x)
        for convolution in self.convolutions:
            x = _pool(F.leaky_relu(convolution(x), NEGATIVE_SLOPE))
        x = x.flatten(1)
        for layer in self.hidden:
            x = F.leaky_relu(layer(x), NEGATIVE_SLOPE)
        return self.last(x)  # type: ignore[no-any-return]


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.kaiming_uniform_(module.weight, a=NEGATIVE_SLOPE, nonlinearity="leaky_relu")
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, (1, POOL)) if x.dim() == 4 else F.max_pool1d(x, POOL)
