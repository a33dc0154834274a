"""What a plugin author needs to write a component: specs, contracts, options, beats and errors.

``nasbench_ecg.signal`` has records, filters, QRS detection, delineation and features;
``nasbench_ecg.training`` has the training engine; ``nasbench_ecg.metrics`` has the scores. Names
are imported at their first use, so a plugin whose ``__init__`` only yields specs loads fast.

>>> from nasbench_ecg.api import StrategySpec, hookimpl
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasbench_ecg.lazy import lazy_names
from nasbench_ecg.plugin.specs import (
    BudgetName,
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
    hookimpl,
)

if TYPE_CHECKING:
    from nasbench_ecg.architecture import Architecture, canonical_json, distinct_architectures
    from nasbench_ecg.contracts import (
        Budget,
        Builder,
        Canonicalizes,
        Checkpoint,
        Dataset,
        DataSource,
        DrawsSvg,
        DrawsText,
        Encodes,
        EstimatesEvaluation,
        EstimatesSearch,
        Evaluation,
        EvaluationContext,
        Evaluator,
        Fidelity,
        ListsMembers,
        MutatesByKind,
        NamesPersons,
        Requirement,
        SearchContext,
        SearchResult,
        SearchSpace,
        Strategy,
        Task,
    )
    from nasbench_ecg.data.beats import Beats, join
    from nasbench_ecg.data.preparation import CutBeats, RecordsOptions, WaveformOptions, cut_beats
    from nasbench_ecg.encoding import (
        Categorical,
        Condition,
        Integer,
        Parameter,
        ParameterValue,
        check_values,
        draw_values,
    )
    from nasbench_ecg.errors import (
        DivergedError,
        MissingDataError,
        NasbenchError,
        OptionError,
        PluginError,
        ProtocolError,
        RecordError,
        StorageError,
    )
    from nasbench_ecg.io import storage_errors
    from nasbench_ecg.options import KnowsLength, NoOptions, Options
    from nasbench_ecg.progress import Progress, Silent

__getattr__ = lazy_names(
    __name__,
    {
        "nasbench_ecg.architecture": (
            "Architecture",
            "canonical_json",
            "distinct_architectures",
        ),
        "nasbench_ecg.contracts": (
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
            "ListsMembers",
            "MutatesByKind",
            "NamesPersons",
            "Requirement",
            "SearchContext",
            "SearchResult",
            "SearchSpace",
            "Strategy",
            "Task",
        ),
        "nasbench_ecg.data.beats": (
            "Beats",
            "join",
        ),
        "nasbench_ecg.data.preparation": (
            "CutBeats",
            "RecordsOptions",
            "WaveformOptions",
            "cut_beats",
        ),
        "nasbench_ecg.encoding": (
            "Categorical",
            "Condition",
            "Integer",
            "Parameter",
            "ParameterValue",
            "check_values",
            "draw_values",
        ),
        "nasbench_ecg.errors": (
            "DivergedError",
            "MissingDataError",
            "NasbenchError",
            "OptionError",
            "PluginError",
            "ProtocolError",
            "RecordError",
            "StorageError",
        ),
        "nasbench_ecg.io": ("storage_errors",),
        "nasbench_ecg.options": (
            "KnowsLength",
            "NoOptions",
            "Options",
        ),
        "nasbench_ecg.progress": (
            "Progress",
            "Silent",
        ),
    },
)

__all__ = [
    "Architecture",
    "Beats",
    "Budget",
    "BudgetName",
    "Builder",
    "BuilderSpec",
    "Canonicalizes",
    "Categorical",
    "Checkpoint",
    "ComponentSpec",
    "Condition",
    "CutBeats",
    "DataSource",
    "Dataset",
    "DatasetSpec",
    "DivergedError",
    "DrawsSvg",
    "DrawsText",
    "Encodes",
    "EstimatesEvaluation",
    "EstimatesSearch",
    "Evaluation",
    "EvaluationContext",
    "Evaluator",
    "EvaluatorSpec",
    "Fidelity",
    "Integer",
    "KnowsLength",
    "ListsMembers",
    "MissingDataError",
    "MutatesByKind",
    "NamesPersons",
    "NasbenchError",
    "NoOptions",
    "OptionError",
    "Options",
    "Parameter",
    "ParameterValue",
    "PluginError",
    "Progress",
    "ProtocolError",
    "RecordError",
    "RecordsOptions",
    "Requirement",
    "SearchContext",
    "SearchResult",
    "SearchSpace",
    "SearchSpaceSpec",
    "Silent",
    "StorageError",
    "Strategy",
    "StrategySpec",
    "Task",
    "WaveformOptions",
    "canonical_json",
    "check_values",
    "cut_beats",
    "distinct_architectures",
    "draw_values",
    "hookimpl",
    "join",
    "storage_errors",
]
