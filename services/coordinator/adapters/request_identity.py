"""What makes requests safe to repeat: their hashes, of what was set."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from google.protobuf.message import Message

from services.coordinator.adapters.plain_messages import plain_message
from services.coordinator.adapters.request_presets import effort_of, stage_trials
from services.coordinator.service.requests import RequestIdentity
from services.core.plan import GRID_SEARCH
from tuning.v1 import orchestration_service_pb2

# They say how to take a request, not what it asks for.
_NOT_THE_BODY = frozenset({"request_id", "validate_only"})
# How far the last stage goes. The trials of a random stage before it are another matter: what follows
# rests on them.
_TOTALS = frozenset({"n_iter", "n_iter_bayesian"})
_LIMITS = frozenset({"max_trials", "max_failed_trials", "max_seconds", "max_cost"})


def read_extension_identity(
    message: orchestration_service_pb2.ExtendOrchestrationRequest,
) -> RequestIdentity:
    """Reads what makes an extension safe to repeat."""
    body = _body(message)
    return RequestIdentity(
        rpc="ExtendOrchestration",
        request_id=message.request_id,
        body_hash=_digest(body),
        spec_hash=_digest(body),
        validate_only=False,
    )


def read_identity(rpc: str, message: Any) -> RequestIdentity:
    """Reads what makes a request safe to repeat."""
    body = _body(message)
    return RequestIdentity(
        rpc=rpc,
        request_id=message.request_id,
        body_hash=_digest(body),
        spec_hash=_digest({rpc: _without_totals(_effort_spelled_out(message, body))}),
        validate_only=message.validate_only,
    )


def _body(message: Message) -> dict[str, Any]:
    return {
        name: value for name, value in plain_message(message).items() if name not in _NOT_THE_BODY
    }


def _without_totals(body: dict[str, Any]) -> dict[str, Any]:
    """What requests under one study name must share: the rest says only how far to go."""
    spec = {name: value for name, value in body.items() if name not in _TOTALS}
    if stages := spec.get("stages"):
        last = {name: value for name, value in stages[-1].items() if name not in _TOTALS}
        spec["stages"] = [*stages[:-1], last]
    budget = {name: value for name, value in spec.pop("budget", {}).items() if name not in _LIMITS}
    # A budget of nothing but limits is as good as none.
    return spec | {"budget": budget} if budget else spec


def _effort_spelled_out(message: Any, body: dict[str, Any]) -> dict[str, Any]:
    """What `config_type` decides beside totals and limits, in its place: sizes may grow under one name."""
    effort = None if "config_type" not in body else effort_of(message)
    if effort is None:
        return body
    spec = {name: value for name, value in body.items() if name != "config_type"}
    if "n_iter_random" in message.DESCRIPTOR.fields_by_name:
        spec = {**stage_trials(message), **spec}
    share = effort.trials
    if "stages" in message.DESCRIPTOR.fields_by_name:
        share = effort.share([each.get("n_iter") for each in spec.get("stages", [])])
        spec["stages"] = [
            each if each.get("method") == GRID_SEARCH else {"n_iter": share, **each}
            for each in spec.get("stages", [])
        ]
    if "space_type" in spec and _tries_a_grid(message):
        # One made of a preset's ranges has as many points as the size allows.
        spec["grid_points"] = share
    return spec


def _tries_a_grid(message: Any) -> bool:
    fields = message.DESCRIPTOR.fields_by_name
    if "stages" in fields:
        return any(each.method == GRID_SEARCH for each in message.stages)
    # A progressive search has no method of its own; it begins with a grid.
    return "tuning_method" not in fields or message.tuning_method in ("", GRID_SEARCH)


def _digest(body: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
