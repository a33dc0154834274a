"""A run that is stopped at any moment continues and ends as if it had not been stopped."""

from __future__ import annotations

import json
import random
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from tiny_runs import Stopped, prepared_run, result, tiny_config

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Evaluation, Fidelity
from nasbench_ecg.run.config import RunConfig
from nasbench_ecg.run.record import RunRecord
from nasbench_ecg.run.recording import inputs_of
from nasbench_ecg.run.resume import EvaluationLog, ResumeFolder
from nasbench_ecg.run.runner import execute
from nasbench_ecg.run.store import RecordStore
from nasbench_ecg_evaluators.train import Train

pytestmark = pytest.mark.usefixtures("outside")

FILES = ("architecture.json", "curves.json", "predictions.json", "weights.safetensors")


def contents(store: RecordStore, record: RunRecord) -> dict[str, bytes]:
    return {name: (store.folder / record.run_key / name).read_bytes() for name in FILES}


@pytest.fixture(scope="module")
def uninterrupted(
    outside: dict[str, str], beats_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, dict[str, Any], dict[str, bytes]]:
    """A run of eight epochs of search and eight of training, its result and its files."""
    config = tiny_config(set={"strategy": {"epochs": 8}, "evaluator": {"epochs": 8}})
    store = RecordStore(tmp_path_factory.mktemp("uninterrupted"))
    record = execute(prepared_run(config, beats_cache), store)
    return config, result(record), contents(store, record)


def stopped(
    config: RunConfig, cache: Path, store: RecordStore, steps: int
) -> tuple[RunRecord, bool]:
    """Run for ``steps`` steps; return the record, and whether the run was stopped."""
    prepared = prepared_run(config, cache, Stopped(steps))
    try:
        return execute(prepared, store, checkpoint_seconds=0), False
    except KeyboardInterrupt:
        record = store.read(config.key())
        assert record is not None and record.status == "interrupted"
        return record, True


@pytest.mark.slow
def test_a_search_and_a_training_stopped_at_any_step_end_as_if_they_had_not_been(
    uninterrupted: tuple[RunConfig, dict[str, Any], dict[str, bytes]],
    beats_cache: Path,
    tmp_path: Path,
) -> None:
    config, expected, files = uninterrupted
    store = RecordStore(tmp_path)
    rng = random.Random(0)
    stages = []
    record, again = stopped(config, beats_cache, store, 1)
    while again:
        stages.append("search" if record.architecture is None else "training")
        assert len(stages) < 50
        record, again = stopped(config, beats_cache, store, rng.randint(2, 12))
    assert min(stages.count("search"), stages.count("training")) >= 3
    assert result(record) == expected and record.error is None
    assert contents(store, record) == files
    assert not store.resume_folder(config.key()).exists()


