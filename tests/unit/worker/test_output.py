"""What children print, fed to the drain as their pipes would bring it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.worker.adapters.evaluation.output import OutputDrain

DEADLINE = 60.0
PID = 17
KIB = 1024


class Pipe:
    """A child's standard error, a drain at its end, and what is logged."""

    def __init__(self, logs: list[MutableMapping[str, Any]]) -> None:
        self._logs = logs
        self._source = asyncio.StreamReader()
        self.drain = OutputDrain(self._source, pid=PID)

    async def write(self, *pieces: str) -> None:
        """Writes pieces so that each is read by itself."""
        for piece in pieces:
            self._source.feed_data(piece.encode())
            for _ in range(5):
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Ends the child."""
        if not self._source.at_eof():
            self._source.feed_eof()
        await self.drain.close()

    def lines(self) -> list[str]:
        return [each["text"] for each in self._logs if each["event"] == "child printed"]

    def dropped(self) -> list[int]:
        return [each["dropped_bytes"] for each in self._logs if "dropped_bytes" in each]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 (nothing tells)
                await asyncio.sleep(0.01)


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as logs:
        yield logs


@pytest.fixture
async def pipe(logs: list[MutableMapping[str, Any]]) -> AsyncIterator[Pipe]:
    pipe = Pipe(logs)
    yield pipe
    await pipe.end()


async def test_a_line_written_in_pieces_is_logged_once(pipe: Pipe) -> None:
    await pipe.write('  File "', "fit.py", '", line ', "519", " in fit\n", "next")
    assert pipe.lines() == ['  File "fit.py", line 519 in fit']


async def test_lines_written_together_are_logged_one_by_one(pipe: Pipe) -> None:
    await pipe.write("one\r\n\ntwo\nthr", "ee\n")
    assert pipe.lines() == ["one", "two", "three"]


async def test_an_unfinished_line_is_logged_once_the_child_is_silent(pipe: Pipe) -> None:
    await pipe.write("no newline", " follows")
    assert pipe.lines() == []
    await pipe.until(lambda: bool(pipe.lines()))
    assert pipe.lines() == ["no newline follows"]


async def test_an_unfinished_line_belongs_to_the_trial_that_wrote_it(pipe: Pipe) -> None:
    await pipe.write("of the first")
    pipe.drain.begin()
    await pipe.write("of the second\n")
    assert pipe.lines() == ["of the first", "of the second"]


async def test_an_unfinished_line_is_logged_when_the_child_ends(pipe: Pipe) -> None:
    await pipe.write("last", " words")
    await pipe.end()
    assert pipe.lines() == ["last words"]


async def test_a_line_without_end_is_cut_to_the_limit_and_the_rest_dropped(pipe: Pipe) -> None:
    await pipe.write(*["x" * 32 * KIB] * 4)
    assert list(map(len, pipe.lines())) == [8 * KIB]
    assert pipe.dropped() == []
    await pipe.end()
    assert pipe.dropped() == [120 * KIB]


async def test_many_lines_are_logged_up_to_the_limit(pipe: Pipe) -> None:
    await pipe.write("".join(f"{number:099d}\n" for number in range(10_000)))
    pipe.drain.begin()
    assert 0 < sum(map(len, pipe.lines())) <= 8 * KIB
    (dropped,) = pipe.dropped()
    assert dropped + 100 * len(pipe.lines()) == 1_000_000
    assert pipe.drain.tail().endswith(f"{9_999:099d}\n")
    assert len(pipe.drain.tail()) == 4 * KIB


async def test_empty_lines_do_not_escape_the_limit(pipe: Pipe) -> None:
    await pipe.write("\n" * 10_000)
    pipe.drain.begin()
    assert pipe.lines() == []
    assert pipe.dropped()[0] > 9_000


async def test_a_crashs_list_of_extension_modules_is_left_out(pipe: Pipe) -> None:
    modules = ", ".join(f"numpy.part_{number}" for number in range(500))
    dump = ["Fatal Python error: ", "Segmentation fault", "\n\n", '  File "', "fit.py", '"\n\n']
    await pipe.write(*dump, "Extension modules: ", *modules, " (total: 500)", "\n", "after\n")
    expected = ["Fatal Python error: Segmentation fault", '  File "fit.py"', "after"]
    assert pipe.lines() == expected
    assert pipe.drain.tail().split("\n") == [expected[0], "", expected[1], "", "after", ""]


async def test_the_tail_holds_what_has_no_newline_yet(pipe: Pipe) -> None:
    await pipe.write("MemoryError\n", "std::bad_alloc")
    assert pipe.drain.tail() == "MemoryError\nstd::bad_alloc"
