"""A stopped clustering continues to the same result, wherever it was stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_iemmc import context, task_of

from nasbench_ecg.training.checkpoint import FileCheckpoint
from nasbench_ecg_immune.bisection import Split
from nasbench_ecg_immune.iemmc import ClusteringCheckpoint, Iemmc
from nasbench_ecg_immune.options import IemmcOptions

OPTIONS = {"generations": 4, "antibodies": 16, "parents": 4, "C": 10.0, "width": 3.0}
CASES = {
    "bisection": {},
    "from k-means": {"start": "k-means"},
    "low rank, a part evolved": {"exact_up_to": 50, "rank": 30, "evolve_beats": 60},
    "direct": {"method": "direct"},
    "direct from k-means": {"method": "direct", "start": "k-means"},
}


class StoppedError(Exception):
    """Raised in place of the end of the process."""


class StopsAfter(FileCheckpoint):
    """A checkpoint that is due after every generation, and stops the search after ``saves``."""

    def __init__(self, path, saves, ctx):
        super().__init__(path, interval=0.0, extra=ctx.state, restore_extra=ctx.restore)
        self.left = saves

    def save(self, state):
        super().save(state)
        self.left -= 1
        if self.left == 0:
            raise StoppedError


def run(task, options, path=None, saves=-1, seed=3):
    """Search and stop after ``saves`` saves; return the result and the trajectory."""
    ctx = context(task, seed=seed)
    if path is not None:
        ctx.checkpoint = StopsAfter(path, saves, ctx)
    result = Iemmc(IemmcOptions(**{**OPTIONS, **options})).search(task, ctx.space, None, ctx)
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in ctx.trajectory]
    return result, rows


@pytest.mark.parametrize("case", CASES)
def test_the_result_is_the_same_wherever_it_was_stopped(tmp_path, case):
    task = task_of(distance=1.5)
    whole, rows = run(task, CASES[case])
    stops = range(1, len(rows) + 1, max(1, len(rows) // 4))
    for saves in stops:
        path = tmp_path / f"{saves}.safetensors"
        with pytest.raises(StoppedError):
            run(task, CASES[case], path, saves)
        resumed, again = run(task, CASES[case], path)
        assert resumed == whole
        assert again == rows


def test_the_result_is_the_same_after_several_stops(tmp_path):
    task = task_of(distance=1.5)
    whole, rows = run(task, {})
    path = tmp_path / "state.safetensors"
    for _ in range(3):
        with pytest.raises(StoppedError):
            run(task, {}, path, 2)
    resumed, again = run(task, {}, path)
    assert (resumed, again) == (whole, rows)


def test_a_finished_split_is_not_made_again(tmp_path, monkeypatch):
    import nasbench_ecg_immune.iemmc as module

    task, path, made = task_of(distance=1.5), tmp_path / "state.safetensors", []
    split_cluster = module.split_cluster
    monkeypatch.setattr(
        module, "split_cluster", lambda *a, **k: made.append(len(a[1])) or split_cluster(*a, **k)
    )
    run(task, {})
    whole = list(made)
    made.clear()
    with pytest.raises(StoppedError):
        run(task, {}, path, 6)
    before = list(made)
    made.clear()
    run(task, {}, path)
    assert len(before) > 1 and before + made[1:] == whole and made[0] == before[-1]


class InMemory:
    """A checkpoint as JSON text, due after every generation."""

    def __init__(self):
        self.text = None

    def due(self):
        return True

    def save(self, state):
        self.text = json.dumps(state, allow_nan=False)

    def load(self):
        return None if self.text is None else json.loads(self.text)


class Evolution:
    """The part of an evolution that the checkpoint uses."""

    def state(self):
        return {"generation": 1}

    def start(self, initial):
        pass

    def run(self, deadline, on_generation):
        on_generation({})


def test_finished_splits_and_seconds_left_survive(monkeypatch):
    from nasbench_ecg_immune import iemmc

    now = [100.0]
    monkeypatch.setattr(iemmc, "monotonic", lambda: now[0])
    checkpoint, rng = InMemory(), np.random.default_rng(0)
    first = ClusteringCheckpoint(checkpoint, rng, deadline=160.0)
    labels = rng.choice(np.array([-1, 1], np.int8), size=13)
    first.begin_split()
    first.finish_split(Split(labels, 0.1 + 0.2), {"generations": 3})
    now[0] = 120.0
    first.begin_split()
    first.evolve(Evolution(), [], lambda row: None)
    now[0] = 1000.0
    second = ClusteringCheckpoint(checkpoint, rng, deadline=1060.0)
    ((split, summary),) = second.splits
    assert split.labels.tolist() == labels.tolist() and split.labels.dtype == np.int8
    assert split.objective == 0.1 + 0.2 and summary == {"generations": 3}
    assert second.deadline == pytest.approx(1040.0)  # 40 of 60 seconds were left
