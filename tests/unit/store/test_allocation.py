"""Who gets the free slots."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.store.ports.workforce_records import RunLoad, WorkerClass
from services.store.service.allocation import BATCHES_PER_SLOT, Allocation, allocate

_DAWN = datetime(2026, 1, 1, tzinfo=UTC)


def load(
    name: str,
    *,
    tenant: str = "t",
    orchestration: str = "",
    priority: int = 0,
    waiting: int = 1000,
    outstanding: int = 0,
    of_orchestration: int | None = None,
    max_concurrent: int = 0,
    seconds: float | None = 0.5,
    age: int = 0,
    worker_class: str = "default",
    open_for_work: bool = True,
) -> RunLoad:
    return RunLoad(
        tuning_run_id=name,
        orchestration_id=orchestration or name,
        worker_class=worker_class,
        tenant=tenant,
        priority=priority,
        created_at=_DAWN - timedelta(seconds=age),
        stage_index=0,
        position=0,
        max_concurrent_trials=max_concurrent,
        waiting=waiting,
        outstanding=outstanding,
        orchestration_outstanding=outstanding if of_orchestration is None else of_orchestration,
        mean_duration=seconds,
        open_for_work=open_for_work,
    )


def workers(slots: int, name: str = "default") -> WorkerClass:
    return WorkerClass(worker_class=name, live_workers=1, slots=slots)


def trials(allocations: list[Allocation]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in allocations:
        counts[each.tuning_run_id] += each.count
    return counts


def test_tenants_share_equally_however_many_searches_they_have() -> None:
    crowd = [load(f"a{each}", tenant="a") for each in range(9)]
    given_out = trials(allocate([*crowd, load("b", tenant="b")], [workers(20)]))
    of_crowd = sum(count for name, count in given_out.items() if name.startswith("a"))
    assert given_out["b"] == of_crowd == 40


def test_weights_tilt_the_shares() -> None:
    loads = [load("a", tenant="a"), load("b", tenant="b"), load("c", tenant="c")]
    given_out = trials(allocate(loads, [workers(40)], {"a": 2.0, "c": 1.0}))
    assert given_out == {"a": 80, "b": 40, "c": 40}


def test_work_under_way_counts_against_its_tenant() -> None:
    loads = [load("a", tenant="a", outstanding=40), load("b", tenant="b")]
    assert trials(allocate(loads, [workers(20)])) == {"b": 40}


def test_within_a_tenant_the_search_with_less_under_way_is_next_then_the_older() -> None:
    loads = [load("busy", outstanding=4), load("young"), load("old", age=60)]
    sent = [each.tuning_run_id for each in allocate(loads, [workers(3)])]
    assert sent == ["old", "young", "old", "young"]


def test_priority_goes_before_fairness() -> None:
    loads = [
        load("urgent", tenant="a", priority=1, outstanding=10, waiting=3),
        load("usual", tenant="b"),
    ]
    assert [each.tuning_run_id for each in allocate(loads, [workers(20)])][:2] == [
        "urgent",
        "urgent",
    ]


def test_a_limit_holds_over_all_runs_of_a_search_and_is_spread_over_slots() -> None:
    loads = [
        load("r1", orchestration="o", max_concurrent=6, of_orchestration=2, seconds=0.001),
        load("r2", orchestration="o", max_concurrent=6, of_orchestration=2, seconds=0.001),
    ]
    allocations = allocate(loads, [workers(4)])
    assert [each.count for each in allocations] == [1, 1, 1, 1]


def test_classes_do_not_take_from_one_another() -> None:
    loads = [load("here"), load("there", worker_class="gpu"), load("nowhere", worker_class="tpu")]
    allocations = allocate(loads, [workers(1), workers(2, "gpu")])
    assert trials(allocations) == {"here": 4, "there": 8}


def test_what_is_paused_gets_nothing_and_still_fills_slots() -> None:
    loads = [load("paused", open_for_work=False, outstanding=2), load("open")]
    assert trials(allocate(loads, [workers(1)])) == {"open": 2}


_LOADS = st.builds(
    load,
    st.integers(0, 5).map(str),
    tenant=st.sampled_from("abc"),
    priority=st.integers(-2, 2),
    waiting=st.integers(0, 50),
    outstanding=st.integers(0, 9),
    max_concurrent=st.integers(0, 12),
    seconds=st.one_of(st.none(), st.floats(0.001, 100)),
)


@given(
    st.lists(_LOADS, max_size=6, unique_by=lambda each: each.tuning_run_id),
    st.integers(1, 8),
    st.dictionaries(st.sampled_from("abc"), st.floats(0.1, 10)),
)
def test_no_limit_is_passed_and_no_slot_is_left_idle(
    loads: list[RunLoad], slots: int, weights: dict[str, float]
) -> None:
    allocations = allocate(loads, [workers(slots)], weights)
    given_out = trials(allocations)
    assert len(allocations) <= 2 * BATCHES_PER_SLOT * slots
    for each in loads:
        count = given_out[each.tuning_run_id]
        assert count <= each.waiting
        if each.max_concurrent_trials:
            assert count <= max(0, each.max_concurrent_trials - each.outstanding)
    able = [
        each
        for each in loads
        if each.waiting
        and (not each.max_concurrent_trials or each.outstanding < each.max_concurrent_trials)
    ]
    if able and sum(each.outstanding for each in loads) == 0:
        assert allocations
