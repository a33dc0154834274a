"""The dataset ``toy-2lead``: no ECG, only beats that a small network can tell apart."""

from collections.abc import Mapping, Sequence

import numpy as np

from nasbench_ecg.api import Beats, DataSource, Progress, Requirement
from nasbench_ecg_thirdparty_example.options import ToyOptions

CLASSES = ("N", "S", "V", "F", "Q")
RECORDS = tuple(f"toy{i}" for i in range(8))
FS = 100.0
N_SAMPLES = 101


class Toy:
    """Gaussian bumps; class c is wider the larger c is, and upside down where c is odd."""

    def __init__(self, options: ToyOptions) -> None:
        self.options = options

    def requires(self) -> Sequence[Requirement]:
        """Nothing: the beats are generated."""
        return ()

    def partition(self, protocol: str) -> Mapping[str, Sequence[str]] | None:
        """No protocol fixes the records."""
        return None

    def load(self, source: DataSource, progress: Progress) -> Beats:
        """Generate the beats of eight patients, every class in every record."""
        rng = np.random.default_rng(self.options.seed)
        per_record = self.options.beats
        n = len(RECORDS) * per_record
        record = np.repeat(np.arange(len(RECORDS), dtype=np.int32), per_record)
        place = np.tile(np.arange(per_record), len(RECORDS))
        labels = (place % len(CLASSES)).astype(np.int64)

        time = np.arange(N_SAMPLES) / FS
        width = (0.03 + 0.03 * labels)[:, None]
        sign = np.where(labels % 2, -1.0, 1.0)[:, None]
        gain = rng.uniform(0.8, 1.2, len(RECORDS))[record][:, None]
        bump = gain * sign * np.exp(-(((time - time.mean()) / width) ** 2) / 2)
        signals = np.stack([bump, -0.5 * bump], axis=1)
        signals += rng.normal(0, self.options.noise, signals.shape)
        assert signals.shape == (n, 2, N_SAMPLES)
        return Beats(
            signals=signals.astype(np.float32),
            labels=labels,
            record=record,
            sample=(place * N_SAMPLES + N_SAMPLES // 2).astype(np.int64),
            classes=CLASSES,
            records=RECORDS,
            subjects=RECORDS,
            leads=("I", "II"),
            fs=FS,
        )
