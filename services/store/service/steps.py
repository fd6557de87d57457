"""Steps of running trials: told to watchers, and judged where all trials of a search are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from services.core.event import FoldScored
from services.core.pruning import PruneDecision, Threshold
from services.core.pruning_settings import RACING, Pruning, StepKind
from services.core.step_judging import StepStanding, judged, standing
from services.core.trial import TrialKey, TrialResult, TrialState
from services.store.ports.records import TrialEnd, TrialRecord, TrialStep, TuningRunRecord
from services.store.ports.results import Order, OrderKind, Reported, StepReport
from services.store.ports.transaction import Storage, Transaction
from services.store.ports.workforce import ChangeSignal
from services.store.service.grouping import by_orchestration
from services.store.service.identifiers import id_or_none
from services.store.service.ledger import Ledger, thresholds_of

# Beyond what any dataset can be split into, and small enough for the column that counts them.
_MAX_STEPS = 1_000_000_000
# Where trials take less, only their ends are told: nobody can follow more.
_WORTH_AN_EVENT_SECONDS = 1.0


class Steps:
    """Takes what trials came to on their way, and says which of them are to stop."""

    def __init__(self, storage: Storage, signal: ChangeSignal) -> None:
        self._storage = storage
        self._signal = signal

    async def report(self, session_id: str, steps: Sequence[StepReport]) -> Reported:
        """Appends scored folds to the log, each split of an attempt once, in order; judges every step once.

        A report that is repeated has the same answer: what was decided about a step is stored with it,
        and an attempt that was told to stop is told so again. A fold is judged once all before it are
        known.

        Args:
            session_id: the one the attempts were claimed under; it may have ended since.
        """
        sender = id_or_none(session_id)
        dropped: dict[TrialKey, None] = {}
        stops: dict[TrialKey, PruneDecision] = {}
        thresholds: dict[str, Threshold] = {}
        for orchestration_id, places in by_orchestration([each.trial for each in steps]):
            mine = [steps[place] for place in places]
            async with self._storage.transaction() as tx:
                report = await _begin(tx, sender, orchestration_id, mine)
                if report is not None:
                    await report.judge()
                    await report.save()
            if report is None:
                dropped.update(dict.fromkeys(each.trial for each in mine))
                continue
            dropped.update(dict.fromkeys(report.dropped))
            stops.update(report.stops)
            thresholds.update(thresholds_of(report.ledger))
            if report.appended:
                self._signal.committed(orchestration_id)
        unknown = [each.trial for each in steps if id_or_none(each.trial.orchestration_id) is None]
        dropped.update(dict.fromkeys(unknown))
        return Reported(
            orders=tuple(Order(kind=OrderKind.CANCEL, trial=each) for each in dropped),
            stops=stops,
            thresholds=thresholds,
        )


async def stops_of(
    tx: Transaction,
    ledger: Ledger,
    trials: Mapping[int, TrialRecord],
    results: Sequence[TrialResult],
) -> dict[TrialKey, PruneDecision]:
    """Gives what was decided about those attempts that are said to have ended PRUNED."""
    stopped = [
        each.trial
        for each in results
        if each.state is TrialState.PRUNED and each.trial.number in trials
        if _guessing(ledger.runs[trials[each.trial.number].tuning_run_id]) is not None
    ]
    if not stopped:
        return {}
    record = ledger.orchestration
    attempts = [(each.number, trials[each.number].attempt) for each in stopped]
    found = await tx.read_stops(record.orchestration_id, attempts)
    return {
        each: found[each.number]
        for each in stopped
        if each.number in found and each.attempt == trials[each.number].attempt
    }


async def complete(
    tx: Transaction, ledger: Ledger, trials: Mapping[int, TrialRecord], ends: Sequence[TrialEnd]
) -> None:
    """Adds the folds of ended trials that were not told on the way, so that others are compared with them."""
    steps: list[TrialStep] = []
    for end in ends:
        run = ledger.runs[trials[end.number].tuning_run_id]
        pruning = _guessing(run)
        if pruning is None or pruning.step_kind is not StepKind.FOLD:
            continue
        if end.metrics and end.finished_attempt is not None:
            steps += _folds(run.tuning_run_id, end.number, end.finished_attempt, end)
    if steps:
        await tx.insert_steps(ledger.orchestration.orchestration_id, steps)


async def _begin(
    tx: Transaction, session_id: str | None, orchestration_id: str, steps: Sequence[StepReport]
) -> _Report | None:
    """Locks what a report is about; None for an unknown orchestration."""
    record = await tx.lock_orchestration(orchestration_id)
    if record is None:
        return None
    numbers = sorted({each.trial.number for each in steps})
    runs = await tx.lock_tuning_runs_of_trials(orchestration_id, numbers)
    trials = {each.number: each for each in await tx.lock_trials(orchestration_id, numbers)}
    report = _Report(tx, Ledger(tx, record, runs=runs), trials)
    for each in sorted(steps, key=lambda step: (step.trial.number, step.step)):
        report.take(each, session_id)
    return report


class _Report:
    """The steps of one orchestration's trials that one report tells of."""

    def __init__(self, tx: Transaction, ledger: Ledger, trials: dict[int, TrialRecord]) -> None:
        self._tx = tx
        self._trials = trials
        self._splits = {each.number: each.reported_splits for each in trials.values()}
        self._to_judge: dict[str, list[StepReport]] = {}
        self._made: list[TrialStep] = []
        self.ledger = ledger
        self.dropped: list[TrialKey] = []
        self.stops: dict[TrialKey, PruneDecision] = {}
        self.appended = False

    def take(self, step: StepReport, session_id: str | None) -> None:
        """Takes one step, those of a trial in their order."""
        trial = self._trials.get(step.trial.number)
        if (
            trial is None
            or trial.state is not TrialState.RUNNING
            or trial.attempt != step.trial.attempt
            or trial.session_id != session_id
        ):
            self.dropped.append(step.trial)
            return
        if not 1 <= step.step <= _MAX_STEPS or not math.isfinite(step.value):
            return
        run = self.ledger.runs[trial.tuning_run_id]
        pruning = _guessing(run)
        if pruning is not None and step.kind is pruning.step_kind:
            self._to_judge.setdefault(run.tuning_run_id, []).append(step)
        # A report that is repeated after its answer was lost adds nothing.
        if step.kind is not StepKind.FOLD or step.step <= self._splits[trial.number]:
            return
        if pruning is not None and _is_short(run):
            return
        self._splits[trial.number] = step.step
        self.ledger.append(
            FoldScored(
                number=trial.number,
                attempt=trial.attempt,
                split=step.step - 1,
                score=step.value,
            )
        )

    async def judge(self) -> None:
        """Decides about every step that its search's rule looks at."""
        for tuning_run_id, steps in self._to_judge.items():
            run = self.ledger.runs[tuning_run_id]
            pruning = _guessing(run)
            if pruning is not None:
                await self._judge(run, pruning, steps)

    async def save(self) -> None:
        """Writes what came of the report."""
        orchestration_id = self.ledger.orchestration.orchestration_id
        if self._made:
            await self._tx.insert_steps(orchestration_id, self._made)
        changed = [
            (number, splits)
            for number, splits in sorted(self._splits.items())
            if splits != self._trials[number].reported_splits
        ]
        if changed:
            await self._tx.set_reported_splits(orchestration_id, changed)
            await self.ledger.save()
            self.appended = True

    async def _judge(
        self, run: TuningRunRecord, pruning: Pruning, steps: Sequence[StepReport]
    ) -> None:
        record = self.ledger.orchestration
        attempts = sorted({(each.trial.number, each.trial.attempt) for each in steps})
        known: dict[int, list[TrialStep]] = {number: [] for number, _ in attempts}
        for each in await self._tx.read_steps(record.orchestration_id, attempts):
            known[each.number].append(each)
        looks = sorted({each.step for each in steps if pruning.looks_at(each.step)})
        standings: dict[int, dict[int, StepStanding]] = {each: {} for each in looks}
        if looks and pruning.rule != RACING:
            found = await self._tx.read_standings(run.tuning_run_id, looks)
            standings |= {step: dict(others) for step, others in found.items()}
        incumbent = None
        if pruning.rule == RACING and looks and run.best is not None:
            incumbent = await self._tx.read_incumbent(record.orchestration_id, run.best.number)
        for trial, told in itertools.groupby(steps, key=lambda each: each.trial):
            own = known[trial.number]
            for step in _new(told, own, pruning):
                values = [*(each.standing.value for each in own), step.value]
                others = standings.get(step.step, {})
                made = TrialStep(
                    tuning_run_id=run.tuning_run_id,
                    number=trial.number,
                    attempt=trial.attempt,
                    step=step.step,
                    standing=standing(values),
                    decision=judged(
                        pruning,
                        values,
                        step=step.step,
                        peers=[each for peer, each in others.items() if peer != trial.number],
                        incumbent=incumbent,
                    ),
                )
                own.append(made)
                self._made.append(made)
                if step.step in standings:
                    standings[step.step][trial.number] = made.standing
            stop = next((each.decision for each in own if _stops(each)), None)
            if stop is not None:
                self.stops[trial] = stop


