"""Checks of builders."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder
from nasbench_ecg.errors import OptionError
from nasbench_ecg.plugin.specs import BuilderSpec
from nasbench_ecg.testing.another_process import expect_equal_in_another_process
from nasbench_ecg.testing.check import ContractViolation, NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest
from nasbench_ecg.testing.randomness import forbid_global_random, global_seed
from nasbench_ecg.training.seeding import seeded
from nasbench_ecg.training.shapes import with_shapes

_LENGTHS = (250, 220, 300, 187)
_LEADS = (1, 2, 12)
_TRIES = 20


@check(seeds=2)
def all_lengths_and_leads_give_logits(component: ComponentUnderTest, seed: int) -> None:
    """Beats of even and odd lengths from min_samples on, with 1, 2 or 12 leads, give logits."""
    for n_samples, n_leads in product(_lengths(component), _LEADS):
        n_classes = 5 if n_leads == 2 else 2
        model = _built(component, seed, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
        logits = model(_beats(3, n_leads, n_samples, seed))
        size = f"{n_leads} leads of {n_samples} samples"
        shape = tuple(logits.shape)
        expect(shape == (3, n_classes), f"{size}: logits of shape {shape}, not {(3, n_classes)}")
        expect(bool(torch.isfinite(logits).all()), f"{size}: logits are not finite")


@check()
def shortest_beats_give_logits(component: ComponentUnderTest, seed: int) -> None:
    """Beats of the declared ``min_samples`` give logits for some architecture of the space."""
    n_samples = _min_samples(component)
    reason = ""
    for one in range(_TRIES):
        try:
            model = _built(component, one, n_samples=n_samples).eval()
            with torch.inference_mode():
                logits = model(_beats(2, 2, n_samples, seed))
        except Exception as error:
            reason = f": {error}"
            continue
        expect(tuple(logits.shape) == (2, 3), f"logits of shape {tuple(logits.shape)}")
        return
    raise ContractViolation(
        f"no network accepts beats of {n_samples} samples{reason}. Raise min_samples in the spec"
    )


@check(seeds=2)
def gradients_are_finite(component: ComponentUnderTest, seed: int) -> None:
    """Backpropagation reaches the parameters, with finite gradients that are not all zero."""
    for n_leads, n_samples in zip((1, 2, 12), _lengths(component), strict=False):
        model = _built(component, seed, n_leads=n_leads, n_samples=n_samples, n_classes=3)
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not learned:
            raise NotApplicable("the networks have no parameters to learn")
        x = _beats(6, n_leads, n_samples, seed)
        cross_entropy(model.train()(x), torch.arange(6) % 3).backward()  # type: ignore[no-untyped-call]
        reached = {name: p.grad for name, p in learned.items() if p.grad is not None}
        bad = [name for name, gradient in reached.items() if not torch.isfinite(gradient).all()]
        expect(not bad, f"the gradient of {', '.join(bad[:3])} is not finite")
        expect(any(g.abs().sum() > 0 for g in reached.values()), "all gradients are zero")


@check(seeds=2)
def equal_seeds_give_equal_weights(component: ComponentUnderTest, seed: int) -> None:
    """Weights depend only on torch's generator, which the harness seeds, not on earlier networks.

    A run makes all its networks with one builder.
    """
    builder: Builder | None = None
    states = []
    for shake in (1, 2):
        with global_seed(shake), forbid_global_random(f"the builder {component.spec.name!r}"):
            builder = builder or component.builder()
            model = _built(component, seed, builder=builder)
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        with torch.no_grad():  # as training does
            for parameter in model.parameters():
                parameter.add_(1)
    _expect_equal(states[0], states[1])
    expect_equal_in_another_process(_weights, component, seed, _as_lists(states[0]))


def _weights(component: ComponentUnderTest, seed: int) -> dict[str, Any]:
    return _as_lists(_built(component, seed).state_dict())


def _as_lists(state: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: value.tolist() for name, value in state.items()}


@check(seeds=2)
def beats_are_classified_independently(component: ComponentUnderTest, seed: int) -> None:
    """In eval mode, a beat's logits depend neither on its batch nor on random numbers."""
    model, x = _built(component, seed).eval(), _beats(4, 2, _lengths(component)[0], seed)
    with torch.inference_mode():
        together, again = model(x), model(x)
        alone = torch.cat([model(beat[None]) for beat in x])
    expect(torch.equal(together, again), "the same beats give different logits the second time")
    expect(torch.allclose(together, alone, atol=1e-4), "a beat alone has different logits")


