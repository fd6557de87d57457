"""A child between two steps: it tells what the last one came to, and hears whether there is another."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence

from services.common.convert.pruning import step_kind_to_proto
from services.core.pruning import PruneDecision
from services.core.pruning_settings import Pruning, StepKind
from services.core.step_judging import StepScore
from services.worker.adapters.evaluation.standards import advice_from_proto
from services.worker.ports import Standard
from tuning.v1 import evaluation_messages_pb2 as pb

# Folds of shorter trials are told when they end, and only then.
_REPORT_AFTER_SECONDS = 1.0


class StepTalk:
    """Tells of the steps of one evaluation, and takes the advice that comes back.

    Folds are held back until the trial is long enough for anyone to want to see them, unless a rule
    compares trials by them. Where that rule looks at a step, this waits for the parent, which answers
    whatever happens to the store.

    Args:
        tell: sends one step to the parent.
        inbox: what the parent says, from a thread that ends this process when the parent goes.
        request_number: of the evaluation.
        pruning: how the tuning run's trials are stopped early; None when they are not.
        standard: what is to be met, as known at the start.
        bound: decides by the folds so far whether a standard can still be met.
    """

    def __init__(
        self,
        *,
        tell: Callable[[pb.SplitScored], None],
        inbox: queue.SimpleQueue[bytes],
        request_number: int,
        pruning: Pruning | None,
        standard: Standard | None,
        bound: Callable[[Sequence[float], Standard], PruneDecision | None],
    ) -> None:
        self._tell = tell
        self._inbox = inbox
        self._request_number = request_number
        self._pruning = pruning if pruning is not None and pruning.guesses else None
        self._standard = standard
        self._bound = bound
        self._stop: PruneDecision | None = None
        self._scores: list[float] = []
        self._started = time.monotonic()
        self._held: list[StepScore] = []

    def fold(self, split: int, score: float) -> PruneDecision | None:
        """Takes a scored split, in split order. Returns: why the evaluation ends here; None to go on."""
        self._scores.append(score)
        return self.step(StepScore(step=split + 1, value=score))

    def step(self, score: StepScore) -> PruneDecision | None:
        """Takes a step. Returns: why the evaluation ends here; None to go on."""
        pruning = self._pruning
        judged = pruning is not None and pruning.step_kind is score.kind
        if not judged and score.kind is not StepKind.FOLD:
            # Nobody compares these.
            return None
        waits = judged and pruning is not None and pruning.looks_at(score.step)
        self._held.append(score)
        if judged or time.monotonic() - self._started >= _REPORT_AFTER_SECONDS:
            for each in self._held:
                self._tell(_step_to_proto(each, waits=waits and each is score))
            self._held.clear()
        self._listen(score.step if waits else 0)
        if judged and pruning is not None and score.step == pruning.max_steps:
            # Nothing is left to be saved: a stop that came too late is none.
            return None
        if self._stop is not None:
            return self._stop
        if self._standard is None or score.kind is not StepKind.FOLD:
            return None
        return self._bound(self._scores, self._standard)

    def _listen(self, step: int) -> None:
        """Takes what advice there is; with a step, waits for the advice on that one."""
        while True:
            try:
                message = self._inbox.get() if step else self._inbox.get_nowait()
            except queue.Empty:
                return
            request = pb.ChildRequest.FromString(message)
            if (
                request.WhichOneof("content") != "advice"
                or request.request_number != self._request_number
            ):
                continue
            advice = advice_from_proto(request.advice)
            self._stop = advice.stop or self._stop
            self._standard = advice.standard or self._standard
            if step and request.advice.step == step:
                return


def _step_to_proto(score: StepScore, *, waits: bool) -> pb.SplitScored:
    return pb.SplitScored(
        split=score.step - 1,
        score=score.value,
        kind=step_kind_to_proto(score.kind),
        waits=waits,
    )
