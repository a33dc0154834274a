"""What ``nasbench-ecg run`` prints before a run: settings, missing records, an estimate of time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from nasbench_ecg.cli.console import stderr, styled, table

if TYPE_CHECKING:
    from rich.text import Text

    from nasbench_ecg.data.source import LocalSource
    from nasbench_ecg.options import Options
    from nasbench_ecg.plugin.registry import Registry
    from nasbench_ecg.run.config import RunConfig
    from nasbench_ecg.run.prepare import PreparedRun
    from nasbench_ecg.run.request import RunRequest
    from nasbench_ecg.run.store import RecordStore


def print_settings(config: RunConfig, store: RecordStore, *, dry_run: bool) -> None:
    """Print the components and settings of a run, its device, and the path of its record."""
    from nasbench_ecg.run.environment import cpu_name

    processor = cpu_name() if config.device == "cpu" else _gpu_name()
    listed = table("part", "name", f"settings of the profile {config.profile}")
    for role, component in config.components().items():
        listed.add_row(role, styled((component.name, "bold")), _settings(component.options))
    protocol = styled((config.protocol, "bold"))
    listed.add_row("protocol", protocol, _settings(config.protocol_options))
    if limits := config.budget.limits():
        text = ", ".join(f"{name}={limit:.12g}" for name, limit in limits.items())
        listed.add_row("budget", "", text)
    console = stderr()
    console.print(listed)
    console.print(
        f"{'Would run' if dry_run else 'Running'} with seed {config.search_seed} on "
        f"{config.device} ({processor}). Record: {store.path(config.key())}"
    )


def _settings(options: Options) -> Text:
    """Return the options that differ from the published ones, as text."""
    from nasbench_ecg.run.option_text import value_text

    values = options.model_dump(mode="json")
    changed = [
        f"{name}={value_text(values[name])}"
        for name, field in type(options).model_fields.items()
        if name in values and getattr(options, name) != field.get_default(call_default_factory=True)
    ]
    return styled(", ".join(changed)) if changed else styled(("as published", "dim"))


def _gpu_name() -> str:
    import torch

    return torch.cuda.get_device_name()


def print_missing_records(config: RunConfig, source: LocalSource) -> None:
    """Print which records a run would download.

    Raises:
        MissingDataError: A run would stop since records are missing.
    """
    from nasbench_ecg.data.declarations import requirements_of
    from nasbench_ecg.physionet.catalog import describe_missing
    from nasbench_ecg.run.downloads import can_be_downloaded

    for requirement in requirements_of(config.dataset.create()):
        missing = source.missing(requirement)
        if missing and not can_be_downloaded(requirement, source):
            source.require(requirement)
        if missing:
            stderr().print(f"{describe_missing(requirement, missing)} A run downloads them first.")


def print_estimate(registry: Registry, request: RunRequest, ready: PreparedRun) -> None:
    """Print how long the run takes on this machine, and how long the published settings would."""
    from nasbench_ecg.errors import NasbenchError
    from nasbench_ecg.run.configure import configure
    from nasbench_ecg.run.estimate import estimate
    from nasbench_ecg.text import duration

    console = stderr()
    with console.status("Timing a few steps"):
        here = estimate(ready)
        published: dict[str, float] = {}
        if request.profile != "paper":
            with suppress(NasbenchError):  # the user's options may not be allowed in that profile
                config = configure(registry, replace(request, profile="paper"))
                published = estimate(ready.with_config(config))
    if here:
        parts = ", ".join(f"{name} {duration(seconds)}" for name, seconds in here.items())
        line = f"Estimated time: {duration(sum(here.values()))} ({parts})"
        if published:
            line += f"; with --profile paper: {duration(sum(published.values()))}"
        console.print(f"{line}.")
