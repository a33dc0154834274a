"""Times of a search step and of a final training step, in every implementation and precision."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import Target, in_turns, relative
from torch import Tensor, nn

from nasbench_ecg.api import Architecture
from nasbench_ecg.run.record_files import read_records
from nasbench_ecg.training import (
    GraphedStep,
    Precision,
    Recipe,
    arithmetic,
    training_step,
    weight_optimizer,
)
from nasbench_ecg_cells import layers, network
from nasbench_ecg_cells.options import (
    OPERATIONS,
    ConvCellsOptions,
    StackedCellsShortcutOptions,
)
from nasbench_ecg_cells.space import ConvCells
from nasbench_ecg_darts import supernet
from nasbench_ecg_darts.architect import Batch, first_order, relaxed_loss
from nasbench_ecg_darts.edges import MergedEdges, plain_to_merged
from nasbench_ecg_darts.matrix_edges import MatrixEdges
from nasbench_ecg_darts.relaxation import initial_alpha, mixing_weights
from nasbench_ecg_darts.supernet import PlainEdges, SuperNet

RESULTS = Path(__file__).resolve().parents[2] / "results"

WIDTHS = {"paper": (8, 16), "quick": (5, 8), "smoke": (3, 2)}
"""Cells and channels of the search network."""

FINAL = {"paper": (15, 16), "quick": (6, 8), "smoke": (6, 2)}
"""Cells and channels of the final network."""

BATCHES = {"paper": (100, 256), "quick": (100, 256), "smoke": (4, 4)}
"""Beats per step of the search and of the final training."""


@contextmanager
def one_dimensional() -> Iterator[None]:
    """Run networks on [batch, channels, samples] without change of layout, as is usual."""

    def identity(x: Tensor) -> Tensor:
        return x

    supernet.to_fast_layout, network.to_fast_layout = identity, identity  # type: ignore[assignment]
    try:
        yield
    finally:
        supernet.to_fast_layout = network.to_fast_layout = layers.to_fast_layout


def supernet_step(size: str, device: str, *, bf16: bool) -> Target:
    """Time one step of α and one of the weights, with the plain and the merged supernet."""
    cells, channels = WIDTHS[size]
    n = BATCHES[size][0]
    torch.manual_seed(0)

    def build(edges: type[nn.Module]) -> SuperNet:
        return SuperNet(
            edges, operations=OPERATIONS, nodes=4, cells=cells, channels=channels,
            stem_filters=32, n_leads=2, n_classes=5,
        ).to(device)  # fmt: skip

    plain, merged = build(PlainEdges), build(MergedEdges)
    product = build(MatrixEdges) if device == "cuda" else None
    plain_to_merged(plain, merged)
    alpha = initial_alpha(4, len(OPERATIONS), device)
    batches = [
        Batch(torch.randn(n, 2, 300, device=device), torch.randint(5, (n,), device=device))
        for _ in range(3)
    ]
    with arithmetic(device, "float32"):
        difference, rounding = _agreement(plain, merged, alpha, batches)

    def step(net: SuperNet, precision: Precision, x: Tensor, y: Tensor) -> None:
        optimizer, batch = optimizers[net], Batch(x, y)
        loss, _ = relaxed_loss(net, alpha, batch, precision)
        first_order(loss, alpha)
        optimizer.zero_grad(set_to_none=True)
        fixed = {name: value.detach() for name, value in alpha.items()}
        relaxed_loss(net, fixed, batch, precision)[0].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()

    nets = (plain, merged) if product is None else (plain, merged, product)
    optimizers = {net: weight_optimizer(net, Recipe(lr=0.0)) for net in nets}

    def plain_step() -> None:
        with one_dimensional(), arithmetic(device, "float32"):
            step(plain, "float32", batches[0].x, batches[0].y)

    ways = {"plain, 1-D, float32": plain_step}
    for name, precision, graphs in execution_modes(device, bf16=bf16):
        call = partial(step, merged, precision)
        ways[f"merged, {name}"] = step_call(call, batches[0], device, precision, graphs=graphs)
        if product is not None:
            call = partial(step, product, precision)
            ways[f"products, {name}"] = step_call(
                call, batches[0], device, precision, graphs=graphs
            )
    seconds = in_turns(ways, rounds=3, device=device)
    least = 10 if device == "cuda" else 2
    names = list(seconds)
    return Target(
        what=f"α + weight step, {size} search network (C{channels}, {cells} cells), {n} beats",
        target=f"≥ {least}× plain, equal to 1e-4",
        seconds=seconds,
        same=f"loss and ∇α of both differ by {difference:.0e} in float64; rounding to float32 "
        f"changes plain by {rounding['plain']:.0e}, merged by {rounding['merged']:.0e}, "
        f"merged in the layout used by {rounding['merged, layout used']:.0e}",
        held=seconds[names[0]] / min(seconds[n] for n in names[1:]) >= least
        and difference < 1e-10
        and rounding["merged"] < max(1e-4, 2 * rounding["plain"]),
    )


def execution_modes(device: str, *, bf16: bool) -> list[tuple[str, Precision, bool]]:
    """Return name, precision and use of a CUDA graph of every way to run a step on a device."""
    precisions: list[Precision] = ["float32", "bf16"] if bf16 else ["float32"]
    if device != "cuda":
        return [(precision, precision, False) for precision in precisions]
    precisions.insert(1, "tf32")
    return [
        (f"{precision}, {'graph' if graphs else 'eager'}", precision, graphs)
        for precision in precisions
        for graphs in (False, True)
    ]


def step_call(
    step: Callable[[Tensor, Tensor], None],
    batch: Batch,
    device: str,
    precision: Precision,
    *,
    graphs: bool,
) -> Callable[[], None]:
    """Return a function that runs ``step`` on ``batch``, from a CUDA graph if ``graphs``."""
    graphed = GraphedStep(step, batch.x.clone(), batch.y.clone(), enabled=graphs)

    def call() -> None:
        with arithmetic(device, precision):
            graphed(batch.x, batch.y)

    return call


def _agreement(
    plain: SuperNet, merged: SuperNet, alpha: dict[supernet.CellName, Tensor], batches: list[Batch]
) -> tuple[float, dict[str, float]]:
    """Return the difference of both forms in float64, and that of float32 from float64 for each.

    Rounding can move a value to the other side of a kink (ReLU, maxima), so two forms in float32
    are not closer to each other than each is to float64. On a CPU the merged form is measured both
    in the layout of the plain form and in the layout that it uses.

    Returns:
        The largest difference of both forms over the batches, and the medians of the effect of
        rounding.
    """
    differences: list[float] = []
    rounding: dict[str, list[float]] = {"plain": [], "merged": [], "merged, layout used": []}
    alpha64 = {name: value.detach().double().requires_grad_() for name, value in alpha.items()}
    for batch in batches:
        batch64 = Batch(batch.x.double(), batch.y)
        with one_dimensional():
            exact = _gradients(copy.deepcopy(plain).double(), alpha64, batch64)
            for name, net in (("plain", plain), ("merged", merged)):
                rounding[name].append(_largest_difference(exact, _gradients(net, alpha, batch)))
        rounding["merged, layout used"].append(
            _largest_difference(exact, _gradients(merged, alpha, batch))
        )
        differences.append(
            _largest_difference(exact, _gradients(copy.deepcopy(merged).double(), alpha64, batch64))
        )
    return max(differences), {name: median(values) for name, values in rounding.items()}


def _largest_difference(expected: tuple[Tensor, ...], got: tuple[Tensor, ...]) -> float:
    return max(relative(a, b.to(a.dtype)) for a, b in zip(expected, got, strict=True))


def _gradients(
    net: SuperNet, alpha: dict[supernet.CellName, Tensor], batch: Batch
) -> tuple[Tensor, ...]:
    """Return the loss and its gradient in α."""
    loss = nn.functional.cross_entropy(net(batch.x, mixing_weights(alpha)), batch.y)
    return loss.detach(), *first_order(loss, alpha)


@dataclass(frozen=True)
class Rate:
    """The arithmetic rate of a call, compared with that of a large float32 matrix product.

    Attributes:
        flop: Floating-point operations of the call.
        seconds: Median wall times of the product and of the call, measured in turns.
        n: Rows and columns of the product.
    """

    flop: int
    seconds: dict[str, float]
    n: int

    @classmethod
    def of(cls, call: Callable[[], None], device: str) -> Rate:
        """Measure the rate of ``call``."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            call()
        n = 8192 if device == "cuda" else 2048
        a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
        with arithmetic(device, "float32"):
            ways = {"matrix product": lambda: a @ b, "pass": call}
            seconds = in_turns(ways, rounds=3, device=device)
        return cls(counter.get_total_flops(), seconds, n)

    @property
    def figures(self) -> dict[str, float]:
        """FLOP, and FLOP/s of the call and of the product."""
        return {
            "flop": self.flop,
            "achieved": self.flop / self.seconds["pass"],
            "matrix_product": 2 * self.n**3 / self.seconds["matrix product"],
        }

    @property
    def note(self) -> str:
        """The rate of the call relative to that of the product, in words."""
        achieved, peak = self.figures["achieved"], self.figures["matrix_product"]
        return (
            f"{achieved / 1e9:.0f} GFLOP/s of {peak / 1e9:.0f} in a float32 matrix product of "
            f"{self.n}: {achieved / peak:.0%}"
        )


