"""Contract tests that plugin authors subclass in their own test suites.

A subclass names the component, and every check of the contract becomes one of its tests. Hypothesis
chooses the seeds of the checks that must pass for any seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_ecg.errors import OptionError, nearest
from nasbench_ecg.plugin.registry import Registry, load_registry
from nasbench_ecg.plugin.specs import Kind
from nasbench_ecg.testing.check import Check, NotApplicable
from nasbench_ecg.testing.checks import checks_of
from nasbench_ecg.testing.fixtures import ComponentUnderTest, component_under_test

_SEEDS = st.integers(0, 2**32 - 1)


class Contract:
    """Base of the contract tests of all kinds.

    Attributes:
        name: Name of the component.
        options: Options by role, as ``--set`` takes them, where the profile ``smoke`` is not small
            enough; for example ``{"space": {"nodes": 2}}``.
        exempt: Checks that the component need not pass, by name, each with the reason.

    Raises:
        OptionError: ``exempt`` of a subclass names a check that the contract does not have.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    exempt: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.exempt:
            known = [check.name for check in checks_of(cls.kind)]
            if name not in known:
                raise OptionError(
                    f"exempt names {name!r}, which is no check of a component of kind "
                    f"{cls.kind!r}.",
                    where=cls.__qualname__,
                    fix=nearest(name, known),
                )

    def registry(self) -> Registry:
        """Return the registry; override it to add components that are not installed."""
        return load_registry()

    _component: ClassVar[ComponentUnderTest]

    @pytest.fixture
    def component(self) -> ComponentUnderTest:
        """Return the component under test, which all tests of a class share."""
        cls = type(self)
        if "_component" not in vars(cls):
            cls._component = component_under_test(
                self.registry(), self.kind, self.name, self.options
            )
        return cls._component

    def run(self, check: Check, component: ComponentUnderTest) -> None:
        """Run one check; skip it if it does not apply to the component."""
        if check.name in self.exempt:
            pytest.skip(self.exempt[check.name])
        try:
            if check.seeds == 1:
                check.run(component)
            else:
                _run_with_many_seeds(check, component)
        except NotApplicable as reason:
            pytest.skip(str(reason))


def _run_with_many_seeds(check: Check, component: ComponentUnderTest) -> None:
    @settings(
        max_examples=check.seeds,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(seed=_SEEDS)
    def run(seed: int) -> None:
        check.run(component, seed)

    run()


class StrategyContract(Contract):
    """The contract of search strategies.

    Example:
        >>> from nasbench_ecg.testing import StrategyContract
        >>> class TestMySearch(StrategyContract):
        ...     name = "my-search"
    """

    kind = "strategy"

    @pytest.mark.parametrize("check", checks_of("strategy"), ids=str)
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)


class DatasetContract(Contract):
    """The contract of datasets; skipped if their records are not on this machine.

    Example:
        >>> from nasbench_ecg.testing import DatasetContract
        >>> class TestMyHospital(DatasetContract):
        ...     name = "my-hospital"
        ...     options = {"dataset": {"records": ("a", "b", "c", "d", "e")}}
    """

    kind = "dataset"

    @pytest.mark.parametrize("check", checks_of("dataset"), ids=str)
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)


class SearchSpaceContract(Contract):
    """The contract of search spaces.

    Example:
        >>> from nasbench_ecg.testing import SearchSpaceContract
        >>> class TestMySpace(SearchSpaceContract):
        ...     name = "my-space"
    """

    kind = "search-space"

    @pytest.mark.parametrize("check", checks_of("search-space"), ids=str)
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)


class BuilderContract(Contract):
    """The contract of builders.

    Example:
        >>> from nasbench_ecg.testing import BuilderContract
        >>> class TestMyBuilder(BuilderContract):
        ...     name = "my-builder"
    """

    kind = "builder"

    @pytest.mark.parametrize("check", checks_of("builder"), ids=str)
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)


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
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)


class ExecutorContract(Contract):
    """The contract of executors; its jobs are short Python programs.

    Example:
        >>> from nasbench_ecg.testing import ExecutorContract
        >>> class TestMyQueue(ExecutorContract):
        ...     name = "my-queue"
        ...     options = {"executor": {"partition": "debug"}}
    """

    kind = "executor"

    @pytest.mark.parametrize("check", checks_of("executor"), ids=str)
    def test_contract(self, check: Check, component: ComponentUnderTest) -> None:
        """The component passes every check of the contract."""
        self.run(check, component)
