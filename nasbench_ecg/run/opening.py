"""The record of a run as it begins: what is to be run, by which code, on which machine."""

from __future__ import annotations

from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.provenance import provenance
from nasbench_ecg.run.record import ComponentRecord, RunRecord


def open_record(config: RunConfig, suite: str) -> RunRecord:
    """Return a record without results; it says ``interrupted`` until something better is known."""
    return RunRecord(
        run_key=config.key(),
        suite=suite,
        status="interrupted",
        command=config.command(),
        profile=config.profile,
        protocol=config.protocol,
        protocol_options=config.protocol_options.model_dump(mode="json"),
        components={
            role: ComponentRecord(
                name=chosen.name,
                plugin=chosen.component.plugin,
                distribution=chosen.component.distribution,
                version=chosen.component.version,
                revision=chosen.component.spec.revision,
                options=chosen.options.model_dump(mode="json"),
                changed=dict(chosen.changed),
            )
            for role, chosen in config.chosen().items()
        },
        search_seed=config.search_seed,
        evaluation_seed=config.evaluation_seed,
        device=config.device,
        provenance=provenance(config.device),
    )
