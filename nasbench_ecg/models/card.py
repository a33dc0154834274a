"""The model card of an exported network: data, scores, limits and how to repeat the run.

References:
    Mitchell et al. 2019, "Model Cards for Model Reporting", FAT*.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from nasbench_ecg.models.preparation import preparation_steps, waveform_options
from nasbench_ecg.models.quantization import Int8Scores
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.signal.aami import CLASSES
from nasbench_ecg.text import difference, percent


def card_path(model: Path) -> Path:
    """Return the path of the card that belongs to a model file: ``model.onnx.md``."""
    return model.with_name(f"{model.name}.md")


def model_card(
    record: RunRecord,
    file: str,
    *,
    licenses: Sequence[str] = (),
    int8: Int8Scores | None = None,
) -> str:
    """Return the model card as Markdown.

    Args:
        record: The run that trained the network; it has ended well.
        file: Name of the model file.
        licenses: Licenses of the records that it was trained on.
        int8: What quantization costs, for a network in 8-bit integers.
    """
    sections = (
        _model(record, file), _input(record), _data(record, licenses), _scores(record),
        _int8(int8) if int8 else (), _limits(record), _use(), _repeat(record),
    )  # fmt: skip
    return "\n".join(line for section in sections for line in section)


def _model(record: RunRecord, file: str) -> Iterator[str]:
    parts = {role: record.components[role].name for role in ("strategy", "builder", "dataset")}
    yield f"# {parts['strategy']} on {parts['dataset']}"
    yield ""
    yield (
        f"Model card of `{file}`: the network of the run `{record.run_key}`. The strategy "
        f"`{parts['strategy']}` chose its architecture, the builder `{parts['builder']}` made it."
    )
    costs = record.costs
    told = [
        f"{costs[name]:,.0f} {words}"
        for name, words in (
            ("parameters", "trainable parameters"),
            ("macs", "multiply-accumulates for a beat"),
        )
        if name in costs
    ]
    if told:
        yield f"It has {' and '.join(told)}."
    yield ""


def _input(record: RunRecord) -> Iterator[str]:
    data = record.dataset
    assert data is not None
    yield "## Input and output"
    yield ""
    yield (
        f"Input: beats, float32 [batch, {len(data.leads)}, {data.n_samples}]: leads "
        f"{', '.join(data.leads)}, {data.fs:g} samples a second. They are prepared like those of "
        f"the dataset `{record.dataset_name}`, with the options in the file's metadata."
    )
    yield ""
    try:
        options = waveform_options(record.components["dataset"].options, data.leads)
    except ValidationError:
        pass  # these beats are not cut from a signal
    else:
        yield "From a recording in millivolts:"
        yield ""
        for number, step in enumerate(preparation_steps(options, data.fs), start=1):
            yield f"{number}. {step}"
        yield ""
        yield "`nasbench-ecg annotate` detects the R peaks of a recording and does all of this."
        yield ""
    aami = " (ANSI/AAMI EC57)" if set(record.classes) <= set(CLASSES) else ""
    yield f"Output: probabilities of the classes {', '.join(record.classes)}{aami}."
    yield ""


def _data(record: RunRecord, licenses: Sequence[str]) -> Iterator[str]:
    split, data = record.split, record.dataset
    assert split is not None and data is not None
    yield "## Data"
    yield ""
    yield (
        f"Dataset `{record.dataset_name}`, protocol `{record.protocol}`"
        + (f". License of the records: {', '.join(sorted(set(licenses)))}." if licenses else ".")
    )
    yield ""
    persons = _persons(record)
    yield f"| part | records | persons | {' | '.join(record.classes)} |"
    yield f"| --- | --: | --: | {' | '.join('--:' for _ in record.classes)} |"
    for part, counts in split.counts.items():
        numbers = " | ".join(f"{counts.get(name, 0):,}" for name in record.classes)
        records = len(split.records.get(part, []))
        yield f"| {part} | {records} | {len(persons.get(part, ()))} | {numbers} |"
    shared, tested = _shared(record)
    yield ""
    yield (
        "The network was trained on the training and the validation part. Persons of the test part "
        f"with beats in them: {shared} of {tested}."
    )
    yield ""


def _persons(record: RunRecord) -> dict[str, set[str]]:
    """Return the persons of each part."""
    assert record.split is not None and record.dataset is not None
    known = record.dataset.persons
    return {
        part: {known.get(name, name) for name in names}
        for part, names in record.split.records.items()
    }


def _shared(record: RunRecord) -> tuple[int, int]:
    """Return how many persons of the test part the network has seen, and how many there are."""
    persons = _persons(record)
    seen = persons.get("train", set()) | persons.get("validation", set())
    tested = persons.get("test", set())
    return len(seen & tested), len(tested)


def _scores(record: RunRecord) -> Iterator[str]:
    yield "## Scores on the test part"
    yield ""
    names = {"accuracy": "accuracy", "f1_of_macro": "F1 of macro Se and +P", "macro_f1": "macro F1"}
    told = [
        f"{words} {percent(record.metrics[name])}"
        for name, words in names.items()
        if name in record.metrics
    ]
    if told:
        over = f" over {', '.join(record.macro_classes)}" if len(record.macro_classes) > 1 else ""
        yield f"In percent: {', '.join(told)}{over}."
        yield ""
    if record.confusion is None:
        return
    yield "| class | beats | Se | 95% interval | +P | 95% interval |"
    yield "| --- | --: | --: | :-: | --: | :-: |"
    for i, name in enumerate(record.classes):
        tp = record.confusion[i][i]
        actual, predicted = sum(record.confusion[i]), sum(row[i] for row in record.confusion)
        yield f"| {name} | {actual:,} | {_ratio(tp, actual)} | {_ratio(tp, predicted)} |"
    yield ""
    yield (
        "Wilson intervals, which take beats as independent. Beats of one person are not, so the "
        "uncertainty between persons is larger. One training; another seed gives other scores."
    )
    yield ""


def _ratio(k: int, n: int) -> str:
    """Return a proportion and its Wilson interval in percent, as two cells; empty without beats."""
    from scipy.stats import binomtest

    if not n:
        return " | "
    interval = binomtest(k, n).proportion_ci(method="wilson")
    return f"{percent(k / n)} | {percent(interval.low)}–{percent(interval.high)}"


def _int8(found: Int8Scores) -> Iterator[str]:
    yield "## 8-bit integers"
    yield ""
    yield (
        f"Weights and activations are 8-bit integers, calibrated on {found.calibration_beats:,} "
        f"training beats. Constants take {found.weight_bytes:,} bytes. On the {found.test_beats:,} "
        f"test beats its F1 is {percent(found.f1_of_macro)}, {difference(-found.loss)} points "
        f"against the float network, and {percent(found.agreement)}% of the beats get the same "
        "class."
    )
    yield ""


def _limits(record: RunRecord) -> Iterator[str]:
    yield "## Limits"
    yield ""
    shared, tested = _shared(record)
    if shared:
        share = "" if shared == tested else f"in part ({shared} of {tested}) "
        yield (
            f"- The scores are {share}those of persons that the network has seen. On other persons "
            "they are lower."
        )
    yield "- The test part is of the same dataset as the training part."
    yield "- Beats were cut at annotated R peaks. A detector adds errors of its own."
    yield "- Other databases, leads, electrodes, sampling rates or noise were not tested."
    yield ""


def _use() -> Iterator[str]:
    yield "## Intended use"
    yield ""
    yield "Research on heartbeat classification. It is not a medical device, and not for diagnosis."
    yield ""


def _repeat(record: RunRecord) -> Iterator[str]:
    made = record.provenance
    yield "## How to repeat the run"
    yield ""
    yield "```console"
    yield shlex.join(shlex.split(record.command))
    yield "```"
    yield ""
    dirty = ", with local changes" if made.get("git_dirty") else ""
    commit = f" (commit `{made['git_commit'][:12]}`{dirty})" if made.get("git_commit") else ""
    yield (
        f"nasbench-ecg {made.get('nasbench_ecg', 'of an unknown version')}{commit}, PyTorch "
        f"{made.get('torch', 'of an unknown version')}. The dataset's fingerprint begins with "
        f"`{record.dataset.fingerprint[:12] if record.dataset else ''}`."
    )
    yield ""
