"""The configuration of a run: its components with all their options, and its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasbench_ecg.contracts import Budget
from nasbench_ecg.data.protocols import ProtocolOptions
from nasbench_ecg.options import Options, unstored_options
from nasbench_ecg.plugin.registry import Component
from nasbench_ecg.plugin.specs import SearchSpaceSpec, StrategySpec
from nasbench_ecg.run.key import run_key
from nasbench_ecg.run.request import RunRequest


@dataclass(frozen=True)
class ResolvedComponent:
    """A component with its resolved options.

    Attributes:
        component: The component.
        options: Its resolved options.
        changed: Options that the user set to values that differ from the profile's.
    """

    component: Component
    options: Options
    changed: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the component."""
        return self.component.spec.name

    def create(self) -> Any:
        """Return a new instance of the component."""
        return self.component.create(self.options)


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines the result of a run."""

    strategy: ResolvedComponent
    space: ResolvedComponent
    builder: ResolvedComponent
    dataset: ResolvedComponent
    evaluator: ResolvedComponent
    protocol: str
    protocol_options: ProtocolOptions
    protocol_changed: Mapping[str, Any]
    profile: str
    search_seed: int
    evaluation_seed: int
    device: str
    budget: Budget = field(default_factory=Budget)

    def components(self) -> dict[str, ResolvedComponent]:
        """Return the five components by role."""
        return {
            "strategy": self.strategy,
            "space": self.space,
            "builder": self.builder,
            "dataset": self.dataset,
            "evaluator": self.evaluator,
        }

    def usual_builder(self) -> str:
        """Return the builder that the strategy uses in this space when the user names none."""
        strategy, space = self.strategy.component.spec, self.space.component.spec
        assert isinstance(strategy, StrategySpec) and isinstance(space, SearchSpaceSpec)
        return (strategy.builder if space.name == strategy.space else None) or space.builder

    def key(self) -> str:
        """Return the run key: equal for two runs exactly if their results should be equal.

        It covers names, revisions and options of all components, the protocol, the seeds, the
        budget and the kind of device. It does not cover the profile, which is only a name for
        options. With a budget of seconds, a result also depends on the speed of the machine.
        """
        return run_key(
            {
                role: (
                    chosen.name,
                    chosen.component.spec.revision,
                    chosen.options.model_dump(mode="json"),
                )
                for role, chosen in self.components().items()
            },
            protocol=(self.protocol, self.protocol_options.model_dump(mode="json")),
            seeds=(self.search_seed, self.evaluation_seed),
            device=self.device,
            budget=self.budget.limits(),
        )

    def request(self) -> RunRequest:
        """Return the request that resolves to this configuration, with every component named."""
        changed = {
            role: {**chosen.changed, **unstored_options(chosen.options)}
            for role, chosen in self.components().items()
        }
        changed["protocol"] = dict(self.protocol_changed)
        return RunRequest(
            **{role: chosen.name for role, chosen in self.components().items()},
            protocol=self.protocol,
            profile=self.profile,
            overrides={role: options for role, options in changed.items() if options},
            search_seed=self.search_seed,
            evaluation_seed=(
                None if self.evaluation_seed == self.search_seed else self.evaluation_seed
            ),
            device=self.device,
            budget=self.budget,
        )

    def command(self) -> str:
        """Return the shell command that repeats this run."""
        return self.request().command()
