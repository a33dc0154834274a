"""ResNet-31: a reconstruction of the residual network that Heart-DARTS is compared with.

The publication's table of layers is not at hand. Its abstract tells of a 31-layer one-dimensional
residual network with identity shortcuts and four residual blocks of three convolutions, each with
batch normalisation and ReLU; how these count to 31 it does not tell. What is built here has 31
convolutions, and takes every open choice from the residual networks of He et al.:

- depth: a stem and 15 blocks of two convolutions, which is their ResNet-32 (its last layer is the
  classifier): three groups of five blocks, 16, 32 and 64 filters, kernels of 3, Conv-BN-ReLU
  (section 4.2);
- the first block of the second and third group halves the length by stride 2, rounding up;
- shortcuts are identities without parameters: where a block halves, every other sample is taken
  and the missing filters are zeros (option A of section 3.3);
- stem: a convolution of 7 with stride 2, BN, ReLU and max pooling of 3 with stride 2, as in their
  networks for large images (table 1), since a beat is ten times as long as their small images;
- head: global average pooling and one fully connected layer.

References:
    Li, Zhou, Wan, Li, Mou 2020, "Heartbeat classification using deep residual convolutional neural
    network from 2-lead electrocardiogram", Journal of Electrocardiology 58: 105–112.

    He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image Recognition", CVPR.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg.api import OptionError
from nasbench_ecg_cells.layers import BatchNorm, Conv, Head, MaxPool, enter

WIDTHS = (16, 32, 64)
BLOCKS = 5
KERNEL = 3
SHORTEST = 16
"""Fewest samples of a beat: stem and groups halve it four times."""


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, added to their input."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(c_in, c_out, KERNEL, stride), BatchNorm(c_out)
        self.conv2, self.norm2 = Conv(c_out, c_out, KERNEL), BatchNorm(c_out)
        self.stride = stride
        self.widening = c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) ceil(n / stride)]."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[..., :: self.stride]
        if self.widening:
            x = F.pad(x, [0, 0] * (x.dim() - 2) + [0, self.widening])
        return x


class ResNet31(nn.Module):
    """Stem, 15 residual blocks in three groups, global average pooling, linear classifier.

    Raises:
        OptionError: The beats are too short for stem and groups.
    """

    def __init__(self, *, n_leads: int, n_samples: int, n_classes: int) -> None:
        super().__init__()
        if n_samples < SHORTEST:
            raise OptionError(
                f"Beats of {n_samples} samples are too short for this network.",
                fix=f"It needs {SHORTEST} samples or more: widen the dataset's window.",
            )
        width = WIDTHS[0]
        self.stem = nn.Sequential(
            Conv(n_leads, width, 7, stride=2), BatchNorm(width), nn.ReLU(), MaxPool(3, stride=2)
        )
        blocks = []
        for c_out in WIDTHS:
            for _ in range(BLOCKS):
                blocks.append(ResidualBlock(width, c_out, stride=1 if c_out == width else 2))
                width = c_out
        self.blocks = nn.Sequential(*blocks)
        self.head = Head(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, n_leads, n_samples] to logits [batch, n_classes]."""
        return self.head(self.blocks(self.stem(enter(x))))  # type: ignore[no-any-return]
