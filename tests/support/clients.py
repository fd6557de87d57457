"""A client made of the generated stubs alone, as any other team would write it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import grpc
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from tuning.v1 import (
    dataset_pb2,
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    event_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    orchestration_pb2,
    orchestration_service_pb2,
    orchestration_service_pb2_grpc,
    run_service_pb2,
    run_service_pb2_grpc,
    search_space_pb2,
    trial_pb2,
    tuning_service_pb2,
    tuning_service_pb2_grpc,
)

# The first use of a built-in dataset imports scikit-learn in the store; busy machines take their time.
CALL_SECONDS = 120.0
END_SECONDS = 240.0
_CHUNK = 64 * 1024


class Client:
    """The five public services over two channels."""

    def __init__(self, *, store_address: str, coordinator_address: str) -> None:
        self._channels = [grpc.insecure_channel(store_address)]
        self._channels.append(grpc.insecure_channel(coordinator_address))
        store, coordinator = self._channels
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(store)
        self.models = model_service_pb2_grpc.ModelServiceStub(store)
        self.runs = run_service_pb2_grpc.RunServiceStub(store)
        self.orchestrations = orchestration_service_pb2_grpc.OrchestrationServiceStub(coordinator)
        self.tuning = tuning_service_pb2_grpc.TuningServiceStub(coordinator)

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    def create_model_run(self, dataset_id: str, model_type: str, **fields: Any) -> str:
        """Creates a model run and gives its id."""
        body = {"dataset_id": dataset_id, "model_type": model_type, **fields}
        request = ParseDict(body, model_service_pb2.CreateModelRunRequest())
        answer = self.models.CreateModelRun(request, timeout=CALL_SECONDS)
        return answer.model_run.model_run_id

    def upload(
        self, content: bytes, *, target: str, name: str = "table.csv", **header: Any
    ) -> dataset_pb2.Dataset:
        """Uploads a file's bytes in chunks."""
        first = dataset_service_pb2.UploadHeader(name=name, target_column=target, **header)

        def parts() -> Iterator[dataset_service_pb2.UploadDatasetRequest]:
            yield dataset_service_pb2.UploadDatasetRequest(header=first)
            for start in range(0, len(content), _CHUNK):
                chunk = content[start : start + _CHUNK]
                yield dataset_service_pb2.UploadDatasetRequest(chunk=chunk)

        return self.datasets.UploadDataset(parts(), timeout=CALL_SECONDS).dataset

    def start_progressive_search(self, body: Mapping[str, Any]) -> orchestration_pb2.Orchestration:
        """Starts a progressive search from a JSON body, as a person would paste it."""
        request = ParseDict(dict(body), orchestration_service_pb2.StartProgressiveSearchRequest())
        answer = self.orchestrations.StartProgressiveSearch(request, timeout=CALL_SECONDS)
        return answer.orchestration

    def start_comparison(self, body: Mapping[str, Any]) -> orchestration_pb2.Orchestration:
        """Starts a multi-model comparison from a JSON body."""
        request = ParseDict(
            dict(body), orchestration_service_pb2.StartMultiModelComparisonRequest()
        )
        answer = self.orchestrations.StartMultiModelComparison(request, timeout=CALL_SECONDS)
        return answer.orchestration

    def start_tuning(self, body: Mapping[str, Any]) -> orchestration_pb2.Orchestration:
        """Starts a tuning run from a JSON body."""
        request = ParseDict(dict(body), tuning_service_pb2.StartTuningRequest())
        return self.tuning.StartTuning(request, timeout=CALL_SECONDS).orchestration

    def cancel(self, orchestration_id: str) -> orchestration_pb2.Orchestration:
        """Ends an orchestration now."""
        request = orchestration_service_pb2.CancelOrchestrationRequest(
            orchestration_id=orchestration_id
        )
        return self.orchestrations.CancelOrchestration(request, timeout=CALL_SECONDS).orchestration

    def get(self, orchestration_id: str) -> orchestration_pb2.Orchestration:
        """Describes an orchestration as it is now."""
        request = run_service_pb2.GetOrchestrationRequest(orchestration_id=orchestration_id)
        return self.runs.GetOrchestration(request, timeout=CALL_SECONDS).orchestration

    def events(
        self, orchestration_id: str, after_sequence: int = 0, *, timeout: float = END_SECONDS
    ) -> Iterator[event_pb2.Event]:
        """Streams the log's events after a sequence number, until the final one."""
        request = run_service_pb2.WatchOrchestrationRequest(
            orchestration_id=orchestration_id, after_sequence=after_sequence
        )
        for message in self.runs.WatchOrchestration(request, timeout=timeout):
            yield from message.events.events

    def wait_for_end(
        self, orchestration_id: str, *, timeout: float = END_SECONDS
    ) -> orchestration_pb2.Orchestration:
        """Follows the log to its end and describes what came of it."""
        for _ in self.events(orchestration_id, timeout=timeout):
            pass
        return self.get(orchestration_id)

    def await_event(
        self, orchestration_id: str, payload: str, *, count: int = 1, timeout: float = END_SECONDS
    ) -> list[event_pb2.Event]:
        """Waits until the log holds `count` events of a kind, such as `trial_finished`."""
        found = []
        for event in self.events(orchestration_id, timeout=timeout):
            if event.WhichOneof("payload") == payload:
                found.append(event)
                if len(found) == count:
                    return found
        raise AssertionError(f"the log ended with {len(found)} of {count} {payload} events")

    def trials(self, orchestration_id: str, **fields: Any) -> list[trial_pb2.Trial]:
        """Lists all trials, page by page."""
        found: list[trial_pb2.Trial] = []
        token = ""
        while True:
            request = run_service_pb2.ListTrialsRequest(
                orchestration_id=orchestration_id, page_token=token, **fields
            )
            answer = self.runs.ListTrials(request, timeout=CALL_SECONDS)
            found.extend(answer.trials)
            token = answer.next_page_token
            if not token:
                return found

    def lineage(self, orchestration_id: str, number: int) -> run_service_pb2.TrialLineage:
        """Gives where a trial came from."""
        request = run_service_pb2.GetTrialRequest(orchestration_id=orchestration_id, number=number)
        return self.runs.GetTrial(request, timeout=CALL_SECONDS).lineage

    def best_model(self, orchestration_id: str) -> run_service_pb2.GetBestModelResponse:
        """Gives the best model of a completed orchestration."""
        request = run_service_pb2.GetBestModelRequest(orchestration_id=orchestration_id)
        return self.runs.GetBestModel(request, timeout=CALL_SECONDS)

    def refinements(self, orchestration_id: str) -> Sequence[search_space_pb2.Refinement]:
        """Lists the refinements in the order they were made."""
        request = run_service_pb2.ListRefinementsRequest(orchestration_id=orchestration_id)
        return self.runs.ListRefinements(request, timeout=CALL_SECONDS).refinements

    @contextmanager
    def watcher(self, orchestration_id: str, after_sequence: int = 0) -> Iterator[Watcher]:
        """Watches in the background until the log's end."""
        watcher = Watcher(self, orchestration_id, after_sequence)
        yield watcher
        watcher.join()


