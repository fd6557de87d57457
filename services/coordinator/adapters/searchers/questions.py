"""What is asked of a searcher in another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from services.coordinator.ports import SearchTask
from services.core.searcher import Suggestion
from services.core.trial import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One call of a searcher."""

    task: SearchTask
    count: int
    first_index: int
    known: tuple[Trial, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A question on its way to a process that may know most of the trials.

    Attributes:
        fresh: whether the process begins anew; else it goes on from the trials it knows of the same task.
        changed: (place, trial) of those that are new to it or have changed, by place.
    """

    task: SearchTask
    count: int
    first_index: int
    fresh: bool
    changed: tuple[tuple[int, Trial], ...]


class Sender:
    """Makes messages for one process, and remembers what it was told."""

    def __init__(self) -> None:
        self._task: SearchTask | None = None
        self._told: tuple[Trial, ...] = ()

    def message(self, question: Question) -> Message:
        """Gives what the process lacks; it must then be sent."""
        told = self._told
        fresh = question.task != self._task or len(question.known) < len(told)
        if fresh:
            told = ()
        self._task, self._told = question.task, question.known
        changed = tuple(
            (place, trial)
            for place, trial in enumerate(question.known)
            if place >= len(told) or told[place] is not trial
        )
        return Message(
            task=question.task,
            count=question.count,
            first_index=question.first_index,
            fresh=fresh,
            changed=changed,
        )

    def knows(self, task: SearchTask) -> bool:
        """Whether the process was last asked about a task."""
        return self._task == task


class Receiver:
    """Turns messages back into questions."""

    def __init__(self) -> None:
        self._known: list[Trial] = []

    def question(self, message: Message) -> Question:
        """Gives the question as it was asked."""
        if message.fresh:
            self._known = []
        for place, trial in message.changed:
            if place == len(self._known):
                self._known.append(trial)
            else:
                self._known[place] = trial
        return Question(
            task=message.task,
            count=message.count,
            first_index=message.first_index,
            known=tuple(self._known),
        )


Answer: TypeAlias = tuple[list[Suggestion], str]
"""The suggestions, or why there are none."""
