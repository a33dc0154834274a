"""The builder ``clustering``: kernel functions that carry a labelling over to new beats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nasbench_ecg.api import Architecture
from nasbench_ecg_immune.labels import from_architecture
from nasbench_ecg_immune.options import ClusteringOptions

_NO_CLUSTER = -1e4
"""Logit of a class that no cluster stands for."""


class KernelMachine(nn.Module):
    """One RBF expansion over landmarks for each cluster, and the class that each stands for.

    Buffers, all zero or one until an evaluator fits them: ``mean`` and ``scale`` [d] of the
    features, ``landmarks`` [m, d] standardised, ``width``, ``coefficients`` [m, K], ``bias`` [K],
    and ``classes`` [K], the class of each cluster.
    """

    def __init__(self, n_features: int, landmarks: int, clusters: int, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.mean: Tensor
        self.scale: Tensor
        self.landmarks: Tensor
        self.width: Tensor
        self.coefficients: Tensor
        self.bias: Tensor
        self.classes: Tensor
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("landmarks", torch.zeros(landmarks, n_features))
        self.register_buffer("width", torch.ones(()))
        self.register_buffer("coefficients", torch.zeros(landmarks, clusters))
        self.register_buffer("bias", torch.zeros(clusters))
        self.register_buffer("classes", torch.zeros(clusters, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to logits [batch, classes], the best cluster's each."""
        clusters = self.cluster_scores(x)
        logits = clusters.new_full((len(x), self.n_classes), _NO_CLUSTER)
        index = self.classes.expand(len(x), -1)
        return logits.scatter_reduce(1, index, clusters, reduce="amax")

    def cluster_scores(self, x: Tensor) -> Tensor:
        """Map beats [batch, leads, samples] to the functions of the clusters, [batch, K]."""
        z = (x.flatten(1) - self.mean) / self.scale
        squared = z.square().sum(1, keepdim=True) + self.landmarks.square().sum(1)
        squared = (squared - 2 * z @ self.landmarks.T).clamp_min(0)
        return torch.exp(squared / (-2 * self.width**2)) @ self.coefficients + self.bias


class Clustering:
    """Builds kernel machines for labellings."""

    def __init__(self, options: ClusteringOptions) -> None:
        self.options = options

    def build(
        self, arch: Architecture, *, n_leads: int, n_samples: int, n_classes: int
    ) -> nn.Module:
        """Return a module from [batch, n_leads, n_samples] to logits [batch, n_classes].

        Raises:
            OptionError: The architecture is no labelling.
        """
        n = len(from_architecture(arch))
        clusters: int = arch.genotype["clusters"]
        landmarks = min(self.options.landmarks, n)
        return KernelMachine(n_leads * n_samples, landmarks, clusters, n_classes)
