"""Complex weights are trained as pairs of real numbers, and checked for values not finite."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.errors import DivergedError
from nasbench_ecg.progress import Silent
from nasbench_ecg.training import Recipe, fit, raise_if_diverged
from nasbench_ecg.training.seeding import seeded


class Spectrum(nn.Module):
    """A classifier of filtered spectra, with complex weights or with pairs of real ones."""

    def __init__(self, *, pairs):
        super().__init__()
        with seeded(1):
            weights = 0.1 * torch.randn(2, 4, dtype=torch.complex64)
            self.last = nn.Linear(4, 3)
        self.pairs = pairs
        self.weights = nn.Parameter(torch.view_as_real(weights).clone() if pairs else weights)

    def forward(self, x):
        weights = torch.view_as_complex(self.weights) if self.pairs else self.weights
        return self.last(torch.einsum("bct,cd->bdt", torch.fft.rfft(x), weights).abs().mean(-1))


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "adamw", "lr": 0.01}, {"averaging": "ema"}, {"averaging": "swa"}]
)
def test_complex_weights_train_as_pairs_of_real_ones(changes):
    networks = [Spectrum(pairs=False), Spectrum(pairs=True)]
    recipe = Recipe(**{"epochs": 4, "batch_size": 16, **changes})
    for network in networks:
        fit(network, tiny_beats(60), recipe, seed=0, device="cpu", progress=Silent())
    got, expected = (network.weights.detach() for network in networks)
    torch.testing.assert_close(torch.view_as_real(got), expected, rtol=1e-4, atol=1e-5)


def test_a_complex_weight_that_is_not_finite_is_a_divergence():
    weights = torch.tensor([complex(1, math.nan)])
    with pytest.raises(DivergedError, match="weights not finite"):
        raise_if_diverged(torch.tensor(3), [weights], epoch=1, steps=3)
