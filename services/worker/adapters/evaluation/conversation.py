"""The child's side of the conversation with its parent."""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

from services.common.convert.objectives import evaluation_from_proto
from services.common.convert.trials import failure_to_proto, scores_to_proto
from services.common.convert.values import assignment_from_proto
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.failures import clip, failure_of
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.adapters.evaluation.framing import frame
from services.worker.ports import Evaluation
from tuning.v1 import evaluation_messages_pb2 as pb

MAX_RESULT_BYTES = 64 * 1024

# Trials shorter than this are told about when they end, and only then.
_REPORT_AFTER_SECONDS = 1.0
_KEPT_PREPARATIONS = 32


class Conversation:
    """Answers requests in order, one at a time."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._folds = FoldStore()
        self._kept: OrderedDict[bytes, PreparedEvaluation] = OrderedDict()
        self._prepared: PreparedEvaluation | None = None
        self._not_prepared = Failure(
            kind=FailureKind.INFRA, message="an evaluation was asked for before its preparation"
        )

    def greet(self) -> None:
        """Says that everything is imported and requests are welcome: an answer to request 0."""
        self._send(pb.ChildResponse(request_number=0, ended=pb.EvaluationEnded()))

    def answer(self, message: bytes) -> None:
        """Answers one request."""
        request = pb.ChildRequest.FromString(message)
        if request.WhichOneof("content") == "prepare":
            evaluation = self._prepare(request.prepare)
        elif self._prepared is None:
            evaluation = Evaluation(failure=self._not_prepared)
        else:
            splits = _SplitReports(self, request.request_number)
            evaluation = self._prepared.evaluate(
                assignment_from_proto(request.evaluate.parameters), splits.add
            )
        self._send(_bounded(request.request_number, evaluation))

    def send_split(self, request_number: int, split: int, score: float) -> None:
        """Says that a split is scored."""
        self._send(
            pb.ChildResponse(
                request_number=request_number,
                split_scored=pb.SplitScored(split=split, score=score),
            )
        )

    def _prepare(self, request: pb.Prepare) -> Evaluation:
        key = request.SerializeToString(deterministic=True)
        try:
            if key not in self._kept:
                while len(self._kept) >= _KEPT_PREPARATIONS:
                    self._kept.popitem(last=False)
                self._kept[key] = PreparedEvaluation(
                    evaluation_from_proto(request.spec),
                    Path(request.dataset_path),
                    folds=self._folds,
                )
        except Exception as error:  # noqa: BLE001 (told to the parent, whatever it is)
            # Every trial of the run fails with this until another preparation comes.
            self._prepared = None
            self._not_prepared = (
                Failure(
                    kind=FailureKind.INFRA, message=clip(f"the dataset cannot be read: {error}")
                )
                if isinstance(error, OSError)
                else failure_of(error)
            )
            return Evaluation(failure=self._not_prepared)
        self._kept.move_to_end(key)
        self._prepared = self._kept[key]
        return Evaluation()

    def _send(self, response: pb.ChildResponse) -> None:
        remaining = memoryview(frame(response.SerializeToString()))
        while remaining:
            remaining = remaining[self._answers.write(remaining) :]


class _SplitReports:
    """Holds back splits until the trial is long enough for anyone to want to see them."""

    def __init__(self, conversation: Conversation, request_number: int) -> None:
        self._conversation = conversation
        self._request_number = request_number
        self._started = time.monotonic()
        self._held: list[tuple[int, float]] = []

    def add(self, split: int, score: float) -> None:
        self._held.append((split, score))
        if time.monotonic() - self._started < _REPORT_AFTER_SECONDS:
            return
        for each in self._held:
            self._conversation.send_split(self._request_number, *each)
        self._held.clear()


def _bounded(request_number: int, evaluation: Evaluation) -> pb.ChildResponse:
    response = pb.ChildResponse(
        request_number=request_number,
        ended=pb.EvaluationEnded(
            metrics=scores_to_proto(evaluation.metrics),
            failure=failure_to_proto(evaluation.failure),
            fit_seconds=evaluation.fit_seconds,
            score_seconds=evaluation.score_seconds,
        ),
    )
    size = response.ByteSize()
    if size <= MAX_RESULT_BYTES:
        return response
    too_large = Failure(
        kind=FailureKind.RESULT_TOO_LARGE,
        message=f"the result has {size} bytes; at most {MAX_RESULT_BYTES} are allowed",
    )
    return _bounded(
        request_number,
        Evaluation(
            failure=too_large,
            fit_seconds=evaluation.fit_seconds,
            score_seconds=evaluation.score_seconds,
        ),
    )
