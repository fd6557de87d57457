"""Where trials came from, to protobuf."""

from __future__ import annotations

from services.core.lineage import Lineage
from tuning.v1 import run_service_pb2 as pb


def lineage_to_proto(lineage: Lineage) -> pb.TrialLineage:
    """Encodes what a trial rests on; what it does not rest on stays absent."""
    refinement = lineage.refinement
    return pb.TrialLineage(
        summary=lineage.summary,
        refinement_id=None if refinement is None else refinement.refinement_id,
        evidence_trial_numbers=() if refinement is None else refinement.evidence_trial_numbers,
        best_trial_number=None if refinement is None else refinement.best_trial_number,
        refinement_summary="" if refinement is None else refinement.summary,
        baseline_trial_number=lineage.baseline_trial_number,
        point_to_try=lineage.point_to_try,
    )
