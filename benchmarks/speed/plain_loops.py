"""Training of any network against a plain PyTorch loop, and loading against one by hand."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from measure import Target, in_turns
from networks import random_cells
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from nasbench_ecg.api import Silent
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import MissingDataError
from nasbench_ecg.plugin.registry import load_registry
from nasbench_ecg.signal.aami import symbol_map
from nasbench_ecg.training import Recipe, training_step, weight_optimizer
from nasbench_ecg_baselines import cnn, resnet
from nasbench_ecg_cells import layers, network
from nasbench_ecg_cells.options import StackedCellsShortcutOptions

SIZES = {"n_leads": 2, "n_samples": 300, "n_classes": 5}


class Stranger(nn.Sequential):
    """A residual-free network of 16 to 32 channels, as a plugin's author may write it."""

    def __init__(self) -> None:
        blocks: list[nn.Module] = []
        for c_in, c_out, kernel in ((2, 16, 7), (16, 16, 9), (16, 32, 9), (32, 32, 17)):
            blocks += [nn.Conv1d(c_in, c_out, kernel, padding="same"), nn.BatchNorm1d(c_out)]
            blocks += [nn.ReLU(), nn.MaxPool1d(2)]
        super().__init__(*blocks, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(32, 5))


def _cells() -> nn.Module:
    options = StackedCellsShortcutOptions(cells=9, channels=8)
    return network.StackedCellsShortcut(options).build(random_cells(), **SIZES)


NETWORKS = {
    "cnn-9": lambda: cnn.Cnn(cnn.CNN_9, **SIZES),
    "cnn-11": lambda: cnn.Cnn(cnn.CNN_11, **SIZES),
    "resnet-31": lambda: resnet.ResNet31(**SIZES),
    "random cells, 9 cells, C8": _cells,
    "a stranger's network": Stranger,
}


def any_network() -> list[Target]:
    """Time a step of every network against a loop with a DataLoader, on the CPU."""
    return [_against_loop(name) for name in NETWORKS]


def _against_loop(name: str) -> Target:
    torch.manual_seed(0)
    plain = NETWORKS[name]().train()
    ours = copy.deepcopy(plain)
    x, y = torch.randn(2560, 2, 300), torch.randint(5, (2560,))
    recipe = Recipe(lr=0.0)
    optimizer = weight_optimizer(ours, recipe)
    batches = torch.split(torch.randperm(len(x)), recipe.batch_size)
    position = iter(range(10**9))
    loop = _plain_steps(plain, x, y, recipe)

    def step() -> None:
        batch = batches[next(position) % len(batches)]
        training_step(ours, optimizer, x[batch], y[batch], recipe=recipe)

    seconds = in_turns({"loop": lambda: next(loop), "ours": step}, rounds=6, settling=4)
    return Target(
        what=f"training step, {name}, {recipe.batch_size} beats, against a loop with a DataLoader",
        target="≥ 2× the loop",
        seconds=seconds,
        held=seconds["loop"] / seconds["ours"] >= 2,
    )


def _plain_steps(model: nn.Module, x: Tensor, y: Tensor, recipe: Recipe) -> Iterator[None]:
    """Train in one dimension, as is usual: one step for each value that is taken."""
    optimizer = torch.optim.SGD(
        model.parameters(), recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    loader = DataLoader(TensorDataset(x, y), batch_size=recipe.batch_size, shuffle=True)
    while True:
        for signals, labels in loader:
            with _one_dimensional():
                optimizer.zero_grad()
                cross_entropy(model(signals), labels).backward()
                nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
                optimizer.step()
            yield


@contextmanager
def _one_dimensional() -> Iterator[None]:
    """Keep the layout [batch, channels, samples] inside the block."""
    modules: tuple[Any, ...] = (cnn, resnet, network)
    try:
        for module in modules:
            module.to_fast_layout = lambda x: x
        yield
    finally:
        for module in modules:
            module.to_fast_layout = layers.to_fast_layout


def loading_by_hand() -> Target | None:
    """Time loading the 40 records against a loop with wfdb and PyWavelets; None without records."""
    component = load_registry().get("dataset", "mitbih-2lead")
    options = component.options_model()()
    source = LocalSource()
    try:
        folder = source.folder("mitdb")
        beats = component.create(options).load(source, Silent())
    except MissingDataError:
        return None
    worst = float(np.abs(_by_hand(folder, options) - beats.signals).max())
    seconds = in_turns(
        {
            "loop": lambda: _by_hand(folder, options),
            "ours": lambda: component.create(options).load(source, Silent()),
        },
        rounds=3,
        settling=0,
    )
    return Target(
        what="40 records to beats, without a cache, against a loop with wfdb and PyWavelets",
        target="≥ 2× the loop",
        seconds=seconds,
        same=f"signals differ by at most {worst:.0e}",
        held=seconds["loop"] / seconds["ours"] >= 2,
    )


def _by_hand(folder, options) -> np.ndarray:  # type: ignore[no-untyped-def]
    import pywt
    import wfdb

    known = symbol_map(options.symbols)
    parts = []
    for name in options.used_records:
        record = wfdb.rdrecord(str(folder / name))
        marks = wfdb.rdann(str(folder / name), "atr")
        order = [record.sig_name.index(lead) for lead in options.leads if lead in record.sig_name]
        order += [i for i in range(2) if i not in order]
        filtered = []
        for lead in record.p_signal.T[order]:
            parts_of = pywt.wavedec(lead, "db5", level=9)
            sigma = np.median(np.abs(parts_of[-1])) / 0.6745
            limit = sigma * np.sqrt(2 * np.log(len(lead)))
            kept = [pywt.threshold(detail, limit, "soft") for detail in parts_of[1:-2]]
            zero = [np.zeros_like(detail) for detail in parts_of[-2:]]
            filtered.append(pywt.waverec([parts_of[0], *kept, *zero], "db5")[: len(lead)])
        signal = np.stack(filtered)
        used = slice(options.head, len(marks.sample) - options.tail)
        peaks = [
            peak
            for peak, symbol in zip(marks.sample[used], marks.symbol[used], strict=True)
            if symbol in known and peak >= options.before and peak + options.after < signal.shape[1]
        ]
        windows = np.stack(
            [signal[:, peak - options.before : peak + options.after + 1] for peak in peaks]
        )
        mean, deviation = windows.mean(-1, keepdims=True), windows.std(-1, keepdims=True)
        parts.append(((windows - mean) / deviation).astype(np.float32))
    return np.concatenate(parts)
