"""Morphology of a patient's beats: the waves of each activation of atria and ventricles.

Heights, widths and delays are drawn around textbook values for the leads MLII and V1: narrow QRS
under 100 ms; bundle branch block, ventricular and paced QRS of 120–180 ms with ST and T opposite
to the main deflection; right bundle branch block as rSR' in V1 with a slurred S in MLII.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nasbench_ecg_synthetic.waves import Row, Waves, in_leads

Conduction = Literal["normal", "left-block", "right-block"]
Ventricular = Literal["conducted", "aberrant", "ectopic-a", "ectopic-b", "paced"]
Atrial = Literal["sinus", "ectopic", "retrograde"]

SPIKE_LEAD = 0.085
"""Seconds from the pacing stimulus to the peak of its QRS complex."""


@dataclass(frozen=True)
class Complex:
    """Depolarization and repolarization of the ventricles.

    Attributes:
        qrs: Waves of the QRS complex, relative to the R peak.
        t: ST segment and T wave at an RR interval of 1 s; they scale with its square root.
    """

    qrs: Waves
    t: Waves


@dataclass(frozen=True)
class Heart:
    """Morphology of one patient.

    Attributes:
        ventricles: The complex of each ventricular activation.
        atria: The P wave of each atrial activation, centered at 0.
        spike: The pacing stimulus, at 0.
    """

    ventricles: Mapping[Ventricular, Complex]
    atria: Mapping[Atrial, Waves]
    spike: Waves


def draw_heart(rng: np.random.Generator, conduction: Conduction) -> Heart:
    """Return a random morphology of a patient with the ``conduction`` of sinus beats."""
    draw = {"normal": _narrow, "left-block": _left_block, "right-block": _right_block}
    # Aberrancy is most often right bundle branch block.
    aberrant = _left_block if conduction == "right-block" else _right_block
    return Heart(
        ventricles={
            "conducted": draw[conduction](rng),
            "aberrant": aberrant(rng),
            "ectopic-a": _ectopic(rng),
            "ectopic-b": _ectopic(rng),
            "paced": _paced(rng),
        },
        atria={
            "sinus": _sinus_p(rng),
            "ectopic": _ectopic_p(rng),
            "retrograde": _retrograde_p(rng),
        },
        spike=_spike(rng),
    )


def _t(height: float, *, st: float = 0.0, peak: float = 0.29) -> list[Row]:
    """Return ST and T. T rises slowly and falls fast, so it is the sum of two waves."""
    return [
        (peak - 0.155, 0.050, st),
        (peak - 0.045, 0.055, 0.50 * height),
        (peak, 0.036, 0.68 * height),
    ]


def _secondary_t(height: float, *, peak: float) -> list[Row]:
    """Return ST and T after a wide QRS: one slope without an isoelectric ST segment."""
    return [
        (peak - 0.135, 0.052, 0.30 * height),
        (peak - 0.060, 0.052, 0.55 * height),
        (peak, 0.042, 0.60 * height),
    ]


def _narrow(rng: np.random.Generator) -> Complex:
    u = rng.uniform
    r, s = u(0.8, 1.7), u(0.5, 1.4)
    mlii = [
        (-0.027, u(0.007, 0.010), -r * u(0.0, 0.13)),
        (0.000, u(0.009, 0.013), r),
        (u(0.024, 0.030), u(0.008, 0.013), -r * u(0.04, 0.30)),
    ]
    v1 = [
        (-0.014, u(0.007, 0.010), u(0.12, 0.40)),
        (u(0.006, 0.014), u(0.011, 0.015), -s),
    ]
    peak = u(0.27, 0.31)
    return Complex(
        in_leads(mlii, v1),
        in_leads(
            _t(u(0.12, 0.40), st=u(-0.05, 0.06), peak=peak),
            _t(u(-0.16, 0.24), st=u(-0.03, 0.06), peak=peak),
        ),
    )


def _left_block(rng: np.random.Generator) -> Complex:
    u = rng.uniform
    r, s = u(0.7, 1.3), u(1.0, 1.7)
    mlii = [
        (-0.032, u(0.011, 0.015), r * u(0.40, 0.70)),
        (0.003, u(0.014, 0.018), r),
        (0.040, u(0.012, 0.016), r * u(0.15, 0.45)),
    ]
    v1 = [
        (-0.048, 0.008, u(0.0, 0.15)),
        (-0.016, u(0.014, 0.018), -s * u(0.4, 0.8)),
        (0.018, u(0.017, 0.022), -s),
    ]
    peak = u(0.29, 0.33)
    return Complex(
        in_leads(mlii, v1),
        in_leads(
            _secondary_t(-r * u(0.15, 0.35), peak=peak),
            _secondary_t(s * u(0.20, 0.35), peak=peak),
        ),
    )


def _right_block(rng: np.random.Generator) -> Complex:
    u = rng.uniform
    r, late = u(0.7, 1.4), u(0.5, 1.1)
    mlii = [
        (-0.026, u(0.007, 0.010), -r * u(0.0, 0.12)),
        (0.000, u(0.010, 0.014), r),
        (u(0.046, 0.056), u(0.018, 0.024), -r * u(0.22, 0.45)),
    ]
    v1 = [
        (-0.012, u(0.008, 0.011), late * u(0.25, 0.50)),
        (0.014, u(0.009, 0.012), -late * u(0.40, 0.80)),
        (u(0.050, 0.060), u(0.017, 0.023), late),
    ]
    peak = u(0.28, 0.32)
    return Complex(
        in_leads(mlii, v1),
        in_leads(
            _t(u(0.12, 0.35), st=u(-0.02, 0.05), peak=peak),
            _t(-late * u(0.20, 0.40), st=-late * u(0.04, 0.12), peak=peak),
        ),
    )


def _wide(rng: np.random.Generator, main: float, width: float) -> list[Row]:
    """Return a slurred onset and a broad deflection, which is notched or biphasic."""
    u = rng.uniform
    onset, peak = (-2.1 * width, 0.85 * width, main * u(0.08, 0.45)), (0.0, width, main)
    if rng.random() < 0.5:
        return [onset, peak, (1.9 * width, 0.75 * width, main * u(0.25, 0.65))]
    return [onset, peak, (u(2.4, 2.9) * width, u(0.9, 1.2) * width, -main * u(0.25, 0.75))]


def _ectopic(rng: np.random.Generator) -> Complex:
    u = rng.uniform
    # Outflow tract and apex of the right ventricle (left-block-like: V1 negative, axis down or
    # up), and the left ventricle (right-block-like: V1 positive).
    mlii_sign, v1_sign = ((1, -1), (-1, -1), (1, 1), (-1, 1))[rng.choice(4, p=[0.4, 0.2, 0.2, 0.2])]
    width = u(0.016, 0.023)
    mlii = mlii_sign * u(1.0, 2.3)
    v1 = v1_sign * u(0.8, 1.9)
    peak = u(0.26, 0.33)
    return Complex(
        in_leads(_wide(rng, mlii, width), _wide(rng, v1, width * u(0.9, 1.1))),
        in_leads(
            _secondary_t(-mlii * u(0.20, 0.45), peak=peak),
            _secondary_t(-v1 * u(0.20, 0.40), peak=peak),
        ),
    )


def _paced(rng: np.random.Generator) -> Complex:
    u = rng.uniform
    # Pacing at the apex of the right ventricle: the axis is up and left, so MLII is negative.
    width = u(0.016, 0.022)
    mlii = (-1 if rng.random() < 0.8 else 1) * u(0.9, 1.9)
    v1 = -u(0.7, 1.6)
    peak = u(0.29, 0.34)
    return Complex(
        in_leads(_wide(rng, mlii, width), _wide(rng, v1, width * u(0.9, 1.1))),
        in_leads(
            _secondary_t(-mlii * u(0.20, 0.42), peak=peak),
            _secondary_t(-v1 * u(0.20, 0.40), peak=peak),
        ),
    )


def _spike(rng: np.random.Generator) -> Waves:
    u = rng.uniform
    mlii, v1 = u(0.25, 1.0), u(-0.8, 0.8)
    # The high-pass filter of the recorder adds a small tail of opposite sign.
    return in_leads(
        [(0.0, 0.0016, mlii), (0.006, 0.003, -0.18 * mlii)],
        [(0.0, 0.0016, v1), (0.006, 0.003, -0.18 * v1)],
    )


def _sinus_p(rng: np.random.Generator) -> Waves:
    u = rng.uniform
    # Right atrium first, then left: one rounded wave in MLII, biphasic in V1.
    height, early, late = u(0.08, 0.20), u(0.03, 0.09), u(0.02, 0.08)
    return in_leads(
        [(-0.012, 0.018, 0.70 * height), (0.014, 0.018, 0.65 * height)],
        [(-0.017, 0.012, early), (0.020, 0.015, -late)],
    )


def _ectopic_p(rng: np.random.Generator) -> Waves:
    u = rng.uniform
    # Another focus, another direction: flat, notched or inverted.
    height, late = u(-0.14, 0.12), u(-0.08, 0.10)
    return in_leads(
        [(-0.014, 0.013, height), (0.018, 0.014, height * u(-0.4, 1.0))],
        [(0.004, 0.018, late)],
    )


def _retrograde_p(rng: np.random.Generator) -> Waves:
    u = rng.uniform
    return in_leads([(0.0, 0.018, -u(0.08, 0.20))], [(0.0, 0.017, u(0.03, 0.10))])