def random_cells() -> Architecture:
    """Return random cells of ``conv-cells``, the same on every call."""
    return ConvCells(ConvCellsOptions()).sample(np.random.default_rng(0))


def found_cells() -> dict[str, Architecture]:
    """Return the cells that ``darts`` found in the committed runs on mitbih-2lead, by description.

    They have more and longer convolutions than random cells, as the final networks of the paper do.
    """
    records, _ = read_records(RESULTS, "heart-darts")
    return {
        f"cells that darts found, seed {record.search_seed}": Architecture.from_dict(
            record.architecture
        )
        for record in sorted(records, key=lambda record: record.search_seed)
        if record.strategy == "darts"
        and record.components["builder"].name == "stacked-cells-shortcut"
        and record.dataset_name == "mitbih-2lead"
        and record.architecture is not None
    }


def final_network(size: str, device: str, arch: Architecture) -> tuple[nn.Module, Tensor, Tensor]:
    """Return a final network of these cells, beats [n, 2, 300] and their classes [n]."""
    cells, channels = FINAL[size]
    n = BATCHES[size][1]
    torch.manual_seed(0)
    options = StackedCellsShortcutOptions(cells=cells, channels=channels)
    builder = network.StackedCellsShortcut(options)
    model = builder.build(arch, n_leads=2, n_samples=300, n_classes=5).to(device).train()
    return model, torch.randn(n, 2, 300, device=device), torch.randint(5, (n,), device=device)


