"""Every number that can be set has a range, which is documented and held to."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args, get_type_hints

import pytest

from services.common.setting_ranges import Within, ranges_of
from services.common.settings import SettingsError, load
from services.coordinator.settings import CoordinatorSettings
from services.embedded.settings import EmbeddedSettings
from services.store.settings import StoreSettings
from services.worker.settings import WorkerSettings

_ROLES: tuple[Any, ...] = (StoreSettings, CoordinatorSettings, WorkerSettings, EmbeddedSettings)
_NONSENSE = [
    (StoreSettings, "lease_seconds", "1e300", "1 to 86,400"),
    (StoreSettings, "lease_seconds", "0.5", "1 to 86,400"),
    (StoreSettings, "beat_seconds", "0.000001", "0.1 to 28,800"),
    (StoreSettings, "searcher_lease_seconds", "0.001", "5 to 3,600"),
    (StoreSettings, "dispatch_seconds", "1e-9", "5 to 86,400"),
    (StoreSettings, "watch_poll_seconds", "1e-9", "0.01 to 10"),
    (StoreSettings, "bookmark_seconds", "36", "0.05 to 30"),
    (StoreSettings, "stream_write_seconds", "1e12", "0.1 to 3,600"),
    (StoreSettings, "retention_days", "1e300", "0 to 36,500"),
    (StoreSettings, "drain_seconds", "1e9", "0 to 3,600"),
    (StoreSettings, "rpc_deadline_seconds", "1e-9", "1 to 3,600"),
    (StoreSettings, "max_watches", "0", "1 to 1,000,000"),
    (StoreSettings, "max_upload_mib", "1000000", "1 to 16,384"),
    (CoordinatorSettings, "rpc_deadline_seconds", "1e-9", "1 to 3,600"),
    (CoordinatorSettings, "searcher_processes", "100000", "1 to 256"),
    (CoordinatorSettings, "suggestion_timeout_seconds", "1e300", "1 to 3,600"),
    (CoordinatorSettings, "price_per_hour", "1e-300", "0.000001 to 1,000,000,000"),
    (CoordinatorSettings, "trial_timeout_seconds", "0", "0.1 to 31,536,000"),
    (WorkerSettings, "worker_slots", "-1", "0 to 1,024"),
    (WorkerSettings, "worker_drain_seconds", "1e9", "0 to 86,400"),
    (WorkerSettings, "trial_timeout_seconds", "1e300", "0.1 to 31,536,000"),
    (WorkerSettings, "trial_memory_mb", "100", "0 or 384 to 16,777,216"),
    (WorkerSettings, "child_growth_mb", "1000000000000", "1 to 16,777,216"),
]


@pytest.mark.parametrize(("cls", "name", "value", "within"), _NONSENSE)
def test_a_number_out_of_its_range_is_refused_with_value_and_range(
    cls: Any, name: str, value: str, within: str
) -> None:
    variable = f"CRESCENDO_{name.upper()}"
    with pytest.raises(SettingsError) as caught:
        load(cls, {variable: value})
    assert str(caught.value) == f"wrong settings: {variable}={value!r}: must be {within}"
    number = float(value)
    with pytest.raises(ValueError, match=f"{variable}=.*: must be {within}"):
        cls(**{name: int(number) if number.is_integer() else number})


@pytest.mark.parametrize("cls", _ROLES, ids=lambda each: each.__name__)
def test_every_number_of_every_role_has_a_range_that_holds_its_ends(cls: Any) -> None:
    ranges = ranges_of(cls)
    for name, hint in get_type_hints(cls).items():
        if {int, float} & {hint, *get_args(hint)}:
            within = ranges[name]
            ends = (within.least, within.most, *((0,) if within.or_zero else ()))
            assert [within.problem(end) for end in ends] == [None] * len(ends)
            assert within.problem(within.most * 1.01 + 1) is not None
            assert within.problem(float("nan")) is not None


@pytest.mark.parametrize("cls", _ROLES, ids=lambda each: each.__name__)
def test_every_field_and_the_ends_of_its_range_are_documented(cls: Any) -> None:
    ranges = ranges_of(cls)
    words = " ".join((cls.__doc__ or "").split())
    for each in dataclasses.fields(cls):
        _, found, rest = words.partition(f" {each.name}: ")
        assert found, f"{cls.__name__}.{each.name}"
        if each.name in ranges:
            for end in str(ranges[each.name]).removeprefix("0 or ").split(" to "):
                assert end in rest[:250], f"{cls.__name__}.{each.name}: {end}"


@pytest.mark.parametrize(
    ("within", "words"),
    [
        (Within(0.000001, 2.5), "0.000001 to 2.5"),
        (Within(384, 20_000, or_zero=True), "0 or 384 to 20,000"),
    ],
)
def test_a_range_is_told_in_plain_figures(within: Within, words: str) -> None:
    assert str(within) == words


def test_two_apis_on_one_port_are_refused_and_any_free_ports_taken() -> None:
    same = {
        "CRESCENDO_STORE_LISTEN": "127.0.0.1:7000",
        "CRESCENDO_STORE_INTERNAL_LISTEN": "127.0.0.1:7000",
    }
    with pytest.raises(
        SettingsError, match=r"CRESCENDO_STORE_INTERNAL_LISTEN='127\.0\.0\.1:7000': must not be"
    ):
        load(StoreSettings, same)
    free = dict.fromkeys(same, "127.0.0.1:0")
    assert load(StoreSettings, free).store_listen == "127.0.0.1:0"
