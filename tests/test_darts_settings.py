"""The settings of the DARTS variants, as the documentation compares them with their authors'."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from darts_searches import STRATEGIES, started

PAGE = Path(__file__).parents[1] / "docs/explanation/darts-settings.md"


def rows_of_options():
    """Return (strategy, option, value) of each row of the page whose setting is an option."""
    pattern = r"^\| `([\w-]+)` \| `(\w+)` \| ([\d.]+) \|"
    return re.findall(pattern, PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("strategy", "option", "value"), rows_of_options())
def test_the_page_states_the_value_of_the_profile_paper(strategy, option, value):
    _, model, _ = STRATEGIES[strategy]
    assert getattr(model(), option) == float(value)


def test_the_shared_settings_are_those_of_darts():
    _, model, _ = STRATEGIES["darts"]
    options, text = model(), PAGE.read_text(encoding="utf-8")
    assert f"| `batch_size` | {options.batch_size} |" in text
    assert f"| `epochs` | {options.epochs} |" in text
    weights = f"{options.lr}, {options.lr_min}, {options.momentum}, {options.weight_decay}"
    assert f"| weights: `lr`, `lr_min`, `momentum`, `weight_decay` | {weights} |" in text
    alpha = f"{options.alpha_lr}; 0.5, 0.999; {options.alpha_weight_decay}"
    assert f"| α: `alpha_lr`, betas, `alpha_weight_decay` | {alpha} |" in text
    assert (
        f"| `drnas` | supernet | `channels` {options.channels}, `cells` {options.cells} |" in text
    )


def test_fair_darts_starts_as_its_authors_do():
    """Their code: zeros, Adam with betas 0.9 and 0.999, seven primitives without ``none``."""
    _, state = started("fair-darts")
    assert all((alpha == 0).all() for alpha in state.alpha.values())
    assert state.alpha_optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert "none" not in state.space.operations
    assert state.alpha["normal"].shape[1] == len(state.space.operations)


def test_other_variants_start_as_darts_does():
    """Liu et al.: 0.001 · N(0, 1), Adam with betas 0.5 and 0.999, ``none`` among the operations."""
    for name in sorted(STRATEGIES.keys() - {"fair-darts"}):
        _, state = started(name)
        assert 0 < float(state.alpha["normal"].detach().abs().max()) < 0.01
        assert state.alpha_optimizer.param_groups[0]["betas"] == (0.5, 0.999)
        assert "none" in state.space.operations
