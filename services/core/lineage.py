"""Where a trial's assignment came from: what it rests on, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.core.refinement import Refinement
from services.core.run import TuningRun
from services.core.start_points import BASELINE_PHASE, GIVEN_PHASE
from services.core.trial import Trial

_EXPLORE: Final = "explore"
# Drawn from the original bounds, or named by people: no refinement had a part in them.
_UNREFINED: Final = frozenset({_EXPLORE, BASELINE_PHASE, GIVEN_PHASE})
# What moves around the current parameters; it begins at their trial.
_AROUND_THE_BASELINE: Final = frozenset({"one_at_a_time", "joint"})
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "random": "drawn at random",
        "sobol": "the next point of a Sobol sequence",
        _EXPLORE: "drawn at random from the original bounds, beyond what was refined",
        "startup": "one of the points a model needs before it can suggest any",
        "one_at_a_time": "the current parameters with one of them changed",
        "joint": "several parameters changed at once around the best so far",
        BASELINE_PHASE: "the model's current parameters",
        "fixed": "the parameters as they were set",
        "repeat": "a repeat, for nothing in the space was left untried",
    }
)
_MOST_NUMBERS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a trial's assignment rests on.

    Attributes:
        summary: in words.
        refinement: made the space it was drawn from; None for the original space.
        baseline_trial_number: of the current parameters it began at; None where it did not.
        point_to_try: its place among the points the request asked to try first, from 0; None else.
    """

    summary: str
    refinement: Refinement | None = None
    baseline_trial_number: int | None = None
    point_to_try: int | None = None


def lineage_of(trial: Trial, run: TuningRun, refinements: Sequence[Refinement]) -> Lineage:
    """Traces a trial back.

    Args:
        run: the tuning run it belongs to.
        refinements: those of the orchestration; that of the tuning run's space is found among them.
    """
    refinement = None
    if trial.phase not in _UNREFINED:
        refinement = next(
            (each for each in refinements if each.target_tuning_run_id == trial.tuning_run_id), None
        )
    baseline = None
    if trial.phase in _AROUND_THE_BASELINE and run.baseline is not None:
        baseline = run.baseline.trial_number
    point = None
    if trial.phase == GIVEN_PHASE:
        point = trial.suggestion_index - (run.start.baseline is not None)
    return Lineage(
        summary=_summary(trial, run, refinement, point),
        refinement=refinement,
        baseline_trial_number=baseline,
        point_to_try=point,
    )


def _summary(trial: Trial, run: TuningRun, refinement: Refinement | None, point: int | None) -> str:
    match trial.phase:
        case "grid":
            words = f"point {trial.candidate_index} of the grid"
        case "model":
            words = (
                f"suggested by {run.method_used} from the results up to event"
                f" {trial.suggested_at_sequence}"
            )
        case "given":
            words = f"point {0 if point is None else point + 1} of those to be tried first"
        case phase:
            words = _WORDS.get(phase, phase)
    if refinement is not None:
        words += (
            f", in the space refined around trial {refinement.best_trial_number} by"
            f" {_trials(refinement)}"
        )
    if trial.copied_from is not None:
        words += f"; it has the result of trial {trial.copied_from} and was not run"
    return words


def _trials(refinement: Refinement) -> str:
    numbers = [str(each) for each in refinement.evidence_trial_numbers]
    shown = ", ".join(numbers[:_MOST_NUMBERS])
    more = len(numbers) - _MOST_NUMBERS
    return f"trials {shown}" + (f" and {more} more" if more > 0 else "")
