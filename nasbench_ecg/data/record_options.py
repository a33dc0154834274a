"""Options of datasets whose beats are cut out of records."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.options import Options
from nasbench_ecg.signal.aami import SymbolMap
from nasbench_ecg.signal.beat_rates import fault_of_beat_rate
from nasbench_ecg.signal.filtering import Denoising
from nasbench_ecg.signal.median_beat import Differences
from nasbench_ecg.signal.noise import NOISE_DATABASE, NoiseName
from nasbench_ecg.signal.rhythm import PLANES, Rhythm
from nasbench_ecg.signal.windows import Normalization

DISTURBANCES = ("added_noise", "snr", "mark_shift")
"""Options that disturb the beats, to test or to train a network with them."""

MAX_SNR = 100
"""Largest signal-to-noise ratio of added noise in dB; the smallest is its negative."""


class RecordsOptions(Options):
    """Options for records, leads and annotations. Datasets define the defaults in a subclass.

    A field that a subclass redefines, to give it a default, keeps its validators and description.
    """

    records: tuple[str, ...]
    """Names of the records."""

    leads: tuple[str, ...]
    """Lead names; '#0' is the position in the file, '*' the first lead not selected otherwise."""

    head: int = Field(3, ge=0)
    """Number of annotations, of any type, to skip at the start of each record."""

    tail: int = Field(2, ge=0)
    """Number of annotations, of any type, to skip at the end of each record."""

    exclude: tuple[str, ...] | None = None
    """Names of records to leave out; null: none."""

    @property
    def used_records(self) -> tuple[str, ...]:
        """Names of the records without the excluded ones."""
        left_out = frozenset(self.exclude or ())
        return tuple(name for name in self.records if name not in left_out)

    @field_validator("records", "leads", "exclude", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        """Also accept ``100,101`` and ``[100, 101]`` from a command line."""
        parts = value.split(",") if isinstance(value, str) else value
        parts = [parts] if isinstance(parts, int) else parts
        return [str(part).strip() for part in parts] if isinstance(parts, list | tuple) else value

    @field_validator("records", "leads")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) < len(names):
            raise ValueError("give at least one name, and no name twice")
        return names

    @field_validator("records", "leads", "exclude")
    @classmethod
    def _not_empty(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names and "" in names:
            raise ValueError("give names that are not empty")
        return names

    @model_validator(mode="after")
    def _excluded_are_records(self) -> Self:
        if self.exclude and self.records:
            known = frozenset(self.records)
            if unknown := [name for name in self.exclude if name not in known]:
                raise ValueError(f"exclude: there is no record {unknown[0]!r}")
            if not self.used_records:
                raise ValueError("exclude leaves no record")
        return self


class WaveformOptions(RecordsOptions):
    """Options for cutting beats out of records. Datasets define the defaults in a subclass."""

    before: int
    """Samples of the window before the R peak."""

    after: int
    """Samples of the window after the R peak; the R peak itself is one more sample."""

    rate: float | None = None
    """Sampling rate in hertz to resample the records to; null keeps their own."""

    denoise: Denoising = "db5"
    """Wavelet denoising: db5, db6 (also removes baseline wander) or none."""

    denoise_rate: float | None = None
    """Sampling rate in hertz at which records are denoised; null is their own."""

    normalise: Normalization = "per-beat"
    """z-score of each lead over the window (per-beat) or the record (per-record), or none."""

    rhythm: Rhythm | None = None
    """Constant extra leads of RR intervals: whole-record, local or causal (no look-ahead). Null:
    none."""

    planes: tuple[int, ...] | None = None
    """Numbers of the rhythm planes to keep, from 1 in the order of their table; null keeps all."""

    differences: Differences | None = None
    """Extra leads: each lead minus the median beat of the record (median-beat); null: none."""

    max_missing: float | None = Field(None, ge=0, le=1)
    """Largest share of a window without signal; beats above it are dropped; null is 0.1."""

    symbols: SymbolMap | None = None
    """AAMI classes of the annotation symbols: of the papers (null too), or of all beats (aami)."""

    align_marks: float | None = Field(None, gt=0)
    """Move each R mark to the detected R peak within so many milliseconds; null leaves it."""

    added_noise: NoiseName | None = None
    """Recorded noise to add (bw, em, ma), in every other two minutes after the first five. Null:
    none."""

    snr: float | None = Field(None, ge=-MAX_SNR, le=MAX_SNR)
    """Signal-to-noise ratio of the added noise in dB; null without added noise."""

    mark_shift: float | None = Field(None, gt=0)
    """Move the window of each beat by a random time of at most this many milliseconds; null: 0."""

    @property
    def undisturbed(self) -> Self:
        """The same options without added noise and without shifted marks."""
        return self.model_copy(update=dict.fromkeys(DISTURBANCES))

    @property
    def noise_requirements(self) -> tuple[Requirement, ...]:
        """The noise record, if noise is added: a part of what the dataset requires."""
        noise = self.added_noise
        return () if noise is None else (Requirement(NOISE_DATABASE, (noise,), ("hea", "dat")),)

    @property
    def n_samples(self) -> int:
        """Samples of a window."""
        return self.before + 1 + self.after

    @property
    def plane_index(self) -> tuple[int, ...]:
        """Position of each plane that is used among those of the option ``rhythm``."""
        if self.rhythm is None:
            return ()
        numbers = self.planes or range(1, len(PLANES[self.rhythm]) + 1)
        return tuple(number - 1 for number in numbers)

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the rhythm planes that are used."""
        return tuple(PLANES[self.rhythm][i] for i in self.plane_index) if self.rhythm else ()

    @field_validator("planes", mode="before")
    @classmethod
    def _split_numbers(cls, value: Any) -> Any:
        """Also accept ``1,4`` and ``1`` from a command line."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",")]
        return [value] if isinstance(value, int) else value

    @model_validator(mode="after")
    def _planes_exist(self) -> Self:
        if self.planes is None:
            return self
        if self.rhythm is None:
            raise ValueError("planes needs the option rhythm")
        n = len(PLANES[self.rhythm])
        wrong = [number for number in self.planes if not 1 <= number <= n]
        if wrong or not self.planes or list(self.planes) != sorted(set(self.planes)):
            raise ValueError(f"planes are ascending numbers from 1 to {n}, not {self.planes}")
        return self

    @field_validator("before", "after")
    @classmethod
    def _not_negative(cls, number: int) -> int:
        if number < 0:
            raise ValueError("must be 0 or more")
        return number

    @model_validator(mode="after")
    def _noise_with_ratio(self) -> Self:
        if (self.added_noise is None) != (self.snr is None):
            raise ValueError("give added_noise and snr together")
        return self

    @field_validator("rate", "denoise_rate")
    @classmethod
    def _of_beats(cls, rate: float | None) -> float | None:
        return rate_of_beats(rate)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in WaveformOptions.model_fields.items():
            own = cls.model_fields[name]
            own.description = own.description or field.description


def rate_of_beats(rate: float | None) -> float | None:
    """Return a sampling rate in hertz at which beats can be cut; None for their own.

    Raises:
        ValueError: It is too low, too high or no number.
    """
    if rate is not None and (fault := fault_of_beat_rate(rate)):
        raise ValueError(fault)
    return rate


def denoise_rate(options: WaveformOptions, fs: float) -> float | None:
    """Return the sampling rate in hertz at which records were denoised; None if it is not known.

    It is not known where they were resampled after that.

    Args:
        options: How the beats were prepared.
        fs: Sampling rate of the beats in hertz.
    """
    own = options.denoise_rate is None and options.rate is None
    return fs if own else options.denoise_rate
