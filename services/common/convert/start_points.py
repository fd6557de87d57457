"""Points that are tried first, to and from protobuf."""

from __future__ import annotations

from services.common.convert.values import assignment_from_proto, assignment_to_proto
from services.core.start_points import StartPoints
from tuning.v1 import search_space_pb2 as pb


def start_points_to_proto(start: StartPoints) -> pb.StartPoints:
    """Encodes points that are tried first."""
    message = pb.StartPoints(
        points_to_try=[assignment_to_proto(each) for each in start.points_to_try]
    )
    if start.baseline is not None:
        message.baseline.CopyFrom(assignment_to_proto(start.baseline))
    return message


def start_points_from_proto(message: pb.StartPoints) -> StartPoints:
    """Decodes points that are tried first."""
    return StartPoints(
        baseline=assignment_from_proto(message.baseline) if message.HasField("baseline") else None,
        points_to_try=tuple(assignment_from_proto(each) for each in message.points_to_try),
    )
