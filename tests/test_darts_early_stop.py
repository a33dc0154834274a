"""DARTS+ and DARTS-ES: when they stop, and which α they restore."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from darts_searches import CONV, SKIP, prefer, started

from nasbench_ecg_darts.variants import early_stop

# -- DARTS+ ------------------------------------------------------------------------------------


def test_darts_plus_stops_at_the_third_skip_and_restores_the_last_alpha_with_two():
    _, state = started("darts-plus")
    after = partial(early_stop.stop_at_skips, max_skips=2)
    prefer(state.alpha, "normal", CONV, range(5))
    state.epoch = 1
    assert not after(state, {})
    prefer(state.alpha, "normal", SKIP, [0, 1])
    with torch.no_grad():
        state.alpha["normal"][[0, 1], CONV] = 0
    state.epoch = 2
    assert early_stop.normal_skips(state) == 2 and not after(state, {})
    with_two = state.alpha["normal"].detach().clone()
    with torch.no_grad():
        state.alpha["normal"][2:, CONV] = 0
    prefer(state.alpha, "normal", SKIP, [2, 3])
    state.epoch = 3
    assert early_stop.normal_skips(state) == 4 and after(state, {})
    assert torch.equal(state.alpha["normal"], with_two)
    assert early_stop.skip_details(state) == {"normal_skips": 2, "alpha_of_epoch": 2}


def test_skips_of_the_reduction_cell_and_during_warm_up_do_not_count():
    _, state = started("darts-plus", warmup_epochs=1)
    prefer(state.alpha, "normal", SKIP, range(5))
    state.epoch = 1
    assert not early_stop.stop_at_skips(state, {}, max_skips=2)
    _, state = started("darts-plus")
    prefer(state.alpha, "normal", CONV, range(5))
    prefer(state.alpha, "reduction", SKIP, range(5))
    state.epoch = 1
    assert not early_stop.stop_at_skips(state, {}, max_skips=2)


# -- DARTS-ES ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eigenvalues", "risen"),
    [
        ([1, 1, 1], False),  # not yet two windows
        ([1, 1, 1, 1], False),
        ([1, 1, 1.2, 1.2], False),
        ([0.9, 0.9, 1.2, 1.2], False),  # exactly 0.75
        ([0.9, 0.9, 1.2, 1.3], True),
        ([9, 9, 1, 1, 2, 2], True),  # what was before the windows does not count
        ([2, 2, 1, 1], False),
        ([-1, -1, 1, 1], True),
        ([1, 1, -1, -1], False),
        ([1, 1, 1, 3, 0.1, 1], False),  # a single peak within one window is averaged out
    ],
)
def test_a_rise_compares_averages_by_the_ratio(eigenvalues, risen):
    assert early_stop.has_risen(eigenvalues, window=2, lag=2, ratio=0.75) is risen


def test_darts_es_restores_alpha_from_before_the_rise():
    _, state = started("darts-es", window=1, lag=2, ratio=0.75, epochs=10)
    options = state.options
    snapshots = []
    for epoch, eigenvalue in enumerate([1.0, 1.0, 1.1, 1.2, 5.0], start=1):
        with torch.no_grad():
            state.alpha["normal"].add_(1)
        snapshots.append(state.alpha["normal"].detach().clone())
        state.epoch = epoch
        stop = early_stop.stop_at_curvature(
            state, {"hessian_eigenvalue": eigenvalue}, options=options
        )
        assert stop is (epoch == 5)
    assert torch.equal(state.alpha["normal"], snapshots[2])
    assert early_stop.alpha_of_epoch(state) == 3


def test_darts_es_restores_alpha_from_the_center_of_the_earlier_window():
    _, state = started("darts-es", window=5, lag=5, start_epoch=10, epochs=50)
    for epoch in range(1, 19):
        state.epoch = epoch
        figures = {"hessian_eigenvalue": 1.0 if epoch < 14 else 2.0}
        stop = early_stop.stop_at_curvature(state, figures, options=state.options)
        assert stop is (epoch == 18)
    assert early_stop.alpha_of_epoch(state) == 18 - 2 - 5


def test_darts_es_does_not_return_to_its_initial_epochs():
    _, state = started("darts-es", window=1, lag=1, start_epoch=4, epochs=10)
    for epoch in range(1, 7):
        state.epoch = epoch
        figures = {"hessian_eigenvalue": 9.0**epoch}
        stop = early_stop.stop_at_curvature(state, figures, options=state.options)
        assert stop is (epoch == 6)
    assert early_stop.alpha_of_epoch(state) == 5


def test_darts_es_keeps_the_alpha_of_the_last_epoch():
    _, state = started("darts-es", window=1, lag=1, start_epoch=2, epochs=6)
    for epoch in range(1, 7):
        state.epoch = epoch
        figures = {"hessian_eigenvalue": 9.0 if epoch == 6 else 1.0}
        assert not early_stop.stop_at_curvature(state, figures, options=state.options)
    assert early_stop.alpha_of_epoch(state) == 6
