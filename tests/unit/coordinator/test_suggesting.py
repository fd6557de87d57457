"""Searchers in other processes: the same answers, and no harm from a process that dies or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from services.coordinator.adapters.searchers.questions import Question, Receiver, Sender
from services.coordinator.adapters.searchers.registry import make_searcher
from services.coordinator.adapters.searchers.suggesting import PooledSuggesting
from services.coordinator.ports import SearcherFailed
from services.core.space import Fixed, Parameter, SearchSpace
from services.core.trial import Trial, TrialState
from tests.unit.coordinator.searching import MIXED, search, smooth, task

SUBJECT = task("bayesian", MIXED)
_WIDE_SECONDS = 600.0


@pytest.fixture(scope="module")
def known() -> list[Trial]:
    return [ended for _, ended in search(SUBJECT, smooth, trials=7)]


@pytest.fixture(scope="module")
def suggesting() -> Iterator[PooledSuggesting]:
    # One for all: a process takes seconds to import what it needs.
    with PooledSuggesting(processes=1, timeout_seconds=_WIDE_SECONDS) as pooled:
        yield pooled


def _children() -> list[psutil.Process]:
    """The searchers' processes; other tests of this process may have started servers."""
    found = []
    for each in psutil.Process().children():
        with suppress(psutil.Error):
            if any("coordinator.adapters.searchers" in part for part in each.cmdline()):
                found.append(each)
    return found


async def test_a_process_answers_as_the_searcher_itself(
    suggesting: PooledSuggesting, known: list[Trial]
) -> None:
    asked = await suggesting.suggest(SUBJECT, count=2, first_index=7, known=known)
    assert list(asked) == list(make_searcher(SUBJECT).ask(count=2, first_index=7, known=known))


@pytest.mark.parametrize("method", ["bayesian", "tpe"])
async def test_a_process_that_hears_of_changes_only_answers_as_one_that_hears_all(
    suggesting: PooledSuggesting, method: str
) -> None:
    subject = task(method, MIXED)
    ended = [each for _, each in search(subject, smooth, trials=14)]
    pending = [replace(each, state=TrialState.QUEUED, score=None, metrics=()) for each in ended]
    histories = [
        ended[:12],
        [*ended[:12], *pending[12:]],
        # Ended in another order than they began in.
        [*ended[:12], pending[12], ended[13]],
        # Looked up anew, with one that others had made meanwhile.
        [ended[0], *ended[2:], ended[1]],
        ended[:12],
    ]
    for known in histories:
        asked = await suggesting.suggest(subject, count=2, first_index=14, known=known)
        assert list(asked) == list(make_searcher(subject).ask(count=2, first_index=14, known=known))


def test_a_process_is_told_each_change_once(known: list[Trial]) -> None:
    sender, receiver = Sender(), Receiver()
    changed = [*known[:3], replace(known[3], score=0.25), *known[4:]]
    other = task("tpe", MIXED)
    told = []
    for subject, trials in (
        (SUBJECT, known[:5]),
        (SUBJECT, known),
        (SUBJECT, changed),
        (SUBJECT, changed),
        (other, known),
        (other, known[:2]),
    ):
        question = Question(task=subject, count=1, first_index=7, known=tuple(trials))
        message = sender.message(question)
        told.append([place for place, _ in message.changed])
        assert receiver.question(message) == question
    assert told == [[*range(5)], [5, 6], [3], [], [*range(7)], [0, 1]]


async def test_a_killed_process_is_replaced_without_a_trace(
    suggesting: PooledSuggesting, known: list[Trial]
) -> None:
    first = await suggesting.suggest(SUBJECT, count=1, first_index=7, known=known)
    for child in _children():
        child.kill()
        child.wait(_WIDE_SECONDS)
    again = await suggesting.suggest(SUBJECT, count=1, first_index=7, known=known)
    assert list(first) == list(again)


async def test_what_the_searcher_refuses_reaches_the_caller_and_the_process_stays(
    suggesting: PooledSuggesting, known: list[Trial]
) -> None:
    space = SearchSpace.of([Parameter(name="C", domain=Fixed(value=1.0))])
    with pytest.raises(SearcherFailed, match="nothing to model"):
        await suggesting.suggest(task("bayesian", space), count=1, first_index=0, known=[])
    before = {child.pid for child in _children()}
    await suggesting.suggest(SUBJECT, count=1, first_index=7, known=known)
    assert {child.pid for child in _children()} == before


async def test_an_error_of_the_model_is_told_in_words(
    suggesting: PooledSuggesting, known: list[Trial]
) -> None:
    broken = [replace(trial, score=float("inf")) for trial in known]
    with pytest.raises(SearcherFailed, match="ValueError"):
        await suggesting.suggest(SUBJECT, count=1, first_index=7, known=broken)


async def test_a_caller_that_is_cancelled_leaves_no_process_thinking(
    suggesting: PooledSuggesting, known: list[Trial]
) -> None:
    await suggesting.suggest(SUBJECT, count=1, first_index=7, known=known)
    asking = asyncio.create_task(suggesting.suggest(SUBJECT, count=200, first_index=7, known=known))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert _children() == []


async def test_simple_searchers_start_no_process() -> None:
    before = _children()
    with PooledSuggesting(processes=1, timeout_seconds=_WIDE_SECONDS) as suggesting:
        subject = task("random_search", MIXED)
        asked = await suggesting.suggest(subject, count=5, first_index=0, known=[])
        assert len(asked) == 5
        assert _children() == before


async def test_a_searcher_that_takes_too_long_fails_and_leaves_no_process(
    known: list[Trial],
) -> None:
    before = _children()
    with PooledSuggesting(processes=1, timeout_seconds=0.001) as impatient:
        with pytest.raises(SearcherFailed, match="no suggestion within"):
            # Seconds of work: it takes too long even where whoever waits is held up itself.
            await impatient.suggest(SUBJECT, count=200, first_index=7, known=known)
        assert _children() == before
