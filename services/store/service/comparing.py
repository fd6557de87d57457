"""Comparing two trials, of one search or of two."""

from __future__ import annotations

from services.core.errors import FieldViolation, InvalidRequest, WrongState
from services.core.score_comparison import (
    Candidate,
    NotComparable,
    ScoreComparison,
    compare_candidates,
)
from services.store.service.tracing import Tracing, TrialName


class Comparing:
    """Compares trials by what is stored of them."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing

    async def trials(
        self, first: TrialName, second: TrialName, *, metric: str | None = None
    ) -> ScoreComparison:
        """Compares two succeeded trials over the same splits; `core.score_comparison` says how.

        Raises:
            InvalidRequest: a number is missing, or both name the same trial.
            NotFound: there is no such trial.
            WrongState: they cannot be compared, with everything that is in the way.
        """
        _check(first, second)
        trials = [await self._tracing.trial(each) for each in (first, second)]
        candidates = [
            Candidate(trial=each, evaluation=await self._tracing.evaluation(each))
            for each in trials
        ]
        try:
            return compare_candidates(*candidates, metric=metric)
        except NotComparable as error:
            raise WrongState(
                f"trials {first.number} and {second.number} cannot be compared: {error}",
                reason="NOT_COMPARABLE",
                metadata={"first": str(first.number), "second": str(second.number)},
            ) from error


def _check(first: TrialName, second: TrialName) -> None:
    found = [
        FieldViolation(field=field, description="is missing; name the trial by its number")
        for field, each in (("first_number", first), ("second_number", second))
        if each.number is None
    ]
    if not found and first == second:
        found.append(
            FieldViolation(
                field="second_number",
                description=f"is {second.number}, as the first; name another trial",
            )
        )
    if found:
        raise InvalidRequest(found)
