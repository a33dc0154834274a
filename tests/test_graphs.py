"""Steps that are replayed give what steps give; a stand-in for CUDA records them on the CPU."""

from __future__ import annotations

import warnings

import pytest
import torch
from test_engine import tiny_network
from tiny_beats import tiny_beats
from torch import nn

from nasbench_ecg.progress import Silent
from nasbench_ecg.training import graphs
from nasbench_ecg.training.engine import Recipe, fit
from nasbench_ecg.training.graphs import WARMUP, GraphedStep, rate_from
from nasbench_ecg.training.precision import arithmetic, autocast, uses_tensor_cores


class Tape:
    """Records a step as CUDA does: without taking it, with its result in one place ever after."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.taken_aside = self.recorded = self.replayed = 0

    def warm_up(self, step):
        self.taken_aside += 1
        return step()

    def capture(self, step):
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded += 1
        place = [torch.zeros(())]

        def replay():
            self.replayed += 1
            result = step()
            if result is not None:
                place[0].copy_(result)

        return replay, place[0]


@pytest.fixture
def tape(monkeypatch):
    made = Tape()
    monkeypatch.setattr(graphs, "recorder_for", lambda device: made)
    return made


def running_sum(*examples):
    """Return a step that adds its input to a total and returns it, and the total."""
    total = torch.zeros(())

    def step(x):
        return total.add_(x.sum()).clone()

    return GraphedStep(step, *examples), total


def test_every_call_takes_one_step_before_and_after_the_recording(tape):
    step, total = running_sum(torch.zeros(2))
    results = [float(step(torch.full((2,), float(i)))) for i in range(8)]
    assert results == [0, 2, 6, 12, 20, 30, 42, 56]
    assert float(total) == 56
    assert (tape.taken_aside, tape.recorded, tape.replayed) == (WARMUP, 1, 8 - WARMUP)
    assert step.captured


def test_inputs_of_another_shape_are_not_replayed(tape):
    step, total = running_sum(torch.zeros(2))
    for _ in range(WARMUP + 1):
        step(torch.ones(2))
    step(torch.ones(1))
    step(torch.ones(2))
    assert float(total) == 2 * (WARMUP + 2) + 1
    assert tape.replayed == 2


def test_the_callers_tensors_are_left_alone(tape):
    step, _ = running_sum(torch.zeros(2))
    given = [torch.full((2,), float(i)) for i in range(6)]
    for x in given:
        step(x)
    assert [x.tolist() for x in given] == [[float(i)] * 2 for i in range(6)]


def test_a_step_that_cannot_be_recorded_is_taken_all_the_same_with_one_warning(tape):
    tape.fails = True
    step, total = running_sum(torch.zeros(2))
    with pytest.warns(RuntimeWarning, match="could not be captured.*stream is capturing") as told:
        for _ in range(WARMUP + 5):
            step(torch.ones(2))
    assert len(told) == 1
    assert float(total) == 2 * (WARMUP + 5)
    assert not step.captured and not step.replays


def test_a_mistake_in_the_step_is_no_failure_to_record(tape):
    def broken(x):
        raise ValueError("a mistake")

    step = GraphedStep(broken, torch.zeros(1))
    with pytest.raises(ValueError, match="a mistake"):
        step(torch.zeros(1))


def test_on_the_cpu_a_step_is_the_function_itself():
    seen = []
    step = GraphedStep(seen.append, torch.zeros(1))
    given = torch.ones(1)
    for _ in range(WARMUP + 3):
        step(given)
    assert not step.replays and not step.captured
    assert all(x is given for x in seen)


def test_a_rate_held_in_a_tensor_is_followed_and_the_number_comes_back():
    weight = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([weight], lr=0.5, fused=True)
    rate = torch.zeros(())
    for lr in (1.0, 0.25):
        rate.fill_(lr)
        weight.grad = torch.ones(())
        with rate_from(optimizer, rate):
            optimizer.step()
        assert optimizer.param_groups[0]["lr"] == 0.5
    assert weight.item() == -1.25


# Training


def trained(beats, **options):
    model = tiny_network()
    recipe = Recipe(epochs=4, batch_size=32, lr=0.05)
    curves = fit(
        model, beats, recipe, seed=3, device="cpu", progress=Silent(), **options
    )  # fmt: skip
    return model.state_dict(), curves


def test_training_by_replayed_steps_follows_the_schedule_and_takes_ragged_batches(tape):
    beats = tiny_beats(200, seed=1)  # six batches of 32 and one of 8
    state, curves = trained(beats)
    assert tape.recorded == 1 and tape.replayed == 4 * 6 - WARMUP
    expected, expected_curves = trained(beats, graphs=False)
    assert tape.taken_aside == WARMUP
    # the rate is float32 in a graph and float64 outside
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value, rtol=1e-5, atol=1e-6)
    for name, values in expected_curves.items():
        assert curves[name] == pytest.approx(values, rel=1e-5)


def test_an_epoch_of_one_ragged_batch_trains(tape):
    _, curves = trained(tiny_beats(20, seed=1))
    assert len(curves["loss"]) == 4 and tape.taken_aside == 0


# Precision


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True)])
def test_tf32_is_used_on_a_gpu_only_where_it_is_asked_for(precision, allowed):
    def switches():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = switches()
    with arithmetic("cuda", precision):
        assert switches() == (allowed, allowed)
    assert switches() == before
    with arithmetic("cpu", precision):
        assert switches() == before


def test_tensor_cores_are_used_in_tf32_and_bfloat16_on_a_gpu_only():
    assert not uses_tensor_cores()
    for precision, expected in (("float32", False), ("tf32", True), ("bf16", True)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*CUDA is not available")
            with arithmetic("cuda", precision), autocast("cuda", precision):
                if torch.cuda.is_available() or precision != "bf16":
                    assert uses_tensor_cores() is expected
        with arithmetic("cpu", precision), autocast("cpu", precision):
            assert not uses_tensor_cores()


def test_tf32_is_float32_on_the_cpu():
    beats = tiny_beats(100, seed=1)
    states = []
    for precision in ("float32", "tf32"):
        model = tiny_network()
        recipe = Recipe(epochs=1, batch_size=32, precision=precision)
        fit(model, beats, recipe, seed=0, device="cpu", progress=Silent())
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    with autocast("cpu", "tf32"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
