"""Contract tests for plugin authors: subclass one, and inherit all tests of the contract.

They need pytest and hypothesis: ``pip install 'nasbench-ecg[testing]'``. The command
``nasbench-ecg plugin check NAME`` runs the same checks without either.

>>> from nasbench_ecg.testing import StrategyContract
>>> class TestMySearch(StrategyContract):
...     name = "my-search"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasbench_ecg.testing.contracts import (
        BuilderContract,
        DatasetContract,
        EvaluatorContract,
        ExecutorContract,
        SearchSpaceContract,
        StrategyContract,
    )

__all__ = [
    "BuilderContract",
    "DatasetContract",
    "EvaluatorContract",
    "ExecutorContract",
    "SearchSpaceContract",
    "StrategyContract",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from nasbench_ecg.testing import contracts
    except ModuleNotFoundError as error:
        if error.name not in ("pytest", "hypothesis"):
            raise
        from nasbench_ecg.errors import PluginError

        raise PluginError(
            f"The contract tests need {error.name}, which is not installed.",
            fix="Install the extra 'testing': pip install 'nasbench-ecg[testing]'",
        ) from error
    return getattr(contracts, name)
