"""Beats that a tiny network learns in seconds: each class has a bump at its own position."""

from __future__ import annotations

import numpy as np

from nasbench_ecg.data.beats import Beats


def tiny_beats(n, *, n_leads=2, n_samples=64, classes=("N", "S", "V"), shares=None, seed=0):
    """Return ``n`` beats with noise of a third of the bump's height."""
    rng = np.random.default_rng(seed)
    k = len(classes)
    labels = rng.choice(k, size=n, p=shares).astype(np.int64)
    center = n_samples * (labels + 1) / (k + 1)
    bump = np.exp(-(((np.arange(n_samples) - center[:, None]) / 3.0) ** 2))
    signals = bump[:, None, :] + 0.3 * rng.standard_normal((n, n_leads, n_samples))
    return Beats(
        signals=signals.astype(np.float32),
        labels=labels,
        record=np.zeros(n, np.int32),
        sample=np.arange(n, dtype=np.int64),
        classes=tuple(classes),
        records=("toy",),
        subjects=("toy",),
        leads=tuple(f"lead{i}" for i in range(n_leads)),
        fs=100.0,
    )
