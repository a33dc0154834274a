"""Flash and RAM of a network in int8: counts by hand, and what onnxruntime stores."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from nasbench_ecg.api import NoOptions
from nasbench_ecg.training import flash_bytes, footprint, ram_bytes
from nasbench_ecg_cells.layers import BatchNorm, Conv, FactorizedReduction
from nasbench_ecg_tiny.network import TinyNetwork
from nasbench_ecg_tiny.options import TinyCellsOptions
from nasbench_ecg_tiny.space import TinyCells


def test_a_plain_network_by_hand():
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1, bias=False),  # [4, 64] = 256 bytes
        nn.BatchNorm1d(4),
        nn.ReLU(),
        nn.MaxPool1d(2),  # [4, 32] = 128 bytes
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    # 24 weights, 4 scales and 4 biases; 384 weights, 3 and 3; scales of beat, ReLU and linear.
    assert flash_bytes(model, 2, 64) == (24 + 4 * 8) + (384 + 3 * 8) + 3 * 5
    assert ram_bytes(model, 2, 64) == 256 + 128


def test_a_layer_without_bias_and_normalization_stores_none():
    with_bias, without = nn.Conv1d(2, 4, 3), nn.Conv1d(2, 4, 3, bias=False)
    assert flash_bytes(with_bias, 2, 64) - flash_bytes(without, 2, 64) == 4 * 4


class Residual(nn.Module):
    """Two convolutions whose input is added to their output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Conv(2, 2, 3), Conv(2, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))) + x


def test_a_shortcut_keeps_its_tensor_alive():
    # At the second convolution: the input, which is added later, the convolution's input and output
    assert ram_bytes(Residual(), 2, 50) == 3 * 100


def test_element_wise_operations_need_no_second_tensor_unless_it_is_read_again():
    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(x).clamp(0.1) * x

    assert ram_bytes(nn.Sequential(nn.ReLU(), nn.Tanh()), 2, 50) == 100
    assert ram_bytes(Gate(), 2, 50) == 3 * 100


def test_normalization_is_folded_into_the_layers_before_it():
    folded = flash_bytes(nn.Sequential(Conv(2, 4, 1), BatchNorm(4)), 2, 50)
    assert folded == (8 + 4 * 8) + 2 * 5
    # Of two convolutions whose outputs are concatenated: ReLU and concatenation have a scale too
    assert flash_bytes(FactorizedReduction(2, 4), 2, 50) == 2 * (4 + 2 * 8) + 5 * 5
    alone = flash_bytes(nn.Sequential(nn.ReLU(), BatchNorm(2)), 2, 50)
    assert alone == 2 * 8 + 3 * 5


@pytest.mark.parametrize("layers", [(Conv, BatchNorm), (Conv,), (BatchNorm,)])
def test_relu_in_place_needs_the_same(layers):
    def build(in_place):
        made = [Conv(2, 2, 3) if layer is Conv else BatchNorm(2) for layer in layers]
        return nn.Sequential(*made, nn.ReLU(inplace=in_place), Conv(2, 2, 3), nn.ReLU(in_place))

    assert footprint(build(True), 2, 50) == footprint(build(False), 2, 50)


ACTIVATIONS = (
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid",
    "Hardsigmoid", "Hardswish", "Hardtanh", "Tanh", "Softplus", "LogSigmoid", "Hardshrink",
    "Softshrink",
)  # fmt: skip


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_need_no_second_buffer_whatever_the_release_of_pytorch(
    name, tagged, monkeypatch
):
    if not tagged:  # PyTorch 2.11 does not tag leaky_relu
        monkeypatch.setattr("nasbench_ecg.training.int8._POINTWISE", None)
    assert ram_bytes(getattr(nn, name)(), 2, 50) == 100


