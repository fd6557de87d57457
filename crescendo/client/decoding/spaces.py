"""Search spaces and refinements."""

from __future__ import annotations

from dataclasses import replace

from crescendo.client.model import ParameterRefinement, Refinement, SpaceCondition, SpaceParameter
from crescendo.client.values import value_from_proto
from tuning.v1 import search_space_pb2 as space_pb


def space(message: space_pb.SearchSpace) -> tuple[SpaceParameter, ...]:
    """Decodes a search space; the parameters of alternatives follow one another."""
    own = tuple(space_parameter(each) for each in message.parameters)
    return own + tuple(
        replace(each, alternative=place)
        for place, alternative in enumerate(message.alternatives)
        for each in space(alternative)
    )


def space_parameter(message: space_pb.Parameter) -> SpaceParameter:
    """Decodes one parameter of a space."""
    specials = tuple(value_from_proto(each) for each in message.specials)
    kind = message.WhichOneof("domain") or ""
    first = [message.condition] if message.HasField("condition") else []
    conditions = tuple(
        SpaceCondition(
            parent=each.parent, values=tuple(value_from_proto(value) for value in each.values)
        )
        for each in (*first, *message.further_conditions)
    )
    if kind in ("float_range", "int_range"):
        domain = message.float_range if kind == "float_range" else message.int_range
        return SpaceParameter(
            name=message.name,
            kind=kind,
            low=domain.low,
            high=domain.high,
            log=domain.log,
            values=specials,
            conditions=conditions,
        )
    if kind == "fixed":
        values: tuple[space_pb.ParameterValue, ...] = (message.fixed,)
    else:
        listed = message.choices if kind == "choices" else message.grid
        values = tuple(listed.values)
    return SpaceParameter(
        name=message.name,
        kind=kind,
        values=(*(value_from_proto(each) for each in values), *specials),
        conditions=conditions,
    )


def refinement(message: space_pb.Refinement) -> Refinement:
    """Decodes a refinement."""
    return Refinement(
        refinement_id=message.refinement_id,
        source_tuning_run_id=message.source_tuning_run_id,
        target_tuning_run_id=message.target_tuning_run_id,
        refinement_factor=message.refinement_factor,
        evidence_trial_numbers=tuple(message.evidence_trial_numbers),
        best_trial_number=message.best_trial_number,
        parameters=tuple(
            ParameterRefinement(
                name=each.name,
                before=space_parameter(each.before),
                after=space_parameter(each.after),
                rule=each.rule,
                explanation=each.explanation,
                effective_factor=(
                    each.effective_factor if each.HasField("effective_factor") else None
                ),
            )
            for each in message.parameters
        ),
        summary=message.summary,
        rule=message.rule or "fixed",
    )
