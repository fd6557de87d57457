"""Everything a process has to say is one JSON object a line, named alike, without secrets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]

_PROGRAM = """
import asyncio, logging, threading, warnings
from services.common import lifecycle, request_ids
from services.common.telemetry import configure_logging
import structlog

configure_logging("worker", level="{level}", log_format="json")
logger = structlog.get_logger()
SECRET = "amqp://guest:hunter2@broker/ and password=hunter2"
{body}
"""


def _lines(body: str, level: str = "info") -> list[dict[str, Any]]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(body=body, level=level)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "hunter2" not in done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_has_role_level_time_and_what_was_said() -> None:
    (line,) = _lines("logger.info('said', orchestration_id='o', trial=3)")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
    assert line == {
        "event": "said",
        "level": "info",
        "role": "worker",
        "orchestration_id": "o",
        "trial": 3,
    }


def test_an_exception_is_one_field_and_keeps_no_secret() -> None:
    body = (
        "try:\n    raise ValueError(SECRET)\n"
        "except ValueError as error:\n    logger.error('broke', exc_info=error)"
    )
    (line,) = _lines(body)
    assert "ValueError: amqp://guest:***@broker/" in line["exception"]
    assert "Traceback" in line["exception"]


def test_secrets_are_taken_out_of_events_and_of_nested_values() -> None:
    (line,) = _lines("logger.info(SECRET, a=[SECRET], b={'c': (SECRET,)}, d=ValueError(SECRET))")
    assert line["event"] == "amqp://guest:***@broker/ and password=***"


@pytest.mark.parametrize(
    ("body", "logger"),
    [
        ("logging.getLogger('aio_pika').warning('%s', SECRET)", "aio_pika"),
        ("logging.getLogger('grpc._cython').error(SECRET)", "grpc._cython"),
        ("warnings.warn(SECRET)", "py.warnings"),
    ],
)
def test_what_libraries_say_comes_the_same_way(body: str, logger: str) -> None:
    (line,) = _lines(body)
    assert (line["role"], line["logger"]) == ("worker", logger)
    assert line["level"] in ("warning", "error")


def test_chatter_of_libraries_does_not_come() -> None:
    assert _lines("logging.getLogger('aio_pika').info('connected')") == []


def test_what_nobody_caught_comes_the_same_way() -> None:
    (line,) = _lines("raise RuntimeError(SECRET)")
    assert (line["level"], line["event"]) == ("critical", "uncaught")
    assert "RuntimeError" in line["exception"]
    (line,) = _lines(
        "def run():\n    raise RuntimeError(SECRET)\n"
        "thread = threading.Thread(target=run)\nthread.start()\nthread.join()"
    )
    assert (line["event"], line["role"]) == ("uncaught in a thread", "worker")


def test_a_task_whose_error_nobody_asked_for_comes_the_same_way() -> None:
    body = (
        "async def fail():\n    raise RuntimeError(SECRET)\n"
        "async def main():\n    task = asyncio.create_task(fail())\n    await asyncio.sleep(0)\n"
        "    await asyncio.sleep(0)\n    del task\n"
        "import gc\nasyncio.run(main())\ngc.collect()"
    )
    (line,) = _lines(body)
    assert (line["level"], line["logger"]) == ("error", "asyncio")
    assert "never retrieved" in line["event"]


def test_the_request_that_is_worked_on_is_named() -> None:
    (line,) = _lines("request_ids.begin('mine', is_cause=True)\nlogger.info('said')")
    assert line["request_id"] == "mine"


def test_the_level_is_a_setting() -> None:
    body = "logger.debug('a')\nlogger.warning('b')"
    assert [line["event"] for line in _lines(body, "debug")] == ["a", "b"]
    assert [line["event"] for line in _lines(body, "warning")] == ["b"]


def test_an_outage_that_repeats_itself_is_one_line() -> None:
    body = "for _ in range(100):\n    logger.warning('away', limit_seconds=10, error='x')"
    assert len(_lines(body)) == 1


# Another name for the same thing makes logs that nobody can search.
_WRONG_NAMES = {
    "orchestration": "orchestration_id",
    "orchestration_number": "orchestration_id",
    "run_id": "tuning_run_id",
    "tuning_run": "tuning_run_id",
    "session": "session_id",
    "dataset": "dataset_id",
    "trial_number": "trial",
    "number": "trial",
    "trial_id": "trial",
    "worker_name": "worker",
    "worker_id": "worker",
    "request": "request_id",
    "err": "error",
    "exc": "error",
}
_CALL = re.compile(r"\b(?:logger|log)\.(?:debug|info|warning|error|critical|exception|bind)\(")


def test_the_same_thing_has_the_same_name_in_every_line() -> None:
    wrong: list[str] = []
    for path in sorted((ROOT / "services").rglob("*.py")):
        text = path.read_text()
        for call in _CALL.finditer(text):
            arguments = _arguments(text, call.end())
            wrong.extend(
                f"{path.name}: {name}= should be {_WRONG_NAMES[name]}="
                for name in re.findall(r"(?<![\w.])(\w+)=(?!=)", arguments)
                if name in _WRONG_NAMES
            )
    assert wrong == []


def _arguments(text: str, start: int) -> str:
    """Gives a call's own arguments, without those of calls inside."""
    depth, own = 1, []
    for character in text[start:]:
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            break
        if depth == 1:
            own.append(character)
    return "".join(own)