def network_name(size: str) -> str:
    """Return a final network's name with its cells and channels."""
    cells, channels = FINAL[size]
    return f"{size} network ({cells} cells, C{channels})"


def trainings(size: str, device: str, *, bf16: bool) -> list[Target]:
    """Time training steps of random cells, and of the cells that ``darts`` found."""
    cells = {"random cells": random_cells(), **found_cells()}
    return [training(size, device, arch, name, bf16=bf16) for name, arch in cells.items()]


def training(size: str, device: str, arch: Architecture, cells: str, *, bf16: bool) -> Target:
    """Time a final training step: in plain 1-D float32, and in every mode that runs use."""
    model, x, y = final_network(size, device, arch)
    with one_dimensional(), torch.no_grad():
        expected = model(x)
    with torch.no_grad():
        worst = relative(expected, model(x))

    def step(precision: Precision, x: Tensor, y: Tensor) -> None:
        recipe = Recipe(lr=0.0, precision=precision)
        training_step(model, optimizer, x, y, recipe=recipe)

    def plain_step() -> None:
        with one_dimensional(), arithmetic(device, "float32"):
            step("float32", x, y)

    optimizer = weight_optimizer(model, Recipe(lr=0.0))
    ways = {"plain, 1-D, float32": plain_step}
    for name, precision, graphs in execution_modes(device, bf16=bf16):
        call = partial(step, precision)
        ways[name] = step_call(call, Batch(x, y), device, precision, graphs=graphs)
    seconds = in_turns(ways, rounds=4, settling=3, device=device)
    reference, *others = seconds.values()
    rate = Rate.of(partial(step, "float32", x, y), device)
    return Target(
        what=f"final training step, {network_name(size)}, {cells}, {len(y)} beats",
        target="≥ 2× plain" if device == "cpu" else "",
        seconds=seconds,
        same=f"outputs in float32 differ by {worst:.1e}",
        held=reference / min(others) >= 2 if device == "cpu" else None,
        note=f"float32: {rate.note}",
        figures=rate.figures,
    )


def compiled(size: str, device: str) -> Target:
    """Time a final training step with and without ``torch.compile``."""
    from torch._inductor import config as inductor

    model, x, y = final_network(size, device, random_cells())
    recipe = Recipe(lr=0.0)
    optimizer = weight_optimizer(model, recipe)
    faster = torch.compile(model, dynamic=False)
    started = time.perf_counter()
    with inductor.patch(force_disable_caches=True):
        training_step(faster, optimizer, x, y, recipe=recipe)
    first = time.perf_counter() - started
    ways = {
        "without": lambda: training_step(model, optimizer, x, y, recipe=recipe),
        "torch.compile": lambda: training_step(faster, optimizer, x, y, recipe=recipe),
    }
    seconds = in_turns(ways, settling=4, device=device)
    plain, quick = seconds.values()
    gain = f"{first / (plain - quick):,.0f} steps" if quick < plain else "never"
    return Target(
        what=f"torch.compile, final training step, {network_name(size)}",
        target="",
        seconds=seconds,
        note=f"the first step takes {first:.0f} s; saved again after: {gain}",
        figures={"first_step": first},
    )


def roofline(device: str) -> Target:
    """Compare the arithmetic rate of the merged supernet with that of a large matrix product."""
    cells, channels = WIDTHS["paper"]
    torch.manual_seed(0)
    net = SuperNet(
        MergedEdges, operations=OPERATIONS, nodes=4, cells=cells, channels=channels,
        stem_filters=32, n_leads=2, n_classes=5,
    ).to(device)  # fmt: skip
    alpha = initial_alpha(4, len(OPERATIONS), device)
    batch = Batch(torch.randn(100, 2, 300, device=device), torch.randint(5, (100,), device=device))

    def forward_backward() -> None:
        relaxed_loss(net, alpha, batch, "float32")[0].backward()  # type: ignore[no-untyped-call]

    rate = Rate.of(forward_backward, device)
    return Target(
        what="roofline: forward and backward pass of the paper's search network, 100 beats",
        target="",
        seconds=rate.seconds,
        note=rate.note,
        figures=rate.figures,
    )
