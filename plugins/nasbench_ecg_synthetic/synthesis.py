"""Synthesis of a record: rhythm, waves, noise, and the A/D converter of the recorder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_synthetic import noise
from nasbench_ecg_synthetic.morphology import Atrial, Conduction, Ventricular
from nasbench_ecg_synthetic.patients import Patient, draw_patient
from nasbench_ecg_synthetic.rhythm import Rhythm, simulate
from nasbench_ecg_synthetic.waves import LEADS, place, trace

FS = 360.0
"""Sampling rate in hertz. Rate, gain, zero and resolution are those of MIT-BIH Arrhythmia."""
GAIN = 200
"""Converter units per millivolt."""
ZERO = 1024
"""Converter value of 0 mV."""
BITS = 11
"""Resolution of the converter."""

PEAK_SEARCH = 0.045
"""Seconds around the activation of a beat in which its R peak is searched."""

_SPREAD, _ECTOPIC_SPREAD = 0.04, 0.08
"""Relative variation of the QRS complexes of one patient and one origin."""

_SINUS_SYMBOL: dict[Conduction, str] = {"normal": "N", "left-block": "L", "right-block": "R"}


@dataclass(frozen=True, eq=False)
class Recording:
    """A synthetic record in memory.

    Attributes:
        patient: The patient.
        digital: int64 [n_leads, n_samples], converter units.
        samples: int64 [n_beats], sample index of each R peak.
        symbols: WFDB annotation symbol of each beat.
    """

    patient: Patient
    digital: NDArray[np.int64]
    samples: NDArray[np.int64]
    symbols: tuple[str, ...]


def synthesize(seed: int, index: int, seconds: float, noise_level: float) -> Recording:
    """Return the record of one patient; it is a deterministic function of the arguments.

    Args:
        seed: Seed of the database.
        index: Index of the patient, from 0.
        seconds: Duration of the record.
        noise_level: Factor of the noise; 0 is no noise, 1 that of an ambulatory recorder.
    """
    rng = np.random.default_rng([seed, index])
    patient = draw_patient(rng, index)
    rhythm = simulate(rng, patient.rhythm, seconds)
    n_samples = round(seconds * FS)
    qrs, rest = _ecg(rng, patient, rhythm, n_samples)
    total_noise = noise.record_noise(
        rng, (len(LEADS), n_samples), FS, patient.rhythm.breathing, patient.mains
    )
    return Recording(
        patient,
        _convert(qrs + rest + noise_level * total_noise),
        _r_peaks(qrs[0], np.array([time for time, _ in rhythm.beats])),
        tuple(
            _SINUS_SYMBOL[patient.diagnosis.conduction] if symbol == "N" else symbol
            for _, symbol in rhythm.beats
        ),
    )


def _ecg(
    rng: np.random.Generator, patient: Patient, rhythm: Rhythm, n_samples: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the QRS complexes and all other waves, each [n_leads, n_samples] in millivolts."""
    qrs = np.zeros((len(LEADS), n_samples))
    rest = np.zeros_like(qrs)
    axis_phase = rng.uniform(0, 2 * np.pi, len(LEADS))

    def gain(times: NDArray[np.float64], spread: float) -> NDArray[np.float64]:
        """Return the gain of each beat: random variation, and rotation of the axis by breathing."""
        breath = np.sin(2 * np.pi * patient.rhythm.breathing * times + axis_phase[:, None])
        own = rng.normal(0, spread, (len(LEADS), len(times)))
        return np.asarray((1 + 0.05 * breath) * np.exp(own))

    for activation in get_args(Ventricular):
        chosen = [event for event in rhythm.ventricles if event[1] == activation]
        times = np.array([time for time, *_ in chosen])
        share = np.array([event[2] for event in chosen])
        interval = np.array([event[3] for event in chosen])
        form = patient.heart.ventricles[activation]
        spread = _ECTOPIC_SPREAD if activation.startswith("ectopic") else _SPREAD
        heights = gain(times, spread) * share
        widths = np.exp(rng.normal(0, spread / 2, len(times)))
        qrs += trace(place(form.qrs, times, heights, widths), n_samples, FS)
        # QT depends on the mean rate more than on the last interval (square root as of Bazett).
        rate = np.clip(0.75 * patient.rhythm.mean_rr + 0.25 * interval, 0.4, 1.3)
        recovery = np.sqrt(rate) * np.exp(rng.normal(0, 0.015, len(times)))
        rest += trace(place(form.t, times, heights * gain(times, 0.06), recovery), n_samples, FS)
    for atrium in get_args(Atrial):
        times = np.array([time for time, activation in rhythm.atria if activation == atrium])
        times = times + rng.normal(0, 0.003, len(times))
        rest += trace(place(patient.heart.atria[atrium], times, gain(times, 0.10)), n_samples, FS)
    spikes = np.array(rhythm.spikes)
    rest += trace(place(patient.heart.spike, spikes, gain(spikes, 0.03)), n_samples, FS)
    return qrs, rest


def _r_peaks(qrs: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the sample of each beat with the largest QRS amplitude in the first lead."""
    reach = round(PEAK_SEARCH * FS)
    center = np.rint(times * FS).astype(np.int64)
    window = np.clip(center[:, None] + np.arange(-reach, reach + 1), 0, len(qrs) - 1)
    farthest = np.abs(qrs[window]).argmax(axis=1)
    return np.asarray(window[np.arange(len(center)), farthest])


def _convert(signals: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return millivolts as converter units."""
    digital = np.rint(signals * GAIN) + ZERO
    return np.asarray(np.clip(digital, 0, 2**BITS - 1), dtype=np.int64)
