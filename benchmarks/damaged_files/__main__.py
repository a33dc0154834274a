"""Count what happens to damaged record files: see README.md in this folder."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nasbench_ecg.contracts import Requirement
from nasbench_ecg.data.beats import Beats
from nasbench_ecg.data.cache import load_beats
from nasbench_ecg.data.preparation import cut_beats
from nasbench_ecg.data.record_options import WaveformOptions
from nasbench_ecg.data.source import LocalSource
from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.progress import Progress, Silent

DATABASE = "mitdb"
EXTENSIONS = ("hea", "dat", "atr")
OUTCOMES = ("refused", "harmless", "accepted", "crashed")


class OneRecordOptions(WaveformOptions):
    """Options of one record."""

    records: tuple[str, ...] = ("100",)
    """Name of the record."""
    leads: tuple[str, ...] = ("#0", "#1")
    """Both leads."""
    head: int = 0
    """Annotations to skip at the start."""
    tail: int = 0
    """Annotations to skip at the end."""
    before: int = 99
    """Samples before the R peak."""
    after: int = 200
    """Samples after it."""
    denoise: str = "none"  # type: ignore[assignment]
    """No denoising, for speed."""


class OneRecord:
    """A dataset of one record."""

    def __init__(self, options: OneRecordOptions) -> None:
        self.options = options

    def requires(self) -> tuple[Requirement, ...]:
        """Return the files of the record."""
        return (Requirement(DATABASE, self.options.records, EXTENSIONS),)

    def load(self, source: LocalSource, progress: Progress) -> Beats:
        """Return the beats of the record."""
        return cut_beats(source.folder(DATABASE), self.options, progress).beats

    def partition(self, protocol: str) -> None:
        """Return None: there are no fixed records."""


@dataclass(frozen=True)
class Damage:
    """A damaged copy: the record, the file and how it differs."""

    record: str
    extension: str
    kind: str
    content: bytes
    keeps_time: bool


def loaded(folder: Path, record: str, cache: Path) -> str:
    """Return the fingerprint of the beats of a record, read on the way that runs use."""
    options = OneRecordOptions(records=(record,))
    return load_beats(
        name="one-record",
        revision=1,
        options=options,
        dataset=OneRecord(options),  # type: ignore[arg-type]
        source=LocalSource(folder.parent, cache),
        progress=Silent(),
    ).fingerprint


def draw_damage(folder: Path, records: list[str], rng: np.random.Generator) -> Damage:
    """Return one random damage to a file of one of the records in ``folder``."""
    record = str(rng.choice(records))
    extension = str(rng.choice(EXTENSIONS))
    content = bytearray((folder / f"{record}.{extension}").read_bytes())
    at = int(rng.integers(len(content)))
    n = int(rng.integers(1, 9))
    kind = str(rng.choice(["flip", "cut", "delete", "insert", "swap"]))
    if kind == "flip":
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del content[at:]
    elif kind == "delete":
        del content[at : at + n]
    elif kind == "insert":
        content[at:at] = rng.bytes(n)
    else:
        other = str(rng.choice([name for name in records if name != record]))
        content = bytearray((folder / f"{other}.{extension}").read_bytes())
    return Damage(record, extension, kind, bytes(content), bool(rng.random() < 0.25))


def outcome_of(damage: Damage, folder: Path, cache: Path, right: str) -> str:
    """Return what loading a damaged record does, one of :data:`OUTCOMES`; restore the file."""
    path = folder / f"{damage.record}.{damage.extension}"
    original, before = path.read_bytes(), path.stat()
    path.write_bytes(damage.content)
    if damage.keeps_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    shutil.rmtree(cache / "beats", ignore_errors=True)
    try:
        return "harmless" if loaded(folder, damage.record, cache) == right else "accepted"
    except NasbenchError:
        return "refused"
    except Exception as error:
        print(f"{damage.kind} in {path.name}: {type(error).__name__}: {error}", file=sys.stderr)
        return "crashed"
    finally:
        path.write_bytes(original)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS.txt`` of the files in ``folder``."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix[1:] in EXTENSIONS)
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()} {n}\n" for n in names]
    (folder / "SHA256SUMS.txt").write_text("".join(lines))


def count(
    records_in: Path,
    records: list[str],
    n: int,
    *,
    sums: bool,
    seed: int = 0,
    told: Callable[[Damage, str], None] = lambda damage, outcome: None,
) -> dict[str, Counter[str]]:
    """Return the number of damaged copies by kind and outcome.

    Args:
        records_in: Folder that holds the undamaged records; nothing is written to it.
        records: Names of two records or more.
        n: Number of damaged copies.
        sums: Whether ``SHA256SUMS.txt`` lies beside the records.
        seed: Seed of the damage.
        told: Receives each damage with its outcome.
    """
    counts: dict[str, Counter[str]] = {}
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder, cache = Path(scratch) / DATABASE, Path(scratch) / "cache"
        folder.mkdir()
        for name in records:
            for extension in EXTENSIONS:
                shutil.copy(records_in / f"{name}.{extension}", folder)
        if sums:
            write_sums(folder)
        right = {name: loaded(folder, name, cache) for name in records}
        for _ in range(n):
            damage = draw_damage(folder, records, rng)
            if damage.content == (folder / f"{damage.record}.{damage.extension}").read_bytes():
                continue
            outcome = outcome_of(damage, folder, cache, right[damage.record])
            counts.setdefault(f"{damage.extension} {damage.kind}", Counter())[outcome] += 1
            told(damage, outcome)
    return counts


def main() -> int:
    """Print the counts with and without checksums."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of WFDB records")
    parser.add_argument("--mutants", type=int, default=1000, help="damaged copies, in all")
    parser.add_argument("--records", default="100,207", help="names of records")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faults = 0
    for sums in (True, False):
        counts = count(
            given.folder, given.records.split(","), given.mutants // 2, sums=sums, seed=given.seed
        )
        total = sum(counts.values(), Counter[str]())
        print(f"\n{'With' if sums else 'Without'} SHA256SUMS.txt")
        print(f"{'damage':12} {'tried':>8}" + "".join(f"{name:>10}" for name in OUTCOMES))
        for kind, found in [*sorted(counts.items()), ("all", total)]:
            cells = "".join(f"{found[name]:>10}" for name in OUTCOMES)
            print(f"{kind:12} {found.total():>8}{cells}")
        faults += total["crashed"] + (total["accepted"] if sums else 0)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
