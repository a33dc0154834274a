"""The claims of the IEMMC paper within single records, and settings chosen without labels."""

from __future__ import annotations

from itertools import product
from statistics import fmean

import numpy as np
import pytest
from run_records import run_record
from test_claims import CANDIDATES, CLAIMS, SE

from nasbench_ecg.run.store import RecordStore
from nasbench_ecg_immune.space import to_architecture

pytestmark = pytest.mark.usefixtures("made_up_records")

NAMES = ("r1", "r2")
HALVES = [0, 1, 0, 1]


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(CLAIMS))


def record(
    strategy, seed, accuracy, *, C=None, start=None, balance=None, curve=(0.4, 0.3, 0.2), rounds=10,
    codes=(*HALVES, *HALVES), smaller=2,
):  # fmt: skip
    options = {"C": C, "start": start, "balance": balance}
    options["newcomers"] = "functions" if strategy == "iemmc" else None
    metrics = {"clustered_accuracy": accuracy, "accuracy": accuracy, "clustered_f1_of_macro": 0.5}
    metrics |= {f"clustered_accuracy_{name}": accuracy for name in NAMES}
    metrics |= {f"clustered_se_{name}": se for name, se in SE.items()}
    split = {"objective": curve[-1], "beats": 4, "smaller_side": smaller}
    own = {"splits": [split], "curves": [list(curve)], "rounds": [rounds]}
    return run_record(
        strategy, seed, dataset="iemmc-records", metrics=metrics,
        changed={"strategy": {key: v for key, v in options.items() if v is not None}},
        architecture=to_architecture(np.array(codes), 2, "record").to_dict(),
        search_details={"records": dict.fromkeys(NAMES, own)}, suite="iemmc-records",
    )  # fmt: skip


def runs(**of_iemmc):
    found = []
    for seed in range(3):
        found += [record("k-means", seed, 0.7), record("random", seed, 0.5)]
        for C in CANDIDATES:
            found.append(record("svm-rbf", seed, 0.96, C=C))
            for balance, accuracy in ((0.3, 0.95), (0.7, 0.6)):
                for start in ("random", "k-means"):
                    given = {"C": C, "balance": balance, "start": start}
                    found.append(record("iemmc", seed, accuracy, **given, **of_iemmc))
                    theirs = 0.65 if start == "random" else 0.8
                    found.append(record("itersvr", seed, theirs, **given, curve=(0.5, 0.4)))
    return found


def read(records, folder):
    from within import read_within

    store = RecordStore(folder, "iemmc-records")
    for one in records:
        store.write(one)
    return read_within(folder)


def test_a_claim_holds_at_one_bound_and_not_at_another(tmp_path):
    from within import check_within
    from within_report import both_readings

    within = read(runs(), tmp_path)
    assert within.bounds == (0.3, 0.7)
    claims = dict(zip(within.bounds, check_within(within.experiments), strict=True))
    outcomes = {b: {c.words: c.outcome for c in own} for b, own in claims.items()}
    (near,) = [words for words in outcomes[0.3] if "similar as that of the SVM" in words]
    near_by_bound = outcomes[0.3][near], outcomes[0.7][near]
    assert near_by_bound == ("held in the mean", "did not hold in the mean")
    (fusion,) = [words for words in outcomes[0.3] if "type F" in words]
    assert outcomes[0.3][fusion] == "not testable"
    table = both_readings(claims[0.3], within)
    assert "held in the mean at l = 0.3; did not hold in the mean at l = 0.7" in table
    assert "2 records cannot show it" in table
    assert '"The performance of type F is lower" | not testable | not testable |' in table


def test_claims_are_tested_only_at_bounds_of_all_methods(tmp_path):
    from within_report import _accuracies, both_readings

    outer = [
        record("iemmc", seed, 0.55, C=C, balance=0.9, start="random")
        for seed in range(3)
        for C in CANDIDATES
    ]
    within = read([*runs(), *outer], tmp_path)
    assert (within.bounds, within.claimed) == ((0.3, 0.7, 0.9), (0.3, 0.7))
    assert "| IEMMC, random start | 0.9 | 55.0 ± 0.0" in _accuracies(within)
    assert "IEMMC, k-means start | 0.9" not in _accuracies(within)
    assert "0.9" not in both_readings([], within)


def test_the_effect_of_features_is_stated_for_each_reading():
    from features_report import text

    made = []
    for i, (normalize, features) in enumerate([(None, None), ("record", None), ("record", "nine")]):
        for seed in range(2):
            one = record("k-means", seed, 0.5 + 0.1 * i)
            options = {"normalize": normalize, "features": features}
            one.components["dataset"].options = options
            made.append(one)
    found = text(made, "iemmc-records")
    assert "of the beat before (default) | – | 50.0 ± 0.0 |" in found
    assert "| 9, divided likewise | – | 70.0 ± 0.0 |" in found
    assert "has no effect" in found and "has no effect" not in text(made, "iemmc-beats")


