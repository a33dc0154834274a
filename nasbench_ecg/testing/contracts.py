"""Contract tests that authors of plugins subclass in their own tests.

A subclass names the component; every claim of the contract becomes a test of it. Claims that hold
for any seed are tried by hypothesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.testing.fixtures import Subject, subject_of
from nasbench_ecg.testing.harness import Check, NotApplicable, checks_of

_SEEDS = st.integers(0, 2**32 - 1)


class Contract:
    """What the contracts of all kinds have in common.

    Attributes:
        name: Name of the component.
        options: Options by role, as ``--set`` takes them, where the profile ``smoke`` is not small
            enough; for example ``{"space": {"nodes": 2}}``.
        exempt: Claims that the component does not make, by the check's name, each with the reason.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    exempt: ClassVar[Mapping[str, str]] = {}

    def registry(self) -> Registry:
        """Return the components that there are; override it to add some that are not installed."""
        return load_registry()

    def make(self) -> Subject:
        """Return the component under test."""
        return subject_of(self.registry(), self.kind, self.name, self.options)

    _made: ClassVar[Subject]

    @pytest.fixture
    def subject(self) -> Subject:
        """Return the component under test, made once for all tests of a class."""
        cls = type(self)
        if "_made" not in vars(cls):
            cls._made = self.make()
        return cls._made

    def hold(self, check: Check, subject: Subject) -> None:
        """Put one claim to the test; skip it where it does not concern the component."""
        if check.name in self.exempt:
            pytest.skip(self.exempt[check.name])
        try:
            if check.seeds == 1:
                check.hold(subject)
            else:
                _for_many_seeds(check, subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))


def _for_many_seeds(check: Check, subject: Subject) -> None:
    @settings(
        max_examples=check.seeds,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=_SEEDS)
    def holds(seed: int) -> None:
        check.hold(subject, seed)

    holds()


class StrategyContract(Contract):
    """The contract of search strategies.

    Example:
        >>> from nasbench_ecg.testing import StrategyContract
        >>> class TestMySearch(StrategyContract):
        ...     name = "my-search"
    """

    kind = "strategy"

    @pytest.mark.parametrize("check", checks_of("strategy"), ids=str)
    def test_contract(self, check: Check, subject: Subject) -> None:
        """Every claim of the contract holds."""
        self.hold(check, subject)


class DatasetContract(Contract):
    """The contract of datasets; skipped where their records are not here.

    Example:
        >>> from nasbench_ecg.testing import DatasetContract
        >>> class TestMyHospital(DatasetContract):
        ...     name = "my-hospital"
        ...     options = {"dataset": {"records": ("a", "b", "c", "d", "e")}}
    """

    kind = "dataset"

    @pytest.mark.parametrize("check", checks_of("dataset"), ids=str)
    def test_contract(self, check: Check, subject: Subject) -> None:
        """Every claim of the contract holds."""
        self.hold(check, subject)


class SearchSpaceContract(Contract):
    """The contract of search spaces.

    Example:
        >>> from nasbench_ecg.testing import SearchSpaceContract
        >>> class TestMySpace(SearchSpaceContract):
        ...     name = "my-space"
    """

    kind = "search-space"

    @pytest.mark.parametrize("check", checks_of("search-space"), ids=str)
    def test_contract(self, check: Check, subject: Subject) -> None:
        """Every claim of the contract holds."""
        self.hold(check, subject)


class BuilderContract(Contract):
    """The contract of builders.

    Example:
        >>> from nasbench_ecg.testing import BuilderContract
        >>> class TestMyBuilder(BuilderContract):
        ...     name = "my-builder"
    """

    kind = "builder"

    @pytest.mark.parametrize("check", checks_of("builder"), ids=str)
    def test_contract(self, check: Check, subject: Subject) -> None:
        """Every claim of the contract holds."""
        self.hold(check, subject)


class EvaluatorContract(Contract):
    """The contract of evaluators.

    Example:
        >>> from nasbench_ecg.testing import EvaluatorContract
        >>> class TestMyScore(EvaluatorContract):
        ...     name = "my-score"
        ...     exempt = {"equal-seeds-give-equal-evaluations": "it measures time"}
    """

    kind = "evaluator"

    @pytest.mark.parametrize("check", checks_of("evaluator"), ids=str)
    def test_contract(self, check: Check, subject: Subject) -> None:
        """Every claim of the contract holds."""
        self.hold(check, subject)
