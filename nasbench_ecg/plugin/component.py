"""A component of a plugin: read its options model, and create it.

The strings of a spec are resolved here and nowhere else, when a component is used. Whatever goes
wrong is reported with the plugin's name, distribution and version.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from nasbench_ecg.errors import NasbenchError, PluginError, describe_error
from nasbench_ecg.plugin.specs import ComponentSpec, Kind

if TYPE_CHECKING:
    from nasbench_ecg.options import Options

_METHODS: Mapping[Kind, tuple[str, ...]] = {
    "search-space": ("sample", "validate"),
    "builder": ("build",),
    "strategy": ("search",),
    "dataset": ("requires", "load"),
    "evaluator": ("evaluate",),
}
"""The methods without which no run with a component can begin."""


@dataclass(frozen=True)
class Component:
    """One component and the plugin that provides it.

    Attributes:
        spec: What the plugin declares about it.
        plugin: Name of the plugin, which is the name of its entry point.
        distribution: Name of the installed distribution that holds the plugin.
        version: Version of that distribution.
    """

    spec: ComponentSpec
    plugin: str
    distribution: str
    version: str

    @property
    def kind(self) -> Kind:
        """Its kind."""
        return self.spec.kind

    @property
    def name(self) -> str:
        """The name that users type."""
        return self.spec.name

    @property
    def source(self) -> str:
        """Plugin, distribution and version as one phrase."""
        return f"plugin {self.plugin!r} of {self.distribution} {self.version}"

    @property
    def target(self) -> str:
        """Where the implementation is, as ``module:Class``."""
        return _address(self.spec.target)

    def options_model(self) -> type[Options]:
        """Return the options model; :class:`~nasbench_ecg.api.NoOptions` if it has none.

        Raises:
            PluginError: The model cannot be imported, or is not an options model.
        """
        from nasbench_ecg.options import NoOptions, Options

        declared = self.spec.options
        if declared is None:
            return NoOptions
        model = self._resolve(declared, "options")
        if not (isinstance(model, type) and issubclass(model, Options)):
            raise self._unusable(f"its options {_address(declared)!r} are not a model of Options")
        fault = _fault_of_defaults(model)
        if fault:
            raise self._unusable(f"its options {_address(declared)!r} {fault}")
        return model

    def create(self, options: Options) -> Any:
        """Import the component's target and call it with ``options``.

        Raises:
            PluginError: The target cannot be imported or called.
            NasbenchError: The component refuses the options.
        """
        factory = self._factory()
        try:
            made = factory(options)
            # A property runs code of the component too.
            methods = {name: getattr(made, name, None) for name in _METHODS.get(self.kind, ())}
        except NasbenchError:
            raise
        except Exception as error:
            reason = f"its target {self.target!r} fails: {describe_error(error)}"
            raise self._unusable(reason) from error
        if isinstance(made, type):
            raise self._unusable(f"its target {self.target!r} returns a class, not an object of it")
        for name, method in methods.items():
            if not callable(method):
                raise self._unusable(f"its target {self.target!r} has no method {name!r}")
        return made

    def verify(self) -> None:
        """Import options model and target, without creating the component.

        Raises:
            PluginError: One of them cannot be used.
        """
        self.options_model()
        self._factory()

    def _factory(self) -> Callable[..., Any]:
        target = self._resolve(self.spec.target, "target")
        if not callable(target):
            raise self._unusable(f"its target {self.target!r} cannot be called")
        return target  # type: ignore[no-any-return]

    def _resolve(self, reference: str | Callable[..., Any], role: str) -> Any:
        if not isinstance(reference, str):
            return reference
        module, _, path = reference.partition(":")
        try:
            return reduce(getattr, path.split("."), importlib.import_module(module))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may even exit while it is imported
            reason = f"its {role} {reference!r} cannot be imported: {describe_error(error)}"
            raise self._unusable(reason) from error

    def _unusable(self, reason: str) -> PluginError:
        return PluginError(
            f"The {self.kind.replace('-', ' ')} {self.name!r} cannot be used: {reason}.",
            where=self.source,
            fix=f"Update or reinstall {self.distribution}, or report it to its authors.",
        )


def _address(reference: str | Callable[..., Any]) -> str:
    if isinstance(reference, str):
        return reference
    name = getattr(reference, "__qualname__", type(reference).__qualname__)
    return f"{getattr(reference, '__module__', '?')}:{name}"


def _fault_of_defaults(model: type[Options]) -> str:
    from nasbench_ecg.options import PROFILE_NAMES

    unknown_profiles = set(model.PROFILES) - set(PROFILE_NAMES)
    if unknown_profiles:
        known = ", ".join(PROFILE_NAMES)
        return f"declare an unknown profile {min(unknown_profiles)!r}; profiles are {known}"
    for heading, changes in {**model.PROFILES, **model.PROTOCOLS}.items():
        unknown = set(changes) - set(model.model_fields)
        if unknown:
            return f"set {min(unknown)!r} for {heading!r}, an option they do not have"
    return ""
