"""Extensions: what reaches the store, repeats, refusals."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from services.coordinator.service.bell import Bell
from services.coordinator.service.requests import ExtensionRequest, TuningRequest
from services.coordinator.service.starting import Starting
from services.coordinator.service.steering import Steering
from tests.unit.coordinator.request_store import PLAIN, UUID, MemoryRequestStore, refused


class NoCloser:
    """Closes nothing: extending asks it for nothing."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def steering(store: MemoryRequestStore, dispatch: Bell) -> Steering:
    return Steering(store=store, closer=NoCloser(), leases=Bell(), dispatch=dispatch)


async def test_an_extension_reaches_the_store_under_its_key_and_wakes_the_loops(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="svm"), PLAIN)
    dispatch = Bell()
    request = ExtensionRequest(orchestration_id="o", additional_trials=5, additional_cost=0.5)
    identity = replace(PLAIN, rpc="ExtendOrchestration", request_id=UUID)
    await steering(store, dispatch).extend(request, identity)
    await steering(store, dispatch).extend(request, replace(identity, request_id=""))
    (first, key), (_, made) = store.extensions
    assert (first.trials, first.failed_trials, first.seconds, first.cost) == (5, 0, 0.0, 0.5)
    assert (key.rpc, key.request_id) == ("ExtendOrchestration", UUID)
    assert made.request_id not in ("", UUID)
    assert await dispatch.wait(0)


async def test_an_extension_asked_for_before_is_not_asked_for_again(
    starting: Starting, store: MemoryRequestStore
) -> None:
    await starting.tuning(TuningRequest(model_run_id="svm"), replace(PLAIN, request_id=UUID))
    again = await steering(store, Bell()).extend(
        ExtensionRequest(orchestration_id="o"), replace(PLAIN, request_id=UUID)
    )
    assert again.orchestration_id == "o"
    assert store.extensions == []


@pytest.mark.parametrize(
    ("request_", "paths"),
    [
        (ExtensionRequest(orchestration_id="o"), {"additional_trials"}),
        (
            ExtensionRequest(
                orchestration_id="",
                additional_trials=-1,
                additional_failed_trials=-2,
                additional_seconds=math.nan,
                additional_cost=math.inf,
            ),
            {
                "orchestration_id",
                "additional_trials",
                "additional_failed_trials",
                "additional_seconds",
                "additional_cost",
            },
        ),
    ],
)
async def test_an_extension_by_nothing_or_by_less_is_refused(
    store: MemoryRequestStore, request_: ExtensionRequest, paths: set[str]
) -> None:
    assert set(await refused(steering(store, Bell()).extend(request_, PLAIN))) == paths
    assert store.extensions == []