@pytest.mark.slow
def test_seconds_before_a_stop_count(
    uninterrupted: tuple[RunConfig, dict[str, Any], dict[str, bytes]],
    beats_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nasbench_ecg.run.contexts as context

    config, _, _ = uninterrupted
    store = RecordStore(tmp_path)
    stopped(config, beats_cache, store, 10)
    state = store.resume_folder(config.key())
    prepared = prepared_run(config, beats_cache, Stopped(1))
    ctx = prepared.search_context()
    state.checkpoint("search", ctx.state, ctx.restore).load()
    assert context.monotonic() - ctx.started > 0
    before = store.read(config.key())
    assert before is not None
    assert ctx.trajectory == before.trajectory[: len(ctx.trajectory)] != []


@pytest.mark.slow
def test_a_run_stopped_between_search_and_training_does_not_search_again(
    uninterrupted: tuple[RunConfig, dict[str, Any], dict[str, bytes]],
    beats_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    config, expected, files = uninterrupted
    store = RecordStore(tmp_path)
    prepared = prepared_run(config, beats_cache)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(prepared.evaluator), "evaluate", stop)
        execute(prepared, store)
    interrupted = store.read(config.key())
    assert interrupted is not None and interrupted.status == "interrupted"
    assert interrupted.architecture == expected["architecture"]

    prepared = prepared_run(config, beats_cache)
    prepared.strategy.search = stop  # type: ignore[method-assign,assignment]
    record = execute(prepared, store)
    assert result(record) == expected
    assert record.seconds["search"] == interrupted.seconds["search"]
    assert contents(store, record) == files


# Searches that only ask for evaluations


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("best-of-n", {"candidates": 3}),
        ("regularized-evolution", {"models": 4, "population": 2, "sample": 2, "epochs": 1}),
    ],
)
def test_a_search_by_evaluations_is_repeated_from_its_log(
    strategy: str,
    options: dict[str, Any],
    beats_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny_config(strategy, set={"strategy": options, "evaluator": {"epochs": 1}})
    expected = execute(prepared_run(config, beats_cache), RecordStore(tmp_path / "expected"))
    store = RecordStore(tmp_path)
    stopped(config, beats_cache, store, 7)  # in the second candidate, of four steps each
    log = store.resume_folder(config.key()).folder / "evaluations.jsonl"
    whole = log.read_text()
    log.write_text(whole + whole[: len(whole) // 2])

    trained: list[Architecture] = []
    evaluate = Train.evaluate

    def counted(self: Train, arch: Architecture, *rest: Any) -> Evaluation:
        trained.append(arch)
        return evaluate(self, arch, *rest)

    monkeypatch.setattr(Train, "evaluate", counted)
    record = execute(prepared_run(config, beats_cache), store)
    assert result(record) == result(expected)
    n_candidates = options.get("candidates") or options["models"]
    assert len(trained) == n_candidates - 1 + 1  # all but the first, and the final training
    assert len({arch.hash for arch in trained[:-1]}) == n_candidates - 1


def an_evaluation(name: str, score: float = 0.5) -> Evaluation:
    return Evaluation(
        architecture=Architecture("s", name),
        score=score,
        metrics={"accuracy": score},
        seconds=3.0,
        confusion=[[1, 0], [0, 1]],
        curves={"loss": [1.0, float("nan")]},
    )


def test_the_log_keeps_evaluations_by_architecture_and_fidelity(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "evaluations.jsonl"
    first = EvaluationLog(path)
    short, long = Fidelity(epochs=1), Fidelity(epochs=9)
    first.add(an_evaluation("a", 0.1), short)
    first.add(an_evaluation("a", 0.9), long)
    first.add(an_evaluation("b", 0.3), None)
    again = EvaluationLog(path)
    for fidelity, score in [(short, 0.1), (long, 0.9)]:
        found = again.find(Architecture("s", "a"), fidelity)
        assert found is not None and found.score == score and found.confusion == [[1, 0], [0, 1]]
    assert again.find(Architecture("s", "a"), None) is None
    assert again.find(Architecture("s", "c"), short) is None


@pytest.mark.parametrize(
    "rest", [b'\n{"architecture": {"form', b"\n\xff\xfe\x00", b"\n[]\nnull\n3", b"\n{}", b"\n"]
)
def test_a_line_cut_short_is_ignored_and_what_follows_it_is_not(
    tmp_path: Path, rest: bytes
) -> None:
    path = tmp_path / "evaluations.jsonl"
    EvaluationLog(path).add(an_evaluation("a"), None)
    path.write_bytes(path.read_bytes() + rest)
    EvaluationLog(path).add(an_evaluation("b"), None)
    again = EvaluationLog(path)
    assert again.find(Architecture("s", "a"), None) is not None
    assert again.find(Architecture("s", "b"), None) is not None


def test_seconds_of_an_earlier_evaluation_count_once(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.jsonl"
    first = EvaluationLog(path)
    first.add(an_evaluation("a"), None)
    arch = Architecture("s", "a")
    assert first.take_earlier_seconds(arch, None) == 0
    again = EvaluationLog(path)
    assert [again.take_earlier_seconds(arch, None), again.take_earlier_seconds(arch, None)] == [
        3.0,
        0.0,
    ]


def test_seconds_that_a_checkpoint_has_counted_do_not_count_again(beats_cache: Path) -> None:
    """A search that evaluates a candidate a second time after it has resumed."""
    config, arch = tiny_config("random"), Architecture("s", "a")
    before = prepared_run(config, beats_cache).search_context()
    before.evaluation_log.add(an_evaluation("a"), None)
    state = before.state()
    after = prepared_run(config, beats_cache).search_context()
    after.evaluation_log = before.evaluation_log
    after.evaluation_log._earlier = {(arch.hash, "null")}
    after.restore(state)
    assert after.evaluation_log.n_not_repeated == 0
    assert after.evaluation_log.take_earlier_seconds(arch, None) == 0


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    folder = ResumeFolder(tmp_path / "run")
    assert not folder.exists() and folder.load_result("search") is None
    folder.save_result("search", {"a": 1})
    assert folder.exists() and folder.load_result("search") == {"a": 1}
    (tmp_path / "run" / "search.json").write_text('{"a"')
    assert folder.load_result("search") is None
    folder.remove()
    assert not folder.exists()


# Saved progress of other data or code

INPUTS = {"nasbench-ecg": "1.0", "beats": "abc"}


def test_progress_is_used_by_a_run_with_the_same_inputs(tmp_path: Path) -> None:
    first = ResumeFolder(tmp_path / "run")
    assert first.discard_if_changed(INPUTS) == [] and not first.exists()
    first.save_result("search", {"a": 1})
    again = ResumeFolder(tmp_path / "run")
    assert again.discard_if_changed(dict(reversed(INPUTS.items()))) == []
    assert again.load_result("search") == {"a": 1}


@pytest.mark.parametrize(
    ("changed", "named"),
    [("nasbench_ecg.run.recording.execution_digest", "code of nasbench-ecg"), ("torch", "PyTorch")],
)
def test_a_run_of_other_code_or_libraries_starts_over(
    beats_cache: Path, changed: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = prepared_run(tiny_config(), beats_cache).record
    before = inputs_of(record)
    if changed == "torch":
        record.provenance["torch"] = "1.0"
    else:
        monkeypatch.setattr(changed, lambda: "another")
    after = inputs_of(record)
    assert [name for name in before if before[name] != after[name]] == [named]


@pytest.mark.parametrize("kept", ["checkpoint", "log", "outcome"])
@pytest.mark.parametrize("name", list(INPUTS))
def test_progress_with_other_inputs_is_discarded(kept: str, name: str, tmp_path: Path) -> None:
    first = ResumeFolder(tmp_path / "run")
    first.discard_if_changed(INPUTS)
    if kept == "checkpoint":
        first.checkpoint("search", dict, lambda state: None).save({"step": 1})
    elif kept == "log":
        first.evaluation_log().add(an_evaluation("a"), None)
    else:
        first.save_result("search", {})
    again = ResumeFolder(tmp_path / "run")
    assert again.discard_if_changed({**INPUTS, name: "another"}) == [name]
    assert not again.exists()
    assert again.checkpoint("search", dict, lambda state: None).load() is None


def test_temporary_files_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    first = ResumeFolder(tmp_path / "run")
    first.discard_if_changed(INPUTS)
    first.save_result("search", {})
    (tmp_path / "run" / ".search.safetensors-x1y2").write_bytes(b"half")
    ResumeFolder(tmp_path / "run").discard_if_changed(INPUTS)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"search.json", "inputs.json"}


def test_a_kill_while_progress_is_removed_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = ResumeFolder(tmp_path / "run")
    saved.discard_if_changed({"beats": "a"})
    saved.save_result("search", {"seconds": 1})
    saved.checkpoint("evaluation", dict, lambda state: None).save({})

    def killed(folder: Path, **_: Any) -> None:
        (folder / "search.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", killed)
        saved.remove()
    assert not saved.exists()
    saved.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_run_with_other_beats_starts_over_and_says_so(beats_cache: Path, tmp_path: Path) -> None:
    class Noted(Stopped):
        notes: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    config = tiny_config("best-of-n", set={"strategy": {"candidates": 2}})
    expected = execute(prepared_run(config, beats_cache), RecordStore(tmp_path / "expected"))
    store = RecordStore(tmp_path)
    stopped(config, beats_cache, store, 10)
    saved = store.resume_folder(config.key())
    inputs = saved.load_result("inputs")
    assert inputs is not None and expected.dataset is not None
    assert inputs["beats"] == expected.dataset.fingerprint
    saved.save_result("inputs", {**inputs, "beats": "0" * 64})
    record = execute(prepared_run(config, beats_cache, Noted(10_000)), store)
    (note,) = [note for note in Noted.notes if "starts over" in note]
    assert "beats" in note and "strategy" not in note
    assert result(record) == result(expected)


def test_seconds_of_a_search_continue_after_a_stop(beats_cache: Path) -> None:
    ctx = prepared_run(tiny_config(), beats_cache).search_context()
    ctx.started -= 100
    later = prepared_run(tiny_config(), beats_cache).search_context()
    assert later.seconds < 50
    later.restore(ctx.state())
    assert 100 <= later.seconds < 150


# Signals


def signalled(
    name: str, times: int, config: RunConfig, out: Path, environment: dict[str, str]
) -> list[str]:
    """Return how each start of the run ended: exit code or signal, and the status on record."""
    arguments = shlex.split(config.command())[1:]
    done = subprocess.run(
        [
            sys.executable, str(Path(__file__).with_name("kill_runs.py")), name, str(times), "0",
            str(RecordStore(out).path(config.key())), *arguments,
            "--out", str(out), "--checkpoint-seconds", "0",
        ],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_if_it_had_not_been_killed(
    uninterrupted: tuple[RunConfig, dict[str, Any], dict[str, bytes]],
    outside: dict[str, str],
    tmp_path: Path,
) -> None:
    config, expected, files = uninterrupted
    ends = signalled("SIGKILL", 10, config, tmp_path, outside)
    assert ends == ["-9 none"] * 10 + ["0 ok"]
    store = RecordStore(tmp_path)
    record = store.read(config.key())
    assert record is not None and result(record) == expected
    assert contents(store, record) == files
    assert {path.name for path in store.folder.iterdir()} == {
        f"{config.key()}.json", config.key(), ".unfinished",
    }  # fmt: skip
    assert not store.resume_folder(config.key()).exists()


@pytest.mark.slow
def test_sigterm_interrupts_a_run_and_it_can_continue(
    uninterrupted: tuple[RunConfig, dict[str, Any], dict[str, bytes]],
    outside: dict[str, str],
    tmp_path: Path,
) -> None:
    config, expected, _ = uninterrupted
    ends = signalled("SIGTERM", 1, config, tmp_path, outside)
    assert ends == ["130 interrupted", "0 ok"]
    record = RecordStore(tmp_path).read(config.key())
    assert record is not None and result(record) == expected


def test_progress_that_does_not_state_its_inputs_is_discarded(tmp_path: Path) -> None:
    saved = ResumeFolder(tmp_path / "run")
    assert saved.discard_if_changed({"beats": "a"}) == []
    saved.folder.mkdir()
    (saved.folder / "evaluations.jsonl").write_text("{}\n")
    assert saved.discard_if_changed({"beats": "a"}) == ["beats"]
    assert not saved.folder.exists()


# Damaged progress


def _text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content)


def _flip(path: Path) -> None:
    """Flip the lowest bit of the byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    (path / "deep").mkdir(parents=True)


def _other_tensors(path: Path) -> None:
    """Write a valid file of tensors that is no checkpoint."""
    save_file({"0": torch.zeros(3)}, path, metadata={"state": '{"__items__": [["a", [1]]]}'})


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "flipped": _flip,
    "empty": _text(""),
    "list": _text("[]"),
    "null": _text("null"),
    "object": _text("{}"),
    "nested": _text("[" * 100_000),
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe"),
    "other result": _text('{"architecture": {}, "details": {}, "trajectory": 3, "seconds": "x"}'),
    "folder": _folder,
}


@pytest.mark.parametrize("file_name", ["inputs.json", "search.json", "search.safetensors"])
@pytest.mark.parametrize("damage", list(DAMAGE))
def test_damaged_progress_is_discarded_as_a_whole(
    tmp_path: Path, file_name: str, damage: str
) -> None:
    first = ResumeFolder(tmp_path / "run")
    first.discard_if_changed(INPUTS)
    first.save_result("search", {"a": 1})
    first.checkpoint("search", dict, lambda state: None).save({"w": torch.ones(50)})
    assert ResumeFolder(tmp_path / "run").discard_if_damaged() == []
    DAMAGE[damage](tmp_path / "run" / file_name)
    again = ResumeFolder(tmp_path / "run")
    assert again.discard_if_damaged() == [file_name]
    assert again.discard_if_changed(INPUTS) == [] and not again.exists()
    again.save_result("search", {"b": 2})
    assert ResumeFolder(tmp_path / "run").load_result("search") == {"b": 2}


def test_tensors_that_are_no_checkpoint_are_discarded(tmp_path: Path) -> None:
    saved = ResumeFolder(tmp_path / "run")
    checkpoint = saved.checkpoint("search", dict, lambda state: None)
    checkpoint.save({"w": torch.ones(3, dtype=torch.bfloat16), "step": torch.tensor(1)})
    loaded = checkpoint.load()
    assert loaded is not None and torch.equal(loaded["w"], torch.ones(3, dtype=torch.bfloat16))
    _other_tensors(checkpoint.path)
    assert checkpoint.load() is None
    assert saved.discard_if_damaged() == ["search.safetensors"]


def test_a_file_in_place_of_the_folder_is_discarded(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    saved = ResumeFolder(tmp_path / "run")
    assert saved.exists() and saved.discard_if_damaged() == ["run"] and not saved.exists()
    (tmp_path / "run").symlink_to(tmp_path / "nowhere")
    assert saved.discard_if_damaged() == ["run"]
    saved.save_result("search", {"a": 1})
    assert saved.load_result("search") == {"a": 1}


@pytest.mark.parametrize("score", ["high", None, 0.7, [1]])
def test_an_evaluation_that_was_altered_is_made_again(tmp_path: Path, score: object) -> None:
    path = tmp_path / "evaluations.jsonl"
    log = EvaluationLog(path)
    log.add(an_evaluation("a", 0.5), None)
    log.add(an_evaluation("b", 0.25), None)
    lines = path.read_text().splitlines()
    altered = json.loads(lines[1])
    altered["data"]["score"] = score
    path.write_text("\n".join([lines[0], json.dumps(altered), *lines[2:]]))
    again = EvaluationLog(path)
    assert again.n_damaged == 1
    assert again.find(Architecture("s", "a"), None) is None
    kept = again.find(Architecture("s", "b"), None)
    assert kept is not None and kept.score == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["list", "flipped", "folder"])
def test_a_run_with_damaged_progress_starts_over_and_says_so(
    beats_cache: Path, tmp_path: Path, damage: str
) -> None:
    class Noted(Stopped):
        notes: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    Noted.notes.clear()
    config = tiny_config()
    expected = execute(prepared_run(config, beats_cache), RecordStore(tmp_path / "expected"))
    store = RecordStore(tmp_path)
    stopped(config, beats_cache, store, 3)
    folder = store.resume_folder(config.key()).folder
    DAMAGE[damage](folder / "search.safetensors")
    record = execute(prepared_run(config, beats_cache, Noted(10_000)), store)
    (note,) = [note for note in Noted.notes if "starts over" in note]
    assert "damaged (search.safetensors)" in note
    assert result(record) == result(expected)


def test_progress_of_a_strategy_whose_source_has_changed_is_discarded(
    beats_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Noted(Stopped):
        notes: ClassVar[list[str]] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    Noted.notes.clear()
    config = tiny_config()
    store = RecordStore(tmp_path)
    stopped(config, beats_cache, store, 3)
    monkeypatch.setattr("nasbench_ecg.run.prepare.package_digest", lambda component: "other code")
    execute(prepared_run(config, beats_cache, Noted(10_000)), store)
    (note,) = [note for note in Noted.notes if "starts over" in note]
    assert "code of the strategy" in note
