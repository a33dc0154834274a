"""The page of the run record, from its model."""

from __future__ import annotations

import json

import griffe

from nasbench_ecg.run import record
from roles import to_markdown

MEANINGS = {
    "RunRecord": {
        "schema_version": "Version of this schema.",
        "run_key": "First 16 digits of a SHA-256 hash of everything that determines the result.",
        "suite": "Suite of the run, and name of the folder.",
        "status": "`ok`, `failed`, `timeout`, `oom` (out of memory) or `interrupted`.",
        "command": "Complete command that repeats this run.",
        "profile": "Name of the profile.",
        "protocol": "Name of the protocol.",
        "protocol_options": "All options of the protocol.",
        "search_seed": "Seed of the search.",
        "evaluation_seed": "Seed of the final training.",
        "device": "`cpu` or `cuda`.",
        "dataset": "The beats; absent if the run ended before they were loaded.",
        "split": "How the beats were split.",
        "architecture": "The architecture found: format, space and genotype.",
        "architecture_hash": "Hash of the architecture.",
        "search_details": "Other results of the strategy, for example the final α.",
        "classes": "Names of the classes, in the order of the confusion matrix.",
        "metrics": "Scores on the test part by name, as fractions.",
        "per_class": "Scores by class.",
        "provenance": "Versions, git commit, processor, number of threads, start time; `notes` on "
        "global settings that a component left changed, if there are any.",
    },
    "ComponentRecord": {
        "name": "Name of the component.",
        "plugin": "Plugin that provides it.",
        "distribution": "Installed distribution of the plugin.",
        "version": "Version of the distribution.",
        "revision": "Revision; increased when the same options give other results.",
        "options": "All options.",
    },
    "DatasetRecord": {
        "records": "Names of the records.",
        "leads": "Names of the leads.",
        "fs": "Sampling rate in hertz.",
        "n_samples": "Samples per beat.",
        "notes": "Messages of the loader, for example about unexpected numbers of beats.",
    },
    "SplitRecord": {
        "fingerprint": "SHA-256 of record, sample and part of every beat.",
        "notes": "Remarks that matter for the interpretation of scores.",
    },
}
"""Descriptions of the fields that have none in the model."""


def page() -> str:
    """Return Markdown of the fields of a record and of its parts."""
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
