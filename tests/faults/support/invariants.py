"""The one checker: what must hold after every fault, whatever it was.

    I1   each accepted trial ends in exactly one terminal state
    I2   counters = terminal rows = terminal events
    I3   sequence numbers of an orchestration are 1..n without gap
    I4   what each watcher saw is a contiguous slice of the log
    I5   best is the best over finite scores
    I6   at most one unfenced executor per trial
    I7   no orphan child process
    I8   each submitted request exists exactly once
    I9   everything is quiet again within the stated bound
    I10  no secret in logs, events or error texts

Pure: it is given what was found, and can be given what must not be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.faults.support.history import COUNTED, TERMINAL_LIFECYCLES, TERMINAL_TRIALS, History, Log
from tests.faults.support.records import Record
from tuning.v1 import trial_pb2

# A trial without a candidate comes after those of a grid.
_NO_CANDIDATE = 2**63 - 1
_MOVES = frozenset(
    {
        ("queued", "running"),
        ("queued", "cancelled"),
        # Its worker was given up, and came back with the result before anybody took the trial.
        ("queued", "succeeded"),
        ("running", "queued"),
        ("running", "succeeded"),
        ("running", "failed"),
        ("running", "pruned"),
        ("running", "cancelled"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One promise that was broken."""

    invariant: str
    message: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request a client made.

    Attributes:
        rpc: the method's name, as requests are kept under.
        orchestration_ids: what the answers to it and to its repetitions named; empty without an answer.
        trials: how many trials must have ended if the search completes; None where that is not known.
        succeeded: how many of them with a score; None where that is not known.
    """

    rpc: str
    request_id: str
    orchestration_ids: Sequence[str] = ()
    trials: int | None = None
    succeeded: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything a fault test leaves behind.

    Attributes:
        records: what watchers saw.
        submissions: what was asked for; None where requests were made without ids.
        orphans: processes nobody owns, as people would name them.
        quiet_seconds: how long it took until nothing was open any more; None: it never came to rest.
        quiet_bound_seconds: how long it may take.
        texts: where secrets must not show: name of the place → its text.
        secrets: planted passwords.
    """

    history: History
    records: Sequence[Record] = ()
    submissions: Sequence[Submission] | None = None
    orphans: Sequence[str] = ()
    quiet_seconds: float | None = 0.0
    quiet_bound_seconds: float = 0.0
    texts: Mapping[str, str] | None = None
    secrets: Sequence[str] = ()


def violations(evidence: Evidence) -> list[Violation]:
    """Gives everything that is wrong; empty when all promises were kept."""
    found: list[Violation] = []
    for log in evidence.history.logs.values():
        for name, check in _OF_A_LOG.items():
            found += [
                Violation(invariant=name, message=f"{log.orchestration_id}: {text}")
                for text in check(log)
            ]
    for name, texts in (
        ("I4", _watchers(evidence)),
        ("I7", iter(f"{each} lives on and belongs to nobody" for each in evidence.orphans)),
        ("I8", _requests(evidence)),
        ("I9", _quiet(evidence)),
        ("I10", _secrets(evidence)),
    ):
        found += [Violation(invariant=name, message=text) for text in texts]
    return found


def _ends(log: Log) -> Iterator[str]:
    states = {each.number: each.state for each in log.trials}
    ended = Counter(
        each.event.trial_finished.number
        for each in log.events
        if each.event.HasField("trial_finished")
    )
    if log.first_sequence == 1:
        yield from _accepted_once(log)
    for number, count in sorted(ended.items()):
        if count > 1:
            yield f"trial {number} ended {count} times in the log"
        if states.get(number) not in TERMINAL_TRIALS:
            yield f"trial {number} ended in the log and is {states.get(number)} in its row"
    if log.state not in TERMINAL_LIFECYCLES:
        return
    for number, state in sorted(states.items()):
        if state not in TERMINAL_TRIALS:
            yield f"is {log.state} and its trial {number} is {state}"
        elif log.first_sequence == 1 and not ended[number]:
            yield f"trial {number} is {state} in its row and never ended in the log"


def _accepted_once(log: Log) -> Iterator[str]:
    stored = Counter(each.number for each in log.trials)
    queued: Counter[int] = Counter()
    for each in log.events:
        if each.event.HasField("trials_queued"):
            first, count = each.event.trials_queued.first_number, each.event.trials_queued.count
            queued.update(range(first, first + count))
    for number in sorted({*stored, *queued}):
        if (queued[number], stored[number]) != (1, 1):
            yield (
                f"trial {number} was queued {queued[number]} times and is stored"
                f" {stored[number]} times"
            )
    if sorted(stored) != list(range(len(stored))):
        yield f"its trials are numbered {_short(sorted(stored))}, not 0 to {len(stored) - 1}"


