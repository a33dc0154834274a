"""``resnet-31``: a reconstruction of the residual network that Heart-DARTS is compared with.

The layer table of the publication was not available. Its abstract describes a 31-layer
one-dimensional residual network with identity shortcuts and four residual blocks of three
convolutions, each with batch normalization and ReLU, but not how these count to 31. This network
has 31 convolutions and follows He et al. 2016 in every open choice:

- depth: a stem and 15 blocks of two convolutions, as in their ResNet-32 (whose last layer is the
  classifier): three groups of five blocks with 16, 32 and 64 filters, kernel 3, Conv-BN-ReLU
  (section 4.2);
- the first block of the second and of the third group halves the length with stride 2, rounding up;
- shortcuts are identities without parameters: a block that halves the length takes every other
  sample and pads the new filters with zeros (option A of section 3.3);
- stem: a convolution of kernel 7 with stride 2, BN, ReLU, and max pooling of 3 with stride 2, as in
  their networks for large images (table 1), because a beat is ten times as long as a side of their
  small images;
- head: global average pooling and one fully connected layer.

References:
    Li, Zhou, Wan, Li, Mou 2020, "Heartbeat classification using deep residual convolutional neural
    network from 2-lead electrocardiogram", Journal of Electrocardiology 58: 105–112.

    He, Zhang, Ren, Sun 2016, "Deep Residual Learning for Image Recognition", CVPR.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from nasbench_ecg_cells.layers import (
    BatchNorm,
    Conv,
    Head,
    MaxPool,
    require_samples,
    to_fast_layout,
)

WIDTHS = (16, 32, 64)
BLOCKS = 5
KERNEL = 3
MIN_SAMPLES = 16
"""Fewest samples of a beat: stem and groups halve the length four times."""


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalization, added to their input."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = Conv(c_in, c_out, KERNEL, stride), BatchNorm(c_out)
        self.conv2, self.norm2 = Conv(c_out, c_out, KERNEL), BatchNorm(c_out)
        self.stride = stride
        self.new_channels = c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, c_in, (1,) n] to [batch, c_out, (1,) ceil(n / stride)]."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self._shortcut(x))

    def _shortcut(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = x[..., :: self.stride]
        if self.new_channels:
            x = F.pad(x, [0, 0] * (x.dim() - 2) + [0, self.new_channels])
        return x


class ResNet31(nn.Module):
    """Stem, 15 residual blocks in three groups, global average pooling, linear classifier.

    Raises:
        OptionError: The beats are too short for the stem and the groups.
    """

    def __init__(self, *, n_leads: int, n_samples: int, n_classes: int) -> None:
        super().__init__()
        require_samples(n_samples, MIN_SAMPLES)
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
        return self.head(self.blocks(self.stem(to_fast_layout(x))))  # type: ignore[no-any-return]
