"""Optuna's studies in memory: equal to Optuna's own storage, trial and sampler of CMA-ES."""

from __future__ import annotations

import copy

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="needs optuna: pip install 'nasbench-ecg[optuna]'")

from optuna.storages import InMemoryStorage  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from nasbench_ecg_optuna.cma_sampler import CmaEsInMemory  # noqa: E402
from nasbench_ecg_optuna.storage import OneStudy, QuickTrial  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
    pytest.mark.filterwarnings("ignore:`sigma0` has been deprecated:FutureWarning"),
]

SAMPLERS = {
    "tpe": lambda: optuna.samplers.TPESampler(seed=3, n_startup_trials=5),
    "tpe, each alone": lambda: optuna.samplers.TPESampler(seed=3, multivariate=False),
    "random": lambda: optuna.samplers.RandomSampler(seed=3),
    "nsga-ii": lambda: optuna.samplers.NSGAIISampler(seed=3, population_size=6),
    "nsga-iii": lambda: optuna.samplers.NSGAIIISampler(seed=3, population_size=6),
}


@pytest.fixture(autouse=True)
def quiet():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def suggest(trial):
    """Return a value of each kind; the third only where the first is "b"."""
    kind = trial.suggest_categorical("kind", ("a", "b", "c"))
    values = [kind, trial.suggest_int("width", 2, 9), trial.suggest_float("x", 0.0, 1.0)]
    return [*values, trial.suggest_int("depth", 1, 3)] if kind == "b" else values


def score(values):
    return float(values[1] - 3 * (values[2] - 0.3) ** 2 + (values[0] == "b"))


def tried(storage, sampler, n, *, quick, batch=1, directions=("maximize",)):
    """Return what a study suggests in batches; every seventh trial fails, every ninth is pruned."""
    study = optuna.create_study(storage=storage, sampler=sampler, directions=directions)
    found = []
    while len(found) < n:
        asked = [study.ask() for _ in range(batch)]
        values = [suggest(QuickTrial(study, one) if quick else one) for one in asked]
        for trial, suggested in zip(asked, values, strict=True):
            if trial.number % 7 == 6:
                study.tell(trial, state=TrialState.FAIL)
            elif trial.number % 9 == 8:
                study.tell(trial, state=TrialState.PRUNED)
            else:
                costs = [float(suggested[1])] * (len(directions) - 1)
                study.tell(trial, [score(suggested), *costs])
        found += values
    return found


@pytest.mark.parametrize("directions", [("maximize",), ("maximize", "minimize")])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_in_memory_suggests_what_optunas_own_storage_suggests(name, batch, directions):
    arguments = {"batch": batch, "directions": directions}
    own = tried(OneStudy(), SAMPLERS[name](), 40, quick=True, **arguments)
    assert own == tried(InMemoryStorage(), SAMPLERS[name](), 40, quick=False, **arguments)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("options", [{}, {"population": 5, "sigma": 0.3}])
def test_cma_es_in_memory_proposes_what_optunas_sampler_proposes(batch, options):
    def values(trial):
        x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(4)]
        return [*x, trial.suggest_int("n", 1, 6)]

    def points(sampler, n=120):
        study = optuna.create_study(sampler=sampler, direction="maximize")
        found = []
        while len(found) < n:
            asked = [study.ask() for _ in range(batch)]
            suggested = [values(one) for one in asked]
            for trial, x in zip(asked, suggested, strict=True):
                if trial.number % 11 == 10:
                    study.tell(trial, state=TrialState.FAIL)
                else:
                    study.tell(trial, -float(np.square(np.array(x[:4]) - 0.8).sum()) + x[4])
            found += suggested
        return found

    renamed = {"population": "popsize", "sigma": "sigma0"}
    theirs = {renamed[name]: value for name, value in options.items()}
    ours = CmaEsInMemory(7, **{"population": None, "sigma": None, **options})
    assert points(ours) == points(optuna.samplers.CmaEsSampler(seed=7, **theirs))


def test_a_waiting_trial_is_the_next_and_has_its_parameters():
    study = optuna.create_study(storage=OneStudy())
    study.enqueue_trial({"kind": "b", "width": 4, "x": 0.5, "depth": 2})
    assert suggest(study.ask()) == ["b", 4, 0.5, 2]
    assert study.ask().number == 1


def test_a_finished_trial_cannot_be_told_again_and_its_copy_is_its_own():
    study = optuna.create_study(storage=OneStudy())
    trial = study.ask()
    trial.set_constraint("size", 1.0)
    study.tell(trial, 1.0)
    (kept,) = study.trials
    assert (kept.value, kept.constraints, kept.number) == (1.0, {"size": 1.0}, 0)
    assert copy.deepcopy(kept) is not kept and copy.deepcopy(kept).value == 1.0
    with pytest.raises(ValueError, match="COMPLETE"):
        study.tell(trial, 2.0)
