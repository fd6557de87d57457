"""What real children print arrives in the log as the lines they wrote."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.core.objective import EvaluationSpec
from services.core.trial import FailureKind
from services.worker.adapters.evaluation.pool import ChildPool
from services.worker.ports import Evaluation, Preparation
from tests.integration.worker.datasets import built_in
from tests.support import hostility

DEADLINE = 120.0

FRAME = re.compile(r'  File ".+", line \d+ in \S+')


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChildPool]:
    inherited = os.environ.get("PYTHONPATH")
    paths = filter(None, [hostility.INJECTION, inherited])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    async with ChildPool(1) as pool:
        yield pool


async def run(pool: ChildPool, folder: Path, parameters: dict[str, float]) -> Evaluation:
    dataset = built_in("breast_cancer")
    spec = EvaluationSpec(
        dataset_id="sklearn:breast_cancer",
        dataset_hash=dataset.content_hash,
        model_type="gaussian_nb",
        metrics=("accuracy",),
        cv_folds=3,
    )
    preparation = Preparation(key="run", spec=spec, dataset=dataset.materialise(folder))
    async with asyncio.timeout(DEADLINE):
        return await pool.evaluate(
            preparation, parameters, timeout_seconds=None, on_split=lambda *_: None
        )


def printed(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return [each["text"] for each in logs if each["event"] == "child printed"]


async def test_a_crash_is_logged_by_whole_lines_without_its_extension_modules(
    pool: ChildPool, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        result = await run(pool, tmp_path / "data", hostility.trial("segfault"))
    assert result.failure is not None
    assert result.failure.kind is FailureKind.CRASH
    announcement, *lines = printed(logs)
    assert announcement == "misbehaving: segfault"
    assert lines[0] == "Fatal Python error: Segmentation fault"
    frames = [each for each in lines if each.startswith("  File ")]
    assert all(FRAME.fullmatch(each) for each in frames)
    assert any(each.endswith(" in segfault") for each in frames)
    others = [each for each in lines[1:] if each not in frames]
    assert all(each.endswith("(most recent call first):") for each in others)
    (death,) = [each for each in logs if each["event"] == "child died"]
    assert " in segfault" in death["output"]
    assert "Extension modules" not in death["output"]


async def test_a_trials_last_line_needs_no_newline(pool: ChildPool, tmp_path: Path) -> None:
    with capture_logs() as logs:
        result = await run(pool, tmp_path / "data", hostility.trial("whisper"))
        async with asyncio.timeout(DEADLINE):
            while len(printed(logs)) < 4:  # noqa: ASYNC110 (nothing tells)
                await asyncio.sleep(0.02)
    assert result.failure is None
    # Three fits, each of which announces itself.
    said = "no newlinemisbehaving: whisper"
    assert printed(logs) == ["misbehaving: whisper", said, said, "no newline"]
