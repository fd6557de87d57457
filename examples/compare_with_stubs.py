"""A comparison of models with nothing but the generated stubs, as a client in any language would do it.

    PYTHONPATH=protos/gen python examples/compare_with_stubs.py

The stubs are made of `protos/`: `python -m grpc_tools.protoc -I protos --python_out=… protos/tuning/v1/*.proto`.
"""

from __future__ import annotations

import os
import uuid
from typing import cast

import grpc
from google.protobuf.json_format import ParseDict
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tuning.v1 import event_pb2, model_service_pb2, orchestration_service_pb2, run_service_pb2
from tuning.v1.model_service_pb2_grpc import ModelServiceStub
from tuning.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from tuning.v1.run_service_pb2_grpc import RunServiceStub

COORDINATOR = os.environ.get("CRESCENDO_COORDINATOR_ADDRESS") or "127.0.0.1:50051"
STORE = os.environ.get("CRESCENDO_STORE_ADDRESS") or "127.0.0.1:50052"
MODEL_TYPES = ("k_neighbors_classifier", "decision_tree_classifier", "gaussian_nb")
DEADLINE_SECONDS = 30.0


def main() -> None:
    """Compares three models on the iris data."""
    with grpc.insecure_channel(COORDINATOR) as coordinator, grpc.insecure_channel(STORE) as store:
        models = ModelServiceStub(store)
        model_run_ids = [create_model_run(models, model_type) for model_type in MODEL_TYPES]
        # A map<string, Struct> takes plain JSON; the request id makes the call safe to repeat.
        request = ParseDict(
            {
                "model_run_ids": model_run_ids,
                "tuning_method": "grid_search",
                "param_grids": {model_run_ids[0]: {"n_neighbors": [3, 5, 9]}},
                "request_id": str(uuid.uuid4()),
            },
            orchestration_service_pb2.StartMultiModelComparisonRequest(),
        )
        started = OrchestrationServiceStub(coordinator).StartMultiModelComparison(
            request, timeout=DEADLINE_SECONDS
        )
        orchestration_id = started.orchestration.orchestration_id
        runs = RunServiceStub(store)
        follow(runs, orchestration_id)
        best = runs.GetBestModel(
            run_service_pb2.GetBestModelRequest(orchestration_id=orchestration_id),
            timeout=DEADLINE_SECONDS,
        )
    for model in best.ranking:
        print(model.rank, model.model_type, f"{model.best.score:.4f}")


def create_model_run(models: ModelServiceStub, model_type: str) -> str:
    """Creates a model run and gives its id."""
    request = model_service_pb2.CreateModelRunRequest(
        dataset_id="sklearn:iris", model_type=model_type, request_id=str(uuid.uuid4())
    )
    return models.CreateModelRun(request, timeout=DEADLINE_SECONDS).model_run.model_run_id


def follow(runs: RunServiceStub, orchestration_id: str) -> None:
    """Prints events to the end; a dropped stream is taken up behind the last event seen."""
    request = run_service_pb2.WatchOrchestrationRequest(
        orchestration_id=orchestration_id, after_sequence=0
    )
    while True:
        try:
            for response in runs.WatchOrchestration(request):
                for event in response.events.events:
                    request.after_sequence = event.sequence
                    show(event)
            return
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise


def show(event: event_pb2.Event) -> None:
    """Prints an event that people care about."""
    if event.HasField("best_improved"):
        best = event.best_improved.best
        print(f"#{event.sequence} best so far {best.score:.4f} ({best.model_type})")
    if event.HasField("orchestration_changed"):
        print(f"#{event.sequence} {event.orchestration_changed.reason or 'changed'}")


def explain(error: grpc.Call) -> str:
    """Gives what a server says is wrong, every violation on a line of its own."""
    status = rpc_status.from_call(error)
    lines = [str(status.message if status else error.details())]
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            lines += [f"  {each.field}: {each.description}" for each in bad.field_violations]
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except grpc.RpcError as error:
        # What a call raises is the call itself, with its status.
        raise SystemExit(explain(cast("grpc.Call", error))) from error
