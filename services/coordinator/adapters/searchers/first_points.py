"""Points that are tried first, before the method's own."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.digest import assignment_digest
from services.core.searcher import Searcher, Suggestion
from services.core.start_points import StartPoints
from services.core.trial import Trial, TrialState


class FirstPoints:
    """Suggestion i is start point i; those after, and those tried before, are another searcher's."""

    def __init__(self, start: StartPoints, searcher: Searcher) -> None:
        self._start = start
        self._searcher = searcher

    def ask(self, *, count: int, first_index: int, known: Sequence[Trial]) -> Sequence[Suggestion]:
        """As in Searcher."""
        own = min(count, max(0, len(self._start) - first_index))
        if own == 0:
            return self._searcher.ask(count=count, first_index=first_index, known=known)
        suggestions: list[Suggestion] = []
        so_far = list(known)
        taken = {assignment_digest(each.parameters) for each in known}
        for index in range(first_index, first_index + own):
            point, phase = self._start.at(index)
            suggestion = Suggestion(parameters=point, candidate_index=None, phase=phase)
            if assignment_digest(point) in taken:
                others = self._searcher.ask(count=1, first_index=index, known=so_far)
                if not others:
                    return suggestions
                suggestion = others[0]
            taken.add(assignment_digest(suggestion.parameters))
            suggestions.append(suggestion)
            so_far.append(_pending(suggestion, index, so_far))
        if own < count:
            suggestions += self._searcher.ask(
                count=count - own, first_index=first_index + own, known=so_far
            )
        return suggestions


def _pending(suggestion: Suggestion, index: int, known: Sequence[Trial]) -> Trial:
    """A suggestion as the trial it will be: the other searcher must not propose it again."""
    return Trial(
        orchestration_id="",
        number=known[-1].number + 1 if known else 0,
        tuning_run_id="",
        stage_index=0,
        state=TrialState.QUEUED,
        attempt=0,
        parameters=suggestion.parameters,
        candidate_index=None,
        phase=suggestion.phase,
        suggestion_index=index,
        suggested_at_sequence=0,
    )
