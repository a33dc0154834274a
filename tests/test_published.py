"""Published scores (golden: Lv et al. 2021, Tables VI and VII)."""

from __future__ import annotations

import pytest
from run_records import run_record

from nasbench_ecg.report.leaderboard.published import counterpart, counterpart_of, published_scores


@pytest.mark.parametrize(
    "dataset, label, expected",
    [
        ("mitbih-1lead", "CNN-9", (98.89, 92.11, 95.92, 93.98)),
        ("mitbih-1lead", "Heart-Darts", (99.29, 94.87, 95.76, 95.31)),
        ("mitbih-2lead", "ResNet-31", (99.23, 94.31, 96.51, 95.40)),
        ("mitbih-2lead", "Heart-Darts + shortcut", (99.43, 95.84, 96.47, 96.16)),
        ("qt-1lead", "CNN-11", (99.36, 88.10, 97.05, 92.36)),
        ("incart-2lead", "Heart-Darts", (99.81, 90.05, 89.49, 89.77)),
    ],
)
def test_published_scores_are_those_of_the_paper(
    dataset: str, label: str, expected: tuple[float, ...]
) -> None:
    (published,) = [f for f in published_scores(dataset, "intra-patient") if f.label == label]
    names = ("accuracy", "macro_se", "macro_pp", "f1_of_macro")
    assert [100 * published.scores[name] for name in names] == pytest.approx(expected)


@pytest.mark.parametrize("dataset", ["mitbih-1lead", "mitbih-2lead", "qt-1lead", "incart-2lead"])
def test_every_published_f1_is_the_harmonic_mean_of_the_macros(dataset: str) -> None:
    assert published_scores(dataset, "intra-patient")
    for figure in published_scores(dataset, "intra-patient"):
        se, pp = figure.scores["macro_se"], figure.scores["macro_pp"]
        assert figure.scores["f1_of_macro"] == pytest.approx(2 * se * pp / (se + pp), abs=1e-4)


@pytest.mark.parametrize("dataset", ["mitbih-1lead", "mitbih-2lead", "mitbih-2lead-context"])
def test_all_datasets_of_mitbih_share_the_inter_patient_scores(dataset: str) -> None:
    found = {figure.label: figure.scores for figure in published_scores(dataset, "inter-patient")}
    assert set(found) == {"Ye 2012", "Zhang 2014", "Mousavi 2019", "Mondéjar 2019"}
    assert found["Zhang 2014"]["ec57_s_pp"] == pytest.approx(0.36)
    assert set(found["Mondéjar 2019"]) == {"accuracy", "macro_se"}


def test_nothing_is_published_for_other_protocols_and_synthetic_records() -> None:
    assert published_scores("mitbih-2lead", "inter-patient-strict") == []
    assert published_scores("mitbih-2lead", "patient-kfold") == []
    assert published_scores("synthetic-2lead", "intra-patient") == []


@pytest.mark.parametrize("dataset", ["mitbih-1lead", "qt-1lead", "incart-2lead"])
def test_cells_of_heart_darts_were_searched_on_two_leads_of_mitbih_alone(dataset: str) -> None:
    """Section IV of Lv et al. 2021: "we work only with the MIT-BIH arrhythmia 2-lead dataset"."""
    own = {"strategy": "darts", "builder": "stacked-cells-shortcut"}
    assert counterpart_of(dataset, "intra-patient", **own) is None
    assert counterpart_of(dataset, "intra-patient", **own, searched_on=dataset) is None
    found = counterpart_of(dataset, "intra-patient", **own, searched_on="mitbih-2lead")
    assert found is not None and found.label.startswith("Heart-Darts")
    assert counterpart_of("mitbih-2lead", "intra-patient", **own) is not None
    assert counterpart_of("mitbih-2lead", "intra-patient", **own, searched_on=dataset) is None


@pytest.mark.parametrize(
    "strategy, builder, label",
    [
        ("darts", "stacked-cells-shortcut", "Heart-Darts + shortcut"),
        ("darts", "stacked-cells", "Heart-Darts"),
        ("cnn-9", "anything", "CNN-9"),
        ("random", "stacked-cells", None),
    ],
)
def test_strategy_and_builder_identify_the_published_method(
    strategy: str, builder: str, label: str | None
) -> None:
    figure = counterpart(run_record(strategy, builder=builder))
    assert (figure.label if figure else None) == label
