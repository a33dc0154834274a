"""Stress tests of trained networks: recorded noise in the test records, and shifted R marks.

Nothing is trained. The same beats are classified undisturbed and at each level of a disturbance,
so that the scores differ by the disturbance alone. What the training beats were disturbed with is
left out. With noise, these are the beats in the segments with noise
(:mod:`nasbench_ecg.signal.noise`); with shifted marks, all tested beats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg.architecture import digest
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.record_options import DISTURBANCES, MAX_SNR, WaveformOptions
from nasbench_ecg.errors import OptionError
from nasbench_ecg.metrics import class_table, confusion_matrix
from nasbench_ecg.options import resolve
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.downloads import fetch_records
from nasbench_ecg.run.store import EVALUATIONS
from nasbench_ecg.signal.noise import NoiseName, is_noisy
from nasbench_ecg.studies.evaluate import macro_classes, scores_of
from nasbench_ecg.studies.target import Target

MARK_SHIFT = "mark-shift"
"""The disturbance by shifted R marks, with levels in milliseconds; others are noise, in dB."""

SNRS = (24.0, 18.0, 12.0, 6.0, 0.0, -6.0)
"""The signal-to-noise ratios of the Noise Stress Test Database, in dB."""

_FORMAT = 1


@dataclass(frozen=True)
class StressLevel:
    """The scores at one level of a disturbance.

    Attributes:
        level: Signal-to-noise ratio in dB, or largest shift in milliseconds; None: undisturbed.
        confusion: Beats by true class (rows) and predicted class (columns).
        metrics: Scores as fractions.
        per_class: Scores of each class.
    """

    level: float | None
    confusion: list[list[int]]
    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]


@dataclass(frozen=True)
class StressTest:
    """The scores of a trained network at several levels of a disturbance.

    Attributes:
        run_key: The run that trained the network.
        file: Name of the exported file that held the network; empty: it is that of the run.
        strategy: Its strategy.
        trained_on: Its dataset.
        trained_protocol: Its protocol.
        tested_on: Dataset of the disturbed beats.
        protocol: Its protocol, whose test part was used; None: all its beats.
        disturbance: Name of the noise record, or :data:`MARK_SHIFT`.
        classes: Names of the classes, in the order of the matrices.
        macro_classes: The classes that macro scores average over.
        records: The tested records.
        levels: The undisturbed beats, then the levels in the given order.
        notes: What the scores do not show.
        changed: What the caller has set, see :class:`~nasbench_ecg.studies.target.Target`.
    """

    run_key: str
    file: str
    strategy: str
    trained_on: str
    trained_protocol: str
    tested_on: str
    protocol: str | None
    disturbance: str
    classes: list[str]
    macro_classes: list[str]
    records: list[str]
    levels: list[StressLevel]
    notes: list[str]
    changed: dict[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return all fields as JSON data, without ``changed`` if nothing is."""
        data = {"format": _FORMAT, **asdict(self)}
        return data if self.changed else {k: v for k, v in data.items() if k != "changed"}

    @property
    def file_name(self) -> str:
        """Name of the file that holds it, in the folder of the run's files."""
        part = f"-{self.protocol}" if self.protocol else ""
        settings = f"-{digest(self.changed)[:8]}" if self.changed else ""
        return f"{EVALUATIONS}/{self.tested_on}{part}-{self.disturbance}{settings}.json"


