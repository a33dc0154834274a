"""The contracts between the harness and its components, as typed protocols.

Data moves one way: a :class:`Dataset` loads beats, a protocol splits them into a :class:`Task`, a
:class:`Strategy` searches an architecture for it, and an :class:`Evaluator` scores the result.

A component may also have optional methods. Each is a protocol of its own that can be tested with
``isinstance``, such as :class:`EstimatesSearch`.
"""

from __future__ import annotations

from nasbench_ecg.contracts.datasets import (
    Dataset,
    DataSource,
    FitsOnTraining,
    NamesPersons,
    Requirement,
)
from nasbench_ecg.contracts.search import (
    Budget,
    Checkpoint,
    EstimatesEvaluation,
    EstimatesSearch,
    Evaluation,
    EvaluationContext,
    Evaluator,
    Fidelity,
    NamesArchitecture,
    SearchContext,
    SearchResult,
    Strategy,
    Task,
)
from nasbench_ecg.contracts.spaces import (
    Builder,
    Canonicalizes,
    DrawsSvg,
    DrawsText,
    Encodes,
    ListsMembers,
    MutatesByKind,
    SearchSpace,
    StacksNetworks,
)

__all__ = [
    "Budget",
    "Builder",
    "Canonicalizes",
    "Checkpoint",
    "DataSource",
    "Dataset",
    "DrawsSvg",
    "DrawsText",
    "Encodes",
    "EstimatesEvaluation",
    "EstimatesSearch",
    "Evaluation",
    "EvaluationContext",
    "Evaluator",
    "Fidelity",
    "FitsOnTraining",
    "ListsMembers",
    "MutatesByKind",
    "NamesArchitecture",
    "NamesPersons",
    "Requirement",
    "SearchContext",
    "SearchResult",
    "SearchSpace",
    "StacksNetworks",
    "Strategy",
    "Task",
]
