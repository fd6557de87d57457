"""Channels and calls: deadlines, retries of what may be repeated, errors decoded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import grpc

from crescendo.client.addresses import target_of
from crescendo.client.errors import REQUEST_ID_KEY, CrescendoError, decode_error

ResponseT = TypeVar("ResponseT")

# Keepalive finds dead servers in half a minute; this is for live ones that are stuck. The first use of
# a built-in dataset takes seconds, on a busy machine many.
_DEADLINE_SECONDS = 120.0
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024

# Repeating these is harmless: reads, and creations, which carry a request id. TriggerNextStage is left
# out: after an answer that was lost a second one would end the next stage too. WatchOrchestration is
# taken up by its caller, who knows where it broke.
_REPEATABLE = {
    "tuning.v1.RunService": (
        "GetOrchestration",
        "ListOrchestrations",
        "GetTuningRun",
        "ListTrials",
        "ListRefinements",
        "GetBestModel",
    ),
    "tuning.v1.DatasetService": ("GetDataset", "ListDatasets"),
    "tuning.v1.ModelService": ("CreateModelRun", "GetModelRun", "ListModelRuns", "ListModelTypes"),
    "tuning.v1.TuningService": ("StartTuning", "StartCrossValidation"),
    "tuning.v1.OrchestrationService": (
        "StartProgressiveSearch",
        "StartMultiModelComparison",
        "PauseOrchestration",
        "ResumeOrchestration",
        "CancelOrchestration",
    ),
}

_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method}
                for service, methods in _REPEATABLE.items()
                for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # A frozen server is noticed in half a minute, also in the middle of a silent watch.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A service at an address; `name` and `address` appear in errors."""

    name: str
    address: str
    channel: grpc.Channel

    def call(self, method: Callable[..., ResponseT], request: Any) -> ResponseT:
        """Calls a unary method with a deadline, under a name of its own.

        Raises:
            CrescendoError: the call failed.
        """
        request_id = str(uuid.uuid4())
        named = ((REQUEST_ID_KEY, request_id),)
        try:
            return method(request, timeout=_DEADLINE_SECONDS, metadata=named)
        except grpc.RpcError as error:
            raise self.decode(error, request_id) from error

    def decode(self, error: grpc.RpcError, request_id: str = "") -> CrescendoError:
        """Makes the library's error from gRPC's."""
        return decode_error(error, service=self.name, address=self.address, request_id=request_id)


def connect(name: str, address: str) -> Peer:
    """Opens a channel to `host:port`, or to any of several (comma-separated); nothing is sent yet."""
    targets = [part.strip() for part in address.split(",") if part.strip()]
    channel = grpc.insecure_channel(target_of(targets), options=_OPTIONS)
    return Peer(name=name, address=address, channel=grpc.intercept_channel(channel, _Naming()))


class _Details(NamedTuple):
    """What gRPC wants to know of a call; the library has no public class for it."""

    method: str
    timeout: float | None
    metadata: Sequence[tuple[str, str | bytes]]
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class _Naming(grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Names streams; `Peer.call` names all other calls, whose names it needs."""

    def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> Any:
        """Opens a stream of answers."""
        return continuation(_named(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Opens a stream of requests."""
        return continuation(_named(client_call_details), request_iterator)


def _named(details: Any) -> _Details:
    return _Details(
        method=details.method,
        timeout=details.timeout,
        metadata=(*(details.metadata or ()), (REQUEST_ID_KEY, str(uuid.uuid4()))),
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
        compression=details.compression,
    )
