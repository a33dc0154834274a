"""Checks of search spaces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import (
    Canonicalizes,
    DrawsSvg,
    DrawsText,
    Encodes,
    MutatesByKind,
    SearchSpace,
)
from nasbench_ecg.encoding import Parameter, ParameterValue, check_values, draw_values
from nasbench_ecg.errors import OptionError
from nasbench_ecg.testing.another_process import expect_equal_in_another_process
from nasbench_ecg.testing.check import ContractViolation, NotApplicable, check, expect
from nasbench_ecg.testing.fixtures import ComponentUnderTest
from nasbench_ecg.testing.randomness import forbid_global_random, global_seed

_INVALID_GENOTYPES: tuple[Any, ...] = (None, 7, "x", [], [[]], {}, {"x": 1}, {"x": [1, "y", None]})
_ENUMERABLE = 300
_MAX_NEIGHBORS = 500
_SOME_NEIGHBORS = 40
_MAX_CORRUPTED = 300


@check(seeds=20)
def results_are_valid(component: ComponentUnderTest, seed: int) -> None:
    """Sampling, mutation and crossover, and any sequence of them, stay inside the space."""
    space, rng = component.space(), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    made = {"sample": a}
    if space.size > 1:
        made["mutate"] = a = space.mutate(a, rng)
    made["crossover"] = child = space.crossover(a, b, rng)
    if space.size > 1:
        made["mutate (of a crossover)"] = space.mutate(child, rng)
    for how, arch in made.items():
        _expect_valid(space, arch, how)


@check(seeds=20)
def architectures_are_json(component: ComponentUnderTest, seed: int) -> None:
    """An architecture survives a round trip through JSON, and so does its hash."""
    space = component.space()
    arch = space.sample(np.random.default_rng(seed))
    read = Architecture.from_json(arch.to_json())
    expect(read == arch and read.hash == arch.hash, f"{arch.to_json()} becomes {read.to_json()}")
    _expect_valid(space, read, "an architecture read from JSON")


@check(seeds=20)
def equal_generators_give_equal_architectures(component: ComponentUnderTest, seed: int) -> None:
    """All methods use only the generator that is passed to them, and remember no earlier call."""
    space: SearchSpace | None = None
    runs = []
    for shake in (1, 2):
        with global_seed(shake), forbid_global_random(f"the space {component.spec.name!r}"):
            space = space or component.space()
            runs.append(_all_methods(space, np.random.default_rng(seed)))
    expect(runs[0] == runs[1], "two generators in the same state give different architectures")
    expect_equal_in_another_process(_made, component, seed, runs[0])


def _made(component: ComponentUnderTest, seed: int) -> list[str]:
    return _all_methods(component.space(), np.random.default_rng(seed))


@check(seeds=20)
def mutations_are_neighbors(component: ComponentUnderTest, seed: int) -> None:
    """A mutation is a neighbor of the original, differs from it, and leaves it unchanged."""
    space, rng = component.space(), np.random.default_rng(seed)
    if space.size == 1:
        raise NotApplicable("the space has a single architecture")
    arch = space.sample(rng)
    before = arch.to_json()
    child = space.mutate(arch, rng)
    expect(arch.to_json() == before, "mutate changes the architecture it is given")
    expect(child != arch, f"mutate returns the original {before}")
    found = list(islice(space.neighbours(arch), _MAX_NEIGHBORS))
    if len(found) < _MAX_NEIGHBORS:
        expect(
            child in set(found),
            f"mutate returns {child.to_json()}, which is not a neighbor of {before}",
        )


@check(seeds=20)
def mutations_of_each_kind_are_neighbors(component: ComponentUnderTest, seed: int) -> None:
    """A mutation of each of the space's kinds is a neighbor of the original."""
    space, rng = component.space(), np.random.default_rng(seed)
    if not isinstance(space, MutatesByKind):
        raise NotApplicable("the space has no kinds of mutation")
    arch = space.sample(rng)
    for kind in space.mutation_kinds:
        child = space.mutate_kind(arch, kind, rng)
        found = list(islice(space.neighbours(arch), _MAX_NEIGHBORS))
        expect(
            child in found or len(found) == _MAX_NEIGHBORS,
            f"mutate_kind({kind!r}) returns {child.to_json()}, which is not a neighbor of "
            f"{arch.to_json()}",
        )


