"""The executor that ``--executor NAME --set executor.OPTION=VALUE`` choose."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nasbench_ecg.suite.runner import Engine
    from nasbench_ecg.suite.submitted import SubmittedJob

LOCAL = "local"
"""The executor that runs jobs as processes of this machine."""


def engine_of(
    name: str, assignments: list[str] | None, given: Mapping[str, object] | None = None
) -> Engine:
    """Return the executor of a name with its options.

    Args:
        name: Name of the executor.
        assignments: Texts ``executor.OPTION=VALUE``.
        given: Options that other options of the command set.

    Raises:
        NasbenchError: It is unknown or not installed, or an option is not allowed.
    """
    from nasbench_ecg.errors import OptionError
    from nasbench_ecg.options import parse_assignments

    overrides = parse_assignments(assignments or [])
    if others := set(overrides) - {"executor"}:
        raise OptionError(
            f"--set {min(others)}.…: here, --set sets options of the executor only.",
            fix="The suite file has the options of the runs.",
        )
    chosen = {**(given or {}), **overrides.get("executor", {})}
    if given and name != LOCAL:
        raise OptionError(
            f"--{min(given)} is an option of the executor {LOCAL!r}.",
            fix=f"'nasbench-ecg info {name}' lists the options of {name!r}.",
        )
    return executor_of(name, chosen)


class EnginesOfJobs:
    """The executors of submitted jobs: one for all jobs that were submitted with equal options."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {}

    def of(self, job: SubmittedJob) -> Engine:
        """Return the executor that has a job, as it was when the job was submitted."""
        key = json.dumps([job.executor, job.options], sort_keys=True)
        if key not in self._engines:
            self._engines[key] = executor_of(job.executor, job.options)
        return self._engines[key]


def executor_of(name: str, overrides: Mapping[str, object]) -> Engine:
    """Return the executor of a name with options by name; errors as :func:`engine_of`."""
    from nasbench_ecg.errors import ExecutorError
    from nasbench_ecg.options import resolve
    from nasbench_ecg.plugin.registry import load_registry
    from nasbench_ecg.plugin.specs import ExecutorSpec
    from nasbench_ecg.suite.processes import LocalExecutor, LocalOptions
    from nasbench_ecg.suite.runner import Engine

    if name == LOCAL:
        options = resolve(LocalOptions, component="executor local", overrides=overrides)
        return Engine(LocalExecutor(options))
    component = load_registry().get("executor", name)
    spec = component.spec
    assert isinstance(spec, ExecutorSpec)
    if spec.requires and find_spec(spec.requires) is None:
        raise ExecutorError(
            f"The executor {name!r} needs {spec.requires}, which is not installed.",
            where=component.source,
            fix=f"pip install '{component.distribution}[{spec.extra}]'",
        )
    chosen = resolve(component.options_model(), component=f"executor {name}", overrides=overrides)
    dumped = chosen.model_dump(mode="json")
    return Engine(component.create(chosen), name, dumped)