def check_disturbance(name: str, levels: Sequence[float]) -> None:
    """Check a disturbance and its levels before the test.

    Args:
        name: Name of a noise, or :data:`MARK_SHIFT`.
        levels: Signal-to-noise ratios in dB, or largest shifts in milliseconds.

    Raises:
        OptionError: There is no such disturbance or level, or no level.
    """
    if name not in (*get_args(NoiseName), MARK_SHIFT):
        raise OptionError(
            f"There is no noise {name!r}.", fix=f"Use {', '.join(get_args(NoiseName))}."
        )
    if not levels:
        raise OptionError("No level is given.", fix="For example: --snr 24,12,0")
    shifts = name == MARK_SHIFT
    for level in levels:
        if shifts and not 0 < level < math.inf:
            raise OptionError(
                f"R marks cannot be moved by {level:g} ms.",
                where="--shift-marks",
                fix="Give milliseconds above 0; beats that are not moved are tested anyway.",
            )
        if not shifts and not abs(level) <= MAX_SNR:
            raise OptionError(
                f"A signal-to-noise ratio cannot be {level:g} dB.",
                where="--snr",
                fix=f"Give ratios from -{MAX_SNR} to {MAX_SNR} dB; beats without noise are tested "
                "anyway.",
            )


def stress_test(
    target: Target,
    disturbance: str,
    levels: Sequence[float] = SNRS,
    progress: Progress | None = None,
) -> StressTest:
    """Return the scores of a trained network at several levels of a disturbance.

    Args:
        target: The network, and the beats to test it on.
        disturbance: ``bw``, ``em`` or ``ma`` for noise, or :data:`MARK_SHIFT`.
        levels: Signal-to-noise ratios in dB, or largest shifts in milliseconds.
        progress: Shows progress.

    Raises:
        OptionError: There is no such disturbance or level, no tested beat is in a segment with
            noise, or the caller has set the option of the dataset that the test changes.
        MissingDataError: The noise records are missing.
    """
    progress = progress or Silent()
    check_disturbance(disturbance, levels)
    noisy = disturbance != MARK_SHIFT
    _refuse_disturbed_twice(target, noisy=noisy)
    chosen = _beats_in_noise(target) if noisy else target.index
    undisturbed = _undisturbed(target)
    found = []
    with progress.track(f"Stress test: {disturbance}", 1 + len(levels)) as steps:
        for level in (None, *levels):
            options = _with(target, undisturbed, _change(disturbance, level, noisy=noisy))
            if level is None and undisturbed == target.options:
                found.append(_Level.of(target, None, target.beats, chosen))
            else:
                beats = _load(target, options, progress)
                here, there = _same_beats(target.beats, chosen, beats)
                found.append(_Level.of(target, level, beats, there, target.truth[chosen[here]]))
            steps.advance()
    macro, notes = macro_classes(target, found[0].matrix)
    lost = len(chosen) - min(int(one.matrix.sum()) for one in found)
    if lost:
        notes.append(f"Up to {lost:,} shifted windows exceed their record and are not tested.")
    origin = target.origin
    return StressTest(
        run_key=origin.run_key,
        file=target.classifier.file,
        strategy=origin.strategy,
        trained_on=origin.dataset,
        trained_protocol=origin.protocol,
        tested_on=target.component.name,
        protocol=target.protocol,
        disturbance=disturbance,
        classes=list(target.classes),
        macro_classes=list(macro),
        records=[target.beats.records[i] for i in np.unique(target.beats.record[chosen])],
        levels=[one.result(target, macro) for one in found],
        notes=[*target.notes, *notes],
        changed=dict(target.changed),
    )


@dataclass(frozen=True, eq=False)
class _Level:
    """The confusion matrix at one level."""

    level: float | None
    matrix: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        target: Target,
        level: float | None,
        beats: Beats,
        index: NDArray[np.int64],
        truth: NDArray[np.int64] | None = None,
    ) -> _Level:
        predicted = target.predict(beats.signals[index])
        truth = target.truth[index] if truth is None else truth
        return cls(level, confusion_matrix(truth, predicted, len(target.classes)))

    def result(self, target: Target, macro: Sequence[str]) -> StressLevel:
        return StressLevel(
            self.level,
            self.matrix.tolist(),
            scores_of(self.matrix, target.classes, macro),
            class_table(self.matrix, target.classes),
        )