class Watcher:
    """Collects what one watch stream brings, in a thread of its own."""

    def __init__(self, client: Client, orchestration_id: str, after_sequence: int) -> None:
        self.events: list[event_pb2.Event] = []
        self._error: Exception | None = None
        self._arguments = (client, orchestration_id, after_sequence)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        client, orchestration_id, after_sequence = self._arguments
        try:
            for event in client.events(orchestration_id, after_sequence):
                self.events.append(event)
        except grpc.RpcError as error:
            self._error = error

    def join(self) -> list[event_pb2.Event]:
        """Waits for the stream's end and gives everything it brought."""
        self._thread.join(END_SECONDS)
        if self._error is not None:
            raise self._error
        if self._thread.is_alive():
            raise TimeoutError(f"the watch did not end; it brought {len(self.events)} events")
        return self.events


def plain_value(value: search_space_pb2.ParameterValue) -> Any:
    """Gives a parameter value as Python has it."""
    kind = value.WhichOneof("kind")
    if kind == "null_value":
        return None
    if kind == "tuple_value":
        return tuple(plain_value(each) for each in value.tuple_value.items)
    return getattr(value, str(kind))


def plain_parameters(assignment: search_space_pb2.Assignment) -> dict[str, Any]:
    """Gives an assignment as keyword arguments."""
    return {name: plain_value(value) for name, value in assignment.values.items()}


def error_reason(error: grpc.RpcError) -> str:
    """Gives the ErrorInfo reason of a refused call."""
    for detail in _details(error):
        info = ErrorInfo()
        if detail.Unpack(info):
            reason: str = info.reason
            return reason
    return ""


def violations(error: grpc.RpcError) -> dict[str, str]:
    """Gives the field violations of a refused call: path → description."""
    for detail in _details(error):
        bad = BadRequest()
        if detail.Unpack(bad):
            return {each.field: each.description for each in bad.field_violations}
    return {}


def _details(error: grpc.RpcError) -> Sequence[Any]:
    # The error of a failed call is that call: both types at once.
    status = rpc_status.from_call(cast("grpc.Call", error))
    return list(status.details) if status is not None else []
