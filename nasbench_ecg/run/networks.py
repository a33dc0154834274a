"""Check the networks of a builder, so that their faults are not attributed to what trains them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nasbench_ecg.architecture import Architecture
from nasbench_ecg.contracts import Builder, Task
from nasbench_ecg.errors import NasbenchError, PluginError, is_out_of_memory
from nasbench_ecg.run.calls import ComponentCalls
from nasbench_ecg.training.costs import build_network
from nasbench_ecg.training.seeding import seeded

_BEATS = 3
_ROUNDING = 1e-4  # as the contract check of builders
_UNTRAINABLE = "its outputs depend on no parameter that can be trained"
_SHARED = (
    "it has the weights of the network that was built before, so that a training would start from "
    "trained ones"
)
_DEPENDENT = (
    "in evaluation mode, its outputs for a beat depend on the other beats of the batch, or on "
    "random numbers"
)


def check_network(
    arch: Architecture,
    task: Task,
    builder: Builder,
    *,
    builder_name: str,
    calls: ComponentCalls,
    trained: bool = False,
) -> None:
    """Build the network of an architecture and classify some random beats with it.

    Args:
        arch: The architecture.
        task: States the shape of beats, and the classes.
        builder: Builds the network.
        builder_name: The builder, named in the error.
        calls: Calls the builder.
        trained: Check also that the outputs have gradients.

    Raises:
        PluginError: It is no module of PyTorch, its outputs are not [batch, classes], a beat has
            other outputs alone than in a batch, or it shares weights with the network that is built
            next.
        Exception: What the builder or its network raises.
    """
    generator = torch.Generator().manual_seed(0)
    beats = torch.randn(_BEATS, task.n_leads, task.n_samples, generator=generator)
    with calls.of(builder_name), seeded(0), torch.set_grad_enabled(trained):
        model = build_network(arch, task, builder)
        fault = _fault(model, beats, task.n_classes, trained=trained)
        if not fault and _share_weights(model, build_network(arch, task, builder)):
            fault = _SHARED
        if fault:
            raise PluginError(
                f"The {builder_name}, makes a network that is not valid: {fault}.",
                where=f"architecture {arch.hash[:12]}",
                fix="'nasbench-ecg plugin check' shows all faults; report them to its authors.",
            )


def check_weights(
    weights: Mapping[str, Tensor],
    arch: Architecture,
    task: Task,
    builder: Builder,
    evaluator_name: str,
    *,
    builder_name: str,
    calls: ComponentCalls,
) -> None:
    """Load the weights that an evaluator returned into a new network of the architecture.

    Args:
        weights: Weights by parameter name.
        arch: The architecture.
        task: States the shape of beats, and the classes.
        builder: Builds the network.
        evaluator_name: The evaluator, named in the error.
        builder_name: The builder, named in what it raises.
        calls: Calls the builder.

    Raises:
        PluginError: Names or shapes are not those of the network.
        Exception: What the builder raises.
    """
    with calls.of(builder_name), seeded(0):
        model = build_network(arch, task, builder)
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        _, *faults = str(error).splitlines()  # the first line names the class of the network
        raise PluginError(
            f"The {evaluator_name}, returned weights that are not those of the network: "
            f"{'; '.join(fault.strip().rstrip('. ') for fault in faults)}.",
            where=f"architecture {arch.hash[:12]}",
            fix="The state of an Evaluation is the state_dict() of the network that the builder "
            "made for its architecture; an evaluator that trains no network returns none.",
        ) from error


def _fault(model: object, beats: Tensor, n_classes: int, *, trained: bool) -> str:
    if not isinstance(model, nn.Module):
        return f"it is a value of type {type(model).__name__}, not a torch.nn.Module"
    outputs = model.train(trained)(beats)
    if not isinstance(outputs, Tensor):
        return f"it returns a {type(outputs).__name__}, not a tensor"
    shape, expected = tuple(outputs.shape), (len(beats), n_classes)
    if shape != expected:
        return f"for {len(beats)} beats and {n_classes} classes, its outputs have shape {shape}"
    if trained:
        return "" if outputs.requires_grad else _UNTRAINABLE
    each = [model(beat[None]) for beat in beats]
    if wrong := [tuple(one.shape) for one in each if one.shape != (1, n_classes)]:
        return f"for 1 beat and {n_classes} classes, its outputs have shape {wrong[0]}"
    alone = torch.cat(each)
    same = torch.allclose(outputs, alone, atol=_ROUNDING, equal_nan=True)
    return "" if same else _DEPENDENT


def _share_weights(one: nn.Module, other: nn.Module) -> bool:
    """Return whether a parameter that is trained is in both networks; frozen ones may be."""
    of_one, of_other = (
        {p.data_ptr() for p in model.parameters() if p.requires_grad} for model in (one, other)
    )
    return not (of_one & of_other) <= {0}  # the address of a tensor without numbers


@contextmanager
def faults_of_networks(
    arch: Architecture,
    task: Task,
    builder: Builder,
    *,
    builder_name: str,
    calls: ComponentCalls,
) -> Iterator[None]:
    """If the block raises because of the network that it got, raise the error of the builder.

    Outputs of too many classes make an evaluation that is not valid, which is a PluginError.

    Args and errors as of :func:`check_network`.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        of_user = isinstance(error, NasbenchError) and not isinstance(error, PluginError)
        if of_user or is_out_of_memory(error):
            raise
        for trained in (True, False):
            check_network(
                arch, task, builder, builder_name=builder_name, calls=calls, trained=trained
            )
        raise
