"""Search spaces and refinements, to and from protobuf."""

from __future__ import annotations

from services.common.convert.values import (
    value_from_proto,
    value_to_proto,
    values_from_proto,
    values_to_proto,
)
from services.core.refinement import ParameterRefinement, Refinement
from services.core.space import (
    Choices,
    Domain,
    Fixed,
    FloatRange,
    Grid,
    IntRange,
    Parameter,
    SearchSpace,
)
from tuning.v1 import search_space_pb2 as pb


def parameter_to_proto(parameter: Parameter) -> pb.Parameter:
    """Encodes one parameter."""
    message = pb.Parameter(name=parameter.name, specials=values_to_proto(parameter.specials))
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
            message.grid.CopyFrom(pb.ValueList(values=values_to_proto(domain.values)))
    return message


def parameter_from_proto(message: pb.Parameter) -> Parameter:
    """Decodes one parameter.

    Raises: ValueError: the message names no domain.
    """
    return Parameter(
        name=message.name,
        domain=_domain_from_proto(message),
        specials=values_from_proto(message.specials),
    )


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
            return Grid(values=values_from_proto(message.grid.values))
        case _:
            raise ValueError(f"parameter {message.name!r} has no domain")


def space_to_proto(space: SearchSpace) -> pb.SearchSpace:
    """Encodes a space."""
    return pb.SearchSpace(parameters=[parameter_to_proto(each) for each in space.parameters])


def space_from_proto(message: pb.SearchSpace) -> SearchSpace:
    """Decodes a space."""
    return SearchSpace(parameters=tuple(parameter_from_proto(each) for each in message.parameters))


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
            )
            for each in refinement.parameters
        ],
        space_before=space_to_proto(refinement.space_before),
        space_after=space_to_proto(refinement.space_after),
        summary=refinement.summary,
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
            )
            for each in message.parameters
        ),
        space_before=space_from_proto(message.space_before),
        space_after=space_from_proto(message.space_after),
        summary=message.summary,
    )
