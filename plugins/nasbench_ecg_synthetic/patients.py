"""The patients of the synthetic database: diagnosis, heart rhythm and morphology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nasbench_ecg_synthetic.morphology import Conduction, Heart, draw_heart
from nasbench_ecg_synthetic.rhythm import RhythmParameters


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Parameters of one diagnosis.

    Attributes:
        text: Name of the diagnosis, for the header of the record.
        conduction: Conduction of sinus beats.
        premature: Probability of a premature beat after a normal one, by annotation symbol.
        bigeminy: Probability of another V after the first sinus beat that follows a V.
        paced: Share of beats in paced runs.
        heart_rate: Range of the mean sinus rate in beats per minute.
    """

    text: str
    conduction: Conduction = "normal"
    premature: Mapping[str, float] = field(default_factory=dict)
    bigeminy: float = 0.0
    paced: float = 0.0
    heart_rate: tuple[float, float] = (64.0, 92.0)


DIAGNOSES = (
    Diagnosis(
        text="ventricular premature beats with fusion beats",
        premature={"V": 0.10, "F": 0.07},
    ),
    Diagnosis(text="atrial premature beats", premature={"A": 0.13, "V": 0.005}),
    Diagnosis(text="intermittent complete heart block, ventricular pacemaker", paced=0.65),
    Diagnosis(
        text="ventricular and atrial premature beats",
        premature={"V": 0.11, "F": 0.045, "A": 0.04},
    ),
    Diagnosis(
        text="left bundle branch block",
        conduction="left-block",
        premature={"V": 0.06, "A": 0.03},
    ),
    Diagnosis(text="intermittent ventricular pacing", paced=0.3, heart_rate=(60.0, 76.0)),
    Diagnosis(text="nodal and atrial premature beats", premature={"J": 0.07, "A": 0.04}),
    Diagnosis(
        text="right bundle branch block",
        conduction="right-block",
        premature={"A": 0.08, "V": 0.03},
    ),
    Diagnosis(
        text="ventricular bigeminy",
        premature={"V": 0.10, "F": 0.06},
        bigeminy=0.5,
    ),
    Diagnosis(
        text="sinus pauses with ventricular pacing on demand",
        paced=0.15,
        heart_rate=(58.0, 76.0),
    ),
    Diagnosis(
        text="atrial premature beats, some conducted aberrantly",
        premature={"A": 0.06, "a": 0.03},
    ),
    Diagnosis(
        text="sinus tachycardia with ventricular premature beats",
        premature={"V": 0.06, "F": 0.04},
        heart_rate=(96.0, 112.0),
    ),
)
"""Diagnoses, each given to two consecutive patients, so that both parts of a split are similar.

The first three contain all classes.
"""


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes:
        name: Name of the record.
        diagnosis: The diagnosis.
        rhythm: Parameters of the heart rhythm.
        heart: Morphology of the beats.
        mains: Mains frequency at the recorder in hertz.
    """

    name: str
    diagnosis: Diagnosis
    rhythm: RhythmParameters
    heart: Heart
    mains: float


def record_names(n_patients: int) -> tuple[str, ...]:
    """Return the names of the records of ``n_patients``, one for each patient."""
    return tuple(f"s{number:03d}" for number in range(1, n_patients + 1))


def draw_patient(rng: np.random.Generator, index: int) -> Patient:
    """Return a random patient with the name and the diagnosis of ``index``, counted from 0."""
    diagnosis = DIAGNOSES[index // 2 % len(DIAGNOSES)]
    return Patient(
        name=record_names(index + 1)[-1],
        diagnosis=diagnosis,
        rhythm=_draw_rhythm(rng, diagnosis),
        heart=draw_heart(rng, diagnosis.conduction),
        mains=float(rng.choice([50.0, 60.0])),
    )


def _draw_rhythm(rng: np.random.Generator, diagnosis: Diagnosis) -> RhythmParameters:
    u = rng.uniform
    mean_rr = 60 / u(*diagnosis.heart_rate)
    return RhythmParameters(
        mean_rr=mean_rr,
        sd_rr=mean_rr * u(0.015, 0.045),
        lf_hf=u(0.4, 2.5),
        breathing=u(0.20, 0.32),
        pr=u(0.12, 0.17),
        ectopic_pr=u(0.10, 0.17),
        coupling=u(0.54, 0.68),
        retrograde=(None, -0.075, 0.095)[rng.integers(3)],
        premature=dict(diagnosis.premature),
        bigeminy=diagnosis.bigeminy,
        second_focus=u(0.0, 0.25),
        paced=diagnosis.paced,
        pace=60 / u(62, 74),
    )