def test_a_tensor_that_is_no_parameter_is_a_constant():
    class Window(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.window = torch.hann_window(50)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.window

    assert flash_bytes(Window(), 2, 50) == 50 * 4 + 2 * 5
    assert ram_bytes(Window(), 2, 50) == 100


def test_further_outputs_and_truth_values_take_memory_if_they_are_read():
    class Spread(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            variance, mean = torch.var_mean(x, dim=2)
            return torch.cat([variance, mean], dim=1)

    class Mean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.var_mean(x, dim=2)[1]

    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            above = x > x.mean(dim=2, keepdim=True)
            return torch.where(above, x, -x)

    assert ram_bytes(Mean(), 2, 50) == 100 + 2 * 2
    assert ram_bytes(Spread(), 2, 50) == 100 + 2 * 2
    # at the last operation: truth values, x, -x, and the result; only numbers have a scale
    assert ram_bytes(Masked(), 2, 50) == 4 * 100
    assert flash_bytes(Masked(), 2, 50) == 4 * 5


def test_what_a_network_does_not_use_takes_no_memory():
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = Conv(2, 2, 3), Conv(2, 2, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    assert flash_bytes(Half(), 2, 50) == (12 + 2 * 4) + 2 * 5


def test_a_layer_used_twice_is_stored_once():
    layer = Conv(2, 2, 3)
    assert flash_bytes(nn.Sequential(layer, layer), 2, 50) == (12 + 2 * 4) + 3 * 5


class Steps(nn.Module):
    """A recurrent layer, or a cell for each sample, over beats [batch, leads, samples]."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        if isinstance(self.layer, nn.RNNBase):
            return self.layer(x)[0][:, -1]
        state = None
        for sample in x.unbind(1):
            state = self.layer(sample, state)
        return state[0] if isinstance(state, tuple) else state


class Packed(Steps):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        samples = pack_padded_sequence(x.transpose(1, 2), [x.shape[2]], batch_first=True)
        return self.layer(samples)[0].data.mean(0, keepdim=True)


LAYERS = {
    "lstm": lambda: Steps(nn.LSTM(2, 6, batch_first=True)),
    "two directions": lambda: Steps(nn.LSTM(2, 6, 2, batch_first=True, bidirectional=True)),
    "gru": lambda: Steps(nn.GRU(2, 6, batch_first=True)),
    "rnn": lambda: Steps(nn.RNN(2, 6, batch_first=True)),
    "packed": lambda: Packed(nn.GRU(2, 6, batch_first=True)),
    "lstm cell": lambda: Steps(nn.LSTMCell(2, 6)),
    "gru cell": lambda: Steps(nn.GRUCell(2, 6)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_all_steps_of_a_recurrent_layer_share_their_scales(name):
    first, *others = (flash_bytes(LAYERS[name](), 2, n) for n in (7, 9, 40))
    assert others == [first, first]


def test_a_recurrent_layer_by_hand():
    # 12 and 36 weights, 6 scales and 6 biases of both products. Scales of the beat and the first
    # state; of the samples' product without and with biases; of a step's product, sum and tanh; of
    # the last state, and of the outputs before and after their axes are exchanged.
    layer = nn.RNN(2, 6, batch_first=True)
    assert flash_bytes(Steps(layer), 2, 40) == (12 + 36 + 4 * 24) + (2 + 2 + 3 + 3) * 5


class Product(nn.Module):
    """A product of weights with the leads of each sample."""

    def __init__(self, equation: str, *shape: int) -> None:
        super().__init__()
        self.equation, self.weight = equation, nn.Parameter(torch.ones(shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.equation == "vector":
            return x.transpose(1, 2) @ self.weight
        return torch.einsum(self.equation, *sorted([self.weight, x], key=torch.Tensor.dim))


@pytest.mark.parametrize("n", [50, 200])
@pytest.mark.parametrize(
    ("product", "channels"),
    [
        (("oc,bct->bot", 8, 2), 8),
        (("co,bct->bto", 2, 8), 8),
        (("oc,bct->bto", 8, 2), 8),
        (("vector", 2), 1),
    ],
)
def test_a_product_with_weights_is_a_linear_layer_of_its_channels(product, channels, n):
    assert flash_bytes(Product(*product), 2, n) == channels * (2 + 4) + 2 * 5


def test_a_bilinear_layer_by_hand():
    class Leads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Bilinear(50, 50, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x[:, 0], x[:, 1])

    assert flash_bytes(Leads(), 2, 50) == 3 * 50 * 50 + 3 * (4 + 4) + 3 * 5  # the sum with biases


def test_the_model_keeps_its_state():
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    footprint(model, 2, 64)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def _randomize_statistics(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)


def _bytes_stored_by_onnxruntime(model: nn.Module, folder) -> int:
    """Return the bytes of weights, biases and scales, without those that follow from others."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    quantization = pytest.importorskip("onnxruntime.quantization")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Calibration(quantization.CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(0)
            self.batches = iter(rng.normal(size=(2, 2, 2, 300)).astype(np.float32))

        def get_next(self):
            batch = next(self.batches, None)
            return None if batch is None else {"beats": batch}

    plain, folded, quantized = (str(folder / f"{name}.onnx") for name in "abc")
    example = (torch.randn(2, 2, 300),)
    torch.onnx.export(
        model.eval(),
        example,
        plain,
        dynamo=True,
        verbose=False,
        external_data=False,
        input_names=["beats"],
    )
    quant_pre_process(plain, folded, skip_symbolic_shape=True)
    quantization.quantize_static(
        folded,
        quantized,
        Calibration(),
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QInt8,
    )
    total = 0
    for stored in onnx.load(quantized).graph.initializer:
        array = onnx.numpy_helper.to_array(stored)
        shapes = array.dtype == np.int64
        zeros = stored.name.endswith("_zero_point") and (array.ndim or array.dtype == np.int32)
        scale_of_bias = "bias" in stored.name and stored.name.endswith("_scale")
        if not (shapes or zeros or scale_of_bias):
            total += array.nbytes
    return total


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 3])
def test_flash_is_what_onnxruntime_stores(tmp_path, seed):
    arch = TinyCells(TinyCellsOptions()).sample(np.random.default_rng(seed))
    model = TinyNetwork(NoOptions()).build(arch, n_leads=2, n_samples=300, n_classes=4)
    _randomize_statistics(model)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = _bytes_stored_by_onnxruntime(model, tmp_path)
    logging.disable(before)
    assert flash_bytes(model, 2, 300) == stored
