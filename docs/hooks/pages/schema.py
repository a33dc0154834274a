"""The run record, from its model."""

from __future__ import annotations

import json

import griffe

from nasbench_ecg.run import record
from roles import to_markdown

MEANINGS = {
    "RunRecord": {
        "schema_version": "Version of this schema.",
        "run_key": "SHA-256 of what should determine the result, its first 16 digits.",
        "suite": "The suite, and folder, that it belongs to.",
        "status": "`ok`, `failed`, `timeout`, `oom` (out of memory) or `interrupted`.",
        "command": "The command that makes this run again.",
        "profile": "Name of the profile.",
        "protocol": "Name of the protocol.",
        "protocol_options": "All options of the protocol.",
        "search_seed": "Seed of the search.",
        "evaluation_seed": "Seed of the final training.",
        "device": "`cpu` or `cuda`.",
        "dataset": "The beats; absent where the run ended before they were loaded.",
        "split": "How the beats were split.",
        "architecture": "The architecture found: format, space and genotype.",
        "architecture_hash": "Its hash.",
        "search_details": "What else the strategy returned, for example the final α.",
        "classes": "Names of the classes, in the order of the confusion matrix.",
        "macro_classes": "The classes that macro scores average over.",
        "metrics": "Scores on the test part by name, as fractions.",
        "per_class": "Scores by class.",
        "provenance": "Version, git commit, Python, torch, processor, threads, start time.",
    },
    "ComponentRecord": {
        "name": "Name of the component.",
        "plugin": "The plugin that provides it.",
        "distribution": "The installed distribution that holds the plugin.",
        "version": "Version of the distribution.",
        "revision": "Revision of the component: raised when equal options give other results.",
        "options": "All options.",
    },
    "DatasetRecord": {
        "records": "Names of the records.",
        "leads": "Names of the leads.",
        "fs": "Samples a second.",
        "n_samples": "Samples in a window.",
        "notes": "What the loader said, for example of counts that differ from published ones.",
    },
    "SplitRecord": {
        "fingerprint": "SHA-256 over record, sample and part of every beat.",
        "notes": "What a reader of the scores should know of this split.",
    },
}
"""What the fields mean whose model does not say so."""


def page() -> str:
    """Return the fields of a record and of its parts."""
    module = griffe.load("nasbench_ecg.run.record", docstring_parser="google")
    return "\n\n".join(_model(module[name]) for name in MEANINGS)


def json_schema() -> str:
    """Return the JSON schema of a run record."""
    return json.dumps(record.RunRecord.model_json_schema(), indent=2, sort_keys=True) + "\n"


def _model(model: griffe.Object | griffe.Alias) -> str:
    about = to_markdown(model.docstring.value) if model.docstring else ""
    lines = ["| field | meaning |", "| --- | --- |"]
    for name in getattr(record, model.name).model_fields:
        own = model[name].docstring
        meaning = to_markdown(own.value) if own else MEANINGS[model.name][name]
        kind = str(model[name].annotation).replace("|", "\\|")
        meaning = " ".join(meaning.split()).replace("|", "\\|")
        lines.append(f"| `{name}`<br><small>{kind}</small> | {meaning} |")
    return f"## {model.name}\n\n{about}\n\n" + "\n".join(lines)
