"""How much of the differences between architectures is the seed of their training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SeedNoise:
    """How much of the differences between the scores of architectures is their seed.

    Attributes:
        evaluator: Name of the evaluator.
        seeds: Seeds of the evaluations.
        n: Number of architectures, without those of which a training diverged.
        sd: Standard deviation of one evaluation around the mean of its architecture, a fraction.
        spread: Standard deviation of these means, a fraction.
        one_seed: Intraclass correlation of one evaluation: 1 if the seed changes nothing, 0 if
            architectures do not differ; None if all scores are equal.
        all_seeds: The same of the mean over the seeds.
        tau: Mean of Kendall's τ-b between two seeds; None if all scores of a seed are equal.
        seeds_to_see_a_point: Seeds a side that a test at 5% needs to find a true difference of 0.01
            in four of five cases.
        interval: 95% interval of ``one_seed``; None without it.
        diverged: Number of further architectures whose training diverged with a seed.
    """

    evaluator: str
    seeds: tuple[int, ...]
    n: int
    sd: float
    spread: float
    one_seed: float | None
    all_seeds: float | None
    tau: float | None
    seeds_to_see_a_point: int
    interval: tuple[float, float] | None = None
    diverged: int = 0


def noise_text(space: str, noise: SeedNoise) -> str:
    """Return what a measurement says, as a sentence; empty if all scores were equal."""
    if noise.one_seed is None:
        return ""
    share = f"{max(noise.one_seed, 0):.0%}"
    if noise.interval is not None:
        low, high = (max(limit, 0) for limit in noise.interval)
        share += f" (95% interval {low:.0%} to {high:.0%})"
    return (
        f"Of the variance of a validation score, {share} is due to the architecture and the rest "
        f"to the seed, whose standard deviation is {100 * noise.sd:.2f} points: measured on "
        f"{noise.n} random architectures of {space}, with {len(noise.seeds)} seeds each."
    )
