"""All that a plugin author imports. Nothing else of ``nasbench_ecg`` is public.

Names are loaded when first used, so a plugin whose ``__init__`` only yields specs costs nothing.

>>> from nasbench_ecg.api import StrategySpec, hookimpl
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nasbench_ecg.plugin.specs import (
    API_VERSION,
    BuilderSpec,
    ComponentSpec,
    DatasetSpec,
    EvaluatorSpec,
    SearchSpaceSpec,
    StrategySpec,
    hookimpl,
)

if TYPE_CHECKING:
    from nasbench_ecg.architecture import Architecture, canonical_json
    from nasbench_ecg.contracts import (
        Budget,
        Builder,
        Checkpoint,
        Dataset,
        DataSource,
        Evaluation,
        EvaluationContext,
        Evaluator,
        Fidelity,
        Requirement,
        SearchContext,
        SearchResult,
        SearchSpace,
        Strategy,
        Task,
    )
    from nasbench_ecg.data.beats import Beats, join
    from nasbench_ecg.data.preparation import (
        Prepared,
        RecordsOptions,
        WaveformOptions,
        cut_beats,
    )
    from nasbench_ecg.errors import (
        MissingDataError,
        NasbenchError,
        OptionError,
        PluginError,
        ProtocolError,
        RecordError,
        StorageError,
    )
    from nasbench_ecg.metrics import class_table, confusion_matrix, scores
    from nasbench_ecg.options import NoOptions, Options
    from nasbench_ecg.progress import Progress, Silent
    from nasbench_ecg.signal.aami import CLASSES, SYMBOLS
    from nasbench_ecg.signal.adaptive import adaptive_filter
    from nasbench_ecg.signal.delineation import Waves, delineate, faulty
    from nasbench_ecg.signal.denoise import denoise
    from nasbench_ecg.signal.features import FEATURES, FeatureTable, beat_features, join_tables
    from nasbench_ecg.signal.qrs import detect_qrs
    from nasbench_ecg.signal.records import Record, read_record
    from nasbench_ecg.signal.windows import Windows, segment
    from nasbench_ecg.training.engine import (
        DeviceBeats,
        cosine,
        fit,
        predict,
        seconds_per_call,
        seconds_per_step,
        to_device,
        training_step,
        weight_optimizer,
    )
    from nasbench_ecg.training.graphs import GraphedStep, rate_from
    from nasbench_ecg.training.precision import arithmetic, autocast
    from nasbench_ecg.training.recipe import Precision, Recipe, RecipeOptions

_HOME = {
    "nasbench_ecg.architecture": ("Architecture", "canonical_json"),
    "nasbench_ecg.contracts": (
        "Budget", "Builder", "Checkpoint", "DataSource", "Dataset", "Evaluation",
        "EvaluationContext", "Evaluator", "Fidelity", "Requirement", "SearchContext",
        "SearchResult", "SearchSpace", "Strategy", "Task",
    ),
    "nasbench_ecg.signal.aami": ("CLASSES", "SYMBOLS"),
    "nasbench_ecg.signal.adaptive": ("adaptive_filter",),
    "nasbench_ecg.data.beats": ("Beats", "join"),
    "nasbench_ecg.signal.denoise": ("denoise",),
    "nasbench_ecg.signal.features": (
        "FEATURES", "FeatureTable", "beat_features", "join_tables",
    ),
    "nasbench_ecg.data.preparation": ("Prepared", "RecordsOptions", "WaveformOptions", "cut_beats"),
    "nasbench_ecg.signal.qrs": ("detect_qrs",),
    "nasbench_ecg.signal.records": ("Record", "read_record"),
    "nasbench_ecg.signal.windows": ("Windows", "segment"),
    "nasbench_ecg.signal.delineation": ("Waves", "delineate", "faulty"),
    "nasbench_ecg.errors": (
        "MissingDataError", "NasbenchError", "OptionError", "PluginError", "ProtocolError",
        "RecordError", "StorageError",
    ),
    "nasbench_ecg.metrics": ("class_table", "confusion_matrix", "scores"),
    "nasbench_ecg.options": ("NoOptions", "Options"),
    "nasbench_ecg.progress": ("Progress", "Silent"),
    "nasbench_ecg.training.engine": (
        "DeviceBeats", "cosine", "fit", "predict",
        "seconds_per_call", "seconds_per_step", "to_device", "training_step", "weight_optimizer",
    ),
    "nasbench_ecg.training.graphs": ("GraphedStep", "rate_from"),
    "nasbench_ecg.training.precision": ("arithmetic", "autocast"),
    "nasbench_ecg.training.recipe": ("Precision", "Recipe", "RecipeOptions"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [  # noqa: RUF022 - by role
    "API_VERSION", "hookimpl",
    "ComponentSpec", "SearchSpaceSpec", "BuilderSpec", "StrategySpec", "DatasetSpec",
    "EvaluatorSpec", "Options", "NoOptions",
    "Dataset", "DataSource", "Requirement", "Beats", "join", "Task",
    "CLASSES", "SYMBOLS", "Record", "read_record", "denoise", "Windows", "segment",
    "RecordsOptions", "WaveformOptions", "Prepared", "cut_beats",
    "adaptive_filter", "detect_qrs", "Waves", "delineate", "faulty",
    "FEATURES", "FeatureTable", "beat_features", "join_tables",
    "SearchSpace", "Architecture", "canonical_json", "Builder",
    "Strategy", "SearchContext", "SearchResult", "Budget", "Fidelity", "Checkpoint",
    "Evaluator", "EvaluationContext", "Evaluation",
    "Progress", "Silent",
    "Recipe", "RecipeOptions", "Precision", "DeviceBeats", "fit", "predict", "training_step",
    "weight_optimizer", "cosine", "autocast", "arithmetic", "GraphedStep", "rate_from", "to_device",
    "seconds_per_call", "seconds_per_step", "confusion_matrix",
    "scores", "class_table",
    "NasbenchError", "RecordError", "MissingDataError", "PluginError", "OptionError",
    "ProtocolError", "StorageError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
