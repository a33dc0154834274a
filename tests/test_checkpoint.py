"""Checkpoints, seeds and memory settings."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasbench_ecg.errors import StorageError
from nasbench_ecg.training import checkpoint as module
from nasbench_ecg.training import memory
from nasbench_ecg.training.checkpoint import (
    FileCheckpoint,
    NoCheckpoint,
    read_state,
    write_state,
)
from nasbench_ecg.training.seeding import random_state, restore_random_state, seeded

ROOT = Path(__file__).parents[1]

tensors = st.sampled_from([
    torch.arange(6).reshape(2, 3),
    torch.tensor(1.5, dtype=torch.float64),
    torch.zeros(0),
    torch.ones(2, 2, dtype=torch.bfloat16),
    torch.tensor([True, False]),
    torch.arange(12.0).reshape(3, 4).t(),
])  # fmt: skip
keys = st.recursive(st.integers() | st.text(max_size=12), lambda inner: st.tuples(inner, inner))
states = st.recursive(
    tensors
    | st.none()
    | st.booleans()
    | st.integers(-(2**130), 2**130)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a: Any, b: Any) -> bool:
    """Return whether two states are equal, types included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@given(state=states)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_nested_state_is_read_back_as_it_was_written(state: Any, tmp_path: Path) -> None:
    write_state(tmp_path / "state.safetensors", state)
    assert same(read_state(tmp_path / "state.safetensors"), state)


def test_an_optimizer_continues_exactly_from_its_state(tmp_path: Path) -> None:
    def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()

    model, optimizer = made()
    step(model, optimizer)
    path = tmp_path / "state.safetensors"
    write_state(path, {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    step(model, optimizer)

    other, other_optimizer = made()
    saved = read_state(path)
    other.load_state_dict(saved["model"])
    other_optimizer.load_state_dict(saved["optimizer"])
    step(other, other_optimizer)
    assert torch.equal(model.weight, other.weight)


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    assert read_state(path) is None
    write_state(path, {"weights": torch.ones(100)})
    whole = path.read_bytes()
    for damaged in (b"", b"\x00" * 20, whole[:-1], whole[: len(whole) // 2], b"{}"):
        path.write_bytes(damaged)
        assert read_state(path) is None


@pytest.mark.parametrize("broken", ["save_file", "replace"])
def test_a_write_that_fails_leaves_the_last_state_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "state.safetensors"
    write_state(path, {"step": 1})
    monkeypatch.setattr(module if broken == "save_file" else Path, broken, full)
    with pytest.raises(StorageError, match="no space left"):
        write_state(path, {"step": 2})
    monkeypatch.undo()
    assert read_state(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("value", "kind"),
    [({1}, "builtins.set"), (np.zeros(2), "numpy.ndarray"), (np.int64(3), "numpy.int64")],
)
def test_a_value_that_cannot_be_stored_is_named(value: Any, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    message = f"state['population'][1] is a {kind}, which a checkpoint cannot hold"
    with pytest.raises(TypeError, match=re.escape(message)):
        write_state(path, {"population": [None, value]})
    assert not path.exists()


def test_a_folder_that_cannot_be_created_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "state.safetensors"
    with pytest.raises(StorageError) as caught:
        write_state(path, {})
    assert caught.value.where == str(path)


def test_a_checkpoint_is_due_after_its_interval(tmp_path: Path) -> None:
    assert FileCheckpoint(tmp_path / "a", interval=0).due()
    waiting = FileCheckpoint(tmp_path / "b", interval=1000)
    assert not waiting.due()
    waiting.save({})
    assert not waiting.due()


def test_additional_state_is_saved_and_restored(tmp_path: Path) -> None:
    given_back: list[Any] = []
    keep = FileCheckpoint(
        tmp_path / "a" / "stage", extra=lambda: {"rng": 2**100}, restore_extra=given_back.append
    )
    assert keep.load() is None and given_back == []
    keep.save({"step": 3})
    keep.save({"step": 4})
    assert keep.load() == {"step": 4}
    assert given_back == [{"rng": 2**100}]
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_no_checkpoint_is_never_due_and_loads_nothing() -> None:
    keep = NoCheckpoint()
    keep.save({"step": 1})
    assert not keep.due() and keep.load() is None


def test_no_module_uses_pickle() -> None:
    for path in [*ROOT.glob("nasbench_ecg/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        code = path.read_text(encoding="utf-8")
        assert not re.search(
            r"import pickle|torch\.(load|save)\(|allow_pickle=True|joblib", code
        ), path


# Seeds


def test_randomness_in_a_seeded_block_depends_only_on_the_seed() -> None:
    torch.manual_seed(1)
    with seeded(7):
        first = torch.rand(3)
    torch.rand(5)
    with seeded(7):
        second = torch.rand(3)
    with seeded(8):
        third = torch.rand(3)
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_a_seeded_block_draws_what_torch_draws_after_its_manual_seed() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        expected, initial = torch.rand(3), torch.initial_seed()
    with seeded(7):
        assert torch.equal(torch.rand(3), expected)
        assert torch.initial_seed() == initial == 7


def test_a_seeded_block_restores_the_generator_even_if_it_raises() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), seeded(7), seeded(8):
        torch.rand(3)
        raise ZeroDivisionError
    assert torch.equal(torch.get_rng_state(), before)


def test_the_generators_state_is_kept_and_restored() -> None:
    with seeded(3):
        state = random_state()
        first = torch.rand(4)
        restore_random_state(state)
        assert torch.equal(torch.rand(4), first)


# Memory


def test_loaded_objects_are_excluded_from_garbage_collection_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    for name in ("collect", "freeze"):
        monkeypatch.setattr(memory.gc, name, lambda name=name: calls.append(name))
    memory.freeze_garbage_collection.cache_clear()
    memory.freeze_garbage_collection()
    memory.freeze_garbage_collection()
    assert calls == ["collect", "freeze"]
