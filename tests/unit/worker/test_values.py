"""Settings, frames, texts of failures: small values with rules of their own."""

from __future__ import annotations

import asyncio
import io

import pytest
from sklearn.svm import SVC

from services.common.settings import SettingsError, load
from services.core.trial import FailureKind
from services.worker.adapters.evaluation.failures import MAX_MESSAGE_BYTES, clip, failure_of
from services.worker.adapters.evaluation.framing import (
    MAX_FRAME_BYTES,
    FrameTooLarge,
    frame,
    read_frame,
    receive_frame,
)
from services.worker.adapters.evaluation.oom import oom_kills
from services.worker.settings import WorkerSettings


def test_settings_have_defaults_and_name_every_problem() -> None:
    assert load(WorkerSettings, {}).slots >= 1
    assert load(WorkerSettings, {"CRESCENDO_WORKER_SLOTS": "3"}).slots == 3
    with pytest.raises(SettingsError) as caught:
        load(
            WorkerSettings,
            {"CRESCENDO_WORKER_SLOTS": "-1", "CRESCENDO_TRIAL_TIMEOUT_SECONDS": "0"},
        )
    assert "CRESCENDO_WORKER_SLOTS" in str(caught.value)
    assert "CRESCENDO_TRIAL_TIMEOUT_SECONDS" in str(caught.value)


async def test_frames_survive_both_kinds_of_pipe() -> None:
    messages = [b"", b"one", b"x" * 100_000]
    content = b"".join(map(frame, messages))
    source = io.BytesIO(content)
    assert [read_frame(source) for _ in messages] == messages
    assert read_frame(source) is None
    stream = asyncio.StreamReader()
    stream.feed_data(content)
    stream.feed_eof()
    assert [await receive_frame(stream) for _ in messages] == messages
    assert await receive_frame(stream) is None


def test_half_a_frame_is_the_end() -> None:
    assert read_frame(io.BytesIO(frame(b"message")[:-1])) is None
    assert read_frame(io.BytesIO(b"\0\0")) is None


def test_a_length_no_message_has_is_refused() -> None:
    with pytest.raises(FrameTooLarge):
        read_frame(io.BytesIO((MAX_FRAME_BYTES + 1).to_bytes(4, "big")))


def test_kinds_of_failures() -> None:
    with pytest.raises(ValueError, match="'C' parameter") as caught:
        SVC(C=-1.0).fit([[0.0], [1.0]], [0, 1])
    assert failure_of(caught.value).kind is FailureKind.INVALID_PARAMETERS
    assert failure_of(MemoryError("no room")).kind is FailureKind.OOM
    other = failure_of(RuntimeError("did not work"))
    assert (other.kind, other.message) == (FailureKind.EXCEPTION, "RuntimeError: did not work")


def test_texts_of_failures_give_nothing_away() -> None:
    text = clip("cannot read /srv/data/secret/file.csv at amqp://user:hunter2@broker/ now")
    assert "/srv" not in text
    assert "hunter2" not in text
    assert "file.csv" in text
    assert len(clip("é" * 10_000).encode()) <= MAX_MESSAGE_BYTES


def test_the_kernel_counts_its_kills() -> None:
    assert oom_kills() >= 0
