"""What every builder must do."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.errors import OptionError
from nasbench_ecg.testing.fixtures import Subject, shaken, watched
from nasbench_ecg.testing.harness import Broken, Check, NotApplicable, claims, expect
from nasbench_ecg.training.seeding import seeded

_LENGTHS = (220, 250, 300, 187)
_LEADS = (1, 2, 12)


@claims(seeds=2)
def all_lengths_and_leads_give_logits(subject: Subject, seed: int) -> None:
    """Windows of 220, 250, 300 and an odd number of samples and 1, 2 or 12 leads give logits."""
    for n_samples, n_leads in product(_LENGTHS, _LEADS):
        n_classes = 5 if n_leads == 2 else 2
        model = _built(subject, seed, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
        logits = model(_beats(3, n_leads, n_samples, seed))
        told = f"{n_leads} leads of {n_samples} samples"
        shape = tuple(logits.shape)
        expect(shape == (3, n_classes), f"{told}: logits of shape {shape}, not {(3, n_classes)}")
        expect(bool(torch.isfinite(logits).all()), f"{told}: logits that are no numbers")


@claims(seeds=2)
def gradients_are_finite(subject: Subject, seed: int) -> None:
    """Backpropagation reaches the parameters, with finite gradients that are not all zero."""
    for n_leads, n_samples in ((1, 187), (2, 300), (12, 250)):
        model = _built(subject, seed, n_leads=n_leads, n_samples=n_samples, n_classes=3)
        learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not learned:
            raise NotApplicable("the networks have no parameters to learn")
        x = _beats(6, n_leads, n_samples, seed)
        cross_entropy(model.train()(x), torch.arange(6) % 3).backward()  # type: ignore[no-untyped-call]
        reached = {name: p.grad for name, p in learned.items() if p.grad is not None}
        bad = [name for name, gradient in reached.items() if not torch.isfinite(gradient).all()]
        expect(not bad, f"the gradient of {', '.join(bad[:3])} is not finite")
        expect(any(g.abs().sum() > 0 for g in reached.values()), "all gradients are zero")


@claims(seeds=2)
def equal_seeds_give_equal_weights(subject: Subject, seed: int) -> None:
    """Weights follow torch's generator as the harness seeds it, and nothing else."""
    states = []
    for shake in (1, 2):
        with shaken(shake), watched(f"the builder {subject.spec.name!r}"):
            states.append(_built(subject, seed).state_dict())
    _must_be_equal(states[0], states[1])


@claims(seeds=2)
def beats_are_judged_one_by_one(subject: Subject, seed: int) -> None:
    """In eval mode a beat's logits do not depend on the other beats of its batch, nor on chance."""
    model, x = _built(subject, seed).eval(), _beats(4, 2, 250, seed)
    with torch.inference_mode():
        together, again = model(x), model(x)
        alone = torch.cat([model(beat[None]) for beat in x])
    expect(torch.equal(together, again), "the same beats give other logits the second time")
    expect(torch.allclose(together, alone, atol=1e-4), "a beat alone has other logits")


@claims()
def weights_can_be_stored(subject: Subject, seed: int) -> None:
    """A network that is given the weights of another one gives its logits."""
    first = _built(subject, seed, weights=1).eval()
    second = _built(subject, seed, weights=2).eval()
    second.load_state_dict(first.state_dict())
    x = _beats(2, 2, 250, seed)
    with torch.inference_mode():
        expect(torch.equal(first(x), second(x)), "equal weights give different logits")


@claims()
def the_architecture_is_left_alone(subject: Subject, seed: int) -> None:
    """Building changes nothing about the architecture."""
    arch = _architecture(subject, seed)
    before = arch.to_json()
    subject.builder().build(arch, n_leads=2, n_samples=250, n_classes=3)
    expect(arch.to_json() == before, "build changes the architecture")


@claims()
def architectures_of_another_space_are_refused(subject: Subject, seed: int) -> None:
    """An architecture of another space is refused with an OptionError."""
    stranger = Architecture("another-space", {"x": 1})
    try:
        subject.builder().build(stranger, n_leads=2, n_samples=250, n_classes=3)
    except OptionError:
        return
    except Exception as error:
        raise Broken(f"build raises {type(error).__name__}, not OptionError") from error
    raise Broken("build makes a network of an architecture of 'another-space'")


def _architecture(subject: Subject, seed: int) -> Architecture:
    return subject.space().sample(np.random.default_rng(seed))


def _built(
    subject: Subject,
    seed: int,
    *,
    weights: int | None = None,
    n_leads: int = 2,
    n_samples: int = 250,
    n_classes: int = 3,
) -> nn.Module:
    arch, builder = _architecture(subject, seed), subject.builder()
    with seeded(seed if weights is None else weights):
        model = builder.build(arch, n_leads=n_leads, n_samples=n_samples, n_classes=n_classes)
    expect(isinstance(model, nn.Module), f"build returns a {type(model).__name__}")
    return model


def _beats(n: int, n_leads: int, n_samples: int, seed: int) -> Tensor:
    return torch.randn(n, n_leads, n_samples, generator=torch.Generator().manual_seed(seed))


def _must_be_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    expect(one.keys() == other.keys(), "equal seeds give networks of different parameters")
    differing = [name for name in one if not torch.equal(one[name], other[name])]
    expect(not differing, f"equal seeds give different {', '.join(differing[:3])}")


CHECKS: tuple[Check, ...] = (
    all_lengths_and_leads_give_logits,
    gradients_are_finite,
    equal_seeds_give_equal_weights,
    beats_are_judged_one_by_one,
    weights_can_be_stored,
    the_architecture_is_left_alone,
    architectures_of_another_space_are_refused,
)
