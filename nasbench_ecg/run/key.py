"""The run key: a digest of everything that determines the result of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nasbench_ecg.architecture import digest

if TYPE_CHECKING:
    from nasbench_ecg.run.record import RunRecord

KEY_FORMAT = 1
KEY_LENGTH = 16


def run_key(
    components: Mapping[str, tuple[str, int, Mapping[str, Any]]],
    *,
    protocol: tuple[str, Mapping[str, Any]],
    seeds: Sequence[int],
    device: str,
    budget: Mapping[str, float],
) -> str:
    """Return the key of a run: equal for two runs exactly if their results should be equal.

    Null options are left out, so that a new option, null by default, does not change the keys of
    older records. An empty budget is left out, too.

    Args:
        components: Name, revision and options as JSON data of each component, by role.
        protocol: Name and options of the protocol.
        seeds: Seed of the search and seed of the final training.
        device: ``cpu`` or ``cuda``.
        budget: Limits of the search.
    """
    name, options = protocol
    return digest(
        {
            "format": KEY_FORMAT,
            **{
                role: {"name": used, "revision": revision, "options": _without_null(own)}
                for role, (used, revision, own) in components.items()
            },
            "protocol": {"name": name, "options": _without_null(options)},
            "seeds": list(seeds),
            "device": device,
            **({"budget": dict(budget)} if budget else {}),
        }
    )[:KEY_LENGTH]


def key_of_record(record: RunRecord) -> str:
    """Return the key that the components, options and seeds of a record give."""
    return run_key(
        {
            role: (used.name, used.revision, used.options)
            for role, used in record.components.items()
        },
        protocol=(record.protocol, record.protocol_options),
        seeds=(record.search_seed, record.evaluation_seed),
        device=record.device,
        budget=record.budget,
    )


def _without_null(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