def _new(
    told: Iterator[StepReport], own: Sequence[TrialStep], pruning: Pruning
) -> Iterator[StepReport]:
    """Gives the steps of a trial that are due: after the last known one, and not after a stop.

    Args:
        own: what is known of the trial; what the caller adds to it meanwhile counts.
    """
    for step in told:
        last = own[-1].step if own else 0
        if own and _stops(own[-1]):
            return
        # A mean needs every fold; of a curve steps may be left out.
        is_due = step.step == last + 1 if pruning.step_kind is StepKind.FOLD else step.step > last
        if is_due and (not pruning.max_steps or step.step <= pruning.max_steps):
            yield step


def _stops(step: TrialStep) -> bool:
    return step.decision is not None and step.decision.stop


def _folds(tuning_run_id: str, number: int, attempt: int, end: TrialEnd) -> Iterator[TrialStep]:
    values: list[float] = []
    for score in end.metrics[0].scores:
        if not math.isfinite(score):
            return
        values.append(score)
        stands: StepStanding = standing(values)
        yield TrialStep(
            tuning_run_id=tuning_run_id,
            number=number,
            attempt=attempt,
            step=len(values),
            standing=stands,
        )


def _guessing(run: TuningRunRecord) -> Pruning | None:
    """Gives the pruning of a tuning run whose rule is applied here; None for all others."""
    return run.pruning if run.pruning is not None and run.pruning.guesses else None


def _is_short(run: TuningRunRecord) -> bool:
    return run.mean_duration is not None and run.mean_duration < _WORTH_AN_EVENT_SECONDS
