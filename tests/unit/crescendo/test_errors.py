"""Errors carry what the server said: kind, reason, metadata, every violation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
import pytest

from crescendo.client.errors import (
    AlreadyExists,
    Conflict,
    CrescendoError,
    CursorOutOfRange,
    Exhausted,
    InvalidRequest,
    NotFound,
    Unavailable,
    Violation,
    WrongState,
)
from crescendo.client.library import Crescendo
from testbed.addresses import free_port
from tests.unit.crescendo import messages
from tuning.v1 import run_service_pb2 as run_pb


class Refusing(messages.ScriptedStore):
    """Refuses every GetOrchestration in the way it was told."""

    def __init__(self, refuse: Callable[[grpc.ServicerContext], None]) -> None:
        super().__init__(messages.progressive_search(), [])
        self._refuse = refuse

    def GetOrchestration(
        self, request: run_pb.GetOrchestrationRequest, context: grpc.ServicerContext
    ) -> run_pb.GetOrchestrationResponse:
        self._refuse(context)
        return run_pb.GetOrchestrationResponse()


def _caught(refuse: Callable[[grpc.ServicerContext], None]) -> CrescendoError:
    with (
        messages.serving(Refusing(refuse)) as address,
        Crescendo(address, address) as client,
        pytest.raises(CrescendoError) as caught,
    ):
        client.status(messages.ID)
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, WrongState),
        (grpc.StatusCode.ABORTED, Conflict),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Exhausted),
        (grpc.StatusCode.OUT_OF_RANGE, CursorOutOfRange),
        (grpc.StatusCode.INTERNAL, CrescendoError),
    ],
)
def test_each_code_has_its_class(code: grpc.StatusCode, kind: type[CrescendoError]) -> None:
    status = messages.refusal(code, "in words", "SOME_REASON")
    error = _caught(lambda context: messages.refuse(context, code, status))
    assert type(error) is kind
    assert (error.message, error.reason, error.metadata) == ("in words", "SOME_REASON", {"id": "x"})


def test_every_violation_arrives() -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    wrong = [("cv_folds", "is 1, must be at least 2"), ("param_grid", "is empty")]
    status = messages.refusal(code, "two things", "INVALID_REQUEST", wrong)
    error = _caught(lambda context: messages.refuse(context, code, status))
    assert isinstance(error, InvalidRequest)
    assert error.violations == tuple(
        Violation(field=field, description=text) for field, text in wrong
    )


def test_an_invalid_request_without_details_has_its_text_as_violation() -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    error = _caught(lambda context: context.abort(code, "no good"))
    assert [str(each) for each in error.violations] == ["no good"]


def test_nobody_there_says_where_it_looked() -> None:
    address = f"127.0.0.1:{free_port()}"
    with Crescendo(address, address) as client, pytest.raises(Unavailable) as caught:
        client.status(messages.ID)
    assert caught.value.message == f"the store does not answer at {address}"
    assert caught.value.reason == "UNREACHABLE"


def test_a_server_that_is_unavailable_says_so_itself() -> None:
    code = grpc.StatusCode.UNAVAILABLE
    status = messages.refusal(code, "Postgres does not answer", "DATABASE_UNAVAILABLE")
    error = _caught(lambda context: messages.refuse(context, code, status))
    assert isinstance(error, Unavailable)
    assert error.message == "Postgres does not answer"


def test_errors_name_the_request_the_server_saw() -> None:
    sent: list[str] = []

    def refuse(context: grpc.ServicerContext) -> None:
        sent.extend(value for key, value in _metadata(context) if key == "x-request-id")
        context.abort(grpc.StatusCode.NOT_FOUND, "there is none")

    error = _caught(refuse)
    assert sent == [error.request_id]
    assert str(error) == f"there is none [request {error.request_id}]"


def test_the_name_a_server_gives_a_request_counts() -> None:
    def refuse(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("x-request-id", "from-the-server"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "there is none")

    assert _caught(refuse).request_id == "from-the-server"


def test_every_call_has_a_name_of_its_own_streams_too() -> None:
    names: list[str] = []

    def refuse(context: grpc.ServicerContext) -> None:
        names.extend(value for key, value in _metadata(context) if key == "x-request-id")
        context.abort(grpc.StatusCode.NOT_FOUND, "there is none")

    class Store(Refusing):
        def WatchOrchestration(self, request: Any, context: grpc.ServicerContext) -> Any:
            refuse(context)
            yield

    with messages.serving(Store(refuse)) as address, Crescendo(address, address) as client:
        for _ in range(2):
            with pytest.raises(NotFound):
                client.status(messages.ID)
        with pytest.raises(NotFound):
            list(client.watch(messages.ID))
    assert len(set(names)) == 3


def _metadata(context: grpc.ServicerContext) -> Any:
    return context.invocation_metadata()


def test_something_else_listening_is_no_crash() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with (
            Crescendo(f"127.0.0.1:{port}", f"127.0.0.1:{port}") as client,
            pytest.raises(CrescendoError, match="Method not found") as caught,
        ):
            client.status(messages.ID)
    finally:
        server.stop(0).wait()
    assert caught.value.reason == "UNIMPLEMENTED"
