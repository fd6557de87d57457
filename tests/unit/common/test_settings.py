"""Settings come from the environment, and say everything that is wrong with it at once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from services.common.settings import SettingsError, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Settings of every supported type."""

    address: str
    slots: int = 2
    grace: float = 1.5
    reflection: bool = True
    limit: float | None = None
    peers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.slots > 100:
            raise ValueError(f"CRESCENDO_SLOTS={self.slots} must be at most 100")


def test_values_are_read_by_type_and_defaults_hold_for_the_rest() -> None:
    loaded = load(
        Example,
        {
            "CRESCENDO_ADDRESS": "a:1",
            "CRESCENDO_SLOTS": "4",
            "CRESCENDO_REFLECTION": "no",
            "CRESCENDO_LIMIT": "2.5",
            "CRESCENDO_PEERS": "a:1, b:2",
            "CRESCENDO_GRACE": "",
        },
    )
    assert loaded == Example(
        address="a:1", slots=4, reflection=False, limit=2.5, peers=("a:1", "b:2")
    )


def test_every_problem_is_named_in_one_message() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Example, {"CRESCENDO_SLOTS": "many", "CRESCENDO_REFLECTION": "perhaps"})
    text = str(caught.value)
    assert "CRESCENDO_ADDRESS must be set" in text
    assert "CRESCENDO_SLOTS='many': must be a whole number" in text
    assert "CRESCENDO_REFLECTION='perhaps': must be true or false" in text


def test_a_check_of_the_class_itself_is_reported_the_same_way() -> None:
    with pytest.raises(SettingsError, match="at most 100"):
        load(Example, {"CRESCENDO_ADDRESS": "a:1", "CRESCENDO_SLOTS": "101"})
