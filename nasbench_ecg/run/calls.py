"""Calls of components: an error names its component, and no global state is left changed."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from nasbench_ecg.errors import NasbenchError
from nasbench_ecg.plugin.component import Component
from nasbench_ecg.progress import Progress, Silent
from nasbench_ecg.run.global_state import GlobalState

_RAISED_BY = "Raised by the "


def describe(component: Component) -> str:
    """Return kind, name, plugin, distribution and version of a component as one phrase."""
    return f"{component.kind.replace('-', ' ')} {component.name!r}, {component.source}"


@dataclass
class ComponentCalls:
    """The calls of components in one run.

    Attributes:
        progress: Shows each note once.
        notes: What components left changed, one sentence for each component and setting.
    """

    progress: Progress = field(default_factory=Silent)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def of(self, who: str, *, attribute: bool = True) -> Iterator[None]:
        """Call a component in the block.

        Afterwards the global state is as before, and a note names what the component had changed.
        An error of the block gets the component's name, unless it has that of an inner call; Ctrl-C
        does not. The error keeps its type, which determines the status of the run.

        Args:
            who: The component, from :func:`describe`.
            attribute: Whether the errors of this package, which say what happened, are the
                component's too.
        """
        before = GlobalState()
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if attribute or not isinstance(error, NasbenchError):
                _attribute(error, who)
            raise
        finally:
            if changed := before.restore():
                self.tell(f"Changed by the {who}, and restored: {'; '.join(changed)}.")

    @contextmanager
    def through(self, components: Mapping[str, object]) -> Iterator[None]:
        """Call a component in the block that itself calls others, such as a search its space.

        An error of the block that a method of one of them raised gets the name of that one.

        Args:
            components: The other components, by their names from :func:`describe`.
        """
        try:
            yield
        except NasbenchError:
            raise
        except Exception as error:
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            for frame in reversed(frames):
                called = frame.f_locals.get("self")
                for who, component in components.items():
                    if called is not None and called is component:
                        _attribute(error, who)
                        raise
            raise

    def tell(self, note: str) -> None:
        """Show and keep a note, unless it is known."""
        if note not in self.notes:
            self.notes.append(note)
            self.progress.note(note)


def _attribute(error: BaseException, who: str) -> None:
    """Name a component in the notes of an error, unless one of them names another."""
    if not any(str(note).startswith(_RAISED_BY) for note in getattr(error, "__notes__", ())):
        error.add_note(f"{_RAISED_BY}{who}.")
