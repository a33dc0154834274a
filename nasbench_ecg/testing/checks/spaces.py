"""What every search space must do."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import SearchSpace
from nasbench_ecg.errors import OptionError
from nasbench_ecg.testing.fixtures import Subject, shaken, watched
from nasbench_ecg.testing.harness import Broken, Check, NotApplicable, claims, expect

_JUNK: tuple[Any, ...] = (None, 7, "x", [], [[]], {}, {"x": 1}, {"x": [1, "y", None]})
_FEW = 300
_MANY = 500
_SHOWN = 40


@claims(seeds=20)
def what_is_drawn_is_valid(subject: Subject, seed: int) -> None:
    """Sampling, mutation and crossover, one upon another, stay inside the space."""
    space, rng = subject.space(), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    made = {"sample": a}
    if space.size > 1:
        made["mutate"] = a = space.mutate(a, rng)
    made["crossover"] = child = space.crossover(a, b, rng)
    if space.size > 1:
        made["mutate (of a crossover)"] = space.mutate(child, rng)
    for how, arch in made.items():
        _must_be_valid(space, arch, how)


@claims(seeds=20)
def architectures_are_json(subject: Subject, seed: int) -> None:
    """An architecture survives a round trip through JSON, and so does its hash."""
    space = subject.space()
    arch = space.sample(np.random.default_rng(seed))
    read = Architecture.from_json(arch.to_json())
    expect(read == arch and read.hash == arch.hash, f"{arch.to_json()} becomes {read.to_json()}")
    _must_be_valid(space, read, "an architecture read from JSON")


@claims(seeds=20)
def equal_generators_give_equal_architectures(subject: Subject, seed: int) -> None:
    """All methods follow the generator they are given, and no global one."""
    runs = []
    for shake in (1, 2):
        with shaken(shake), watched(f"the space {subject.spec.name!r}"):
            runs.append(_walk(subject.space(), np.random.default_rng(seed)))
    expect(runs[0] == runs[1], "two generators in one state give different architectures")


@claims(seeds=20)
def a_mutation_is_a_neighbour(subject: Subject, seed: int) -> None:
    """A mutation is a neighbour of its origin, which differs from it and stays as it was."""
    space, rng = subject.space(), np.random.default_rng(seed)
    if space.size == 1:
        raise NotApplicable("the space holds a single architecture")
    arch = space.sample(rng)
    before = arch.to_json()
    child = space.mutate(arch, rng)
    expect(arch.to_json() == before, "mutate changes the architecture it is given")
    expect(child != arch, f"mutate returns its origin {before}")
    found = list(islice(space.neighbours(arch), _MANY))
    if len(found) < _MANY:
        expect(child in set(found), f"mutate makes {child.to_json()}, no neighbour of {before}")


@claims(seeds=5)
def neighbours_differ_in_one_decision(subject: Subject, seed: int) -> None:
    """Neighbours are valid and distinct, and each has the architecture as a neighbour in turn."""
    space = subject.space()
    arch = space.sample(np.random.default_rng(seed))
    found = list(islice(space.neighbours(arch), _SHOWN))
    if space.size > 1:
        expect(found, f"{arch.to_json()} has no neighbour in a space of {space.size}")
    hashes = [one.hash for one in found]
    expect(arch.hash not in hashes, "an architecture is its own neighbour")
    expect(len(set(hashes)) == len(hashes), "a neighbour is yielded twice")
    for one in found:
        _must_be_valid(space, one, "a neighbour")
    for one in found[:2] + found[-1:]:
        back = any(other == arch for other in space.neighbours(one))
        expect(back, f"{one.to_json()} is a neighbour of {arch.to_json()}, but not the reverse")


@claims(seeds=10)
def a_child_of_twins_is_their_equal(subject: Subject, seed: int) -> None:
    """Crossover leaves both parents as they are; a parent crossed with itself gives itself."""
    space, rng = subject.space(), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    before = a.to_json(), b.to_json()
    space.crossover(a, b, rng)
    expect((a.to_json(), b.to_json()) == before, "crossover changes a parent")
    child = space.crossover(a, a, rng)
    expect(child == a, f"{a.to_json()} crossed with itself gives {child.to_json()}")


@claims()
def strangers_are_refused(subject: Subject, seed: int) -> None:
    """Validation refuses with an OptionError what is of another space, or no architecture."""
    space = subject.space()
    own = space.sample(np.random.default_rng(seed))
    strangers = [Architecture(f"not-{space.name}", own.genotype)]
    strangers += [Architecture(space.name, junk) for junk in _JUNK]
    for stranger in strangers:
        try:
            space.validate(stranger)
        except OptionError:
            continue
        except Exception as error:
            raise Broken(
                f"validate raises {type(error).__name__}, not OptionError, for {stranger.to_json()}"
            ) from error
        raise Broken(f"validate takes {stranger.to_json()}")


@claims()
def its_name_is_that_of_its_architectures(subject: Subject, seed: int) -> None:
    """The space, its spec and its architectures bear one name."""
    space = subject.space()
    arch = space.sample(np.random.default_rng(seed))
    names = {"spec": subject.spec.name, "space": space.name, "architecture": arch.space}
    expect(len(set(names.values())) == 1, f"the names differ: {names}")


@claims()
def its_size_counts_its_architectures(subject: Subject, seed: int) -> None:
    """The size is a positive whole number: of a small space, that of the architectures reached."""
    space = subject.space()
    size = space.size
    expect(isinstance(size, int) and size >= 1, f"size is {size!r}")
    if size > _FEW:
        return
    todo = [space.sample(np.random.default_rng(seed))]
    reached = {todo[0].hash}
    while todo:
        for one in space.neighbours(todo.pop()):
            if one.hash not in reached:
                reached.add(one.hash)
                todo.append(one)
    expect(len(reached) == size, f"size is {size}; neighbours lead to {len(reached)}")


@claims(seeds=5)
def drawings_and_canonical_forms_are_sound(subject: Subject, seed: int) -> None:
    """Where it offers draw, draw_svg and canonical, they give text, SVG and one valid form."""
    space: Any = subject.space()
    arch = space.sample(np.random.default_rng(seed))
    offered = [name for name in ("draw", "draw_svg", "canonical") if hasattr(space, name)]
    if not offered:
        raise NotApplicable("it offers none of draw, draw_svg and canonical")
    if "draw" in offered:
        drawn = space.draw(arch)
        expect(isinstance(drawn, str) and drawn.strip(), f"draw returns {drawn!r}")
    if "draw_svg" in offered:
        expect("<svg" in space.draw_svg(arch), "draw_svg returns no SVG")
    if "canonical" in offered:
        once = space.canonical(arch)
        _must_be_valid(space, once, "the canonical form")
        expect(space.canonical(once) == once, "the canonical form has another canonical form")


def _walk(space: SearchSpace, rng: np.random.Generator) -> list[str]:
    a, b = space.sample(rng), space.sample(rng)
    changed = space.mutate(a, rng) if space.size > 1 else a
    near = islice(space.neighbours(b), 5)
    return [one.to_json() for one in (a, b, changed, space.crossover(changed, b, rng), *near)]


def _must_be_valid(space: SearchSpace, arch: Any, how: str) -> None:
    expect(isinstance(arch, Architecture), f"{how} gives a {type(arch).__name__}")
    try:
        space.validate(arch)
    except OptionError as error:
        raise Broken(f"{how} gives what validate refuses: {error}") from error


CHECKS: tuple[Check, ...] = (
    what_is_drawn_is_valid,
    architectures_are_json,
    equal_generators_give_equal_architectures,
    a_mutation_is_a_neighbour,
    neighbours_differ_in_one_decision,
    a_child_of_twins_is_their_equal,
    strangers_are_refused,
    its_name_is_that_of_its_architectures,
    its_size_counts_its_architectures,
    drawings_and_canonical_forms_are_sound,
)