@check()
def weights_can_be_restored(component: ComponentUnderTest, seed: int) -> None:
    """A network with the weights of another one, which was trained, gives the same logits.

    A run continues from saved weights, and classifies with them later.
    """
    first, second = (_built(component, seed, weights=weights) for weights in (1, 2))
    x = _beats(4, 2, _lengths(component)[0], seed)
    with torch.no_grad():
        for _ in range(3):
            first.train()(x)
        second.load_state_dict(first.state_dict())
        for mode in (False, True):  # training changes the networks again, so it comes last
            with seeded(seed):
                one = first.train(mode)(x)
            with seeded(seed):
                other = second.train(mode)(x)
            when = "in training" if mode else "in evaluation"
            expect(torch.equal(one, other), f"equal weights give different logits {when}")


@check(seeds=2)
def an_architecture_from_json_gives_the_same_network(
    component: ComponentUnderTest, seed: int
) -> None:
    """An architecture that is read from JSON gives the same network."""
    arch = _architecture(component, seed)
    networks = []
    for one in (arch, Architecture.from_json(arch.to_json())):
        with seeded(seed):
            n_samples = _lengths(component)[0]
            model = component.builder().build(one, n_leads=2, n_samples=n_samples, n_classes=3)
            networks.append(with_shapes(model, 2, n_samples))
    expect(
        _as_lists(networks[0].state_dict()) == _as_lists(networks[1].state_dict())
        and str(networks[0]) == str(networks[1]),
        "the network differs: does it depend on the order of a mapping, or on tuples?",
    )


@check()
def leaves_the_architecture_unchanged(component: ComponentUnderTest, seed: int) -> None:
    """Building does not change the architecture."""
    arch = _architecture(component, seed)
    before = arch.to_json()
    n_samples = _lengths(component)[0]
    component.builder().build(arch, n_leads=2, n_samples=n_samples, n_classes=3)
    expect(arch.to_json() == before, "build changes the architecture")


@check()
def architectures_of_another_space_are_refused(component: ComponentUnderTest, seed: int) -> None:
    """An architecture of another space is refused with an OptionError."""
    foreign, n_samples = Architecture("another-space", {"x": 1}), _lengths(component)[0]
    try:
        component.builder().build(foreign, n_leads=2, n_samples=n_samples, n_classes=3)
    except OptionError:
        return
    except Exception as error:
        raise ContractViolation(f"build raises {type(error).__name__}, not OptionError") from error
    raise ContractViolation("build accepts an architecture of 'another-space'")


def _architecture(component: ComponentUnderTest, seed: int) -> Architecture:
    return component.space().sample(np.random.default_rng(seed))


def _min_samples(component: ComponentUnderTest) -> int:
    assert isinstance(component.spec, BuilderSpec)
    return component.spec.min_samples


def _lengths(component: ComponentUnderTest) -> list[int]:
    """Return lengths that the builder must accept: the usual ones, or as many samples longer."""
    longer = max(0, _min_samples(component) - min(_LENGTHS))
    return [n + longer for n in _LENGTHS]


def _built(
    component: ComponentUnderTest,
    seed: int,
    *,
    builder: Builder | None = None,
    weights: int | None = None,
    n_leads: int = 2,
    n_samples: int | None = None,
    n_classes: int = 3,
) -> nn.Module:
    arch, builder = _architecture(component, seed), builder or component.builder()
    n_samples = _lengths(component)[0] if n_samples is None else n_samples
    with seeded(seed if weights is None else weights):
        model = builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
        expect(isinstance(model, nn.Module), f"build returns a {type(model).__name__}")
        return with_shapes(model, n_leads, n_samples)


def _beats(n: int, n_leads: int, n_samples: int, seed: int) -> Tensor:
    return torch.randn(n, n_leads, n_samples, generator=torch.Generator().manual_seed(seed))


def _expect_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    expect(one.keys() == other.keys(), "equal seeds give networks with different parameters")
    differing = [name for name in one if not torch.equal(one[name], other[name])]
    expect(not differing, f"equal seeds give different {', '.join(differing[:3])}")