def _beats_in_noise(target: Target) -> NDArray[np.int64]:
    """Return the tested beats whose R peak is in a segment with noise."""
    beats = target.beats
    noisy = np.zeros(len(beats), dtype=bool)
    for i in np.unique(beats.record[target.index]):
        own = beats.record == i
        noisy[own] = is_noisy(beats.sample[own], _own_rate(target, beats.records[i]))
    chosen: NDArray[np.int64] = target.index[noisy[target.index]]
    if not len(chosen):
        raise OptionError(
            f"No tested beat of {target.component.name!r} is in a segment with noise.",
            fix="Noise begins after five minutes: choose a dataset of longer records.",
        )
    return chosen


def _own_rate(target: Target, record: str) -> float:
    """Return the sampling rate of a record, which is that of its beats if none is resampled."""
    plain = {"rate": None, "denoise": "none", "normalise": "none", "before": 0, "after": 0}
    added = dict.fromkeys(("rhythm", "planes", "differences"))
    options = _only(target, [record]).model_copy(update={**plain, **added})
    rate: float = target.component.create(options).load(target.source, Silent()).fs
    return rate


def _only(
    target: Target, records: Sequence[str], options: WaveformOptions | None = None
) -> WaveformOptions:
    """Return options, by default those of the target, with these records only."""
    options = options or target.options
    others = tuple(name for name in target.beats.records if name not in records)
    exclude = (*(options.exclude or ()), *others)
    return options.model_copy(update={"exclude": exclude or None})


def _refuse_disturbed_twice(target: Target, *, noisy: bool) -> None:
    """Raise OptionError if the caller has set what the stress test changes."""
    tested = ("added_noise", "snr") if noisy else ("mark_shift",)
    if twice := [name for name in tested if target.changed.get(name) is not None]:
        raise OptionError(
            f"The stress test itself sets the option {twice[0]!r}.",
            fix=f"Leave --set dataset.{twice[0]} out.",
        )


def _undisturbed(target: Target) -> WaveformOptions:
    """Return the options of the target without the noise and the shifts of the training.

    Those that the caller has set stay.
    """
    own = [name for name in DISTURBANCES if name not in target.changed]
    return target.options.model_copy(update=dict.fromkeys(own))


def _change(disturbance: str, level: float | None, *, noisy: bool) -> dict[str, Any]:
    """Return the options of a level; none without a disturbance."""
    if level is None:
        return {}
    return {"added_noise": disturbance, "snr": level} if noisy else {"mark_shift": level}


def _with(target: Target, options: WaveformOptions, change: Mapping[str, Any]) -> WaveformOptions:
    """Return changed options, of the tested records only."""
    tested = {target.beats.records[i] for i in np.unique(target.beats.record[target.index])}
    options = _only(target, sorted(tested), options)
    return resolve(
        type(options),
        component=f"dataset {target.component.name}",
        overrides={**options.model_dump(exclude_none=True), **change},
    )


def _load(target: Target, options: WaveformOptions, progress: Progress) -> Beats:
    """Return the beats of the dataset with these options; missing noise records are downloaded."""
    dataset = target.component.create(options)
    if options.added_noise is not None:
        fetch_records([dataset], target.source, progress)
    beats: Beats = dataset.load(target.source, Silent())
    return beats


def _same_beats(
    beats: Beats, index: NDArray[np.int64], others: Beats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions in ``index`` and in ``others`` of the beats that are in both."""
    number = {name: i for i, name in enumerate(beats.records)}
    of_others = np.array([number[name] for name in others.records])[others.record]
    own, their = _keys(beats.record[index], beats.sample[index]), _keys(of_others, others.sample)
    _, here, there = np.intersect1d(own, their, return_indices=True)
    return here, there


def _keys(record: NDArray[np.integer], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one number for each record and sample."""
    keys: NDArray[np.int64] = (record.astype(np.int64) << 40) + sample
    return keys
