"""A benchmark of neural architecture search for ECG heartbeat classification.

Example:
    >>> import nasbench_ecg as nb
    >>> runs = nb.run("darts", "synthetic-2lead", profile="smoke")  # doctest: +SKIP
    >>> nb.leaderboard(runs)  # doctest: +SKIP

Plugin authors import :mod:`nasbench_ecg.api`. Names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from nasbench_ecg.lazy import lazy_names

__version__ = "0.2.0"

__all__ = [
    "annotate",
    "evaluate",
    "export",
    "leaderboard",
    "load_dataset",
    "load_model",
    "plot",
    "register",
    "run",
    "runs",
    "show",
    "stored_evaluations",
    "table",
]

_named = lazy_names(
    __name__,
    {
        "nasbench_ecg.front.annotating": ["annotate"],
        "nasbench_ecg.front.evaluation": ["evaluate", "stored_evaluations"],
        "nasbench_ecg.front.exporting": ["export"],
        "nasbench_ecg.front.loading": ["load_dataset", "load_model"],
        "nasbench_ecg.front.results": ["leaderboard", "runs"],
        "nasbench_ecg.front.running": ["register"],
        "nasbench_ecg.front.showing": ["show"],
        "nasbench_ecg.front.tables": ["table"],
    },
)


class _RunPackage(ModuleType):
    """The package :mod:`nasbench_ecg.run`, which can be called: ``nb.run(...)`` makes runs.

    Python sets an imported package as attribute of its parent, so that a function of this name
    would be replaced.
    """

    def __call__(self, *args: Any, **words: Any) -> Any:
        """Make runs; see :func:`nasbench_ecg.front.running.run`."""
        return importlib.import_module("nasbench_ecg.front.running").run(*args, **words)


def __getattr__(name: str) -> Any:
    if name in ("plot", "run"):
        return importlib.import_module(f"{__name__}.{name}")
    return _named(name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]


if TYPE_CHECKING:
    from nasbench_ecg import plot
    from nasbench_ecg.front.annotating import annotate
    from nasbench_ecg.front.evaluation import evaluate, stored_evaluations
    from nasbench_ecg.front.exporting import export
    from nasbench_ecg.front.loading import load_dataset, load_model
    from nasbench_ecg.front.results import leaderboard, runs
    from nasbench_ecg.front.running import register, run
    from nasbench_ecg.front.showing import show
    from nasbench_ecg.front.tables import table
