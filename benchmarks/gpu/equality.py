"""Check that a device computes correctly: ``python equality.py --device cuda``.

Compares the merged supernet on the device with the plain one and with that of one matrix product
for each state, and the device with the CPU: the loss, ∇α, the gradients of all weights outside the
edges, and the logits of a final network, in float64 and float32. Then compares training and search
with CUDA graphs and without (on a CPU both are the same). Exits with 1 if a difference is larger
than its limit.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nasbench_ecg.api import Beats, Silent, Task
from nasbench_ecg.training import AUGMENTATIONS, Recipe, fit
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import (
    OPERATIONS,
    ConvCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts.architect import Batch, relaxed_loss
from nasbench_ecg_darts.edges import MergedEdges, plain_to_merged
from nasbench_ecg_darts.matrix_edges import MatrixEdges
from nasbench_ecg_darts.options import DartsOptions
from nasbench_ecg_darts.relaxation import Alpha, initial_alpha, mixing_weights
from nasbench_ecg_darts.search import GraphedSearchStep, search_step
from nasbench_ecg_darts.state import SearchState
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet
from nasbench_ecg_darts.variant import DARTS

SAME_DEVICE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Largest allowed difference between two implementations, relative to the largest value."""

OTHER_DEVICE = {torch.float64: 1e-10, torch.float32: 1e-3}
"""Largest allowed difference between two devices, which round in a different order."""

GRAPHS = 1e-3
"""Largest allowed difference after a few steps with and without graphs. A graph rounds learning
rates to float32, and backward kernels add in no fixed order."""


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        what: What was compared.
        difference: Largest difference, relative to the largest value.
        limit: Largest allowed difference.
    """

    what: str
    difference: float
    limit: float

    @property
    def held(self) -> bool:
        """Whether the difference is within its limit."""
        return self.difference <= self.limit


def checks(device: str) -> Iterator[Check]:
    """Yield all comparisons on ``device``."""
    for dtype in SAME_DEVICE:
        kind = str(dtype).removeprefix("torch.")
        plain, merged = _supernets(dtype)
        here = {"plain": _figures(plain, device, dtype), "merged": _figures(merged, device, dtype)}
        on_cpu = _figures(merged, "cpu", dtype)
        yield Check(
            f"merged against plain on {device}, {kind}",
            _worst(here["plain"], here["merged"]),
            SAME_DEVICE[dtype],
        )
        both = [
            _figures(_supernet(edges, dtype), device, dtype) for edges in (MergedEdges, MatrixEdges)
        ]
        yield Check(
            f"matrix products against merged on {device}, {kind}", _worst(*both), SAME_DEVICE[dtype]
        )
        yield Check(
            f"{device} against cpu, merged supernet, {kind}",
            _worst(on_cpu, here["merged"]),
            OTHER_DEVICE[dtype],
        )
        yield Check(
            f"{device} against cpu, final network, {kind}",
            _worst(_logits("cpu", dtype), _logits(device, dtype)),
            OTHER_DEVICE[dtype],
        )


def graph_checks(device: str) -> Iterator[Check]:
    """Compare training and search with and without CUDA graphs, and count failed captures."""
    yield from _graph_check("training", _trained, device)
    # At a rate of 0.01, changing the initial weights by 1e-7 can change this result by 0.1.
    rare = partial(_trained, lr=0.003, schedule="one-cycle", loss="class-balanced")
    yield from _graph_check("augmented training", partial(rare, augment=AUGMENTATIONS), device)
    focal = partial(_trained, loss="focal", averaging="ema")
    yield from _graph_check("averaged training", focal, device)
    yield from _graph_check("adjusted training", partial(_trained, loss="logit-adjustment"), device)
    yield from _graph_check("search", _searched, device)


def _graph_check(what: str, run: Callable[..., dict[str, Tensor]], device: str) -> Iterator[Check]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        replayed = run(device, graphs=True)
    failures = [w for w in caught if "could not be captured" in str(w.message)]
    for warning in failures:
        print(warning.message)
    yield Check(f"failures to capture a step of {what} on {device}", len(failures), 0)
    single = run(device, graphs=False)
    yield Check(f"graph against eager {what} on {device}", _worst(single, replayed), GRAPHS)


def _trained(device: str, *, graphs: bool, lr: float = 0.01, **settings: Any) -> dict[str, Tensor]:
    """Return weights, statistics and curves after 12 full and two smaller batches."""
    model = _final_network()
    recipe = Recipe(epochs=2, batch_size=16, lr=lr, **settings)
    curves = fit(
        model, _beats(), recipe, seed=0, device=device, progress=Silent(), graphs=graphs
    )  # fmt: skip
    state = {name: value.double() for name, value in model.state_dict().items()}
    return {**state, **{name: torch.tensor(values) for name, values in curves.items()}}


def _searched(device: str, *, graphs: bool) -> dict[str, Tensor]:
    """Return α, weights and statistics after 12 steps of a search, half of them without α."""
    beats = _beats()
    options = DartsOptions(
        cells=3, channels=4, stem_filters=8, epochs=2, warmup_epochs=1, batch_size=16,
        lr=0.01, hessian_eigenvalue=False,
    )  # fmt: skip
    torch.manual_seed(3)
    ctx: Any = SimpleNamespace(device=device, rng=np.random.default_rng(0))
    task = Task(beats, beats, beats.classes)
    state = SearchState.start(options, task, ConvCells(ConvCellsOptions()), ctx)
    take_step = GraphedSearchStep(state, DARTS) if graphs else partial(search_step, state, DARTS)
    for epoch in range(options.epochs):
        for train, validation in state.batches(state.steps_per_epoch):
            take_step(train, validation, with_alpha=epoch >= options.warmup_epochs)
        state.end_epoch()
    found = {name: value.double() for name, value in state.net.state_dict().items()}
    return {**found, **{str(name): value.detach() for name, value in state.alpha.items()}}


def _beats() -> Beats:
    rng = np.random.default_rng(0)
    n, classes = 100, ("N", "S", "V", "F", "Q")
    labels = rng.integers(5, size=n)
    signals = rng.standard_normal((n, 2, 220)) + labels[:, None, None]
    return Beats(
        signals=signals.astype(np.float32), labels=labels, record=np.zeros(n, np.int32),
        sample=np.arange(n), classes=classes, records=("r",), subjects=("r",),
        leads=("I", "II"), fs=360.0,
    )  # fmt: skip


def _supernets(dtype: torch.dtype) -> tuple[SuperNet, SuperNet]:
    plain, merged = _supernet(PlainEdges, dtype), _supernet(MergedEdges, dtype)
    plain_to_merged(plain, merged)
    return plain, merged


def _supernet(edges: type[nn.Module], dtype: torch.dtype) -> SuperNet:
    torch.manual_seed(0)
    net = SuperNet(
        edges, operations=OPERATIONS, nodes=4, cells=3, channels=4, stem_filters=8,
        n_leads=2, n_classes=5,
    )  # fmt: skip
    return net.to(dtype)


def _figures(net: SuperNet, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the loss and the gradients of α and of the weights that both supernets have."""
    net = copy.deepcopy(net).to(device).train()
    torch.manual_seed(1)
    # The initial α is float32 and nearly uniform; this one is float64 and far from uniform.
    alpha: Alpha = {
        name: torch.randn(value.shape, dtype=dtype).to(device).requires_grad_()
        for name, value in initial_alpha(4, len(OPERATIONS), "cpu").items()
    }
    batch = Batch(torch.randn(8, 2, 220, dtype=dtype).to(device), torch.randint(5, (8,)).to(device))
    loss, logits = _loss(net, alpha, batch)
    shared = {name: p for name, p in net.named_parameters() if ".edges." not in name}
    gradients = torch.autograd.grad(loss, [*alpha.values(), *shared.values()])
    named = dict(zip([*map(str, alpha), *shared], gradients, strict=True))
    return {"loss": loss.detach(), "logits": logits.detach(), **named}


