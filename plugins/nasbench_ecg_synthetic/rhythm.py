"""Heart rhythm: heart rate variability, premature beats with their pauses, pacing.

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
"""Sampling rate of the RR tachogram in hertz."""

REFRACTORY = 0.36
"""Refractory period of the ventricles in seconds."""


@dataclass(frozen=True, kw_only=True)
class RhythmParameters:
    """Parameters of the heart rhythm of one patient.

    Attributes:
        mean_rr: Mean sinus interval in seconds.
        sd_rr: Its standard deviation in seconds.
        lf_hf: Power of the low-frequency component over that of the high-frequency one.
        breathing: Breathing rate in hertz.
        pr: Seconds from the peak of the sinus P wave to the R peak.
        ectopic_pr: The same for a premature atrial beat.
        coupling: Interval before a premature ventricular beat, as a share of the sinus interval.
        retrograde: Seconds from the R peak of a nodal beat to its P wave; None if QRS hides it.
        premature: Probability that a normal beat is followed by one of ``V F A J a``, by symbol.
        bigeminy: Probability of another V after the first sinus beat that follows a V.
        second_focus: Share of premature ventricular beats from a second focus.
        paced: Share of beats in paced runs.
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
    """Events of a record, with times in seconds.

    Attributes:
        beats: (time, symbol) of each heartbeat, in order; symbols of the WFDB annotation code,
            ``N`` is any conducted sinus beat.
        ventricles: (time, activation, share, preceding interval) of each complex; the two
            shares of a fusion beat sum to 1.
        atria: (time, activation) of each P wave.
        spikes: Times of the pacing stimuli.
    """

    beats: list[tuple[float, str]] = field(default_factory=list)
    ventricles: list[tuple[float, Ventricular, float, float]] = field(default_factory=list)
    atria: list[tuple[float, Atrial]] = field(default_factory=list)
    spikes: list[float] = field(default_factory=list)


def tachogram(
    rng: np.random.Generator, parameters: RhythmParameters, seconds: float
) -> NDArray[np.float64]:
    """Return sinus intervals in seconds, float64, at :data:`TACHOGRAM_RATE`.

    The spectrum is McSharry's S(f), two Gaussians of width 0.01 Hz, with random phases.
    """
    n = int(np.ceil(seconds * TACHOGRAM_RATE)) + 1
    f = np.fft.rfftfreq(n, 1 / TACHOGRAM_RATE)
    hf = np.exp(-0.5 * ((f - parameters.breathing) / 0.01) ** 2)
    lf = np.exp(-0.5 * ((f - 0.1) / 0.01) ** 2)
    phase = rng.uniform(0, 2 * np.pi, len(f))
    series = np.fft.irfft(np.sqrt(parameters.lf_hf * lf + hf) * np.exp(1j * phase), n)
    series = parameters.mean_rr + parameters.sd_rr * (series - series.mean()) / series.std()
    return np.asarray(np.clip(series, 0.6 * parameters.mean_rr, 1.6 * parameters.mean_rr))


def simulate(rng: np.random.Generator, parameters: RhythmParameters, seconds: float) -> Rhythm:
    """Return a random rhythm of ``seconds`` duration."""
    simulation = _Simulation(rng, parameters, tachogram(rng, parameters, seconds))
    simulation.sinus()
    while simulation.due < seconds - 0.7:
        simulation.step()
    return simulation.rhythm