def test_the_search_within_records_is_tested_record_by_record(tmp_path):
    from within import check_within

    within = read(runs(curve=(0.5, 0.4, 0.35, 0.3, 0.2)), tmp_path)
    found = {claim.words: claim for claim in check_within([within.at(0.3)])[0]}
    (four,) = [claim for words, claim in found.items() if "four generations" in words]
    assert four.outcome == "did not hold" and "median 5" in four.figures
    (same,) = [claim for words, claim in found.items() if "same optimal" in words]
    assert same.outcome == "held" and same.figures.startswith("in 8 of 8 cases")
    (lower,) = [claim for words, claim in found.items() if "global search" in words]
    # 4 values of C, 6 runs against 6, 2 records.
    assert lower.outcome == "held" and lower.figures == "288 of 288 pairs"


def test_settings_are_chosen_without_labels():
    from within import chosen

    index = {"r1": np.arange(4), "r2": np.arange(4, 8)}
    unequal = [[*HALVES, *HALVES], [0, 0, 1, 1, 0, 0, 1, 1]]
    # Its J is the smallest, and so is the share that it leaves, but its labelings differ.
    low = [record("iemmc", i, 0.5, curve=(0.1,), codes=c) for i, c in enumerate(unequal)]
    stable = [record("iemmc", seed, 0.9, curve=(0.2,)) for seed in range(2)]
    cells = [low, stable]
    rules = ("of all", "of each", "objective", "unexplained", "stability")
    assert [chosen(cells, rule, index) for rule in rules] == pytest.approx(
        [0.9, 0.9, 0.5, 0.5, 0.9]
    )
    # A small J of an unequal split leaves a larger share: .19 of 4 · ¼ · ¾ is more than .2 of 1.
    lopsided = [record("iemmc", seed, 0.6, curve=(0.19,), smaller=1) for seed in range(2)]
    assert chosen([lopsided, stable], "objective", index) == pytest.approx(0.6)
    assert chosen([lopsided, stable], "unexplained", index) == pytest.approx(0.9)


def test_renumbered_clusters_agree():
    from within import agreement

    codes = ([0, 1, 0, 1], [0, 1, 0, 1]), ([0, 1, 0, 1], [1, 0, 1, 0])
    pair = [record("iemmc", i, 0.5, codes=[*a, *b]) for i, (a, b) in enumerate(codes)]
    assert agreement(pair, [np.arange(4), np.arange(4, 8)]) == [1, 1]
    assert agreement(pair[:1], [np.arange(4)]) == [1]


def test_what_two_methods_differ_by_is_tested_over_records():
    from evidence import Claim as Tested
    from evidence import above, judge
    from experiment import IEMMC, K_MEANS, Cell

    # IEMMC is better in the mean, by one record of eight
    ours, theirs = [0.9] * 7 + [0.8], [0.91] * 7 + [0.5]
    cells = []
    for method, values in ((IEMMC, ours), (K_MEANS, theirs)):
        made = [record(method.strategy, seed, fmean(values)) for seed in range(3)]
        for one in made:
            one.metrics.update({f"clustered_accuracy_r{i}": v for i, v in enumerate(values)})
            one.search_details["records"] = {f"r{i}": {} for i in range(8)}
        cells.append(Cell(method, None, tuple(made)))
    comparison = above(*cells)
    assert (comparison.n, comparison.unit) == (8, "records")
    assert comparison.difference == pytest.approx((0.3 - 7 * 0.01) / 8)
    # the sign of the large difference decides: every choice with it is as far from zero or farther
    assert comparison.p == pytest.approx(np.mean([
        abs(sum(s * d for s, d in zip(signs, [-1] * 7 + [30], strict=True))) >= 23
        for signs in product((1, -1), repeat=8)
    ]))  # fmt: skip
    (((claim,),)) = (judge([[Tested("w", "t", "f", comparisons=(comparison,))]]))[0:1]
    assert claim.verdict == "held in the mean (p = 1.000)"


def test_p_values_between_methods_are_corrected_and_never_zero(tmp_path):
    from within_report import _paired

    within = read(runs(), tmp_path)
    table = _paired(within)
    assert "| p | p (Holm) |" in table and "Wilcoxon" not in table
    # two records with equal differences: 2 of 4 choices of signs
    assert "| 0.3 | k-means | +25.0 | 2 | 0 | 0.500 | 1.000 |" in table