def _counters(log: Log) -> Iterator[str]:
    rows = Counter(each.state for each in log.trials)
    for name in COUNTED:
        if log.counts[name] != rows[name]:
            yield f"counts {log.counts[name]} {name} trials and has {rows[name]}"
    for run in log.runs:
        mine = Counter(e.state for e in log.trials if e.tuning_run_id == run.tuning_run_id)
        for name in COUNTED:
            if run.counts[name] != mine[name]:
                yield (
                    f"tuning run {run.tuning_run_id} counts {run.counts[name]} {name} trials and has"
                    f" {mine[name]}"
                )
        if run.created != sum(mine.values()) or run.created > run.planned:
            yield (
                f"tuning run {run.tuning_run_id} was planned with {run.planned} trials, says it made"
                f" {run.created} and has {sum(mine.values())}"
            )
        told = sorted(
            e.suggestion_index for e in log.trials if e.tuning_run_id == run.tuning_run_id
        )
        if told != list(range(len(told))):
            yield f"tuning run {run.tuning_run_id} has suggestions {_short(told)}"
    events: Counter[str] = Counter()
    for each in log.events:
        if each.event.HasField("trial_finished"):
            events[_state_name(each.event.trial_finished.state)] += 1
    for name in TERMINAL_TRIALS if log.first_sequence == 1 else ():
        if events[name] != rows[name]:
            yield f"has {rows[name]} {name} trials and {events[name]} events that say so"


def _sequences(log: Log) -> Iterator[str]:
    numbers = [each.sequence for each in log.events]
    if numbers != list(range(log.first_sequence, log.first_sequence + len(numbers))):
        gaps = [(a, b) for a, b in pairwise(numbers) if b != a + 1]
        yield f"its log starts with {numbers[:1]} and jumps at {gaps[:5]}"
    if not numbers and log.first_sequence <= log.last_sequence:
        yield f"its log is empty and its row says {log.first_sequence} to {log.last_sequence}"
    if numbers and numbers[-1] != log.last_sequence:
        yield f"its log ends with {numbers[-1]} and its row says {log.last_sequence}"
    ended = log.state in TERMINAL_LIFECYCLES
    # Of a log that ended long ago nothing is kept, not even its final event.
    final = not log.events or log.events[-1].event.orchestration_changed.final
    if ended != final:
        yield f"is {log.state} and its last event is {'' if final else 'not '}the final one"


def _best(log: Log) -> Iterator[str]:
    for each in log.trials:
        if (each.state == "succeeded") != (each.score is not None and math.isfinite(each.score)):
            yield f"trial {each.number} is {each.state} with score {each.score}"
    scored = [each for each in log.trials if each.score is not None and math.isfinite(each.score)]
    best = min(
        scored,
        key=lambda each: (
            -(each.score or 0.0),
            each.stage_index,
            _NO_CANDIDATE if each.candidate_index is None else each.candidate_index,
            each.number,
        ),
        default=None,
    )
    expected = (best.number, best.score) if best is not None else (None, None)
    if (log.best_number, log.best_score) != expected:
        yield f"says its best is {(log.best_number, log.best_score)}; it is {expected}"
    told = [e.event.best_improved.best for e in log.events if e.event.HasField("best_improved")]
    if told and (told[-1].trial_number, told[-1].score) != expected:
        yield f"told of {(told[-1].trial_number, told[-1].score)} as its best last; it is {expected}"
    for before, after in pairwise(each.score for each in told):
        if after < before:
            yield f"told of a best of {after} after one of {before}"


