"""Channels to other services."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from services.common.rpc.server import KEEPALIVE_OPTIONS, MAX_RESPONSE_BYTES


def open_channel(addresses: str | Sequence[str]) -> grpc.aio.Channel:
    """Opens a channel to one address or to any of several (`host:port`, comma-separated or a list).

    Connects lazily and reconnects by itself, within two seconds of the peer's return. With several
    addresses calls go to all that are up in turn.
    """
    parts = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    targets = [part.strip() for part in parts if part.strip()]
    target = targets[0] if len(targets) == 1 else "ipv4:" + ",".join(targets)
    return grpc.aio.insecure_channel(
        target,
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
