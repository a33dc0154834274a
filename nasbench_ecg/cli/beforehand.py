"""What comes before a run: what is said of it, and the records that are fetched for it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import RichProgress, stderr, table

if TYPE_CHECKING:
    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.config import RunConfig, RunRequest
    from nasbench_ecg.run.record import RunRecord
    from nasbench_ecg.run.runner import PreparedRun
    from nasbench_ecg.run.store import RecordStore


def announce(config: RunConfig, store: RecordStore, *, dry_run: bool) -> None:
    """Say what is run, with which settings, where, and what its record will be."""
    from nasbench_ecg.run.environment import cpu_name

    machine = cpu_name() if config.device == "cpu" else _gpu_name()
    listed = table("part", "name", f"settings of the profile {config.profile}")
    for role, chosen in config.chosen().items():
        listed.add_row(role, f"[bold]{chosen.name}[/]", _settings(chosen.options))
    listed.add_row("protocol", f"[bold]{config.protocol}[/]", _settings(config.protocol_options))
    if limits := config.budget.limits():
        told = ", ".join(f"{name}={limit:.12g}" for name, limit in limits.items())
        listed.add_row("budget", "", told)
    console = stderr()
    console.print(listed)
    verb = "Would run" if dry_run else "Running"
    console.print(
        f"{verb} with seed {config.search_seed} on {config.device} ({machine}); "
        f"record: {store.path(config.key())}",
        highlight=False,
    )


def _settings(options: object) -> str:
    """Return the options that differ from the published ones, as text."""
    from rich.markup import escape

    from nasbench_ecg.options import Options

    assert isinstance(options, Options)
    changed = []
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if value != field.get_default(call_default_factory=True):
            shown = f"{len(value)} values" if isinstance(value, tuple | dict) else value
            changed.append(f"{name}={shown}")
    return escape(", ".join(changed)) or "[dim]as published[/]"


def _gpu_name() -> str:
    import torch

    return torch.cuda.get_device_name()


def tell_what_is_missing(config: RunConfig, source: LocalSource) -> None:
    """Say which records would be fetched."""
    from nasbench_ecg.physionet.catalog import describe_missing

    for requirement in config.dataset.create().requires():
        if missing := source.missing(requirement):
            stderr().print(f"To be fetched first: {describe_missing(requirement, missing)}")


def fetch_missing(config: RunConfig, source: LocalSource, progress: RichProgress) -> None:
    """Fetch the records that are not here, after saying how much; never into a named folder."""
    from nasbench_ecg.physionet.catalog import describe_missing
    from nasbench_ecg.physionet.fetch import fetch

    for requirement in config.dataset.create().requires():
        missing = source.missing(requirement)
        if not missing or source.data is not None:
            continue
        if source.missing_elsewhere(requirement):
            source.require(requirement)
        progress.note(f"Fetching {describe_missing(requirement, missing)}")
        fetch(
            requirement.database,
            source.download_folder(requirement.database),
            records=requirement.records,
            extensions=requirement.extensions,
            progress=progress,
        )


def announce_duration(registry: Registry, request: RunRequest, ready: PreparedRun) -> None:
    """Say how long the run takes here, and how long the published settings would."""
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.run.config import configure
    from nasbench_ecg.run.runner import estimate
    from nasbench_ecg.text import duration

    console = stderr()
    with console.status("Timing a few steps …"):
        here = estimate(ready)
        paper: dict[str, float] = {}
        if request.profile != "paper":
            with suppress(NasbenchError):  # what the user set may not go with that profile
                published = configure(registry, replace(request, profile="paper"))
                paper = estimate(ready.with_config(published))
    if here:
        parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in here.items())
        console.print(
            f"About {duration(sum(here.values()))} from here ({parts})"
            + (f"; --profile paper: about {duration(sum(paper.values()))}" if paper else "")
            + ".",
            highlight=False,
        )


def tell_of_other_beats(record: RunRecord, config: RunConfig, source: LocalSource) -> None:
    """Say so if the beats that a record was made with are others today; silent without records."""
    from nasbench_ecg.data.cache import load_beats
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.progress import Silent

    dataset = config.dataset.create()
    if record.dataset is None or any(map(source.missing, dataset.requires())):
        return
    with suppress(NasbenchError):
        now = load_beats(
            name=config.dataset.name,
            revision=config.dataset.component.spec.revision,
            options=config.dataset.options,
            dataset=dataset,
            source=source,
            progress=Silent(),
        )
        if now.fingerprint != record.dataset.fingerprint:
            stderr().print(
                f"The beats of {config.dataset.name} are others now than those of this record: "
                "--rerun runs it on them.",
                style="yellow",
            )
