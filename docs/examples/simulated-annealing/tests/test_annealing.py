"""Tests of the contract, the acceptance of moves, and the temperature."""

import numpy as np
import pytest
from nasbench_ecg_annealing.strategy import (
    SimulatedAnnealing,
    SimulatedAnnealingOptions,
    accepts,
)

from nasbench_ecg.testing import StrategyContract


class TestSimulatedAnnealing(StrategyContract):
    name = "simulated-annealing"


def test_a_better_neighbor_is_always_accepted():
    rng = np.random.default_rng(0)
    assert all(accepts(gain, 1e-3, rng) for gain in (0.0, 0.1, 1.0))


def test_a_loss_of_one_temperature_is_accepted_with_probability_1_over_e():
    rng = np.random.default_rng(0)
    accepted = np.mean([accepts(-0.05, 0.05, rng) for _ in range(20_000)])
    assert accepted == pytest.approx(np.exp(-1), abs=0.01)


def test_the_temperature_falls_from_the_hottest_to_the_coldest():
    search = SimulatedAnnealing(SimulatedAnnealingOptions(steps=3, hottest=0.1, coldest=0.001))
    assert [search.temperature(step) for step in range(3)] == pytest.approx([0.1, 0.01, 0.001])
