"""Beats for contract tests: noise with a bump, so few that every check takes moments."""

from __future__ import annotations

from functools import cache

import numpy as np

from nasbench_ecg.contracts import Task
from nasbench_ecg.data.beats import Beats

CLASSES = ("N", "S", "V")
N_PATIENTS = 6


def bumps(n: int, *, n_leads: int = 2, n_samples: int = 128, seed: int = 0) -> Beats:
    """Return ``n`` beats of six patients; the place of the bump tells the class.

    Args:
        n: Number of beats.
        n_leads: Number of leads.
        n_samples: Samples of a window, at 100 Hz.
        seed: Seed of labels and noise.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(CLASSES), size=n)
    centre = n_samples * (labels + 1) / (len(CLASSES) + 1)
    bump = np.exp(-(((np.arange(n_samples) - centre[:, None]) / 4) ** 2))
    signals = bump[:, None, :] + 0.3 * rng.standard_normal((n, n_leads, n_samples))
    patients = tuple(f"p{i}" for i in range(N_PATIENTS))
    return Beats(
        signals=signals.astype(np.float32),
        labels=labels.astype(np.int64),
        record=(np.arange(n) % N_PATIENTS).astype(np.int32),
        sample=n_samples * (1 + np.arange(n, dtype=np.int64) // N_PATIENTS),
        classes=CLASSES,
        records=patients,
        subjects=patients,
        leads=tuple(f"lead {i}" for i in range(n_leads)),
        fs=100.0,
    )


@cache
def small_task() -> Task:
    """Return a task of 160 training and 60 validation beats."""
    beats = bumps(220)
    return Task(beats.take(np.arange(160)), beats.take(np.arange(160, 220)), CLASSES)


@cache
def small_test() -> Beats:
    """Return the 50 beats of the test part that goes with :func:`small_task`."""
    return bumps(50, seed=1)


def fingerprint(task: Task) -> tuple[str, str]:
    """Return the fingerprints of the two parts of a task."""
    return task.train.fingerprint(), task.validation.fingerprint()
