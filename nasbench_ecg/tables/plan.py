"""Plan of a table: its card, its members and the data that they are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, ListsMembers, SearchSpace, Task
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.registry import Registry
from nasbench_ecg.progress import Progress
from nasbench_ecg.run.config import ResolvedComponent, RunConfig
from nasbench_ecg.run.configure import configure
from nasbench_ecg.run.environment import cpu_name
from nasbench_ecg.run.prepare import prepare_run
from nasbench_ecg.run.request import RunRequest
from nasbench_ecg.tables.build import n_trainings
from nasbench_ecg.tables.card import Card, Component, Recipe
from nasbench_ecg.tables.training import MemberResult, member_costs, train_member

STRATA = 10
"""Groups of members by their number of parameters; each beginning of the order has its share."""


@dataclass(frozen=True)
class Plan:
    """A table that can be built here.

    Attributes:
        card: What it holds.
        members: All members in canonical form.
        costs: Returns the costs of the members by name, one value a member.
        train: Trains a member with a seed.
        machine: Processor, threads and torch version of this machine.
        task: Training and validation set.
        test: Test set; it is scored and chooses nothing.
        builder: Makes the networks.
    """

    card: Card
    members: tuple[Architecture, ...]
    costs: Callable[[], dict[str, NDArray[np.float64]]]
    train: Callable[[Architecture, int], MemberResult]
    machine: str
    task: Task
    test: Beats
    builder: Builder

    @property
    def total(self) -> int:
        """Number of trainings of the whole table."""
        return n_trainings(self.card)


def configure_track(
    registry: Registry,
    space: str,
    dataset: str,
    protocol: str | None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> RunConfig:
    """Return the components of a track with the options of the profile ``paper``.

    Args:
        registry: All components.
        space: Name of the search space.
        dataset: Name of the dataset.
        protocol: Name of the protocol; by default that of the dataset.
        overrides: Options by role: ``space``, ``builder``, ``dataset`` and ``protocol``.

    Raises:
        NasbenchError: A component or option is unknown, they do not go together, or the space does
            not list its members.
    """
    request = RunRequest(
        registry.strategies("random-search")[0].name,
        dataset,
        protocol=protocol,
        profile="paper",
        space=space,
        overrides=overrides or {},
        device="cpu",
    )
    config = configure(registry, request)
    members_of(config.space.component.create(config.space.options))
    return config


def members_of(space: SearchSpace) -> tuple[Architecture, ...]:
    """Return all members of a space.

    Raises:
        OptionError: The space does not list them.
    """
    if not isinstance(space, ListsMembers):
        raise OptionError(
            f"The search space {space.name!r} does not list its members.",
            fix="A table needs a space that implements nasbench_ecg.api.ListsMembers.",
        )
    return tuple(space.members)


def plan_table(
    config: RunConfig, recipe: Recipe, seeds: int, *, source: LocalSource, progress: Progress
) -> Plan:
    """Load the data of a track and return the plan of its table.

    Args:
        config: The track, from :func:`configure_track`.
        recipe: How members are trained.
        seeds: Seeds that the table has room for.
        source: Folders of records and of cached beats.
        progress: Where progress is shown.

    Raises:
        NasbenchError: Records are missing or damaged.
    """
    prepared = prepare_run(config, source=source, progress=progress, suite="tables")
    task, record = prepared.task, prepared.record
    members = members_of(prepared.space)
    assert record.dataset is not None and record.split is not None
    card = Card(
        space=_described(config.space),
        builder=_described(config.builder),
        dataset=_described(config.dataset),
        protocol=config.protocol,
        protocol_options=config.protocol_options.model_dump(mode="json"),
        classes=task.train.classes,
        macro_classes=task.macro_classes,
        n_leads=task.n_leads,
        n_samples=task.n_samples,
        fs=task.train.fs,
        beats_fingerprint=record.dataset.fingerprint,
        split_fingerprint=record.split.fingerprint,
        recipe=recipe,
        members=len(members),
        seeds=seeds,
    )
    test = prepared.test.load()
    return Plan(
        card=card,
        members=members,
        costs=partial(member_costs_of, members, prepared.builder, task),
        train=partial(_train, task=task, test=test, builder=prepared.builder, recipe=recipe),
        machine=f"{cpu_name()}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}",
        task=task,
        test=test,
        builder=prepared.builder,
    )


def member_costs_of(
    members: Sequence[Architecture], builder: Builder, task: Task
) -> dict[str, NDArray[np.float64]]:
    """Return the costs of members by name, one value a member."""
    found = [member_costs(arch, builder, task) for arch in members]
    return {name: np.array([cost[name] for cost in found]) for name in found[0]}


def strata(parameters: NDArray[np.float64]) -> list[int]:
    """Return the decile of each member by its number of parameters, 0 to 9."""
    ranks = parameters.argsort(kind="stable").argsort(kind="stable")
    return (ranks * STRATA // len(parameters)).tolist()  # type: ignore[no-any-return]


def _train(
    arch: Architecture, seed: int, *, task: Task, test: Beats, builder: Builder, recipe: Recipe
) -> MemberResult:
    return train_member(arch, task, test, builder, recipe, seed)


def _described(component: ResolvedComponent) -> Component:
    return Component(
        name=component.name,
        revision=component.component.spec.revision,
        options=component.options.model_dump(mode="json"),
    )
