"""Tables with made-up results, so that tests of queries, builds and searches train nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasbench_ecg.tables.card import Card, Component, Recipe
from nasbench_ecg.tables.simulate import Simulation
from nasbench_ecg.tables.table import Table, empty_arrays
from nasbench_ecg.tables.training import MemberResult
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells

OPTIONS = TinyCellsOptions(
    operations=("zero", "skip", "conv-3", "sep-9"), widths=(2, 4), cells=(1,)
)
SPACE = TinyCells(OPTIONS)
CLASSES = ("N", "S", "V")


def toy_card(*, seeds=3, epochs=2, **changes):
    """Return the card of a table of the small space."""
    values = {
        "space": Component(name="tiny-cells", revision=1, options=OPTIONS.model_dump(mode="json")),
        "builder": Component(name="tiny-network", revision=1, options={}),
        "dataset": Component(name="synthetic-2lead", revision=1, options={}),
        "protocol": "intra-patient",
        "protocol_options": {},
        "classes": CLASSES,
        "macro_classes": CLASSES,
        "n_leads": 2,
        "n_samples": 64,
        "fs": 100.0,
        "beats_fingerprint": "b",
        "split_fingerprint": "s",
        "recipe": Recipe(epochs=epochs),
        "members": SPACE.size,
        "seeds": seeds,
    }
    return Card(**{**values, **changes})


def toy_result(row, seed, epochs=2, *, noise=8):
    """Return a made-up training: later rows are better, and every seed differs."""
    rng = np.random.default_rng([row, seed])
    correct = 30 + row // 2 + np.arange(epochs)[:, None] + rng.integers(0, noise, (epochs, 2))
    confusion = np.full((epochs, 2, 3, 3), 10, np.uint32)
    confusion[..., range(3), range(3)] = correct[..., None]
    seconds = (rng.random() + np.arange(1, epochs + 1)).astype(np.float32)
    return MemberResult(confusion, (1 / correct).astype(np.float16), seconds)


def toy_table(*, seeds=3, epochs=2, untrained=(), noise=8):
    """Return a table in which all members but those of the rows ``untrained`` have all seeds."""
    card = toy_card(seeds=seeds, epochs=epochs)
    arrays = empty_arrays(card, [arch.to_json() for arch in SPACE.members])
    arrays["cost_parameters"] = np.arange(card.members, dtype=np.float64)
    for row in set(range(card.members)) - set(untrained):
        for seed in range(seeds):
            made = toy_result(row, seed, epochs, noise=noise)
            for name in ("confusion", "nll", "seconds"):
                arrays[name][row, seed] = getattr(made, name)
            arrays["trained"][row, seed] = True
    return Table(card, arrays)


def searched(label, members, table):
    """Return a simulation whose repetitions evaluate the given members, in their order."""
    rows = []
    for repetition, order in enumerate(members):
        for i, member in enumerate(order, start=1):
            score = table.values("validation")[member, 0, -1]
            rows.append((repetition, i, float(i), member, 2, score))
    names = ["repetition", "evaluation", "seconds", "member", "epoch", "score"]
    found = np.array([order[-1] for order in members], dtype=np.int64)
    return Simulation(label, pd.DataFrame(rows, columns=names), found)