@check(seeds=5)
def neighbors_are_distinct_and_mutual(component: ComponentUnderTest, seed: int) -> None:
    """Neighbors are valid and distinct, and the architecture is a neighbor of each of them."""
    space = component.space()
    arch = space.sample(np.random.default_rng(seed))
    found = list(islice(space.neighbours(arch), _SOME_NEIGHBORS))
    if space.size > 1:
        expect(found, f"{arch.to_json()} has no neighbor in a space of {space.size}")
    hashes = [one.hash for one in found]
    expect(arch.hash not in hashes, "an architecture is its own neighbor")
    expect(len(set(hashes)) == len(hashes), "a neighbor is yielded twice")
    for one in found:
        _expect_valid(space, one, "neighbours")
    for one in found[:2] + found[-1:]:
        back = any(other == arch for other in space.neighbours(one))
        expect(back, f"{one.to_json()} is a neighbor of {arch.to_json()}, but not the reverse")


@check(seeds=10)
def crossover_with_itself_changes_nothing(component: ComponentUnderTest, seed: int) -> None:
    """Crossover leaves both parents unchanged; a parent crossed with itself gives itself."""
    space, rng = component.space(), np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    before = a.to_json(), b.to_json()
    space.crossover(a, b, rng)
    expect((a.to_json(), b.to_json()) == before, "crossover changes a parent")
    child = space.crossover(a, a, rng)
    expect(child == a, f"{a.to_json()} crossed with itself gives {child.to_json()}")


@check()
def invalid_architectures_are_refused(component: ComponentUnderTest, seed: int) -> None:
    """Architectures of other spaces and invalid genotypes are refused with an OptionError.

    Among them are those in which one value of a valid genotype is another, or one is added.
    """
    space = component.space()
    own = space.sample(np.random.default_rng(seed))
    genotypes = [*_INVALID_GENOTYPES, *islice(_corrupted(own.genotype), _MAX_CORRUPTED)]
    invalid = [Architecture(f"not-{space.name}", own.genotype)]
    invalid += [Architecture(space.name, genotype) for genotype in genotypes]
    for arch in invalid:
        try:
            space.validate(arch)
        except OptionError:
            continue
        except Exception as error:
            raise ContractViolation(
                f"validate raises {type(error).__name__}, not OptionError, for {arch.to_json()}"
            ) from error
        raise ContractViolation(f"validate accepts {arch.to_json()}")


@check()
def names_agree(component: ComponentUnderTest, seed: int) -> None:
    """The space, its spec and its architectures have the same name."""
    space = component.space()
    arch = space.sample(np.random.default_rng(seed))
    names = {"spec": component.spec.name, "space": space.name, "architecture": arch.space}
    expect(len(set(names.values())) == 1, f"the names differ: {names}")


@check()
def size_counts_its_architectures(component: ComponentUnderTest, seed: int) -> None:
    """The size is a positive integer; in a small space, the number of architectures reachable."""
    space = component.space()
    size = space.size
    expect(isinstance(size, int) and size >= 1, f"size is {size!r}")
    if size > _ENUMERABLE:
        return
    queue = [space.sample(np.random.default_rng(seed))]
    reached = {queue[0].hash}
    while queue:
        for one in space.neighbours(queue.pop()):
            if one.hash not in reached:
                reached.add(one.hash)
                queue.append(one)
    expect(len(reached) == size, f"size is {size}; neighbors lead to {len(reached)}")


@check(seeds=5)
def drawings_and_canonical_forms_are_valid(component: ComponentUnderTest, seed: int) -> None:
    """The optional methods draw, draw_svg and canonical return text, SVG and one valid form."""
    space = component.space()
    arch = space.sample(np.random.default_rng(seed))
    if not isinstance(space, DrawsText | DrawsSvg | Canonicalizes):
        raise NotApplicable("it has none of draw, draw_svg and canonical")
    if isinstance(space, DrawsText):
        drawing = space.draw(arch)
        expect(isinstance(drawing, str) and drawing.strip(), f"draw returns {drawing!r}")
    if isinstance(space, DrawsSvg):
        expect("<svg" in space.draw_svg(arch), "draw_svg returns no SVG")
    if isinstance(space, Canonicalizes):
        once = space.canonical(arch)
        _expect_valid(space, once, "canonical")
        expect(space.canonical(once) == once, "the canonical form has another canonical form")


@check()
def parameters_are_well_formed(component: ComponentUnderTest, seed: int) -> None:
    """Parameters have names of their own, two values or more, and conditions on earlier ones."""
    space = _encoded(component)
    parameters = space.parameters()
    expect(list(parameters) == list(space.parameters()), "two calls return different parameters")
    earlier: dict[str, Parameter] = {}
    for parameter in parameters:
        name = parameter.name
        expect(isinstance(name, str) and name, f"a parameter has the name {name!r}")
        expect(name not in earlier, f"two parameters have the name {name!r}")
        values = [parameter.value(i) for i in range(parameter.count)]
        expect(len(values) > 1, f"{name!r} has {len(values)} values, not at least 2")
        texts = {json.dumps(value) for value in values}
        expect(len(texts) == len(values), f"{name!r} has a value twice: {values}")
        if (condition := parameter.condition) is not None:
            on = condition.parameter
            expect(on in earlier, f"{name!r} depends on {on!r}, which does not come before it")
            possible = all(earlier[on].contains(value) for value in condition.values)
            expect(condition.values and possible, f"{name!r} depends on other values of {on!r}")
        earlier[name] = parameter


