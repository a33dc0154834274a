"""An architecture is data: one text, one hash, and nothing that is executed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasbench_ecg.architecture import Architecture, canonical_json, digest
from nasbench_ecg.errors import OptionError

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def test_canonical_json_has_sorted_keys_no_spaces_and_only_ascii() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "µ"}) == '{"a":"\\u00b5","b":[1,2.5,null]}'


def test_the_digest_is_the_sha_256_of_that_text() -> None:
    assert digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_does_not_have_are_refused(number: float) -> None:
    with pytest.raises(ValueError):
        canonical_json({"a": number})


@pytest.mark.slow
@given(json_data, st.text(min_size=1))
def test_an_architecture_survives_a_round_trip_through_json(genotype: Any, space: str) -> None:
    arch = Architecture(space, genotype)
    again = Architecture.from_json(arch.to_json())
    assert (again, again.hash, again.to_json()) == (arch, arch.hash, arch.to_json())


def test_the_hash_does_not_depend_on_the_order_of_keys_but_on_everything_else() -> None:
    a = Architecture("s", {"x": 1, "y": [1, 2]})
    assert a.hash == Architecture("s", {"y": [1, 2], "x": 1}).hash
    others = [("t", {"x": 1, "y": [1, 2]}), ("s", {"x": 1, "y": [2, 1]}), ("s", {"x": 1})]
    assert len({a.hash, *(Architecture(*other).hash for other in others)}) == 4


@given(json_data, json_data)
def test_equal_means_equal_text_and_equal_hash(a: Any, b: Any) -> None:
    left, right = Architecture("s", a), Architecture("s", b)
    assert (left == right) == (left.to_json() == right.to_json())
    if left == right:
        assert hash(left) == hash(right)


def test_numbers_and_sequences_are_compared_as_json_writes_them() -> None:
    assert Architecture("s", [1]) != Architecture("s", [1.0])
    assert Architecture("s", [1]) != Architecture("s", [True])
    assert Architecture("s", ("a", "b")) == Architecture("s", ["a", "b"])


def test_the_hash_is_the_same_in_another_process() -> None:
    code = (
        "from nasbench_ecg.architecture import Architecture as A;"
        "print(A('s', {'b': 1, 'a': [2.5, 'x']}).hash)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == Architecture("s", {"a": [2.5, "x"], "b": 1}).hash


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Genotype(normal=[])",
        "__import__('os').getcwd()",
        "[]",
        "null",
        '{"space": "s", "genotype": 1}',
        '{"format": 1, "space": "s"}',
        '{"format": 2, "space": "s", "genotype": 1}',
        '{"format": 1, "space": "s", "genotype": NaN}',
        "[" * 100_000,
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        Architecture.from_json(text)


def test_a_set_of_architectures_has_one_order_in_all_processes() -> None:
    """A text has another hash in each process, so a resumed search would take another order."""
    code = (
        "from nasbench_ecg.architecture import Architecture as A;"
        "print([a.genotype for a in {A('s', {'n': i}) for i in range(20)}])"
    )
    orders = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(orders) == 1
