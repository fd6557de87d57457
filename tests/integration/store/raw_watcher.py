"""A watcher out of generated stubs alone, written from the comments in the protos.

usage: raw_watcher.py STORE ORCHESTRATION_ID; prints each event's number, and what happened between.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tuning.v1 import run_service_pb2, run_service_pb2_grpc


def main(store: str, orchestration_id: str) -> None:
    """Watches to the end."""
    runs: Any = run_service_pb2_grpc.RunServiceStub(grpc.insecure_channel(store))
    cursor: int | None = 0
    epoch: str | None = None
    while True:
        request = run_service_pb2.WatchOrchestrationRequest(
            orchestration_id=orchestration_id, after_sequence=cursor, epoch=epoch
        )
        try:
            for message in runs.WatchOrchestration(request):
                part = getattr(message, message.WhichOneof("content"))
                epoch = part.epoch
                if message.HasField("snapshot"):
                    cursor = part.orchestration.last_sequence
                elif message.HasField("events"):
                    for event in part.events:
                        cursor = event.sequence
                        say(str(cursor))
            say(f"ended at {cursor}")
            return
        except grpc.RpcError as error:
            reason, delay = told(error)
            if reason in ("EPOCH_CHANGED", "CURSOR_EXPIRED", "CURSOR_AHEAD"):
                say("restored: from a snapshot")
                cursor, epoch = None, None
            elif error.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
            ):
                raise
            time.sleep(delay)


def told(error: Any) -> tuple[str, float]:
    """Reads the reason, and how long to wait."""
    reason, delay = "", 0.1
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                info, retry = ErrorInfo(), RetryInfo()
                if detail.Unpack(info):
                    reason = info.reason
                elif detail.Unpack(retry):
                    delay = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, delay


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
