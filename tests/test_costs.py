"""Costs of a network: trainable parameters, multiply-accumulates, float32 latency."""

from __future__ import annotations

import copy
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch
from tiny_beats import tiny_beats
from torch import nn
from torch.nn.utils.parametrizations import orthogonal, spectral_norm, weight_norm

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Task
from nasbench_ecg.training import costs
from nasbench_ecg_cells.network import StackedCellsShortcut
from nasbench_ecg_cells.options import ConvCellsOptions, StackedCellsShortcutOptions
from nasbench_ecg_cells.space import ConvCells

ARCH = Architecture(
    "conv-cells",
    {name: [[["max-pool-3", 0], ["max-pool-3", 1]]] for name in ("normal", "reduction")},
)
BUILDER = StackedCellsShortcut(StackedCellsShortcutOptions(cells=6, channels=2, stem_filters=4))
TASK = Task(tiny_beats(4), tiny_beats(4), ("N",))


class Flat(nn.Module):
    """A linear layer on the samples of a beat, and a frozen one that is added to it."""

    def __init__(self, n_leads: int, n_samples: int) -> None:
        super().__init__()
        self.learned = nn.Linear(n_leads * n_samples, 3)
        self.frozen = nn.Linear(n_leads * n_samples, 3).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.learned(x.flatten(1)) + self.frozen(x.flatten(1))


class FlatBuilder:
    def build(self, arch, *, n_leads, n_samples, n_classes):
        return Flat(n_leads, n_samples)


def test_where_the_system_does_not_tell_the_peak_memory_it_is_left_out(monkeypatch):
    everything = costs.measure_costs(ARCH, TASK, BUILDER, "cpu")
    monkeypatch.setattr(costs, "resource", None)
    without = costs.measure_costs(ARCH, TASK, BUILDER, "cpu")
    assert set(everything) - set(without) == {"peak_memory_mb"}


@pytest.mark.slow
def test_without_the_module_resource_every_module_can_be_imported():
    # as on Windows
    code = (
        "import sys; sys.modules['resource'] = None\n"
        "import nasbench_ecg.training, nasbench_ecg.run.runner, nasbench_ecg.suite.runner\n"
        "from nasbench_ecg.cli import app\n"
        "app(['plugin', 'list', '--verify'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Problem" not in done.stdout


def test_costs_of_a_cell_network_match_a_count_by_hand():
    ConvCells(ConvCellsOptions(nodes=1, operations=("skip", "max-pool-3"))).validate(ARCH)
    names = ["parameters", "macs", "latency"]
    measured = costs.network_costs(ARCH, TASK, BUILDER, device="cpu", names=names)
    # Stem 2·4·5 + 8. A cell's two 1x1 convolutions of its inputs, with scale and shift: inputs of
    # 4+4, 4+2, 2+2, 2+4, 4+4, 4+8 channels to 2, 2, 4, 4, 8, 8. Classifier 8·3 + 3.
    stem, head = 48, 27
    cells = sum((a + b) * c + 4 * c for a, b, c in
                [(4, 4, 2), (4, 2, 2), (2, 2, 4), (2, 4, 4), (4, 4, 8), (4, 8, 8)])  # fmt: skip
    assert measured["parameters"] == stem + cells + head
    # Beats of 64 samples: stem at 32, then pooled to 16; 8 from the third cell, 4 from the fifth.
    # A cell after a reduction halves its first input, which is twice as long.
    macs = 32 * 4 * 2 * 5 + 8 * 3
    macs += sum(n * (a + b) * c for n, a, b, c in
                [(16, 4, 4, 2), (16, 4, 2, 2), (16, 2, 2, 4), (8, 2, 4, 4), (8, 4, 4, 8),
                 (4, 4, 8, 8)])  # fmt: skip
    assert measured["macs"] == macs
    assert measured["latency"] > 0


def test_parameters_are_the_trainable_ones_and_macs_those_of_the_whole_network():
    recorded = costs.measure_costs(None, TASK, FlatBuilder(), "cpu")
    samples = TASK.n_leads * TASK.n_samples
    assert recorded["parameters"] == samples * 3 + 3
    assert recorded["macs"] == 2 * samples * 3
    for name in ("parameters", "macs"):
        limited = costs.network_costs(None, TASK, FlatBuilder(), device="cpu", names=[name])
        assert limited == {name: recorded[name]}
    assert set(recorded) == {
        "parameters", "macs", "flash_bytes", "ram_bytes", "latency_1_ms", "latency_256_ms",
        "peak_memory_mb",
    }  # fmt: skip


class Recurrent(nn.Module):
    """An LSTM over the samples, and a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(2, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, (state, _) = self.lstm(x.transpose(1, 2))
        return self.last(state[-1])


class Attentive(nn.Module):
    """A transformer layer over the samples, and a linear layer on their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 1, dim_feedforward=5, batch_first=True)
        self.last = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.layer(x.transpose(1, 2)).mean(dim=1))


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        # a sample: four gates of 6 units from 2 leads and 6 units
        (Recurrent, 64 * 4 * 6 * (2 + 6) + 6 * 3),
        # a sample: three projections and that of the output, 2 × 2, then 2 to 5 to 2;
        # a pair of samples: its weight, and the weighted sum
        (Attentive, 64 * (4 * 2 * 2 + 2 * 2 * 5) + 64 * 64 * (2 + 2) + 2 * 3),
    ],
)
def test_recurrent_layers_and_attention_count(model, macs):
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    assert costs.count_macs(model(), 2, 64) == macs
    memory = costs.footprint(model(), 2, 64)
    assert memory.flash_bytes > costs.count_parameters(model()) - 64 and memory.ram_bytes > 128
    assert torch.backends.mkldnn.enabled and torch.backends.mha.get_fastpath_enabled() == (
        fast_attention
    )


