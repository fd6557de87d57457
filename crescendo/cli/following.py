"""Following an orchestration to its end, in the form the output is for."""

from __future__ import annotations

import threading
import time

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from crescendo.cli import output
from crescendo.cli.views import live as live_view
from crescendo.cli.views import overview, pruning, results
from crescendo.cli.views.plain import PlainLines
from crescendo.client.events import OrchestrationChanged, Snapshot, WatchItem
from crescendo.client.library import Crescendo
from crescendo.client.progress import Progress
from crescendo.client.watching import Interruption

COMPLETED, FAILED, USAGE, DETACHED = 0, 1, 2, 130
DETACHES = "Ctrl-C detaches; the search goes on without you."
_REFRESHES_PER_SECOND = 8


class Detached(Exception):
    """The person pressed Ctrl-C: the orchestration goes on, the watching ends."""

    def __init__(self, orchestration_id: str) -> None:
        super().__init__(orchestration_id)
        self.orchestration_id = orchestration_id


def follow(client: Crescendo, orchestration_id: str, *, as_json: bool) -> int:
    """Follows an orchestration and prints its result at the end.

    Returns: the exit code, COMPLETED or FAILED.

    Raises:
        Detached: Ctrl-C.
        CrescendoError: the server refused, or stayed away too long.
    """
    if as_json:
        state = _follow_as_json(client, orchestration_id)
    else:
        console = output.out()
        state = follow_on(console, client, orchestration_id)
        print_result(console, client, orchestration_id)
    return exit_code(state)


def exit_code(state: str) -> int:
    """Gives the exit code for the state an orchestration ended in."""
    return COMPLETED if state == "completed" else FAILED


def follow_on(
    console: Console, client: Crescendo, orchestration_id: str, *, on_leaving: str = DETACHES
) -> str:
    """Follows an orchestration on a console: live on terminals, in lines elsewhere.

    Args:
        on_leaving: what Ctrl-C will do, in words.

    Returns: the state it ended in.

    Raises:
        Detached: Ctrl-C.
    """
    try:
        if console.is_terminal:
            return _Screen(console, on_leaving).follow(client, orchestration_id)
        return _follow_in_lines(console, client, orchestration_id)
    except KeyboardInterrupt:
        raise Detached(orchestration_id) from None


def print_result(console: Console, client: Crescendo, orchestration_id: str) -> None:
    """Prints what came of an orchestration that ended: the best model, and what went wrong."""
    whole = client.status(orchestration_id)
    console.print()
    if whole.best is not None:
        console.print(results.best(client.best(orchestration_id, so_far=True)))
    if whole.state != "completed":
        console.print(overview.status(whole))
    elif stopped := pruning.asked(whole):
        console.print()
        for each in stopped:
            console.print(f"Pruning: {each}.")


def print_way_back(console: Console, orchestration_id: str) -> None:
    """Says how to come back to an orchestration that goes on."""
    for command, purpose in (("watch", "come back"), ("cancel", "end it")):
        line = Text(f"  crescendo {command} {orchestration_id}")
        console.print(line.append(f"   # {purpose}", style="dim"), soft_wrap=True)


def _follow_as_json(client: Crescendo, orchestration_id: str) -> str:
    state = ""
    try:
        for item in client.watch(orchestration_id, restart=True):
            output.print_json_line(output.watch_item(item))
            state = _state_after(item, state)
    except KeyboardInterrupt:
        raise Detached(orchestration_id) from None
    return state


def _state_after(item: WatchItem, state: str) -> str:
    if isinstance(item, Snapshot):
        return item.orchestration.state
    return item.change.state if isinstance(item.change, OrchestrationChanged) else state


def _follow_in_lines(console: Console, client: Crescendo, orchestration_id: str) -> str:
    lines: PlainLines | None = None

    def say(line: str) -> None:
        console.print(line, soft_wrap=True)

    def interrupted(interruption: Interruption) -> None:
        say(f"connection lost ({interruption.error.message}); trying again")

    for item in client.watch(orchestration_id, restart=True, on_interruption=interrupted):
        if isinstance(item, Snapshot):
            # The first one, or a new start after a restore: what was known before is void.
            lines = PlainLines(Progress.of(item))
            fresh = lines.opening()
        elif lines is None:
            continue
        else:
            lines.progress.apply(item)
            fresh = lines.lines(item)
        for line in fresh:
            say(line)
    return _state_of(lines.progress if lines else None)


class _Screen:
    """The live view: events arrive on this thread, the screen is drawn on another."""

    def __init__(self, console: Console, on_leaving: str) -> None:
        self._console = console
        self._on_leaving = on_leaving
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._interruption: Interruption | None = None
        self._base_seconds = 0.0
        self._base_at = time.monotonic()
        self._event_at = time.monotonic()

    def follow(self, client: Crescendo, orchestration_id: str) -> str:
        """Shows the orchestration until it ends; gives the state it ended in."""
        with Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=_REFRESHES_PER_SECOND,
            vertical_overflow="crop",
        ) as live:
            for item in client.watch(
                orchestration_id, restart=True, on_interruption=self._interrupted
            ):
                self._take(item)
            live.refresh()
        return _state_of(self._progress)

    def _take(self, item: WatchItem) -> None:
        with self._lock:
            self._interruption = None
            now = time.monotonic()
            if isinstance(item, Snapshot):
                self._progress = Progress.of(item)
                self._base_seconds = item.orchestration.timings.duration_seconds
                self._base_at = now
            elif self._progress is not None:
                self._progress.apply(item)
            self._event_at = now

    def _interrupted(self, interruption: Interruption) -> None:
        with self._lock:
            self._interruption = interruption

    def _draw(self) -> RenderableType:
        with self._lock:
            if self._progress is None:
                return "connecting …"
            return live_view.render(self._progress, self._moment(self._progress))

    def _moment(self, progress: Progress) -> live_view.Moment:
        now = time.monotonic()
        left = progress.remaining_seconds()
        return live_view.Moment(
            elapsed_seconds=self._elapsed(progress, now),
            remaining_seconds=None if left is None else max(0.0, left - (now - self._event_at)),
            interruption=self._interruption,
            on_leaving=self._on_leaving,
        )

    def _elapsed(self, progress: Progress, now: float) -> float:
        started = progress.orchestration.timings.started_at
        if progress.ended and started is not None and progress.observed_at is not None:
            # Both on the server's clock: the figure that status will show.
            return (progress.observed_at - started).total_seconds()
        if progress.ended:
            return self._base_seconds
        return self._base_seconds + now - self._base_at


def _state_of(progress: Progress | None) -> str:
    return progress.state if progress is not None else ""
