"""When a heart beats: heart rate variability, premature beats with their pauses, pacing.

The sinus intervals follow the bimodal spectrum of McSharry et al. (2003): a low-frequency component
around 0.1 Hz (Mayer waves) and a high-frequency one at the breathing rate (respiratory sinus
arrhythmia).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nasbench_ecg_synthetic.morphology import SPIKE_LEAD, Atrial, Ventricular

TACHOGRAM_RATE = 4.0
"""Samples of the RR tachogram in a second."""

SHORTEST = 0.36
"""Seconds for which the ventricles stay refractory."""


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How one person's heart beats.

    Attributes:
        mean_rr: Mean sinus interval in seconds.
        sd_rr: Its standard deviation in seconds.
        lf_hf: Power of the low-frequency component over that of the high-frequency one.
        breathing: Breaths in a second.
        pr: Seconds from the peak of the sinus P wave to the R peak.
        ectopic_pr: The same for a premature atrial beat.
        coupling: Interval before a premature ventricular beat, as a share of the sinus interval.
        retrograde: Seconds from a nodal beat's R peak to its P wave; None where QRS hides it.
        premature: Chance that an ordinary beat is followed by one of ``V F A J a``, by symbol.
        bigeminy: Chance that the first sinus beat after a V is followed by a V again.
        second_focus: Share of the premature ventricular beats that come from another focus.
        paced: Share of beats in runs paced on demand.
        pace: Interval of the pacemaker in seconds.
    """

    mean_rr: float
    sd_rr: float
    lf_hf: float
    breathing: float
    pr: float
    ectopic_pr: float
    coupling: float
    retrograde: float | None
    premature: dict[str, float]
    bigeminy: float
    second_focus: float
    paced: float
    pace: float


@dataclass
class Rhythm:
    """What happened when, times in seconds.

    Attributes:
        beats: (time, symbol) of each heartbeat, in order; symbols of the WFDB annotation code,
            ``N`` standing for any conducted sinus beat.
        ventricles: (time, activation, share, preceding interval) of each complex; the two
            shares of a fusion beat sum to 1.
        atria: (time, activation) of each P wave.
        spikes: Times of the pacing stimuli.
    """

    beats: list[tuple[float, str]] = field(default_factory=list)
    ventricles: list[tuple[float, Ventricular, float, float]] = field(default_factory=list)
    atria: list[tuple[float, Atrial]] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)


def tachogram(rng: np.random.Generator, habits: Habits, seconds: float) -> NDArray[np.float64]:
    """Return sinus intervals in seconds, float64, :data:`TACHOGRAM_RATE` a second.

    The spectrum is McSharry's S(f), two Gaussians of width 0.01 Hz, with random phases.
    """
    n = int(np.ceil(seconds * TACHOGRAM_RATE)) + 1
    f = np.fft.rfftfreq(n, 1 / TACHOGRAM_RATE)
    hf = np.exp(-0.5 * ((f - habits.breathing) / 0.01) ** 2)
    lf = np.exp(-0.5 * ((f - 0.1) / 0.01) ** 2)
    phase = rng.uniform(0, 2 * np.pi, len(f))
    series = np.fft.irfft(np.sqrt(habits.lf_hf * lf + hf) * np.exp(1j * phase), n)
    series = habits.mean_rr + habits.sd_rr * (series - series.mean()) / series.std()
    return np.asarray(np.clip(series, 0.6 * habits.mean_rr, 1.6 * habits.mean_rr))


def simulate(rng: np.random.Generator, habits: Habits, seconds: float) -> Rhythm:
    """Return the rhythm of ``seconds`` of a record."""
    heart = _Beating(rng, habits, tachogram(rng, habits, seconds))
    heart.sinus()
    while heart.due < seconds - 0.7:
        heart.step()
    return heart.rhythm


