"""The measures of run records: their names in tables, and how their values are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasbench_ecg.text import amount, duration, percent

RANKED_BY = "f1_of_macro"
"""The usual score to rank by: the harmonic mean of macro Se and macro +P."""

OWN_SCORE = "evaluation_score"
"""The score to rank by where the evaluator ranks by another one; see ``RunRecord.score``."""


@dataclass(frozen=True)
class Measure:
    """A score, a cost or a duration of run records.

    Attributes:
        name: Its name in run records.
        heading: Its name in a narrow column.
        label: Its name in words.
        meaning: What it is.
        show: Returns a value as text.
    """

    name: str
    heading: str
    label: str
    meaning: str
    show: Callable[[float], str]


def _milliseconds(value: float) -> str:
    return duration(value / 1e3, exact=True)


def _by_name(*measures: Measure) -> dict[str, Measure]:
    return {measure.name: measure for measure in measures}


_MACRO_SE = "mean sensitivity of the classes, in percent"
_MACRO_PP = "mean positive predictivity of the classes, in percent"
_GROSS = {
    "se": "gross sensitivity of {} beats (EC57), in percent",
    "pp": "gross positive predictivity of {} beats (EC57), in percent",
}

SCORES = _by_name(
    Measure("accuracy", "Acc", "accuracy", "accuracy, in percent", percent),
    Measure("macro_se", "Se", "macro Se", _MACRO_SE, percent),
    Measure("macro_pp", "+P", "macro +P", _MACRO_PP, percent),
    Measure(
        RANKED_BY,
        "F1",
        "F1 of macros",
        "harmonic mean of macro Se and macro +P, in percent",
        percent,
    ),
    Measure("macro_f1", "macro F1", "macro F1", "mean F1 of the classes, in percent", percent),
)
GROSS_SCORES = _by_name(
    Measure("ec57_s_se", "S Se", "S Se", _GROSS["se"].format("supraventricular"), percent),
    Measure("ec57_s_pp", "S +P", "S +P", _GROSS["pp"].format("supraventricular"), percent),
    Measure("ec57_v_se", "V Se", "V Se", _GROSS["se"].format("ventricular"), percent),
    Measure("ec57_v_pp", "V +P", "V +P", _GROSS["pp"].format("ventricular"), percent),
)
COSTS = _by_name(
    Measure("parameters", "params", "trainable parameters", "trainable parameters", amount),
    Measure("macs", "MACs", "MACs per beat", "multiply-accumulates to classify one beat", amount),
    Measure(
        "flash_bytes",
        "flash",
        "flash in int8",
        "bytes of weights and scales in int8",
        lambda size: f"{size:,.0f} B",
    ),
    Measure(
        "ram_bytes",
        "RAM",
        "RAM in int8",
        "most bytes of activations alive at once in int8, for one beat",
        lambda size: f"{size:,.0f} B",
    ),
    Measure(
        "latency_1_ms",
        "latency",
        "latency, 1 beat",
        "median time to classify one beat",
        _milliseconds,
    ),
    Measure(
        "latency_256_ms",
        "latency 256",
        "latency, 256 beats",
        "median time to classify 256 beats",
        _milliseconds,
    ),
    Measure(
        "peak_memory_mb",
        "memory",
        "peak memory",
        "peak memory of the process, in which earlier runs of one command count too",
        lambda megabytes: f"{megabytes:,.0f} MB",
    ),
)
SECONDS = _by_name(
    Measure("load", "load", "loading", "duration of loading the beats", duration),
    Measure("search", "search", "search", "duration of the search", duration),
    Measure("evaluation", "train", "training", "duration of the final training and test", duration),
)