def _executors(log: Log) -> Iterator[str]:
    claims: Counter[tuple[int, int]] = Counter()
    stand: dict[int, tuple[str, int]] = {}
    for each in log.transitions:
        before = stand.get(each.number)
        seen = None if each.old_state is None else (each.old_state, each.old_attempt)
        if before != seen:
            yield f"trial {each.number} changed from {seen} after it had become {before}"
        if seen is not None and (each.old_state, each.new_state) not in _MOVES:
            yield f"trial {each.number} went from {each.old_state} to {each.new_state}"
        rise = 1 if (each.old_state, each.new_state) == ("running", "queued") else 0
        if each.new_attempt != (each.old_attempt or 0) + rise:
            yield (
                f"trial {each.number} went from {seen} to {(each.new_state, each.new_attempt)}:"
                " an attempt rises when a trial leaves running without an end, and then alone"
            )
        if each.new_state == "running":
            claims[each.number, each.new_attempt] += 1
        stand[each.number] = (each.new_state, each.new_attempt)
    for (number, attempt), count in sorted(claims.items()):
        if count > 1:
            yield f"attempt {attempt} of trial {number} was claimed {count} times"
    started = Counter(
        (each.event.trial_started.number, each.event.trial_started.attempt)
        for each in log.events
        if each.event.HasField("trial_started")
    )
    for (number, attempt), count in sorted(started.items()):
        if count > 1:
            yield f"attempt {attempt} of trial {number} started {count} times in the log"
    for trial in log.trials:
        if log.transitions and stand.get(trial.number) != (trial.state, trial.attempt):
            yield (
                f"trial {trial.number} is {(trial.state, trial.attempt)} and last became"
                f" {stand.get(trial.number)}"
            )


def _watchers(evidence: Evidence) -> Iterator[str]:
    for record in evidence.records:
        log = evidence.history.logs.get(record.orchestration_id)
        if log is None:
            yield f"watcher {record.name} followed {record.orchestration_id}, which does not exist"
            continue
        digests = {
            each.sequence: each.change_digest if record.decoded else each.digest
            for each in log.events
        }
        cursor: int | None = None
        for entry in record.entries:
            if entry.digest is None:
                cursor = entry.sequence
                continue
            if cursor is not None and entry.sequence != cursor + 1:
                yield f"watcher {record.name} saw {entry.sequence} after {cursor}"
            cursor = entry.sequence
            if (
                log.first_sequence <= entry.sequence != 0
                and digests.get(entry.sequence) != entry.digest
            ):
                yield f"watcher {record.name} saw another event {entry.sequence} than the log has"
        for error in record.errors:
            if "WatchGap" in error:
                yield f"watcher {record.name} was told of a gap: {error}"
        if record.complete and cursor != log.last_sequence:
            yield f"watcher {record.name} ended at {cursor} of {log.last_sequence}"


def _requests(evidence: Evidence) -> Iterator[str]:
    if evidence.submissions is None:
        return
    logs, kept = evidence.history.logs, evidence.history.requests
    made: set[str] = set()
    for each in evidence.submissions:
        answers = set(each.orchestration_ids)
        resource = kept.get((each.rpc, each.request_id))
        if len(answers) > 1:
            yield f"request {each.request_id} was answered with {sorted(answers)}"
        if answers and answers != {resource}:
            yield f"request {each.request_id} was answered with {answers} and is kept with {resource}"
        if resource is None:
            continue
        if resource not in logs:
            yield f"request {each.request_id} is kept with {resource}, which does not exist"
            continue
        made.add(resource)
        log = logs[resource]
        if log.state == "completed":
            counts = Counter(trial.state for trial in log.trials)
            ended = sum(counts[name] for name in TERMINAL_TRIALS)
            if each.trials is not None and ended != each.trials:
                yield f"request {each.request_id} was for {each.trials} trials and {ended} ended"
            if each.succeeded is not None and counts["succeeded"] != each.succeeded:
                yield (
                    f"request {each.request_id} should have {each.succeeded} successes and has"
                    f" {counts['succeeded']}"
                )
    for stranger in sorted(set(logs) - made):
        yield f"orchestration {stranger} was made by no request"


def _quiet(evidence: Evidence) -> Iterator[str]:
    took, bound = evidence.quiet_seconds, evidence.quiet_bound_seconds
    if took is None:
        yield (
            f"not quiet within {bound:g} s: open are {evidence.history.open_orchestrations[:5]},"
            f" {evidence.history.unsettled_sessions} ended sessions are not settled"
        )
    elif took > bound:
        yield f"it took {took:.1f} s to become quiet, the bound is {bound:g} s"


def _secrets(evidence: Evidence) -> Iterator[str]:
    for place, text in (evidence.texts or {}).items():
        for secret in evidence.secrets:
            at = text.find(secret)
            if at >= 0:
                around = text[max(0, at - 60) : at].replace("\n", " ")
                yield f"a planted password shows in {place}, after “{around}”"


def _state_name(state: trial_pb2.TrialState.ValueType) -> str:
    return trial_pb2.TrialState.Name(state).removeprefix("TRIAL_STATE_").lower()


def _short(values: Sequence[int]) -> str:
    return str(list(values)) if len(values) <= 12 else f"[{values[0]}, …, {values[-1]}]"


_OF_A_LOG = {"I1": _ends, "I2": _counters, "I3": _sequences, "I5": _best, "I6": _executors}