class _Beating:
    """The beat that was and the sinus beat that is due."""

    def __init__(
        self, rng: np.random.Generator, habits: Habits, intervals: NDArray[np.float64]
    ) -> None:
        self.rng, self.habits, self.intervals = rng, habits, intervals
        self.rhythm = Rhythm()
        self.due: float = rng.uniform(0.3, 0.6)
        self.last = self.due - habits.mean_rr
        self.next_p = 0.0
        self.paced_run = rng.random() < habits.paced
        self.step: Callable[[], None] = self._step_paced if habits.paced else self._step_sinus

    def _step_sinus(self) -> None:
        before = [symbol for _, symbol in self.rhythm.beats[-2:]]
        if before[-1] != "N":
            return self.sinus()
        if before == ["V", "N"] and self.rng.random() < self.habits.bigeminy:
            return self._ventricular()
        chance = self.rng.random()
        for symbol, share in self.habits.premature.items():
            if chance < share:
                return self._premature(symbol)
            chance -= share
        return self.sinus()

    def _premature(self, symbol: str) -> None:
        if symbol == "V":
            self._ventricular()
        elif symbol == "F":
            self._fusion()
        else:
            self._supraventricular(symbol)

    def _step_paced(self) -> None:
        """Paced and conducted beats come in runs; they fuse most often where one run ends."""
        leave = (1 - self.habits.paced if self.paced_run else self.habits.paced) / 8
        changes = self.rng.random() < leave
        if changes:
            self.paced_run = not self.paced_run
        if self.rng.random() < (0.8 if changes else 0.04):
            self._pace(fused=True)
        elif self.paced_run:
            self._pace(fused=False)
        else:
            self.due = min(self.due, self.last + self.habits.pace * self.rng.uniform(0.93, 0.99))
            self.sinus()
            self.next_p = self.due - self.habits.pr

    def _interval(self, time: float) -> float:
        return float(self.intervals[min(int(time * TACHOGRAM_RATE), len(self.intervals) - 1)])

    def _beat(
        self, time: float, symbol: str, *parts: tuple[Ventricular, float], early: float = 0.0
    ) -> None:
        """Activate the ventricles; a part other than the first comes ``early`` seconds before."""
        self.rhythm.beats.append((time, symbol))
        for number, (activation, share) in enumerate(parts):
            at = time - early if number else time
            self.rhythm.ventricles.append((at, activation, share, time - self.last))
        self.last = time

    def _p(self, time: float, activation: Atrial = "sinus") -> None:
        self.rhythm.atria.append((time, activation))

    def _focus(self) -> Ventricular:
        return "ectopic-b" if self.rng.random() < self.habits.second_focus else "ectopic-a"

    def sinus(self) -> None:
        self._p(self.due - self.habits.pr)
        self._beat(self.due, "N", ("conducted", 1.0))
        self.due += self._interval(self.due)

    def _ventricular(self) -> None:
        """Premature and without a P; the sinus beat then due finds the ventricles refractory.

        The sinus node is not reset, so the pause is fully compensatory.
        """
        wait = self.habits.coupling * (self.due - self.last) + self.rng.normal(0, 0.010)
        self._p(self.due - self.habits.pr)
        self._beat(self.last + max(SHORTEST, wait), "V", (self._focus(), 1.0))
        self.due += self._interval(self.due)

    def _fusion(self) -> None:
        """A ventricular focus fires while the sinus beat is already on its way."""
        share = self.rng.uniform(0.2, 0.8)
        self._p(self.due - self.habits.pr)
        self._beat(
            self.due,
            "F",
            ("conducted", share),
            ("ectopic-a", 1 - share),
            early=self.rng.uniform(-0.010, 0.020),
        )
        self.due += self._interval(self.due)

    def _supraventricular(self, symbol: str) -> None:
        """Premature from atria or node; it resets the sinus node, so the pause is shorter."""
        wait = self.rng.uniform(0.62, 0.88) * (self.due - self.last)
        time = self.last + max(SHORTEST + 0.04, wait)
        if symbol != "J":
            self._p(time - self.habits.ectopic_pr, "ectopic")
        elif self.habits.retrograde is not None:
            self._p(time + self.habits.retrograde, "retrograde")
        self._beat(time, symbol, ("aberrant" if symbol == "a" else "conducted", 1.0))
        self.due = time + self._interval(time) * self.rng.uniform(1.0, 1.12)

    def _pace(self, *, fused: bool) -> None:
        """The sinus beat is late or blocked: the pacemaker fires, atria go on at their own rate."""
        time = self.last + self.habits.pace * (1 + self.rng.normal(0, 0.002))
        share = self.rng.uniform(0.3, 0.7) if fused else 0.0
        if fused:
            self._p(time - self.habits.pr)
            self.next_p = time - self.habits.pr
        while self.next_p < time:
            if self.next_p > self.last:
                self._p(self.next_p)
            self.next_p += self._interval(time)
        self.rhythm.spikes.append(time - SPIKE_LEAD)
        paced: tuple[Ventricular, float] = ("paced", 1 - share)
        parts = (("conducted", share), paced) if fused else (paced,)
        self._beat(time, "f" if fused else "/", *parts)
        self.due = time + self._interval(time)