def _loss(net: SuperNet, alpha: Alpha, batch: Batch) -> tuple[Tensor, Tensor]:
    if batch.x.dtype == torch.float32:
        return relaxed_loss(net, alpha, batch, "float32")
    # relaxed_loss rounds logits to float32
    logits = net(batch.x, mixing_weights(alpha))
    return nn.functional.cross_entropy(logits, batch.y), logits


def _logits(device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    model = _final_network().to(dtype)
    x = torch.randn(8, 2, 220, dtype=dtype)
    with torch.no_grad():
        return {"logits": model.to(device).train()(x.to(device))}


def _final_network() -> nn.Module:
    arch = ConvCells(ConvCellsOptions()).sample(np.random.default_rng(0))
    torch.manual_seed(2)
    builder = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=4))
    return builder.build(arch, n_leads=2, n_samples=220, n_classes=5)


def _worst(expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> float:
    """Return the largest difference; each tensor is relative to its own largest value."""
    return max(
        float((a.cpu() - b.cpu()).abs().max() / a.cpu().abs().max().clamp_min(1e-30))
        for a, b in ((expected[name], got[name]) for name in expected)
    )


def main() -> int:
    """Print all checks; return 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    done = []
    for check in chain(checks(args.device), graph_checks(args.device)):
        result = "passed" if check.held else "FAILED"
        print(f"{check.what}: {check.difference:.1e}, limit {check.limit:.0e}: {result}")
        done.append(check)
    if args.out:
        args.out.write_text(
            json.dumps([{**asdict(c), "held": c.held} for c in done], indent=1) + "\n"
        )
    n_passed = sum(check.held for check in done)
    print(f"{n_passed} of {len(done)} checks passed")
    return int(n_passed < len(done))


if __name__ == "__main__":
    sys.exit(main())