@check(seeds=20)
def encoding_and_decoding_return_the_architecture(component: ComponentUnderTest, seed: int) -> None:
    """An architecture is encoded by allowed values, and decoding them returns it."""
    space, encoded = component.space(), _encoded(component)
    arch = space.sample(np.random.default_rng(seed))
    before = arch.to_json()
    values = encoded.encode(arch)
    expect(arch.to_json() == before, "encode changes the architecture it is given")
    _expect_allowed(encoded, values)
    decoded = encoded.decode(values)
    _expect_valid(space, decoded, "decode")
    if isinstance(space, Canonicalizes):
        arch, decoded = space.canonical(arch), space.canonical(decoded)
    expect(decoded == arch, f"{before} is encoded as {values}, which is {decoded.to_json()}")


@check(seeds=20)
def allowed_values_are_architectures(component: ComponentUnderTest, seed: int) -> None:
    """All values that the parameters allow describe a valid architecture."""
    space, encoded = component.space(), _encoded(component)
    values = draw_values(encoded.parameters(), np.random.default_rng(seed))
    before = dict(values)
    arch = encoded.decode(values)
    expect(values == before, "decode changes the values it is given")
    _expect_valid(space, arch, f"decode of {values}")
    expect(encoded.decode(values) == arch, "two calls of decode return different architectures")
    if _combinations(encoded.parameters()) == space.size:
        again = encoded.encode(arch)
        expect(
            dict(again) == values,
            f"as many values as architectures, but {values} are encoded back as {dict(again)}",
        )


@check()
def other_values_are_refused(component: ComponentUnderTest, seed: int) -> None:
    """Values that are missing, unknown or not allowed are refused with an OptionError."""
    encoded = _encoded(component)
    values = draw_values(encoded.parameters(), np.random.default_rng(seed))
    wrong: list[dict[str, Any]] = [{**values, "no-such-parameter": 1}]
    for name in values:
        wrong.append({key: value for key, value in values.items() if key != name})
        others: tuple[Any, ...] = (None, "no such choice", -(10**9), [])
        wrong += [{**values, name: value} for value in others]
    for given in wrong:
        try:
            encoded.decode(given)
        except OptionError:
            continue
        except Exception as error:
            raise ContractViolation(
                f"decode raises {type(error).__name__}, not OptionError, for {given}"
            ) from error
        raise ContractViolation(f"decode accepts {given}")


def _corrupted(genotype: Any) -> Iterator[Any]:
    """Yield JSON data that differs from a genotype in one value, or has one more."""
    if isinstance(genotype, dict):
        yield {**genotype, "no-such-key": 1}
        for key, value in genotype.items():
            yield from ({**genotype, key: other} for other in _corrupted(value))
    elif isinstance(genotype, list):
        yield [*genotype, "no such value"]
        for i, value in enumerate(genotype):
            yield from ([*genotype[:i], other, *genotype[i + 1 :]] for other in _corrupted(value))
    else:
        yield from ("no such value", -(10**9))


def _encoded(component: ComponentUnderTest) -> Encodes:
    space: Any = component.space()
    if not isinstance(space, Encodes):
        raise NotApplicable("it has no parameters, encode and decode")
    return space


def _combinations(parameters: Sequence[Parameter]) -> int | None:
    """Return the number of combinations of values; None if parameters are conditional."""
    if any(parameter.condition is not None for parameter in parameters):
        return None
    return prod(parameter.count for parameter in parameters)


def _expect_allowed(space: Encodes, values: Mapping[str, ParameterValue]) -> None:
    try:
        check_values(space.parameters(), values)
    except OptionError as error:
        raise ContractViolation(f"encode returns values that are not allowed: {error}") from error


def _all_methods(space: SearchSpace, rng: np.random.Generator) -> list[str]:
    a, b = space.sample(rng), space.sample(rng)
    changed = space.mutate(a, rng) if space.size > 1 else a
    near = islice(space.neighbours(b), 5)
    return [one.to_json() for one in (a, b, changed, space.crossover(changed, b, rng), *near)]


def _expect_valid(space: SearchSpace, arch: Any, how: str) -> None:
    expect(isinstance(arch, Architecture), f"{how} returns a {type(arch).__name__}")
    try:
        space.validate(arch)
    except OptionError as error:
        raise ContractViolation(f"{how} returns what validate refuses: {error}") from error
