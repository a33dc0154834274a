"""A run as a user asks for it, and the command that asks for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from nasbench_ecg.contracts import Budget
from nasbench_ecg.data.protocols import protocol_names, protocol_options
from nasbench_ecg.options import changed_options
from nasbench_ecg.plugin.specs import Kind

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord

ROLES: dict[str, Kind] = {
    "strategy": "strategy",
    "space": "search-space",
    "builder": "builder",
    "dataset": "dataset",
    "evaluator": "evaluator",
}
"""The components of a run by role, as ``--set ROLE.OPTION=VALUE`` names them."""

DEFAULT_OUT = Path("results")
"""Folder of results that ``nasbench-ecg run`` writes to unless ``--out`` names another."""

DEFAULT_SUITE = "runs"
"""Suite that ``nasbench-ecg run`` writes to unless ``--suite`` names another."""


@dataclass(frozen=True)
class RunRequest:
    """A run as a user asks for it; None leaves a choice to the components.

    Attributes:
        strategy: Name of the search strategy.
        dataset: Name of the dataset.
        protocol: Name of the protocol.
        profile: Name of the profile.
        space: Name of the search space.
        builder: Name of the builder.
        evaluator: Name of the evaluator.
        overrides: Options by role, as :func:`nasbench_ecg.options.parse_assignments` returns them;
            ``protocol`` is a role too.
        search_seed: Seed of the search.
        evaluation_seed: Seed of the final training; by default that of the search.
        device: ``auto``, ``cpu`` or ``cuda``.
        budget: Limits of the search.
    """

    strategy: str
    dataset: str
    protocol: str | None = None
    profile: str = "quick"
    space: str | None = None
    builder: str | None = None
    evaluator: str | None = None
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    search_seed: int = 0
    evaluation_seed: int | None = None
    device: str = "auto"
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def from_record(cls, record: RunRecord) -> RunRequest:
        """Return the request that repeats a recorded run.

        It names every component, and sets only the options that differ from those of the record's
        profile. So ``replace(RunRequest.from_record(record), profile="paper")`` is the same run
        with the published settings, except for what the user had set.
        """
        overrides = {
            role: dict(component.changed)
            for role, component in record.components.items()
            if component.changed
        }
        if record.protocol in protocol_names():
            model = protocol_options(record.protocol)
            own = {n: v for n, v in record.protocol_options.items() if n in model.model_fields}
            if changed := changed_options(model(**own), own, profile=record.profile):
                overrides["protocol"] = changed
        names = {role: record.components[role].name for role in ROLES}
        return cls(
            **names,
            protocol=record.protocol,
            profile=record.profile,
            overrides=overrides,
            search_seed=record.search_seed,
            evaluation_seed=(
                None if record.evaluation_seed == record.search_seed else record.evaluation_seed
            ),
            device=record.device,
            budget=Budget(**record.budget),  # type: ignore[arg-type]
        )

    def command(
        self,
        *,
        seeds: Sequence[int] = (),
        out: Path | None = None,
        suite: str | None = None,
    ) -> str:
        """Return the shell command of this run: parsed again, it has the same run key.

        Args:
            seeds: Several search seeds, one run each, in place of ``search_seed``.
            out: Folder of results; None or the default one adds nothing.
            suite: Suite of the record; None or the default one adds nothing.
        """
        words = ["nasbench-ecg", "run", self.strategy, self.dataset]
        if self.protocol is not None:
            words += ["--protocol", self.protocol]
        words += ["--profile", self.profile]
        if seeds:
            words += ["--seeds", ",".join(map(str, seeds))]
        else:
            words += ["--seed", str(self.search_seed)]
        if self.evaluation_seed is not None:
            words += ["--evaluation-seed", str(self.evaluation_seed)]
        for role in ("space", "builder", "evaluator"):
            if (name := getattr(self, role)) is not None:
                words += [f"--{role}", name]
        for name, limit in self.budget.limits().items():
            words += [f"--budget-{name}", str(limit)]
        for role, options in self.overrides.items():
            for name, value in options.items():
                words += ["--set", f"{role}.{name}={assigned(value)}"]
        if self.device != "auto":
            words += ["--device", self.device]
        if suite not in (None, DEFAULT_SUITE):
            words += ["--suite", str(suite)]
        if out not in (None, DEFAULT_OUT):
            words += ["--out", str(out)]
        return shlex.join(words)


def assigned(value: Any) -> str:
    """Return ``value`` as ``--set`` reads it: text as it is, unless it would be read as JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return value
    return json.dumps(to_jsonable_python(value))