class _Simulation:
    """State of the simulation: the last beat, and the next sinus beat that is due."""

    def __init__(
        self, rng: np.random.Generator, parameters: RhythmParameters, intervals: NDArray[np.float64]
    ) -> None:
        self.rng, self.parameters, self.intervals = rng, parameters, intervals
        self.rhythm = Rhythm()
        self.due: float = rng.uniform(0.3, 0.6)
        self.last = self.due - parameters.mean_rr
        self.next_p = 0.0
        self.paced_run = rng.random() < parameters.paced
        self.step: Callable[[], None] = self._step_paced if parameters.paced else self._step_sinus

    def _step_sinus(self) -> None:
        before = [symbol for _, symbol in self.rhythm.beats[-2:]]
        if before[-1] != "N":
            return self.sinus()
        if before == ["V", "N"] and self.rng.random() < self.parameters.bigeminy:
            return self._ventricular()
        chance = self.rng.random()
        for symbol, share in self.parameters.premature.items():
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
        """Add a beat. Paced and conducted beats form runs; fusion is most likely at their ends."""
        leave = (1 - self.parameters.paced if self.paced_run else self.parameters.paced) / 8
        changes = self.rng.random() < leave
        if changes:
            self.paced_run = not self.paced_run
        if self.rng.random() < (0.8 if changes else 0.04):
            self._pace(fused=True)
        elif self.paced_run:
            self._pace(fused=False)
        else:
            self.due = min(
                self.due, self.last + self.parameters.pace * self.rng.uniform(0.93, 0.99)
            )
            self.sinus()
            self.next_p = self.due - self.parameters.pr

    def _interval(self, time: float) -> float:
        return float(self.intervals[min(int(time * TACHOGRAM_RATE), len(self.intervals) - 1)])

    def _beat(
        self, time: float, symbol: str, *parts: tuple[Ventricular, float], early: float = 0.0
    ) -> None:
        """Add a beat; the second activation of a fusion is ``early`` seconds before the first."""
        self.rhythm.beats.append((time, symbol))
        for number, (activation, share) in enumerate(parts):
            at = time - early if number else time
            self.rhythm.ventricles.append((at, activation, share, time - self.last))
        self.last = time

    def _p(self, time: float, activation: Atrial = "sinus") -> None:
        self.rhythm.atria.append((time, activation))

    def _focus(self) -> Ventricular:
        return "ectopic-b" if self.rng.random() < self.parameters.second_focus else "ectopic-a"

    def sinus(self) -> None:
        """Add the sinus beat that is due."""
        self._p(self.due - self.parameters.pr)
        self._beat(self.due, "N", ("conducted", 1.0))
        self.due += self._interval(self.due)

    def _ventricular(self) -> None:
        """Add a premature ventricular beat without P wave; the next sinus beat is blocked.

        The sinus node is not reset, so the pause is fully compensatory.
        """
        wait = self.parameters.coupling * (self.due - self.last) + self.rng.normal(0, 0.010)
        self._p(self.due - self.parameters.pr)
        self._beat(self.last + max(REFRACTORY, wait), "V", (self._focus(), 1.0))
        self.due += self._interval(self.due)

    def _fusion(self) -> None:
        """Add a fusion of a sinus beat and a ventricular ectopic beat."""
        share = self.rng.uniform(0.2, 0.8)
        self._p(self.due - self.parameters.pr)
        self._beat(
            self.due,
            "F",
            ("conducted", share),
            ("ectopic-a", 1 - share),
            early=self.rng.uniform(-0.010, 0.020),
        )
        self.due += self._interval(self.due)

    def _supraventricular(self, symbol: str) -> None:
        """Add a premature atrial or nodal beat, which resets the sinus node: a shorter pause."""
        wait = self.rng.uniform(0.62, 0.88) * (self.due - self.last)
        time = self.last + max(REFRACTORY + 0.04, wait)
        if symbol != "J":
            self._p(time - self.parameters.ectopic_pr, "ectopic")
        elif self.parameters.retrograde is not None:
            self._p(time + self.parameters.retrograde, "retrograde")
        self._beat(time, symbol, ("aberrant" if symbol == "a" else "conducted", 1.0))
        self.due = time + self._interval(time) * self.rng.uniform(1.0, 1.12)

    def _pace(self, *, fused: bool) -> None:
        """Add a paced beat: the sinus beat is late or blocked, and the atria keep their rate."""
        time = self.last + self.parameters.pace * (1 + self.rng.normal(0, 0.002))
        share = self.rng.uniform(0.3, 0.7) if fused else 0.0
        if fused:
            self._p(time - self.parameters.pr)
            self.next_p = time - self.parameters.pr
        while self.next_p < time:
            if self.next_p > self.last:
                self._p(self.next_p)
            self.next_p += self._interval(time)
        self.rhythm.spikes.append(time - SPIKE_LEAD)
        paced: tuple[Ventricular, float] = ("paced", 1 - share)
        parts = (("conducted", share), paced) if fused else (paced,)
        self._beat(time, "f" if fused else "/", *parts)
        self.due = time + self._interval(time)
