"""Search spaces and refinements, to and from protobuf."""

from __future__ import annotations

from services.common.convert.values import (
    value_from_proto,
    value_to_proto,
    values_from_proto,
    values_to_proto,
)
from services.core.refinement import ParameterRefinement, Refinement
from services.core.refinement_rules import FIXED
from services.core.space import (
    Choices,
    Condition,
    Constraint,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Ordered,
    Parameter,
    SearchSpace,
    SumToOne,
)
from tuning.v1 import search_space_pb2 as pb


def parameter_to_proto(parameter: Parameter) -> pb.Parameter:
    """Encodes one parameter."""
    conditions = [
        pb.Condition(parent=each.parent, values=values_to_proto(each.values))
        for each in parameter.conditions
    ]
    message = pb.Parameter(
        name=parameter.name,
        specials=values_to_proto(parameter.specials),
        condition=conditions[0] if conditions else None,
        further_conditions=conditions[1:],
        is_step=parameter.is_step,
    )
    domain = parameter.domain
    match domain:
        case FloatRange():
            message.float_range.CopyFrom(
                pb.FloatRange(low=domain.low, high=domain.high, log=domain.log, step=domain.step)
            )
        case IntRange():
            message.int_range.CopyFrom(
                pb.IntRange(low=domain.low, high=domain.high, log=domain.log, step=domain.step)
            )
        case Choices():
            message.choices.CopyFrom(pb.ValueList(values=values_to_proto(domain.values)))
        case Fixed():
            message.fixed.CopyFrom(value_to_proto(domain.value))
        case Grid():
            message.grid.CopyFrom(
                pb.ValueList(values=values_to_proto(domain.values), log=domain.log)
            )
    return message


def parameter_from_proto(message: pb.Parameter) -> Parameter:
    """Decodes one parameter.

    Raises: ValueError: the message names no domain.
    """
    return Parameter(
        name=message.name,
        domain=_domain_from_proto(message),
        specials=values_from_proto(message.specials),
        conditions=conditions_from_proto(message),
        is_step=message.is_step,
    )


def conditions_from_proto(message: pb.Parameter) -> tuple[Condition, ...]:
    """Decodes when a parameter is active; nothing for always."""
    first = [message.condition] if message.HasField("condition") else []
    return tuple(
        Condition(parent=each.parent, values=values_from_proto(each.values))
        for each in (*first, *message.further_conditions)
    )


def constraint_from_proto(message: pb.Constraint) -> Constraint | None:
    """Decodes a constraint; None when the message says nothing."""
    match message.WhichOneof("kind"):
        case "sum_to_one":
            return SumToOne(names=tuple(message.sum_to_one.names))
        case "ordered":
            return Ordered(names=tuple(message.ordered.names))
        case _:
            return None


def _constraint_to_proto(constraint: Constraint) -> pb.Constraint:
    group = pb.ParameterGroup(names=constraint.names)
    if isinstance(constraint, SumToOne):
        return pb.Constraint(sum_to_one=group)
    return pb.Constraint(ordered=group)


def _domain_from_proto(message: pb.Parameter) -> Domain:
    match message.WhichOneof("domain"):
        case "float_range":
            floats = message.float_range
            return FloatRange(
                low=floats.low,
                high=floats.high,
                log=floats.log,
                step=floats.step if floats.HasField("step") else None,
            )
        case "int_range":
            ints = message.int_range
            return IntRange(
                low=ints.low,
                high=ints.high,
                log=ints.log,
                step=ints.step if ints.HasField("step") else 1,
            )
        case "choices":
            return Choices(values=values_from_proto(message.choices.values))
        case "fixed":
            return Fixed(value=value_from_proto(message.fixed))
        case "grid":
            return grid_from_message(message.grid)
        case _:
            raise ValueError(f"parameter {message.name!r} has no domain")


def grid_from_message(message: pb.ValueList) -> Grid:
    """Decodes a grid's values and scale."""
    return Grid(
        values=values_from_proto(message.values),
        log=message.log if message.HasField("log") else None,
    )


def space_to_proto(space: SearchSpace) -> pb.SearchSpace:
    """Encodes a space."""
    return pb.SearchSpace(
        parameters=[parameter_to_proto(each) for each in space.parameters],
        constraints=[_constraint_to_proto(each) for each in space.constraints],
        alternatives=[space_to_proto(each) for each in space.alternatives],
    )


def space_from_proto(message: pb.SearchSpace) -> SearchSpace:
    """Decodes a space."""
    constraints = (constraint_from_proto(each) for each in message.constraints)
    return SearchSpace(
        parameters=tuple(parameter_from_proto(each) for each in message.parameters),
        constraints=tuple(each for each in constraints if each is not None),
        alternatives=tuple(space_from_proto(each) for each in message.alternatives),
    )


def refinement_to_proto(refinement: Refinement) -> pb.Refinement:
    """Encodes a refinement record."""
    return pb.Refinement(
        refinement_id=refinement.refinement_id,
        orchestration_id=refinement.orchestration_id,
        source_tuning_run_id=refinement.source_tuning_run_id,
        target_tuning_run_id=refinement.target_tuning_run_id,
        refinement_factor=refinement.refinement_factor,
        evidence_trial_numbers=refinement.evidence_trial_numbers,
        best_trial_number=refinement.best_trial_number,
        parameters=[
            pb.ParameterRefinement(
                name=each.name,
                before=parameter_to_proto(each.before),
                after=parameter_to_proto(each.after),
                rule=each.rule,
                explanation=each.explanation,
                effective_factor=each.effective_factor,
            )
            for each in refinement.parameters
        ],
        space_before=space_to_proto(refinement.space_before),
        space_after=space_to_proto(refinement.space_after),
        summary=refinement.summary,
        rule=refinement.rule,
    )


def refinement_from_proto(message: pb.Refinement) -> Refinement:
    """Decodes a refinement record."""
    return Refinement(
        refinement_id=message.refinement_id,
        orchestration_id=message.orchestration_id,
        source_tuning_run_id=message.source_tuning_run_id,
        target_tuning_run_id=message.target_tuning_run_id,
        refinement_factor=message.refinement_factor,
        evidence_trial_numbers=tuple(message.evidence_trial_numbers),
        best_trial_number=message.best_trial_number,
        parameters=tuple(
            ParameterRefinement(
                name=each.name,
                before=parameter_from_proto(each.before),
                after=parameter_from_proto(each.after),
                rule=each.rule,
                explanation=each.explanation,
                effective_factor=(
                    each.effective_factor if each.HasField("effective_factor") else None
                ),
            )
            for each in message.parameters
        ),
        space_before=space_from_proto(message.space_before),
        space_after=space_from_proto(message.space_after),
        summary=message.summary,
        # Records from before there was another.
        rule=message.rule or FIXED,
    )
