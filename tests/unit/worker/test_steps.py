"""Steps between child, worker and store: what is told when, who waits, and what stops a trial."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Sequence

import pytest

from services.core.errors import CrescendoError
from services.core.pruning import PruneDecision, Threshold
from services.core.pruning_settings import ASHA, Pruning, StepKind
from services.core.step_judging import StepScore
from services.worker.adapters.evaluation.advising import StepTalk
from services.worker.adapters.evaluation.standards import advice_to_proto
from services.worker.ports import Advice, Standard, StepReport
from services.worker.service import steps as reporting
from services.worker.service.steps import StepReporter
from tests.unit.worker.bench import DEADLINE, Bench, at_work, key, work
from tuning.v1 import evaluation_messages_pb2 as pb

STOP = PruneDecision(stop=True, rule=ASHA, step=2, value=0.4, cut_off=0.8, peers=3)
ASHA_OF_TWO = Pruning(rule=ASHA, reduction_factor=2, grace_period=2, max_steps=5)


class Reporting(Bench):
    """A bench with a reporter at work; trials 0 and 1 run."""

    def __init__(self) -> None:
        super().__init__()
        self.reporter = StepReporter(
            self.store,
            self.session,
            self.thresholds,
            on_orders=lambda _: None,
            is_running=self.holding.is_running,
        )
        self.running = [asyncio.create_task(asyncio.sleep(DEADLINE)) for _ in range(2)]
        for number, task in enumerate(self.running):
            self.holding.started(work(number), task)

    def submit(self, number: int, step: int, *, judged: bool = True) -> None:
        score = StepScore(step=step, value=0.5)
        report = StepReport(trial=key(number), score=score)
        self.reporter.submit(report, session_id="s1", judged=judged)


@pytest.fixture
async def bench() -> AsyncIterator[Reporting]:
    bench = Reporting()
    async with at_work(bench):
        await bench.session.wait_registered()
        task = asyncio.create_task(bench.reporter.run())
        yield bench
        for each in (task, *bench.running):
            each.cancel()
        await asyncio.gather(task, *bench.running, return_exceptions=True)


async def test_a_trial_that_waits_is_answered_without_delay_with_all_its_steps_told(
    bench: Reporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_GATHER_SECONDS", DEADLINE)
    bench.store.stops = {1: STOP}
    bench.store.thresholds = {"r": Threshold(score=0.5, place=None)}
    bench.submit(1, 1)
    bench.submit(0, 1)
    bench.submit(1, 2)
    await bench.reporter.answered(key(1))
    assert bench.store.reported == [[(1, 1), (0, 1), (1, 2)]]
    assert bench.reporter.stop_of(key(1)) == STOP
    assert bench.reporter.stop_of(key(0)) is None
    assert bench.thresholds.of("r") is not None
    bench.reporter.forget(key(1))
    assert bench.reporter.stop_of(key(1)) is None


async def test_steps_that_a_rule_needs_are_told_again_where_the_store_did_not_take_them(
    bench: Reporting,
) -> None:
    bench.store.failures = [CrescendoError("internal error 17")]
    bench.submit(0, 1)
    bench.submit(1, 1, judged=False)
    await bench.reporter.answered(key(0))
    assert bench.store.reported == []
    bench.submit(0, 2)
    await bench.reporter.answered(key(0))
    assert bench.store.reported == [[(0, 1), (0, 2)]]


async def test_nothing_is_told_of_trials_that_do_not_run(bench: Reporting) -> None:
    bench.submit(1, 1)
    bench.holding.stopped(work(1), to_finish=True)
    bench.submit(0, 1)
    await bench.reporter.answered(key(0))
    assert bench.store.reported == [[(0, 1)]]


async def test_a_store_that_does_not_answer_holds_up_one_trial_once(
    bench: Reporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "_ANSWER_SECONDS", 0.01)
    # As a store that takes its time: nothing was submitted that could be answered.
    await bench.reporter.answered(key(0))
    monkeypatch.setattr(reporting, "_ANSWER_SECONDS", DEADLINE)
    async with asyncio.timeout(DEADLINE / 2):
        await bench.reporter.answered(key(1))
    # Its answer to something else says that it is back.
    bench.submit(1, 1)
    while not bench.store.reported:  # noqa: ASYNC110 (nothing tells)
        await asyncio.sleep(0.01)
    await bench.settle()
    bench.submit(0, 1)
    waiting = asyncio.create_task(bench.reporter.answered(key(0)))
    await waiting
    assert bench.store.reported[-1] == [(0, 1)]


class Talk:
    """A child's talk with a parent that a test plays.

    Args:
        answers: what the parent says to the steps the child waits after, in the order it does.
    """

    def __init__(
        self,
        pruning: Pruning | None,
        *answers: Advice,
        standard: Standard | None = None,
    ) -> None:
        self.told: list[pb.SplitScored] = []
        self.inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.bounds: list[tuple[int, float]] = []
        self._answers = list(answers)
        self.talk = StepTalk(
            tell=self._hear,
            inbox=self.inbox,
            request_number=7,
            pruning=pruning,
            standard=standard,
            bound=self._bound,
        )

    def advise(self, advice: Advice, *, step: int = 0, request_number: int = 7) -> None:
        content = advice_to_proto(advice, step=step)
        request = pb.ChildRequest(request_number=request_number, advice=content)
        self.inbox.put(request.SerializeToString())

    def folds(self, count: int, *, first: int = 0) -> list[PruneDecision | None]:
        return [self.talk.fold(split, 0.5) for split in range(first, first + count)]

    def _hear(self, step: pb.SplitScored) -> None:
        self.told.append(step)
        if step.waits:
            # What is not the answer to this step is passed over.
            self.advise(Advice(stop=STOP), step=step.split + 1, request_number=6)
            self.advise(Advice(), step=step.split)
            self.advise(self._answers.pop(0), step=step.split + 1)

    def _bound(self, scores: Sequence[float], standard: Standard) -> PruneDecision | None:
        self.bounds.append((len(scores), standard.threshold.score))
        return None


def test_folds_of_short_trials_are_told_at_once_where_a_rule_compares_them() -> None:
    quiet, judged = Talk(None), Talk(ASHA_OF_TWO, Advice())
    assert quiet.folds(3) == judged.folds(3) == [None] * 3
    assert quiet.told == []
    # It waited after the second, the only rung so far.
    assert [(each.split, each.waits) for each in judged.told] == [(0, False), (1, True), (2, False)]


def test_a_child_that_waits_does_as_it_is_told() -> None:
    assert Talk(ASHA_OF_TWO, Advice(stop=STOP)).folds(2) == [None, STOP]


def test_a_stop_that_comes_after_the_child_went_on_holds_after_its_next_fold() -> None:
    talk = Talk(ASHA_OF_TWO, Advice())
    assert talk.folds(2) == [None, None]
    talk.advise(Advice(stop=STOP))
    assert talk.folds(1, first=2) == [STOP]


def test_a_stop_that_comes_with_the_last_fold_is_too_late() -> None:
    talk = Talk(ASHA_OF_TWO, Advice(), Advice())
    assert talk.folds(4) == [None] * 4
    talk.advise(Advice(stop=STOP))
    assert talk.folds(1, first=4) == [None]


def test_a_standard_that_rises_on_the_way_is_applied_after_the_next_fold() -> None:
    low, high = (
        Standard(threshold=Threshold(score=score, place=(3, 3)), place=(9, 9))
        for score in (0.5, 0.9)
    )
    talk = Talk(Pruning(max_steps=5), standard=low)
    talk.folds(1)
    talk.advise(Advice(standard=high))
    talk.folds(2, first=1)
    assert talk.bounds == [(1, 0.5), (2, 0.9), (3, 0.9)]


def test_steps_of_another_kind_than_the_rule_looks_at_are_nobodys_business() -> None:
    talk = Talk(ASHA_OF_TWO)
    score = StepScore(step=2, value=0.5, kind=StepKind.TRAINING_SIZE)
    assert talk.talk.step(score) is None
    assert talk.told == []
    by_size = Pruning(rule=ASHA, step_kind=StepKind.TRAINING_SIZE, reduction_factor=2, max_steps=4)
    assert Talk(by_size, Advice(stop=STOP)).talk.step(score) == STOP
