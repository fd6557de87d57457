"""The child's side of the conversation with its parent."""

from __future__ import annotations

import queue
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

from services.common.convert.objectives import evaluation_from_proto
from services.common.convert.pruning import decision_to_proto, pruning_from_proto
from services.common.convert.trials import (
    failure_to_proto,
    interval_method_to_proto,
    scores_to_proto,
    splits_to_proto,
)
from services.common.convert.values import assignment_from_proto
from services.core.limits import MAX_RESULT_BYTES
from services.core.trial import Failure, FailureKind
from services.worker.adapters.evaluation.advising import StepTalk
from services.worker.adapters.evaluation.evaluator import PreparedEvaluation
from services.worker.adapters.evaluation.failures import clip, failure_of
from services.worker.adapters.evaluation.folds import FoldStore
from services.worker.adapters.evaluation.framing import frame
from services.worker.adapters.evaluation.prefix_cache import PrefixCache
from services.worker.adapters.evaluation.standards import standard_from_proto
from services.worker.ports import Evaluation
from tuning.v1 import evaluation_messages_pb2 as pb

_KEPT_PREPARATIONS = 32


class Conversation:
    """Answers requests in order, one at a time.

    Args:
        requests: what the parent says; while an evaluation is under way, advice on it.
        prefix_bytes: what may be kept of preprocessed folds.
    """

    def __init__(
        self, answers: BinaryIO, requests: queue.SimpleQueue[bytes], *, prefix_bytes: int
    ) -> None:
        self._answers = answers
        self._requests = requests
        self._folds = FoldStore()
        self._prefixes = PrefixCache(prefix_bytes)
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
        if request.WhichOneof("content") == "advice":
            # On an evaluation that ended before it came.
            return
        if request.WhichOneof("content") == "prepare":
            evaluation = self._prepare(request.prepare)
        elif self._prepared is None:
            evaluation = Evaluation(failure=self._not_prepared)
        else:
            evaluation = self._evaluate(self._prepared, request)
        self._send(_bounded(request.request_number, evaluation, self._prefix_use()))

    def _evaluate(self, prepared: PreparedEvaluation, request: pb.ChildRequest) -> Evaluation:
        number = request.request_number
        talk = StepTalk(
            tell=lambda step: self._send(
                pb.ChildResponse(request_number=number, split_scored=step)
            ),
            inbox=self._requests,
            request_number=number,
            pruning=prepared.pruning,
            standard=standard_from_proto(request.evaluate),
            bound=prepared.bound,
        )
        try:
            return prepared.evaluate(
                assignment_from_proto(request.evaluate.parameters), talk.fold, talk.step
            )
        except Exception as error:  # noqa: BLE001 (told to the parent, whatever it is)
            # Memory may be refused anywhere, not only inside an estimator.
            return Evaluation(failure=failure_of(error))

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
                    prefixes=self._prefixes,
                    pruning=(
                        pruning_from_proto(request.pruning) if request.HasField("pruning") else None
                    ),
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

    def _prefix_use(self) -> pb.PrefixUse:
        use = self._prefixes.take_use()
        return pb.PrefixUse(
            steps_reused=use.reused,
            steps_fitted=use.fitted,
            held_bytes=self._prefixes.held_bytes,
        )

    def _send(self, response: pb.ChildResponse) -> None:
        remaining = memoryview(frame(response.SerializeToString()))
        while remaining:
            remaining = remaining[self._answers.write(remaining) :]


def _bounded(
    request_number: int, evaluation: Evaluation, prefixes: pb.PrefixUse
) -> pb.ChildResponse:
    response = pb.ChildResponse(
        request_number=request_number,
        ended=pb.EvaluationEnded(
            metrics=scores_to_proto(evaluation.metrics),
            failure=failure_to_proto(evaluation.failure),
            fit_seconds=evaluation.fit_seconds,
            score_seconds=evaluation.score_seconds,
            prune_decision=decision_to_proto(evaluation.prune_decision),
            splits=splits_to_proto(evaluation.splits),
            interval_method=interval_method_to_proto(evaluation.interval_method),
            prefixes=prefixes,
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
        prefixes,
    )
