"""Refinement: the next stage's space from the results of the stages before, and why."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.space import Parameter, SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRefinement:
    """What happened to one parameter; `rule` is one of RULES, `explanation` one sentence for people."""

    name: str
    before: Parameter
    after: Parameter
    rule: str
    explanation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """How one space was made from another.

    Attributes:
        refinement_id: 1, 2, … within the orchestration; 0 until stored.
        evidence_trial_numbers: trials it rests on, best first.
    """

    refinement_id: int = 0
    orchestration_id: str = ""
    source_tuning_run_id: str = ""
    target_tuning_run_id: str = ""
    refinement_factor: float
    evidence_trial_numbers: tuple[int, ...]
    best_trial_number: int
    parameters: tuple[ParameterRefinement, ...]
    space_before: SearchSpace
    space_after: SearchSpace
    summary: str
