"""A gRPC server with what every server here has: health, reflection, errors with details, keepalive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.common.rpc.interceptors import CallInterceptor
from services.common.rpc.stream_writes import STREAM_WRITE_SECONDS, StreamWriteInterceptor

# A larger request is refused by the transport with RESOURCE_EXHAUSTED. Clients' requests are small
# (uploads stream in pieces of 1 MiB, hence the room above it); services exchange batches.
MAX_REQUEST_BYTES = 1024 * 1024 + 16 * 1024
MAX_INTERNAL_REQUEST_BYTES = 16 * 1024 * 1024
MAX_RESPONSE_BYTES = 64 * 1024 * 1024

# Keepalive alone takes a minute to find a frozen peer; with a ping timeout it is found after the time
# between two pings and the timeout: at most 15 s, from either side, with or without calls. The client
# library pings half as often.
KEEPALIVE_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A client that pings more often than a server likes loses its connection ("too_many_pings"), and
    # with it its watches. Pings cost next to nothing: none are too many.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)

Register = Callable[[grpc.aio.Server], None]


class RpcServer:
    """One listening address with its services.

    Args:
        listen: `host:port`; port 0 takes a free one.
        services: full service names and how to register each on the server.
        reflection_enabled: whether tools such as grpcurl may ask for the schema.
        max_request_bytes: size of the largest message the server takes.
        stream_write_seconds: how long a stream waits for a client that does not read.
        calls: what happens around each call.
    """

    def __init__(
        self,
        *,
        listen: str,
        services: Sequence[tuple[str, Register]],
        reflection_enabled: bool = True,
        max_request_bytes: int = MAX_REQUEST_BYTES,
        stream_write_seconds: float = STREAM_WRITE_SECONDS,
        calls: CallInterceptor | None = None,
    ) -> None:
        self._listen = listen
        self._names = [name for name, _ in services]
        self._server = grpc.aio.server(
            interceptors=[
                calls or CallInterceptor(),
                StreamWriteInterceptor(stream_write_seconds),
            ],
            options=[
                *KEEPALIVE_OPTIONS,
                ("grpc.max_receive_message_length", max_request_bytes),
                ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
                # Two processes on one port would answer in turns, each with half of the truth.
                ("grpc.so_reuseport", 0),
            ],
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # missing in the stubs
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for _, register in services:
            register(self._server)
        if reflection_enabled:
            reflection.enable_server_reflection(
                [*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
            )

    async def start(self) -> str:
        """Begins to listen, not yet serving in the eyes of health checks.

        Returns: the address clients reach it at, with the real port.
        Raises: OSError: the address cannot be bound.
        """
        try:
            port = self._server.add_insecure_port(self._listen)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {self._listen}: is another process using the port?"
            ) from error
        await self._server.start()
        await self.set_serving(serving=False)
        host = self._listen.rsplit(":", 1)[0]
        reachable = "127.0.0.1" if host in ("0.0.0.0", "[::]", "") else host  # noqa: S104 (compared, not bound)
        return f"{reachable}:{port}"

    async def set_serving(self, *, serving: bool) -> None:
        """Tells health checks whether the server can do its work."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if serving
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ["", *self._names]:
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Refuses new calls and waits for those under way, at most `grace_seconds`."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_seconds)


def service_name(descriptor: Any, service: str) -> str:
    """Gives the full name of a service in a generated module's DESCRIPTOR."""
    return str(descriptor.services_by_name[service].full_name)
