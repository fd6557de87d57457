"""Channels to other services."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from services.common import request_ids
from services.common.rpc.server import KEEPALIVE_OPTIONS, MAX_RESPONSE_BYTES


def target_of(addresses: Sequence[str]) -> str:
    """Gives what gRPC calls a peer with these addresses (`host:port`).

    One address stands as it is. Of several each is an IP address, of version 4 or, in brackets, 6:
    gRPC takes a list of one kind, so those of version 4 beside others are written as the others
    (RFC 4291, section 2.5.5.2).
    """
    if len(addresses) == 1:
        return addresses[0]
    if not any(each.startswith("[") for each in addresses):
        return "ipv4:" + ",".join(addresses)
    return "ipv6:" + ",".join(
        each if each.startswith("[") else "[::ffff:{}]:{}".format(*each.rsplit(":", 1))
        for each in addresses
    )


def open_channel(addresses: str | Sequence[str]) -> grpc.aio.Channel:
    """Opens a channel to one address or to any of several (`host:port`, comma-separated or a list).

    Several are IP addresses, of either version; one may be any name.

    Connects lazily and reconnects by itself, within two seconds of the peer's return. With several
    addresses calls go to all that are up in turn. Calls made while a request is worked on carry its id.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    targets = [part.strip() for part in parts if part.strip()]
    channel = grpc.aio.insecure_channel(
        target_of(targets),
        options=[
            *KEEPALIVE_OPTIONS,
            ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
            ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.lb_policy_name", "round_robin" if len(targets) > 1 else "pick_first"),
            # Channels to one address share a connection by default; then one stuck stream slows all.
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )
    return _NamingChannel(channel)


class _NamingChannel(grpc.aio.Channel):
    """A channel whose calls carry the present request's id.

    Not by the library's interceptors: each costs a task per call, and they change what streams are.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        await self._channel.close(None)
        return None

    async def close(self, grace: float | None = None) -> None:
        """As the library's."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """As the library's."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As the library's."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As the library's."""
        await self._channel.channel_ready()

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """As the library's."""
        return _named(self._channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """As the library's."""
        return _named(self._channel.unary_stream(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """As the library's."""
        return _named(self._channel.stream_unary(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """As the library's."""
        return _named(self._channel.stream_stream(*arguments, **options))


def _named(call: Any) -> Any:
    def named(*arguments: Any, metadata: Any = None, **options: Any) -> Any:
        request_id = request_ids.current()
        if request_id:
            metadata = (*(metadata or ()), (request_ids.HEADER, request_id))
        return call(*arguments, metadata=metadata, **options)

    return named
