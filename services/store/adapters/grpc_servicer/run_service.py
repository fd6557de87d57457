"""RunService over gRPC."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from prometheus_client import Gauge

from services.common.convert.comparisons import comparison_to_proto
from services.common.convert.history import run_history_to_proto
from services.common.convert.lineages import lineage_to_proto
from services.common.convert.runs import (
    best_to_proto,
    lifecycle_state_to_proto,
    orchestration_to_proto,
    tuning_run_to_proto,
)
from services.common.convert.spaces import refinement_to_proto
from services.common.convert.times import time_to_proto
from services.common.convert.trials import trial_to_proto
from services.core.errors import CrescendoError
from services.core.violations import Violations
from services.store.adapters.grpc_servicer.pages import PageEncoder
from services.store.adapters.grpc_servicer.requests import (
    TENANT,
    lifecycle_states,
    optional,
    trial_states,
)
from services.store.adapters.grpc_servicer.snapshots import snapshot_to_proto
from services.store.ports.results import RankedModel, SelectionMade, TrialOrder
from services.store.service.admission import Admission
from services.store.service.comparing import Comparing
from services.store.service.runs import Runs
from services.store.service.tracing import Tracing, TrialName
from services.store.service.watch import Bookmark, Page, Part, Snapshot, Watching
from tuning.v1 import orchestration_pb2, run_service_pb2_grpc
from tuning.v1 import run_service_pb2 as pb

_ORDERS = {
    pb.TRIAL_ORDER_UNSPECIFIED: TrialOrder.NUMBER,
    pb.TRIAL_ORDER_NUMBER: TrialOrder.NUMBER,
    pb.TRIAL_ORDER_SCORE: TrialOrder.SCORE,
}
_KNOWN_ORDERS = "use TRIAL_ORDER_NUMBER or TRIAL_ORDER_SCORE, or leave it out"

SERVICE = pb.DESCRIPTOR.services_by_name["RunService"].full_name


WATCHES = Gauge("crescendo_store_watches", "Watches that are open.", ["who"])


class RunServicer(run_service_pb2_grpc.RunServiceServicer):
    """Answers questions about orchestrations and streams their events.

    Args:
        admission: of the watches that come in here.
        pages: shared by all that serve the same logs.
    """

    def __init__(
        self,
        runs: Runs,
        tracing: Tracing,
        comparing: Comparing,
        watching: Watching,
        *,
        admission: Admission,
        pages: PageEncoder,
    ) -> None:
        self._runs = runs
        self._tracing = tracing
        self._comparing = comparing
        self._watching = watching
        self._admission = admission
        self._pages = pages

    def register(self, server: grpc.aio.Server) -> None:
        """Registers on a server; pages of watches go out as they were encoded once for all watchers."""
        run_service_pb2_grpc.add_RunServiceServicer_to_server(self, server)
        watch = grpc.unary_stream_rpc_method_handler(
            self.WatchOrchestration,
            request_deserializer=pb.WatchOrchestrationRequest.FromString,
            response_serializer=_serialized,
        )
        server.add_registered_method_handlers(SERVICE, {"WatchOrchestration": watch})  # type: ignore[attr-defined]  # missing in the stubs

    async def GetOrchestration(
        self, request: pb.GetOrchestrationRequest, context: Any
    ) -> pb.GetOrchestrationResponse:
        """Describes one orchestration."""
        found = await self._runs.orchestration(request.orchestration_id)
        return pb.GetOrchestrationResponse(orchestration=orchestration_to_proto(found))

    async def ListOrchestrations(
        self, request: pb.ListOrchestrationsRequest, context: Any
    ) -> pb.ListOrchestrationsResponse:
        """Lists orchestrations without their stages, newest first."""
        wrong = Violations()
        states = lifecycle_states(request.states, "states", wrong)
        wrong.raise_if_any()
        found, token = await self._runs.orchestrations(
            TENANT,
            states=states,
            study_name=request.study_name,
            page_size=optional(request, "page_size"),
            page_token=request.page_token,
        )
        return pb.ListOrchestrationsResponse(
            orchestrations=[orchestration_to_proto(each) for each in found],
            next_page_token=token,
        )

    async def GetTuningRun(
        self, request: pb.GetTuningRunRequest, context: Any
    ) -> pb.GetTuningRunResponse:
        """Describes one tuning run."""
        found = await self._runs.tuning_run(request.tuning_run_id)
        return pb.GetTuningRunResponse(tuning_run=tuning_run_to_proto(found))

    async def ListTrials(
        self, request: pb.ListTrialsRequest, context: Any
    ) -> pb.ListTrialsResponse:
        """Lists trials with their scores per split."""
        wrong = Violations()
        states = trial_states(request.states, "states", wrong)
        order = _ORDERS.get(request.order_by)
        if order is None:
            wrong.add("order_by", f"{request.order_by} is no order of trials; {_KNOWN_ORDERS}")
        min_score = optional(request, "min_score")
        if min_score is not None and math.isnan(min_score):
            wrong.add(
                "min_score", "nan is above and below no score; give a number, or leave it out"
            )
        wrong.raise_if_any()
        found, token = await self._runs.trials(
            orchestration_id=request.orchestration_id,
            tuning_run_id=request.tuning_run_id,
            states=states,
            min_score=min_score,
            order=order or TrialOrder.NUMBER,
            page_size=optional(request, "page_size"),
            page_token=request.page_token,
        )
        return pb.ListTrialsResponse(
            trials=[trial_to_proto(each) for each in found], next_page_token=token
        )

    async def GetTrial(self, request: pb.GetTrialRequest, context: Any) -> pb.GetTrialResponse:
        """Describes one trial with where it came from."""
        found = await self._tracing.traced(
            TrialName(orchestration_id=request.orchestration_id, number=optional(request, "number"))
        )
        return pb.GetTrialResponse(
            trial=trial_to_proto(found.trial), lineage=lineage_to_proto(found.lineage)
        )

    async def ListRefinements(
        self, request: pb.ListRefinementsRequest, context: Any
    ) -> pb.ListRefinementsResponse:
        """Lists the refinements of an orchestration in the order they were made."""
        found = await self._runs.refinements(request.orchestration_id)
        return pb.ListRefinementsResponse(refinements=[refinement_to_proto(each) for each in found])

    async def GetBestModel(
        self, request: pb.GetBestModelRequest, context: Any
    ) -> pb.GetBestModelResponse:
        """Gives the best model, and every model ranked."""
        found = await self._runs.best_model(
            request.orchestration_id, best_so_far=bool(request.best_so_far)
        )
        return pb.GetBestModelResponse(
            best=best_to_proto(found.best),
            trial=trial_to_proto(found.trial),
            ranking=[_ranked_to_proto(each) for each in found.ranking],
            scoring_metric=found.scoring_metric,
            complete=found.complete,
            selection=_made_to_proto(found.selection),
        )

    async def GetSearchHistory(
        self, request: pb.GetSearchHistoryRequest, context: Any
    ) -> pb.GetSearchHistoryResponse:
        """Gives each tuning run's best-so-far curve and statistics."""
        found = await self._runs.history(request.orchestration_id)
        return pb.GetSearchHistoryResponse(
            tuning_runs=[run_history_to_proto(each) for each in found]
        )

    async def CompareTrials(
        self, request: pb.CompareTrialsRequest, context: Any
    ) -> pb.CompareTrialsResponse:
        """Compares two succeeded trials over the same splits."""
        found = await self._comparing.trials(
            TrialName(
                orchestration_id=request.orchestration_id, number=optional(request, "first_number")
            ),
            TrialName(
                orchestration_id=request.second_orchestration_id or request.orchestration_id,
                number=optional(request, "second_number"),
            ),
            metric=request.metric or None,
        )
        return pb.CompareTrialsResponse(comparison=comparison_to_proto(found))

    async def WatchOrchestration(
        self, request: pb.WatchOrchestrationRequest, context: Any
    ) -> AsyncIterator[Any]:
        """Streams an orchestration's events until its end."""
        after_sequence = optional(request, "after_sequence")
        ticket = self._admission.admit(after_sequence=after_sequence)
        # Not at the generator's end: a client that does not read keeps its place until it is gone.
        context.add_done_callback(lambda _: ticket.release())
        parts = self._watching.watch(
            request.orchestration_id, after_sequence=after_sequence, epoch=request.epoch or None
        )
        async with aclosing(parts):
            async for part in parts:
                try:
                    yield self._encoded(request.orchestration_id, part)
                except CrescendoError as error:
                    # It could not be sent in time; the watch knows up to where all will have been.
                    await parts.athrow(error)
                del part

    def _encoded(self, orchestration_id: str, part: Part) -> Any:
        match part:
            case Snapshot():
                return pb.WatchOrchestrationResponse(snapshot=snapshot_to_proto(part))
            case Page():
                return self._pages.encode(orchestration_id, part.epoch, part.events)
            case Bookmark():
                return pb.WatchOrchestrationResponse(
                    bookmark=pb.Bookmark(
                        sequence=part.sequence,
                        observed_at=time_to_proto(part.observed_at),
                        epoch=part.epoch,
                    )
                )


def _serialized(response: Any) -> bytes:
    return response if isinstance(response, bytes) else response.SerializeToString()


def _ranked_to_proto(model: RankedModel) -> pb.RankedModel:
    return pb.RankedModel(
        rank=model.rank,
        model_run_id=model.model_run_id,
        model_type=model.model_type,
        state=lifecycle_state_to_proto(model.state),
        best=best_to_proto(model.best),
        message=model.message,
        selection=_made_to_proto(model.selection),
    )


def _made_to_proto(made: SelectionMade | None) -> orchestration_pb2.SelectionMade | None:
    if made is None:
        return None
    return orchestration_pb2.SelectionMade(
        rule=made.rule,
        best_by_score=best_to_proto(made.best_by_score),
        standard_error=made.selected.standard_error,
        threshold=made.selected.threshold,
        candidates=made.selected.candidates,
        reason=made.selected.reason,
    )
