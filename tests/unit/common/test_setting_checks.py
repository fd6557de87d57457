"""Wrong values are refused at the start, all in one message and without their passwords."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from services.common.setting_checks import KNOWN, unknown
from services.common.settings import SettingsError, load
from services.coordinator.settings import CoordinatorSettings
from services.embedded.settings import EmbeddedSettings
from services.store.settings import StoreSettings
from services.worker.settings import WorkerSettings

_ROLES: tuple[Any, ...] = (StoreSettings, CoordinatorSettings, WorkerSettings, EmbeddedSettings)


def _refused(cls: Any, **values: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(cls, {f"CRESCENDO_{name.upper()}": value for name, value in values.items()})
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://guest:hunter2@broker/",
        "broker:5672",
        "amqp://guest:hunter2@broker:99999/",
        "amqp://guest:hunter2@broker:0/",
        "amqp://guest:hunter2@broker:port/",
        "amqp://",
        "amqp://[::1/",
    ],
)
def test_an_amqp_url_that_cannot_be_one_is_refused(url: str) -> None:
    text = _refused(CoordinatorSettings, amqp_url=url)
    assert "CRESCENDO_AMQP_URL" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://me:hunter2@db/x",
        "host=db password=hunter2",
        "postgresql://me:hunter2@db:99999/x",
        "postgresql://me:hunter2@one:5432,two:no/x",
    ],
)
def test_a_dsn_that_cannot_be_one_is_refused(dsn: str) -> None:
    text = _refused(StoreSettings, postgres_dsn=dsn)
    assert "CRESCENDO_POSTGRES_DSN" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgres://me:p%40ss@db/x?sslmode=require",
        "postgresql://me@one:5432,two:5433/x",
        "postgresql://me@[::1]:5432/x",
        "postgresql:///x?host=/var/run/postgresql",
    ],
)
def test_every_form_of_dsn_that_postgres_takes_is_taken(dsn: str) -> None:
    assert load(StoreSettings, {"CRESCENDO_POSTGRES_DSN": dsn}).postgres_dsn == dsn


@pytest.mark.parametrize(
    "value", ["50051", "localhost", "a:b", "h:70000", "http://h:1", "::1:50051"]
)
def test_a_listen_address_must_be_host_and_port(value: str) -> None:
    assert "CRESCENDO_COORDINATOR_LISTEN" in _refused(CoordinatorSettings, coordinator_listen=value)


@pytest.mark.parametrize("value", ["0.0.0.0:0", "[::]:50051", ":50051", "store.internal:50051"])
def test_usual_listen_addresses_are_taken(value: str) -> None:
    loaded = load(CoordinatorSettings, {"CRESCENDO_COORDINATOR_LISTEN": value})
    assert loaded.coordinator_listen == value


@pytest.mark.parametrize(
    "value",
    [
        "store",
        "store:0",
        ":50052",
        "10.0.0.1:1,store:2",
        ",",
        "::1:50052",
        "[::1]:1,dns:///10.0.0.1:2",
        "[1::2::3]:1,[::1]:2",
    ],
)
def test_an_address_to_call_must_be_reachable_in_form(value: str) -> None:
    assert "CRESCENDO_STORE_ADDRESS" in _refused(CoordinatorSettings, store_address=value)


@pytest.mark.parametrize(
    "value",
    [
        "store:50052",
        "dns:///store:50052",
        "10.0.0.1:1, 10.0.0.2:1",
        "[::1]:50052",
        "[::1]:50052,[fd00::2]:50052",
        "10.0.0.1:1,[::1]:2",
    ],
)
def test_usual_addresses_to_call_are_taken(value: str) -> None:
    assert load(CoordinatorSettings, {"CRESCENDO_STORE_ADDRESS": value}).store_address == value


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "many"])
@pytest.mark.parametrize("name", ["drain_seconds", "lease_seconds", "retention_days"])
def test_numbers_are_finite_and_not_negative(name: str, value: str) -> None:
    assert f"CRESCENDO_{name.upper()}={value!r}" in _refused(StoreSettings, **{name: value})


def test_levels_and_formats_are_known_ones() -> None:
    text = _refused(StoreSettings, log_level="loud", log_format="xml")
    assert "CRESCENDO_LOG_LEVEL='loud': must be one of debug, info" in text
    assert "CRESCENDO_LOG_FORMAT='xml': must be one of json, console" in text


def test_everything_wrong_is_told_at_once_checks_between_settings_included() -> None:
    text = _refused(
        StoreSettings, postgres_dsn="x", store_listen="y", max_watches="z", beat_seconds="30"
    )
    for name in ("POSTGRES_DSN", "STORE_LISTEN", "MAX_WATCHES", "BEAT_SECONDS"):
        assert f"CRESCENDO_{name}" in text


@pytest.mark.parametrize(("value", "listen"), [("", ""), ("off", "off"), ("h:1", "h:1")])
def test_metrics_can_be_turned_off_by_an_empty_value(value: str, listen: str) -> None:
    assert load(StoreSettings, {"CRESCENDO_METRICS_LISTEN": value}).metrics_listen == listen


@pytest.mark.parametrize("cls", _ROLES, ids=lambda each: each.__name__)
def test_the_defaults_of_every_role_are_valid(cls: Any) -> None:
    written = {
        f"CRESCENDO_{each.name.upper()}": str(each.default)
        for each in dataclasses.fields(cls)
        if each.default not in (None, ())
    }
    assert load(cls, written) == cls()


def test_settings_that_nobody_reads_are_named_with_what_may_be_meant() -> None:
    names = ["CRESCENDO_STORE_LISTN", "CRESCENDO_FOO", "CRESCENDO_LOG_LEVEL", "PATH"]
    assert unknown(names, prefix="CRESCENDO_") == [
        ("CRESCENDO_FOO", ""),
        ("CRESCENDO_STORE_LISTN", "CRESCENDO_STORE_LISTEN"),
    ]


def test_the_known_settings_are_those_that_some_role_or_the_client_reads() -> None:
    read = {each.name.upper() for cls in _ROLES for each in dataclasses.fields(cls)}
    assert read | {"COORDINATOR_ADDRESS", "STORE_ADDRESS", "DATA_DIR"} == KNOWN


@pytest.mark.parametrize("value", ["gpu a100", "x" * 200, "-gpu", "a/b", "größe"])
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (WorkerSettings, "worker_class"),
        (WorkerSettings, "queue_prefix"),
        (CoordinatorSettings, "queue_prefix"),
    ],
)
def test_names_that_no_queue_can_have_are_refused(cls: Any, name: str, value: str) -> None:
    text = _refused(cls, **{name: value})
    assert f"CRESCENDO_{name.upper()}={value!r}: use 1 to 64 characters" in text