class Products(nn.Module):
    """Products with vectors, of which PyTorch's counter knows none."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.vector = nn.Parameter(torch.ones(7, 64)), nn.Parameter(torch.ones(64))
        self.added, self.bilinear = nn.Parameter(torch.ones(7)), nn.Bilinear(64, 64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x[0, 0]
        both = torch.addmv(self.added, self.matrix, first).sum() + torch.dot(first, self.vector)
        added = torch.addbmm(first.new_zeros(2, 2), x, x.transpose(1, 2)).sum()
        return self.bilinear(x[:, 0], x[:, 1]) + both + (x @ self.vector).sum() + added


def test_products_with_vectors_and_bilinear_layers_count():
    matrix_vector, dot, rows, square, bilinear = 7 * 64, 64, 2 * 64, 2 * 2 * 64, 3 * 64 * 64
    expected = matrix_vector + dot + rows + square + bilinear
    assert costs.count_macs(Products(), 2, 64) == expected


@pytest.mark.parametrize("parametrize", [weight_norm, spectral_norm, orthogonal])
def test_parametrized_weights_cost_what_stored_ones_cost(parametrize):
    plain = nn.Sequential(nn.Conv1d(2, 8, 5), nn.Flatten(), nn.Linear(8 * 60, 3))
    made = copy.deepcopy(plain)
    parametrize(made[0])
    parametrize(made[2])
    assert costs.count_macs(made, 2, 64) == 60 * 8 * 2 * 5 + 8 * 60 * 3
    assert costs.footprint(made, 2, 64) == costs.footprint(plain, 2, 64)
    assert costs.latency(made, 2, 64, "cpu", repeats=1) > 0


@pytest.mark.parametrize(("asked", "used"), [({}, "float32"), ({"precision": "bf16"}, "bf16")])
def test_latency_is_measured_in_float32_unless_asked_otherwise(monkeypatch, asked, used):
    entered = []

    @contextmanager
    def arithmetic(device, precision):
        entered.append((device, precision))
        yield

    monkeypatch.setattr(costs, "arithmetic", arithmetic)
    dtypes = []
    model = Flat(2, 64)
    model.learned.register_forward_hook(lambda _, __, out: dtypes.append(out.dtype))
    assert costs.latency(model, 2, 64, "cpu", repeats=2, **asked) > 0
    assert entered == [("cpu", used)]
    assert set(dtypes) == {torch.bfloat16 if used == "bf16" else torch.float32}


def test_costs_leave_torchs_generator_as_it_was():
    before = torch.get_rng_state()
    costs.network_costs(ARCH, TASK, BUILDER, device="cpu", names=["parameters"])
    assert torch.equal(torch.get_rng_state(), before)
