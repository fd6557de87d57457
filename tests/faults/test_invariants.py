"""The checker itself: a sound history passes, and each promise broken in each way is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.support.history import (
    COUNTED,
    History,
    Log,
    LoggedEvent,
    Transition,
    TrialRow,
    TuningRunRow,
)
from tests.faults.support.invariants import Evidence, Submission, violations
from tests.faults.support.records import Entry, Record
from tuning.v1 import event_pb2, orchestration_pb2, trial_pb2

SUCCEEDED = trial_pb2.TRIAL_STATE_SUCCEEDED
COMPLETED = orchestration_pb2.LIFECYCLE_STATE_COMPLETED


def counts(**given: int) -> Mapping[str, int]:
    return dict.fromkeys(COUNTED, 0) | given


def queued(first: int, count: int) -> event_pb2.Event:
    return event_pb2.Event(
        trials_queued=event_pb2.TrialsQueued(tuning_run_id="r", first_number=first, count=count)
    )


def started(number: int, attempt: int) -> event_pb2.Event:
    return event_pb2.Event(
        trial_started=event_pb2.TrialStarted(number=number, attempt=attempt, worker="w")
    )


def finished(number: int, score: float) -> event_pb2.Event:
    return event_pb2.Event(
        trial_finished=event_pb2.TrialFinished(number=number, state=SUCCEEDED, score=score)
    )


def improved(number: int, score: float) -> event_pb2.Event:
    best = orchestration_pb2.BestTrial(trial_number=number, score=score)
    return event_pb2.Event(best_improved=event_pb2.BestImproved(best=best))


def ended(*, final: bool = True) -> event_pb2.Event:
    return event_pb2.Event(
        orchestration_changed=event_pb2.OrchestrationChanged(state=COMPLETED, final=final)
    )


def numbered(*events: event_pb2.Event) -> list[LoggedEvent]:
    return [LoggedEvent(sequence=place, event=event) for place, event in enumerate(events, 1)]


def trial(number: int, score: float | None, **fields: Any) -> TrialRow:
    values: dict[str, Any] = {
        "state": "succeeded",
        "attempt": 0,
        "suggestion_index": number,
    } | fields
    return TrialRow(number=number, tuning_run_id="r", stage_index=0, score=score, **values)


def move(number: int, *states: tuple[str, int]) -> list[Transition]:
    """The transitions of one trial through states and attempts."""
    return [
        Transition(
            number=number,
            old_state=before[0] if before else None,
            old_attempt=before[1] if before else None,
            new_state=after[0],
            new_attempt=after[1],
        )
        for before, after in zip([None, *states], states, strict=False)
    ]


EVENTS = (
    queued(0, 2),
    started(1, 0),
    started(1, 1),
    finished(0, 0.5),
    improved(0, 0.5),
    finished(1, 0.75),
    improved(1, 0.75),
    ended(),
)
SOUND = Log(
    orchestration_id="o",
    state="completed",
    last_sequence=len(EVENTS),
    counts=counts(succeeded=2),
    planned=2,
    best_number=1,
    best_score=0.75,
    runs=[
        TuningRunRow(
            tuning_run_id="r", state="completed", planned=2, created=2, counts=counts(succeeded=2)
        )
    ],
    trials=[trial(0, 0.5), trial(1, 0.75, attempt=1)],
    events=numbered(*EVENTS),
    transitions=[
        *move(0, ("queued", 0), ("running", 0), ("succeeded", 0)),
        *move(1, ("queued", 0), ("running", 0), ("queued", 1), ("running", 1), ("succeeded", 1)),
    ],
)
SUBMISSION = Submission(
    rpc="StartTuning", request_id="q", orchestration_ids=["o", "o"], trials=2, succeeded=2
)
REQUESTS = {("StartTuning", "q"): "o"}


def record(*entries: Entry, **fields: Any) -> Record:
    return Record(name="w", orchestration_id="o", entries=entries, **fields)


def seen(log: Log, *places: int) -> list[Entry]:
    return [Entry(sequence=n, digest=log.events[n - 1].digest) for n in places]


def evidence(log: Log = SOUND, **fields: Any) -> Evidence:
    values: dict[str, Any] = {"submissions": [SUBMISSION]} | fields
    history = History(logs={"o": log}, requests=values.pop("requests", REQUESTS))
    return Evidence(history=history, **values)


def test_a_sound_history_is_sound() -> None:
    whole = record(Entry(sequence=0), *seen(SOUND, *range(1, 9)), complete=True)
    late = record(Entry(sequence=3), *seen(SOUND, 4, 5), Entry(sequence=7), *seen(SOUND, 8))
    decoded = record(
        *[Entry(sequence=each.sequence, digest=each.change_digest) for each in SOUND.events],
        decoded=True,
        complete=True,
    )
    assert violations(evidence(records=[whole, late, decoded], texts={"a log": "fine"})) == []


def with_events(*events: event_pb2.Event) -> Log:
    return replace(SOUND, events=numbered(*events), last_sequence=len(events))


def with_trials(*trials: TrialRow) -> Log:
    return replace(SOUND, trials=list(trials))


BROKEN_LOGS: dict[str, tuple[str, Callable[[], Log]]] = {
    "a trial left open": (
        "I1",
        lambda: with_trials(trial(0, 0.5), trial(1, None, state="running", attempt=1)),
    ),
    "a trial lost": ("I1", lambda: with_trials(trial(1, 0.75, attempt=1))),
    "a trial that ended twice": ("I1", lambda: with_events(*EVENTS[:-1], EVENTS[3], ended())),
    "a trial that never ended": ("I1", lambda: with_events(*EVENTS[:3], *EVENTS[4:])),
    "a trial queued twice": ("I1", lambda: with_events(queued(0, 1), *EVENTS)),
    "a trial nobody was told of": ("I1", lambda: with_events(queued(0, 1), *EVENTS[1:])),
    "a counter ahead of the rows": ("I2", lambda: replace(SOUND, counts=counts(succeeded=3))),
    "a run's counter behind": (
        "I2",
        lambda: replace(SOUND, runs=[replace(SOUND.runs[0], counts=counts(succeeded=1))]),
    ),
    "a budget overspent": (
        "I2",
        lambda: replace(SOUND, runs=[replace(SOUND.runs[0], planned=1)]),
    ),
    "a suggestion used twice": (
        "I2",
        lambda: with_trials(trial(0, 0.5), trial(1, 0.75, attempt=1, suggestion_index=0)),
    ),
    "an event of another state": (
        "I2",
        lambda: with_events(
            *EVENTS[:3],
            event_pb2.Event(
                trial_finished=event_pb2.TrialFinished(number=0, state=trial_pb2.TRIAL_STATE_FAILED)
            ),
            *EVENTS[4:],
        ),
    ),
    "a gap": ("I3", lambda: replace(SOUND, events=[*SOUND.events[:2], *SOUND.events[3:]])),
    "a late start": ("I3", lambda: replace(SOUND, events=SOUND.events[1:])),
    "a log behind its row": ("I3", lambda: replace(SOUND, last_sequence=9)),
    "no final event": ("I3", lambda: with_events(*EVENTS[:-1], ended(final=False))),
    "a final event too soon": ("I3", lambda: replace(SOUND, state="running")),
    "the wrong best": ("I5", lambda: replace(SOUND, best_number=0, best_score=0.5)),
    "no best": ("I5", lambda: replace(SOUND, best_number=None, best_score=None)),
    "NaN as a score": (
        "I5",
        lambda: with_trials(trial(0, float("nan")), trial(1, 0.75, attempt=1)),
    ),
    "a tie won by the later": (
        "I5",
        lambda: with_trials(trial(0, 0.75), trial(1, 0.75, attempt=1)),
    ),
    "a best that falls": (
        "I5",
        lambda: with_events(*EVENTS[:4], improved(0, 0.9), *EVENTS[5:]),
    ),
    "a claim twice": (
        "I6",
        lambda: replace(
            SOUND,
            transitions=[*SOUND.transitions[:2], SOUND.transitions[1], *SOUND.transitions[2:]],
        ),
    ),
    "a start twice": ("I6", lambda: with_events(*EVENTS[:3], started(1, 1), *EVENTS[3:])),
    "an attempt that does not rise": (
        "I6",
        lambda: replace(
            SOUND,
            transitions=move(
                1, ("queued", 0), ("running", 0), ("queued", 0), ("running", 0), ("succeeded", 0)
            ),
        ),
    ),
    "an end that was left": (
        "I6",
        lambda: replace(
            SOUND,
            transitions=[*SOUND.transitions, *move(0, ("succeeded", 0), ("running", 0))[1:]],
        ),
    ),
    "a change past the record": ("I6", lambda: replace(SOUND, transitions=SOUND.transitions[:-1])),
}


@pytest.mark.parametrize("name", BROKEN_LOGS)
def test_what_is_wrong_with_a_log_is_told(name: str) -> None:
    invariant, broken = BROKEN_LOGS[name]
    assert invariant in {each.invariant for each in violations(evidence(broken()))}


BROKEN_RECORDS = {
    "an event left out": record(*seen(SOUND, 1, 2, 4)),
    "an event twice": record(*seen(SOUND, 1, 2, 2, 3)),
    "out of order": record(*seen(SOUND, 2, 1)),
    "a jump after the cursor": record(Entry(sequence=2), *seen(SOUND, 4)),
    "another event": record(Entry(sequence=1, digest="0000")),
    "an event past the log": record(Entry(sequence=8), Entry(sequence=9, digest="0000")),
    "an end before the end": record(*seen(SOUND, 1, 2), complete=True),
    "a gap the library saw": record(*seen(SOUND, 1), errors=["WatchGap the next event"]),
}


@pytest.mark.parametrize("name", BROKEN_RECORDS)
def test_what_a_watcher_should_not_have_seen_is_told(name: str) -> None:
    found = violations(evidence(records=[BROKEN_RECORDS[name]]))
    assert {each.invariant for each in found} == {"I4"}


BROKEN_EVIDENCE: dict[str, tuple[str, dict[str, Any]]] = {
    "an orphan": ("I7", {"orphans": ["process 7"]}),
    "a request with two answers": (
        "I8",
        {"submissions": [replace(SUBMISSION, orchestration_ids=["o", "p"])]},
    ),
    "an answer that was forgotten": ("I8", {"requests": {}}),
    "a search nobody asked for": ("I8", {"submissions": []}),
    "a request whose search is gone": ("I8", {"requests": {("StartTuning", "q"): "p"}}),
    "more trials than asked for": ("I8", {"submissions": [replace(SUBMISSION, trials=1)]}),
    "fewer successes": ("I8", {"submissions": [replace(SUBMISSION, succeeded=3)]}),
    "never quiet": ("I9", {"quiet_seconds": None, "quiet_bound_seconds": 5.0}),
    "quiet too late": ("I9", {"quiet_seconds": 6.0, "quiet_bound_seconds": 5.0}),
    "a secret": ("I10", {"texts": {"a log": "dsn=//u:hush@h"}, "secrets": ["hush"]}),
}


@pytest.mark.parametrize("name", BROKEN_EVIDENCE)
def test_what_is_wrong_around_a_log_is_told(name: str) -> None:
    invariant, fields = BROKEN_EVIDENCE[name]
    found = violations(evidence(**fields))
    assert {each.invariant for each in found} == {invariant}
    assert "hush" not in str(found[0])


def test_a_log_whose_start_was_removed_is_no_gap() -> None:
    log = replace(SOUND, events=SOUND.events[4:], first_sequence=5)
    assert violations(evidence(log)) == []


def test_a_log_of_which_nothing_is_kept_is_no_gap_once_it_has_ended() -> None:
    removed = replace(SOUND, events=(), first_sequence=SOUND.last_sequence + 1)
    assert violations(evidence(removed)) == []
    found = violations(evidence(replace(removed, state="running")))
    assert [each.invariant for each in found] == ["I3"]
    found = violations(evidence(replace(removed, first_sequence=SOUND.last_sequence)))
    assert [each.invariant for each in found] == ["I3"]
